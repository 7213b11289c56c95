-- Why a position has the size it has: the steps of one session's decision for one symbol. nn-assets query looks for them
-- in the file of the session's trace, too.
SELECT step, rule, weight_before, weight_after, weight_change, reason
FROM why_this_size
WHERE strategy = :strategy AND session = :session AND symbol = :symbol
ORDER BY step
