"""What a person can set: the kill switch, and the release of latched breakers. Kept in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from nn_assets.errors import ControlError
from nn_assets.evaluation.leak_alarms import StandingAlarm
from nn_assets.operations.asof.alarms import LEAK_RELEASE, open_alarms
from nn_assets.operations.asof.controls import BREAKER_RESET
from nn_assets.operations.catalog import require_named
from nn_assets.operations.kill_switch import demand_reason, record_control, set_kill_switch
from nn_assets.operations.mended_clock import mend_moments
from nn_assets.operations.stores import open_stores
from nn_assets.portfolio.breakers import named_kinds
from nn_assets.store.ledger.mended import CLOCK

__all__ = ["mend_clock", "release_leak_alarm", "reset_breaker", "set_kill_switch"]


def reset_breaker(strategy: str, who: str, reason: str, kinds: Sequence[str] = ()) -> dict[str, Any]:
    """Release latched breakers at the next session; the reset of a loss starts a new high-water mark.

    It names the latches that it is set for: one that fires later is not released by it. Waits for a round
    under way.

    Parameters
    ----------
    kinds : sequence of str
        Those to release; may be left out where one alone is latched.

    Raises
    ------
    ControlError
        No reason is given, nothing is latched, a kind is not, or several are and none is named.
    """
    demand_reason(BREAKER_RESET, reason)
    require_named(strategy)
    with open_stores() as stores, stores.alone(strategy):
        states = stores.ledger.latest("portfolio_states", strategy)
        latched = () if states.empty else named_kinds(states["breaker"].iloc[-1])
        if not latched:
            raise ControlError(
                expected="a latched breaker",
                found="none latched",
                remedy="nothing needs a reset; one cannot be armed in advance",
                rule=BREAKER_RESET,
            )
        meant = tuple(dict.fromkeys(kinds)) or latched
        if not set(meant) <= set(latched) or (not kinds and len(latched) > 1):
            raise ControlError(
                expected=f"some of the latched breakers by name: {', '.join(latched)}",
                found=", ".join(kinds) or "none named",
                remedy=" ".join(["name each that you mean:", *(f"--kind {kind}" for kind in latched)]),
                rule=BREAKER_RESET,
            )
        details = {"after_session": str(states["session"].iloc[-1].date()), "breakers": list(meant)}
        record_control(stores.ledger, strategy, BREAKER_RESET, "RESET", who, reason, details)
    stays = [kind for kind in latched if kind not in meant]
    return {
        "strategy": strategy,
        "breaker": "reset",
        "released": list(meant),
        "latched": stays,
        "text": f"{strategy}: {', '.join(meant)} released from the next session on"
        + (f"; {', '.join(stays)} stays latched" if stays else ""),
    }


def release_leak_alarm(strategy: str, who: str, reason: str) -> dict[str, Any]:
    """Release the leak alarms that stand for the strategy, whatever the settings that they rang under.

    For the data of the newest look that left any. The release names each alarm, its configuration and its figure. The
    next study judges without them and repeats who released them and why. Waits for a study under way.

    Raises
    ------
    ControlError
        No alarm is unreleased, or no reason is given.
    """
    demand_reason(LEAK_RELEASE, reason)
    require_named(strategy)
    with open_stores() as stores, stores.alone(strategy):
        unreleased = open_alarms(stores.ledger, strategy)
        if not unreleased:
            raise ControlError(
                expected="a standing leak alarm",
                found="none in the newest look",
                remedy="nothing needs a release; one cannot be given in advance",
                rule=LEAK_RELEASE,
            )
        alarms = {one.alarm.name for one in unreleased}
        figures = {
            (one.alarm.name, one.alarm.trial_id, one.alarm.finding): {
                "alarm": one.alarm.name,
                "trial_id": one.alarm.trial_id,
                "figure": one.alarm.figure,
                "finding": one.alarm.finding,
            }
            for one in unreleased
        }
        details = {"data_hash": unreleased[-1].data_hash, "alarms": sorted(alarms), "figures": list(figures.values())}
        record_control(stores.ledger, strategy, LEAK_RELEASE, "RELEASED", who, reason, details)
    return {
        "strategy": strategy,
        "released": sorted(alarms),
        "text": f"{strategy}: released {', '.join(sorted({_with_figure(one.alarm) for one in unreleased}))} on these "
        f"data; the next study judges without: "
        f"nn-assets study --strategy {strategy}",
    }


def _with_figure(alarm: StandingAlarm) -> str:
    """An alarm's name and its figure: 'network rank IC (0.163)'."""
    return alarm.name if alarm.figure is None else f"{alarm.name} ({alarm.figure:.3f})"


def mend_clock(now: str, who: str, reason: str) -> dict[str, Any]:
    """Have what a clock that ran ahead has stamped read as before now, in every table of every strategy.

    Nothing stored is changed, and nothing is ever read earlier than it can have been. Waits for rounds and studies
    under way.

    Parameters
    ----------
    now : str
        The UTC time by another clock.

    Raises
    ------
    ControlError
        No reason is given, or the time stated is no time, or not the clock's.
    """
    demand_reason(CLOCK, reason)
    try:
        moment = pd.Timestamp(now)
        moment = moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")
    except ValueError as error:
        raise ControlError(
            expected="the UTC time by another clock, such as 2026-03-02T14:05",
            found=repr(now),
            remedy="write year, month, day and time",
            rule=CLOCK,
        ) from error
    with open_stores() as stores:
        mended = mend_moments(stores, who, reason, moment)
    if mended.empty:
        return {"mended": [], "text": "no moment on record lies ahead of the clock: nothing to mend"}
    lines = [
        f"  {table} of {strategy}: {len(rows)}, {rows['moment'].min():%Y-%m-%d %H:%M:%S} to "
        f"{rows['moment'].max():%Y-%m-%d %H:%M:%S} UTC, read as before {rows['read_as'].max():%Y-%m-%d %H:%M:%S.%f} UTC"
        for (table, strategy), rows in mended.groupby(["table", "strategy"])
    ]
    return {
        "mended": mended.astype("str").to_dict("records"),
        "text": "\n".join(["moments stamped by a clock that ran ahead, from now on read as:", *lines]),
    }
