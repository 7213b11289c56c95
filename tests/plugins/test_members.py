"""Members that a plug-in brought, held to what the package's own are held to."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from nn_assets.features.catalogue import CATALOGUE, Feature
from nn_assets.learning.networks import NETWORKS
from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import Panel
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.derived import member_roots
from nn_assets.plugins import load
from nn_assets.settings import LearningSettings
from nn_assets.settings.sections import NETWORKS_OF_ITS_OWN
from nn_assets.versions import definitions_behind, version_of
from tests.contracts.features import FeatureContract
from tests.contracts.networks import NetworkContract
from tests.learning.tiny import tiny_settings
from tests.plugins.texts import FEATURES, NETWORK


class TestFeatureOfAFile(FeatureContract):
    @pytest.fixture(params=["over_mean_10", "overnight_gap"])
    def entry(self, request: pytest.FixtureRequest, tmp_path: Path) -> Feature:
        (tmp_path / "mine.py").write_text(FEATURES)
        load([str(tmp_path / "mine.py")])
        return CATALOGUE[request.param]

    def expected(self, entry: Feature, panel: Panel, series: KnownSeries) -> np.ndarray:
        close, opened = pd.DataFrame(panel.close), pd.DataFrame(panel.open)
        both = {"over_mean_10": close / close.rolling(10).mean(), "overnight_gap": opened / close.shift(1)}
        return both[entry.name].to_numpy() - 1.0


class TestNetworkOfAFile(NetworkContract):
    @pytest.fixture
    def settings(self, tmp_path: Path) -> LearningSettings:
        (tmp_path / "mine.py").write_text(NETWORK)
        load([str(tmp_path / "mine.py")])
        return tiny_settings(network="shallow", network_settings={"width": 3})

    wide: ClassVar = {"network_settings": {"width": 64}}

    @pytest.fixture
    def most_weights(self) -> int:
        return (4 * 3 + 1) * 3 + 3 + 1


MADE = {
    "a method of an object": "register_feature('mine', reach_sessions=0)(Scaled({}).made)",
    "a function in another": "register_feature('mine', reach_sessions=0)(scaled({})(plain))",
    "a decorator called like a register": "@register_feature('mine', reach_sessions=0)\n@register_scaled({})\n"
    "def mine(panel, context):\n    return panel.close",
    "a branch at import": "FACTOR = 1\nif __name__ != '__main__':\n    FACTOR = {}\n"
    "@register_feature('mine', reach_sessions=0)\ndef mine(panel, context):\n    return FACTOR * panel.close",
}
BEFORE = """
import functools
from nn_assets.features.catalogue import register_feature

class Scaled:
    def __init__(self, factor):
        self.factor = factor
    def made(self, panel, context):
        return self.factor * panel.close

def plain(panel, context):
    return panel.close

def scaled(factor):
    def around(function):
        @functools.wraps(function)
        def within(panel, context):
            return factor * function(panel, context)
        return within
    return around

register_scaled = scaled
"""


@pytest.mark.parametrize("text", MADE.values(), ids=MADE)
def test_what_a_formula_is_made_with_is_part_of_its_version(tmp_path: Path, text: str) -> None:
    versions = set()
    for factor in (2, 3):
        file = tmp_path / "mine.py"
        file.write_text(BEFORE + text.format(factor))
        load([str(file)])
        versions.add(version_of(CATALOGUE["mine"].compute))
    assert len(versions) == 2


@pytest.mark.parametrize("name", ["table.csv", "data/table.csv", "My table.CSV"])
def test_a_table_beside_that_is_another_one_is_read_again_in_the_same_process(tmp_path: Path, name: str) -> None:
    *folder, last = name.split("/")
    way = "".join(f" / {part!r}" for part in (*folder, last))
    text = f"import pathlib\nTABLE = float((pathlib.Path(__file__).parent{way}).read_text())\n"
    (tmp_path / "mine.py").write_text(
        f"{text}from nn_assets.features.catalogue import register_feature\n"
        "@register_feature('mine', reach_sessions=0)\ndef mine(panel, context):\n    return TABLE * panel.close\n"
    )
    (tmp_path / name).parent.mkdir(exist_ok=True)
    results = []
    for factor in ("2", "3.5"):
        (tmp_path / name).write_text(factor)
        load([str(tmp_path / "mine.py")])
        compute = CATALOGUE["mine"].compute
        results.append((version_of(compute), compute.__globals__["TABLE"]))
    assert [value for _, value in results] == [2.0, 3.5]
    assert results[0][0] != results[1][0]


def test_a_strategy_depends_on_its_own_network_and_no_other() -> None:
    bundled = find_strategy("index_daily").strategy
    for name, root in NETWORKS_OF_ITS_OWN.items():
        build = NETWORKS[name].build
        assert root == f"{build.__module__}:{build.__name__}"
        own = {"image": "table"} if name == "candlestick" else {}  # of features that are no candles
        learning = bundled.learning.model_copy(update={"network": name, "network_settings": own})
        roots = member_roots(bundled.model_copy(update={"learning": learning}))
        behind = definitions_behind(*roots)
        assert {other for other in NETWORKS_OF_ITS_OWN.values() if other in behind} == {root}
    assert set(NETWORKS_OF_ITS_OWN) == set(NETWORKS.own)
