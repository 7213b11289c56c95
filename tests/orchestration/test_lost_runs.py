"""Runs whose process was killed: each is known by its lock, closed as failed, and holds nothing back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEventType
from dagster._core.launcher import WorkerStatus

from nn_assets.orchestration.instance import open_instance
from nn_assets.orchestration.lost_runs import LOST, close_lost_runs
from nn_assets.store.ledger.run_locks import is_attended, let_go
from tests.forks import ended, exit_code, forked

STAGES = {
    dg.DagsterRunStatus.NOT_STARTED: (),
    dg.DagsterRunStatus.STARTING: (DagsterEventType.PIPELINE_STARTING,),
    dg.DagsterRunStatus.STARTED: (DagsterEventType.PIPELINE_STARTING, DagsterEventType.PIPELINE_START),
    dg.DagsterRunStatus.CANCELING: (DagsterEventType.PIPELINE_START, DagsterEventType.PIPELINE_CANCELING),
}


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job
def idle() -> None:
    """Do nothing."""
    nothing()


def brought_to(instance: dg.DagsterInstance, stage: dg.DagsterRunStatus) -> str:
    """A run that this process brought to a stage; its id."""
    run = instance.create_run_for_job(idle)
    for kind in STAGES[stage]:
        instance.report_dagster_event(dg.DagsterEvent(kind.value, idle.name), run.run_id)
    return str(run.run_id)


@pytest.fixture(params=["files", "server"])
def instance(request: pytest.FixtureRequest, empty_home: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance in a home, its runs in files there or on a server."""
    if request.param == "server":
        request.getfixturevalue("monkeypatch").setenv(
            "NN_ASSETS_DAGSTER_DATABASE_URL", request.getfixturevalue("postgres_url")
        )
    with open_instance() as opened:
        yield opened


def test_what_a_killed_process_saw_to_is_closed_and_what_a_living_one_sees_to_is_not(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    told = tmp_path / "told.txt"

    def begins_and_is_killed() -> None:
        with open_instance() as own:
            told.write_text(" ".join(brought_to(own, stage) for stage in STAGES))
            os.kill(os.getpid(), signal.SIGKILL)

    assert ended(begins_and_is_killed, told) == -signal.SIGKILL, told.read_text()
    lost = dict(zip(STAGES, told.read_text().split(), strict=True))
    mine = {stage: brought_to(instance, stage) for stage in STAGES}
    closed = close_lost_runs(instance)
    status = {run.run_id: run.status for run in instance.get_runs()}
    assert {stage: status[run_id] for stage, run_id in mine.items()} == {stage: stage for stage in STAGES}
    canceled = {dg.DagsterRunStatus.CANCELING: dg.DagsterRunStatus.CANCELED}
    expected = dict.fromkeys(STAGES, dg.DagsterRunStatus.FAILURE) | canceled
    assert {stage: status[run_id] for stage, run_id in lost.items()} == expected
    assert {record.dagster_run.run_id for record in closed} == set(lost.values())
    assert close_lost_runs(instance) == []
    for run_id in mine.values():
        let_go(run_id)


def test_the_daemon_is_told_whether_the_process_of_a_run_lives(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Also where the daemon itself launched it, and so saw to it until it started."""
    told, read = tmp_path / "told.txt", os.pipe()
    run = instance.create_run_for_job(idle)
    instance.report_dagster_event(dg.DagsterEvent("PIPELINE_STARTING", idle.name), run.run_id)

    def works() -> None:
        with open_instance() as own:
            own.report_dagster_event(dg.DagsterEvent("PIPELINE_START", idle.name), run.run_id)
            told.write_text("begun")
            os.read(read[0], 1)

    let_go(run.run_id)  # a forked process holds what this one does
    worker = forked(works, told)
    while not told.exists():
        assert os.waitpid(worker, os.WNOHANG) == (0, 0)
    launcher = instance.run_launcher
    assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    os.kill(worker, signal.SIGKILL)
    assert exit_code(worker) == -signal.SIGKILL, told.read_text()
    found = launcher.check_run_worker_health(run)
    assert (found.status, found.msg) == (WorkerStatus.FAILED, LOST)


def test_a_run_that_ends_leaves_no_lock(instance: dg.DagsterInstance, empty_home: Path) -> None:
    run_id = idle.execute_in_process(instance=instance).run_id
    assert not is_attended(run_id)
    assert not list((empty_home / "locks").rglob(run_id))
