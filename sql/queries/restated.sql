-- Everything that was said a second time, with the reason, the last that was stored first. By their place in the ledger:
-- a clock may have run ahead. recorded_at is given as it is read, after nn-assets control clock has mended it.
-- Rows that were stored together have both in their entry of the chain.
SELECT table_name, session, symbol, version, version_reason,
       COALESCE(run_id, (SELECT entry.run_id FROM audit_chain AS entry WHERE entry.sequence >= said_again.sequence
                         ORDER BY entry.sequence LIMIT 1)) AS run_id,
       COALESCE(recorded_at, (SELECT entry.recorded_at FROM audit_chain AS entry
                              WHERE entry.sequence >= said_again.sequence
                              ORDER BY entry.sequence LIMIT 1)) AS recorded_at
FROM (SELECT 'signals' AS table_name, session, symbol, version, version_reason, run_id, recorded_at, sequence
      FROM signals WHERE strategy = :strategy AND version > 1
      UNION ALL
      SELECT 'target_positions', session, symbol, version, version_reason, run_id, recorded_at, sequence
      FROM target_positions WHERE strategy = :strategy AND version > 1
      UNION ALL
      SELECT 'orders', session, symbol, version, version_reason, run_id, recorded_at, sequence
      FROM orders WHERE strategy = :strategy AND version > 1
      UNION ALL
      SELECT 'fills', session, symbol, version, version_reason, run_id, recorded_at, sequence
      FROM fills WHERE strategy = :strategy AND version > 1) AS said_again
ORDER BY sequence DESC
