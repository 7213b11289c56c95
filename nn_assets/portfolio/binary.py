"""A decision on contracts that settle at 1 or at 0: the exact Kelly bet on each event, then limits and controls.

A weight is a stake here, the fraction of capital that is lost where the contract settles against it: price x quantity
of a "yes", (1 - price) x |quantity| of a "no", which is held as a negative quantity against one dollar of cash a
contract. All of a stake is at risk, so that risk and size are one number, no stop rests, and none of the capital can be
lost twice: with stakes of at most all capital there is no ruin whatever the prices do.

What is held has paid its costs: it is kept up to the bet at the price that its sale would bring, and enlarged up to the
one at the price that a purchase costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.costs.contract_fees import contract_fee_usd
from nn_assets.costs.model import CostModel
from nn_assets.portfolio.binary_kelly import kelly_stakes
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.inputs import STEP_NAMES, Answer, BinaryFacts, Decision, DecisionInputs, held_on
from nn_assets.portfolio.limits import book_limits, name_cap, shared_out
from nn_assets.portfolio.programme import Solution
from nn_assets.portfolio.steps import Zone, controls, enough_evidence, without_answer
from nn_assets.portfolio.targets import controlled, in_lots
from nn_assets.settings import PortfolioSettings

_WHOLE_STAKE = 1.0  # of a stake is at risk
_MOST_BID = 1.0 - 1e-9


def premium_usd(quantity: FloatArray, price: FloatArray) -> FloatArray:
    """Return what a contract costs on the side of a quantity, dollars: its price on yes, 1 less it on no."""
    return np.where(quantity < 0.0, 1.0 - price, price)


@dataclass(frozen=True, eq=False)
class _Bets:
    """What steps 1 to 6 make of the forecasts; arrays (symbols,), stakes signed by side."""

    complete: BoolArray
    stays_held: BoolArray  # overdue, doubted or halted: nothing is added
    believed: FloatArray  # probability, moved towards the price by what is not trusted
    cost_usd: FloatArray  # of buying or selling a contract, at the order considered
    start: FloatArray
    alone: FloatArray  # the fraction of Kelly, priced at costs, without limits
    capped: FloatArray  # and no larger than the name's own limits, what is held kept where it may
    solution: Solution


def decide_binary(inputs: DecisionInputs, settings: PortfolioSettings, costs: CostModel) -> Decision:
    """Take the eight steps on binary contracts; every row of the weights is filled, with stakes.

    Raises
    ------
    AssertionError
        The facts of binary contracts are not there: :func:`~nn_assets.portfolio.decide.decide` asks for them.
    """
    facts = inputs.binary
    assert facts is not None, "decide() looks"
    bets = _bets(inputs, facts, settings, costs)
    no_answer = bets.solution.status if bets.solution.fallback else None
    control, scale = controls(inputs, settings)
    control = without_answer(control, no_answer)
    stakes = np.where(inputs.priced, bets.solution.weights, bets.start)
    if control is Control.HALTED:
        stakes = bets.start
    elif not inputs.verdict_allows:
        stakes = np.zeros_like(stakes)
    unscaled = _contracts(stakes, bets.start, inputs)
    quantity = _targets(inputs, settings, unscaled, control, scale, bets.stays_held)
    weights = np.zeros((len(STEP_NAMES) + 1, len(inputs.symbols)))
    side = np.sign(bets.alone)
    weights[0] = bets.start
    weights[1] = weights[2] = np.where((np.sign(bets.start) == side) | bets.stays_held, bets.start, 0.0)
    weights[3] = np.where(bets.stays_held, bets.start, bets.alone)
    weights[4] = weights[5] = bets.capped
    weights[6], weights[7] = bets.solution.weights, stakes
    weights[8] = _stakes(quantity, inputs)
    leaning = np.where(bets.complete, np.sign(bets.believed - inputs.reference_price), 0.0)
    price = premium_usd(leaning, inputs.reference_price)
    edge = np.where(leaning != 0.0, np.abs(bets.believed - inputs.reference_price) / price, 0.0)
    cost = bets.cost_usd / price
    nothing = np.zeros(len(inputs.symbols))
    return Decision(
        inputs=inputs,
        settings=settings,
        target_quantity=quantity,
        target_weight=weights[8].copy(),
        unscaled_quantity=unscaled,
        stop_distance=np.full(len(inputs.symbols), np.nan),
        risk_distance=np.full(len(inputs.symbols), _WHOLE_STAKE),
        weights=weights + 0.0,
        control=control,
        scale=scale,
        direction=leaning.astype(np.int64),
        complete=bets.complete,
        edge_kept=edge / inputs.horizon_sessions,
        edge_opened=np.where(leaning != 0.0, edge - cost, 0.0) / inputs.horizon_sessions,
        round_trip_cost=cost,
        overlap=nothing,
        not_worth=np.zeros(len(nothing), dtype=np.bool_),
        premium_share=nothing,
        answer=Answer(costs, no_answer, bets.solution.exceeded),
        expected_return=np.where(bets.complete, bets.believed / inputs.reference_price - 1.0, np.nan),
        held_on=bets.stays_held,
    )


def _bets(inputs: DecisionInputs, facts: BinaryFacts, settings: PortfolioSettings, costs: CostModel) -> _Bets:
    price, equity = inputs.reference_price, max(inputs.equity_usd, 0.0)
    complete, proven = _complete(inputs), enough_evidence(inputs, settings)
    start = _stakes(np.nan_to_num(inputs.start_quantity), inputs)
    believed = price + _trusted(inputs, settings) * (inputs.calibrated_probability - price)
    usable = complete & proven & (equity > 0.0)
    chance = np.where(usable, believed, np.nan)

    def stakes_at(cost: FloatArray, held: FloatArray) -> FloatArray:
        """The fraction of Kelly at what a purchase costs; of what is held, at what its sale brings.

        As a stake at the reference price: the bet buys as many contracts as its dollars pay for with the costs.
        """
        ask = np.maximum(price + np.where(held > 0.0, -cost, cost), 0.0)
        bid = np.clip(price + np.where(held < 0.0, cost, -cost), 0.0, _MOST_BID)
        bid = bid if settings.allow_short else np.zeros_like(bid)
        ask = np.maximum(ask, bid)
        bet = settings.kelly_fraction * kelly_stakes(chance, ask, bid, facts.event)
        paid = np.maximum(np.where(bet < 0.0, 1.0 - bid, ask), np.finfo(np.float64).tiny)
        return np.where(bet == 0.0, 0.0, bet * premium_usd(bet, price) / paid)

    flat = np.zeros(len(price))
    cap = {side: _cap(inputs, settings, side) for side in (1.0, -1.0)}
    wish = np.nan_to_num(stakes_at(_cost_usd(inputs, facts, costs, flat), flat))
    considered = np.minimum(np.abs(wish), np.where(wish < 0.0, cap[-1.0], cap[1.0]))
    cost = _cost_usd(inputs, facts, costs, np.copysign(considered, wish))
    opened, kept_to = stakes_at(cost, flat), stakes_at(cost, start)
    stays = (usable & np.isnan(opened)) | facts.overdue | held_on(inputs, complete, proven)
    stays |= inputs.priced & (price >= 1.0)
    opened = np.where(stays, 0.0, opened)
    # Where selling all outcomes at these prices would gain for sure, what is held of them is not sold.
    kept_to = np.where(stays | np.isnan(kept_to), np.copysign(np.inf, start), kept_to)
    side = np.where(opened != 0.0, np.sign(opened), np.where(np.sign(kept_to) == np.sign(start), np.sign(start), 0.0))
    kept = np.where(np.sign(start) == side, np.abs(start), 0.0)
    zone = Zone(np.abs(opened), np.where(np.sign(kept_to) == side, np.abs(kept_to), 0.0))
    most = np.where(complete | stays, np.where(side < 0.0, cap[-1.0], cap[1.0]), 0.0)
    most = np.where(stays & ~complete, np.inf, most)
    wanted = zone.nearest_to(kept)
    capped = side * np.minimum(wanted, most)
    stuck = inputs.stuck_weight != 0.0
    before = np.where(stuck, _stakes_at_mark(inputs), start)
    limits = book_limits(
        inputs.symbols,
        settings,
        lower=np.full(len(price), -np.inf),
        upper=np.full(len(price), np.inf),
        reach=np.where(inputs.priced, np.inf, 0.0),
        distance=np.full(len(price), _WHOLE_STAKE),
        market_beta=np.zeros(len(price)),
        equity_usd=inputs.equity_usd,
        groups=facts.events,
    )
    solution = shared_out(capped, np.minimum(np.maximum(zone.keepable, wanted), most), before, limits)
    return _Bets(complete, stays, believed, cost, start, side * wanted, capped, solution)


def _trusted(inputs: DecisionInputs, settings: PortfolioSettings) -> FloatArray:
    """How far a probability is believed against the price, 0 to 1: its confidence, and n / (n + n0) for its record.

    n effective outcomes stand beside n0 (``shrink_prior_outcomes``) at the price, as beside those at a base rate in
    other markets' calibration: once, and there not at all.
    """
    prior, count = settings.shrink_prior_outcomes, inputs.outcomes.astype(np.float64)
    of_record = count / np.maximum(count + prior, 1.0) if prior > 0.0 else np.ones_like(count)
    return np.asarray(np.clip(inputs.confidence, 0.0, 1.0) * of_record)


def _complete(inputs: DecisionInputs) -> BoolArray:
    p, price = inputs.calibrated_probability, inputs.reference_price
    complete = inputs.priced & (price < 1.0) & (p >= 0.0) & (p <= 1.0) & np.isfinite(inputs.confidence)
    complete &= np.isfinite(inputs.adv_usd) & (inputs.adv_usd > 0.0)
    complete &= np.isfinite(inputs.priced_volatility) & (inputs.priced_volatility >= 0.0)
    return np.asarray(complete & np.isfinite(inputs.current_quantity) & np.isfinite(inputs.start_quantity))


def _cost_usd(inputs: DecisionInputs, facts: BinaryFacts, costs: CostModel, stake: FloatArray) -> FloatArray:
    """What buying or selling a contract costs in an order that a stake needs, dollars a contract."""
    price, equity = inputs.reference_price, max(inputs.equity_usd, 0.0)
    value = np.abs(stake) * equity / premium_usd(stake, price) * price
    of_value = costs.parts(np.nan_to_num(value), inputs.adv_usd, inputs.priced_volatility).total
    return np.asarray(of_value * price + contract_fee_usd(price, facts.fee_fraction))


def _cap(inputs: DecisionInputs, settings: PortfolioSettings, side: float) -> FloatArray:
    """The largest stake of each name by itself on a side: single name, risk, and the share of its volume."""
    price, ones = inputs.reference_price, np.ones(len(inputs.symbols))
    traded = inputs.adv_usd * premium_usd(side * ones, price) / price
    return name_cap(traded, inputs.equity_usd, ones * _WHOLE_STAKE, settings)


def _stakes(quantity: FloatArray, inputs: DecisionInputs) -> FloatArray:
    """Stakes of quantities at the reference price, signed; 0 without a price or without equity."""
    if inputs.equity_usd <= 0.0:
        return np.zeros(len(inputs.symbols))
    stake = quantity * premium_usd(quantity, inputs.reference_price) / inputs.equity_usd
    return np.where(inputs.priced, np.nan_to_num(stake), 0.0)


def _stakes_at_mark(inputs: DecisionInputs) -> FloatArray:
    """Stakes of what is held at the last price known."""
    held = np.nan_to_num(inputs.current_quantity)
    mark = inputs.reference_price if inputs.last_mark is None else inputs.last_mark
    return np.nan_to_num(held * premium_usd(held, mark) / inputs.equity_usd)


def _contracts(stakes: FloatArray, start: FloatArray, inputs: DecisionInputs) -> FloatArray:
    """The book in contracts; to the bit the one before where the stake did not change or has no price."""
    moved = stakes * max(inputs.equity_usd, 0.0) / premium_usd(stakes, inputs.reference_price)
    stays = (stakes == start) & ((stakes != 0.0) | ~inputs.priced)
    return np.where(stays, np.nan_to_num(inputs.start_quantity), np.where(np.isfinite(moved), moved, 0.0)) + 0.0


def _targets(
    inputs: DecisionInputs,
    settings: PortfolioSettings,
    unscaled: FloatArray,
    control: Control,
    scale: float,
    stays_held: BoolArray,
) -> FloatArray:
    """Step 8: what controls and whole lots leave, contracts; what has no price, or is held on, is not enlarged."""
    held = np.nan_to_num(inputs.current_quantity)
    wanted = controlled(unscaled, scale, control, held)
    if control is Control.HALTED:
        return wanted
    whole = in_lots(wanted, settings.lot_size)
    whole = np.where(stays_held, np.sign(whole) * np.minimum(np.abs(whole), np.abs(held)), whole)
    return np.where(inputs.priced, whole, held) + 0.0
