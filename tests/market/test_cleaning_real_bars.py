"""Cleaning: counts on real data."""

from __future__ import annotations

import pandas as pd
import pytest

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.facts.bars import known_bars, with_assumed_known_at
from nn_assets.market.quality.cleaning import Cleaned
from nn_assets.market.quality.gate import inspect
from nn_assets.settings import GateSettings
from nn_assets.sources.bundled import BundledSource
from nn_assets.sources.tables.files import FilesSource
from tests.market.builders import ARRIVAL, CALENDAR, cleaned, verdicts


def judged(bars: pd.DataFrame) -> Cleaned:
    return cleaned(known_bars(with_assumed_known_at(bars, CALENDAR, 30, ARRIVAL), ARRIVAL))


@pytest.fixture(scope="module")
def of_five_years(five_years: pd.DataFrame) -> Cleaned:
    return judged(five_years)


def test_in_the_bundled_sample_two_nasdaq_rows_without_volume_are_quarantined() -> None:
    result = judged(BundledSource().bars())
    assert verdicts(result) == [
        ("2015-05-12", "zero_volume", "volume"),
        ("2018-01-09", "zero_volume", "volume"),
    ]
    assert set(result.quarantine["symbol"]) == {"NASDAQ"}
    assert len(result.bars) == 10_060


def test_in_the_bundled_sample_the_repeated_opens_before_2006_are_noticed() -> None:
    (notice,) = judged(BundledSource().bars()).notices
    assert (notice.rule, notice.symbol) == ("repeated_open", "SP500")
    assert notice.first_session == pd.Timestamp("1999-01-05")
    assert notice.last_session.year == 2006
    assert notice.value > 0.95


def test_real_crashes_stay_and_are_told_from_splits(shared_data) -> None:
    result = judged(FilesSource(shared_data / "adjusted_yahoo").bars())
    assert result.quarantine.empty
    assert [(notice.symbol, f"{notice.first_session:%F}", notice.rule) for notice in result.notices] == [
        ("AAPL", "2000-06-21", "possible_split"),
        ("AAPL", "2000-09-29", "unexplained_jump"),
        ("AAPL", "2005-02-28", "possible_split"),
        ("MSFT", "2003-02-18", "possible_split"),
    ]


def test_five_years_of_122_stocks_lose_exactly_their_known_faults(of_five_years) -> None:
    result = of_five_years
    # The data's description counts 8 null opens (4 of them with no volume) and 9 broken brackets.
    assert {rule: count for rule, count in result.counts().items() if count} == {
        "missing_price": 8,
        "high_low_bracket": 9,
        "copied_bar": 190,
    }
    quarantined = result.quarantine.assign(session=result.quarantine["session"].dt.strftime("%F"))
    found_at = {
        (row.symbol, row.session): (row.rule, row.field, row.value) for row in quarantined.itertuples(index=False)
    }
    assert found_at["LNT", "2016-05-19"] == ("high_low_bracket", "close", "17.87")
    assert found_at["O", "2016-01-12"] == found_at["DHR", "2016-01-12"] == ("missing_price", "open", "nan")
    of_the_tick = (quarantined["symbol"] == "LNT") & (quarantined["session"] == "2016-05-19")
    message = quarantined.loc[of_the_tick, "message"].item()
    assert "low 35.085" in message
    # The bad tick is gone, so the return to normal after it is no jump.
    assert "LNT" not in {notice.symbol for notice in result.notices if notice.rule != "possible_copy"}


@pytest.mark.full
def test_in_five_years_real_moves_stay_and_actions_that_were_missed_are_for_a_person(of_five_years) -> None:
    result = of_five_years
    kept = set(zip(result.bars["symbol"], result.bars["session"].dt.strftime("%F"), strict=True))
    real = {("VRTX", "2013-04-19"), ("VRTX", "2014-06-24"), ("AMD", "2016-04-22"), ("AMD", "2017-05-02")}
    missed = {("EBAY", "2015-07-20"), ("DISCA", "2014-08-07")}
    assert real | missed <= kept
    noticed = {(notice.symbol, f"{notice.first_session:%F}"): notice for notice in result.notices}
    assert missed <= set(noticed)
    assert "close 66.29 -> 28.57 (-56.9%)" in noticed["EBAY", "2015-07-20"].message
    assert noticed["DISCA", "2014-08-07"].rule == "possible_split"
    assert "near a 2 split" in noticed["DISCA", "2014-08-07"].message
    of_rows = [notice for notice in result.notices if notice.rule not in ("copied_session", "possible_copy")]
    assert all("for a decision, row kept" in notice.message for notice in of_rows)


@pytest.mark.full
def test_the_flaws_of_five_years_of_122_stocks_are_those_that_their_description_counts(
    five_years, of_five_years
) -> None:
    raw = five_years.sort_values(["symbol", "session"])
    report = inspect(of_five_years, (), sessions_between(CALENDAR, "2013-02-08", "2018-02-07"), GateSettings())
    outside = (raw["close"] > raw["high"]) | (raw["close"] < raw["low"])
    outside |= (raw["open"] > raw["high"]) | (raw["open"] < raw["low"])
    moves = raw.groupby("symbol")["close"].pct_change()
    assert raw["symbol"].nunique() == 122
    assert raw["open"].isna().sum() == 8
    assert (raw["high"] < raw["low"]).sum() == 1
    assert outside.sum() == 9
    assert (raw["volume"] == 0.0).sum() == 4
    assert (moves.abs() > 0.5).sum() == 5
    missing = next(check for check in report.checks if check.name == "missing_sessions")
    assert missing.detail.startswith("32 of ")
    report.raise_if_failed()


def test_a_volatility_index_loses_its_holidays_and_broken_brackets(shared_data) -> None:
    source = FilesSource(shared_data / "vix" / "vix-daily.csv", requires_volume=False)
    late = pd.Timestamp("2027-01-01", tz="UTC")
    bars = with_assumed_known_at(source.bars(), CALENDAR, 30, late)
    result = cleaned(bars, traded_with_volume=False)
    assert {rule: count for rule, count in result.counts().items() if count} == {
        "off_calendar": 33,
        "high_low_bracket": 47,
        "isolated_wick": 4,  # 31.36 beside 14.86, 26.83 beside 12.68, 36.56 beside 11.12, 28.13 beside 65.85
    }
