"""Capacity: the capital beyond which a further dollar earns no more than it costs, from replays at several sizes.

With r(C) the net return in excess of cash of a strategy that is run on capital C, it earns P(C) = C r(C) dollars. The
capacity is where P is largest: dP/dC = 0, the marginal net dollar P&L (Kahn and Shaffer, 2005, "The surprisingly small
impact of asset growth on expected alpha", Journal of Portfolio Management 32(1); Grinold and Kahn, 2000, "Active
Portfolio Management", chapter 16). With the square-root impact of :mod:`nn_assets.costs.model`, r = alpha - k sqrt(C)
and the capacity is (2 alpha / 3 k)^2: there a third of alpha is left. (Impact linear in size, as in Kyle, 1985,
"Continuous auctions and insider trading", Econometrica 53, gives alpha / 2 k.)

P is replayed at a ladder of capital. Between neighbours the slope of P is its derivative half-way, to second order; the
two slopes beside the size that earned most are above and below zero, and where they cross it is found between them on
the square root of capital, on which the slope of a square-root impact is a line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.errors import SchemaError
from nn_assets.oversight.joint import stationary_bootstrap

LEVEL = 0.90
"""Level of every interval."""

LADDER = tuple(2.0**power for power in range(-3, 7))
"""Multiples of the initial capital that are replayed: 1/8 to 64."""

_DRAWS = 1000
_SEED = 20_051_116
_FEWEST = 60  # sessions
_ENDS = (100.0 * (1.0 - LEVEL) / 2.0, 100.0 * (1.0 + LEVEL) / 2.0)


@dataclass(frozen=True)
class Figure:
    """A figure with its interval at :data:`LEVEL`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Rung:
    """One size of the ladder: mean assets, dollars, and what they earned in excess of cash, net, in a year."""

    assets_usd: float
    net_return: Figure  # fraction a year
    sharpe: Figure  # a year
    net_usd: float  # a year


@dataclass(frozen=True)
class Slope:
    """What a further dollar earns in a year, net of what it costs all others, at some assets: fraction a year."""

    assets_usd: float
    net_return: Figure


@dataclass(frozen=True)
class Capacity:
    """The ladder, its slopes and where they cross zero, dollars.

    Infinite: the slope is above zero at every size that was replayed. 0: no size earned more than it cost.
    """

    rungs: tuple[Rung, ...]
    slopes: tuple[Slope, ...]
    usd: Figure
    sessions: int

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        largest = self.rungs[-1].assets_usd
        interval = f"{_dollars(self.usd.low, largest)} to {_dollars(self.usd.high, largest)}"
        rest = f"({LEVEL:.0%} interval {interval}; {self.sessions:,} sessions)"
        if self.usd.value <= 0.0:
            return f"no size that was replayed earned more than it cost {rest}"
        if math.isinf(self.usd.value):
            return f"beyond {largest:,.0f} USD, the largest size that was replayed {rest}"
        return f"{self.usd.value:,.0f} USD {rest}"


def _dollars(usd: float, largest: float) -> str:
    return f"beyond {largest:,.0f} USD" if math.isinf(usd) else f"{usd:,.0f} USD"


