-- Each fill with the order behind it and its cost in basis points of what was traded at the mid.
CREATE VIEW fills_with_orders AS
SELECT fill.strategy, fill.session, fill.symbol, fill.fill_id, fill.client_order_id,
       ordered.session AS decided_session, ordered.side, ordered.quantity AS ordered_quantity,
       fill.quantity AS filled_quantity, ordered.urgency, ordered.reference_price, fill.price, fill.mid_price,
       fill.half_spread_usd, fill.commission_usd, fill.impact_usd,
       (fill.half_spread_usd + fill.commission_usd + fill.impact_usd)
           / NULLIF(ABS(fill.quantity * fill.mid_price), 0) * 10000 AS cost_bps,
       fill.source
FROM fills AS fill
LEFT JOIN orders AS ordered
  ON ordered.strategy = fill.strategy AND ordered.client_order_id = fill.client_order_id
 AND NOT EXISTS (SELECT 1 FROM orders AS newer
                 WHERE newer.strategy = ordered.strategy AND newer.client_order_id = ordered.client_order_id
                   AND newer.version > ordered.version)
WHERE NOT EXISTS (SELECT 1 FROM fills AS newer
                  WHERE newer.strategy = fill.strategy AND newer.fill_id = fill.fill_id
                    AND newer.version > fill.version)
