"""Edits of a strategy's stages and symbols that contradict what it has published or decided.

Whoever takes data in or decides a session asks here first, so that such an edit is refused by its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from nn_assets.arrays import Symbol
from nn_assets.errors import ClockError, DecisionError, SettingsError
from nn_assets.market.calendar.sessions import previous_session, sessions_between
from nn_assets.market.calendar.timetable import is_same_calendar
from nn_assets.operations.asof.settings_on_record import settings_of_decision
from nn_assets.operations.clock import last_configured_session
from nn_assets.operations.facts import StoredFacts
from nn_assets.store.ledger.ledger import Ledger

_LEFT_OUT = "left out"
_ANEW = "to begin anew, give the strategy another name"


def require_stages(facts: StoredFacts) -> None:
    """Refuse stages that contradict what the strategy has published or decided.

    Raises
    ------
    SettingsError
        Names the key, and what to set it to.
    ClockError
        The clock alone keeps a session from being seen that was seen before.
    """
    if (fault := stage_fault(facts)) is not None:
        raise fault


def stage_fault(facts: StoredFacts) -> SettingsError | ClockError | None:
    """What in the strategy's stages, or of the clock, contradicts what it has published or decided; None if nothing."""
    checks = (_of_another_kind, _calendar_changed, _start_moved, _live_start_moved, _end_moved_back)
    return next((fault for check in checks if (fault := check(facts)) is not None), None)


def _of_another_kind(facts: StoredFacts) -> SettingsError | None:
    """Once a session is decided, what its sessions and bars are must stay: with others it is another strategy."""
    decided = facts.decision_moments.index
    then = None if decided.empty else settings_of_decision(facts.stores.ledger, facts.strategy.name, decided[-1])
    if then is None:
        return None
    before, now = _kind_of(then), _kind_of(facts.strategy.behaviour())
    for key, was in before.items():
        is_now = now[key]
        if was is None or is_now in (was, None) or (key == "market.calendar" and is_same_calendar(was, is_now)):
            continue
        several = "s" * (len(decided) > 1)
        return SettingsError(
            expected=f"{key} {was}, under which {len(decided):,} session{several} to {decided[-1].date()} "
            f"{'were' if several else 'was'} decided",
            found=f"{key} {is_now}",
            remedy=f"{'take it out' if was == _LEFT_OUT else f'set it back to {was}'}; for another market or other "
            "bars, give the strategy another name",
            strategy=facts.strategy.name,
            key=key,
        )
    return None


def _kind_of(settings: Mapping[str, Any]) -> dict[str, str | None]:
    """What the settings say of sessions and bars, by key; None where they say nothing."""
    intraday = settings.get("intraday") or {}
    rolls = f"{intraday['rolls_at']} {intraday['timezone']}" if intraday.get("rolls_at") else _LEFT_OUT
    return {
        "market.calendar": settings["market"]["calendar"].partition(" ")[0],
        "source.closes_only": str(bool(settings.get("source", {}).get("closes_only"))).lower(),
        "intraday.bar_minutes": str(intraday["bar_minutes"]) if intraday else None,
        "intraday.rolls_at": rolls if intraday else None,
    }


def _calendar_changed(facts: StoredFacts) -> SettingsError | None:
    """What was published or decided depends on sessions that must stay sessions."""
    published, decided = facts.publication, facts.decision_moments.index
    if published is None or not len(decided):
        return None
    days = pd.DatetimeIndex([published.first_session, *decided])
    market = facts.strategy.market
    gone = days[~days.isin(sessions_between(market.calendar, days.min(), days.max()))]
    if gone.empty:
        return None
    day = gone[-1].date()
    return SettingsError(
        expected=f"{day} to be a session, as it was when it was published or decided",
        found=f"{day} is no session of market.calendar {market.calendar.partition(' ')[0]} with its overrides",
        remedy="set the calendar and its overrides back, or list the day under extra_sessions in the file that "
        f"market.calendar_overrides names; {_ANEW}",
        strategy=facts.strategy.name,
        key="market.calendar",
    )


