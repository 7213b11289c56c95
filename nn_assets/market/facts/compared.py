"""Bars of a second source beside those of the first: its prices of each bar by the time that the bar was known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nn_assets.arrays import FloatArray
from nn_assets.contracts.frames import ComparedBars
from nn_assets.market.facts.bitemporal import BAR_FACTS

_KEY = ["symbol", "session"]
_PRICES = ["open", "high", "low", "close"]


def with_several_versions(versions: ComparedBars) -> ComparedBars:
    """Versions of those bars that the second source delivered more than once; columns and order as given."""
    return versions[versions.duplicated(_KEY, keep=False)]


def later_second_source_prices(rows: pd.DataFrame, versions: ComparedBars) -> pd.DataFrame:
    """A second source's prices of some rows, after they were known: columns row, known_at and the four prices.

    Parameters
    ----------
    rows : DataFrame
        symbol, session and known_at (UTC) of the first source's rows.
    versions : DataFrame
        As of :func:`second_source_prices`.

    Returns
    -------
    DataFrame
        In the order of ``known_at``; ``row`` counts the rows given. A version without four positive prices, or
        that contradicts itself, says nothing and is left out.
    """
    wanted = rows[[*_KEY, "known_at"]].assign(row=np.arange(len(rows)))
    second_bars = BAR_FACTS.one_row_per_version(versions)[[*_KEY, *_PRICES, "known_at"]]
    both = wanted.merge(second_bars, on=_KEY, suffixes=("_here", ""))
    prices = both[_PRICES].to_numpy(dtype=np.float64)
    both = both[(both["known_at"] > both["known_at_here"]) & (np.isfinite(prices) & (prices > 0.0)).all(axis=1)]
    in_order: pd.DataFrame = both.sort_values(["known_at", "row"])[["row", "known_at", *_PRICES]].reset_index(drop=True)
    return in_order


def second_source_prices(ordered: pd.DataFrame, versions: ComparedBars) -> FloatArray:
    """Prices by a second source, shape (rows, 4): open, high, low and close.

    Parameters
    ----------
    ordered : DataFrame
        symbol, session and known_at (UTC) of the first source's rows, ordered by symbol and session.
    versions : DataFrame
        Every version of the second source's bars, columns of ``COMPARED``, in any order.

    Returns
    -------
    array
        Of each row the version known last when the row itself was: what the second source says later changes
        nothing. NaN where there is none, where it contradicts itself, where a price is none, and where its bar
        repeats its bar before in all prices: a feed that repeats itself says nothing.
    """
    second = np.full((len(ordered), len(_PRICES)), np.nan)
    if versions.empty:
        return second
    rows = ordered[[*_KEY, "known_at"]].assign(row=np.arange(len(ordered)))
    second_bars = BAR_FACTS.one_row_per_version(versions)[[*_KEY, *_PRICES, "known_at"]]
    both = rows.merge(second_bars, on=_KEY, suffixes=("", "_there"))
    both = both[both["known_at_there"] <= both["known_at"]].sort_values(["row", "known_at_there"])
    newest = both.drop_duplicates("row", keep="last")
    second[newest["row"].to_numpy()] = newest[_PRICES].to_numpy(dtype=np.float64)
    second[~(np.isfinite(second) & (second > 0.0))] = np.nan
    symbol = ordered["symbol"].to_numpy(dtype=object)
    again = np.zeros(len(second), dtype=bool)
    again[1:] = (second[1:] == second[:-1]).all(axis=1) & (symbol[1:] == symbol[:-1])
    second[again] = np.nan
    return second
