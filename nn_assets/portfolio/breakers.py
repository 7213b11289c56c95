"""Controls: breakers, kill switch, drift state. Each is read fail-closed, and the strictest wins."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from itertools import pairwise
from typing import Any, Self

from nn_assets.settings import PortfolioSettings


class Control(IntEnum):
    """What the controls leave of a decision, from mildest to strictest."""

    NORMAL = 0
    REDUCED = 1  # half the size
    REDUCING = 2  # nothing is opened or enlarged
    FLAT = 3  # every position is closed
    HALTED = 4  # no order leaves at all


class KillSwitch(StrEnum):
    """The person's own control."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


_HALVED_ABOVE, _RESTORED_BELOW = 0.60, 0.45  # of the drawdown limit
_TOLERANCE = 1e-9  # of a level: a loss of 8.00% is at 8%, whatever the last bit of its quotient says

NO_ANSWER = "no_answer"
"""The solver had no answer on a session, so that nothing was opened or enlarged on it."""

NO_EQUITY = "no_equity"
"""The book is worth nothing or less: there is no capital to size by, and no return to speak of."""

BREAKERS = (NO_ANSWER, "session_loss", "weekly_loss", "drawdown", "stale_data", "unfinished_run", NO_EQUITY)
"""From mildest to strictest: the first is an alarm and takes nothing off a size, the next two pause, drawdown
flattens, the last three halt, because prices or positions are not known, or what is left is the broker's to close."""

LOSSES = frozenset({"session_loss", "weekly_loss", "drawdown"})
"""Those that are measured from a peak: their reset, and no other, starts new peaks."""


@dataclass(frozen=True)
class Breaker:
    """A breaker that has fired. It stays until a person resets it with a reason."""

    kind: str
    reason: str


@dataclass(frozen=True)
class BreakerReset:
    """Who releases which of the breakers latched as a session begins, and why."""

    person: str
    reason: str
    kinds: tuple[str, ...] = ()  # empty: whatever is latched, as version 0.1 recorded it

    def among(self, latched: Sequence[str]) -> tuple[str, ...]:
        """Which of the kinds latched it releases."""
        return tuple(kind for kind in latched if kind in self.kinds or not self.kinds)

    def to_record(self) -> list[Any]:
        """As a decision keeps it: person, reason, and the kinds where they are named."""
        return [self.person, self.reason, *([list(self.kinds)] if self.kinds else [])]

    @classmethod
    def from_record(cls, record: Sequence[Any]) -> Self:
        """Read what a decision kept."""
        person, reason, *kinds = record
        return cls(str(person), str(reason), tuple(kinds[0]) if kinds else ())


def named_kinds(text: object) -> tuple[str, ...]:
    """The kinds that a state's column names, "stale_data, drawdown"; none where it is empty or missing.

    What is neither a text nor missing is a kind that nobody knows, and so allows nothing.
    """
    if isinstance(text, str):
        return tuple(text.split(", ")) if text else ()
    return () if text is None or (isinstance(text, float) and math.isnan(text)) else (str(text),)


def strictest(*controls: Control) -> Control:
    """Return the control that wins; none given is NORMAL."""
    return max(controls, default=Control.NORMAL)


def read_kill_switch(stored: object) -> KillSwitch:
    """Read a stored state; whatever is not one of the three names means HALTED."""
    try:
        return KillSwitch(str(stored))
    except ValueError:
        return KillSwitch.HALTED


def kill_switch_control(stored: object) -> Control:
    """Return what a stored kill switch allows; unreadable allows nothing."""
    switch = read_kill_switch(stored)
    if switch is KillSwitch.ACTIVE:
        return Control.NORMAL
    return Control.REDUCING if switch is KillSwitch.REDUCING else Control.HALTED


def trading_state_control(state: str, settings: PortfolioSettings) -> Control:
    """Return what the drift state allows; an unknown state allows nothing."""
    paused = Control.FLAT if settings.when_paused == "flat" else Control.REDUCING
    controls = {"CONTINUE": Control.NORMAL, "REDUCE_SIZE": Control.REDUCED, "PAUSE_STRATEGY": paused}
    return controls.get(state, Control.HALTED)


def breaker_control(kinds: Iterable[str], settings: PortfolioSettings) -> Control:
    """Return what the latched breakers allow: the strictest of them acts, an unknown one allows nothing."""
    paused = Control.FLAT if settings.when_paused == "flat" else Control.REDUCING
    controls = {
        NO_ANSWER: Control.NORMAL,
        "session_loss": paused,
        "weekly_loss": paused,
        "drawdown": Control.FLAT,
    }
    return strictest(*(controls.get(kind, Control.HALTED) for kind in kinds))


