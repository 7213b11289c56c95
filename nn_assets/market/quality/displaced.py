"""Whole bars far from their neighbours: another session's, or another instrument's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.market.facts.rows import Rows
from nn_assets.market.quality.notices import Notice, near_split
from nn_assets.market.quality.past import market_moves, trailing, usual_ranges
from nn_assets.settings import CleaningSettings

DISPLACED_BAR = "displaced_bar"


def displaced_bar_notices(rows: Rows, names: npt.NDArray[np.object_], settings: CleaningSettings) -> tuple[Notice, ...]:
    """Point out bars whose whole range lies above, or below, those of the bar before and of the bar after.

    The distance is the smaller of the two log gaps, less what the market moved by; it is pointed out from
    ``displaced_range_multiple`` times the usual range: the median over the window before of the log true range, which
    reaches to the close before (Wilder 1978). Of a symbol's newest bar
    only the bar before is known, and news opens gaps: that is a suspicion, from ``displaced_newest_multiple`` times
    on, where no more than the usual volume was traded and no simple split explains it. The bar after confirms it, or
    the notice is gone.

    Returns
    -------
    tuple of Notice
        ``value`` is the distance in usual ranges, negative for a bar that lies below.
    """
    low, high = np.log(rows.low), np.log(rows.high)
    centre, newest = (low + high) / 2.0, _newest(rows)
    above = np.fmin(low - rows.previous(high), low - _following(rows, high))
    below = np.fmin(rows.previous(low) - high, _following(rows, low) - high)
    side = np.where(above > 0.0, 1.0, -1.0)
    gap = np.fmax(above, below)
    apart = np.flatnonzero(rows.follows & (high > low) & (gap > 0.0) & _asked_or_followed(rows))
    move = centre - np.where(newest, rows.previous(centre), (rows.previous(centre) + _following(rows, centre)) / 2.0)
    left = np.fmin(gap[apart], gap[apart] - side[apart] * market_moves(rows, move, apart))
    closed = np.log(rows.previous(rows.close))
    true_range = np.fmax(high, closed) - np.fmin(low, closed)
    ranges = left / usual_ranges(rows, true_range, apart, settings.jump_window_sessions)
    least = np.where(newest[apart], settings.displaced_newest_multiple, settings.displaced_range_multiple)
    return tuple(
        _notice(rows, names, int(index), float(side[index] * far), newest=bool(newest[index]))
        for index, far in zip(apart[ranges >= least], ranges[ranges >= least], strict=True)
        if not (newest[index] and _is_news(rows, int(index), settings))
    )


def _asked_or_followed(rows: Rows) -> BoolArray:
    """Rows that a judgement is asked of, and those of sessions on a row of which such a row follows.

    It confirms that one, or contradicts it, and shows what the market did on its session.
    """
    if rows.asked is None:
        return np.ones(len(rows), dtype=bool)
    followed = rows.session[:-1][rows.asked[1:] & rows.follows[1:]]
    return rows.asked | np.isin(rows.session, followed)


def _newest(rows: Rows) -> BoolArray:
    """Whether a row is the last of its symbol."""
    last = np.ones(len(rows), dtype=bool)
    last[:-1] = rows.symbol[1:] != rows.symbol[:-1]
    return last


def _following(rows: Rows, values: FloatArray) -> FloatArray:
    """Each row's value one row later in its symbol; NaN on a symbol's last row."""
    shifted = np.full(len(rows), np.nan)
    shifted[:-1] = values[1:]
    return np.where(_newest(rows), np.nan, shifted)


def _is_news(rows: Rows, index: int, settings: CleaningSettings) -> bool:
    """Whether a rush to trade, or a split, may have moved the price."""
    volumes = trailing(rows, rows.volume, index, settings.jump_window_sessions)
    rush = len(volumes) == 0 or not rows.volume[index] <= np.median(volumes)
    return rush or near_split(rows, index, settings.split_slack_log_return) != 0.0


def _notice(rows: Rows, names: npt.NDArray[np.object_], index: int, ranges: float, *, newest: bool) -> Notice:
    session = pd.Timestamp(int(rows.session[index]))
    low, high = (float(price[index] / rows.shares[index]) for price in (rows.low, rows.high))
    beside = "the bar before" if newest else "the bars before and after"
    description = (
        f"range {low:g} to {high:g} lies {'above' if ranges > 0.0 else 'below'} {beside} by "
        f"{abs(ranges):.1f} usual ranges, more than the market moved: another session's bar, perhaps"
    )
    remedy = "; a suspicion, which the next bar confirms" if newest else ""
    return Notice(
        rule=DISPLACED_BAR,
        symbol=str(names[rows.symbol[index]]),
        first_session=session,
        last_session=session,
        value=ranges,
        message=f"{description}{remedy}: for a decision, row kept",
    )
