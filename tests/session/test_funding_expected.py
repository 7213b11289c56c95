"""Funding that a decision expects: taken off the return that it is sized by, and what that is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import Replay, replay
from nn_assets.features.labels import make_labels
from nn_assets.market.facts.funding import Funding
from nn_assets.portfolio.trace import steps_frame
from nn_assets.session.market_view import market_view
from nn_assets.settings import Strategy
from tests.session.test_funding_paid import PERPETUALS
from tests.session.worlds import World, world

ROWS = range(200, 290)


def strategy(*, expects: bool, **portfolio: object) -> Strategy:
    own = {"minimum_outcomes": 20, "shrink_prior_outcomes": 5.0, "construction": "programme"}
    own |= {"expect_funding": expects, **portfolio}
    return Strategy.model_validate({**PERPETUALS, "portfolio": own})


def of(rate: np.ndarray, *, expects: bool) -> World:
    """The world with a rate of funding by symbol and session, all of it paid between open and close."""
    made = world(strategy(expects=expects))
    none, assumed = np.zeros_like(rate), np.zeros(rate.shape, dtype=bool)
    funding = Funding(none, rate, assumed, np.maximum(rate, 0.0), np.minimum(rate, 0.0))
    return replace(made, market=replace(made.market, funding=funding))


def played(made: World, rows: range = ROWS) -> Replay:
    return replay(made.strategy, cost_model_from(made.strategy.costs), 252, [made.scene(rows)])


def lasting_rates(seed: int, scale: float) -> np.ndarray:
    """Rates that last, AR(1) at 0.97 by session, (300, 5)."""
    draw = np.random.default_rng(seed)
    rate = draw.normal(0.0, scale, (300, 5))
    for row in range(1, 300):
        rate[row] = 0.97 * rate[row - 1] + (1.0 - 0.97**2) ** 0.5 * rate[row]
    return rate


def test_what_longs_would_pay_over_the_horizon_is_taken_off_the_return_expected() -> None:
    rate = np.full((300, 5), 1e-4) * np.array([1.0, -2.0, 0.0, 3.0, 5.0])
    without, with_it = (played(of(rate, expects=expects), range(200, 201)).rounds[0] for expects in (False, True))
    before, after = without.decision.expected_return, with_it.decision.expected_return
    np.testing.assert_allclose(before - after, 3 * 1e-4 * np.array([1.0, -2.0, 0.0, 3.0, 5.0]), rtol=1e-9, atol=1e-15)
    frame = steps_frame(with_it.decision)
    steps = frame.loc[frame["step"] == 1, "reason"].tolist()
    assert "less +0.150% of funding over them" in steps[4]
    assert "less -0.060% of funding over them" in steps[1]
    assert "funding" not in steps[2]


def test_a_later_rate_changes_nothing_decided_before() -> None:
    rate = lasting_rates(1, 5e-4)
    later = rate.copy()
    later[206:] = -7.0 * later[206:]
    for one, other in zip(
        played(of(rate, expects=True), range(200, 206)).rounds,
        played(of(later, expects=True), range(200, 206)).rounds,
        strict=True,
    ):
        np.testing.assert_array_equal(one.decision.target_quantity, other.decision.target_quantity)


def test_what_it_needs_is_named() -> None:
    with pytest.raises(ValidationError, match=r"expect_funding needs portfolio.construction: programme"):
        strategy(expects=True, construction="per_name")
    shares = {name: value for name, value in PERPETUALS.items() if name not in ("costs", "series")}
    shares |= {
        "market": {"history_starts": "2014-01-02"},
        "portfolio": {"construction": "programme", "expect_funding": True},
    }
    with pytest.raises(ValidationError, match=r"expect_funding needs costs.funding"):
        Strategy.model_validate(shares)
    assert (
        strategy(expects=False).content_hash()
        == Strategy.model_validate(
            {
                **PERPETUALS,
                "portfolio": {"minimum_outcomes": 20, "shrink_prior_outcomes": 5.0, "construction": "programme"},
            }
        ).content_hash()
    )


@pytest.mark.full
def test_a_book_that_expects_funding_earns_it_where_nothing_else_is_to_be_earned() -> None:
    """Forecasts of one half but for noise, prices of small noise: funding alone is an edge, known by construction."""
    earned, received = [], []
    for seed in range(8):
        made = of(lasting_rates(seed, 8e-4), expects=True)
        draw = np.random.default_rng(100 + seed)
        close = 50.0 * np.exp(np.cumsum(draw.normal(0.0, 0.004, made.panel.close.shape), axis=0))
        prices = {"open": close, "high": close * 1.002, "low": close * 0.998, "close": close}
        panel = replace(made.panel, **prices)
        market = market_view(panel, made.strategy.portfolio, funding=made.market.funding)
        noise = 1e-3 * draw.normal(size=close.shape)
        forecasts = replace(made.forecasts, probability=0.5 + noise, calibrated=0.5 + noise, score=noise)
        labels = make_labels(panel, made.strategy.label)
        books = [
            played(replace(made, panel=panel, market=market, labels=labels, forecasts=forecasts, strategy=one))
            for one in (strategy(expects=False), made.strategy)
        ]
        assert all(not len(batch) for done in books[0].rounds for batch in done.fills)  # nothing else to trade on
        earned.append(books[1].rounds[-1].state.equity_usd - books[0].rounds[-1].state.equity_usd)
        received.append(sum(done.session_state.book.session_funding_usd for done in books[1].rounds))
    error = np.std(earned, ddof=1) / len(earned) ** 0.5
    print(f"equity {np.mean(earned):,.0f} USD (standard error {error:,.0f}), of funding {np.mean(received):,.0f}")
    assert min(received) > 0.0
    assert np.mean(earned) > 2.0 * error
