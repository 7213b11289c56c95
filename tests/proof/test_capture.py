"""The measurement itself, on a small part of a market: both traders see the same means and pay the same costs."""

from __future__ import annotations

import numpy as np
import pytest

from tests.proof import capture, reference
from tests.proof.capture import Account, Figures, Market


@pytest.fixture(scope="module")
def market() -> Market:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capture, "SESSIONS", 160)
        return capture.make_market(30, 3, "lasting")


def test_forecasts_have_the_stated_correlation_and_the_means_are_centred() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capture, "SESSIONS", 160)
        made = [capture.make_market(30, seed, "fresh") for seed in range(3)]
        signals = [
            capture.simulate_market(
                30, capture.pd.bdate_range("2012-01-02", periods=160), seed, capture.RANK_IC, capture.PERSISTENCE
            ).truth.signal
            for seed in range(3)
        ]
    rho = [
        np.corrcoef(simulated.forecast.ravel(), signal.ravel())[0, 1]
        for simulated, signal in zip(made, signals, strict=True)
    ]
    assert np.mean(rho) == pytest.approx(0.45, abs=0.03)
    assert np.abs(made[0].mean.mean(axis=1)).max() < 1e-15


def test_from_a_flat_book_both_traders_want_nearly_the_same(market: Market) -> None:
    likeness = []
    for t in range(140, 160, 4):
        inputs = capture._inputs(market, t, Account(np.zeros(30)), np.zeros(30), None)
        own = capture.construct(inputs, capture.LIMITS, capture.COSTS).weights
        plain = reference.weights(
            market.mean[t], reference.covariance(market.returns[: t + 1], capture.HORIZON), np.zeros(30)
        )
        likeness.append(np.corrcoef(own, plain)[0, 1])
        assert np.abs(own).sum() == pytest.approx(np.abs(plain).sum(), rel=0.2)
    assert min(likeness) > 0.9


@pytest.mark.full
def test_both_play_on_and_the_solver_always_answers(market: Market) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capture, "SESSIONS", 145)
        own, fallbacks = capture.play_package(market)
        plain = capture.play_reference(market)
    assert fallbacks == 0
    assert own.shape == plain.shape == (15,)
    assert own[0] == plain[0] == capture.CAPITAL
    assert np.isfinite(own).all()
    assert np.corrcoef(np.diff(own), np.diff(plain))[0, 1] > 0.8


def test_the_account_pays_what_the_formula_says() -> None:
    account = Account(np.zeros(1))
    account.trade(np.array([1000.0]), np.array([50.0]), np.array([5e7]), np.array([0.02]))
    # 50,000 dollars are a thousandth of ADV: 4.5 + 1.8 bps, 0.15 x 2% x sqrt(0.001), 0.03 x 2% x 0.001
    cost = 50_000 * (4.5e-4 + 1.8e-4 + 0.15 * 0.02 * 0.001**0.5 + 0.03 * 0.02 * 0.001)
    assert account.equity(np.array([50.0])) == pytest.approx(1e6 - cost, rel=1e-12)


def test_the_figures_by_hand() -> None:
    figures = Figures.of(np.array([100.0, 110.0, 99.0, 108.9]))
    daily = np.array([0.1, -0.1, 0.1])
    volatility = daily.std() * np.sqrt(252)
    assert figures.annual_return == pytest.approx(daily.mean() * 252)
    assert figures.sharpe == pytest.approx(daily.mean() * 252 / volatility)
    assert figures.drawdown == pytest.approx(0.1 / volatility)


def test_the_interval_of_equal_markets_is_a_point() -> None:
    assert capture.interval(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])) == pytest.approx((0.5, 0.5))


def test_a_stop_is_filled_at_the_worse_of_open_and_level_and_blocks_its_side() -> None:
    def row(*values: float) -> np.ndarray:
        return np.array([values])

    market = Market(
        open=row(100.0, 94.0, 100.0),
        high=row(101.0, 99.0, 106.0),
        low=row(94.0, 93.0, 99.0),
        close=row(96.0, 95.0, 105.0),
        adv=row(1e9, 1e9, 1e9),
        volatility=row(0.02, 0.02, 0.02),
        own_volatility=row(0.02, 0.02, 0.02),
        mean=row(0.01, 0.01, -0.01),
        forecast=row(1.0, 1.0, -1.0),
    )
    stops = capture.Stops.none(3)
    stops.level = np.array([95.0, 95.0, 105.0])
    reached, price = stops.hit(market, 0, np.array([10.0, 10.0, -10.0]))
    assert reached.tolist() == [True, True, True]
    assert price.tolist() == [95.0, 94.0, 105.0]  # through the level, below it at the open, above it for a short
    assert stops.blocked.tolist() == [1, 1, -1]
    stops.release(market, 0)
    assert stops.blocked.tolist() == [1, 1, -1]
    market.mean[0] = [-0.01, 0.01, 0.0]
    stops.release(market, 0)
    assert stops.blocked.tolist() == [0, 1, 0]


def test_an_addition_moves_a_stop_to_the_weighted_level_and_never_away_from_the_price() -> None:
    stops = capture.Stops.none(4)
    nothing, price = np.zeros(4), np.full(4, 100.0)
    stops.rest(nothing, np.array([10.0, 10.0, -10.0, 0.0]), price, np.full(4, 4.0))
    np.testing.assert_array_equal(stops.level, [96.0, 96.0, 104.0, np.nan])
    held, price = np.array([10.0, 10.0, -10.0, 0.0]), np.array([110.0, 90.0, 110.0, 100.0])
    stops.rest(held, np.array([20.0, 20.0, -20.0, 5.0]), price, np.full(4, 4.0))
    # (96 x 10 + 106 x 10) / 20; 86 would be further away; 114 would be further away; a new one
    np.testing.assert_array_equal(stops.level, [101.0, 96.0, 104.0, 96.0])
    stops.rest(np.array([20.0, 20.0, -20.0, 5.0]), np.array([5.0, 0.0, 5.0, 5.0]), price, np.full(4, 4.0))
    np.testing.assert_array_equal(stops.level, [101.0, np.nan, 106.0, 96.0])
