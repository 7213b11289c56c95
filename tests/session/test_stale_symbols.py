"""A symbol whose feed stands still opens nothing, while the others go on; what is held may be closed.

The feed of one name repeats its bar, as one that hangs does: less than the share that halts the book.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.execution.paper import PaperBroker
from nn_assets.market.panel import FIELDS
from nn_assets.session.daily_round import Controls, Round, SessionFacts, first_session_state, play_session
from nn_assets.session.market_view import MarketView, market_view
from tests.session.worlds import SYMBOLS, World, world, world_strategy

ROW, HANGS = 150, 4  # the feed of the first symbol hangs from ROW on


def hanging(of: World, allowed: int | None, *, missing: bool = False, halted: np.ndarray | None = None) -> MarketView:
    fields = {name: getattr(of.panel, name).copy() for name in FIELDS}
    for values in fields.values():
        values[ROW : ROW + HANGS, 0] = np.nan if missing else values[ROW - 1, 0]
    settings = of.strategy.portfolio.model_copy(update={"stale_symbol_sessions": allowed})
    return market_view(replace(of.panel, **fields), settings, halted=halted)


@pytest.mark.parametrize("missing", [False, True])
def test_it_is_stale_from_the_session_that_completes_the_run_until_the_first_fresh_bar(missing: bool) -> None:
    of = world(world_strategy())
    view = hanging(of, 3, missing=missing)
    stale = [view.at(row).stale for row in range(ROW, ROW + HANGS + 1)]
    assert [None if each is None else each.tolist() for each in stale] == [
        [index == 0 and run in (2, 3) for index in range(5)] for run in range(5)
    ]
    assert hanging(of, None).at(ROW + 3).stale is None
    assert not view.at(1).stale.any()  # shorter than the run
    cut = view.until(ROW + 2)
    assert cut.at(ROW + 2).stale.tolist() == view.at(ROW + 2).stale.tolist()
    halted = np.zeros(of.panel.close.shape, dtype=np.bool_)
    halted[ROW + 1, 0] = True
    assert not hanging(of, 3, missing=True, halted=halted).at(ROW + 2).stale.any()


def _played(of: World, view: MarketView) -> list[Round]:
    state = first_session_state(of.strategy, SYMBOLS, of.panel.sessions[ROW])
    rounds = []
    for row in range(ROW, ROW + HANGS + 1):
        facts = SessionFacts(view.at(row), of.signals(row), None, Controls(verdict_allows=True))
        costs = cost_model_from(of.strategy.costs)
        rounds.append(play_session(of.strategy, costs, 252, state, facts, PaperBroker))
        state = rounds[-1].session_state
    return rounds


def test_nothing_is_opened_in_it_and_the_others_trade() -> None:
    of = world(world_strategy())
    free, held_back = (_played(of, hanging(of, allowed)) for allowed in (None, 1))

    def codes(done: Round, first: bool) -> list[str | None]:
        orders = done.orders
        return [code for code, symbol in zip(orders.reason_code, orders.symbol, strict=True) if (symbol == 0) == first]

    assert all(done.state.breaker is None for done in held_back)  # one of five is below the share that halts
    assert None in codes(free[0], first=True)
    assert codes(held_back[0], first=True) == ["stale"]
    assert None in codes(held_back[0], first=False)
    assert all(done.session_state.book.quantity[0] == 0.0 for done in held_back[:HANGS])
    assert any(done.session_state.book.quantity[1:].any() for done in held_back)
    assert "stale" not in codes(held_back[HANGS], first=True)
