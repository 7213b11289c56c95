"""What the simulator's truth says of a study, by calculations of their own: nothing of the package judges itself here.

A signal S of unit variance, AR(1) with coefficient r, foretells the share c of the next session's own return. A label
is filled at the next open and ends h sessions after it. A fifth of a session's return falls before its open, so that
the label earns

    mu / s = c S (0.8 + r + ... + r^(h - 1) + 0.2 r^h)

s the name's own volatility of a session, known from the truth. The rest of the label is noise of h sessions: Student t
with 6 degrees for the name, normal for its sector.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gamma, kv
from scipy.stats import rankdata

from nn_assets.simulator.markets import MarketShape, SimulatedMarket

SHAPE = MarketShape()
_DEGREES = 6
# Of the label's h sessions the first and the last are cut at the open, with the noise of the open between them.
_LOST = 0.24


def rank_ic(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each session, arrays (sessions, names); NaN where a session is not complete."""
    correlations = np.full(len(one), np.nan)
    for row in np.flatnonzero(np.isfinite(one).all(axis=1) & np.isfinite(other).all(axis=1)):
        a, b = rankdata(one[row]), rankdata(other[row])
        if np.ptp(a) and np.ptp(b):
            correlations[row] = np.corrcoef(a, b)[0, 1]
    return correlations


def label_returns(made: SimulatedMarket, horizon: int) -> np.ndarray:
    """Own return from the next open to ``horizon`` sessions later less the session's median, (sessions, names)."""
    opened = made.bars["open"].to_numpy().reshape(len(made.symbols), -1).T
    returns = np.full(opened.shape, np.nan)
    gained = opened[1 + horizon :] / opened[1:-horizon] - 1.0
    returns[: len(gained)] = gained - np.median(gained, axis=1, keepdims=True)
    return returns


def density_at_zero(horizon: int) -> float:
    """Of the sum of h Student-t draws with 6 degrees, in units of its own deviation: by its characteristic function."""
    u = np.linspace(1e-6, 60.0, 60_001)
    x = np.sqrt(_DEGREES - 2.0) * u / np.sqrt(horizon)
    phi = kv(_DEGREES / 2, x) * x ** (_DEGREES / 2) / (gamma(_DEGREES / 2) * 2.0 ** (_DEGREES / 2 - 1))
    return float(np.trapezoid(np.nan_to_num(phi) ** horizon, u) / np.pi)


def probability(made: SimulatedMarket, rank_ic_planted: float, persistence: float, horizon: int) -> np.ndarray:
    """Chance that the label is 1, given the signal and the volatility of the day, (sessions, names)."""
    loading = SHAPE.rank_ic_to_loading * rank_ic_planted
    if loading == 0.0:
        return np.full(made.truth.signal.shape, 0.5)
    own = made.truth.expected_return / (loading * made.truth.signal)  # s, by session and name
    scale = np.where(made.truth.turbulent, SHAPE.regime_scales[1], SHAPE.regime_scales[0])[:, None]
    shared = (scale * SHAPE.sector_volatility) ** 2 + (scale * SHAPE.beta_spread * SHAPE.market_volatility) ** 2
    lasts = 0.8 + sum(persistence**j for j in range(1, horizon)) + 0.2 * persistence**horizon
    mean = loading * made.truth.signal * own * lasts
    spread = np.sqrt((own**2 + shared) * (horizon - _LOST))
    return 0.5 + density_at_zero(horizon) * (mean - mean.mean(axis=1, keepdims=True)) / spread


def slope(score: np.ndarray, chance: np.ndarray, known: np.ndarray, half_life: float) -> float:
    """The slope of true log odds on scores, rows weighed 2^(-age / half-life) as a calibration weighs them."""
    age = np.arange(len(score), 0, -1.0)[:, None] / half_life
    weight = np.where(known, 2.0**-age, 0.0)
    x, y = np.where(known, score, 0.0), np.log(chance / (1.0 - chance))
    total = weight.sum()
    away = x - (weight * x).sum() / total
    return float((weight * away * y).sum() / (weight * away * away).sum())
