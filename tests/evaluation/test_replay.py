"""The replay plays the daily round in order; nothing of a session changes when later ones arrive."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.costs.shortfall import Executions
from nn_assets.errors import DecisionError
from nn_assets.evaluation.replay import REPLAY_RESET, Replay, replay
from nn_assets.execution.paper import PaperBroker
from nn_assets.market.panel import FIELDS
from nn_assets.oversight.drift import DriftReport, DriftStatistic
from nn_assets.portfolio.breakers import Breaker, BreakerReset, Control
from nn_assets.session.daily_round import Controls, Round, SessionFacts, SessionState, first_session_state, play_session
from nn_assets.session.market_view import SessionMarket, market_view
from nn_assets.settings import MarketSettings
from tests.session.worlds import SYMBOLS, World, world, world_strategy, yardstick_of

FIRST = 80


def played(of: World, last: int, **changed: object) -> Replay:
    costs = cost_model_from(of.strategy.costs)
    monitor = {"monitor": changed.pop("monitor")} if "monitor" in changed else {}
    scene = of.scene(range(FIRST, last), **monitor)
    return replay(of.strategy, costs, 252, [scene], **changed)  # type: ignore[arg-type]


@cache
def played_whole(execution: str) -> tuple[World, Replay]:
    """A world and its replay, of which nothing can be set anew: tests change copies."""
    of = world(world_strategy(execution))
    return of, played(of, 260)


@pytest.fixture(params=["next_open", pytest.param("next_close", marks=pytest.mark.full)])
def whole(request: pytest.FixtureRequest) -> tuple[World, Replay]:
    return played_whole(request.param)


def costs_of(done: Round) -> Executions:
    assert done.executions is not None
    return done.executions


def test_a_replay_on_history_cut_at_any_session_gives_the_same_bits(whole: tuple[World, Replay]) -> None:
    of, full = whole
    for rows in (120, 171, 240):
        short = played(of.cut(rows), rows)
        for ours, theirs in zip(short.rounds, full.rounds, strict=False):
            assert np.array_equal(ours.decision.weights, theirs.decision.weights, equal_nan=True)
            assert ours.state == theirs.state
            assert ours.orders.client_order_id == theirs.orders.client_order_id
            assert np.array_equal(ours.orders.quantity, theirs.orders.quantity)
            assert np.array_equal(costs_of(ours).parts, costs_of(theirs).parts)
        assert np.array_equal(short.track.net[FIRST:rows], full.track.net[FIRST:rows])


def test_the_shortfall_of_a_session_is_what_its_book_lost_against_the_orders_at_their_decision(
    whole: tuple[World, Replay],
) -> None:
    """The oracle: the paper portfolio trades each order whole at its reference price, the real one what was filled."""
    of, full = whole
    lines = 0
    for before, after in zip(full.rounds, full.rounds[1:], strict=False):
        close = of.panel.close[of.panel.row(after.session)]
        on_paper = sum(
            quantity * (close[symbol] - reference)
            for symbol, quantity, reference, reason in zip(
                before.orders.symbol,
                before.orders.quantity,
                before.orders.reference_price,
                before.orders.reason_code,
                strict=True,
            )
            if reason is None
        )
        ordered, stopped = after.fills
        real = float((ordered.quantity * (close[ordered.symbol] - ordered.price) - ordered.commission_usd).sum())
        by_stops = float((stopped.half_spread_usd + stopped.impact_usd + stopped.commission_usd).sum())
        executions = costs_of(after)
        lines += len(executions)
        assert executions.shortfall().total_usd == pytest.approx(on_paper - real + by_stops, abs=1e-6)
        spread, impact = (
            sum(float(getattr(batch, name).sum()) for batch in after.fills)
            for name in ("half_spread_usd", "impact_usd")
        )
        assert executions.shortfall().spread_usd == pytest.approx(spread, abs=1e-6)
        assert executions.shortfall().impact_usd == pytest.approx(impact, abs=1e-6)
    assert lines > 50


@pytest.mark.full
def test_a_replay_resumed_in_the_middle_ends_in_the_same_bits(whole: tuple[World, Replay]) -> None:
    of, full = whole
    costs = cost_model_from(of.strategy.costs)
    half = played(of, 170)
    rest = replay(of.strategy, costs, 252, [of.scene(range(170, 260))], initial=half.session_state)
    assert rest.rounds[-1].state == full.rounds[-1].state
    assert np.array_equal(rest.track.net[170:260], full.track.net[170:260])


def test_forecasts_that_are_right_six_times_in_ten_earn_money_and_trade(whole: tuple[World, Replay]) -> None:
    _, full = whole
    assert sum(len(batch) for done in full.rounds for batch in done.fills) > 50
    assert np.nansum(full.track.net) > 0.02
    assert np.nansum(full.track.gross) > np.nansum(full.track.net)


@pytest.mark.full
def test_fills_come_from_the_orders_of_the_session_before(whole: tuple[World, Replay]) -> None:
    of, full = whole
    for before, after in zip(full.rounds, full.rounds[1:], strict=False):
        sent = set(before.orders.client_order_id)
        assert set(after.fills[0].client_order_id) <= sent
        price = of.market.at(of.panel.row(after.session))
        benchmark = price.open if of.strategy.label.execution == "next_open" else price.close
        for column, quantity, paid in zip(
            after.fills[0].symbol, after.fills[0].quantity, after.fills[0].price, strict=True
        ):
            assert (paid - benchmark[column]) * quantity > 0.0  # a buyer pays more, a seller gets less


@pytest.mark.full
def test_equity_moves_by_positions_costs_and_interest_alone(whole: tuple[World, Replay]) -> None:
    of, full = whole
    for before, after in zip(full.rounds, full.rounds[1:], strict=False):
        row = of.panel.row(after.session)
        held = before.session_state.book.quantity
        moved = float(np.sum(held * (of.panel.close[row] - of.panel.close[row - 1])))
        book = after.session_state.book
        traded = sum(
            float(
                np.sum(batch.quantity * (of.panel.close[row][batch.symbol] - batch.price)) - batch.commission_usd.sum()
            )
            for batch in after.fills
        )
        expected = before.state.equity_usd + moved + traded + book.session_financing_usd
        assert after.state.equity_usd == pytest.approx(expected, abs=1e-6)


def test_a_latched_breaker_is_reset_in_a_replay_after_the_stated_sessions_only() -> None:
    of = world(
        world_strategy(
            drawdown_limit_fraction=0.004,
            weekly_loss_limit_fraction=0.003,
            session_loss_limit_fraction=0.002,
            replay_reset_sessions=7,
        )
    )
    full = played(of, 260)
    latched = [bool(done.session_state.book.breakers) for done in full.rounds]
    assert any(latched)
    first = latched.index(True)
    assert latched[first : first + 7] == [True] * 7
    assert not latched[first + 8]
    assert "reset" in REPLAY_RESET.reason


def test_sessions_out_of_order_are_refused() -> None:
    of = world(world_strategy())
    costs = cost_model_from(of.strategy.costs)
    session_state = first_session_state(of.strategy, SYMBOLS, of.panel.sessions[FIRST])
    facts = SessionFacts(
        market=of.market.at(FIRST + 1),
        signals=of.signals(FIRST + 1),
    )
    with pytest.raises(DecisionError, match="run the sessions in between"):
        play_session(of.strategy, costs, 252, session_state, facts, PaperBroker)


@pytest.mark.full
@pytest.mark.parametrize(
    ("facts", "flat"), [({"verdict_allows": False}, True), ({"kill_switch": "HALTED"}, False), ({}, False)]
)
def test_without_a_verdict_the_target_is_flat_and_a_halt_sends_nothing(facts: dict[str, object], flat: bool) -> None:
    of = world(world_strategy())
    costs = cost_model_from(of.strategy.costs)
    session_state = next(
        done.session_state for done in reversed(played(of, 200).rounds) if done.session_state.book.quantity.any()
    )
    row = of.panel.row(session_state.session) + 1
    session_facts = SessionFacts(
        market=of.market.at(row),
        signals=of.signals(row),
        controls=Controls(**{"verdict_allows": True, **facts}),  # type: ignore[arg-type]
    )
    done = play_session(of.strategy, costs, 252, session_state, session_facts, PaperBroker)
    assert (not done.decision.target_quantity.any()) == flat
    if facts.get("kill_switch") == "HALTED":
        assert not done.orders.accepted.any()


def test_buy_and_hold_earns_the_mean_of_what_its_symbols_grew_by() -> None:
    of = world(world_strategy())
    track = yardstick_of([of.scene(range(100, 200))])
    grown = float(np.mean(of.panel.close[199] / of.panel.close[100]))
    assert float(np.prod(1.0 + track.gross[100:200])) == pytest.approx(grown, rel=1e-12)
    assert np.isnan(track.net[99])


def test_buy_and_hold_pays_for_its_purchase_once() -> None:
    """Five names of 200,000 USD: 4.5 + 1.8 bps, 0.15 sigma sqrt(x) and 0.03 sigma x, by hand."""
    of = world(world_strategy())
    track = yardstick_of([of.scene(range(100, 200))])
    view = of.market.at(100)
    share, sigma = 200_000.0 / view.adv_usd, view.volatility
    paid = float(np.mean(6.3e-4 + 0.15 * sigma * np.sqrt(share) + 0.03 * sigma * share))
    assert paid > 6.4e-4
    assert track.net[100] == pytest.approx(-paid, rel=1e-12)
    assert track.gross[100] == 0.0
    assert np.array_equal(track.net[101:200], track.gross[101:200])


@pytest.mark.full
def test_a_replay_asks_for_one_refresh_at_a_time_and_halves_its_size_until_another_model_decides() -> None:
    """Drift that asks on 100 sessions running; another model decides from row 180 on."""
    of = world(world_strategy())

    def monitor(row: int) -> DriftReport:
        asking = DriftStatistic(
            "prediction", "forecast", 0.2, 0.3, 0.0, drifted=False, asks_retraining=100 <= row < 200
        )
        model = "old" if row < 180 else "new"
        return DriftReport(of.panel.sessions[row], (asking,), np.nan, 1.0, (), "", model)

    rounds = played(of, 260, monitor=monitor).rounds
    asked = [FIRST + index for index, done in enumerate(rounds) if done.asks_refresh]
    assert asked == [100, 160]
    states = {FIRST + index: done.decision.inputs.trading_state for index, done in enumerate(rounds)}
    assert {states[row] for row in range(FIRST, 101)} == {"CONTINUE"}
    assert {states[row] for row in range(101, 180)} == {"REDUCE_SIZE"}
    assert {states[row] for row in range(180, 260)} == {"CONTINUE"}


@pytest.mark.full
def test_a_flat_book_earns_each_sessions_own_cash_rate() -> None:
    of = world(world_strategy())
    market = {**of.strategy.market.model_dump(), "cash_rate_annual_fraction": 0.0}
    market["cash_rates"] = {"2014-01-02": 0.05, "2014-08-01": 0.02}
    strategy = of.strategy.model_copy(update={"market": MarketSettings.model_validate(market)})
    blind = Controls(verdict_allows=False)
    track = replay(
        strategy, cost_model_from(strategy.costs), 252, [of.scene(range(100, 180))], controls=lambda _: blind
    ).track
    days = of.panel.sessions[100:180]
    expected = np.where(days < pd.Timestamp("2014-08-01"), 0.05, 0.02) / 252
    assert track.net[100:180] == pytest.approx(expected, abs=1e-15)


def test_buy_and_hold_leaves_out_what_it_cannot_price() -> None:
    of = world(world_strategy())
    volatility = of.market.volatility.copy()
    volatility[100, 0] = np.nan
    known = of.scene(range(100, 200), replace(of.market, volatility=volatility))
    track = yardstick_of([known])
    grown = float(np.mean(of.panel.close[199, 1:] / of.panel.close[100, 1:]))
    assert float(np.prod(1.0 + track.gross[100:200])) == pytest.approx(grown, rel=1e-12)
    assert np.isfinite(track.net[100:200]).all()


def test_buy_and_hold_buys_only_the_candidates_of_its_first_session() -> None:
    of = world(world_strategy())
    candidates = np.ones(of.panel.close.shape, dtype=bool)
    candidates[:150, 0] = False  # a member from then on, which the first day could not know
    known = replace(of.scene(range(100, 200)), labels=of.labels.of_candidates(candidates))
    track = yardstick_of([known])
    grown = float(np.mean(of.panel.close[199, 1:] / of.panel.close[100, 1:]))
    assert float(np.prod(1.0 + track.gross[100:200])) == pytest.approx(grown, rel=1e-12)


def test_a_view_of_the_market_equals_plain_pandas() -> None:
    of = world(world_strategy())
    view = of.market.at(150)
    close = pd.DataFrame(of.panel.close)
    dollars = (close * pd.DataFrame(of.panel.volume)).rolling(20).mean()
    assert view.adv_usd == pytest.approx(dollars.iloc[150].to_numpy())
    assert view.trailing_returns[-1] == pytest.approx(close.pct_change().iloc[150].to_numpy())
    assert view.trailing_returns.shape == (60, len(SYMBOLS))
    assert view.previous_adv_usd == pytest.approx(dollars.iloc[149].to_numpy())


def test_a_fill_through_the_stop_reports_what_it_lost_beyond_it(whole: tuple[World, Replay]) -> None:
    _, full = whole
    for before, after in zip(full.rounds, full.rounds[1:], strict=False):
        book, lost = before.session_state.book, 0.0
        left = dict(enumerate(book.quantity))
        for batch in after.fills:
            for column, quantity, price in zip(batch.symbol, batch.quantity, batch.price, strict=True):
                held, stop = left[column], book.stop_price[column]
                left[column] += quantity
                if held * quantity < 0.0 and np.isfinite(stop):
                    lost += min(abs(held), abs(quantity)) * max(0.0, np.sign(held) * (stop - price))
        if len(after.fills[1]) == 0:  # a stop of the same session is set after its entry
            assert after.loss_beyond_stops_usd == pytest.approx(lost)


def after_orders(execution: str = "next_close") -> tuple[World, int, Replay]:
    """A world, the row that follows a session that sent orders, and the replay up to that session."""
    of, full = played_whole(execution)
    last = max(index for index, done in enumerate(full.rounds[: 240 - FIRST]) if done.orders.accepted.any())
    return of, FIRST + last + 1, replace(full, rounds=full.rounds[: last + 1])


def next_round(of: World, before: Replay, row: int, **controls: object) -> Round:
    facts = SessionFacts(
        market=of.market.at(row),
        signals=of.signals(row),
        controls=Controls(**{"verdict_allows": True, **controls}),  # type: ignore[arg-type]
    )
    return play_session(of.strategy, cost_model_from(of.strategy.costs), 252, before.session_state, facts, PaperBroker)


@pytest.mark.full
def test_a_halt_stops_the_orders_that_were_already_under_way() -> None:
    of, row, before = after_orders()
    assert sum(len(batch) for batch in next_round(of, before, row).fills) > 0
    halted = next_round(of, before, row, kill_switch="HALTED")
    assert sum(len(batch) for batch in halted.fills) == 0
    assert np.array_equal(halted.session_state.book.quantity, before.session_state.book.quantity)


@pytest.mark.full
def test_a_reducing_switch_fills_only_what_brings_a_position_nearer_to_zero() -> None:
    of, row, before = after_orders()
    reducing = next_round(of, before, row, kill_switch="REDUCING")
    assert (np.abs(reducing.session_state.book.quantity) <= np.abs(before.session_state.book.quantity)).all()


@pytest.mark.full
def test_a_reset_releases_what_was_latched_and_never_what_fires_on_the_same_session() -> None:
    narrow = {
        "drawdown_limit_fraction": 0.004,
        "weekly_loss_limit_fraction": 0.003,
        "session_loss_limit_fraction": 0.002,
        "replay_reset_sessions": 10_000,
    }
    of = world(world_strategy(**narrow))
    full = played(of, 260)
    fires = next(index for index, done in enumerate(full.rounds) if bool(done.session_state.book.breakers))
    before = played(of, FIRST + fires)
    armed = next_round(of, before, FIRST + fires, breaker_reset=BreakerReset("someone", "in advance"))
    assert armed.session_state.book.breakers
    latched = played(of, FIRST + fires + 1)
    released = next_round(of, latched, FIRST + fires + 1, breaker_reset=BreakerReset("someone", "the cause is known"))
    assert released.session_state.book.breakers == ()
    assert released.session_state.book.highest_ever_usd == pytest.approx(latched.session_state.book.highest_ever_usd)


@pytest.mark.full
def test_an_order_whose_id_was_sent_before_is_denied_as_a_duplicate() -> None:
    of = world(world_strategy())
    rounds = played(of, 240).rounds
    last = max(index for index, done in enumerate(rounds) if done.orders.accepted.any())
    before = played(of, FIRST + last)
    orders = next_round(of, before, FIRST + last).orders
    sent = replace(before.session_state, orders=replace(orders, reason_code=("late",) * len(orders)))
    handing_on = replace(before.rounds[-1], session_state=sent)
    twice = next_round(of, replace(before, rounds=(*before.rounds[:-1], handing_on)), FIRST + last).orders
    codes = [
        code for i, code in zip(twice.client_order_id, twice.reason_code, strict=True) if i in orders.client_order_id
    ]
    assert codes
    assert set(codes) == {"duplicate"}


@pytest.mark.full
@pytest.mark.parametrize("execution", ["next_close", "next_open"])
def test_a_dollar_neutral_book_is_asked_to_be_balanced_on_every_session(execution: str) -> None:
    of = world(world_strategy(execution, net_limit=0.0))
    rounds = played(of, 280).rounds
    gross = np.array([np.abs(done.decision.target_weight).sum() for done in rounds])
    assert (gross > 0.02).mean() > 0.2
    for done in rounds:
        weights, price = done.decision.target_weight, done.decision.inputs.reference_price
        allowed = max(0.005, price.max() / done.decision.inputs.equity_usd)
        assert abs(weights.sum()) <= allowed * (1.0 + 1e-9)


@pytest.mark.full
def test_a_session_without_a_single_price_latches_the_stale_data_breaker_and_orders_nothing() -> None:
    of, row, before = after_orders()
    silent = replace(of.market.at(row), close=np.full(len(SYMBOLS), np.nan))
    facts = SessionFacts(
        market=silent,
        signals=of.signals(row),
        controls=Controls(verdict_allows=True),
    )
    done = play_session(of.strategy, cost_model_from(of.strategy.costs), 252, before.session_state, facts, PaperBroker)
    assert done.state.breaker == "stale_data"
    assert not done.orders.accepted.any()
    assert next_round(of, before, row).state.breaker is None


def broken_world(symbols: int, kind: str, row: int) -> World:
    """The world in which some symbols have no bar on a session, or their bar repeats the one before."""
    of = world(world_strategy())
    fields = {name: getattr(of.panel, name).copy() for name in FIELDS}
    for values in fields.values():
        values[row, :symbols] = np.nan if kind == "missing" else values[row - 1, :symbols]
    panel = replace(of.panel, **fields)
    return replace(of, panel=panel, market=market_view(panel, of.strategy.portfolio))


@pytest.mark.full
@pytest.mark.parametrize("kind", ["missing", "repeated"])
@pytest.mark.parametrize(("symbols", "breaker"), [(2, None), (3, "stale_data")])
def test_more_than_half_of_a_panel_without_fresh_prices_halts_until_a_person_resets(
    kind: str, symbols: int, breaker: str | None
) -> None:
    row, until = 150, 160
    of = broken_world(symbols, kind, row)
    costs, open_gate = cost_model_from(of.strategy.costs), Controls(verdict_allows=True)
    reset = Controls(verdict_allows=True, breaker_reset=BreakerReset("someone", "the feed is back"))
    rounds = replay(
        of.strategy, costs, 252, [of.scene(range(FIRST, until))], controls=lambda at: reset if at == 155 else open_gate
    ).rounds
    before, during, after = rounds[row - FIRST - 1], rounds[row - FIRST : 155 - FIRST], rounds[155 - FIRST]
    assert before.state.breaker is None
    assert {done.state.breaker for done in during} == {breaker}
    if breaker is not None:
        (latch,) = during[0].session_state.book.breakers
        assert "60% of the symbols" in latch.reason
        for done in during:
            assert done.decision.control is Control.HALTED
            assert len(done.orders) == 0
            assert np.array_equal(done.decision.target_quantity, done.session_state.book.quantity)
        assert all(len(batch) == 0 for done in during[1:] for batch in done.fills)
        assert after.state.breaker is None
        assert len(after.orders) > 0


def test_orders_that_cannot_have_been_sent_are_not_filled_and_latch_the_breaker_of_an_unfinished_run() -> None:
    of, row, before = after_orders()
    assert before.rounds[-1].orders.accepted.any()
    late = Controls(verdict_allows=True, unfinished_run="the round of the day before came too late")
    costs, scene = cost_model_from(of.strategy.costs), of.scene(range(row, row + 3))
    rounds = replay(
        of.strategy, costs, 252, [scene], initial=before.session_state,
        controls=lambda at: late if at == row else Controls(verdict_allows=True),
    ).rounds  # fmt: skip
    assert all(len(batch) == 0 for done in rounds for batch in done.fills)
    assert [done.state.breaker for done in rounds] == ["unfinished_run"] * 3
    assert [len(done.orders) for done in rounds] == [0] * 3
    latch = rounds[0].session_state.book.breakers[0]
    assert latch.reason == late.unfinished_run


def fallen(before: Replay, fraction: float, *breakers: Breaker) -> Replay:
    """The state handed on, its high-water mark so far above equity, and some breakers latched."""
    last = before.rounds[-1]
    book = last.session_state.book
    peak = book.equity_usd / (1.0 - fraction)
    book = replace(book, high_water_mark_usd=peak, highest_ever_usd=peak, breakers=breakers)
    return replace(
        before, rounds=(*before.rounds[:-1], replace(last, session_state=replace(last.session_state, book=book)))
    )


@pytest.mark.full
def test_stale_data_in_a_drawdown_latch_both_and_the_reset_of_one_forgets_no_loss() -> None:
    of, row, before = after_orders()
    before = fallen(before, 0.09)
    silent = replace(of.market.at(row), close=np.full(len(SYMBOLS), np.nan))
    facts = SessionFacts(market=silent, signals=of.signals(row), controls=Controls(verdict_allows=True))
    done = play_session(of.strategy, cost_model_from(of.strategy.costs), 252, before.session_state, facts, PaperBroker)
    assert done.state.breaker == "stale_data, drawdown"
    assert done.decision.control is Control.HALTED
    handed = replace(before, rounds=(done,))
    fed = next_round(of, handed, row + 1, breaker_reset=BreakerReset("ann", "the feed is back", ("stale_data",)))
    assert fed.released == ("stale_data",)
    assert not fed.starts_new_peaks
    assert fed.state.breaker == "drawdown"
    assert fed.state.drawdown_fraction == pytest.approx(0.09, abs=0.02)
    assert fed.decision.control is Control.FLAT
    assert (fed.decision.target_quantity == 0.0).all()
    last = next_round(
        of, replace(before, rounds=(fed,)), row + 2, breaker_reset=BreakerReset("ann", "reviewed", ("drawdown",))
    )
    assert last.starts_new_peaks
    assert last.state.breaker is None
    assert last.state.high_water_mark_usd < before.session_state.book.high_water_mark_usd * 0.95


@pytest.mark.full
@pytest.mark.parametrize("kind", ["no_answer", "unfinished_run"])
def test_the_reset_of_an_alarm_lifts_no_mark(kind: str) -> None:
    of, row, before = after_orders()
    before = fallen(before, 0.06, Breaker(kind, "said"))
    done = next_round(of, before, row, breaker_reset=BreakerReset("ann", "looked at", (kind,)))
    assert done.state.breaker is None
    assert done.state.high_water_mark_usd == before.session_state.book.high_water_mark_usd
    assert done.session_state.book.halved
    assert done.decision.scale == pytest.approx(0.5 * done.decision.inputs.regime_scale)


@pytest.mark.parametrize("halted", ["stale_data", "unfinished_run", "kill switch"])
def test_halted_fills_nothing_neither_an_order_nor_a_stop(halted: str) -> None:
    of, row, before = after_orders("next_open")
    book = before.session_state.book
    assert (book.quantity != 0.0).any()
    touched = np.where(book.quantity > 0.0, 1e9, np.where(book.quantity < 0.0, 1e-9, np.nan))  # any bar hits these
    session_state = replace(before.session_state, book=replace(book, stop_price=touched))
    facts = SessionFacts(market=of.market.at(row), signals=of.signals(row), controls=Controls(verdict_allows=True))
    costs = cost_model_from(of.strategy.costs)

    def play(now: SessionState, session_facts: SessionFacts) -> Round:
        return play_session(of.strategy, costs, 252, now, session_facts, PaperBroker)

    free = play(session_state, facts)
    assert len(free.fills[0]) > 0
    assert len(free.fills[1]) > 0
    if halted == "kill switch":
        controls = Controls(verdict_allows=True, kill_switch="HALTED")
        done = play(session_state, replace(facts, controls=controls))
    else:
        latched = replace(session_state.book, breakers=(Breaker(halted, "said"),))
        done = play(replace(session_state, book=latched), facts)
    assert [len(batch) for batch in done.fills] == [0, 0]
    assert np.array_equal(done.session_state.book.quantity, book.quantity)
    flat = replace(session_state, book=replace(session_state.book, breakers=(Breaker("drawdown", "said"),)))
    assert len(play(flat, facts).fills[1]) > 0  # what flattens lets stops fill


@pytest.mark.full
def test_a_stale_mark_at_its_stop_blocks_no_side_where_only_closes_trade() -> None:
    of, row, before = after_orders()
    book = before.session_state.book
    touched = np.where(book.quantity > 0.0, 1e9, np.where(book.quantity < 0.0, 1e-9, np.nan))
    before = replace(
        before,
        rounds=(
            replace(
                before.rounds[-1], session_state=replace(before.session_state, book=replace(book, stop_price=touched))
            ),
        ),
    )
    assert (next_round(of, before, row).session_state.book.blocked_side != 0).any()
    latched = fallen(before, 0.0, Breaker("stale_data", "said"))
    assert (next_round(of, latched, row).session_state.book.blocked_side == book.blocked_side).all()


@pytest.mark.full
def test_equity_of_nothing_goes_on_record_flat_and_divides_by_no_zero() -> None:
    of, row, before = after_orders()
    last = before.rounds[-1]
    gone = replace(last.session_state.book, equity_usd=0.0)
    before = replace(before, rounds=(replace(last, session_state=replace(last.session_state, book=gone)),))
    done = next_round(of, before, row)
    assert "drawdown" in done.session_state.book.breaker_kinds
    assert np.isnan(done.state.session_return)
    assert (done.decision.target_quantity == 0.0).all()
    costs, scene = cost_model_from(of.strategy.costs), of.scene(range(row, row + 2))
    assert len(replay(of.strategy, costs, 252, [scene], initial=before.session_state).rounds) == 2


def test_a_leg_whose_counterpart_the_gate_denies_is_not_ordered() -> None:
    of = world(world_strategy(net_limit=0.0))
    costs, met = cost_model_from(of.strategy.costs), 0
    for row in range(FIRST + 20, FIRST + 120, 10):

        def asked(market: SessionMarket, row: int = row) -> Round:
            flat = first_session_state(of.strategy, SYMBOLS, of.panel.sessions[row])
            facts = SessionFacts(market=market, signals=of.signals(row), controls=Controls(verdict_allows=True))
            return play_session(of.strategy, costs, 252, flat, facts, PaperBroker)

        plain = asked(of.market.at(row))
        weights = plain.decision.target_weight[plain.orders.symbol]
        if len(weights) < 2 or abs(weights[0]) < 0.02:
            continue  # within the slack of a neutral book one leg may miss its counterpart
        assert set(plain.orders.reason_code) == {None}
        jumped = of.market.at(row).previous_close.copy()
        jumped[int(plain.orders.symbol[0])] /= 2.0
        denied = asked(replace(of.market.at(row), previous_close=jumped)).orders
        assert denied.reason_code[0] == "price_collar"
        left = weights[denied.accepted]
        assert abs(left.sum()) <= 0.0051
        assert "exposure" in denied.reason_code
        met += 1
    assert met >= 3


@pytest.mark.full
def test_rounding_to_large_lots_denies_no_leg_of_a_balanced_book() -> None:
    rounds = played(world(world_strategy(net_limit=0.0, lot_size=100.0)), 280).rounds
    codes = [code for done in rounds for code in done.orders.reason_code]
    assert codes.count(None) > 20
    assert "exposure" not in codes


def test_buy_and_hold_goes_on_over_stretches_as_over_one() -> None:
    of = world(world_strategy())
    whole = yardstick_of([of.scene(range(100, 200))])
    parts = yardstick_of([of.scene(range(100, 140)), of.scene(range(140, 141)), of.scene(range(141, 200))])
    np.testing.assert_allclose(parts.net, whole.net, rtol=0.0, atol=1e-14)
    assert np.array_equal(parts.turnover, whole.turnover, equal_nan=True)


@pytest.mark.full
def test_a_replay_over_stretches_of_equal_facts_gives_the_bits_of_one(whole: tuple[World, Replay]) -> None:
    of, full = whole
    scenes = [of.scene(range(FIRST, 150)), of.scene(range(150, 151)), of.scene(range(151, 260))]
    parts = replay(of.strategy, cost_model_from(of.strategy.costs), 252, scenes)
    for name in ("net", "gross", "turnover"):
        assert np.array_equal(getattr(parts.track, name), getattr(full.track, name), equal_nan=True)


@pytest.mark.full
def test_each_name_by_itself_a_reduction_halves_what_is_held_on_its_first_session_and_it_comes_back() -> None:
    """Measured before: a position in the no-trade zone kept its size under every scale."""
    of = world(world_strategy())

    def monitor(row: int) -> DriftReport:
        asks = 100 <= row < 140
        asking = DriftStatistic("prediction", "forecast", 0.2, 0.3, 0.0, drifted=False, asks_retraining=asks)
        return DriftReport(of.panel.sessions[row], (asking,), np.nan, 1.0, (), "", "old" if row < 140 else "new")

    costs, rows = cost_model_from(of.strategy.costs), range(FIRST, 180)
    plain, reduced = (
        replay(of.strategy, costs, 252, [of.scene(rows, **watched)]).rounds for watched in ({}, {"monitor": monitor})
    )
    before, first = reduced[100 - FIRST], reduced[101 - FIRST]
    assert (before.decision.inputs.trading_state, first.decision.inputs.trading_state) == ("CONTINUE", "REDUCE_SIZE")
    assert np.abs(plain[101 - FIRST].decision.target_weight).sum() > 0.05
    for done in reduced:
        u, target = np.abs(done.decision.unscaled_quantity), np.abs(done.decision.target_quantity)
        assert (target <= done.decision.scale * u + of.strategy.portfolio.lot_size).all()
    gross = np.array([[np.abs(done.decision.target_weight).sum() for done in rounds] for rounds in (plain, reduced)])
    assert gross[1, 101 - FIRST] == pytest.approx(0.5 * gross[0, 101 - FIRST], rel=0.02)
    held = np.array([[done.state.gross_fraction for done in rounds] for rounds in (plain, reduced)])
    assert held[1, 102 - FIRST] == pytest.approx(0.5 * held[0, 102 - FIRST], rel=0.1)  # a session is there to fill
    back = [done.decision.inputs.trading_state for done in reduced[141 - FIRST :]]
    assert set(back) == {"CONTINUE"}
    assert gross[1, 141 - FIRST] == pytest.approx(gross[0, 141 - FIRST], rel=0.2)
