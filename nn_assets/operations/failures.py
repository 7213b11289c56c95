"""The text of a failed run: the step and its message, what a gate found, what a lost run leaves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from nn_assets.errors import NAMED_ERRORS, AuditError, GateHalted, RunFailed, shortened
from nn_assets.operations.names import DAILY, STUDY, TABLES
from nn_assets.operations.outcomes import CANCELED, FAILED, LEDGER_INTACT, FailedCheck, Run

INTERRUPTED = "it was interrupted"
LOST = "its process is gone: it was killed, or the machine stopped"
_LONGEST_HALT = 220  # with the strategy's name, when, and what to do: a sentence of some 400 characters
_STATEMENT = re.compile(r"\w+: (?:\[.*?\] )?(expected .+; found .+)")
_REMEDY = re.compile(r"(?:\. |\n)Remedy: ")

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


@dataclass(frozen=True)
class StepFailure:
    """The step at which a run failed: its name, what it says, and the remedy if it names one."""

    step: str
    text: str
    remedy: str | None
    named: str = ""  # the error of this package that it raised; empty for any other

    @classmethod
    def of(cls, step: str, message: str, *, interrupted: str, raised: str = "") -> Self:
        """Take a step's message apart.

        Parameters
        ----------
        interrupted : str
            How the message of a step that a person interrupted ends.
        raised : str
            Name of the error that it raised.
        """
        text, remedy = split_remedy(message.strip().removeprefix("nn_assets.errors."))
        if text.endswith(interrupted):
            return cls(step, INTERRUPTED, None)
        return cls(step, text, (remedy or "").rstrip(".") or None, raised if raised in NAMED_ERRORS else "")

    @property
    def checks(self) -> tuple[FailedCheck, ...]:
        """The check that it reports: what a round verifies of the ledger before it decides."""
        of_the_ledger = self.named == AuditError.__name__  # it is not as it was appended
        return (FailedCheck(LEDGER_INTACT, self.text, str(self.remedy)),) if of_the_ledger else ()

    @property
    def as_raised(self) -> str:
        """The error of this package that it raised, without its name."""
        text = self.text.removeprefix(f"{self.named}: ")
        return text + (("\n" if "\n" in text else ". ") + f"Remedy: {self.remedy}" if self.remedy else "")

    @property
    def of_a_gate(self) -> bool:
        """Whether a gate halted in it."""
        return is_halt(self.text)

    @property
    def was_interrupted(self) -> bool:
        """Whether a person interrupted it: it is no failure then."""
        return self.text == INTERRUPTED

    @property
    def message(self) -> str:
        """What it says, and its remedy in the first line, before the places that may follow."""
        first, *rest = self.text.splitlines() or [self.text]
        return "\n".join([f"{first.rstrip('.')}. Remedy: {self.remedy}" if self.remedy else first, *rest])

    @property
    def end(self) -> dict[str, Any]:
        """How a run ended that failed here, as ``record_end`` of :mod:`nn_assets.operations.outcomes` takes it."""
        outcome = CANCELED if self.was_interrupted else FAILED
        return {"outcome": outcome, "failed_step": self.step, "message": self.message}


def run_failed(job: str, run_id: str, failure: StepFailure | None, checks: Sequence[FailedCheck]) -> RunFailed:
    """The error of a run that failed: the step and what it says, and what checks of other assets found.

    Where the step raised an error of this package, that one is shown as it is, and the next line names the run.
    """
    if failure is None:
        return RunFailed(
            expected=f"job {job} to succeed",
            found="a failure before its first step",
            remedy="open the run in the UI (nn-assets ui)",
            run=run_id,
        )
    others = checks_of_other_assets(failure.step, checks)
    kept = "then run again: what was finished is kept"
    whole = f"step {failure.step} failed in run {run_id} of {job}: mend what is named, {kept}"
    return RunFailed(
        expected=f"job {job} to succeed",
        found="\n".join([f"step {failure.step} failed: {failure.text}", *map(str, others)]),
        remedy=f"{failure.remedy or 'mend what it names'}; {kept}",
        run=run_id,
        named=failure.named,
        text="\n".join([failure.as_raised, whole, *map(str, others)]) if failure.named else "",
    )


def end_message(run: Run | None, message: str | None) -> str | None:
    """The text of a run that failed as a whole: if its process is gone, what is kept and which command goes on.

    Parameters
    ----------
    run : Run, optional
        None where it is of no strategy.
    message : str, optional
        In the words of what closed it.
    """
    if run is None or message is None or LOST not in message:
        return message
    kept, again = left_by_lost(run.name, run.strategy, run.first_partition, run.last_partition)
    return f"{LOST}; {kept}. Remedy: {again}"


def left_by_lost(name: str, strategy: str, first: str | None, last: str | None) -> tuple[str, str]:
    """What a run whose process is gone leaves, and the command that goes on from there.

    Parameters
    ----------
    name : str
        Of its job.
    first, last : str, optional
        Its partitions, as days.
    """
    ranged = {
        "months": f" --from {first[:7]} --to {last[:7]}" if first and last else "",
        "sessions": f" --from {first} --to {last}" if first and last else "",
    }
    kept, again = _LEFT.get(name, _LEFT_OF_OTHERS)
    return kept, again.format(name=strategy, **ranged)


def checks_of_other_assets(step: str | None, checks: Sequence[FailedCheck]) -> list[FailedCheck]:
    """Failed checks of assets other than the failed step's own, which its message already covers."""
    return [check for check in checks if step is None or not step.endswith(check.name.split(".")[0])]


def failed_tick_message(name: str, message: str) -> tuple[str, str]:
    """The text of a schedule or sensor whose last tick failed, with what a person can do about it."""
    text, remedy = split_remedy(one_line(message))
    mend = (remedy or "mend what it names: the next tick tries again").rstrip(".")
    return f"the last tick of {name} failed: {text.rstrip('.')}", mend


def failed_step_text(message: str) -> str:
    """What a failed step says, in one line without its remedy: of a gate that halts, which of its checks failed."""
    text = split_remedy(one_line(message))[0]
    if not is_halt(text):
        return text
    return f"the gate halted: {halt_text(text.partition('; found ')[2])}"


def is_halt(text: str) -> bool:
    """Whether what a step says is that a gate halted in it."""
    return text.startswith(f"{GateHalted.__name__}: ")


def halt_text(findings: str) -> str:
    """Which checks of a gate failed, by what it found: the first of them with their figures, and how many more."""
    return shortened(one_line(findings), _LONGEST_HALT)


def one_line(message: str) -> str:
    """A message without the list of places that may follow it."""
    return message.splitlines()[0] if message else message


def statement_in(text: str) -> str:
    """What an error of this package states, of its text in one line: ``expected …; found …``; empty in other texts."""
    match = _STATEMENT.match(text)
    return "" if match is None else match[1]


def split_remedy(message: str) -> tuple[str, str | None]:
    """A message of an error of this package split into its statement and its remedy, where it names one."""
    text, *rest = _REMEDY.split(message, maxsplit=1)
    return text, "".join(rest) or None
