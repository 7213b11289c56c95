"""Why is it this size? The eight steps of a construction as sentences with numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nn_assets.errors import DecisionError
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.constraints import SharedLimit
from nn_assets.portfolio.construction import STEPS, Construction, Targets
from nn_assets.portfolio.sentences import forecast_told, last_step

__all__ = ["Told", "step_reasons"]

FloatArray = npt.NDArray[np.float64]

_SIDES = {-1: "short", 0: "no side", 1: "long"}
_NEAR = 1e-6


@dataclass(frozen=True, eq=False)
class Told:
    """What is told about: a construction with its steps, its targets, and the controls that acted on them."""

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
    def at_risk(self) -> float:
        """Capital at risk in total after step 4, fraction."""
        distance = self.construction.distance
        return float(np.abs(self.weights[4]) @ np.where(np.isfinite(distance), distance, 0.0))

    @cached_property
    def used_up(self) -> tuple[SharedLimit, ...]:
        """The shared limits that step 6 uses up."""
        limits, row = self.construction.programme.limits, self.weights[6]
        sizes = [each for each in limits.sizes if each.coefficient @ np.abs(row) >= each.limit - _NEAR]
        return (*sizes, *(each for each in limits.nets if abs(each.coefficient @ row) >= each.limit - _NEAR))


def step_reasons(told: Told, place: int) -> tuple[str, ...]:
    """Say why each of the eight steps did what it did to the instrument at ``place``."""
    weights = told.weights[:, place]
    missing = _missing(told, place)
    if missing:
        stays = "nothing to decide" if weights[7] == 0.0 else f"{weights[7]:.2%} cannot be traded in this session"
        return (f"no position: {missing}", *[stays] * (len(STEPS) - 2), _controls(told, place))
    return (*(each(told, place, weights) for each in _REASONS), _controls(told, place))


def _missing(told: Told, place: int) -> str:
    inputs = told.construction.inputs
    positive = {
        "reference price": inputs.reference_price[place],
        "volatility": inputs.volatility[place],
        "the instrument's volatility": inputs.daily_volatility[place],
        "ATR": inputs.atr[place],
        "ADV": inputs.adv_usd[place],
    }
    numbers = {
        "confidence": inputs.confidence[place],
        "quantity held": inputs.held_quantity[place],
        "unscaled quantity": inputs.unscaled_quantity[place],
        "fee of a short": np.broadcast_to(inputs.short_fee, inputs.confidence.shape)[place],
    }
    shares = {"probability": inputs.calibrated_probability[place], "base rate": _read_base_rate(told, place)}
    bad = [f"{name} is {value:g}" for name, value in positive.items() if not (np.isfinite(value) and value > 0.0)]
    bad += [f"{name} is {value:g}" for name, value in numbers.items() if not np.isfinite(value)]
    bad += [f"{name} is {value:g}" for name, value in shares.items() if not 0.0 <= value <= 1.0]
    if not np.isfinite(inputs.covariance.specific[place]):
        bad.append("its returns are too few, or never change, for a covariance")
    if not inputs.evidence[place]:
        bad.append("too few outcomes are realised for a size")
    if inputs.equity_usd <= 0.0:
        bad.append(f"equity is {inputs.equity_usd:g}")
    return ", ".join(bad)


def _read_base_rate(told: Told, place: int) -> float:
    """The one the programme reads: one half where the premium is held."""
    inputs = told.construction.inputs
    return float(np.broadcast_to(inputs.base_rate, inputs.calibrated_probability.shape)[place])


def _mean(told: Told, place: int) -> float:
    return float(told.construction.programme.mean[place])


def _signal(told: Told, place: int, weights: FloatArray) -> str:
    inputs, settings = told.construction.inputs, told.construction.settings
    mean = _mean(told, place)
    side, blocked = int(np.sign(mean)), int(inputs.blocked_side[place])
    forecast = forecast_told(
        inputs.calibrated_probability[place],
        told.base_rate[place],
        told.premium_share[place],
        hold_premium=settings.hold_premium,
    )
    said = f"{forecast} says {_SIDES[side]}: {mean:.3%} over {inputs.horizon_sessions} sessions"
    if side != 0 and side == blocked:
        return f"{said}; a stop was hit on that side, and the signal has not left it"
    if side < 0 and not settings.allow_short:
        return f"{said}; the settings allow no shorts"
    if weights[0] * side < 0.0:
        return f"{said}, and what is held is on the other side"
    return said


def _edge(told: Told, place: int, weights: FloatArray) -> str:
    programme = told.construction.programme
    cost = programme.change_share * float(programme.cost.linear[place])
    mean = abs(_mean(told, place))
    said = f"{mean:.3%} beside {cost:.3%}, {programme.change_share:.0%} of what the first dollar of a change costs"
    if weights[1] != 0.0:
        return f"{said}; what is held has paid already"
    return f"{said}: {'worth opening' if mean > cost else 'opens nothing by itself'}"


def _kelly(told: Told, place: int, weights: FloatArray) -> str:
    programme = told.construction.programme
    variance = float(programme.covariance.variance[place])
    horizon = told.construction.inputs.horizon_sessions
    return (
        f"{programme.kelly_fraction:g} of {_mean(told, place):.3%} over a variance of {variance:.4%} "
        f"({np.sqrt(variance / horizon):.2%} a session): {weights[3]:.2%} if it were alone and free"
    )


def _risk(told: Told, place: int, weights: FloatArray) -> str:
    settings = told.construction.settings
    distance = float(told.construction.distance[place])
    full = " (used up)" if told.at_risk >= settings.risk_total_fraction - _NEAR else ""
    total = f"{told.at_risk:.2%} of {settings.risk_total_fraction:.1%}{full}"
    return (
        f"stop {distance:.2%} away: at most {settings.risk_per_signal_fraction / distance:.2%} for "
        f"{settings.risk_per_signal_fraction:.1%} at risk; {total} "
        f"at risk in total; leaves {weights[4]:.2%}"
    )


def _correlation(told: Told, place: int, weights: FloatArray) -> str:
    covariance = told.construction.programme.covariance
    own = float(covariance.specific[place] / covariance.variance[place])
    return (
        f"{own:.0%} of its variance is its own; what it shares with the book takes {weights[4]:.2%} to {weights[5]:.2%}"
    )


def _limits(told: Told, place: int, weights: FloatArray) -> str:
    limits = told.construction.programme.limits
    cap = float(max(limits.upper[place], -limits.lower[place]))
    used = [each.name for each in told.used_up if each.coefficient[place] != 0.0]
    shared = f"; used up: {', '.join(used)}" if used else "; no shared limit is used up"
    return f"at most {cap:.2%} by name, ADV and stop{shared}; {weights[5]:.2%} to {weights[6]:.2%}"


def _cost(told: Told, place: int, weights: FloatArray) -> str:
    construction = told.construction
    programme, solution = construction.programme, construction.solution
    if told.control is Control.HALTED:
        return f"halted: the unscaled book stays as it was, {weights[7]:.2%}"
    if not told.verdict_allows:
        return "no position: the verdict in force does not allow trading"
    if solution.fallback:
        return f"no answer ({solution.status}): nothing is opened or enlarged, {weights[0]:.2%} to {weights[7]:.2%}"
    change = np.where(np.arange(len(programme.start)) == place, weights[7] - weights[0], 0.0)
    if weights[7] == weights[0]:
        said = f"no change of a lot or more is worth its cost: {weights[0]:.2%} stays"
    else:
        paid = float(programme.cost.of(change)[place])
        counted = f"{programme.change_share:.0%} counted"
        said = f"{weights[0]:.2%} to {weights[7]:.2%} at a cost of {paid:.4%} of capital, {counted}"
    return f"{said}; over because it cannot be traded: {', '.join(solution.exceeded)}" if solution.exceeded else said


def _controls(told: Told, place: int) -> str:
    construction = told.construction
    return last_step(
        told.controls,
        told.control,
        told.scale,
        priced=bool(construction.inputs.priced[place]),
        held=construction.inputs.held_quantity[place],
        unscaled=construction.quantity[place],
        target=told.targets.quantity[place],
        lot_size=construction.settings.lot_size,
    )


_REASONS: tuple[Callable[[Told, int, FloatArray], str], ...] = (
    _signal,
    _edge,
    _kelly,
    _risk,
    _correlation,
    _limits,
    _cost,
)
