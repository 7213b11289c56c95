"""Intraday bars as bitemporal facts: when each could be known, versions, and the session bars made of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray, IntArray, nanoseconds, number_bytes
from nn_assets.contracts import DELIVERED_BARS, DETAILS, INTRADAY_VERSIONS, conform
from nn_assets.contracts.frames import DeliveredBars, IntradayBars, IntradayDetails, IntradayVersions
from nn_assets.market.calendar.hours import trading_hours
from nn_assets.market.facts.bitemporal import INTRADAY_FACTS, RevisionCount, known_from
from nn_assets.settings import IntradaySettings

KEY = list(INTRADAY_FACTS.key)
_VALUES = INTRADAY_FACTS.values


def stamped_intraday(
    delivered: pd.DataFrame,
    calendar: str,
    settings: IntradaySettings,
    arrived_at: pd.Timestamp,
    *,
    decided_to: pd.Timestamp | None = None,
) -> IntradayVersions:
    """Give each delivered bar its session and its moments.

    Parameters
    ----------
    delivered : DataFrame
        symbol, bar_at (its start, UTC), prices, volume, quotes, source. A ``known_at`` of the source's own is kept.
    calendar : str
    settings : IntradaySettings
    arrived_at : Timestamp, UTC
        Becomes ``ingested_at``.
    decided_to : Timestamp, optional
        Last session that was decided: what arrives now of it, or of one before, is known from now on.

    Returns
    -------
    DataFrame
        Columns of ``INTRADAY_VERSIONS``. ``known_at`` is the bar's end plus the lag of the settings, where none is
        stated; a bar in no session is dated by its day, UTC.
    """
    bar = pd.Timedelta(minutes=settings.bar_minutes)
    hours = trading_hours(calendar, settings, delivered["bar_at"].min(), delivered["bar_at"].max())
    session_index = hours.locate(nanoseconds(delivered["bar_at"])).session
    by_day = delivered["bar_at"].dt.tz_localize(None).dt.normalize()
    session = by_day  # of bars that lie in no session, as all do that lie before the first or after the last one
    if len(hours.sessions):
        session = by_day.where(session_index < 0, hours.sessions.to_numpy()[np.maximum(session_index, 0)])
    known_at = delivered["bar_at"] + bar + pd.Timedelta(seconds=settings.known_at_lag_seconds)
    if decided_to is not None:
        known_at = known_at.mask(session <= decided_to, arrived_at)
    known_at = known_from(delivered, known_at)
    stamped = delivered.assign(session=session, known_at=known_at, ingested_at=arrived_at)
    return conform(stamped, INTRADAY_VERSIONS)


def new_intraday(
    stored: IntradayVersions, delivered: IntradayVersions, *, explicit: BoolArray | None = None
) -> tuple[IntradayVersions, RevisionCount]:
    """Find what a delivery adds to the versions stored, columns of ``INTRADAY_VERSIONS``; see :meth:`Kind.added`."""
    fresh, counted = INTRADAY_FACTS.added(stored, delivered, explicit)
    return fresh.sort_values(KEY, kind="stable").reset_index(drop=True), counted


def intraday_as_of(
    versions: IntradayVersions, moment: pd.Timestamp, *, ingested_by: pd.Timestamp | None = None
) -> IntradayVersions:
    """Give the bars as they were known at a moment, ordered by symbol and start; see :meth:`Kind.as_of`."""
    known = INTRADAY_FACTS.as_of(versions, moment, ingested_by=ingested_by)
    return known.sort_values(KEY, kind="stable").reset_index(drop=True)


def first_known(versions: IntradayVersions) -> IntradayVersions:
    """Give each bar as it was known first, ordered by symbol and start: what a decision at its close could read."""
    ordered = versions.sort_values([*KEY, "known_at", "ingested_at"], kind="stable")
    return ordered.drop_duplicates(KEY).reset_index(drop=True)


def intraday_hash(bars: IntradayBars) -> str:
    """SHA-256 of what bars say: symbol, start, prices, volume and quotes, whatever the rows' order."""
    ordered = bars.sort_values([*KEY, *_VALUES], kind="stable")
    digest = hashlib.sha256(f"intraday/1/{len(ordered)}".encode())
    for symbol, count in ordered["symbol"].value_counts().sort_index().items():
        digest.update(f"{symbol}\t{count}\n".encode())
    digest.update(nanoseconds(ordered["bar_at"]).astype("<i8").tobytes())
    for name in _VALUES:
        digest.update(number_bytes(ordered[name]))
    return digest.hexdigest()


