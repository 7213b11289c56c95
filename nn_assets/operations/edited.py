"""Edits of a strategy's stages that contradict what it has published or decided.

Whoever takes data in or decides a session asks here first, so that such an edit is refused by its own name.
"""

from __future__ import annotations

import pandas as pd

from nn_assets.errors import SettingsError
from nn_assets.market.calendar.sessions import previous_session, sessions_between
from nn_assets.operations.facts import StoredFacts

__all__ = ["require_stages", "stage_fault"]

_ANEW = "to begin anew, give the strategy another name"


def require_stages(facts: StoredFacts) -> None:
    """Refuse stages that contradict what the strategy has published or decided.

    Raises
    ------
    SettingsError
        Names the key, and what to set it to.
    """
    if (fault := stage_fault(facts)) is not None:
        raise fault


def stage_fault(facts: StoredFacts) -> SettingsError | None:
    """What in the strategy's stages contradicts what it has published or decided; None where nothing does."""
    return _start_moved(facts) or _live_start_moved(facts) or _end_moved_back(facts)


def _start_moved(facts: StoredFacts) -> SettingsError | None:
    """Once a session is decided, models count their rows from the first session; before that it is a view."""
    if facts.publication is None or facts.decision_moments.empty:
        return None
    first, stated = facts.publication.first_session, facts.axis[0]
    if stated == first:
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


def _end_moved_back(facts: StoredFacts) -> SettingsError | None:
    """What was published or decided was seen: it can neither be cut off nor sealed any more."""
    seen = [] if facts.publication is None else [facts.publication.last_session]
    seen += list(facts.decision_moments.index[-1:])
    if not seen or max(seen) <= facts.last_session:
        return None
    last, market = max(seen).date(), facts.strategy.market
    if market.vault_starts is not None and previous_session(market.calendar, market.vault_starts) < max(seen):
        key, remedy = "market.vault_starts", f"set it to a day after {last}"
    elif market.history_ends is not None:
        key, remedy = "market.history_ends", f"set it to {last} or later"
    else:
        key, remedy = "market.known_at_lag_minutes", "set it back, set the clock right, or wait"
    value = getattr(market, key.removeprefix("market."))
    return SettingsError(
        expected=f"sessions up to {last} to be seen, as they were before",
        found=f"{key} {value}, which lets sessions up to {facts.last_session.date()} be seen",
        remedy=f"{remedy}; {_ANEW}",
        strategy=facts.strategy.name,
        key=key,
    )
