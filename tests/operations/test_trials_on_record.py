"""Trials of version 0.1 keep their names, wherever their files lie; a copy of the home, or of a file, forgets none."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from nn_assets.estimators import USUAL
from nn_assets.evaluation.trials import trial_configuration, trial_hash
from nn_assets.operations.asof.trials import earlier_grounds, ground_of, trials_made
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.history import open_history
from nn_assets.operations.stores import open_stores

ARCHIVE = Path(__file__).parents[1] / "home_0_1" / "home.tar.gz"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home of version 0.1, moved to another place after it was unpacked."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path / "first", filter="data")
    folder = tmp_path / "moved"
    shutil.move(tmp_path / "first", folder)
    monkeypatch.setenv("NN_ASSETS_HOME", str(folder))
    monkeypatch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
    return folder


def _known(name: str, bars_of: str) -> set[str]:
    """Trials counted for a strategy that would study the bars published for another one."""
    with open_history(find_strategy(bars_of).strategy) as history:
        bars = history.view().bars
        data = history.covering(history.last_session).content_hash
        return set(trials_made(history.stores.ledger, ground_of(name, data, bars))["trial_id"])


@pytest.mark.full
def test_trials_on_record_are_those_of_today(home: Path) -> None:
    strategy = find_strategy("house").strategy
    trials = {trial_hash(strategy, estimator) for estimator in USUAL}
    assert len(trials) == 3
    assert _known("house", "house") == trials


def test_a_book_made_otherwise_is_another_trial_and_what_was_tried_before_still_counts(home: Path) -> None:
    """`pair` states no construction: version 0.1 sized it name by name, today the programme does."""
    file = home / "strategies" / "pair.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    today = {trial_hash(find_strategy("pair").strategy, estimator) for estimator in USUAL}
    settings["portfolio"] = {**settings.get("portfolio", {}), "construction": "per_name"}
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    before = {trial_hash(find_strategy("pair").strategy, estimator) for estimator in USUAL}
    assert len(today | before) == 6
    assert _known("pair", "pair") == before


def test_a_copy_of_the_strategy_and_of_its_bars_under_other_names_has_the_same_trials(home: Path) -> None:
    strategies = home / "strategies"
    shutil.copytree(strategies / "house_bars", strategies / "elsewhere" / "bars")
    settings = yaml.safe_load((strategies / "house.yaml").read_text(encoding="utf-8"))
    settings["name"] = "copied"
    settings["source"]["path"] = "elsewhere/bars"
    (strategies / "copied.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    copied, house = find_strategy("copied").strategy, find_strategy("house").strategy
    assert copied.source != house.source
    trials = {trial_hash(copied, estimator) for estimator in USUAL}
    assert _known("copied", "house") == set()  # version 0.1 said nothing of the data but their hash at that time
    with open_stores() as stores:
        for ground in earlier_grounds(stores):
            stores.ledger.append("data_fingerprints", [ground.to_row()], run_id="run")
        assert earlier_grounds(stores) == []
    assert _known("copied", "house") == trials
    assert _known("copied", "pair") != trials


@pytest.mark.full
def test_the_newest_row_of_a_trial_speaks_for_it(home: Path) -> None:
    strategy = find_strategy("house").strategy
    row = {
        "trial_id": trial_hash(strategy),
        "code_version": "c",
        "study_id": None,
        "configuration": trial_configuration(strategy),
    }
    with open_history(strategy) as history:
        data = history.covering(history.last_session).content_hash
        for code, sharpe in (("c1", 0.01), ("c2", 0.02)):
            version = {**row, "code_version": code, "data_hash": data, "figures": {"sharpe_per_session": sharpe}}
            history.stores.ledger.append("trials", [version], run_id="run", strategy="house")
        rows = trials_made(history.stores.ledger, ground_of("house", data, history.view().bars))
    assert len(rows) == 3
    newest = rows[rows["trial_id"] == trial_hash(strategy)]["figures"].iloc[0]
    assert newest == {"sharpe_per_session": 0.02}
