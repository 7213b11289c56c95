"""What a session's orders cost against the prices they were decided at, order by order."""

from __future__ import annotations

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.costs.model import CostModel
from nn_assets.costs.shortfall import Executions, joined_executions, missed, traded
from nn_assets.execution.orders import Execution, Orders
from nn_assets.portfolio.fills import FillArrays
from nn_assets.session.market_view import SessionMarket

STOP = "stop"
RESTING = "resting"
_WHEN: dict[Execution, str] = {"next_open": "open", "next_close": "close"}


def executions_of(
    orders: Orders, fills: tuple[FillArrays, ...], market: SessionMarket, costs: CostModel, execution: Execution
) -> Executions:
    """Split what the fills of a session, and what was not filled, cost.

    Parameters
    ----------
    orders : Orders
        Decided the session before, in the session's own shares; those with a reason against them were none.
    fills : tuple of FillArrays
        Of these orders, and of stops.
    costs : CostModel
        In force, for what the fills do not state.
    """
    adv = market.previous_adv_usd if market.closing_adv_usd is None else market.closing_adv_usd
    volatility = market.previous_volatility if market.closing_volatility is None else market.closing_volatility
    rows = np.flatnonzero(orders.accepted)
    names = {orders.client_order_id[row]: row for row in rows.tolist()}
    rest = orders.quantity.copy()
    batches = []
    for batch in filter(len, fills):
        order = np.array([names.get(name, -1) for name in batch.client_order_id], dtype=np.int64)
        ordered = order >= 0
        np.subtract.at(rest, order[ordered], batch.quantity[ordered])
        reference = np.where(ordered, orders.reference_price[order] if len(orders) else np.nan, np.nan)
        size = np.abs(np.where(ordered, orders.quantity[order] if len(orders) else 0.0, batch.quantity)) * batch.price
        batches.append(
            traded(
                quantity=batch.quantity,
                price=batch.price,
                mid_price=batch.mid_price,
                later_mid_price=np.full(len(batch), np.nan) if batch.later_mid_price is None else batch.later_mid_price,
                impact_usd=np.where(batch.rested, 0.0, batch.impact_usd),  # what waited at its limit moved nothing
                commission_usd=batch.commission_usd,
                reference_price=reference,
                expected=costs.parts(batch.order_value_usd, adv[batch.symbol], volatility[batch.symbol]),
                share=size / _positive(adv[batch.symbol]),
                when=np.select([batch.is_stop, batch.rested], [STOP, RESTING], _WHEN[execution]).tolist(),
            )
        )
    left = rows[rest[rows] != 0.0]
    if not len(left):
        return joined_executions(batches)
    symbol, reference = orders.symbol[left], orders.reference_price[left]
    batches.append(
        missed(
            quantity=rest[left],
            reference_price=reference,
            end_price=market.close[symbol],
            share=np.abs(orders.quantity[left]) * reference / _positive(adv[symbol]),
            when=[_WHEN[execution]] * len(left),
        )
    )
    return joined_executions(batches)


def _positive(values: FloatArray) -> FloatArray:
    return np.where(values > 0.0, values, np.nan)
