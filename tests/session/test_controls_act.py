"""What a session is given beside the market reaches its decision: verdict, refresh awaited, stale data."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.execution.paper import PaperBroker
from nn_assets.market.panel import FIELDS
from nn_assets.oversight.drift import DriftReport
from nn_assets.oversight.refreshes import RefreshWatch
from nn_assets.portfolio.breakers import Control
from nn_assets.session.daily_round import Controls, Round, SessionFacts, first_session_state, play_session
from nn_assets.session.market_view import SessionMarket, market_view
from nn_assets.settings import Strategy
from tests.session.worlds import SYMBOLS, World, world, world_strategy

ROW = 150
ALLOWED = Controls(verdict_allows=True)


@cache
def made() -> World:
    return world(world_strategy())


def played(
    controls: Controls = ALLOWED,
    *,
    strategy: Strategy | None = None,
    refresh: RefreshWatch | None = None,
    market: SessionMarket | None = None,
    drift: DriftReport | None = None,
) -> Round:
    """One session from a flat book."""
    of, strategy = made(), made().strategy if strategy is None else strategy
    state = first_session_state(strategy, SYMBOLS, of.panel.sessions[ROW])
    state = state if refresh is None else replace(state, refresh=refresh)
    facts = SessionFacts(of.market.at(ROW) if market is None else market, of.signals(ROW), drift, controls)
    return play_session(strategy, cost_model_from(strategy.costs), 252, state, facts, PaperBroker)


def test_a_verdict_that_does_not_allow_trading_opens_nothing_unless_the_strategy_trades_without() -> None:
    assert played().decision.target_quantity.any()
    without = Controls(verdict_allows=False)
    closed = played(without)
    assert not closed.decision.target_quantity.any()
    assert len(closed.orders) == 0
    defiant = made().strategy.model_copy(update={"trade_without_verdict": True})
    assert played(without, strategy=defiant).decision.target_quantity.any()


def test_under_a_leak_alarm_nothing_is_held_without_a_verdict_either() -> None:
    defiant = made().strategy.model_copy(update={"trade_without_verdict": True})
    under = played(Controls(verdict_allows=False, leak_alarm=True), strategy=defiant)
    assert not under.decision.target_quantity.any()
    assert len(under.orders) == 0
    by_verdict = played(Controls(verdict_allows=True, leak_alarm=True))  # an alarm of other settings
    assert not by_verdict.decision.target_quantity.any()


def test_a_refresh_asked_for_halves_the_size_until_another_model_decides() -> None:
    asked = RefreshWatch(pd.Timestamp("2014-08-01"), "old")
    free = played()

    def under(model: str) -> Round:
        return played(refresh=asked, drift=DriftReport(free.session, (), np.nan, 1.0, (), "", model))

    for pending in (played(refresh=asked), under("old")):
        assert pending.decision.inputs.trading_state == "REDUCE_SIZE"
        assert pending.decision.control is Control.REDUCED
        assert pending.decision.scale == 0.5 * free.decision.scale
        most = 0.5 * np.abs(free.decision.target_quantity) + 1.0
        assert (np.abs(pending.decision.target_quantity) <= most).all()
        assert pending.decision.target_quantity.any()
    assert np.array_equal(under("new").decision.target_quantity, free.decision.target_quantity)


def test_the_scale_of_a_regime_acts_on_the_targets() -> None:
    market = replace(made().market.at(ROW), regime_scale=1.0)
    free, halved = played(market=market), played(market=replace(market, regime_scale=0.5))
    assert free.decision.target_quantity.any()
    assert halved.decision.scale == 0.5 * free.decision.scale
    assert (np.abs(halved.decision.target_quantity) <= 0.5 * np.abs(free.decision.target_quantity)).all()
    assert halved.decision.target_quantity.any()


@pytest.mark.parametrize(
    ("missing", "repeated", "breaker"),
    [(2, 0, None), (0, 2, None), (3, 0, "stale_data"), (0, 3, "stale_data"), (1, 2, "stale_data")],
)
def test_more_than_half_of_a_panel_without_a_fresh_price_halts(
    missing: int, repeated: int, breaker: str | None
) -> None:
    panel = made().panel
    fields = {name: getattr(panel, name).copy() for name in FIELDS}
    for values in fields.values():
        values[ROW, :missing] = np.nan
        values[ROW, missing : missing + repeated] = values[ROW - 1, missing : missing + repeated]
    done = played(market=market_view(replace(panel, **fields), made().strategy.portfolio).at(ROW))
    assert done.state.breaker == breaker
    assert (done.decision.control is Control.HALTED) == (breaker is not None)
    assert (len(done.orders) == 0) == (breaker is not None)
