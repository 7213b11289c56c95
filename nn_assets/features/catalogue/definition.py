"""What an entry of the catalogue is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nn_assets.market.panel import Panel

__all__ = ["Feature", "MarketContext"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MarketContext:
    """What a feature may know beyond its own symbol's bars.

    Parameters
    ----------
    log_return : array, shape (bars, 1) or that of the panel's arrays, or None
        Log return of the instrument that stands for the market, from each of the panel's bars to the next.
    """

    log_return: FloatArray | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Feature:
    """One entry of the catalogue.

    Parameters
    ----------
    name : str
    group : str
        ``return``, ``volatility``, ``volume``, ``trend``, ``price_location``, ``spread`` or
        ``cross_market``.
    reach_sessions : int
        A value depends on this many bars before its own, all of them needed: on rows t - reach_sessions .. t, and
        further back where a missing bar is stepped over.
    fields : tuple of str
        Fields of the panel that it reads.
    compute : callable
        From a panel and its context to an array (bars, symbols), float64. NaN where a bar within
        reach is missing or the formula has no value.
    formula : str
    source : str
        Where the formula is published.
    needs_market : bool
        Whether it reads the context's market return.
    """

    name: str
    group: str
    reach_sessions: int
    fields: tuple[str, ...]
    compute: Callable[[Panel, MarketContext], FloatArray] = field(repr=False, compare=False)
    formula: str
    source: str
    needs_market: bool = False
