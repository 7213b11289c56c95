"""A strategy with Markov regimes, lived with: study and live agree, the fact is on record, artifacts can be lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations import markov_fits
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay
from nn_assets.operations.history import open_history
from nn_assets.operations.markov_fits import MARKOV_MODELS
from nn_assets.operations.shift import leave_regimes_out
from nn_assets.operations.situation import of_regime
from nn_assets.operations.study_page import keep_left_out, keep_study, study_sheet
from tests.cli.conftest import call
from tests.operations import homes
from tests.orchestration.conftest import FIRST_LIVE, LAST, living_in, strategy_of, write_strategy
from tests.shared_homes import built_once

SESSIONS = list(sessions_between("XNYS", FIRST_LIVE, LAST))[:3]
MONTHS = homes.months_between("2017-03", "2017-05")
DAY = SESSIONS[0]


@pytest.fixture(scope="module")
def markov_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(folder: Path) -> None:
        write_strategy(
            folder,
            market={"history_starts": "2015-03-02"},
            features={"names": ["log_return_1", "log_return_5", "close_location"], "panel_pass_share": 0.1},
            learning={"lookback": 2, "maximum_epochs": 2},
            walk_forward={"training_months": 18},
            regimes={"model": "markov_2", "scale": 0.25},
        )
        with living_in(folder):
            homes.take_in(strategy_of())
            homes.train(strategy_of(), homes.months_between("2017-03", "2017-06"))

    return built_once("markov", tmp_path_factory, build)


@pytest.fixture
def home(markov_home: Path, tmp_path: Path) -> Iterator[Path]:
    with living_in(Path(shutil.copytree(markov_home, tmp_path / "home"))):
        yield tmp_path / "home"


@pytest.mark.full
def test_a_study_and_live_sessions_have_the_same_regimes_and_the_fact_is_on_record(home: Path) -> None:
    strategy = strategy_of()
    result = homes.study_stored(strategy, MONTHS)
    names = set(result.study.figures.regimes)
    assert names <= {"calm", "turbulent"}, "every month could be fitted"
    share = result.study.track.training_share
    assert np.isfinite(share[result.study.rows[0] :]).all()
    decided = homes.decide(strategy, SESSIONS)
    with open_history(strategy) as history:
        studied = history.view(SESSIONS[-1]).market_history
        for session, done in zip(SESSIONS, decided, strict=True):
            row = history.row(session)
            details = history.stores.ledger.read("decisions", strategy.name, session, session)["details"].iloc[0]
            assert details["regime"]["name"] == studied.regimes.label(row)
            assert 0.0 <= details["regime"]["share"] <= 1.0
            assert done.round.decision.inputs.regime_scale == studied.regime_scales[row]
        played, differing = decisions_repeat_in_replay(history)
        assert (played, differing) == (len(SESSIONS), [])
    assert all(again.already_decided for again in homes.decide(strategy, SESSIONS))


@pytest.mark.full
def test_a_lost_or_damaged_artifact_is_made_again_to_the_same_bits(home: Path) -> None:
    strategy = strategy_of()

    def seen() -> tuple[list[str], bytes]:
        with open_history(strategy) as history:
            view = history.view(DAY).market_history
            return [view.regimes.label(row) for row in range(len(view.regime_scales))], view.regime_scales.tobytes()

    before = seen()
    (folder,) = home.rglob(MARKOV_MODELS)
    files = sorted(folder.iterdir())
    assert files
    kept = {file.name: file.read_bytes() for file in files}
    record = json.loads(kept[files[0].name])
    record["fit"]["model"]["variance"][0] *= 0.5  # its hash says otherwise
    files[0].write_text(json.dumps(record))
    files[-1].unlink()
    assert seen() == before
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == kept


@pytest.mark.full
def test_kept_parameters_are_read_and_nothing_is_fitted_twice(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = strategy_of()
    with open_history(strategy) as history:
        before = history.view(DAY).market_history.regime_scales

    def refuse(*_: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(markov_fits, "fit_markov", refuse)
    with open_history(strategy) as history:
        np.testing.assert_array_equal(history.view(DAY).market_history.regime_scales, before)


@pytest.mark.full
def test_fits_without_a_regime_stand_on_the_studys_page_until_the_next_study(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = strategy_of()
    monkeypatch.setattr("nn_assets.operations.shift.FEWEST_SESSIONS", 5)
    result = homes.study_stored(strategy, MONTHS)
    with open_history(strategy) as history:
        keep_study(history, result, {})
        assert ("Regimes", "markov_2 in 3 of 3 months") in study_sheet(history).facts
        lines: list[str] = []
        left_out = leave_regimes_out(history, MONTHS, lines.append)
        assert left_out.fits == len(lines) > 0
        assert {one.estimator for one in left_out.found} == {"linear", "boosting"}
        keep_left_out(history, left_out.lines)
        assert study_sheet(history).left_out == left_out.lines
    answer = call(home, "shift-test", "--strategy", strategy.name, "--to", "2017-05", "--json")
    assert answer.status == 0, answer.out
    assert answer.document["fits"] == left_out.fits
    assert "Trained without a regime, tested on it" in Path(answer.document["page"]).read_text(encoding="utf-8")
    with open_history(strategy) as history:
        keep_study(history, result, {})
        assert study_sheet(history).left_out == ()


def test_a_rare_regime_is_in_the_first_line_and_one_that_was_seen_is_not() -> None:
    rare = {"regime": {"name": "turbulent", "share": 0.042}}
    (fault,) = of_regime(rare, DAY)
    assert fault.why == (
        f"the regime of {DAY.date()} (turbulent) had 4% of the training and validation rows of the model in force"
    )
    assert fault.remedy == ""
    for details in ({}, {"regime": {"name": "unknown", "share": None}}, {"regime": {"name": "calm", "share": 0.10}}):
        assert of_regime(details, DAY) == ()


def test_without_a_study_there_is_nothing_to_show_the_fits_beside(tmp_path: Path) -> None:
    answer = call(tmp_path, "shift-test", "--strategy", "planted_edge", "--json")
    assert answer.status == 1
    assert "nn-assets study --strategy planted_edge" in answer.document["message"]
