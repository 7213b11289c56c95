"""The daily round under ``portfolio.construction: programme``: a small world played, cut, resumed, reduced, stopped."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import Replay, replay
from nn_assets.market.panel import FIELDS
from nn_assets.oversight.drift import DriftReport, DriftStatistic
from nn_assets.portfolio import conic
from nn_assets.portfolio.book import Book
from nn_assets.portfolio.records import book_from_records, book_remainder, holdings_frame, state_row
from nn_assets.portfolio.trace import steps_frame
from nn_assets.session.daily_round import Round, SessionState
from nn_assets.session.market_view import market_view
from nn_assets.settings import Strategy
from tests.session.worlds import SYMBOLS, World, world, world_strategy

FIRST, LAST = 80, 240
KINDS = {"alone": ("direction", "next_open", 1.0), "relative": ("direction_relative", "next_close", 0.0)}


def strategy_of(kind: str, **portfolio: object) -> Strategy:
    label, execution, net = KINDS[kind]
    made = world_strategy(execution, construction="programme", net_limit=net, **portfolio)
    return made.model_copy(update={"label": made.label.model_copy(update={"kind": label})})


def played(of: World, last: int = LAST, **changed: object) -> Replay:
    monitor = {"monitor": changed.pop("monitor")} if "monitor" in changed else {}
    scene = of.scene(range(FIRST, last), **monitor)
    return replay(of.strategy, cost_model_from(of.strategy.costs), 252, [scene], **changed)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=["alone", pytest.param("relative", marks=pytest.mark.full)])
def whole(request: pytest.FixtureRequest) -> tuple[World, Replay]:
    of = world(strategy_of(request.param))
    return of, played(of)


def assert_same(ours: Round, theirs: Round) -> None:
    assert ours.decision.weights.tobytes() == theirs.decision.weights.tobytes()
    assert ours.decision.unscaled_quantity.tobytes() == theirs.decision.unscaled_quantity.tobytes()
    assert ours.decision.target_quantity.tobytes() == theirs.decision.target_quantity.tobytes()
    assert ours.state == theirs.state
    assert ours.orders.client_order_id == theirs.orders.client_order_id


@pytest.mark.full
def test_it_trades_earns_and_keeps_to_every_limit(whole: tuple[World, Replay]) -> None:
    of, full = whole
    limits = of.strategy.portfolio
    gross = np.array([np.abs(done.decision.target_weight).sum() for done in full.rounds])
    assert (gross > 0.05).mean() > 0.8
    assert sum(len(batch) for done in full.rounds for batch in done.fills) > 50
    assert np.nansum(full.track.net) > 0.0
    for done in full.rounds:
        weight, price, equity = done.decision.target_weight, done.decision.inputs.reference_price, done.state.equity_usd
        assert np.abs(weight).sum() <= limits.gross_limit + 1e-9
        assert np.abs(weight).max() <= limits.single_name_limit + 1e-6
        assert abs(weight.sum()) <= max(limits.net_limit, 0.005, price.max() / equity) + 1e-9
        scaled = done.decision.scale * np.abs(done.decision.unscaled_quantity)
        assert (np.abs(done.decision.target_quantity) <= scaled + limits.lot_size).all()
        assert done.decision.answer is not None
        assert done.decision.answer.no_answer is None
        assert done.decision.answer.exceeded == ()
        assert done.orders.accepted.all()


def test_the_premium_of_a_replay_is_weighed_by_what_was_held() -> None:
    """Half of 40% and all of 10% are 30% of the 50% held."""
    rounds = [
        SimpleNamespace(decision=SimpleNamespace(premium_of_gross=share, target_weight=np.array(weight)))
        for share, weight in ((0.5, [0.2, -0.2]), (1.0, [0.1, 0.0]), (0.0, [0.0, 0.0]))
    ]
    assert Replay.premium_of_gross.fget(SimpleNamespace(rounds=rounds)) == pytest.approx(0.6)  # type: ignore[attr-defined]
    assert Replay.premium_of_gross.fget(SimpleNamespace(rounds=rounds[2:])) == 0.0  # type: ignore[attr-defined]


@pytest.mark.full
def test_in_a_neutral_book_prices_alone_turn_no_share_to_and_fro() -> None:
    """The unscaled quantity and the scale as they were: an order then comes of the net limit's rounding alone."""
    rounds = played(world(strategy_of("relative"))).rounds
    orders, idle = 0, []
    for before, done in pairwise(rounds):
        inputs = done.decision.inputs
        change = np.sign(done.decision.target_quantity - inputs.current_quantity)
        same = (done.decision.unscaled_quantity == inputs.unscaled_quantity) & (inputs.unscaled_quantity != 0.0)
        orders += int((change != 0.0).sum())
        idle.append(np.where(same & (before.decision.scale == done.decision.scale), change, 0.0))
    assert orders > 500
    assert np.count_nonzero(idle) <= 0.005 * orders
    assert not any((one * other < 0.0).any() for one, other in pairwise(idle))


