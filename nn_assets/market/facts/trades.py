"""Trades rolled up to bars: which of them count, whose session they are of, and what a bar of them says.

Trades are put in the order of their moments, those of one moment in the order in which they came. Three kinds of rows
are left out, and counted: *faulty* ones, whose price or size is no number above zero; *duplicates*, where trades carry
an id and one of it came before with the same words (of an id with two contents none is used); and trades *out of
hours*, at no moment between a session's open and its close, its break left out. A trade at the very close is the
session's, except where the next one begins at that moment. Without ids, equal rows are trades of their own: nothing
tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray, IntArray, nanoseconds
from nn_assets.market.calendar.sessions import session_hours

_KEY = ["symbol", "trade_id"]
_SAYS = ["at", "price", "size"]
_DAYS_BEFORE = pd.Timedelta(days=4)  # a session may open days before the one it is named by


@dataclass(frozen=True, eq=False)
class RolledUp:
    """Bars made of trades, and how many trades made none, by the rule that left them out.

    Attributes
    ----------
    bars : DataFrame
        symbol, session (or bar_at), open, high, low, close, volume, vwap, trades, bid, ask, effective_spread, ordered
        by symbol and time. The last three are NaN where trades carry no quotes.
    left_out : dict of str to int
        ``faulty``, ``duplicate`` and ``out_of_hours``.
    """

    bars: pd.DataFrame
    left_out: dict[str, int]


def session_bars_of_trades(trades: pd.DataFrame, calendar: str) -> RolledUp:
    """Roll trades up to daily bars by a calendar's sessions, half days and daylight saving included.

    Parameters
    ----------
    trades : DataFrame
        symbol, at (UTC), price, size, bid and ask (NaN where a trade has none), trade_id (empty where it has none); in
        any order.
    calendar : str
    """
    sound, left_out = _sound(trades)
    if sound.empty:
        return RolledUp(_bars_of(sound, np.empty(0, dtype=np.int64)).rename(columns={"period": "session"}), left_out)
    low, high = (moment.tz_localize(None).normalize() for moment in (sound["at"].min(), sound["at"].max()))
    hours = session_hours(calendar, low - _DAYS_BEFORE, high + _DAYS_BEFORE)
    number, inside = _sessions_of(nanoseconds(sound["at"]), hours)
    left_out["out_of_hours"] = int((~inside).sum())
    bars = _bars_of(sound[inside].reset_index(drop=True), number[inside])
    session = pd.DatetimeIndex(hours["session"])[bars.pop("period").to_numpy()]
    bars.insert(1, "session", session)
    return RolledUp(bars, left_out)


def bars_within_sessions(trades: pd.DataFrame, minutes: int) -> RolledUp:
    """Roll trades up to bars of so many minutes, stamped with their starts, UTC; none where nothing traded.

    Bars begin at whole multiples of the minutes since midnight UTC. Hours are not looked at: cleaning judges the bars.
    """
    sound, left_out = _sound(trades)
    step = minutes * 60_000_000_000
    bars = _bars_of(sound, nanoseconds(sound["at"]) // step)
    starts = pd.DatetimeIndex(bars.pop("period").to_numpy(dtype=np.int64) * step, tz="UTC").as_unit("ns")
    bars.insert(1, "bar_at", starts)
    return RolledUp(bars, left_out)


def _sound(trades: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """The trades that count, by symbol and moment, and how many were left out."""
    price, size = (trades[name].to_numpy(dtype=np.float64) for name in ("price", "size"))
    good = np.isfinite(price) & np.isfinite(size) & (price > 0.0) & (size > 0.0)
    kept = trades[good]
    with_id = (kept["trade_id"] != "").to_numpy()
    again = with_id & kept.duplicated([*_KEY, *_SAYS]).to_numpy()
    distinct = kept[with_id & ~again]
    torn = pd.MultiIndex.from_frame(distinct.loc[distinct.duplicated(_KEY, keep=False), _KEY])
    again |= with_id & pd.MultiIndex.from_frame(kept[_KEY]).isin(torn)
    counts = {"faulty": int((~good).sum()), "duplicate": int(again.sum()), "out_of_hours": 0}
    return kept[~again].sort_values(["symbol", "at"], kind="stable", ignore_index=True), counts


def _sessions_of(at: IntArray, hours: pd.DataFrame) -> tuple[IntArray, BoolArray]:
    """Number of the session that each moment is of, and whether it is of any."""
    opens, closes = nanoseconds(hours["opens"]), nanoseconds(hours["closes"])
    rests = nanoseconds(hours["break_starts"].fillna(hours["closes"]))
    resumes = nanoseconds(hours["break_ends"].fillna(hours["closes"]))
    number = np.searchsorted(opens, at, side="right").astype(np.int64) - 1
    row = np.maximum(number, 0)
    inside: BoolArray = (number >= 0) & (at <= closes[row]) & ((at <= rests[row]) | (at >= resumes[row]))
    return number, inside


def _bars_of(trades: pd.DataFrame, period: IntArray) -> pd.DataFrame:
    """A bar of each symbol and period, of trades ordered by symbol and moment."""
    symbol = pd.factorize(trades["symbol"])[0].astype(np.int64)
    begins = np.ones(len(trades), dtype=bool)
    begins[1:] = (symbol[1:] != symbol[:-1]) | (period[1:] != period[:-1])
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(trades))[: len(first)] - 1
    price, size, bid, ask = (trades[name].to_numpy(dtype=np.float64) for name in ("price", "size", "bid", "ask"))

    def total(values: FloatArray) -> FloatArray:
        return np.add.reduceat(values, first) if len(first) else np.empty(0)

    volume = total(size)
    quoted = (bid > 0.0) & (ask >= bid) & np.isfinite(ask)
    spread, weight = _effective_spread(price, bid, ask, quoted), np.where(quoted, size, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        effective = total(weight * spread) / total(weight)
    return pd.DataFrame(
        {
            "symbol": trades["symbol"].to_numpy()[first],
            "period": period[first],
            "open": price[first],
            "high": np.maximum.reduceat(price, first) if len(first) else np.empty(0),
            "low": np.minimum.reduceat(price, first) if len(first) else np.empty(0),
            "close": price[last],
            "volume": volume,
            "vwap": total(price * size) / volume,
            "trades": (last - first + 1).astype(np.float64),
            "bid": np.where(quoted, bid, np.nan)[last],
            "ask": np.where(quoted, ask, np.nan)[last],
            "effective_spread": effective,
        }
    )


def _effective_spread(price: FloatArray, bid: FloatArray, ask: FloatArray, quoted: BoolArray) -> FloatArray:
    """Twice the distance of each trade from the mid, as a share of the mid, (trades,); 0 where there is no mid."""
    mid = np.where(quoted, (bid + ask) / 2.0, 1.0)
    return np.where(quoted, 2.0 * np.abs(price - mid) / mid, 0.0)
