"""Whole replays of event markets whose true probabilities are known: growth, calibration, fees, and no ruin."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import BuyAndHold, Replay, Scene
from nn_assets.session.market_view import market_view
from tests.evaluation.event_markets import LIFE, WARM_UP, EventMarket, event_market, event_strategy

FIRST = WARM_UP - LIFE + 2  # contract that is bet on in the first round


@pytest.fixture(scope="module")
def market() -> EventMarket:
    return event_market(98)


def growth_of(played: Replay) -> float:
    return math.log(played.session_state.book.equity_usd / 1e6)


def by_hand(market: EventMarket, p: np.ndarray, k: float) -> float:
    """Log growth of a bettor who stakes k of Kelly on each contract, in its own arithmetic.

    It is bought on the session on which the one before settles, for a share of what there was the session before that.
    """
    wealth = [1.0, 1.0]  # after each contract
    for contract in range(FIRST, len(p)):
        c, settled = market.price[contract], market.outcome[contract]
        if p[contract] > c:
            stake = wealth[-2] * k * (p[contract] - c) / (1.0 - c)
            won = stake / c - stake if settled else -stake
        else:
            stake = wealth[-2] * k * (c - p[contract]) / c
            won = -stake if settled else stake / (1.0 - c) - stake
        wealth.append(wealth[-1] + won)
    return math.log(wealth[-1])


def test_each_bet_of_a_replay_is_the_fraction_of_kelly_of_its_equity(market: EventMarket) -> None:
    played = market.played(event_strategy(), market.probability)
    bets = 0
    for number, done in enumerate(played.rounds[:-2]):
        contract = FIRST + number
        c, p = market.price[contract], market.probability[contract]
        f = 0.5 * ((p - c) / (1.0 - c) if p > c else (p - c) / c)
        assert done.decision.target_weight[contract] == pytest.approx(f, rel=1e-6)
        after = played.rounds[number + 1]
        equity, quantity = done.state.equity_usd, after.session_state.book.quantity[contract]
        assert quantity == pytest.approx(f * equity / (c if f > 0 else 1.0 - c), rel=1e-6)
        assert after.fills[1].quantity.tolist() == []  # no stop
        assert np.isnan(after.session_state.book.stop_price).all()
        paid = played.rounds[number + 2].settled
        assert [(one.symbol, one.value) for one in paid] == [(f"C{contract:04d}", market.outcome[contract])]
        won = quantity * (market.outcome[contract] - c)
        later = played.rounds[number + 2].state.equity_usd
        assert later - after.state.equity_usd == pytest.approx(won, rel=1e-6, abs=1e-3)
        bets += 1
    assert bets > 25


def test_the_future_changes_nothing_before_it(market: EventMarket) -> None:
    strategy, row = event_strategy(), WARM_UP + 6
    whole = market.played(strategy, market.probability, row)
    flipped = event_market(98)
    settled = flipped.panel.adjustment
    assert settled is not None
    values = settled.delisting.copy()
    values[row:] = 1.0 - values[row:]
    object.__setattr__(settled, "delisting", values)  # every settlement from the row on says otherwise
    other = flipped.played(strategy, market.probability, row)
    for one, two in zip(whole.rounds, other.rounds, strict=True):
        np.testing.assert_array_equal(one.decision.target_quantity, two.decision.target_quantity)
        assert one.state == two.state


def test_the_yardstick_keeps_what_its_contracts_paid(market: EventMarket) -> None:
    strategy, first = event_strategy(), LIFE - 1
    view = market_view(market.panel, strategy.portfolio)
    scene = Scene(range(first, 2 * LIFE), view, market.labels(strategy), market.forecasts(market.probability))
    yardstick = BuyAndHold(1e6, cost_model_from(strategy.costs))
    yardstick.hold(scene)
    bought = np.flatnonzero(np.isfinite(market.panel.close[first]) & np.isfinite(view.cost_volatility[first]))
    paid = market.outcome[bought] / market.panel.close[first, bought]
    worth = np.prod(1.0 + yardstick.track.gross[first + 1 :])
    assert len(bought) > 3
    assert worth == pytest.approx(paid.mean())


@pytest.mark.full
def test_half_of_kelly_grows_as_its_theory_says_and_betting_more_or_on_wrong_numbers_does_not() -> None:
    market = event_market(400, seed=9)
    p, c = market.probability[FIRST:], market.price[FIRST:]

    def expected(k: float) -> tuple[float, float]:
        """Mean and standard deviation of the log growth of all bets."""
        f = np.where(p > c, k * (p - c) / (1.0 - c), k * (c - p) / c)
        win, loss = np.log1p(f * np.where(p > c, (1.0 - c) / c, c / (1.0 - c))), np.log1p(-f)
        chance = np.where(p > c, p, 1.0 - p)
        return float((chance * win + (1.0 - chance) * loss).sum()), float(
            np.sqrt((chance * (1.0 - chance) * (win - loss) ** 2).sum())
        )

    half = growth_of(market.played(event_strategy(), market.probability))
    mean, deviation = expected(0.5)
    assert abs(half - mean) < 2.0 * deviation
    assert half == pytest.approx(by_hand(market, market.probability, 0.5), abs=1e-6)
    edge = market.probability - market.price
    over = growth_of(market.played(event_strategy(portfolio={"kelly_fraction": 1.0}), market.price + 2.6 * edge))
    assert over < half
    assert over < 0.0  # 2.6 of Kelly: the criterion's own ruinous side
    wrong = growth_of(market.played(event_strategy(), market.price - edge))
    assert wrong < -0.5
    print(f"half {half:.2f} of {mean:.2f} +- {deviation:.2f}, 2.6 of Kelly {over:.2f}, wrong {wrong:.2f}")
