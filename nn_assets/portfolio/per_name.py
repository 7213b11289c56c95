"""A decision by the construction ``per_name``: each name has its own size, then the names share what limits all.

A position that is held and one to be opened are not priced alike: the part kept costs nothing more,
the part opened costs a round trip, priced at the very size considered. Steps 3 and 5 therefore each give two
sizes, the one worth opening up to and the larger one worth keeping, and the size before is moved no further than to
the nearer of the two (the no-trade zone of Davis and Norman 1990, one instrument at a time). From flat, a constant
signal opens to the lower end and stays there.

What names share (gross, risk in total, sectors, net, beta) is shared out at once, after each has its own size: no
name gets more for wanting less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.costs.model import CostModel
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.constraints import Limits
from nn_assets.portfolio.inputs import STEP_NAMES, Answer, Decision, DecisionInputs
from nn_assets.portfolio.limits import book_limits, risk_distance, shared_out
from nn_assets.portfolio.premium import premium_share
from nn_assets.portfolio.programme import Solution
from nn_assets.portfolio.steps import (
    Proposal,
    Zone,
    controls,
    edge_zone,
    overlap_with_rest,
    propose,
    targets,
    unscaled_quantity,
    weight_of,
    without_answer,
)
from nn_assets.portfolio.targets import without_small_changes
from nn_assets.settings import PortfolioSettings


@dataclass(frozen=True, eq=False)
class _Sized:
    """What steps 1 to 7 make of the unscaled book; arrays (symbols,) but for the weights."""

    proposal: Proposal
    weights: FloatArray  # (8, symbols): before, and after each step
    overlap: FloatArray
    solution: Solution  # of the limits
    distance: FloatArray  # by which risk is measured, fraction of price

    @property
    def not_worth(self) -> BoolArray:
        """Names left as they were because a smaller size was not worth the sale."""
        kept, zone, stays = self.proposal.kept, self.proposal.zone, self.proposal.stays
        left: BoolArray = (zone.keepable < kept) & (stays.keepable >= kept) & (self.weights[7] == self.weights[0])
        return left


def decide_per_name(inputs: DecisionInputs, settings: PortfolioSettings, costs: CostModel) -> Decision:
    """Take the eight steps; every row of the weights is filled."""
    sized = _sized(inputs, settings, costs)
    proposal, before = sized.proposal, sized.weights[0]
    no_answer = sized.solution.status if sized.solution.fallback else None
    control, scale = controls(inputs, settings)
    control = without_answer(control, no_answer)
    weights, not_worth = sized.weights[7], sized.not_worth
    unscaled = unscaled_quantity(inputs, before, weights)
    if control is Control.HALTED:  # nothing can be done: the book before is carried on
        weights, not_worth = before, np.zeros_like(not_worth)
        unscaled = unscaled_quantity(inputs, before, before)
    elif not inputs.verdict_allows:
        weights, not_worth, unscaled = np.zeros_like(before), np.zeros_like(not_worth), np.zeros_like(before)
    quantity = targets(inputs, settings, unscaled, proposal.gross_edge, control, scale, proposal.held_on)
    target_weight = weight_of(quantity, inputs)
    return Decision(
        inputs=inputs,
        settings=settings,
        target_quantity=quantity,
        target_weight=target_weight,
        unscaled_quantity=unscaled,
        stop_distance=settings.stop_atr_multiple * inputs.atr,
        risk_distance=sized.distance,
        weights=np.vstack([sized.weights[:7], weights, target_weight]) + 0.0,
        control=control,
        scale=scale,
        direction=proposal.direction,
        complete=proposal.complete,
        edge_kept=proposal.edge_kept,
        edge_opened=proposal.edge_opened,
        round_trip_cost=proposal.cost,
        overlap=sized.overlap,
        not_worth=not_worth,
        premium_share=premium_share(
            inputs.calibrated_probability, inputs.base_rate, hold_premium=settings.hold_premium
        ),
        answer=Answer(costs, no_answer, sized.solution.exceeded),
        held_on=proposal.held_on,
    )


def _sized(inputs: DecisionInputs, settings: PortfolioSettings, costs: CostModel) -> _Sized:
    distance = risk_distance(inputs.atr, inputs.reference_price, inputs.current_quantity, inputs.resting_stop, settings)
    proposal = propose(inputs, settings, costs, distance)
    limits, start = _limits(inputs, settings, distance), proposal.start + inputs.stuck_weight
    side, kept, zone, stays = proposal.direction, proposal.kept, proposal.zone, proposal.stays

    def tradable(book: FloatArray) -> FloatArray:
        return np.where(limits.reach > 0.0, book, 0.0)

    def within(of: Limits, wish: Zone, cap: FloatArray, most: FloatArray) -> Solution:
        """The limits' answer to a wish: each name moved to at most its cap, what is held kept up to the most."""
        wanted: FloatArray = np.minimum(wish.nearest_to(kept), cap)
        return shared_out(side * wanted, np.minimum(wish.keepable, most), start, of)

    weights = np.zeros((len(STEP_NAMES), len(inputs.symbols)))
    weights[0] = proposal.start
    weights[1] = side * kept
    goes_on = proposal.gross_edge > 0.0 if proposal.held_on is None else proposal.held_on | (proposal.gross_edge > 0.0)
    weights[2] = np.where(goes_on, weights[1], 0.0)
    weights[3] = side * zone.nearest_to(kept)
    of_risk = np.nan_to_num(settings.risk_per_signal_fraction / distance, nan=0.0, posinf=0.0)
    weights[4] = tradable(within(_of_risk_alone(limits), zone, of_risk, of_risk).weights)
    overlap = overlap_with_rest(inputs, side, weights[3])
    worth = edge_zone(inputs, costs, proposal, overlap)
    weights[5] = side * np.minimum(np.abs(weights[4]), worth.nearest_to(kept))
    cap, most = np.minimum(worth.nearest_to(kept), proposal.cap), np.minimum(worth.keepable, proposal.cap)
    solution = within(limits, zone, cap, most)
    weights[6] = tradable(solution.weights)
    if ((stays.keepable > zone.keepable) & (kept > 0.0)).any():
        solution = within(limits, stays, cap, most)
    lot = np.nan_to_num(settings.lot_size * inputs.reference_price / max(inputs.equity_usd, np.finfo(float).tiny))
    weights[7] = tradable(without_small_changes(solution.weights, start, lot, _on_its_side(limits, proposal)))
    return _Sized(proposal, weights, overlap, solution, distance)


