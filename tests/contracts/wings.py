"""What every asset wing is held to, whoever brought it: a new one brings a home in which its assets were made."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.wings import WINGS, Table, Wing
from nn_assets.orchestration.build import all_definitions
from nn_assets.orchestration.instance import open_instance
from nn_assets.orchestration.naming import asset_key
from nn_assets.settings import Strategy
from tests.orchestration.conftest import NAME


class WingContract:
    """A member gives ``name``, its wing's, and ``home``: lived in, its assets made there through Dagster."""

    name: str
    strategy_name = NAME

    @pytest.fixture
    def home(self) -> Path:
        raise NotImplementedError

    @pytest.fixture
    def strategy(self, home: Path) -> Strategy:
        return find_strategy(self.strategy_name).strategy

    @pytest.fixture
    def definitions(self, strategy: Strategy) -> dg.Definitions:
        return all_definitions(only=strategy.name)

    @pytest.fixture
    def wing(self, definitions: dg.Definitions) -> Wing:
        return WINGS[self.name]()

    @staticmethod
    def keys(wing: Wing, strategy: Strategy) -> list[dg.AssetKey]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Parameter `backfill_policy`")
            assets = list(wing.assets(strategy))
        made = [[asset_key(strategy, asset.name)] if isinstance(asset, Table) else asset.keys for asset in assets]
        return [key for keys in made for key in keys]

    def test_its_assets_are_the_strategys_own_each_once_with_a_version_and_a_sentence(
        self, wing: Wing, strategy: Strategy, definitions: dg.Definitions
    ) -> None:
        graph = definitions.resolve_asset_graph()
        keys = self.keys(wing, strategy)
        assert keys
        assert max(Counter(keys).values()) == 1
        for key in keys:
            node = graph.get(key)
            assert key.path[0] == strategy.name
            assert len(node.code_version or "") == 16
            assert len(node.description or "") > 40
        for check in wing.checks:
            assert graph.get_check_spec(dg.AssetCheckKey(asset_key(strategy, check.asset), check.name)).description
            assert check.remedy

    def test_its_definitions_load_and_its_jobs_and_schedules_find_what_they_name(
        self, wing: Wing, strategy: Strategy, definitions: dg.Definitions
    ) -> None:
        dg.Definitions.validate_loadable(definitions)
        repository = definitions.get_repository_def()
        own = {key.path[-1] for key in self.keys(wing, strategy)}
        for job in wing.jobs:
            made = definitions.resolve_job_def(f"{strategy.name}__{job.name}")
            selected = {key.path[-1] for key in made.asset_layer.selected_asset_keys}
            assert set(own if job.assets is None else job.assets) <= selected
        for name, scheduled in wing.schedules.items():
            schedule = repository.get_schedule_def(f"{strategy.name}__{name}")
            assert schedule.job_name == f"{strategy.name}__{scheduled.job}"
            assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED

    def test_its_assets_are_made_in_process(self, wing: Wing, strategy: Strategy) -> None:
        with open_instance() as instance:
            missing = [
                key for key in self.keys(wing, strategy) if instance.get_latest_materialization_event(key) is None
            ]
        assert missing == []
