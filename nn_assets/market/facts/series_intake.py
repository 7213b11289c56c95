"""Observations of other series judged on arrival: each is kept, or put into quarantine with its rule."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.contracts import QUARANTINE, conform
from nn_assets.contracts.frames import DeliveredSeries, Quarantine
from nn_assets.market.calendar.sessions import session_ends, sessions_between, sessions_of_moments
from nn_assets.market.facts.bitemporal import known_from
from nn_assets.settings import SeriesSettings

_KEY = ["name", "symbol", "observed_at"]
_EQUAL = "equal"  # to another row: taken once, and no fault
_MINUTE = pd.Timedelta(minutes=1)
_LARGEST = (
    1e50  # either way, where no bounds are stated: products of larger ones overflow, and nothing is counted in them
)
_DEMANDS = {
    "missing_value": "a finite value",
    "out_of_bounds": f"a value within the bounds stated ({_LARGEST:g} either way else), and within its own day's range",
    "off_calendar": "a day on which the series' calendar has a session",
    "off_grid": "a moment within the tolerance of the grid stated",
    "known_too_early": "a publication at or after the moment observed",
    "duplicate": "one value for each moment",
}


@dataclass(frozen=True)
class JudgedSeries:
    """What a delivery of one series holds: sound observations, and what was taken out or changed.

    Attributes
    ----------
    observations : DataFrame
        Columns of ``SERIES`` without ``ingested_at``, ordered by symbol and moment; and
        ``known_at_stated``: whether the file said when the value was published.
    quarantine : DataFrame
        Columns of ``QUARANTINE``; ``symbol`` is the series' name, then its symbol where it has one.
    snapped : int
        Moments moved onto the grid, their values as they came.
    outside_range : int
        Rows kept whose day's range does not hold all of the prices beside the value.
    intervals_minutes : dict of int to int
        How often each step between one observation and the next occurs; steps that are gaps left out.
    gaps : int
        Steps that are not one of the intervals stated.
    equal_rows : int
        Rows left out because another says the same.
    later : int
        Rows observed or published later than was asked for.
    """

    observations: pd.DataFrame
    quarantine: Quarantine
    snapped: int = 0
    outside_range: int = 0
    intervals_minutes: dict[int, int] = field(default_factory=dict)
    gaps: int = 0
    equal_rows: int = 0
    later: int = 0


def judge_series(
    delivered: DeliveredSeries,
    settings: SeriesSettings,
    market_calendar: str,
    *,
    until: pd.Timestamp | None = None,
) -> JudgedSeries:
    """Judge the rows of one series, date them, and say when each could be known.

    Parameters
    ----------
    delivered : DataFrame
        Columns of ``DELIVERED_SERIES``, in any order. NaN means missing.
    settings : SeriesSettings
        Moments within ``grid_tolerance_seconds`` of the grid are snapped to it: of a stamp that came
        late, known_at still counts from the stamp itself.
    market_calendar : str
        Calendar whose sessions decisions are made on.
    until : Timestamp, UTC, optional
        Rows observed or published after this moment are neither judged nor counted: they are sealed,
        or are delivered again when they may be seen.

    Returns
    -------
    JudgedSeries
        A row goes to quarantine under the first rule it breaks. ``known_at`` is the file's own, or
        the observation plus the lag stated; ``session`` the first that closes at or after it.
        Nothing is resampled: mixed intervals are counted and kept as they are.
    """
    rows = delivered.sort_values([*_KEY, "value", "source"], kind="stable").reset_index(drop=True)
    stamped = rows["observed_at"]
    grid_point, off_grid = _snapped(stamped, settings)
    rows["observed_at"] = grid_point
    assumed = np.maximum(stamped, grid_point) + pd.Timedelta(minutes=settings.lag_minutes or 0)
    own = rows["known_at"].notna()
    rows["known_at"] = known_from(rows, assumed)
    rows["known_at_stated"] = own
    if until is not None:
        seen = rows[["observed_at", "known_at"]].max(axis=1) <= until
        rows = rows[seen].reset_index(drop=True)
        stamped, grid_point, off_grid = (
            column[seen].reset_index(drop=True) for column in (stamped, grid_point, off_grid)
        )
    rows["session"] = sessions_of_moments(market_calendar, rows["observed_at"])
    open_out, value_out = _outside_range(rows)
    low = -_LARGEST if settings.minimum is None else settings.minimum
    high = _LARGEST if settings.maximum is None else settings.maximum
    faults = {
        "missing_value": ~np.isfinite(rows["value"]),
        "out_of_bounds": (rows["value"] < low) | (rows["value"] > high) | value_out,
        "off_calendar": _off_calendar(rows, settings, market_calendar) | rows["session"].isna(),
        "off_grid": off_grid,
        "known_too_early": rows["known_at"] < np.minimum(stamped, grid_point),
    }
    rule = np.select(list(faults.values()), list(faults), default="")
    versions = [*_KEY, "known_at"]  # vintages of one observation are no duplicates
    sound = rows[rule == ""]
    repeated = sound.duplicated([*versions, "value"])
    contradicted = ~repeated & sound[~repeated].duplicated(versions, keep=False).reindex(sound.index, fill_value=False)
    tainted = sound.set_index(versions).index.isin(sound[contradicted].set_index(versions).index)
    rule[sound.index[tainted]] = "duplicate"
    rule[sound.index[repeated]] = _EQUAL
    kept = rows[rule == ""]
    at_fault = (rule != "") & (rule != _EQUAL)
    intervals, gaps = _intervals(kept, settings)
    return JudgedSeries(
        observations=kept[[*_KEY, "session", "value", "source", "known_at", "known_at_stated"]].reset_index(drop=True),
        quarantine=_quarantine(rows[at_fault], rule[at_fault]),
        snapped=int(((stamped != grid_point) & (rule == "")).sum()),
        outside_range=int((open_out & (rule == "")).sum()),
        intervals_minutes=intervals,
        gaps=gaps,
        equal_rows=int((rule == _EQUAL).sum()),
        later=len(delivered) - len(rows),
    )


def _snapped(stamped: pd.Series, settings: SeriesSettings) -> tuple[pd.Series, pd.Series]:
    """Nearest grid point of each moment within tolerance, and which moments lie off the grid."""
    if not settings.grid_minutes:
        return stamped, pd.Series(data=False, index=stamped.index)
    nearest = stamped.dt.round(f"{settings.grid_minutes}min")
    off = (stamped - nearest).abs() > pd.Timedelta(seconds=settings.grid_tolerance_seconds)
    return nearest.where(~off, stamped), off


def _outside_range(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Rows whose open, or value, lies outside low to high; false where there is no range."""
    outside = [(rows[name] < rows["low"]) | (rows[name] > rows["high"]) for name in ("open", "value")]
    return outside[0], outside[1]


