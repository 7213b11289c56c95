"""Other series: what arrives is judged, versions are kept, and a decision sees the newest value known to it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nn_assets.contracts import DELIVERED_SERIES, QUARANTINE, SERIES, conform, empty, validate
from nn_assets.errors import SettingsError
from nn_assets.market.calendar.sessions import assumed_known_at, sessions_between
from nn_assets.market.facts.series import known_series, new_observations, series_as_of
from nn_assets.market.facts.series_intake import judge_series
from nn_assets.settings import FileSeriesSettings

ARRIVED = pd.Timestamp("2024-02-01T00:00Z").as_unit("ns")
FUNDING = FileSeriesSettings(
    name="funding", path="-", stamps="moments", lag_minutes=0, grid_minutes=60, intervals_minutes=(480, 240, 60)
)
INDEX = FileSeriesSettings(name="fear", path="-", lag_minutes=15, calendar="XNYS")


def delivered(moments, values, name="funding", symbol="", **columns) -> pd.DataFrame:
    observations = {
        "name": name,
        "symbol": symbol,
        "observed_at": pd.DatetimeIndex([pd.Timestamp(at, tz="UTC") for at in moments]),
        "value": values,
    }
    beside = {
        "open": np.nan,
        "low": np.nan,
        "high": np.nan,
        "source": "test",
        "known_at": pd.DatetimeIndex([pd.NaT] * len(moments), tz="UTC"),
    }
    return conform(pd.DataFrame({**observations, **beside, **columns}), DELIVERED_SERIES)


def stored(observations: pd.DataFrame, arrived=ARRIVED) -> pd.DataFrame:
    return new_observations(empty(SERIES), observations, arrived)[0]


def version(observed, value, known, ingested="2024-02-01", symbol="") -> dict[str, object]:
    moments = {"observed_at": observed, "known_at": known, "ingested_at": ingested}
    stamps = {name: pd.Timestamp(moment, tz="UTC") for name, moment in moments.items()}
    session = pd.Timestamp(stamps["observed_at"].date())
    return {"name": "fear", "symbol": symbol, "session": session, "value": value, "source": "test", **stamps}


def table(*versions: dict[str, object]) -> pd.DataFrame:
    return conform(pd.DataFrame(list(versions)), SERIES)


def test_milliseconds_of_delay_are_snapped_and_counted_and_still_count_for_when_it_was_known() -> None:
    judged = judge_series(
        delivered(["2024-01-01T00:00:00.017", "2024-01-01T08:00:00", "2024-01-01T16:00:00.011"], [1.0, 2.0, 3.0]),
        FUNDING,
        "24/7",
    )
    assert judged.snapped == 2
    assert list(judged.observations["observed_at"].dt.strftime("%H:%M:%S.%f")) == [
        "00:00:00.000000",
        "08:00:00.000000",
        "16:00:00.000000",
    ]
    assert judged.observations["known_at"].iloc[0] == pd.Timestamp("2024-01-01T00:00:00.017Z")


def test_of_what_is_known_after_a_moment_nothing_is_kept_counted_or_told_of() -> None:
    moments = ["2024-01-01T00:00:00.017", "2024-01-01T08:00:00", "2024-01-01T16:00:00.011", "2024-01-02T00:00:02"]
    rows = delivered(moments, [1.0, 2.0, 3.0, 4.0])
    whole = judge_series(rows, FUNDING, "24/7")
    assert (len(whole.observations), len(whole.quarantine), whole.snapped) == (3, 1, 2)
    for last, kept in (("2024-01-01T16:00:00.011", 3), ("2024-01-01T16:00:00.010", 2), ("2023-12-31", 0)):
        cut = judge_series(rows, FUNDING, "24/7", until=pd.Timestamp(last, tz="UTC"))
        assert (len(cut.observations), len(cut.quarantine), cut.snapped) == (kept, 0, max(kept - 1, 0))
    daily = delivered(["2024-01-02T21:00"], [1.0], "fear")
    seen = judge_series(daily, INDEX, "XNYS", until=ARRIVED).observations
    early = judge_series(daily, INDEX, "XNYS", until=seen["known_at"][0])
    pd.testing.assert_frame_equal(early.observations, seen)
    late = seen["known_at"][0] - pd.Timedelta(minutes=1)  # observed by then, but published a moment later
    assert judge_series(daily, INDEX, "XNYS", until=late).observations.empty


def test_a_stamp_two_seconds_off_the_grid_goes_to_quarantine_under_its_rule() -> None:
    judged = judge_series(delivered(["2024-01-01T00:00:02", "2024-01-01T08:00:00"], [1.0, 2.0]), FUNDING, "24/7")
    assert list(judged.quarantine["rule"]) == ["off_grid"]
    assert list(judged.observations["value"]) == [2.0]
    validate(judged.quarantine, QUARANTINE)


def test_eight_four_and_one_hour_funding_are_told_apart_and_a_missing_payment_is_a_gap() -> None:
    hours = [0, 8, 16, 20, 24, 25, 26, 37]
    moments = [pd.Timestamp("2024-01-01") + pd.Timedelta(hours=hour) for hour in hours]
    judged = judge_series(delivered(moments, np.arange(8.0)), FUNDING, "24/7")
    assert judged.intervals_minutes == {60: 2, 240: 2, 480: 2}
    assert judged.gaps == 1
    assert len(judged.observations) == 8  # nothing made up, nothing merged


@pytest.mark.parametrize(
    ("moments", "values", "rules", "kept"),
    [
        (["2024-01-01", "2024-01-02"], [np.nan, 1.0], ["missing_value"], [1.0]),
        (["2024-01-01", "2024-01-02"], [np.inf, 1.0], ["missing_value"], [1.0]),
        (["2024-01-01", "2024-01-02"], [-9.0, 1.0], ["out_of_bounds"], [1.0]),
        (["2024-01-01", "2024-01-02"], [1e300, 1e49], ["out_of_bounds"], [1e49]),  # no bound above is stated
        (["2024-01-01", "2024-01-01", "2024-01-02"], [1.0, 1.0, 2.0], [], [1.0, 2.0]),
        (["2024-01-01", "2024-01-01", "2024-01-02"], [1.0, 3.0, 2.0], ["duplicate"] * 2, [2.0]),
        (["2024-01-01"] * 3 + ["2024-01-02"], [1.0, 1.0, 3.0, 2.0], ["duplicate"] * 2, [2.0]),
    ],
)
def test_each_fault_of_a_row_is_named_and_every_row_is_kept_or_quarantined(moments, values, rules, kept) -> None:
    settings = FUNDING.model_copy(update={"minimum": -1.0})
    judged = judge_series(delivered(moments, values), settings, "24/7")
    assert list(judged.quarantine["rule"]) == rules
    assert list(judged.observations["value"]) == kept
    assert len(rules) + len(kept) + judged.equal_rows == len(values)


def test_a_day_without_a_session_goes_to_quarantine_and_a_value_outside_its_range_too() -> None:
    closes = ["2024-01-12T21:00", "2024-01-16T00:00", "2024-01-16T21:00", "2024-01-17T21:00"]  # the 15th is a holiday
    ranges = {"open": [13.0, 13.0, 20.0, 13.0], "low": [12.0] * 4, "high": [14.0] * 4}
    judged = judge_series(delivered(closes, [13.0, 13.0, 13.0, 15.0], "fear", **ranges), INDEX, "XNYS")
    assert list(judged.quarantine["rule"]) == ["off_calendar", "out_of_bounds"]
    assert judged.outside_range == 1  # an open of 20 in a day of 12 to 14: noted, the value kept
    assert list(judged.observations["session"].dt.day) == [12, 16]


def test_a_repeated_delivery_adds_nothing_and_a_different_value_is_known_from_its_arrival() -> None:
    first = judge_series(delivered(["2024-01-01", "2024-01-02"], [1.0, 2.0]), FUNDING, "24/7").observations
    versions = stored(first)
    again, counted = new_observations(versions, first, ARRIVED + pd.Timedelta(days=1))
    assert (len(again), counted.unchanged) == (0, 2)
    restated = first.assign(value=[1.0, 2.5])
    fresh, counted = new_observations(versions, restated, ARRIVED + pd.Timedelta(days=1))
    assert (counted.added, counted.revised, counted.unchanged) == (0, 1, 1)
    assert list(fresh["known_at"]) == [ARRIVED + pd.Timedelta(days=1)]
    every = pd.concat([versions, fresh])
    assert list(series_as_of(every, ARRIVED)["value"]) == [1.0, 2.0]
    assert list(series_as_of(every, ARRIVED + pd.Timedelta(days=1))["value"]) == [1.0, 2.5]
    later = ARRIVED + pd.Timedelta(days=9)
    assert list(series_as_of(every, later, ingested_by=ARRIVED)["value"]) == [1.0, 2.0]


def test_an_observation_that_comes_after_the_decision_that_needed_it_is_known_from_its_arrival() -> None:
    rows = judge_series(delivered(["2024-01-01", "2024-01-02"], [1.0, 2.0]), FUNDING, "24/7").observations
    decided = pd.Timestamp("2024-01-02T12:00Z").as_unit("ns")
    versions = stored(rows.iloc[:1], decided)
    fresh, _ = new_observations(versions, rows, ARRIVED, decided_at=decided)
    assert list(fresh["known_at"]) == [ARRIVED]
    # A series nobody decided with before brings its history along.
    fresh, _ = new_observations(empty(SERIES), rows, ARRIVED, decided_at=decided)
    assert list(fresh["known_at"]) == list(rows["known_at"])


def test_two_vintages_of_one_observation_with_their_own_publication_times_are_both_kept() -> None:
    published = pd.to_datetime(["2024-01-10", "2024-01-20"], utc=True)
    judged = judge_series(delivered(["2024-01-01"] * 2, [1.0, 1.5], known_at=published), FUNDING, "24/7")
    assert judged.quarantine.empty
    versions = stored(judged.observations)
    assert list(series_as_of(versions, pd.Timestamp("2024-01-15", tz="UTC"))["value"]) == [1.0]
    assert list(series_as_of(versions, pd.Timestamp("2024-01-25", tz="UTC"))["value"]) == [1.5]
    assert new_observations(versions, judged.observations, ARRIVED)[0].empty


def test_a_value_published_before_the_moment_it_is_of_goes_to_quarantine_with_what_it_said() -> None:
    published = pd.to_datetime(["2023-12-31T23:59", "2024-01-01T08:00", "2024-01-01T16:01"], utc=True)
    moments = ["2024-01-01T00:00", "2024-01-01T08:00", "2024-01-01T16:00"]
    judged = judge_series(delivered(moments, [1.0, 2.0, 3.0], known_at=published), FUNDING, "24/7")
    assert list(judged.observations["value"]) == [2.0, 3.0]
    row = validate(judged.quarantine, QUARANTINE).iloc[0]
    assert (row["rule"], row["field"], row["value"]) == ("known_too_early", "known_at", "2023-12-31T23:59:00+00:00")


def test_a_symbol_that_joins_a_series_after_decisions_is_known_from_its_arrival() -> None:
    one = judge_series(delivered(["2024-01-01"], [1.0], symbol="A"), FUNDING, "24/7").observations
    other = judge_series(delivered(["2024-01-01"], [1.0], symbol="B"), FUNDING, "24/7").observations
    decided = pd.Timestamp("2024-01-02T12:00Z").as_unit("ns")
    fresh, _ = new_observations(stored(one, decided), other, ARRIVED, decided_at=decided)
    assert list(fresh["known_at"]) == [ARRIVED]


def test_a_value_restated_and_then_restated_back_is_the_first_again() -> None:
    first = judge_series(delivered(["2024-01-01"], [1.0]), FUNDING, "24/7").observations
    versions = stored(first)
    for days, value in enumerate((2.0, 1.0), start=1):
        fresh, counted = new_observations(versions, first.assign(value=value), ARRIVED + pd.Timedelta(days=days))
        assert counted.revised == 1
        versions = pd.concat([versions, fresh])
    values = [series_as_of(versions, ARRIVED + pd.Timedelta(days=days))["value"].item() for days in range(3)]
    assert values == [1.0, 2.0, 1.0]
    assert new_observations(versions, first, ARRIVED + pd.Timedelta(days=3))[0].empty


SESSIONS = sessions_between("XNYS", "2024-01-02", "2024-01-31")
DECIDED = assumed_known_at("XNYS", SESSIONS, 30)


def plain_lookup(versions: pd.DataFrame, symbol: str, stale: int) -> list[float]:
    """The plain reference: at each decision, look at everything known by then."""
    of_symbol = versions[(versions["symbol"] == symbol)]
    values = []
    for index, moment in enumerate(DECIDED):
        known = of_symbol[of_symbol["known_at"] <= moment]
        if known.empty:
            values.append(np.nan)
            continue
        newest = known[known["observed_at"] == known["observed_at"].max()]
        row = newest.sort_values(["known_at", "ingested_at"]).iloc[-1]
        passed = index - int(np.searchsorted(SESSIONS, np.datetime64(row["session"])))
        values.append(float(row["value"]) if passed <= stale else np.nan)
    return values


def random_versions(seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    rows = []
    for _ in range(60):
        observed = pd.Timestamp("2024-01-02") + pd.Timedelta(hours=int(draw.integers(0, 20)) * 24 + 12)
        known = observed + pd.Timedelta(hours=int(draw.integers(0, 120)))
        rows.append(version(observed, float(draw.integers(0, 99)), known, known))
    return table(*rows).drop_duplicates(["observed_at", "known_at"])


@pytest.mark.full
@pytest.mark.parametrize("seed", range(6))
def test_each_decision_sees_the_newest_observation_known_to_it(seed) -> None:
    versions = random_versions(seed)
    series = known_series(versions, "fear", ("AAA",), SESSIONS, DECIDED, stale_after_sessions=4)
    np.testing.assert_array_equal(series.values[:, 0], plain_lookup(versions, "", 4))


@pytest.mark.full
@pytest.mark.parametrize("seed", range(3))
def test_what_is_known_later_changes_no_earlier_row_to_the_bit(seed) -> None:
    versions = random_versions(seed)
    whole = known_series(versions, "fear", ("AAA",), SESSIONS, DECIDED, stale_after_sessions=4)
    for row in range(3, len(SESSIONS)):
        cut = versions[versions["known_at"] <= DECIDED[row]]
        if cut.empty:
            continue
        part = known_series(cut, "fear", ("AAA",), SESSIONS[: row + 1], DECIDED[: row + 1], stale_after_sessions=4)
        for name in ("values", "age_sessions", "interval_minutes"):
            assert getattr(part, name).tobytes() == getattr(whole, name)[: row + 1].tobytes()


def test_a_value_counts_until_it_is_stale_and_its_age_is_told_in_sessions() -> None:
    versions = table(version("2024-01-04T21:00", 7.0, "2024-01-04T21:15"))
    series = known_series(versions, "fear", ("AAA",), SESSIONS[:9], DECIDED[:9], stale_after_sessions=3)
    np.testing.assert_array_equal(series.values[:, 0], [np.nan, np.nan, 7.0, 7.0, 7.0, 7.0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(series.age_sessions[2:6, 0], [0.0, 1.0, 2.0, 3.0])


def test_a_value_published_a_minute_after_the_decision_waits_for_the_next_one() -> None:
    late = str((DECIDED[2] + pd.Timedelta(minutes=1)).tz_localize(None))
    versions = table(version("2024-01-04T21:00", 7.0, late))
    series = known_series(versions, "fear", ("AAA",), SESSIONS, DECIDED, stale_after_sessions=9)
    assert np.isnan(series.values[2, 0])
    assert series.values[3, 0] == 7.0


def test_a_late_correction_of_an_older_observation_leaves_the_newest_in_place() -> None:
    versions = table(
        version("2024-01-04T21:00", 7.0, "2024-01-04T21:15"),
        version("2024-01-05T21:00", 8.0, "2024-01-05T21:15"),
        version("2024-01-04T21:00", 9.0, "2024-01-08T15:00"),
    )
    series = known_series(versions, "fear", ("AAA",), SESSIONS[:6], DECIDED[:6], stale_after_sessions=9)
    np.testing.assert_array_equal(series.values[:, 0], [np.nan, np.nan, 7.0, 8.0, 8.0, 8.0])


def test_of_two_versions_known_at_one_moment_the_one_stored_last_counts() -> None:
    """A file that states when each value was published states the same again with the value mended."""
    moments = ("2024-01-04T21:00", "2024-01-04T21:15")
    first, mended = (
        version(moments[0], value, moments[1], day) for value, day in ((9.0, "2024-02-01"), (5.0, "2024-02-02"))
    )
    for versions in (table(first, mended), table(mended, first)):
        series = known_series(versions, "fear", ("AAA",), SESSIONS[:4], DECIDED[:4], stale_after_sessions=9)
        np.testing.assert_array_equal(series.values[:, 0], [np.nan, np.nan, 5.0, 5.0])


def test_a_symbol_reads_its_own_series_and_the_market_wide_one_where_it_has_none() -> None:
    versions = table(
        version("2024-01-04T21:00", 7.0, "2024-01-04T21:15"),
        version("2024-01-04T21:00", 8.0, "2024-01-04T21:15", symbol="BBB"),
    )
    series = known_series(versions, "fear", ("AAA", "BBB"), SESSIONS, DECIDED, stale_after_sessions=9)
    assert list(series.values[2]) == [7.0, 8.0]
    alone = known_series(versions[1:], "fear", ("AAA", "BBB"), SESSIONS, DECIDED, stale_after_sessions=9)
    assert np.isnan(alone.values[:, 0]).all()


def test_the_step_of_each_payment_travels_with_its_rate() -> None:
    versions = table(
        *(version(f"2024-01-{day} {hour}", 1.0, f"2024-01-{day} {hour}") for day, hour in [("03", "08:00")]),
        version("2024-01-03 16:00", 2.0, "2024-01-03 16:00"),
        version("2024-01-04 00:00", 3.0, "2024-01-04 00:00"),
        version("2024-01-04 04:00", 4.0, "2024-01-04 04:00"),
    )
    series = known_series(versions, "fear", ("AAA",), SESSIONS[:3], DECIDED[:3], stale_after_sessions=2)
    np.testing.assert_array_equal(series.interval_minutes[:, 0], [np.nan, 480.0, 240.0])


def test_a_series_that_was_never_stored_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="'hope'"):
        known_series(random_versions(1), "hope", ("AAA",), SESSIONS, DECIDED, stale_after_sessions=1)
