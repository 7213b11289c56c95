"""Other series as bitemporal facts: versions appended, and read as they were known.

An *observation* is the value of a series at one moment, of one symbol or of the market as a whole. The
newest observation known at a session's decision is what a feature may see, and nothing else is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from nn_assets.arrays import FloatArray, IntArray, Symbol, nanoseconds
from nn_assets.contracts import SERIES, conform
from nn_assets.contracts.frames import SeriesVersions
from nn_assets.errors import SettingsError
from nn_assets.market.facts.bitemporal import SERIES_FACTS, RevisionCount

_KEY = list(SERIES_FACTS.key)
_MINUTE = pd.Timedelta(minutes=1)


def new_observations(
    stored: SeriesVersions,
    judged: pd.DataFrame,
    arrived_at: pd.Timestamp,
    *,
    decided_at: pd.Timestamp | None = None,
) -> tuple[SeriesVersions, RevisionCount]:
    """Find what a delivery adds to the versions stored.

    Parameters
    ----------
    stored : DataFrame
        Columns of ``SERIES``: every version so far, in any order.
    judged : DataFrame
        ``JudgedSeries.observations`` of one delivery.
    arrived_at : Timestamp, UTC
        Becomes ``ingested_at``, after that of the version before whatever the clock says; and
        ``known_at`` of a value that differs from the one stored, unless it states a later one.
    decided_at : Timestamp, UTC, optional
        Moment of the last decision made. Of a series that was stored before, of whichever symbols,
        nothing that arrives now was known by then.

    Returns
    -------
    DataFrame
        Columns of ``SERIES``: the rows to append. Redelivering the same gives none.
    RevisionCount
        Counts of observations; ``confirmed`` is always 0.
    """
    judged = judged.sort_values("known_at", kind="stable", ignore_index=True)
    observations = conform(judged.assign(ingested_at=arrived_at), SERIES)
    version = [*_KEY, "known_at", "value"]
    observed_before, on_record = (
        pd.MultiIndex.from_frame(observations[names]).isin(pd.MultiIndex.from_frame(stored[names]))
        for names in (_KEY, version)
    )
    late = np.zeros(len(observations), dtype=bool)
    if decided_at is not None:
        late = (
            observations["name"].isin(stored["name"].unique()) & (observations["known_at"] <= decided_at)
        ).to_numpy()
    own = judged["known_at_stated"].to_numpy(dtype=np.bool_)
    # Several of one observation that are delivered together are vintages too, as long as none is on record.
    vintage = own | (judged.duplicated(_KEY, keep=False).to_numpy() & (on_record | ~observed_before))
    explicit = SERIES_FACTS.finds_place(stored, observations, vintage & (on_record | ~late))
    observations["known_at"] = observations["known_at"].mask(
        late & ~explicit, observations[["known_at", "ingested_at"]].max(axis=1)
    )
    # Of several that are known from now on the one published last counts.
    kept = explicit | ~observations.assign(stated=explicit).duplicated([*_KEY, "stated"], keep="last").to_numpy()
    fresh, counted = SERIES_FACTS.added(stored, observations[kept], explicit[kept])
    return conform(fresh.sort_values([*_KEY, "value"], kind="stable"), SERIES), counted


def series_as_of(
    versions: SeriesVersions, moment: pd.Timestamp, *, ingested_by: pd.Timestamp | None = None
) -> SeriesVersions:
    """Give every observation as it was known at a moment, in order; see :meth:`Kind.as_of`."""
    known = SERIES_FACTS.as_of(versions, moment, ingested_by=ingested_by)
    return known.sort_values(_KEY, ignore_index=True)


@dataclass(frozen=True, eq=False)
class KnownSeries:
    """The newest value known at each session's decision; arrays of shape (sessions, symbols), NaN for none.

    ``age_sessions`` counts sessions from the observation's to the decision's; ``interval_minutes``
    is the step from the observation before to the one given, so that a rate paid every four hours
    is never read as one paid every eight.
    """

    values: FloatArray
    age_sessions: FloatArray
    interval_minutes: FloatArray


def known_series(
    versions: SeriesVersions,
    name: str,
    symbols: tuple[Symbol, ...],
    sessions: pd.DatetimeIndex,
    decided_at: pd.DatetimeIndex,
    *,
    stale_after_sessions: int,
    ingested_by: pd.Timestamp | None = None,
) -> KnownSeries:
    """Look up a series at each session's decision.

    Parameters
    ----------
    versions : DataFrame
        Columns of ``SERIES``: every version, in any order.
    name : str
    symbols : tuple of str
        Columns of the result; a symbol without a series of its own reads the market-wide one.
    sessions : DatetimeIndex, shape (sessions,)
        The axis, ascending, every session of the calendar.
    decided_at : DatetimeIndex, shape (sessions,), UTC
        Moment of each decision: only versions with known_at at or before it count.
    stale_after_sessions : int
        A value older than this many sessions is none.
    ingested_by : Timestamp, UTC, optional
        Only versions stored by then count: for replaying a decision on record.

    Returns
    -------
    KnownSeries
        Row t is the same, to the bit, whatever is known later. NaN before the first value.

    Raises
    ------
    SettingsError
        The series was never stored.
    """
    selected = versions[versions["name"] == name]
    if selected.empty:
        raise SettingsError(
            expected=f"a series among {', '.join(sorted(versions['name'].unique())) or 'none stored'}",
            found=repr(name),
            remedy="name it under series in the strategy file, then nn-assets check takes it in",
            key="series",
        )
    if ingested_by is not None:
        selected = selected[selected["ingested_at"] <= ingested_by]
    shape = (len(sessions), len(symbols))
    values, age, interval = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
    own = {str(symbol): rows for symbol, rows in selected.groupby("symbol")}
    for column, symbol in enumerate(symbols):
        rows = own.get(symbol, own.get(""))
        if rows is None:
            continue
        value, session, step = _newest_known(rows, decided_at)
        old = np.arange(len(sessions)) - np.searchsorted(sessions.asi8, session, side="left")
        fresh = np.isfinite(value) & (old <= stale_after_sessions)
        values[fresh, column], age[fresh, column] = value[fresh], np.maximum(old[fresh], 0)
        interval[fresh, column] = step[fresh]
    return KnownSeries(values, age, interval)


def _newest_known(rows: pd.DataFrame, decided_at: pd.DatetimeIndex) -> tuple[FloatArray, IntArray, FloatArray]:
    """Value, session and step of the newest observation at each decision, by one pass in order of known_at."""
    ordered = rows.sort_values(["known_at", "ingested_at", "observed_at", "value"], kind="stable")
    observed = nanoseconds(ordered["observed_at"])
    # A late correction of an older observation leaves the newest one in place.
    leads = observed >= np.maximum.accumulate(observed)
    leading = ordered[leads]
    observed = observed[leads]
    index = np.searchsorted(nanoseconds(leading["known_at"]), decided_at.asi8, side="right") - 1
    is_known = index >= 0
    value = np.where(is_known, leading["value"].to_numpy(dtype=np.float64)[index], np.nan)
    session = np.where(is_known, nanoseconds(leading["session"])[index], np.iinfo(np.int64).min)
    _, first = np.unique(observed, return_index=True)
    distinct = observed[first]
    steps = np.concatenate([[np.nan], np.diff(distinct) / _MINUTE.value])
    step = steps[np.searchsorted(distinct, observed)]
    return value, session, np.where(is_known, step[index], np.nan)
