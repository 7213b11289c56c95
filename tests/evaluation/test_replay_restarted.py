"""The daily round with its process restarted between any two sessions: all state comes back from the ledger."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import replay
from nn_assets.portfolio.book import Book
from nn_assets.portfolio.records import book_from_records, book_remainder, holdings_frame, state_row
from nn_assets.session.daily_round import Round
from nn_assets.store.ledger.ledger import Ledger
from tests.session.worlds import World, world, world_strategy

FIRST, ROW = 80, 150
# Share of the drawdown limit at which each session begins, and whether its size is then halved: from 60% until
# below 45%, by hand.
SHARES = (0.30, 0.65, 0.50, 0.55, 0.40, 0.55, 0.65, 0.50)
HALVED = (False, True, True, True, False, False, True, True)
LIMITS = {
    "drawdown_limit_fraction": 0.5,
    "weekly_loss_limit_fraction": 0.4,
    "session_loss_limit_fraction": 0.3,
}


def put(url: str, done: Round) -> None:
    """Put on record what a round leaves of its book."""
    book = done.session_state.book
    with Ledger(url) as ledger, ledger.transaction("test", strategy="world") as transaction:
        transaction.append("portfolio_states", [state_row(done.state) | {"book": book_remainder(book)}])
        transaction.append("holdings", holdings_frame(book).to_dict("records"))


def read(url: str) -> Book:
    """The book that the last session left, as another process reads it."""
    with Ledger(url) as ledger:
        states = ledger.latest("portfolio_states", "world")
        session = states["session"].iloc[-1]
        holdings = ledger.read("holdings", "world", session, session)
    return book_from_records(states.iloc[-1].to_dict(), holdings, states["book"].iloc[-1])


@pytest.fixture(scope="module", params=["per_name", "programme"])
def restarted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, list[Round]]:
    """Sessions begun at prescribed drawdowns, each from the ledger alone."""
    of = world(world_strategy("next_open", construction=request.param, **LIMITS))
    costs = cost_model_from(of.strategy.costs)
    url = f"sqlite:///{Path(tmp_path_factory.mktemp('restarted')) / 'ledger.sqlite'}"
    session_state = replay(of.strategy, costs, 252, [of.scene(range(FIRST, ROW))]).session_state
    rounds = []
    for index, share in enumerate(SHARES):
        book = session_state.book if index == 0 else read(url)
        peak = book.equity_usd / (1.0 - share * LIMITS["drawdown_limit_fraction"])
        session_state = replace(session_state, book=replace(book, high_water_mark_usd=peak, highest_ever_usd=peak))
        (done,) = replay(
            of.strategy, costs, 252, [of.scene(range(ROW + index, ROW + index + 1))], initial=session_state
        ).rounds
        rounds.append(done)
        put(url, done)
        session_state = done.session_state
    return of, rounds


def test_sizes_are_halved_from_sixty_percent_until_below_forty_five_over_restarts(
    restarted: tuple[World, list[Round]],
) -> None:
    _, rounds = restarted
    shares = [done.state.drawdown_fraction / LIMITS["drawdown_limit_fraction"] for done in rounds]
    np.testing.assert_allclose(shares, SHARES, atol=0.04)
    assert [done.session_state.book.halved for done in rounds] == list(HALVED)
    scales = [done.decision.scale / done.decision.inputs.regime_scale for done in rounds]
    assert scales == [0.5 if halved else 1.0 for halved in HALVED]
    for done in rounds:
        decision = done.decision
        assert (np.abs(decision.target_quantity) <= decision.scale * np.abs(decision.unscaled_quantity) + 1.0).all()


@pytest.mark.full
def test_each_decision_starts_from_the_unscaled_book_of_the_one_before_and_never_from_what_is_held(
    restarted: tuple[World, list[Round]],
) -> None:
    _, rounds = restarted
    apart = 0
    for before, after in pairwise(rounds):
        u, target = before.decision.unscaled_quantity, before.decision.target_quantity
        held = after.decision.inputs.current_quantity
        filled = np.array(
            [
                min(1.0, max(0.0, h / t)) if t != 0.0 else 1.0
                for h, t in zip(held.tolist(), target.tolist(), strict=True)
            ]
        )
        np.testing.assert_allclose(after.decision.inputs.start_quantity, u * filled, rtol=1e-12)
        apart += int((np.abs(after.decision.inputs.start_quantity - held) > 1.0).sum())
    assert apart > 5, "a scale must lie between what is held and u"


@pytest.mark.full
def test_risk_is_measured_to_the_stop_on_record_where_that_rests_further_away(
    restarted: tuple[World, list[Round]],
) -> None:
    of, rounds = restarted
    further = 0
    for done in rounds:
        inputs, book = done.decision.inputs, done.session_state.book
        price, side = inputs.reference_price, np.sign(inputs.current_quantity)
        own = of.strategy.portfolio.stop_atr_multiple * inputs.atr / price
        resting = np.where(side != 0.0, side * (price - book.stop_price) / price, np.nan)
        expected = np.where(resting > own, resting, own)
        np.testing.assert_allclose(done.decision.risk_distance, expected, rtol=1e-12)
        further += int((resting > own).sum())
    assert further > 3
