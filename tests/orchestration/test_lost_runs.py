"""Runs whose process was killed: each is known by its lock, closed as failed, and holds nothing back."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster._core.events import DagsterEventType
from dagster._core.launcher import WorkerStatus

from nn_assets.operations.failures import LOST
from nn_assets.orchestration import lost_runs
from nn_assets.orchestration.instance import open_instance
from nn_assets.orchestration.lost_runs import close_lost_runs
from nn_assets.store.ledger.run_locks import hold_run, is_attended, let_go, unattended
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


@pytest.fixture
def in_files(empty_home: Path) -> Iterator[dg.DagsterInstance]:
    """The same, in files."""
    with open_instance() as opened:
        yield opened


def test_what_a_killed_process_saw_to_is_closed_and_what_a_living_one_sees_to_is_not(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    output = tmp_path / "told.txt"

    def begins_and_is_killed() -> None:
        with open_instance() as own:
            output.write_text(" ".join(brought_to(own, stage) for stage in STAGES))
            os.kill(os.getpid(), signal.SIGKILL)

    assert ended(begins_and_is_killed, output) == -signal.SIGKILL, output.read_text()
    lost = dict(zip(STAGES, output.read_text().split(), strict=True))
    living = {stage: brought_to(instance, stage) for stage in STAGES}
    closed = close_lost_runs(instance)
    status = {run.run_id: run.status for run in instance.get_runs()}
    assert {stage: status[run_id] for stage, run_id in living.items()} == {stage: stage for stage in STAGES}
    canceled = {dg.DagsterRunStatus.CANCELING: dg.DagsterRunStatus.CANCELED}
    expected = dict.fromkeys(STAGES, dg.DagsterRunStatus.FAILURE) | canceled
    assert {stage: status[run_id] for stage, run_id in lost.items()} == expected
    assert {record.dagster_run.run_id for record in closed} == set(lost.values())
    assert close_lost_runs(instance) == []
    for run_id in living.values():
        let_go(run_id)


def test_the_daemon_is_told_whether_the_process_of_a_run_lives(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Also where the daemon itself launched it, and so saw to it until it started."""
    output, read = tmp_path / "told.txt", os.pipe()
    run = instance.create_run_for_job(idle)
    instance.report_dagster_event(dg.DagsterEvent("PIPELINE_STARTING", idle.name), run.run_id)

    def works() -> None:
        with open_instance() as own:
            own.report_dagster_event(dg.DagsterEvent("PIPELINE_START", idle.name), run.run_id)
            output.write_text("begun")
            os.read(read[0], 1)

    let_go(run.run_id)  # a forked process holds what this one does
    worker = forked(works, output)
    while not output.exists():
        assert os.waitpid(worker, os.WNOHANG) == (0, 0)
    launcher = instance.run_launcher
    assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    os.kill(worker, signal.SIGKILL)
    assert exit_code(worker) == -signal.SIGKILL, output.read_text()
    health = launcher.check_run_worker_health(run)
    assert (health.status, health.msg) == (WorkerStatus.FAILED, LOST)


def test_a_run_that_ends_leaves_no_lock(instance: dg.DagsterInstance, empty_home: Path) -> None:
    run_id = idle.execute_in_process(instance=instance).run_id
    assert not is_attended(run_id)
    assert not list((empty_home / "locks").rglob(run_id))


BEGINS = (DagsterEventType.PIPELINE_STARTING, DagsterEventType.PIPELINE_START)
ENDS = (
    DagsterEventType.PIPELINE_ENQUEUED,
    DagsterEventType.PIPELINE_SUCCESS,
    DagsterEventType.PIPELINE_FAILURE,
    DagsterEventType.PIPELINE_CANCELED,
)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("begin", BEGINS)
def test_the_lock_is_there_before_the_storage_hears_of_a_run_and_until_it_heard_of_its_end(
    empty_home: Path, begin: DagsterEventType, end: DagsterEventType
) -> None:
    heard: list[tuple[str, bool]] = []
    runs = SimpleNamespace(
        add_run=lambda run: heard.append(("made", is_attended(run.run_id))),
        handle_run_event=lambda run_id, event, _: heard.append((event.event_type_value, is_attended(run_id))),
    )
    lost_runs.attended(SimpleNamespace(run_storage=runs))  # type: ignore[arg-type]
    run = SimpleNamespace(run_id="a-run", status=dg.DagsterRunStatus.QUEUED)
    runs.add_run(run)
    runs.handle_run_event(run.run_id, dg.DagsterEvent(begin.value, idle.name))
    runs.handle_run_event(run.run_id, dg.DagsterEvent(DagsterEventType.PIPELINE_CANCELING.value, idle.name))
    assert is_attended(run.run_id)
    runs.handle_run_event(run.run_id, dg.DagsterEvent(end.value, idle.name))
    assert not is_attended(run.run_id)
    canceling = DagsterEventType.PIPELINE_CANCELING.value
    assert heard == [("made", False), (begin.value, True), (canceling, True), (end.value, True)]


@pytest.mark.parametrize("meanwhile", ["ends", "is deleted"])
def test_a_run_that_ends_while_its_lock_is_asked_for_stays_as_it_ended(
    in_files: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    run_id = brought_to(in_files, dg.DagsterRunStatus.STARTED)

    @contextmanager
    def ended_just_now(asked: str) -> Iterator[bool]:
        if meanwhile == "ends":
            success = dg.DagsterEvent(DagsterEventType.PIPELINE_SUCCESS.value, idle.name)
            in_files.report_dagster_event(success, asked)
        else:
            in_files.delete_run(asked)
            let_go(asked)
        with unattended(asked) as alone:
            assert alone
            yield alone

    monkeypatch.setattr(lost_runs, "unattended", ended_just_now)
    assert close_lost_runs(in_files) == []
    left = [run.status for run in in_files.get_runs(dg.RunsFilter(run_ids=[run_id]))]
    assert left == ([dg.DagsterRunStatus.SUCCESS] if meanwhile == "ends" else [])


@pytest.mark.parametrize("made_again", [False, True])
def test_a_lock_on_a_file_that_was_removed_meanwhile_is_taken_anew(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, made_again: bool
) -> None:
    """Who held the run alone removes the file as it lets go; another may have made it again by then."""
    file, take, asked = empty_home / "locks" / "runs" / "a-run", fcntl.flock, []

    def waits_until_it_is_removed(stream: object, kind: int) -> None:
        if not asked:
            file.unlink()
            if made_again:
                file.touch()
        asked.append(kind)
        take(stream, kind)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", waits_until_it_is_removed)
    hold_run("a-run")
    assert len(asked) == 2
    assert is_attended("a-run")
    let_go("a-run")
    assert not is_attended("a-run")
    assert not file.exists()
