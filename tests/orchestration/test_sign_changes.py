"""A change of sign through the ledger: two orders on record, read back in their order, filled close first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.execution.orders import client_order_id
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay
from nn_assets.operations.decisions.session_state import session_state_before
from nn_assets.operations.history import open_history
from nn_assets.session import daily_round
from tests.operations import homes
from tests.orchestration.conftest import FIRST_LIVE, LAST, NAME, recorded, strategy_of

pytestmark = pytest.mark.slow

SESSIONS = list(sessions_between("XNYS", FIRST_LIVE, LAST))[:5]


@pytest.fixture
def turning(studied: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which every position changes sides on every session: 100 shares long, 60 short, in turn."""
    plain = daily_round.targets_to_orders

    def alternate(symbols, target, current, *others, session, **named):  # type: ignore[no-untyped-def]
        even = SESSIONS.index(session) % 2 == 0 if session in SESSIONS else True
        side = np.full(len(symbols), 100.0 if even else -60.0)
        return plain(symbols, side, current, *others, session=session, **named)

    monkeypatch.setattr(daily_round, "targets_to_orders", alternate)
    return studied


@pytest.mark.full
def test_two_orders_are_recorded_read_back_in_order_and_filled_close_first(turning: Path) -> None:
    decided = homes.decide(strategy_of(), SESSIONS[:4])
    for done, following in zip(decided, SESSIONS[1:], strict=True):
        with open_history(strategy_of()) as history:
            view = history.view(following)
            market = history.cut_for(following).market
            back = session_state_before(history, following, view.symbols, market).orders
        made = done.round.orders
        assert back.client_order_id == made.client_order_id
        assert np.array_equal(back.quantity, made.quantity)
        assert back.reason_code == made.reason_code
    turned = decided[2].round
    pairs = np.flatnonzero(turned.orders.symbol[1:] == turned.orders.symbol[:-1])
    assert len(pairs) > 0
    for row in pairs:
        symbol = turned.session_state.book.symbols[turned.orders.symbol[row]]
        assert turned.orders.client_order_id[row] == client_order_id(NAME, SESSIONS[2], symbol)
        assert turned.orders.client_order_id[row + 1] == client_order_id(NAME, SESSIONS[2], symbol, opening=True)
        assert turned.orders.quantity[row] == -turned.session_state.book.quantity[turned.orders.symbol[row]]
    fills = decided[3].round.fills[0]
    assert len(set(fills.client_order_id)) == len(fills)
    sides = decided[3].round.session_state.book.quantity
    assert (sides[np.unique(turned.orders.symbol[turned.orders.accepted])] > 0.0).any()
    assert all(done.already_decided for done in homes.decide(strategy_of(), SESSIONS[:4]))
    orders = recorded(turning, "orders")
    assert pd.Index(orders["client_order_id"]).is_unique
    with open_history(strategy_of()) as history:
        assert decisions_repeat_in_replay(history)[1] == []
