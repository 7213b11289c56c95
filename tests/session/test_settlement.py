"""A binary contract that settles while it is held: in time, restated later, or not at all; and what it is filled at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import Replay, Scene, replay
from nn_assets.execution.broker import Account, Bar, Liquidity
from nn_assets.execution.orders import Orders, targets_to_orders
from nn_assets.execution.paper import PaperBroker
from nn_assets.execution.pre_trade_gate import PreTradeGateState, pass_pre_trade_gate
from nn_assets.portfolio.book import empty_book
from nn_assets.portfolio.breakers import Control
from nn_assets.reports.round_notices import delisting_notices, ended_notices, overdue_notices
from nn_assets.session.late_rounds import late_actions_since
from nn_assets.session.market_view import market_view
from nn_assets.settings import CostSettings
from tests.evaluation.event_markets import LIFE, WARM_UP, EventMarket, event_market, event_strategy

COUNT, ROW = 72, WARM_UP + 4
CONTRACT = ROW - LIFE  # settles on the row
NAME = f"C{CONTRACT:04d}"


@pytest.fixture(scope="module")
def market() -> EventMarket:
    return event_market(COUNT, settled_at={CONTRACT: 1.0})


def equity(played: Replay) -> list[float]:
    return [done.state.equity_usd for done in played.rounds]


def test_it_pays_before_the_first_fill_and_the_page_says_what(market: EventMarket) -> None:
    played = market.played(event_strategy(), market.probability, ROW + 1)
    done, before = played.rounds[-1], played.rounds[-2].session_state.book
    (settled,) = done.settled
    held = before.quantity[CONTRACT]
    assert (settled.symbol, settled.quantity, settled.value) == (NAME, held, 1.0)
    assert done.session_state.book.quantity[CONTRACT] == 0.0
    assert done.session_state.book.session_delistings_usd == pytest.approx(held)
    (text,) = delisting_notices(done)
    side = "yes" if held > 0.0 else "no"
    assert text.startswith(f"Settled before this session's first fill: {NAME} at 1, {abs(held):,.10g} of {side} paid ")
    assert all(not line.startswith("delisted") or "no order follows" in line for line in ended_notices(done))


def test_a_settlement_restated_is_paid_the_other_way_round_when_that_is_known(market: EventMarket) -> None:
    strategy, other = event_strategy(), event_market(COUNT, settled_at={CONTRACT: 0.0})
    first, whole = (market.played(strategy, market.probability, stop) for stop in (ROW + 2, ROW + 4))
    views = [market_view(one.panel, strategy.portfolio) for one in (market, other)]
    late = late_actions_since(first.rounds, *views, strategy.portfolio.stop_atr_multiple)
    assert late is not None
    rows = range(ROW + 2, ROW + 4)
    scene = Scene(rows, views[1], other.labels(strategy), other.forecasts(market.probability))
    costs = cost_model_from(strategy.costs)
    mended = replay(
        strategy, costs, 365, [scene], initial=first.session_state, late=lambda row: late if row == rows[0] else None
    )
    held = first.rounds[-3].session_state.book.quantity[CONTRACT]
    assert held != 0.0
    assert mended.rounds[0].state.equity_usd - whole.rounds[-2].state.equity_usd == pytest.approx(-held, rel=1e-9)
    assert mended.rounds[0].session_state.book.quantity[CONTRACT] == 0.0
    assert np.isnan(mended.rounds[0].session_state.book.stop_price).all()


@pytest.mark.full
def test_a_settlement_withdrawn_gives_the_contracts_back_and_no_stop(market: EventMarket) -> None:
    strategy, withdrawn = event_strategy(), event_market(COUNT, settled_at={CONTRACT: None})
    first = market.played(strategy, market.probability, ROW + 2)
    view = market_view(withdrawn.panel, strategy.portfolio)
    before = market_view(market.panel, strategy.portfolio)
    late = late_actions_since(first.rounds, before, view, strategy.portfolio.stop_atr_multiple)
    scene = Scene(range(ROW + 2, ROW + 3), view, withdrawn.labels(strategy), withdrawn.forecasts(market.probability))
    back = replay(
        strategy, cost_model_from(strategy.costs), 365, [scene], initial=first.session_state, late=lambda _: late
    )
    held, book = first.rounds[-3].session_state.book.quantity[CONTRACT], back.rounds[0].session_state.book
    assert book.quantity[CONTRACT] == pytest.approx(held)
    assert np.isnan([book.stop_price[CONTRACT], book.pending_stop_distance[CONTRACT]]).all()


def test_a_settlement_that_does_not_come_is_named_and_the_position_stays_as_it_is() -> None:
    due = {NAME: {"settles_by": str((pd.Timestamp("2018-01-01") + pd.Timedelta(days=ROW)).date())}}
    market = event_market(COUNT, settled_at={CONTRACT: None})
    strategy = event_strategy(market={"contracts": due})
    played = market.played(strategy, market.probability, ROW + 4)
    held = played.rounds[ROW - WARM_UP - 1].session_state.book.quantity[CONTRACT]
    assert held != 0.0
    for done in played.rounds[ROW - WARM_UP :]:
        assert done.session_state.book.quantity[CONTRACT] == held
        assert CONTRACT not in done.orders.symbol.tolist()
        late = overdue_notices(strategy, done)
        assert bool(late) == (done.session.day_of_year > ROW + 1)
    assert late[0].startswith(f"No settlement is stated: {NAME} was to settle by {due[NAME]['settles_by']} and ")
    assert "write SYMBOL,DAY,settlement,1 (or 0)" in late[0]


def test_an_overdue_contract_that_is_still_quoted_is_not_bought() -> None:
    market = event_market(COUNT)
    day = str((pd.Timestamp("2018-01-01") + pd.Timedelta(days=ROW - 6)).date())
    strategy = event_strategy(market={"contracts": {NAME: {"settles_by": day}}})
    played = market.played(strategy, market.probability, ROW + 1)
    assert all(done.session_state.book.quantity[CONTRACT] == 0.0 for done in played.rounds)
    assert any(done.session_state.book.quantity[CONTRACT - 1] != 0.0 for done in played.rounds)


def broker_of(price: float, *, quantity: float = 0.0, cash: float = 1000.0, fee: float = 0.0) -> PaperBroker:
    """A broker whose session opens at a price, with no costs but a venue's fee."""
    strategy = event_strategy(costs={"contract_fee_fraction": fee}, label={"execution": "next_open"})
    value = np.full(2, price)
    bar = Bar(value, value, value, value, np.full(2, 1e9))
    book = replace(empty_book(("A", "B"), cash), quantity=np.array([quantity, 0.0]))
    liquidity = Liquidity(np.full(2, 1e9), np.full(2, 0.1))
    costs = cost_model_from(strategy.costs)
    return PaperBroker(Account(strategy, costs, pd.Timestamp("2018-06-01"), bar, liquidity, book))


