"""The transactional database: append-only, hash-chained, never rebuilt."""
