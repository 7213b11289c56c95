"""The one decision function: eight ordered steps from signals to target quantities.

``portfolio.construction`` says how: ``programme`` is in :mod:`nn_assets.portfolio.by_programme`, ``per_name`` here.

Replay and the daily round call it alike. It is pure and works on arrays; the frames of a decision
(targets, trace) are made by :mod:`nn_assets.portfolio.trace` for whoever wants to read them.

A position that is held and one to be opened are not priced alike: the part kept costs nothing more,
the part opened costs a round trip, priced at the very size considered. Steps 3 and 5 therefore each give two
sizes, the one worth opening up to and the larger one worth keeping, and the size before is moved no further than to
the nearer of the two (the no-trade zone of Davis and Norman 1990, one instrument at a time). From flat, a constant
signal opens to the lower end and stays there.

What names share (gross, risk in total, sectors, net, beta) is shared out at once, after each has its own size: no
name gets more for wanting less.

Controls act last and on what is held. Steps 1 to 7 move the unscaled book: they start from that of the session
before and know nothing of scales. Step 8 multiplies it by the scale in force, name by name, so that whatever is
held, and whatever its sale costs, no target is above the scale times the unscaled size.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nn_assets.costs.model import CostModel
from nn_assets.errors import DecisionError
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.by_programme import decide_by_programme
from nn_assets.portfolio.constraints import Limits
from nn_assets.portfolio.inputs import RULES, Answer, Decision, DecisionInputs
from nn_assets.portfolio.limits import book_limits, risk_distance, shared_out
from nn_assets.portfolio.premium import premium_share
from nn_assets.portfolio.programme import Solution
from nn_assets.portfolio.steps import (
    controls,
    edge_zone,
    overlap_with_rest,
    propose,
    targets,
    unscaled_quantity,
    weight_of,
)
from nn_assets.portfolio.targets import without_small_changes
from nn_assets.settings import PortfolioSettings

__all__ = ["RULES", "Decision", "DecisionInputs", "decide"]

FloatArray = npt.NDArray[np.float64]


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
    distance = risk_distance(inputs.atr, inputs.reference_price, inputs.current_quantity, inputs.resting_stop, settings)
    proposal = propose(inputs, settings, costs, distance)
    limits, start = _limits(inputs, settings, distance), proposal.start + inputs.stuck_weight
    side = proposal.direction

    def within(wanted: FloatArray, most: FloatArray, of: Limits = limits) -> Solution:
        return shared_out(side * wanted, most, start, of)

    def tradable(book: FloatArray) -> FloatArray:
        return np.where(limits.reach > 0.0, book, 0.0)

    kelly, kept = proposal.zone.nearest_to(proposal.kept), proposal.kept
    weights = np.zeros((len(RULES) + 1, len(inputs.symbols)))
    weights[0] = proposal.start
    weights[1] = side * kept
    weights[2] = np.where(proposal.gross_edge > 0.0, weights[1], 0.0)
    weights[3] = side * kelly
    risk_cap = np.nan_to_num(settings.risk_per_signal_fraction / distance, nan=0.0, posinf=0.0)
    in_total = replace(limits, sizes=tuple(each for each in limits.sizes if each.name == "risk"), nets=())
    weights[4] = tradable(
        within(np.minimum(kelly, risk_cap), np.minimum(proposal.zone.keepable, risk_cap), in_total).weights
    )
    overlap = overlap_with_rest(inputs, side, weights[3])
    zone = edge_zone(inputs, costs, proposal, overlap)
    weights[5] = side * np.minimum(np.abs(weights[4]), zone.nearest_to(kept))
    cap = np.minimum(zone.nearest_to(kept), proposal.cap)
    most = np.minimum(zone.keepable, proposal.cap)
    found = within(np.minimum(kelly, cap), np.minimum(proposal.zone.keepable, most))
    weights[6] = tradable(found.weights)
    if ((proposal.stays.keepable > proposal.zone.keepable) & (kept > 0.0)).any():
        found = within(np.minimum(proposal.stays.nearest_to(kept), cap), np.minimum(proposal.stays.keepable, most))
    lot = np.nan_to_num(settings.lot_size * inputs.reference_price / max(inputs.equity_usd, np.finfo(float).tiny))
    own = np.where(limits.reach > 0.0, proposal.cap, np.inf)
    stays = limits.reach == 0.0
    bounds = replace(
        limits,
        lower=np.where(stays | (side < 0), -own, 0.0),
        upper=np.where(stays | (side > 0), own, 0.0),
    )
    weights[7] = tradable(without_small_changes(found.weights, start, lot, bounds))
    quiet = (proposal.zone.keepable < kept) & (proposal.stays.keepable >= kept) & (weights[7] == weights[0])
    control, scale = controls(inputs, settings)
    if control is Control.HALTED:  # nothing can be done: the book before is carried on
        weights[7], quiet = weights[0], np.zeros_like(quiet)
    elif not inputs.verdict_allows:
        weights[7], quiet = 0.0, np.zeros_like(quiet)
    unscaled = unscaled_quantity(inputs, weights[0], weights[7])
    if not inputs.verdict_allows and control is not Control.HALTED:
        unscaled = np.zeros_like(unscaled)
    quantity = targets(inputs, settings, unscaled, proposal.gross_edge, control, scale)
    weights[8] = weight_of(quantity, inputs)
    return Decision(
        inputs=inputs,
        settings=settings,
        target_quantity=quantity,
        target_weight=weights[8].copy(),
        unscaled_quantity=unscaled,
        stop_distance=settings.stop_atr_multiple * inputs.atr,
        risk_distance=distance,
        weights=weights + 0.0,
        control=control,
        scale=scale,
        direction=side,
        complete=proposal.complete,
        edge_kept=proposal.edge_kept,
        edge_opened=proposal.edge_opened,
        round_trip_cost=proposal.cost,
        overlap=overlap,
        not_worth=quiet,
        premium_share=premium_share(
            inputs.calibrated_probability, inputs.base_rate, hold_premium=settings.hold_premium
        ),
        answer=Answer(costs, found.status if found.fallback else None, found.exceeded),
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
    )