def _start_moved(facts: StoredFacts) -> SettingsError | None:
    """Once a session is decided, models count their rows from the first session; before that it is a view."""
    if facts.publication is None or facts.decision_moments.empty:
        return None
    first = facts.publication.first_session
    if len(facts.axis) == 0 or facts.axis[0] == first:  # of none at all the end tells
        return None
    return SettingsError(
        expected=f"market.history_starts {first.date()}, the first session on which decisions stand",
        found=f"market.history_starts {facts.strategy.market.history_starts}",
        remedy=f"set it back to {first.date()}; {_ANEW}",
        strategy=facts.strategy.name,
        key="market.history_starts",
    )


def _live_start_moved(facts: StoredFacts) -> SettingsError | None:
    """Sessions are decided one after the other, from the first on: neither may one come before it, nor it be left."""
    if facts.decision_moments.empty:
        return None
    market, first = facts.strategy.market, facts.decision_moments.index[0]
    starts = market.live_starts
    if starts is not None and pd.Timestamp(starts) <= first == sessions_between(market.calendar, starts, first)[0]:
        return None
    return SettingsError(
        expected=f"market.live_starts {first.date()}, the first session that was decided",
        found="no market.live_starts: it was taken out after sessions were decided"
        if starts is None
        else f"market.live_starts {starts}",
        remedy=f"set it back to {first.date()}; {_ANEW}",
        strategy=facts.strategy.name,
        key="market.live_starts",
    )


def _end_moved_back(facts: StoredFacts) -> SettingsError | ClockError | None:
    """What was published or decided was seen: it can neither be cut off nor sealed any more."""
    sessions_seen = [] if facts.publication is None else [facts.publication.last_session]
    sessions_seen += list(facts.decision_moments.index[-1:])
    if not sessions_seen or max(sessions_seen) <= facts.last_session:
        return None
    last, market = max(sessions_seen).date(), facts.strategy.market
    end = last_configured_session(market)
    if end is None or end >= max(sessions_seen):
        if facts.clock_fault is not None:  # an unedited setting is not to blame
            return facts.clock_fault
        key, remedy = "market.known_at_lag_minutes", "set it back, set the clock right, or wait"
    elif market.vault_starts is not None and previous_session(market.calendar, market.vault_starts) < max(
        sessions_seen
    ):
        key, remedy = "market.vault_starts", f"set it to a day after {last}"
    else:
        key, remedy = "market.history_ends", f"set it to {last} or later"
    value = getattr(market, key.removeprefix("market."))
    return SettingsError(
        expected=f"sessions up to {last} to be seen, as they were before",
        found=f"{key} {value}, which lets sessions up to {facts.last_session.date()} be seen",
        remedy=f"{remedy}; {_ANEW}",
        strategy=facts.strategy.name,
        key=key,
    )


def symbols_fault(facts: StoredFacts) -> DecisionError | None:
    """Which symbols were taken off while they are held or on order, so that no session is decided; None where none."""
    symbols, decided = facts.strategy.market.symbols, facts.decision_moments.index
    if not symbols or not len(decided):
        return None
    return left_while_bound(facts.stores.ledger, facts.strategy.name, decided[-1], symbols)


def left_while_bound(
    ledger: Ledger, strategy: str, session: pd.Timestamp, symbols: tuple[Symbol, ...]
) -> DecisionError | None:
    """Which symbols a decided session left held or on order that are not among those of the next; None where none."""
    holdings, orders = (ledger.read(table, strategy, session, session) for table in ("holdings", "orders"))
    bound = {*holdings.loc[holdings["quantity"] != 0.0, "symbol"], *orders.loc[orders["status"] != "denied", "symbol"]}
    left = sorted(bound.difference(symbols))
    if not left:
        return None
    named, several = ", ".join(left), len(left) > 1
    return DecisionError(
        expected=f"{named} among the symbols, for as long as {'they are' if several else 'it is'} held or on order",
        found=f"market.symbols without {named}",
        remedy=f"put {named} back, and take {'each' if several else 'it'} off after a round that leaves it neither "
        "held nor on order: a target of 0, by its signal, the verdict or a pause, closes it, and no command does; what "
        "was delisted is closed by a line SYMBOL,DAY,delisting,CASH in the file that source.actions_path names",
        strategy=strategy,
        key="market.symbols",
    )
