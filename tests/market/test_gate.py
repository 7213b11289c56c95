"""The gate: each limit passed and broken, and a halt that names symbol, session, rule and value."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import GateHalted
from nn_assets.market.quality.cleaning import Cleaned, clean
from nn_assets.market.quality.gate import GateReport, bars_due, inspect
from nn_assets.market.quality.gate_checks import CHECKS, blocking_checks
from nn_assets.settings import CleaningSettings, GateSettings
from tests.market.builders import CALENDAR, moment, sound_bars, with_values

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
BARS = sound_bars(SYMBOLS, count=50)
SESSIONS = pd.DatetimeIndex(BARS["session"].unique())


def cleaned(bars: pd.DataFrame) -> Cleaned:
    return clean(bars, CALENDAR, CleaningSettings())


def failed(report: GateReport) -> list[str]:
    return [check.name for check in report.failures]


def halt(report: GateReport) -> GateHalted:
    with pytest.raises(GateHalted) as caught:
        report.raise_if_failed()
    return caught.value


def test_sound_data_pass_every_check() -> None:
    report = inspect(cleaned(BARS), SYMBOLS, SESSIONS, GateSettings())
    report.raise_if_failed()
    assert report.passed
    assert tuple(check.name for check in report.checks) == CHECKS
    assert report.figures["bars"] == 200


def test_too_many_quarantined_rows_halt_and_each_is_named() -> None:
    bars = with_values(BARS, 7, low=-2.5)
    limits = GateSettings(max_quarantined_fraction=0.004)
    report = inspect(cleaned(bars), SYMBOLS, SESSIONS, limits)
    assert failed(report) == ["quarantined_share"]
    assert halt(report).violations == ("AAA 2018-01-11: non_positive_price, low -2.5",)
    assert "raise gate.max_quarantined_fraction" in halt(report).remedy
    assert inspect(cleaned(bars), SYMBOLS, SESSIONS, GateSettings(max_quarantined_fraction=0.005)).passed


def test_a_symbol_that_was_never_delivered_is_missing() -> None:
    report = inspect(cleaned(BARS), (*SYMBOLS, "EEE"), SESSIONS, GateSettings())
    assert failed(report) == ["missing_symbols"]
    assert halt(report).violations == ("EEE 2018-03-14: missing_symbols, last clean bar never",)
    assert inspect(cleaned(BARS), (*SYMBOLS, "EEE"), SESSIONS, GateSettings(max_missing_symbols_fraction=0.2)).passed


def test_a_symbol_whose_bar_of_the_day_is_in_quarantine_is_missing() -> None:
    report = inspect(cleaned(with_values(BARS, 49, volume=0.0)), SYMBOLS, SESSIONS, GateSettings())
    assert failed(report) == ["missing_symbols"]
    assert halt(report).violations == (
        "AAA 2018-03-14: missing_symbols, last clean bar 2018-03-13; in quarantine: zero_volume, volume 0.0",
    )


def test_a_newest_bar_taken_in_before_its_close_halts_and_says_so() -> None:
    early = with_values(BARS, 49, ingested_at=moment("2018-03-14 19:59"))
    report = inspect(cleaned(early), SYMBOLS, SESSIONS, GateSettings())
    assert failed(report) == ["missing_symbols"]
    assert "in quarantine: unfinished_last_bar, ingested_at 2018-03-14 19:59" in halt(report).violations[0]


def redelivered(symbols: tuple[str, ...]) -> pd.DataFrame:
    """The last session of some symbols repeats the one before it, price by price; a bar with a range were a copy."""
    bars = BARS.copy()
    for symbol in symbols:
        before, last = bars.index[bars["symbol"] == symbol][-2:]
        bars.loc[[before, last], ["open", "high", "low", "close"]] = bars.loc[before, "close"]
        bars.loc[last, "volume"] = bars.loc[before, "volume"]
    return bars


def test_yesterdays_bars_under_todays_date_halt() -> None:
    report = inspect(cleaned(redelivered(("AAA", "BBB", "CCC"))), SYMBOLS, SESSIONS, GateSettings())
    assert failed(report) == ["stale_feed"]
    error = halt(report)
    assert len(error.violations) == 3
    close = BARS.loc[BARS["symbol"] == "BBB", "close"].iloc[-2]
    assert error.violations[1] == f"BBB 2018-03-14: stale_feed, close {close:g} and all else as the session before"
    assert "gate.max_repeated_bars_fraction" in error.remedy


@pytest.mark.parametrize(("allowed", "passes"), [(0.25, False), (0.5, True)])
def test_a_few_bars_that_repeat_keep_within_the_limit(allowed, passes) -> None:
    limits = GateSettings(max_repeated_bars_fraction=allowed)
    assert inspect(cleaned(redelivered(("AAA", "DDD"))), SYMBOLS, SESSIONS, limits).passed is passes


def test_a_newest_bar_that_differs_in_volume_alone_is_no_repeat() -> None:
    bars = redelivered(SYMBOLS)
    last = bars.groupby("symbol").tail(1).index
    bars.loc[last, "volume"] += 1.0
    assert inspect(cleaned(bars), SYMBOLS, SESSIONS, GateSettings(max_repeated_bars_fraction=0.0)).passed


@pytest.mark.parametrize("fills_at_open", [False, True])
def test_opens_that_nobody_could_trade_halt_where_orders_fill_at_the_open(fills_at_open) -> None:
    bars = sound_bars(("AAA",), count=300)
    bars["open"] = bars["close"].shift().fillna(bars["open"])
    bars["high"] = bars[["open", "high"]].max(axis=1)
    bars["low"] = bars[["open", "low"]].min(axis=1)
    sessions = pd.DatetimeIndex(bars["session"])
    report = inspect(cleaned(bars), ("AAA",), sessions, GateSettings(), fills_at_open=fills_at_open)
    assert failed(report) == (["repeated_open"] if fills_at_open else [])
    assert ("repeated_open" in blocking_checks(fills_at_open=fills_at_open)) is fills_at_open
    if fills_at_open:
        error = halt(report)
        assert "label.execution next_close" in error.remedy
        assert "1 symbol whose open repeats the close before over a long stretch: AAA" in error.found
        assert "kept" not in error.found
        # What was found stands together, and the remedy whole after it.
        message, _, remedy = str(error).partition("\nRemedy: ")
        assert message.endswith(error.violations[-1])
        assert remedy == error.remedy
    else:
        (check,) = [check for check in report.checks if check.name == "repeated_open"]
        assert "1 for a person to judge; rows kept" in check.detail


def test_a_bar_is_due_from_the_first_delivered_session_on_and_never_where_none_came() -> None:
    first = BARS["symbol"].iloc[0]
    of_first = BARS.index[BARS["symbol"] == first]
    due, absent = bars_due(cleaned(BARS.drop(index=[*of_first[:7], of_first[20]])), (first, "EEE"), SESSIONS)
    assert list(due.sum(axis=0)) == [len(SESSIONS) - 7, 0]
    assert [tuple(cell) for cell in np.argwhere(absent)] == [(20, 0)]


def test_sessions_never_delivered_halt_and_each_is_named() -> None:
    bars = BARS.drop(index=range(10, 21))
    report = inspect(cleaned(bars), SYMBOLS, SESSIONS, GateSettings())
    assert failed(report) == ["missing_sessions"]
    assert len(halt(report).violations) == 11
    assert halt(report).violations[0] == "AAA 2018-01-17: missing_sessions, no bar that is known"
    assert inspect(cleaned(bars), SYMBOLS, SESSIONS, GateSettings(max_missing_sessions_fraction=0.055)).passed


def test_a_symbol_is_missing_on_the_days_on_which_it_is_a_member_alone() -> None:
    bars = BARS.drop(index=range(10, 21))  # eleven of AAA
    member = np.ones((len(SESSIONS), len(SYMBOLS)), dtype=bool)
    member[10:21, 0] = False
    report = inspect(cleaned(bars), SYMBOLS, SESSIONS, GateSettings(max_missing_sessions_fraction=0.0), members=member)
    assert report.passed
    assert "0 of 189 bars due" in next(check.detail for check in report.checks if check.name == "missing_sessions")
    member[20, 0] = True
    report = inspect(cleaned(bars), SYMBOLS, SESSIONS, GateSettings(max_missing_sessions_fraction=0.0), members=member)
    assert halt(report).violations == ("AAA 2018-01-31: missing_sessions, no bar that is known",)


def test_a_symbol_listed_late_misses_nothing_before_its_first_session() -> None:
    assert inspect(cleaned(BARS.drop(index=range(30))), SYMBOLS, SESSIONS, GateSettings()).passed


def test_a_halted_instrument_is_no_missing_bar() -> None:
    bars = BARS.copy()
    bars.loc[10:20, "volume"] = 0.0
    report = inspect(cleaned(bars), SYMBOLS, SESSIONS, GateSettings(max_quarantined_fraction=0.1))
    assert report.passed


@pytest.mark.parametrize(("allowed", "passes"), [(0, False), (1, False), (2, True)])
def test_data_that_do_not_reach_the_expected_session_halt(allowed, passes) -> None:
    bars = BARS[BARS["session"] <= SESSIONS[-3]]
    report = inspect(cleaned(bars), SYMBOLS, SESSIONS, GateSettings(max_stale_sessions=allowed))
    assert report.passed is passes
    assert ("freshness" in failed(report)) is not passes


def test_bars_that_all_end_on_one_day_are_one_cause() -> None:
    bars = BARS[BARS["session"] <= SESSIONS[-3]]
    report = inspect(cleaned(bars), SYMBOLS, SESSIONS, GateSettings())
    assert failed(report) == ["missing_symbols", "freshness"]
    error = halt(report)
    assert error.where["rule"] == "freshness"
    assert error.violations == ("all 2018-03-14: freshness, newest 2018-03-12",)
    assert "missing_symbols" not in str(error)
    long_ago = inspect(cleaned(BARS[BARS["session"] <= SESSIONS[9]]), SYMBOLS, SESSIONS, GateSettings())
    assert failed(long_ago) == ["missing_symbols", "missing_sessions", "freshness"]
    assert halt(long_ago).where["rule"] == "freshness"


def test_bars_with_faults_of_their_own_beside_a_common_end_are_told_with_them() -> None:
    whole = BARS[BARS["session"] <= SESSIONS[-3]]
    earlier = whole[(whole["symbol"] != "AAA") | (whole["session"] < SESSIONS[-4])]
    with_gaps = whole[(whole["symbol"] != "AAA") | ~whole["session"].isin(SESSIONS[10:30])]
    newest = BARS[BARS["session"] <= SESSIONS[-2]].copy()
    newest.loc[newest["session"] == SESSIONS[-2], "low"] = -1.0  # there, and in quarantine
    cases = ((earlier, "missing_symbols"), (with_gaps, "missing_sessions"), (newest, "missing_symbols"))
    for bars, other in cases:
        report = inspect(cleaned(bars), SYMBOLS, SESSIONS, GateSettings())
        assert {other, "freshness"} <= {check.name for check in report.causes}, other


def test_bars_that_break_their_contract_halt_with_every_violation_listed() -> None:
    sound = cleaned(BARS)
    torn = with_values(with_values(sound.bars, 3, close=-1.0), 60, high=0.5)
    report = inspect(replace(sound, bars=torn), SYMBOLS, SESSIONS, GateSettings())
    assert failed(report) == ["schema"]
    listed = "\n".join(halt(report).violations)
    assert "AAA 2018-01-05: greater_than(0.0), close -1.0" in listed
    assert "BBB 2018-01-17: high >= max(open, close)" in listed


def test_nothing_at_all_fails_everything_that_needs_data() -> None:
    report = inspect(cleaned(BARS.iloc[:0]), SYMBOLS, SESSIONS, GateSettings())
    assert failed(report) == ["missing_symbols", "missing_sessions", "freshness"]
    with pytest.raises(GateHalted, match="empty span"):
        inspect(cleaned(BARS), SYMBOLS, SESSIONS[:0], GateSettings())


def test_what_a_person_should_judge_is_reported_and_stops_nothing() -> None:
    bars = BARS.copy()
    bars.loc[30:49, ["open", "high", "low", "close"]] *= 0.5
    report = inspect(cleaned(bars), SYMBOLS, SESSIONS, GateSettings())
    report.raise_if_failed()
    split = next(check for check in report.checks if check.name == "possible_split")
    assert not split.passed
    assert "AAA 2018-02-14: possible_split" in split.violations[0]


def test_a_halt_survives_the_way_between_processes() -> None:
    error = halt(inspect(cleaned(BARS), (*SYMBOLS, "EEE"), SESSIONS, GateSettings()))
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.violations) == (str(error), error.violations)


def test_a_feed_whose_bars_have_none_before_them_is_not_passed_and_stops_nothing() -> None:
    bars = BARS[BARS["session"] != SESSIONS[-2]]
    report = inspect(cleaned(bars), SYMBOLS, SESSIONS, GateSettings(max_missing_sessions_fraction=0.5))
    (check,) = [check for check in report.checks if check.name == "stale_feed"]
    assert (check.passed, check.blocking) == (False, False)
    assert check.detail.startswith("nothing to compare")
    assert report.passed


def test_nothing_is_expected_of_what_was_delisted_from_its_day_on() -> None:
    last, gone = SESSIONS[-1], SESSIONS[-5]
    bars = BARS[(BARS["symbol"] != SYMBOLS[0]) | (BARS["session"] < gone)]
    strict = GateSettings(max_missing_symbols_fraction=0.0, max_missing_sessions_fraction=0.0)

    def failed(**delisted: object) -> set[str]:
        return {check.name for check in inspect(cleaned(bars), SYMBOLS, SESSIONS, strict, **delisted).failures}

    assert failed() == {"missing_symbols", "missing_sessions"}
    assert failed(delisted={SYMBOLS[0]: gone}) == set()
    assert failed(delisted={SYMBOLS[0]: SESSIONS[-3]}) == {"missing_sessions"}
    assert failed(delisted={SYMBOLS[0]: last + pd.Timedelta(days=9)}) == {"missing_symbols", "missing_sessions"}
