"""Passive orders that rest, by an oracle of their own: a walk through the session's prices, one after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from nn_assets.costs.estimation import estimate_costs
from nn_assets.costs.model import cost_model_from
from nn_assets.execution.broker import Account, Bar, Liquidity, Stops
from nn_assets.execution.orders import Orders
from nn_assets.execution.paper import PaperBroker, fill_orders
from nn_assets.portfolio.book import empty_book
from nn_assets.portfolio.fills import FillArrays, fills_frame
from nn_assets.settings import CostSettings, ExecutionSettings, Strategy

SESSION = pd.Timestamp("2017-06-01")
HALF = 4.5e-4
VENUE = CostSettings(commission_bps=5.0, maker_fee_bps=-1.0)
BY_URGENCY = ExecutionSettings(paper_fills="by_urgency", cost_noise_fraction=0.0)


def bar(open_: float = 100.0, high: float = 101.0, low: float = 99.0, close: float = 100.5, volume: float = 1e6) -> Bar:
    return Bar(*(np.array([value]) for value in (open_, high, low, close, volume)))


def order(quantity: float, urgency: str = "passive", reference: float = 100.0, name: str = "o") -> Orders:
    return Orders((name,), np.array([0]), np.array([quantity]), (urgency,), np.array([reference]), (None,))


def broker(
    of: Bar,
    execution: str = "next_open",
    held: float = 0.0,
    stop: float = np.nan,
    adv: float = 1e8,
    settings: ExecutionSettings = BY_URGENCY,
) -> PaperBroker:
    strategy = Strategy.model_validate(
        {
            "name": "s",
            "market": {"history_starts": "2016-01-04"},
            "label": {"execution": execution},
            "execution": settings.model_dump(),
            "costs": VENUE.model_dump(),
        }
    )
    book = replace(
        empty_book(("A",), 1e6), quantity=np.array([held]), stop_price=np.array([stop]), price=np.array([100.0])
    )
    liquidity = Liquidity(np.array([adv]), np.array([0.02]))
    return PaperBroker(Account(strategy, cost_model_from(VENUE), SESSION, of, liquidity, book))


def sent(at: PaperBroker, *orders: Orders) -> tuple[FillArrays, tuple[str | None, ...]]:
    for batch in orders:
        at.send(batch)
    return at.fills(), at.orders().reason_code


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_passive_order_that_is_traded_through_is_filled_at_its_limit_as_a_maker(side: float) -> None:
    fills, reasons = sent(broker(bar()), order(side * 1000.0))
    limit = 100.0 * (1.0 - side * HALF)
    assert reasons == (None,)
    assert fills.price[0] == pytest.approx(limit, rel=1e-12)
    assert fills.commission_usd[0] == pytest.approx(-1e-4 * 1000.0 * limit, rel=1e-12)  # a rebate
    # The mid at the fill lies half a spread on the far side: what is paid for it is what a decision reckons with.
    assert side * (fills.price[0] / fills.mid_price[0] - 1.0) == pytest.approx(HALF, rel=1e-9)
    assert fills.half_spread_usd[0] == pytest.approx(1000.0 * abs(fills.price[0] - fills.mid_price[0]), rel=1e-12)
    assert fills.rested.tolist() == [True]


@pytest.mark.parametrize("execution", ["next_open", "next_close"])
def test_one_that_crosses_pays_the_taker_and_never_more_than_its_limit(execution: str) -> None:
    fills, reasons = sent(broker(bar(open_=99.5), execution), order(1000.0))
    assert reasons == (None,)
    assert fills.rested.tolist() == [False]
    assert 99.5 * (1 + HALF) < fills.price[0] <= 100.0 * (1 - HALF)
    assert fills.commission_usd[0] == pytest.approx(5e-4 * 1000.0 * fills.price[0], rel=1e-12)
    just, _ = sent(broker(bar(open_=100.0 * (1 - HALF))), order(1000.0))  # to cross there costs more than the limit
    assert just.rested.tolist() == [True]


@pytest.mark.parametrize(
    ("low", "volume", "filled", "reason"),
    [
        (99.96, 1e6, 0.0, "limit_not_reached"),  # the limit is 99.955
        (99.93, 1e6, 0.0, "limit_not_reached"),  # touched, and not traded through by another half-spread
        (99.90, 1e6, 0.0, "queue_ahead"),  # 0.010 of a range of 1.1: less than one percent of the volume
        (99.70, 1e6, 757.0, "volume_cap"),
        (99.00, 1e6, 1000.0, None),
        (99.00, 0.0, 0.0, "no_volume"),
    ],
)
def test_the_queue_is_served_first_and_the_rest_of_the_volume_is_shared(low, volume, filled, reason) -> None:
    fills, reasons = sent(broker(bar(low=low, volume=volume)), order(1000.0))
    assert fills.quantity.sum() == filled
    assert reasons == (reason,)
    # Own reckoning: half the cap of 1% of what trades below 99.955 / 1.00045 once 1% of the volume is served.
    below = np.clip((100 * (1 - HALF) / (1 + HALF) - low) / (101.0 - low), 0.0, 1.0)
    assert filled == min(1000.0, np.floor(max(below - 0.01, 0.0) * volume * 0.005))


def test_what_is_normal_is_half_the_cap_and_what_is_urgent_all_of_it() -> None:
    normal, _ = sent(broker(bar()), order(50_000.0, "normal"))
    urgent, _ = sent(broker(bar()), order(50_000.0, "close"))
    assert (normal.quantity[0], urgent.quantity[0]) == (5_000.0, 10_000.0)
    # By the one cost object: impact of 0.15 x 2% x sqrt(x) + 0.03 x 2% x x, of the order's own x.
    for fills in (normal, urgent):
        x = fills.quantity[0] * 100.0 / 1e8
        assert fills.mid_price[0] / 100.0 - 1.0 == pytest.approx(0.003 * x**0.5 + 0.0006 * x, rel=1e-9)
    assert urgent.price[0] > normal.price[0] > 100.0 * (1 + HALF)


def test_a_stop_of_the_same_session_comes_before_an_order_that_rests() -> None:
    """A long of 1,000 with a stop at 98: neither the sale above nor the purchase below the stop is filled first."""
    wide = bar(high=103.0, low=96.0)
    for resting in (order(-500.0, reference=101.0), order(500.0, reference=97.0)):
        at = broker(wide, held=1000.0, stop=98.0)
        fills, reasons = sent(at, resting)
        assert len(fills) == 0
        assert reasons == ("stop_first",)
        book = replace(
            empty_book(("A",), 1e6), quantity=np.array([1000.0]), stop_price=np.array([98.0]), price=np.array([100.0])
        )
        at.send(Stops(book))
        assert at.fills().quantity.tolist() == [-1000.0]
    added, _ = sent(broker(wide, held=1000.0, stop=98.0), order(500.0, reference=99.5))  # on the way to the stop
    assert added.quantity.tolist() == [500.0]
    closing, _ = sent(broker(wide, "next_close", held=1000.0, stop=98.0), order(-500.0, reference=101.0))
    assert closing.quantity.tolist() == [-500.0]  # stops are for closes alone there


def test_a_halted_name_fills_nothing_and_its_order_ends_with_the_session() -> None:
    nothing = Bar(*(np.array([np.nan]) for _ in range(5)))
    for urgency in ("passive", "normal", "close"):
        fills, reasons = sent(broker(nothing), order(100.0, urgency))
        assert len(fills) == 0
        assert reasons == ("no_bar",)


def test_without_liquidity_nothing_rests_either() -> None:
    fills, reasons = sent(broker(bar(), adv=np.nan), order(100.0))
    assert len(fills) == 0
    assert reasons == ("no_liquidity",)


def test_two_orders_of_a_symbol_share_what_trades_beyond_their_limit() -> None:
    both = Orders(
        ("close", "open"), np.array([0, 0]), np.array([700.0, 700.0]), ("passive",) * 2, np.full(2, 100.0), (None,) * 2
    )
    fills, _ = sent(broker(bar(low=99.7), held=-700.0), both)
    assert fills.quantity.tolist() == [700.0, 57.0]


@pytest.mark.parametrize(
    ("resting", "low", "share"),
    [(0.01, 99.7, 757.0), (0.05, 99.7, 557.0), (0.2, 99.7, 0.0)],
)
def test_a_longer_queue_leaves_less(resting: float, low: float, share: float) -> None:
    settings = replace_settings(queue_ahead_fraction=resting)
    fills, _ = sent(broker(bar(low=low), settings=settings), order(1000.0))
    assert fills.quantity.sum() == share


def replace_settings(**changed: object) -> ExecutionSettings:
    return ExecutionSettings.model_validate({**BY_URGENCY.model_dump(), **changed})


def test_the_auction_at_the_close_has_its_share_of_the_volume_alone() -> None:
    settings = ExecutionSettings(paper_fills="closing_auction", cost_noise_fraction=0.0)
    fills, reasons = sent(broker(bar(), "next_close", settings=settings), order(50_000.0))
    assert fills.quantity.tolist() == [750.0]  # 1% of 7.5% of a million
    assert reasons == ("volume_cap",)
    assert fills.price[0] > 100.5 * (1 + HALF)


def test_no_later_bar_and_no_other_order_changes_a_fill_that_rested() -> None:
    """A fill is of its session's bar, its own reference price and what was known before: the close says nothing."""
    one, _ = sent(broker(bar()), order(1000.0))
    other, _ = sent(broker(bar(close=99.1)), order(1000.0))
    np.testing.assert_array_equal(one.price, other.price)
    np.testing.assert_array_equal(one.quantity, other.quantity)


