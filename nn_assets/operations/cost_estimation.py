"""Costs estimated: fills joined with the liquidity that they were ordered on, one run on record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nn_assets.contracts.frames import FillRows
from nn_assets.costs.estimation import CostEstimate, estimate_costs
from nn_assets.costs.model import cost_model_from
from nn_assets.operations.history import History
from nn_assets.store.values import hash_of


def record_cost_estimate(history: History, run_id: str) -> CostEstimate:
    """Propose coefficients from every fill on record, and record the outcome.

    Running again on the same fills and prior changes nothing.
    """
    strategy, session = history.strategy, history.last_session
    # Always the settings' own: a prior that moved with each run would creep past every bound.
    prior = cost_model_from(strategy.costs)
    fills = _with_liquidity(history, history.stores.ledger.read("fills", strategy.name))
    result = estimate_costs(fills, prior, strategy.costs, dated=str(session.date()))
    record = {
        "session": session,
        "source": "imported" if (fills["source"] == "imported").any() else "paper",
        "in_force": result.status == "in_force",
        "coefficients": result.model.to_dict(),
        "figures": {
            "status": result.status,
            "reason": result.reason,
            "fills": result.fills,
            "recovered": result.recovered,
            "proposed": result.proposed.to_dict(),
        },
    }
    identity = hash_of(record)[:16]
    history.stores.ledger.append(
        "cost_models", [{"cost_model_id": identity, **record}], run_id=run_id, strategy=strategy.name
    )
    return result


def costs_metadata(result: CostEstimate) -> dict[str, Any]:
    """What an operator sees of an estimate, by name."""
    rows = [
        (name, getattr(result.model, name).value, getattr(result.proposed, name).value) for name in vars(result.model)
    ]
    return {
        "status": result.status,
        "reason": result.reason,
        "fills": result.fills,
        "coefficients": pd.DataFrame(rows, columns=["coefficient", "kept", "proposed"]),
    }


def _with_liquidity(history: History, fills: FillRows) -> pd.DataFrame:
    """Add each order's reference price, and the volume and volatility of the session that decided it, as known now."""
    strategy = history.strategy
    orders = history.stores.ledger.read("orders", strategy.name)[["client_order_id", "reference_price"]]
    joined = fills.merge(orders, on="client_order_id", how="left")
    market = history.cut_for(history.last_session).market
    panel = market.panel
    row = market.panel.sessions.get_indexer(pd.DatetimeIndex(joined["session"])) - 1
    column = pd.Index(panel.symbols).get_indexer(pd.Index(joined["symbol"]))
    inside = (row >= 0) & (column >= 0)
    if panel.adjustment is not None:  # the reference is of the session before, the fill perhaps in new shares
        growth = panel.adjustment.growth
        carried = growth[row[inside], column[inside]] / growth[row[inside] + 1, column[inside]]
        joined.loc[inside, "reference_price"] *= carried
    for name, source in (("adv_usd", market.adv_usd), ("daily_volatility", market.cost_volatility)):
        values = np.full(len(joined), np.nan)
        values[inside] = source[row[inside], column[inside]]
        joined[name] = values
    return joined
