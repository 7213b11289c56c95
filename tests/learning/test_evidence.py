"""Outcomes counted as what they are worth, against statsmodels, by hand, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from nn_assets.learning.calibration import fit_calibration
from nn_assets.learning.evidence import effective_outcomes, less_the_median, sessions_needed
from nn_assets.signals.signals import outcome_statistics


def test_sixty_sessions_or_six_horizons_are_needed() -> None:
    assert [sessions_needed(horizon) for horizon in (1, 10, 11, 20)] == [60, 60, 66, 120]


def test_from_sixty_sessions_on_the_count_is_the_variance_of_the_session_mean_by_statsmodels() -> None:
    draw = np.random.default_rng(0)
    names = draw.integers(3, 9, 200)
    hits = draw.binomial(names, 0.5 + 0.2 * np.sin(np.arange(200) / 3.0))
    counts = effective_outcomes(hits, names, 2)
    for sessions in (60, 97, 200):
        share = hits[:sessions] / names[:sessions]
        fit = sm.OLS(share, np.ones(sessions)).fit(cov_type="HAC", cov_kwds={"maxlags": 6, "use_correction": False})
        share_of_window = 7 / sessions
        variance = fit.bse[0] ** 2 / (1 - share_of_window + share_of_window**2 / 3)
        rate = share.mean()
        assert counts[sessions - 1] == pytest.approx(
            min(names[:sessions].sum(), rate * (1 - rate) / variance), rel=1e-9
        )


def test_weights_count_like_a_weighted_mean_whose_variance_is_added_up_pair_by_pair() -> None:
    draw = np.random.default_rng(1)
    share, weight = draw.integers(0, 5, 90) / 4.0, 2.0 ** (np.arange(90) / 20.0)
    count = effective_outcomes(share * 4, np.full(90, 4), 3, weight)[-1]
    rate = np.average(share, weights=weight)
    total = 0.0
    for one in range(90):
        for other in range(90):
            apart = abs(one - other)
            if apart <= 9:
                away = (share[one] - rate) * (share[other] - rate)
                total += (1 - apart / 10) * weight[one] * weight[other] * away
    kish = weight.sum() ** 2 / (weight**2).sum()
    window = min(1.0, 10 / kish)
    variance = total / weight.sum() ** 2 / (1 - window + window**2 / 3)
    assert count == pytest.approx(min(kish * 4, rate * (1 - rate) / variance), rel=1e-9)


def test_five_hundred_names_of_one_session_are_not_five_hundred_outcomes() -> None:
    counts = effective_outcomes([260], [500], 10)
    assert counts.tolist() == [pytest.approx(0.1)]
    ten = effective_outcomes([260, 240, 251, 249, 255, 245, 252, 248, 250, 250], [500] * 10, 10)
    assert ten[-1] == pytest.approx(1.0)


def test_names_that_move_as_one_count_as_one() -> None:
    together = effective_outcomes([50, 0, 50, 50, 0, 0, 50, 0] * 5, [50] * 40, 1)
    assert together[-1] == pytest.approx(40.0, rel=0.35)


def test_all_alike_is_worth_the_stretches_that_do_not_overlap() -> None:
    assert effective_outcomes([5] * 80, [5] * 80, 8)[-1] == pytest.approx(10.0)
    assert effective_outcomes([], [], 8).tolist() == []


def test_a_longer_record_changes_no_bit_of_an_earlier_count() -> None:
    draw = np.random.default_rng(2)
    names = draw.integers(1, 20, 300)
    hits = draw.binomial(names, 0.52)
    whole = effective_outcomes(hits, names, 5)
    for cut in (1, 2, 40, 59, 60, 61, 180):
        np.testing.assert_array_equal(effective_outcomes(hits[:cut], names[:cut], 5), whole[:cut])


@pytest.mark.full
@pytest.mark.parametrize(("horizon", "names", "correlation"), [(1, 1, 0.0), (5, 20, 0.0), (10, 40, 0.2), (5, 2, 0.8)])
@pytest.mark.parametrize("sessions", [50, 250])
def test_the_count_is_the_one_that_the_truth_of_a_simulation_has(
    horizon: int, names: int, correlation: float, sessions: int
) -> None:
    """Hits are signs of h-session sums of equicorrelated normals: overlap and correlation are known."""
    draw = np.random.default_rng(5)
    rates, counts = [], []
    for _ in range(150):
        common, own = draw.normal(size=(sessions + horizon, 1)), draw.normal(size=(sessions + horizon, names))
        steps = np.sqrt(correlation) * common + np.sqrt(1.0 - correlation) * own
        sums = np.cumsum(steps, axis=0)
        hits = ((sums[horizon:] - sums[:-horizon]) > 0.0).sum(axis=1)
        rates.append(hits.mean() / names)
        counts.append(effective_outcomes(hits, np.full(sessions, names), horizon)[-1])
    truth = 0.25 / np.var(rates)
    count = float(np.median(counts))
    print(f"h {horizon}, {names} names, r {correlation}, {sessions} sessions: worth {truth:.0f}, counted {count:.0f}")
    assert 0.5 * truth < count < 1.6 * truth


def test_hits_that_are_the_same_in_every_session_are_worth_what_overlap_and_names_allow() -> None:
    """Six of twelve names are right in each of 120 sessions, labels of 20: nothing varies; 120 x 12 / 20."""
    counts = effective_outcomes([6] * 120, [12] * 120, 20)
    assert counts[-1] == pytest.approx(72.0)
    assert (counts <= np.arange(1, 121) * 12 / 20 + 1e-9).all()
    thirds = effective_outcomes([4] * 120, [12] * 120, 20, 0.99 ** np.arange(120)[::-1])
    kept = 0.99 ** np.arange(120)
    assert thirds[-1] == pytest.approx(kept.sum() ** 2 / (kept**2).sum() * 12 / 20)  # 1/3 has no exact bits


def test_forecasts_less_the_sessions_median() -> None:
    nan = np.nan
    actual = less_the_median(np.array([[3.0, 1.0, nan, 2.0], [nan] * 4, [4.0, 1.0, nan, nan], [5.0, nan, nan, nan]]))
    expected = [[1.0, -1.0, nan, 0.0], [nan] * 4, [1.5, -1.5, nan, nan], [0.0, nan, nan, nan]]
    np.testing.assert_array_equal(actual, expected)


def _relative_record(seed: int, common: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores of 12 names that know nothing, on a level of their own, and returns over 20 sessions less their median."""
    draw = np.random.default_rng(seed)
    daily = draw.normal(size=(140, 12))
    ahead = np.array([daily[row + 1 : row + 21].sum(axis=0) for row in range(120)])
    score = np.zeros((120, 12))
    for row in range(120):
        before = score[row - 1] if row else draw.normal(size=12)
        score[row] = 0.98 * before + 0.2 * draw.normal(size=12)
    return score + common, ahead - np.median(ahead, axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(6))
