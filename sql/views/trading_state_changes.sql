-- The sessions on which a strategy's trading state became another one.
CREATE VIEW trading_state_changes AS
SELECT changed.strategy, changed.session, changed.effective_session, changed.previous_state, changed.state,
       changed.score, changed.reasons
FROM (SELECT state.strategy, state.session, state.effective_session, state.state, state.score, state.reasons,
             LAG(state.state) OVER (PARTITION BY state.strategy ORDER BY state.session) AS previous_state
      FROM trading_states AS state
      WHERE NOT EXISTS (SELECT 1 FROM trading_states AS newer
                        WHERE newer.strategy = state.strategy AND newer.session = state.session
                          AND newer.version > state.version)) AS changed
WHERE changed.previous_state IS NULL OR changed.previous_state <> changed.state
