"""Runs whose process is gone: how each process shows that it sees to a run, and how the lost ones are closed.

A run under way holds back every later one of its strategy. Dagster cannot tell whether its process lives: here each
process that makes, launches or works on a run holds a lock of it (``store/ledger/run_locks.py``), taken before
Dagster's storage hears of the run and let go after it heard of its end.
"""

from __future__ import annotations

from datetime import datetime

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._core.storage.base_storage import DagsterStorage

from nn_assets.operations.failures import LOST
from nn_assets.store.ledger.run_locks import hold_run, is_attended, let_go, unattended

# A queued run needs no process: the daemon takes it up whenever it starts.
_UNDER_WAY = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_BEGINS = {dg.DagsterEventType.RUN_STARTING, dg.DagsterEventType.RUN_START}
_ENDS = {
    dg.DagsterEventType.RUN_ENQUEUED,
    dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_CANCELED,
}


def attended(storage: DagsterStorage) -> DagsterStorage:
    """The storage, which from now on locks each run that this process makes, launches or works on."""
    runs = storage.run_storage
    add, handle = runs.add_run, runs.handle_run_event

    def add_run(dagster_run: dg.DagsterRun) -> dg.DagsterRun:
        if dagster_run.status in _UNDER_WAY:
            hold_run(dagster_run.run_id)
        return add(dagster_run)

    def handle_run_event(run_id: str, event: dg.DagsterEvent, update_timestamp: datetime | None = None) -> None:
        if event.event_type in _BEGINS:
            hold_run(run_id)
        handle(run_id, event, update_timestamp)
        if event.event_type in _ENDS:
            let_go(run_id)

    runs.add_run = add_run  # type: ignore[method-assign]
    runs.handle_run_event = handle_run_event  # type: ignore[method-assign]
    return storage


class HomeLauncher(DefaultRunLauncher):
    """Dagster's own, which can tell whether a run's process lives: the daemon then closes a lost run itself."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """It does."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether some process sees to a run that has started: the one that launched it no longer does."""
        let_go(run.run_id)
        if is_attended(run.run_id):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, LOST)


def close_lost_runs(instance: dg.DagsterInstance) -> list[dg.RunRecord]:
    """Close as failed every run under way that no process sees to, or as canceled what was to be; those closed."""
    closed: list[dg.RunRecord] = []
    for run in instance.get_runs(dg.RunsFilter(statuses=_UNDER_WAY)):
        with unattended(run.run_id) as alone:
            # What it says under the lock counts: it may have ended since.
            record = instance.get_run_record_by_id(run.run_id) if alone else None
            if record is None or record.dagster_run.status not in _UNDER_WAY:
                continue
            if record.dagster_run.status is dg.DagsterRunStatus.CANCELING:
                instance.report_run_canceled(record.dagster_run, LOST)
            else:
                instance.report_run_failed(record.dagster_run, LOST)
        closed += instance.get_run_records(dg.RunsFilter(run_ids=[run.run_id]))
    return closed
