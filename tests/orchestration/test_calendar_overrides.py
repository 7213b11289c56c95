"""A strategy's calendar overrides reach partitions, the clock, schedules, stored bars and the gate."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from nn_assets.cli.runs import run_rounds
from nn_assets.errors import SettingsError
from nn_assets.operations.catalog import find_strategy, load_strategies
from nn_assets.operations.clock import as_of_session, last_open_session
from nn_assets.operations.history import open_history
from nn_assets.orchestration.build import all_definitions
from nn_assets.orchestration.partitions import session_partitions
from tests.orchestration.conftest import NAME, materialise_tables, strategy_of, write_strategy

# A Wednesday off, the Saturday after it instead, and an early close before.
OVERRIDES = "extra_holidays: [2017-06-28]\nextra_sessions: [2017-07-01]\nearly_closes: {2017-06-27: '12:00'}\n"
LIVE = ["2017-06-26", "2017-06-27", "2017-06-29", "2017-06-30", "2017-07-01"]


@pytest.fixture
def amended(empty_home: Path) -> Path:
    """A home whose strategy names an overrides file."""
    folder = empty_home / "strategies" / "calendars"
    folder.mkdir(parents=True)
    (folder / "days.yaml").write_text(OVERRIDES, encoding="utf-8")
    market = {
        "calendar_overrides": "calendars/days.yaml",
        "history_starts": "2017-05-01",
        "live_starts": "2017-06-26",
        "history_ends": "2017-07-01",
    }
    write_strategy(empty_home, market=market)
    return empty_home


def test_partitions_and_the_clock_follow_the_overrides(amended: Path) -> None:
    strategy = strategy_of()
    assert session_partitions(strategy).get_partition_keys() == LIVE
    assert as_of_session(strategy.market, "2017-06-27") == pd.Timestamp("2017-06-27 16:30", tz="UTC")
    open_ended = strategy.market.model_copy(update={"history_ends": None})
    early = pd.Timestamp("2017-06-27 16:31", tz="UTC")
    assert last_open_session(open_ended, early) == pd.Timestamp("2017-06-27")
    assert last_open_session(open_ended, early - pd.Timedelta(minutes=2)) == pd.Timestamp("2017-06-26")
    assert last_open_session(open_ended, pd.Timestamp("2017-07-02", tz="UTC")) == pd.Timestamp("2017-07-01")


def test_bars_are_stored_known_and_published_by_the_amended_calendar(amended: Path) -> None:
    strategy = strategy_of()
    materialise_tables(strategy)
    with open_history(strategy) as history:
        raw, bars = history.raw_versions, history.view().bars
        publication = history.stores.publications.require(NAME, "2017-07-01")
    assert sorted(bars["session"].unique())[-5:] == [pd.Timestamp(day) for day in LIVE]
    assert publication.quarantined == 0
    known = raw.loc[raw["session"] == "2017-06-27", "known_at"].unique()
    assert list(known) == [pd.Timestamp("2017-06-27 16:30", tz="UTC")]


@pytest.mark.full
def test_a_round_of_a_day_off_is_refused_and_its_schedule_skips(amended: Path) -> None:
    write_strategy(
        amended,
        market={"calendar_overrides": "calendars/days.yaml", "history_ends": None, "live_starts": "2017-06-26"},
    )
    with pytest.raises(SettingsError, match="2017-06-28"):
        run_rounds(NAME, "2017-06-28")
    repository = all_definitions().get_repository_def()
    asked = {}
    with dg.DagsterInstance.ephemeral() as instance:
        for day in ("2017-06-28", "2017-06-29", "2017-07-01"):
            moment = pd.Timestamp(f"{day} 16:45", tz="America/New_York").to_pydatetime()
            tick = dg.build_schedule_context(
                scheduled_execution_time=moment, repository_def=repository, instance=instance
            )
            requests = repository.get_schedule_def(f"{NAME}__daily_round").evaluate_tick(tick).run_requests
            asked[day] = [request.partition_key for request in requests or []]
    assert asked == {"2017-06-28": [], "2017-06-29": ["2017-06-29"], "2017-07-01": ["2017-07-01"]}


def test_a_bad_overrides_file_stops_the_strategy_from_loading(amended: Path) -> None:
    (amended / "strategies" / "calendars" / "days.yaml").write_text("extra_holidays:\n  - 2017-06-31\n")
    assert NAME not in {entry.strategy.name for entry in load_strategies()}
    with pytest.raises(SettingsError, match=r"line 2.*'2017-06-31'"):
        find_strategy(NAME)