def test_a_level_common_to_all_names_adds_no_evidence_where_labels_are_relative(seed: int) -> None:
    """It made 1,440 outcomes of 120 sessions of 12 names: one half of the labels was right whatever they said."""
    counts = {}
    for common in (0.0, 5.0):
        score, own = _relative_record(seed, common)
        p, sigma = 1.0 / (1.0 + np.exp(-0.1 * score)), np.ones_like(score)
        outcomes = outcome_statistics(p, own, np.arange(120), sigma, 20, relative=True)
        fitted = fit_calibration(
            score, np.zeros_like(score), (own > 0.0).astype(float),
            horizon_sessions=20, half_life_sessions=1e12, prior_outcomes=60.0, relative=True,
        )  # fmt: skip
        counts[common] = outcomes.count[-1], fitted.effective_outcomes, outcomes.mean_win[-1], fitted.outcomes
    np.testing.assert_allclose(counts[5.0], counts[0.0], rtol=1e-6)
    side = score > np.sort(score, axis=1)[:, 5:7].mean(axis=1, keepdims=True)
    share = np.asarray((side == (own > 0.0)).mean(axis=1))
    assert counts[5.0][0] == pytest.approx(effective_outcomes(12 * share, [12] * 120, 20)[-1])
    assert counts[5.0][1] == pytest.approx(counts[5.0][0])


def test_the_evidence_of_relative_labels_is_what_the_hit_rates_spread_over_records_says() -> None:
    """p (1 - p) / V with V over 100 records drawn anew, forecasts on a level of 5, beside the mean of 1 / n in each."""
    rates, lost = [], []
    for seed in range(100):
        score, own = _relative_record(seed, 5.0)
        side = score > np.median(score, axis=1, keepdims=True)
        rates.append(float((side == (own > 0.0)).mean()))
        outcomes = outcome_statistics(score / 10.0, own, np.arange(120), np.ones_like(own), 20, relative=True)
        lost.append(1.0 / outcomes.count[-1])
    assert 1.0 / np.mean(lost) == pytest.approx(0.25 / np.var(rates), rel=0.4)


def test_forecasts_that_are_one_in_every_session_are_no_evidence_where_labels_are_relative() -> None:
    _, own = _relative_record(0, 0.0)
    level = np.repeat(np.linspace(-1.0, 1.0, 120)[:, None], 12, axis=1)
    outcomes = outcome_statistics(level + 0.7, own, np.arange(120), np.ones_like(own), 20, relative=True)
    assert (outcomes.count[-1], outcomes.sessions[-1]) == (0.0, 0)
    fitted = fit_calibration(
        level, np.zeros_like(own), (own > 0.0).astype(float),
        horizon_sessions=20, half_life_sessions=252.0, prior_outcomes=60.0, relative=True,
    )  # fmt: skip
    assert (fitted.effective_outcomes, fitted.slope) == (0.0, 0.0)
