"""Sentences that the traces of both constructions share: the forecast of step 1, the controls and lots of step 8."""

from __future__ import annotations

from nn_assets.arrays import FloatArray
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.inputs import DecisionInputs
from nn_assets.portfolio.near_capacity import capacity_scale
from nn_assets.settings import PortfolioSettings


def forecast_text(probability: float, base_rate: float, premium_share: float, *, hold_premium: bool) -> str:
    """Return a forecast beside its base rate, and where the premium is held what share of the return it is."""
    text = f"p {probability:.4f} beside a base rate of {base_rate:.4f}"
    return f"{text}, whose premium is held ({premium_share:.0%} of what is expected)," if hold_premium else text


def novelty_text(factor: float) -> str:
    """Return what novelty leaves of a name's confidence; nothing where it leaves all."""
    return f", at a novelty factor of {factor:.3f}" if factor < 1.0 else ""


def controls_in_force(inputs: DecisionInputs, settings: PortfolioSettings) -> str:
    """Return the controls of a decision: drift state, breaker, kill switch, drawdown, regime, and capacity if asked."""
    return (
        f"drift state {inputs.trading_state}, breaker {' and '.join(inputs.breakers) or 'none'}, "
        f"kill switch {inputs.kill_switch}, "
        f"{'the account differs from its books, ' if inputs.account_differs else ''}"
        f"drawdown {inputs.drawdown_fraction:.2%} of {settings.drawdown_limit_fraction:.0%}, "
        f"regime {inputs.regime_scale:g}"
        f"{_of_capacity(inputs, settings)}"
    )


def _of_capacity(inputs: DecisionInputs, settings: PortfolioSettings) -> str:
    """What the estimated capacity leaves of sizes; nothing where the settings do not ask for it."""
    share, capacity = settings.capacity_share, inputs.capacity_usd
    if share is None:
        return ""
    if capacity is None:
        return ", capacity 1 (none estimated, or beyond what was replayed)"
    scale = capacity_scale(inputs.assets_usd, capacity, share)
    return f", capacity {scale:g} (assets {inputs.assets_usd:,.0f} of at most {share:.0%} of {capacity:,.0f} USD)"


def held_on_reasons(missing: str, weights: FloatArray) -> tuple[str, ...]:
    """Return the reasons of steps 1 to 6 for a name that is held on after a halt, given its weights after each."""
    stays = f"{weights[0]:.2%} is held on: nothing is proposed"
    cut = weights[6] != weights[0]
    limits = f"{weights[0]:.2%} to {weights[6]:.2%} by limits" if cut else f"{weights[0]:.2%} stays"
    return (f"held on: a stated halt lies within what is read, so {missing}", *[stays] * 4, limits)


def last_step(
    in_force: str,
    control: Control,
    scale: float,
    *,
    priced: bool,
    held: float,
    unscaled: float,
    target: float,
    lot_size: float,
) -> str:
    """Return why the target of a name is what it is, given its unscaled quantity; quantities in shares."""
    if control is Control.HALTED:
        return f"HALTED ({in_force}): no order leaves, {held:g} stay"
    if not priced:
        return f"no price, so no order: {held:g} stay"
    return (
        f"{control.name}, scale {scale:g} ({in_force}): {scale:g} x {unscaled:.6g} rounded towards "
        f"zero to lots of {lot_size:g} and kept neutral is {target:g}; {held:g} held"
    )
