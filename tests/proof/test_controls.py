"""The table of controls: what it measures acts where it says, and its sums are right on results made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.evaluation.replay import Replay
from nn_assets.oversight.drift import DriftReport, DriftStatistic
from nn_assets.simulator.markets import simulate_market
from tests.proof import capture, changing_markets, controls
from tests.proof.changing_markets import CHANGES, ChangingMarket, changing_market, times
from tests.proof.results import Result

LAST = "2015-03-13"  # fifty sessions after the change
NAMES = 12


@pytest.fixture(scope="module")
def dear() -> ChangingMarket:
    market = changing_market("costs triple", 1, NAMES, LAST)
    stop = market.scene.rows[-1] + 1
    return replace(market, scene=market.rows(range(stop - 80, stop)))


@pytest.fixture(scope="module")
def played(dear: ChangingMarket) -> Replay:
    return controls.play(dear)


def bits(played: Replay) -> bytes:
    return np.array([[done.state.equity_usd, *done.decision.target_quantity] for done in played.rounds]).tobytes()


def test_the_healthy_years_are_the_same_market_whatever_changes_later() -> None:
    simulated, before = simulate_market(NAMES, pd.bdate_range("2011-01-03", periods=120), 3, 0.05, 0.95), 80
    close = [changing_markets.bars(simulated, change, before).close for change in CHANGES]
    for prices in close[1:]:
        np.testing.assert_allclose(prices[:before], close[0][:before], rtol=1e-12)
    returns = [np.diff(np.log(prices), axis=0)[before - 1 :] for prices in close]
    np.testing.assert_allclose(returns[2], 2.0 * returns[0], atol=1e-12)
    assert 0.0 < np.abs(returns[1] - returns[0]).mean() < 0.1 * np.abs(returns[0]).mean()
    np.testing.assert_array_equal(close[3], close[0])
    made = changing_markets.bars(simulated, "volatility doubles", before)
    assert (made.low <= made.close).all()
    assert (made.close <= made.high).all()


@pytest.mark.full
def test_forecasts_know_the_next_session_until_the_edge_dies() -> None:
    days, changed = pd.bdate_range("2011-01-03", periods=420), 20
    earned: dict[str, list[float]] = {change: [] for change in CHANGES[:2]}
    for seed in range(3):
        simulated = simulate_market(40, days, seed, capture.RANK_IC, capture.PERSISTENCE)
        probability = changing_markets.forecast(simulated, seed)
        assert np.abs(probability.mean(axis=1) - 0.5).max() < 1e-12
        for change, correlations in earned.items():
            close = changing_markets.bars(simulated, change, changed).close
            own = np.diff(np.log(close), axis=0)
            correlations += [np.corrcoef(probability[row], own[row])[0, 1] for row in range(changed, len(own))]
    # 0.45 of 0.05; 1,200 sessions of 40 names leave an error of 0.005.
    assert np.mean(earned["nothing is wrong"]) == pytest.approx(0.0225, abs=0.012)
    assert np.mean(earned["the edge dies"]) == pytest.approx(0.0, abs=0.012)


def test_a_market_that_charges_thrice_does_so_from_the_change_on(dear: ChangingMarket, played: Replay) -> None:
    ratios: dict[bool, list[float]] = {False: [], True: []}
    for row, done in enumerate(played.rounds, start=dear.scene.rows[0]):
        spent = done.session_state.fill_costs[-1]
        if len(spent.realised):
            ratios[row >= dear.changed].append(float(spent.realised.sum() / spent.modelled.sum()))
    assert np.mean(ratios[False]) == pytest.approx(1.0, abs=0.1)
    assert np.mean(ratios[True]) == pytest.approx(3.0, abs=0.3)
    assert times(dear.costs, 3.0).commission.value == pytest.approx(5.4e-4)


@pytest.mark.full
def test_played_on_with_nothing_off_every_session_is_the_same_bits(dear: ChangingMarket, played: Replay) -> None:
    for row in (dear.scene.rows[0], dear.scene.rows[37]):
        assert bits(controls.play_on(dear, played, row, [])) == bits(played)


def forced(market: ChangingMarket, score: int) -> ChangingMarket:
    """The same market under a watch that rings from the change on."""
    drifted = DriftStatistic("prediction", "forecast", 1.0, 0.3, 0.0, drifted=True)

    def monitor(row: int) -> DriftReport:
        rings = (drifted,) if row >= market.changed else ()
        joint = 2.0 if row >= market.changed and score >= 5 else np.nan
        return DriftReport(market.scene.market.panel.sessions[row], rings, joint, 1.0, (), "", "m")

    return replace(market, change="the edge dies", scene=replace(market.scene, monitor=monitor))


@pytest.mark.full
@pytest.mark.parametrize(("control", "score", "left"), [("REDUCE", 3, 0.5), ("PAUSE", 5, 0.0)])
def test_a_state_acts_the_session_after_it_is_found_and_not_at_all_switched_off(
    dear: ChangingMarket, control: str, score: int, left: float
) -> None:
    market = forced(dear, score)
    on = controls.play(market)
    begins = market.changed + 1 - market.scene.rows[0]
    acting = [index for index, done in enumerate(on.rounds) if controls.acts(control, done)]
    assert acting[0] == begins
    off = controls.play_on(market, on, market.changed + 1, [control])
    gross = [float(np.abs(replay.rounds[begins].decision.target_weight).sum()) for replay in (on, off)]
    milder = {"REDUCE": 1.0, "PAUSE": 0.5}[control]
    full = float(np.abs(on.rounds[begins].decision.weights[7]).sum()) * _rest(on, begins)
    assert gross[0] == pytest.approx(left * full, abs=0.02)
    assert gross[1] == pytest.approx(milder * full, abs=0.02)
    assert full > 0.1


def _rest(on: Replay, index: int) -> float:
    """What the other scales leave: the regime's, and the halving's."""
    inputs = on.rounds[index].decision.inputs
    return inputs.regime_scale * (0.5 if on.rounds[index].session_state.book.halved else 1.0)


@pytest.mark.full
@pytest.mark.parametrize(
    "control",
    [
        "drawdown halving",
        "weekly loss",
        pytest.param("session loss", marks=pytest.mark.full),
        pytest.param("drawdown", marks=pytest.mark.full),
    ],
)
def test_a_control_of_losses_acts_under_tight_limits_and_not_at_all_switched_off(
    dear: ChangingMarket, control: str
) -> None:
    wide = dict.fromkeys(("session_loss", "weekly_loss", "drawdown"), 0.99)
    own = {
        "session loss": {"session_loss": 0.0008},
        "weekly loss": {"weekly_loss": 0.0012},
        "drawdown": {"drawdown": 0.004},
        "drawdown halving": {"drawdown": 0.006},
    }
    limits = wide | own[control]
    tight = dear.strategy.portfolio.model_copy(update={f"{kind}_limit_fraction": at for kind, at in limits.items()})
    market = replace(dear, strategy=dear.strategy.model_copy(update={"portfolio": tight}))
    on = controls.play(market)
    acting = [index for index, done in enumerate(on.rounds) if controls.acts(control, done)]
    assert acting, "never acted"
    off = controls.play_on(market, on, market.scene.rows[acting[0]], [control])
    assert not any(controls.acts(control, done) for done in off.rounds)
    assert bits(off) != bits(on)
    first = slice(0, acting[0])
    assert [done.state for done in off.rounds[first]] == [done.state for done in on.rounds[first]]


@pytest.mark.full
def test_a_drawdown_that_nobody_releases_keeps_the_book_flat_to_the_end(dear: ChangingMarket) -> None:
    limits = {"session_loss_limit_fraction": 0.99, "weekly_loss_limit_fraction": 0.99}
    limits |= {"drawdown_limit_fraction": 0.004, "replay_reset_sessions": 3}
    settings = dear.strategy.portfolio.model_copy(update=limits)
    market = replace(dear, strategy=dear.strategy.model_copy(update={"portfolio": settings}))
    effects = controls.effects(market)
    assert 0 < effects["drawdown"]["sessions_in_force"] < effects[controls.KEPT]["sessions_in_force"]
    assert effects[controls.KEPT]["acted_after"] == effects["drawdown"]["acted_after"]
    flat = controls.play_on(
        controls._unreleased(market), controls.play(market), market.changed + effects["drawdown"]["acted_after"], []
    )
    assert all(not done.decision.target_quantity.any() for done in flat.rounds[-10:])


def made(change: str, seed: int, **changed: object) -> Result:
    """A result in which REDUCE gained 2% of equity and 1% of drawdown at Sharpe 0.1, and nothing else acted."""
    quiet = {"sessions_in_force": 0, "in_force_last_year": 0, "acted_after": None}
    same = {f"{side}_{name}": 0.0 for side in ("with", "without") for name in ("growth", "drawdown", "sharpe")}
    figures = dict.fromkeys((*controls.CONTROLS, controls.KEPT, controls.ALL), quiet | same)
    figures["REDUCE"] = {
        "sessions_in_force": 9,
        "in_force_last_year": 9,
        "acted_after": 10 * seed,
        "with_growth": -0.01,
        "without_growth": -0.03,
        "with_drawdown": 0.04,
        "without_drawdown": 0.05,
        "with_sharpe": -0.2,
        "without_sharpe": -0.3,
    } | changed
    return Result({"change": change, "seed": seed, "names": 40}, {"controls": figures}, "code", 1.0)


def test_the_summary_says_what_was_gained_when_it_acted_and_what_never_did() -> None:
    text = controls.summary([made("the edge dies", seed) for seed in (1, 2, 3)])
    row = next(line for line in text.splitlines() if line.startswith("| REDUCE"))
    assert row == (
        "| REDUCE | 3 of 3 | 20 | not compared | +2.00% (+2.00% to +2.00%) | +1.00% (+1.00% to +1.00%) | "
        "+0.10 (+0.10 to +0.10) | saves equity, saves drawdown, saves Sharpe |"
    )
    silent = next(line for line in text.splitlines() if line.startswith("| weekly loss"))
    assert "0 of 3 | never" in silent
    assert silent.endswith("never acted: saves and costs nothing |")
    assert "volatility doubles" not in text
    for control, watched in controls.CONTROLS.items():
        assert f"- {control}: {watched}" in text


@pytest.mark.parametrize(
    ("unchanged", "starts"), [(2, "saves"), (9, "does not notice the change; saves"), (30, "does")]
)
def test_a_control_in_force_no_longer_than_in_the_healthy_market_does_not_notice(unchanged: int, starts: str) -> None:
    results = [made(controls.CHANGES[0], seed, in_force_last_year=unchanged) for seed in range(1, 9)]
    results += [made("the edge dies", seed, in_force_last_year=8 + seed % 3) for seed in range(1, 9)]
    text = controls.summary(results).split("**the edge dies**")[1]
    row = next(line for line in text.splitlines() if line.startswith("| REDUCE"))
    assert f" | 9, {unchanged} | " in row
    assert row.split(" | ")[-1].startswith(starts)


def test_a_control_that_was_in_force_before_the_change_did_not_act_on_it() -> None:
    results = [made("costs triple", 1), made("costs triple", 2, acted_after=0), made("costs triple", 3, acted_after=0)]
    row = next(line for line in controls.summary(results).splitlines() if line.startswith("| REDUCE"))
    assert row.startswith("| REDUCE | 3 of 3, in 2 before the change | 10 |")


def test_a_control_whose_gain_is_chance_is_said_to_save_nothing() -> None:
    results = [
        made(
            "the edge dies",
            seed,
            without_growth=-0.01 + 0.01 * (-1) ** seed,
            without_drawdown=0.04,
            without_sharpe=-0.2,
        )
        for seed in range(20)
    ]
    row = next(line for line in controls.summary(results).splitlines() if line.startswith("| REDUCE"))
    assert row.endswith("saves nothing that can be told from chance |")


def test_the_interval_is_that_of_a_mean() -> None:
    values = np.random.default_rng(5).normal(0.3, 1.0, 400)
    mean, low, high = controls.interval(values)
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((mean - 1.96 * 0.05, mean + 1.96 * 0.05), abs=0.012)


@pytest.mark.full
def test_the_figures_of_a_track_by_hand(played: Replay) -> None:
    whole, tail = controls.track_figures(played, 0), controls.track_figures(played, 40)
    equity = [1e6] + [done.state.equity_usd for done in played.rounds]
    assert whole["growth"] == pytest.approx(equity[-1] / 1e6 - 1.0, rel=1e-9)
    assert tail["growth"] == pytest.approx(equity[-1] / equity[40] - 1.0)
    fall = max(1.0 - equity[later] / equity[early] for early in range(40, 81) for later in range(early, 81))
    assert tail["drawdown"] == pytest.approx(fall)
