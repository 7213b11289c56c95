"""Plug-ins at work: in a home, in training processes, in Dagster's runs; what they made is theirs by their code."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from nn_assets import plugins
from nn_assets.cli.check import check_data
from nn_assets.errors import ModelError, PluginError, SettingsError
from nn_assets.evaluation.trials import trial_hash
from nn_assets.learning.address import fit_code, model_address
from nn_assets.learning.artifact import from_files, to_files
from nn_assets.learning.compute import HERE, open_compute
from nn_assets.learning.model import FoldData, fit_models, forecast
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.derived import member_roots
from nn_assets.operations.features import store_features
from nn_assets.operations.history import open_history
from nn_assets.operations.plugins import prepare
from nn_assets.orchestration.naming import described
from nn_assets.settings import Strategy
from nn_assets.store.lake.lake import Lake
from nn_assets.versions import version_of
from tests.cli.conftest import call
from tests.learning.tiny import months_of_use, tiny_fold, tiny_market, tiny_strategy
from tests.operations.homes import take_in
from tests.orchestration.conftest import NAME, living_in, strategy_of, write_strategy
from tests.plugins.texts import FEATURES, NETWORK

NAMES = ["log_return_1", "over_mean_10", "overnight_gap"]


def with_plugins(home: Path, **files: str) -> Path:
    """The tiny strategy with files beside it."""
    file = write_strategy(home, features={"names": NAMES})
    settings = yaml.safe_load(file.read_text())
    for stem, text in files.items():
        (file.parent / f"{stem}.py").write_text(text)
    file.write_text(yaml.safe_dump({**settings, "plugins": [f"{stem}.py" for stem in files]}))
    return file


@pytest.fixture(scope="module")
def taken_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("plugged")
    with_plugins(home, my_features=FEATURES)
    with living_in(home):
        take_in(strategy_of())
    return home


@pytest.fixture
def home(taken_in: Path, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "home"
    shutil.copytree(taken_in, folder)
    with living_in(folder):
        yield folder


def made() -> set[str]:
    """Names of the features that a run computes."""
    with open_history(strategy_of()) as history:
        return set(store_features(history)[2])


def edited(home: Path, old: str, new: str, stem: str = "my_features") -> None:
    file = home / "strategies" / f"{stem}.py"
    assert file.read_text().count(old) == 1
    file.write_text(file.read_text().replace(old, new))


def test_an_edited_formula_makes_exactly_its_own_feature_again_and_a_comment_none(home: Path) -> None:
    assert made() == set()
    edited(home, "def _mean(", "# of closes\ndef _mean(")
    assert made() == set()
    with open_history(strategy_of()) as history:
        before = np.array(history.view().cube.values)
    edited(home, "_mean(panel, 10) - 1.0", "_mean(panel, 10) - 0.5")
    assert made() == {"over_mean_10"}
    with open_history(strategy_of()) as history:
        after = history.view().cube.values
    np.testing.assert_allclose(after[:, :, 1], before[:, :, 1] + 0.5, atol=1e-15)
    assert np.array_equal(after[:, :, [0, 2]], before[:, :, [0, 2]], equal_nan=True)


def test_without_names_a_strategy_has_the_features_of_its_own_plugins_besides(home: Path) -> None:
    file = home / "strategies" / f"{NAME}.yaml"
    settings = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**settings, "features": {"panel_pass_share": 0.5}}))
    made()
    with open_history(strategy_of()) as history:
        assert {"over_mean_10", "overnight_gap"} < set(history.view().cube.names)
    del settings["plugins"]
    file.write_text(yaml.safe_dump({**settings, "features": {"panel_pass_share": 0.5}}))
    made()
    with open_history(strategy_of()) as history:
        assert not {"over_mean_10", "overnight_gap"} & set(history.view().cube.names)


@pytest.mark.parametrize(
    ("stem", "old", "new", "message"),
    [
        ("my_features", "import numpy as np", "import numpi", "ModuleNotFoundError"),
        ("my_features", "_mean(panel, 10) - 1.0", "panel.close[-1]", "it looks ahead"),
        (NAME, "over_mean_10", "over_mean_11", "did you mean over_mean_10"),
    ],
)
def test_check_refuses_a_plugin_by_name_before_anything_is_stored(
    tmp_path: Path, stem: str, old: str, new: str, message: str
) -> None:
    file = with_plugins(tmp_path, my_features=FEATURES)
    beside = file if stem == NAME else file.with_name(f"{stem}.py")
    beside.write_text(beside.read_text().replace(old, new))
    with living_in(tmp_path), pytest.raises(SettingsError, match=message) as refused:
        check_data(NAME)
    assert refused.value.where["file"] == str(beside)
    assert refused.value.where["line"] > 1
    assert (f"(named in {file})" in refused.value.found) == (beside != file)
    assert [path.name for path in tmp_path.iterdir()] == ["strategies"]


def test_dagster_shows_a_version_of_an_asset_that_a_plugins_code_is_part_of(home: Path) -> None:
    def shown() -> object:
        return described(strategy_of(), "features", "features", set())["code_version"]

    before = shown()
    edited(home, "def _mean(", "# of closes\ndef _mean(")
    assert shown() == before
    edited(home, "_mean(panel, 10) - 1.0", "_mean(panel, 10) - 0.5")
    assert shown() != before


def test_a_model_of_a_plugins_network_names_what_its_code_changes(home: Path) -> None:
    before = version_of(*member_roots(strategy_of()))
    edited(home, "_mean(panel, 10) - 1.0", "_mean(panel, 10) - 0.5")
    assert version_of(*member_roots(strategy_of())) != before


# --- networks ------------------------------------------------------------------------------------------


def plugged(folder: Path, text: str = NETWORK, **learning: object) -> Strategy:
    """The tiny strategy of learning tests, with the network of a file."""
    file = folder / "my_networks.py"
    file.write_text(text)
    learning = {"network": "shallow", "network_settings": {"width": 3}, **learning}
    small = tiny_strategy().model_dump(exclude={"learning", "plugins"})
    tiny = tiny_strategy().learning.model_dump()
    return Strategy.model_validate({**small, "plugins": [str(file)], "learning": {**tiny, **learning}})


@pytest.mark.full
def test_a_study_through_spawned_processes_has_a_plugins_network_there_and_the_same_bits(tmp_path: Path) -> None:
    strategy = plugged(tmp_path, maximum_epochs=1)
    prepare(strategy)
    cube, labels = tiny_market()
    data = [FoldData(cube, labels, tiny_fold(cube, strategy))]
    (tmp_path / "my_networks.py").write_text("what is edited meanwhile reaches no process")
    with open_compute("processes", 2) as compute:  # a process for the one fold there is
        (beside,) = fit_models(data, strategy, compute)
    (alone,) = fit_models(data, strategy, HERE)
    assert to_files(beside) == to_files(alone)


def test_a_model_is_read_where_its_network_is_there_as_it_was_and_nowhere_else(tmp_path: Path) -> None:
    strategy = plugged(tmp_path, maximum_epochs=1)
    prepare(strategy)
    cube, labels = tiny_market()
    fold = tiny_fold(cube, strategy)
    (model,) = fit_models([FoldData(cube, labels, fold)], strategy)
    files = to_files(model)
    rows = months_of_use(model, cube)
    expected = forecast(model, cube, rows).to_rows()
    assert forecast(from_files(files), cube, rows).to_rows().equals(expected)
    (tmp_path / "my_networks.py").write_text(NETWORK.replace('"""One layer."""', '"""Another word."""'))
    prepare(strategy)
    assert forecast(from_files(files), cube, rows).to_rows().equals(expected)
    (tmp_path / "my_networks.py").write_text(NETWORK.replace("torch.tanh", "torch.sigmoid"))
    prepare(strategy)
    with pytest.raises(ModelError, match=r"shallow of my_networks\.py.*another network of that name"):
        from_files(files)
    plugins.forget()
    with pytest.raises(ModelError, match=r"shallow of my_networks\.py.*no plug-in with such a network"):
        from_files(files)


def test_an_edited_network_and_its_settings_are_part_of_the_address_of_its_models_alone(tmp_path: Path) -> None:
    cube, labels = tiny_market()
    strategy = plugged(tmp_path)
    fold = tiny_fold(cube, strategy)
    prepare(strategy)
    own = fit_code(tiny_strategy(network="mlp"))
    before = model_address(cube, labels, fold, strategy)
    wider = strategy.model_copy(update={"learning": strategy.learning.model_copy(update={"network_settings": {}})})
    assert model_address(cube, labels, fold, wider) != before
    for text, changes in (
        (NETWORK.replace("class Shallow", "# of mine\nclass Shallow"), False),
        (NETWORK + "\n\ndef unused():\n    return 1\n", False),
        (NETWORK.replace("width: int = 5", "width: int = 6"), True),
        (NETWORK.replace("torch.tanh", "torch.sigmoid"), True),
    ):
        (tmp_path / "my_networks.py").write_text(text)
        prepare(strategy)
        assert (model_address(cube, labels, fold, strategy) != before) is changes
        assert fit_code(tiny_strategy(network="mlp")) == own


def test_a_strategy_without_its_file_is_left_out_by_name(home: Path) -> None:
    (home / "strategies" / "my_features.py").unlink()
    with pytest.raises(PluginError, match=r"my_features\.py; found no such file"):
        find_strategy(NAME)
    assert Lake().segments(NAME, "raw_bars")


def test_an_edit_of_what_a_strategy_uses_is_another_trial_and_one_of_words_is_none(tmp_path: Path) -> None:
    (tmp_path / "my_features.py").write_text(FEATURES)
    strategy = plugged(tmp_path)
    both = [str(tmp_path / "my_features.py"), *strategy.plugins]
    used = strategy.features.model_copy(update={"names": ("log_return_1", "over_mean_10")})
    strategy = strategy.model_copy(update={"plugins": tuple(both), "features": used})

    def trials() -> list[str]:
        prepare(strategy)
        return [trial_hash(strategy, estimator) for estimator in ("network", "linear")]

    before = trials()
    for name, text, changed in (
        ("my_features", FEATURES.replace("def _mean(", "# of closes\ndef _mean("), [False, False]),
        (
            "my_features",
            FEATURES.replace("panel.open / lagged", "1.0 * panel.open / lagged"),
            [False, False],
        ),  # not used
        ("my_features", FEATURES.replace("panel, 10) - 1.0", "panel, 10) - 0.5"), [True, True]),
        ("my_networks", NETWORK.replace("torch.tanh", "torch.sigmoid"), [True, False]),
    ):
        original = (tmp_path / f"{name}.py").read_text()
        (tmp_path / f"{name}.py").write_text(text)
        assert [now != then for now, then in zip(trials(), before, strict=True)] == changed, text
        (tmp_path / f"{name}.py").write_text(original)
    assert trials() == before


def test_status_tells_of_a_strategy_with_plugins_and_runs_none_of_them(home: Path) -> None:
    (home / "strategies" / "my_features.py").write_text(FEATURES + "\nraise SystemExit(3)\n")
    answer = call(home, "status", "--strategy", NAME)
    assert answer.status == 0, answer.out + answer.err
    assert strategy_of().features.names == tuple(NAMES)
    edited(home, 'register_feature("overnight_gap"', 'register_feature("overnight"')
    with pytest.raises(SettingsError, match="overnight_gap is no feature: did you mean overnight") as refused:
        strategy_of()
    assert refused.value.where["key"] == "features.names"


def test_a_name_that_another_strategys_file_registered_is_none_of_this_one(home: Path) -> None:
    prepare(strategy_of())
    other = write_strategy(home, "other", features={"names": NAMES})
    with pytest.raises(SettingsError, match="over_mean_10 is no feature"):
        prepare(strategy_of("other"))
    assert other.is_file()
