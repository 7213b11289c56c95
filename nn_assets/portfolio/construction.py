"""The construction ``programme``: the facts of a session and the unscaled book before, made into the one after.

Eight steps tell why a size is what it is. 1 to 3 are closed forms; 4 to 7 solve the programme again, each with one
more group of constraints, the last one being the decision itself; 8 is controls and lots. A replay leaves the steps
out and gets the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray, IntArray, Session, Symbol
from nn_assets.costs.model import CostModel
from nn_assets.errors import DecisionError
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.constraints import Limits, no_new_risk
from nn_assets.portfolio.covariance import FactorCovariance
from nn_assets.portfolio.expected import expected_own_return
from nn_assets.portfolio.inputs import STEP_NAMES, Priced
from nn_assets.portfolio.limits import book_limits, name_cap, risk_distance
from nn_assets.portfolio.programme import Financing, Programme, Solution, change_cost, solve
from nn_assets.portfolio.targets import whole_targets, without_small_changes
from nn_assets.settings import PortfolioSettings


@dataclass(frozen=True, eq=False)
class ConstructionInputs(Priced):
    """All that a construction may know; arrays (symbols,).

    NaN in any array but ``market_beta``, ``stop_price`` and ``last_mark`` means that the fact is missing, and the
    symbol gets no position.
    """

    symbols: tuple[Symbol, ...]
    session: Session
    reference_price: FloatArray  # close of the session; NaN or not positive: not tradable
    last_mark: FloatArray  # last price known; values what is held without a price
    calibrated_probability: FloatArray
    confidence: FloatArray  # min(1, usual / today's dispersion), times novelty
    volatility: FloatArray  # forecast per session of the return that the label is made of, fraction
    daily_volatility: FloatArray  # of the instrument itself, fraction per session: impact is a multiple of it
    atr: FloatArray  # ATR_14, price
    stop_price: FloatArray  # of what is held; NaN where nothing rests
    adv_usd: FloatArray  # average daily volume, or the stated proxy, dollars
    market_beta: FloatArray  # NaN: taken as 1
    covariance: FactorCovariance  # over the horizon
    unscaled_quantity: FloatArray  # u0 in shares: u of the session before, carried
    held_quantity: FloatArray
    blocked_side: IntArray  # side whose stop was hit; 0 for none
    evidence: BoolArray  # enough realised outcomes for a size
    equity_usd: float
    horizon_sessions: int
    base_rate: FloatArray | float  # p0
    outcome_slope: float  # beta = 1 / f(0)
    change_share: float  # q
    relative: bool = False  # returns expected are less the names' mean
    short_fee: FloatArray | float = 0.0  # over the horizon, fraction of the short's value
    margin_fee: float = 0.0  # over the horizon, fraction of what is borrowed
    reach_usd: FloatArray | float = math.inf  # most that one session can trade of each name
    groups: tuple[str, ...] | None = None  # by behaviour, of names without a sector
    held_on: BoolArray | None = None  # missing facts because of a halt: what is held stays; None: none
    novelty: FloatArray | float = 1.0  # the factor of the confidence that novelty is
    holdable: BoolArray | bool = True  # by its Greeks, where the settings limit them
    greeks: Mapping[str, FloatArray] | None = None  # dollars of each for a dollar of each name; None: none is limited
    funding: FloatArray | None = None  # that longs are expected to pay over the horizon, fraction; None: none

    @property
    def complete(self) -> BoolArray:
        """Whether every fact of a name is there and it has evidence for a size."""
        p = self.calibrated_probability
        complete = self.priced & (p >= 0.0) & (p <= 1.0) & np.isfinite(self.confidence) & self.evidence
        base_rate = np.broadcast_to(self.base_rate, p.shape)
        complete &= (base_rate >= 0.0) & (base_rate <= 1.0)
        for fact in (self.volatility, self.daily_volatility, self.atr, self.adv_usd):
            complete &= np.isfinite(fact) & (fact > 0.0)
        complete &= np.isfinite(self.covariance.specific) & np.isfinite(np.broadcast_to(self.short_fee, p.shape))
        complete &= np.isfinite(np.broadcast_to(self.novelty, p.shape)) & self.holdable
        return complete & np.isfinite(self.unscaled_quantity) & np.isfinite(self.held_quantity)


@dataclass(frozen=True, eq=False)
class Construction:
    """The unscaled book of a session, and why.

    Attributes
    ----------
    weights : u, shape (symbols,)
    quantity : u in shares; to the bit the one before where the weight did not change
    programme, solution : what was solved, and how
    distance : shape (symbols,), fraction of price, by which risk is measured
    steps : shape (8, symbols), or None; row 0 is u0, row k the weight after step k, row 7 ``weights``
    """

    inputs: ConstructionInputs
    settings: PortfolioSettings
    programme: Programme
    solution: Solution
    distance: FloatArray
    weights: FloatArray
    quantity: FloatArray
    steps: FloatArray | None

    @property
    def worth_keeping(self) -> FloatArray:
        """What the last dollar of each position adds over the horizon, fraction of it; NaN without mu."""
        side = np.sign(self.weights)
        risk = self.programme.covariance.times(self.weights) / self.programme.kelly_fraction
        fee = np.where(side < 0.0, self.programme.financing.short_fee, 0.0)
        return side * (self.programme.mean - risk) - fee


@dataclass(frozen=True, eq=False)
class Targets:
    """What is to be held next: (symbols,)."""

    quantity: FloatArray
    weight: FloatArray  # at the reference price


def construct(
    inputs: ConstructionInputs, settings: PortfolioSettings, costs: CostModel, *, with_steps: bool = False
) -> Construction:
    """Solve the session's programme.

    A constant signal reaches a constant size: on random books of 1 to 60 names with mixed holdings half are there
    after 1 session, three in four after 5, nineteen in twenty after 20, the slowest after 31 to 57; by session 20 a
    name moves by 1 to 3 bps of equity at most. Impact makes it cheaper to go the last of a way in small steps.

    Parameters
    ----------
    inputs : ConstructionInputs
        Known at the session's close.
    settings : PortfolioSettings
        Limits and the fraction of Kelly.
    costs : CostModel
        In force.
    with_steps : bool
        Whether to solve steps 4 to 6 too.

    Returns
    -------
    Construction
        Without equity every weight is 0. ``solution.fallback`` says that the solver had no answer and nothing was
        opened or enlarged: an alarm for the caller to latch.

    Raises
    ------
    DecisionError
        Equity, slope, q or margin fee is not a number: the state is unreadable.
    """
    scalars = ("equity_usd", "outcome_slope", "change_share", "margin_fee")
    unreadable = [f"{name} {getattr(inputs, name)}" for name in scalars if not math.isfinite(getattr(inputs, name))]
    if unreadable:
        raise DecisionError(
            expected="finite equity, slope, share of cost and margin fee",
            found=", ".join(unreadable),
            remedy="verify the ledger and the previous session's portfolio state",
            session=inputs.session,
        )
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        programme, distance = programme_of(inputs, settings, costs)
        solution = solve(programme)
        weights, quantity = _unscaled(inputs, settings, programme, solution)
        steps = _steps(programme, weights, settings.risk_per_signal_fraction / distance) if with_steps else None
    return Construction(inputs, settings, programme, solution, distance, weights, quantity, steps)


def _unscaled(
    inputs: ConstructionInputs, settings: PortfolioSettings, programme: Programme, solution: Solution
) -> tuple[FloatArray, FloatArray]:
    """The book after, as weights and in shares, changes smaller than a lot left out."""
    equity = inputs.equity_usd
    if equity <= 0.0:
        return np.zeros(len(inputs.symbols)), np.zeros(len(inputs.symbols))
    start = _finite(programme.start)
    lot = _finite(settings.lot_size * inputs.reference_price / equity)
    weights = without_small_changes(solution.weights, start, lot, programme.limits)
    price = np.where(inputs.priced, inputs.reference_price, inputs.last_mark)
    moved = _finite(weights * equity / price)
    return weights, np.where(weights == start, _finite(inputs.unscaled_quantity), moved) + 0.0


def targets_of(construction: Construction, control: Control, scale: float) -> Targets:
    """Let controls and lots act on a construction: step 8.

    Parameters
    ----------
    control, scale : as in :func:`nn_assets.portfolio.targets.controlled`
    """
    inputs, settings = construction.inputs, construction.settings
    held, priced = _finite(inputs.held_quantity), inputs.priced
    quantity = whole_targets(
        construction.quantity,
        _finite(inputs.unscaled_quantity),
        held,
        control,
        scale,
        settings,
        priced=priced,
        price=inputs.reference_price,
        worth_keeping=construction.worth_keeping,
        equity_usd=inputs.equity_usd,
        stuck_usd=float(np.where(priced, 0.0, _finite(held * inputs.last_mark)).sum()),
        held_on=inputs.held_on,
    )
    value = np.where(priced, inputs.reference_price, inputs.last_mark) * quantity
    weight = _finite(value / inputs.equity_usd) if inputs.equity_usd > 0.0 else np.zeros_like(value)
    return Targets(quantity + 0.0, weight + 0.0)


def expected_returns(inputs: ConstructionInputs, *, relative: bool) -> FloatArray:
    """Return mu of the names whose facts are complete, fraction over the horizon, (symbols,); NaN for the others.

    Parameters
    ----------
    relative : bool
        Whether the names' mean is taken off.
    """
    return expected_own_return(
        np.where(inputs.complete, inputs.calibrated_probability, np.nan),
        inputs.base_rate,
        inputs.volatility,
        inputs.horizon_sessions,
        inputs.outcome_slope,
        confidence=inputs.confidence,
        novelty=inputs.novelty,
        relative=relative,
    )


def programme_of(
    inputs: ConstructionInputs, settings: PortfolioSettings, costs: CostModel
) -> tuple[Programme, FloatArray]:
    """Write a session's programme down; and the distance, fraction of price, that risk is measured by."""
    count, equity = len(inputs.symbols), inputs.equity_usd
    complete, priced = inputs.complete, inputs.priced
    mean = expected_returns(inputs, relative=inputs.relative)
    if inputs.funding is not None:
        mean = mean - inputs.funding
    start = _start(inputs)
    distance = risk_distance(inputs.atr, inputs.reference_price, inputs.held_quantity, inputs.stop_price, settings)
    usable = complete & (equity > 0.0) & (settings.kelly_fraction > 0.0)
    cap = np.where(usable, name_cap(inputs.adv_usd, equity, distance, settings), 0.0)
    short = cap if settings.allow_short else np.zeros(count)
    longest, shortest = _of_unlike(inputs, mean, _finite(start), cap), _of_unlike(inputs, -mean, -_finite(start), short)
    limits = book_limits(
        inputs.symbols,
        settings,
        lower=np.where(inputs.blocked_side < 0, 0.0, -shortest),
        upper=np.where(inputs.blocked_side > 0, 0.0, longest),
        reach=np.where(priced, inputs.reach_usd / equity if equity > 0.0 else np.inf, 0.0),
        distance=distance,
        market_beta=inputs.market_beta,
        equity_usd=equity,
        groups=inputs.groups,
        greeks=inputs.greeks,
    )
    kept = _kept(inputs, settings, _finite(start), limits, distance)
    if kept is not None:
        is_kept = np.isfinite(kept)
        lower, upper = np.minimum(kept, 0.0), np.maximum(kept, 0.0)
        limits = replace(
            limits, lower=np.where(is_kept, lower, limits.lower), upper=np.where(is_kept, upper, limits.upper)
        )
    programme = Programme(
        mean=np.where(usable, mean, np.nan),
        covariance=inputs.covariance,
        start=start,
        limits=limits,
        cost=change_cost(costs, inputs.adv_usd, inputs.daily_volatility, max(equity, 0.0)),
        financing=Financing(np.broadcast_to(np.asarray(inputs.short_fee, np.float64), (count,)), inputs.margin_fee),
        change_share=inputs.change_share,
        kelly_fraction=settings.kelly_fraction or 1.0,  # none of Kelly: nothing is usable
        kept=kept,
    )
    return programme, distance