def test_a_future_cut_at_any_session_changes_no_decision(whole: tuple[World, Replay]) -> None:
    of, full = whole
    for rows in (105, 126, 171, 230):
        short = played(of.cut(rows), rows)
        assert len(short.rounds) == rows - FIRST
        for ours, theirs in zip(short.rounds, full.rounds, strict=False):
            assert_same(ours, theirs)


@pytest.mark.full
def test_every_state_read_back_from_its_records_plays_on_to_the_same_bits(whole: tuple[World, Replay]) -> None:
    of, full = whole
    costs = cost_model_from(of.strategy.costs)
    for index in (10, 60, 61, 120):
        done = full.rounds[index]
        book = done.session_state.book
        back = book_from_records(state_row(done.state), holdings_frame(book).iloc[::-1], book_remainder(book))
        for name in Book.__dataclass_fields__:
            np.testing.assert_equal(getattr(back, name), getattr(book, name), err_msg=name)
        row = FIRST + index + 1
        session_state = replace(done.session_state, book=back)
        rest = replay(of.strategy, costs, 252, [of.scene(range(row, row + 15))], initial=session_state)
        assert len(rest.rounds) == 15
        for ours, theirs in zip(rest.rounds, full.rounds[index + 1 :], strict=False):
            assert_same(ours, theirs)


@pytest.mark.full
def test_the_trace_of_any_session_solved_later_ends_in_its_own_bits(whole: tuple[World, Replay]) -> None:
    _, full = whole
    for done in full.rounds[::20]:
        decision = done.decision
        assert np.isnan(decision.weights[1:7]).all()
        steps = steps_frame(decision).pivot(index="step", columns="symbol", values="weight_after").to_numpy()
        assert np.isfinite(steps).all()
        assert steps[6].tobytes() == decision.weights[7].tobytes()
        assert steps[7].tobytes() == decision.weights[8].tobytes()


@pytest.mark.full
def test_stops_are_filled_and_their_side_is_not_entered_again_while_it_is_blocked() -> None:
    of = world(strategy_of("alone", stop_atr_multiple=0.5))
    full = played(of)
    stopped = sum(int(batch.is_stop.sum()) for done in full.rounds for batch in done.fills)
    assert stopped > 5
    blocked = 0
    for done in full.rounds:
        side = done.decision.inputs.blocked_side
        blocked += int((side != 0).sum())
        assert not (np.sign(done.decision.unscaled_quantity)[side != 0] == side[side != 0]).any()
    assert blocked > 5


