"""Groups by behaviour, each model's by the returns of its own training rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nn_assets.operations.history import History
from nn_assets.operations.models.stored import load_model
from nn_assets.portfolio.groups import Groups, behaviour_groups
from nn_assets.session.market_view import MarketView


def groups_by_row(
    history: History, market: MarketView, model_ids: Sequence[str | None]
) -> Callable[[int], tuple[str, ...] | None] | None:
    """Row to the groups of a market's symbols, by the model in force on it; None where the settings do not ask.

    A row without a forecast has the groups of the last one before it that has: None before the first.

    Parameters
    ----------
    market : MarketView
        What is known of the rows: the groups are made once for each model.
    model_ids : sequence of str or None
        The model in force on each row of the axis.
    """
    if history.strategy.portfolio.groups != "behaviour":
        return None
    made: dict[str, Groups] = {}

    def at(row: int) -> tuple[str, ...] | None:
        model_id = next((model_id for model_id in model_ids[row::-1] if model_id is not None), None)
        if model_id is None:
            return None
        if model_id not in made:
            made[model_id] = groups_of(history, market, model_id)
        return made[model_id].names

    return at


def groups_of(history: History, market: MarketView, model_id: str) -> Groups:
    """The groups of a market's symbols on a model's training rows."""
    rows = load_model(history.stores, model_id).fold.training
    members = None if market.candidates is None else market.candidates[rows]
    return behaviour_groups(market.panel.symbols, market.returns[rows], members)
