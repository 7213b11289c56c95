"""Alerts of what a run's end leaves to a person: its failure, and each check that failed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from nn_assets.errors import NnAssetsError
from nn_assets.operations.alerts import append_alert
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.history import History
from nn_assets.operations.names import full_name
from nn_assets.operations.outcomes import FAILED, LEDGER_INTACT, FailedCheck, Run, told_and_remedy
from nn_assets.operations.situation import headline_now, one_line
from nn_assets.settings import Strategy

__all__ = ["alert_of_end", "alert_of_failure"]

OpenHistory = Callable[[Strategy], AbstractContextManager[History]]

_MEND = "mend what it names, and run it again: what was finished is kept"


def alert_of_failure(
    opened: OpenHistory, run_id: str, job: str, cause: str, remedy: str | None, strategy: str | None
) -> None:
    """Alert of a run that failed, once however many tell of it.

    Parameters
    ----------
    opened : callable
        Opens a strategy's history, for how it stands now.
    job, strategy : str
        The job's full name, and whose it is, where that is known.
    """
    stands = partial(_headline, opened, strategy)
    about = {"strategy": strategy, "job": job, "run_id": run_id}
    append_alert(f"run:{run_id}", stands, cause=cause, remedy=remedy or _MEND, **about)


def alert_of_end(
    opened: OpenHistory,
    run: Run,
    outcome: str,
    failed_checks: tuple[FailedCheck, ...],
    message: str | None = None,
    failed_step: str | None = None,
) -> None:
    """Alert of a run's failure, where it failed, and of each check of it that did beside."""
    job = full_name(run.strategy, run.name)
    if outcome == FAILED:
        cause, remedy = told_and_remedy(message or "it failed before its first step")
        at = f"{failed_step}: " if failed_step else ""
        alert_of_failure(opened, run.run_id, job, at + cause, remedy, run.strategy)
    for check in failed_checks:
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


def _headline(opened: OpenHistory, strategy: str | None) -> str:
    """How a strategy stands now; a ledger or a strategy that cannot be read halts it."""
    if strategy is None:
        return ""
    try:
        with opened(find_strategy(strategy).strategy) as history:
            return str(headline_now(history))
    except NnAssetsError as error:
        return f"{strategy} HALTED: how it stands cannot be told. A person is needed: {one_line(str(error))}"
