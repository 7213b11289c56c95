"""Ctrl-C in a command: what is told, the exit status, and which processes hear of it."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from nn_assets.cli import runs
from nn_assets.cli.app import app
from nn_assets.learning.workers import map_in_order
from nn_assets.store.lake.models import ModelStore


def _interrupted_after(models: int) -> Callable[..., str]:
    def execute(*_: Any, **__: Any) -> str:
        for number in range(models):
            ModelStore().put(f"model-{number:04}", {"model.json": b"{}"})
        raise KeyboardInterrupt

    return execute


@pytest.mark.parametrize(("models", "told"), [(0, "0 models kept"), (1, "1 model kept"), (3, "3 models kept")])
def test_a_study_that_is_interrupted_says_how_many_models_it_keeps(
    tmp_path, monkeypatch: pytest.MonkeyPatch, models: int, told: str
) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.setattr(runs, "execute", _interrupted_after(models))
    monkeypatch.setattr(runs, "missing_months", lambda *_: [])
    answer = CliRunner().invoke(app, ["study"])
    assert (answer.exit_code, answer.stdout, answer.stderr) == (130, "", f"interrupted, {told}\n")


def test_as_json_it_is_one_document(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.setattr(runs, "run_study", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    answer = CliRunner().invoke(app, ["study", "--json"])
    assert answer.exit_code == 130
    assert json.loads(answer.stdout) == {"ok": False, "error": "Interrupted", "message": "interrupted"}


class _Pool:
    """A pool whose processes are remembered rather than started."""

    def __init__(self, answers: list[Any]) -> None:
        self._processes = {1: SimpleNamespace(terminate=self._terminate)}
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
    assert list(map_in_order(pool, abs, [1, 2])) == [1, 2]
    assert pool.held
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert pool.ended == 0


@pytest.mark.parametrize(("error", "ended"), [(KeyboardInterrupt(), 1), (SystemExit(), 1), (ValueError(), 0)])
def test_an_interrupt_ends_training_at_once_and_a_fault_of_one_model_does_not(error: BaseException, ended: int) -> None:
    pool = _Pool([1, error])
    answers = map_in_order(pool, abs, [1, 2])
    assert next(answers) == 1
    with pytest.raises(type(error)):
        next(answers)
    assert pool.ended == ended


def test_a_caller_who_leaves_early_ends_it_too() -> None:
    pool = _Pool([1, 2])
    answers = map_in_order(pool, abs, [1, 2])
    next(answers)
    answers.close()
    assert pool.ended == 1
