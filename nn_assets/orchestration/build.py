"""Everything Dagster is given: assets, checks, jobs, schedules, sensors and IO managers, by strategy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import dagster as dg

from nn_assets.errors import NnAssetsError, PluginError
from nn_assets.operations.catalog import find_strategy, for_each_strategy
from nn_assets.operations.names import SOME_ASSETS, full_name
from nn_assets.operations.wings import WINGS, Table, Wing
from nn_assets.orchestration.checks import stored_check
from nn_assets.orchestration.controls import kill_switch_job
from nn_assets.orchestration.io import CubeIOManager, MonthsIOManager
from nn_assets.orchestration.naming import STRATEGY_TAG, asset_key
from nn_assets.orchestration.outcomes import run_outcomes_sensor
from nn_assets.orchestration.progress import progress_logger
from nn_assets.orchestration.resources import STORES, StoresResource
from nn_assets.orchestration.schedules import schedule_of
from nn_assets.orchestration.sensors import failed_run_sensor, strategy_sensors
from nn_assets.orchestration.tables import table_asset
from nn_assets.plugins import load, names_of
from nn_assets.settings import Strategy


def job_name(strategy: Strategy, kind: str) -> str:
    """Name of one of a strategy's jobs."""
    return full_name(strategy.name, kind)


def strategy_definitions(strategy: Strategy, stores: StoresResource) -> dg.Definitions:
    """The assets, checks, jobs and schedules of a strategy's wings, and its sensors; every name is its own.

    Plug-ins run only where one of them registers a wing.

    Raises
    ------
    PluginError
        A plug-in cannot be run; its wing fails, or states what Dagster refuses, an asset of another strategy or
        without a version, or the name of what it has not: the other strategies are built without this one.
    """
    brought = names_of("wing", strategy.plugins)
    tops = [plugin.top for plugin in load(strategy.plugins)] if brought or brought is None else []
    try:
        definitions = _joined(strategy, stores, {name: WINGS[name]() for name in WINGS.offered(tops)})
        if tops:
            dg.Definitions.validate_loadable(dg.Definitions.merge(definitions, _resources(stores)))
    except Exception as error:  # whatever a person wrote
        if isinstance(error, NnAssetsError) or not tops:
            raise
        message = f"{type(error).__name__}: {error.__cause__ or error}"
        raise _refused(", ".join(WINGS.brought_by(tops)), "what Dagster takes", message) from error
    return definitions


def _joined(strategy: Strategy, stores: StoresResource, wings: Mapping[str, Wing]) -> dg.Definitions:
    with warnings.catch_warnings():
        # A range asked for in the UI must be one run: sessions are decided in order.
        warnings.filterwarnings("ignore", message="Parameter `backfill_policy`")
        assets = {
            name: [
                table_asset(strategy, asset) if isinstance(asset, Table) else asset for asset in wing.assets(strategy)
            ]
            for name, wing in wings.items()
        }
    present = {name: wing for name, wing in wings.items() if assets[name]}
    names = {name: _names(strategy, name, assets[name]) for name in present}
    every = {asset_name for own in names.values() for asset_name in own}
    for name, wing in present.items():
        if missing := {check.asset for check in wing.checks} - every:
            raise _refused(name, "checks of assets that are there", ", ".join(sorted(missing)))
    return dg.Definitions(
        assets=[asset for made in assets.values() for asset in made],
        asset_checks=[stored_check(strategy, check) for wing in present.values() for check in wing.checks],
        jobs=[
            dg.define_asset_job(
                job_name(strategy, name),
                selection=dg.AssetSelection.assets(*(asset_key(strategy, asset_name) for asset_name in chosen)),
                description=description,
                executor_def=dg.in_process_executor,
                tags={STRATEGY_TAG: strategy.name},
            )
            for name, (description, chosen) in _jobs(present, names).items()
        ],
        schedules=[
            schedule_of(strategy, stores, name, scheduled)
            for wing in present.values()
            for name, scheduled in wing.schedules.items()
        ],
        sensors=strategy_sensors(strategy, stores),
    )


def _names(strategy: Strategy, wing: str, assets: Sequence[dg.AssetsDefinition]) -> list[str]:
    """Names of a wing's assets without the strategy's; each belongs to the strategy and has a code version."""
    specs = [spec for asset in assets for spec in asset.specs]
    for spec in specs:
        if spec.key != asset_key(strategy, spec.key.path[-1]) or not spec.code_version:
            text = f"{'/'.join(spec.key.path)}, of version {spec.code_version}"
            raise _refused(wing, f"assets {strategy.name}/NAME with a code_version", text)
    return [spec.key.path[-1] for spec in specs]


def _jobs(wings: Mapping[str, Wing], names: Mapping[str, list[str]]) -> dict[str, tuple[str, list[str]]]:
    """The description and the asset names of each job, over all wings that contribute to it."""
    parts = [(wing, job) for wing, contents in wings.items() for job in contents.jobs]
    descriptions = {job.name: job.description for _, job in reversed(parts) if job.description}
    own: dict[str, list[str]] = {name: [] for name in descriptions}
    for wing, job in parts:
        if (
            job.name == SOME_ASSETS
            or job.description not in ("", descriptions.get(job.name))
            or not {*job.takes} <= {*descriptions}
        ):
            raise _refused(wing, f"jobs of names that are not taken, taking {', '.join(descriptions)}", str(job))
        if job.name not in descriptions:
            raise _refused(wing, "jobs that are described by one wing", str(job))
        own[job.name] += names[wing] if job.assets is None else job.assets
    taken = {name: [other for _, job in parts if job.name == name for other in job.takes] for name in descriptions}
    return {
        name: (descriptions[name], [*own[name], *(asset_name for other in taken[name] for asset_name in own[other])])
        for name in descriptions
    }


def _refused(wing: str, expected: str, found: str) -> PluginError:
    return PluginError(
        expected=f"of the wing {wing} {expected}", found=found, remedy="mend what it states", key="plugins", wing=wing
    )


def _resources(stores: StoresResource) -> dg.Definitions:
    return dg.Definitions(
        resources={
            STORES: stores,
            "cube_io": CubeIOManager(stores=stores),
            "months_io": MonthsIOManager(stores=stores),
        }
    )


def all_definitions(stores: StoresResource | None = None, only: str | None = None) -> dg.Definitions:
    """Every strategy of this installation of which definitions can be made, and what they share.

    Parameters
    ----------
    stores : StoresResource, optional
        Where lake, ledger and models are; those of the home when left out.
    only : str, optional
        The one strategy that is needed, as a run without the UI needs it; the others are not built.
    """
    opened = StoresResource() if stores is None else stores
    shared = (
        _resources(opened),
        dg.Definitions(
            jobs=[kill_switch_job(opened)],
            sensors=[failed_run_sensor(opened), run_outcomes_sensor(opened)],
            loggers={"console": progress_logger},
        ),
    )
    if only is not None:
        return dg.Definitions.merge(strategy_definitions(find_strategy(only).strategy, opened), *shared)
    return dg.Definitions.merge(*for_each_strategy(lambda strategy: strategy_definitions(strategy, opened)), *shared)
