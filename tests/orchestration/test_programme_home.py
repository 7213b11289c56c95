"""A home whose strategy asks for the programme: taken in, trained, studied, decided, and derived again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay
from nn_assets.operations.decisions.round_checks import beyond_limits, broken_traces
from nn_assets.operations.history import open_history
from nn_assets.operations.session_page import write_daily_page
from nn_assets.portfolio import conic
from tests.operations import homes
from tests.orchestration.conftest import FIRST_LIVE, LAST, living_in, recorded, strategy_of, write_strategy
from tests.shared_homes import built_once

pytestmark = pytest.mark.slow

SESSIONS = list(sessions_between("XNYS", FIRST_LIVE, LAST))[:4]
MONTHS = homes.months_between("2017-01", "2017-06")


@pytest.fixture(scope="module")
def programme_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(folder: Path) -> None:
        write_strategy(
            folder,
            label={"kind": "direction_relative"},
            portfolio={"construction": "programme", "net_limit": 0.0},
        )
        with living_in(folder):
            homes.take_in(strategy_of())
            homes.study(strategy_of(), MONTHS)

    return built_once("programme", tmp_path_factory, build)


@pytest.fixture
def home(programme_home: Path, tmp_path: Path) -> Iterator[Path]:
    copied = tmp_path / "home"
    shutil.copytree(programme_home, copied)
    with living_in(copied):
        yield copied


@pytest.mark.full
def test_four_sessions_are_decided_traced_checked_and_repeat_in_replay(home: Path) -> None:
    strategy = strategy_of()
    decided = homes.decide(strategy, SESSIONS)
    gross = [float(np.abs(done.round.decision.target_weight).sum()) for done in decided]
    assert max(gross) > 0.02
    for done in decided:
        assert broken_traces(done.frames) == []
        equity = float(done.frames["portfolio_states"]["equity_usd"].iloc[0])
        assert beyond_limits(done.frames["target_positions"], equity, strategy.portfolio) == []
        steps = done.frames["position_steps"]
        assert np.isfinite(steps[["weight_before", "weight_after"]].to_numpy()).all()
        seventh = steps[steps["step"] == 7].set_index("symbol")["weight_after"]
        weights = dict(zip(done.round.session_state.book.symbols, done.round.decision.weights[7], strict=True))
        assert seventh.to_dict() == weights
    assert recorded(home, "position_steps")["reason"].str.contains("beside a base rate of").any()
    assert all(done.already_decided for done in homes.decide(strategy, SESSIONS))
    with open_history(strategy) as history:
        assert decisions_repeat_in_replay(history) == (4, [])
        assert decisions_repeat_in_replay(history, SESSIONS[1]) == (2, [])


def _each_signal_is_on_the_side_that_its_position_was_decided_by(home: Path) -> None:
    """Beside step 1 of the same symbol and session, in words."""
    signals = recorded(home, "signals").set_index(["session", "symbol"])
    reasons = recorded(home, "position_steps").query("step == 1").set_index(["session", "symbol"])["reason"]
    said = reasons.str.extract(r"says (?P<side>long|short|no side): (?P<size>-?[0-9.]+)%").dropna()
    assert len(said) > 10
    on_record = signals.loc[said.index]
    assert on_record["direction"].map({1: "long", -1: "short", 0: "no side"}).tolist() == said["side"].tolist()
    np.testing.assert_allclose(on_record["expected_return"], said["size"].astype(float) / 100.0, atol=5.1e-6)
    assert (on_record["direction"] != np.sign(on_record["calibrated_probability"] - 0.5)).any()


def test_a_session_without_an_answer_says_so_on_record_and_on_its_page(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(problem: conic.Problem) -> list[conic.Answer]:
        return [conic.Answer(np.full(len(problem.mean), np.nan), "broken", 0)]

    *before, session = SESSIONS[:3]
    homes.decide(strategy_of(), before)
    with monkeypatch.context() as patch:
        patch.setattr(conic, "many_names", broken)
        (done,) = homes.decide(strategy_of(), [session])
        assert homes.decide(strategy_of(), [session])[0].already_decided
        with open_history(strategy_of()) as history:
            assert decisions_repeat_in_replay(history, before[-1]) == (1, [])
            page = write_daily_page(history, done.round, done.frames, done.provenance, None).read_text("utf-8")
    decisions = recorded(home, "decisions").set_index("session")["details"]
    assert decisions[session]["no_answer"] == "broken"
    assert "no_answer" not in decisions[before[-1]]
    _each_signal_is_on_the_side_that_its_position_was_decided_by(home)
    states = recorded(home, "portfolio_states").set_index("session")["breaker"]
    assert states[session] == "no_answer"
    assert "The solver had no answer (broken): nothing was opened or enlarged on this session." in page
    assert "below half the forecasts' half-life" not in page


@pytest.mark.full
def test_a_horizon_below_half_the_forecasts_half_life_is_a_warning_on_the_page(home: Path) -> None:
    (done,) = homes.decide(strategy_of(), SESSIONS[:1])
    inputs = done.round.decision.inputs
    assert inputs.programme is not None
    lasting = replace(inputs, programme=replace(inputs.programme, autocorrelation=0.9))
    played = replace(done.round, decision=replace(done.round.decision, inputs=lasting))
    with open_history(strategy_of()) as history:
        page = write_daily_page(history, played, done.frames, done.provenance, None).read_text("utf-8")
    assert "The label&#39;s horizon of 3 sessions is below half" in page
    assert "correlate 0.90 with themselves" in page
