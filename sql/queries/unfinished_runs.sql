-- Attempts that started and neither finished nor failed: they were killed.
SELECT started.attempt_id, started.job, started.session, started.month, started.run_id, started.recorded_at
FROM run_events AS started
WHERE started.strategy = :strategy AND started.event = 'started'
  AND NOT EXISTS (SELECT 1 FROM run_events AS ended
                  WHERE ended.strategy = started.strategy AND ended.attempt_id = started.attempt_id
                    AND ended.event IN ('finished', 'failed'))
ORDER BY started.recorded_at
