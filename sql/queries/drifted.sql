-- Monitors that rang, and by how much they passed their calibrated critical value.
SELECT session, layer, name, statistic, critical, statistic - critical AS excess, autocorrelation
FROM drift
WHERE strategy = :strategy AND drifted = TRUE AND session BETWEEN :first AND :last
ORDER BY session, layer, name
