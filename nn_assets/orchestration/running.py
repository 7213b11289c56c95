"""Runs without the UI, through Dagster all the same: materialisations in the persisted instance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import dagster as dg
from dagster._core.execution.plan.objects import ErrorSource

from nn_assets.operations.clock import now_utc
from nn_assets.operations.failures import run_failed
from nn_assets.operations.outcomes import Run
from nn_assets.orchestration.build import all_definitions, job_name
from nn_assets.orchestration.instance import open_instance
from nn_assets.orchestration.naming import RANGE_TAGS, STRATEGY_TAG, asset_key
from nn_assets.orchestration.outcomes import (
    failed_checks_of,
    failure_of,
    free_of_lost_runs,
    recording_run,
)
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy
from nn_assets.store.room import keep_reserve

# Names the progress logger: without it Dagster prints every event.
_RUN_CONFIG: dict[str, Any] = {"loggers": {"console": {"config": {}}}}


def execute(
    strategy: Strategy,
    kind: str,
    *,
    first: str | None = None,
    last: str | None = None,
    tags: dict[str, str] | None = None,
    assets: tuple[str, ...] = (),
) -> dg.ExecuteInProcessResult:
    """Execute one of a strategy's jobs in this process, in the persisted instance; runs lost before are closed first.

    Parameters
    ----------
    kind : str
        One of ``operations.names.JOBS``.
    first, last : str, optional
        Partition keys; equal ones for a single partition, none for an unpartitioned job.
    tags : dict, optional
        Further run tags.
    assets : tuple of str, optional
        Those of the job's assets to materialise; all when none is named.

    Raises
    ------
    RunFailed
        A step failed; says which and why, and where to look.
    KeyboardInterrupt
        It was interrupted, which is on record.
    """
    result = attempt(strategy, kind, first=first, last=last, tags=tags, assets=assets)
    require_success(strategy, kind, result)
    return result


def attempt(
    strategy: Strategy,
    kind: str,
    *,
    first: str | None = None,
    last: str | None = None,
    tags: dict[str, str] | None = None,
    assets: tuple[str, ...] = (),
) -> dg.ExecuteInProcessResult:
    """Execute a job as :func:`execute` does, and give the result of a run that failed too."""
    job = all_definitions(only=strategy.name).resolve_job_def(job_name(strategy, kind))
    all_tags = {STRATEGY_TAG: strategy.name, **(tags or {})}
    key = first if first == last else None
    if first is not None and key is None:
        all_tags |= dict(zip(RANGE_TAGS, (first, str(last)), strict=True))
    run = Run(str(uuid4()), strategy.name, kind, first, last, now_utc().floor("us"))
    stores = StoresResource()
    keep_reserve()
    with open_instance() as instance:
        free_of_lost_runs(instance, stores)  # before this start is on record: an alert says what they left
        with recording_run(stores, run) as tell:
            _cancelled_by_an_interrupt(instance, run.run_id)
            result = job.execute_in_process(
                run_id=run.run_id,
                run_config=_RUN_CONFIG,
                instance=instance,
                partition_key=key,
                tags=all_tags,
                raise_on_error=False,
                asset_selection=[asset_key(strategy, name) for name in assets] or None,
            )
            tell(result)
    return result


def require_success(strategy: Strategy, kind: str, result: dg.ExecuteInProcessResult) -> None:
    """Raise the error of a run that failed or was interrupted; see :func:`execute`."""
    if result.success:
        return
    failure = failure_of(result.all_events)
    if failure is not None and failure.was_interrupted:
        raise KeyboardInterrupt
    raise run_failed(job_name(strategy, kind), result.run_id, failure, failed_checks_of(result.all_events))


def _cancelled_by_an_interrupt(instance: dg.DagsterInstance, run_id: str) -> None:
    """Let Dagster end a run as cancelled where a person interrupts a step; of itself it calls that a failure."""

    def listen(entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None or not event.is_step_failure:
            return
        run = instance.get_run_by_id(run_id)
        if run is not None and event.step_failure_data.error_source is ErrorSource.INTERRUPT:
            instance.report_run_canceling(run, "Interrupted.")

    instance.add_event_listener(run_id, listen)


def metadata_by_asset(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """The metadata of each asset of a run, by name; of several partitions, of the last."""
    return dict(materialized_metadata(result))


def materialized_metadata(result: dg.ExecuteInProcessResult) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each time that an asset of a run said something of itself, its name and what it said, in order."""
    for event in result.all_events:
        if event.is_step_materialization:
            materialization = event.step_materialization_data.materialization
            yield (
                materialization.asset_key.path[-1],
                {name: value.value for name, value in materialization.metadata.items()},
            )


def seconds_by_asset(result: dg.ExecuteInProcessResult) -> dict[str, float]:
    """How long each step of a run took, by the name of its asset without the strategy's."""
    return {
        str(event.step_key).split("__", maxsplit=1)[-1]: event.step_success_data.duration_ms / 1000.0
        for event in result.all_events
        if event.is_step_success
    }


def warnings_of(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> list[str]:
    """The checks of an asset that only warn and did not pass in a run, a line each: name and what it says."""
    failed = [
        evaluation
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.asset_key == key and not evaluation.passed
    ]
    warned = [evaluation for evaluation in failed if evaluation.severity is dg.AssetCheckSeverity.WARN]
    return [f"{evaluation.check_name}: {evaluation.description}" for evaluation in warned]
