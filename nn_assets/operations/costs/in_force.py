"""Which cost model prices what: the one in force now, or the one that a recorded session used."""

from __future__ import annotations

import pandas as pd

from nn_assets.costs.model import CostModel, cost_model_from
from nn_assets.errors import LedgerError
from nn_assets.operations.workplace import Workplace

__all__ = ["cost_model", "cost_model_id_in_force", "cost_model_in_force", "recorded_cost_model_ids"]


def cost_model_id_in_force(workplace: Workplace) -> str | None:
    """Id of the newest cost model put in force; None while the settings' defaults hold."""
    found = workplace.ledger.latest("cost_models", workplace.strategy.name, where={"in_force": True})
    return None if found.empty else str(found["cost_model_id"].iloc[-1])


def cost_model(workplace: Workplace, cost_model_id: str | None) -> CostModel:
    """The cost model of an id; the settings' own for None.

    Raises
    ------
    LedgerError
        There is none of that id.
    """
    if cost_model_id is None:
        return cost_model_from(workplace.strategy.costs)
    found = workplace.ledger.read("cost_models", workplace.strategy.name, where={"cost_model_id": cost_model_id})
    if found.empty:
        raise LedgerError(
            expected=f"cost model {cost_model_id}",
            found="none of that id",
            remedy="verify the ledger with `nn-assets audit verify`",
            strategy=workplace.strategy.name,
        )
    return CostModel.from_dict(found["coefficients"].iloc[0])


def cost_model_in_force(workplace: Workplace) -> CostModel:
    """The newest cost model put in force, or the one that the settings state."""
    return cost_model(workplace, cost_model_id_in_force(workplace))


def recorded_cost_model_ids(decisions: pd.DataFrame) -> dict[pd.Timestamp, str | None]:
    """The cost model that each decided session used; ``decisions`` are rows of the ledger."""
    return {
        session: details.get("cost_model_id")
        for session, details in zip(decisions["session"], decisions["details"], strict=True)
    }