def loss_fraction(equity_usd: float, peak_usd: float) -> float:
    """Return the fall from a peak, fraction, negative for a rise; 1 from a peak that left nothing to lose.

    NaN stays NaN.
    """
    return 1.0 if peak_usd <= 0.0 else 1.0 - equity_usd / peak_usd


def fired_breakers(
    *,
    equity_usd: float,
    previous_equity_usd: float,
    week_peak_usd: float,
    high_water_mark_usd: float,
    settings: PortfolioSettings,
    stale_share: float = 0.0,
    unfinished_run: str | None = None,
) -> tuple[Breaker, ...]:
    """Return every breaker that the figures of a session fire, strictest first.

    Every loss is measured from a peak: the session's from the equity it began with, the week's from
    the highest close since the last of the week before, the drawdown from the high-water mark. It fires over its
    limit, and not at it; equality is to 1e-9 of the limit. A loss that is no number fires, and so does every loss
    from a peak of zero or less: nothing is left to measure it by. Equity that is zero, below it or no number fires
    one more of its own, on every session that ends with it.

    Parameters
    ----------
    equity_usd, previous_equity_usd, week_peak_usd, high_water_mark_usd : float
        Dollars.
    stale_share : float
        Share of the symbols without a close of this session, or whose bar repeats the one before; 0 to 1.
    unfinished_run : str, optional
        Why the positions are not known to be those on record; None where they are.
    """
    fired = []
    if not equity_usd > 0.0:
        fired.append(
            Breaker(NO_EQUITY, f"the book is worth {equity_usd:,.2f} USD: no size can be measured by it, and no return")
        )
    if unfinished_run is not None:
        fired.append(Breaker("unfinished_run", unfinished_run))
    if not stale_share <= settings.stale_symbols_limit_fraction:
        fired.append(
            Breaker(
                "stale_data",
                f"{stale_share:.0%} of the symbols have no close of this session or repeat the bar before, "
                f"over the limit of {settings.stale_symbols_limit_fraction:.0%}",
            )
        )
    session = loss_fraction(equity_usd, previous_equity_usd)
    week = loss_fraction(equity_usd, week_peak_usd)
    drawdown = loss_fraction(equity_usd, high_water_mark_usd)
    if previous_equity_usd <= 0.0:
        drawdown = max(drawdown, 1.0)
    for kind, loss, limit in (
        ("drawdown", drawdown, settings.drawdown_limit_fraction),
        ("weekly_loss", week, settings.weekly_loss_limit_fraction),
        ("session_loss", session, settings.session_loss_limit_fraction),
    ):
        if _over(loss, limit):
            fired.append(Breaker(kind, f"{kind} of {loss:.2%} is over the limit of {limit:.2%}"))
    return tuple(fired)


def never_alone(settings: PortfolioSettings) -> tuple[str, ...]:
    """Tell which limits equal the next wider one, so that their breaker never fires without that one's too."""
    names = ("session_loss_limit_fraction", "weekly_loss_limit_fraction", "drawdown_limit_fraction")
    return tuple(
        f"portfolio.{narrow} {getattr(settings, narrow)} equals portfolio.{wide}: it never fires without that one; "
        "set it lower to be stopped earlier"
        for narrow, wide in pairwise(names)
        if getattr(settings, narrow) == getattr(settings, wide)
    )


def halved_by_drawdown(drawdown_fraction: float, settings: PortfolioSettings, *, was_halved: bool) -> bool:
    """Whether sizes are halved: above 60% of the drawdown limit, until the drawdown is below 45% of it.

    Equality is to 1e-9 of the level, as for the breakers. A drawdown that is no number halves.
    """
    limit = settings.drawdown_limit_fraction
    if was_halved:
        return not drawdown_fraction < _RESTORED_BELOW * limit * (1.0 - _TOLERANCE)
    return _over(drawdown_fraction, _HALVED_ABOVE * limit)


def latched(current: Iterable[Breaker], fired: Iterable[Breaker]) -> tuple[Breaker, ...]:
    """Return the breakers in force, strictest first: each kind as it latched first; none loosens by itself."""
    kept = {breaker.kind: breaker for breaker in (*fired, *current)}
    return tuple(sorted(kept.values(), key=lambda breaker: -_strictness(breaker.kind)))


def _strictness(kind: str) -> int:
    return BREAKERS.index(kind) if kind in BREAKERS else len(BREAKERS)


def _over(value: float, level: float) -> bool:
    return not value <= level * (1.0 + _TOLERANCE)
