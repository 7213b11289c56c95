-- Orders that the gate before the broker refused, and why.
SELECT session, symbol, side, quantity, reason_code, client_order_id
FROM orders
WHERE strategy = :strategy AND status = 'denied' AND session BETWEEN :first AND :last
ORDER BY session, symbol
