-- Traded value and its costs, session by session.
SELECT session, COUNT(*) AS fills, SUM(ABS(filled_quantity * mid_price)) AS traded_usd,
       SUM(half_spread_usd) AS half_spread_usd, SUM(commission_usd) AS commission_usd, SUM(impact_usd) AS impact_usd
FROM fills_with_orders
WHERE strategy = :strategy AND session BETWEEN :first AND :last
GROUP BY session
ORDER BY session
