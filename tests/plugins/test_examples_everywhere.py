"""The page's own feature, label and network in what a strategy may ask for: warm starts, a search, a comparison."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from nn_assets.errors import PluginError, SettingsError
from nn_assets.learning.networks import NETWORKS
from nn_assets.operations.explanation import importance_by_month, moved_forecasts
from nn_assets.operations.history import open_history
from nn_assets.operations.models.stored import load_model
from nn_assets.operations.network_comparison import compare_networks, contestants, quick
from nn_assets.operations.plugins import prepare
from nn_assets.operations.search.choosing import search_months
from nn_assets.plugins import load
from nn_assets.settings import Strategy, load_strategy
from tests.operations.homes import months_between, take_in, train
from tests.orchestration.conftest import living_in, strategy_of
from tests.plugins.test_extending import parts
from tests.plugins.texts import naming, network_file, written
from tests.shared_homes import nothing_drawn

MONTHS = months_between("2017-01", "2017-03")
CHANNELS = {"learning.network_settings.channels": {"low": 2, "high": 4}}
SEARCH = {"trials": 2, "folds": 1, "every_months": 2, "space": CHANNELS}
STEPPED = """
import torch

from nn_assets.learning.networks import register_network


class Stepped(torch.nn.Module):
    def __init__(self, features):
        super().__init__()
        self.body = torch.nn.GRU(features, 4, batch_first=True)
        self.head = torch.nn.Linear(4, 1)

    def steps(self, windows):
        return {steps}

    def forward(self, windows):
        return self.head(self.body(windows)[0][:, -1]).squeeze(-1)


@register_network("stepped")
def stepped(learning, features):
    return Stepped(features)
