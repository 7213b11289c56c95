"""Whole replays over splits and dividends, against the same market without them and against accounting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import Replay, replay
from nn_assets.market.panel import FIELDS, Panel, panel_from_bars
from nn_assets.session.market_view import market_view
from tests.session.worlds import SYMBOLS, World, world, world_strategy, yardstick_of

Events = dict[tuple[int, str], float]
FIRST, LAST = 80, 260
SPLITS: Events = {(120, "AAA"): 4.0, (150, "BBB"): 0.1, (151, "AAA"): 1.5, (200, "EEE"): 2.0}
DIVIDENDS: Events = {(110, "AAA"): 0.9, (140, "CCC"): 2.5, (170, "BBB"): 0.4, (171, "DDD"): 1.2, (230, "EEE"): 0.7}


def actions_of(sessions: pd.DatetimeIndex, splits: Events, dividends: Events) -> pd.DataFrame:
    rows = [(symbol, sessions[at], "split", value) for (at, symbol), value in splits.items()]
    rows += [(symbol, sessions[at], "dividend", value) for (at, symbol), value in dividends.items()]
    return pd.DataFrame(rows, columns=["symbol", "ex_session", "kind", "value"])


def quoted_raw(panel: Panel, splits: Events, dividends: Events) -> Panel:
    """The panel's market as an exchange would have quoted it: divided at each split, lowered at each dividend."""
    prices = {name: getattr(panel, name).copy() for name in FIELDS}
    events = [(at, symbol, "split", value) for (at, symbol), value in splits.items()]
    events += [(at, symbol, "dividend", value) for (at, symbol), value in dividends.items()]
    for at, symbol, kind, value in sorted(events):
        column = SYMBOLS.index(symbol)
        left = 1.0 / value if kind == "split" else 1.0 - value / prices["close"][at - 1, column]
        for name in FIELDS[:4]:
            prices[name][at:, column] *= left
        if kind == "split":
            prices["volume"][at:, column] *= value
    long = pd.concat(
        [
            pd.DataFrame({"symbol": symbol, "session": panel.sessions, **{n: prices[n][:, index] for n in FIELDS}})
            for index, symbol in enumerate(SYMBOLS)
        ]
    )
    return panel_from_bars(long, panel.sessions, SYMBOLS, actions_of(panel.sessions, splits, dividends))


def played(of: World, panel: Panel, last: int = LAST) -> Replay:
    costs = cost_model_from(of.strategy.costs)
    market = market_view(panel, of.strategy.portfolio)
    return replay(of.strategy, costs, 252, [of.scene(range(FIRST, last), market)])


@pytest.fixture(scope="module", params=["next_close", "next_open"])
def of(request: pytest.FixtureRequest) -> World:
    return world(world_strategy(request.param, lot_size=1e-7))


@pytest.fixture(scope="module")
def plain(of: World) -> Replay:
    return played(of, of.panel)


@pytest.fixture(scope="module")
def raw(of: World) -> Panel:
    return quoted_raw(of.panel, SPLITS, DIVIDENDS)


@pytest.fixture(scope="module")
def whole(of: World, raw: Panel) -> Replay:
    return played(of, raw)


@pytest.mark.full
def test_a_market_with_splits_trades_the_same_dollars_as_one_without(of: World, plain: Replay) -> None:
    raw = quoted_raw(of.panel, SPLITS, {})
    assert np.nanmax(np.abs(raw.close / of.panel.close - 1.0)) > 0.7
    split = played(of, raw)
    # Fractions of lots aside.
    np.testing.assert_allclose(split.track.net[FIRST:LAST], plain.track.net[FIRST:LAST], atol=1e-9)
    np.testing.assert_allclose(split.track.turnover[FIRST:LAST], plain.track.turnover[FIRST:LAST], atol=1e-6)
    assert raw.adjustment is not None
    for row, (one, other) in enumerate(zip(plain.rounds, split.rounds, strict=True), start=FIRST):
        shares = raw.adjustment.shares[row]
        np.testing.assert_allclose(
            other.session_state.book.quantity, one.session_state.book.quantity * shares, atol=1e-4
        )
        np.testing.assert_allclose(
            other.session_state.book.stop_price * shares, one.session_state.book.stop_price, rtol=1e-7
        )
        np.testing.assert_allclose(
            other.session_state.book.entry_price * shares, one.session_state.book.entry_price, rtol=1e-7
        )
    held_over = [split.rounds[at - 1 - FIRST].session_state.book.quantity[SYMBOLS.index(name)] for at, name in SPLITS]
    assert np.count_nonzero(held_over) >= 2


@pytest.mark.full
def test_equity_moves_by_positions_dividends_costs_and_interest_alone(raw: Panel, whole: Replay) -> None:
    paid = 0
    for before, after in zip(whole.rounds, whole.rounds[1:], strict=False):
        row = raw.row(after.session)
        split = np.array([SPLITS.get((row, symbol), 1.0) for symbol in SYMBOLS])
        cash = np.array([DIVIDENDS.get((row, symbol), 0.0) for symbol in SYMBOLS])
        held = before.session_state.book.quantity
        moved = float(np.sum(held * (split * (raw.close[row] + cash) - raw.close[row - 1])))
        traded = sum(
            float(np.sum(batch.quantity * (raw.close[row][batch.symbol] - batch.price)) - batch.commission_usd.sum())
            for batch in after.fills
        )
        book = after.session_state.book
        expected = before.state.equity_usd + moved + traded + book.session_financing_usd
        assert after.state.equity_usd == pytest.approx(expected, abs=1e-2)
        assert book.session_dividends_usd == pytest.approx(float(np.sum(held * split * cash)), abs=1e-5)
        paid += book.session_dividends_usd != 0.0
    assert paid >= 3


