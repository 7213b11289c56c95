"""Ctrl-C in a command: what is told, the exit status, and which processes hear of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from nn_assets.cli import runs
from nn_assets.cli.app import app
from nn_assets.learning.compute import OnExecutor
from nn_assets.store.lake.models import ModelStore
from tests.cli.conftest import STRATEGY, write_bars


def _interrupted_after(models: int) -> Callable[..., str]:
    def execute(*_: Any, **__: Any) -> str:
        for number in range(models):
            ModelStore().put(f"model-{number:04}", {"model.json": b"{}"})
        raise KeyboardInterrupt

    return execute


@pytest.mark.parametrize(("models", "expected"), [(0, "0 models kept"), (1, "1 model kept"), (3, "3 models kept")])
def test_a_study_that_is_interrupted_says_how_many_models_it_keeps(
    tmp_path, monkeypatch: pytest.MonkeyPatch, models: int, expected: str
) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.setattr(runs, "execute", _interrupted_after(models))
    monkeypatch.setattr(runs, "missing_months", lambda *_: [])
    answer = CliRunner().invoke(app, ["study", "-s", "index_daily"])
    assert (answer.exit_code, answer.stdout, answer.stderr) == (130, "", f"interrupted, {expected}\n")


def test_as_json_it_is_one_document(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.setattr(runs, "run_study", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    answer = CliRunner().invoke(app, ["study", "--json"])
    assert answer.exit_code == 130
    assert json.loads(answer.stdout) == {"ok": False, "error": "Interrupted", "message": "interrupted"}


def test_code_that_ends_the_process_is_no_success_and_not_silent(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.setattr(runs, "run_study", lambda *_: sys.exit(0))
    answer = CliRunner().invoke(app, ["study", "--json"])
    assert answer.exit_code == 1
    assert json.loads(answer.stdout)["message"].startswith("ended by code that called sys.exit(0)")


ENDLESS = {
    "processes: 1": "processes: 2",
    "maximum_epochs: 3": "maximum_epochs: 999999",
    "patience: 2": "patience: 999999",
}


@pytest.mark.parametrize(
    "when", ["raw_bars", pytest.param("2 models due", marks=pytest.mark.full)], ids=["at its first step", "in training"]
)
def test_ctrl_c_ends_a_study_within_three_seconds_with_130_and_no_alert(tmp_path: Path, when: str) -> None:
    """A process of its own, interrupted as a terminal does: the signal goes to every process of the group."""
    text = STRATEGY
    for once, endless in ENDLESS.items():
        assert text.count(once) == 1
        text = text.replace(once, endless)
    write_bars(tmp_path / "strategies" / "bars")
    (tmp_path / "strategies" / "mine.yaml").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "nn_assets.cli", "study", "-s", "mine"]
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("NN_ASSETS_", "DAGSTER_"))}
    study = subprocess.Popen(
        command,
        env={**outside, "NN_ASSETS_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert study.stdout is not None
        progress = next((line for line in study.stdout if when in line), None)
        assert progress is not None, f"it ended by itself, with {study.wait()}"
        sent = time.monotonic()
        os.killpg(study.pid, signal.SIGINT)
        rest, _ = study.communicate(timeout=30)
        assert time.monotonic() - sent < 3.0
        assert study.returncode == 130, rest
        assert rest.splitlines()[-1] == "interrupted, 0 models kept"
        assert not (tmp_path / "alerts.jsonl").exists()
        with pytest.raises(ProcessLookupError):  # nobody of the group is left
            os.killpg(study.pid, 0)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(study.pid, signal.SIGKILL)
        study.wait()


class _Pool:
    """A pool whose processes are remembered rather than started."""

    def __init__(self, answers: list[Any]) -> None:
        self._processes = {1: SimpleNamespace(kill=self._terminate)}
        self.ended, self.held = 0, False
        self._answers = answers

    def _terminate(self) -> None:
        self.ended += 1

    def map(self, *_: Any) -> Any:
        self.held = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        for answer in self._answers:
            if isinstance(answer, BaseException):
                raise answer
            yield answer


class _Eager(_Pool):
    def map(self, *_: Any) -> Any:
        return iter(list(super().map()))


def test_training_processes_are_started_deaf_to_the_terminal_and_their_parent_is_not() -> None:
    pool = _Eager([1, 2])
    assert list(OnExecutor(pool).map(abs, [1, 2])) == [1, 2]
    assert pool.held
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert pool.ended == 0


@pytest.mark.parametrize(("error", "ended"), [(KeyboardInterrupt(), 1), (SystemExit(), 1), (ValueError(), 0)])
def test_an_interrupt_ends_training_at_once_and_a_fault_of_one_model_does_not(error: BaseException, ended: int) -> None:
    pool = _Pool([1, error])
    answers = OnExecutor(pool).map(abs, [1, 2])
    assert next(answers) == 1
    with pytest.raises(type(error)):
        next(answers)
    assert pool.ended == ended


def test_a_caller_who_leaves_early_ends_it_too() -> None:
    pool = _Pool([1, 2])
    answers = OnExecutor(pool).map(abs, [1, 2])
    next(answers)
    answers.close()
    assert pool.ended == 1
