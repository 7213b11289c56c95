"""The parts of the eight steps: what each proposes, bounds or leaves out, over (symbols,)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nn_assets.costs.model import CostModel
from nn_assets.portfolio.breakers import (
    Control,
    breaker_control,
    halved_by_drawdown,
    kill_switch_control,
    strictest,
    trading_state_control,
)
from nn_assets.portfolio.inputs import DecisionInputs
from nn_assets.portfolio.kelly import expected_return, kelly_weight, shrunk_probability
from nn_assets.portfolio.targets import controlled, in_lots, neutral
from nn_assets.settings import PortfolioSettings

__all__ = [
    "Proposal",
    "controls",
    "edge_cap",
    "enough_evidence",
    "kelly_size",
    "not_worth",
    "propose",
    "targets",
    "unscaled_quantity",
    "weight_of",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_COIN_TOSS = 0.5
_PRESENT_SHARE = 0.5
_HALF = 0.5


@dataclass(frozen=True, eq=False)
class Proposal:
    """What steps 1 and 2 make of the signals; arrays of shape (symbols,)."""

    direction: IntArray
    complete: BoolArray  # every input is there
    proven: BoolArray  # its record has the outcomes and the sessions that any size needs
    start: FloatArray  # signed weight of the unscaled book before
    kept: FloatArray  # its size on the signal's own side
    probability: FloatArray  # of winning on the signal's side, its edge times confidence
    edge_kept: FloatArray  # per session, before costs
    edge_opened: FloatArray  # per session, after the round trip
    cost: FloatArray  # round trip, fraction


def weight_of(quantity: FloatArray, inputs: DecisionInputs) -> FloatArray:
    """Return the weight of a quantity at the reference price; 0 without a price or without equity."""
    if inputs.equity_usd <= 0.0:
        return np.zeros(len(inputs.symbols))
    return np.nan_to_num(quantity * inputs.reference_price / inputs.equity_usd)


def _complete(inputs: DecisionInputs) -> BoolArray:
    probability, confidence = inputs.calibrated_probability, inputs.confidence
    complete = np.isfinite(confidence) & (probability >= 0.0) & (probability <= 1.0)
    for fact in (inputs.reference_price, inputs.atr, inputs.daily_volatility, inputs.adv_usd):
        complete &= np.isfinite(fact) & (fact > 0.0)
    present = np.isfinite(inputs.trailing_returns).mean(axis=0) >= _PRESENT_SHARE
    return complete & present & np.isfinite(inputs.current_quantity) & np.isfinite(inputs.start_quantity)


def propose(inputs: DecisionInputs, settings: PortfolioSettings, costs: CostModel) -> Proposal:
    """Take steps 1 and 2: side, believed probability, round-trip cost and the edge left after it.

    The round trip is priced at the largest order that step 6 would let through: dear rather than
    cheap, and a cost that does not depend on the size it helps to decide.
    """
    complete = _complete(inputs)
    probability = np.where(complete, inputs.calibrated_probability, _COIN_TOSS)
    side = np.sign(probability - _COIN_TOSS).astype(np.int64)
    side = np.where(side == inputs.blocked_side, 0, side)
    if not settings.allow_short:
        side = np.maximum(side, 0)
    start = weight_of(inputs.start_quantity, inputs)
    confidence = np.clip(inputs.confidence, 0.0, 1.0)
    of_side = np.maximum(probability, 1.0 - probability)
    believed = shrunk_probability(of_side, inputs.mean_win, inputs.mean_loss, confidence)
    largest = np.minimum(
        settings.single_name_limit * max(inputs.equity_usd, 0.0),
        settings.adv_limit_fraction * inputs.adv_usd,
    )
    cost = 2.0 * costs.cost_fraction(largest, inputs.adv_usd, inputs.daily_volatility)
    gross = expected_return(believed, inputs.mean_win, inputs.mean_loss)
    usable = (side != 0) & np.isfinite(gross - cost) & (inputs.mean_win > 0.0) & (inputs.mean_loss > 0.0)
    return Proposal(
        direction=side,
        complete=complete,
        proven=enough_evidence(inputs, settings),
        start=start,
        kept=np.where(np.sign(start) == side, np.abs(start), 0.0),
        probability=believed,
        edge_kept=np.where(usable, gross / inputs.horizon_sessions, 0.0),
        edge_opened=np.where(usable, (gross - cost) / inputs.horizon_sessions, 0.0),
        cost=cost,
    )


def enough_evidence(inputs: DecisionInputs, settings: PortfolioSettings) -> BoolArray:
    """Names whose record is long enough, and worth enough independent outcomes, for any size."""
    return (inputs.outcomes >= settings.minimum_outcomes) & inputs.evidence


def _between(kept: FloatArray, opened: FloatArray, keepable: FloatArray) -> FloatArray:
    low, high = np.nan_to_num(opened), np.nan_to_num(keepable)
    return np.minimum(np.maximum(kept, low), np.maximum(high, low))


def kelly_size(inputs: DecisionInputs, settings: PortfolioSettings, proposal: Proposal) -> FloatArray:
    """Step 3: the size before on the signal's side, moved to the nearer end of the no-trade zone.

    The zone runs from the Kelly weight after a round trip's cost (worth opening up to) to the one
    without cost (worth keeping).

    Returns
    -------
    ndarray, shape (symbols,)
        Sizes, at least zero; zero with fewer than the minimum of outcomes or of sessions that had any.
    """
    win, loss = inputs.mean_win, inputs.mean_loss
    fraction = settings.kelly_fraction
    opened = kelly_weight(proposal.probability, win, loss, proposal.cost, fraction)
    keepable = kelly_weight(proposal.probability, win, loss, 0.0, fraction)
    opened = np.where(proposal.edge_opened > 0.0, opened, 0.0)
    keepable = np.where(proposal.edge_kept > 0.0, keepable, 0.0)
    return np.where(proposal.proven, _between(proposal.kept, opened, keepable), 0.0)


def edge_cap(
    inputs: DecisionInputs, settings: PortfolioSettings, proposal: Proposal, correlation: FloatArray
) -> FloatArray:
    """Step 5: s x edge / volatility x (1 - |rho|), with the edge of the part opened or kept."""
    scale = settings.edge_to_weight * (1.0 - np.abs(correlation)) / inputs.daily_volatility
    opened = np.maximum(proposal.edge_opened, 0.0) * scale
    return _between(proposal.kept, opened, np.maximum(proposal.edge_kept, 0.0) * scale)


def controls(inputs: DecisionInputs, settings: PortfolioSettings) -> tuple[Control, float]:
    """Step 8: the strictest control, and the product of the scales that are in force.

    A regime scale that is missing or below zero is zero; one above one is one. A pause that holds halves.
    """
    state, breaker = trading_state_control(inputs.trading_state, settings), breaker_control(inputs.breaker, settings)
    regime = inputs.regime_scale
    scale = min(regime, 1.0) if regime >= 0.0 else 0.0
    if halved_by_drawdown(inputs.drawdown_fraction, settings, was_halved=inputs.was_halved):
        scale *= _HALF
    if state is Control.REDUCED or Control.REDUCING in (state, breaker):
        scale *= _HALF
    return strictest(state, breaker, kill_switch_control(inputs.kill_switch)), scale


def not_worth(inputs: DecisionInputs, costs: CostModel, weights: FloatArray, proposal: Proposal) -> BoolArray:
    """Step 7: changes on the signal's own side that are worth less than their cost.

    Worth is |edge over the horizon x change|. An increase pays spread, commission and impact. A
    reduction is weighed against spread and commission alone: with impact, a more volatile
    instrument would be kept larger for being dearer to sell. What steps 4 to 6 took below the size
    before is never weighed, nor is leaving a side that the signal has left, nor a name whose
    record does not suffice for a size.

    Parameters
    ----------
    weights : ndarray, shape (9, symbols)
        Rows 0 to 6 of the trace.
    """
    held, size, before = np.abs(proposal.start), np.abs(weights[6]), np.abs(weights[3:6])
    after = np.abs(weights[4:7])
    forced = ((after < before) & (after < held)).any(axis=0)
    same_side = (proposal.direction == np.sign(proposal.start)) | (held == 0.0)
    order = np.abs(size - held) * max(inputs.equity_usd, 0.0)
    parts = costs.parts(order, inputs.adv_usd, inputs.daily_volatility)
    price = parts.half_spread + parts.commission + np.where(size > held, parts.impact, 0.0)
    worth = np.abs(proposal.edge_kept) * inputs.horizon_sessions
    enough = proposal.complete & proposal.proven & (proposal.direction != 0)
    return same_side & enough & ~forced & (size != held) & ~(worth > price)


def unscaled_quantity(inputs: DecisionInputs, start: FloatArray, weights: FloatArray) -> FloatArray:
    """The unscaled book in shares: to the digit the one before where the weight did not change; 0 without a price."""
    moved = weights * max(inputs.equity_usd, 0.0) / inputs.reference_price
    moved = np.where(np.isfinite(moved), moved, 0.0)
    return np.where((weights == start) & (weights != 0.0), inputs.start_quantity, moved) + 0.0


def targets(
    inputs: DecisionInputs,
    settings: PortfolioSettings,
    unscaled: FloatArray,
    worth_keeping: FloatArray,
    control: Control,
    scale: float,
) -> FloatArray:
    """Step 8: what controls and whole lots leave of the unscaled book, in shares, (symbols,)."""
    wanted = controlled(unscaled, scale, control, inputs.current_quantity)
    if control >= Control.FLAT:
        return wanted
    whole = in_lots(wanted, settings.lot_size)
    return neutral(
        whole,
        settings.lot_size * inputs.reference_price,
        worth_keeping,
        lot_size=settings.lot_size,
        equity_usd=inputs.equity_usd,
        net_limit=settings.net_limit,
        fixed_usd=float(inputs.stuck_weight.sum()) * inputs.equity_usd,
    )
