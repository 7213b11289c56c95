"""Dagster's processes killed one by one while a run is under way: it is closed, and what waits behind it goes on."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest

from nn_assets.orchestration.instance import open_instance
from nn_assets.store.home import dagster_home, instance_root
from nn_assets.store.ledger.run_locks import is_attended
from tests.orchestration.conftest import NAME, subprocess_environment, write_strategy

pytestmark = pytest.mark.full

FAILURE, STARTED, SUCCESS = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS
# What the command line of each of Dagster's processes holds.
PROGRAMS = {"daemon": "nn_assets.orchestration.daemon", "webserver": "nn_assets.cli.ui_server", "run": "spawn_main"}
QUICK_SECONDS, PATIENT_SECONDS = 10.0, 240.0


def command_line(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def descendants(process: int) -> list[int]:
    """Every process that another one started, itself first."""
    processes = [process]
    for process_id in processes:
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            for task in Path(f"/proc/{process_id}/task").iterdir():
                processes += [int(child) for child in (task / "children").read_text().split()]
    return processes


def waited(for_what: Callable[[], object], seconds: float = PATIENT_SECONDS) -> float:
    """Wait for something to hold; how long it took."""
    began = time.monotonic()
    while not for_what():
        assert time.monotonic() - began < seconds, "it never came"
        time.sleep(0.2)
    return time.monotonic() - began


def status_of(run_id: str) -> dg.DagsterRunStatus | None:
    with open_instance() as instance:
        run = instance.get_run_by_id(run_id)
    return None if run is None else run.status


@contextmanager
def ui(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``nn-assets ui``, until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "nn_assets.cli", "ui", "--port", str(port)]
    with (home / "ui.log").open("ab") as log:
        server = subprocess.Popen(command, env=subprocess_environment(home), stdout=log, stderr=log)
    try:
        waited(lambda: any(PROGRAMS["daemon"] in command_line(process) for process in descendants(server.pid)))
        yield server
    finally:
        server.terminate()
        server.wait(60)


def queued(home: Path) -> str:
    """A run of the tables, put into the queue as the webserver puts one; its id."""
    run_id = str(uuid4())
    command = [sys.executable, "-m", "dagster", "job", "launch", "-w", str(instance_root() / "workspace.yaml")]
    launch = [*command, "-j", f"{NAME}__tables", "--run-id", run_id]
    environment = {**subprocess_environment(home), "DAGSTER_HOME": str(dagster_home())}
    subprocess.run(launch, env=environment, check=True, timeout=240, capture_output=True)
    return run_id


@contextmanager
def held_up(home: Path) -> Iterator[None]:
    """Hold the strategy, so that a run of it that has started waits."""
    folder = home / "locks" / NAME
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def victims(server: int, name: str) -> list[int]:
    family = descendants(server)
    if name == "everything":
        return family
    if name == "ui":
        return [server]
    chosen = [process for process in family if PROGRAMS[name] in command_line(process)]
    assert chosen, [command_line(process) for process in family]
    return chosen


@pytest.mark.parametrize("name", ["run", "daemon", "webserver", "ui", "everything"])
def test_a_run_whose_process_is_killed_is_closed_and_the_next_one_goes_on(empty_home: Path, name: str) -> None:
    write_strategy(empty_home)
    with held_up(empty_home):
        with ui(empty_home) as server:
            first, second = queued(empty_home), queued(empty_home)
            waited(lambda: STARTED in (status_of(first), status_of(second)))
            first, second = (first, second) if status_of(first) is STARTED else (second, first)
            assert is_attended(first)
            assert status_of(second) is dg.DagsterRunStatus.QUEUED
            family = descendants(server.pid)
            for victim in victims(server.pid, name):
                os.kill(victim, signal.SIGKILL)
            if name == "run":
                print("closed after", waited(lambda: status_of(first) is FAILURE, QUICK_SECONDS + 5), "s")
            else:
                waited(lambda: server.poll() is not None)
                print("gone after", waited(lambda: not any(map(command_line, family)), QUICK_SECONDS), "s")
        if name != "run":
            waited(lambda: not is_attended(first), QUICK_SECONDS)
            assert status_of(first) is STARTED
    with ui(empty_home):
        # Once there is a daemon: before it is started, in fact.
        print("closed after", waited(lambda: status_of(first) is FAILURE, QUICK_SECONDS), "s")
        print("went on after", waited(lambda: status_of(second) is SUCCESS), "s")


def test_a_killed_command_holds_nothing_back_while_the_daemon_runs(empty_home: Path) -> None:
    write_strategy(empty_home)
    with ui(empty_home):
        with held_up(empty_home):
            command = [sys.executable, "-m", "nn_assets.cli", "check", "--strategy", NAME]
            killed = subprocess.Popen(command, env=subprocess_environment(empty_home))

            def under_way() -> list[dg.DagsterRun]:
                with open_instance() as instance:
                    return list(instance.get_runs(dg.RunsFilter(statuses=[STARTED])))

            waited(under_way)
            (run,) = under_way()
            killed.kill()
            killed.wait(30)
            print("closed after", waited(lambda: status_of(run.run_id) is FAILURE, QUICK_SECONDS), "s")
        second = queued(empty_home)
        waited(lambda: status_of(second) is SUCCESS)
