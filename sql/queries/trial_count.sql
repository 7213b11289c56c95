-- How many configurations were ever evaluated on a strategy's data: what deflates its Sharpe ratio.
SELECT COUNT(DISTINCT trial_id) AS trials
FROM trials
WHERE strategy = :strategy
