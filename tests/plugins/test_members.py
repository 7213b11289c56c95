"""Members that a plug-in brought, held to what the package's own are held to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.features.catalogue import CATALOGUE, Feature
from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import Panel
from nn_assets.plugins import load
from nn_assets.settings import LearningSettings
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
