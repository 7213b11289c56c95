"""How runs ended and what ticks came to, in the ledger: what an operator is told without Dagster's own storage.

Nothing here may stop what it tells of: a ledger that refuses is logged, and asked again at the next tick.

A run is recorded as it starts and, in a second version, as it ends: one that was killed is seen as started and never
ended. A tick is recorded when it says something new, and once an hour besides, so that a silence has an age.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any, Self

import pandas as pd

from nn_assets.errors import NAMED_ERRORS, AuditError, GateHalted, LedgerError, RunFailed, shortened
from nn_assets.operations.clock import now_utc
from nn_assets.operations.names import DAILY, STUDY, TABLES
from nn_assets.store.home import home
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.schema import WHOLE_LEDGER

__all__ = [
    "ASKED",
    "CANCELED",
    "FAILED",
    "INTERRUPTED",
    "LEDGER_INTACT",
    "LOST",
    "SKIPPED",
    "STARTED",
    "SUCCEEDED",
    "FailedCheck",
    "Run",
    "StepFailure",
    "beside",
    "checks_failed_in",
    "kept_text",
    "last_heartbeat",
    "last_run",
    "last_tick",
    "looks_from",
    "one_line",
    "record_end",
    "record_heartbeat",
    "record_start",
    "record_tick",
    "run_failed",
    "told_and_remedy",
    "told_of_end",
    "told_of_failed_tick",
    "told_of_halt",
    "told_of_step",
]

STARTED, SUCCEEDED, FAILED, CANCELED = "STARTED", "SUCCEEDED", "FAILED", "CANCELED"
ASKED, SKIPPED = "ASKED", "SKIPPED"
INTERRUPTED = "it was interrupted"
LOST = "its process is gone: it was killed, or the machine stopped"
_RUN, _TICK = "run", "tick"
_TABLE = "outcomes"
_BEAT = pd.Timedelta(hours=1)
_FIRST_LOOK_BACK = pd.Timedelta(minutes=5)
_LOOK = "open the check in the UI (nn-assets ui); until it is explained: nn-assets control kill-switch HALTED"
_LONGEST_MESSAGE = 1_000
_LONGEST_HALT = 220  # with the strategy's name, when, and what to do: a sentence of some 400 characters
_LOOKED_BACK = 20_000  # entries of the chain: some months of rounds
_REMEDY = re.compile(r"(?:\. |\n)Remedy: ")
_IN_ADDRESSES = re.compile(r"://\S*@")
_SECRETS = re.compile(r"((?:api_?key|token|password|secret)\s*[=:]\s*)[^\s&;,]+", re.IGNORECASE)

# Of a run that was lost: what it leaves, and the command that goes on from there.
_LEFT = {
    STUDY: ("the models that it had finished are kept", "nn-assets study --strategy {name}{months} goes on from there"),
    DAILY: (
        "each session that it had decided is on record, and none by halves",
        "nn-assets run --strategy {name}{sessions} decides the others",
    ),
    TABLES: ("what it had taken in is kept", "nn-assets check --strategy {name} goes on from there"),
}
_LEFT_OF_OTHERS = "what it had finished is kept", "run it again in the UI (nn-assets ui)"

_log = logging.getLogger(__name__)


LEDGER_INTACT = "ledger_is_intact"
"""Check that a round does first of all: where it fails, it fails the run, which tells of it."""


@dataclass(frozen=True)
class Run:
    """A run of one of a strategy's jobs.

    Parameters
    ----------
    run_id : str
    strategy : str
    name : str
        The job without its strategy: ``daily``, ``study``, ``tables``, ``costs``; ``assets`` where some were chosen.
    first_partition, last_partition : str or None
        The range of partitions; None for a job without.
    began_at : Timestamp or None
        UTC.
    """

    run_id: str
    strategy: str
    name: str
    first_partition: str | None
    last_partition: str | None
    began_at: pd.Timestamp | None


@dataclass(frozen=True)
class FailedCheck:
    """A check of severity ERROR that did not pass in a run: asset and check, what it found, what to do."""

    name: str
    found: str
    remedy: str = _LOOK

    def __str__(self) -> str:
        return f"check {self.name} failed: {self.found}. Remedy: {self.remedy}"


@dataclass(frozen=True)
class StepFailure:
    """The step at which a run failed: its name, what it says, and the remedy if it names one."""

    step: str
    told: str
    remedy: str | None
    named: str = ""  # of this package's errors the one that it raised

    @classmethod
    def of(cls, step: str, message: str, *, interrupted: str, raised: str = "") -> Self:
        """Take a step's message apart.

        Parameters
        ----------
        interrupted : str
            How the message of a step ends that a person interrupted.
        raised : str
            Name of the error that it raised.
        """
        told, remedy = told_and_remedy(message.strip().removeprefix("nn_assets.errors."))
        if told.endswith(interrupted):
            return cls(step, INTERRUPTED, None)
        return cls(step, told, (remedy or "").rstrip(".") or None, raised if raised in NAMED_ERRORS else "")

    @property
    def checks(self) -> tuple[FailedCheck, ...]:
        """The check that it stands for: what a round verifies of the ledger before it decides."""
        of_the_ledger = self.named == AuditError.__name__  # it is not as it was appended
        return (FailedCheck(LEDGER_INTACT, self.told, str(self.remedy)),) if of_the_ledger else ()

    @property
    def as_raised(self) -> str:
        """The error of this package that it raised, without its name."""
        told = self.told.removeprefix(f"{self.named}: ")
        return told + (("\n" if "\n" in told else ". ") + f"Remedy: {self.remedy}" if self.remedy else "")

    @property
    def of_a_gate(self) -> bool:
        """Whether a gate halted in it."""
        return _is_halt(self.told)

    @property
    def was_interrupted(self) -> bool:
        """Whether a person interrupted it: it is no failure then."""
        return self.told == INTERRUPTED

    @property
    def message(self) -> str:
        """What it says, and its remedy in the first line, before the places that may follow."""
        first, *places = self.told.splitlines() or [self.told]
        return "\n".join([f"{first.rstrip('.')}. Remedy: {self.remedy}" if self.remedy else first, *places])

    @property
    def end(self) -> dict[str, Any]:
        """How a run ended that failed here, as :func:`record_end` takes it."""
        outcome = CANCELED if self.was_interrupted else FAILED
        return {"outcome": outcome, "failed_step": self.step, "message": self.message}


def run_failed(job: str, run_id: str, failure: StepFailure | None, checks: Sequence[FailedCheck]) -> RunFailed:
    """The error of a run that failed: the step and what it says, and what checks of other assets found.

    Where the step raised an error of this package that one is told as it is, and on the next line which run it was.
    """
    if failure is None:
        return RunFailed(
            expected=f"job {job} to succeed",
            found="a failure before its first step",
            remedy="open the run in the UI (nn-assets ui)",
            run=run_id,
        )
    others = beside(failure.step, checks)
    kept = "then run again: what was finished is kept"
    whole = f"step {failure.step} failed in run {run_id} of {job}: mend what is named, {kept}"
    return RunFailed(
        expected=f"job {job} to succeed",
        found="\n".join([f"step {failure.step} failed: {failure.told}", *map(str, others)]),
        remedy=f"{failure.remedy or 'mend what it names'}; {kept}",
        run=run_id,
        named=failure.named,
        told="\n".join([failure.as_raised, whole, *map(str, others)]) if failure.named else "",
    )


def told_of_end(run: Run | None, message: str | None) -> str | None:
    """What is said of the whole of a run that failed: where its process is gone, what it leaves, and what goes on.

    Parameters
    ----------
    run : Run, optional
        None where it is of no strategy.
    message : str, optional
        In the words of whoever closed it.
    """
    if run is None or message is None or LOST not in message:
        return message
    first, last = run.first_partition, run.last_partition
    ranged = {
        "months": f" --from {first[:7]} --to {last[:7]}" if first and last else "",
        "sessions": f" --from {first} --to {last}" if first and last else "",
    }
    kept, again = _LEFT.get(run.name, _LEFT_OF_OTHERS)
    return f"{LOST}; {kept}. Remedy: {again.format(name=run.strategy, **ranged)}"


def beside(step: str | None, checks: Sequence[FailedCheck]) -> list[FailedCheck]:
    """Failed checks of other assets than the step that failed: what it checked itself is part of what it says."""
    return [each for each in checks if step is None or not step.endswith(each.name.split(".")[0])]


def told_of_step(message: str) -> str:
    """What a failed step says, in one line without its remedy: of a gate that halts, which of its checks failed."""
    told = told_and_remedy(one_line(message))[0]
    if not _is_halt(told):
        return told
    return f"the gate halted: {told_of_halt(told.partition('; found ')[2])}"


def _is_halt(told: str) -> bool:
    return told.startswith(f"{GateHalted.__name__}: ")


def told_of_halt(found: str) -> str:
    """Which checks of a gate failed, by what it found: the first of them with their figures, and how many more."""
    return shortened(one_line(found), _LONGEST_HALT)


def one_line(message: str) -> str:
    """A message without the list of places that may follow it."""
    return message.splitlines()[0] if message else message


def looks_from(cursor: str | None) -> pd.Timestamp:
    """From when on ends of runs are looked for, UTC: the last look, else shortly before now."""
    now = now_utc()
    since = pd.Timestamp(cursor) if cursor else now
    # The first look, or the last one went by a clock that ran ahead.
    return now - _FIRST_LOOK_BACK if since >= now else since


def record_start(ledger: Ledger, run: Run) -> bool:
    """Record that a run started, unless it is on record; whether it is there now."""
    return _append(ledger, run, STARTED, None)


def record_end(
    ledger: Ledger,
    run: Run,
    outcome: str,
    ended_at: pd.Timestamp,
    *,
    message: str | None = None,
    failed_step: str | None = None,
    failed_checks: Sequence[FailedCheck] = (),
) -> bool:
    """Record how a run ended, unless it is on record; whether it is there now.

    The process that ran it and the daemon both tell: the first one counts.
    """
    told = [{name: kept_text(text) for name, text in asdict(each).items()} for each in failed_checks]
    details = {"failed_checks": told} if told else {}
    return _append(ledger, run, outcome, ended_at, message=message, failed_step=failed_step, details=details)


def checks_failed_in(run: dict[str, Any]) -> tuple[FailedCheck, ...]:
    """The failed checks of a run on record, as :func:`last_run` gives it."""
    return tuple(FailedCheck(**each) for each in run["details"].get("failed_checks", ()))


def _append(
    ledger: Ledger,
    run: Run,
    outcome: str,
    ended_at: pd.Timestamp | None,
    *,
    message: str | None = None,
    failed_step: str | None = None,
    details: dict[str, Any] | None = None,
) -> bool:
    row: dict[str, Any] = {
        "outcome_id": run.run_id,
        "kind": _RUN,
        "name": run.name,
        "outcome": outcome,
        "message": None if message is None else kept_text(message),
        "failed_step": failed_step,
        "first_partition": run.first_partition,
        "last_partition": run.last_partition,
        "began_at": run.began_at,
        "ended_at": ended_at,
        "details": details or {},
    }
    try:
        there = ledger.last_appended(_TABLE, strategy=run.strategy, kind=_RUN, outcome_id=run.run_id)
        if there is not None and (there["outcome"] != STARTED or outcome == STARTED):
            return True
        with ledger.transaction(run.run_id, strategy=run.strategy) as transaction:
            there = transaction.last_appended(_TABLE, strategy=run.strategy, kind=_RUN, outcome_id=run.run_id)
            if there is None:
                transaction.append(_TABLE, [row])
            elif there["outcome"] == STARTED != outcome:
                began = {"began_at": there["began_at"]}
                transaction.append(_TABLE, [{**row, **began}], reason="the run ended")
    except LedgerError as error:
        _log.warning("the outcome of run %s (%s) is not on record: %s", run.run_id, outcome, error)
        return False
    return True


def record_tick(ledger: Ledger, strategy: str, name: str, outcome: str, message: str | None) -> None:
    """Record what a tick came to, when that is new or the last record is an hour old."""
    now = now_utc().floor("us")
    said = None if message is None else kept_text(message)
    row = {
        "outcome_id": f"{name}:{now.isoformat()}",
        "kind": _TICK,
        "name": name,
        "outcome": outcome,
        "message": said,
        "ended_at": now,
        "details": {},
    }
    try:
        with ledger.transaction(f"tick:{name}", strategy=strategy) as transaction:
            there = transaction.last_appended(_TABLE, strategy=strategy, kind=_TICK, name=name)
            repeats = there is not None and (there["outcome"], there["message"]) == (outcome, said)
            if there is None or not repeats or abs(now - pd.Timestamp(there["ended_at"])) >= _BEAT:
                transaction.append(_TABLE, [row])
    except LedgerError as error:
        _log.warning("a tick of %s (%s) is not on record: %s", name, outcome, error)


def told_of_failed_tick(name: str, message: str) -> tuple[str, str]:
    """What is said of a schedule or sensor whose last tick failed, and what a person can do about it."""
    told, remedy = told_and_remedy(one_line(message))
    mend = (remedy or "mend what it names: the next tick tries again").rstrip(".")
    return f"the last tick of {name} failed: {told.rstrip('.')}", mend


def last_run(ledger: Ledger, strategy: str, name: str) -> dict[str, Any] | None:
    """The newest word on the run of a job that began last, in whatever order they were recorded; or None."""
    newest = ledger.last_appended(_TABLE, strategy=strategy, kind=_RUN, name=name)
    if newest is None:
        return None
    # The sensor may tell of a run long after another one began: so far back, and no further, status looks.
    told = ledger.read(
        _TABLE,
        strategy,
        after_sequence=int(newest["sequence"]) - _LOOKED_BACK,
        where={"kind": _RUN, "name": name},
        bookkeeping=True,
    )
    told = told.sort_values("sequence")
    began = told["began_at"].fillna(told["ended_at"])
    now = now_utc()
    # One that began by a clock that ran ahead did so before the next one on record, or is the last.
    began = began.mask(began > now).bfill().fillna(now)
    run_id = told.loc[began.sort_values(kind="stable").index[-1], "outcome_id"]
    return ledger.last_appended(_TABLE, strategy=strategy, kind=_RUN, outcome_id=str(run_id))


def last_tick(ledger: Ledger, strategy: str, name: str) -> dict[str, Any] | None:
    """What a schedule or sensor came to at its last recorded tick, or None."""
    return ledger.last_appended(_TABLE, strategy=strategy, kind=_TICK, name=name)


def record_heartbeat(ledger: Ledger) -> None:
    """Record, once an hour, that the daemon of this home evaluates sensors."""
    record_tick(ledger, WHOLE_LEDGER, _daemon(), SKIPPED, "alive")


def last_heartbeat(ledger: Ledger) -> pd.Timestamp | None:
    """When the daemon of this home was last heard of, UTC, or None."""
    beat = last_tick(ledger, WHOLE_LEDGER, _daemon())
    return None if beat is None else pd.Timestamp(beat["ended_at"])


def _daemon() -> str:
    """The daemon's name: one ledger may serve several homes, each with a daemon of its own."""
    return f"daemon of {socket.gethostname()}:{home().resolve()}"


def told_and_remedy(message: str) -> tuple[str, str | None]:
    """A message of an error of this package taken apart: what it tells, and its remedy where it names one."""
    told, *rest = _REMEDY.split(message, maxsplit=1)
    return told, "".join(rest) or None


def kept_text(message: str) -> str:
    """A message as it is kept for good: not too long, in characters that can be kept, without what may be a secret.

    What is too long ends after a whole line, or a whole clause or word of the first, and says that there is more.
    """
    plain = message.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")
    masked = _SECRETS.sub(r"\1***", _IN_ADDRESSES.sub("://***@", plain))
    if len(masked) <= _LONGEST_MESSAGE:
        return masked
    first, *places = masked.splitlines()
    more = "\n  - and {:,} more"
    room = _LONGEST_MESSAGE - len(more.format(len(places)))
    kept = sum(end <= room for end in accumulate((len(line) + 1 for line in places), initial=len(first)))
    if kept == 0:
        return shortened(first, _LONGEST_MESSAGE)
    return "\n".join([first, *places[: kept - 1]]) + more.format(len(places) - kept + 1)
