"""The pages on another compute, venue and store: their files keep the contracts, and a home runs on each."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from nn_assets.cli.app import app
from nn_assets.costs.model import cost_model_from
from nn_assets.errors import PluginError, SettingsError
from nn_assets.evaluation.replay import replay
from nn_assets.evaluation.trials import trial_hash
from nn_assets.learning.artifact import to_files
from nn_assets.learning.compute import open_compute
from nn_assets.learning.model import FoldData, fit_models
from nn_assets.operations.derived import member_roots, trading_roots
from nn_assets.operations.plugins import prepare
from nn_assets.operations.stores import open_stores
from nn_assets.plugins import load
from nn_assets.portfolio.fills import FillArrays
from nn_assets.settings import Strategy
from nn_assets.versions import version_of
from tests.learning.tiny import tiny_fold, tiny_market, tiny_strategy
from tests.orchestration.conftest import living_in
from tests.plugins.test_extending import blocks_of, follow
from tests.session.worlds import world, world_strategy
from tests.shared_homes import nothing_drawn

PAGES = Path(__file__).parents[2] / "docs" / "extending"
BLOCKS = {name: blocks_of(PAGES / f"{name}.md") for name in ("compute", "store", "venue")}


def _test_of(page: str, file: str = "# test_") -> Any:
    """The class of tests that a page shows, the first of them or that of a file."""
    text = next(text for _, text in BLOCKS[page] if text.startswith(file))
    names: dict[str, Any] = {"__name__": __name__}
    exec(text, names)
    return names[re.findall(r"^class (Test\w+)", text, re.MULTILINE)[0]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("ported")
    (folder / "strategies").mkdir()
    for _, text in (block for blocks in BLOCKS.values() for block in blocks):
        if text.startswith("# strategies/"):
            (folder / text.partition("\n")[0].removeprefix("# ")).write_text(text, encoding="utf-8")
    with living_in(folder), nothing_drawn():
        yield folder


@pytest.fixture(autouse=True)
def _in_the_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


class TestTheVenueOfThePage(_test_of("venue")):  # type: ignore[misc]
    pass


class TestTheAccountOfThePage(_test_of("venue", "# test_my_account.py")):  # type: ignore[misc]
    pass


@pytest.mark.full
class TestTheComputeOfThePage(_test_of("compute")):  # type: ignore[misc]
    pass


class TestTheStoreOfThePage(_test_of("store")):  # type: ignore[misc]
    pass


COUNTED = """
from contextlib import contextmanager

from nn_assets.learning.compute import Here, register_compute

SEEN = []


class Counted(Here):
    def map(self, work, tasks):
        tasks = list(tasks)
        SEEN.append(len(tasks))
        return super().map(work, tasks)


@register_compute("counted")
@contextmanager
def counted(at_once):
    yield Counted()
