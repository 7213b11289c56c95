"""Factors between two bars: those that a split states, those of a slip of the unit, and those that stay."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.panel import panel_from_bars
from nn_assets.market.quality.cleaning import Cleaned, clean
from nn_assets.market.quality.notices import Notice
from nn_assets.market.quality.overview import overview
from nn_assets.market.quality.suspected import Suspected
from nn_assets.market.quality.unexplained_factors import with_unexplained_factors
from nn_assets.settings import CleaningSettings
from nn_assets.sources.tables.files import FilesSource
from tests.market.builders import CALENDAR, cleaned, sound_bars

PRICES = ["open", "high", "low", "close"]
STEP, WAITS = 70, 9  # the row from which the level is another, and how many rows of it wait by default


def stepped(
    factor: float, *, first: int = STEP, last: int = 119, volume: float = 1.0, count: int = 120
) -> pd.DataFrame:
    """Sound bars, some rows of which stand at another level."""
    bars = sound_bars(count=count)
    bars.loc[first:last, PRICES] *= factor
    bars.loc[first:last, "volume"] *= volume
    return bars


def split_at(bars: pd.DataFrame, row: int, ratio: float) -> pd.DataFrame:
    return pd.DataFrame({"symbol": ["AAA"], "ex_session": [bars["session"][row]], "kind": ["split"], "value": [ratio]})


def factor_notices(result: Cleaned) -> list[Notice]:
    return [notice for notice in result.notices if notice.rule == "unexplained_factor"]


@pytest.mark.parametrize("ratio", [1 / 78, 0.01, 1 / 128, 100.0])
def test_a_stated_split_explains_its_factor_to_every_rule(ratio: float) -> None:
    bars = stepped(1.0 / ratio, volume=ratio)
    bars.loc[STEP : STEP + 5, "close"] = bars["close"][STEP]  # a pinned price, at its usual volume in shares of then
    bars.loc[STEP : STEP + 5, "high"] = bars.loc[STEP : STEP + 5, PRICES].max(axis=1)
    bars.loc[STEP : STEP + 5, "low"] = bars.loc[STEP : STEP + 5, PRICES].min(axis=1)
    actions = split_at(bars, STEP, ratio)
    result = clean(bars, CALENDAR, CleaningSettings(), actions)
    assert result.quarantine.empty
    assert result.notices == ()
    pd.testing.assert_frame_equal(result.bars[PRICES], bars[PRICES])  # as they came
    assert Suspected.of(result.bars, actions).notices == ()
    assert with_unexplained_factors(actions, result.bars) is actions
    assert not clean(bars, CALENDAR, CleaningSettings()).quarantine.empty


def test_a_stated_split_is_no_change_of_volume_or_of_returns_in_the_data_docs() -> None:
    bars = stepped(100.0, first=250, last=399, volume=0.01, count=280)
    actions = split_at(bars, 250, 0.01)
    plain = sound_bars(count=280)
    sessions = pd.DatetimeIndex(bars["session"])
    with_split = overview(clean(bars, CALENDAR, CleaningSettings(), actions), (), sessions, actions)
    without = overview(clean(plain, CALENDAR, CleaningSettings()), (), sessions)
    pd.testing.assert_frame_equal(with_split.symbols, without.symbols, rtol=1e-9)
    pd.testing.assert_frame_equal(with_split.returns, without.returns, rtol=1e-6)


def test_the_stated_split_of_the_case_leaves_no_bar_in_quarantine(tmp_path: Path) -> None:
    case = Path(__file__).parents[3] / "shared" / "cases" / "stated_split_1_to_100"
    if not case.is_dir():
        pytest.skip("the case stated_split_1_to_100 is not here")
    shutil.copytree(case / "bars", tmp_path / "bars")
    moments = {"known_at": pd.Timestamp("2021-12-31", tz="UTC"), "ingested_at": pd.Timestamp("2022-01-05", tz="UTC")}
    bars = FilesSource(tmp_path / "bars").bars().assign(**moments)
    bars = bars[bars["session"] <= "2021-12-30"]
    actions = pd.read_csv(case / "actions.csv", parse_dates=["ex_session"])
    result = clean(bars, "XNYS", CleaningSettings(), actions)
    assert result.quarantine.empty
    assert len(result.bars) == len(bars)
    assert clean(bars, "XNYS", CleaningSettings()).counts()["unit_error_100x"] > 0


@pytest.mark.parametrize("factor", [100.0, 0.01])
@pytest.mark.parametrize("length", [1, 5, WAITS])
def test_a_slip_of_the_unit_that_goes_back_never_leaves_quarantine(factor: float, length: int) -> None:
    bars = stepped(factor, last=STEP + length - 1)
    result = cleaned(bars)
    assert result.quarantine["session"].tolist() == bars["session"][STEP : STEP + length].tolist()
    assert result.notices == ()


@pytest.mark.parametrize("factor", [100.0, 0.01, 120.0])
def test_a_level_that_stays_waits_and_is_then_a_notice(factor: float) -> None:
    bars = stepped(factor)
    result = cleaned(bars)
    assert result.quarantine["session"].tolist() == bars["session"][STEP : STEP + WAITS].tolist()
    assert set(result.quarantine["rule"]) == {"unit_error_100x"}
    (notice,) = factor_notices(result)
    assert (notice.symbol, notice.first_session) == ("AAA", bars["session"][STEP])
    assert notice.last_session == bars["session"][STEP + WAITS]
    assert notice.value == pytest.approx(bars["close"][STEP + WAITS] / bars["close"][STEP - 1], rel=1e-12)
    assert [notice.rule for notice in result.notices] == ["unexplained_factor"]


def test_the_remedies_of_the_notice_help() -> None:
    bars = stepped(100.0)
    (notice,) = factor_notices(cleaned(bars))
    line = notice.message.partition("write ")[2].partition(" with the exact")[0]
    assert line.startswith(f"AAA,{bars['session'][STEP]:%F},split,0.0")
    actions = split_at(bars, STEP, 0.01)
    result = clean(bars, CALENDAR, CleaningSettings(), actions)
    assert result.quarantine.empty
    assert result.notices == ()
    restated = sound_bars()
    assert cleaned(restated).notices == ()
    later = bars[bars["session"] >= notice.last_session]
    assert cleaned(later).notices == ()


def test_bars_that_go_to_and_fro_never_make_a_level() -> None:
    bars = stepped(100.0, last=STEP - 1)
    rows = np.arange(STEP, STEP + 40)
    bars.loc[rows[rows % 4 != 0], PRICES] *= 100.0
    assert cleaned(bars).counts()["unit_error_100x"] == int((rows % 4 != 0).sum())


def test_how_many_sessions_make_a_level_is_a_setting() -> None:
    bars = stepped(100.0)
    assert len(cleaned(bars, unit_error_sessions=3).quarantine) == 2
    assert len(cleaned(bars, unit_error_sessions=51).quarantine) == 50


@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_later_rows_change_no_verdict_on_a_level(factor: float) -> None:
    bars = stepped(factor)
    whole = cleaned(bars)
    for stop in range(STEP, STEP + WAITS + 3):
        early = cleaned(bars[:stop])
        day = bars["session"][stop - 1]
        assert early.bars.equals(whole.bars[whole.bars["session"] <= day])
        told_then = with_unexplained_factors(None, early.bars)
        assert (told_then is None) == (stop <= STEP + WAITS)


@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_no_return_is_counted_across_an_unexplained_factor(factor: float) -> None:
    bars = stepped(factor)
    sessions = pd.DatetimeIndex(bars["session"])
    sound = cleaned(bars).bars
    panel = panel_from_bars(sound, sessions, ("AAA",), with_unexplained_factors(None, sound))
    chained = panel.total_return().close[:, 0]
    assert np.abs(np.log(chained[STEP + WAITS] / chained[STEP - 1])) < 1e-12
    plain = sound_bars()["close"].to_numpy()
    after = np.diff(np.log(chained[STEP + WAITS :]))
    np.testing.assert_allclose(after, np.diff(np.log(plain[STEP + WAITS :])), atol=1e-12)
    # What is held keeps its value.
    assert panel.adjustment is not None
    row = STEP + WAITS
    value = 50.0 * panel.adjustment.split[row, 0] * panel.close[row, 0]
    assert value == pytest.approx(50.0 * panel.close[STEP - 1, 0], rel=1e-12)


def test_a_factor_beyond_the_reach_of_the_unit_rule_is_told_at_once() -> None:
    bars = stepped(135.0)
    result = cleaned(bars)
    assert result.quarantine.empty
    (notice,) = factor_notices(result)
    assert notice.first_session == notice.last_session == bars["session"][STEP]
    actions = with_unexplained_factors(None, result.bars)
    assert actions is not None
    assert actions["value"].tolist() == pytest.approx([1.0 / notice.value], rel=1e-12)
