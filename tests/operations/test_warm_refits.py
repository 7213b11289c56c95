"""A home whose refits begin with the weights before them: each names its parent, and a lost one comes back the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from nn_assets.learning import address
from nn_assets.operations.asof.models import models_in_force
from nn_assets.operations.history import open_history
from nn_assets.operations.models import training
from nn_assets.operations.models.preparation import due_folds
from nn_assets.operations.models.stored import load_model
from tests.operations.homes import decide, live_until, months_between, study, take_in, train
from tests.operations.test_as_known import CUT, FIRST_MONTH, LAST_MONTH, strategy, write_home
from tests.orchestration.conftest import living_in


@pytest.mark.full
def test_each_refit_names_the_one_before_and_a_lost_one_is_fitted_again_to_the_same_bits(tmp_path: Path) -> None:
    write_home(tmp_path, CUT, late=False)
    file = tmp_path / "strategies" / "known.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["learning"] |= {"warm_start": True, "maximum_epochs": 5}
    settings["features"]["select"] = False
    settings["market"]["live_starts"] = None
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    months = months_between(FIRST_MONTH, LAST_MONTH)
    with living_in(tmp_path):
        take_in(strategy())
        study(strategy(), months)
        with open_history(strategy()) as history:
            addresses = [due.address(due.strategy) for due in due_folds(history, months)]
            models = [load_model(history.stores, address) for address in addresses]
            digests = [history.stores.models.artifact_sha256(address) for address in addresses]
            in_force = models_in_force(history.stores.ledger, strategy()).by_month
            for address in addresses[-2:]:
                shutil.rmtree(history.stores.models.folder(address))
        parents = [model.figures.get("warm_start", {}).get("parent") for model in models]
        assert parents == [None, *addresses[:-1]]
        train(strategy(), months)
        with open_history(strategy()) as history:
            assert [history.stores.models.artifact_sha256(address) for address in addresses] == digests
            assert models_in_force(history.stores.ledger, strategy()).by_month == in_force


def _write_warm_home(home: Path) -> None:
    write_home(home, "2016-09-13", late=False)
    file = home / "strategies" / "known.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["learning"] |= {"warm_start": True, "maximum_epochs": 2}
    settings["features"]["select"] = False
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")


def _models(months: list[str]) -> dict[str, str]:
    """The model that decides the end of each month."""
    with open_history(strategy()) as history:
        by_month = models_in_force(history.stores.ledger, strategy()).by_month
        return {month: by_month[month][-1][1] for month in months}


def _parent(model_id: str) -> str | None:
    with open_history(strategy()) as history:
        parent: str | None = load_model(history.stores, model_id).figures.get("warm_start", {}).get("parent")
        return parent


@pytest.mark.full
def test_a_live_home_refits_after_a_change_of_code_from_the_model_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_warm_home(tmp_path)
    months = months_between(FIRST_MONTH, "2016-08")
    with living_in(tmp_path):
        take_in(strategy())
        study(strategy(), months)
        with open_history(strategy()) as history:
            live = live_until(history, "2016-08-24")
            fitted = [due.address(due.strategy) for due in due_folds(history, months)]
        assert decide(strategy(), live)
        before, of_study = _models(months), set(stored(tmp_path))
        train(strategy(), months)  # nothing changed: nothing is fitted again
        assert (_models(months), set(stored(tmp_path))) == (before, of_study)
        for module in (address, training):
            monkeypatch.setattr(module, "fit_code", lambda _: "f" * 16)
        train(strategy(), ["2016-09"])
        (new,) = set(stored(tmp_path)) - of_study
        assert _parent(new) == fitted[-1]  # whether or not it was taken
        train(strategy(), [*months, "2016-09"])  # by the new code, each from the one on record before it
        again = _models([*months, "2016-09"])
        kept = set(stored(tmp_path))
        assert {_parent(model_id) for model_id in kept - of_study - {new}} <= {None, *fitted}
        train(strategy(), [*months, "2016-09"])
        assert _models([*months, "2016-09"]) == again
        assert set(stored(tmp_path)) == kept, "a second time fits nothing"


@pytest.mark.full
def test_a_month_asked_by_itself_has_the_refits_before_it_fitted_first(tmp_path: Path) -> None:
    alone, whole = tmp_path / "alone", tmp_path / "whole"
    models = []
    for home, months in ((alone, ["2016-07"]), (whole, months_between(FIRST_MONTH, "2016-07"))):
        home.mkdir()
        _write_warm_home(home)
        with living_in(home):
            take_in(strategy())
            train(strategy(), months)
            models.append(_models(["2016-07"])["2016-07"])
    assert models[0] == models[1]
    assert sorted(stored(alone)) == sorted(stored(whole))


def stored(home: Path) -> list[str]:
    """Addresses of the models in a home's store."""
    addresses = [manifest.parent.name for manifest in home.rglob("models/**/manifest.json")]
    assert addresses
    return addresses
