"""Robust tests of a mean over sessions, against statsmodels, scikit-learn, scipy and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from nn_assets.evaluation import significance
from nn_assets.evaluation.significance import (
    auc_contributions,
    paired_test,
    rank_ic_contributions,
    robust_mean_test,
    truncation_lag,
)


def _ar(generator: np.random.Generator, rows: int, columns: int, coefficient: float) -> np.ndarray:
    values = np.zeros((rows, columns))
    values[0] = generator.standard_normal(columns)
    for row in range(1, rows):
        shock = generator.standard_normal(columns) * np.sqrt(1.0 - coefficient**2)
        values[row] = coefficient * values[row - 1] + shock
    return values


def _overlapping(generator: np.random.Generator, rows: int, columns: int, horizon: int) -> np.ndarray:
    daily = generator.standard_normal((rows + horizon, columns))
    return np.array([daily[row + 1 : row + 1 + horizon].sum(axis=0) for row in range(rows)])


def test_errors_are_those_of_statsmodels() -> None:
    values = _ar(np.random.default_rng(0), 400, 1, 0.5)[:, 0] + 0.1
    result = robust_mean_test(values, horizon=5)
    lag = truncation_lag(400, 5)
    fitted = sm.OLS(values, np.ones(400)).fit(cov_type="HAC", cov_kwds={"maxlags": lag, "use_correction": False})
    b = lag / 400  # lag 26, horizon 5: what Bartlett's weights keep of the variance
    kept = (1 - b + b**2 / 3) * (1 - 24 / (15 * (lag + 1)))
    assert result.standard_error == pytest.approx(fitted.bse[0] / np.sqrt(kept), rel=1e-10)
    assert result.t_statistic == pytest.approx(fitted.tvalues[0] * np.sqrt(kept), rel=1e-10)


def test_twenty_sessions_are_the_fewest_that_are_tested() -> None:
    values = np.random.default_rng(5).standard_normal(20)
    assert robust_mean_test(values, horizon=2).p_value is not None
    short = robust_mean_test(values[:19], horizon=2)
    assert (short.p_value, short.sessions) == (None, 19)
    assert short.estimate == pytest.approx(values[:19].mean())


@pytest.mark.full
@pytest.mark.parametrize(("rows", "horizon"), [(250, 1), (250, 10), (500, 5), (1000, 20)])
@pytest.mark.parametrize("level", [0.03, 0.01])
def test_noise_of_overlapping_labels_is_rejected_as_often_as_the_level_says(
    rows: int, horizon: int, level: float
) -> None:
    generator = np.random.default_rng(8)
    rounds = 1500
    daily = generator.standard_normal((rounds, rows + horizon)).cumsum(axis=1)
    series = daily[:, horizon:] - daily[:, :-horizon]
    rejected = np.mean([robust_mean_test(values, horizon).p_value < level for values in series])
    assert rejected <= level + 0.006 + 2.0 * np.sqrt(level * (1.0 - level) / rounds), rejected


def test_the_lag_is_never_below_the_overlap_of_labels() -> None:
    for sessions, horizon in ((30, 1), (250, 5), (750, 20), (4000, 5)):
        assert truncation_lag(sessions, horizon) >= min(horizon - 1, sessions // 2 - 1)
    assert truncation_lag(4, 20) == 1


def test_auc_contributions_of_one_instrument_average_to_its_auc() -> None:
    generator = np.random.default_rng(1)
    p = np.round(generator.random((300, 1)), 2)
    y = (generator.random((300, 1)) < p).astype(float)
    y[generator.random((300, 1)) < 0.2] = np.nan
    p[5] = np.nan
    known = np.isfinite(p) & np.isfinite(y)
    contributions = auc_contributions(p, y)
    assert np.nanmean(contributions) == pytest.approx(roc_auc_score(y[known], p[known]), abs=1e-12)
    assert np.isnan(contributions[5])


def test_the_auc_of_few_instruments_is_taken_within_folds_and_never_over_models() -> None:
    """Each model has a level of its own: pooled, their levels are ranked against each other."""
    generator = np.random.default_rng(9)
    folds = np.repeat(["m1", "m2", "m3", "m4"], 150)
    level = np.repeat([0.40, 0.60, 0.45, 0.55], 150)[:, None]
    often = np.repeat([0.7, 0.3, 0.6, 0.4], 150)[:, None]  # the models' levels stand the wrong way round
    y = (generator.random((600, 2)) < often).astype(float)
    p = level + 0.01 * (y + 1.5 * generator.standard_normal((600, 2)))
    p[:20, 1] = np.nan
    pooled = roc_auc_score(y[np.isfinite(p)], p[np.isfinite(p)])
    contributions = auc_contributions(p, y, folds)
    weights, own = [], []
    for fold in np.unique(folds):
        for column in range(2):
            rows = (folds == fold) & np.isfinite(p[:, column])
            ups = y[rows, column].sum()
            weights.append(ups * (rows.sum() - ups) / (rows.sum() + 1))
            own.append(roc_auc_score(y[rows, column], p[rows, column]))
    assert np.nanmean(contributions) == pytest.approx(np.average(own, weights=weights), abs=1e-12)
    assert pooled < 0.5 < 0.6 < np.nanmean(contributions)


def test_the_auc_of_a_panel_is_taken_within_sessions() -> None:
    generator = np.random.default_rng(10)
    p, y = generator.random((50, 9)), (generator.random((50, 9)) < 0.5).astype(float)
    p[3, :5], y[7] = np.nan, 1.0
    p[9, 2] = np.nan
    contributions = auc_contributions(p, y)
    assert np.isnan(contributions[[3, 7]]).all()
    for row in (0, 9, 20):
        kept = np.isfinite(p[row])
        assert contributions[row] == pytest.approx(roc_auc_score(y[row, kept], p[row, kept]))


def test_ranks_of_few_instruments_are_taken_within_folds() -> None:
    generator = np.random.default_rng(11)
    folds = np.repeat(["m1", "m2"], [120, 80])
    p, r = generator.standard_normal((200, 1)), generator.standard_normal((200, 1))
    p[:120] += 5.0
    r[:120] += 5.0  # both higher in the first fold: a correlation between folds, none within
    own = [spearmanr(p[folds == fold, 0], r[folds == fold, 0]).statistic for fold in ("m1", "m2")]
    rank_ic = np.nanmean(rank_ic_contributions(p, r, folds))
    assert rank_ic == pytest.approx(np.average(own, weights=[120, 80]), abs=1e-12)
    assert np.nanmean(rank_ic_contributions(p, r)) > 0.5


def test_a_paired_test_sees_a_small_steady_difference() -> None:
    generator = np.random.default_rng(12)
    common = 0.2 * generator.standard_normal(800)
    one, other = common + 0.01, common + 0.01 * generator.standard_normal(800)
    other[:30] = np.nan
    result = paired_test(one, other, 5)
    assert result.sessions == 770
    assert result.p_value < 1e-6
    assert robust_mean_test(one, 5).p_value > 0.01


def test_the_error_of_an_auc_of_independent_rows_is_delongs() -> None:
    generator = np.random.default_rng(2)
    errors, estimates = [], []
    for _ in range(300):
        y = (generator.random((400, 1)) < 0.5).astype(float)
        p = y * 0.3 + generator.standard_normal((400, 1))
        contributions = auc_contributions(p, y)
        estimates.append(np.nanmean(contributions))
        errors.append(np.nanstd(contributions) / 20.0)
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.12)


def test_one_class_only_has_no_auc() -> None:
    contributions = auc_contributions(np.random.default_rng(3).random((50, 2)), np.ones((50, 2)))
    assert np.isnan(contributions).all()
    assert robust_mean_test(contributions, 5).estimate is None


def test_wide_panels_give_spearman_across_symbols() -> None:
    generator = np.random.default_rng(4)
    p, r = generator.random((40, 8)), generator.standard_normal((40, 8))
    p[3, 2], p[7, :4] = np.nan, np.nan
    contributions = rank_ic_contributions(p, r)
    assert contributions[0] == pytest.approx(spearmanr(p[0], r[0]).statistic)
    kept = np.isfinite(p[3])
    assert contributions[3] == pytest.approx(spearmanr(p[3, kept], r[3, kept]).statistic)
    assert np.isnan(contributions[7])


def test_narrow_panels_give_the_mean_of_time_series_spearman() -> None:
    generator = np.random.default_rng(5)
    p, r = generator.random((200, 2)), generator.standard_normal((200, 2))
    p[:30, 1] = np.nan
    p[40:45] = np.nan
    own = [spearmanr(p[:, j], r[:, j], nan_policy="omit").statistic for j in range(2)]
    assert np.nanmean(rank_ic_contributions(p, r)) == pytest.approx(np.mean(own), abs=1e-12)


@pytest.mark.full
@pytest.mark.parametrize(("rows", "columns"), [(750, 20), pytest.param(1500, 2, marks=pytest.mark.full)])
def test_persistent_forecasts_of_overlapping_noise_are_rarely_significant(rows: int, columns: int) -> None:
    generator = np.random.default_rng(6)
    rejected = {"rank_ic": 0, "auc": 0}
    rounds = 250
    for _ in range(rounds):
        p = _ar(generator, rows, columns, 0.9)
        r = _overlapping(generator, rows, columns, 5)
        rejected["rank_ic"] += robust_mean_test(rank_ic_contributions(p, r), 5).p_value < 0.05
        y = (r > 0.0).astype(float)
        rejected["auc"] += robust_mean_test(auc_contributions(p, y), 5, null=0.5).p_value < 0.05
    for name, count in rejected.items():
        assert count / rounds < 0.05 + 3.0 * np.sqrt(0.05 * 0.95 / rounds), (name, count / rounds)


def test_a_constant_series_is_no_evidence() -> None:
    result = robust_mean_test(np.full(100, 0.3), 5)
    assert result.t_statistic is None
    assert "nothing varies" in result.reason


def test_too_few_sessions_give_a_mean_and_no_test() -> None:
    result = robust_mean_test(np.array([0.1, np.nan, 0.3]), 5)
    assert result.estimate == pytest.approx(0.2)
    assert result.p_value is None
    assert "2 sessions" in result.reason


def test_a_longer_record_ranks_no_fold_again_that_is_over() -> None:
    g = np.random.default_rng(20)
    forecasts, returns = g.normal(size=(2, 60, 2))
    targets = (returns > 0.0).astype(float)
    folds = np.repeat(["a", "b", "c"], 20)
    for kept, contributions, outcomes in (
        (significance._stratum_of, auc_contributions, targets),
        (significance._shares_of, rank_ic_contributions, returns),
    ):
        kept.cache_clear()
        alone = contributions(forecasts, outcomes, folds)
        kept.cache_clear()
        contributions(forecasts[:50], outcomes[:50], folds[:50])
        assert kept.cache_info().misses == 6  # three folds of two symbols, the last of them unfinished
        np.testing.assert_array_equal(contributions(forecasts, outcomes, folds), alone)
        assert (kept.cache_info().hits, kept.cache_info().misses) == (4, 8)
        changed = np.array(outcomes)
        changed[3] = 1.0 - changed[3]
        assert (contributions(forecasts, changed, folds) != alone).any()


def test_what_bartletts_weights_keep_is_half_at_least_of_overlapping_labels() -> None:
    """20 sessions, labels of 20: lag 9, so b is 0.45; 1 - 0.45 + 0.45^2 / 3 = 0.6175, of which 0.5 and not 0.335."""
    assert significance.kept_variance(20, 20) == pytest.approx(0.6175 * 0.5)


def test_a_series_that_varies_by_its_last_bit_does_not_vary() -> None:
    values = np.where(np.arange(100) % 3 == 0, 0.1, np.nextafter(0.1, 1.0))
    result = significance.robust_mean_test(values, 5)
    assert result.t_statistic is None
    assert "nothing varies" in result.reason


def test_two_rows_of_a_fold_have_no_correlation() -> None:
    p, r = np.array([[0.4], [0.6], [0.5], [0.7], [0.2]]), np.array([[0.1], [0.2], [0.3], [-0.1], [0.2]])
    shares = rank_ic_contributions(p, r, np.array(["a", "a", "b", "b", "b"]))
    assert np.isnan(shares[:2]).all()
    assert np.isfinite(shares[2:]).all()


def test_what_is_kept_of_a_finished_fold_cannot_be_written_to() -> None:
    p, r = np.array([0.4, 0.6, 0.5, 0.7]), np.array([0.1, 0.2, 0.3, -0.1])
    assert not significance._spearman_shares(p, r).flags.writeable
    stratum = significance._stratum(p, r > 0.15)
    assert stratum is not None
    assert not stratum[2].flags.writeable
