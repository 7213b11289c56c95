"""Stops over sequences of fills, beside a ledger of lots kept by hand: one level a position, moved by additions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.execution.broker import Bar, Liquidity, loss_beyond_stops
from nn_assets.execution.paper import stop_fills
from nn_assets.portfolio.book import Book, empty_book
from nn_assets.portfolio.fills import FillArrays
from nn_assets.settings import CostSettings, ExecutionSettings
from tests.portfolio.books import awaiting

DAYS = pd.bdate_range("2017-06-01", periods=60)
FREE = cost_model_from(
    CostSettings(half_spread_bps=0.0, commission_bps=0.0, temporary_impact=0.0, permanent_impact=0.0)
)


def fill(quantity: float, price: float, number: int = 0) -> FillArrays:
    one = np.ones(1)
    return FillArrays(
        fill_id=(f"f{number}",), client_order_id=(f"o{number}",), symbol=np.array([0]), quantity=quantity * one,
        price=price * one, mid_price=price * one, half_spread_usd=0.0 * one, commission_usd=0.0 * one,
        impact_usd=0.0 * one, is_stop=np.array([False]),
    )  # fmt: skip


def traded(book: Book, quantity: float, price: float, distance: float, day: int = 0) -> Book:
    return awaiting(book, np.array([quantity]), np.array([distance])).filled(fill(quantity, price, day), DAYS[day])


def flat() -> Book:
    return empty_book(("A",), 1e6)


def test_an_addition_moves_the_stop_to_the_quantity_weighted_level() -> None:
    book = traded(flat(), 100.0, 50.0, 3.0)
    book = traded(book, 50.0, 56.0, 3.0, 1)  # its own stop is 53: (100 x 47 + 50 x 53) / 150
    assert book.stop_price[0] == pytest.approx(49.0)
    short = traded(traded(flat(), -100.0, 50.0, 3.0), -50.0, 44.0, 3.0, 1)
    assert short.stop_price[0] == pytest.approx(51.0)


def test_an_addition_never_moves_the_stop_away_from_the_price() -> None:
    long = traded(traded(flat(), 100.0, 50.0, 3.0), 100.0, 49.0, 9.0, 1)  # its own would be 40
    assert long.stop_price[0] == 47.0
    short = traded(traded(flat(), -100.0, 50.0, 3.0), -100.0, 51.0, 9.0, 1)
    assert short.stop_price[0] == 53.0


def test_a_partial_fill_moves_it_by_what_was_filled() -> None:
    book = awaiting(traded(flat(), 100.0, 50.0, 3.0), np.array([300.0]), np.array([2.0]))
    book = book.filled(fill(100.0, 51.0, 1), DAYS[1])
    assert book.stop_price[0] == pytest.approx((47.0 + 49.0) / 2)
    book = book.filled(fill(200.0, 53.0, 2), DAYS[2])
    assert book.stop_price[0] == pytest.approx((200 * 48.0 + 200 * 51.0) / 400)


@pytest.mark.parametrize(("before", "added", "expected"), [(math.nan, 3.0, 57.0), (3.0, math.nan, 47.0)])
def test_an_unknown_level_leaves_the_known_one(before: float, added: float, expected: float) -> None:
    book = traded(traded(flat(), 100.0, 50.0, before), 100.0, 60.0, added, 1)
    assert book.stop_price[0] == expected


@dataclass
class Hand:
    """One position kept by hand: its size with a sign, and its stop."""

    held: float = 0.0
    stop: float | None = None

    def trade(self, quantity: float, price: float, distance: float) -> None:
        after = self.held + quantity
        if after == 0.0:
            self.held, self.stop = 0.0, None
            return
        if self.held * after <= 0.0:  # from flat, or through it: a new position
            self.stop = price - distance if after > 0.0 else price + distance
        elif self.held * quantity > 0.0:  # an addition
            assert self.stop is not None
            own = price - distance if after > 0.0 else price + distance
            level = (abs(self.held) * self.stop + abs(quantity) * own) / abs(after)
            self.stop = max(self.stop, level) if after > 0.0 else min(self.stop, level)
        self.held = after


@pytest.mark.full
@pytest.mark.parametrize("seed", range(200))
def test_sequences_of_fills_beside_the_hand_kept_position(seed: int) -> None:
    g = np.random.default_rng([seed, 21])
    book, hand, price = flat(), Hand(), 100.0
    for day in range(30):
        price *= float(np.exp(0.03 * g.normal()))
        quantity = float(g.integers(-300, 301))
        if g.random() < 0.15:
            quantity = -hand.held
        if quantity == 0.0:
            continue
        distance = price * float(g.uniform(0.01, 0.1))
        before = book.stop_price[0], hand.held
        book = traded(book, quantity, price, distance, day)
        hand.trade(quantity, price, distance)
        assert book.quantity[0] == hand.held
        if hand.stop is None:
            assert np.isnan(book.stop_price[0])
        else:
            assert book.stop_price[0] == pytest.approx(hand.stop, rel=1e-12)
        if hand.held * before[1] > 0.0 and quantity * before[1] > 0.0:
            assert (book.stop_price[0] - before[0]) * np.sign(hand.held) >= 0.0


@pytest.mark.parametrize("seed", range(60))
def test_what_a_gap_loses_beyond_the_moved_stop_is_reported(seed: int) -> None:
    """Entered, added to, and opened beyond the stop: the loss beyond is size x (stop - open), by the hand's level."""
    g = np.random.default_rng([seed, 22])
    side, hand, book, price = float(g.choice([-1.0, 1.0])), Hand(), flat(), 100.0
    for day in range(3):
        price *= float(np.exp(0.02 * g.normal()))
        quantity, distance = side * float(g.integers(1, 300)), price * float(g.uniform(0.01, 0.08))
        book = traded(book, quantity, price, distance, day)
        hand.trade(quantity, price, distance)
    assert hand.stop is not None
    gap = hand.stop * (1.0 - side * float(g.uniform(0.0, 0.1)))
    bar = Bar(*(np.array([gap]) for _ in range(4)), volume=np.array([1e9]))
    liquidity = Liquidity(adv_usd=np.array([1e12]), daily_volatility=np.array([0.01]))
    quiet = ExecutionSettings(cost_noise_fraction=0.0)
    stopped = stop_fills(book, bar, FREE, liquidity, quiet, strategy="s", session=DAYS[4])
    assert stopped.quantity.tolist() == [-hand.held]
    assert stopped.price[0] == pytest.approx(gap)
    assert loss_beyond_stops(book, stopped)[0] == pytest.approx(abs(hand.held) * abs(hand.stop - gap), rel=1e-9)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_stop_is_hit_at_exactly_its_level_and_not_a_tick_before(side: float) -> None:
    book = traded(flat(), side * 100.0, 50.0, 3.0)
    level = 50.0 - side * 3.0
    liquidity = Liquidity(adv_usd=np.array([1e12]), daily_volatility=np.array([0.01]))
    for worst, hit in ((level, True), (level + side * 0.01, False)):
        low, high = (worst, 51.0) if side > 0.0 else (49.0, worst)
        bar = Bar(np.array([50.0]), np.array([high]), np.array([low]), np.array([50.0]), np.array([1e9]))
        fills = stop_fills(book, bar, FREE, liquidity, ExecutionSettings(), strategy="s", session=DAYS[1])
        assert (len(fills) == 1) is hit


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_sale_on_the_right_side_of_its_stop_loses_nothing_beyond_it_nor_does_an_addition(side: float) -> None:
    book = traded(flat(), side * 100.0, 50.0, 3.0)
    beyond = {price: loss_beyond_stops(book, fill(-side * 40.0, price))[0] for price in (50.0, 50.0 - side * 4.0)}
    assert list(beyond.values()) == [0.0, pytest.approx(40.0)]
    assert loss_beyond_stops(book, fill(side * 40.0, 50.0 - side * 4.0))[0] == 0.0
