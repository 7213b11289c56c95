"""The day's assets: one step that plays its sessions in order, one ledger transaction each."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from nn_assets.operations.asked import asked_sessions
from nn_assets.operations.clock import round_cron
from nn_assets.operations.days import play_days
from nn_assets.operations.decisions.round_checks import ROUND_CHECKS, check_sessions
from nn_assets.operations.decisions.rounds import DecidedSession
from nn_assets.operations.decisions.stored_checks import (
    BACKTEST_REDERIVES,
    LEDGER_IS_INTACT,
    STUDY_AND_LIVE_AGREE,
)
from nn_assets.operations.due import daily_round_due
from nn_assets.operations.names import DAILY, DAILY_ROUND, TABLES, full_name
from nn_assets.operations.wings import Job, Scheduled, Wing
from nn_assets.orchestration.metadata import check_result, shown
from nn_assets.orchestration.naming import asset_key, described
from nn_assets.orchestration.partitions import session_partitions
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy

ROUND_ASSETS = {
    "fills": "Fills of the orders decided the session before, priced on this session's bar, and stops hit.",
    "portfolio_state": "Cash, positions, peaks and breakers after the fills, at the close.",
    "daily_signals": "Direction, calibrated probability, expected return and confidence. Says nothing of size.",
    "target_positions": "Positions to hold next, with what each of the eight steps did to the size.",
    "orders": "Orders that bring the book to the target, each passed or denied by the pre-trade gate.",
    "drift_report": "Drift of forecasts and features, the severity score, and the trading state for the next session.",
    "daily_report": "The session's page: decisions, reasons, fills, drift, provenance.",
}
_UPSTREAM = {
    "fills": (),
    "portfolio_state": ("fills",),
    "daily_signals": ("portfolio_state",),
    "target_positions": ("daily_signals",),
    "orders": ("target_positions",),
    "drift_report": ("daily_signals",),
    "daily_report": ("orders", "drift_report"),
}
_OUTSIDE = ("features", "trained_model", "forecasts")


def _assets(strategy: Strategy) -> list[dg.AssetsDefinition]:
    """The daily round as one multi-asset, partitioned by session; none where decisions fall within the session."""
    if strategy.decisions is not None:
        return []
    keys = {name: asset_key(strategy, name) for name in ROUND_ASSETS}
    outside = {asset_key(strategy, name) for name in _OUTSIDE}
    specs = []
    for name, description in ROUND_ASSETS.items():
        attributes = described(
            strategy,
            name,
            "daily",
            {"sql" if name != "daily_report" else "html"},
            play_days,
            "nn_assets.execution.registry:BROKERS",
            "nn_assets.features.labels:LABELS",
        )
        inside = {keys[upstream] for upstream in _UPSTREAM[name]}
        deps = [*inside, *(outside if name in ("fills", "daily_signals") else ())]
        specs.append(dg.AssetSpec(**attributes, description=description, deps=deps))

    @dg.multi_asset(
        name=full_name(strategy.name, DAILY_ROUND),
        specs=specs,
        partitions_def=session_partitions(strategy),
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[
            dg.AssetCheckSpec(name=name, asset=keys[check.asset], description=check.demand)
            for name, check in ROUND_CHECKS.items()
        ],
    )
    def daily_round(context: dg.AssetExecutionContext, stores: StoresResource) -> Iterator[Any]:
        sessions = asked_sessions(strategy.market, context.partition_keys)
        decided: list[DecidedSession] = []
        with stores.history(strategy) as history, history.stores.alone(strategy.name):
            for decided_session, metadata in play_days(history, sessions, context.run.run_id, context.log):
                decided.append(decided_session)
                partition = str(decided_session.round.session.date())
                for name, figures in metadata.items():
                    context.add_asset_metadata(shown(figures), asset_key=keys[name], partition_key=partition)
        for key in keys.values():
            yield dg.MaterializeResult(asset_key=key)
        for judged in check_sessions(decided, strategy.portfolio):
            yield check_result(judged, keys[judged.asset])

    return [daily_round]


WING = Wing(
    _assets,
    checks=(STUDY_AND_LIVE_AGREE, BACKTEST_REDERIVES, LEDGER_IS_INTACT),
    jobs=(
        Job(
            DAILY,
            "Tables, then the daily round of a session or of a range of sessions in order.",
            takes=(TABLES,),
        ),
    ),
    schedules={DAILY_ROUND: Scheduled(DAILY, round_cron, daily_round_due)},
)