@dataclass(frozen=True)
class SessionBars:
    """Session bars made of intraday ones, and the sessions of which none is made.

    Attributes
    ----------
    bars : DataFrame
        Columns of ``DELIVERED_BARS``; and those of ``DETAILS`` that any bar within a session has.
    left_out : DataFrame
        symbol, session, bars (there), due, rule, value, remedy: sessions that make no bar, and why.
    """

    bars: DeliveredBars
    left_out: pd.DataFrame


def session_bars(
    bars: IntradayBars, calendar: str, settings: IntradaySettings, details: IntradayDetails | None = None
) -> SessionBars:
    """Aggregate clean intraday bars by session.

    Open is the first bar's, close the last one's; high, low and volume are over all of them. A session
    that lacks more than ``max_minutes_missing_at_open`` at its start, or ``..._at_close`` at its end, is
    left out, since its first price is not its open, or its last not its close; and so is one with less
    than ``min_session_coverage_fraction`` of the bars due.

    A session's vwap is that of its bars, weighed by their volumes: missing where a bar that traded has none. Its trades
    are the sum of theirs, missing where one does not say. Its effective spread is the mean of the bars that have one,
    weighed by their volumes. Its bid and ask are those at the end of its last bar.

    Parameters
    ----------
    bars : DataFrame
        Columns of ``INTRADAY_BARS``; one row a bar. Volume NaN everywhere in a session stays NaN.
    calendar : str
    settings : IntradaySettings
    details : DataFrame, optional
        symbol, bar_at and the columns of ``DETAILS``, at most one row a bar; of other bars they are left out.
    """
    ordered = bars.sort_values(KEY, kind="stable")
    grouped = ordered.groupby(["symbol", "session"], sort=True)
    aggregated = grouped.agg(
        open=("open", "first"),
        high=("high", "max"),
        low=("low", "min"),
        close=("close", "last"),
        bars=("close", "size"),
        began=("bar_at", "first"),
        ended=("bar_at", "last"),
    )
    aggregated = aggregated.assign(volume=grouped["volume"].sum(min_count=1)).reset_index()
    if aggregated.empty:
        return SessionBars(conform(aggregated.assign(source=""), DELIVERED_BARS), aggregated.reindex(columns=_LEFT_OUT))
    hours = trading_hours(calendar, settings, ordered["bar_at"].min(), ordered["bar_at"].max())
    session_index = hours.sessions.get_indexer(pd.Index(aggregated["session"]))
    first, last = (hours.locate(nanoseconds(aggregated[name])).slot for name in ("began", "ended"))
    after = np.cumsum(hours.bars_due)[session_index]
    aggregated["due"] = hours.bars_due[session_index]
    aggregated["at_open"] = (first - after + aggregated["due"]) * settings.bar_minutes
    aggregated["at_close"] = (after - 1 - last) * settings.bar_minutes
    aggregated["begins"] = ~aggregated.duplicated("symbol")
    judged = _judged(aggregated, settings)
    whole = judged["rule"] == ""
    source = f"intraday:{settings.bar_minutes}min"
    return SessionBars(
        _with_details(conform(aggregated[whole].assign(source=source), DELIVERED_BARS), ordered, details),
        judged.loc[~whole, _LEFT_OUT].reset_index(drop=True),
    )


