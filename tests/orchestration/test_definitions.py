"""What Dagster is given, as literals: a change in keys, groups, checks, jobs or schedules is seen in review."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import dagster as dg
import pytest

from nn_assets.errors import SettingsError
from nn_assets.operations.catalog import load_strategies
from nn_assets.orchestration.build import all_definitions, strategy_definitions
from nn_assets.orchestration.resources import StoresResource
from tests.orchestration.conftest import living_in, write_strategy

BUNDLED = ("index_daily", "planted_edge")

ROOMS = {
    "market": {"raw_bars", "validated_bars"},
    "features": {"features", "stationarity", "selected_features"},
    "learning": {"trained_model", "forecasts"},
    "evaluation": {"walk_forward_study", "model_evaluation"},
    "daily": {
        "fills",
        "portfolio_state",
        "daily_signals",
        "target_positions",
        "orders",
        "drift_report",
        "daily_report",
    },
    "costs": {"cost_model"},
    "oversight": {"capacity_report"},
}

EDGES = {
    "raw_bars": set(),
    "validated_bars": {"raw_bars"},
    "features": {"validated_bars"},
    "stationarity": {"features"},
    "selected_features": {"features", "stationarity"},
    "trained_model": {"features", "stationarity", "selected_features"},
    "forecasts": {"features", "trained_model"},
    "walk_forward_study": {"features", "trained_model", "forecasts"},
    "model_evaluation": {"walk_forward_study"},
    "fills": {"features", "trained_model", "forecasts"},
    "portfolio_state": {"fills"},
    "daily_signals": {"features", "trained_model", "forecasts", "portfolio_state"},
    "target_positions": {"daily_signals"},
    "orders": {"target_positions"},
    "drift_report": {"daily_signals"},
    "daily_report": {"orders", "drift_report"},
    "cost_model": set(),
    "capacity_report": {"walk_forward_study"},
}

PARTITIONED = {
    "months": ROOMS["learning"] | ROOMS["evaluation"] | {"stationarity", "selected_features"},
    "sessions": ROOMS["daily"],
}

BLOCKING = {"schema", "quarantined_share", "missing_symbols", "missing_sessions", "freshness", "stale_feed"}
BLOCKING |= {"copied_session"}

CHECKS = {
    "validated_bars": BLOCKING
    | {"repeated_open", "unexplained_jump", "possible_split", "unexplained_factor", "displaced_bar"}
    | {"usual_volume", "complete_symbols", "fresh_symbols", "usual_distribution"},
    "features": {"no_look_ahead", "features_have_values"},
    "stationarity": {"kpss_confirms"},
    "walk_forward_study": {"no_leak_alarm"},
    "daily_signals": {"study_and_live_agree"},
    "target_positions": {"trace_ends_at_the_target", "targets_keep_gross_and_net", "backtest_rederives_decisions"},
    "orders": {"ledger_is_intact", "no_order_without_reference"},
    "cost_model": {"paper_fills_recover_the_coefficients"},
}

JOBS = ("capacity", "costs", "daily", "study", "tables")

SCHEDULES = {
    "cost_recalibration": ("30 6 1 * *", "costs"),
    "daily_round": ("45 16 * * *", "daily"),
    "monthly_retraining": ("0 6 1 * *", "study"),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh home: only the strategies that come with the package."""
    folder = tmp_path_factory.mktemp("bundled")
    with living_in(folder):
        yield folder


@pytest.fixture(scope="module")
def definitions(home: Path) -> dg.Definitions:
    return all_definitions()


def names_by_strategy(keys: Iterator[dg.AssetKey]) -> dict[str, set[str]]:
    names: dict[str, set[str]] = {}
    for key in keys:
        strategy, name = key.path
        names.setdefault(strategy, set()).add(name)
    return names


