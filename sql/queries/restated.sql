-- Everything that was said a second time, with the reason, newest first.
SELECT 'signals' AS table_name, session, symbol, version, version_reason, run_id, recorded_at
FROM signals WHERE strategy = :strategy AND version > 1
UNION ALL
SELECT 'target_positions', session, symbol, version, version_reason, run_id, recorded_at
FROM target_positions WHERE strategy = :strategy AND version > 1
UNION ALL
SELECT 'orders', session, symbol, version, version_reason, run_id, recorded_at
FROM orders WHERE strategy = :strategy AND version > 1
UNION ALL
SELECT 'fills', session, symbol, version, version_reason, run_id, recorded_at
FROM fills WHERE strategy = :strategy AND version > 1
ORDER BY recorded_at DESC