@pytest.mark.full
def test_a_reduction_halves_the_book_on_the_session_it_begins_and_it_comes_back() -> None:
    of = world(strategy_of("alone"))

    def monitor(row: int) -> DriftReport:
        asks = 100 <= row < 140
        asking = DriftStatistic("prediction", "forecast", 0.2, 0.3, 0.0, drifted=False, asks_retraining=asks)
        return DriftReport(of.panel.sessions[row], (asking,), np.nan, 1.0, (), "", "old" if row < 140 else "new")

    plain, reduced = played(of).rounds, played(of, monitor=monitor).rounds
    target = np.array([[np.abs(done.decision.target_weight).sum() for done in rounds] for rounds in (plain, reduced)])
    assert (target[0, 100 - FIRST :] > 0.05).all()
    ratio = dict(zip(range(100, LAST), target[1, 100 - FIRST :] / target[0, 100 - FIRST :], strict=True))
    states = {FIRST + index: done.decision.inputs.trading_state for index, done in enumerate(reduced)}
    assert {row for row, state in states.items() if state == "REDUCE_SIZE"} == set(range(101, 140))
    assert ratio[100] == 1.0
    assert ratio[101] == pytest.approx(0.5, abs=0.01)
    assert max(abs(ratio[row] - 0.5) for row in range(101, 140)) < 0.06
    assert ratio[140] == pytest.approx(1.0, abs=0.06)
    held = np.array([[done.state.gross_fraction for done in rounds] for rounds in (plain, reduced)])
    assert held[1, 102 - FIRST] / held[0, 102 - FIRST] == pytest.approx(0.5, abs=0.06)  # a session is there to fill


@pytest.mark.full
def test_without_an_answer_on_the_session_a_reduction_ends_what_is_held_stays_and_fills_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of = world(strategy_of("alone"))

    def monitor(row: int) -> DriftReport:
        asking = DriftStatistic(
            "prediction", "forecast", 0.2, 0.3, 0.0, drifted=False, asks_retraining=100 <= row < 140
        )
        return DriftReport(of.panel.sessions[row], (asking,), np.nan, 1.0, (), "", "old" if row < 140 else "new")

    def broken(problem: conic.Problem) -> list[conic.Answer]:
        return [conic.Answer(np.full(len(problem.mean), np.nan), "broken", 0)]

    def on(row: int, session_state: SessionState) -> Round:
        scene = of.scene(range(row, row + 1), monitor=monitor)
        return replay(of.strategy, cost_model_from(of.strategy.costs), 252, [scene], initial=session_state).rounds[0]

    before = played(of, 140, monitor=monitor)
    with monkeypatch.context() as patch:
        patch.setattr(conic, "many_names", broken)
        lost = on(140, before.session_state)
    held = lost.decision.inputs.current_quantity
    assert (np.abs(lost.decision.unscaled_quantity) > 1.5 * np.abs(held)).any(), "the book before is the larger one"
    assert lost.decision.scale == 1.0
    assert (np.abs(lost.decision.target_quantity) <= np.abs(held)).all()
    after = on(141, lost.session_state)
    assert (np.abs(after.decision.inputs.current_quantity) <= np.abs(held)).all()
    assert (np.abs(after.decision.target_quantity) > np.abs(held)).any(), "with an answer it comes back"


@pytest.mark.full
def test_no_answer_latches_an_alarm_that_takes_nothing_off_a_size_and_survives_its_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of = world(strategy_of("alone"))
    before = played(of, 150)
    costs = cost_model_from(of.strategy.costs)

    def broken(problem: conic.Problem) -> list[conic.Answer]:
        return [conic.Answer(np.full(len(problem.mean), np.nan), "broken", 0)]

    with monkeypatch.context() as patch:
        patch.setattr(conic, "many_names", broken)
        lost = replay(of.strategy, costs, 252, [of.scene(range(150, 151))], initial=before.session_state).rounds[0]
    u, carried = lost.decision.unscaled_quantity, before.session_state.book
    assert (np.abs(u) <= np.abs(carried.unscaled_quantity) + 1e-9).all()
    book = lost.session_state.book
    assert book.breaker_kinds == ("no_answer",)
    assert lost.state.breaker == "no_answer"
    back = book_from_records(state_row(lost.state), holdings_frame(book), book_remainder(book))
    assert back.breakers == book.breakers
    after = replay(of.strategy, costs, 252, [of.scene(range(151, 155))], initial=lost.session_state).rounds
    assert [done.state.breaker for done in after] == ["no_answer"] * 4
    assert after[0].decision.scale == before.rounds[-1].decision.scale
    assert after[0].decision.answer is not None
    assert after[0].decision.answer.no_answer is None


