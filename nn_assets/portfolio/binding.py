"""What bound each size: the constraint that took the most off it, by name, and the step that it acts in."""

from __future__ import annotations

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.portfolio.breakers import (
    Control,
    breaker_control,
    halved_by_drawdown,
    kill_switch_control,
    trading_state_control,
)
from nn_assets.portfolio.inputs import STEP_NAMES, Decision
from nn_assets.portfolio.limits import book_limits
from nn_assets.portfolio.near_capacity import capacity_scale

_SIGNAL, _FIRST_CUT = 1, 4  # steps 1 to 3 propose a size, the others cut it
_BARELY = 0.99  # of a size: a cut above it bound nothing
_NEAR = 1e-6  # of a limit
_LIMITS, _COST, _CONTROLS, _RISK = (STEP_NAMES.index(rule) + 1 for rule in ("limits", "cost", "controls", "risk"))


def binding_constraints(decision: Decision, after: FloatArray) -> tuple[tuple[str, int | None], ...]:
    """Name what bound the size of each symbol, with the step (1 to 8) whose reason explains it.

    Parameters
    ----------
    decision : Decision
    after : ndarray, shape (8, symbols)
        Signed weights after each step, as its trace has them.

    Returns
    -------
    tuple of (str, int or None)
        "single name", "ADV", "net, gross", "kill switch HALTED" and so on; "edge" where nothing was proposed, which is
        of no one step, and "nothing" where the size is the one proposed or a larger one that stays.
    """
    return tuple(_of_name(decision, after, index) for index in range(after.shape[1]))


def _of_name(decision: Decision, after: FloatArray, index: int) -> tuple[str, int | None]:
    if decision.control is Control.HALTED:
        return _controls(decision), _CONTROLS
    held_on = decision.held_on is not None and bool(decision.held_on[index])
    if not decision.complete[index] and not held_on:
        return "a missing fact", _SIGNAL
    if not decision.inputs.verdict_allows:
        return "verdict", _COST
    size = np.abs(after[:, index])
    if size[_FIRST_CUT - 2] == 0.0 and size[-1] == 0.0:
        return "edge", None
    before, cut = size[_FIRST_CUT - 2 : -1], size[_FIRST_CUT - 1 :]
    share = np.divide(cut, before, out=np.ones(len(cut)), where=before > 0.0)
    if share.min() >= _BARELY:
        raised = np.flatnonzero(cut * _BARELY > before)
        return "nothing", int(raised[-1]) + _FIRST_CUT if raised.size else _FIRST_CUT - 1
    step = int(share.argmin()) + _FIRST_CUT
    return _of_step(decision, after, index, step), step


def _of_step(decision: Decision, after: FloatArray, index: int, step: int) -> str:
    if step == _RISK:
        return ", ".join(_risks(decision, after[_RISK - 1], index)) or "risk"
    if step == _LIMITS:
        return ", ".join(_limits(decision, after[_LIMITS - 1], index)) or "limits"
    if step == _COST:
        return "no answer of the solver" if decision.answer.no_answer else "cost"
    return _controls(decision) if step == _CONTROLS else STEP_NAMES[step - 1]


def _risks(decision: Decision, weights: FloatArray, index: int) -> list[str]:
    distance = np.nan_to_num(decision.risk_distance)
    total = float(np.abs(weights) @ distance)
    alone = float(abs(weights[index]) * distance[index])
    settings = decision.settings
    named = ["risk of the signal"] if alone >= settings.risk_per_signal_fraction * (1.0 - _NEAR) else []
    return named + (["risk in total"] if total >= settings.risk_total_fraction * (1.0 - _NEAR) else [])


def _limits(decision: Decision, weights: FloatArray, index: int) -> list[str]:
    """The limits that a book uses up and a name has a part in: the name's own first, then those it shares."""
    inputs, settings = decision.inputs, decision.settings
    size, count = abs(weights[index]), len(weights)
    own = {
        "single name": settings.single_name_limit,
        "ADV": settings.adv_limit_fraction * inputs.adv_usd[index] / inputs.equity_usd,
        "risk of the signal": settings.risk_per_signal_fraction / decision.risk_distance[index],
    }
    named = [name for name, limit in own.items() if size >= limit * (1.0 - _NEAR)]
    shared = book_limits(
        inputs.symbols,
        settings,
        lower=np.full(count, -np.inf),
        upper=np.full(count, np.inf),
        reach=np.full(count, np.inf),
        distance=decision.risk_distance,
        market_beta=inputs.beta,
        equity_usd=inputs.equity_usd,
        groups=inputs.groups,
        greeks=inputs.greeks_per_dollar(settings),
    )
    sums = [(shared_limit, float(shared_limit.coefficient @ np.abs(weights))) for shared_limit in shared.sizes]
    sums += [(shared_limit, abs(float(shared_limit.coefficient @ weights))) for shared_limit in shared.nets]
    return named + [
        shared_limit.name
        for shared_limit, total in sums
        if shared_limit.coefficient[index] != 0.0 and total >= shared_limit.limit * (1.0 - _NEAR)
    ]


def _controls(decision: Decision) -> str:
    """The controls that act on the sizes; what is left is rounding."""
    inputs, settings = decision.inputs, decision.settings
    named = [f"kill switch {inputs.kill_switch}"] if kill_switch_control(inputs.kill_switch) else []
    named += ["the account differs from its books"] if inputs.account_differs else []
    named += [f"breaker {kind}" for kind in inputs.breakers if breaker_control([kind], settings)]
    if trading_state_control(inputs.trading_state, settings):
        named.append(f"drift {inputs.trading_state}")
    if inputs.closes_session:
        named.append("the session's end")
    if halved_by_drawdown(inputs.drawdown_fraction, settings, was_halved=inputs.was_halved):
        named.append("drawdown")
    if not inputs.regime_scale >= 1.0:
        named.append("regime")
    if capacity_scale(inputs.assets_usd, inputs.capacity_usd, settings.capacity_share) < 1.0:
        named.append("assets near capacity")
    return ", ".join(named) or "lots"
