"""Runs without the UI, through Dagster all the same: materialisations in the persisted instance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg
import pandas as pd

from nn_assets.errors import DecisionError, RunFailed, SettingsError
from nn_assets.market.sessions import is_session
from nn_assets.orchestration.build import all_definitions, job_name
from nn_assets.orchestration.catalog import find_strategy
from nn_assets.orchestration.instance import open_instance
from nn_assets.orchestration.months.study import latest_study
from nn_assets.orchestration.naming import REFIT_TAG, STRATEGY_TAG, asset_key, effective_strategy
from nn_assets.orchestration.partitions import first_model_month, month_partitions
from nn_assets.orchestration.workplace import FORECASTS, Workplace, open_workplace
from nn_assets.settings import Strategy

__all__ = ["execute", "materialise", "missing_months", "run_round", "run_study"]

# Names the progress logger: without it Dagster prints every event.
_RUN_CONFIG: dict[str, Any] = {"loggers": {"console": {"config": {}}}}
_MOST_NAMED = 12
_RANGE_START, _RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def materialise(
    strategy: Strategy,
    kind: str,
    *,
    first: str | None = None,
    last: str | None = None,
    tags: dict[str, str] | None = None,
) -> str:
    """Execute one of a strategy's jobs as ``execute`` does; the run's id."""
    return str(execute(strategy, kind, first=first, last=last, tags=tags).run_id)


def execute(
    strategy: Strategy,
    kind: str,
    *,
    first: str | None = None,
    last: str | None = None,
    tags: dict[str, str] | None = None,
    assets: tuple[str, ...] = (),
) -> dg.ExecuteInProcessResult:
    """Execute one of a strategy's jobs in this process, in the persisted instance.

    Parameters
    ----------
    kind : str
        One of ``orchestration.build.JOBS``.
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
    """
    job = all_definitions().resolve_job_def(job_name(strategy, kind))
    all_tags = {STRATEGY_TAG: strategy.name, **(tags or {})}
    key = first if first == last else None
    if first is not None and key is None:
        all_tags |= {_RANGE_START: first, _RANGE_END: str(last)}
    with open_instance() as instance:
        result = job.execute_in_process(
            run_config=_RUN_CONFIG,
            instance=instance,
            partition_key=key,
            tags=all_tags,
            raise_on_error=False,
            asset_selection=[asset_key(strategy, name) for name in assets] or None,
        )
        if not result.success:
            raise _explained(result, job_name(strategy, kind))
        return result


def _explained(result: dg.ExecuteInProcessResult, job: str) -> RunFailed:
    failures = [event for event in result.all_events if event.is_step_failure]
    for event in failures:
        error = event.step_failure_data.error
        if error is not None and error.cause is not None:
            error = error.cause  # Dagster wraps what the step raised
        failure = event.step_failure_data.user_failure_data
        message = (failure.description if failure else None) or (error.message if error else "")
        told, _, remedy = str(message).strip().removeprefix("nn_assets.errors.").partition(". Remedy: ")
        return RunFailed(
            expected=f"job {job} to succeed",
            found=f"step {event.step_key} failed: {told}",
            remedy=f"{remedy.rstrip('.') or 'mend what it names'}; then run again: what was finished is kept",
            run=result.run_id,
        )
    return RunFailed(
        expected=f"job {job} to succeed",
        found="a failure before its first step",
        remedy="open the run in the UI (make ui)",
        run=result.run_id,
    )


# --- commands ------------------------------------------------------------------------------------------------


def run_round(name: str, session: str | None) -> dict[str, Any]:
    """Run the daily round of one session: the one named, or the last that is closed."""
    strategy = find_strategy(name).strategy
    with open_workplace(strategy) as workplace:
        day = workplace.last_session if session is None else _session(strategy, session)
        if day > workplace.last_session:
            raise DecisionError(
                expected=f"a session up to {workplace.last_session.date()}, the last that may be seen",
                found=str(day.date()),
                remedy="wait for its close; what lies in the vault stays sealed",
                session=day.date(),
            )
        if day < workplace.first_live_session:
            raise DecisionError(
                expected=f"a session from {workplace.first_live_session.date()} on, the first live one",
                found=str(day.date()),
                remedy="set market.live_starts earlier to replay as if live",
                session=day.date(),
            )
    key = str(day.date())
    run_id = materialise(strategy, "daily", first=key, last=key)
    with open_workplace(strategy) as workplace:
        state = workplace.ledger.read("portfolio_states", strategy.name, day, day).iloc[0]
        targets = workplace.ledger.read("target_positions", strategy.name, day, day)
        trading = workplace.ledger.read("trading_states", strategy.name, day, day).iloc[0]
    positions = {
        str(row.symbol): {"target_quantity": row.target_quantity, "target_weight": row.target_weight}
        for row in targets.itertuples()
    }
    held = sum(1 for each in positions.values() if each["target_quantity"])
    return {
        "strategy": strategy.name,
        "session": key,
        "run_id": run_id,
        "equity_usd": float(state["equity_usd"]),
        "trading_state": str(trading["state"]),
        "targets": positions,
        "text": f"{strategy.name} {key}: equity {state['equity_usd']:,.0f} USD, {held} positions to hold next, "
        f"trading state {trading['state']}",
    }


def _session(strategy: Strategy, text: str) -> pd.Timestamp:
    day = pd.to_datetime(text, format="%Y-%m-%d", errors="coerce")
    if pd.isna(day) or not is_session(strategy.market.calendar, day):
        raise SettingsError(
            expected=f"a session of {strategy.market.calendar} as YYYY-MM-DD",
            found=repr(text),
            remedy="name a day on which the market trades",
            key="--session",
        )
    return day


def run_study(
    name: str,
    first: str | None,
    last: str | None,
    refit_every: int | None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Run the walk-forward study over a range of months, all of history when none is named.

    ``say`` is told, before the study begins, which months before those asked for must be run too.
    """
    strategy = find_strategy(name).strategy
    with open_workplace(strategy) as workplace:
        newest = workplace.last_session.strftime("%Y-%m")
    earliest = first_model_month(strategy)
    low, high = _month(strategy, first or earliest, earliest), _month(strategy, last or newest, newest)
    if low > high:
        raise SettingsError(
            expected="a first month that does not lie after the last",
            found=f"{low} to {high}",
            remedy="swap the two",
            key="--from / --to",
        )
    tags = {} if refit_every is None else {REFIT_TAG: str(refit_every)}
    with open_workplace(strategy) as workplace:
        # A study stands on the whole record before it: months that are not there yet are run too.
        earlier = missing_months(workplace, low)
    if earlier:
        again = len(pd.period_range(earlier[0], low, freq="M")) - 1
        say(
            f"{strategy.name}: a study stands on every month before it; {_listed(earlier)} "
            f"had no forecasts yet, so {_months(again)} from {earlier[0]} on run before {low}"
        )
        low = earlier[0]
    run_id = materialise(strategy, "study", first=f"{low}-01", last=f"{high}-01", tags=tags)
    with open_workplace(effective_strategy(strategy, tags)) as workplace:
        study = latest_study(workplace, str(pd.Period(high, "M") + 1))
    assert study is not None, "the study was just recorded"
    return {
        "strategy": strategy.name,
        "from": low,
        "to": high,
        "run_id": run_id,
        "verdict": str(study["verdict"]),
        "figures": study["figures"],
        "text": f"{strategy.name} {low} to {high}: {study['verdict']}. {study['figures']['reason']}",
    }


