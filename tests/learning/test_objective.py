"""The figure that trials are compared by, against a book that is kept cohort by cohort."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from nn_assets.learning.objective import book_returns, net_sharpe

SCORE = np.array([[1.0, -1.0], [2.0, np.nan], [9.0, 0.5], [0.0, -2.0], [1.0, 1.0]])
RETURNS = np.array([[0.01, 0.02], [0.03, 0.04], [-0.01, 0.02], [0.05, np.nan], [0.02, -0.02]])


def _by_hand(horizon: int, cost: float, neutral: bool) -> list[float]:
    cohorts: list[list[float]] = []
    net = []
    for scores, returns in zip(SCORE.tolist(), RETURNS.tolist(), strict=True):
        held = [not (math.isnan(score) or math.isnan(earned)) for score, earned in zip(scores, returns, strict=True)]
        cut = [min(3.0, max(-3.0, score)) if there else 0.0 for score, there in zip(scores, held, strict=True)]
        mean = sum(cut) / sum(held) if neutral else 0.0
        weights = [(value - mean) / sum(held) if there else 0.0 for value, there in zip(cut, held, strict=True)]
        leaving = cohorts[-horizon] if len(cohorts) >= horizon else [0.0, 0.0]
        earned = sum(weight * gain for weight, gain in zip(weights, returns, strict=True) if weight)
        net.append(earned - cost * sum(abs(now - then) for now, then in zip(weights, leaving, strict=True)))
        cohorts.append(weights)
    return net


@pytest.mark.parametrize("horizon", [1, 2, 7])
@pytest.mark.parametrize("neutral", [False, True])
def test_a_cohort_earns_its_weights_and_pays_for_what_it_changes(horizon: int, neutral: bool) -> None:
    net = book_returns(SCORE, RETURNS, horizon, 0.001, neutral=neutral)
    assert net == pytest.approx(_by_hand(horizon, 0.001, neutral), abs=1e-15)


def test_costs_take_from_a_forecast_that_turns_and_not_from_one_that_stays() -> None:
    returns = np.full((6, 1), 0.01)
    turning = np.array([[1.0], [-1.0]] * 3)
    stays = book_returns(np.ones((6, 1)), returns, 1, 0.002, neutral=False)
    assert stays == pytest.approx([0.008, 0.01, 0.01, 0.01, 0.01, 0.01])
    assert book_returns(turning, returns, 1, 0.002, neutral=False)[1:] == pytest.approx([-0.014, 0.006] * 2 + [-0.014])


def test_the_ratio_is_annual_by_the_horizons_in_a_year() -> None:
    net = np.array([0.01, 0.03, -0.02, 0.02])
    expected = statistics.mean(net.tolist()) / statistics.stdev(net.tolist()) * math.sqrt(252 / 5)
    assert net_sharpe(net, 5, 252.0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("net", [[], [0.1], [0.0, 0.0, 0.0], [0.2, 0.2, 0.2], [np.nan, 0.1, 0.2]])
def test_a_book_without_any_spread_has_no_ratio(net: list[float]) -> None:
    assert math.isnan(net_sharpe(np.array(net), 1, 252.0))
