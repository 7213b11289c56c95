"""The command search: the searches of a range of months, through Dagster as the study runs them."""

from __future__ import annotations

from typing import Any

from nn_assets.cli.runs import months_asked
from nn_assets.learning.refits import refits_of
from nn_assets.operations.asof.choices import choice_text, choices_on_record, search_of, search_text
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.edited import require_stages
from nn_assets.operations.history import open_history
from nn_assets.operations.names import SEARCH
from nn_assets.operations.search.choosing import searches_of
from nn_assets.orchestration.running import execute


def run_search(name: str, first: str | None, last: str | None) -> dict[str, Any]:
    """Make the choices in force in a range of months, all of history when none is named, where they are not yet made.

    It is not ok where a search found nothing to compare: the strategy's own configuration stays in force there.

    Raises
    ------
    SettingsError
        The strategy states no search, or a month is none that can have a model.
    """
    strategy = find_strategy(name).strategy
    search = search_of(strategy)
    with open_history(strategy) as history:
        require_stages(history)
        newest = f"{history.last_session:%Y-%m}"
    low, high = months_asked(strategy, first, last, newest)
    result = execute(strategy, SEARCH, first=f"{low}-01", last=f"{high}-01")
    with open_history(strategy) as history:
        ledger = history.stores.ledger
        choices, spent = choices_on_record(ledger, strategy), search_text(ledger, strategy)
    wanted = searches_of(strategy, [low, high, *refits_of(strategy).of_months([low, high])])
    made = {since: choice for since, choice in choices.items() if wanted[0] <= since <= wanted[-1]}
    faults = {since: choice.fault for since, choice in made.items() if choice.fault}
    lines = [f"{strategy.name}: {spent}", *(f"{since}: {choice_text(choice)}" for since, choice in made.items())]
    return {
        "ok": not faults,
        "strategy": strategy.name,
        "from": low,
        "to": high,
        "run_id": str(result.run_id),
        "budget": search.trials,
        "choices": {since: {"month": since, **choice.to_row()} for since, choice in made.items()},
        "text": "\n".join([*lines, f"next  nn-assets study --strategy {strategy.name}"]),
    } | ({"error": "SearchError", "message": "; ".join(faults.values())} if faults else {})
