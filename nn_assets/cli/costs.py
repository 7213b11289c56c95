"""The cost model: what is in force and what waits, a new estimate on demand, and a person's approval of one."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nn_assets.cli.export import option_day
from nn_assets.costs.model import CostModel
from nn_assets.costs.shortfall import COMPONENTS
from nn_assets.errors import ControlError
from nn_assets.market.calendar.sessions import next_session
from nn_assets.operations.asof.costs import COSTS_APPROVED, cost_model, costs_in_force, waiting_estimate
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.clock import as_of_session, has_clock, now_utc
from nn_assets.operations.cost_estimation import coefficient_rows, shortfall_on_record, with_identity
from nn_assets.operations.history import open_history
from nn_assets.operations.kill_switch import control_row, demand_reason
from nn_assets.operations.names import COSTS
from nn_assets.operations.stores import open_stores


def show_costs(strategy: str) -> dict[str, Any]:
    """The model in force, coefficient by coefficient, and the estimate that waits, where one does."""
    chosen = find_strategy(strategy).strategy
    with open_stores() as stores:
        ledger = stores.ledger
        identity = costs_in_force(ledger, strategy).newest
        in_force = cost_model(ledger, chosen, identity)
        waiting = waiting_estimate(ledger, strategy)
        newest = ledger.last_appended("cost_models", strategy=strategy)
    whose = "the settings' own" if identity is None else identity
    lines = [f"{strategy}: costs in force, {whose}", *_lines(in_force)]
    if newest is not None:
        session = pd.Timestamp(newest["session"]).date()
        lines += [f"newest estimate, of {session}: {newest['figures'].get('reason', '')}"]
        lines += [f"  {name}: {note}" for name, note in newest["figures"].get("found", {}).items()]
    proposed = None if waiting is None else CostModel.from_dict(waiting["figures"]["proposed"])
    if proposed is not None:
        remedy = f'nn-assets costs approve --strategy {strategy} --why "..." puts it in force'
        lines += ["it waits for approval:", *_lines(proposed), remedy]
    return {
        "strategy": strategy,
        "cost_model_id": identity,
        "in_force": coefficient_rows(in_force),
        "waiting": None if proposed is None else coefficient_rows(proposed),
        "text": "\n".join(lines),
    }


def _lines(model: CostModel) -> list[str]:
    lines = []
    for name, one in model.coefficients.items():
        between = "" if one.interval is None else f", 95% interval {one.interval[0]:.4g} to {one.interval[1]:.4g}"
        dated = "" if one.dated is None else f", fills to {one.dated}"
        lines.append(f"  {name:<17} {one.value:.6g}  {one.unit}; {one.source}{between}{dated}")
    return lines


def estimate_now(strategy: str) -> dict[str, Any]:
    """Estimate the cost model from the fills on record, as the schedule does.

    Raises
    ------
    RunFailed
        A step failed.
    """
    from nn_assets.orchestration.running import execute

    result = execute(find_strategy(strategy).strategy, COSTS)
    return {**show_costs(strategy), "run_id": str(result.run_id)}


def show_shortfall(strategy: str, first: str | None, last: str | None) -> dict[str, Any]:
    """The implementation shortfall of the fills on record, by part, order size and time of day.

    Raises
    ------
    SettingsError
        A day is not written year first.
    """
    chosen = find_strategy(strategy).strategy
    with open_history(chosen) as history:
        begin = option_day("--from", first) or pd.Timestamp(history.axis[0])
        end = option_day("--to", last) or history.last_session
        rows, source = shortfall_on_record(history, begin, end)
    names = [f"{name}_usd" for name in COMPONENTS]
    table = [
        {
            "group": row.group,
            "label": row.label,
            "ordered_usd": row.ordered_usd,
            **vars(row.shortfall),
            "total_usd": row.shortfall.total_usd,
            "bps": row.bps,
        }
        for row in rows
    ]
    head = f"{'':<20}" + "".join(f"{name:>13}" for name in (*COMPONENTS, "total", "bps"))
    lines = [
        f"{row['label']:<20}" + "".join(f"{row[name]:>13,.2f}" for name in (*names, "total_usd", "bps"))
        for row in table
    ]
    said = f"{strategy}: {source} fills of {begin.date()} to {end.date()}, USD lost (positive) or gained"
    return {
        "strategy": strategy,
        "fills": source,
        "rows": table,
        "text": "\n".join([said, head, *lines]) if table else f"{said}: none",
    }


def approve_costs(strategy: str, who: str, reason: str) -> dict[str, Any]:
    """Put the estimate of costs that waits in force, from the next session to come. Waits for a round under way.

    Raises
    ------
    ControlError
        No reason is given, or no estimate waits.
    """
    demand_reason(COSTS_APPROVED, reason, "--why")
    chosen = find_strategy(strategy).strategy
    with open_history(chosen) as history, history.stores.alone(strategy):
        ledger = history.stores.ledger
        waiting = waiting_estimate(ledger, strategy)
        if waiting is None:
            raise ControlError(
                expected="an estimate of costs that waits for approval",
                found="none",
                remedy=f"nn-assets costs show --strategy {strategy} tells what is in force; nn-assets costs estimate "
                "makes a new estimate",
                rule=COSTS_APPROVED,
            )
        figures, approved = waiting["figures"], str(waiting["cost_model_id"])
        record = {
            "session": history.last_session,
            "source": waiting["source"],
            "in_force": True,
            "coefficients": figures["proposed"],
            "figures": {
                "status": "approved",
                "reason": f"{figures['reason'].partition(':')[0]}: approved by {who}: {reason}",
                "fills": figures["fills"],
                "approves": approved,
            },
        }
        row = with_identity(record)
        details = {"approves": approved, "cost_model_id": row["cost_model_id"]}
        with ledger.transaction(f"control:{approved}", strategy=strategy) as transaction:
            transaction.append("controls", [control_row(strategy, COSTS_APPROVED, "APPROVED", who, reason, details)])
            transaction.append("cost_models", [row])
        since, now = next_session(chosen.market.calendar, history.last_session), now_utc()
        while has_clock(chosen.market, now) and as_of_session(chosen.market, since) < now:  # it comes too late for that
            since = next_session(chosen.market.calendar, since)
    return {
        "strategy": strategy,
        **details,
        "text": f"{strategy}: the estimate of {pd.Timestamp(waiting['session']).date()} prices the sessions from "
        f"{since.date()} on: {figures['reason'].partition(':')[0]}",
    }