def _of_risk_alone(limits: Limits) -> Limits:
    """Step 4's: risk in total, nothing else that names share."""
    return replace(limits, sizes=tuple(limit for limit in limits.sizes if limit.name == "risk"), nets=())


def _on_its_side(limits: Limits, proposal: Proposal) -> Limits:
    """Step 7's: every name between nothing and its cap, on its signal's side; what cannot be traded stays."""
    side, stays = proposal.direction, limits.reach == 0.0
    own = np.where(limits.reach > 0.0, proposal.cap, np.inf)
    return replace(
        limits,
        lower=np.where(stays | (side < 0), -own, 0.0),
        upper=np.where(stays | (side > 0), own, 0.0),
    )


def _limits(inputs: DecisionInputs, settings: PortfolioSettings, distance: FloatArray) -> Limits:
    """The strategy's limits over the session's names; each name's own cap is taken before them."""
    unbounded = np.full(len(inputs.symbols), np.inf)
    return book_limits(
        inputs.symbols,
        settings,
        lower=-unbounded,
        upper=unbounded,
        reach=np.where(inputs.priced, np.inf, 0.0),
        distance=distance,
        market_beta=inputs.beta,
        equity_usd=inputs.equity_usd,
        groups=inputs.groups,
        greeks=inputs.greeks_per_dollar(settings),
    )
