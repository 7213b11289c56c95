"""The paper broker: where, how much and at what price it fills."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.costs.estimation import estimate_costs
from nn_assets.costs.model import cost_model_from
from nn_assets.costs.shortfall import implementation_shortfall
from nn_assets.execution.broker import Account, Bar, Liquidity, ended_orders, loss_beyond_stops
from nn_assets.execution.orders import Orders, targets_to_orders
from nn_assets.execution.paper import PaperBroker, fill_orders, stop_fills
from nn_assets.portfolio.book import Book, empty_book
from nn_assets.portfolio.fills import FillArrays, fills_frame
from nn_assets.settings import CostSettings, ExecutionSettings, Strategy
from tests.portfolio.books import awaiting

SYMBOLS = ("A", "B", "C")
COSTS = cost_model_from(CostSettings())
QUIET = ExecutionSettings(cost_noise_fraction=0.0)
NOISY = ExecutionSettings()
SESSION = pd.Timestamp("2017-06-01")
BAR = Bar(
    open=np.array([50.0, 20.0, 10.0]),
    high=np.array([52.0, 21.0, 10.5]),
    low=np.array([48.0, 19.0, 9.5]),
    close=np.array([51.0, 20.5, 9.8]),
    volume=np.array([1e6, 2e6, 3e6]),
)
LIQUIDITY = Liquidity(adv_usd=np.full(3, 5e7), daily_volatility=np.full(3, 0.02))


def orders(*quantity: float, session: pd.Timestamp = SESSION) -> Orders:
    return targets_to_orders(
        SYMBOLS, np.array(quantity), np.zeros(3), BAR.open, np.zeros(3), strategy="s", session=session
    )


def filled(batch: Orders, bar: Bar = BAR, settings: ExecutionSettings = QUIET, **changes: object) -> FillArrays:
    return fill_orders(batch, bar, COSTS, replace(LIQUIDITY, **changes), settings, "next_open")


def after(
    batch: Orders, bar: Bar = BAR, liquidity: Liquidity = LIQUIDITY, quantity: np.ndarray | None = None
) -> Orders:
    """What the broker says of orders once they were filled."""
    book = replace(empty_book(SYMBOLS, 1e6), quantity=np.zeros(3) if quantity is None else quantity)
    strategy = Strategy.model_validate(
        {"name": "s", "market": {"history_starts": "2016-01-04"}, "label": {"execution": "next_open"}}
    )
    broker = PaperBroker(Account(strategy, COSTS, SESSION, bar, liquidity, book))
    broker.send(batch)
    broker.fills()
    return broker.orders()


@pytest.mark.parametrize(("execution", "price"), [("next_open", 50.0), ("next_close", 51.0)])
def test_a_purchase_pays_impact_and_half_the_spread_above_the_bars_price(execution: str, price: float) -> None:
    fills = fill_orders(orders(1000.0, 0.0, 0.0), BAR, COSTS, LIQUIDITY, QUIET, execution)  # type: ignore[arg-type]
    x = 1000 * price / 5e7
    impact = 0.15 * 0.02 * x**0.5 + 0.03 * 0.02 * x
    mid = price * (1 + impact)
    assert fills.mid_price[0] == pytest.approx(mid, rel=1e-12)
    assert fills.price[0] == pytest.approx(mid * (1 + 4.5e-4), rel=1e-12)
    assert fills.commission_usd[0] == pytest.approx(1000 * fills.price[0] * 1.8e-4, rel=1e-12)
    assert fills.impact_usd[0] == pytest.approx(1000 * price * impact, rel=1e-9)


def test_a_sale_receives_less() -> None:
    fills = filled(orders(-1000.0, 0.0, 0.0))
    assert fills.price[0] < fills.mid_price[0] < 50.0


def test_the_participation_cap_gives_a_partial_fill_in_whole_lots() -> None:
    fills = filled(orders(25_000.0, -5_000.0, 0.0), replace(BAR, volume=np.array([1_000_050.0, 2e6, 0.0])))
    assert fills.quantity.tolist() == [10_000.0, -5_000.0]
    hundreds = filled(orders(25_000.0, 0.0, 0.0), replace(BAR, volume=np.full(3, 1_000_990.0)), lot_size=100.0)
    assert hundreds.quantity.tolist() == [10_000.0]


def test_a_stated_proxy_caps_an_index_that_has_no_volume() -> None:
    index = replace(BAR, volume=np.full(3, np.nan))
    assert len(filled(orders(1000.0, 0.0, 0.0), index)) == 0
    fills = filled(orders(5000.0, 0.0, 0.0), index, proxy_adv_usd=1e7)
    assert fills.quantity.tolist() == [2000.0]  # 1% of 10 million at 50


@pytest.mark.parametrize("field", ["open", "volume"])
@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_bar_without_price_or_volume_fills_nothing(field: str, value: float) -> None:
    bar = replace(BAR, **{field: np.array([value, 2e6, 1e6])})
    assert filled(orders(100.0, 100.0, 0.0), bar).symbol.tolist() == [1]


def test_without_adv_or_volatility_there_is_no_honest_price_and_no_fill() -> None:
    assert len(filled(orders(100.0, 0.0, 0.0), adv_usd=np.full(3, np.nan))) == 0
    assert len(filled(orders(100.0, 0.0, 0.0), daily_volatility=np.full(3, np.nan))) == 0


def test_a_denied_order_is_never_filled() -> None:
    batch = orders(100.0, 100.0, 0.0)
    assert filled(replace(batch, reason_code=("halted", None))).symbol.tolist() == [1]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"open": np.array([np.nan, 20.0, 10.0])}, "no_bar"),
        ({"volume": np.array([0.0, 2e6, 3e6])}, "no_volume"),
        ({"volume": np.array([5e3, 2e6, 3e6])}, "volume_cap"),
        ({"adv_usd": np.array([np.nan, 5e7, 5e7])}, "no_liquidity"),
        ({}, None),
    ],
)
def test_an_order_that_is_not_filled_whole_ends_with_a_reason(changes, reason) -> None:
    batch = orders(100.0, 100.0, 0.0)
    prices = {name: value for name, value in changes.items() if name != "adv_usd"}
    bar, rest = replace(BAR, **prices), {name: value for name, value in changes.items() if name == "adv_usd"}
    ended = ended_orders(batch, after(batch, bar, replace(LIQUIDITY, **rest)))
    assert ended == (() if reason is None else ((batch.client_order_id[0], 0, reason),))


def test_an_order_that_was_denied_ends_before_and_one_that_a_control_or_an_action_took_ends_by_its_name() -> None:
    batch = replace(orders(100.0, 100.0, 100.0), reason_code=("collar", None, None))
    sent = replace(batch, reason_code=("collar", "halted", None))
    lapsed = Orders(
        sent.client_order_id[:2],
        sent.symbol[:2],
        sent.quantity[:2],
        sent.urgency[:2],
        sent.reference_price[:2],
        sent.reason_code[:2],
    )
    ended = ended_orders(batch, after(lapsed))
    assert ended == ((batch.client_order_id[1], 1, "halted"), (batch.client_order_id[2], 2, "no_whole_lot"))


def test_the_noise_belongs_to_the_order_and_not_to_its_company() -> None:
    together = filled(orders(100.0, 100.0, -100.0), settings=NOISY)
    alone = filled(orders(0.0, 0.0, -100.0), settings=NOISY)
    assert together.price[2] == alone.price[0]
    assert together.fill_id[2] == alone.fill_id[0]
    other_seed = filled(orders(0.0, 0.0, -100.0), settings=ExecutionSettings(seed=12))
    assert other_seed.price[0] != alone.price[0]


@pytest.mark.full
def test_the_noise_is_centred_on_the_model_and_as_wide_as_stated() -> None:
    sessions = pd.bdate_range("2010-01-01", periods=1500)
    paid = np.array(
        [filled(orders(1000.0, 0.0, 0.0, session=day), settings=NOISY).half_spread_usd[0] for day in sessions]
    )
    modelled = filled(orders(1000.0, 0.0, 0.0)).half_spread_usd[0]
    ratio = paid / modelled
    assert ratio.mean() == pytest.approx(1.0, abs=4 * 0.25 / 1500**0.5)
    assert ratio.std() == pytest.approx(0.25, rel=0.1)


THIN = {"adv_usd": np.full(3, np.nan), "daily_volatility": np.full(3, np.nan),
        "closing_adv_usd": np.full(3, 5e7), "closing_daily_volatility": np.full(3, 0.02)}  # fmt: skip


def test_on_thin_evidence_only_what_reduces_is_filled_and_priced_by_the_bars_there_are() -> None:
    batch, before = orders(100.0, -100.0, 50.0), np.array([-100.0, 50.0, 0.0])  # closes, turns through zero, opens
    thin = replace(LIQUIDITY, **THIN)
    fills = fill_orders(batch, BAR, COSTS, thin, QUIET, "next_open", before)
    full = fill_orders(batch, BAR, COSTS, LIQUIDITY, QUIET, "next_open", before)
    assert fills.symbol.tolist() == [0]
    assert fills.price[0] == full.price[0]
    ended = ended_orders(batch, after(batch, BAR, thin, before))
    assert [(order.symbol, order.reason) for order in ended] == [(1, "no_liquidity"), (2, "no_liquidity")]
    assert len(fill_orders(batch, BAR, COSTS, thin, QUIET, "next_open")) == 0  # nothing held: nothing is reduced


def test_a_stop_needs_a_bar_alone() -> None:
    gap = replace(BAR, open=np.array([35.0, 20.0, 10.0]), low=np.array([34.0, 19.0, 9.5]))
    fills = stop_fills(held(100.0), gap, COSTS, replace(LIQUIDITY, **THIN), QUIET, strategy="s", session=SESSION)
    assert fills.quantity.tolist() == [-100.0]
    assert fills.price[0] == pytest.approx(35.0, rel=1e-3)


def held(quantity: float, distance: float = 1.0) -> Book:
    book = awaiting(empty_book(SYMBOLS, 1e6), np.array([quantity, 0.0, 0.0]), np.array([distance, np.nan, np.nan]))
    fill = filled(orders(quantity, 0.0, 0.0))
    return book.filled(replace(fill, price=np.array([50.0])), SESSION)


def stopped(book: Book, bar: Bar) -> FillArrays:
    return stop_fills(book, bar, COSTS, LIQUIDITY, QUIET, strategy="s", session=SESSION)


@pytest.mark.parametrize(
    ("quantity", "begun", "low", "high", "at"),
    [
        (100.0, 50.0, 48.9, 51.0, 49.0),  # touched within the session: at the stop
        (100.0, 47.0, 46.0, 51.0, 47.0),  # gapped through: at the open
        (100.0, 50.0, 49.0, 51.0, 49.0),  # touched at exactly its level
        (-100.0, 50.0, 49.0, 51.0, 51.0),
        (100.0, 50.0, 49.1, 51.0, None),
        (-100.0, 50.0, 49.0, 51.5, 51.0),
        (-100.0, 53.0, 49.0, 54.0, 53.0),
        (-100.0, 50.0, 40.0, 50.9, None),
    ],
)
def test_a_stop_fills_at_the_worse_of_open_and_stop(
    quantity: float, begun: float, low: float, high: float, at: float | None
) -> None:
    values = {"open": begun, "low": low, "high": high}
    bar = replace(BAR, **{name: np.array([value, 20.0, 10.0]) for name, value in values.items()})
    fills = stopped(held(quantity), bar)
    if at is None:
        assert len(fills) == 0
        return
    undisturbed = fills.mid_price[0] + np.sign(quantity) * fills.impact_usd[0] / 100.0
    assert undisturbed == pytest.approx(at, rel=1e-9)
    assert fills.quantity[0] == -quantity
    assert fills.is_stop.all()


def test_what_is_lost_beyond_the_stop_is_reported() -> None:
    gap = replace(BAR, open=np.array([47.0, 20.0, 10.0]), low=np.array([46.0, 19.0, 9.5]))
    book = held(100.0)
    fills = stopped(book, gap)
    lost = loss_beyond_stops(book, fills)
    assert lost[0] == pytest.approx(100.0 * (49.0 - fills.price[0]))
    assert lost[0] > 200.0
    assert not lost[1:].any()


def test_a_capped_stop_keeps_its_rest_and_is_hit_again() -> None:
    thin = replace(BAR, volume=np.array([4000.0, 2e6, 3e6]))
    book = held(100.0)
    part = stopped(book, thin)
    assert part.quantity.tolist() == [-40.0]
    rest = book.filled(part, SESSION, blocked_until=SESSION)
    assert rest.quantity[0] == 60.0
    assert rest.stop_price[0] == 49.0
    assert stopped(rest, BAR).quantity.tolist() == [-60.0]


@pytest.mark.full
def test_paper_fills_recover_the_models_coefficients_and_their_shortfall_adds_up() -> None:
    parts = []
    for day in pd.bdate_range("2015-01-01", periods=400):
        batch = orders(6000.0, -9000.0, 4000.0, session=day)
        fills = filled(batch, settings=NOISY)
        frame = fills_frame(fills, SYMBOLS, session=day, known_at=day.tz_localize("UTC"))
        parts.append(frame.assign(reference_price=BAR.open[fills.symbol], adv_usd=5e7, daily_volatility=0.02))
    result = estimate_costs(pd.concat(parts, ignore_index=True), COSTS, CostSettings(), dated="2016-12-31")
    assert (result.status, result.recovered, result.model) == ("self_test", True, COSTS)
    side = np.sign(fills.quantity)
    arrival = fills.mid_price - side * fills.impact_usd / np.abs(fills.quantity)
    shortfall = implementation_shortfall(
        ordered_quantity=batch.quantity, reference_price=BAR.open, arrival_price=arrival, settled_price=arrival,
        filled_quantity=fills.quantity, mid_price=fills.mid_price, fill_price=fills.price,
        commission_usd=fills.commission_usd, end_price=BAR.close,
    )  # fmt: skip
    assert shortfall.spread_usd == pytest.approx(fills.half_spread_usd.sum(), rel=1e-9)
    assert shortfall.impact_usd == pytest.approx(fills.impact_usd.sum(), rel=1e-9)
    assert shortfall.delay_usd == pytest.approx(0.0, abs=1e-6)


def test_both_orders_of_a_change_of_sign_share_the_volume_and_move_the_price_as_one() -> None:
    held = np.array([4000.0, 0.0, 0.0])

    def turned(target: float, settings: ExecutionSettings = QUIET) -> FillArrays:
        batch = targets_to_orders(
            SYMBOLS, np.array([target, 0.0, 0.0]), held, BAR.open, np.zeros(3), strategy="s", session=SESSION
        )
        return fill_orders(batch, BAR, COSTS, LIQUIDITY, settings, "next_open")

    whole = turned(-3000.0)
    assert whole.quantity.tolist() == [-4000.0, -3000.0]
    one = fill_orders(
        targets_to_orders(
            SYMBOLS, np.array([-7000.0, 0.0, 0.0]), np.zeros(3), BAR.open, np.zeros(3), strategy="s", session=SESSION
        ), BAR, COSTS, LIQUIDITY, QUIET, "next_open",
    )  # fmt: skip
    assert whole.price == pytest.approx([one.price[0]] * 2, rel=1e-12)
    assert whole.impact_usd.sum() == pytest.approx(one.impact_usd[0], rel=1e-12)
    # 1% of a volume of a million: the close first, then what is left of the volume.
    assert turned(-9000.0).quantity.tolist() == [-4000.0, -6000.0]
    held = np.array([12_000.0, 0.0, 0.0])
    assert turned(-3000.0).quantity.tolist() == [-10_000.0]


def test_the_book_after_a_change_of_sign_has_the_new_sides_entry_and_stop() -> None:
    start = replace(
        empty_book(SYMBOLS, 1_000_000.0), quantity=np.array([4000.0, 0.0, 0.0]), price=BAR.open,
        entry_price=np.array([45.0, np.nan, np.nan]), stop_price=np.array([43.0, np.nan, np.nan]),
        pending_stop_distance=np.array([2.0, 2.0, 2.0]), unfilled_quantity=np.array([-7000.0, 0.0, 0.0]),
    )  # fmt: skip
    batch = targets_to_orders(
        SYMBOLS, np.array([-3000.0, 0.0, 0.0]), start.quantity, BAR.open, np.zeros(3), strategy="s", session=SESSION
    )
    fills = fill_orders(batch, BAR, COSTS, LIQUIDITY, QUIET, "next_open")
    book = start.filled(fills, SESSION)
    assert book.quantity[0] == -3000.0
    assert book.entry_price[0] == fills.price[1]
    assert book.stop_price[0] == fills.price[1] + 2.0
    assert book.unfilled_quantity[0] == 0.0
    low = replace(start, stop_price=np.array([51.0, np.nan, np.nan]))
    assert loss_beyond_stops(low, fills)[0] == pytest.approx(4000.0 * (51.0 - fills.price[0]))


def test_an_old_orders_noise_is_what_it_was() -> None:
    """Recorded when the first fills were: a session that is played again must find the fills that its ledger has."""
    fills = filled(orders(1000.0, -500.0, 0.0), settings=NOISY)
    assert fills.price.tolist() == pytest.approx([50.0290600772143, 19.9881089597], rel=1e-10)
