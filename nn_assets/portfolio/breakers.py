"""Controls: breakers, kill switch, drift state. Each is read fail-closed, and the strictest wins."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from nn_assets.settings import PortfolioSettings

__all__ = [
    "BREAKERS",
    "NO_ANSWER",
    "Breaker",
    "Control",
    "KillSwitch",
    "breaker_control",
    "fired_breaker",
    "halved_by_drawdown",
    "kill_switch_control",
    "latched",
    "read_kill_switch",
    "strictest",
    "trading_state_control",
]


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

NO_ANSWER = "no_answer"
"""The solver had no answer on a session, so that nothing was opened or enlarged on it."""

BREAKERS = (NO_ANSWER, "session_loss", "weekly_loss", "drawdown", "stale_data", "unfinished_run")
"""From mildest to strictest: the first is an alarm and takes nothing off a size, the next two pause, drawdown
flattens, the last two halt, because prices or positions are not known."""


@dataclass(frozen=True)
class Breaker:
    """A breaker that has fired. It stays until a person resets it with a reason."""

    kind: str
    reason: str


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
    known = {"CONTINUE": Control.NORMAL, "REDUCE_SIZE": Control.REDUCED, "PAUSE_STRATEGY": paused}
    return known.get(state, Control.HALTED)


def breaker_control(kind: str | None, settings: PortfolioSettings) -> Control:
    """Return what a latched breaker allows; ``None`` is no breaker, an unknown one allows nothing."""
    paused = Control.FLAT if settings.when_paused == "flat" else Control.REDUCING
    known = {
        None: Control.NORMAL,
        NO_ANSWER: Control.NORMAL,
        "session_loss": paused,
        "weekly_loss": paused,
        "drawdown": Control.FLAT,
    }
    return known.get(kind, Control.HALTED)


def fired_breaker(
    *,
    equity_usd: float,
    previous_equity_usd: float,
    week_peak_usd: float,
    high_water_mark_usd: float,
    settings: PortfolioSettings,
    stale_share: float = 0.0,
    unfinished_run: str | None = None,
) -> Breaker | None:
    """Return the strictest breaker that the figures of a session fire, or ``None``.

    Every loss is measured from a peak: the session's from the equity it began with, the week's from
    the highest close since the last of the week before, the drawdown from the high-water mark. An
    equity that is not a number fires ``unfinished_run``: the state cannot be trusted.

    Parameters
    ----------
    equity_usd, previous_equity_usd, week_peak_usd, high_water_mark_usd : float
        Dollars; the peaks are positive.
    stale_share : float
        Share of the symbols without a close of this session, or whose bar repeats the one before; 0 to 1.
    unfinished_run : str, optional
        Why the positions are not known to be those on record; None where they are.
    """
    session = 1.0 - equity_usd / previous_equity_usd
    week = 1.0 - equity_usd / week_peak_usd
    drawdown = 1.0 - equity_usd / high_water_mark_usd
    if unfinished_run is not None:
        return Breaker("unfinished_run", unfinished_run)
    if not all(map(_is_number, (session, week, drawdown))):
        return Breaker("unfinished_run", "equity, or a peak that it is measured from, is not a number")
    if not stale_share <= settings.stale_symbols_limit_fraction:
        return Breaker(
            "stale_data",
            f"{stale_share:.0%} of the symbols have no close of this session or repeat the bar before, "
            f"over the limit of {settings.stale_symbols_limit_fraction:.0%}",
        )
    for kind, loss, limit in (
        ("drawdown", drawdown, settings.drawdown_limit_fraction),
        ("weekly_loss", week, settings.weekly_loss_limit_fraction),
        ("session_loss", session, settings.session_loss_limit_fraction),
    ):
        if loss > limit:
            return Breaker(kind, f"{kind} of {loss:.2%} is over the limit of {limit:.2%}")
    return None


def halved_by_drawdown(drawdown_fraction: float, settings: PortfolioSettings, *, was_halved: bool) -> bool:
    """Whether sizes are halved: above 60% of the drawdown limit, until the drawdown is below 45% of it.

    A drawdown that is no number halves.
    """
    share = drawdown_fraction / settings.drawdown_limit_fraction
    return not share < _RESTORED_BELOW if was_halved else not share <= _HALVED_ABOVE


def latched(current: Breaker | None, fired: Breaker | None) -> Breaker | None:
    """Return the breaker in force: the stricter of the two; a latched one never loosens by itself."""
    if current is None or fired is None:
        return current or fired
    return fired if BREAKERS.index(fired.kind) > BREAKERS.index(current.kind) else current


def _is_number(value: float) -> bool:
    return value == value and abs(value) != float("inf")
