"""A home whose refits begin with the weights before them: each names its parent, and a lost one comes back the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from nn_assets.operations.asof.models import models_in_force
from nn_assets.operations.history import open_history
from nn_assets.operations.models.preparation import due_folds
from nn_assets.operations.models.stored import load_model
from tests.operations.homes import months_between, study, take_in, train
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
