"""A decision by the construction ``programme``, and its trace, solved again when it is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.costs.model import CostModel
from nn_assets.errors import DecisionError
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.construction import Construction, ConstructionInputs, Targets, construct, targets_of
from nn_assets.portfolio.construction_trace import TraceFacts
from nn_assets.portfolio.covariance import factor_covariance
from nn_assets.portfolio.inputs import STEP_NAMES, Answer, Decision, DecisionInputs, held_on
from nn_assets.portfolio.premium import premium_share
from nn_assets.portfolio.sentences import controls_in_force
from nn_assets.portfolio.steps import controls, enough_evidence, weight_of, without_answer
from nn_assets.settings import PortfolioSettings

_COIN_TOSS = 0.5


def construction_inputs(inputs: DecisionInputs, settings: PortfolioSettings) -> ConstructionInputs:
    """The facts of a decision as the programme reads them.

    Raises
    ------
    DecisionError
        The facts of the programme are not there.
    """
    facts = inputs.programme
    if facts is None:
        raise DecisionError(
            expected="outcome slope, returns and the other facts of the construction programme",
            found="none",
            remedy="hand them over with the inputs, or set portfolio.construction per_name",
            session=inputs.session,
        )
    count = len(inputs.symbols)
    returns = facts.returns if facts.members is None else np.where(facts.members, facts.returns, np.nan)
    made = ConstructionInputs(
        symbols=inputs.symbols,
        session=inputs.session,
        reference_price=inputs.reference_price,
        last_mark=inputs.reference_price if inputs.last_mark is None else inputs.last_mark,
        calibrated_probability=inputs.calibrated_probability,
        confidence=inputs.confidence,
        volatility=facts.label_volatility,
        daily_volatility=inputs.priced_volatility,
        atr=inputs.atr,
        stop_price=inputs.resting_stop,
        adv_usd=inputs.adv_usd,
        market_beta=inputs.beta,
        covariance=factor_covariance(returns, inputs.horizon_sessions, settings.covariance_sessions),
        unscaled_quantity=inputs.start_quantity,
        held_quantity=inputs.current_quantity,
        blocked_side=inputs.blocked_side,
        evidence=enough_evidence(inputs, settings),
        equity_usd=inputs.equity_usd,
        horizon_sessions=inputs.horizon_sessions,
        base_rate=np.full(count, _COIN_TOSS) if settings.hold_premium else inputs.base_rate,
        outcome_slope=facts.outcome_slope,
        change_share=facts.change_share,
        relative=facts.relative,
        short_fee=facts.short_fee,
        margin_fee=facts.margin_fee,
        funding=facts.funding,
        reach_usd=facts.reach_usd,
        groups=inputs.groups,
        novelty=inputs.novelty,
        holdable=inputs.holdable(settings),
        greeks=inputs.greeks_per_dollar(settings),
    )
    if inputs.since_halt is None:
        return made
    return replace(made, held_on=held_on(inputs, made.complete, made.evidence) & inputs.holdable(settings))


def decide_by_programme(inputs: DecisionInputs, settings: PortfolioSettings, costs: CostModel) -> Decision:
    """Solve the session's programme and let controls and lots act on it; rows 1 to 6 of the weights stay NaN."""
    built = _built(inputs, settings, costs, with_steps=False)
    control, scale = controls(inputs, settings)
    no_answer = built.solution.status if built.solution.fallback else None
    control = without_answer(control, no_answer)
    quantity = targets_of(built, control, scale).quantity
    programme = built.programme
    mean = np.where(np.isfinite(programme.mean), programme.mean, 0.0)
    horizon, linear = inputs.horizon_sessions, programme.cost.linear
    weights = np.full((len(STEP_NAMES) + 1, len(inputs.symbols)), np.nan)
    weights[0], weights[7], weights[8] = _start(built), built.weights, weight_of(quantity, inputs)
    return Decision(
        inputs=inputs,
        settings=settings,
        target_quantity=quantity,
        target_weight=weights[8].copy(),
        unscaled_quantity=built.quantity,
        stop_distance=settings.stop_atr_multiple * inputs.atr,
        risk_distance=built.distance,
        weights=weights + 0.0,
        control=control,
        scale=scale,
        direction=np.sign(mean).astype(np.int64),
        complete=built.inputs.complete,
        edge_kept=np.abs(mean) / horizon,
        edge_opened=(np.abs(mean) - programme.change_share * linear) / horizon,
        round_trip_cost=2.0 * linear,
        overlap=np.full(len(inputs.symbols), np.nan),
        not_worth=(weights[7] == weights[0]) & (weights[0] != 0.0),
        premium_share=premium_share(
            inputs.calibrated_probability, inputs.base_rate, hold_premium=settings.hold_premium
        ),
        answer=Answer(
            costs=costs,
            no_answer=no_answer,
            exceeded=built.solution.exceeded,
        ),
        expected_return=programme.mean + 0.0,
        held_on=built.inputs.held_on,
    )


def trace_facts(decision: Decision) -> TraceFacts:
    """The trace of a decision by the programme: its steps solved, and what its sentences need.

    Row 7 and the targets are those of the decision, to the bit.
    """
    inputs, settings = decision.inputs, decision.settings
    return TraceFacts(
        construction=_built(inputs, settings, decision.answer.costs, with_steps=True),
        targets=Targets(decision.target_quantity, decision.target_weight),
        control=decision.control,
        scale=decision.scale,
        base_rate=inputs.base_rate,
        premium_share=decision.premium_share,
        controls=controls_in_force(inputs, settings),
        verdict_allows=inputs.verdict_allows,
    )


def _built(inputs: DecisionInputs, settings: PortfolioSettings, costs: CostModel, *, with_steps: bool) -> Construction:
    """The session's construction; while halted its book is the one before, without a verdict it is empty."""
    built = construct(construction_inputs(inputs, settings), settings, costs, with_steps=with_steps)
    control, _ = controls(inputs, settings)
    if control is Control.HALTED:
        weights, quantity = _start(built), np.nan_to_num(inputs.start_quantity)
    elif not inputs.verdict_allows:
        weights, quantity = np.zeros(len(inputs.symbols)), np.zeros(len(inputs.symbols))
    else:
        return built
    steps = None if built.steps is None else np.vstack([built.steps[:-1], weights])
    return replace(built, weights=weights, quantity=quantity, steps=steps)


def _start(built: Construction) -> FloatArray:
    return np.where(np.isfinite(built.programme.start), built.programme.start, 0.0)
