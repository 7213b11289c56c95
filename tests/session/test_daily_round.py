"""The daily round end to end on made-up bars: book, decision, orders, gate, fills, stops, mark."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.execution.broker import Bar, Liquidity
from nn_assets.execution.orders import targets_to_orders
from nn_assets.execution.paper import fill_orders, stop_fills
from nn_assets.execution.pre_trade_gate import PreTradeGateState, orders_under, pass_pre_trade_gate
from nn_assets.portfolio.book import Book, empty_book
from nn_assets.portfolio.breakers import kill_switch_control
from nn_assets.portfolio.decide import DecisionInputs, decide
from nn_assets.portfolio.fills import FillArrays
from nn_assets.portfolio.records import book_from_records, book_remainder, holdings_frame, state_row
from nn_assets.settings import CostSettings, ExecutionSettings, PortfolioSettings
from tests.portfolio.books import awaiting

SYMBOLS = tuple("ABCDE")
COSTS = CostSettings()
MODEL = cost_model_from(COSTS)
# Wide breakers, so that a long round keeps trading; the narrow ones have tests of their own.
SETTINGS = PortfolioSettings(
    drawdown_limit_fraction=0.9, weekly_loss_limit_fraction=0.8, session_loss_limit_fraction=0.7,
    risk_per_signal_fraction=0.005,
)  # fmt: skip
EXECUTION = ExecutionSettings()
BARS = 160


@dataclass(frozen=True)
class Market:
    days: pd.DatetimeIndex
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    probability: np.ndarray

    def bar(self, t: int) -> Bar:
        volume = np.full(len(SYMBOLS), 2e6)
        return Bar(self.open[t], self.high[t], self.low[t], self.close[t], volume)


def market(seed: int = 5) -> Market:
    generator = np.random.default_rng(seed)
    shape = (BARS, len(SYMBOLS))
    close = 50.0 * np.exp(np.cumsum(generator.normal(0.0, 0.012, shape), axis=0))
    opened = close * np.exp(generator.normal(0.0, 0.006, shape))
    spread = np.exp(np.abs(generator.normal(0.0, 0.006, shape)))
    high, low = np.maximum(opened, close) * spread, np.minimum(opened, close) / spread
    state = np.zeros(shape)
    for t in range(1, BARS):
        state[t] = 0.93 * state[t - 1] + generator.normal(0.0, 0.03, shape[1])
    return Market(pd.bdate_range("2016-01-04", periods=BARS), opened, high, low, close, 0.5 + state)


def facts(world: Market, book: Book, t: int) -> DecisionInputs:
    returns = np.diff(np.log(world.close[: t + 1]), axis=0)[-60:]
    return DecisionInputs(
        symbols=SYMBOLS, session=world.days[t], reference_price=world.close[t],
        calibrated_probability=np.clip(world.probability[t], 0.3, 0.7), base_rate=np.full(5, 0.5),
        confidence=np.full(5, 0.9),
        mean_win=np.full(5, 0.02), mean_loss=np.full(5, 0.019), outcomes=np.full(5, 1000, dtype=np.int64),
        outcome_sessions=np.full(5, 500, dtype=np.int64),
        atr=(world.high - world.low)[t - 13 : t + 1].mean(axis=0), daily_volatility=returns[-20:].std(axis=0),
        adv_usd=2e6 * world.close[t], trailing_returns=returns, beta=np.ones(5),
        current_quantity=book.quantity, blocked_side=book.blocked_side, equity_usd=book.equity_usd,
        drawdown_fraction=book.drawdown_fraction, horizon_sessions=5, edge_scale=10.0, verdict_allows=True,
        breakers=book.breaker_kinds,
    )  # fmt: skip


@dataclass
class Ledger:
    book: Book
    fills: list[FillArrays]
    financing: float = 0.0
    stops: int = 0


def play(world: Market, execution: str, *, stored: bool = False, until: int = BARS) -> Ledger:
    ledger = Ledger(empty_book(SYMBOLS, 1e6), [])
    pending = None
    for t in range(60, until):
        day, later = world.days[t], world.days[min(t + 5, BARS - 1)]
        book = ledger.book.opened(COSTS, 0.02, 252)
        ledger.financing += book.session_financing_usd
        liquidity = Liquidity(2e6 * world.close[t - 1], np.full(5, 0.012))
        if pending is not None:
            fills = fill_orders(pending, world.bar(t), MODEL, liquidity, EXECUTION, execution)  # type: ignore[arg-type]
            book = book.filled(fills, day)
            ledger.fills.append(fills)
        if execution == "next_open":
            stops = stop_fills(book, world.bar(t), MODEL, liquidity, EXECUTION, strategy="s", session=day)
            book = book.filled(stops, day, blocked_until=later)
            ledger.fills.append(stops)
            ledger.stops += len(stops)
        book, state = book.marked(day, world.close[t], SETTINGS)
        if execution == "next_close":
            before = (book.blocked_side != 0).sum()
            book = book.stopped_at_close(later)
            ledger.stops += int((book.blocked_side != 0).sum() - before)
        if stored:
            book = book_from_records(state_row(state), holdings_frame(book), book_remainder(book))
        book = book.released(day, world.probability[t])
        inputs = facts(world, book, t)
        decision = decide(inputs, SETTINGS, MODEL)
        orders = targets_to_orders(
            SYMBOLS, decision.target_quantity, book.quantity, inputs.reference_price, book.unfilled_quantity,
            strategy="s", session=day,
        )  # fmt: skip
        gate = PreTradeGateState(decision.control, book.price, book.quantity, book.equity_usd, SETTINGS.gross_limit)
        pending = pass_pre_trade_gate(orders, gate, EXECUTION)
        ordered = np.zeros(5)
        ordered[pending.symbol] = np.where(pending.accepted, pending.quantity, 0.0)
        ledger.book = awaiting(book, ordered, decision.stop_distance)
    return ledger


@pytest.mark.parametrize("execution", ["next_open", "next_close"])
def test_the_round_trades_is_stopped_and_every_dollar_is_accounted_for(execution: str) -> None:
    world = market()
    ledger = play(world, execution)
    assert sum(map(len, ledger.fills)) > 50
    assert ledger.stops > 3
    symbol, quantity, price, commission = (
        np.concatenate([getattr(batch, name) for batch in ledger.fills])
        for name in ("symbol", "quantity", "price", "commission_usd")
    )
    held = np.bincount(symbol, quantity, minlength=5)
    np.testing.assert_array_equal(held, ledger.book.quantity)
    cash = 1e6 + ledger.financing - (quantity * price).sum() - commission.sum()
    assert ledger.book.cash_usd == pytest.approx(cash, rel=1e-12)
    assert ledger.book.equity_usd == pytest.approx(cash + held @ world.close[-1], rel=1e-12)
    identities = [identity for batch in ledger.fills for identity in batch.fill_id]
    assert len(identities) == len(set(identities))


@pytest.mark.full
def test_a_book_that_goes_through_its_records_every_session_ends_in_the_same_bits() -> None:
    straight, stored = play(market(), "next_open"), play(market(), "next_open", stored=True)
    for name in Book.__dataclass_fields__:
        np.testing.assert_equal(getattr(straight.book, name), getattr(stored.book, name), err_msg=name)


def test_later_bars_change_nothing_that_was_decided_or_filled_before() -> None:
    world = market()
    cut = 120
    changed = {name: getattr(world, name).copy() for name in ("open", "high", "low", "close", "probability")}
    for values in changed.values():
        values[cut:] *= 1.07
    first, second = (
        play(world, "next_open", until=cut),
        play(replace(world, **changed), "next_open", until=cut),
    )
    for name in Book.__dataclass_fields__:
        np.testing.assert_equal(getattr(first.book, name), getattr(second.book, name), err_msg=name)


@pytest.mark.parametrize(
    ("switch", "codes"),
    [("ACTIVE", (None, None)), ("REDUCING", (None, "halted")), ("HALTED", ("halted", "halted"))],
)
def test_of_a_change_of_sign_the_kill_switch_leaves_the_close(switch: str, codes: tuple[str | None, ...]) -> None:
    held = np.array([100.0, 0.0, 0.0, 0.0, 0.0])
    book = replace(empty_book(SYMBOLS, 1e6), quantity=held)
    target = np.array([-50.0, 0.0, 0.0, 0.0, 0.0])
    under_way = targets_to_orders(
        SYMBOLS, target, held, np.full(5, 50.0), np.zeros(5), strategy="s", session=pd.Timestamp("2017-06-01")
    )
    assert orders_under(under_way, book.quantity, kill_switch_control(switch)).reason_code == codes
