"""Funding of perpetuals by session: what the rates known at its decision say of the payments that fell in it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray, IntArray, Symbol, nanoseconds, read_only, read_only_fields
from nn_assets.contracts.frames import SeriesVersions


@dataclass(frozen=True, eq=False)
class Funding:
    """Sums of funding rates, fraction of the notional, positive where longs pay; (sessions, symbols) or (symbols,).

    A session's payments are those after the close before, up to and including its own close: what fills at a moment
    pays from then on. Never NaN.
    """

    until_open: FloatArray  # payments up to and including the session's open
    until_close: FloatArray  # those after it
    assumed: BoolArray  # no payment of the session was known: the last session's that was, or 0 where none was
    owed_by_longs: FloatArray  # of the payments after the open, those that longs pay: the positive ones
    owed_by_shorts: FloatArray  # those that shorts pay: the negative ones

    def __post_init__(self) -> None:
        read_only_fields(self)

    @cached_property
    def rate(self) -> FloatArray:
        """Of the whole session."""
        return read_only(self.until_open + self.until_close)

    def at(self, row: int | slice) -> Funding:
        """One session, (symbols,), or several."""
        return Funding(*(getattr(self, field.name)[row] for field in fields(self)))


def funding_by_session(
    versions: SeriesVersions,
    name: str,
    symbols: tuple[Symbol, ...],
    sessions: pd.DatetimeIndex,
    opens: pd.DatetimeIndex,
    decided_at: pd.DatetimeIndex,
    *,
    stale_after_sessions: int,
) -> Funding:
    """Add up each session's funding rates, each by its own interval, as known at the session's decision.

    Parameters
    ----------
    versions : DataFrame
        Columns of ``SERIES``: every version of every payment's rate, in any order; each is a fraction of the
        notional for the interval that ends at ``observed_at``.
    name : str
        Of the series.
    symbols : tuple of str
        Columns of the result; a symbol without a series of its own pays the market-wide one.
    sessions : DatetimeIndex, shape (sessions,)
        The axis, ascending, every session of the calendar.
    opens, decided_at : DatetimeIndex, shape (sessions,), UTC
        When each session opens, and when it is decided: only versions with known_at at or before that count.
    stale_after_sessions : int
        How many sessions the last known one is used for sessions of which nothing is known.

    Returns
    -------
    Funding
        Row t is the same, to the bit, whatever is known later. Where no payment of the session is known, all of the
        last session's that is, as known then, is taken to be paid by its close; 0 where there is none or it is too old.
        Either is ``assumed``. A payment that is missing beside others of its session is not made up.
    """
    shape = (len(sessions), len(symbols))
    first, rest, longs, shorts = (np.zeros(shape) for _ in range(4))
    assumed = np.ones(shape, dtype=np.bool_)
    selected = versions[versions["name"] == name]
    own = {str(symbol): rows for symbol, rows in selected.groupby("symbol")}
    for column, symbol in enumerate(symbols):
        rows = own.get(symbol, own.get(""))
        if rows is not None:
            paid = _of_symbol(rows, sessions, opens, decided_at, stale_after_sessions)
            first[:, column], rest[:, column], assumed[:, column] = paid.until_open, paid.until_close, paid.assumed
            longs[:, column], shorts[:, column] = paid.owed_by_longs, paid.owed_by_shorts
    return Funding(first, rest, assumed, longs, shorts)


def funding_by_decision(
    versions: SeriesVersions,
    name: str,
    symbols: tuple[Symbol, ...],
    sessions: pd.DatetimeIndex,
    opens: pd.DatetimeIndex,
    decided_at: pd.DatetimeIndex,
) -> Funding:
    """Sum the payments by the decision bars in which they became known; parameters as of :func:`funding_by_session`.

    Most bars have no payment, and none is made up for them. A payment falls due at a moment and is known a little
    later, mostly in the next bar: there it is charged, on what was held as it became known. As it was known first: a
    correction is not charged.
    """
    ordered = versions.sort_values(["observed_at", "known_at", "ingested_at", "value"], kind="stable")
    first = ordered.drop_duplicates(["name", "symbol", "observed_at"])
    charged = np.maximum(nanoseconds(first["known_at"]), nanoseconds(first["observed_at"]))
    row = np.searchsorted(nanoseconds(decided_at), charged, side="left")
    inside = row < len(sessions)
    placed = first[inside].assign(session=sessions[row[inside]])
    before = nanoseconds(first["observed_at"])[inside] < nanoseconds(opens)[0]  # fell due before the axis begins
    summed = funding_by_session(placed[~before], name, symbols, sessions, opens, decided_at, stale_after_sessions=0)
    return replace(summed, assumed=np.zeros(summed.assumed.shape, dtype=np.bool_))


def _of_symbol(
    rows: pd.DataFrame, sessions: pd.DatetimeIndex, opens: pd.DatetimeIndex, decided_at: pd.DatetimeIndex, stale: int
) -> Funding:
    """Funding of one symbol, arrays of shape (sessions,)."""
    size = len(sessions)
    ordered = rows.sort_values(["observed_at", "known_at", "ingested_at", "value"], kind="stable")
    days = pd.DatetimeIndex(ordered["session"])
    inside = days.isin(sessions)
    ordered, days = ordered[inside], days[inside]
    session = np.asarray(sessions.searchsorted(days), dtype=np.int64)  # (versions,)
    observed = nanoseconds(ordered["observed_at"])
    known_row = np.asarray(decided_at.searchsorted(pd.DatetimeIndex(ordered["known_at"]), side="left"), dtype=np.int64)
    value = ordered["value"].to_numpy(dtype=np.float64)
    chosen = _newest(observed, known_row <= session)
    by_open = nanoseconds(opens)
    early = observed[chosen] <= by_open[session[chosen]]
    first, rest, longs, shorts = (np.zeros(size) for _ in range(4))
    assumed = np.ones(size, dtype=np.bool_)
    np.add.at(first, session[chosen][early], value[chosen][early])
    later, payment = session[chosen][~early], value[chosen][~early]
    np.add.at(rest, later, payment)
    np.add.at(longs, later, np.maximum(payment, 0.0))
    np.add.at(shorts, later, np.minimum(payment, 0.0))
    assumed[session[chosen]] = False
    from_row = np.maximum(known_row, session)
    ever = from_row < size
    last = np.full(size, -1, dtype=np.int64)  # the newest session of which anything is known, by row
    np.maximum.at(last, from_row[ever], session[ever])
    last = np.maximum.accumulate(last)
    for row in np.flatnonzero(assumed & (last >= np.maximum(np.arange(size) - stale, 0))):
        payment = value[_newest(observed, (from_row <= row) & (session == last[row]))]
        rest[row] = payment.sum()
        longs[row], shorts[row] = np.maximum(payment, 0.0).sum(), np.minimum(payment, 0.0).sum()
    return Funding(first, rest, assumed, longs, shorts)


def _newest(observed: IntArray, visible: BoolArray) -> IntArray:
    """Place of the last version seen of each moment; versions in order of moment, then of knowledge."""
    indices = np.flatnonzero(visible)
    moments = observed[indices]
    last = np.append(moments[1:] != moments[:-1], True) if len(indices) else np.zeros(0, dtype=np.bool_)
    newest: IntArray = indices[last]
    return newest
