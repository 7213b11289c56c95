"""Implementation shortfall (Perold 1988), split into parts that add up to it.

The paper portfolio trades its whole order at the decision's reference price, for nothing. What the
real one loses against it is delay + spread + temporary impact + permanent impact + commission + opportunity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.costs.model import CostParts
from nn_assets.errors import SchemaError

COMPONENTS = ("delay", "spread", "temporary", "permanent", "commission", "opportunity")
SIZES = ((0.001, "below 0.1% of ADV"), (0.01, "0.1% to 1% of ADV"), (math.inf, "above 1% of ADV"))
_UNSIZED = "of unknown ADV"


@dataclass(frozen=True)
class Shortfall:
    """Dollars lost (positive) or gained, for a set of orders."""

    delay_usd: float  # the price moved between decision and arrival at the market
    spread_usd: float
    temporary_usd: float  # impact that had gone by the time the market settled
    permanent_usd: float  # impact that had not
    commission_usd: float
    opportunity_usd: float  # what was not filled moved on without us

    @property
    def impact_usd(self) -> float:
        """Temporary and permanent impact together."""
        return self.temporary_usd + self.permanent_usd

    @property
    def total_usd(self) -> float:
        """The exactly rounded sum of the parts."""
        return math.fsum(vars(self).values())


def implementation_shortfall(
    *,
    ordered_quantity: FloatArray,
    reference_price: FloatArray,
    arrival_price: FloatArray,
    filled_quantity: FloatArray,
    settled_price: FloatArray,
    mid_price: FloatArray,
    fill_price: FloatArray,
    commission_usd: FloatArray,
    end_price: FloatArray,
) -> Shortfall:
    """Split the shortfall of orders.

    Arguments have shape (orders,); quantities are signed, prices positive.

    Parameters
    ----------
    reference_price : ndarray
        Price of the decision.
    arrival_price : ndarray
        Undisturbed price when the order reached the market (for a paper fill the bar's own price:
        the mid less the impact). Unused, and may be NaN, where nothing was filled, like
        ``settled_price``, ``mid_price`` and ``fill_price``.
    settled_price : ndarray
        Where the price settled once the temporary impact had gone: the mid 30 to 60 minutes later, or the arrival
        price and the permanent impact that a cost model expects.
    mid_price : ndarray
        Mid at the fill.
    end_price : ndarray
        Price at which the unfilled rest is counted as missed: the fill session's close.

    Raises
    ------
    SchemaError
        A needed figure is missing: a shortfall with a hole in it does not add up.
    """
    filled = filled_quantity != 0.0
    rest = ordered_quantity - filled_quantity
    parts = Shortfall(
        delay_usd=math.fsum(_dollars(filled_quantity, arrival_price, reference_price)),
        spread_usd=math.fsum(_dollars(filled_quantity, fill_price, mid_price)),
        temporary_usd=math.fsum(_dollars(filled_quantity, mid_price, settled_price)),
        permanent_usd=math.fsum(_dollars(filled_quantity, settled_price, arrival_price)),
        commission_usd=math.fsum(np.where(filled, commission_usd, 0.0).tolist()),
        opportunity_usd=math.fsum(_dollars(rest, end_price, reference_price)),
    )
    if not math.isfinite(parts.total_usd):
        raise SchemaError(
            expected="every price of a filled order, and the end price of every unfilled rest",
            found=f"a shortfall that is not a number: {parts}",
            remedy="leave out orders whose fills carry no mid price, or import the quotes",
        )
    return parts


def _dollars(quantity: FloatArray, after: FloatArray, before: FloatArray) -> FloatArray:
    return np.where(quantity == 0.0, 0.0, quantity * (after - before))


@dataclass(frozen=True, eq=False)
class Executions:
    """What trades and missed rests cost, a line each.

    Attributes
    ----------
    parts : ndarray, shape (lines, 6)
        Dollars by :data:`COMPONENTS`.
    ordered_usd, traded_usd : ndarray, shape (lines,)
        Value at the decision's price of what the line was to trade, and of what it traded.
    share : ndarray, shape (lines,)
        Size of the whole order as a share of ADV; NaN where that is not known.
    when : tuple of str
        At what time of the day it was filled, or missed.
    """

    parts: FloatArray
    ordered_usd: FloatArray
    traded_usd: FloatArray
    share: FloatArray
    when: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.when)

    def shortfall(self, lines: BoolArray | slice = slice(None)) -> Shortfall:
        """The shortfall of some lines, all when none is named."""
        return Shortfall(*(math.fsum(column) for column in self.parts[lines].T.tolist()))


@dataclass(frozen=True)
class ShortfallRow:
    """The shortfall of one group of orders; ``bps`` is the total over what was ordered."""

    group: str  # all, order size or time of day
    label: str
    lines: int
    ordered_usd: float
    shortfall: Shortfall

    @property
    def bps(self) -> float:
        """The total, basis points of the value ordered; NaN where that is nothing."""
        return 1e4 * self.shortfall.total_usd / self.ordered_usd if self.ordered_usd else math.nan


def traded(
    *,
    quantity: FloatArray,
    price: FloatArray,
    mid_price: FloatArray,
    later_mid_price: FloatArray,
    impact_usd: FloatArray,
    commission_usd: FloatArray,
    reference_price: FloatArray,
    expected: CostParts,
    share: FloatArray,
    when: Sequence[str],
) -> Executions:
    """Split what fills cost; arguments have shape (fills,).

    What a broker does not state is as the cost model says: a mid lies its half-spread from the price, an arrival
    price its impact from the mid, and its permanent part of the impact is what stays.

    Parameters
    ----------
    later_mid_price, mid_price, impact_usd, commission_usd : ndarray
        NaN where not stated.
    reference_price : ndarray
        Price of the decision; NaN, as of a stop, which nobody decides: there is no delay.
    expected : CostParts
        What the model in force says of the orders.
    """
    side, size = np.sign(quantity), np.abs(quantity)
    impact = np.nan_to_num(expected.impact)
    mid = np.where(np.isfinite(mid_price), mid_price, price / (1.0 + side * expected.half_spread))
    is_stated = np.isfinite(mid_price) & np.isfinite(impact_usd)
    arrival = np.where(is_stated, mid - side * np.nan_to_num(impact_usd) / size, mid / (1.0 + side * impact))
    stays = np.divide(np.nan_to_num(expected.permanent), impact, out=np.zeros_like(impact), where=impact > 0.0)
    settled = np.where(np.isfinite(later_mid_price), later_mid_price, arrival + stays * (mid - arrival))
    reference = np.where(np.isfinite(reference_price), reference_price, arrival)
    commission = np.where(np.isfinite(commission_usd), commission_usd, size * price * expected.commission)
    parts = [
        _dollars(quantity, arrival, reference),
        _dollars(quantity, price, mid),
        _dollars(quantity, mid, settled),
        _dollars(quantity, settled, arrival),
        commission,
        np.zeros_like(price),
    ]
    value = size * reference
    return Executions(np.column_stack(parts), value, value, share, tuple(when))


def missed(
    *, quantity: FloatArray, reference_price: FloatArray, end_price: FloatArray, share: FloatArray, when: Sequence[str]
) -> Executions:
    """What was ordered and not filled lost, or gained, by the end; arguments have shape (orders,).

    Parameters
    ----------
    end_price : ndarray
        The fill session's close; NaN, where it has none yet: nothing is missed so far.
    """
    end = np.where(np.isfinite(end_price), end_price, reference_price)
    parts = np.zeros((len(quantity), len(COMPONENTS)))
    parts[:, COMPONENTS.index("opportunity")] = _dollars(quantity, end, reference_price)
    return Executions(parts, np.abs(quantity) * reference_price, np.zeros(len(quantity)), share, tuple(when))


def joined_executions(batches: Sequence[Executions]) -> Executions:
    """Batches as one, in their order."""
    none = np.zeros(0)
    return Executions(
        np.concatenate([np.zeros((0, len(COMPONENTS))), *(batch.parts for batch in batches)]),
        np.concatenate([none, *(batch.ordered_usd for batch in batches)]),
        np.concatenate([none, *(batch.traded_usd for batch in batches)]),
        np.concatenate([none, *(batch.share for batch in batches)]),
        tuple(label for batch in batches for label in batch.when),
    )


def shortfall_rows(executions: Executions) -> list[ShortfallRow]:
    """The shortfall of all lines, by order size and by time of day; none where there is no line.

    The rows of a group add up to that of all.
    """
    if not len(executions):
        return []
    sizes = [_size(share) for share in executions.share.tolist()]
    rows = [_row("all", "all orders", executions, np.ones(len(executions), dtype=np.bool_))]
    for group, labels, order in (
        ("order size", sizes, [*(label for _, label in SIZES), _UNSIZED]),
        ("time of day", list(executions.when), sorted(set(executions.when))),
    ):
        names = np.array(labels)
        rows += [_row(group, label, executions, names == label) for label in order if label in labels]
    return rows


def _size(share: float) -> str:
    return _UNSIZED if math.isnan(share) else next(label for most, label in SIZES if share < most or math.isinf(most))


def _row(group: str, label: str, executions: Executions, lines: BoolArray) -> ShortfallRow:
    ordered = math.fsum(executions.ordered_usd[lines].tolist())
    return ShortfallRow(group, label, int(lines.sum()), ordered, executions.shortfall(lines))
