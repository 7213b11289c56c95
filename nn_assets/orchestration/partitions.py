"""Months for models and studies, sessions for decisions. Both in the exchange's timezone."""

from __future__ import annotations

import dagster as dg
import pandas as pd

from nn_assets.market.sessions import exclusions_between, sessions_between, timezone_of
from nn_assets.settings import Strategy

__all__ = ["asked_months", "asked_sessions", "first_model_month", "month_partitions", "session_partitions"]

# Features look back 60 sessions at most before the first training row is whole.
_WARM_UP_MONTHS = 4


def first_model_month(strategy: Strategy) -> str:
    """The first month a model can be used from: warm-up, training, validation, calibration before it."""
    steps = strategy.walk_forward
    span = _WARM_UP_MONTHS + steps.training_months + steps.validation_months + steps.calibration_months
    start = pd.Period(strategy.market.history_starts, freq="M") + span
    return str(start)


def month_partitions(strategy: Strategy) -> dg.MonthlyPartitionsDefinition:
    """One partition a month, named by the month from which a model is used."""
    market = strategy.market
    end = None
    if market.history_ends is not None:
        last = market.history_ends if market.vault_starts is None else market.vault_starts
        month = pd.Period(last, freq="M")
        # A vault that starts with a month leaves that month out.
        end = str(month if market.vault_starts is not None else month + 1) + "-01"
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
    end = None
    last = live + pd.DateOffset(years=30)
    if market.history_ends is not None:
        stop = pd.Timestamp(market.history_ends) + pd.Timedelta(days=1)
        if market.vault_starts is not None:
            stop = min(stop, pd.Timestamp(market.vault_starts))
        end = last = stop
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