def _off_calendar(rows: pd.DataFrame, settings: SeriesSettings, market_calendar: str) -> pd.Series:
    if settings.stamps != "days" or rows.empty:
        return pd.Series(data=False, index=rows.index)
    calendar = settings.calendar or market_calendar
    first, last = rows["observed_at"].min(), rows["observed_at"].max()
    days = sessions_between(calendar, first.tz_localize(None).normalize(), last.tz_localize(None))
    closes = set(session_ends(calendar, pd.Series(days)))
    return ~rows["observed_at"].isin(closes)


def _intervals(rows: pd.DataFrame, settings: SeriesSettings) -> tuple[dict[int, int], int]:
    if settings.stamps == "days":
        return {}, 0
    moments = rows.drop_duplicates(_KEY)
    gaps: pd.Series[pd.Timedelta] = moments.groupby(["name", "symbol"])["observed_at"].diff().dropna()
    steps = (gaps / _MINUTE).round().astype(np.int64)
    counted = steps.value_counts().sort_index()
    allowed = settings.intervals_minutes or tuple(counted.index)
    intervals = {int(step): int(count) for step, count in counted.items() if step in allowed}
    return intervals, int(counted.sum()) - sum(intervals.values())


def _quarantine(rows: pd.DataFrame, rules: npt.NDArray[np.str_]) -> pd.DataFrame:
    symbol = rows["name"].where(rows["symbol"] == "", rows["name"] + " " + rows["symbol"])
    early = rules == "known_too_early"
    cells = zip(rows["value"], rows["known_at"], early, strict=True)
    values = [known_at.isoformat() if too_early else str(value) for value, known_at, too_early in cells]
    moments = [moment.isoformat() for moment in rows["observed_at"]]
    details = zip(rules, values, moments, strict=True)
    # A day without a session is observed at its end, which is another day's first moment.
    by_day = (rows["observed_at"] - pd.Timedelta(1)).dt.tz_localize(None).dt.normalize()
    dated = rows["session"].notna() & (rules != "off_calendar")
    framed = pd.DataFrame(
        {
            "symbol": symbol,
            "session": rows["session"].where(dated, by_day),
            "rule": rules,
            "field": np.where(early, "known_at", "value"),
            "value": values,
            "source": rows["source"],
            "known_at": rows["known_at"],
            "message": [f"expected {_DEMANDS[rule]}; found {value} at {moment}" for rule, value, moment in details],
        }
    )
    return conform(framed, QUARANTINE)
