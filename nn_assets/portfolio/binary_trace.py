"""Why is it this stake? The eight steps of a decision on binary contracts, as sentences with numbers."""

from __future__ import annotations

import numpy as np

from nn_assets.learning.evidence import sessions_needed
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.inputs import BinaryFacts, Decision
from nn_assets.portfolio.sentences import controls_in_force, last_step

_SIDES = {-1: "no", 0: "no side", 1: "yes"}


def binary_reasons(decision: Decision, facts: BinaryFacts, index: int) -> tuple[str, ...]:
    """Return why each step did what it did to the contract at ``index``, eight sentences."""
    stays = decision.held_on is not None and bool(decision.held_on[index])
    if stays:
        held = f"{abs(decision.weights[0, index]):.2%} stays as it is: {_why_it_stays(decision, facts, index)}"
        first: tuple[str, ...] = (held, *["nothing proposed"] * 4)
    else:
        first = (
            _signal(decision, index),
            _edge(decision, index),
            _kelly(decision, facts, index),
            _risk(decision),
            "sized with the outcomes of its event; other events count as independent",
        )
    return (*first, _limits(decision, facts, index), _change(decision, index), _controls(decision, index))


def _why_it_stays(decision: Decision, facts: BinaryFacts, index: int) -> str:
    if facts.overdue[index]:
        return "its settlement is missing, so that nothing is added until it is stated"
    if decision.inputs.reference_price[index] >= 1.0:
        return "at a price of 1 there is nothing to gain by a purchase"
    if decision.complete[index]:
        return (
            f"the bids of event {facts.events[index] or decision.inputs.symbols[index]} come to 1 or more: prices are "
            "stale, or its outcomes do not exclude each other"
        )
    return "a stated halt lies within what is read"


def _signal(decision: Decision, index: int) -> str:
    inputs = decision.inputs
    if not decision.complete[index]:
        return f"no position: {_missing(decision, index)}"
    p, price = inputs.calibrated_probability[index], inputs.reference_price[index]
    side = int(np.sign(p - price))
    return f"p {p:.4f} of settling at 1 beside a price of {price:.4f} says {_SIDES[side]}"


def _missing(decision: Decision, index: int) -> str:
    inputs = decision.inputs
    price, p = inputs.reference_price[index], inputs.calibrated_probability[index]
    bad = []
    if not (np.isfinite(price) and 0.0 < price < 1.0):
        bad.append(f"price is {price:g}")
    if not 0.0 <= p <= 1.0:
        bad.append(f"probability is {p:g}")
    numbers = {"ADV": inputs.adv_usd[index], "volatility": inputs.priced_volatility[index]}
    numbers |= {"confidence": inputs.confidence[index], "quantity held": inputs.current_quantity[index]}
    bad += [f"{name} is {value:g}" for name, value in numbers.items() if not np.isfinite(value)]
    return ", ".join(bad) or "ADV is 0"


def _edge(decision: Decision, index: int) -> str:
    horizon = decision.inputs.horizon_sessions
    edge, after = decision.edge_kept[index] * horizon, decision.edge_opened[index] * horizon
    return (
        f"edge {edge:.2%} of the stake at confidence {decision.inputs.confidence[index]:.3f} and a record worth "
        f"{int(decision.inputs.outcomes[index])} outcomes beside {decision.settings.shrink_prior_outcomes:g} at the "
        f"price, {after:.2%} after "
        f"{decision.round_trip_cost[index]:.2%} of costs of the purchase; a settlement costs nothing"
    )


def _kelly(decision: Decision, facts: BinaryFacts, index: int) -> str:
    inputs, settings = decision.inputs, decision.settings
    count = int(inputs.outcomes[index])
    if count < settings.minimum_outcomes:
        return (
            f"no size: realised out-of-sample outcomes are worth {count} independent ones, "
            f"{settings.minimum_outcomes} are needed"
        )
    if not inputs.evidence[index]:
        needed = sessions_needed(inputs.horizon_sessions)
        return f"no size: {inputs.outcome_sessions[index]} sessions have realised outcomes, {needed} are needed"
    event = f" beside the other outcomes of {facts.events[index]}" if facts.events[index] else ""
    return f"{settings.kelly_fraction:g} of Kelly{event}: a stake of {abs(decision.weights[3, index]):.2%} of capital"


def _risk(decision: Decision) -> str:
    settings = decision.settings
    return (
        f"the whole stake is at risk, no stop rests: at most {settings.risk_per_signal_fraction:.1%} on one contract, "
        f"{settings.risk_total_fraction:.1%} in total"
    )


def _limits(decision: Decision, facts: BinaryFacts, index: int) -> str:
    settings = decision.settings
    event = f", event {facts.events[index]} {settings.sector_limit:.0%}" if facts.events[index] else ""
    text = (
        f"single name {settings.single_name_limit:.0%}, {settings.adv_limit_fraction:.1%} of the contracts traded a "
        f"day{event}, stakes together {settings.gross_limit:.0%}"
    )
    over = decision.answer.exceeded
    return f"{text}; over because it cannot be traded: {', '.join(over)}" if over else text


def _change(decision: Decision, index: int) -> str:
    if decision.control is Control.HALTED:
        return "halted: the unscaled book stays as it was"
    if not decision.inputs.verdict_allows:
        return "no position: the verdict in force does not allow trading"
    if decision.answer.no_answer is not None:
        return f"no answer ({decision.answer.no_answer}): nothing is opened or enlarged"
    before, after = decision.weights[0, index], decision.weights[7, index]
    return f"from {before:+.2%} to {after:+.2%} at stake (no is negative), unscaled"


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
