"""A position held across a factor that no stated split explains: nothing of it is ordered until a person states it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.panel import FIELDS, panel_from_bars
from nn_assets.market.quality.unexplained_factors import UNEXPLAINED_FACTOR
from nn_assets.session.daily_round import Round
from nn_assets.session.market_view import market_view
from tests.session.test_delisting import action
from tests.session.test_late_bars import holding, one_order, play, wide
from tests.session.worlds import SYMBOLS, World, world

ROW = 150


def hundredfold(source: str) -> World:
    """The world with the first symbol's prices a hundred times as high from ``ROW`` on, and its split by a source."""
    made = world(wide(), ROW + 10)
    arrays = {name: getattr(made.panel, name).copy() for name in FIELDS}
    for name in ("open", "high", "low", "close"):
        arrays[name][ROW:, 0] *= 100.0
    arrays["volume"][ROW:, 0] /= 100.0
    rows, columns = np.indices(made.panel.close.shape)
    bars = pd.DataFrame(
        {"symbol": np.array(SYMBOLS)[columns.ravel()], "session": made.panel.sessions[rows.ravel()]}
        | {name: values.ravel() for name, values in arrays.items()}
    )
    actions = action(made.panel.sessions[ROW], 0.01, "split").assign(source=source)
    panel = panel_from_bars(bars, made.panel.sessions, SYMBOLS, actions)
    return replace(made, panel=panel, market=market_view(panel, made.strategy.portfolio))


def codes(done: Round) -> list[str | None]:
    return [code for code, symbol in zip(done.orders.reason_code, done.orders.symbol, strict=True) if symbol == 0]


@pytest.mark.parametrize(("source", "denied"), [(UNEXPLAINED_FACTOR, True), ("actions.csv", False)])
def test_what_is_held_across_it_keeps_its_value_and_is_not_traded(source: str, denied: bool) -> None:
    made = hundredfold(source)
    held = holding(made, ROW - 1, 1000.0, stop=1e-3)
    done = play(made, held, ROW)
    assert done.session_state.book.quantity[0] == 10.0
    assert abs(done.state.equity_usd / held.book.equity_usd - 1.0) < 0.05
    asked = codes(done)
    for later in range(ROW + 1, ROW + 4):
        done = play(made, done.session_state, later)
        asked += codes(done)
        assert bool(done.session_state.book.quantity[0] == 10.0) is denied
    assert asked
    assert ({code == UNEXPLAINED_FACTOR for code in asked} == {True}) is denied


def test_an_order_under_way_as_the_factor_shows_ends_with_the_reason() -> None:
    made = hundredfold(UNEXPLAINED_FACTOR)
    before = play(made, holding(made, ROW - 2, 1000.0, stop=1e-3), ROW - 1)
    done = play(made, replace(before.session_state, orders=one_order(before, -1000.0)), ROW)
    assert [order.reason for order in done.ended if order.symbol == 0] == [UNEXPLAINED_FACTOR]


def test_what_was_bought_after_it_is_traded() -> None:
    made = hundredfold(UNEXPLAINED_FACTOR)
    done = play(made, holding(made, ROW, 10.0, stop=1e-3), ROW + 1)
    assert codes(done)
    assert UNEXPLAINED_FACTOR not in codes(done)


def test_a_stop_of_it_sells_nothing_either() -> None:
    made = hundredfold(UNEXPLAINED_FACTOR)
    above = holding(made, ROW - 1, 1000.0, stop=2.0 * float(made.panel.close[ROW - 1, 0]))
    done = play(made, above, ROW)
    assert done.session_state.book.quantity[0] == 10.0
    assert [len(batch) for batch in done.fills] == [0, 0]
    explained = hundredfold("actions.csv")
    assert play(explained, above, ROW).fills[1].quantity.tolist() == [-10.0]


def test_less_than_a_lot_is_kept_and_nothing_is_paid_for_it() -> None:
    made = hundredfold(UNEXPLAINED_FACTOR)
    held = holding(made, ROW - 1, 60.0, stop=1e-3)
    done = play(made, held, ROW)
    for later in (None, ROW + 1, ROW + 2):
        done = done if later is None else play(made, done.session_state, later)
        assert done.session_state.book.quantity[0] == pytest.approx(0.6, rel=1e-12)
        assert done.session_state.book.session_cash_in_lieu_usd == 0.0
        assert set(codes(done)) <= {UNEXPLAINED_FACTOR}
    explained = play(hundredfold("actions.csv"), held, ROW)
    assert explained.session_state.book.quantity[0] == 0.0
    assert explained.session_state.book.session_cash_in_lieu_usd > 0.0