def orders_at(reference: float, target: float, held: float = 0.0, other: float = 0.0) -> Orders:
    return targets_to_orders(
        ("A", "B"), np.array([target, other]), np.array([held, 0.0]), np.full(2, reference), np.zeros(2),
        strategy="s", session=pd.Timestamp("2018-05-31"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reference", "price", "ordered", "filled"),
    [
        (0.02, 0.50, 1000.0, 40.0),  # twenty dollars were staked
        (0.50, 0.25, 100.0, 100.0),  # cheaper: as many as were asked for
        (0.90, 0.50, -1000.0, -200.0),  # no at 0.1: a hundred dollars
        (0.50, 0.60, -100.0, -100.0),
    ],
)
def test_an_order_buys_for_no_more_than_was_staked(
    reference: float, price: float, ordered: float, filled: float
) -> None:
    broker = broker_of(price)
    broker.send(orders_at(reference, ordered))
    fills = broker.fills()
    assert fills.quantity.tolist() == [filled]
    assert broker.orders().reason_code == ((None,) if filled == ordered else ("stake_spent",))


def test_what_is_bought_together_is_paid_for_out_of_what_there_is() -> None:
    broker = broker_of(0.5, cash=1000.0)
    broker.send(orders_at(0.5, 3000.0, other=-1000.0))  # 1,500 and 500 dollars
    fills = broker.fills()
    assert fills.quantity.tolist() == [1500.0, -500.0]
    assert broker.cash() - 500.0 == 0.0  # a dollar for each no


def test_what_closes_is_filled_whatever_the_price_and_turns_to_the_other_side() -> None:
    broker = broker_of(0.9, quantity=-100.0, cash=200.0)
    broker.send(orders_at(0.3, 50.0, held=-100.0))
    fills = broker.fills()
    assert fills.quantity.tolist() == [100.0, 16.0]  # all of the no; 15 dollars of yes at 0.9
    assert broker.positions().tolist() == [16.0, 0.0]


def test_the_fee_of_a_venue_is_the_most_where_the_outcome_is_most_open() -> None:
    paid = []
    for price in (0.5, 0.9, 0.1):
        broker = broker_of(price, fee=0.07)
        broker.send(orders_at(price, 100.0))
        paid.append(broker.fills().commission_usd[0])
    np.testing.assert_allclose(paid, [1.75, 0.63, 0.63])


def test_the_collar_is_in_dollars_and_the_gate_counts_stakes() -> None:
    settings = event_strategy(execution={"price_collar_fraction": 0.2}).execution
    state = PreTradeGateState(
        control=Control.NORMAL,
        last_price=np.array([0.05, 0.95]),
        current_quantity=np.zeros(2),
        equity_usd=1000.0,
        gross_limit=1.0,
        binary=True,
    )

    def codes(target: float, other: float, price: tuple[float, float]) -> tuple[str | None, ...]:
        batch = targets_to_orders(
            ("A", "B"), np.array([target, other]), np.zeros(2), np.array(price), np.zeros(2), strategy="s",
            session=pd.Timestamp("2018-06-01"),
        )  # fmt: skip
        return pass_pre_trade_gate(batch, state, settings).reason_code

    assert codes(100.0, -100.0, (0.15, 0.90)) == (None, None)  # three times the price, and ten cents
    assert codes(100.0, -100.0, (0.30, 0.90)) == ("price_collar", None)
    assert codes(5000.0, -10_000.0, (0.05, 0.95)) == (None, None)  # 250 and 500 dollars
    assert codes(5000.0, -20_000.0, (0.05, 0.95)) == ("exposure", "exposure")


def test_cash_that_backs_a_no_earns_nothing() -> None:
    book = replace(empty_book(("A",), 1000.0), quantity=np.array([-400.0]), price=np.array([0.25]), equity_usd=900.0)
    opened = book.opened(CostSettings(borrow_fee_annual_fraction=0.0), 0.365, 365, binary=True)
    assert opened.session_financing_usd == pytest.approx(600.0 * 0.001)


def test_gross_and_net_of_a_book_are_what_is_at_stake() -> None:
    book = replace(
        empty_book(("A", "B"), 1000.0),
        quantity=np.array([-400.0, 100.0]),
        price=np.array([0.25, 0.5]),
        equity_usd=1000.0,
    )
    state = book.state(1000.0, binary=True)
    assert (state.gross_fraction, state.net_fraction) == pytest.approx((0.35, -0.25))


@pytest.mark.parametrize(
    ("seed", "more"), [(1, 0), *(pytest.param(seed, 40, marks=pytest.mark.full) for seed in (2, 3, 4))]
)
def test_no_price_ruins_an_account_that_bets_all_it_may_on_nonsense(seed: int, more: int) -> None:
    """Prices jump anywhere between decision, fill and settlement, and probabilities say anything, at all of Kelly."""
    draw, market = np.random.default_rng(seed), event_market(COUNT + more, seed)
    fields = {name: getattr(market.panel, name).copy() for name in ("open", "high", "low", "close")}
    there = np.isfinite(fields["close"])
    for name in ("open", "close"):
        fields[name] = np.where(there, draw.uniform(0.005, 0.995, there.shape), np.nan)
    fields["high"], fields["low"] = np.fmax(fields["open"], fields["close"]), np.fmin(fields["open"], fields["close"])
    wild = replace(market, panel=replace(market.panel, **fields))
    strategy = event_strategy(
        portfolio={"kelly_fraction": 1.0, "lot_size": 1.0},
        label={"execution": "next_open"},
        costs={"contract_fee_fraction": 0.07, "half_spread_bps": 50.0},
        market={"contracts": {f"C{number:04d}": {"event": f"E{number // 4}"} for number in range(1, COUNT + more, 2)}},
    )
    spread = np.where(there, draw.uniform(0.0, 1.0, there.shape), np.nan)
    view = market_view(wild.panel, strategy.portfolio)
    forecasts = replace(wild.forecasts(market.probability), calibrated=spread, confidence=np.where(there, 1.0, np.nan))
    labels = market.labels(strategy)
    scene = Scene(range(WARM_UP, wild.panel.session_count), view, labels, forecasts)
    played = replay(strategy, cost_model_from(strategy.costs), 365, [scene])
    fills = 0
    for done in played.rounds:
        book = done.session_state.book
        assert book.cash_usd + np.minimum(book.quantity, 0.0).sum() >= -1e-6
        assert done.state.equity_usd > 0.0
        fills += len(done.fills[0])
    assert fills > 8 + more