def _kept(
    inputs: ConstructionInputs, settings: PortfolioSettings, start: FloatArray, limits: Limits, distance: FloatArray
) -> FloatArray | None:
    """The weights before of names that are held on, less what limits on sizes take off; NaN for the others.

    A net sum is kept by the names that the programme chooses, as nearly as they can.
    """
    if inputs.held_on is None or not inputs.held_on.any():
        return None
    cap = name_cap(inputs.adv_usd, inputs.equity_usd, distance, settings)
    upper = np.where(inputs.blocked_side > 0, 0.0, cap)
    lower = np.where(inputs.blocked_side < 0, 0.0, -cap if settings.allow_short else 0.0)
    free = np.where(inputs.held_on, 0.0, np.inf)
    book = no_new_risk(start, replace(limits, lower=lower - free, upper=upper + free, nets=()))
    return np.where(inputs.held_on, book, np.nan)


def _of_unlike(inputs: ConstructionInputs, mean: FloatArray, start: FloatArray, cap: FloatArray) -> FloatArray:
    """Most of each name on a side, seen from it: a row unlike its model's own hedges nothing, and opens less.

    Its factor's share of the cap where its own return is on this side, none where it is not; what is held there may
    stay. Without this a name of which nothing is believed balances the others, on whichever side that takes.
    """
    factor = np.clip(np.broadcast_to(inputs.novelty, cap.shape), 0.0, 1.0)
    opened = np.where(mean > 0.0, factor * cap, 0.0)
    return np.where(factor < 1.0, np.minimum(cap, np.maximum(opened, start)), cap)


