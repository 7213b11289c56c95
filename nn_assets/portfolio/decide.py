"""The one decision function: eight ordered steps from signals to target quantities.

``portfolio.construction`` says how: ``programme`` is in :mod:`nn_assets.portfolio.by_programme`, ``per_name`` here.

Replay and the daily round call it alike. It is pure and works on arrays; the frames of a decision
(targets, trace) are made by :mod:`nn_assets.portfolio.trace` for whoever wants to read them.

A position that is held and one to be opened are not priced alike: the part kept costs nothing more,
the part opened costs a round trip. Steps 3 and 5 therefore each give two sizes, the one worth
opening up to and the larger one worth keeping, and the size before is moved no further than to the
nearer of the two (the no-trade zone of Davis and Norman 1990, one instrument at a time). From flat,
a constant signal opens to the lower end and stays there.

Controls act last and on what is held. Steps 1 to 7 move the unscaled book: they start from that of the session
before and know nothing of scales. Step 8 multiplies it by the scale in force, name by name, so that whatever is
held, and whatever its sale costs, no target is above the scale times the unscaled size.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from nn_assets.costs.model import CostModel
from nn_assets.errors import DecisionError
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.by_programme import decide_by_programme
from nn_assets.portfolio.inputs import RULES, Decision, DecisionInputs
from nn_assets.portfolio.limits import LimitContext, apply_limits, cap, correlation_with_rest, limit_risk
from nn_assets.portfolio.steps import (
    controls,
    edge_cap,
    kelly_size,
    not_worth,
    propose,
    targets,
    unscaled_quantity,
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
        ``target_quantity`` is a multiple of the lot size wherever it differs from the quantity held, and at most
        the scale in force times ``unscaled_quantity``, but where all is halted.

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
        if settings.construction == "programme":
            return decide_by_programme(inputs, settings, costs)
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
    weights[0] = proposal.start
    weights[1] = proposal.direction * proposal.kept
    weights[2] = np.where(proposal.edge_kept > 0.0, weights[1], 0.0)
    weights[3] = proposal.direction * kelly_size(inputs, settings, proposal)
    weights[4] = limit_risk(cap(weights[3], risk_cap), distance, settings.risk_total_fraction)
    correlation = correlation_with_rest(inputs.trailing_returns, weights[4])
    ceiling = edge_cap(inputs, settings, proposal, correlation)
    weights[5] = cap(weights[4], ceiling)
    weights[6] = apply_limits(weights[5], context)

    def bounded(kept: FloatArray) -> FloatArray:
        risked = limit_risk(cap(cap(kept, risk_cap), ceiling), distance, settings.risk_total_fraction)
        return apply_limits(risked, context)

    quiet = not_worth(inputs, costs, weights, proposal)
    weights[7] = weights[6]
    if quiet.any():
        # What is kept for not being worth its sale must still keep to every limit.
        kept = np.where(quiet, proposal.start, weights[6])
        within = bounded(kept)
        over = np.abs(within) < np.abs(kept) * (1.0 - _ROUNDING)
        weights[7], quiet = np.where(over, within, kept), quiet & ~over
    control, scale = controls(inputs, settings)
    if control is Control.HALTED:  # nothing can be done: the book before is carried on
        weights[7], quiet = weights[0], np.zeros_like(quiet)
    elif not inputs.verdict_allows:
        weights[7], quiet = 0.0, np.zeros_like(quiet)
    unscaled = unscaled_quantity(inputs, weights[0], weights[7])
    worth = proposal.edge_kept * inputs.horizon_sessions
    quantity = targets(inputs, settings, unscaled, worth, control, scale)
    weights[8] = weight_of(quantity, inputs)
    return Decision(
        inputs=inputs,
        settings=settings,
        target_quantity=quantity,
        target_weight=weights[8].copy(),
        unscaled_quantity=unscaled,
        stop_distance=settings.stop_atr_multiple * inputs.atr,
        weights=weights + 0.0,
        control=control,
        scale=scale,
        direction=proposal.direction,
        complete=proposal.complete,
        edge_kept=proposal.edge_kept,
        edge_opened=proposal.edge_opened,
        round_trip_cost=proposal.cost,
        correlation=correlation,
        not_worth=quiet,
    )
