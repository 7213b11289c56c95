"""Months and sessions as partitions: no vault, no holiday, in the exchange's own time."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nn_assets.cli.runs import run_study
from nn_assets.errors import SettingsError
from nn_assets.learning.first_month import first_model_month
from nn_assets.operations.asked import AskedMonths, asked_sessions
from nn_assets.operations.catalog import find_strategy
from nn_assets.orchestration.partitions import month_partitions, session_partitions
from nn_assets.settings import MarketSettings, Strategy
from tests.orchestration.conftest import NAME, strategy_of, write_strategy

# The sessions of the New York Stock Exchange in December 2017, from its own holiday list.
DECEMBER_2017 = [f"2017-12-{day:02d}" for day in (1, *range(4, 9), *range(11, 16), *range(18, 23), *range(26, 30))]


def market(strategy: Strategy, **changes: object) -> Strategy:
    settings = {**strategy.market.model_dump(), **changes}
    return strategy.model_copy(update={"market": MarketSettings.model_validate(settings)})


@pytest.fixture
def tiny(empty_home: Path) -> Strategy:
    write_strategy(empty_home)
    return strategy_of()


def test_the_index_strategys_months_end_before_its_vault(empty_home: Path) -> None:
    keys = month_partitions(find_strategy("index_daily").strategy).get_partition_keys()
    # 4 months of warm-up, then 30 of training, 3 of validation and 3 of calibration.
    assert keys[0] == "2002-05-01"
    assert keys[-1] == "2017-12-01"
    assert len(keys) == 188


def test_the_simulated_strategys_months_reach_the_end_of_its_history(empty_home: Path) -> None:
    keys = month_partitions(find_strategy("planted_edge").strategy).get_partition_keys()
    assert (keys[0], keys[-1], len(keys)) == ("2013-05-01", "2017-12-01", 56)


@pytest.mark.parametrize(("name", "sessions"), [("index_daily", 20), ("planted_edge", 10)])
def test_sessions_are_the_last_of_december_2017_and_no_holiday(empty_home: Path, name: str, sessions: int) -> None:
    keys = session_partitions(find_strategy(name).strategy).get_partition_keys()
    assert keys == DECEMBER_2017[-sessions:]
    assert "2017-12-25" not in keys


def test_no_partition_lies_in_the_vault(empty_home: Path) -> None:
    strategy = find_strategy("index_daily").strategy
    vault = str(strategy.market.vault_starts)
    assert max(month_partitions(strategy).get_partition_keys()) < vault
    assert max(session_partitions(strategy).get_partition_keys()) < vault


@pytest.mark.parametrize(
    ("vault", "last"), [("2017-06-01", "2017-05-01"), ("2017-06-02", "2017-06-01"), ("2017-06-29", "2017-06-01")]
)
def test_a_month_counts_if_any_of_its_days_lies_before_the_vault(tiny: Strategy, vault: str, last: str) -> None:
    strategy = market(tiny, vault_starts=vault, live_starts=None)
    assert month_partitions(strategy).get_partition_keys()[-1] == last


@pytest.mark.parametrize("history_ends", ["2017-06-01", "2017-06-30"])
def test_the_month_in_which_history_ends_counts(tiny: Strategy, history_ends: str) -> None:
    strategy = market(tiny, history_ends=history_ends, live_starts=None)
    assert month_partitions(strategy).get_partition_keys()[-1] == "2017-06-01"


@pytest.mark.parametrize(
    ("calendar", "timezone"),
    [("XNYS", "America/New_York"), ("XTKS", "Asia/Tokyo"), ("CMES", "America/Chicago"), ("24/7", "UTC")],
)
def test_partitions_are_in_the_exchanges_timezone(tiny: Strategy, calendar: str, timezone: str) -> None:
    strategy = market(tiny, calendar=calendar)
    assert month_partitions(strategy).timezone == timezone
    assert session_partitions(strategy).timezone == timezone


def test_a_market_that_never_closes_has_every_day(tiny: Strategy) -> None:
    keys = session_partitions(market(tiny, calendar="24/7")).get_partition_keys()
    assert keys == [f"2017-06-{day:02d}" for day in range(21, 31)]


def test_a_session_is_one_window_even_where_the_clocks_change(tiny: Strategy) -> None:
    partitions = session_partitions(market(tiny, live_starts="2016-11-01", history_ends="2017-06-30"))
    for key, hours in (("2016-11-04", 24), ("2017-03-10", 24), ("2017-03-13", 24)):
        window = partitions.time_window_for_partition_key(key)
        assert window.start.strftime("%Y-%m-%d %H") == f"{key} 00"
        assert (window.end - window.start).total_seconds() == hours * 3600


def test_a_vault_is_left_out_even_where_no_end_of_history_is_stated(tiny: Strategy) -> None:
    strategy = market(tiny, history_ends=None, vault_starts="2017-06-28")
    assert month_partitions(strategy).get_partition_keys()[-1] == "2017-06-01"
    assert session_partitions(strategy).get_partition_keys()[-1] == "2017-06-27"


@pytest.mark.full
def test_a_live_strategy_lists_the_month_and_the_session_under_way(tiny: Strategy) -> None:
    strategy = market(tiny, history_ends=None)
    now = pd.Timestamp("2017-11-22 12:00", tz="America/New_York").to_pydatetime()
    months = month_partitions(strategy).get_partition_keys(current_time=now)
    sessions = session_partitions(strategy).get_partition_keys(current_time=now)
    assert months[-1] == "2017-11-01"
    assert sessions[-1] == "2017-11-22"
    on_the_holiday = pd.Timestamp("2017-11-23 12:00", tz="America/New_York").to_pydatetime()
    assert "2017-11-23" not in session_partitions(strategy).get_partition_keys(current_time=on_the_holiday)


@pytest.mark.parametrize("ends", ["2017-11-22", "2017-11-30"])
def test_a_history_that_ends_this_month_lists_it_and_never_the_one_after(tiny: Strategy, ends: str) -> None:
    strategy = market(tiny, history_ends=ends)
    now = pd.Timestamp("2017-11-22 12:00", tz="America/New_York").to_pydatetime()
    assert month_partitions(strategy).get_partition_keys(current_time=now)[-1] == "2017-11-01"
    assert session_partitions(strategy).get_partition_keys(current_time=now)[-1] == "2017-11-22"
    later = pd.Timestamp("2018-03-22 12:00", tz="America/New_York").to_pydatetime()
    assert month_partitions(strategy).get_partition_keys(current_time=later)[-1] == "2017-11-01"
    assert session_partitions(strategy).get_partition_keys(current_time=later)[-1] == ends


def test_the_first_model_month_leaves_room_for_every_part(tiny: Strategy) -> None:
    assert first_model_month(tiny) == "2017-01"


def test_keys_are_asked_for_in_order_and_days_off_left_out(tiny: Strategy) -> None:
    asked = asked_sessions(tiny.market, ["2017-07-05", "2017-07-03", "2017-07-04"])
    assert [str(day.date()) for day in asked] == ["2017-07-03", "2017-07-05"]
    assert asked_sessions(tiny.market, []) == []
    assert AskedMonths.of(tiny, ["2017-03-01", "2017-01-01"], {}).months == ["2017-01", "2017-03"]


def test_a_history_too_short_for_any_model_is_named(empty_home: Path) -> None:
    write_strategy(empty_home, market={"history_starts": "2017-03-01", "live_starts": "2017-06-20"})
    with pytest.raises(SettingsError, match="2017-03-01"):
        run_study(NAME, "2017-06", "2017-06", None)
