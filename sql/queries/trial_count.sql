-- How many configurations were ever evaluated under a strategy's name, and how many its newest study counted on its
-- data, under whatever name: those deflate its Sharpe ratio and adjust its verdict. Trials of nested searches, and what
-- searches chose, are none of them.
SELECT COUNT(DISTINCT trial_id) AS trials,
       (SELECT trial_count FROM studies WHERE strategy = :strategy ORDER BY sequence DESC LIMIT 1) AS counted_on_the_data
FROM trials
WHERE strategy = :strategy
  AND trial_id NOT LIKE 'nested-%'
  AND trial_id NOT LIKE 'choice-%'