def _finite(values: FloatArray) -> FloatArray:
    """The values, 0 where they are no number."""
    return np.where(np.isfinite(values), values, 0.0)


def _start(inputs: ConstructionInputs) -> FloatArray:
    """u0 as weights. A name without a price counts with what is held, where that is more than u0."""
    if inputs.equity_usd <= 0.0:
        return np.zeros(len(inputs.symbols))
    held, unscaled = _finite(inputs.held_quantity), inputs.unscaled_quantity
    stuck = np.where(np.abs(held) > np.abs(_finite(unscaled)), held, _finite(unscaled))
    value = np.where(inputs.priced, unscaled * inputs.reference_price, _finite(stuck * inputs.last_mark))
    return value / inputs.equity_usd


def _steps(programme: Programme, weights: FloatArray, risk_cap: FloatArray) -> FloatArray:
    start = _finite(programme.start)
    mean, limits = _finite(programme.mean), programme.limits
    variance = programme.covariance.variance
    allowed = (np.where(mean > 0.0, limits.upper, -limits.lower) > 0.0) & (mean != 0.0)
    rows = np.zeros((len(STEP_NAMES), len(start)))
    rows[0] = start
    rows[1] = np.where(allowed & (np.sign(mean) == np.sign(start)), start, 0.0)
    # What is held needs no edge over a cost that it has already paid.
    first_dollar = np.nan_to_num(programme.change_share * programme.cost.linear, nan=np.inf)
    worth_it = (rows[1] != 0.0) | (np.abs(mean) > first_dollar)
    rows[2] = np.where(worth_it, rows[1], 0.0)
    rows[3] = np.where(allowed & worth_it, _finite(programme.kelly_fraction * mean / variance), 0.0)
    if programme.kept is not None:
        rows[1:4] = np.where(np.isfinite(programme.kept), start, rows[1:4])
    risk = replace(
        limits,
        lower=np.where(limits.lower < 0.0, -risk_cap, 0.0),
        upper=np.where(limits.upper > 0.0, risk_cap, 0.0),
        sizes=tuple(limit for limit in limits.sizes if limit.name == "risk"),
        nets=(),
    )
    alone = FactorCovariance(np.zeros((len(variance), 0)), variance)
    free = replace(programme, cost=programme.cost.times(0.0))
    rows[4] = solve(replace(free, covariance=alone, limits=risk)).weights
    rows[5] = solve(replace(free, limits=risk)).weights
    rows[6] = solve(free).weights
    rows[7] = weights
    return rows
