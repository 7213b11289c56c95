"""Intraday bars: versions, each rule of cleaning, gaps, the gate, and the session bars made of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nn_assets.contracts import (
    DELIVERED_BARS,
    HALTS,
    INTRADAY_BARS,
    INTRADAY_VERSIONS,
    QUARANTINE,
    QUOTES,
    empty,
    framed,
    validate,
)
from nn_assets.errors import GateHalted
from nn_assets.market.facts.bitemporal import INTRADAY_FACTS
from nn_assets.market.facts.intraday import intraday_as_of, intraday_hash, new_intraday, session_bars, stamped_intraday
from nn_assets.market.quality.gate_checks import INTRADAY_CHECKS
from nn_assets.market.quality.intraday_cleaning import clean_intraday, inspect_intraday
from nn_assets.settings import CleaningSettings, GateSettings, IntradaySettings

ARRIVED = pd.Timestamp("2024-04-01T00:00Z").as_unit("ns")
FIVE = IntradaySettings(path="-", bar_minutes=5)


def bars(symbol: str = "AAA", first: str = "2024-03-08T14:30Z", count: int = 78, quoted: bool = False) -> pd.DataFrame:
    """Sound 5-minute bars of one New York session."""
    steps = np.arange(count, dtype=np.float64)
    close = 100.0 + np.sin(steps)
    frame = pd.DataFrame(
        {
            "symbol": symbol,
            "bar_at": pd.date_range(first, periods=count, freq="5min").as_unit("ns"),
            "open": close - 0.1,
            "high": close + 0.5,
            "low": close - 0.5,
            "close": close,
            "volume": 1000.0 + steps,
            "source": "test",
        }
    )
    for name in QUOTES:
        side, price = name.split("_")
        frame[name] = frame[price] + (0.01 if side == "ask" else -0.01) if quoted else np.nan
    return frame


def versions(delivered: pd.DataFrame, arrived=ARRIVED, calendar="XNYS", **options) -> pd.DataFrame:
    return stamped_intraday(delivered, calendar, FIVE, arrived, **options)


def with_values(frame: pd.DataFrame, row: int, **values) -> pd.DataFrame:
    changed = frame.copy()
    for name, value in values.items():
        changed.loc[row, name] = value
    return changed


def cleaned(frame: pd.DataFrame, calendar: str = "XNYS", **changes):
    return clean_intraday(frame, calendar, FIVE, CleaningSettings(**changes))


# --- moments and versions ------------------------------------------------------------------------------------


def test_a_bar_is_known_when_it_has_ended_and_its_lag_has_passed() -> None:
    stamped = versions(bars())
    assert stamped["known_at"].iloc[0] == pd.Timestamp("2024-03-08T14:35:05Z")
    assert set(stamped["session"]) == {pd.Timestamp("2024-03-08")}
    late = versions(bars(), decided_to=pd.Timestamp("2024-03-08"))
    assert set(late["known_at"]) == {ARRIVED}


def test_a_repeated_delivery_adds_nothing_and_a_changed_quote_is_a_new_version() -> None:
    first = versions(bars(quoted=True))
    stored, counted = new_intraday(empty(INTRADAY_VERSIONS), first)
    assert counted.added == 78
    shuffled = first.sample(frac=1.0, random_state=3).assign(ingested_at=ARRIVED + pd.Timedelta(hours=1))
    again, counted = new_intraday(stored, shuffled)
    assert (len(again), counted.unchanged) == (0, 78)
    changed = with_values(shuffled.sort_values("bar_at").reset_index(drop=True), 7, bid_close=90.0)
    fresh, counted = new_intraday(stored, changed)
    assert (len(fresh), counted.revised) == (1, 1)
    assert fresh["known_at"].iloc[0] == ARRIVED + pd.Timedelta(hours=1)
    every = pd.concat([stored, fresh], ignore_index=True)
    assert intraday_as_of(every, ARRIVED)["bid_close"].min() > 98.0
    assert intraday_as_of(every, ARRIVED + pd.Timedelta(hours=1))["bid_close"].min() == 90.0
    assert intraday_hash(intraday_as_of(every, ARRIVED)) == intraday_hash(shuffled)
    assert intraday_hash(every) != intraday_hash(shuffled)


def test_a_bar_told_twice_and_then_once_is_no_restatement() -> None:
    """It was one, as long as the rows of a delivery were counted."""
    once = versions(bars(count=2))
    stored, counted = new_intraday(empty(INTRADAY_VERSIONS), pd.concat([once, once.iloc[[1]]], ignore_index=True))
    assert (len(stored), counted.added, counted.equal_rows) == (2, 2, 1)
    again, counted = new_intraday(stored, once.assign(ingested_at=ARRIVED + pd.Timedelta(hours=1)))
    assert (len(again), counted.unchanged) == (0, 2)


def test_a_bar_told_in_two_ways_is_one_row_without_values_and_both_lie_in_quarantine() -> None:
    """It was two rows in force."""
    once = versions(bars(count=2))
    torn = pd.concat([once, with_values(once, 1, close=100.2).iloc[[1]]], ignore_index=True)
    stored, counted = new_intraday(empty(INTRADAY_VERSIONS), torn.sample(frac=1.0, random_state=3))
    known = intraday_as_of(stored, ARRIVED)
    assert known["close"].isna().tolist() == [False, True]
    for contents in (counted.contradicted, torn):  # as put into quarantine, and as older versions stored it
        result = cleaned(INTRADAY_FACTS.with_contents(known, contents))
        assert list(result.quarantine["rule"]) == ["duplicate"] * 2
        assert len(result.bars) == 1
    pd.testing.assert_frame_equal(intraday_as_of(torn, ARRIVED), known)


def test_a_bar_taken_in_before_its_end_is_confirmed_by_one_that_says_the_same_after_it() -> None:
    early = pd.Timestamp("2024-03-08T14:32Z").as_unit("ns")
    stored, _ = new_intraday(empty(INTRADAY_VERSIONS), versions(bars(count=1), early))
    assert list(cleaned(stored).quarantine["rule"]) == ["unfinished_last_bar"]
    fresh, counted = new_intraday(stored, versions(bars(count=1)))
    assert counted.confirmed == 1
    assert cleaned(intraday_as_of(pd.concat([stored, fresh]), ARRIVED)).quarantine.empty


def test_what_is_known_later_changes_nothing_known_before() -> None:
    frame = versions(bars())
    moment = pd.Timestamp("2024-03-08T17:00Z").as_unit("ns")
    part = intraday_as_of(frame, moment)
    assert part["bar_at"].max() == pd.Timestamp("2024-03-08T16:50Z")
    pd.testing.assert_frame_equal(part, intraday_as_of(frame[frame["known_at"] <= moment], moment))


# --- cleaning ----------------------------------------------------------------------------------------------


def test_sound_bars_pass_and_keep_their_contract() -> None:
    result = cleaned(versions(bars(quoted=True)))
    assert result.quarantine.empty
    assert len(validate(result.bars, INTRADAY_BARS)) == 78
    assert result.gaps.empty
    assert result.due == 78


@pytest.mark.full
@pytest.mark.parametrize(
    ("values", "rule", "field"),
    [
        ({"close": np.nan}, "missing_price", "close"),
        ({"open": 0.0}, "non_positive_price", "open"),
        ({"low": -1.0}, "non_positive_price", "low"),
        ({"high": 99.0, "low": 99.5}, "high_low_bracket", "high"),
        ({"volume": -1.0}, "negative_volume", "volume"),
        ({"bar_at": pd.Timestamp("2024-03-08T15:07Z")}, "off_grid", "bar_at"),
        ({"bar_at": pd.Timestamp("2024-03-08T21:05Z")}, "off_calendar", "session"),
        ({"bid_high": 200.0}, "crossed_quote", "bid_high"),
        ({"ask_close": 1.0}, "crossed_quote", "bid_close"),
        ({"open": 1.0, "high": 1.1, "low": 0.9, "close": 1.0}, "unit_error_100x", "open"),
    ],
)
def test_a_faulty_bar_goes_to_quarantine_under_its_rule_and_field(values, rule, field) -> None:
    frame = versions(with_values(bars(quoted=True), 7, **values))
    result = cleaned(frame)
    assert [(row.rule, row.field) for row in result.quarantine.itertuples()] == [(rule, field)]
    assert len(result.bars) == 77
    validate(result.quarantine, QUARANTINE)
    assert result.counts()[rule] == 1


def test_a_level_100_times_off_for_a_part_of_a_session_is_a_slip_of_each_bar_however_many() -> None:
    frame = bars()
    frame.loc[20:49, ["open", "high", "low", "close"]] *= 100.0
    result = cleaned(versions(frame))
    assert dict(result.quarantine["rule"].value_counts()) == {"unit_error_100x": 30}
    assert result.bars["high"].max() < 102.0
    report = inspect_intraday(result, ("AAA",), FIVE, GateSettings())
    share = next(check for check in report.checks if check.name == "quarantined_share")
    assert not share.passed
    assert len(share.violations) == 30
    assert share.violations[0].startswith("AAA 2024-03-08: unit_error_100x, ")


def test_a_bar_without_trades_is_no_fault() -> None:
    assert cleaned(versions(with_values(bars(), 7, volume=0.0))).quarantine.empty
    assert cleaned(versions(bars().assign(volume=np.nan))).quarantine.empty


def test_of_equal_rows_one_is_kept_and_of_contradicting_ones_none() -> None:
    once = bars()
    twice = pd.concat([once, once.iloc[[3]], with_values(once, 5, close=100.2).iloc[[5]]], ignore_index=True)
    result = cleaned(versions(twice))
    assert dict(result.quarantine["rule"].value_counts()) == {"duplicate": 2}
    assert result.equal_rows == 1
    assert len(result.bars) == 77


def test_gaps_are_runs_of_bars_never_delivered_and_a_quarantined_bar_is_none() -> None:
    frame = with_values(bars(), 40, close=np.nan).drop(index=[3, 10, 11, 12])
    result = cleaned(versions(frame))
    assert [(str(gap.after.time()), gap.missing) for gap in result.gaps.itertuples()] == [
        ("14:40:00", 1),
        ("15:15:00", 3),
    ]
    assert result.missing_fraction == pytest.approx(4 / 78)


def test_the_gate_halts_on_gaps_beyond_the_limit_and_names_them() -> None:
    result = cleaned(versions(bars().drop(index=[3, 10, 11, 12])))
    report = inspect_intraday(result, ("AAA",), FIVE, GateSettings())
    assert tuple(check.name for check in report.checks) == INTRADAY_CHECKS
    assert [check.name for check in report.failures] == ["missing_bars"]
    with pytest.raises(GateHalted, match="AAA: 3 bars missing after 2024-03-08 15:15:00"):
        report.raise_if_failed()
    lenient = FIVE.model_copy(update={"max_missing_bars_fraction": 0.06})
    assert inspect_intraday(result, ("AAA",), lenient, GateSettings()).passed


def test_the_gate_halts_on_a_symbol_without_bars_and_on_too_much_quarantine() -> None:
    result = cleaned(versions(with_values(with_values(bars(), 7, close=np.nan), 8, close=np.nan)))
    report = inspect_intraday(result, ("AAA", "BBB"), FIVE, GateSettings())
    assert [check.name for check in report.failures] == ["quarantined_share", "missing_symbols"]


# --- session bars --------------------------------------------------------------------------------------------


def test_a_session_bar_is_first_open_highest_lowest_last_close_and_all_volume() -> None:
    frame = versions(with_values(with_values(bars(), 30, high=150.0), 31, low=50.0))
    made = session_bars(frame.sample(frac=1.0, random_state=1), "XNYS", FIVE)
    assert made.left_out.empty
    row, whole = validate(made.bars, DELIVERED_BARS).iloc[0], bars()
    assert row["open"] == whole["open"].iloc[0]
    assert row["close"] == whole["close"].iloc[-1]
    assert (row["high"], row["low"]) == (150.0, 50.0)
    assert row["volume"] == whole["volume"].sum()
    assert np.isnan(session_bars(frame.assign(volume=np.nan), "XNYS", FIVE).bars["volume"].iloc[0])
    quoted = frame.assign(bid_close=frame["close"] - 0.01, ask_close=frame["close"] + 0.01)
    quoted.loc[quoted["bar_at"].idxmax(), "bid_close"] = np.nan  # the last bar's, not the last there is
    closing = session_bars(quoted, "XNYS", FIVE).bars.iloc[0]
    assert (closing["ask"], np.isnan(closing["bid"])) == (whole["close"].iloc[-1] + 0.01, True)


def test_a_half_finished_session_makes_no_bar_and_is_named() -> None:
    whole, part = bars(), bars(first="2024-03-11T13:30Z", count=60)
    made = session_bars(versions(pd.concat([whole, part], ignore_index=True)), "XNYS", FIVE)
    assert list(made.bars["session"]) == [pd.Timestamp("2024-03-08")]
    rows = made.left_out.to_dict("records")
    assert [(row["symbol"], row["session"], row["bars"], row["due"]) for row in rows] == [
        ("AAA", pd.Timestamp("2024-03-11"), 60, 78)
    ]
    assert rows[0]["rule"] == "missing_at_close"
    assert rows[0]["value"] == "90 minutes missing at the close, limit 3"
    assert "intraday.max_minutes_missing_at_close" in rows[0]["remedy"]


def test_a_half_day_is_a_whole_session() -> None:
    made = session_bars(versions(bars(first="2024-11-29T14:30Z", count=42)), "XNYS", FIVE)
    assert len(made.bars) == 1


def test_a_session_that_is_over_lacks_the_bars_after_its_last_and_one_that_goes_on_does_not() -> None:
    part = versions(bars(first="2024-03-08T14:40Z", count=69))
    result = cleaned(part)
    assert [(str(gap.after.time()), gap.missing) for gap in result.gaps.itertuples()] == [("20:20:00", 7)]
    assert (result.due, result.missing_fraction) == (76, pytest.approx(7 / 76))
    during = pd.Timestamp("2024-03-08T20:26Z").as_unit("ns")
    running = clean_intraday(part, "XNYS", FIVE, CleaningSettings(), seen_at=during)
    assert (running.due, len(running.gaps)) == (69, 0)


def test_bars_before_the_first_one_of_a_symbol_are_not_missing_and_those_before_a_later_sessions_first_are() -> None:
    begins = bars(first="2024-03-08T20:00Z", count=12)  # in the last hour of its first session
    late = bars(first="2024-03-11T13:45Z", count=75)  # a quarter of an hour into its second
    other = bars("BBB")
    result = cleaned(versions(pd.concat([begins, late, other], ignore_index=True)))
    assert [(gap.symbol, str(gap.after), gap.missing) for gap in result.gaps.itertuples()] == [
        ("AAA", "2024-03-08 20:55:00+00:00", 3)
    ]
    assert result.due == 12 + 78 + 78
    report = inspect_intraday(result, ("AAA", "BBB"), FIVE, GateSettings())
    assert report.passed


@pytest.mark.parametrize("calendar", ["XNYS", "24/7"])
def test_a_session_cut_before_its_close_makes_no_bar_whatever_its_coverage(calendar) -> None:
    count, first = (78, "2024-03-08T14:30Z") if calendar == "XNYS" else (288, "2024-03-08T00:00Z")
    cut = versions(bars(first=first, count=count - 7), calendar=calendar)
    made = session_bars(cut, calendar, FIVE)
    assert (len(made.bars), list(made.left_out["bars"])) == (0, [count - 7])
    # Where no one trades in the last minutes, the last price is the close.
    lenient = FIVE.model_copy(update={"max_minutes_missing_at_close": 35})
    assert len(session_bars(cut, calendar, lenient).bars) == 1
    strict = FIVE.model_copy(update={"max_minutes_missing_at_close": 34})
    assert session_bars(cut, calendar, strict).bars.empty


TRADING = {
    "exchange": ("XNYS", "2024-03-07T14:30Z", "2024-03-08T14:30Z", 78, {}),
    "never closes": ("24/7", "2024-03-07T00:00Z", "2024-03-08T00:00Z", 288, {}),
    "rolled": (
        "24/5",
        "2024-03-06T22:00Z",
        "2024-03-07T22:00Z",
        288,
        {"rolls_at": "17:00", "timezone": "America/New_York"},
    ),
}


@pytest.mark.full
@pytest.mark.parametrize("market", TRADING)
def test_a_session_that_lacks_its_first_bars_makes_no_bar_whatever_its_coverage(market) -> None:
    calendar, before, first, count, rolled = TRADING[market]
    settings = FIVE.model_copy(update=rolled)
    begins = pd.Timestamp(first) + pd.Timedelta(minutes=35)
    frame = pd.concat([bars(first=before, count=count), bars(first=begins, count=count - 7)], ignore_index=True)
    cut = stamped_intraday(frame, calendar, settings, ARRIVED)
    made = session_bars(cut, calendar, settings)
    assert list(made.bars["session"]) == [pd.Timestamp("2024-03-07")]
    rows = made.left_out.to_dict("records")
    assert [(row["symbol"], row["session"], row["bars"], row["due"]) for row in rows] == [
        ("AAA", pd.Timestamp("2024-03-08"), count - 7, count)
    ]
    assert (rows[0]["rule"], rows[0]["value"]) == ("missing_at_open", "35 minutes missing at the open, limit 3")
    assert "intraday.max_minutes_missing_at_open" in rows[0]["remedy"]
    # Where no one trades in the first minutes, the first price is the open.
    for limit, kept in ((34, 1), (35, 2)):
        lenient = settings.model_copy(update={"max_minutes_missing_at_open": limit})
        assert len(session_bars(cut, calendar, lenient).bars) == kept


def test_the_first_session_of_a_symbol_that_begins_within_it_says_so() -> None:
    frame = pd.concat([bars("BBB"), bars(first="2024-03-08T15:00Z", count=72)], ignore_index=True)
    made = session_bars(versions(frame), "XNYS", FIVE)
    assert list(made.bars["symbol"]) == ["BBB"]
    assert [(row.symbol, row.rule) for row in made.left_out.itertuples()] == [("AAA", "begins_within_session")]
    assert made.left_out["value"].iloc[0] == "30 minutes missing at the open, limit 3"


def test_a_session_with_its_ends_and_too_little_between_them_is_left_out_for_its_coverage() -> None:
    made = session_bars(versions(bars().drop(index=range(20, 30))), "XNYS", FIVE)
    assert [(row.rule, row.value) for row in made.left_out.itertuples()] == [
        ("session_coverage", "68 of 78 bars, at least 90% wanted")
    ]


def test_a_faulty_first_bar_leaves_the_session_without_its_open() -> None:
    result = cleaned(
        versions(with_values(pd.concat([bars(), bars(first="2024-03-11T13:30Z")]).reset_index(drop=True), 78, open=0.0))
    )
    made = session_bars(result.bars, "XNYS", FIVE)
    assert [(str(row.session.date()), row.rule) for row in made.left_out.itertuples()] == [
        ("2024-03-11", "missing_at_open")
    ]
    assert result.gaps.empty


def test_no_bar_is_due_on_a_halted_session() -> None:
    whole = bars(first="2018-01-02T14:30Z")
    later = bars(first="2018-01-04T14:30Z")
    frame = versions(pd.concat([whole, later], ignore_index=True))
    plain = clean_intraday(frame, "XNYS", FIVE, CleaningSettings())
    assert (plain.gaps["missing"].tolist(), plain.due) == ([78], 234)
    day = pd.Timestamp("2018-01-03")
    known = pd.Timestamp("2018-01-03T14:00Z")
    spell = {"halted_from": day, "resumes": day + pd.Timedelta(days=1)}
    halts = framed(HALTS, 1, symbol="AAA", source="halts", known_at=known, ingested_at=known, **spell)
    halted = clean_intraday(frame, "XNYS", FIVE, CleaningSettings(), halts=halts)
    assert (halted.gaps.empty, halted.due) == (True, 156)
    late = halts.assign(known_at=pd.Timestamp("2033-01-03T14:00Z"))
    assert clean_intraday(frame, "XNYS", FIVE, CleaningSettings(), halts=late).due == 234
