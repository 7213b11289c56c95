"""The data set as a whole, in three small tables: by symbol, by recent session, and by size of return.

What a person asks of a data set before trusting it: is there as much as usual, is every symbol
there, how old is the newest bar, and do volumes and returns look like those of the year before?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray, IntArray, Symbol
from nn_assets.contracts.frames import ActionVersions, DailyBars, Quarantine
from nn_assets.market.facts.rows import in_first_shares
from nn_assets.market.quality.cleaning import Cleaned
from nn_assets.market.quality.session_names import session_names

RECENT_SESSIONS, TRAILING_SESSIONS = 20, 252
_FEWEST = 10  # values that a recent figure needs; the year before needs six times as many
_BINS = 5
_CHI_SQUARE_99 = 13.277  # 99th percentile with _BINS - 1 degrees of freedom


@dataclass(frozen=True)
class Overview:
    """Aggregates of clean bars and quarantine. Recent is the last 20 sessions, usual the 252 before them.

    Attributes
    ----------
    symbols : DataFrame, one row per symbol expected
        symbol; first_session and last_session with a clean bar (text, empty where there is none);
        due (sessions from the first delivered one on); clean; quarantined; completeness (clean /
        due, 0 where nothing came); sessions_behind; volume_ratio and volatility_ratio (recent
        median volume, and recent standard deviation of log returns, over the usual; NaN where
        either has too few values).
    sessions : DataFrame, one row per recent session
        session (text), bars, usual_bars (median of the year before it), share (bars / usual_bars;
        1 where there was no year before).
    returns : DataFrame, one row per fifth of the usual returns; empty where there are too few
        low and high (log return), usual_share, recent_share, shift (the row's part of the
        population stability index).
    shift_noise : float
        What the index reaches by chance once in a hundred months if returns of one session are as
        good as one draw.
    """

    symbols: pd.DataFrame
    sessions: pd.DataFrame
    returns: pd.DataFrame
    shift_noise: float


def overview(
    cleaned: Cleaned,
    symbols: Sequence[Symbol],
    sessions: pd.DatetimeIndex,
    actions: ActionVersions | None = None,
    expected: BoolArray | None = None,
) -> Overview:
    """Aggregate what cleaning gave.

    Parameters
    ----------
    cleaned : Cleaned
    symbols : sequence of str
        Instruments expected, in the order shown; those found when empty.
    sessions : DatetimeIndex, shape (sessions,)
        Every session expected, in order; at least one.
    actions : DataFrame, optional
        Splits known, columns symbol, ex_session, kind and value: they are no change of volume or price.
    expected : bool array, shape (sessions, symbols), optional
        Days on which a bar of each symbol is asked for: as a member of the universe, before its delisting. Of others
        none is due, and none makes a symbol old.
    """
    names = tuple(symbols) or tuple(sorted(pd.unique(cleaned.bars["symbol"])))
    expected_bars = np.ones((len(sessions), len(names)), dtype=bool) if expected is None else expected
    bars = in_first_shares(cleaned.bars, actions)
    kept = Kept.of(cleaned.bars, names, sessions, expected_bars)
    return overview_of(
        kept, bars[bars["session"] >= recent_from(sessions)], cleaned.quarantine, names, sessions, expected_bars
    )


@dataclass(frozen=True, eq=False)
class Kept:
    """First and last session and count of each symbol's clean bars; arrays of shape (symbols,)."""

    first: IntArray  # row of the axis of its first one; the axis' length where there is none
    last: IntArray  # of its last one; -1 where there is none
    count: IntArray
    asked: IntArray  # those of them that were asked for

    @classmethod
    def of(cls, bars: DailyBars, names: tuple[str, ...], sessions: pd.DatetimeIndex, expected: BoolArray) -> Kept:
        """Count bars, of an axis of symbols and one of sessions."""
        row, column = _rows_and_columns(bars, sessions, pd.Index(names))
        row, column = row[row >= 0], column[row >= 0]
        first, last = np.full(len(names), len(sessions)), np.full(len(names), -1)
        np.minimum.at(first, column, row)
        np.maximum.at(last, column, row)
        expected_count = np.bincount(column[expected[row, column]], minlength=len(names))
        return cls(first, last, np.bincount(column, minlength=len(names)), expected_count)

    @classmethod
    def of_running(
        cls,
        running: pd.DataFrame,
        quarantine: Quarantine,
        names: tuple[str, ...],
        sessions: pd.DatetimeIndex,
        expected: BoolArray,
    ) -> Kept:
        """The same of what ``running`` says that bars come to, and of all that was taken out."""
        ordered = running.reindex(list(names))
        first, last = (
            sessions.get_indexer(pd.DatetimeIndex(ordered[name])).astype(np.int64)
            for name in ("first_kept", "last_kept")
        )
        row, column = _rows_and_columns(quarantine, sessions, pd.Index(names))
        out = np.zeros(expected.shape, dtype=bool)
        out[row[row >= 0], column[row >= 0]] = True
        rows, due, absent = (ordered[name].fillna(0).to_numpy().astype(np.int64) for name in ("rows", "due", "absent"))
        return cls(np.where(first < 0, len(sessions), first), last, rows, due - absent - (out & expected).sum(axis=0))


