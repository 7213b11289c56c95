"""How runs and ticks ended, in the ledger: what an operator sees without Dagster's own storage.

Nothing here may stop the runs that it records: a ledger that refuses is logged, and asked again at the next tick.

A run is recorded as it starts and, in a second version, as it ends: one that was killed is seen as started and never
ended. A tick is recorded when it says something new, and once an hour besides, so that a silence has an age.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

import pandas as pd

from nn_assets.errors import LedgerError, shortened
from nn_assets.operations.clock import now_utc
from nn_assets.operations.names import (
    COST_ESTIMATION,
    COSTS,
    DAILY,
    DAILY_ROUND,
    DRIFT_REFRESH,
    RETRAINING,
    SOME_ASSETS,
    STUDY,
    TABLES,
)
from nn_assets.store.home import home
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.schema import WHOLE_LEDGER

STARTED, SUCCEEDED, FAILED, CANCELED = "STARTED", "SUCCEEDED", "FAILED", "CANCELED"
ASKED, SKIPPED = "ASKED", "SKIPPED"
_RUN, _TICK = "run", "tick"
_TABLE = "outcomes"
_BEAT = pd.Timedelta(hours=1)
_FIRST_REACH_BACK = pd.Timedelta(minutes=5)
_WHERE_TO_READ = (
    "open the check in the UI (nn-assets ui); until it is explained: nn-assets control kill-switch HALTED --reason TEXT"
)
_LONGEST_MESSAGE = 1_000
_LOOKED_BACK = 20_000  # entries of the chain: some months of rounds
_IN_ADDRESSES = re.compile(r"://\S*@")
_SECRETS = re.compile(r"((?:api_?key|token|password|secret)\s*[=:]\s*)[^\s&;,]+", re.IGNORECASE)

_log = logging.getLogger(__name__)


LEDGER_INTACT = "ledger_is_intact"
"""Check that a round does first of all: where it fails, the run fails and reports it."""


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
    remedy: str = _WHERE_TO_READ

    def __str__(self) -> str:
        return f"check {self.name} failed: {self.found}. Remedy: {self.remedy}"


def read_from(cursor: str | None) -> pd.Timestamp:
    """UTC moment after which to look for ended runs: that of the last look, else shortly before now."""
    now = now_utc()
    since = pd.Timestamp(cursor) if cursor else now
    # The first look, or the last one went by a clock that ran ahead.
    return now - _FIRST_REACH_BACK if since >= now else since


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
    checks = [{name: kept_text(text) for name, text in asdict(check).items()} for check in failed_checks]
    details = {"failed_checks": checks} if checks else {}
    return _append(ledger, run, outcome, ended_at, message=message, failed_step=failed_step, details=details)


def checks_failed_in(run: dict[str, Any]) -> tuple[FailedCheck, ...]:
    """The failed checks of a run on record, as :func:`last_run` gives it."""
    return tuple(FailedCheck(**check) for check in run["details"].get("failed_checks", ()))


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
        last = ledger.last_appended(_TABLE, strategy=run.strategy, kind=_RUN, outcome_id=run.run_id)
        if last is not None and (last["outcome"] != STARTED or outcome == STARTED):
            return True
        with ledger.transaction(run.run_id, strategy=run.strategy) as transaction:
            last = transaction.last_appended(_TABLE, strategy=run.strategy, kind=_RUN, outcome_id=run.run_id)
            if last is None:
                transaction.append(_TABLE, [row])
            elif last["outcome"] == STARTED != outcome:
                began = {"began_at": last["began_at"]}
                transaction.append(_TABLE, [{**row, **began}], reason="the run ended")
    except LedgerError as error:
        _log.warning("the outcome of run %s (%s) is not on record: %s", run.run_id, outcome, error)
        return False
    return True


def record_tick(ledger: Ledger, strategy: str, name: str, outcome: str, message: str | None) -> None:
    """Record what a tick came to, when that is new or the last record is an hour old."""
    now = now_utc().floor("us")
    text = None if message is None else kept_text(message)
    row: dict[str, Any] = {
        "outcome_id": f"{name}:{now.isoformat()}",
        "kind": _TICK,
        "name": name,
        "outcome": outcome,
        "message": text,
        "ended_at": now,
        "details": {},
    }
    try:
        with ledger.transaction(f"tick:{name}", strategy=strategy) as transaction:
            last = transaction.last_appended(_TABLE, strategy=strategy, kind=_TICK, name=name)
            repeats = last is not None and (last["outcome"], last["message"]) == (outcome, text)
            if last is None or not repeats or abs(now - pd.Timestamp(last["ended_at"])) >= _BEAT:
                transaction.append(_TABLE, [row])
    except LedgerError as error:
        _log.warning("a tick of %s (%s) is not on record: %s", name, outcome, error)


def last_run(ledger: Ledger, strategy: str, name: str) -> dict[str, Any] | None:
    """The newest record of the run of a job that began last, in whatever order runs were recorded; or None."""
    return next(runs_backwards(ledger, strategy, name), None)


def runs_backwards(ledger: Ledger, strategy: str, name: str) -> Iterator[dict[str, Any]]:
    """The newest record of each run of a job, the one that began last first, whatever the order of recording."""
    newest = ledger.last_appended(_TABLE, strategy=strategy, kind=_RUN, name=name)
    if newest is None:
        return
    # The sensor may report a run long after another one began: status looks back this far, and no further.
    rows = ledger.read(
        _TABLE,
        strategy,
        after_sequence=int(newest["sequence"]) - _LOOKED_BACK,
        where={"kind": _RUN, "name": name},
        bookkeeping=True,
    )
    rows = rows.sort_values("sequence")
    began = rows["began_at"].fillna(rows["ended_at"])
    now = now_utc()
    # One that began by a clock that ran ahead did so before the next one on record, or is the last.
    began = began.mask(began > now).bfill().fillna(now)
    in_order = rows.loc[began.sort_values(kind="stable").index, "outcome_id"]
    for run_id in dict.fromkeys(reversed(in_order.tolist())):
        run = ledger.last_appended(_TABLE, strategy=strategy, kind=_RUN, outcome_id=str(run_id))
        assert run is not None, "it was just read"
        yield run


def last_runs(ledger: Ledger, strategy: str) -> dict[str, dict[str, Any]]:
    """The last run on record of each job that ever ran, of plug-ins too."""
    names = _in_order(ledger, strategy, _RUN, (TABLES, STUDY, DAILY, COSTS, SOME_ASSETS))
    return {name: run for name in names if (run := last_run(ledger, strategy, name)) is not None}


def last_ticks(ledger: Ledger, strategy: str) -> dict[str, dict[str, Any]]:
    """What each schedule and sensor came to at its last recorded tick, of plug-ins too; nothing of one without."""
    names = _in_order(ledger, strategy, _TICK, (DAILY_ROUND, RETRAINING, COST_ESTIMATION, DRIFT_REFRESH))
    return {name: tick for name in names if (tick := last_tick(ledger, strategy, name)) is not None}


def _in_order(ledger: Ledger, strategy: str, kind: str, first: Sequence[str]) -> list[str]:
    """Names on record of one kind, those that every strategy has first."""
    names = ledger.distinct(_TABLE, "name", strategy=strategy, kind=kind)
    return sorted(names, key=lambda name: first.index(name) if name in first else len(first))


def last_tick(ledger: Ledger, strategy: str, name: str) -> dict[str, Any] | None:
    """What a schedule or sensor came to at its last recorded tick, or None."""
    return ledger.last_appended(_TABLE, strategy=strategy, kind=_TICK, name=name)


def record_heartbeat(ledger: Ledger) -> None:
    """Record, once an hour, that the daemon of this home evaluates sensors."""
    record_tick(ledger, WHOLE_LEDGER, _daemon(), SKIPPED, "alive")


def last_heartbeat(ledger: Ledger) -> pd.Timestamp | None:
    """When the daemon of this home was last heard from, UTC, or None."""
    beat = last_tick(ledger, WHOLE_LEDGER, _daemon())
    return None if beat is None else pd.Timestamp(beat["ended_at"])


def _daemon() -> str:
    """The daemon's name: one ledger may serve several homes, each with a daemon of its own."""
    return f"daemon of {socket.gethostname()}:{home().resolve()}"


def kept_text(message: str) -> str:
    """A message as it is kept for good: not too long, in characters that can be kept, without what may be a secret.

    What is too long ends after a whole line, or a whole clause or word of the first, and says that there is more.
    """
    plain = message.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")
    masked = _SECRETS.sub(r"\1***", _IN_ADDRESSES.sub("://***@", plain))
    if len(masked) <= _LONGEST_MESSAGE:
        return masked
    first, *rest = masked.splitlines()
    more = "\n  - and {:,} more"
    room = _LONGEST_MESSAGE - len(more.format(len(rest)))
    kept = sum(end <= room for end in accumulate((len(line) + 1 for line in rest), initial=len(first)))
    if kept == 0:
        return shortened(first, _LONGEST_MESSAGE)
    return "\n".join([first, *rest[: kept - 1]]) + more.format(len(rest) - kept + 1)
