"""A perpetual's funding is part of every book: the round's, the replay's, the yardstick's, and on record."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import Replay, replay
from nn_assets.market.facts.funding import Funding
from nn_assets.portfolio.book import empty_book
from nn_assets.portfolio.records import book_from_records, book_remainder, holdings_frame, session_flows, state_row
from nn_assets.settings import Strategy
from tests.session.worlds import World, world, yardstick_of

PERPETUALS = {
    "name": "world",
    "market": {"history_starts": "2014-01-02", "cash_rate_annual_fraction": 0.01, "asset_class": "perpetual"},
    "label": {"horizon_sessions": 3},
    "portfolio": {"minimum_outcomes": 20, "shrink_prior_outcomes": 5.0},
    "costs": {"funding": "funding"},
    "series": [{"name": "funding", "path": "funding.csv", "stamps": "moments", "lag_minutes": 1}],
}
ROWS = range(80, 140)


def strategy(execution: str = "next_close", **changed: dict[str, object]) -> Strategy:
    told = {**PERPETUALS, **changed}
    return Strategy.model_validate({**told, "label": {"horizon_sessions": 3, "execution": execution}})


def rates(of: World, scale: float = 3e-4, seed: int = 5) -> Funding:
    draw = np.random.default_rng(seed)
    shape = of.panel.close.shape
    early, late = (draw.normal(scale / 2.0, scale, shape) for _ in range(2))
    return Funding(early, late, draw.random(shape) < 0.1)


def played(of: World, funding: Funding | None) -> Replay:
    costs = cost_model_from(of.strategy.costs)
    scene = of.scene(ROWS, replace(of.market, funding=funding))
    return replay(of.strategy, costs, 252, [scene])


@pytest.mark.parametrize("execution", ["next_close", "next_open"])
def test_every_dollar_of_funding_is_rate_times_what_was_held_at_the_payment(execution: str) -> None:
    of = world(strategy(execution))
    funding = rates(of)
    done = played(of, funding)
    paid, moved = 0.0, 0
    for before, after in zip(done.rounds, done.rounds[1:], strict=False):
        row = of.panel.row(after.session)
        held = {place: float(q) for place, q in enumerate(before.standing.book.quantity)}
        expected, told = 0.0, set()
        for place, quantity in held.items():
            mark = float(of.panel.close[row - 1, place])
            rate = float(funding.until_open[row, place])
            bought = sum(
                float(q)
                for symbol, q in zip(after.fills[0].symbol, after.fills[0].quantity, strict=True)
                if symbol == place
            )
            rest = quantity + bought if execution == "next_open" else quantity
            expected -= quantity * mark * rate + rest * mark * float(funding.until_close[row, place])
            if funding.assumed[row, place] and (quantity or rest):
                told.add(of.panel.symbols[place])
        book = after.standing.book
        assert book.session_funding_usd == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert set(book.funding_assumed) == told
        # interest on all of the equity, no fee for shorts, and nothing else
        assert book.session_financing_usd == pytest.approx(before.state.equity_usd * 0.01 / 252, rel=1e-9)
        traded = math.fsum(
            float((batch.quantity * (of.panel.close[row][batch.symbol] - batch.price) - batch.commission_usd).sum())
            for batch in after.fills
        )
        gained = sum(q * float(of.panel.close[row, p] - of.panel.close[row - 1, p]) for p, q in held.items())
        equity = before.state.equity_usd + gained + traded + book.session_financing_usd + book.session_funding_usd
        assert after.state.equity_usd == pytest.approx(equity, abs=1e-6)
        paid += abs(expected)
        moved += expected != 0.0
    assert moved > 30
    assert paid > 100.0


def test_a_short_receives_what_a_long_pays_and_borrows_nothing() -> None:
    flat = empty_book(("AAA", "BBB"), 10_000.0)
    book = replace(flat, quantity=np.array([-100.0, 50.0]), price=np.array([50.0, 40.0]), cash_usd=13_000.0)
    opened = book.opened(strategy().costs, 0.0, 365, margined=True)
    funded = opened.funded(np.array([3e-4, 1e-4]), np.array([False, True]))
    assert opened.session_financing_usd == 0.0
    assert funded.session_funding_usd == pytest.approx(5_000.0 * 3e-4 - 2_000.0 * 1e-4)
    assert funded.cash_usd == 13_000.0 + funded.session_funding_usd
    assert funded.funding_assumed == ("BBB",)


def test_the_record_gives_funding_back_and_a_book_without_any_keeps_its_record() -> None:
    of = world(strategy())
    last = played(of, rates(of)).rounds[-1]
    book = last.standing.book
    remainder = book_remainder(book)
    assert session_flows(remainder)["funding_usd"] == book.session_funding_usd != 0.0
    again = book_from_records(state_row(last.state), holdings_frame(book), remainder)
    assert (again.session_funding_usd, again.funding_assumed) == (book.session_funding_usd, book.funding_assumed)
    assert "funding" not in book_remainder(played(of, None).rounds[-1].standing.book)


def test_the_yardstick_pays_the_same_funding_as_any_other_book() -> None:
    of = world(strategy())
    funding = rates(of)
    scenes = [of.scene(range(80, 100), replace(of.market, funding=funding)),
              of.scene(range(100, 140), replace(of.market, funding=funding))]  # fmt: skip
    found = yardstick_of(scenes, of.strategy).gross
    worth = [1.0] * 5
    for row in range(81, 140):
        before = sum(worth)
        for place in range(5):
            grown = of.panel.close[row, place] / of.panel.close[row - 1, place]
            paid = funding.until_open[row, place] + funding.until_close[row, place]
            worth[place] *= grown - paid
        assert found[row] == pytest.approx(sum(worth) / before - 1.0, abs=1e-12)


def test_replayed_on_history_cut_at_a_session_funding_is_the_same_to_the_bit() -> None:
    of = world(strategy())
    funding = rates(of)
    whole = played(of, funding)
    later = Funding(*(np.vstack([each[:120], each[120:] * 7]) for each in (funding.until_open, funding.until_close)),
                    funding.assumed)  # fmt: skip
    for mine, theirs in zip(played(of, later).rounds[:40], whole.rounds, strict=False):
        assert mine.state == theirs.state


@pytest.mark.parametrize(
    ("market", "costs", "told"),
    [
        ({"asset_class": "perpetual"}, {}, "costs.funding"),
        ({}, {"funding": "funding"}, "asset_class: perpetual"),
        ({"asset_class": "perpetual"}, {"funding": "fundin"}, "did you mean funding"),
        ({"asset_class": "crypto"}, {}, "costs.borrow_fee_annual_fraction"),
    ],
)
def test_settings_that_contradict_each_other_name_both(
    market: dict[str, str], costs: dict[str, str], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        Strategy.model_validate({**PERPETUALS, "market": {"history_starts": "2014-01-02", **market}, "costs": costs})


@pytest.mark.parametrize(
    ("asset_class", "fee"), [(None, 0.003), ("equity", 0.003), ("future", 0.0), ("index", 0.0), ("fx", 0.0)]
)
def test_the_borrow_fee_follows_the_asset_class_unless_it_is_stated(asset_class: str | None, fee: float) -> None:
    market = {"history_starts": "2014-01-02", "asset_class": asset_class}
    assert Strategy.model_validate({"name": "a", "market": market}).costs.borrow_fee_annual_fraction == fee
    stated = Strategy.model_validate({"name": "a", "market": market, "costs": {"borrow_fee_annual_fraction": 0.02}})
    assert stated.costs.borrow_fee_annual_fraction == 0.02
    assert Strategy.model_validate(stated.model_dump()).content_hash() == stated.content_hash()
