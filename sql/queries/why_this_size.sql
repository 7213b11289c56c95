-- Why a position has the size it has: the steps of one session's decision for one symbol.
SELECT step, rule, weight_before, weight_after, weight_change, reason
FROM why_this_size
WHERE strategy = :strategy AND session = :session AND symbol = :symbol
ORDER BY step