@pytest.mark.full
def test_a_name_without_forecasts_is_never_held_and_the_others_are() -> None:
    of = world(strategy_of("alone"))
    gone = of.forecasts.at(slice(None))
    for name in ("probability", "dispersion", "calibrated", "base_rate", "confidence", "score"):
        array = getattr(gone, name).copy()
        array[:, 2] = np.nan
        gone = replace(gone, **{name: array})
    full = played(replace(of, forecasts=gone), 140)
    targets = np.array([done.decision.target_quantity for done in full.rounds])
    assert not targets[:, 2].any()
    assert (np.delete(targets, 2, axis=1) != 0.0).mean() > 0.5
    assert len(SYMBOLS) == 5


@pytest.mark.full
def test_a_member_that_leaves_is_sold_and_the_others_trade_on() -> None:
    of, left = world(strategy_of("alone")), 150
    column = int(np.abs(played(of, left).rounds[-1].decision.target_quantity).argmax())
    belongs = np.ones(of.panel.close.shape, dtype=np.bool_)
    belongs[left:, column] = False
    gone = of.forecasts.at(slice(None))
    for name in ("probability", "dispersion", "calibrated", "base_rate", "confidence", "score"):
        gone = replace(gone, **{name: np.where(belongs, getattr(gone, name), np.nan)})
    market = market_view(of.panel, of.strategy.portfolio, belongs)
    scene = replace(of.scene(range(FIRST, 180), market), forecasts=gone)
    rounds = replay(of.strategy, cost_model_from(of.strategy.costs), 252, [scene]).rounds
    targets = np.array([done.decision.target_quantity for done in rounds])
    assert targets[left - 1 - FIRST, column] != 0.0
    assert not targets[left - FIRST :, column].any()
    assert rounds[left + 3 - FIRST].session_state.book.quantity[column] == 0.0
    assert (np.delete(targets[left - FIRST :], column, axis=1) != 0.0).mean() > 0.5


@pytest.mark.full
def test_a_name_that_is_not_quoted_for_three_sessions_keeps_its_shares_and_its_place_in_every_sum() -> None:
    of, first = world(strategy_of("relative")), 150
    before = played(of, first).rounds[-1]
    column = int(np.abs(before.decision.target_quantity).argmax())
    fields = {name: getattr(of.panel, name).copy() for name in FIELDS}
    for array in fields.values():
        array[first : first + 3, column] = np.nan
    panel = replace(of.panel, **fields)
    market = market_view(panel, of.strategy.portfolio)
    scene = of.scene(range(FIRST, 170), market)
    rounds = replay(of.strategy, cost_model_from(of.strategy.costs), 252, [scene]).rounds
    silent = rounds[first - FIRST : first + 3 - FIRST]
    held = before.session_state.book.quantity[column]
    for done in silent:
        assert done.decision.target_quantity[column] == done.session_state.book.quantity[column]
        assert done.decision.target_weight[column] == 0.0
        stuck = float(done.decision.inputs.stuck_weight.sum())
        largest = np.nanmax(done.decision.inputs.reference_price) / done.state.equity_usd
        assert abs(float(done.decision.target_weight.sum()) + stuck) <= max(0.005, largest) + 1e-9
    assert held != 0.0
    after = rounds[first + 4 - FIRST :]
    assert any(done.decision.target_quantity[column] != silent[0].decision.target_quantity[column] for done in after)
