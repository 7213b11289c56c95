"""Urgency in the round: what is left is targeted anew, a way out never waits, what rests pays funding at its worst."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.costs.shortfall import COMPONENTS
from nn_assets.evaluation.replay import Replay, replay
from nn_assets.execution.orders import Orders
from nn_assets.portfolio.breakers import Control
from nn_assets.reports.round_notices import ended_notices, resting_facts
from nn_assets.session.daily_round import SessionState
from nn_assets.session.execution_costs import RESTING, executions_of
from nn_assets.session.fill_costs import fill_costs_of
from nn_assets.session.market_view import market_view
from nn_assets.settings import Strategy
from tests.session.test_funding_paid import PERPETUALS, quiet
from tests.session.test_late_bars import ROW, holding, play
from tests.session.test_late_bars import of as of_bars
from tests.session.worlds import World, world

ROWS = range(90, 130)


def strategy(execution: str = "next_open", **changed: object) -> Strategy:
    return Strategy.model_validate(
        {
            "name": "world",
            "market": {"history_starts": "2014-01-02"},
            "label": {"horizon_sessions": 3, "execution": execution},
            "portfolio": {"minimum_outcomes": 20, "shrink_prior_outcomes": 5.0, "stop_atr_multiple": 1.0},
            "costs": {"maker_fee_bps": 0.5},
            "execution": {"paper_fills": "by_urgency", "participation_cap_fraction": 0.0008},
            **changed,
        }
    )


def played(of: World, rows: range = ROWS) -> Replay:
    return replay(of.strategy, cost_model_from(of.strategy.costs), 252, [of.scene(rows)])


@pytest.fixture(scope="module", params=["next_open", pytest.param("next_close", marks=pytest.mark.full)])
def done(request: pytest.FixtureRequest) -> tuple[World, Replay]:
    made = world(strategy(request.param), bars=ROWS.stop)
    return made, played(made)


def test_what_is_left_of_an_order_is_targeted_anew_and_never_sent_whole(done: tuple[World, Replay]) -> None:
    seen = dict.fromkeys(("passive", "normal", "close"), 0)
    partial = rested = 0
    for before, after in pairwise(done[1].rounds):
        fills, orders = after.fills[0], before.orders
        got = dict(zip(fills.client_order_id, fills.quantity, strict=True))
        rested += int(fills.rested.sum())
        held = before.session_state.book.quantity.copy()
        np.add.at(held, fills.symbol, fills.quantity)
        for batch in after.fills[1:]:
            np.add.at(held, batch.symbol, batch.quantity)
        np.testing.assert_array_equal(held, after.session_state.book.quantity)
        rest = np.zeros(len(held))
        for row in np.flatnonzero(orders.accepted):
            filled = got.get(orders.client_order_id[row], 0.0)
            rest[orders.symbol[row]] += orders.quantity[row] - filled
            partial += 0.0 < abs(filled) < abs(orders.quantity[row])
            seen[orders.urgency[row]] += 1
        wanted = np.zeros(len(held))
        np.add.at(wanted, after.orders.symbol, after.orders.quantity)
        # The next orders lead from what is held to the new targets: the rest is part of none of them.
        np.testing.assert_allclose(held + wanted, after.decision.target_quantity, atol=1e-9)
        for row, symbol in enumerate(after.orders.symbol):
            side = np.sign(after.orders.quantity[row])
            share = max(0.0, side * rest[symbol]) / abs(after.orders.quantity[row])
            expected = "passive" if share == 0.0 else "normal" if share < 0.5 else "close"
            assert after.orders.urgency[row] in (expected, "close")
    assert partial > 5
    assert rested > 20
    assert min(seen.values()) >= 1, seen


def test_the_cost_that_a_slippage_test_holds_against_the_model_is_a_maker_s_where_it_rested(
    done: tuple[World, Replay],
) -> None:
    made, of = done
    costs = cost_model_from(made.strategy.costs)
    for played_round in of.rounds:
        fills = played_round.fills[0]
        if fills.rested.any():
            rests = replace_rows(fills, fills.rested)
            held_against = fill_costs_of([rests], made.market.at(made.panel.row(played_round.session)), costs)
            # 4.5 bps in the mid and 0.5 bps of fee on both sides, no impact on either.
            np.testing.assert_allclose(held_against.modelled, 5.0e-4, rtol=1e-9)
            np.testing.assert_allclose(held_against.realised, 5.0e-4, rtol=1e-3)


def test_what_a_resting_fill_cost_is_the_spread_in_its_mid_and_the_price_that_came_to_it(
    done: tuple[World, Replay],
) -> None:
    made, of = done
    costs = cost_model_from(made.strategy.costs)
    for before, after in pairwise(of.rounds):
        fills = after.fills[0]
        if not fills.rested.any():
            continue
        rests = replace_rows(fills, fills.rested)
        market = made.market.at(made.panel.row(after.session))
        lines = executions_of(before.orders, (rests,), market, costs, made.strategy.label.execution)
        rows = np.array([label == RESTING for label in lines.when])
        assert rows.sum() == len(rests)
        parts = dict(zip(COMPONENTS, lines.parts[rows].T, strict=True))
        np.testing.assert_allclose(parts["spread"], rests.half_spread_usd, rtol=1e-9)
        assert not parts["temporary"].any()
        assert not parts["permanent"].any()
        reference = dict(zip(before.orders.client_order_id, before.orders.reference_price, strict=True))
        paid = np.array(
            [
                q * (p - reference[name])
                for q, p, name in zip(rests.quantity, rests.price, rests.client_order_id, strict=True)
            ]
        )
        np.testing.assert_allclose(lines.parts[rows].sum(axis=1), paid + rests.commission_usd, rtol=1e-9)
        assert (paid < 0.0).all()  # bought below the price decided at, or sold above it: the mid went further


def replace_rows(fills, rows):  # type: ignore[no-untyped-def]
    kept = {
        name: tuple(item for item, keep in zip(value, rows, strict=True) if keep)
        if isinstance(value, tuple)
        else value[rows]
        for name, value in vars(fills).items()
        if name != "source" and value is not None
    }
    return replace(fills, **kept)


def test_what_rested_without_a_fill_is_a_plain_fact_and_no_notice(done: tuple[World, Replay]) -> None:
    facts = [line for played_round in done[1].rounds for line in resting_facts(played_round)]
    notices = [line for played_round in done[1].rounds for line in ended_notices(played_round)]
    assert any(line.startswith("limit_not_reached: ") and "passive order" in line for line in facts)
    assert not any("limit_not_reached" in line for line in notices)
    assert any(line.startswith("volume_cap: ") for line in notices)


@pytest.mark.full
def test_fills_by_urgency_are_the_same_to_the_bit_whatever_comes_later(done: tuple[World, Replay]) -> None:
    made, whole = done
    cut = ROWS.start + 20
    short = made.cut(cut)
    part = played(short, range(ROWS.start, cut))
    arrays = {name: getattr(made.panel, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for values in arrays.values():
        values[cut:] = values[cut:][::-1] * 1.3
    panel = replace(made.panel, **arrays)
    other = played(replace(made, panel=panel, market=market_view(panel, made.strategy.portfolio)))
    for one, two, three in zip(whole.rounds[: cut - ROWS.start], part.rounds, other.rounds, strict=False):
        assert one.state == two.state == three.state
        assert one.orders.urgency == two.orders.urgency == three.orders.urgency
        for first, second, third in zip(one.fills[0].price, two.fills[0].price, three.fills[0].price, strict=True):
            assert first == second == third


@pytest.mark.parametrize("blocked", [1, 0])
def test_a_stop_at_the_close_is_left_at_once_and_does_not_rest(blocked: int) -> None:
    made = of_bars(strategy("next_close"))
    state = holding(made, ROW - 1, 1000.0, stop=2.0 * made.panel.close[ROW, 0] if blocked else 1.0)
    after = play(made, state, ROW)
    mine = [urgency for urgency, symbol in zip(after.orders.urgency, after.orders.symbol, strict=True) if symbol == 0]
    if blocked:
        assert after.session_state.book.blocked_side[0] == 1
        assert mine[0] == "close"
    else:
        assert after.decision.control is Control.NORMAL
        assert mine
        assert "close" not in mine


def one_order(made: World, state: SessionState, quantity: float) -> SessionState:
    reference = np.array([made.panel.close[ROW - 1, 0]])
    order = Orders(("o",), np.array([0]), np.array([quantity]), ("passive",), reference, (None,))
    return replace(state, orders=order)


@pytest.mark.parametrize("execution", ["next_open", "next_close"])
@pytest.mark.parametrize(("held", "quantity"), [(1000.0, -1500.0), (1000.0, 700.0), (-1000.0, 700.0)])
def test_what_rested_pays_of_each_payment_the_more_of_before_and_after(
    execution: str, quantity: float, held: float
) -> None:
    """Payments of -0.0004 by the open, then 0.0030 and -0.0005: each on what is worse, since no bar says when."""
    settings = {**PERPETUALS, "label": {"horizon_sessions": 3, "execution": execution}}
    settings |= {"execution": {"paper_fills": "by_urgency"}, "costs": {"funding": "funding", "maker_fee_bps": 0.0}}
    loose = {"drawdown_limit_fraction": 0.9, "weekly_loss_limit_fraction": 0.8, "session_loss_limit_fraction": 0.7}
    perpetual = Strategy.model_validate({**settings, "portfolio": {**loose, "minimum_outcomes": 20}})
    bar = {"open": 50.0, "high": 51.0, "low": 49.0, "close": 50.0, "volume": 5e6}
    made = of_bars(perpetual, **{name: {(row, 0): value for row in (ROW - 1, ROW)} for name, value in bar.items()})
    sums = {"until_open": -4e-4, "until_close": 25e-4, "owed_by_longs": 30e-4, "owed_by_shorts": -5e-4}
    funding = quiet({name: {ROW: rate} for name, rate in sums.items()}, len(made.panel.sessions))
    made = replace(made, market=replace(made.market, funding=funding))
    after = play(made, one_order(made, holding(made, ROW - 1, held, stop=np.nan), quantity), ROW)
    assert after.fills[0].rested.tolist() == [True]
    assert after.session_state.book.quantity[0] == held + quantity
    usd, later = 50.0 * held, 50.0 * (held + quantity)
    received = usd * 4e-4 + min(-usd * 30e-4, -later * 30e-4) + min(usd * 5e-4, later * 5e-4)
    assert after.session_state.book.session_funding_usd == pytest.approx(received, abs=1e-9)
