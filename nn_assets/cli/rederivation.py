"""The command audit decisions: every decision on record derived again on the backtest's path."""

from __future__ import annotations

from typing import Any

from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.decisions.rederivation import rederive_decisions
from nn_assets.operations.history import open_history

__all__ = ["audit_decisions"]


def audit_decisions(name: str, *, since_last: bool = False) -> dict[str, Any]:
    """Derive decisions again, and compare targets; not ok when any differs.

    Parameters
    ----------
    since_last : bool
        Only what no run looked at before, as every run does; else all made under the settings in force.
    """
    with open_history(find_strategy(name).strategy) as history:
        done = rederive_decisions(history, "audit decisions", whole=not since_last)
    return {
        "ok": not done.differing,
        "strategy": name,
        "played": done.played,
        "before": done.before,
        "otherwise": done.otherwise,
        "findings": list(done.differing),
        "text": f"{name}: {done.sentence}",
    }
