"""The one decision function: eight ordered steps from signals to target quantities.

Replay and the daily round call it alike. It is pure and works on arrays; the frames of a decision
(targets, trace) are made by :mod:`nn_assets.portfolio.trace` for whoever wants to read them.

A position that is held and one to be opened are not priced alike: the part kept costs nothing more,
the part opened costs a round trip. Steps 3 and 5 therefore each give two sizes, the one worth
opening up to and the larger one worth keeping, and the size held is moved no further than to the
nearer of the two (the no-trade zone of Davis and Norman 1990, one instrument at a time). From flat,
a constant signal opens to the lower end and stays there.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from nn_assets.costs.model import CostModel
from nn_assets.errors import DecisionError
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.exposure import balanced_quantity
from nn_assets.portfolio.inputs import RULES, Decision, DecisionInputs
from nn_assets.portfolio.limits import LimitContext, apply_limits, cap, correlation_with_rest, limit_risk
from nn_assets.portfolio.steps import (
    controlled,
    controls,
    edge_cap,
    held_weight,
    kelly_size,
    not_worth,
    propose,
    target_quantity,
    weight_of,
)
from nn_assets.settings import PortfolioSettings

__all__ = ["RULES", "Decision", "DecisionInputs", "decide"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_ROUNDING = 1e-12


def decide(inputs: DecisionInputs, settings: PortfolioSettings, costs: CostModel) -> Decision:
    """Decide the positions to hold next, in the eight steps of the contract.

    Parameters
    ----------
    inputs : DecisionInputs
        Facts known at the session's close. A missing fact of a symbol gives it a target of zero.
    settings : PortfolioSettings
        Limits and fractions.
    costs : CostModel
        The model in force.

    Returns
    -------
    Decision
        ``target_quantity`` is a multiple of the lot size wherever it differs from the quantity held.

    Raises
    ------
    DecisionError
        Equity or drawdown is not a number: the state is unreadable, and nothing may be decided.
    """
    if not (math.isfinite(inputs.equity_usd) and math.isfinite(inputs.drawdown_fraction)):
        raise DecisionError(
            expected="a finite equity and drawdown",
            found=f"equity {inputs.equity_usd}, drawdown {inputs.drawdown_fraction}",
            remedy="verify the ledger and the previous session's portfolio state",
            session=inputs.session,
        )
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return _decided(inputs, settings, costs)


def _decided(inputs: DecisionInputs, settings: PortfolioSettings, costs: CostModel) -> Decision:
    proposal = propose(inputs, settings, costs)
    distance = settings.stop_atr_multiple * inputs.atr / inputs.reference_price
    risk_cap = settings.risk_per_signal_fraction / distance
    context = LimitContext(
        adv_usd=inputs.adv_usd,
        beta=inputs.beta,
        sectors=[settings.sectors.get(symbol, "") for symbol in inputs.symbols],
        equity_usd=inputs.equity_usd,
        settings=settings,
        stuck=inputs.stuck_weight,
    )
    weights = np.zeros((len(RULES) + 1, len(inputs.symbols)))
    weights[0] = proposal.held
    weights[1] = proposal.direction * proposal.kept
    weights[2] = np.where(proposal.edge_kept > 0.0, weights[1], 0.0)
    weights[3] = proposal.direction * kelly_size(inputs, settings, proposal)
    weights[4] = limit_risk(cap(weights[3], risk_cap), distance, settings.risk_total_fraction)
    correlation = correlation_with_rest(inputs.trailing_returns, weights[4])
    ceiling = edge_cap(inputs, settings, proposal, correlation)
    weights[5] = cap(weights[4], ceiling)
    weights[6] = apply_limits(weights[5], context)
    control, scale = controls(inputs, settings)
    weights[7] = controlled(weights[6], proposal.held, control, scale)
    if control is Control.REDUCING:
        # Legs that may not grow no longer balance the others, which then shrink with them.
        weights[7] = apply_limits(weights[7], context)

    def bounded(kept: FloatArray) -> FloatArray:
        risked = limit_risk(cap(cap(kept, risk_cap), ceiling), distance, settings.risk_total_fraction)
        return apply_limits(risked, context)

    quiet = not_worth(inputs, costs, settings, weights, proposal)
    wanted = weights[7]
    if quiet.any() and control < Control.FLAT:
        # What is kept for not being worth its sale must still keep to every limit.
        kept = np.where(quiet, proposal.held, wanted)
        within = bounded(kept)
        over = np.abs(within) < np.abs(kept) * (1.0 - _ROUNDING)
        wanted, quiet = np.where(over, within, kept), quiet & ~over
    quantity, quiet = _traded(inputs, settings, control, wanted, quiet)
    weights[8] = weight_of(quantity, inputs)
    return Decision(
        inputs=inputs,
        settings=settings,
        target_quantity=quantity,
        target_weight=weights[8].copy(),
        stop_distance=settings.stop_atr_multiple * inputs.atr,
        weights=weights + 0.0,
        control=control,
        scale=scale,
        direction=proposal.direction,
        complete=proposal.complete,
        edge_kept=proposal.edge_kept,
        edge_opened=proposal.edge_opened,
        round_trip_cost=proposal.cost,
        shrink=proposal.shrink,
        correlation=correlation,
        not_worth=quiet,
    )


def _traded(
    inputs: DecisionInputs,
    settings: PortfolioSettings,
    control: Control,
    wanted: FloatArray,
    quiet: BoolArray,
) -> tuple[FloatArray, BoolArray]:
    if control is Control.HALTED:
        return inputs.current_quantity.copy(), np.zeros_like(quiet)
    if not inputs.verdict_allows:
        return np.zeros_like(wanted), np.zeros_like(quiet)
    quantity = target_quantity(inputs, settings, wanted, held_weight(inputs))
    quantity = _balanced(inputs, settings, quantity)
    return quantity, quiet & (quantity == inputs.current_quantity)


def _balanced(inputs: DecisionInputs, settings: PortfolioSettings, quantity: FloatArray) -> FloatArray:
    """The targets within the net limit, what has no price today counted as it is held."""
    held, price = inputs.current_quantity, inputs.reference_price
    priced = np.isfinite(price) & (price > 0.0)
    mark = price if inputs.last_mark is None else inputs.last_mark
    after = balanced_quantity(
        np.where(priced, quantity, held),
        np.where(priced, price, mark),
        held,
        priced,
        inputs.equity_usd,
        settings.net_limit,
        settings.lot_size,
    )
    return np.where(priced, after, quantity)
