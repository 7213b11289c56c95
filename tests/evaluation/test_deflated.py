"""Deflated measures against published numbers, brute force and numerical integration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats

from nn_assets.errors import SchemaError, SettingsError
from nn_assets.evaluation.deflated import (
    backtest_overfitting,
    combinatorial_splits,
    deflated_sharpe,
    deflated_threshold,
    expected_maximum_of_normals,
    minimum_track_record,
    null_sharpe_variance,
    probabilistic_sharpe,
)

DAILY = math.sqrt(250.0)


def test_deflated_sharpe_of_a_hundred_trials_as_published() -> None:
    assert deflated_threshold(100, 0.5 / 250.0) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(2.5 / DAILY, 1250, 100, 0.5 / 250.0, -3.0, 10.0) == pytest.approx(0.9004, abs=5e-5)


def test_deflated_sharpe_of_forty_six_trials_as_published() -> None:
    assert deflated_sharpe(2.5 / DAILY, 1250, 46, 0.5 / 250.0, -3.0, 10.0) == pytest.approx(0.9505, abs=5e-5)


@pytest.mark.parametrize(("skew", "kurtosis", "published"), [(0.0, 3.0, 0.982), (-2.448, 10.164, 0.913)])
def test_probabilistic_sharpe_as_published(skew: float, kurtosis: float, published: float) -> None:
    assert probabilistic_sharpe(0.458, 0.0, 24, skew, kurtosis) == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize(("per_year", "years"), [(252, 2.73), (12, 3.24)])
def test_minimum_track_record_as_published(per_year: int, years: float) -> None:
    needed = minimum_track_record(2.0 / math.sqrt(per_year), 1.0 / math.sqrt(per_year), 0.95)
    assert needed / per_year == pytest.approx(years, abs=5e-3)


def test_expected_maximum_is_the_published_approximation_of_the_exact_one() -> None:
    assert expected_maximum_of_normals(10) == pytest.approx(1.5746, abs=5e-5)
    exact = integrate.quad(lambda x: 10 * x * stats.norm.pdf(x) * stats.norm.cdf(x) ** 9, -10, 10)[0]
    assert exact == pytest.approx(1.5388, abs=5e-5)
    assert expected_maximum_of_normals(1) == 0.0


def test_one_trial_deflates_nothing() -> None:
    plain = probabilistic_sharpe(0.05, 0.0, 500, -0.5, 6.0)
    assert deflated_sharpe(0.05, 500, 1, 0.01, -0.5, 6.0) == plain


def test_more_trials_never_raise_the_deflated_sharpe() -> None:
    values = [deflated_sharpe(0.08, 1000, trials, 0.001) for trials in (1, 2, 5, 10, 100, 1000)]
    assert values == sorted(values, reverse=True)
    assert values[0] - values[-1] > 0.3


def test_the_spread_of_worthless_trials_is_what_simulation_gives() -> None:
    draws = np.random.default_rng(0).standard_normal((4000, 250))
    sharpes = draws.mean(axis=1) / draws.std(axis=1, ddof=1)
    assert null_sharpe_variance(250) == pytest.approx(sharpes.var(), rel=0.06)


@pytest.mark.full
def test_the_probabilistic_sharpe_is_calibrated_where_there_is_no_edge() -> None:
    draws = np.random.default_rng(1).standard_normal((2000, 500))
    probabilities = []
    for row in draws:
        sharpe = row.mean() / row.std(ddof=1)
        probabilities.append(probabilistic_sharpe(sharpe, 0.0, 500, stats.skew(row), stats.kurtosis(row) + 3.0))
    assert np.mean(np.array(probabilities) > 0.95) == pytest.approx(0.05, abs=0.015)


def test_a_sharpe_that_is_not_above_the_benchmark_needs_for_ever() -> None:
    assert minimum_track_record(0.05, 0.05) == math.inf
    assert math.isnan(minimum_track_record(math.nan, 0.0))
    assert math.isnan(probabilistic_sharpe(0.1, 0.0, 1))


def test_sixteen_blocks_make_12870_splits() -> None:
    returns = np.random.default_rng(2).standard_normal((320, 8))
    assert backtest_overfitting(returns, 16).splits == 12_870


def test_overfitting_agrees_with_brute_force() -> None:
    returns = np.random.default_rng(3).standard_normal((67, 5)) * 0.01
    blocks, length = 6, 11
    cut = returns[67 - 66 :].reshape(blocks, length, 5)
    logits = []
    for inside in itertools.combinations(range(blocks), 3):
        outside = [block for block in range(blocks) if block not in inside]
        train, test = cut[list(inside)].reshape(-1, 5), cut[outside].reshape(-1, 5)
        best = int(np.argmax(train.mean(axis=0) / train.std(axis=0)))
        rank = stats.rankdata(test.mean(axis=0) / test.std(axis=0))[best] / 6.0
        logits.append(math.log(rank / (1.0 - rank)))
    result = backtest_overfitting(returns, blocks)
    np.testing.assert_allclose(result.logits, logits, rtol=1e-12)
    assert result.probability == pytest.approx(np.mean(np.array(logits) <= 0.0))


def test_one_true_edge_among_noise_is_not_called_overfit_and_noise_is() -> None:
    noise = np.random.default_rng(4).standard_normal((1600, 20)) * 0.01
    assert backtest_overfitting(noise).probability > 0.3
    noise[:, 7] += 0.002
    assert backtest_overfitting(noise).probability < 0.02


def test_a_configuration_that_never_trades_is_no_better_than_zero() -> None:
    returns = np.random.default_rng(5).standard_normal((160, 3)) * 0.01 - 0.002
    returns[:, 1] = 0.0
    result = backtest_overfitting(returns, 8)
    assert np.isfinite(result.logits).all()
    assert result.probability < 0.1


@pytest.mark.parametrize(
    ("returns", "blocks"),
    [
        (np.zeros((100, 3)), 7),
        (np.zeros((20, 3)), 16),
        (np.zeros((100, 1)), 4),
        (np.full((99, 2), np.nan), 4),
    ],
)
def test_returns_that_cannot_be_split_are_refused(returns: np.ndarray, blocks: int) -> None:
    with pytest.raises(SchemaError, match="blocks"):
        backtest_overfitting(returns, blocks)


def test_six_groups_two_tested_make_fifteen_splits_and_five_paths() -> None:
    result = combinatorial_splits(6, 2)
    assert (result.splits, result.paths) == (15, 5)
    with pytest.raises(SettingsError):
        combinatorial_splits(6, 6)


def test_two_returns_are_the_fewest_of_which_a_sharpe_ratio_has_a_spread() -> None:
    assert [null_sharpe_variance(count) for count in (2, 3, 101)] == [1.0, 0.5, 0.01]
    assert math.isnan(null_sharpe_variance(1))
