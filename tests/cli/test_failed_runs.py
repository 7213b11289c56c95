"""A run that fails by an error of this package: that error is told first, as it is, and then which run it was."""

from __future__ import annotations

import copy

import pytest

from nn_assets.cli import runs as headless
from nn_assets.errors import NAMED_ERRORS, GateHalted, NnAssetsError, PublicationError, RunFailed, SourceError
from nn_assets.operations.failures import StepFailure, run_failed
from nn_assets.operations.outcomes import FailedCheck
from tests.cli.conftest import STRATEGY, call, write_bars

RUN, STEP = "5f0c0e9a-run", "mine__raw_bars"
ERRORS = [
    SourceError(expected="a number in close", found="text 'x'", remedy="write a number", file="a.csv", row=3),
    PublicationError(expected="the file as it was written", found="no such file", remedy="study makes it again"),
    GateHalted(
        expected="data to pass",
        found="freshness: old",
        remedy="wait",
        violations=["AAA: a", "BBB: b"],
        rule="freshness",
    ),
]


def failed(error: Exception, *, with_name: bool = True, checks: tuple[FailedCheck, ...] = ()) -> RunFailed:
    """As a step of a run tells of it; a gate that halts tells it without its name."""
    kind = type(error).__name__
    module = f"{type(error).__module__}." if isinstance(error, NnAssetsError) else ""
    message = f"{module}{kind}: {error}" if with_name else str(error)
    failure = StepFailure.of(STEP, message, interrupted="Interrupted", raised=kind)
    return run_failed("mine__tables", RUN, failure, checks)


@pytest.mark.parametrize("with_name", [True, False])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_the_named_error_comes_first_whole_and_one_line_on_the_run_after_it(error: Exception, with_name: bool) -> None:
    failure = failed(error, with_name=with_name)
    assert failure.kind == type(error).__name__
    first, _, run = str(failure).rpartition("\n")
    assert first == str(error)
    assert run.startswith(f"step {STEP} failed in run {RUN} of mine__tables: mend what is named, then run again")
    again = copy.copy(failure)  # made anew of what it says, as between processes
    assert (str(again), again.kind, again.where) == (str(failure), failure.kind, {"run": RUN})


def test_checks_that_failed_beside_it_come_last_and_an_error_of_no_name_is_told_as_a_failed_run() -> None:
    failure = failed(ERRORS[0], checks=(FailedCheck("orders.gross", "too much", "look"),))
    assert str(failure).splitlines()[-1] == "check orders.gross failed: too much. Remedy: look"
    unnamed = failed(KeyError("drifted"))
    assert unnamed.kind == "RunFailed"
    assert f"step {STEP} failed: KeyError" in str(unnamed)
    assert {"ClockError", "SourceError", "RunFailed"} <= NAMED_ERRORS
    assert all(name[0].isupper() for name in NAMED_ERRORS)
    assert "Sequence" not in NAMED_ERRORS


def test_a_command_prints_the_named_error_and_its_json_says_which_and_of_which_run(tmp_path, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise failed(ERRORS[0])

    monkeypatch.setattr(headless, "execute", fail)
    home = tmp_path / "home"
    write_bars(home / "strategies" / "bars")
    (home / "strategies" / "mine.yaml").write_text(STRATEGY, encoding="utf-8")
    answer = call(home, "study", "-s", "mine")
    assert answer.status == 1
    head, run = answer.err.strip().splitlines()[-2:]
    assert head == f"SourceError: {ERRORS[0]}"
    assert RUN in run
    document = call(home, "study", "-s", "mine", "--json").document
    assert (document["ok"], document["error"], document["run_id"]) == (False, "SourceError", RUN)
    assert document["message"].startswith(str(ERRORS[0]))
