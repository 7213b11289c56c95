"""What Dagster did, recorded in the ledger: how runs ended, and the outcomes of ticks of schedules and sensors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import dagster as dg
import pandas as pd
from dagster._core.errors import DagsterExecutionInterruptedError

from nn_assets.errors import NAMED_ERRORS, LedgerError
from nn_assets.operations.clock import now_utc
from nn_assets.operations.failures import INTERRUPTED, StepFailure, end_message
from nn_assets.operations.names import SOME_ASSETS, full_name
from nn_assets.operations.outcomes import (
    ASKED,
    CANCELED,
    FAILED,
    SKIPPED,
    SUCCEEDED,
    FailedCheck,
    Run,
    read_from,
    record_end,
    record_heartbeat,
    record_start,
    record_tick,
)
from nn_assets.operations.run_alerts import alert_of_end, alert_of_failed_tick
from nn_assets.orchestration.lost_runs import close_lost_runs
from nn_assets.orchestration.metadata import WHAT_TO_DO
from nn_assets.orchestration.naming import PARTITION_TAG, RANGE_TAGS, STRATEGY_TAG
from nn_assets.orchestration.resources import StoresResource
from nn_assets.plugins import place_in
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

Evaluate = Callable[[Any], Any]

_log = logging.getLogger(__name__)

_OUTCOMES = {
    dg.DagsterRunStatus.SUCCESS: SUCCEEDED,
    dg.DagsterRunStatus.FAILURE: FAILED,
    dg.DagsterRunStatus.CANCELED: CANCELED,
}
_OVERLAP = pd.Timedelta(seconds=5)
_STARTED = dg.DagsterRunStatus.STARTED
_CANCELED = dg.DagsterEventType.RUN_CANCELED
_TELLING = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.RUN_FAILURE,
    _CANCELED,
}


def failure_of(events: Iterable[dg.DagsterEvent]) -> StepFailure | None:
    """The first failed step among a run's events."""
    for event in events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            if error is not None and error.cause is not None:
                error = error.cause  # Dagster wraps what the step raised
            failure = event.step_failure_data.user_failure_data
            message = str((failure.description if failure else None) or (error.message if error else "")).strip()
            if error is not None and error.cls_name not in NAMED_ERRORS and (line := place_in(error.stack)):
                message = f"{line}: {message}"
            return StepFailure.of(
                str(event.step_key),
                message,
                interrupted=DagsterExecutionInterruptedError.__name__,
                raised="" if error is None else str(error.cls_name),
            )
    return None


def failed_checks_of(events: Iterable[dg.DagsterEvent]) -> tuple[FailedCheck, ...]:
    """The checks of severity ERROR that did not pass among a run's events, in order."""
    failed = []
    for event in events:
        if event.event_type is not dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            continue
        evaluation = event.asset_check_evaluation_data
        if evaluation.passed or evaluation.severity is not dg.AssetCheckSeverity.ERROR:
            continue
        remedy = [str(evaluation.metadata[WHAT_TO_DO].value)] if WHAT_TO_DO in evaluation.metadata else []
        name = f"{evaluation.asset_key.path[-1]}.{evaluation.check_name}"
        failed.append(FailedCheck(name, str(evaluation.description), *remedy))
    return tuple(failed)


@contextmanager
def recording_run(stores: StoresResource, run: Run) -> Iterator[Callable[[dg.ExecuteInProcessResult], None]]:
    """Record a run of this process: that it started, and how it ended, also when it is interrupted.

    Yields
    ------
    callable
        To be given the run's result.
    """
    _record_or_warn(stores, lambda ledger: record_start(ledger, run))
    ending: dict[str, Any] = {"outcome": CANCELED, "message": INTERRUPTED, "failed_checks": ()}

    def note_result(result: dg.ExecuteInProcessResult) -> None:
        ending.clear()
        ending.update(_ended(run, SUCCEEDED if result.success else FAILED, result.all_events))

    try:
        yield note_result
    except Exception as error:
        if not isinstance(error, DagsterExecutionInterruptedError):
            ending.update(outcome=FAILED, message=f"{type(error).__name__}: {error}")
        raise
    finally:
        _record_or_warn(stores, lambda ledger: record_end(ledger, run, ended_at=now_utc().floor("us"), **ending))
        alert_of_end(stores.history, run, **ending)


def free_of_lost_runs(instance: dg.DagsterInstance, stores: StoresResource) -> None:
    """Close the runs whose process is gone, and put on record that they ended so."""
    closed = close_lost_runs(instance)
    if closed:
        _record_or_warn(stores, lambda ledger: [record_run(stores, ledger, instance, record) for record in closed])


def _ended(run: Run, outcome: str, events: Iterable[dg.DagsterEvent]) -> dict[str, Any]:
    telling = list(events)
    checks = failed_checks_of(telling)
    failure = failure_of(telling) if outcome == FAILED else None
    if failure is not None:
        return {**failure.end, "failed_checks": (*failure.checks, *checks)}
    whole = [event.message for event in telling if event.is_job_failure or event.event_type is _CANCELED]
    message = end_message(run, whole[0] if whole else None)
    return {"outcome": outcome, "message": message, "failed_checks": checks}


