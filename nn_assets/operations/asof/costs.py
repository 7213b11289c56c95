"""Which cost model priced a session: the one in force then."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nn_assets.contracts.frames import CostModelRows, DecisionRows
from nn_assets.costs.model import CostModel, cost_model_from
from nn_assets.errors import LedgerError
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

COSTS_APPROVED = "cost_model"
"""Kind of the control by which a person puts an estimate in force."""
AWAITING_APPROVAL = "awaiting_approval"
"""Status of an estimate that moves a coefficient further than the settings let it without a person."""


class CostsInForce:
    """The cost models of a strategy that were ever put in force, each from the session after its own on.

    An estimate is made from fills up to a session, and takes effect through the ledger, with the next
    session that is decided: whatever was decided before it was priced by the model before, and so is what could have
    been decided before it was on record, however late that is done.

    Parameters
    ----------
    rows : DataFrame
        Rows of the ledger's ``cost_models`` that were put in force, with their ``sequence`` and ``recorded_at``.
    """

    def __init__(self, rows: CostModelRows) -> None:
        ordered = rows.sort_values(["session", "sequence"])
        self._since = list(ordered["session"])
        self._recorded = list(ordered["recorded_at"])
        self._ids = [str(model_id) for model_id in ordered["cost_model_id"]]

    def on(self, session: pd.Timestamp, recorded_by: pd.Timestamp | None = None) -> str | None:
        """Id of the model that prices a session; None while the settings' own coefficients hold.

        With ``recorded_by``, a UTC moment, of the models that were on record then.
        """
        earlier = [
            name
            for since, recorded_at, name in zip(self._since, self._recorded, self._ids, strict=True)
            if since < session and (recorded_by is None or recorded_at <= recorded_by)
        ]
        return earlier[-1] if earlier else None

    @property
    def newest(self) -> str | None:
        """Id of the model that prices the next session to come."""
        return self._ids[-1] if self._ids else None


def costs_in_force(ledger: Ledger, strategy: str, recorded_by: pd.Timestamp | None = None) -> CostsInForce:
    """Read which cost models were put in force, and from when on, by the ledger of now or of a UTC moment."""
    where = {"in_force": True}
    return CostsInForce(ledger.read("cost_models", strategy, recorded_by=recorded_by, where=where, bookkeeping=True))


def cost_model(ledger: Ledger, strategy: Strategy, cost_model_id: str | None) -> CostModel:
    """The cost model of an id; the settings' own for None.

    Raises
    ------
    LedgerError
        No cost model has that id.
    """
    if cost_model_id is None:
        return cost_model_from(strategy.costs)
    rows = ledger.read("cost_models", strategy.name, where={"cost_model_id": cost_model_id})
    if rows.empty:
        raise LedgerError(
            expected=f"cost model {cost_model_id}",
            found="none of that id",
            remedy="verify the ledger with `nn-assets audit verify`",
            strategy=strategy.name,
        )
    return CostModel.from_dict(rows["coefficients"].iloc[0])


def waiting_estimate(ledger: Ledger, strategy: str) -> dict[str, Any] | None:
    """The newest estimate of costs where a person has to approve it, a row of ``cost_models``; else None."""
    newest = ledger.last_appended("cost_models", strategy=strategy)
    if newest is None or newest["figures"].get("status") != AWAITING_APPROVAL:
        return None
    return dict(newest)


def recorded_cost_model_ids(decisions: DecisionRows) -> dict[pd.Timestamp, str | None]:
    """The cost model that each decided session used; ``decisions`` are rows of the ledger."""
    return {
        session: details.get("cost_model_id")
        for session, details in zip(decisions["session"], decisions["details"], strict=True)
    }
