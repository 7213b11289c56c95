"""The history of one strategy, served as views cut at its sessions.

What is stored is read once, by ``operations/facts.py``: the versions and the published bars. Here is found where
something became known late, and one cut (``operations/cut.py``) of the facts is made for each stretch of sessions in
between::

    history = History.of(stores, strategy)
    history.view(session)      # what that session's decision knew
    history.stretches(rows)    # runs of sessions that one cut of the facts serves
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import Session
from nn_assets.contracts.frames import BarVersions
from nn_assets.errors import DecisionError
from nn_assets.learning.forecasts import Forecasts
from nn_assets.market.facts.bars import saying_something_new
from nn_assets.market.facts.bitemporal import BAR_FACTS, DETAIL_FACTS, Kind
from nn_assets.operations.asof.stretches import stretch_numbers
from nn_assets.operations.clock import as_of_sessions, how_to_see, now_utc
from nn_assets.operations.cut import Cut
from nn_assets.operations.facts import StoredFacts
from nn_assets.operations.plugins import prepare
from nn_assets.operations.session_view import SessionView
from nn_assets.operations.stores import open_stores
from nn_assets.operations.strategy_files import with_checked_source
from nn_assets.settings import Strategy

_CUTS_KEPT = 2  # each may be large, and they are asked for in order


@dataclass(frozen=True, eq=False)
class Stretch:
    """Consecutive sessions that one cut of the facts serves, as rows of the session axis."""

    number: int
    rows: range
    cut: Cut


@dataclass(frozen=True, eq=False)
class History(StoredFacts):
    """The facts stored of one strategy, and the views of its sessions."""

    made: dict[tuple[str, int], dict[int, Forecasts]] = field(default_factory=dict, repr=False)
    """Forecasts made so far, by model and number of the stretch, then by row."""
    whole_months: set[tuple[str, str]] = field(default_factory=set, repr=False)
    """Stored months of forecasts, by address, that are known to follow from these facts."""
    refit_addresses: dict[int, str] = field(default_factory=dict, repr=False)
    """Addresses of scheduled refits, by the first row of their use, where each begins with the weights before it."""
    _cuts: OrderedDict[int, Cut] = field(default_factory=OrderedDict, repr=False)

    def __post_init__(self) -> None:
        """Have the plug-ins of the strategy run, and its members there; errors as of :func:`prepare`."""
        prepare(self.strategy)

    def view(self, session: Session | None = None) -> SessionView:
        """All that is known at a session's decision: the last that may be seen when left out.

        Raises
        ------
        DecisionError
            The session is not closed yet, lies in the vault, or is no session of the calendar.
        PublicationError
            The publication in force does not cover it.
        """
        day = self.last_session if session is None else pd.Timestamp(session)
        row = self.row(day)
        self.covering(day)
        return SessionView(self, day, row, self.cut_for(day))

    def cut_for(self, session: pd.Timestamp) -> Cut:
        """The cut that serves a session: what its stretch knows at its end, or at the last session published.

        It is on the session's own symbols, while those of :meth:`stretches` are on all of the history's.

        Raises
        ------
        DecisionError
            The session is not closed yet, lies in the vault, or is no session of the calendar.
        PublicationError
            The publication in force does not cover it.
        """
        self.covering(session)
        return self._cut(int(self._numbers[self.row(session)])).of(session)

    def symbols_on(self, session: pd.Timestamp) -> tuple[str, ...]:
        """A session's own symbol axis; errors as of :meth:`cut_for`."""
        return self.strategy.market.symbols or self.cut_for(session).symbols

    def row(self, session: pd.Timestamp) -> int:
        """Row of a session on the axis.

        Raises
        ------
        DecisionError
            It is not closed yet, lies in the vault, or is no session of the calendar.
        """
        row = int(self.axis.searchsorted(session))
        if row < len(self.axis) and self.axis[row] == session:
            return row
        market = self.strategy.market
        if session > self.last_session:
            expected = f"a session up to {self.last_session.date()}, the last that may be seen"
            remedy = how_to_see(market, session, now_utc())
        else:
            expected = f"a session of {market.calendar} from {market.history_starts} on"
            remedy = "name a day on which the market trades"
        raise DecisionError(expected=expected, found=str(session.date()), remedy=remedy, strategy=self.strategy.name)

    def stretches(self, rows: Iterable[int]) -> Iterator[Stretch]:
        """Split ascending rows of the axis into runs of sessions that one cut serves each, in order.

        Cuts are made as they are come to, and only the last ones are kept: go through them once.
        """
        numbered = enumerate(rows)
        for (number, _), run in groupby(numbered, key=lambda pair: (int(self._numbers[pair[1]]), pair[1] - pair[0])):
            together = [row for _, row in run]
            self.covering(self.axis[together[-1]])
            yield Stretch(number, range(together[0], together[-1] + 1), self._cut(number))

    @cached_property
    def _numbers(self) -> npt.NDArray[np.int64]:
        """Number of the stretch of each session, (bars,)."""
        moments = as_of_sessions(self.strategy.market, self.axis)
        return stretch_numbers(self._late_facts(moments), self.axis, moments, self.decision_moments)

    def _late_facts(self, moments: pd.DatetimeIndex) -> pd.DataFrame:
        """Versions of bars, actions and a second source's corrections that some decision could not see in time."""
        columns = ["session", "known_at", "ingested_at"]
        raw, actions = self.raw_versions, self.action_versions
        late = self._late(raw, moments)
        corrected = self.compared_corrections
        facts = [
            _late_changes(raw, late, BAR_FACTS)[columns],
            corrected[corrected["session"] <= self.last_session][columns],
        ]
        if (details := self.detail_versions) is not None:
            facts.append(_late_changes(details, self._late(details, moments), DETAIL_FACTS)[columns])
        if actions is not None:
            past_actions = actions[actions["ex_session"] <= self.last_session]
            facts.append(past_actions.rename(columns={"ex_session": "session"})[columns])
        return pd.concat([frame for frame in facts if len(frame)] or facts[:1], ignore_index=True)

    def _late(self, versions: BarVersions, moments: pd.DatetimeIndex) -> pd.Series:
        """Versions of bars, or of what is said of them, that their session's decision could not see."""
        own = np.minimum(self.axis.searchsorted(pd.DatetimeIndex(versions["session"])), len(self.axis) - 1)
        late = versions["known_at"] > pd.Series(moments[own], index=versions.index)
        if len(self.decision_moments):
            late |= versions["ingested_at"] > self.decision_moments.min()
        return late & (versions["session"] <= self.last_session)

    def _cut(self, number: int) -> Cut:
        if number not in self._cuts:
            ends = self.axis[int(np.flatnonzero(self._numbers == number)[-1])]
            last = min(ends, self.covering(None).last_session)
            self._cuts[number] = Cut(self, last)
            while len(self._cuts) > _CUTS_KEPT:
                self._cuts.popitem(last=False)
        self._cuts.move_to_end(number)
        return self._cuts[number]


def _late_changes(versions: BarVersions, late: pd.Series, kind: Kind) -> BarVersions:
    """All late versions of what late ones changed: one that repeats another may have been stored before it."""
    changed = saying_something_new(versions, late.to_numpy(), kind)
    late_rows, key = versions[late], ["symbol", "session"]
    return late_rows[pd.MultiIndex.from_frame(late_rows[key]).isin(pd.MultiIndex.from_frame(changed[key]))]


@contextmanager
def open_history(strategy: Strategy) -> Iterator[History]:
    """Open the stores of the home, and the history of a strategy in them."""
    with open_stores() as stores:
        yield History.of(stores, with_checked_source(strategy))
