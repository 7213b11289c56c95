"""The command audit decisions: every decision on record derived again on the backtest's path."""

from __future__ import annotations

from typing import Any

from nn_assets.cli.ledger import nothing_yet
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.decisions.rederivation import rederive_decisions
from nn_assets.operations.history import open_history
from nn_assets.store.home import absent_ledger

_EACH = "; each by itself: nn-assets replay --session DATE"


def audit_decisions(name: str, *, since_last: bool = False) -> dict[str, Any]:
    """Derive decisions again, and compare targets; not ok when any differs.

    Parameters
    ----------
    since_last : bool
        Only what no run looked at before, as every run does; else all made under the settings in force.
    """
    strategy = find_strategy(name).strategy
    if (absent := absent_ledger()) is not None:
        nothing = {"ok": True, "strategy": name, "played": 0, "before": 0, "otherwise": 0, "findings": []}
        return {**nothing, "text": f"{name}: {nothing_yet(absent)}"}
    with open_history(strategy) as history:
        rederived = rederive_decisions(history, "audit decisions", whole=not since_last)
    return {
        "ok": not rederived.differing,
        "strategy": name,
        "played": rederived.played,
        "before": rederived.before,
        "otherwise": rederived.otherwise,
        "findings": list(rederived.differing),
        "text": f"{name}: {rederived.sentence}{_EACH if rederived.otherwise else ''}",
    }
