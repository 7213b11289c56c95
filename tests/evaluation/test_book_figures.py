"""Figures of a book's returns against scipy's moments and the published formulas."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import kurtosis, skew

from nn_assets.evaluation.book_figures import StudyTerms, book_figures, spread_of_trials
from nn_assets.evaluation.record import BookTrack

YEAR = 252


def track(net: np.ndarray, gross: np.ndarray | None = None) -> BookTrack:
    return BookTrack(net=net, gross=net if gross is None else gross, turnover=np.full(len(net), 0.1))


def figures(net: np.ndarray, terms: StudyTerms, gross: np.ndarray | None = None) -> dict[str, float | int | None]:
    return book_figures(track(net, gross), np.ones(len(net), dtype=bool), terms)[0]


def crashing(count: int = 300, seed: int = 1) -> np.ndarray:
    """Small gains, and one session in twelve a large loss: far from normal, Sharpe ratio about 0.16 a session."""
    generator = np.random.default_rng(seed)
    return np.where(generator.random(count) < 1 / 12, -0.02, 0.004) + 0.001 * generator.standard_normal(count)


def test_skew_and_fat_tails_count_in_every_probability() -> None:
    """Bailey and Lopez de Prado (2012), equations 12 and 13; (2014), equation 9, with the trials' own spread."""
    net, gross = crashing(), crashing() + 3e-4
    sharpes = tuple(np.random.default_rng(2).normal(0.0, 0.04, 10))
    found = figures(net, StudyTerms(5, YEAR, 10, sharpes, 1e-4), gross)
    excess = net - 1e-4
    single = excess.mean() / excess.std(ddof=1)
    assert abs(skew(excess)) > 1.5
    wide = 1.0 - skew(excess) * single + (kurtosis(excess, fisher=False) - 1.0) / 4.0 * single**2
    normal = NormalDist()
    assert found["sharpe_net"] == pytest.approx(single * math.sqrt(YEAR), rel=1e-12)
    assert found["sharpe_gross"] == pytest.approx((gross - 1e-4).mean() / gross.std(ddof=1) * math.sqrt(YEAR), rel=1e-9)
    shown = normal.cdf(single * math.sqrt(299 / wide))
    assert found["probabilistic_sharpe"] == pytest.approx(shown, rel=1e-9)
    euler = 0.5772156649015329
    best = (1 - euler) * normal.inv_cdf(1 - 1 / 10) + euler * normal.inv_cdf(1 - 1 / (10 * math.e))
    left = single - np.std(sharpes, ddof=1) * best
    assert found["deflated_sharpe"] == pytest.approx(normal.cdf(left * math.sqrt(299 / wide)), rel=1e-9)
    assert found["minimum_track_record_sessions"] == pytest.approx(1 + wide * (normal.inv_cdf(0.95) / single) ** 2)


def test_left_to_themselves_the_terms_are_one_trial_and_no_cash() -> None:
    net = crashing()
    found = figures(net, StudyTerms(5, YEAR))
    assert found["deflated_sharpe"] == found["probabilistic_sharpe"]
    assert found["sharpe_net"] == pytest.approx(net.mean() / net.std(ddof=1) * math.sqrt(YEAR), rel=1e-12)


def test_five_returns_are_the_fewest_that_make_a_ratio_and_ten_trials_that_make_a_spread() -> None:
    net = crashing(5, seed=6)
    assert figures(net, StudyTerms(5, YEAR))["sharpe_net"] is not None
    assert figures(net[:4], StudyTerms(5, YEAR))["sharpe_net"] is None
    sharpes = tuple(np.random.default_rng(3).normal(0.0, 0.3, 10))
    assert spread_of_trials(sharpes, 101) == pytest.approx(np.var(sharpes, ddof=1))
    assert spread_of_trials(sharpes[:9], 101) == pytest.approx(0.01)
