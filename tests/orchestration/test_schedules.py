"""Every schedule, evaluated at the moments that matter: sessions, days off, half days, clock changes."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from nn_assets.market.calendar.sessions import is_session, session_close
from nn_assets.orchestration.build import strategy_definitions
from nn_assets.orchestration.io import CubeIOManager, MonthsIOManager
from nn_assets.orchestration.partitions import month_partitions, session_partitions
from nn_assets.orchestration.resources import STORES, StoresResource
from nn_assets.settings import MarketSettings, Strategy
from tests.orchestration.conftest import strategy_of, write_strategy


@pytest.fixture
def frozen(empty_home: Path) -> Strategy:
    write_strategy(empty_home)
    return strategy_of()


def live(strategy: Strategy, **changes: object) -> Strategy:
    settings = {**strategy.market.model_dump(), "history_ends": None, **changes}
    return strategy.model_copy(update={"market": MarketSettings.model_validate(settings)})


@lru_cache(maxsize=32)
def repository(strategy_json: str) -> dg.RepositoryDefinition:
    """The strategy's definitions as Dagster holds them; requests are resolved against its partitions."""
    stores = StoresResource()
    shared = dg.Definitions(
        resources={
            STORES: stores,
            "cube_io": CubeIOManager(stores=stores),
            "months_io": MonthsIOManager(stores=stores),
        }
    )
    own = strategy_definitions(Strategy.model_validate_json(strategy_json), stores)
    return dg.Definitions.merge(own, shared).get_repository_def()


@lru_cache(maxsize=1)
def instance() -> dg.DagsterInstance:
    """An instance that no evaluation writes to: one serves all of them."""
    return dg.DagsterInstance.ephemeral()


def schedule(strategy: Strategy, kind: str) -> dg.ScheduleDefinition:
    return repository(strategy.model_dump_json()).get_schedule_def(f"tiny__{kind}")


def ticks(strategy: Strategy, kind: str, after: str, count: int) -> list[datetime]:
    """The moments, on or after a local time, at which Dagster itself would evaluate the schedule."""
    chosen = schedule(strategy, kind)
    start = pd.Timestamp(after, tz=chosen.execution_timezone).timestamp()
    moments = schedule_execution_time_iterator(start, str(chosen.cron_schedule), chosen.execution_timezone)
    return list(islice(moments, count))


def ask(strategy: Strategy, kind: str, moment: datetime) -> dg.RunRequest | dg.SkipReason:
    """Evaluate a schedule at a moment, through Dagster's own evaluation of a tick."""
    repository_def = repository(strategy.model_dump_json())
    context = dg.build_schedule_context(
        scheduled_execution_time=moment, repository_def=repository_def, instance=instance()
    )
    result = repository_def.get_schedule_def(f"tiny__{kind}").evaluate_tick(context)
    if result.skip_message:
        return dg.SkipReason(result.skip_message)
    (request,) = result.run_requests or []
    return request


def on_the_day(strategy: Strategy, day: str) -> dg.RunRequest | dg.SkipReason:
    """What the daily round's schedule asks for at its tick on a day, by the exchange's clock."""
    (moment,) = ticks(strategy, "daily_round", f"{day} 00:00", 1)
    assert str(moment.date()) == day
    return ask(strategy, "daily_round", moment)


# --- the daily round ---------------------------------------------------------------------------------------


@pytest.mark.full
@pytest.mark.parametrize(
    "day",
    [
        "2017-06-26",  # an ordinary Monday
        "2017-07-03",  # a half day: the exchange closed at 13:00
        "2017-11-24",  # another
        "2017-03-10",  # the Friday before the clocks go forward
        "2017-03-13",  # the Monday after
        "2017-11-03",  # the Friday before they go back
        "2017-11-06",  # the Monday after
    ],
)
def test_a_session_is_asked_for_once_on_its_own_day_after_it_is_known(frozen: Strategy, day: str) -> None:
    strategy = live(frozen, live_starts="2017-01-03")
    (moment,) = ticks(strategy, "daily_round", f"{day} 00:00", 1)
    request = ask(strategy, "daily_round", moment)
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == day
    assert request.run_key == f"tiny:daily:{day}"
    assert request.tags["nn_assets/strategy"] == "tiny"
    known = session_close("XNYS", day) + pd.Timedelta(minutes=strategy.market.known_at_lag_minutes)
    assert pd.Timestamp(moment) > known
    assert day in session_partitions(strategy).get_partition_keys(current_time=moment)


@pytest.mark.full
@pytest.mark.parametrize("day", ["2017-06-24", "2017-06-25", "2017-07-04", "2017-11-23", "2017-12-25"])
def test_a_day_off_is_skipped_by_name(frozen: Strategy, day: str) -> None:
    assert on_the_day(live(frozen), day) == dg.SkipReason(f"{day} is no session of XNYS")


def test_a_history_that_ended_asks_for_nothing(frozen: Strategy) -> None:
    for kind in ("daily_round", "monthly_retraining", "cost_recalibration"):
        (moment,) = ticks(frozen, kind, "2017-07-03 00:00", 1)
        answer = ask(frozen, kind, moment)
        assert answer == dg.SkipReason("tiny states history_ends 2017-06-30: no session comes after it")


def test_a_sealed_vault_asks_for_nothing(frozen: Strategy) -> None:
    strategy = live(frozen, vault_starts="2018-01-02", live_starts="2017-01-03")
    sealed = dg.SkipReason("tiny states vault_starts 2018-01-02: sessions from then on are sealed")
    for day in ("2018-01-02", "2018-01-03"):
        assert on_the_day(strategy, day) == sealed
    for kind in ("monthly_retraining", "cost_recalibration"):
        (moment,) = ticks(strategy, kind, "2018-01-02 00:00", 1)
        assert ask(strategy, kind, moment) == sealed


