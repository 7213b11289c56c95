"""A session's bars: those missing, in quarantine while they are held, unconfirmed, or known too late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import Symbol, named_rows
from nn_assets.contracts import LEFT_BY
from nn_assets.contracts.frames import BarVersions
from nn_assets.errors import first_of
from nn_assets.features.catalogue import CATALOGUE, STANDARD
from nn_assets.market.calendar.sessions import next_session, previous_session, sessions_between
from nn_assets.market.facts.actions import actions_as_of
from nn_assets.market.facts.compared import second_source_prices
from nn_assets.market.facts.rows import ordered_by_symbol
from nn_assets.market.quality.cleaning import RULES
from nn_assets.operations.asof.choices import as_fitted
from nn_assets.operations.asof.decisions import decision_moments
from nn_assets.operations.asof.stored import COMPARED, RAW_BARS, versions_of
from nn_assets.operations.clock import as_of_session, has_clock, now_utc
from nn_assets.operations.facts import StoredFacts
from nn_assets.portfolio.records import unmarked_symbols
from nn_assets.session.missing_bars import sessions_read
from nn_assets.settings import Strategy
from nn_assets.signals.signals import EWMA_SPAN_SESSIONS
from nn_assets.store.lake.publication import Publication

ALERT_SESSIONS = 3
"""Sessions in a row without a bar of what is held after which a person is alerted; the page reports the first."""
_LATELY = 20  # sessions: which symbols a strategy has that names none
_MOST_SYMBOLS = 5  # in a sentence that says more
_BAR = ["symbol", "session"]
_REMEDIES = {rule.name: rule.remedy for rule in RULES}


@dataclass(frozen=True)
class Lacking:
    """The symbols of a session that have no bar of it, of so many that should."""

    session: pd.Timestamp
    symbols: tuple[Symbol, ...]
    due: int

    @property
    def cause(self) -> str:
        """How many they are, and the first of them."""
        have, were = ("has", "was") if len(self.symbols) == 1 else ("have", "were")
        return (
            f"{len(self.symbols):,} of {self.due:,} symbols {have} no bar of {self.session.date()} and {were} decided "
            f"without: {', '.join(first_of(self.symbols, _MOST_SYMBOLS))}"
        )


def lacking(facts: StoredFacts, sessions: pd.DatetimeIndex, decided_with: Sequence[str] | None = None) -> list[Lacking]:
    """Each of some sessions on end of which published bars are missing: of members of the universe, if there is one.

    A symbol that was delisted needs no bar; one that the strategy does not name needs one for as long as it had any in
    the last 20 sessions. Sessions that may not be seen, and days that are none, are left out.

    Parameters
    ----------
    decided_with : sequence of str, optional
        The symbols that the sessions were decided with: one that joined since lacks nothing. Those that the strategy
        names, or all of them, when left out.
    """
    publication, strategy = facts.publication, facts.strategy
    if publication is None or not publication.covers(sessions[-1]) or not sessions.isin(facts.axis).all():
        return []
    symbols, begin = strategy.market.symbols, int(facts.axis.searchsorted(sessions[0]))
    days = facts.axis[begin if symbols else max(0, begin - _LATELY) : begin + len(sessions)]
    bars = facts.stores.publications.bars(publication, sessions=days, columns=["symbol", "session"])
    names = symbols or tuple(sorted(bars["symbol"].unique()))
    names = tuple(name for name in names if decided_with is None or name in decided_with)
    delivered = np.zeros((len(days), len(names)), dtype=bool)
    row, column = (
        days.get_indexer(pd.DatetimeIndex(bars["session"])),
        pd.Index(names).get_indexer(pd.Index(bars["symbol"])),
    )
    delivered[row[column >= 0], column[column >= 0]] = True
    due = np.ones_like(delivered)
    if facts.action_versions is not None:
        actions = actions_as_of(facts.action_versions, now_utc())
        for gone in named_rows(actions[actions["kind"].isin(LEFT_BY)]):
            due[np.ix_(days >= gone.ex_session, [name == gone.symbol for name in names])] = False
    members = facts.bars_expected(days, names)
    due &= True if members is None else members
    gaps = []
    for index in range(len(days) - len(sessions), len(days)):
        expected = due[index] if symbols else due[index] & delivered[max(0, index - _LATELY) : index + 1].any(axis=0)
        absent = tuple(name for name, missing in zip(names, expected & ~delivered[index], strict=True) if missing)
        if absent:
            gaps.append(Lacking(days[index], absent, int(expected.sum())))
    return gaps


@dataclass(frozen=True)
class Unused:
    """A position whose bar of a session came, and waits in quarantine."""

    symbol: Symbol
    session: pd.Timestamp
    rule: str
    value: str  # the field to blame, and what it says
    by_clock: bool = True  # whether sessions are still to come, by the wall clock

    @property
    def cause(self) -> str:
        """What is the matter."""
        return (
            f"{self.symbol} is held and its bar of {self.session.date()} is in quarantine ({self.rule}, {self.value}): "
            "no order and no stop of it is tried on that bar"
        )

    @property
    def remedy(self) -> str:
        """What a person does about it."""
        text = f"{_REMEDIES[self.rule]}; the stop is tried on the bar once it is published"
        if self.by_clock:
            return text
        return (
            f"{text}, which in a history that ends in the past must state known_at, a moment before the next session "
            "to be decided: else it counts as known from now on, and no session of that history sees it"
        )


def unused(facts: StoredFacts, session: pd.Timestamp, remainder: str | Mapping[str, Any]) -> list[Unused]:
    """Positions whose bar of a session is in quarantine, by the record of the book after it and what is published."""
    symbols, publication = set(unmarked_symbols(remainder)), facts.publication
    if not symbols or publication is None:
        return []
    rows = facts.stores.publications.quarantine(publication)
    rows = rows[(rows["session"] == session) & rows["symbol"].isin(symbols)].drop_duplicates("symbol")
    by_clock = has_clock(facts.strategy.market, now_utc())
    return [
        Unused(str(row.symbol), session, str(row.rule), f"{row.field} {row.value}", by_clock)
        for row in named_rows(rows)
    ]


@dataclass(frozen=True)
class Unquoted:
    """A position whose symbol had no bar on the last sessions."""

    symbol: Symbol
    since: pd.Timestamp  # first session without
    sessions: int

    @property
    def cause(self) -> str:
        """What is the matter."""
        count = f"{self.sessions} session{'s' * (self.sessions > 1)}"
        return f"{self.symbol} is held and has had no bar for {count}, since {self.since.date()}: it cannot be closed"


def unquoted(strategy: Strategy, session: pd.Timestamp, remainder: str | Mapping[str, Any]) -> list[Unquoted]:
    """Positions without a bar on a session, by the record of the book after it."""
    calendar = strategy.market.calendar
    positions = []
    for symbol, marked in unmarked_symbols(remainder).items():
        first = next_session(calendar, marked)
        positions.append(Unquoted(symbol, first, len(sessions_between(calendar, first, session))))
    return positions


def delisting_line(strategy: Strategy, position: Unquoted) -> str:
    """The line of the actions file that closes a position which was delisted, and where it goes."""
    path = strategy.source.actions_path
    destination = "a file that source.actions_path names" if path is None else f"{path} (source.actions_path)"
    column = (
        ""
        if has_clock(strategy.market, now_utc())
        else (" (and known_at, a moment before the next session to be decided, since this history ends in the past)")
    )
    if strategy.market.binary:
        return (
            f"if it settled, write {position.symbol},{position.since.date()},settlement,1 (or 0) to {destination}, "
            f"under symbol,ex_session,kind,value{column}, and run again; else have the source deliver its bars"
        )
    return (
        f"if it was delisted, write {position.symbol},{position.since.date()},delisting,CASH to {destination}, under "
        f"symbol,ex_session,kind,value{column}, where CASH is dollars per share, or 0, and run again; else "
        "have the source deliver its bars"
    )


def without_bar(
    facts: StoredFacts, session: pd.Timestamp, remainder: str | Mapping[str, Any]
) -> tuple[list[Unused], list[Unquoted]]:
    """Positions without a bar of a session: those whose bar is in quarantine, and those that had none.

    None of what is halted: no bar is due. Sessions on which it was are not counted afterwards either.
    """
    in_quarantine = unused(facts, session, remainder)
    absent = unquoted(facts.strategy, session, remainder)
    if facts.halt_versions is not None and (in_quarantine or absent):
        due = [day for position in absent if (day := _since_the_halt(facts, position, session)) is not None]
        on = _halted_on(facts, session, [bar.symbol for bar in in_quarantine])
        in_quarantine, absent = [bar for bar in in_quarantine if bar.symbol not in on], due
    named = {bar.symbol for bar in in_quarantine}
    return in_quarantine, [position for position in absent if position.symbol not in named]


def _halted_on(facts: StoredFacts, session: pd.Timestamp, symbols: Sequence[Symbol]) -> set[Symbol]:
    halted = facts.halted_as_now(pd.DatetimeIndex([session]), tuple(symbols))
    return set() if halted is None else {name for name, on in zip(symbols, halted[0], strict=True) if on}


def _since_the_halt(facts: StoredFacts, position: Unquoted, session: pd.Timestamp) -> Unquoted | None:
    """A position without a bar, its halted sessions left out; None where it is halted on this one."""
    days = sessions_between(facts.strategy.market.calendar, position.since, session)
    halted = facts.halted_as_now(days, (position.symbol,))
    if halted is None or not halted.any():
        return position
    if halted[-1, 0]:
        return None
    due = days[~halted[:, 0]]
    return Unquoted(position.symbol, due[0], len(due))


@dataclass(frozen=True)
class Silent:
    """Symbols with a bar of a session and without a signal, since bars that it would read were known too late."""

    symbols: tuple[Symbol, ...]
    late_bars: int
    until: pd.Timestamp  # the first session that each can have one again, with no bar missing until then
    by_itself: bool  # whether that is the next one

    @property
    def cause(self) -> str:
        """Which they are, why, and until when."""
        one = len(self.symbols) == 1
        have, they = ("has", "it") if one else ("have", "they")
        ends = "the next session reads them" if self.by_itself else f"without them none before {self.until.date()}"
        return (
            f"{', '.join(first_of(self.symbols, _MOST_SYMBOLS))} {have} no signal: {self.late_bars:,} of the bars "
            f"that {they} would read became known only after the decisions of their own sessions; {ends}"
        )

    @property
    def remedy(self) -> str:
        """What ends it earlier; nothing where the next session does."""
        if self.by_itself:
            return ""
        return "if those bars were known in time, deliver them again with a column known_at that says when each was"


def silent(facts: StoredFacts, session: pd.Timestamp, decided_with: Sequence[str]) -> Silent | None:
    """Which symbols a decided session left without a signal because bars were known too late; None where none.

    Each has a bar of the session, and another symbol a signal: where none has one, the reason is another.

    Parameters
    ----------
    decided_with : sequence of str
        The symbols that the session was decided with: one that joined since is not silent yet.
    """
    publication, strategy = facts.publication, facts.strategy
    if publication is None or not publication.covers(session) or session not in facts.axis:
        return None
    mute = _without_signal(facts, publication, session, decided_with)
    if not mute:
        return None
    needed, row = _bars_needed(as_fitted(facts.stores.ledger, strategy, session)), int(facts.axis.searchsorted(session))
    days = facts.axis[max(0, row - needed + 1) : row + 1]
    bars = facts.stores.publications.bars(publication, sessions=days, columns=_BAR)
    bars = bars.loc[bars["symbol"].isin(mute), _BAR].drop_duplicates()
    versions = versions_of(facts.stores, strategy.name, RAW_BARS, sessions=days)
    versions = versions[versions["symbol"].isin(mute)]
    in_time_bars = versions.loc[_known_in_time(facts, versions, session), _BAR].drop_duplicates()
    late = bars[~_among(bars, in_time_bars)]
    if late.empty:
        return None
    following = next_session(strategy.market.calendar, session)
    by_itself = bool(_among(late, versions[versions["known_at"] <= as_of_session(strategy.market, following)]).all())
    symbols = tuple(sorted(late["symbol"].unique()))
    fewest = int(in_time_bars["symbol"].value_counts().reindex(list(symbols), fill_value=0).min())
    ahead = sessions_between(strategy.market.calendar, following, following + pd.Timedelta(days=2 * needed))
    until = following if by_itself else ahead[min(max(needed - fewest, 1), len(ahead)) - 1]
    return Silent(symbols, len(late), until, by_itself)


def _without_signal(
    facts: StoredFacts, publication: Publication, session: pd.Timestamp, decided_with: Sequence[str]
) -> set[str]:
    """Symbols, members where there is a universe, with a bar of a session and no signal; none where none has one."""
    strategy = facts.strategy
    columns = ("symbol", "probability", "forecast_volatility")
    signals = facts.stores.ledger.read("signals", strategy.name, session, session, columns=columns)
    signalled = set(signals.dropna()["symbol"])
    if not signalled:
        return set()
    day = facts.stores.publications.bars(publication, sessions=pd.DatetimeIndex([session]), columns=["symbol"])
    names = strategy.market.symbols or tuple(sorted(day["symbol"].unique()))
    due = set(day["symbol"]).intersection(names, decided_with) - signalled
    members = facts.bars_expected(pd.DatetimeIndex([session]), names) if due else None
    if members is not None:
        due -= {name for name, inside in zip(names, members[0], strict=True) if not inside}
    return due


def _known_in_time(facts: StoredFacts, versions: BarVersions, session: pd.Timestamp) -> pd.Series:
    """Which versions the decision of a session could see; where it is not recorded yet, by ``known_at`` alone."""
    in_time = versions["known_at"] <= as_of_session(facts.strategy.market, session)
    decided = decision_moments(facts.stores.ledger, facts.strategy.name)
    return in_time & (versions["ingested_at"] <= decided[session]) if session in decided.index else in_time


def _among(bars: pd.DataFrame, others: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which bars are of a symbol and session that others are of, too."""
    return pd.MultiIndex.from_frame(bars[_BAR]).isin(pd.MultiIndex.from_frame(others[_BAR]))