def test_what_no_fill_would_read_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match=r"queue_ahead_fraction is for execution.paper_fills: by_urgency"):
        ExecutionSettings(queue_ahead_fraction=0.1)
    with pytest.raises(
        ValidationError, match=r"closing_auction_fraction is for execution.paper_fills: closing_auction"
    ):
        ExecutionSettings(closing_auction_fraction=0.1)
    base = {"name": "a", "market": {"history_starts": "2014-01-02"}}
    with pytest.raises(ValidationError, match=r"closing_auction needs label.execution: next_close"):
        Strategy.model_validate(
            {**base, "label": {"execution": "next_open"}, "execution": {"paper_fills": "closing_auction"}}
        )
    plain = Strategy.model_validate(base)
    at_bar = Strategy.model_validate({**base, "execution": {"paper_fills": "at_bar"}})
    assert plain.content_hash() == at_bar.content_hash()
    rests = Strategy.model_validate({**base, "execution": {"paper_fills": "by_urgency"}})
    assert rests.content_hash() != plain.content_hash()


def test_at_the_bar_an_urgency_changes_nothing() -> None:
    quiet = ExecutionSettings(cost_noise_fraction=0.0)
    liquidity = Liquidity(np.array([1e8]), np.array([0.02]))
    fills = [
        fill_orders(order(1000.0, urgency), bar(), cost_model_from(VENUE), liquidity, quiet, "next_open")
        for urgency in ("passive", "normal", "close")
    ]
    assert len({fill.price[0] for fill in fills}) == 1
    assert len({fill.commission_usd[0] for fill in fills}) == 1


