"""Windows over the bars that there are: how a feature steps over a missing bar, and over how many.

A window of k bars is the last k bars that a symbol has. Where one is missing in between, the window reaches one
session further back instead: it holds as many values as its formula says, none of them made up, and a return from one
bar to the next spans the sessions between them. Two things bound it. The newest bar is never missing: a session
without a bar has no value. And of the last max(k, 20) bars' sessions only a stated share may lack their bar; beyond
it, as after a halt, a window has a value once its k bars lie on k sessions in a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray, IntArray

JUDGED_SESSIONS = 20
"""Bars over which the missing ones of a shorter window are counted: one in twenty is none in five."""


def stepped_over_at_most(window: int, fraction: float) -> int:
    """Sessions without a bar that a window of ``window`` bars may step over: a share of max(window, 20)."""
    return int(max(window, JUDGED_SESSIONS) * fraction + 1e-9)  # 0.05 of 60 is three, whatever 0.05 is in binary


def sessions_reached(window: int, fraction: float) -> int:
    """Sessions, the newest included, on which the value of a window of ``window`` bars may depend."""
    return max(window, JUDGED_SESSIONS) + stepped_over_at_most(window, fraction) if fraction else window


@dataclass(frozen=True, eq=False)
class OwnBars:
    """Columns packed: the rows of each that are there moved together, at the beginning and in order.

    Parameters
    ----------
    rows : array of int, shape (bars, columns)
        Row that each packed place comes from; places from ``count`` on hold nothing.
    count : array of int, shape (columns,)
        Rows that are there.
    """

    rows: IntArray
    count: IntArray

    @classmethod
    def of(cls, has_bar: BoolArray) -> OwnBars:
        """Pack by what is there, (bars, columns)."""
        return cls(np.argsort(~has_bar, axis=0, kind="stable"), has_bar.sum(axis=0))

    @property
    def holds(self) -> BoolArray:
        """Packed places that hold a row, (bars, columns)."""
        return np.asarray(np.arange(len(self.rows))[:, None] < self.count)

    def pack(self, values: FloatArray) -> FloatArray:
        """Move the rows of (bars, columns) together; NaN from ``count`` on."""
        return np.where(self.holds, np.take_along_axis(values, self.rows, axis=0), np.nan)

    def spread(self, packed: FloatArray) -> FloatArray:
        """Put packed rows back in their places; NaN where no row was."""
        values = np.empty(packed.shape)
        np.put_along_axis(values, self.rows, np.where(self.holds, packed, np.nan), axis=0)
        return values

    def within(self, window: int, fraction: float) -> BoolArray:
        """Where the window of the last ``window`` bars may be used, by packed place, (bars, columns).

        Its bars lie on sessions in a row, or the last max(window, 20) bars step over no more sessions than
        :func:`stepped_over_at_most` says. Depends on nothing before these bars.
        """
        judged = max(window, JUDGED_SESSIONS)
        usable = self._stepped_over(window) == 0
        usable |= self._stepped_over(judged) <= stepped_over_at_most(window, fraction)
        may_be_used: BoolArray = usable & self.holds
        return may_be_used

    def _stepped_over(self, window: int) -> IntArray:
        """Sessions without a bar between the first and the last of ``window`` bars; endless where there are fewer."""
        missing = np.full(self.rows.shape, len(self.rows) + 1, dtype=np.int64)
        if window <= len(self.rows):
            last, first = self.rows[window - 1 :], self.rows[: len(self.rows) - window + 1]
            missing[window - 1 :] = last - first - (window - 1)
        return missing


def with_gaps(has_bar: BoolArray) -> IntArray:
    """Columns in which a row is missing between two that are there."""
    between = np.logical_or.accumulate(has_bar, axis=0) & np.logical_or.accumulate(has_bar[::-1], axis=0)[::-1]
    return np.flatnonzero((between & ~has_bar).any(axis=0))


def over_own_rows(
    values: FloatArray, window: int, fraction: float, function: Callable[[FloatArray], FloatArray]
) -> FloatArray:
    """Apply a function of the last ``window`` rows to the rows of each column that have a value.

    Parameters
    ----------
    values : array, shape (bars, ...)
        NaN means missing.
    window : int
        Rows that a value of ``function`` reads, its own the last of them.
    fraction : float
        Share of missing rows that a window may step over; 0 applies the function to the rows as they are.
    function : callable
        Slides over axis 0, each column by itself; NaN where a row of its window is missing.

    Returns
    -------
    array of the same shape
        To the bit what the function alone gives wherever the window's rows are all there. NaN on rows that are
        missing, and beyond the share.
    """
    plain = function(values)
    if not fraction:
        return plain
    flat, result = values.reshape(len(values), -1), plain.reshape(len(plain), -1)
    gapped = with_gaps(np.isfinite(flat))
    if len(gapped):
        own = OwnBars.of(np.isfinite(flat[:, gapped]))
        packed = function(own.pack(flat[:, gapped]))
        result[:, gapped] = own.spread(np.where(own.within(window, fraction), packed, np.nan))
    return result.reshape(plain.shape)


def closed_up(values: FloatArray, fraction: float) -> FloatArray:
    """Move the values of each series together where at most a share between its first and last one is missing.

    Parameters
    ----------
    values : array, shape (bars, series)
        NaN means missing.
    fraction : float

    Returns
    -------
    array of the same shape
        Series without a missing value in between, or with more of them, as they are; NaN after the last value moved.
    """
    finite = np.isfinite(values)
    gapped = with_gaps(finite) if fraction else np.empty(0, dtype=np.int64)
    if not len(gapped):
        return values
    own = OwnBars.of(finite[:, gapped])
    span = own.rows[own.count - 1, np.arange(len(gapped))] - own.rows[0] + 1
    few = span - own.count <= fraction * span
    moved = values.copy()
    moved[:, gapped] = np.where(few, own.pack(values[:, gapped]), values[:, gapped])
    return moved
