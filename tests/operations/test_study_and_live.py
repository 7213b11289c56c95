"""What a live session knows is what the study's replay knew on it, and the standing check sees where it is not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nn_assets.evaluation.study import Study
from nn_assets.learning.forecasts import ForecastArrays
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.decisions import rounds
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay, facts_apart
from nn_assets.operations.decisions.rounds import DecidedSession
from nn_assets.operations.history import open_history
from nn_assets.portfolio.decide import decide
from nn_assets.portfolio.inputs import ProgrammeFacts
from nn_assets.session.daily_round import Round
from tests.operations import homes
from tests.orchestration.conftest import FIRST_LIVE, LAST, living_in, strategy_of, write_strategy
from tests.shared_homes import built_once

pytestmark = pytest.mark.slow

SESSIONS = list(sessions_between("XNYS", FIRST_LIVE, LAST))[:5]
MONTHS = homes.months_between("2017-03", "2017-06")  # from the first that can have a model


@pytest.fixture(scope="module")
def lasting_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A strategy of slow features and a label of one session, so that its forecasts last."""

    def build(folder: Path) -> None:
        write_strategy(
            folder,
            market={"history_starts": "2015-03-02"},
            features={
                "names": ["distance_from_high_20", "log_return_20", "sma_ratio_5_20"],
                "panel_pass_share": 0.1,
            },
            label={"kind": "direction_relative", "horizon_sessions": 1},
            learning={"lookback": 2, "maximum_epochs": 10},
            walk_forward={"training_months": 18},
            portfolio={"construction": "programme", "net_limit": 0.0},
        )
        with living_in(folder):
            homes.take_in(strategy_of())
            homes.train(strategy_of(), MONTHS)

    return built_once("lasting", tmp_path_factory, build)


@pytest.fixture
def home(lasting_home: Path, tmp_path: Path) -> Iterator[Path]:
    copied = tmp_path / "home"
    shutil.copytree(lasting_home, copied)
    with living_in(copied):
        yield copied


def programme_facts(done: Round) -> ProgrammeFacts:
    facts = done.decision.inputs.programme
    assert facts is not None
    return facts


def test_every_fact_of_a_live_decision_is_that_of_the_studys_replay_and_the_change_share_is_below_one(
    home: Path,
) -> None:
    study: Study = homes.study_stored(strategy_of(), MONTHS).study
    replayed = {done.session: done for done in study.replays["network"].rounds}
    for live in homes.decide(strategy_of(), SESSIONS):
        done, there = live.round, replayed[live.round.session]
        assert facts_apart(done, there) == []
        for name in ("autocorrelation", "change_share", "outcome_slope"):  # rho, q, beta
            assert getattr(programme_facts(done), name) == getattr(programme_facts(there), name)
        for name in ("outcomes", "outcome_sessions", "base_rate", "calibrated_probability", "confidence"):
            ours, theirs = (getattr(played.decision.inputs, name) for played in (done, there))
            np.testing.assert_array_equal(ours, theirs)
        assert programme_facts(done).autocorrelation > 0.75
        assert programme_facts(done).change_share == pytest.approx(
            4.0 * (1.0 - programme_facts(done).autocorrelation), abs=1e-12
        )
        assert programme_facts(done).change_share < 1.0


@pytest.mark.full
def test_targets_at_a_change_share_of_one_would_be_others(home: Path) -> None:
    apart = 0
    for live in homes.decide(strategy_of(), SESSIONS):
        inputs, answer = live.round.decision.inputs, live.round.decision.answer
        dear = replace(inputs, programme=replace(programme_facts(live.round), change_share=1.0))
        again = decide(dear, strategy_of().portfolio, answer.costs)
        apart += int((again.target_quantity != live.round.decision.target_quantity).sum())
    assert apart > 0


def test_the_standing_check_names_a_live_path_that_knows_less_than_the_study(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rounds.calibrate_session

    def last_row_alone(*args: object) -> ForecastArrays:
        arrays = whole(*args)  # type: ignore[arg-type]
        score = np.full_like(arrays.score, np.nan)
        score[-1] = arrays.score[-1]
        return replace(arrays, score=score)

    with monkeypatch.context() as patch:
        patch.setattr(rounds, "calibrate_session", last_row_alone)
        decided: list[DecidedSession] = homes.decide(strategy_of(), SESSIONS)
        assert np.isnan(programme_facts(decided[-1].round).autocorrelation)
        with open_history(strategy_of()) as history:
            played, differing = decisions_repeat_in_replay(history)
    assert played == len(SESSIONS)
    last = str(SESSIONS[-1].date())
    assert any(line.startswith(f"{last}: change_share 1.0 live") for line in differing)
    assert any(line.startswith(f"{last}: autocorrelation nan live") for line in differing)
    assert any("on record" in line for line in differing), "targets differ, too"
    with open_history(strategy_of()) as history:
        assert decisions_repeat_in_replay(history)[1] != []
