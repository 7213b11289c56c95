"""Capture by per_name: the same market, forecasts and limits as the programme's, and ratios against what is kept."""

from __future__ import annotations

import numpy as np
import pytest

from tests.proof import capture, capture_per_name
from tests.proof.capture import Account, Market
from tests.proof.results import Result, kept


@pytest.fixture(scope="module")
def market() -> Market:
    return capture.make_market(30, 3, "lasting", 150)


def test_it_sees_the_forecast_of_the_programme_and_keeps_to_the_same_limits(market: Market) -> None:
    t, flat = 140, np.zeros(30)
    inputs = capture_per_name.inputs_of(market, t, Account(flat), flat)
    programme = capture._inputs(market, t, Account(flat), flat, None)
    np.testing.assert_array_equal(inputs.calibrated_probability, programme.calibrated_probability)
    # A fair bet at the horizon's volatility loses and wins the mean of |r|, sqrt(2 / pi) of it.
    np.testing.assert_allclose(inputs.mean_win, 0.7978845608 * market.volatility[t] * 10**0.5, rtol=1e-9)
    decision = capture_per_name.decide(inputs, capture_per_name.SETTINGS, capture.COSTS)
    weights = decision.target_weight
    assert np.abs(weights).sum() <= 1.0 + 1e-9
    assert abs(weights.sum()) < 0.01
    held = weights != 0.0
    assert held.sum() >= 4
    assert (np.sign(weights[held]) == np.sign(market.mean[t][held])).all()


@pytest.mark.full
def test_equity_is_the_account_s_and_the_same_each_time(market: Market) -> None:
    equity, gross = capture_per_name.play(market)
    assert equity.shape == gross.shape == (20,)
    assert equity[0] == capture.CAPITAL
    np.testing.assert_array_equal(capture_per_name.play(market)[0], equity)


def test_the_summary_compares_with_the_books_kept_of_the_same_markets() -> None:
    results = [
        Result(result.panel, {**result.figures["package"], "gross": 0.5}, "code", 1.0)
        for result in kept("capture").values()
    ]
    text = capture_per_name.summary(results)
    row = next(line for line in text.splitlines() if line.startswith("| net Sharpe"))
    assert f"| {len(results)} |" in row
    assert "| 1.00 (1.00 to 1.00) |" in row
    assert "Its mean gross weight is 50.0%." in text
