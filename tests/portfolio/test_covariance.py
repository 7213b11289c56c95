"""The factor covariance: against the truth of simulated returns, and on what is singular, short or missing."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.errors import SettingsError
from nn_assets.portfolio.covariance import LEAST_SPECIFIC_SHARE, FactorCovariance, factor_covariance
from tests.portfolio.books import matrix_of


def market(names: int, sessions: int, seed: int = 0, common: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Returns of one market factor, and their true covariance per session."""
    g = np.random.default_rng(seed)
    sigma = 0.015 * np.exp(0.3 * g.normal(size=names))
    beta = sigma * np.sqrt(common) * np.sign(g.normal(size=names) + 2.0)
    noise = g.normal(size=(sessions, names)) * sigma * np.sqrt(1.0 - common)
    truth = np.outer(beta, beta) + np.diag(sigma**2 * (1.0 - common))
    return g.normal(size=(sessions, 1)) * beta + noise, truth


@pytest.mark.parametrize("names", [1, 2, 3, 5, 40, 300])
def test_it_is_positive_definite_whatever_the_number_of_names(names: int) -> None:
    returns, _ = market(names, 120)
    covariance = factor_covariance(returns, 5)
    assert covariance.loadings.shape == (names, 3)
    assert np.linalg.eigvalsh(matrix_of(covariance)).min() > 0.0
    np.testing.assert_allclose(np.diag(matrix_of(covariance)), covariance.variance, rtol=1e-12)


def test_one_name_has_its_sample_variance_times_the_horizon() -> None:
    returns, _ = market(1, 120)
    assert factor_covariance(returns, 7).variance[0] == pytest.approx(7 * returns.var(), rel=1e-12)


def test_two_names_keep_their_correlation() -> None:
    returns, _ = market(2, 240, seed=4)
    matrix = matrix_of(factor_covariance(returns, 1, sessions=240))
    rho = matrix[0, 1] / np.sqrt(matrix[0, 0] * matrix[1, 1])
    assert rho == pytest.approx(np.corrcoef(returns.T)[0, 1], abs=0.02)


def test_its_minimum_variance_book_is_less_risky_than_the_samples_in_every_one_of_ten_markets() -> None:
    for seed in range(10):
        returns, truth = market(60, 120, seed)
        risk = []
        for matrix in (matrix_of(factor_covariance(returns, 1)), np.cov(returns.T)):
            weights = np.linalg.solve(matrix, np.ones(60))
            risk.append(weights @ truth @ weights / weights.sum() ** 2)
        assert risk[0] < 0.75 * risk[1]


def test_a_minimum_variance_book_is_as_risky_as_it_says() -> None:
    """A sample covariance of 100 names on 120 sessions promises a fraction of the risk that its book then has."""
    returns, truth = market(100, 120, 1)
    promised = {}
    for name, matrix in {"own": matrix_of(factor_covariance(returns, 1)), "sample": np.cov(returns.T)}.items():
        weights = np.linalg.solve(matrix, np.ones(100))
        promised[name] = (weights @ truth @ weights) / (weights @ matrix @ weights)
    assert 0.8 < promised["own"] < 1.5
    assert promised["sample"] > 5.0


def test_independent_names_get_hardly_a_common_factor() -> None:
    returns = np.random.default_rng(2).normal(0.0, 0.01, (120, 50))
    covariance = factor_covariance(returns, 1)
    assert ((covariance.loadings**2).sum(axis=1) / covariance.variance).mean() < 0.05


def test_no_name_is_explained_beyond_the_stated_share() -> None:
    assert LEAST_SPECIFIC_SHARE == 0.3
    g = np.random.default_rng(3)
    one = g.normal(0.0, 0.01, (120, 1))
    for returns in (np.repeat(one, 8, axis=1), one * np.array([[1.0, 2.0]]), one + g.normal(0, 1e-4, (120, 30))):
        covariance = factor_covariance(returns, 1)
        common = (covariance.loadings**2).sum(axis=1)
        assert (covariance.specific >= 0.3 * (covariance.variance - covariance.specific + 0.0) / 1.0000001).all()
        assert common / covariance.specific == pytest.approx(1.0 / 0.3, rel=0.05)
        assert np.linalg.eigvalsh(matrix_of(covariance)).min() > 0.0


def test_a_name_with_few_returns_or_with_none_that_change_has_no_covariance() -> None:
    returns, _ = market(6, 120)
    returns[19:, 0] = np.nan  # 19 returns
    returns[20:, 1] = np.nan  # 20 returns
    returns[:, 2] = 0.001
    returns[:, 3] = np.nan
    returns[5, 4] = np.inf
    covariance = factor_covariance(returns, 5)
    assert np.isnan(covariance.specific).tolist() == [True, False, True, True, False, False]
    assert (covariance.loadings[[0, 2, 3]] == 0.0).all()
    for nothing in (np.full((120, 3), np.nan), np.zeros((0, 3)), np.zeros((120, 3))):
        assert np.isnan(factor_covariance(nothing, 5).specific).all()


def test_few_returns_are_shrunk_more() -> None:
    g = np.random.default_rng(5)
    returns = g.normal(0.0, 0.01, (120, 40)) * np.exp(0.3 * g.normal(size=40))
    returns[:, 0] = returns[:, 1] = g.normal(0.0, 0.03, 120)
    returns[40:, 0] = np.nan
    ratio = factor_covariance(returns, 1).variance / np.nanvar(returns, axis=0)
    assert ratio[0] < ratio[1] < 1.0


def test_the_sign_of_a_factor_does_not_depend_on_the_sign_that_the_library_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    returns, _ = market(12, 120)
    before = factor_covariance(returns, 5)
    eigh = np.linalg.eigh

    def turned(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values, vectors = eigh(matrix)
        return values, -vectors

    monkeypatch.setattr(np.linalg, "eigh", turned)
    np.testing.assert_array_equal(factor_covariance(returns, 5).loadings, before.loadings)


def test_more_names_than_sessions_give_the_factors_of_the_full_decomposition() -> None:
    """The small Gram matrix and the large one have the same components: oracle by numpy's SVD."""
    returns, _ = market(150, 70, 6)
    covariance = factor_covariance(returns, 1, sessions=70)
    first = np.linalg.svd((returns - returns.mean(axis=0)) / returns.std(axis=0), full_matrices=False)[2][0]
    loading = covariance.loadings[:, 0] / np.sqrt(covariance.variance)
    assert abs(np.corrcoef(loading, first)[0, 1]) > 0.999


def test_the_latest_sessions_alone_count_and_their_number_has_bounds() -> None:
    returns, _ = market(4, 200)
    changed = returns.copy()
    changed[:80] = 0.5
    np.testing.assert_array_equal(factor_covariance(returns, 5).specific, factor_covariance(changed, 5).specific)
    for sessions in (60, 250):
        assert np.isfinite(factor_covariance(returns, 5, sessions).specific).all()
    for sessions in (59, 251):
        with pytest.raises(SettingsError, match="60 to 250"):
            factor_covariance(returns, 5, sessions)


def test_its_product_with_weights_is_the_matrix_product() -> None:
    returns, _ = market(9, 120)
    covariance, weights = factor_covariance(returns, 5), np.random.default_rng(0).normal(size=9)
    np.testing.assert_allclose(covariance.times(weights), matrix_of(covariance) @ weights, rtol=1e-12)
    partly = FactorCovariance(covariance.loadings, np.where(np.arange(9) == 3, np.nan, covariance.specific))
    assert np.isfinite(partly.times(np.where(np.arange(9) == 3, 0.0, weights))).all()
