"""Outcomes counted as what they are worth, against statsmodels, by hand, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from nn_assets.learning.evidence import effective_outcomes, sessions_needed


def test_sixty_sessions_or_six_horizons_are_needed() -> None:
    assert [sessions_needed(horizon) for horizon in (1, 10, 11, 20)] == [60, 60, 66, 120]


def test_from_sixty_sessions_on_the_count_is_the_variance_of_the_session_mean_by_statsmodels() -> None:
    draw = np.random.default_rng(0)
    names = draw.integers(3, 9, 200)
    hits = draw.binomial(names, 0.5 + 0.2 * np.sin(np.arange(200) / 3.0))
    found = effective_outcomes(hits, names, 2)
    for sessions in (60, 97, 200):
        share = hits[:sessions] / names[:sessions]
        fit = sm.OLS(share, np.ones(sessions)).fit(cov_type="HAC", cov_kwds={"maxlags": 6, "use_correction": False})
        share_of_window = 7 / sessions
        variance = fit.bse[0] ** 2 / (1 - share_of_window + share_of_window**2 / 3)
        rate = share.mean()
        assert found[sessions - 1] == pytest.approx(min(names[:sessions].sum(), rate * (1 - rate) / variance), rel=1e-9)


def test_weights_count_like_a_weighted_mean_whose_variance_is_added_up_pair_by_pair() -> None:
    draw = np.random.default_rng(1)
    share, weight = draw.integers(0, 5, 90) / 4.0, 2.0 ** (np.arange(90) / 20.0)
    found = effective_outcomes(share * 4, np.full(90, 4), 3, weight)[-1]
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
    assert found == pytest.approx(min(kish * 4, rate * (1 - rate) / variance), rel=1e-9)


def test_five_hundred_names_of_one_session_are_not_five_hundred_outcomes() -> None:
    found = effective_outcomes([260], [500], 10)
    assert found.tolist() == [pytest.approx(0.1)]
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
    found = float(np.median(counts))
    print(f"h {horizon}, {names} names, r {correlation}, {sessions} sessions: worth {truth:.0f}, counted {found:.0f}")
    assert 0.5 * truth < found < 1.6 * truth