def recent_from(sessions: pd.DatetimeIndex) -> pd.Timestamp:
    """The first session whose bars the overview looks at one by one."""
    return sessions[max(len(sessions) - RECENT_SESSIONS - TRAILING_SESSIONS - 1, 0)]


def overview_of(
    kept: Kept,
    recent: pd.DataFrame,
    quarantine: Quarantine,
    names: tuple[str, ...],
    sessions: pd.DatetimeIndex,
    expected: BoolArray,
) -> Overview:
    """Aggregate what clean bars come to and those from :func:`recent_from` on, in shares of each symbol's first bar."""
    axis = pd.Index(names)
    row, column = _rows_and_columns(recent, sessions, axis)
    start = int(sessions.searchsorted(recent_from(sessions)))
    volume, returns = _recent_arrays(recent, row, column, start, (len(sessions), len(names)))
    by_symbol = _by_symbol(names, sessions, kept, _rows_and_columns(quarantine, sessions, axis), expected)
    by_symbol["volume_ratio"] = _ratio(volume, np.nanmedian)
    by_symbol["volatility_ratio"] = _ratio(returns, np.nanstd)
    shifts, noise = _by_size(returns)
    return Overview(by_symbol, _by_session(sessions, row[row >= 0]), shifts, noise)


def _rows_and_columns(frame: pd.DataFrame, sessions: pd.DatetimeIndex, symbols: pd.Index) -> tuple[IntArray, IntArray]:
    row = sessions.get_indexer(pd.DatetimeIndex(frame["session"])).astype(np.int64)
    column = symbols.get_indexer(pd.Index(frame["symbol"])).astype(np.int64)
    return np.where(column >= 0, row, -1), column


def _by_symbol(
    names: tuple[str, ...],
    sessions: pd.DatetimeIndex,
    kept: Kept,
    held: tuple[IntArray, IntArray],
    expected: BoolArray,
) -> pd.DataFrame:
    count = len(names)
    held_row, held_column = (part[held[0] >= 0] for part in held)
    delivered = kept.first.copy()
    np.minimum.at(delivered, held_column, held_row)
    session_index = np.arange(len(sessions))[:, None]
    due = (expected & (session_index >= delivered)).sum(axis=0)
    nothing = np.where(expected.any(axis=0), 0.0, 1.0)  # lacks nothing where nothing was asked for
    days = session_names(sessions)
    return pd.DataFrame(
        {
            "symbol": names,
            "first_session": [days[row] if row < len(days) else "" for row in kept.first],
            "last_session": [days[row] if row >= 0 else "" for row in kept.last],
            "due": due,
            "clean": kept.count,
            "quarantined": np.bincount(held_column, minlength=count),
            "completeness": np.divide(kept.asked, due, out=nothing, where=due > 0),
            "sessions_behind": (expected & (session_index > kept.last)).sum(axis=0),
        }
    )


