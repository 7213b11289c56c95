"""The plain optimiser itself: against a general solver, on small books."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from tests.proof import reference


@pytest.mark.full
@pytest.mark.parametrize("seed", range(8))
def test_it_finds_what_a_general_solver_finds(seed: int) -> None:
    g = np.random.default_rng(seed)
    n = 24 if seed % 2 else 8
    mean = 0.01 * g.normal(size=n)
    matrix = reference.covariance(g.normal(0.0, 0.012, (120, n)) + g.normal(0.0, 0.008, (120, 1)), 10)
    before = np.clip(0.05 * g.normal(size=n) * (g.random(n) < 0.6), -0.1, 0.1)
    weights = reference.weights(mean, matrix, before)
    assert abs(weights.sum()) < 1e-4
    assert np.abs(weights).sum() <= reference.GROSS + 1e-7
    assert np.abs(weights).max() <= reference.CAP

    def worth(w: np.ndarray) -> float:
        return float(mean @ w - w @ matrix @ w - reference.LINEAR_COST * np.abs(w - before).sum())

    def parts(x: np.ndarray) -> np.ndarray:
        return before + x[:n] - x[n : 2 * n]

    def loss(x: np.ndarray) -> float:
        w = parts(x)
        return -1e3 * float(mean @ w - w @ matrix @ w - reference.LINEAR_COST * x[: 2 * n].sum())

    rows = [
        {"type": "eq", "fun": lambda x: parts(x).sum()},
        {"type": "ineq", "fun": lambda x: np.concatenate([0.1 - parts(x), 0.1 + parts(x)])},
        {"type": "ineq", "fun": lambda x: np.concatenate([x[2 * n :] - parts(x), x[2 * n :] + parts(x)])},
        {"type": "ineq", "fun": lambda x: 1.0 - x[2 * n :].sum()},
    ]
    start = np.concatenate([np.maximum(-before, 0), np.maximum(before, 0), np.zeros(n)])  # to a flat book
    options = {"ftol": 1e-14, "maxiter": 1000}
    other = minimize(loss, start, bounds=[(0.0, 2.0)] * (3 * n), constraints=rows, method="SLSQP", options=options)
    assert worth(weights) >= worth(parts(other.x)) - 1e-7