def _bars_needed(strategy: Strategy) -> int:
    """How many bars on end a signal reads at least: for the features in the network's window, and for volatility."""
    # A plug-in does not run for this sentence: where none ran yet, its own features' reach is not known.
    names = [name for name in strategy.features.names if name in CATALOGUE] or STANDARD
    return max(sessions_read(tuple(names), strategy.learning.lookback, 0.0), EWMA_SPAN_SESSIONS + 1)


def unchecked(facts: StoredFacts, session: pd.Timestamp) -> str | None:
    """Tell that the second source had no bar of a session in time; None where it had one, or none is named.

    A symbol that it lacks while it has others is no fault: it may quote fewer.
    """
    publication = facts.publication
    if facts.strategy.market.compare_with is None or publication is None or not publication.covers(session):
        return None
    days = pd.DatetimeIndex([previous_session(facts.strategy.market.calendar, session), session])
    store = facts.stores.publications
    taken_out = store.quarantine(publication)
    columns = ["symbol", "session", "known_at"]
    rows = pd.concat([store.bars(publication, sessions=days), taken_out[taken_out["session"].isin(days)]])[columns]
    rows = ordered_by_symbol(rows)
    if facts.stores.lake.segments(facts.strategy.name, COMPARED):
        versions = versions_of(facts.stores, facts.strategy.name, COMPARED, sessions=days)
        second_values = second_source_prices(rows, versions)[(rows["session"] == session).to_numpy()]
        if np.isfinite(second_values).any():
            return None
    return (
        f"no bar of {session.date()} could be held against the second source (market.compare_with), which had none in "
        "time: an odd print of the session would be traded and stopped out on"
    )
