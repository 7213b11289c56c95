"""When things run by themselves: the daily round, retraining and cost recalibration."""

from __future__ import annotations

import dagster as dg
import pandas as pd

from nn_assets.learning.first_month import first_model_month
from nn_assets.market.calendar.sessions import (
    is_session,
    previous_session,
    timezone_of,
)
from nn_assets.operations.clock import as_of_session, day_of_round, has_clock, round_cron
from nn_assets.operations.names import COSTS, DAILY, DAILY_ROUND, RECALIBRATION, RETRAINING, STUDY, full_name
from nn_assets.orchestration.naming import STRATEGY_TAG
from nn_assets.orchestration.outcomes import Evaluate, telling_ticks
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy

__all__ = ["strategy_schedules"]


def strategy_schedules(strategy: Strategy, stores: StoresResource) -> list[dg.ScheduleDefinition]:
    """The three schedules of a strategy, in its exchange's timezone, off until switched on in the UI."""
    timezone = timezone_of(strategy.market.calendar)

    def schedule(name: str, job: str, cron: str, evaluate: Evaluate) -> dg.ScheduleDefinition:
        return dg.ScheduleDefinition(
            name=full_name(strategy.name, name),
            job_name=full_name(strategy.name, job),
            cron_schedule=cron,
            execution_timezone=timezone,
            execution_fn=telling_ticks(strategy, stores, name, evaluate),
            default_status=dg.DefaultScheduleStatus.STOPPED,
        )

    return [
        schedule(DAILY_ROUND, DAILY, round_cron(strategy.market), _daily(strategy)),
        schedule(RETRAINING, STUDY, "0 6 1 * *", _monthly(strategy)),
        schedule(RECALIBRATION, COSTS, "30 6 1 * *", _recalibration(strategy)),
    ]


def _frozen(strategy: Strategy, moment: pd.Timestamp) -> dg.SkipReason | None:
    """Why nothing is to run from a UTC moment on; None where a session is still to come."""
    if has_clock(strategy.market, moment):
        return None
    if (ends := strategy.market.history_ends) is not None:
        return dg.SkipReason(f"{strategy.name} states history_ends {ends}: no session comes after it")
    vault = strategy.market.vault_starts
    return dg.SkipReason(f"{strategy.name} states vault_starts {vault}: sessions from then on are sealed")


def _local(context: dg.ScheduleEvaluationContext, strategy: Strategy) -> pd.Timestamp:
    moment = pd.Timestamp(context.scheduled_execution_time)
    return moment.tz_convert(timezone_of(strategy.market.calendar)).tz_localize(None)


def _daily(strategy: Strategy) -> Evaluate:
    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        market = strategy.market
        day = day_of_round(market, pd.Timestamp(context.scheduled_execution_time))
        if not is_session(market.calendar, day):
            return dg.SkipReason(f"{day.date()} is no session of {market.calendar}")
        # It stands on the one before: the last one of all is still asked for.
        if (skip := _frozen(strategy, as_of_session(market, previous_session(market.calendar, day)))) is not None:
            return skip
        key = str(day.date())
        return dg.RunRequest(
            run_key=f"{strategy.name}:daily:{key}",
            partition_key=key,
            tags={STRATEGY_TAG: strategy.name},
        )

    return evaluate


def _monthly(strategy: Strategy) -> Evaluate:
    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if (skip := _frozen(strategy, pd.Timestamp(context.scheduled_execution_time))) is not None:
            return skip
        month = _local(context, strategy).strftime("%Y-%m")
        if month < first_model_month(strategy):
            return dg.SkipReason(f"the first model of {strategy.name} is due in {first_model_month(strategy)}")
        return dg.RunRequest(
            run_key=f"{strategy.name}:month:{month}",
            partition_key=f"{month}-01",
            tags={STRATEGY_TAG: strategy.name},
        )

    return evaluate


def _recalibration(strategy: Strategy) -> Evaluate:
    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if (skip := _frozen(strategy, pd.Timestamp(context.scheduled_execution_time))) is not None:
            return skip
        month = _local(context, strategy).strftime("%Y-%m")
        return dg.RunRequest(run_key=f"{strategy.name}:costs:{month}", tags={STRATEGY_TAG: strategy.name})

    return evaluate
