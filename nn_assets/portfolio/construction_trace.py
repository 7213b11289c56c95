"""Why is it this size? The eight steps of a construction as sentences with numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.errors import DecisionError
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.constraints import SharedLimit
from nn_assets.portfolio.construction import Construction, Targets, expected_returns
from nn_assets.portfolio.greeks import NOT_HOLDABLE
from nn_assets.portfolio.inputs import STEP_NAMES
from nn_assets.portfolio.sentences import forecast_text, held_on_reasons, last_step, novelty_text

_SIDES = {-1: "short", 0: "no side", 1: "long"}
_NEAR = 1e-6


@dataclass(frozen=True, eq=False)
class TraceFacts:
    """What the trace describes: a construction with its steps, its targets, and the controls that acted on them."""

    construction: Construction
    targets: Targets
    control: Control
    scale: float
    base_rate: FloatArray  # (symbols,)
    premium_share: FloatArray  # of the expected return, (symbols,)
    controls: str  # the controls in force in words: drift state, breaker, kill switch, drawdown, regime
    verdict_allows: bool = True

    @cached_property
    def weights(self) -> FloatArray:
        """Weights before step 1 (row 0) and after each step, (9, symbols).

        Raises
        ------
        DecisionError
            The construction was solved without its steps.
        """
        steps = self.construction.steps
        if steps is None:
            raise DecisionError(
                expected="a construction with its steps",
                found="one without",
                remedy="construct it again with with_steps=True: the decision is the same to the bit",
                session=self.construction.inputs.session,
            )
        return np.vstack([steps, self.targets.weight])

    @cached_property
    def own_returns(self) -> FloatArray:
        """What each name's forecast promises before the names' mean is taken off, fraction, (symbols,)."""
        return expected_returns(self.construction.inputs, relative=False)

    @cached_property
    def at_risk(self) -> float:
        """Capital at risk in total after step 4, fraction."""
        distance = self.construction.distance
        return float(np.abs(self.weights[4]) @ np.where(np.isfinite(distance), distance, 0.0))

    @cached_property
    def used_up(self) -> tuple[SharedLimit, ...]:
        """The shared limits that step 6 uses up."""
        limits, row = self.construction.programme.limits, self.weights[6]
        sizes = [limit for limit in limits.sizes if limit.coefficient @ np.abs(row) >= limit.limit - _NEAR]
        return (*sizes, *(limit for limit in limits.nets if abs(limit.coefficient @ row) >= limit.limit - _NEAR))


def step_reasons(trace: TraceFacts, index: int) -> tuple[str, ...]:
    """Say why each of the eight steps did what it did to the instrument at ``index``."""
    weights = trace.weights[:, index]
    missing = _missing(trace, index)
    held_on = trace.construction.inputs.held_on
    if held_on is not None and held_on[index]:
        return (*held_on_reasons(missing, weights), _cost(trace, index, weights), _controls(trace, index))
    if missing:
        stays = "nothing to decide" if weights[7] == 0.0 else f"{weights[7]:.2%} cannot be traded in this session"
        return (f"no position: {missing}", *[stays] * (len(STEP_NAMES) - 2), _controls(trace, index))
    return (*(reason(trace, index, weights) for reason in _REASONS), _controls(trace, index))


def _missing(trace: TraceFacts, index: int) -> str:
    inputs = trace.construction.inputs
    positive = {
        "reference price": inputs.reference_price[index],
        "volatility": inputs.volatility[index],
        "the instrument's volatility": inputs.daily_volatility[index],
        "ATR": inputs.atr[index],
        "ADV": inputs.adv_usd[index],
    }
    numbers = {
        "confidence": inputs.confidence[index],
        "novelty factor": _novelty(trace, index),
        "quantity held": inputs.held_quantity[index],
        "unscaled quantity": inputs.unscaled_quantity[index],
        "fee of a short": np.broadcast_to(inputs.short_fee, inputs.confidence.shape)[index],
    }
    shares = {"probability": inputs.calibrated_probability[index], "base rate": _read_base_rate(trace, index)}
    bad = [f"{name} is {value:g}" for name, value in positive.items() if not (np.isfinite(value) and value > 0.0)]
    bad += [f"{name} is {value:g}" for name, value in numbers.items() if not np.isfinite(value)]
    bad += [f"{name} is {value:g}" for name, value in shares.items() if not 0.0 <= value <= 1.0]
    if not np.isfinite(inputs.covariance.specific[index]):
        bad.append("its returns are too few, or never change, for a covariance")
    if not np.broadcast_to(inputs.holdable, inputs.confidence.shape)[index]:
        bad.append(NOT_HOLDABLE)
    if not inputs.evidence[index]:
        bad.append("too few outcomes are realised for a size")
    if inputs.equity_usd <= 0.0:
        bad.append(f"equity is {inputs.equity_usd:g}")
    return ", ".join(bad)


def _read_base_rate(trace: TraceFacts, index: int) -> float:
    """The one the programme reads: one half where the premium is held."""
    inputs = trace.construction.inputs
    return float(np.broadcast_to(inputs.base_rate, inputs.calibrated_probability.shape)[index])


def _novelty(trace: TraceFacts, index: int) -> float:
    inputs = trace.construction.inputs
    return float(np.broadcast_to(inputs.novelty, inputs.confidence.shape)[index])


def _mean(trace: TraceFacts, index: int) -> float:
    return float(trace.construction.programme.mean[index])


def _signal(trace: TraceFacts, index: int, weights: FloatArray) -> str:
    inputs, settings = trace.construction.inputs, trace.construction.settings
    mean = _mean(trace, index)
    funding = 0.0 if inputs.funding is None else float(inputs.funding[index])
    side, blocked = int(np.sign(mean)), int(inputs.blocked_side[index])
    forecast = forecast_text(
        inputs.calibrated_probability[index],
        trace.base_rate[index],
        trace.premium_share[index],
        hold_premium=settings.hold_premium,
    )
    text = f"{forecast} says {_SIDES[side]}: {mean:.3%} over {inputs.horizon_sessions} sessions"
    if inputs.relative:
        own = float(trace.own_returns[index])
        text = f"{text}, its own {own:.3%} less the names' mean of {own - mean - funding:.3%}"
    if funding != 0.0:
        text = f"{text}, less {funding:+.3%} of funding over them"
    text += novelty_text(_novelty(trace, index))
    if side != 0 and side == blocked:
        return f"{text}; a stop was hit on that side, and the signal has not left it"
    if side < 0 and not settings.allow_short:
        return f"{text}; the settings allow no shorts"
    if weights[0] * side < 0.0:
        return f"{text}, and what is held is on the other side"
    return text


def _edge(trace: TraceFacts, index: int, weights: FloatArray) -> str:
    programme = trace.construction.programme
    cost = programme.change_share * float(programme.cost.linear[index])
    mean = abs(_mean(trace, index))
    text = f"{mean:.3%} beside {cost:.3%}, {programme.change_share:.0%} of what the first dollar of a change costs"
    if weights[1] != 0.0:
        return f"{text}; what is held has paid already"
    return f"{text}: {'worth opening' if mean > cost else 'opens nothing by itself'}"


def _kelly(trace: TraceFacts, index: int, weights: FloatArray) -> str:
    programme = trace.construction.programme
    variance = float(programme.covariance.variance[index])
    horizon = trace.construction.inputs.horizon_sessions
    return (
        f"{programme.kelly_fraction:g} of {_mean(trace, index):.3%} over a variance of {variance:.4%} "
        f"({np.sqrt(variance / horizon):.2%} a session): {weights[3]:.2%} if it were alone and free"
    )


def _risk(trace: TraceFacts, index: int, weights: FloatArray) -> str:
    settings = trace.construction.settings
    distance = float(trace.construction.distance[index])
    full = " (used up)" if trace.at_risk >= settings.risk_total_fraction - _NEAR else ""
    total = f"{trace.at_risk:.2%} of {settings.risk_total_fraction:.1%}{full}"
    return (
        f"stop {distance:.2%} away: at most {settings.risk_per_signal_fraction / distance:.2%} for "
        f"{settings.risk_per_signal_fraction:.1%} at risk; {total} "
        f"at risk in total; leaves {weights[4]:.2%}"
    )


def _correlation(trace: TraceFacts, index: int, weights: FloatArray) -> str:
    covariance = trace.construction.programme.covariance
    own = float(covariance.specific[index] / covariance.variance[index])
    return (
        f"{own:.0%} of its variance is its own; what it shares with the book takes {weights[4]:.2%} to {weights[5]:.2%}"
    )


def _limits(trace: TraceFacts, index: int, weights: FloatArray) -> str:
    limits = trace.construction.programme.limits
    cap = float(max(limits.upper[index], -limits.lower[index]))
    unlike = " and by what novelty leaves of it" if _novelty(trace, index) < 1.0 else ""
    used = [limit.name for limit in trace.used_up if limit.coefficient[index] != 0.0]
    shared = f"; used up: {', '.join(used)}" if used else "; no shared limit is used up"
    return f"at most {cap:.2%} by name, ADV and stop{unlike}{shared}; {weights[5]:.2%} to {weights[6]:.2%}"


def _cost(trace: TraceFacts, index: int, weights: FloatArray) -> str:
    construction = trace.construction
    programme, solution = construction.programme, construction.solution
    if trace.control is Control.HALTED:
        return f"halted: the unscaled book stays as it was, {weights[7]:.2%}"
    if not trace.verdict_allows:
        return "no position: the verdict in force does not allow trading"
    if solution.fallback:
        return f"no answer ({solution.status}): nothing is opened or enlarged, {weights[0]:.2%} to {weights[7]:.2%}"
    change = np.where(np.arange(len(programme.start)) == index, weights[7] - weights[0], 0.0)
    if weights[7] == weights[0]:
        text = f"no change of a lot or more is worth its cost: {weights[0]:.2%} stays"
    else:
        paid = float(programme.cost.of(change)[index])
        counted = f"{programme.change_share:.0%} counted"
        text = f"{weights[0]:.2%} to {weights[7]:.2%} at a cost of {paid:.4%} of capital, {counted}"
    return f"{text}; over because it cannot be traded: {', '.join(solution.exceeded)}" if solution.exceeded else text


def _controls(trace: TraceFacts, index: int) -> str:
    construction = trace.construction
    return last_step(
        trace.controls,
        trace.control,
        trace.scale,
        priced=bool(construction.inputs.priced[index]),
        held=construction.inputs.held_quantity[index],
        unscaled=construction.quantity[index],
        target=trace.targets.quantity[index],
        lot_size=construction.settings.lot_size,
    )


_REASONS: tuple[Callable[[TraceFacts, int, FloatArray], str], ...] = (
    _signal,
    _edge,
    _kelly,
    _risk,
    _correlation,
    _limits,
    _cost,
)
