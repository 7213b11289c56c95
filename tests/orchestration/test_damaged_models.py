"""Models damaged in a home that lives: the round names all of them, and the study it names ends in the same bits."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nn_assets.errors import ModelError, RunFailed
from nn_assets.operations.history import open_history
from nn_assets.operations.models import forecasts
from nn_assets.operations.models.stored import load_model
from nn_assets.operations.stores import open_stores
from nn_assets.orchestration.running import materialise
from nn_assets.store.lake.models import ModelStore
from tests.orchestration.conftest import FIRST_LIVE, FIRST_MONTH, LAST_MONTH, NAME, strategy_of


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


def _replaced(home: Path) -> tuple[Path, str]:
    """Another artifact in a model's place, every file as its manifest says."""
    model_id = ModelStore().model_ids()[0]
    place = ModelStore().folder(model_id)
    files = ModelStore().get(model_id)
    shutil.rmtree(place)
    ModelStore().put(model_id, {**files, "more.json": b"{}"})
    return place, model_id


def test_a_model_other_than_the_ledger_has_on_record_is_refused(studied: Path) -> None:
    place, model_id = _replaced(studied)
    with open_stores() as stores, pytest.raises(ModelError, match="on record") as refused:
        load_model(stores, model_id)
    assert str(place) in str(refused.value)
    assert model_id in str(refused.value)


@pytest.mark.full
def test_the_remedy_for_a_model_that_was_replaced_gives_the_recorded_one(studied: Path) -> None:
    before = contents(studied)
    place, _ = _replaced(studied)
    place.rename(studied / "moved-away")
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
