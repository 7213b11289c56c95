"""What a history of clean bars comes to, symbol by symbol, carried on part by part.

Whoever adds a session needs of all before it only this: when a symbol began and was last seen, how many of its bars
were due and never came, and the stretch in which its opens repeat the close before most densely.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import BoolArray, named_rows
from nn_assets.contracts.frames import DailyBars, Quarantine
from nn_assets.market.quality.notices import Notice, repeated_open

_SESSIONS = ("begins", "due_from", "first_kept", "last_kept", "low_first", "stretch_first", "stretch_last")
_COUNTS = ("due", "absent", "rows", "repeats", "low_at", "low_repeats", "stretch", "stretch_repeats")
_NUMBERS = ("close", "excess", "lowest", "most")


def nothing_yet() -> pd.DataFrame:
    """The totals of no bars: an empty frame with the columns that :func:`carried_on` gives."""
    return _of(pd.Index([], dtype=object, name="symbol"))


def _of(symbols: pd.Index) -> pd.DataFrame:
    columns: dict[str, object] = {name: np.full(len(symbols), "NaT", "datetime64[ns]") for name in _SESSIONS}
    columns |= {name: np.zeros(len(symbols), dtype=np.int64) for name in _COUNTS}
    columns |= {name: np.zeros(len(symbols)) for name in _NUMBERS}
    return pd.DataFrame(columns, index=symbols).assign(close=np.nan)


def carried_on(
    before: pd.DataFrame,
    kept: DailyBars,
    taken_out: Quarantine,
    sessions: pd.DatetimeIndex,
    expected: BoolArray,
    symbols: pd.Index,
    share: float,
) -> pd.DataFrame:
    """Update the running totals of bars with those of later sessions.

    Parameters
    ----------
    before : DataFrame
        What :func:`carried_on` gave of the sessions before, or :func:`nothing_yet`.
    kept, taken_out : DataFrame
        Clean bars and quarantine of these sessions, each ordered by symbol and session.
    sessions : DatetimeIndex, shape (sessions,)
        Those of the calendar among them, in order.
    expected : bool array, shape (sessions, symbols)
        Days on which a bar of each symbol is asked for.
    symbols : Index of str objects
        Those of ``before`` and of the bars, in order.
    share : float
        ``cleaning.repeated_open_share``.

    Returns
    -------
    DataFrame, index symbol
        ``begins`` and ``due_from``, the first session delivered, of all and of the calendar's; ``first_kept`` and
        ``last_kept``; ``due``
        and ``absent``, bars due and those of them that never came; ``rows`` kept, and, of the interval in which opens
        repeat the close before by most over ``share``, what the next row needs (Bentley 1984; see
        :func:`~nn_assets.market.quality.notices.repeated_open_notices`, to the bit).
    """
    running = before.copy() if symbols is before.index else _of(symbols)
    if symbols is not before.index:
        positions = symbols.get_indexer(before.index)
        for name in running.columns:
            column = running[name].to_numpy().copy()
            column[positions] = before[name].to_numpy()
            running[name] = column
    codes = [symbols.get_indexer(pd.Index(frame["symbol"], dtype=object)) for frame in (kept, taken_out)]
    code = np.concatenate(codes)
    days = np.concatenate([frame["session"].to_numpy(dtype="datetime64[ns]") for frame in (kept, taken_out)])
    _earliest(running, "begins", code, days)
    row = sessions.get_indexer(pd.DatetimeIndex(days))
    delivered = np.zeros((len(sessions), len(symbols)), dtype=bool)
    delivered[row[row >= 0], code[row >= 0]] = True
    begun = running["due_from"].notna().to_numpy()
    due = np.logical_or.accumulate(np.vstack([begun, delivered]), axis=0)[1:] & expected
    _earliest(running, "due_from", code[row >= 0], days[row >= 0])
    running["due"] += due.sum(axis=0)
    running["absent"] += (due & ~delivered).sum(axis=0)
    _repeating(running, kept, codes[0], share)
    return running


def _earliest(running: pd.DataFrame, name: str, code: npt.NDArray[np.intp], days: npt.NDArray[np.datetime64]) -> None:
    """Set the first of the days of symbols that have none yet."""
    first = np.full(len(running), np.iinfo(np.int64).max)
    np.minimum.at(first, code, days.astype(np.int64))
    column = running[name].to_numpy().copy()
    new = np.isnat(column) & (first < np.iinfo(np.int64).max)
    column[new] = first[new].astype("datetime64[ns]")
    running[name] = column


def _repeating(running: pd.DataFrame, kept: pd.DataFrame, code: npt.NDArray[np.intp], share: float) -> None:
    """Carry the interval of largest excess on, the first rows of all symbols together, then the second ones."""
    columns = {name: running[name].to_numpy().copy() for name in running.columns}
    rank = np.arange(len(kept)) - np.searchsorted(code, code, side="left")
    order = np.argsort(rank, kind="stable")
    opens, closes = (kept[name].to_numpy(dtype=np.float64) for name in ("open", "close"))
    days = kept["session"].to_numpy(dtype="datetime64[ns]")
    for row in np.split(order, np.flatnonzero(np.diff(rank[order])) + 1):
        symbols = code[row]
        follows = columns["low_at"][symbols] == columns["rows"][symbols]
        columns["low_first"][symbols[follows]] = days[row[follows]]
        repeats = opens[row] == columns["close"][symbols]
        columns["excess"][symbols] += np.where(repeats, 1.0 - share, -share)
        columns["rows"][symbols] += 1
        columns["repeats"][symbols] += repeats
        low = symbols[columns["excess"][symbols] < columns["lowest"][symbols]]
        columns["lowest"][low], columns["low_at"][low], columns["low_repeats"][low] = (
            columns[name][low] for name in ("excess", "rows", "repeats")
        )
        over = columns["excess"][symbols] - columns["lowest"][symbols]
        better = over > columns["most"][symbols]
        best = symbols[better]
        columns["most"][best], columns["stretch"][best] = over[better], columns["rows"][best] - columns["low_at"][best]
        columns["stretch_first"][best], columns["stretch_last"][best] = columns["low_first"][best], days[row[better]]
        columns["stretch_repeats"][best] = columns["repeats"][best] - columns["low_repeats"][best]
        columns["close"][symbols], columns["last_kept"][symbols] = closes[row], days[row]
        opening = np.isnat(columns["first_kept"][symbols])
        columns["first_kept"][symbols[opening]] = days[row[opening]]
    for name, column in columns.items():
        running[name] = column


def repeated_opens(running: pd.DataFrame, fewest: int) -> tuple[Notice, ...]:
    """The notices of stretches of at least ``fewest`` sessions, by symbol."""
    stretch = running["stretch"].to_numpy()
    indices = np.flatnonzero((stretch >= fewest) & (stretch > 0))
    if not len(indices):
        return ()
    long = running.iloc[indices]
    return tuple(
        repeated_open(str(symbol), row.stretch_first, row.stretch_last, row.stretch_repeats / row.stretch, row.stretch)
        for symbol, row in zip(long.index, named_rows(long), strict=True)
    )