def test_every_definition_loads_and_resolves(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


def test_the_assets_are_these(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    names = names_by_strategy(iter(graph.get_all_asset_keys()))
    assert names == {strategy: set(EDGES) for strategy in BUNDLED}


@pytest.mark.parametrize("strategy", BUNDLED)
def test_a_strategy_is_a_group_by_its_name_and_tags_say_the_room(definitions: dg.Definitions, strategy: str) -> None:
    graph = definitions.resolve_asset_graph()
    for room, names in ROOMS.items():
        nodes = [graph.get(dg.AssetKey([strategy, name])) for name in names]
        assert {node.group_name for node in nodes} == {strategy}
        assert {node.tags["nn_assets/room"] for node in nodes} == {room}


@pytest.mark.parametrize("strategy", BUNDLED)
def test_the_edges_stay_within_the_strategy_and_never_point_back(definitions: dg.Definitions, strategy: str) -> None:
    graph = definitions.resolve_asset_graph()
    for name, upstream in EDGES.items():
        parents = {tuple(key.path) for key in graph.get(dg.AssetKey([strategy, name])).parent_keys}
        assert parents == {(strategy, asset) for asset in upstream}, name


@pytest.mark.parametrize("strategy", BUNDLED)
def test_tables_months_and_sessions_are_partitioned_as_such(definitions: dg.Definitions, strategy: str) -> None:
    graph = definitions.resolve_asset_graph()
    for name in EDGES:
        partitions = graph.get(dg.AssetKey([strategy, name])).partitions_def
        if name in PARTITIONED["months"]:
            assert isinstance(partitions, dg.MonthlyPartitionsDefinition), name
        elif name in PARTITIONED["sessions"]:
            assert isinstance(partitions, dg.DailyPartitionsDefinition), name
        else:
            assert partitions is None, name


def test_every_asset_says_what_it_is_and_whose(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert len(node.description or "") > 40, key
        assert node.owners == ["team:quants"], key
        assert node.group_name != "default", key
        assert len(node.code_version or "") == 16, key
        assert node.tags["nn_assets/strategy"] == key.path[0], key


def test_the_checks_are_these_and_each_says_its_property(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    checks: dict[str, set[str]] = {}
    for key in graph.asset_check_keys:
        checks.setdefault("/".join(key.asset_key.path), set()).add(key.name)
        assert graph.get_check_spec(key).description, key
    assert checks == {f"{strategy}/{asset}": names for strategy in BUNDLED for asset, names in CHECKS.items()}


def test_only_the_gates_own_checks_block(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    blocking = {
        strategy: {
            key.name
            for key in graph.asset_check_keys
            if key.asset_key.path[0] == strategy and graph.get_check_spec(key).blocking
        }
        for strategy in BUNDLED
    }
    # The simulated market is traded at the open, the indexes at the close.
    assert blocking == {"index_daily": BLOCKING, "planted_edge": BLOCKING | {"repeated_open"}}


def test_the_jobs_are_these(definitions: dg.Definitions) -> None:
    named = {name for name in definitions.get_repository_def().job_names if not name.startswith("__")}
    assert named == {"kill_switch", *(f"{strategy}__{kind}" for strategy in BUNDLED for kind in JOBS)}


@pytest.mark.parametrize("strategy", BUNDLED)
def test_a_days_run_takes_the_tables_along_and_no_month(definitions: dg.Definitions, strategy: str) -> None:
    def chosen(kind: str) -> set[str]:
        job = definitions.resolve_job_def(f"{strategy}__{kind}")
        return {key.path[1] for key in job.asset_layer.selected_asset_keys}

    tables = {"raw_bars", "validated_bars", "features"}
    assert chosen("tables") == tables
    assert chosen("study") == tables | PARTITIONED["months"]
    assert chosen("daily") == tables | PARTITIONED["sessions"]
    assert chosen("costs") == {"cost_model"}


def test_the_schedules_are_these_in_the_exchanges_timezone_and_off(definitions: dg.Definitions) -> None:
    schedules = {definition.name: definition for definition in definitions.get_repository_def().schedule_defs}
    assert set(schedules) == {f"{strategy}__{kind}" for strategy in BUNDLED for kind in SCHEDULES}
    for strategy in BUNDLED:
        for kind, (cron, job) in SCHEDULES.items():
            schedule = schedules[f"{strategy}__{kind}"]
            assert (schedule.cron_schedule, schedule.job_name) == (cron, f"{strategy}__{job}")
            assert schedule.execution_timezone == "America/New_York"
            assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED


def test_the_sensors_are_these(definitions: dg.Definitions) -> None:
    sensors = {definition.name: definition for definition in definitions.get_repository_def().sensor_defs}
    always_on = {"failed_run_alert", "run_outcomes"}
    assert set(sensors) == {*always_on, *(f"{strategy}__drift_refresh" for strategy in BUNDLED)}
    assert all(sensors[name].default_status is dg.DefaultSensorStatus.RUNNING for name in always_on)
    for strategy in BUNDLED:
        sensor = sensors[f"{strategy}__drift_refresh"]
        assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
        assert [target.job_name for target in sensor.targets] == [f"{strategy}__study"]


def test_no_two_strategies_share_a_name(home: Path) -> None:
    def ops(definitions: dg.Definitions) -> set[str]:
        return {asset.node_def.name for asset in definitions.assets or [] if isinstance(asset, dg.AssetsDefinition)}

    by_strategy = [ops(strategy_definitions(entry.strategy, StoresResource())) for entry in load_strategies()]
    assert all(len(names) == 12 for names in by_strategy)
    for one, other in combinations(by_strategy, 2):
        assert not one & other


def test_a_strategy_in_the_home_is_found_beside_the_bundled_ones(tmp_path: Path) -> None:
    with living_in(tmp_path):
        write_strategy(tmp_path)
        names = names_by_strategy(iter(all_definitions().resolve_asset_graph().get_all_asset_keys()))
    assert names == {strategy: set(EDGES) for strategy in (*BUNDLED, "tiny")}


def test_two_files_that_name_one_strategy_are_refused_with_both_and_the_others_built(tmp_path: Path) -> None:
    with living_in(tmp_path):
        first = write_strategy(tmp_path)
        first.with_name("another.yaml").write_text(first.read_text())
        with pytest.raises(SettingsError, match=r"'tiny' in .*another\.yaml and in .*tiny\.yaml"):
            all_definitions(only="tiny")
        jobs = {job.name for job in all_definitions().jobs or ()}
    assert "index_daily__daily" in jobs
    assert "tiny__daily" not in jobs
