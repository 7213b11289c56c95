"""What a strategy's schedules and its drift ask for at a moment, or why nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd

from nn_assets.arrays import named_rows
from nn_assets.learning.first_month import first_model_month
from nn_assets.learning.refits import refits_of
from nn_assets.market.calendar.sessions import is_session, next_session, previous_session, timezone_of
from nn_assets.operations.asked import REFRESH_TAG
from nn_assets.operations.asof.refreshes import DRIFT_ASKS
from nn_assets.operations.clock import as_of_session, day_of_round, has_clock
from nn_assets.settings import MarketSettings, Strategy
from nn_assets.store.ledger.ledger import Ledger


@dataclass(frozen=True)
class Due:
    """A run that is due.

    Parameters
    ----------
    run_key : str
        What is due, by name: it is run once, however often it is asked for.
    partition : str or None
        The partition's key; None for a job without.
    tags : mapping of str to str
        What the run is asked for besides.
    """

    run_key: str
    partition: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def daily_round_due(strategy: Strategy, moment: pd.Timestamp) -> Due | str:
    """The round of the session that a UTC moment comes after."""
    market = strategy.market
    day = day_of_round(market, moment)
    if not is_session(market.calendar, day):
        return f"{day.date()} is no session of {market.calendar}"
    # It depends on the one before: the last one of all is still asked for.
    frozen = _frozen(strategy, as_of_session(market, previous_session(market.calendar, day)))
    return frozen or Due(f"{strategy.name}:daily:{day.date()}", str(day.date()))


def retraining_due(strategy: Strategy, moment: pd.Timestamp) -> Due | str:
    """The study of the month that begins, for the models that come into force with it.

    Where refits fall on days, of the month that begins or in which a refit begins with the day.
    """
    month, first = _month(strategy, moment), first_model_month(strategy)
    early = f"the first model of {strategy.name} is due in {first}" if month < first else ""
    if nothing := _frozen(strategy, moment) or early:
        return nothing
    due = Due(f"{strategy.name}:month:{month}", f"{month}-01")
    if strategy.walk_forward.refit_every_days is None:
        return due
    day = f"{moment.tz_convert(timezone_of(strategy.market.calendar)):%Y-%m-%d}"
    refits = refits_of(strategy).in_force(month)
    if day == due.partition and refits[0] <= day:  # else the very first refit begins within the month
        return due
    if day in refits:
        return Due(f"{strategy.name}:refit:{day}", due.partition)
    return f"no month and no refit of {strategy.name} begins on {day}"


def retraining_cron(strategy: Strategy) -> str:
    """When to look for what :func:`retraining_due` gives: on the first of a month, or every day, at six."""
    return "0 6 1 * *" if strategy.walk_forward.refit_every_days is None else "0 6 * * *"


def cost_estimation_due(strategy: Strategy, moment: pd.Timestamp) -> Due | str:
    """The month's estimation of costs."""
    return _frozen(strategy, moment) or Due(f"{strategy.name}:costs:{_month(strategy, moment)}")


def _frozen(strategy: Strategy, moment: pd.Timestamp) -> str:
    """Why nothing is to run from a UTC moment on; nothing where a session is still to come."""
    if has_clock(strategy.market, moment):
        return ""
    if (ends := strategy.market.history_ends) is not None:
        return f"{strategy.name} states history_ends {ends}: no session comes after it"
    return f"{strategy.name} states vault_starts {strategy.market.vault_starts}: sessions from then on are sealed"


def _month(strategy: Strategy, moment: pd.Timestamp) -> str:
    return moment.tz_convert(timezone_of(strategy.market.calendar)).strftime("%Y-%m")


class Scheduled(NamedTuple):
    """A schedule: the job that it asks for, when it looks, by the exchange's clock, and what is due at a moment.

    ``due`` gives a sentence where nothing is.
    """

    job: str
    cron: Callable[[MarketSettings], str]
    due: Callable[[Strategy, pd.Timestamp], Due | str]
    cron_of: Callable[[Strategy], str] | None = None  # in place of cron, where it depends on more than the market

    def cron_for(self, strategy: Strategy) -> str:
        """When it looks, for a strategy."""
        return self.cron(strategy.market) if self.cron_of is None else self.cron_of(strategy)


def refresh_due(ledger: Ledger, strategy: Strategy, after: int) -> tuple[Due, int] | None:
    """The refresh that drift asked for last, of what is on record after an entry of the ledger.

    Returns
    -------
    (Due, int) or None
        The run, and the last entry looked at; None where drift asked for nothing.
    """
    events = ledger.read("refresh_requests", strategy.name, after_sequence=after, bookkeeping=True)
    # One request is open at a time: of several, the newest. The outcomes of earlier ones are rows too.
    asking = events[events["cause"] == DRIFT_ASKS].sort_values("sequence").tail(1)
    if asking.empty:
        return None
    (request,) = named_rows(asking)
    in_force = next_session(strategy.market.calendar, request.session)
    tags = {REFRESH_TAG: str(request.session.date())}
    due = Due(f"{strategy.name}:refresh:{request.event_id}", f"{in_force.strftime('%Y-%m')}-01", tags)
    return due, int(events["sequence"].max())
