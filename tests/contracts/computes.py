"""What every member of the compute port keeps; a new one brings a fixture that opens it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from nn_assets import plugins
from nn_assets.errors import TrainingError, WorkerError
from nn_assets.learning.compute import HERE, Compute
from nn_assets.learning.ensemble import train_ensemble
from tests.learning.tiny import tiny_samples, tiny_settings

_PLUGIN = (
    "from nn_assets.learning.networks import register_network\n\n\n"
    "@register_network('sent_along')\ndef sent_along(learning, features):\n    raise NotImplementedError\n"
)


def late_if_first(task: int) -> int:
    """Ten times the task; the first takes longest."""
    time.sleep(0.2 if task == 0 else 0.0)
    return 10 * task


def failing(task: int) -> int:
    """An error of its own type for the task 2."""
    if task == 2:
        raise TrainingError(expected="a loss", found="nan", remedy="none", seed=task)
    return task


def plugins_there(_: int) -> list[str]:
    """Names of networks where the task runs."""
    from nn_assets.learning.networks import NETWORKS

    return list(NETWORKS)


def slow_from_the_second_on(task: int) -> int:
    """The first at once, the others too late for any test."""
    time.sleep(60.0 if task else 0.0)
    return task


def dying(_: int) -> None:
    """End what it runs in."""
    os._exit(3)


class ComputeContract:
    """Tests that a member inherits, with the fixture ``opened``."""

    dies = True
    """Whether what computes can die without the caller: not where that is the caller."""

    @pytest.fixture
    def opened(self) -> AbstractContextManager[Compute]:
        """The member, for two tasks at once; not entered yet."""
        raise NotImplementedError

    @pytest.fixture
    def _a_plugin_runs(self, tmp_path: Path) -> Iterator[None]:
        (tmp_path / "brings_a_network.py").write_text(_PLUGIN)
        plugins.load([str(tmp_path / "brings_a_network.py")])
        yield
        plugins.forget()

    @pytest.mark.usefixtures("_a_plugin_runs")
    def test_order_bits_types_of_errors_and_plug_ins_are_those_of_this_process_and_a_death_is_an_error_by_name(
        self, opened: AbstractContextManager[Compute]
    ) -> None:
        # one test, since opening takes seconds; what dies comes last
        with opened as compute:
            assert list(compute.map(late_if_first, range(4))) == [0, 10, 20, 30]
            assert list(compute.map(late_if_first, iter(()))) == []
            (there,) = compute.map(plugins_there, [0])
            assert "sent_along" in there
            answers = compute.map(failing, [1, 2, 3])
            assert next(answers) == 1
            with pytest.raises(TrainingError, match="expected a loss; found nan"):
                next(answers)
            samples, settings = tiny_samples(), tiny_settings(ensemble=2, maximum_epochs=2)
            there = train_ensemble(*samples, settings, compute)
            here = train_ensemble(*samples, settings, HERE)
            for one, other in zip(here.members, there.members, strict=True):
                assert (one.seed, one.history) == (other.seed, other.history)
                assert {name: value.tobytes() for name, value in one.state.items()} == {
                    name: value.tobytes() for name, value in other.state.items()
                }
            if self.dies:
                with pytest.raises(WorkerError, match=r"processes that live.*learning\.processes"):
                    list(compute.map(dying, [0, 1]))

    def test_an_interrupt_ends_what_is_under_way(self, opened: AbstractContextManager[Compute]) -> None:
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as some shells and services start a program
        try:
            with opened as compute:
                answers = compute.map(slow_from_the_second_on, [0, 1, 2, 3])
                assert next(answers) == 0
                left = time.monotonic()
                with pytest.raises(KeyboardInterrupt):
                    answers.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
            assert time.monotonic() - left < 10.0
        finally:
            signal.signal(signal.SIGTERM, before)
