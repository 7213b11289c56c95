-- What each strategy holds after its last decided session.
CREATE VIEW latest_positions AS
SELECT held.strategy, held.session, held.symbol, held.quantity, held.price,
       held.quantity * held.price AS value_usd, held.entry_price, held.stop_price, held.entered_session
FROM holdings AS held
WHERE held.session = (SELECT MAX(state.session) FROM portfolio_states AS state WHERE state.strategy = held.strategy)
  AND NOT EXISTS (SELECT 1 FROM holdings AS newer
                  WHERE newer.strategy = held.strategy AND newer.session = held.session
                    AND newer.symbol = held.symbol AND newer.version > held.version)