def test_the_decision_before_the_ex_session_is_in_raw_prices_of_its_day(raw: Panel, whole: Replay) -> None:
    for at, symbol in SPLITS | DIVIDENDS:
        column, before = SYMBOLS.index(symbol), whole.rounds[at - 1 - FIRST]
        assert before.decision.inputs.reference_price[column] == raw.close[at - 1, column]
        assert before.session == raw.sessions[at - 1]


@pytest.mark.full
@pytest.mark.parametrize("cut", [119, 120, 121, 151, 171])
def test_a_replay_cut_beside_an_action_gives_the_same_bits(of: World, whole: Replay, cut: int) -> None:
    known = [{key: value for key, value in events.items() if key[0] < cut} for events in (SPLITS, DIVIDENDS)]
    short = quoted_raw(of.panel.until(of.panel.sessions[cut - 1]), *known)
    part = played(of.cut(cut), short, cut)
    assert len(part.rounds) == cut - FIRST
    for one, other in zip(whole.rounds, part.rounds, strict=False):
        assert one.state == other.state
        assert np.array_equal(one.decision.target_quantity, other.decision.target_quantity)
        assert np.array_equal(one.orders.quantity, other.orders.quantity)


def test_a_market_view_measures_returns_on_total_return_and_ranges_in_raw_prices(of: World) -> None:
    raw = quoted_raw(of.panel, SPLITS, DIVIDENDS)
    plain, view = market_view(of.panel, of.strategy.portfolio), market_view(raw, of.strategy.portfolio)
    np.testing.assert_allclose(view.returns, plain.returns, atol=1e-12)
    np.testing.assert_allclose(view.volatility, plain.volatility, rtol=1e-9)
    relative = view.average_true_range / raw.close
    np.testing.assert_allclose(relative, plain.average_true_range / of.panel.close, rtol=1e-9)
    only_splits = market_view(quoted_raw(of.panel, SPLITS, {}), of.strategy.portfolio)
    np.testing.assert_allclose(only_splits.adv_usd, plain.adv_usd, rtol=1e-9)
    assert view.at(120).previous_close[0] == pytest.approx(raw.close[119, 0] / 4.0)
    assert view.at(110).previous_close[0] == pytest.approx(raw.close[109, 0] - 0.9)


def test_buying_and_holding_earns_total_return(of: World) -> None:
    rows = range(FIRST, LAST)
    raw = market_view(quoted_raw(of.panel, SPLITS, DIVIDENDS), of.strategy.portfolio)
    plain = market_view(of.panel, of.strategy.portfolio)
    np.testing.assert_allclose(
        yardstick_of([of.scene(rows, raw)]).net, yardstick_of([of.scene(rows, plain)]).net, atol=1e-12
    )


def test_buying_and_holding_takes_what_a_delisting_pays_and_keeps_it(of: World) -> None:
    quoted, gone, share = quoted_raw(of.panel, SPLITS, DIVIDENDS), 180, 0.2
    bars = pd.concat(
        [
            pd.DataFrame(
                {"symbol": symbol, "session": quoted.sessions, **{n: getattr(quoted, n)[:, index] for n in FIELDS}}
            )
            for index, symbol in enumerate(SYMBOLS)
        ]
    )
    paid = share * float(quoted.close[gone - 1, 0])
    delisted = pd.DataFrame({"symbol": ["AAA"], "ex_session": [quoted.sessions[gone]]})
    actions = pd.concat([actions_of(quoted.sessions, SPLITS, DIVIDENDS), delisted.assign(kind="delisting", value=paid)])
    panel = panel_from_bars(bars, quoted.sessions, SYMBOLS, actions)
    held = yardstick_of([of.scene(range(FIRST, LAST), market_view(panel, of.strategy.portfolio))]).gross
    close = of.panel.close[FIRST:LAST] / of.panel.close[FIRST]  # the same market without actions: total returns
    close[gone - FIRST :, 0] = share * close[gone - 1 - FIRST, 0]
    wealth = close.mean(axis=1)
    np.testing.assert_allclose(held[FIRST + 1 : LAST], wealth[1:] / wealth[:-1] - 1.0, atol=1e-12)


@pytest.mark.full
def test_without_actions_nothing_changes_by_a_bit(of: World, plain: Replay) -> None:
    one_elsewhere = quoted_raw(of.panel, {(1, "AAA"): 1.0}, {})  # a table of actions that says nothing
    assert one_elsewhere.adjustment is not None
    again = played(of, one_elsewhere)
    for one, other in zip(plain.rounds, again.rounds, strict=True):
        assert one.state == other.state
        assert np.array_equal(one.orders.quantity, other.orders.quantity)
    assert replace(one_elsewhere, adjustment=None).total_return().close is one_elsewhere.close
