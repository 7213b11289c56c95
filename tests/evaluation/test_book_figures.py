"""Figures of a book's returns against scipy's moments and the published formulas."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import kurtosis, skew

from nn_assets.evaluation.book_figures import StudyTerms, book_figures, spread_of_trials
from nn_assets.evaluation.track import BookTrack

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
    result = figures(net, StudyTerms(5, YEAR, 10, sharpes, 1e-4), gross)
    excess = net - 1e-4
    single = excess.mean() / excess.std(ddof=1)
    assert abs(skew(excess)) > 1.5
    wide = 1.0 - skew(excess) * single + (kurtosis(excess, fisher=False) - 1.0) / 4.0 * single**2
    normal = NormalDist()
    assert result["sharpe_net"] == pytest.approx(single * math.sqrt(YEAR), rel=1e-12)
    assert result["sharpe_gross"] == pytest.approx(
        (gross - 1e-4).mean() / gross.std(ddof=1) * math.sqrt(YEAR), rel=1e-9
    )
    shown = normal.cdf(single * math.sqrt(299 / wide))
    assert result["probabilistic_sharpe"] == pytest.approx(shown, rel=1e-9)
    euler = 0.5772156649015329
    best = (1 - euler) * normal.inv_cdf(1 - 1 / 10) + euler * normal.inv_cdf(1 - 1 / (10 * math.e))
    left = single - np.std(sharpes, ddof=1) * best
    assert result["deflated_sharpe"] == pytest.approx(normal.cdf(left * math.sqrt(299 / wide)), rel=1e-9)
    assert result["minimum_track_record_sessions"] == pytest.approx(1 + wide * (normal.inv_cdf(0.95) / single) ** 2)


def test_other_costs_are_charged_on_what_was_traded() -> None:
    """Dollar for dollar in exact fractions: twice what was paid, and 10 bps of what was traded."""
    equity = [1000.0, 1010.0, 990.0, 1005.0, 1020.0, 1015.0, 1030.0]
    paid = [0.5, 0.0, 2.0, 1.0, 0.25, 0.75]
    traded = [400.0, 0.0, 900.0, 100.0, 50.0, 2000.0]
    before, after = equity[:-1], equity[1:]
    net = np.array([new / old - 1.0 for old, new in zip(before, after, strict=True)])
    gross = np.array([(new + cost) / old - 1.0 for old, new, cost in zip(before, after, paid, strict=True)])
    turnover = np.array([amount / old for old, amount in zip(before, traded, strict=True)])
    cash = 2e-4
    book = BookTrack(net=net, gross=gross, turnover=turnover)
    result = book_figures(book, np.ones(6, dtype=bool), StudyTerms(5, YEAR, cash_rate_per_session=cash))[0]
    for name, charged in (
        ("costs_x2", [2.0 * cost for cost in paid]),
        ("10_bps", [amount * 10.0 / 10_000.0 for amount in traded]),
    ):
        earned = [
            (new + cost - other) / old - 1.0 for old, new, cost, other in zip(before, after, paid, charged, strict=True)
        ]
        assert result[f"return_per_year_{name}"] == pytest.approx(252.0 * sum(earned) / 6)
        over = [value - cash for value in earned]
        middle = sum(over) / 6
        spread = math.sqrt(sum((value - middle) ** 2 for value in over) / 5)
        assert result[f"sharpe_net_{name}"] == pytest.approx(middle / spread * math.sqrt(252.0))
    assert result["sharpe_net_costs_x2"] < result["sharpe_net"] < result["sharpe_gross"]  # type: ignore[operator]


def test_left_to_themselves_the_terms_are_one_trial_and_no_cash() -> None:
    net = crashing()
    result = figures(net, StudyTerms(5, YEAR))
    assert result["deflated_sharpe"] == result["probabilistic_sharpe"]
    assert result["sharpe_net"] == pytest.approx(net.mean() / net.std(ddof=1) * math.sqrt(YEAR), rel=1e-12)


def test_five_returns_are_the_fewest_that_make_a_ratio_and_ten_trials_that_make_a_spread() -> None:
    net = crashing(5, seed=6)
    assert figures(net, StudyTerms(5, YEAR))["sharpe_net"] is not None
    assert figures(net[:4], StudyTerms(5, YEAR))["sharpe_net"] is None
    sharpes = tuple(np.random.default_rng(3).normal(0.0, 0.3, 10))
    assert spread_of_trials(sharpes, 101) == pytest.approx(np.var(sharpes, ddof=1))
    assert spread_of_trials(sharpes[:9], 101) == pytest.approx(0.01)
