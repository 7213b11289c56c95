"""The table of the verdict: both books are one until trading stops, and its sums are right on results made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.evaluation.replay import Replay
from tests.proof import controls, further_controls, verdict_effect
from tests.proof.changing_markets import CHANGES, EVERY, REPEATED, ChangingMarket, changing_market, rows_shown
from tests.proof.results import Result

SMALL = {"first": "2010-06-01", "traded": "2013-06", "planted": 0.3}


@pytest.fixture(scope="module")
def market() -> ChangingMarket:
    return changing_market(CHANGES[0], 1, 8, "2015-01-30", **SMALL)


@pytest.fixture(scope="module")
def played(market: ChangingMarket) -> Replay:
    return controls.play(market)


def equity(replay: Replay) -> np.ndarray:
    return np.array([done.state.equity_usd for done in replay.rounds])


@pytest.mark.full
def test_the_record_of_a_book_is_the_replays_own(market: ChangingMarket, played: Replay) -> None:
    own = verdict_effect.track_of(market, played)
    for name in ("net", "gross", "turnover"):
        np.testing.assert_allclose(getattr(own, name), getattr(played.track, name), rtol=1e-9)
    joined = controls.play_on(market, played, market.changed, [])
    np.testing.assert_array_equal(verdict_effect.track_of(market, joined).net, own.net)


@pytest.mark.full
def test_a_verdict_in_force_stops_trading_for_its_month_and_no_session_before(
    market: ChangingMarket, played: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verdicts(*_: object) -> dict[str, tuple[str, bool]]:
        months = [f"2014-{month:02d}" for month in range(1, 13)]
        return {"2013-12": ("E", True)} | {month: ("E", month != "2014-10") for month in months}

    monkeypatch.setattr(verdict_effect, "verdicts_of", verdicts)
    shown: list[Replay] = []
    plain = controls.track_figures
    monkeypatch.setattr(
        verdict_effect, "track_figures", lambda replay, start: shown.append(replay) or plain(replay, start)
    )
    figures = verdict_effect.effect(market, played)
    gated, regardless = shown
    flat = [done.session for done in gated.rounds if not done.decision.inputs.verdict_allows]
    assert {f"{session:%Y-%m}" for session in flat} == {"2014-11"}
    assert all(not done.decision.target_quantity.any() for done in gated.rounds if done.session in flat)
    before = sum(done.session < flat[0] for done in gated.rounds)
    np.testing.assert_array_equal(equity(gated)[: before + 1], equity(regardless)[: before + 1])
    assert figures["trading"]
    assert figures["sessions_stopped"] == len(flat)
    assert figures["stopped_after"] == sum("2014-01" <= f"{done.session:%Y-%m}" < "2014-11" for done in gated.rounds)


@pytest.mark.full
def test_a_strategy_that_may_not_trade_when_it_goes_live_earns_and_loses_nothing(
    market: ChangingMarket, played: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    months = ["2013-12", *(f"2014-{month:02d}" for month in range(1, 13))]
    monkeypatch.setattr(verdict_effect, "verdicts_of", lambda *_: dict.fromkeys(months, ("C", False)))
    figures = verdict_effect.effect(market, played)
    assert (figures["trading"], figures["stopped_after"]) == (False, 0)
    assert figures["sessions_stopped"] == figures["sessions"]
    assert [figures[f"with_{name}"] for name in ("growth", "drawdown", "sharpe")] == [0.0, 0.0, 0.0]
    assert figures["without_sharpe"] != 0.0


@pytest.mark.full
def test_verdicts_are_taken_from_the_month_before_going_live_and_need_no_later_one(
    market: ChangingMarket, played: Replay
) -> None:
    verdicts = verdict_effect.verdicts_of(market, played)
    assert list(verdicts)[:2] == ["2013-12", "2014-01"]
    assert list(verdicts)[-1] == "2014-12"
    assert {letter for letter, _ in verdicts.values()} <= set(verdict_effect._LETTERS.values())


def made(seed: int, **changed: object) -> Result:
    entry = {"verdicts": "EC", "trading": True, "stopped_after": None, "sessions": 100, "sessions_stopped": 0}
    entry |= {f"{side}_{name}": 0.0 for side in ("with", "without") for name in ("growth", "drawdown", "sharpe")}
    figures = dict.fromkeys(CHANGES, entry) | {CHANGES[1]: entry | changed}
    return Result({"seed": seed, "planted": 0.10, "names": 40}, {"verdict": figures}, "code", 1.0)


def test_the_summary_tells_the_books_that_traded_from_those_that_never_did() -> None:
    stopped = {"stopped_after": 40, "sessions_stopped": 60, "with_growth": 0.01}
    never = {"trading": False, "stopped_after": 0, "sessions_stopped": 100, "with_growth": 0.03, "verdicts": "CC"}
    text = verdict_effect.summary([made(1, **stopped), made(2, **never)])
    rows = [line for line in text.splitlines() if line.startswith(f"| {CHANGES[1]}")]
    assert rows[0].startswith(
        "| the edge dies, all seeds | 2 | 1 of 2 | 1 of 1 | 40 | 80% | +2.00% (+1.00% to +3.00%) |"
    )
    assert rows[1].startswith(
        "| the edge dies, those trading | 1 | 1 of 1 | 1 of 1 | 40 | 60% | +1.00% (+1.00% to +1.00%) |"
    )
    assert rows[1].endswith("| saves equity |")
    assert "(2 seeds; the first verdict: edge found 2)" in text
    healthy = next(line for line in text.splitlines() if line.startswith(f"| {CHANGES[0]}"))
    assert "| 2 of 2 | 0 of 2 | never | 0% |" in healthy
    assert healthy.endswith("never acted: saves and costs nothing |")


def test_a_failing_feed_repeats_its_last_good_bar_and_comes_back() -> None:
    shown = rows_shown(2 * EVERY + 20, 9)
    assert shown[:10].tolist() == list(range(10))
    assert shown[10 : 10 + REPEATED].tolist() == [9] * REPEATED
    assert shown[10 + REPEATED : 10 + EVERY].tolist() == list(range(10 + REPEATED, 10 + EVERY))
    assert shown[10 + EVERY : 10 + EVERY + REPEATED].tolist() == [9 + EVERY] * REPEATED


@pytest.mark.full
def test_a_feed_that_repeats_latches_the_breaker_and_fills_are_of_the_true_market() -> None:
    market = changing_market("the feed repeats", 1, 12, "2015-01-30")
    assert market.true_market is not None
    played = controls.play(market)
    acting = [done for done in played.rounds if controls.acts("stale data", done)]
    assert acting[0].session == market.scene.market.panel.sessions[market.changed + 1]
    off = controls.play_on(market, played, market.changed + 1, ["stale data"])
    assert not any(controls.acts("stale data", done) for done in off.rounds)
    symbols = market.true_market.panel.close
    filled = [(done, batch) for done in off.rounds for batch in done.fills if done.session >= acting[0].session]
    assert filled
    for done, batch in filled[:3]:
        row = market.scene.market.panel.row(done.session)
        low, high = market.true_market.panel.low[row], market.true_market.panel.high[row]
        price = batch.price
        assert (price >= 0.99 * low[batch.symbol]).all()
        assert (price <= 1.01 * high[batch.symbol]).all()
        assert symbols[row].shape == low.shape


@pytest.mark.full
def test_the_regime_scale_is_in_force_where_it_is_below_one_and_not_at_all_switched_off() -> None:
    market = changing_market(CHANGES[0], 1, 8, "2015-12-31")
    scales = market.scene.market.regime_scales
    row = next(row for row in market.scene.rows if scales[row] < 1.0)
    some = market.rows(range(row - 3, row + 3))
    part = controls.replace(market, scene=some)
    played = controls.play(part)
    assert [controls.acts("regime scale", done) for done in played.rounds] == [bool(scales[at] < 1) for at in some.rows]
    off = controls.play_on(part, played, row, ["regime scale"])
    assert not any(controls.acts("regime scale", done) for done in off.rounds)
    assert (
        np.abs(off.rounds[3].decision.target_quantity).sum() > np.abs(played.rounds[3].decision.target_quantity).sum()
    )
    assert further_controls.CONTROLS.keys() == {"regime scale", "stale data"}
