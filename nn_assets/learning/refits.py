"""When models are fitted: every so many months, or every so many days on a grid that begins with the history.

A refit is named by the day from which its model is used: 'YYYY-MM' for the first of a month, else 'YYYY-MM-DD'. A
month's partition names the model that is in force as it begins, and those of the refits that begin in it: of a grid of
30 days none, one or two. The first month may begin without one, where the walk says so (``partial_months``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import count, takewhile

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.errors import FoldError
from nn_assets.learning.first_month import first_model_month, first_refit_day
from nn_assets.learning.folds import fitted_month, forecast_rows
from nn_assets.settings import Strategy


class Refits(ABC):
    """The refits of a strategy."""

    first_month: str
    """The first that can have a model, 'YYYY-MM'."""

    @abstractmethod
    def in_force(self, month: str) -> list[str]:
        """The refits whose models are in force in a month: as it begins, then those that begin in it, in order.

        Raises
        ------
        FoldError
            The month lies before the first that can have a model.
        """

    @abstractmethod
    def partition(self, refit: str) -> str:
        """The month whose partition a refit is fitted with."""

    def begin_in(self, months: Iterable[str]) -> list[str]:
        """The refits that begin in some months, in order."""
        return sorted({refit for month in months for refit in self.in_force(month) if refit.startswith(month)})

    def of_months(self, months: Iterable[str]) -> list[str]:
        """The refits whose models are in force in some months, in order."""
        return sorted({refit for month in months for refit in self.in_force(month)})

    def by_session(self, sessions: pd.DatetimeIndex) -> npt.NDArray[np.str_]:
        """The refit due for each session of an axis, (sessions,); '' before the first month that can have a model."""
        due = np.full(len(sessions), "", dtype="U10")
        for month in sessions.strftime("%Y-%m").unique():
            if month < self.first_month:
                continue
            rows = forecast_rows(sessions, month)
            for refit in self.in_force(month):
                due[max(rows.start, int(sessions.searchsorted(pd.Timestamp(refit)))) : rows.stop] = refit
        return due


@dataclass(frozen=True)
class MonthlyRefits(Refits):
    """One refit on the first month that can have a model, and every so many months after it."""

    first_month: str
    every: int

    def in_force(self, month: str) -> list[str]:
        """One alone: a month between refits uses the model of the refit before it."""
        return [fitted_month(month, self.first_month, self.every)]

    def partition(self, refit: str) -> str:
        """The month that it is named by."""
        return refit


@dataclass(frozen=True)
class DailyRefits(Refits):
    """Refits every so many days from a first one on.

    The first month that can have a model begins with one in force, or has the first one begin in it.
    """

    first_month: str
    first_day: date
    every: int

    def in_force(self, month: str) -> list[str]:
        """The newest at the month's first day, and those after it."""
        if month < self.first_month:
            raise FoldError(
                expected=f"a month from {self.first_month} on",
                found=month,
                remedy="ask for a month that the study covers",
                month=month,
            )
        first, starts = pd.Timestamp(self.first_day), pd.Timestamp(month)
        before = max(0, (starts - first).days // self.every)  # none before the first, of a month that begins with it
        step = pd.Timedelta(days=self.every)
        days = (first + number * step for number in count(before))
        ends = starts + pd.DateOffset(months=1)
        return [str(day.date()) for day in takewhile(lambda day: day < ends, days)]

    def partition(self, refit: str) -> str:
        """The month that it begins in; of the very first the first month that can have a model."""
        return max(str(pd.Period(refit, "M")), self.first_month)


def refits_of(strategy: Strategy) -> Refits:
    """When the models of a strategy are fitted."""
    steps, first_month = strategy.walk_forward, first_model_month(strategy)
    if steps.refit_every_days is None:
        return MonthlyRefits(first_month, steps.refit_every_months)
    first_day = first_refit_day(strategy, strategy.market.history_starts)
    return DailyRefits(first_month, first_day, steps.refit_every_days)


def used_rows(strategy: Strategy, sessions: pd.DatetimeIndex, month: str) -> slice:
    """Rows of the sessions of a month that can have a model: all of them, but for those before the very first refit."""
    rows = forecast_rows(sessions, month)
    if not strategy.walk_forward.partial_months or month != first_model_month(strategy):
        return rows
    first = first_refit_day(strategy, strategy.market.history_starts)
    return slice(min(rows.stop, max(rows.start, int(sessions.searchsorted(pd.Timestamp(first))))), rows.stop)
