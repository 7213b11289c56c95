"""The daily round replayed at several sizes, on a market whose capacity is known in closed form."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.capital import at_capital, excess_of
from nn_assets.evaluation.replay import Replay, Scene, replay
from nn_assets.features.labels import make_labels
from nn_assets.learning.forecasts import ForecastArrays
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.panel import FIELDS, Panel
from nn_assets.oversight.capacity import LADDER, capacity_of
from nn_assets.session.market_view import market_view
from nn_assets.settings import Strategy

SYMBOLS, BARS, FIRST = ("AAA", "BBB", "CCC", "DDD"), 480, 90
BLOCK = 10  # sessions on one side, then on the other
EDGE, SIGMA = 0.0008, 0.01  # a session, of the right side; of the rest, which cancels within each block
WEIGHT, ADV = 0.05, 2e7
IMPACT, LINEAR = 0.6, 2e-4  # a, and half-spread with commission
PERMANENT = 1.0  # b, on a market where all impact is linear in size


@cache
def market() -> tuple[Panel, np.ndarray]:
    """Closes that drift with a side known beforehand, and that side, (bars, symbols)."""
    draw = np.random.default_rng(12)
    sessions = sessions_between("XNYS", "2014-01-02", "2016-12-30")[:BARS]
    side = np.empty((BARS, len(SYMBOLS)))
    noise = np.empty_like(side)
    for column in range(len(SYMBOLS)):
        turn = (np.arange(BARS) + 2 * column) // BLOCK
        side[:, column] = np.where(turn % 2 == 0, 1.0, -1.0)
        half = draw.normal(0.0, SIGMA, (BARS + 1) // 2)
        noise[:, column] = np.stack([half, -half], axis=1).reshape(-1)[:BARS]
    moved = EDGE * side + noise
    close = 50.0 * np.exp(np.cumsum(moved, axis=0))
    start = np.vstack([close[:1], close[:-1]])
    high, low = np.maximum(start, close) * 1.0005, np.minimum(start, close) / 1.0005
    fields = dict(zip(FIELDS, (start, high, low, close, ADV / close), strict=True))
    return Panel(sessions=sessions, symbols=SYMBOLS, **fields), side


def strategy(*, linear: bool = False, **portfolio: object) -> Strategy:
    of = {
        "construction": "per_name",
        "minimum_outcomes": 20,
        "shrink_prior_outcomes": 5.0,
        "single_name_limit": WEIGHT,
        "adv_limit_fraction": 1.0,
        "risk_per_signal_fraction": 1.0,
        "risk_total_fraction": 1.0,
        "stop_atr_multiple": 60.0,
        "drawdown_limit_fraction": 0.9,
        "weekly_loss_limit_fraction": 0.8,
        "session_loss_limit_fraction": 0.7,
        "lot_size": 0.001,
        "initial_capital_usd": 4e6,
        **portfolio,
    }
    return Strategy.model_validate(
        {
            "name": "sized",
            "market": {"history_starts": "2014-01-02", "cash_rate_annual_fraction": 0.02},
            "label": {"horizon_sessions": 5, "execution": "next_close"},
            "costs": {
                "half_spread_bps": LINEAR * 1e4,
                "commission_bps": 0.0,
                "temporary_impact": 0.0 if linear else IMPACT,
                "permanent_impact": PERMANENT if linear else 0.0,
                "borrow_fee_annual_fraction": 0.0,
            },
            "execution": {"participation_cap_fraction": 1.0, "cost_noise_fraction": 0.0},
            "portfolio": of,
        }
    )


def played(of: Strategy, capacity_usd: float | None = None, rows: int = BARS, cut: int = BARS) -> Replay:
    """Forecasts that are sure of the side of the sessions to come, and far surer than the edge is worth."""
    whole, side = market()
    panel = replace(whole, sessions=whole.sessions[:cut], **{name: getattr(whole, name)[:cut] for name in FIELDS})
    labels = make_labels(panel, of.label)
    known = np.vstack([side[2:], side[-2:]])[:cut]  # decided at t, filled at t + 1, held over t + 2
    p = np.where(known > 0.0, 0.97, 0.03)
    spread, half, sure = (np.full(p.shape, value) for value in (0.02, 0.5, 1.0))
    forecasts = ForecastArrays(p, spread, p, base_rate=half, confidence=sure, score=p - 0.5, novelty=sure)
    scene = Scene(
        range(FIRST, rows), market_view(panel, of.portfolio), labels, forecasts, capacity=lambda _: capacity_usd
    )
    return replay(of, cost_model_from(of.costs), 252, [scene])


def closed_form_usd(*, linear: bool = False) -> float:
    """Capital at which dP/dC = 0 for four names of a fixed weight, turned every BLOCK sessions.

    P / C a session is 4 w (g - (2 / BLOCK) (l + a s sqrt(2 w C / V))): what is left of w (g - 2 l / BLOCK) after an
    impact k sqrt(C) is largest where the impact has two thirds of it, and of an impact b s 2 w C / V linear in size
    (Kyle, 1985) where that has half of it. g is the mean of the simple returns on the side.
    """
    panel, side = market()
    moved = panel.close[FIRST + 2 :] / panel.close[FIRST + 1 : -1] - 1.0
    gross = float((side[FIRST + 2 :] * moved).mean())
    sigma = float(moved.std())
    edge = gross - 2.0 * LINEAR / BLOCK
    if linear:
        return float(edge / (2.0 * PERMANENT * sigma * (2.0 / BLOCK) * 2.0 * WEIGHT / ADV))
    impact_per_root = IMPACT * sigma * (2.0 / BLOCK) * np.sqrt(2.0 * WEIGHT / ADV)
    return float((2.0 * edge / (3.0 * impact_per_root)) ** 2)


@pytest.mark.full
@pytest.mark.parametrize("linear", [False, True])
def test_the_replayed_ladder_finds_the_capacity_that_is_known_in_closed_form(linear: bool) -> None:
    of, multiples = strategy(linear=linear), LADDER[4:9]
    books = [played(at_capital(of, multiple)) for multiple in multiples]
    panel, _ = market()
    excess, assets = excess_of(of, panel.sessions, 252, [book.track for book in books], books)
    capacity = capacity_of(excess, assets, 252, mean_block=10.0, draws=60)
    true = closed_form_usd(linear=linear)
    print(f"closed form {true:,.0f} USD, replayed {capacity.sentence}")
    assert capacity.usd.low < true < capacity.usd.high
    assert capacity.usd.value == pytest.approx(true, rel=0.10)
    held = [np.abs(done.decision.target_weight).sum() for done in books[-1].rounds[30:]]
    assert np.median(held) == pytest.approx(4 * WEIGHT, rel=0.02)  # the size is the limit's at every capital


@pytest.mark.full
def test_beyond_it_the_control_earns_the_dollars_that_the_closed_form_says() -> None:
    """A book of 1.9 times the capacity C: P(c) / k C^1.5 is (1.5 - sqrt c) c; a quarter of its size earns more."""
    true = closed_form_usd()
    plain = played(strategy(initial_capital_usd=1.9 * true))
    shrunk = played(strategy(initial_capital_usd=1.9 * true, capacity_share=0.5), true)
    cash = (1.0 + 0.02 / 252) ** len(plain.rounds)
    gained = [book.rounds[-1].state.equity_usd - 1.9 * true * cash for book in (plain, shrunk)]
    sizes = [np.median([np.abs(done.decision.target_weight).sum() for done in book.rounds]) for book in (plain, shrunk)]
    expected = 0.475 * (1.5 - np.sqrt(0.475)) / (1.9 * (1.5 - np.sqrt(1.9)))
    print(
        f"full size {gained[0]:,.0f} USD at gross {sizes[0]:.3f}, under the control {gained[1]:,.0f} at {sizes[1]:.3f}"
    )
    print(f"ratio {gained[1] / gained[0]:.2f}, closed form {expected:.2f}")
    assert gained[1] / gained[0] == pytest.approx(expected, rel=0.15)
    assert sizes[1] == pytest.approx(sizes[0] / 4.0, rel=0.02)
    assert {done.decision.scale for done in shrunk.rounds} == {0.25}


def test_a_setting_without_an_estimate_changes_nothing_and_the_future_changes_no_size() -> None:
    plain, asked = played(strategy(), rows=105), played(strategy(capacity_share=0.5), rows=105)
    sized = played(strategy(capacity_share=0.5), 5e6, rows=105)
    cut = played(strategy(capacity_share=0.5), 5e6, rows=105, cut=105)
    for ours, theirs in ((plain, asked), (sized, cut)):
        for one, other in zip(ours.rounds, theirs.rounds, strict=True):
            assert np.array_equal(one.decision.target_quantity, other.decision.target_quantity)
            assert one.state == other.state
