"""Homes whose models other code fitted: nothing is fitted again until a refit is asked for, and all of it is read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.learning import address as addresses
from nn_assets.learning import model as fitting
from nn_assets.learning.first_month import first_model_month
from nn_assets.learning.folds import fitted_month
from nn_assets.operations.asof.models import models_in_force
from nn_assets.operations.history import open_history
from nn_assets.operations.models import preparation, training
from nn_assets.operations.models.preparation import due_folds
from nn_assets.operations.models.stored import load_model
from nn_assets.operations.stores import open_stores
from nn_assets.store.lake.models import ModelStore
from tests.operations import homes
from tests.orchestration.conftest import (
    CUT_LIVE,
    FIRST_LIVE,
    FIRST_MONTH,
    LAST_MONTH,
    living_in,
    recorded,
    strategy_of,
    write_strategy,
)

OF_BEFORE = "0f1e2d3c4b5a6978"
"""A version as version 0.1 and its followers told it: a hash over the bytes of whole folders, 16 hex digits too."""


def of_before(patch: pytest.MonkeyPatch) -> None:
    """Let models be addressed and recorded as the code of before did it."""
    for module in (addresses, fitting, training):
        patch.setattr(module, "fit_code", lambda _: OF_BEFORE)


@pytest.fixture(scope="module")
def home_of_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Months trained by the code of before, and one session decided since."""
    home = tmp_path_factory.mktemp("before")
    write_strategy(home, market={"history_ends": CUT_LIVE})
    with living_in(home), pytest.MonkeyPatch.context() as patch:
        of_before(patch)
        homes.take_in(strategy_of())
        homes.train(strategy_of(), homes.months_between(FIRST_MONTH[:7], LAST_MONTH[:7]))
        homes.decide(strategy_of(), [pd.Timestamp(FIRST_LIVE)])
    return home


@pytest.fixture
def upgraded(home_of_before: Path, tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    shutil.copytree(home_of_before, home)
    with living_in(home):
        yield home


def refit_of(month: str) -> str:
    strategy = strategy_of()
    return fitted_month(month, first_model_month(strategy), strategy.walk_forward.refit_every_months)


def models(home: Path) -> pd.DataFrame:
    return recorded(home, "models").drop(columns=["known_at"], errors="ignore")


def between_refits() -> str:
    """The last month in which no refit falls due."""
    return max(month for month in homes.months_between(FIRST_MONTH[:7], LAST_MONTH[:7]) if refit_of(month) != month)


def test_decisions_and_months_between_refits_use_the_models_of_before(upgraded: Path) -> None:
    ids, rows = ModelStore().model_ids(), models(upgraded)
    assert set(rows["code_version"]) == {OF_BEFORE}
    with open_stores() as stores:
        in_force = models_in_force(stores.ledger, strategy_of()).on(pd.Timestamp(CUT_LIVE))
        assert load_model(stores, in_force).code_version == OF_BEFORE
    homes.train(strategy_of(), [between_refits()])
    with open_history(strategy_of()) as history:
        live = [session for session in history.live_sessions if session <= pd.Timestamp(CUT_LIVE)]
    done = homes.decide(strategy_of(), live)
    assert [decided.already_decided for decided in done] == [True] + [False] * (len(live) - 1)
    assert {decided.provenance["model_id"] for decided in done} == {in_force}
    assert ModelStore().model_ids() == ids
    pd.testing.assert_frame_equal(models(upgraded), rows)


@pytest.mark.full
def test_a_refit_that_is_asked_for_is_made_by_the_code_in_force(upgraded: Path) -> None:
    ids = set(ModelStore().model_ids())
    month = refit_of("2017-06")
    homes.train(strategy_of(), [month])
    (fresh,) = set(ModelStore().model_ids()) - ids
    with open_stores() as stores:
        code = load_model(stores, fresh).code_version
    assert code == addresses.fit_code(strategy_of()) != OF_BEFORE
    on_record = models(upgraded)
    assert (fresh not in set(on_record["model_id"])) or set(
        on_record.loc[on_record["model_id"] == fresh, "code_version"]
    ) == {code}


def test_a_model_of_before_is_the_candidate_of_a_refit_that_a_study_goes_through_again(upgraded: Path) -> None:
    ids, messages = ModelStore().model_ids(), list[str]()
    with open_history(strategy_of()) as history:
        for due in due_folds(history, homes.months_between(FIRST_MONTH[:7], LAST_MONTH[:7])):
            in_force = models_in_force(history.stores.ledger, strategy_of()).by_month[due.fold.month][0][1]
            candidate, _ = training.candidate_for(history, due, in_force, messages.append)
            assert candidate == due.address(strategy_of(), OF_BEFORE) != due.address(strategy_of())
    assert ModelStore().model_ids() == ids


def test_before_any_session_is_decided_a_study_fits_by_the_code_in_force(home_of_before: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(home_of_before, home)
    with living_in(home), pytest.MonkeyPatch.context() as patch:
        for module in (training, preparation):
            patch.setattr(module, "first_undecided", lambda *_: None)
        ids = set(ModelStore().model_ids())
        homes.train(strategy_of(), [between_refits()])
        assert len(set(ModelStore().model_ids()) - ids) == 1
