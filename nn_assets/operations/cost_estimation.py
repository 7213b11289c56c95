"""Costs estimated: fills joined with the liquidity that they were ordered on, one run on record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import FloatArray
from nn_assets.contracts.frames import FillRows
from nn_assets.costs.estimation import CostEstimate, estimate_costs
from nn_assets.costs.model import CostModel, cost_model_from
from nn_assets.costs.shortfall import Executions, ShortfallRow, joined_executions, missed, shortfall_rows, traded
from nn_assets.market.calendar.sessions import timezone_of
from nn_assets.operations.asof.costs import cost_model, costs_in_force
from nn_assets.operations.history import History
from nn_assets.operations.statements import without_double_fills
from nn_assets.settings import Strategy
from nn_assets.store.values import hash_of


def record_cost_estimate(history: History, run_id: str) -> CostEstimate:
    """Propose coefficients from every fill on record, and record the outcome.

    Running again on the same fills and prior changes nothing.
    """
    strategy, session = history.strategy, history.last_session
    # Always the settings' own: a prior that moved with each run would creep past every bound.
    prior, ledger = cost_model_from(strategy.costs), history.stores.ledger
    in_force = cost_model(ledger, strategy, costs_in_force(ledger, strategy.name).newest)
    fills = _with_liquidity(history, without_double_fills(ledger, strategy, ledger.read("fills", strategy.name)))
    result = estimate_costs(fills, prior, strategy.costs, dated=str(session.date()), in_force=in_force)
    record = {
        "session": session,
        "source": "imported" if (fills["source"] != "paper").any() else "paper",
        "in_force": result.status == "in_force",
        "coefficients": result.model.to_dict(),
        "figures": {
            "status": result.status,
            "reason": result.reason,
            "fills": result.fills,
            "recovered": result.recovered,
            "proposed": result.proposed.to_dict(),
            "found": {name: estimate.note for name, estimate in result.estimates.items()},
        },
    }
    ledger.append("cost_models", [with_identity(record)], run_id=run_id, strategy=strategy.name)
    return result


def with_identity(record: dict[str, Any]) -> dict[str, Any]:
    """A row of ``cost_models`` under the name that its content gives it."""
    return {"cost_model_id": hash_of(record)[:16], **record}


def coefficient_rows(model: CostModel) -> list[dict[str, Any]]:
    """Each coefficient of a model with its value, unit, source, 95% interval and date, a row each."""
    return [{"coefficient": name, **vars(one)} for name, one in model.coefficients.items()]


def costs_metadata(result: CostEstimate) -> dict[str, Any]:
    """What an operator sees of an estimate, by name."""
    proposed = result.proposed.coefficients
    rows = [
        {
            "coefficient": name,
            "kept": kept.value,
            "proposed": proposed[name].value if name in proposed else None,
            "found": result.estimates[name].note if name in result.estimates else "",
            "unit": kept.unit,
            "interval": None if (interval := proposed.get(name, kept).interval) is None else str(interval),
        }
        for name, kept in result.model.coefficients.items()
    ]
    return {
        "status": result.status,
        "reason": result.reason,
        "fills": result.fills,
        "coefficients": pd.DataFrame(rows),
    }


def shortfall_on_record(history: History, first: pd.Timestamp, last: pd.Timestamp) -> tuple[list[ShortfallRow], str]:
    """The implementation shortfall of the fills on record, first and last session included, and whose fills they are.

    Of real fills and what was to become some, where there is any, else of the paper ones. Every accepted order of the
    sessions from the first such fill on record to the last counts whole: what was not filled, some or all of it, was
    missed at the close of the session that was to fill it.
    """
    ledger, name = history.stores.ledger, history.strategy.name
    fills = without_double_fills(ledger, history.strategy, ledger.read("fills", name))
    real = fills[fills["source"] != "paper"]
    for source, chosen in (("real", real), ("paper", fills)):
        used = chosen[chosen["session"].between(first, last)].reset_index(drop=True)
        lines = [*_filled(history, used), *_not_filled(history, _unfilled(history, chosen, first, last))]
        if lines:
            return shortfall_rows(joined_executions(lines)), source
    return [], "paper"


def _unfilled(history: History, fills: FillRows, first: pd.Timestamp, last: pd.Timestamp) -> pd.DataFrame:
    """Accepted orders that no fill came of, under the session that was to fill them: client_order_id, symbol, session.

    Only of sessions that the fills reach over: of those before and after them nobody told what was filled.
    """
    orders = history.stores.ledger.read("orders", history.strategy.name, where={"status": "accepted"})
    if fills.empty:
        return orders.head(0)
    following = history.axis.get_indexer(pd.DatetimeIndex(orders["session"])) + 1
    known = (following > 0) & (following < len(history.axis))
    orders = orders[known].assign(session=history.axis[following[known]])
    within = orders["session"].between(max(first, fills["session"].min()), min(last, fills["session"].max()))
    waits = within & ~orders["client_order_id"].isin(fills["client_order_id"])
    return orders.loc[waits, ["client_order_id", "symbol", "session", "side"]].reset_index(drop=True)


def _not_filled(history: History, orders: pd.DataFrame) -> list[Executions]:
    if orders.empty:
        return []
    joined = _with_liquidity(history, orders)
    side = np.where(joined["side"] == "buy", 1.0, -1.0)
    quantity, reference, end, adv = (
        joined[key].to_numpy(dtype=np.float64)
        for key in ("ordered_quantity", "reference_price", "end_price", "adv_usd")
    )
    share = quantity * reference / np.where(adv > 0.0, adv, np.nan)
    when = [_NOT_FILLED] * len(joined)
    return [missed(quantity=side * quantity, reference_price=reference, end_price=end, share=share, when=when)]


def _filled(history: History, used: FillRows) -> list[Executions]:
    """What fills cost, and what those of an order left of it."""
    if used.empty:
        return []
    ledger = history.stores.ledger
    joined = _with_liquidity(history, used)
    in_force = cost_model(ledger, history.strategy, costs_in_force(ledger, history.strategy.name).newest)
    value = (joined["quantity"].abs() * joined["price"]).to_numpy(dtype=np.float64)
    column = {
        key: joined[key].to_numpy(dtype=np.float64)
        for key in (*_TRADED, "reference_price", "adv_usd", "daily_volatility", "ordered_quantity", "end_price")
    }
    adv = np.where(column["adv_usd"] > 0.0, column["adv_usd"], np.nan)
    whole = np.fmax(column["ordered_quantity"] * column["reference_price"], value)
    when = _times(history.strategy, joined)
    filled = traded(
        **{key: column[key] for key in _TRADED},
        reference_price=column["reference_price"],
        expected=in_force.parts(_of_whole_orders(joined, value), column["adv_usd"], column["daily_volatility"]),
        share=whole / adv,
        when=when,
    )
    by_order = joined.groupby("client_order_id", sort=False)
    ends = by_order.tail(1).index.to_numpy()
    got = by_order["quantity"].transform("sum").abs().to_numpy(dtype=np.float64)[ends]
    rest = np.sign(column["quantity"][ends]) * np.maximum(column["ordered_quantity"][ends] - got, 0.0)
    left = np.flatnonzero(rest)  # no number is no zero: an order that is not on record has none
    left = left[np.isfinite(rest[left])]
    rows = ends[left]
    rests = missed(
        quantity=rest[left],
        reference_price=column["reference_price"][rows],
        end_price=column["end_price"][rows],
        share=(whole / adv)[rows],
        when=[when[row] for row in rows.tolist()],
    )
    return [filled, rests]


def _of_whole_orders(fills: pd.DataFrame, value: FloatArray) -> FloatArray:
    """Dollars that all fills of the same order and session traded: as :attr:`.FillArrays.order_value_usd`."""
    named = (fills["source"] != "paper") & fills["client_order_id"].notna() & (fills["client_order_id"] != "")
    by_order = fills.assign(value=value).groupby(["client_order_id", "session"], dropna=False)
    return np.where(named, by_order["value"].transform("sum"), value)


_NOT_FILLED = "not filled"
_TRADED = ("quantity", "price", "mid_price", "later_mid_price", "impact_usd", "commission_usd")


def _times(strategy: Strategy, fills: pd.DataFrame) -> list[str]:
    """The hour of each fill on the exchange's clock; of a paper fill the auction, or that it was a stop's."""
    local = fills["filled_at"].dt.tz_convert(timezone_of(strategy.market.calendar))
    auction = strategy.label.execution.removeprefix("next_")
    unstated = np.where(
        fills["source"] != "paper", "not stated", np.where(fills["reference_price"].isna(), "stop", auction)
    )
    return list(local.dt.strftime("%H:00").where(local.notna(), unstated))


def _with_liquidity(history: History, fills: FillRows) -> pd.DataFrame:
    """Add each order's reference price, and the volume and volatility of the session that decided it, as known now."""
    strategy = history.strategy
    orders = history.stores.ledger.read("orders", strategy.name)
    orders = orders.rename(columns={"quantity": "ordered_quantity"})[
        ["client_order_id", "reference_price", "ordered_quantity"]
    ]
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
        joined.loc[inside, "ordered_quantity"] /= carried
    of_before = (("adv_usd", market.adv_usd, 0), ("daily_volatility", market.cost_volatility, 0))
    for name, source, later in (*of_before, ("end_price", panel.close, 1)):
        values = np.full(len(joined), np.nan)
        values[inside] = source[row[inside] + later, column[inside]]
        joined[name] = values
    return joined
