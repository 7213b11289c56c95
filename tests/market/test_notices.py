"""Notices: large moves and repeated opens, on series made for them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.calendar.sessions import assumed_known_at, sessions_between
from nn_assets.market.quality.cleaning import clean
from nn_assets.market.quality.gate import inspect
from nn_assets.market.quality.notices import Notice, rule_counts_text
from nn_assets.settings import CleaningSettings, GateSettings
from tests.market.builders import CALENDAR, sound_bars

PRICES = ["open", "high", "low", "close"]


def notices(bars: pd.DataFrame, **changes: object) -> tuple[Notice, ...]:
    result = clean(bars, CALENDAR, CleaningSettings(**changes))
    assert result.quarantine.empty
    return result.notices


def moved(bars: pd.DataFrame, row: int, factor: float, symbol: str = "AAA") -> pd.DataFrame:
    """The level changes by a factor from a row of one symbol on, open included."""
    changed = bars.copy()
    rows = changed.index[changed["symbol"] == symbol][row:]
    changed.loc[rows, PRICES] *= factor
    return changed


@pytest.mark.parametrize(
    ("factor", "rule", "named"),
    [
        (0.5, "possible_split", "near a 2 split"),
        (2.0 / 3.0, "possible_split", "near a 1.5 split"),
        (10.0, "possible_split", "near a 0.1 split"),
        (0.58, "unexplained_jump", "row kept"),
        (1.62, "unexplained_jump", "row kept"),
    ],
)
def test_a_move_beyond_its_past_is_pointed_out_and_kept(factor, rule, named) -> None:
    bars = sound_bars()
    (notice,) = notices(moved(bars, 80, factor))
    assert (notice.rule, notice.symbol, notice.first_session) == (rule, "AAA", bars["session"][80])
    assert named in notice.message


@pytest.mark.parametrize(
    ("last", "value", "line"),
    [
        ("2018-03-01", -0.51234, "AAA 2018-03-01: rule -0.5123: message"),
        ("2018-03-09", 2.0, "AAA 2018-03-01 to 2018-03-09: rule 2: message"),
        ("2018-03-01", math.nan, "AAA 2018-03-01: rule: message"),
    ],
)
def test_a_line_carries_symbol_session_rule_and_value(last, value, line) -> None:
    assert Notice("rule", "AAA", pd.Timestamp("2018-03-01"), pd.Timestamp(last), value, "message").line == line


def test_the_most_frequent_rule_is_told_first() -> None:
    assert rule_counts_text({"few": 2, "many": 1200, "also_few": 2}) == "many 1,200, also_few 2, few 2"


def acted(kind: str, value: float, session: pd.Timestamp, symbol: str = "AAA") -> pd.DataFrame:
    return pd.DataFrame({"symbol": [symbol], "ex_session": [session], "kind": [kind], "value": [value]})


def noticed_with(bars: pd.DataFrame, actions: pd.DataFrame) -> list[str]:
    return [notice.rule for notice in clean(bars, CALENDAR, CleaningSettings(), actions).notices]


def test_a_move_that_a_split_accounts_for_needs_no_notice() -> None:
    bars = sound_bars(("AAA", "BBB"))
    halved, on = moved(bars, 80, 0.5), bars["session"][80]
    assert noticed_with(halved, acted("split", 2.0, on)) == []
    assert noticed_with(halved, acted("split", 2.0, on, "BBB")) == ["possible_split", "unexplained_jump"]
    # Stated a day late, the bar of the day itself stands apart from both beside it.
    late = noticed_with(halved, acted("split", 2.0, bars["session"][81]))
    assert late == ["possible_split", "unexplained_jump", "displaced_bar"]
    wrong = clean(halved, CALENDAR, CleaningSettings(), acted("split", 0.5, on)).notices
    assert [notice.rule for notice in wrong] == ["possible_split"]
    assert "(-49.6%), -74.8% net of the actions on record" in wrong[0].message


def test_a_move_that_a_dividend_accounts_for_needs_no_notice() -> None:
    bars = sound_bars()
    special = acted("dividend", 0.4 * bars["close"][79], bars["session"][80])
    assert noticed_with(moved(bars, 80, 0.6), special) == []
    assert noticed_with(moved(bars, 80, 0.6), special.assign(value=np.nan)) == ["unexplained_jump"]
    assert noticed_with(moved(bars, 80, 0.6), special.assign(value=1e6)) == ["unexplained_jump"]


def test_an_action_on_a_day_without_a_bar_counts_on_the_next_row() -> None:
    bars = sound_bars()
    halved = moved(bars, 80, 0.5).drop(index=79)
    assert noticed_with(halved, acted("split", 2.0, bars["session"][79])) == []


def test_how_near_to_a_ratio_a_move_must_lie_is_a_setting() -> None:
    bars = moved(sound_bars(), 80, 0.5)
    prices = np.log(bars["close"][79] / np.array([bars["open"][80], bars["close"][80]])) - np.log(2.0)
    just_under = float(np.abs(prices).min()) * 0.9
    assert [notice.rule for notice in notices(bars, split_slack_log_return=just_under)] == ["unexplained_jump"]


def test_a_move_of_the_whole_market_needs_no_notice() -> None:
    symbols = ("AAA", "BBB", "CCC", "DDD")
    bars = sound_bars(symbols)
    for symbol in symbols:
        bars = moved(bars, 80, 0.6, symbol)
    assert notices(bars) == ()


def test_with_two_symbols_no_market_excuses_a_move() -> None:
    bars = sound_bars(("AAA", "BBB"))
    for symbol in ("AAA", "BBB"):
        bars = moved(bars, 80, 0.6, symbol)
    assert [notice.symbol for notice in notices(bars)] == ["AAA", "BBB"]


def test_a_move_usual_for_a_wild_instrument_needs_no_notice() -> None:
    bars = sound_bars()
    bars[PRICES] *= np.where(np.arange(120) % 2, 1.3, 1.0)[:, None]
    assert [notice for notice in notices(bars) if notice.first_session > bars["session"][25]] == []


def test_a_move_is_judged_only_against_what_came_before_it() -> None:
    calm_then_wild = sound_bars()
    # The level swings by 30% every session from row 60 on: the first swing is the surprise.
    swings = np.where((np.arange(120) >= 60) & (np.arange(120) % 2 == 0), 1.4, 1.0)
    calm_then_wild[PRICES] *= swings[:, None]
    assert notices(calm_then_wild)[0].first_session == calm_then_wild["session"][60]


def repeated(share: float, first: int, stop: int, count: int = 480) -> pd.DataFrame:
    bars = sound_bars(count=count)
    chosen = np.flatnonzero(np.random.default_rng(4).random(count) < share)
    for row in chosen[(chosen >= first) & (chosen < stop)]:
        bars.loc[row, "open"] = bars["close"][row - 1]
    bars["high"] = np.maximum(bars["high"], bars["open"])
    bars["low"] = np.minimum(bars["low"], bars["open"])
    return bars


def test_a_long_stretch_of_repeated_opens_is_found_with_its_ends_and_share() -> None:
    bars = repeated(0.95, 40, 340)
    (notice,) = notices(bars)
    assert notice.rule == "repeated_open"
    assert abs(int(bars.index[bars["session"] == notice.first_session][0]) - 40) <= 3
    assert abs(int(bars.index[bars["session"] == notice.last_session][0]) - 339) <= 3
    assert notice.value == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize(("share", "stop"), [(0.3, 480), (0.95, 200)])
def test_few_repeats_or_a_short_stretch_of_them_are_chance(share, stop) -> None:
    assert notices(repeated(share, 1, stop)) == ()


@pytest.mark.parametrize(("calendar", "expected"), [("24/7", []), ("24/5", []), ("XNYS", ["repeated_open"])])
def test_an_open_that_equals_the_close_before_is_how_a_market_trades_that_never_closes(
    calendar: str, expected: list[str], shared_data: Path
) -> None:
    """Each real five-minute bar is taken for a session: 51% of 5,720 opens equal the close before."""
    table = pd.read_feather(shared_data / "crypto_freqtrade" / "ADA_BTC-5m.feather")
    days = sessions_between(calendar, "1995-01-02", "2019-12-31")[: len(table)]
    known = assumed_known_at(calendar, days, 30)
    bars = table.assign(symbol="ADA", session=days, source="test", known_at=known, ingested_at=known)
    result = clean(bars.drop(columns="date"), calendar, CleaningSettings(jump_minimum_log_return=9.0))
    assert [notice.rule for notice in result.notices if notice.rule == "repeated_open"] == expected
    sessions = pd.DatetimeIndex(days)
    report = inspect(result, ("ADA",), sessions, GateSettings(), fills_at_open=True)
    assert report.passed is (not expected)
    assert len(result.bars) + len(result.quarantine) == len(table)
