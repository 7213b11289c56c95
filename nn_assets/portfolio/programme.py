"""The decision as one small convex programme.

    maximise    mu'w - w'Sw / (2k) - q cost(w - u0) - financing(w)
    subject to  the limits

k = 1/2 is half Kelly: for small returns the expected logarithm of wealth is mu'w - w'Sw / 2 (Thorp 2006, section
7), and 1/k weighs the risk. A position kept costs nothing more, so the no-trade zone of proportional costs (Davis
and Norman 1990) follows from the programme and is not written anywhere. Several sessions are looked ahead through q
alone, the one-step rule of Boyd et al. (2017), "Multi-period trading via convex optimization", chapter 4.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.costs.model import CostModel
from nn_assets.portfolio import conic
from nn_assets.portfolio.constraints import Limits, SharedLimit, exceeded, no_new_risk, reachable, untradable
from nn_assets.portfolio.covariance import FactorCovariance
from nn_assets.portfolio.one_name import one_name
from nn_assets.portfolio.problem import ONE_NAME, SOLVED, Answer, Net, Problem

NO_CHOICE = "no choice"
_SNAP = 1e-7  # weights: below it a change, a size or a distance to a bound is the solver's rounding
_WIDEST = 1e6  # capitals: a bound that bounds nothing
_WORSE = 1e-9  # of capital: how far the answer may fall short of the safe book before it is no answer


@dataclass(frozen=True, eq=False)
class ChangeCost:
    """Cost of changing weights by d, fraction of capital: linear |d| + temporary |d|^1.5 + permanent d^2.

    Arrays are (symbols,), not negative; NaN for a name that cannot be priced.
    """

    linear: FloatArray
    temporary: FloatArray
    permanent: FloatArray

    def of(self, change: FloatArray) -> FloatArray:
        """Cost by name, (symbols,); 0 for no change, even where it cannot be priced."""
        size = np.abs(change)
        cost = size * (self.linear + self.temporary * np.sqrt(size) + self.permanent * size)
        return np.where(size == 0.0, 0.0, cost)

    def times(self, factor: float | FloatArray) -> ChangeCost:
        """The cost, a factor as large."""
        return ChangeCost(self.linear * factor, self.temporary * factor, self.permanent * factor)


def change_cost(model: CostModel, adv_usd: FloatArray, daily_volatility: FloatArray, equity_usd: float) -> ChangeCost:
    """Write the cost object in weights: its parts at an order of the whole capital are the coefficients."""
    parts = model.parts(np.full(len(adv_usd), equity_usd), adv_usd, daily_volatility)
    return ChangeCost(parts.half_spread + parts.commission, parts.temporary, parts.permanent)


@dataclass(frozen=True, eq=False)
class Financing:
    """What holding costs over the horizon, fraction of what is held; the cash rate is in no mu and so not here.

    Attributes
    ----------
    short_fee : shape (symbols,), of the size of a short; not negative
    margin_fee : of what is borrowed, the part of the net sum above the capital; not negative
    """

    short_fee: FloatArray
    margin_fee: float = 0.0

    def of(self, weights: FloatArray) -> float:
        """Cost over the horizon, fraction of capital."""
        short = float((self.short_fee * np.maximum(-weights, 0.0)).sum())
        return short + self.margin_fee * max(float(weights.sum()) - 1.0, 0.0)


@dataclass(frozen=True, eq=False)
class Programme:
    """One session's programme; arrays (symbols,).

    Attributes
    ----------
    mean : mu, expected own return over the horizon, fraction; NaN: the name may not be held
    covariance : S over the horizon
    start : u0, the weights before; what is not finite is taken as 0, and the name may not be held
    limits : bounds and shared limits
    cost, change_share : of the change, and q
    financing : of the holding
    kelly_fraction : k, positive
    kept : weights that are given, whatever is known of the name; NaN where the programme chooses. None: it always does
    """

    mean: FloatArray
    covariance: FactorCovariance
    start: FloatArray
    limits: Limits
    cost: ChangeCost
    financing: Financing
    change_share: float = 1.0
    kelly_fraction: float = 0.5
    kept: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Solution:
    """The weights, and how they came about.

    Attributes
    ----------
    weights : u, shape (symbols,)
    status : "no choice", "one name", "solved", or the solver's own word for why there is no answer
    fallback : the weights are those of :func:`~nn_assets.portfolio.constraints.no_new_risk`; an alarm
    exceeded : limits that the weights exceed, because of what cannot be traded in this session
    iterations : of the solver; 0 without one
    """

    weights: FloatArray
    status: str
    fallback: bool
    exceeded: tuple[str, ...]
    iterations: int = 0


def worth(programme: Programme, weights: FloatArray) -> float:
    """The objective at ``weights``, fraction of capital over the horizon; names without a mean add their risk only."""
    held = np.where(weights == 0.0, 0.0, np.nan_to_num(programme.mean) * weights)
    priced = np.isfinite(programme.covariance.specific)
    risked = np.where(priced, weights, 0.0)
    risk = float((risked * programme.covariance.times(risked)).sum()) / (2.0 * programme.kelly_fraction)
    change = float(np.nan_to_num(programme.cost.of(weights - programme.start)).sum())
    return float(held.sum()) - risk - programme.change_share * change - programme.financing.of(weights)


def solve(programme: Programme) -> Solution:
    """Solve the programme; the same bits for the same programme on one machine.

    A name without mu, covariance, price of its change or room leaves the problem: its weight goes to 0, or as near
    as can be traded in this session. One name left is solved outright. What cannot be traded takes its part of every
    shared limit first; a net sum that it breaks by itself is hedged by the others as nearly as they can. Without an
    answer from the solver, or with one that is worse than the book without new risk or breaks a limit, that book is
    the answer.
    """
    programme, limits = _sane(programme)
    safe = no_new_risk(programme.start, limits)
    reached, fixed = reachable(programme.start, limits)
    answers = iter((Answer(reached.lower, NO_CHOICE, 0),))
    if not fixed.all():
        answers = _answers(programme, reached, fixed)
    for answer in answers:
        weights = _settled(programme, reached, limits, safe, answer.weights)
        if weights is not None:
            return _solution(replace(answer, weights=weights), limits, fallback=False)
    status = answer.status
    if status in {SOLVED, ONE_NAME, NO_CHOICE}:
        status = "the answer breaks a limit or is worth less than the book without new risk"
    return _solution(replace(answer, weights=safe + 0.0, status=status), limits, fallback=True)


def _solution(answer: Answer, limits: Limits, *, fallback: bool) -> Solution:
    return Solution(
        weights=answer.weights,
        status=answer.status,
        fallback=fallback,
        exceeded=exceeded(answer.weights, limits),
        iterations=answer.iterations,
    )


def _sane(programme: Programme) -> tuple[Programme, Limits]:
    """The programme with every name that misses a fact bound to 0, and its facts put to numbers that do not count."""
    cost, limits = programme.cost, programme.limits
    start = np.where(np.isfinite(programme.start), programme.start, 0.0)
    usable = np.isfinite(programme.start) & np.isfinite(programme.mean)
    covariance = programme.covariance
    usable &= np.isfinite(covariance.specific) & (covariance.specific > 0.0)
    readable = np.asarray(np.isfinite(covariance.loadings).all(axis=1))
    usable &= readable
    for part in (cost.linear, cost.temporary, cost.permanent, programme.financing.short_fee):
        usable &= np.isfinite(part) & (part >= 0.0)
    lower = np.where(usable & (limits.lower < 0.0), np.maximum(limits.lower, -_WIDEST), 0.0)
    upper = np.where(usable & (limits.upper > 0.0), np.minimum(limits.upper, _WIDEST), 0.0)
    reach = np.where(np.isfinite(limits.reach) | (limits.reach > 0.0), np.maximum(limits.reach, 0.0), 0.0)
    if programme.kept is not None:  # as what cannot be traded: it takes its part of every shared limit first
        given = np.isfinite(programme.kept)
        start, reach = np.where(given, programme.kept, start), np.where(given, 0.0, reach)
        lower = np.where(given, np.minimum(programme.kept, 0.0), lower)
        upper = np.where(given, np.maximum(programme.kept, 0.0), upper)
    sane = replace(
        programme,
        start=start,
        mean=np.where(usable, programme.mean, np.nan),
        covariance=FactorCovariance(np.where(readable[:, None], covariance.loadings, 0.0), covariance.specific),
        cost=ChangeCost(*(np.where(usable, part, 0.0) for part in (cost.linear, cost.temporary, cost.permanent))),
        financing=replace(programme.financing, short_fee=np.where(usable, programme.financing.short_fee, 0.0)),
    )
    return sane, replace(limits, lower=lower, upper=upper, reach=reach)


def _answers(programme: Programme, reached: Limits, fixed: BoolArray) -> Iterator[Answer]:
    """Solve for the names that are free, the others' weights taken as given; the solver is asked again if need be."""
    free = ~fixed
    pinned = np.where(fixed, reached.lower, 0.0)
    loadings, cost = programme.covariance.loadings, programme.cost.times(programme.change_share)
    problem = Problem(
        mean=programme.mean[free],
        loadings=loadings[free],
        exposure=loadings.T @ pinned,
        specific=programme.covariance.specific[free],
        risk_weight=1.0 / programme.kelly_fraction,
        start=programme.start[free],
        linear=cost.linear[free],
        temporary=cost.temporary[free],
        permanent=cost.permanent[free],
        short_fee=programme.financing.short_fee[free],
        margin_fee=programme.financing.margin_fee,
        margin_from=1.0 - float(pinned.sum()),
        lower=reached.lower[free],
        upper=reached.upper[free],
        sizes=tuple(
            (limit.coefficient[free], limit.limit - float((limit.coefficient * np.abs(pinned)).sum()))
            for limit in reached.sizes
        ),
        nets=tuple(_net_row(programme, reached, limit, free, pinned) for limit in reached.nets),
    )
    for answer in (one_name(problem),) if len(problem.mean) == 1 else conic.many_names(problem):
        weights = pinned.copy()
        weights[free] = answer.weights
        yield replace(answer, weights=weights)


