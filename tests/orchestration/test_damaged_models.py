"""Models damaged in a home that lives: the round names all of them, and the study it names ends in the same bits."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.errors import ModelError, RunFailed
from nn_assets.learning.refresh import RefreshCheck
from nn_assets.operations.asof.models import models_in_force
from nn_assets.operations.history import open_history
from nn_assets.operations.models import forecasts, training
from nn_assets.operations.models.stored import load_model
from nn_assets.operations.stores import open_stores
from nn_assets.store.lake.models import ModelStore
from tests.operations import homes
from tests.orchestration.conftest import (
    FIRST_LIVE,
    FIRST_MONTH,
    LAST_MONTH,
    NAME,
    recorded,
    strategy_of,
    write_strategy,
)
from tests.runs import materialise


def contents(home: Path) -> dict[str, bytes]:
    files = (path for path in (home / "models").rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(home)): path.read_bytes() for path in files if ".damaged-" not in str(path)}


def study() -> None:
    materialise(strategy_of(), "study", first=FIRST_MONTH, last=LAST_MONTH)


@pytest.mark.full
def test_damaged_models_are_named_at_once_and_a_study_fits_them_again(studied: Path) -> None:
    before, ids = contents(studied), ModelStore().model_ids()
    assert len(ids) > 1
    for model_id, name in zip(ids, ["weights.safetensors", "manifest.json"], strict=False):
        file = studied / "models" / model_id[:2] / model_id / name
        file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(RunFailed) as failed:
        materialise(strategy_of(), "daily", first=FIRST_LIVE, last=FIRST_LIVE)
    assert all(model_id in str(failed.value) for model_id in ids[:2])
    assert "nn-assets study" in str(failed.value)
    study()
    assert contents(studied) == before
    aside = [path.name.partition(".")[0] for path in (studied / "models").glob("*/*.damaged-*")]
    assert sorted(aside) == sorted(ids[:2])
    materialise(strategy_of(), "daily", first=FIRST_LIVE, last=FIRST_LIVE)


BEFORE, FROM = pd.Timestamp("2017-05-30"), pd.Timestamp("2017-05-31")


@pytest.fixture
def refreshed(studied: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The model of a refresh that took force on the second live session, in a month after which none is fitted."""
    write_strategy(studied, market={"live_starts": str(BEFORE.date())})
    monkeypatch.setattr(training, "check_refresh", lambda *_: RefreshCheck(accepted=True, reason="no worse"))
    homes.decide(strategy_of(), [BEFORE])
    homes.refresh(strategy_of(), BEFORE, "2017-05")
    return in_force_on(FROM)


def in_force_on(session: object) -> str:
    with open_stores() as stores:
        return models_in_force(stores.ledger, strategy_of()).on(pd.Timestamp(str(session)))


def damage(model_id: str) -> None:
    file = ModelStore().folder(model_id) / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-9])


@pytest.mark.full
def test_a_damaged_refresh_is_fitted_again_by_a_study_of_its_month_or_a_later(studied: Path, refreshed: str) -> None:
    before = contents(studied)
    for months in (["2017-05"], ["2017-06"]):
        damage(refreshed)
        with pytest.raises(ModelError, match="sets it aside and fits it again") as refused:
            homes.decide(strategy_of(), [FROM])
        assert refused.value.where["model_id"] == refreshed
        homes.train(strategy_of(), months)
        assert contents(studied) == before
    assert in_force_on("2017-06-01") == refreshed
    homes.decide(strategy_of(), [FROM])
    assert recorded(studied, "decisions").set_index("session")["model_id"][FROM] == refreshed


def test_a_damaged_refresh_that_other_code_fitted_is_to_be_restored(
    studied: Path, refreshed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, messages = contents(studied), list[str]()
    damage(refreshed)
    monkeypatch.setattr(training, "fit_code", lambda _: "another")
    with open_history(strategy_of()) as history:
        training.fit_lost_refreshes(history, "2017-05", "2017-05", messages.append)
    (line,) = messages
    assert line.startswith(f"model {refreshed}, in force from {FROM.date()}, cannot be fitted again as it was")
    folder = ModelStore().folder(refreshed)
    assert line.endswith(f"restore {folder} from a backup")
    for name, content in kept.items():
        if (studied / name).is_relative_to(folder):
            (studied / name).write_bytes(content)
    homes.decide(strategy_of(), [FROM])


def _replaced(home: Path) -> tuple[Path, str]:
    """Another artifact in a model's place, every file as its manifest says."""
    model_id = ModelStore().model_ids()[0]
    folder = ModelStore().folder(model_id)
    files = ModelStore().get(model_id)
    shutil.rmtree(folder)
    ModelStore().put(model_id, {**files, "more.json": b"{}"})
    return folder, model_id


def test_a_model_other_than_the_ledger_has_on_record_is_refused(studied: Path) -> None:
    folder, model_id = _replaced(studied)
    with open_stores() as stores, pytest.raises(ModelError, match="on record") as refused:
        load_model(stores, model_id)
    assert str(folder) in str(refused.value)
    assert model_id in str(refused.value)


@pytest.mark.full
def test_the_remedy_for_a_model_that_was_replaced_gives_the_recorded_one(studied: Path) -> None:
    before = contents(studied)
    folder, _ = _replaced(studied)
    folder.rename(studied / "moved-away")
    study()
    assert contents(studied) == before


def test_a_lost_list_of_forecasts_follows_from_the_months_on_record(decided: Path) -> None:
    folder = decided / "lake" / NAME / "forecast_lists"
    lists = {path.name: path.read_bytes() for path in folder.iterdir()}
    addresses = {name.partition(".")[0] for name in lists}
    for path in folder.iterdir():
        path.unlink()
    with open_history(strategy_of()) as history:
        for address in addresses:
            assert forecasts.read_forecast_list(history, address)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == lists
