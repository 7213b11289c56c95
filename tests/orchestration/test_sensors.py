"""Sensors against a real ledger and a real instance: drift asks once for each event, a failed run is written down."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from nn_assets.operations.asked import REFRESH_TAG
from nn_assets.orchestration.build import all_definitions
from nn_assets.orchestration.resources import StoresResource
from nn_assets.orchestration.sensors import failed_run_sensor
from nn_assets.store.ledger.ledger import Ledger
from tests.orchestration.conftest import NAME, write_strategy


@pytest.fixture
def sensor(empty_home: Path) -> dg.SensorDefinition:
    write_strategy(empty_home)
    return all_definitions(only=NAME).get_repository_def().get_sensor_def(f"{NAME}__drift_refresh")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def drifted(event_id: str, session: str, strategy: str = NAME, cause: str = "prediction drift") -> None:
    """Record what the daily round records when forecasts have drifted."""
    row = {
        "event_id": event_id,
        "session": pd.Timestamp(session),
        "cause": cause,
        "details": {"reasons": ["prediction drift (+3)"]},
    }
    with Ledger() as ledger:
        ledger.append("refresh_requests", [row], run_id=f"run-{event_id}", strategy=strategy)


def tick(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance, cursor: str | None
) -> tuple[Sequence[dg.RunRequest], str | None, str | None]:
    """Requests, cursor and the reason of a skip, as Dagster's own evaluation gives them."""
    repository = all_definitions(only=NAME).get_repository_def()
    context = dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=repository)
    result = sensor.evaluate_tick(context)
    return result.run_requests or [], result.cursor, result.skip_message


def test_nothing_is_asked_while_nothing_has_drifted(sensor: dg.SensorDefinition, instance: dg.DagsterInstance) -> None:
    requests, cursor, skipped = tick(sensor, instance, None)
    assert not requests
    assert cursor is None
    assert skipped == "no drift event since the last look at the ledger"


@pytest.mark.full
def test_an_event_asks_for_a_refresh_once(sensor: dg.SensorDefinition, instance: dg.DagsterInstance) -> None:
    drifted("e1", "2017-06-26")
    (request,), cursor, _ = tick(sensor, instance, None)
    assert request.partition_key == "2017-06-01"
    assert request.tags[REFRESH_TAG] == "2017-06-26"
    assert request.tags["nn_assets/strategy"] == NAME
    assert cursor is not None
    assert int(cursor) > 0
    again, kept, skipped = tick(sensor, instance, cursor)
    assert not again
    assert skipped
    assert kept in (None, cursor)


@pytest.mark.full
def test_of_two_requests_between_ticks_the_newest_is_served_for_one_stands_at_a_time(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance
) -> None:
    drifted("first", "2017-06-22")
    _, before, _ = tick(sensor, instance, None)
    drifted("second", "2017-06-26")
    drifted("third", "2017-06-27")
    requests, cursor, _ = tick(sensor, instance, before)
    assert [request.tags[REFRESH_TAG] for request in requests] == ["2017-06-27"]
    assert int(str(cursor)) > int(str(before))
    drifted("fourth", "2017-06-28")
    (last,), _, _ = tick(sensor, instance, cursor)
    assert last.tags[REFRESH_TAG] == "2017-06-28"


@pytest.mark.full
def test_each_event_has_a_run_key_of_its_own_that_never_changes(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance
) -> None:
    drifted("a", "2017-06-22")
    requests, _, _ = tick(sensor, instance, None)
    assert {request.run_key for request in requests} == {"tiny:refresh:a"}
    repeated, _, _ = tick(sensor, instance, None)
    assert [request.run_key for request in repeated] == [request.run_key for request in requests]


def test_an_event_on_the_last_session_of_a_month_refreshes_the_next_months_model(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance
) -> None:
    drifted("e", "2017-05-31")
    (request,), _, _ = tick(sensor, instance, None)
    assert request.partition_key == "2017-06-01"


@pytest.mark.full
def test_what_became_of_a_request_asks_for_nothing(sensor: dg.SensorDefinition, instance: dg.DagsterInstance) -> None:
    drifted("e", "2017-06-26")
    _, cursor, _ = tick(sensor, instance, None)
    drifted("answer", "2017-06-26", cause="refresh refused")
    requests, _, skipped = tick(sensor, instance, cursor)
    assert not requests
    assert skipped


@pytest.mark.full
def test_another_strategys_drift_is_not_this_ones(sensor: dg.SensorDefinition, instance: dg.DagsterInstance) -> None:
    drifted("e", "2017-06-26", strategy="index_daily")
    requests, _, skipped = tick(sensor, instance, None)
    assert not requests
    assert skipped


def test_a_failed_run_is_written_where_an_operator_looks(empty_home: Path, instance: dg.DagsterInstance) -> None:
    @dg.op
    def breaks() -> None:
        raise ValueError("the feed was empty. Remedy: ask the feed again.")

    @dg.job
    def nightly() -> None:
        breaks()

    sensor = failed_run_sensor(StoresResource())
    for _ in range(2):
        result = nightly.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            sensor_name="failed_run_alert",
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.get_run_failure_event(),
        ).for_run_failure()
        sensor(context)
    lines = [json.loads(line) for line in (empty_home / "alerts.jsonl").read_text().splitlines()]
    assert len(lines) == 2
    assert lines[-1]["run_id"] == result.run_id
    assert lines[-1]["job"] == "nightly"
    assert lines[-1]["cause"] == "breaks: ValueError: the feed was empty"
    assert lines[-1]["remedy"] == "ask the feed again"
    assert pd.Timestamp(lines[-1]["at"]).tzinfo is not None