def _net_row(programme: Programme, reached: Limits, limit: SharedLimit, free: BoolArray, pinned: FloatArray) -> Net:
    stays = float((limit.coefficient * untradable(programme.start, reached)).sum())
    pinned_sum = float((limit.coefficient * pinned).sum())
    return Net(
        limit.coefficient[free],
        -limit.limit - pinned_sum,
        limit.limit - pinned_sum,
        excess=float(np.sign(stays)) if abs(stays) > limit.limit else 0.0,
    )


def _settled(
    programme: Programme, reached: Limits, limits: Limits, safe: FloatArray, weights: FloatArray
) -> FloatArray | None:
    """Take the solver's rounding off the weights; None where they are no answer."""
    if not np.isfinite(weights).all():
        return None
    weights = np.clip(weights, reached.lower, reached.upper)
    snapped = weights
    for level in (reached.lower, reached.upper, np.zeros_like(weights), programme.start):
        near = (np.abs(snapped - level) <= _SNAP) & (level >= reached.lower) & (level <= reached.upper)
        snapped = np.where(near, level, snapped)
    allowed = set(exceeded(safe, limits))
    # Keeping an excess as small as can be may cost more than it earns.
    least = -math.inf if allowed else worth(programme, safe) - _WORSE
    for candidate in (snapped, weights):
        if set(exceeded(candidate, limits)) <= allowed and worth(programme, candidate) >= least:
            return candidate + 0.0
    return None
