"""Stores that a deployment names are the only ones: nothing in the definitions opens the home's own beside them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from nn_assets.orchestration.build import all_definitions, job_name
from nn_assets.orchestration.naming import STRATEGY_TAG
from nn_assets.orchestration.resources import StoresResource
from nn_assets.store.ledger.ledger import Ledger
from tests.orchestration.conftest import LAST, LAST_MONTH, NAME, strategy_of

MOMENT = datetime(2017, 7, 3, 22, tzinfo=UTC)
STORES = ("lake", "models", "ledger.sqlite")


@dataclass(frozen=True)
class Deployed:
    """A home without stores, whose decided sessions lie elsewhere."""

    home: Path
    stores: StoresResource
    definitions: dg.Definitions

    def left_in_the_home(self) -> list[str]:
        return [name for name in STORES if (self.home / name).exists()]

    def outcomes(self, kind: str) -> dict[str, str]:
        """What came of the runs or ticks on record, by name."""
        with Ledger(self.stores.ledger) as ledger:
            rows = ledger.read("outcomes", NAME, where={"kind": kind})
        return dict(zip(rows["name"], rows["outcome"], strict=True))


@pytest.fixture
def deployed(decided: Path, tmp_path: Path) -> Deployed:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in STORES:
        shutil.move(decided / name, folder / name)
    stores = StoresResource(
        lake=str(folder / "lake"), ledger=f"sqlite:///{folder / 'ledger.sqlite'}", models=str(folder / "models")
    )
    return Deployed(decided, stores, all_definitions(stores, only=NAME))


PARTITIONS = {"study": LAST_MONTH, "daily": LAST, "costs": None}  # the tables are part of study and daily


@pytest.mark.full
def test_jobs_and_checks_read_and_write_the_stores_named(deployed: Deployed) -> None:
    strategy = strategy_of()
    assert {job_name(strategy, kind) for kind in (*PARTITIONS, "tables")} == {
        job.name for job in deployed.definitions.jobs or ()
    }
    with dg.DagsterInstance.ephemeral() as instance:
        for kind, key in PARTITIONS.items():
            job = deployed.definitions.resolve_job_def(job_name(strategy, kind))
            result = job.execute_in_process(instance=instance, partition_key=key, raise_on_error=False)
            assert result.success, kind
            assert all(
                evaluation.passed for evaluation in result.get_asset_check_evaluations() if evaluation.blocking
            ), kind
    assert deployed.left_in_the_home() == []


@pytest.mark.full
def test_schedules_and_sensors_tell_the_ledger_named(deployed: Deployed) -> None:
    repository = deployed.definitions.get_repository_def()
    for schedule in repository.schedule_defs:
        schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=MOMENT, repository_def=repository))
    with dg.DagsterInstance.ephemeral() as instance:
        failed = broken.execute_in_process(instance=instance, raise_on_error=False)
        failures = (event for event in failed.all_events if event.is_job_failure)
        for sensor in repository.sensor_defs:
            if isinstance(sensor, dg.RunStatusSensorDefinition):
                asked = dg.build_run_status_sensor_context(
                    sensor_name=sensor.name,
                    dagster_event=next(failures),
                    dagster_instance=instance,
                    dagster_run=failed.dagster_run,
                )
                sensor(asked.for_run_failure())
                assert deployed.outcomes("run")["broken"] == "FAILED"
            else:
                sensor.evaluate_tick(dg.build_sensor_context(instance=instance, repository_def=repository))
    assert set(deployed.outcomes("tick")) == {
        "daily_round",
        "monthly_retraining",
        "cost_recalibration",
        "drift_refresh",
    }
    assert deployed.left_in_the_home() == []


@dg.op
def breaks() -> None:
    raise ValueError("on purpose")


@dg.job(tags={STRATEGY_TAG: NAME})
def broken() -> None:
    breaks()
