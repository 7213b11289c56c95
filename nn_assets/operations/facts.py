"""All facts that are stored of one strategy, each read once, and the sessions that it has."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, Session, Symbol
from nn_assets.contracts import BAR_VERSIONS, empty
from nn_assets.contracts.frames import (
    ActionVersions,
    BarDetails,
    BarVersions,
    DailyBars,
    HaltVersions,
    MembershipVersions,
    SeriesVersions,
)
from nn_assets.errors import ClockError, DecisionError, PublicationError
from nn_assets.market.calendar.sessions import sessions_between, sessions_per_year
from nn_assets.market.facts.bars import known_after
from nn_assets.market.facts.compared import with_several_versions
from nn_assets.market.facts.refused import never_passed, passed_at, refused
from nn_assets.operations.asof.actions import ACTIONS, read_action_versions
from nn_assets.operations.asof.decisions import decision_moments
from nn_assets.operations.asof.halts import gate_halts, gate_passes
from nn_assets.operations.asof.known_details import detail_features, read_detail_versions
from nn_assets.operations.asof.series import read_series_versions
from nn_assets.operations.asof.stored import COMPARED, RAW_BARS, versions_of
from nn_assets.operations.asof.trading_halts import halted_as_decided, halted_by, read_halt_versions
from nn_assets.operations.asof.universe import candidates_of, read_membership_versions
from nn_assets.operations.asof.wrong_clock import clock_fault
from nn_assets.operations.clock import last_open_session, now_utc, seen_until
from nn_assets.operations.publication_moments import require_moments
from nn_assets.operations.stores import Stores
from nn_assets.settings import Strategy
from nn_assets.store.lake.publication import Publication
from nn_assets.store.ledger.audit import find_changed_state

__all__ = ["LOST_BARS", "RAW_BARS", "StoredFacts"]

LOST_BARS = (
    "restore the folder from a backup; without one no decision made on its bars can be derived again: go on in a "
    "strategy of another name, which takes in what the source still has"
)


@dataclass(frozen=True, eq=False)
class StoredFacts:
    """The facts stored of one strategy, up to the last session that may be seen; frames are to be read only."""

    stores: Stores
    strategy: Strategy
    last_session: pd.Timestamp

    @classmethod
    def of(cls, stores: Stores, strategy: Strategy) -> Self:
        """The history as far as the clock, the stated end of history and the vault let anyone see."""
        return cls(stores, strategy, last_open_session(strategy.market, now_utc()))

    # --- sessions --------------------------------------------------------------------------------------

    @property
    def sessions_per_year(self) -> int:
        """Sessions that annualise a figure."""
        return sessions_per_year(self.strategy.market.calendar)

    @cached_property
    def axis(self) -> pd.DatetimeIndex:
        """Every session of the calendar from the fixed first one to the last that may be seen, (bars,)."""
        market = self.strategy.market
        return sessions_between(market.calendar, market.history_starts, self.last_session)

    def sessions(self, until: Session | None = None) -> pd.DatetimeIndex:
        """The session axis, or the part of it up to a session."""
        stop = len(self.axis) if until is None else int(self.axis.searchsorted(pd.Timestamp(until), side="right"))
        return self.axis[:stop]

    @cached_property
    def live_sessions(self) -> pd.DatetimeIndex:
        """Sessions that are decided one by one, so far; every session where no live start is stated."""
        market = self.strategy.market
        return sessions_between(market.calendar, market.live_starts or market.history_starts, self.last_session)

    @property
    def first_live_session(self) -> pd.Timestamp:
        """The first session that is decided one by one.

        Raises
        ------
        DecisionError
            The strategy goes live later than any session there is.
        """
        if len(self.live_sessions) == 0:
            raise DecisionError(
                expected=f"a session from market.live_starts {self.strategy.market.live_starts} on",
                found=f"sessions up to {self.last_session.date()}",
                remedy="wait for the first live session, or set market.live_starts earlier",
                strategy=self.strategy.name,
            )
        return self.live_sessions[0]

    def require_live(self, session: pd.Timestamp) -> None:
        """Refuse a session that lies before the first live one.

        Raises
        ------
        DecisionError
            It does, or the strategy goes live later than any session there is.
        """
        if session < (live := self.first_live_session):
            raise DecisionError(
                expected=f"a session from {live.date()} on, the first live one",
                found=str(session.date()),
                remedy="set market.live_starts earlier to replay as if live, or ask for a later session",
                session=session.date(),
            )

    @cached_property
    def clock_fault(self) -> ClockError | None:
        """What lies ahead of the clock among the facts stored and the acts on record; None where nothing does."""
        return clock_fault(self.stores, self.strategy.name)

    @cached_property
    def changed_record(self) -> str | None:
        """What is not as it was appended, of the records that the strategy's state is read from; None where all is."""
        change = find_changed_state(self.stores.ledger, self.strategy.name)
        return None if change is None else str(change)

    # --- facts, each read once -------------------------------------------------------------------------

    @cached_property
    def raw_versions(self) -> BarVersions:
        """Every version of every raw bar that passed the gate, or was not refused; to be read only.

        ``ingested_at`` of one that the gate refused at first is when it was published.
        """
        stored = self.stored_versions
        if not self.any_before_a_halt(stored):
            return stored
        waiting = self._assumed(stored) & never_passed(stored, self.gate_halts, self.published_at)
        left = stored[~waiting].reset_index(drop=True)
        passed = passed_at(left, self.gate_halts, self.published_at)
        return left.assign(ingested_at=passed.where(self._assumed(left), left["ingested_at"]))

    @cached_property
    def stored_versions(self) -> BarVersions:
        """Every version of every raw bar, also of bars that wait at the gate, but for those refused and replaced.

        Bars of sessions before ``market.history_starts`` stay stored and are not looked at.

        Raises
        ------
        PublicationError
            None ever was stored, or they are gone.
        """
        self.require_bars()
        return self._not_refused(versions_of(self.stores, self.strategy.name, RAW_BARS))

    def versions_of_some(
        self, *, first: pd.Timestamp | None = None, sessions: pd.DatetimeIndex | None = None
    ) -> BarVersions:
        """Those of :attr:`stored_versions` of sessions from one on, or of some; no others are read."""
        self.require_bars()
        versions = versions_of(self.stores, self.strategy.name, RAW_BARS, first=first, sessions=sessions)
        return self._not_refused(versions)

    def _not_refused(self, versions: BarVersions) -> BarVersions:
        inside = versions["session"] >= pd.Timestamp(self.strategy.market.history_starts)
        if not inside.all():
            versions = versions[inside].reset_index(drop=True)
        if not self.any_before_a_halt(versions):
            return versions
        gone = refused(versions, ["symbol", "session"], self.gate_halts, self.published_at)
        return versions[~(gone & self._assumed(versions))].reset_index(drop=True)

    def any_before_a_halt(self, versions: pd.DataFrame) -> bool:
        """Whether any version was stored by the last halt of the gate: of others it is not asked what was published."""
        return len(self.gate_halts) > 0 and bool((versions["ingested_at"] <= self.gate_halts.max()).any())

    def decided_at(self, session: pd.Timestamp) -> pd.Timestamp | None:
        """When a session was put on record, UTC; None while it is undecided."""
        return self.decision_moments.get(session)

    @property
    def bars_lost(self) -> bool:
        """Whether something was published or decided, and no bar is stored any more; none is read."""
        begun = self.publication is not None or not self.decision_moments.empty
        return begun and not self.stores.lake.segments(self.strategy.name, RAW_BARS)

    def require_bars(self) -> None:
        """Refuse a lake that has lost the bars on which something was published or decided.

        Raises
        ------
        PublicationError
            It has; with the folder, and what is left to do.
        """
        if self.bars_lost:
            raise PublicationError(
                expected="the bars on which something was published or decided",
                found="nothing stored",
                remedy=LOST_BARS,
                strategy=self.strategy.name,
                file=str(self.stores.lake.folder(self.strategy.name, RAW_BARS)),
            )

    @cached_property
    def compared_versions(self) -> BarVersions | None:
        """Every version of the bars to compare with; None where the strategy names no second source."""
        if self.strategy.market.compare_with is None:
            return None
        stored = self.stores.lake.segments(self.strategy.name, COMPARED)
        return versions_of(self.stores, self.strategy.name, COMPARED) if stored else empty(BAR_VERSIONS)

    @cached_property
    def compared_corrections(self) -> BarVersions:
        """Versions of those bars to compare with that were delivered more than once; columns of ``BAR_VERSIONS``."""
        versions = self.compared_versions
        return empty(BAR_VERSIONS) if versions is None else with_several_versions(versions)

    def compared_until(self, moment: pd.Timestamp, ingested_by: pd.Timestamp | None = None) -> BarVersions | None:
        """The versions to compare with that were known, and stored, by some UTC moments; None without a second source.

        A bar's first version that came late judges nothing, whether or not it is left out.
        """
        versions, later = self.compared_versions, self.compared_corrections
        if versions is None or later.empty:
            return versions
        known_by_then = versions["known_at"] <= moment
        return versions[
            known_by_then if ingested_by is None else known_by_then & (versions["ingested_at"] <= ingested_by)
        ]

    def _assumed(self, versions: BarVersions) -> BoolArray:
        """Versions whose moment is no statement of the source's: what it states stays, whatever the gate says."""
        market = self.strategy.market
        assumed = known_after(market.calendar, versions["session"], market.known_at_lag_minutes)
        known_at = pd.DatetimeIndex(versions["known_at"])
        return np.asarray((known_at == assumed) | (known_at == pd.DatetimeIndex(versions["ingested_at"])))

    @cached_property
    def gate_halts(self) -> pd.DatetimeIndex:
        """When the gate halted, UTC."""
        return gate_halts(self.stores.ledger, self.strategy.name)

    @cached_property
    def published_at(self) -> pd.DatetimeIndex:
        """When what was stored by then was published, or passed the gate and changed nothing, UTC.

        Raises
        ------
        PublicationError
            A record of a publication says another moment than the ledger.
        """
        name = self.strategy.name
        publications = self.stores.publications.history(name)
        require_moments(self.stores.ledger, name, publications)
        published = [publication.published_at for publication in publications]
        stored = pd.Series([*published, *gate_passes(self.stores.ledger, name)], dtype="datetime64[ns, UTC]")
        return pd.DatetimeIndex(self.stores.ledger.mended().of(stored))

    @cached_property
    def publication(self) -> Publication | None:
        """The publication in force; None before the first."""
        return self.stores.publications.current(self.strategy.name)

    @cached_property
    def published_bars(self) -> DailyBars:
        """The bars published last; to be read only."""
        return self.stores.publications.bars(self.covering(None))

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The symbol axis of all sessions: the strategy's, or those of the published bars in order where it names none.

        A session's own may have fewer: see :meth:`nn_assets.operations.cut.Cut.of`.
        """
        return self.strategy.market.symbols or tuple(sorted(self.published_bars["symbol"].unique()))

    @cached_property
    def action_versions(self) -> ActionVersions | None:
        """Every version of the actions that the publication in force was made with; None where there are none."""
        segments = self.covering(None).details.get(ACTIONS, ())
        return read_action_versions(self.stores, self.strategy.name, segments)

    @cached_property
    def detail_versions(self) -> BarDetails | None:
        """Every version of what was said of bars beside prices and volume; None where no feature reads it, or none is.

        To be read only.
        """
        return read_detail_versions(self.stores, self.strategy) if detail_features(self.strategy) else None

    @cached_property
    def series_versions(self) -> SeriesVersions:
        """Every version of every observation of other series."""
        return read_series_versions(self.stores, self.strategy.name)

    @cached_property
    def membership_versions(self) -> MembershipVersions | None:
        """Every version of the universe's spells; None where the strategy names no universe."""
        return read_membership_versions(self.stores, self.strategy)

    @cached_property
    def halt_versions(self) -> HaltVersions | None:
        """Every version of every halt of an instrument; None where the strategy names no file of them."""
        return read_halt_versions(self.stores, self.strategy)

    def halted(self, sessions: pd.DatetimeIndex, symbols: tuple[Symbol, ...]) -> BoolArray | None:
        """Which symbols each session's decision knew to be halted, (sessions, symbols); None where none ever was."""
        return halted_as_decided(self.strategy, self.halt_versions, sessions, symbols)

    def halted_as_now(self, sessions: pd.DatetimeIndex, symbols: tuple[Symbol, ...]) -> BoolArray | None:
        """The same as far as it is known now: what the gate and its reports go by."""
        moment = seen_until(self.strategy.market, self.last_session, now_utc())
        return halted_by(self.halt_versions, sessions, symbols, moment)

    def bars_expected(self, sessions: pd.DatetimeIndex, symbols: tuple[Symbol, ...]) -> BoolArray | None:
        """Of whom a bar is expected on each session: members that are not halted; None: of every symbol."""
        members, halted = self.members(sessions, symbols), self.halted_as_now(sessions, symbols)
        if halted is None:
            return members
        return ~halted if members is None else members & ~halted

    @cached_property
    def decision_moments(self) -> pd.Series:
        """When each decided session was put on record, UTC, by session."""
        return decision_moments(self.stores.ledger, self.strategy.name)

    def with_decided_since(self) -> Self:
        """The same facts, and what was decided since they were read."""
        facts = copy(self)
        vars(facts).pop("decision_moments", None)
        return facts

    def members(self, sessions: pd.DatetimeIndex, symbols: tuple[Symbol, ...]) -> BoolArray | None:
        """Members of the universe as each session's decision knew them, (sessions, symbols); None without one."""
        return candidates_of(self.strategy, self.membership_versions, sessions, symbols)

    def covering(self, session: Session | None) -> Publication:
        """The publication in force, which must cover a session (any, when left out).

        Raises
        ------
        PublicationError
            Nothing is published, or not up to the session.
        """
        if session is None:
            if self.publication is not None:
                return self.publication
            session = self.last_session
        return self.stores.publications.require(self.strategy.name, session)
