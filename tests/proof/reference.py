"""A plain one-step optimiser, written without the package: what the same forecasts are worth to a simple trader.

Three principal factors of 120 sessions plus residual variance of at least 0.3 of the total, linear cost, net 0, a cap
on each name, gross 1. Solved by the alternating direction method of multipliers (Boyd et al. 2011, section 5) between
the quadratic with its equality and the separable rest.
"""

from __future__ import annotations

import numpy as np

SESSIONS = 120
FACTORS = 3
RESIDUAL = 0.3
LINEAR_COST = 7.5e-4
CAP = 0.10
GROSS = 1.0


def covariance(returns: np.ndarray, horizon: int) -> np.ndarray:
    """Over the horizon, (names, names)."""
    sample = np.cov(returns[-SESSIONS:].T)
    values, vectors = np.linalg.eigh(sample)
    common = (vectors[:, -FACTORS:] * values[-FACTORS:]) @ vectors[:, -FACTORS:].T
    residual = np.maximum(np.diag(sample - common), RESIDUAL * np.diag(sample))
    return horizon * (common + np.diag(residual))


def weights(mean: np.ndarray, matrix: np.ndarray, before: np.ndarray, iterations: int = 2000) -> np.ndarray:
    """Maximise mean'w - w'Sw - cost |w - before|: half Kelly. To 1e-6 of capital."""
    n, rho = len(mean), 10.0 * float(np.median(np.diag(matrix)))
    inverse = np.linalg.inv(2.0 * matrix + rho * np.eye(n))
    ones = inverse.sum(axis=1)
    z, u = before.copy(), np.zeros(n)
    for _ in range(iterations):
        x = inverse @ (mean + rho * (z - u))
        x -= ones * (x.sum() / ones.sum())
        last, z = z, _separable(x + u, before, LINEAR_COST / rho)
        u += x - z
        if max(np.abs(x - z).max(), np.abs(z - last).max()) < 1e-6:
            break
    return z


def _separable(v: np.ndarray, before: np.ndarray, cost: float) -> np.ndarray:
    """The separable part under gross 1: its price is found by Newton's step, kept between two bounds."""
    low, high, price = 0.0, float(np.abs(v).max()), 0.0
    w = _moved(v, before, cost, price)
    for _ in range(60):
        excess = float(np.abs(w).sum()) - GROSS
        if excess <= 0.0 if price == 0.0 else abs(excess) < 1e-8:
            break
        low, high = (price, high) if excess > 0.0 else (low, price)
        moving = int(((w != 0.0) & (w != before) & (np.abs(w) < CAP)).sum())
        price = price + excess / moving if moving else high
        if not low < price < high:
            price = 0.5 * (low + high)
        w = _moved(v, before, cost, price)
    return w


def _moved(v: np.ndarray, before: np.ndarray, cost: float, price: float) -> np.ndarray:
    """Minimise cost |w - before| + price |w| + (w - v)^2 / 2 within the cap, name by name.

    With w counted on the side of ``before``: beyond it both prices pull back, between 0 and it cost pulls up and
    price down, below 0 both push up; the answer is v so moved, or the kink that it would cross.
    """
    side = np.where(before < 0.0, -1.0, 1.0)
    v, kink = v * side, before * side
    beyond, between, below = v - cost - price, v + cost - price, v + cost + price
    w = np.where(between >= kink, np.maximum(beyond, kink), np.where(between > 0.0, between, np.minimum(below, 0.0)))
    return np.clip(w * side, -CAP, CAP)