def test_a_vault_to_come_asks_for_every_session_before_it(frozen: Strategy) -> None:
    strategy = live(frozen, vault_starts="2018-01-02", live_starts="2017-01-03")
    for day in ("2017-06-26", "2017-12-29"):
        request = on_the_day(strategy, day)
        assert isinstance(request, dg.RunRequest)
        assert request.partition_key == day
    for kind in ("monthly_retraining", "cost_recalibration"):
        (moment,) = ticks(strategy, kind, "2017-12-01 00:00", 1)
        assert isinstance(ask(strategy, kind, moment), dg.RunRequest)


@pytest.mark.full
def test_every_session_of_two_months_is_asked_for_exactly_once(frozen: Strategy) -> None:
    strategy = live(frozen, live_starts="2017-01-03")
    asked = [ask(strategy, "daily_round", moment) for moment in ticks(strategy, "daily_round", "2017-11-01", 61)]
    keys = [request.partition_key for request in asked if isinstance(request, dg.RunRequest)]
    # November and December 2017: clocks go back, Thanksgiving, two half days, Christmas.
    assert len(keys) == len(set(keys)) == 21 + 20
    assert all(is_session("XNYS", key) for key in keys)


@pytest.mark.full
@pytest.mark.parametrize(("lag", "cron"), [(0, "15 16 * * *"), (30, "45 16 * * *"), (600, "15 2 * * *")])
def test_the_tick_follows_the_close_by_the_lag(frozen: Strategy, lag: int, cron: str) -> None:
    assert schedule(live(frozen, known_at_lag_minutes=lag), "daily_round").cron_schedule == cron


def test_a_lag_past_midnight_still_means_the_session_that_closed(frozen: Strategy) -> None:
    strategy = live(frozen, known_at_lag_minutes=600)
    (moment,) = ticks(strategy, "daily_round", "2017-06-24 00:00", 1)  # early on Saturday
    request = ask(strategy, "daily_round", moment)
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == "2017-06-23"
    (sunday,) = ticks(strategy, "daily_round", "2017-06-25 00:00", 1)
    assert isinstance(ask(strategy, "daily_round", sunday), dg.SkipReason)


def test_a_market_that_never_closes_asks_for_the_day_just_over(frozen: Strategy) -> None:
    strategy = live(frozen, calendar="24/7", known_at_lag_minutes=0)
    for day, over in (("2017-06-26", "2017-06-25"), ("2017-01-01", "2016-12-31"), ("2017-03-26", "2017-03-25")):
        request = on_the_day(live(strategy, live_starts="2016-12-01"), day)
        assert isinstance(request, dg.RunRequest)
        assert request.partition_key == over
    assert schedule(strategy, "daily_round").execution_timezone == "UTC"


@pytest.mark.full
@pytest.mark.parametrize(
    ("calendar", "timezone"), [("XTKS", "Asia/Tokyo"), ("XLON", "Europe/London"), ("CMES", "America/Chicago")]
)
def test_elsewhere_the_exchanges_own_clock_decides(frozen: Strategy, calendar: str, timezone: str) -> None:
    strategy = live(frozen, calendar=calendar, live_starts="2017-01-03")
    assert schedule(strategy, "daily_round").execution_timezone == timezone
    for day in ("2017-03-24", "2017-03-27", "2017-06-26", "2017-11-02"):
        (moment,) = ticks(strategy, "daily_round", f"{day} 00:00", 1)
        request = ask(strategy, "daily_round", moment)
        assert isinstance(request, dg.RunRequest)
        known = session_close(calendar, request.partition_key) + pd.Timedelta(minutes=30)
        assert known < pd.Timestamp(moment) < known + pd.Timedelta(hours=3)


# --- months ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("month", ["2017-02", "2017-04", "2017-11", "2017-12"])
def test_a_months_model_is_asked_for_on_its_first_morning(frozen: Strategy, month: str) -> None:
    strategy = live(frozen)
    (moment,) = ticks(strategy, "monthly_retraining", f"{month}-01 00:00", 1)
    request = ask(strategy, "monthly_retraining", moment)
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == f"{month}-01"
    assert request.run_key == f"tiny:month:{month}"
    assert f"{month}-01" in month_partitions(strategy).get_partition_keys(current_time=moment)
    assert (moment.day, moment.hour) == (1, 6)  # by the exchange's clock, whatever its offset


def test_no_model_is_asked_for_before_one_can_be_trained(frozen: Strategy) -> None:
    (moment,) = ticks(live(frozen), "monthly_retraining", "2016-12-01 00:00", 1)
    answer = ask(live(frozen), "monthly_retraining", moment)
    assert answer == dg.SkipReason("the first model of tiny is due in 2017-01")


def test_costs_are_recalibrated_once_a_month(frozen: Strategy) -> None:
    asked = [
        ask(live(frozen), "cost_recalibration", moment)
        for moment in ticks(live(frozen), "cost_recalibration", "2017-02-01 00:00", 3)
    ]
    keys = [request.run_key for request in asked if isinstance(request, dg.RunRequest)]
    assert keys == ["tiny:costs:2017-02", "tiny:costs:2017-03", "tiny:costs:2017-04"]
    assert all(request.partition_key is None for request in asked if isinstance(request, dg.RunRequest))
