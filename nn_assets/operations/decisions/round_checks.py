"""What must hold of every session that was decided, looked at on what it left on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd

from nn_assets.contracts.frames import OrderRows, TargetPositionRows
from nn_assets.operations.decisions.rounds import DecidedSession
from nn_assets.operations.judged import Judged
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.exposure import net_excess_usd
from nn_assets.portfolio.inputs import STEP_NAMES
from nn_assets.session.daily_round import Round
from nn_assets.settings import PortfolioSettings

_ROUNDING = 1e-9  # of the larger of one and the weight
_BROKEN = (
    "a decision broke its own rules: nn-assets control kill-switch HALTED --reason TEXT, then report it with the "
    "session's page"
)


class RoundCheck(NamedTuple):
    """A property of sessions that were decided together, and what of them is compared for it."""

    asset: str
    demand: str
    compares: str


ROUND_CHECKS = MappingProxyType(
    {
        "trace_ends_at_the_target": RoundCheck(
            "target_positions", "The last step of every symbol is target quantity x reference price / equity.", "traces"
        ),
        "targets_keep_gross_and_net": RoundCheck(
            "target_positions",
            "Gross and net of the targets keep to the strategy's limits, but for rounding to lots.",
            "sums",
        ),
        "no_order_without_reference": RoundCheck(
            "orders", "Every accepted order has a finite reference price.", "orders"
        ),
    }
)
"""By name, in the order of :func:`check_sessions`."""


def check_sessions(decided: Sequence[DecidedSession], limits: PortfolioSettings) -> list[Judged]:
    """Look at traces, sums and orders of sessions that were decided together, those left as other code decided out."""
    broken, beyond, unreferenced = list[str](), list[str](), list[str]()
    # Sessions, sessions and orders: a property of none of them was not looked at.
    compared = dict.fromkeys(("traces", "sums", "orders"), 0)
    decided = [done for done in decided if not done.differs]
    for done in decided:
        day, binary = done.round.session.date(), done.round.decision.inputs.binary is not None
        broken += [f"{symbol} {day}" for symbol in broken_traces(done.frames, binary=binary)]
        compared["traces"] += 1
        compared["orders"] += len(done.frames["orders"])
        if keeps_to_limits_itself(done.round):
            compared["sums"] += 1
            sums = beyond_limits(done.frames["target_positions"], done.round.state.equity_usd, limits, binary=binary)
            beyond += [f"{excess}, {day}" for excess in sums]
        unreferenced += [f"{symbol} {day}" for symbol in unreferenced_orders(done.frames["orders"])]
    return [
        Judged(
            name=name,
            held=not violations if compared[check.compares] else None,
            found=", ".join(violations) or f"{compared[check.compares]} {check.compares} in {len(decided)} sessions",
            remedy=_BROKEN,
            asset=check.asset,
        )
        for (name, check), violations in zip(ROUND_CHECKS.items(), (broken, beyond, unreferenced), strict=True)
    ]


def broken_traces(frames: Mapping[str, pd.DataFrame], *, binary: bool = False) -> list[str]:
    """Name the symbols of a session whose trace does not end where the target position lies.

    Parameters
    ----------
    frames : mapping of table to DataFrame
        The session's ``portfolio_states``, ``target_positions`` and ``position_steps``, as recorded.
    binary : bool
        Whether weights are stakes: of a no 1 less the reference price counts.

    Returns
    -------
    list of str
        Symbols, in order, whose step 8 is absent, or is not target quantity x reference price / equity
        within rounding. The weight is 0 without a reference price (NaN) or without equity.
    """
    targets = frames["target_positions"].set_index("symbol")
    steps = frames["position_steps"]
    ends = steps[steps["step"] == len(STEP_NAMES)].set_index("symbol")["weight_after"]
    last = ends.reindex(targets.index)
    equity = float(frames["portfolio_states"]["equity_usd"].iloc[0])
    value = _values(targets, binary=binary).fillna(0.0)
    weight = value / equity if equity > 0.0 else value * 0.0
    holds = (last - weight).abs() <= _ROUNDING * np.maximum(1.0, weight.abs())
    return [str(symbol) for symbol in targets.index[~holds]]


def _values(targets: pd.DataFrame, *, binary: bool) -> pd.Series:
    """Signed dollars of targets, or their stakes."""
    quantity, price = targets["target_quantity"], targets["reference_price"]
    return quantity * (price.where(quantity >= 0.0, 1.0 - price) if binary else price)


def beyond_limits(
    targets: TargetPositionRows, equity_usd: float, limits: PortfolioSettings, *, binary: bool = False
) -> list[str]:
    """Name the sums of a session's targets that lie beyond their limit.

    Gross by more than a lot of each position; net as the decision and the gate count it.

    Parameters
    ----------
    targets : DataFrame
        Columns of ``TARGET_POSITIONS``, one session; those without a reference price, which cannot be
        traded, are left out. A quantity that is not a number is beyond any limit.
    binary : bool
        Whether what counts is the stake, as above; yes and no are bought alike, and no net sum is.
    """
    held = targets[(targets["target_quantity"] != 0.0) & targets["reference_price"].notna()]
    lots = float((limits.lot_size * held["reference_price"]).sum())
    values = _values(held, binary=binary)
    gross, net = float(values.abs().sum(skipna=False)), float(values.sum(skipna=False))
    violations = []
    if not gross <= limits.gross_limit * equity_usd + lots:
        violations.append(f"gross {gross:,.0f} USD of {limits.gross_limit * equity_usd:,.0f}")
    quantity, price = (held[name].to_numpy(dtype=np.float64) for name in ("target_quantity", "reference_price"))
    if not binary and net_excess_usd(quantity, price, equity_usd, limits.net_limit, limits.lot_size) != 0.0:
        violations.append(f"net {abs(net):,.0f} USD of {limits.net_limit * equity_usd:,.0f}")
    return violations


def keeps_to_limits_itself(session_round: Round) -> bool:
    """Whether the targets are the decision's own: halted, or balancing what cannot be traded, they are not."""
    stuck = bool(session_round.decision.inputs.stuck_weight.any())
    return session_round.decision.control is not Control.HALTED and not stuck


def unreferenced_orders(orders: OrderRows) -> list[str]:
    """Name the symbols whose order was accepted without a finite reference price."""
    return list(orders.loc[(orders["status"] == "accepted") & ~np.isfinite(orders["reference_price"]), "symbol"])