def _recent_arrays(
    bars: pd.DataFrame, row: IntArray, column: IntArray, start: int, shape: tuple[int, int]
) -> tuple[FloatArray, FloatArray]:
    """Volume and log return of the last sessions, shape (sessions from ``start`` + 1 on, symbols); NaN where none."""
    chosen = row >= start
    volume = np.full((shape[0] - start, shape[1]), np.nan)
    close = volume.copy()
    cells = (row[chosen] - start, column[chosen])
    volume[cells] = bars["volume"].to_numpy(dtype=np.float64)[chosen]
    close[cells] = bars["close"].to_numpy(dtype=np.float64)[chosen]
    return volume[1:], np.diff(np.log(close), axis=0)


def _ratio(values: FloatArray, figure: object) -> FloatArray:
    """A figure of the recent sessions over that of the usual ones, by symbol; NaN where too few or zero."""
    recent, usual = values[-RECENT_SESSIONS:], values[:-RECENT_SESSIONS]
    ratios = np.full(values.shape[1], np.nan)
    enough = (np.isfinite(recent).sum(axis=0) >= _FEWEST) & (np.isfinite(usual).sum(axis=0) >= 6 * _FEWEST)
    if enough.any():
        above, below = (figure(part[:, enough], axis=0) for part in (recent, usual))  # type: ignore[operator]
        ratios[enough] = np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0.0)
    return ratios


def _by_session(sessions: pd.DatetimeIndex, row: IntArray) -> pd.DataFrame:
    counts = np.bincount(row, minlength=len(sessions)).astype(np.float64)
    recent = range(max(len(sessions) - RECENT_SESSIONS, 0), len(sessions))
    usual = [
        np.median(counts[max(index - TRAILING_SESSIONS, 0) : index]) if index else counts[index] for index in recent
    ]
    bars = counts[list(recent)]
    named = session_names(sessions)
    share = np.divide(bars, usual, out=np.ones(len(bars)), where=np.array(usual) > 0.0)
    return pd.DataFrame(
        {
            "session": [named[index] for index in recent],
            "bars": bars.astype(np.int64),
            "usual_bars": usual,
            "share": share,
        }
    )


def _by_size(returns: FloatArray) -> tuple[pd.DataFrame, float]:
    """Population stability index of recent against usual returns, by fifths of the usual ones.

    The index is the sum of (r - u) ln(r / u) over the shares r and u of the bins (Siddiqi 2006,
    Credit Risk Scorecards); without a shift it is about (1/n + 1/m) times chi-square with one
    degree of freedom fewer than bins (Yurdakul 2018).
    """
    recent, usual = returns[-RECENT_SESSIONS:], returns[:-RECENT_SESSIONS]
    lasting = [int(np.isfinite(part).any(axis=1).sum()) for part in (recent, usual)]
    columns = ["low", "high", "usual_share", "recent_share", "shift"]
    if lasting[0] < _FEWEST or lasting[1] < 6 * _FEWEST:
        return pd.DataFrame(columns=columns, dtype=np.float64), 0.0
    current, before = recent[np.isfinite(recent)], usual[np.isfinite(usual)]
    edges = np.quantile(before, np.linspace(0.0, 1.0, _BINS + 1))
    shares = [
        np.maximum(np.bincount(np.searchsorted(edges[1:-1], part, side="left"), minlength=_BINS), 0.5) / len(part)
        for part in (before, current)
    ]
    shift = (shares[1] - shares[0]) * np.log(shares[1] / shares[0])
    table = pd.DataFrame(np.column_stack([edges[:-1], edges[1:], shares[0], shares[1], shift]), columns=columns)
    return table, (1.0 / lasting[0] + 1.0 / lasting[1]) * _CHI_SQUARE_99
