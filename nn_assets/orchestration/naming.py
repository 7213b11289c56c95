"""Keys, groups and tags of a strategy's assets, and how a check is told, in one place."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pandas as pd

from nn_assets.settings import Strategy

__all__ = [
    "REFIT_TAG",
    "REFRESH_TAG",
    "ROOM_TAG",
    "STRATEGY_TAG",
    "WHAT_TO_DO",
    "asset_key",
    "described",
    "effective_strategy",
    "judged",
    "refresh_session",
]

NOTHING_TO_COMPARE = "nothing to compare"
STRATEGY_TAG = "nn_assets/strategy"
WHAT_TO_DO = "what_to_do"
"""Name under which a failed check's metadata hold its remedy."""
ROOM_TAG = "nn_assets/room"
"""Tag of an asset: which step of the business it belongs to. Its group is the strategy."""
REFIT_TAG = "nn_assets/refit_every_months"
"""Run tag that replaces ``walk_forward.refit_every_months`` for one study."""
REFRESH_TAG = "nn_assets/refresh_after"
"""Run tag of a refresh inside a month: the session after whose close the model is fitted."""


def asset_key(strategy: Strategy, name: str) -> dg.AssetKey:
    """Key of one of a strategy's assets."""
    return dg.AssetKey([strategy.name, name])


def described(strategy: Strategy, name: str, room: str, code_version: str, kinds: set[str]) -> dict[str, Any]:
    """What every asset of a strategy states alike: key, group, owner, code version, kinds, tags."""
    return {
        "key": asset_key(strategy, name),
        "group_name": strategy.name,
        "owners": [strategy.owner],
        "code_version": code_version,
        "kinds": kinds,
        "tags": {STRATEGY_TAG: strategy.name, ROOM_TAG: room},
    }


def effective_strategy(strategy: Strategy, tags: dict[str, str]) -> Strategy:
    """The strategy with what a run's tags replace in it."""
    if REFIT_TAG not in tags:
        return strategy
    steps = strategy.walk_forward.model_copy(update={"refit_every_months": int(tags[REFIT_TAG])})
    return strategy.model_copy(update={"walk_forward": steps})


def refresh_session(tags: dict[str, str]) -> pd.Timestamp | None:
    """The session after whose close a run refreshes the model; None where it is no refresh."""
    return pd.Timestamp(tags[REFRESH_TAG]) if REFRESH_TAG in tags else None


def judged(
    found: str,
    *,
    held: bool | None,
    remedy: str | None = None,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    **about: Any,
) -> dg.AssetCheckResult:
    """What a check says: whether its property holds, or, where ``held`` is None, that there was nothing to compare.

    The latter is no pass and no fault: a warning.

    Parameters
    ----------
    remedy : str, optional
        What a person can do where the property does not hold.
    about
        Further arguments of the result: ``check_name``, ``asset_key``.
    """
    if held is None:
        told = found if found.startswith(NOTHING_TO_COMPARE) else f"{NOTHING_TO_COMPARE}: {found}"
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description=told, **about)
    metadata = {WHAT_TO_DO: remedy} if remedy and not held else {}
    return dg.AssetCheckResult(passed=held, severity=severity, description=found, metadata=metadata, **about)
