"""Why is it this size? The eight steps of a decision as sentences with numbers, and its frames."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from nn_assets.contracts import POSITION_STEPS, TARGET_POSITIONS, framed
from nn_assets.contracts.frames import PositionStepRows, TargetPositionRows
from nn_assets.learning.evidence import sessions_needed
from nn_assets.portfolio.binary_trace import binary_reasons
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.by_programme import trace_facts
from nn_assets.portfolio.construction_trace import step_reasons
from nn_assets.portfolio.fills import day_of
from nn_assets.portfolio.greeks import NOT_HOLDABLE
from nn_assets.portfolio.inputs import STEP_NAMES, Decision
from nn_assets.portfolio.premium import traded_probability
from nn_assets.portfolio.sentences import controls_in_force, forecast_text, held_on_reasons, last_step, novelty_text
from nn_assets.portfolio.stops import own_stop, stop_after_addition

_SIDES = {-1: "short", 0: "no side", 1: "long"}
_EVEN = 0.5


def _traded(decision: Decision, index: int) -> float:
    """The probability that a name is sized by."""
    inputs, only = decision.inputs, slice(index, index + 1)
    hold = decision.settings.hold_premium
    return float(traded_probability(inputs.calibrated_probability[only], inputs.base_rate[only], hold_premium=hold)[0])


def _forecast_text(decision: Decision, index: int) -> str:
    inputs, hold = decision.inputs, decision.settings.hold_premium
    p, rate = inputs.calibrated_probability[index], inputs.base_rate[index]
    return forecast_text(p, rate, decision.premium_share[index], hold_premium=hold)


def _signal(decision: Decision, index: int) -> str:
    inputs = decision.inputs
    if not decision.complete[index] or inputs.equity_usd <= 0.0:
        return f"no position: {_missing(decision, index)}"
    leaning, forecast = np.sign(_traded(decision, index) - _EVEN), _forecast_text(decision, index)
    blocked = int(inputs.blocked_side[index])
    if blocked != 0 and blocked == leaning:
        return f"no position: a stop was hit on the {_SIDES[blocked]} side, {forecast} is still on it"
    side = int(decision.direction[index])
    if side == 0 and leaning != 0.0:
        return f"no position: {forecast} says short, and the settings do not allow shorts"
    before = decision.weights[0, index]
    turned = " and closes what is held on the other side" if before * side < 0.0 else ""
    return (
        f"{forecast} says {_SIDES[side]}{turned}; mean win {inputs.mean_win[index]:.3%}, "
        f"mean loss {inputs.mean_loss[index]:.3%} over {inputs.outcomes[index]} independent outcomes"
    )


def _missing(decision: Decision, index: int) -> str:
    inputs = decision.inputs
    positive = {
        "reference price": inputs.reference_price[index],
        "ATR": inputs.atr[index],
        "volatility": inputs.daily_volatility[index],
        "ADV": inputs.adv_usd[index],
    }
    numbers = {
        "confidence": inputs.confidence[index],
        "quantity held": inputs.current_quantity[index],
        "unscaled quantity": inputs.start_quantity[index],
    }
    bad = [f"{name} is {value:g}" for name, value in positive.items() if not (np.isfinite(value) and value > 0.0)]
    bad += [f"{name} is {value:g}" for name, value in numbers.items() if not np.isfinite(value)]
    if inputs.equity_usd <= 0.0:
        bad.append(f"equity is {inputs.equity_usd:g}")
    shares = {"probability": inputs.calibrated_probability[index], "base rate": inputs.base_rate[index]}
    if decision.settings.hold_premium:
        del shares["base rate"]
    bad += [f"{name} is {value:g}" for name, value in shares.items() if not 0.0 <= value <= 1.0]
    if not inputs.holdable(decision.settings)[index]:
        bad.append(NOT_HOLDABLE)
    share = float(np.isfinite(inputs.trailing_returns[:, index]).mean())
    return ", ".join(bad) or f"only {share:.0%} of the trailing returns are there"


def _edge(decision: Decision, index: int) -> str:
    horizon = decision.inputs.horizon_sessions
    win, loss = decision.inputs.mean_win[index], decision.inputs.mean_loss[index]
    if not (win > 0.0 and loss > 0.0):
        return f"no size: mean win is {win:g}, mean loss {loss:g}"
    kept, opened = decision.edge_kept[index] * horizon, decision.edge_opened[index] * horizon
    cost = decision.round_trip_cost[index]
    verb = "worth opening" if opened > 0.0 else "opens nothing"
    factor = novelty_text(float(np.broadcast_to(decision.inputs.novelty, decision.direction.shape)[index]))
    return (
        f"edge {kept:.4%} over {horizon} sessions at confidence {decision.inputs.confidence[index]:.3f}{factor}, "
        f"{opened:.4%} after a round trip of {cost:.4%}, at the size considered: {verb}"
    )


def _kelly(decision: Decision, index: int) -> str:
    minimum, count = decision.settings.minimum_outcomes, int(decision.inputs.outcomes[index])
    if count < minimum:
        return f"no size: realised out-of-sample outcomes are worth {count} independent ones, {minimum} are needed"
    if not decision.inputs.evidence[index]:
        sessions, needed = decision.inputs.outcome_sessions[index], sessions_needed(decision.inputs.horizon_sessions)
        return f"no size: {sessions} sessions have realised outcomes, {needed} are needed"
    size = abs(decision.weights[3, index])
    return f"{decision.settings.kelly_fraction:g} of Kelly allows {size:.2%} of capital"


def _risk(decision: Decision, index: int) -> str:
    settings = decision.settings
    distance = decision.risk_distance[index]
    added = decision.stop_distance[index] / decision.inputs.reference_price[index]
    which = f"{settings.stop_atr_multiple:g} x ATR" if distance <= added else "the price of what is held"
    return (
        f"stop at {which}, {distance:.2%} away: at most "
        f"{settings.risk_per_signal_fraction / distance:.2%} for {settings.risk_per_signal_fraction:.1%} "
        f"at risk, {settings.risk_total_fraction:.1%} at risk in total"
    )


def _correlation(decision: Decision, index: int) -> str:
    volatility, overlap = decision.inputs.daily_volatility[index], decision.overlap[index]
    if not np.isfinite(decision.inputs.edge_scale):
        return "no size: the strategy's usual volatility, or its mean win and loss, are not known"
    usual = f"{decision.inputs.edge_scale:.3g} x edge / volatility {volatility:.2%}"
    return (
        f"at most {usual} x (1 - {max(overlap, 0.0):.2f}): it equals {decision.settings.kelly_fraction:g} of Kelly at "
        f"the strategy's usual volatility; {overlap:+.2f} is the correlation, on its side, with the rest of the book"
    )


def _limits(decision: Decision, index: int) -> str:
    settings = decision.settings
    adv = settings.adv_limit_fraction * decision.inputs.adv_usd[index]
    over = decision.answer.exceeded
    text = (
        f"single name {settings.single_name_limit:.0%}, {settings.adv_limit_fraction:.1%} of ADV = "
        f"{adv:,.0f} USD, sector {settings.sector_limit:.0%}, gross {settings.gross_limit:.0%}, "
        f"net {settings.net_limit:.0%}, beta {settings.beta_limit:g}"
    )
    if settings.greeks is not None:
        text += "".join(f", {name} {limit:g} of equity" for name, limit in settings.greeks.limits.items())
    return f"{text}; over because it cannot be traded: {', '.join(over)}" if over else text


def _cost(decision: Decision, index: int) -> str:
    if decision.control is Control.HALTED:
        return "halted: the unscaled book stays as it was"
    if not decision.inputs.verdict_allows:
        return "no position: the verdict in force does not allow trading"
    if decision.answer.no_answer is not None:
        return f"no answer ({decision.answer.no_answer}): nothing is opened or enlarged"
    before, after = decision.weights[0, index], decision.weights[7, index]
    if decision.not_worth[index]:
        return f"the change is worth less than its cost: {before:.2%} stays"
    return f"from {before:.2%} to {after:.2%}, unscaled"


def _controls(decision: Decision, index: int) -> str:
    inputs = decision.inputs
    return last_step(
        controls_in_force(inputs, decision.settings),
        decision.control,
        decision.scale,
        priced=bool(inputs.priced[index]),
        held=inputs.current_quantity[index],
        unscaled=decision.unscaled_quantity[index],
        target=decision.target_quantity[index],
        lot_size=decision.settings.lot_size,
    )


_REASONS: tuple[Callable[[Decision, int], str], ...] = (
    _signal,
    _edge,
    _kelly,
    _risk,
    _correlation,
    _limits,
    _cost,
    _controls,
)


def reason(decision: Decision, step: int, index: int) -> str:
    """Return why a step (1 to 8) did what it did to the instrument at ``index``."""
    if step < 7 and decision.held_on is not None and decision.held_on[index]:
        return held_on_reasons(_missing(decision, index), decision.weights[:, index])[step - 1]
    idle = decision.weights[step - 1, index] == 0.0 == decision.weights[step, index]
    if idle and (step in (4, 5, 6) or (step in (2, 3) and decision.direction[index] == 0)):
        return "nothing proposed"
    return _REASONS[step - 1](decision, index)


def _traced(decision: Decision) -> tuple[np.ndarray, list[tuple[str, ...]]]:
    """Weights of the trace, (9, symbols), and eight sentences for each symbol."""
    symbols, steps = len(decision.inputs.symbols), range(1, len(STEP_NAMES) + 1)
    binary = decision.inputs.binary
    if binary is not None:
        return decision.weights, [binary_reasons(decision, binary, index) for index in range(symbols)]
    if decision.settings.construction != "programme":
        reasons = [tuple(reason(decision, step, index) for step in steps) for index in range(symbols)]
        return decision.weights, reasons
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        trace = trace_facts(decision)
        return trace.weights, [step_reasons(trace, index) for index in range(symbols)]


def steps_frame(decision: Decision) -> PositionStepRows:
    """Return the trace in the position_steps columns, eight rows per symbol in symbol order.

    Weights are signed fractions of capital; step 1 starts from the unscaled weight of the session before, step 7
    ends at this session's, step 8 at the weight of the rounded target.
    """
    symbols, steps = decision.inputs.symbols, range(1, len(STEP_NAMES) + 1)
    rows = [(index, step) for index in range(len(symbols)) for step in steps]
    weights, reasons = _traced(decision)
    return framed(
        POSITION_STEPS,
        len(rows),
        symbol=[symbols[index] for index, _ in rows],
        session=day_of(decision.inputs.session),
        step=[step for _, step in rows],
        rule=[STEP_NAMES[step - 1] for _, step in rows],
        weight_before=[weights[step - 1, index] for index, step in rows],
        weight_after=[weights[step, index] for index, step in rows],
        reason=[reasons[index][step - 1] for index, step in rows],
    )


def targets_frame(
    decision: Decision, *, stop_price: np.ndarray, reference_at: pd.Timestamp, known_at: pd.Timestamp
) -> TargetPositionRows:
    """Return the targets in the target_positions columns, one row per symbol.

    Parameters
    ----------
    stop_price : ndarray, shape (symbols,)
        Stops of the positions held (from the book). Where the target opens a position, changes its
        side or adds to it, the stop stated is the one it would have at the reference price; the book
        fixes it at the fill price. NaN for a target of zero.
    reference_at, known_at : Timestamp
        UTC moments of the reference price and of the decision.
    """
    inputs = decision.inputs
    side, held = np.sign(decision.target_quantity), inputs.current_quantity
    added = decision.target_quantity - held
    own = own_stop(side, inputs.reference_price, decision.stop_distance)
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = stop_after_addition(held, stop_price, added, own)
    kept = np.where(side * added > 0.0, moved, stop_price)
    stop = np.where(side != np.sign(held), own, kept)
    return framed(
        TARGET_POSITIONS,
        len(inputs.symbols),
        symbol=inputs.symbols,
        session=day_of(inputs.session),
        reference_price=inputs.reference_price,
        reference_at=reference_at,
        current_quantity=inputs.current_quantity,
        target_quantity=decision.target_quantity,
        target_weight=decision.target_weight,
        stop_price=np.where((side != 0.0) & (stop > 0.0), stop, np.nan),
        known_at=known_at,
    )