"""
EACH_STEP = "self.head(self.body(windows)[0]).squeeze(-1)"


def wrote(folder: Path, checkout: Path, name: str = "mine", **changes: dict[str, Any] | None) -> Path:
    """The files of the page, and its second strategy with some keys of sections changed."""
    folder.mkdir(exist_ok=True)
    texts = [text for blocks in parts(checkout).values() for _, text in blocks if text.startswith("# strategies/")]
    settings: dict[str, Any] = {"search": None}
    for text in texts:
        file = text.partition("\n")[0].removeprefix("# strategies/").partition(", ")[0]
        if file.endswith(".yaml"):
            settings |= yaml.safe_load(text)
        else:
            (folder / file).write_text(text, encoding="utf-8")
    settings["name"] = name
    for section, keys in changes.items():
        settings[section] = keys if settings.get(section) is None else {**settings[section], **(keys or {})}
    file_of = folder / f"{name}.yaml"
    file_of.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return file_of


@pytest.fixture(scope="module")
def home(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("everywhere")
    steps = {"refit_every_months": 2}
    wrote(folder / "strategies", checkout, learning={"warm_start": True}, walk_forward=steps, search=SEARCH)
    with living_in(folder), nothing_drawn():
        take_in(strategy_of("mine"))
        yield folder


@pytest.fixture
def mine(home: Path) -> Strategy:
    assert home.exists()
    return strategy_of("mine")


@pytest.mark.full
def test_they_are_searched_fitted_warm_explained_and_compared(mine: Strategy) -> None:
    with open_history(mine) as history:
        choices = search_months(history, MONTHS, "test", lambda _: None)
    assert [(choice.month, choice.finished, choice.failed) for choice in choices] == [
        ("2017-01", 2, 0),
        ("2017-03", 2, 0),
    ]
    plain = mine.model_copy(update={"search": None})
    train(plain, MONTHS)
    with open_history(plain) as history:
        moved = moved_forecasts(history)
        model = load_model(history.stores, moved.model_id)
        worth = importance_by_month(history, MONTHS).table()
        compared = compare_networks(history, ["convolved", "mlp"], "test", lambda _: None)
    assert model.figures["warm_start"]["parent"]
    assert moved.move.features == ("log_return_1", "gap_over_sigma")
    assert len(moved.move.symbols) == 4
    assert (moved.move.missed < 0.01).all()
    assert np.isfinite(worth["rise"]).all()
    figures = {one.name: one.test.estimate for one in compared.comparison.contestants}
    assert set(figures) == {"convolved", "mlp", "linear", "boosting", "momentum"}
    assert np.isfinite(list(figures.values())).all()


def test_its_own_networks_are_compared_and_each_is_held_to_its_contract_before_any_is_fitted(
    checkout: Path, tmp_path: Path
) -> None:
    mine = load_strategy(wrote(tmp_path / "mine", checkout))
    (tmp_path / "of_another.py").write_text(STEPPED.format(steps=EACH_STEP), encoding="utf-8")
    prepare(mine)
    load([str(tmp_path / "of_another.py")])
    assert "stepped" in NETWORKS
    assert tuple(contestants(quick(mine))) == (*NETWORKS.own, "convolved")
    with pytest.raises(SettingsError, match=r"learning.network.*stepped"):
        contestants(mine, ["mlp", "stepped"])
    short = mine.model_copy(update={"learning": mine.learning.model_copy(update={"lookback": 2})})
    with pytest.raises(PluginError, match=r"network convolved\].*Kernel size"):
        contestants(short, ["mlp", "convolved"])


def test_a_network_that_reads_its_neighbours_is_refused_also_where_it_begins_at_nothing(tmp_path: Path) -> None:
    text = network_file("return self.head(windows[:, -1] - windows[:, -1].mean(dim=0)).squeeze(-1)")
    for residual in ("false", "true"):
        file = written(tmp_path / residual, mine=text)
        with pytest.raises(PluginError, match="without regard to the other rows"):
            prepare(naming(file, learning=f"{{network: mine, residual: {residual}}}"))


def test_a_network_that_cannot_take_the_strategys_own_features_is_refused_by_name(tmp_path: Path) -> None:
    takes = """return self.head(windows[:, -1]).squeeze(-1)

    def set_inputs(self, names, scaler):
        names.index('rsi_14')"""
    file = written(tmp_path, mine=network_file(takes))
    with pytest.raises(PluginError, match=r"network mine\].*ValueError: .*rsi_14|network mine\].*not in"):
        prepare(naming(file, learning="{network: mine}", features="{names: [log_return_1]}"))
    (tmp_path / "b").mkdir()
    prepare(
        naming(
            written(tmp_path / "b", mine=network_file(takes)), learning="{network: mine}", features="{names: [rsi_14]}"
        )
    )


@pytest.mark.parametrize(
    ("steps", "fault", "message"),
    [
        (EACH_STEP, None, ""),
        ("self.head(self.body(windows)[0])", PluginError, r"one logit a row and session.*found \(6, 5, 1\)"),
        ("self.head(self.body(windows)[0].flip(1).cumsum(1).flip(1)).squeeze(-1)", PluginError, "see no session after"),
        ("self.head(self.body(windows)[0]).squeeze(-1) + 1.0", PluginError, "whose last is the row's logit"),
        (None, SettingsError, r"key learning.dense_targets\] expected a network with an output at each step"),
    ],
    ids=["sound", "misshapen", "seeing what follows", "of another network", "none"],
)
@pytest.mark.parametrize("residual", [False, True])
def test_outputs_at_each_step_are_held_to_what_dense_targets_ask_of_them(
    checkout: Path, tmp_path: Path, steps: str | None, fault: type[Exception] | None, message: str, residual: bool
) -> None:
    file = wrote(
        tmp_path / "strategies",
        checkout,
        learning={"network": "stepped", "network_settings": {}, "dense_targets": True, "residual": residual},
    )
    text = STEPPED.format(steps=steps) if steps else STEPPED.replace("def steps", "def stages")
    (file.parent / "my_networks.py").write_text(text, encoding="utf-8")
    if fault is None:
        strategy = load_strategy(file)
        prepare(strategy)
        made = contestants(strategy, ["stepped", "gru", "mlp"])
        assert [one.learning.dense_targets for one in made.values()] == [True, True, False]
        return
    with pytest.raises(fault, match=message):
        prepare(load_strategy(file))
