-- What each strategy decided to hold next, beside the signal it follows. Signals stored together, of one model, have it
-- in their entry of the chain.
CREATE VIEW latest_targets AS
SELECT target.strategy, target.session, target.symbol, target.reference_price, target.current_quantity,
       target.target_quantity, target.target_weight, target.stop_price,
       signal.calibrated_probability, signal.direction, signal.expected_return, signal.confidence,
       COALESCE(signal.model_id, (SELECT entry.model_id FROM audit_chain AS entry
                                  WHERE entry.sequence >= signal.sequence ORDER BY entry.sequence LIMIT 1)) AS model_id
FROM target_positions AS target
LEFT JOIN signals AS signal
  ON signal.strategy = target.strategy AND signal.session = target.session AND signal.symbol = target.symbol
 AND NOT EXISTS (SELECT 1 FROM signals AS newer
                 WHERE newer.strategy = signal.strategy AND newer.session = signal.session
                   AND newer.symbol = signal.symbol AND newer.version > signal.version)
WHERE target.session = (SELECT MAX(last.session) FROM target_positions AS last WHERE last.strategy = target.strategy)
  AND NOT EXISTS (SELECT 1 FROM target_positions AS newer
                  WHERE newer.strategy = target.strategy AND newer.session = target.session
                    AND newer.symbol = target.symbol AND newer.version > target.version)
