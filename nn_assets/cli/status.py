"""What each strategy last did, what holds, and what an operator should look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nn_assets.cli.missing import missing_of
from nn_assets.errors import SettingsError
from nn_assets.learning.first_month import live_start_fault
from nn_assets.operations.asof.controls import kill_switch_now
from nn_assets.operations.asof.decisions import decided_sessions, undecided_sessions
from nn_assets.operations.asof.studies import latest_study
from nn_assets.operations.catalog import find_strategy, read_strategies
from nn_assets.operations.facts import StoredFacts
from nn_assets.operations.stores import open_stores
from nn_assets.store.home import data_docs_file

__all__ = ["report"]


def report(name: str | None) -> dict[str, Any]:
    """The state of one strategy, or of all, and what each names that is not there."""
    readable, faults = read_strategies()
    found = _without_overrides(faults, name)
    chosen = [each for each in readable if name in (None, each.strategy.name)]
    if name and not chosen and not found:
        chosen = [find_strategy(name)]
    if chosen:
        with open_stores() as stores:
            found |= {each.strategy.name: _of(StoredFacts.of(stores, each.strategy), each.folder) for each in chosen}
    lines = [line for strategy, state in found.items() for line in (strategy, *_lines(state), "")]
    return {"strategies": found, "text": "\n".join(lines).rstrip()}


def _without_overrides(faults: dict[Path, SettingsError], name: str | None) -> dict[str, dict[str, Any]]:
    """Strategies, by their file's name, of which nothing but the overrides' file is missing.

    Raises
    ------
    SettingsError
        A strategy file has another fault.
    """
    found = {}
    for file, fault in faults.items():
        key, place = fault.where.get("key"), Path(str(fault.where.get("file")))
        if key != "market.calendar_overrides" or place.exists():
            raise fault
        if name in (None, file.stem):
            found[file.stem] = {"missing": [f"{key}: nothing at {place}"]}
    return found


def _of(facts: StoredFacts, folder: Path) -> dict[str, Any]:
    strategy, ledger = facts.strategy, facts.stores.ledger
    publication = facts.stores.publications.current(strategy.name)
    decided = decided_sessions(facts.stores.ledger, strategy.name)
    study = latest_study(ledger, strategy, "9999-12")
    states = ledger.latest("portfolio_states", strategy.name)
    trading = ledger.latest("trading_states", strategy.name)
    models = ledger.read("models", strategy.name)
    fault = live_start_fault(strategy)
    return {
        "last_session": str(facts.last_session.date()),
        "published_to": None if publication is None else str(publication.last_session.date()),
        "quarantined": None if publication is None else publication.quarantined,
        "notices": None if publication is None else len(publication.details.get("notices", ())),
        "data_docs": str(docs) if (docs := data_docs_file(strategy.name)).is_file() else None,
        "study_to": None if study is None else str(study["month"]),
        "verdict": None if study is None else str(study["verdict"]),
        "models": int(models["model_id"].nunique()) if len(models) else 0,
        "decided_to": str(decided[-1].date()) if decided else None,
        "undecided_sessions": len(undecided_sessions(facts.stores.ledger, facts.strategy, facts.live_sessions)),
        "equity_usd": None if states.empty else float(states["equity_usd"].iloc[-1]),
        "breaker": None
        if states.empty or not isinstance(states["breaker"].iloc[-1], str)
        else states["breaker"].iloc[-1],
        "trading_state": None if trading.empty else str(trading["state"].iloc[-1]),
        "kill_switch": kill_switch_now(ledger, strategy.name),
        "faults": [] if fault is None else [f"{fault.found}; expected {fault.expected}"],
        "missing": missing_of(strategy, folder),
    }


def _lines(state: dict[str, Any]) -> list[str]:
    width = max(map(len, state))
    return [
        f"  {key.replace('_', ' '):<{width}}  {_shown(one)}"
        for key, value in state.items()
        for one in ((value or [None]) if isinstance(value, list) else [value])
    ]


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if isinstance(value, float) else str(value)