"""


@pytest.mark.parametrize(("processes", "at_once"), [(1, 1), (2, 2)], ids=["the fold", "the networks of its ensemble"])
def test_models_are_trained_on_the_compute_of_a_file_with_the_same_bits_and_address(
    processes: int, at_once: int, tmp_path: Path
) -> None:
    (tmp_path / "my_counted.py").write_text(COUNTED)
    small = tiny_strategy(maximum_epochs=1, processes=processes, compute="here")
    plugged = Strategy.model_validate(
        {
            **small.model_dump(),
            "plugins": [str(tmp_path / "my_counted.py")],
            "learning": {**small.learning.model_dump(), "compute": "counted"},
        }
    )
    prepare(plugged)
    cube, labels = tiny_market()
    data = [FoldData(cube, labels, tiny_fold(cube, small))]
    (there,), (here,) = (list(fit_models(data, strategy)) for strategy in (plugged, small))
    assert [at_once] == sys.modules["nn_plugin_my_counted"].SEEN
    assert there.model_id == here.model_id
    assert to_files(there) == to_files(here)


def _trading_at(broker: str, *files: str, **settings_of_its_own: Any) -> Strategy:
    settings = {"plugins": list(files), "execution": {"broker": broker, **settings_of_its_own}}
    strategy = Strategy.model_validate({**world_strategy("next_close").model_dump(), **settings})
    prepare(strategy)
    return strategy


def _traded_at(broker: str, *files: str, **settings_of_its_own: Any) -> tuple[Strategy, list[FillArrays]]:
    strategy = _trading_at(broker, *files, **settings_of_its_own)
    made = world(strategy, 200)
    done = replay(strategy, cost_model_from(strategy.costs), 252, [made.scene(range(80, 140))])
    return strategy, [batch for played in done.rounds for batch in played.fills if len(batch)]


def _versions(strategy: Strategy) -> tuple[str, str, str]:
    """Of its trial, of what trades, and of what forecasts."""
    return trial_hash(strategy), version_of(*trading_roots(strategy)), version_of(*member_roots(strategy))


def test_a_replay_is_filled_by_the_venue_of_a_file_whose_code_counts(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "my_venue.py"
    file.write_text((home / "strategies" / "my_venue.py").read_text())
    paper, on_paper = _traded_at("paper")
    strategy, fills = _traded_at("auction", str(file))
    assert {batch.source for batch in on_paper} == {"paper"}
    assert {batch.source for batch in fills} == {"auction"}
    assert all((batch.commission_usd == np.abs(batch.quantity) * 0.01).all() for batch in fills)
    versions = [_versions(paper), _versions(strategy)]
    file.write_text(file.read_text().replace("commission_usd: float = 0.01", "commission_usd: float = 0.02"))
    prepare(strategy)
    versions.append(_versions(strategy))
    trials, trading, forecasting = (len(set(column)) for column in zip(*versions, strict=True))
    assert (trials, trading, forecasting) == (3, 3, 1)


def test_settings_of_a_venue_reach_it_and_count_and_those_that_it_does_not_state_are_refused(home: Path) -> None:
    file = str(home / "strategies" / "my_venue.py")
    usual = _trading_at("auction", file)
    dear, fills = _traded_at("auction", file, broker_settings={"commission_usd": 0.5})
    assert all((batch.commission_usd == np.abs(batch.quantity) * 0.5).all() for batch in fills)
    assert dear.content_hash() != usual.content_hash() != _trading_at("paper").content_hash()
    assert "broker_settings" not in usual.model_dump()["execution"]
    for broker, settings_of_its_own, message in (
        (
            "auction",
            {"comission_usd": 1},
            "the broker auction states its settings: commission_usd; found comission_usd",
        ),
        ("auction", {"commission_usd": "dear"}, "commission_usd; found commission_usd = 'dear'"),
        ("paper", {"commission_usd": 1}, "the broker paper states its settings: it has none; found commission_usd"),
    ):
        with pytest.raises(SettingsError, match=message) as refused:
            _trading_at(broker, file, broker_settings=settings_of_its_own)
        assert refused.value.where["key"] == "execution.broker_settings"


def test_settings_of_a_compute_reach_it_count_nowhere_and_are_held_to_what_it_states(home: Path) -> None:
    load([str(home / "strategies" / "my_cluster.py")])
    with open_compute("fresh", 2, {"tasks_a_process": 3}) as compute:
        assert compute.pool._max_tasks_per_child == 3  # type: ignore[attr-defined]
    small = tiny_strategy()
    for name, message in (("fresh", "tasks_a_process; found tasks = 3"), ("here", "it has none; found tasks")):
        learning = {**small.learning.model_dump(), "compute": name, "compute_settings": {"tasks": 3}}
        plugged = {"plugins": [str(home / "strategies" / "my_cluster.py")], "learning": learning}
        strategy = Strategy.model_validate({**small.model_dump(), **plugged})
        assert strategy.content_hash() == small.content_hash()
        with pytest.raises(SettingsError, match=f"the compute {name} states its settings: {message}") as refused:
            prepare(strategy)
        assert refused.value.where["key"] == "learning.compute_settings"


def test_settings_of_a_member_that_are_no_section_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "my_fault.py"
    file.write_text("from nn_assets.learning.compute import *\nregister_compute('mine', settings=dict)(print)\n")
    with pytest.raises(PluginError, match=r"settings as a class that extends .*Section; found <class 'dict'>"):
        load([str(file)])


def test_a_member_that_nobody_registered_is_refused_by_name(home: Path) -> None:
    file = str(home / "strategies" / "my_venue.py")
    with pytest.raises(ValidationError, match=r"execution.broker auctoin is no broker: did you mean auction\?"):
        _traded_at("auctoin", file)
    with pytest.raises(ValidationError, match=r"learning.compute cluster is no compute: there are here, processes"):
        Strategy.model_validate({**world_strategy().model_dump(), "learning": {"compute": "cluster"}})


@pytest.mark.full
def test_a_study_runs_on_a_compute_and_a_venue_of_ones_own(home: Path) -> None:
    answers = follow([block for block in BLOCKS["venue"] if block[0] == "console"], home)
    assert json.loads(answers[-1])["ok"]
    with open_stores() as stores:
        assert len(stores.ledger.read("studies", "my_own"))
        assert len(stores.ledger.read("models", "my_own"))


@pytest.fixture
def fresh(home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of the same files that has no lake of its own, whichever test came before."""
    folder = tmp_path_factory.mktemp("fresh")
    shutil.copytree(home / "strategies", folder / "strategies")
    monkeypatch.chdir(folder)
    with living_in(folder):
        yield folder


@pytest.fixture
def stored(fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the page's store, which the environment names as the page says."""
    (text,) = (text for language, text in BLOCKS["store"] if language == "sh")
    variables = dict(re.findall(r"^export (\w+)=(.*)$", text, re.MULTILINE))
    monkeypatch.setenv("NN_ASSETS_STORE", variables.pop("NN_ASSETS_STORE").replace("/mnt/blobs", str(tmp_path)))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.mark.full
def test_a_home_lives_in_a_store_of_ones_own(fresh: Path, stored: Path, checkout: Path) -> None:
    package = {path: path.stat().st_mtime_ns for path in (checkout / "nn_assets").rglob("*.py")}
    answers = [
        json.loads(text) for text in follow([block for block in BLOCKS["store"] if block[0] == "console"], fresh)
    ]
    assert [answer["ok"] for answer in answers] == [True] * 5
    assert answers[-1]["store"] == f"mounted://{stored}"
    assert answers[-1]["strategies"]["my_stored"]["decided_to"] == "2017-03-09"
    assert answers[-1]["strategies"]["my_stored"]["models"] == 1
    assert {path.name for path in stored.iterdir()} == {"lake", "locks", "models"}
    assert not (fresh / "lake" / "my_stored").exists()
    assert {path: path.stat().st_mtime_ns for path in (checkout / "nn_assets").rglob("*.py")} == package
    status = [sys.executable, "-m", "nn_assets.cli", "status", "--strategy", "my_stored"]
    elsewhere = subprocess.run(status, capture_output=True, text=True, check=False)  # another process, likewise
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert elsewhere.stdout.endswith(f"lake and models: mounted://{stored}, as NN_ASSETS_STORE says\n")
    (steps,) = (stored / "lake" / "my_stored" / "position_steps").glob("*.parquet")
    steps.unlink()
    refused = CliRunner().invoke(app, ["audit", "verify", "--json"])
    assert refused.exit_code == 1
    assert "2017-03-09" in str(json.loads(refused.stdout)["findings"])
