"""What a run asks for by its partition keys and tags: months or sessions, and what it replaces in the settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Self

import pandas as pd

from nn_assets.errors import PublicationError, SettingsError
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.settings import MarketSettings, Strategy

REFIT_TAG = "nn_assets/refit_every_months"
"""Run tag that replaces ``walk_forward.refit_every_months`` for one study."""
REFRESH_TAG = "nn_assets/refresh_after"
"""Run tag of a refresh inside a month: the session after whose close the model is fitted."""


@dataclass(frozen=True)
class AskedMonths:
    """Months that a run asks for.

    Parameters
    ----------
    strategy : Strategy
        With what the run's tags replace in it.
    months : list of str
        ``YYYY-MM``, in order.
    refresh : Timestamp or None
        The session after whose close a run refreshes the model; None where it is no refresh.
    """

    strategy: Strategy
    months: list[str]
    refresh: pd.Timestamp | None

    @classmethod
    def of(cls, strategy: Strategy, keys: Iterable[str], tags: Mapping[str, str]) -> Self:
        """What partition keys and tags ask for."""
        refresh = pd.Timestamp(tags[REFRESH_TAG]) if REFRESH_TAG in tags else None
        return cls(effective_strategy(strategy, tags), sorted(key[:7] for key in keys), refresh)


def effective_strategy(strategy: Strategy, tags: Mapping[str, str]) -> Strategy:
    """The strategy with what a run's tags replace in it.

    Raises
    ------
    SettingsError
        The pace of refits in months is replaced, where the strategy's walk is in days.
    """
    if REFIT_TAG not in tags:
        return strategy
    if strategy.walk_forward.refit_every_days is not None:
        raise SettingsError(
            expected="a strategy whose walk is in months",
            found=f"walk_forward.refit_every_days {strategy.walk_forward.refit_every_days}",
            remedy="leave --refit-every out, or change walk_forward.refit_every_days",
            key="walk_forward.refit_every_days",
        )
    steps = strategy.walk_forward.model_copy(update={"refit_every_months": int(tags[REFIT_TAG])})
    return strategy.model_copy(update={"walk_forward": steps})


def asked_sessions(market: MarketSettings, keys: Iterable[str]) -> list[pd.Timestamp]:
    """Partition keys as sessions, in order; days that are not sessions are dropped."""
    wanted = set(keys)
    if not wanted:
        return []
    sessions = sessions_between(market.calendar, min(wanted), max(wanted))
    return [session for session in sessions if str(session.date()) in wanted]


def only_session(strategy: Strategy, first: date, last: date) -> pd.Timestamp:
    """The one session between two days; features are served as its decision knew them.

    Raises
    ------
    PublicationError
        There is none, or more than one.
    """
    sessions = sessions_between(strategy.market.calendar, first, last)
    if len(sessions) != 1:
        raise PublicationError(
            expected="a partition of one session, as whose decision the features are to be known",
            found=f"{len(sessions)} sessions from {first} to {last}",
            remedy="partition the asset by session and leave out its backfill policy, or take the resource `stores` "
            "and ask stores.history(strategy) for history.view(session).cube of each",
            strategy=strategy.name,
        )
    return sessions[0]
