"""The day's assets: one step that plays its sessions in order, one ledger transaction each."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd

from nn_assets.operations.clock import asked_sessions
from nn_assets.operations.decisions.fired import (
    alert_of_assumed_funding,
    alert_of_breakers,
    alert_of_unquoted,
)
from nn_assets.operations.decisions.intact_ledger import on_intact_ledger
from nn_assets.operations.decisions.round_checks import check_sessions
from nn_assets.operations.decisions.rounds import DecidedSession, decide_session
from nn_assets.operations.fingerprint import code_of
from nn_assets.operations.history import History
from nn_assets.operations.names import DAILY_ROUND, full_name
from nn_assets.operations.reporting import bound_by, write_daily_page
from nn_assets.orchestration.metadata import image, table
from nn_assets.orchestration.naming import asset_key, described, judged
from nn_assets.orchestration.partitions import session_partitions
from nn_assets.orchestration.resources import StoresResource
from nn_assets.reports.plots import drift_statistics
from nn_assets.reports.tables import sized_positions, why_frame
from nn_assets.settings import PortfolioSettings, Strategy
from nn_assets.store.home import page_address

__all__ = ["DAILY", "daily_assets"]

DAILY = {
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
_BROKEN = "a decision broke its own rules: nn-assets control kill-switch HALTED, then report it with the session's page"


def daily_assets(strategy: Strategy) -> list[dg.AssetsDefinition]:
    """The daily round of a strategy as one multi-asset, partitioned by session."""
    version = code_of()
    keys = {name: asset_key(strategy, name) for name in DAILY}
    outside = {asset_key(strategy, name) for name in _OUTSIDE}
    specs = []
    for name, description in DAILY.items():
        stated = described(strategy, name, "daily", version, {"sql" if name != "daily_report" else "html"})
        inside = {keys[each] for each in _UPSTREAM[name]}
        deps = [*inside, *(outside if name in ("fills", "daily_signals") else ())]
        specs.append(dg.AssetSpec(**stated, description=description, deps=deps))

    @dg.multi_asset(
        name=full_name(strategy.name, DAILY_ROUND),
        specs=specs,
        partitions_def=session_partitions(strategy),
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[
            dg.AssetCheckSpec(
                name="trace_ends_at_the_target",
                asset=keys["target_positions"],
                description="The last step of every symbol is target quantity x reference price / equity.",
            ),
            dg.AssetCheckSpec(
                name="targets_keep_gross_and_net",
                asset=keys["target_positions"],
                description="Gross and net of the targets keep to the strategy's limits, but for rounding to lots.",
            ),
            dg.AssetCheckSpec(
                name="no_order_without_reference",
                asset=keys["orders"],
                description="Every accepted order has a finite reference price.",
            ),
        ],
    )
    def daily_round(context: dg.AssetExecutionContext, stores: StoresResource) -> Iterator[Any]:
        sessions = asked_sessions(strategy.market, list(context.partition_keys))
        decided: list[DecidedSession] = []
        with (
            stores.history(strategy) as history,
            history.stores.alone(strategy.name),
            on_intact_ledger(history, context.run.run_id),
        ):
            for session in sessions:
                if session > history.last_session:
                    context.log.info("%s is not closed yet, and is left out", session.date())
                    continue
                done = decide_session(history, session, context.run.run_id)
                alert_of_breakers(history, done.round, context.run.run_id)
                alert_of_unquoted(history, done.round, context.run.run_id)
                alert_of_assumed_funding(history, done.round, context.run.run_id)
                decided.append(done)
                context.log.info(done.sentence)
                _add_metadata(context, keys, done, _page(context, history, done))
        for name in DAILY:
            yield dg.MaterializeResult(asset_key=keys[name])
        yield from _checks(keys, strategy.portfolio, decided)

    return [daily_round]


def _page(context: dg.AssetExecutionContext, history: History, done: DecidedSession) -> dict[str, dict[str, Any]]:
    """Write the session's page; gives its metadata by asset. A page that fails is told of: the decision stands."""
    drift = done.frames["drift"]
    try:
        plot = drift_statistics(drift) if len(drift) else None
        page = write_daily_page(history, done.round, done.frames, done.provenance, plot)
    except Exception as error:  # whatever is wrong with a page, what it shows is decided
        day = done.round.session.date()
        context.log.exception("the page of %s could not be written; run the session again for it", day)
        return {"daily_report": {"report": f"not written: {error!r}"}, "drift_report": {}}
    return {
        "daily_report": {"report": dg.MetadataValue.url(page_address(page))},
        "drift_report": {} if plot is None else {"drift": image(plot)},
    }


def _add_metadata(
    context: dg.AssetExecutionContext,
    keys: dict[str, dg.AssetKey],
    done: DecidedSession,
    page: dict[str, dict[str, Any]],
) -> None:
    frames, state = done.frames, done.round.state
    positions = sized_positions(frames["target_positions"], frames["position_steps"], bound_by(done.round, frames))
    order = [position.symbol for position in positions]
    trading = frames["trading_states"].iloc[0]  # the state in force, as the ledger and the page have it
    metadata: dict[str, dict[str, Any]] = {
        "fills": {
            "fills": len(frames["fills"]),
            "loss_beyond_stops_usd": done.round.loss_beyond_stops_usd,
            "ended_without_a_whole_fill": len(done.round.ended),
            "table": table(frames["fills"].drop(columns=["known_at"])),
        },
        "portfolio_state": {
            "equity_usd": state.equity_usd,
            "gross_fraction": state.gross_fraction,
            "drawdown_fraction": state.drawdown_fraction,
            "breaker": state.breaker or "none",
        },
        "daily_signals": {
            "model_id": done.provenance["model_id"],
            "table": table(
                _ordered(frames["signals"], order)[
                    ["symbol", "calibrated_probability", "direction", "expected_return", "confidence"]
                ]
            ),
        },
        "target_positions": {
            "verdict": done.provenance["verdict"],
            "table": table(
                _ordered(frames["target_positions"], order)[
                    ["symbol", "current_quantity", "target_quantity", "target_weight"]
                ]
            ),
            "why": table(why_frame(positions)),
        },
        "orders": {
            "orders": len(frames["orders"]),
            "denied": int((frames["orders"]["status"] == "denied").sum()),
            "table": table(frames["orders"][["symbol", "side", "quantity", "status", "reason_code"]]),
        },
        "drift_report": {
            "trading_state": str(trading["state"]),
            "score": float(trading["score"]),
            "reasons": "; ".join(trading["reasons"]) or "none",
            **page["drift_report"],
        },
        "daily_report": page["daily_report"],
    }
    partition = str(done.round.session.date())
    for name, figures in metadata.items():
        context.add_asset_metadata(figures, asset_key=keys[name], partition_key=partition)


def _ordered(frame: pd.DataFrame, symbols: list[str]) -> pd.DataFrame:
    """The rows of a frame in an order of symbols: what is held or changes first."""
    return frame.set_index("symbol", drop=False).reindex(symbols).dropna(subset="symbol")


def _checks(
    keys: dict[str, dg.AssetKey], limits: PortfolioSettings, decided: list[DecidedSession]
) -> Iterator[dg.AssetCheckResult]:
    for each in check_sessions(decided, limits):
        key = keys[each.asset]
        yield judged(each.found, held=each.held, remedy=_BROKEN, check_name=each.name, asset_key=key)