def _listed(months: list[str]) -> str:
    """How many months, and which: all of a few, the first and the last of many."""
    named = months if len(months) <= _MOST_NAMED else [*months[:2], "...", months[-1]]
    return f"{_months(len(months))} ({', '.join(named)})"


def _months(count: int) -> str:
    return f"{count} month{'s' * (count != 1)}"


def missing_months(workplace: Workplace, before: str) -> list[str]:
    """Months of the record before a month that have no forecasts yet."""
    first = first_model_month(workplace.strategy)
    there = set(workplace.lake.months(workplace.strategy.name, FORECASTS))
    months = [str(month) for month in pd.period_range(first, before, freq="M")]
    return [month for month in months if month < before and month not in there]


def _month(strategy: Strategy, text: str | None, default: str) -> str:
    if text is None:
        return default
    keys = month_partitions(strategy).get_partition_keys()
    if not keys:
        raise SettingsError(
            expected=f"history beyond {first_model_month(strategy)}, the first month that a model can be trained for",
            found=f"history from {strategy.market.history_starts} to {strategy.market.history_ends or 'today'}",
            remedy="bring a longer history, or shorten walk_forward.training_months",
            key="market.history_starts",
        )
    try:
        month = str(pd.Period(text, "M"))
    except ValueError:
        month = ""
    if f"{month}-01" not in keys:
        raise SettingsError(
            expected=f"a month from {keys[0][:7]} to {keys[-1][:7]}",
            found=repr(text),
            remedy="name a month as YYYY-MM that the strategy's history can train for",
            key="--from / --to",
        )
    return month
