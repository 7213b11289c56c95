"""When things run by themselves: the daily round, retraining and the estimation of costs."""

from __future__ import annotations

import dagster as dg
import pandas as pd

from nn_assets.market.calendar.sessions import timezone_of
from nn_assets.operations.due import Due, Scheduled
from nn_assets.operations.names import full_name
from nn_assets.orchestration.naming import STRATEGY_TAG
from nn_assets.orchestration.outcomes import recording_ticks
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy


def schedule_of(strategy: Strategy, stores: StoresResource, name: str, scheduled: Scheduled) -> dg.ScheduleDefinition:
    """One of a strategy's schedules, in its exchange's timezone, off until switched on in the UI."""

    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        due = scheduled.due(strategy, pd.Timestamp(context.scheduled_execution_time))
        return dg.SkipReason(due) if isinstance(due, str) else requested(strategy, due)

    return dg.ScheduleDefinition(
        name=full_name(strategy.name, name),
        job_name=full_name(strategy.name, scheduled.job),
        cron_schedule=scheduled.cron_for(strategy),
        execution_timezone=timezone_of(strategy.market.calendar),
        execution_fn=recording_ticks(strategy, stores, name, evaluate),
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )


def requested(strategy: Strategy, due: Due) -> dg.RunRequest:
    """The request for a run that is due."""
    tags = {STRATEGY_TAG: strategy.name, **due.tags}
    return dg.RunRequest(run_key=due.run_key, partition_key=due.partition, tags=tags)
