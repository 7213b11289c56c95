"""Rolling figures whose bits depend on the rows of their own window, and on nothing else.

Every figure is a tree over the window: partial results of 1, 2, 4, 8 ... rows are built by joining a
lagged view of the array with itself, and the window is put together from them in one fixed order.
That order is the same at every row, so a value is bitwise independent of how long the history before
or after it is, of the number of rows, and of the other columns. A running (add one, drop one) sum, as
``pandas.rolling`` keeps it, has none of these properties. It also takes about log2(window) passes
where adding lagged views one by one takes ``window``.

All functions slide over axis 0 and accept any trailing shape, (bars, symbols) as a rule. NaN anywhere
in a window gives NaN; so do the first ``window - 1`` rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.errors import SettingsError

Parts = tuple[FloatArray, ...]
Join = Callable[[Parts, Parts, int, int], Parts]

_BLOCK_VALUES = 65_536


def lagged(values: FloatArray, bars: int) -> FloatArray:
    """Shift by ``bars`` rows to later rows; NaN on the first ``bars`` rows. Same shape as ``values``."""
    result = np.full(values.shape, np.nan)
    if bars < len(values):
        result[bars:] = values[: len(values) - bars]
    return result


def rolling_sum(values: FloatArray, window: int) -> FloatArray:
    """Sum over the last ``window`` rows, the row itself included.

    Parameters
    ----------
    values : array, shape (bars, ...)
    window : int
        At least 1.

    Returns
    -------
    array of the same shape; NaN where the window holds NaN or is not full
    """
    return _slide((values,), window, lambda older, newer, _o, _n: (older[0] + newer[0],))


def rolling_mean(values: FloatArray, window: int) -> FloatArray:
    """Mean over the last ``window`` rows. Shapes and NaN as in `rolling_sum`."""
    total = rolling_sum(values, window)
    total /= window
    return total


def rolling_minimum(values: FloatArray, window: int) -> FloatArray:
    """Smallest value of the last ``window`` rows. Shapes and NaN as in `rolling_sum`."""
    return _slide((values,), window, lambda older, newer, _o, _n: (np.minimum(older[0], newer[0]),))


def rolling_maximum(values: FloatArray, window: int) -> FloatArray:
    """Largest value of the last ``window`` rows. Shapes and NaN as in `rolling_sum`."""
    return _slide((values,), window, lambda older, newer, _o, _n: (np.maximum(older[0], newer[0]),))


def rolling_std(values: FloatArray, window: int, ddof: int = 1) -> FloatArray:
    """Take the standard deviation over the last ``window`` rows.

    Means and sums of squared deviations of neighbouring stretches are joined pairwise (Chan, Golub
    and LeVeque 1983, equation 2.1): as accurate as the two-pass formula on values with a large
    common level, and exactly zero when the window is constant.

    Parameters
    ----------
    values : array, shape (bars, ...)
    window : int
        More than ``ddof``.
    ddof : int
        1 divides by window - 1 (sample), 0 by window (population).

    Returns
    -------
    array of the same shape; NaN where the window holds NaN or is not full

    Raises
    ------
    SettingsError
        ``window`` is not larger than ``ddof``.
    """
    if window <= ddof:
        raise _too_narrow(window, ddof)
    squares = np.broadcast_to(np.float64(0.0), values.shape)
    spread = _slide((values, squares), window, _join_moments, result=1)
    spread /= window - ddof
    return np.sqrt(spread, out=spread)


def rolling_covariance(left: FloatArray, right: FloatArray, window: int) -> FloatArray:
    """Sample covariance over the last ``window`` rows, joined as in `rolling_std`.

    Parameters
    ----------
    left, right : arrays that broadcast to (bars, ...)
    window : int
        At least 2.

    Returns
    -------
    array of the broadcast shape; NaN where the window of either holds NaN or is not full

    Raises
    ------
    SettingsError
        ``window`` is below 2.
    """
    if window < 2:
        raise _too_narrow(window, 1)
    left, right = np.broadcast_arrays(left, right)
    products = np.broadcast_to(np.float64(0.0), left.shape)
    together = _slide((left, right, products), window, _join_products, result=2)
    together /= window - 1
    return together


def rolling_ema(values: FloatArray, span: int, window: int) -> FloatArray:
    """Exponential mean cut after ``window`` rows, its weights scaled up to sum to one.

    Weight of row t - i is proportional to (1 - alpha)^i, alpha = 2 / (span + 1), for i < window. A
    recursive mean would depend on where the history starts; this one cannot.

    Parameters
    ----------
    values : array, shape (bars, ...)
    span : int
        As in ``pandas.ewm(span=...)``.
    window : int
        Rows kept. What is cut weighs (1 - alpha)^window, about exp(-2 window / span).

    Returns
    -------
    array of the same shape; NaN where the window holds NaN or is not full
    """
    decay = 1.0 - 2.0 / (span + 1.0)

    def join(older: Parts, newer: Parts, _: int, newer_rows: int) -> Parts:
        aged: FloatArray = older[0] * decay**newer_rows
        aged += newer[0]
        return (aged,)

    mean = _slide((values,), window, join)
    mean /= sum(decay**age for age in range(window))
    return mean


def _join_moments(older: Parts, newer: Parts, older_rows: int, newer_rows: int) -> Parts:
    """Mean and sum of squared deviations of two stretches made one."""
    rows = older_rows + newer_rows
    gap = newer[0] - older[0]
    mean = older[0] + gap * (newer_rows / rows)
    gap *= gap
    gap *= older_rows * newer_rows / rows
    gap += older[1]
    gap += newer[1]
    return mean, gap


def _join_products(older: Parts, newer: Parts, older_rows: int, newer_rows: int) -> Parts:
    """Both means and the sum of products of deviations of two stretches made one."""
    rows = older_rows + newer_rows
    left_gap, right_gap = newer[0] - older[0], newer[1] - older[1]
    left = older[0] + left_gap * (newer_rows / rows)
    right = older[1] + right_gap * (newer_rows / rows)
    left_gap *= right_gap
    left_gap *= older_rows * newer_rows / rows
    left_gap += older[2]
    left_gap += newer[2]
    return left, right, left_gap


def _slide(leaves: Parts, window: int, join: Join, result: int = 0) -> FloatArray:
    """Join rows t - window + 1 .. t of the leaves, for every t; part ``result`` of what comes of it.

    Wide arrays go by blocks of columns, copied together, so that every pass stays in the processor's
    cache; columns are independent, so where a block ends changes no bit.
    """
    _checked(window)
    bars = len(leaves[0])
    out = np.full(leaves[0].shape, np.nan)
    if bars < window or out.size == 0:
        return out
    full, flat = out.reshape(bars, -1), [leaf.reshape(bars, -1) for leaf in leaves]
    width = max(1, _BLOCK_VALUES // bars)
    if full.shape[1] <= width:
        full[window - 1 :] = _tree(tuple(flat), window, join)[result]
        return out
    for start in range(0, full.shape[1], width):
        block = slice(start, start + width)
        parts = tuple(np.ascontiguousarray(leaf[:, block]) for leaf in flat)
        full[window - 1 :, block] = _tree(parts, window, join)[result]
    return out


def _tree(leaves: Parts, window: int, join: Join) -> Parts:
    """Join every full window of (bars, columns) in one fixed order; parts of bars - window + 1 rows.

    ``partial`` holds the joined figure of ``width`` rows starting at each row; ``done`` holds that of
    the newest ``covered`` rows of the window, to which ever wider, older stretches are joined.
    """
    rows = len(leaves[0]) - window + 1
    result: Parts | None = None
    covered, width, partial = 0, 1, leaves
    while True:
        if window & width:
            start = window - covered - width
            stretch = tuple(part[start : start + rows] for part in partial)
            result = stretch if result is None else join(stretch, result, width, covered)
            covered += width
        if result is not None and covered == window:
            return result
        keep = len(partial[0]) - width
        older = tuple(part[:keep] for part in partial)
        newer = tuple(part[width:] for part in partial)
        partial = join(older, newer, width, width)
        width *= 2


def _checked(window: int) -> int:
    if window < 1:
        raise _too_narrow(window, 0)
    return window


def _too_narrow(window: int, beyond: int) -> SettingsError:
    return SettingsError(
        expected=f"a window of at least {beyond + 1} rows",
        found=str(window),
        remedy="widen the window",
        value=window,
    )
