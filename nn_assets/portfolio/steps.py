"""The parts of the eight steps: what each proposes, bounds or leaves out, over (symbols,)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray, IntArray
from nn_assets.costs.model import CostModel
from nn_assets.portfolio.breakers import (
    Control,
    breaker_control,
    halved_by_drawdown,
    kill_switch_control,
    strictest,
    trading_state_control,
)
from nn_assets.portfolio.correlation import correlation_with_rest, equal_risk
from nn_assets.portfolio.inputs import DecisionInputs, held_on
from nn_assets.portfolio.kelly import affordable_size, expected_return, kelly_sizes, shrunk_probability
from nn_assets.portfolio.limits import name_cap
from nn_assets.portfolio.near_capacity import capacity_scale
from nn_assets.portfolio.premium import traded_probability
from nn_assets.portfolio.targets import whole_targets
from nn_assets.settings import PortfolioSettings

_COIN_TOSS = 0.5
_PRESENT_SHARE = 0.5
_LARGEST = np.finfo(np.float64).max
_HALF = 0.5


@dataclass(frozen=True, eq=False)
class Zone:
    """The sizes between which nothing is traded, (symbols,): worth opening up to, and worth keeping up to."""

    opened: FloatArray
    keepable: FloatArray

    def nearest_to(self, kept: FloatArray) -> FloatArray:
        """A size before, moved to the nearer end."""
        return np.minimum(np.maximum(kept, self.opened), np.maximum(self.keepable, self.opened))


@dataclass(frozen=True, eq=False)
class Proposal:
    """What steps 1 to 3 make of the signals; arrays of shape (symbols,)."""

    direction: IntArray
    complete: BoolArray  # every input is there
    start: FloatArray  # signed weight of the unscaled book before
    kept: FloatArray  # its size on the signal's own side
    gross_edge: FloatArray  # over the horizon, before costs, times confidence; 0 without a side
    cost: FloatArray  # of a round trip of the size considered, fraction
    zone: Zone  # of Kelly: step 3
    stays: Zone  # the same, with what is not worth selling: step 7
    cap: FloatArray  # step 4 and the name's part of 6: largest size by itself
    horizon_sessions: int
    held_on: BoolArray | None = None  # missing facts because of a halt: what is held stays; None: no halt is known

    @property
    def edge_kept(self) -> FloatArray:
        """Edge per session before costs: what is held has paid already, (symbols,)."""
        return self.gross_edge / self.horizon_sessions

    @property
    def edge_opened(self) -> FloatArray:
        """Edge per session after the round trip of the size considered, (symbols,)."""
        return np.where(self.gross_edge == 0.0, 0.0, (self.gross_edge - self.cost) / self.horizon_sessions)


def weight_of(quantity: FloatArray, inputs: DecisionInputs) -> FloatArray:
    """Return the weight of a quantity at the reference price; 0 without a price or without equity."""
    if inputs.equity_usd <= 0.0:
        return np.zeros(len(inputs.symbols))
    return np.where(inputs.priced, np.nan_to_num(quantity * inputs.reference_price / inputs.equity_usd), 0.0)


def _complete(inputs: DecisionInputs, traded: FloatArray) -> BoolArray:
    complete = np.isfinite(inputs.confidence) & (traded >= 0.0) & (traded <= 1.0)
    for fact in (inputs.reference_price, inputs.atr, inputs.daily_volatility, inputs.adv_usd):
        complete &= np.isfinite(fact) & (fact > 0.0)
    present = np.isfinite(inputs.trailing_returns).mean(axis=0) >= _PRESENT_SHARE
    has_all: BoolArray = complete & present & np.isfinite(inputs.current_quantity) & np.isfinite(inputs.start_quantity)
    return has_all


def propose(inputs: DecisionInputs, settings: PortfolioSettings, costs: CostModel, distance: FloatArray) -> Proposal:
    """Take steps 1 to 3: side, edge, and the fraction of Kelly that is worth its own round trip.

    The size before, on the signal's side, is moved to the nearer end of the no-trade zone, which runs from the
    Kelly weight after a round trip of that very size (worth opening up to) to the one without cost (worth keeping).

    Parameters
    ----------
    distance : ndarray, shape (symbols,)
        By which risk is measured, fraction of price.
    """
    traded = traded_probability(inputs.calibrated_probability, inputs.base_rate, hold_premium=settings.hold_premium)
    holdable = inputs.holdable(settings)
    complete = _complete(inputs, traded) & holdable
    probability = np.where(complete, traded, _COIN_TOSS)
    side = np.sign(probability - _COIN_TOSS).astype(np.int64)
    side = np.where(side == inputs.blocked_side, 0, side)
    start = weight_of(inputs.start_quantity, inputs)
    proven = enough_evidence(inputs, settings)
    stays_held = held_on(inputs, complete, proven) & holdable
    side = np.where(stays_held & (np.sign(start) != inputs.blocked_side), np.sign(start).astype(np.int64), side)
    if not settings.allow_short:
        side = np.maximum(side, 0)
    kept = np.where(np.sign(start) == side, np.abs(start), 0.0)
    win, loss = inputs.mean_win, inputs.mean_loss
    of_side = np.maximum(probability, 1.0 - probability)
    believed = shrunk_probability(of_side, win, loss, np.clip(inputs.confidence, 0.0, 1.0))
    gross = expected_return(believed, win, loss)
    usable = (side != 0) & ~stays_held & np.isfinite(gross) & (win > 0.0) & (loss > 0.0)

    fraction_of_kelly = kelly_sizes(believed, win, loss, settings.kelly_fraction, usable)
    trip = round_trip(inputs, costs)
    opened = np.where(proven, affordable_size(fraction_of_kelly, trip), 0.0)
    keepable = np.where(proven, fraction_of_kelly(np.zeros(1)), 0.0)
    most = name_cap(inputs.adv_usd, max(inputs.equity_usd, 0.0), distance, settings)
    cap = np.where(complete | stays_held, most, 0.0)
    unsold = _not_worth(gross, _first_dollar(inputs, costs))
    return Proposal(
        direction=side,
        complete=complete,
        start=start,
        kept=kept,
        gross_edge=np.where(usable, gross, 0.0),
        cost=trip(np.minimum(opened, cap)),
        zone=Zone(opened, np.where(stays_held, np.inf, keepable)),
        stays=Zone(opened, np.where(stays_held | (proven & usable & unsold), np.inf, keepable)),
        cap=cap,
        horizon_sessions=inputs.horizon_sessions,
        held_on=None if inputs.since_halt is None else stays_held,
    )


def _not_worth(gross_edge: FloatArray, first_dollar: float) -> BoolArray:
    """Step 7: names of which no dollar above Kelly is worth selling, (symbols,).

    A dollar sold is worth its edge over the horizon at most, and is weighed against spread and commission: with
    impact, a more volatile name would be kept larger for being dearer to sell. What steps 4 to 6 take off is never
    weighed, nor is leaving a side that the signal has left. An addition has paid its round trip in step 3.
    """
    return (gross_edge > 0.0) & (gross_edge <= first_dollar)


def _first_dollar(inputs: DecisionInputs, costs: CostModel) -> float:
    """Spread and commission of step 7: one figure for all names, at their median volatility where it widens spreads."""
    known = inputs.priced_volatility[np.isfinite(inputs.priced_volatility)]
    return costs.linear(float(np.median(known)) if costs.spread_volatility is not None and known.size else 0.0)


def round_trip(inputs: DecisionInputs, costs: CostModel) -> Callable[[FloatArray], FloatArray]:
    """Return what buying and selling a size costs, fraction of it, by size (fraction of capital), (symbols,)."""
    whole = costs.parts(
        np.full(len(inputs.symbols), max(inputs.equity_usd, 0.0)), inputs.adv_usd, inputs.priced_volatility
    )
    linear = whole.half_spread + whole.commission
    return lambda size: 2.0 * (linear + whole.temporary * np.sqrt(size) + whole.permanent * size)


def enough_evidence(inputs: DecisionInputs, settings: PortfolioSettings) -> BoolArray:
    """Names whose record is long enough, and worth enough independent outcomes, for any size."""
    return (inputs.outcomes >= settings.minimum_outcomes) & inputs.evidence


def edge_zone(inputs: DecisionInputs, costs: CostModel, proposal: Proposal, overlap: FloatArray) -> Zone:
    """Step 5: s x edge / volatility x (1 - max(0, rho x side)), sizes (symbols,).

    The edge of what is opened is the one after the round trip of this very size, that of what is kept the one
    before costs.

    Parameters
    ----------
    overlap : ndarray, shape (symbols,)
        rho x side: correlation of the name, on its side, with the rest of the book.
    """
    scale = inputs.edge_scale * (1.0 - np.maximum(overlap, 0.0)) / inputs.daily_volatility
    edged = proposal.gross_edge > 0.0
    unbound = np.zeros(len(edged), dtype=np.bool_) if proposal.held_on is None else proposal.held_on

    def bound(cost: FloatArray) -> FloatArray:
        edge = np.maximum(proposal.gross_edge - cost, 0.0) / inputs.horizon_sessions
        # As np.nan_to_num, in a tenth of its time: a size is asked for a hundred times a session.
        return np.where(edged, np.minimum(np.fmax(edge * scale, 0.0), _LARGEST), 0.0)

    keepable = bound(np.zeros(1))
    return Zone(affordable_size(bound, round_trip(inputs, costs)), np.where(unbound, np.inf, keepable))


def overlap_with_rest(inputs: DecisionInputs, direction: IntArray, weights: FloatArray) -> FloatArray:
    """Correlation of each name, on its side, with the rest of the book, (symbols,).

    The rest is every other name that step 3 gives a size, and what is held without a price, each at the same risk:
    the sizes of the others must not depend on the volatility of one.
    """
    side = np.where(direction != 0, direction, np.sign(inputs.stuck_weight))
    signed = inputs.trailing_returns * side
    return correlation_with_rest(signed, equal_risk(signed, (weights != 0.0) | (inputs.stuck_weight != 0.0)))


def controls(inputs: DecisionInputs, settings: PortfolioSettings) -> tuple[Control, float]:
    """Step 8: the strictest control, and the product of the scales that are in force.

    A regime scale that is missing or below zero is zero; one above one is one. A pause that holds halves.
    """
    state, breaker = trading_state_control(inputs.trading_state, settings), breaker_control(inputs.breakers, settings)
    regime = inputs.regime_scale
    scale = min(regime, 1.0) if regime >= 0.0 else 0.0
    if halved_by_drawdown(inputs.drawdown_fraction, settings, was_halved=inputs.was_halved):
        scale *= _HALF
    if state is Control.REDUCED or Control.REDUCING in (state, breaker):
        scale *= _HALF
    scale *= capacity_scale(inputs.assets_usd, inputs.capacity_usd, settings.capacity_share)
    at_the_end = Control.FLAT if inputs.closes_session else Control.NORMAL
    account = Control.REDUCING if inputs.account_differs else Control.NORMAL
    return strictest(state, breaker, kill_switch_control(inputs.kill_switch), at_the_end, account), scale


def without_answer(control: Control, no_answer: str | None) -> Control:
    """Step 8 where the solver had no answer: no position is opened or enlarged.

    The book before may be larger than what is held: a scale that was lifted, a session that was flat.
    """
    return control if no_answer is None else strictest(control, Control.REDUCING)


def unscaled_quantity(inputs: DecisionInputs, start: FloatArray, weights: FloatArray) -> FloatArray:
    """The unscaled book in shares: to the digit the one before where the weight did not change or has no price."""
    moved = weights * max(inputs.equity_usd, 0.0) / inputs.reference_price
    moved = np.where(np.isfinite(moved), moved, 0.0)
    stays = (weights == start) & ((weights != 0.0) | ~inputs.priced)
    return np.where(stays, np.nan_to_num(inputs.start_quantity), moved) + 0.0


def targets(
    inputs: DecisionInputs,
    settings: PortfolioSettings,
    unscaled: FloatArray,
    worth_keeping: FloatArray,
    control: Control,
    scale: float,
    stays_held: BoolArray | None = None,
) -> FloatArray:
    """Step 8: what controls and whole lots leave of the unscaled book, shares, (symbols,).

    Parameters
    ----------
    unscaled : ndarray, shape (symbols,)
        Shares of the book before the controls.
    worth_keeping : ndarray, shape (symbols,)
        As :func:`~nn_assets.portfolio.targets.whole_targets` takes it.
    scale : float
        The product of the scales in force, 0..1.
    stays_held : ndarray of bool, shape (symbols,), optional
        ``held_on`` as :func:`~nn_assets.portfolio.targets.whole_targets` takes it.
    """
    return whole_targets(
        unscaled,
        np.nan_to_num(inputs.start_quantity),
        inputs.current_quantity,
        control,
        scale,
        settings,
        priced=inputs.priced,
        price=inputs.reference_price,
        worth_keeping=worth_keeping,
        equity_usd=inputs.equity_usd,
        stuck_usd=float(inputs.stuck_weight.sum()) * inputs.equity_usd,
        held_on=stays_held,
    )