def _with_details(bars: DeliveredBars, ordered: IntradayBars, details: IntradayDetails | None) -> DeliveredBars:
    """Session bars with what is said of their bars beyond prices and volume, as far as any of them says it."""
    beside = ordered[[*KEY, "session", "volume", *_CLOSING]]
    if details is None:
        beside = beside.assign(**dict.fromkeys(DETAILS, np.nan))
    else:
        beside = beside.merge(details[[*KEY, *DETAILS]], on=KEY, how="left", validate="1:1")
    quoted = beside.assign(**{name: beside[closing].fillna(beside[name]) for closing, name in _CLOSING.items()})
    present = [name for name in DETAILS if quoted[name].notna().any()]
    if not present:
        return bars
    group = pd.factorize(pd.MultiIndex.from_frame(quoted[_OF_SESSION]))[0].astype(np.int64)
    first = np.flatnonzero(np.diff(group, prepend=-1))  # rows are ordered by symbol and start
    made = _details_of_sessions({name: quoted[name].to_numpy(np.float64) for name in ("volume", *DETAILS)}, first)
    of_sessions = quoted.iloc[first][_OF_SESSION].assign(**{name: made[name] for name in present})
    return bars.merge(of_sessions, on=_OF_SESSION, how="left", validate="1:1")


def _details_of_sessions(columns: dict[str, FloatArray], first: IntArray) -> dict[str, FloatArray]:
    """Details of runs of bars, by name, (runs,): each run from one of ``first`` up to the next, in order of time."""
    volume, vwap, trades, spread = (columns[name] for name in ("volume", "vwap", "trades", "effective_spread"))
    last = np.append(first[1:], len(volume)) - 1

    def total(values: FloatArray) -> FloatArray:
        return np.asarray(np.add.reduceat(values, first), dtype=np.float64)

    def weighed(values: FloatArray, weight: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total(np.where(weight == 0.0, 0.0, weight * values)) / total(weight)
        return np.where(first == last, values[first], mean)  # of one bar: its own, to the bit

    return {
        "vwap": weighed(vwap, volume),
        "trades": total(trades),
        "bid": columns["bid"][last],
        "ask": columns["ask"][last],
        "effective_spread": weighed(spread, np.where(np.isnan(spread), 0.0, volume)),
    }


_OF_SESSION = ["symbol", "session"]
_CLOSING = {"bid_close": "bid", "ask_close": "ask"}
_LEFT_OUT = ["symbol", "session", "bars", "due", "rule", "value", "remedy"]


def _judged(aggregated: pd.DataFrame, settings: IntradaySettings) -> pd.DataFrame:
    """Each session with the first rule it breaks (none: empty), the value that breaks it, and what to do."""
    late, early = settings.max_minutes_missing_at_open, settings.max_minutes_missing_at_close
    least = settings.min_session_coverage_fraction
    no_open, no_close = aggregated["at_open"] > late, aggregated["at_close"] > early
    begins, sparse = aggregated["begins"] & no_open, aggregated["bars"] < least * aggregated["due"]
    at_open = aggregated["at_open"].astype(str) + f" minutes missing at the open, limit {late}"
    at_close = aggregated["at_close"].astype(str) + f" minutes missing at the close, limit {early}"
    covered = (
        aggregated["bars"].astype(str) + " of " + aggregated["due"].astype(str) + f" bars, at least {least:.0%} wanted"
    )
    judged = aggregated.assign(rule="", value="", remedy="")
    deliver = "deliver the bars that are missing, or raise intraday."
    for broken, rule, value, remedy in (
        (
            sparse,
            "session_coverage",
            covered,
            "deliver the bars that are missing, or lower intraday.min_session_coverage_fraction",
        ),
        (no_close, "missing_at_close", at_close, f"{deliver}max_minutes_missing_at_close"),
        (no_open, "missing_at_open", at_open, f"{deliver}max_minutes_missing_at_open"),
        (begins, "begins_within_session", at_open, "none where the market began then; else deliver the bars before"),
    ):  # the last that holds stays
        judged.loc[broken, ["rule", "remedy"]] = rule, remedy
        judged.loc[broken, "value"] = value[broken]
    return judged
