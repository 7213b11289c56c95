"""Prices that a second source does not come near, whose of the two is the odd one, and what it corrects later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray, ObjectArray, nanoseconds
from nn_assets.market.facts.rows import Rows, row_medians
from nn_assets.market.quality.past import trailing, usual_range
from nn_assets.market.quality.row_rules import Finding
from nn_assets.settings import CleaningSettings
from nn_assets.units import bps_to_fraction, fraction_to_bps

_PRICES = ("open", "high", "low", "close")
_LEVEL_ROWS, _FEWEST_LEVELS = 5, 3
_FAR, _SEVERAL, _TAIL_WINDOWS = 9.0, 3, 4
_LONG_TAILS = 1.4  # of the limit, where the noise of the two sources jumps
_OURS_FIRST = 1e9  # above any log distance of possible prices


@dataclass(frozen=True)
class Disagreements:
    """Bars of which two sources say other prices, one entry a bar: the price that lies furthest apart.

    Attributes
    ----------
    place : row of each, shape (bars,)
    field : open, high, low or close; ``row`` where the whole bar lies apart
    bps : how far the first source's price lies from the second's, at the level of the two, in basis points of log
    ours : whether the odd one of the two is the first source's
    """

    row: npt.NDArray[np.intp]
    field: ObjectArray
    bps: FloatArray
    ours: BoolArray


def disagreements(rows: Rows, settings: CleaningSettings) -> Disagreements:
    """Compare bars with the second source's, ``rows.second``; nothing later than a row is read for it.

    Two comparisons, so that sources which adjust by other factors can be compared. A price is held against the second
    source's *within the bar*, from ``odd_print_minimum_bps`` on; of the two the odd one is that which lies further
    from the median of both bars' prices. The *whole bar* is held against the level (first over second) of the five
    rows before, from ``odd_level_minimum_bps`` on, in shares as delivered and in first shares, whichever explains it;
    the odd one is the bar that moved further. A level that stays passes with its fourth bar: another adjustment.
    Either must also exceed ``odd_print_multiple`` times the median distance over the window before; a past of fewer
    than twenty bars compared can call nothing odd. Within the bar the limit is two fifths higher where the noise of the
    two jumps, which the median does not see.

    Parameters
    ----------
    rows : Rows
        In shares as delivered.
    """
    if rows.second is None:
        nothing = np.zeros(0)
        return Disagreements(nothing.astype(np.intp), nothing.astype(object), nothing, nothing.astype(bool))
    within, level = rows.beside_second()
    first = np.log(np.column_stack([rows.open, rows.high, rows.low, rows.close])) - level[:, None]
    with np.errstate(invalid="ignore"):
        second = first - within
        centre = row_medians(np.concatenate([first, second], axis=1))[:, None]
        first_at_fault = np.abs(first - centre) >= np.abs(second - centre)
    change, moved = _level_change(rows, level)
    apart = np.column_stack([within, change])
    first_at_fault = np.column_stack([first_at_fault, np.abs(moved) >= np.abs(moved - change)])
    least = bps_to_fraction(
        np.array([settings.odd_print_minimum_bps] * len(_PRICES) + [settings.odd_level_minimum_bps])
    )
    distance, odd = np.abs(apart), np.zeros(apart.shape, dtype=bool)
    window = settings.jump_window_sessions
    for column in range(apart.shape[1]):
        for row in np.flatnonzero(distance[:, column] > least[column]).tolist():
            usual = usual_range(trailing(rows, distance[:, column], row, window))
            limit = max(least[column], settings.odd_print_multiple * usual)
            if column < len(_PRICES) and limit < distance[row, column] <= _LONG_TAILS * limit:
                past = [trailing(rows, prices, row, _TAIL_WINDOWS * window) for prices in distance.T[: len(_PRICES)]]
                limit *= _LONG_TAILS if _has_long_tails(past, limit) else 1.0
            odd[row, column] = distance[row, column] > limit
    indices = np.flatnonzero(odd.any(axis=1))
    # The first source's fault comes before the second's, and the larger before the smaller.
    weight = np.where(odd, distance + np.where(first_at_fault, _OURS_FIRST, 0.0), -1.0)[indices]
    column = weight.argmax(axis=1)
    names = np.array([*_PRICES, "row"], dtype=object)
    return Disagreements(
        indices, names[column], fraction_to_bps(apart[indices, column]), first_at_fault[indices, column]
    )


def _has_long_tails(past: list[FloatArray], limit: float) -> bool:
    """Whether the noise of two sources jumps: some distances lie far beyond the usual, though within the limit.

    Far is nine medians. Of what normal noise of each price leaves within a bar 1 in 4,000 lies there, of Student's t
    with three degrees of freedom 1 in 85. What lies beyond the limit is what is to be judged, and no noise.
    """
    far = sum(
        int(((distances > _FAR * np.median(distances)) & (distances <= limit)).sum())
        for distances in past
        if len(distances)
    )
    return far >= _SEVERAL


def with_corrections(
    rows: Rows, settings: CleaningSettings, later: Callable[[npt.NDArray[np.intp]], pd.DataFrame]
) -> Rows:
    """End disagreements by the first later word of the second source that comes near.

    Parameters
    ----------
    rows : Rows
        In shares as delivered.
    later : callable
        Gives, of the places of some rows, what the second source said after they were known, as
        :func:`~nn_assets.market.facts.compared.later_second_source_prices` does; its ``row`` counts the places given.

    Returns
    -------
    Rows
        Where a later word comes near, ``second`` is that word. If the odd one had been the first source's, the row
        counts as known from that word on: until then nobody could use it. All other rows are as they were, what the
        second source says against a row that it once confirmed among them.
    """
    differences = disagreements(rows, settings)
    corrections = later(differences.row)
    if corrections.empty:
        return rows
    corrections_by_row: dict[int, list[tuple[int, FloatArray]]] = {}
    moments = nanoseconds(corrections["known_at"])
    prices = corrections[list(_PRICES)].to_numpy(dtype=np.float64)
    for row, since, word in zip(corrections["row"], moments, prices, strict=True):
        corrections_by_row.setdefault(int(differences.row[row]), []).append((int(since), word))
    first_at_fault = dict(zip(differences.row.tolist(), differences.ours.tolist(), strict=True))
    indices = np.flatnonzero(np.isin(rows.symbol, rows.symbol[list(corrections_by_row)]))
    part = rows.take(indices)
    assert rows.second is not None, "else nothing disagrees"
    assert part.second is not None, "of the same rows"
    second, known_at, tried = rows.second.copy(), rows.known_at.copy(), part.second.copy()
    for number in range(max(map(len, corrections_by_row.values()))):
        attempts = {index: words[number] for index, words in corrections_by_row.items() if number < len(words)}
        for index, (_, word) in attempts.items():
            tried[np.searchsorted(indices, index)] = word
        odd = set(indices[disagreements(replace(part, second=tried.copy()), settings).row].tolist())
        for index, (moment, word) in attempts.items():
            if index in odd:
                tried[np.searchsorted(indices, index)] = rows.second[index]
                continue
            second[index] = word
            known_at[index] = max(moment, known_at[index]) if first_at_fault[index] else known_at[index]
            del corrections_by_row[index]
    return replace(rows, second=second, known_at=known_at)


def _level_change(rows: Rows, level: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log change of the level from the five rows before, and of the first source's close from its last one."""
    changes = []
    for candidate in (level, level + np.log(rows.shares)):
        before, shifted = [], candidate
        for _ in range(_LEVEL_ROWS):
            shifted = rows.previous(shifted)
            before.append(shifted)
        past = np.column_stack(before)
        enough = np.isfinite(past).sum(axis=1) >= _FEWEST_LEVELS
        changes.append(np.where(enough, candidate - row_medians(past), np.nan))
    change = np.where(np.abs(changes[1]) < np.abs(changes[0]), changes[1], changes[0])
    close = np.log(rows.close * rows.shares)
    return change, close - rows.previous(close)


def odd_print(rows: Rows, settings: CleaningSettings) -> Finding:
    """Find prices that a second source does not come near, where the odd one is the first source's."""
    differences = disagreements(rows, settings)
    at_fault = np.zeros(len(rows), dtype=bool)
    at_fault[differences.row[differences.ours]] = True
    notes = [
        f"{second_source_text(rows, int(index), field)} from the source compared with, {bps:+.0f} bps apart"
        for index, field, bps in zip(
            differences.row[differences.ours],
            differences.field[differences.ours],
            differences.bps[differences.ours],
            strict=True,
        )
    ]
    return Finding(at_fault, differences.field[differences.ours], np.array(notes, dtype=object))


def second_source_text(rows: Rows, index: int, field: str) -> str:
    """What the second source says of a row: one price, or all four."""
    assert rows.second is not None, "of a row that it says other prices of"
    prices = dict(zip(_PRICES, rows.second[index], strict=True))
    return ", ".join(f"{name} {price:g}" for name, price in prices.items() if field in (name, "row"))
