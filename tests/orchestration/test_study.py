"""The study through Dagster: a model before its month's first session, no hole after it, and resuming when killed."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.cli.runs import run_study
from nn_assets.learning.model import FoldData
from nn_assets.operations.asof.models import models_in_force
from nn_assets.operations.decisions.rounds import decide_session
from nn_assets.operations.history import open_history
from nn_assets.operations.models import training
from nn_assets.operations.models.forecasts import forecasts_until
from nn_assets.store.lake.models import ModelStore
from tests.forks import ended
from tests.operations.homes import take_in
from tests.orchestration.conftest import (
    NAME,
    clock_at,
    left_by_killed_writers,
    living_in,
    recorded,
    strategy_of,
    write_strategy,
)
from tests.runs import materialise

pytestmark = pytest.mark.slow


@pytest.mark.full
def test_the_month_ahead_gets_its_model_and_the_month_just_over_its_verdict(studied: Path) -> None:
    write_strategy(studied, market={"history_ends": None})
    strategy = strategy_of()
    with clock_at("2017-07-01 10:00"):
        materialise(strategy, "study", first="2017-07-01", last="2017-07-01")
        with open_history(strategy) as history:
            assert history.last_session.strftime("%Y-%m-%d") == "2017-06-30"
            models = history.stores.ledger.read("models", NAME)
            studies = history.stores.ledger.read("studies", NAME)
            assert history.stores.lake.read_months(NAME, "forecasts", ["2017-07"]).empty
    assert models["month"].max() == "2017-07"
    assert studies["month"].max() == "2017-06"
    # A few sessions into the month, its forecasts are made by that model, without a hole.
    with clock_at("2017-07-10 23:00"):
        take_in(strategy)
        with open_history(strategy) as history:
            session = history.last_session
            made = forecasts_until(history, session).to_rows()
            sessions = history.sessions(session)
            expected = sessions[sessions >= "2017-01-01"]
            assert list(made["session"].drop_duplicates()) == list(expected)
            july = made.loc[made["session"] >= "2017-07-01", "model_id"].unique()
            assert list(july) == [models_in_force(history.stores.ledger, strategy).on(session)]


@dataclass(frozen=True)
class Restudied:
    """June studied again, its forecasts made when June was still empty, beside files that killed writers left."""

    home: Path
    studied_before: pd.DataFrame
    left: tuple[Path, ...]


@pytest.fixture(scope="module")
def restudied(studied_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Restudied:
    home = tmp_path_factory.mktemp("restudied") / "home"
    shutil.copytree(studied_home, home)
    with living_in(home):
        with open_history(strategy_of()) as history:
            whole = history.stores.lake.read_months(NAME, "forecasts", ["2017-06"])
            before = history.stores.lake.read_months(NAME, "walk_forward_study", ["2017-06"])
            history.stores.lake.write_month(NAME, "forecasts", "2017-06", whole.iloc[:0])
            decided = decide_session(history, history.first_live_session, "run")
            assert decided.round.signals.calibrated_probability.size == 6
        left = left_by_killed_writers()
        (home / "reports" / f"{NAME}-study.html").unlink()
        run_study(NAME, "2017-06", "2017-06", None)
    return Restudied(home, before, left)


@pytest.mark.full
def test_the_next_months_study_holds_the_sessions_that_came_after_the_first_morning(restudied: Restudied) -> None:
    """June as it would be if it had been materialised on the first of June, when it was still empty."""
    with living_in(restudied.home), open_history(strategy_of()) as history:
        again = history.stores.lake.read_months(NAME, "walk_forward_study", ["2017-06"])
    assert again.equals(restudied.studied_before)


@pytest.mark.full  # the study that releases an alarm is asked the same, where verdicts are on record
def test_a_study_writes_its_page_and_removes_what_killed_writers_left_long_ago(restudied: Restudied) -> None:
    assert [file.exists() for file in restudied.left] == [False, True] * 2
    assert (restudied.home / "reports" / f"{NAME}-study.html").exists()


def test_a_study_killed_after_its_first_model_resumes_without_fitting_it_again(
    empty_home: Path, studied_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_strategy(empty_home)
    # The same data set was reviewed before.
    shutil.copytree(studied_home / "reports", empty_home / "reports", ignore=shutil.ignore_patterns("*-study.*"))
    store = ModelStore()
    put = ModelStore.put

    def study_and_die() -> None:
        def put_and_die(self: ModelStore, *args: object, **named: object) -> None:
            put(self, *args, **named)  # type: ignore[arg-type]
            os.kill(os.getpid(), signal.SIGKILL)

        ModelStore.put = put_and_die  # type: ignore[method-assign, assignment]
        run_study(NAME, None, "2017-04", 1)

    error_file = empty_home / "told.txt"
    assert ended(study_and_die, error_file) == -signal.SIGKILL, error_file.read_text()
    kept = {
        model_id: file.stat().st_mtime_ns
        for model_id in store.model_ids()
        for file in store.root.rglob(f"{model_id}/*.json")
    }
    assert len(kept) == 1
    assert recorded(empty_home, "models").empty
    fitted: list[str] = []
    fit = training.fit_models

    def spy(due: list[FoldData], *rest: object) -> object:
        fitted.extend(fold_data.fold.month for fold_data in due)
        return fit(due, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "fit_models", spy)
    run_study(NAME, None, "2017-04", 1)
    assert len(fitted) == 4 - len(kept)
    after = {model_id: file.stat().st_mtime_ns for model_id in kept for file in store.root.rglob(f"{model_id}/*.json")}
    assert after == kept
    assert len(recorded(empty_home, "models")) == 4
    # What was fitted in a process never killed, at another pace of refits, has the same address and bits.
    other = recorded(studied_home, "models").drop_duplicates("model_id").set_index("model_id")["artifact_sha256"]
    assert (
        other.to_dict().items() <= {model_id: store.artifact_sha256(model_id) for model_id in store.model_ids()}.items()
    )
