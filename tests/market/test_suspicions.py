"""Faults put into sound bars are pointed out, and what is merely surprising is not; real data last."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.quality.notices import Notice
from nn_assets.market.quality.suspected import Suspected
from nn_assets.sources.tables.files import FilesSource
from tests.market.builders import sound_bars, with_values

PRICES = ["open", "high", "low", "close"]
DAY = sound_bars()["session"]
Action = tuple[int, str, float]  # row of the bars, kind, value
Suspicions = list[tuple[str, int]]


def actions_of(*actions: Action) -> pd.DataFrame:
    rows = [("AAA", DAY[at], kind, value) for at, kind, value in actions]
    frame = pd.DataFrame(rows, columns=["symbol", "ex_session", "kind", "value"])
    return frame.astype({"ex_session": "datetime64[ns]", "value": "float64"})


def split_from(bars: pd.DataFrame, at: int, ratio: float) -> pd.DataFrame:
    """What a split of ``ratio`` new shares for one does to raw bars from row ``at`` on."""
    changed = bars.copy()
    changed.loc[at:, PRICES] /= ratio
    changed.loc[at:, "volume"] *= ratio
    return changed


def paid_from(bars: pd.DataFrame, at: int, cash: float) -> pd.DataFrame:
    changed = bars.copy()
    changed.loc[at:, PRICES] *= 1.0 - cash / bars["close"][at - 1]
    return changed


def scaled(bars: pd.DataFrame, first: int, last: int, factor: float, *, names: list[str] = PRICES) -> pd.DataFrame:
    changed = bars.copy()
    changed.loc[first:last, names] *= factor
    return changed


def suspicions(bars: pd.DataFrame, actions: pd.DataFrame) -> tuple[Notice, ...]:
    return Suspected.of(bars, actions).notices


def found_in(bars: pd.DataFrame, *actions: Action) -> Suspicions:
    notices = suspicions(bars, actions_of(*actions))
    return [(notice.rule, list(DAY).index(notice.first_session)) for notice in notices]


@pytest.mark.parametrize("ratio", [2.0, 1.5, 7.0, 0.1, 0.02])
def test_a_split_that_the_prices_show_is_no_suspicion(ratio: float) -> None:
    bars = split_from(sound_bars(), 60, ratio)
    assert found_in(bars, (60, "split", ratio)) == []


@pytest.mark.parametrize("ratio", [2.0, 1.5, 7.0, 0.1, 0.02])
def test_a_split_that_nobody_stated_is_found(ratio: float) -> None:
    (notice,) = suspicions(split_from(sound_bars(), 60, ratio), actions_of())
    assert (notice.rule, notice.first_session) == ("unrecorded_action", DAY[60])
    assert f"a split of {ratio:g} new shares for one" in notice.message


@pytest.mark.parametrize("shift", [-3, -1, 1, 3])
def test_a_split_stated_for_the_wrong_day_is_found(shift: int) -> None:
    notices = found_in(split_from(sound_bars(), 60, 4.0), (60 + shift, "split", 4.0))
    assert notices == [("split_misapplied", min(60, 60 + shift))]


def test_a_split_that_never_happened_is_found_by_the_price_that_did_not_fall() -> None:
    assert found_in(sound_bars(), (60, "split", 3.0)) == [("split_misapplied", 60)]


def test_a_split_taken_out_of_some_bars_only_is_found() -> None:
    left_out = scaled(split_from(sound_bars(), 60, 5.0), 58, 59, 0.2)
    assert found_in(left_out, (60, "split", 5.0)) == [("split_misapplied", 58)]


@pytest.mark.parametrize("factor", [100.0, 0.01, 1000.0])
def test_bars_in_another_unit_are_found_as_one_stretch(factor: float) -> None:
    (notice,) = suspicions(scaled(sound_bars(), 60, 64, factor), actions_of())
    assert (notice.rule, notice.first_session, notice.last_session) == ("price_unit", DAY[60], DAY[64])
    assert notice.value == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize("name", ["open", "high", "low"])
def test_one_price_of_a_bar_in_another_unit_is_found(name: str) -> None:
    factor = 0.01 if name == "low" else 100.0
    assert found_in(scaled(sound_bars(), 60, 60, factor, names=[name])) == [("price_unit", 60)]


def test_a_bar_far_off_and_back_is_found() -> None:
    assert found_in(scaled(sound_bars(), 60, 60, 0.6)) == [("price_spike", 60)]


def test_a_spin_off_is_found_and_its_worth_proposed() -> None:
    spun_off = scaled(sound_bars(), 60, 119, 0.57)
    (notice,) = suspicions(spun_off, actions_of())
    assert (notice.rule, notice.first_session) == ("unrecorded_action", DAY[60])
    assert "a distribution worth about" in notice.message


def test_a_crash_with_a_rush_to_trade_is_no_suspicion_nor_is_one_of_the_whole_market() -> None:
    crash = scaled(sound_bars(), 60, 119, 0.5)
    assert found_in(scaled(crash, 60, 60, 15.0, names=["volume"])) == []
    names = tuple("ABCDEF")
    market = sound_bars(names)
    market.loc[market["session"] >= DAY[60], PRICES] *= 0.6
    assert suspicions(market, actions_of()) == ()


def test_a_crash_within_the_day_is_no_suspicion() -> None:
    crash = scaled(sound_bars(), 61, 119, 0.6)
    crash = scaled(crash, 60, 60, 0.6, names=["close", "low"])
    assert found_in(crash) == []


def test_a_stated_special_dividend_explains_the_fall() -> None:
    cash = 0.4 * sound_bars()["close"][59]
    bars = paid_from(sound_bars(), 60, cash)
    assert found_in(bars, (60, "dividend", cash)) == []
    assert found_in(bars) == [("unrecorded_action", 60)]


def test_a_dividend_in_the_currencys_subunit_is_found() -> None:
    (notice,) = suspicions(paid_from(sound_bars(), 60, 0.4), actions_of((60, "dividend", 40.0)))
    assert (notice.rule, notice.first_session) == ("dividend_size", DAY[60])
    assert "as 0.4" in notice.message


def test_a_dividend_far_beyond_the_symbols_others_is_found_unless_the_price_fell_by_it() -> None:
    bars = sound_bars()
    regular = [(20, "dividend", 0.3), (40, "dividend", 0.3), (80, "dividend", 0.3)]
    for at, _, cash in regular:
        bars = paid_from(bars, at, cash)
    assert found_in(bars, *regular, (60, "dividend", 5.0)) == [("dividend_size", 60)]
    assert found_in(paid_from(bars, 60, 5.0), *regular, (60, "dividend", 5.0)) == []


def test_a_dividend_stated_twice_is_found_and_the_one_that_the_price_does_not_show_proposed_to_go() -> None:
    bars = paid_from(paid_from(sound_bars(), 30, 2.0), 60, 2.0)
    (notice,) = suspicions(
        bars, actions_of((30, "dividend", 2.0), (59, "dividend", 2.05), (60, "dividend", 2.0), (90, "dividend", 0.1))
    )
    assert (notice.rule, notice.value) == ("dividend_repeated", 2.05)
    assert f"withdraw the dividend 2.05 of {DAY[59].date()}" in notice.message


def test_weekly_dividends_are_no_repetition() -> None:
    weekly = [(at, "dividend", 0.02) for at in range(5, 115, 5)]
    assert found_in(sound_bars(), *weekly) == []


def test_two_dividends_alike_a_quarter_apart_are_no_repetition() -> None:
    assert found_in(sound_bars(), (20, "dividend", 0.3), (80, "dividend", 0.3)) == []


def test_bars_without_a_close_are_passed_over() -> None:
    assert found_in(with_values(sound_bars(), 60, open=np.nan, close=np.nan)) == []


def test_nothing_is_changed() -> None:
    bars = scaled(sound_bars(), 60, 60, 0.01)
    before = bars.copy()
    assert suspicions(bars, actions_of())
    pd.testing.assert_frame_equal(bars, before)


def points(notices: tuple[Notice, ...]) -> list[tuple[str, str, str]]:
    return [(notice.symbol, f"{notice.first_session:%F}", notice.rule) for notice in notices]


def test_of_122_stocks_the_spin_offs_and_the_stock_dividend_are_found_and_no_real_move(
    five_years: pd.DataFrame,
) -> None:
    notices = suspicions(five_years, actions_of())
    for notice in notices:
        print(notice.symbol, f"{notice.first_session:%F}", notice.message)
    # Spin-offs: Baxalta, PayPal, and what became DXC. VRTX, AMD, BBY, UA and others moved by as much on news.
    assert points(notices) == [
        ("BAX", "2015-07-01", "unrecorded_action"),
        ("DISCA", "2014-08-07", "unrecorded_action"),
        ("EBAY", "2015-07-20", "unrecorded_action"),
        ("HPE", "2017-04-03", "unrecorded_action"),
        ("LNT", "2016-05-19", "price_spike"),
    ]
    assert "a split of 2 new shares for one" in notices[1].message
    assert "a distribution worth about 37.72" in notices[2].message


def test_apples_splits_are_found_and_its_crash_is_not(shared_data: Path) -> None:
    notices = suspicions(FilesSource(shared_data / "adjusted_yahoo").bars(), actions_of())
    assert points(notices) == [
        ("AAPL", "2000-06-21", "unrecorded_action"),
        ("AAPL", "2005-02-28", "unrecorded_action"),
        ("MSFT", "2003-02-18", "unrecorded_action"),
    ]
    assert all("a split of 2 new shares for one" in notice.message for notice in notices)
