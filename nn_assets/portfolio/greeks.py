"""What instruments with Greeks lose and gain beside their own price, and which of them may be held.

A Greek is stated per unit of the instrument (a share, a contract, multiplier included), in dollars: ``delta`` is what
it gains when what it is written on rises by 1%, ``gamma`` by how much that delta grows with such a rise, ``vega`` what
it gains per point of implied volatility. A book has the sum over units held; limits are fractions of its equity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import BoolArray, FloatArray, Symbol
from nn_assets.settings import PortfolioSettings

NOT_HOLDABLE = "a Greek of it, or of what is held and cannot be sold, is not known"
"""Why an instrument that carries Greeks gets no position."""


@dataclass(frozen=True, eq=False)
class Greeks:
    """Greeks of a session's instruments, or of several sessions'."""

    carried: BoolArray  # (symbols,): instruments that have Greeks; the others move no limit
    per_unit: Mapping[str, FloatArray]  # by name, dollars, (symbols,) or (bars, symbols); NaN: not known

    def at(self, row: int | slice) -> Greeks:
        """Those of one bar, or of some."""
        return Greeks(self.carried, {name: values[row] for name, values in self.per_unit.items()})

    def holdable(self, stuck: npt.ArrayLike) -> BoolArray:
        """Instruments of which every Greek is known, or that have none, (symbols,).

        Parameters
        ----------
        stuck : array of bool, shape (symbols,)
            Held and not to be sold in this session. Where one of these lacks a Greek, what it does to the book is not
            known, and no instrument that has Greeks may be held.
        """
        known = np.asarray(np.isfinite(np.vstack(list(self.per_unit.values()))).all(axis=0))
        if (self.carried & ~known & np.asarray(stuck, dtype=np.bool_)).any():
            return ~self.carried
        return ~self.carried | known

    def per_dollar(self, price: FloatArray) -> dict[str, FloatArray]:
        """Dollars of each Greek for a dollar of each instrument, (symbols,); 0 for those that have none or lack it."""
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = {name: values / price for name, values in self.per_unit.items()}
        return {name: np.where(self.carried & np.isfinite(share), share, 0.0) for name, share in shares.items()}


def greeks_asked_for(greeks: Greeks | None, settings: PortfolioSettings, symbols: tuple[Symbol, ...]) -> Greeks | None:
    """The Greeks that a decision's limits are on; none where no limit is. Where nobody gives them, none is known."""
    if settings.greeks is None or greeks is not None:
        return None if settings.greeks is None else greeks
    carried = np.isin(np.array(symbols, dtype=np.str_), settings.greeks.symbols)
    return Greeks(carried, {name: np.full(len(symbols), np.nan) for name in settings.greeks.limits})
