"""Splits and dividends taken in beside the bars, and held against them when both are published."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from nn_assets.arrays import named_rows
from nn_assets.contracts import ACTION_VERSIONS, LEFT_BY, empty
from nn_assets.contracts.frames import ActionVersions, DeliveredActions
from nn_assets.errors import SourceError
from nn_assets.market.facts.actions import (
    SETTLEMENT,
    actions_as_of,
    new_action_versions,
    refuse_mass_withdrawal,
    with_action_moments,
    withdrawals,
)
from nn_assets.market.facts.bitemporal import RevisionCount, stated_in
from nn_assets.market.quality.notices import Notice
from nn_assets.operations.asof.actions import ACTIONS, read_action_versions
from nn_assets.operations.clock import as_of_sessions, last_configured_session, now_utc, seen_until
from nn_assets.operations.history import History
from nn_assets.operations.intake.appended import append_versions
from nn_assets.settings import Strategy
from nn_assets.sources.protocol import ActionSource, Source, first_outside, taken_outside
from nn_assets.sources.tables.actions_file import ActionsFile
from nn_assets.sources.tables.limits import Limits

_KEY = ["symbol", "ex_session", "kind"]


def new_actions(
    history: History, folder: Path, source: Source, decided_to: pd.Timestamp | None
) -> tuple[ActionVersions, RevisionCount, tuple[int, list[tuple[str, pd.Timestamp, str]]]]:
    """Ask for every action up to the last session that may be seen: what is new or differs, not stored yet.

    The last value counts the rows delivered of other symbols or sessions, which are left out, and names the first.

    The file that ``source.actions_path`` names counts before what the source of the bars offers; a
    strategy with neither has no actions. What the source delivered before and no longer lists is
    withdrawn; what is no longer in the file stays.

    Raises
    ------
    SourceError
        The source withdraws more at once than ``source.max_withdrawn_fraction``, or states an action as known later
        than it is on record. Or one is of another market: a settlement of what is no binary contract, or a split,
        dividend or delisting of one. Or several contracts of one event settle at 1.
    """
    strategy, market = history.strategy, history.strategy.market
    path = strategy.source.actions_path
    offering = source if path is None else ActionsFile(folder / path, Limits.of(strategy.source))
    # A database that is asked for no actions has not answered that there are none.
    if not isinstance(offering, ActionSource) or getattr(offering, "actions_query", None) == "":
        return empty(ACTION_VERSIONS), RevisionCount(), (0, [])
    first, last, arrived_at = pd.Timestamp(market.history_starts), history.last_session, now_utc()
    delivered = offering.actions(market.symbols, first, last)
    outside = taken_outside(delivered), first_outside(delivered)
    _refuse_those_of_another_market(strategy, delivered)
    _refuse_several_winners(strategy, delivered)
    stamped = with_action_moments(
        delivered, market.calendar, market.known_at_lag_minutes, arrived_at, decided_to=decided_to
    )
    segments = history.stores.lake.segments(strategy.name, ACTIONS)
    versions = read_action_versions(history.stores, strategy.name, segments)
    stored = empty(ACTION_VERSIONS) if versions is None else versions
    explicit = stated_in(delivered)
    if path is None:
        request = source.name, market.symbols, first, last
        gone = withdrawals(stored, stamped, *request, arrived_at)
        refuse_mass_withdrawal(stored, stamped, gone, *request, strategy.source.max_withdrawn_fraction)
        stamped = pd.concat([stamped, gone], ignore_index=True) if len(gone) else stamped
        explicit = None if explicit is None else np.append(explicit, np.zeros(len(gone), dtype=np.bool_))
    return *new_action_versions(stored, stamped, explicit=explicit), outside


def _refuse_those_of_another_market(strategy: Strategy, delivered: DeliveredActions) -> None:
    wrong = delivered[(delivered["kind"] == SETTLEMENT) != strategy.market.binary]
    if wrong.empty:
        return
    row, is_binary = next(iter(named_rows(wrong))), strategy.market.binary
    raise SourceError(
        expected="settlements alone of contracts that settle at 1 or at 0 (market.asset_class: binary)"
        if is_binary
        else "no settlement: market.asset_class is not binary",
        found=f"{row.symbol} {row.ex_session.date()} {row.kind}"
        + (f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""),
        remedy="write what a contract paid as a settlement of 1 or 0"
        if is_binary
        else "state market.asset_class: binary, or write what was left of a share as a delisting",
        source=str(row.source),
        symbol=str(row.symbol),
        rule="actions_of_the_market",
        key="market.asset_class",
    )


def _refuse_several_winners(strategy: Strategy, delivered: DeliveredActions) -> None:
    won = delivered[(delivered["kind"] == SETTLEMENT) & (delivered["value"] == 1.0)]
    winners: dict[str, list[str]] = {}
    for row in named_rows(won):
        contract = strategy.market.contracts.get(str(row.symbol))
        if contract is not None and contract.event:
            winners.setdefault(contract.event, []).append(str(row.symbol))
    for event, symbols in winners.items():
        if len(symbols) > 1:
            raise SourceError(
                expected=f"at most one contract of the event {event} that settles at 1: they were sized as such",
                found=f"settlements at 1 of {', '.join(symbols)}",
                remedy="correct the settlements, or give contracts that do not exclude each other events of their own "
                "in market.contracts",
                symbol=symbols[1],
                rule="one_outcome_an_event",
                key="market.contracts",
            )


def append_actions(history: History, fresh: ActionVersions) -> None:
    """Store what :func:`new_actions` found."""
    stores, name = history.stores, history.strategy.name
    stored = read_action_versions(stores, name, stores.lake.segments(name, ACTIONS)) if len(fresh) else None
    append_versions(stores, name, ACTIONS, stored, fresh)


def stored_actions(history: History) -> int:
    """Actions taken in so far, withdrawn ones left out."""
    segments = history.stores.lake.segments(history.strategy.name, ACTIONS)
    actions = actions_to_publish(history, segments)
    return 0 if actions is None else len(actions)


def actions_to_publish(history: History, segments: tuple[str, ...]) -> ActionVersions | None:
    """Actions in some segments up to the last session, as known now, to be read only; None without segments.

    They are worked out once for the versions visible by now.
    """
    stores, name, last = history.stores, history.strategy.name, history.last_session
    versions = read_action_versions(stores, name, segments)
    if versions is None:
        return None
    moment = seen_until(history.strategy.market, last, now_utc())
    visible = int((versions["known_at"] <= moment).sum())  # of two moments one that sees as many sees the same

    def read() -> pd.DataFrame:
        several = versions.duplicated(_KEY, keep=False)  # of the others, by far the most, none is to be ranked
        alone = versions[~several & (versions["known_at"] <= moment) & versions["value"].notna()]
        ranked = actions_as_of(versions[several], moment)
        actions = pd.concat([alone, ranked]).sort_values(_KEY, ignore_index=True)
        return actions[actions["ex_session"] <= last]

    mended = tuple(sorted(stores.ledger.mended().read_as.items()))
    return stores.newest(("as known", name, ACTIONS), (segments, last, visible, mended), read)


def delisted(history: History) -> dict[str, pd.Timestamp]:
    """First session without each symbol that was delisted, by what is known now."""
    actions = actions_to_publish(history, history.stores.lake.segments(history.strategy.name, ACTIONS))
    if actions is None:
        return {}
    delistings = actions[actions["kind"].isin(LEFT_BY)]
    return dict(zip(delistings["symbol"], delistings["ex_session"], strict=True))


def late_notices(history: History) -> list[Notice]:
    """Newest versions of actions that came after their ex-session was decided, and the session that mends the book."""
    market, name = history.strategy.market, history.strategy.name
    versions = read_action_versions(history.stores, name, history.stores.lake.segments(name, ACTIONS))
    if versions is None or market.live_starts is None or len(history.live_sessions) == 0:
        return []
    live = history.live_sessions
    recorded = pd.DatetimeIndex(pd.to_datetime(history.decision_moments.reindex(live), utc=True))
    closes = as_of_sessions(market, live)
    notices = []
    inside = versions[(versions["ex_session"] >= live[0]) & (versions["ex_session"] <= live[-1])]
    # An action of which every version was there in time is not late; those of which one was not are few.
    own = live.searchsorted(pd.DatetimeIndex(inside["ex_session"]))
    known_at, ingested_at = (pd.DatetimeIndex(inside[name]) for name in ("known_at", "ingested_at"))
    stored_in_time = recorded[own].isna() | np.asarray(recorded[own] >= ingested_at)
    in_time = np.asarray(closes[own] >= known_at) & stored_in_time
    late = pd.MultiIndex.from_frame(inside.loc[~in_time, _KEY])
    inside = inside[pd.MultiIndex.from_frame(inside[_KEY]).isin(late)]
    for _, stored in inside.sort_values([*_KEY, "ingested_at", "known_at"], kind="stable").groupby(_KEY):
        alike = _saying_the_last(stored)
        ex_session = int(live.searchsorted(alike["ex_session"].iloc[0]))
        known = [
            (closes >= row.known_at) & (recorded.isna() | (recorded >= row.ingested_at)) for row in named_rows(alike)
        ]
        aware = np.logical_or.reduce(known)
        aware[:ex_session] = False
        if aware[ex_session]:
            continue
        row = alike.iloc[0]
        what = f"the {row.kind} became known" if pd.notna(row.value) else f"the {row.kind} was withdrawn"
        mended = _mended(history, live[aware][0] if aware.any() else None)
        message = f"{what} {row.known_at:%Y-%m-%d %H:%M} UTC; {mended}"
        notices.append(Notice("late_action", row.symbol, row.ex_session, row.ex_session, math.nan, message))
    return notices


def _saying_the_last(versions: ActionVersions) -> ActionVersions:
    """Of the versions of one action, in the order of their arrival, the last and those before it that say the same."""
    value = versions["value"].to_numpy()
    differs = ~((value == value[-1]) | (np.isnan(value) & np.isnan(value[-1])))
    return versions.iloc[int(np.flatnonzero(differs)[-1]) + 1 if differs.any() else 0 :]


def _mended(history: History, session: pd.Timestamp | None) -> str:
    if session is not None:
        return f"a book that held it then is converted before the first fill of {session.date()}"
    end = last_configured_session(history.strategy.market)
    if end is None:
        return "a book that held it then is converted before the first fill of the next session decided"
    return f"no session up to {end.date()}, the last to be decided, knows it: correct the position by hand"
