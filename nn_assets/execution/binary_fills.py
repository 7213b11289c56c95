"""What paper fills of binary contracts are beside those of shares: paid for in full, at no more than was staked.

A contract may cost many times what it did at the decision. So an order that opens buys for the dollars that the
decision staked, and fewer contracts where they are dearer; and what is bought together never needs more cash than there
is. With that no price can ruin the account: what can be lost has been paid.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.costs.contract_fees import contract_fee_usd
from nn_assets.execution.broker import Account
from nn_assets.execution.orders import Orders
from nn_assets.portfolio.binary import premium_usd
from nn_assets.portfolio.fills import FillArrays

STAKE_SPENT = "stake_spent"
"""Why an order ended that bought fewer contracts than it asked for, for the dollars that were staked."""

_WHOLE = 1e-9  # lots: what rounding may have taken from a whole number of them


def binary_fills(
    fills: FillArrays, orders: Orders, account: Account, held: FloatArray, cash_usd: float
) -> tuple[FillArrays, frozenset[str]]:
    """Cut fills to what was staked and can be paid for, keep their prices within 1, and charge the venue's fee.

    Parameters
    ----------
    fills : FillArrays
        As the cost model prices them.
    orders : Orders
        Those that were filled; the stake of one that opens is at its reference price.
    account : Account
        The bar, the settings and the lot.
    held : ndarray, shape (symbols,)
        Contracts before these fills; no is negative.
    cash_usd : float
        Before these fills.

    Returns
    -------
    FillArrays
        Cash after them is at least one dollar for each no that is then held, if it was before.
    frozenset of str
        Ids of the orders that were cut.
    """
    if len(fills) == 0:
        return fills, frozenset()
    rows = {name: row for row, name in enumerate(orders.client_order_id)}
    reference = orders.reference_price[[rows[name] for name in fills.client_order_id]]
    side, lot = np.sign(fills.quantity), account.liquidity.lot_size
    benchmark = account.bar.at(account.strategy.label.execution)[fills.symbol]
    mid, price = np.minimum(fills.mid_price, 1.0), np.minimum(fills.price, 1.0)
    opens = _opens(fills, held)
    dearer = premium_usd(side, reference) / np.maximum(premium_usd(side, benchmark), np.finfo(np.float64).tiny)
    share = np.where(opens, np.minimum(dearer, 1.0), 1.0)
    quantity = _in_lots(fills.quantity * share, fills.quantity, lot)
    fee = contract_fee_usd(price, account.strategy.costs.contract_fee_fraction)
    of_value = fills.commission_usd / np.abs(fills.quantity * fills.price)  # the commission of the cost model
    outlay = premium_usd(side, price) + of_value * price + fee  # dollars a contract that is opened
    paid = quantity * price + np.abs(quantity) * (of_value * price + fee)
    after = held.copy()
    np.add.at(after, fills.symbol, quantity)
    free = math.fsum([cash_usd, *(-paid).tolist(), *np.minimum(after, 0.0).tolist()])
    if free < 0.0 and opens.any():
        needed = math.fsum((np.abs(quantity) * outlay)[opens].tolist())
        left = max(1.0 + free / needed, 0.0) if needed > 0.0 else 0.0
        quantity = np.where(opens, _in_lots(quantity * left, fills.quantity, lot), quantity)
    cut = frozenset(
        name for name, row in zip(fills.client_order_id, quantity != fills.quantity, strict=True) if row
    )  # fmt: skip
    made = replace(
        fills,
        quantity=quantity,
        price=price,
        mid_price=mid,
        half_spread_usd=np.abs(quantity * (price - mid)),
        commission_usd=np.abs(quantity) * (of_value * price + fee),
        impact_usd=np.abs(quantity * (mid - benchmark)),
    )
    return _at(made, quantity != 0.0), cut


def _opens(fills: FillArrays, held: FloatArray) -> BoolArray:
    """Fills that open or add; of a symbol's two the first closes."""
    left, opens = held.copy(), np.zeros(len(fills), dtype=np.bool_)
    for row, (index, quantity) in enumerate(zip(fills.symbol.tolist(), fills.quantity.tolist(), strict=True)):
        opens[row] = left[index] * quantity >= 0.0
        left[index] += quantity
    return opens


def _in_lots(quantity: FloatArray, asked: FloatArray, lot: float) -> FloatArray:
    """Whole lots towards zero; what was not cut stays as it is."""
    whole = np.sign(quantity) * np.floor(np.abs(quantity) / lot + _WHOLE) * lot
    return np.where(np.abs(quantity) >= np.abs(asked), asked, whole) + 0.0


def _at(fills: FillArrays, there: BoolArray) -> FillArrays:
    """Some of the fills."""
    names = ("symbol", "quantity", "price", "mid_price", "half_spread_usd", "commission_usd", "impact_usd", "is_stop")
    arrays: dict[str, Any] = {name: getattr(fills, name)[there] for name in names}
    for name in ("fill_id", "client_order_id"):
        arrays[name] = tuple(value for value, ok in zip(getattr(fills, name), there.tolist(), strict=True) if ok)
    return replace(fills, **arrays)