def recording_ticks(strategy: Strategy, stores: StoresResource, name: str, evaluate: Evaluate) -> Evaluate:
    """Wrap what a schedule or sensor evaluates, so that the ledger holds what it came to; a failure is an alert."""

    @wraps(evaluate)
    def recorded(context: Any) -> Any:
        try:
            answer = evaluate(context)
        except Exception as error:
            failed = f"{type(error).__name__}: {error}"
            _record_or_warn(stores, lambda ledger: record_tick(ledger, strategy.name, name, FAILED, failed))
            alert_of_failed_tick(stores.history, strategy.name, name, error)
            raise
        _record_or_warn(stores, lambda ledger: record_tick(ledger, strategy.name, name, *_came_to(answer)))
        return answer

    return recorded


def _record_or_warn(stores: StoresResource, record: Callable[[Ledger], object]) -> None:
    """Record something; a ledger that cannot be opened is warned of, and stops nothing."""
    try:
        with stores.opened() as opened:
            record(opened.ledger)
    except LedgerError as error:
        _log.warning("an outcome is not on record: %s", error)


def _came_to(answer: Any) -> tuple[str, str | None]:
    if isinstance(answer, dg.SkipReason):
        return SKIPPED, answer.skip_message
    requests = answer.run_requests if isinstance(answer, dg.SensorResult) else [answer]
    keys = [str(request.partition_key or request.run_key) for request in requests or () if request is not None]
    return (ASKED, "a run of " + ", ".join(keys)) if keys else (SKIPPED, "nothing to run")


def run_outcomes_sensor(stores: StoresResource) -> dg.SensorDefinition:
    """The sensor that records runs that no command started: those of the UI, of schedules, of sensors.

    It is always on; that it is evaluated at all is the daemon's heartbeat. It closes lost runs first, and looks
    again, from the oldest that could not be recorded.
    """

    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        free_of_lost_runs(context.instance, stores)
        since = read_from(context.cursor)
        records = context.instance.get_run_records(
            dg.RunsFilter(statuses=[*_OUTCOMES, _STARTED], updated_after=(since - _OVERLAP).to_pydatetime()),
            order_by="update_timestamp",
            ascending=True,
        )
        with stores.opened() as opened:
            record_heartbeat(opened.ledger)
            cursor = since
            for record in records:
                if not record_run(stores, opened.ledger, context.instance, record):
                    break
                cursor = pd.Timestamp(record.update_timestamp)
        if cursor == since:
            return dg.SkipReason("no run started or ended since the last look")
        return dg.SensorResult(cursor=cursor.isoformat())

    return dg.SensorDefinition(
        name="run_outcomes",
        evaluation_fn=evaluate,
        minimum_interval_seconds=60,
        description="Records in the ledger how each run ended, for nn-assets status. Its ticks are the heartbeat.",
        default_status=dg.DefaultSensorStatus.RUNNING,
    )


def record_run(stores: StoresResource, ledger: Ledger, instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    """Put a run on record, as started or as ended; whether it is there now, or need not be.

    What its end leaves to a person is an alert, once it is on record.
    """
    run, status = run_of(record), record.dagster_run.status
    if run is None:
        return True
    if status is _STARTED:
        return record_start(ledger, run)
    ended_at = _moment(record.end_time or now_utc().timestamp())
    ending = _ended(run, _OUTCOMES[status], _telling(instance, run.run_id))
    recorded = record_end(ledger, run, ended_at=ended_at, **ending)
    alert_of_end(stores.history, run, **ending)
    return recorded


def run_of(record: dg.RunRecord) -> Run | None:
    """The run as the ledger names it; None for a run of something else."""
    run = record.dagster_run
    chosen = sorted(key.path[0] for key in run.asset_selection or ())
    strategy = run.tags.get(STRATEGY_TAG) or (chosen[0] if chosen else None)
    if strategy is None:
        return None
    own = run.job_name.removeprefix(full_name(strategy, ""))
    first, last = (run.tags.get(tag, run.tags.get(PARTITION_TAG)) for tag in RANGE_TAGS)
    began = None if record.start_time is None else _moment(record.start_time)
    return Run(run.run_id, strategy, SOME_ASSETS if own.startswith("__") else own, first, last, began)


def _telling(instance: dg.DagsterInstance, run_id: str) -> Iterator[dg.DagsterEvent]:
    """Failed steps and evaluated checks of a run, and what says that the whole of it ended badly."""
    for record in instance.get_records_for_run(run_id, of_type=_TELLING).records:
        if record.event_log_entry.dagster_event is not None:
            yield record.event_log_entry.dagster_event


def _moment(seconds: float) -> pd.Timestamp:
    return pd.Timestamp(seconds, unit="s", tz="UTC").floor("us")