def capacity_of(
    excess: FloatArray,
    assets_usd: FloatArray,
    sessions_per_year: int,
    *,
    mean_block: float,
    draws: int = _DRAWS,
) -> Capacity:
    """Estimate the capacity from replays of one strategy at several sizes.

    Parameters
    ----------
    excess : ndarray, shape (sessions, rungs)
        Net returns less cash, fraction a session. Finite.
    assets_usd : ndarray, shape (rungs,)
        Mean equity of each replay, dollars, ascending, at least 2 of them.
    mean_block : float
        Sessions, of the stationary bootstrap of the intervals, at least 1: all sizes are resampled alike, so that what
        the market did to all of them cancels in a slope.
    draws : int
        Bootstrap samples.

    Raises
    ------
    SchemaError
        Fewer than 60 sessions, a return that is not finite, or sizes that do not ascend.
    """
    sessions = len(excess)
    if sessions < _FEWEST or not np.isfinite(excess).all() or not (np.diff(assets_usd) > 0.0).all():
        raise SchemaError(
            expected=f"finite returns of at least {_FEWEST} sessions, at ascending sizes above 0",
            found=f"{sessions} sessions, {int((~np.isfinite(excess)).sum())} returns not finite, "
            f"sizes {', '.join(f'{usd:,.0f}' for usd in assets_usd)} USD",
            remedy="study more months, or mend the replay whose equity ran out",
        )
    generator = np.random.default_rng(_SEED)
    paths = [stationary_bootstrap(sessions, sessions, mean_block, generator) for _ in range(draws)]
    drawn_means, ratios = np.empty((draws, len(assets_usd))), np.empty((draws, len(assets_usd)))
    for index, path in enumerate(paths):
        sample = excess[path]
        drawn_means[index], ratios[index] = sample.mean(axis=0), _sharpes(sample, sessions_per_year)
    mean = excess.mean(axis=0)
    at, slopes = _slopes(mean, assets_usd)
    of_draws = np.array([_slopes(one, assets_usd)[1] for one in drawn_means])
    return Capacity(
        rungs=tuple(
            Rung(
                float(assets_usd[rung]),
                _figure(mean[rung] * sessions_per_year, drawn_means[:, rung] * sessions_per_year),
                _figure(_sharpes(excess, sessions_per_year)[rung], ratios[:, rung]),
                float(mean[rung] * sessions_per_year * assets_usd[rung]),
            )
            for rung in range(len(assets_usd))
        ),
        slopes=tuple(
            Slope(float(at[index]), _figure(slopes[index] * sessions_per_year, of_draws[:, index] * sessions_per_year))
            for index in range(len(at))
        ),
        usd=_figure(crossing(mean, assets_usd), np.array([crossing(one, assets_usd) for one in drawn_means])),
        sessions=sessions,
    )


def crossing(mean: FloatArray, assets_usd: FloatArray) -> float:
    """Where the slope of the net dollar P&L crosses zero, dollars; infinite beyond the ladder, 0 below it.

    Parameters
    ----------
    mean : ndarray, shape (rungs,)
        Mean net return in excess of cash at each size, fraction.
    assets_usd : ndarray, shape (rungs,)
        Ascending, above 0.
    """
    at, slopes = _slopes(mean, assets_usd)
    most = int(np.concatenate([[0.0], mean * assets_usd]).argmax())  # 0: no capital at all
    if most in (0, len(at)):
        return math.inf if most else 0.0
    left, right = math.sqrt(at[most - 1]), math.sqrt(at[most])
    fall = slopes[most - 1] - slopes[most]
    return float((left + (right - left) * (slopes[most - 1] / fall if fall > 0.0 else 0.0)) ** 2)


def _slopes(mean: FloatArray, assets_usd: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Slopes of the net P&L between neighbours, from no capital at all on, and where: both (rungs,)."""
    assets, earned = np.concatenate([[0.0], assets_usd]), np.concatenate([[0.0], mean * assets_usd])
    return (assets[1:] + assets[:-1]) / 2.0, np.diff(earned) / np.diff(assets)


def _sharpes(excess: FloatArray, sessions_per_year: int) -> FloatArray:
    """As :func:`~nn_assets.measures.sharpe` of each size, (rungs,)."""
    deviation = excess.std(axis=0, ddof=1)
    moves = excess.min(axis=0) < excess.max(axis=0)
    return np.where(moves, excess.mean(axis=0) / np.where(moves, deviation, 1.0), np.nan) * math.sqrt(sessions_per_year)


def _figure(value: float, drawn: FloatArray) -> Figure:
    known = drawn[~np.isnan(drawn)]
    if not known.size:
        return Figure(float(value), math.nan, math.nan)
    low, high = np.percentile(known, _ENDS, method="nearest")  # a value drawn: some may be infinite
    return Figure(float(value), float(low), float(high))
