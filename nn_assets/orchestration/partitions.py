"""Months for models and studies, sessions for decisions. Both in the exchange's timezone."""

from __future__ import annotations

import dagster as dg
import pandas as pd

from nn_assets.learning.first_month import first_model_month
from nn_assets.market.calendar.sessions import exclusions_between, timezone_of
from nn_assets.operations.clock import last_configured_session
from nn_assets.settings import Strategy


def month_partitions(strategy: Strategy) -> dg.MonthlyPartitionsDefinition:
    """One partition a month, named by the month from which a model is used."""
    market = strategy.market
    last = last_configured_session(market)
    end = None if last is None else f"{pd.Period(last, freq='M') + 1}-01"
    return dg.MonthlyPartitionsDefinition(
        start_date=f"{first_model_month(strategy)}-01",
        end_date=end,
        timezone=timezone_of(market.calendar),
        fmt="%Y-%m-%d",
        end_offset=1,  # the month under way; none after the end
    )


def session_partitions(strategy: Strategy) -> dg.TimeWindowPartitionsDefinition:
    """One partition a session, from the day the strategy goes live; days off are excluded."""
    market = strategy.market
    live = pd.Timestamp(market.live_starts or market.history_starts)
    last_session = last_configured_session(market)
    end = None if last_session is None else last_session + pd.Timedelta(days=1)
    last = live + pd.DateOffset(years=30) if end is None else end
    timezone = timezone_of(market.calendar)
    days_off = exclusions_between(market.calendar, live, min(last, pd.Timestamp("2035-12-31")))
    return dg.DailyPartitionsDefinition(
        start_date=str(live.date()),
        end_date=None if end is None else str(end.date()),
        timezone=timezone,
        exclusions=[day.tz_localize(timezone).to_pydatetime() for day in days_off] or None,
        end_offset=1,  # the session under way; none after the end
    )
