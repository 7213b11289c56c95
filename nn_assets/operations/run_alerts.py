"""Alerts of what a run's end leaves to a person: its failure, and each check that failed; and of ticks that failed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from nn_assets.errors import NnAssetsError
from nn_assets.operations.alerts import append_alert
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.clock import now_utc
from nn_assets.operations.failures import (
    checks_of_other_assets,
    failed_step_text,
    failed_tick_message,
    one_line,
    split_remedy,
)
from nn_assets.operations.history import History
from nn_assets.operations.names import full_name
from nn_assets.operations.outcomes import FAILED, LEDGER_INTACT, FailedCheck, Run
from nn_assets.operations.situation import headline_now
from nn_assets.oversight.headline import halted
from nn_assets.settings import Strategy

OpenHistory = Callable[[Strategy], AbstractContextManager[History]]

_MEND = "mend what it names, and run it again: what was finished is kept"


def alert_of_failure(
    opened: OpenHistory, run_id: str, job: str, step: str | None, message: str | None, strategy: str | None
) -> None:
    """Alert of a run that failed, once however often it is reported.

    Parameters
    ----------
    opened : callable
        Opens a strategy's history, for its headline now.
    job, strategy : str
        The job's full name, and its strategy, where that is known.
    step, message : str, optional
        Where it failed, and what that says, with its remedy where it names one; None before its first step.
    """
    failure = message or "it failed before its first step"
    text, remedy = split_remedy(one_line(failure))
    cause = failed_step_text(failure)
    if cause == text:  # else a gate halted, of which its checks say enough
        cause = "\n".join([text, *failure.splitlines()[1:]])
    about = {"strategy": strategy, "job": job, "run_id": run_id}
    step_text = "" if step is None else f"{step}: "
    stands = partial(_headline, opened, strategy)
    append_alert(f"run:{run_id}", stands, cause=step_text + cause, remedy=remedy or _MEND, **about)


def alert_of_end(
    opened: OpenHistory,
    run: Run,
    outcome: str,
    failed_checks: tuple[FailedCheck, ...],
    message: str | None = None,
    failed_step: str | None = None,
) -> None:
    """Alert of a run's failure, where it failed, and of each check of other assets that failed in it."""
    job = full_name(run.strategy, run.name)
    if outcome == FAILED:
        alert_of_failure(opened, run.run_id, job, failed_step, message, run.strategy)
    for check in checks_of_other_assets(failed_step, failed_checks):
        if check.name == LEDGER_INTACT:
            continue
        append_alert(
            f"check:{run.run_id}:{check.name}",
            partial(_headline, opened, run.strategy),
            cause=f"check {check.name} failed: {check.found}",
            remedy=check.remedy,
            strategy=run.strategy,
            job=job,
            run_id=run.run_id,
        )


def alert_of_failed_tick(opened: OpenHistory, strategy: str, name: str, error: Exception) -> None:
    """Alert of a schedule or sensor whose tick failed: once a day for each kind of error, however often it ticks."""
    kind = type(error).__name__
    cause, remedy = failed_tick_message(name, f"{kind}: {error}")
    append_alert(
        f"tick:{strategy}:{name}:{now_utc():%Y-%m-%d}:{kind}",
        partial(_headline, opened, strategy),
        cause=cause,
        remedy=remedy,
        strategy=strategy,
        job=name,
    )


def _headline(opened: OpenHistory, strategy: str | None) -> str:
    """A strategy's headline now; HALTED where the ledger or the strategy cannot be read."""
    if strategy is None:
        return ""
    try:
        with opened(find_strategy(strategy).strategy) as history:
            return str(headline_now(history))
    except NnAssetsError as error:
        return str(halted(strategy, "how it stands cannot be told", one_line(str(error))))
