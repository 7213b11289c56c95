from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from nn_assets.errors import SettingsError
from nn_assets.learning.compute import COMPUTES, HERE, Compute, open_compute
from nn_assets.settings import LearningSettings
from tests.contracts.computes import ComputeContract


class TestHere(ComputeContract):
    dies = False

    @pytest.fixture
    def opened(self) -> AbstractContextManager[Compute]:
        return open_compute("here", 2)


@pytest.mark.slow
class TestProcesses(ComputeContract):
    @pytest.fixture
    def opened(self) -> AbstractContextManager[Compute]:
        return open_compute("processes", 2)


def test_one_process_means_this_one() -> None:
    with open_compute("processes", 1) as compute:
        assert compute is HERE


def test_a_name_that_nobody_registered_is_an_error_by_name() -> None:
    with pytest.raises(SettingsError, match="process is no compute: did you mean processes"):
        open_compute("process", 2)


def test_where_models_are_trained_never_counts() -> None:
    assert LearningSettings().compute in COMPUTES
    assert LearningSettings(compute="here").counted() == LearningSettings().counted()


_PARENT = """
import os, sys, time
from nn_assets.learning.compute import open_compute
if __name__ == "__main__":
    with open_compute("processes", 2) as compute:
        print(compute.pool.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""


@pytest.mark.slow
def test_processes_of_a_killed_parent_leave_too(tmp_path: Path, checkout: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(checkout)},
    )
    assert parent.stdout is not None
    with parent.stdout:
        children = [int(text) for text in parent.stdout.readline().split()]
    assert children
    assert all(_alive(child) for child in children)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while any(_alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(_alive(child) for child in children)


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
