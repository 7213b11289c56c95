"""What reacts to events: drift asks for a refresh, a failed run is written where an operator looks."""

from __future__ import annotations

from contextlib import suppress

import dagster as dg

from nn_assets.errors import LedgerError
from nn_assets.operations.due import refresh_due
from nn_assets.operations.failures import end_message
from nn_assets.operations.names import DRIFT_REFRESH, STUDY, full_name
from nn_assets.operations.run_alerts import alert_of_failure
from nn_assets.orchestration.naming import STRATEGY_TAG
from nn_assets.orchestration.outcomes import failure_of, record_run, recording_ticks, run_of
from nn_assets.orchestration.partitions import month_partitions
from nn_assets.orchestration.resources import StoresResource
from nn_assets.orchestration.schedules import requested
from nn_assets.settings import Strategy


def strategy_sensors(strategy: Strategy, stores: StoresResource) -> list[dg.SensorDefinition]:
    """The drift sensor of a strategy, off until switched on in the UI."""

    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        with stores.opened() as opened:
            pending = refresh_due(opened.ledger, strategy, int(context.cursor or 0))
        if pending is None:
            return dg.SkipReason("no drift event since the last look at the ledger")
        due, seen = pending
        # The last session of a stated history has no month after it.
        known = due.partition in month_partitions(strategy).get_partition_keys()
        return dg.SensorResult(run_requests=[requested(strategy, due)] if known else [], cursor=str(seen))

    return [
        dg.SensorDefinition(
            name=full_name(strategy.name, DRIFT_REFRESH),
            job_name=full_name(strategy.name, STUDY),
            evaluation_fn=recording_ticks(strategy, stores, DRIFT_REFRESH, evaluate),
            minimum_interval_seconds=60,
            description="Asks for a refresh of the model when forecasts have drifted; reads the ledger from a cursor.",
            default_status=dg.DefaultSensorStatus.STOPPED,
        )
    ]


def failed_run_sensor(stores: StoresResource) -> dg.SensorDefinition:
    """The sensor that puts a failed run on record and appends its alert, unless both were done.

    It is always on; the alert needs no ledger.
    """

    @dg.run_failure_sensor(
        name="failed_run_alert",
        monitor_all_code_locations=True,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Appends every failed run, with cause and remedy, to alerts.jsonl in the home.",
    )
    def failed_run_alert(context: dg.RunFailureSensorContext) -> None:
        run = context.dagster_run
        record = context.instance.get_run_record_by_id(run.run_id)
        with suppress(LedgerError), stores.opened() as opened:
            if record is not None:
                record_run(stores, opened.ledger, context.instance, record)
        failure = failure_of(context.get_step_failure_events())
        whole = end_message(run_of(record) if record else None, str(context.failure_event.message))
        step, message = (failure.step, failure.message) if failure else (None, whole)
        alert_of_failure(stores.history, run.run_id, run.job_name, step, message, run.tags.get(STRATEGY_TAG))

    return failed_run_alert
