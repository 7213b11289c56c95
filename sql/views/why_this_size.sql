-- Each step of each decision, in order, with what it did to the weight. Of sessions with a row in traces the steps lie
-- in a file of the lake, which SQL does not reach: nn-assets query why_this_size gives them.
CREATE VIEW why_this_size AS
SELECT trace.strategy, trace.session, trace.symbol, trace.step, trace.rule, trace.weight_before,
       trace.weight_after, trace.weight_after - trace.weight_before AS weight_change, trace.reason
FROM position_steps AS trace
WHERE NOT EXISTS (SELECT 1 FROM position_steps AS newer
                  WHERE newer.strategy = trace.strategy AND newer.session = trace.session
                    AND newer.symbol = trace.symbol AND newer.step = trace.step AND newer.version > trace.version)
