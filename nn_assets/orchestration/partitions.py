"""Months for models and studies, sessions for decisions. Both in the exchange's timezone."""

from __future__ import annotations

import dagster as dg
import pandas as pd

from nn_assets.errors import SettingsError
from nn_assets.market.sessions import exclusions_between, sessions_between, timezone_of
from nn_assets.orchestration.clock import last_stated_session
from nn_assets.settings import Strategy

__all__ = [
    "asked_months",
    "asked_sessions",
    "first_model_month",
    "live_start_fault",
    "month_partitions",
    "session_partitions",
]

# Features look back 60 sessions at most before the first training row is whole.
_WARM_UP_MONTHS = 4


def first_model_month(strategy: Strategy) -> str:
    """The first month a model can be used from: warm-up, training, validation, calibration before it."""
    steps = strategy.walk_forward
    span = _WARM_UP_MONTHS + steps.training_months + steps.validation_months + steps.calibration_months
    start = pd.Period(strategy.market.history_starts, freq="M") + span
    return str(start)


def live_start_fault(strategy: Strategy) -> SettingsError | None:
    """What is wrong with a live start before any month that can have a model; None where it is possible."""
    live, first = strategy.market.live_starts, first_model_month(strategy)
    if live is None or str(pd.Period(live, freq="M")) >= first:
        return None
    return SettingsError(
        expected=f"market.live_starts in {first} or later, the first month that can have a model",
        found=f"market.live_starts {live}",
        remedy="set market.live_starts later, market.history_starts earlier, or shorten walk_forward.training_months",
        key="market.live_starts",
        value=live,
    )


def month_partitions(strategy: Strategy) -> dg.MonthlyPartitionsDefinition:
    """One partition a month, named by the month from which a model is used."""
    market = strategy.market
    last = last_stated_session(market)
    end = None if last is None else f"{pd.Period(last, freq='M') + 1}-01"
    return dg.MonthlyPartitionsDefinition(
        start_date=f"{first_model_month(strategy)}-01",
        end_date=end,
        timezone=timezone_of(market.calendar),
        fmt="%Y-%m-%d",
        end_offset=0 if end else 1,
    )


def session_partitions(strategy: Strategy) -> dg.TimeWindowPartitionsDefinition:
    """One partition a session, from the day the strategy goes live; days off are excluded."""
    market = strategy.market
    live = pd.Timestamp(market.live_starts or market.history_starts)
    stated = last_stated_session(market)
    end = None if stated is None else stated + pd.Timedelta(days=1)
    last = live + pd.DateOffset(years=30) if end is None else end
    timezone = timezone_of(market.calendar)
    days_off = exclusions_between(market.calendar, live, min(last, pd.Timestamp("2035-12-31")))
    return dg.DailyPartitionsDefinition(
        start_date=str(live.date()),
        end_date=None if end is None else str(end.date()),
        timezone=timezone,
        exclusions=[day.tz_localize(timezone).to_pydatetime() for day in days_off] or None,
        end_offset=0 if end is not None else 1,
    )


def asked_months(keys: list[str]) -> list[str]:
    """Partition keys as months ``YYYY-MM``, in order."""
    return sorted(key[:7] for key in keys)


def asked_sessions(strategy: Strategy, keys: list[str]) -> list[pd.Timestamp]:
    """Partition keys as sessions, in order, without any day that is none."""
    if not keys:
        return []
    sessions = sessions_between(strategy.market.calendar, min(keys), max(keys))
    wanted = set(keys)
    return [session for session in sessions if str(session.date()) in wanted]