@pytest.mark.full
@pytest.mark.parametrize("crossing", [60, 5])
def test_fills_that_rested_are_no_sample_of_an_impact(crossing: int) -> None:
    """The self-test on paper fills recovers what it was made with, however many of them waited at their limit."""
    noisy, parts = replace_settings(cost_noise_fraction=0.25), []
    liquidity = Liquidity(np.array([1e8]), np.array([0.02]))
    days = pd.bdate_range("2016-01-04", periods=60)
    for number, day in enumerate(days):
        batches = [order(900.0 + number, name=f"p{day}")]
        batches += [order(-4000.0 - 50.0 * number, "close", name=f"c{day}")] if number < crossing else []
        for batch in batches:
            fills = fill_orders(batch, bar(), cost_model_from(VENUE), liquidity, noisy, "next_open")
            frame = fills_frame(fills, ("A",), session=day, known_at=day.tz_localize("UTC"))
            parts.append(frame.assign(reference_price=100.0, adv_usd=1e8, daily_volatility=0.02))
    estimated = estimate_costs(pd.concat(parts, ignore_index=True), cost_model_from(VENUE), VENUE, dated="2016-03-31")
    assert estimated.status == "self_test"
    assert estimated.recovered
    assert (estimated.estimates["temporary_impact"].raw is not None) == (crossing >= 30)
