"""The demo: both bundled strategies from raw bars to paper fills, and a page that shows what came out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.console import Console

from nn_assets.evaluation.study import YARDSTICK
from nn_assets.learning.first_month import first_model_month
from nn_assets.operations.asof.decisions import decided_sessions
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.history import History, open_history
from nn_assets.operations.reporting import study_sheet, write_demo_page
from nn_assets.operations.study import study_identity
from nn_assets.orchestration.partitions import month_partitions
from nn_assets.orchestration.running import materialise
from nn_assets.reports.page import StudyPage
from nn_assets.settings import Strategy

__all__ = ["DEMO_STRATEGIES", "run_demo"]

_FIRST_CUT = 4  # steps 1 to 3 propose a size, the others cut it
_BARELY = 0.99
_SHORT = 5  # sessions: enough that orders of the first are filled
DEMO_STRATEGIES = ("index_daily", "planted_edge")


@dataclass(frozen=True)
class _Span:
    """What of a strategy's history the demo runs over."""

    first_month: str
    last_month: str
    sessions: list[pd.Timestamp]


def run_demo(console: Console, *, short: bool = False) -> dict[str, Any]:
    """Study both strategies, play the last sessions as if live, summarise, and write the page.

    Parameters
    ----------
    short : bool
        Play fewer sessions, for a quick check of an installation.
    """
    began = time.monotonic()
    sheets: list[StudyPage] = []
    summaries: dict[str, Any] = {}
    for name in DEMO_STRATEGIES:
        strategy = find_strategy(name).strategy
        console.print(f"[bold]{name}[/]  {strategy.description}")
        span = _span(strategy, short=short)
        _study(strategy, span, console)
        _live(strategy, span, console)
        with open_history(strategy) as history:
            sheets.append(study_sheet(history))
            summaries[name] = _summary(history, span)
    page = write_demo_page(sheets)
    seconds = time.monotonic() - began
    text = "\n".join([*(_told(name, each) for name, each in summaries.items()), f"report  {page}", f"{seconds:.0f} s"])
    return {"strategies": summaries, "report": str(page), "seconds": round(seconds, 1), "text": text}


def _span(strategy: Strategy, *, short: bool) -> _Span:
    months = [key[:7] for key in month_partitions(strategy).get_partition_keys()]
    with open_history(strategy) as history:
        live = list(history.live_sessions)
    return _Span(first_model_month(strategy), months[-1], live[:_SHORT] if short else live)


def _study(strategy: Strategy, span: _Span, console: Console) -> None:
    with open_history(strategy) as history:
        current = history.stores.publications.current(strategy.name) is not None and _has_study(
            history, strategy, span.last_month
        )
    if current:
        console.print(f"  study {span.first_month} to {span.last_month}: current", markup=False)
        return
    materialise(strategy, "study", first=f"{span.first_month}-01", last=f"{span.last_month}-01")


def _has_study(history: History, strategy: Strategy, month: str) -> bool:
    found = history.stores.ledger.read(
        "studies", strategy.name, where={"study_id": study_identity(history, strategy, month)}
    )
    return not found.empty


def _live(strategy: Strategy, span: _Span, console: Console) -> None:
    with open_history(strategy) as history:
        done = set(decided_sessions(history.stores.ledger, strategy.name))
    waiting = [day for day in span.sessions if day not in done]
    if not waiting:
        console.print(f"  {len(span.sessions)} sessions as if live: current", markup=False)
        return
    materialise(strategy, "daily", first=str(waiting[0].date()), last=str(waiting[-1].date()))


def _summary(history: History, span: _Span) -> dict[str, Any]:
    strategy, ledger = history.strategy, history.stores.ledger
    publication = history.stores.publications.require(strategy.name, history.last_session)
    studies = ledger.read("studies", strategy.name, bookkeeping=True)
    study = studies[studies["month"] == span.last_month].sort_values("sequence").iloc[-1]
    figures = study["figures"]
    fills = ledger.read("fills", strategy.name)
    targets = ledger.latest("target_positions", strategy.name)
    steps = ledger.latest("position_steps", strategy.name)
    trading = ledger.latest("trading_states", strategy.name).iloc[-1]
    models = ledger.read("models", strategy.name)
    return {
        "sessions": len(history.axis),
        "rows_quarantined": publication.quarantined,
        "folds": int(models["model_id"].nunique()),
        "figures": {
            name: {figure: figures.get(f"{name}_{figure}") for figure in ("auc", "accuracy", "rank_ic", "sharpe_net")}
            for name in ("network", "linear", "boosting", YARDSTICK)
        },
        "verdict": str(study["verdict"]),
        "why": str(figures["reason"]),
        "session": str(targets["session"].iloc[0].date()),
        "targets": {
            str(row.symbol): {
                "quantity": float(row.target_quantity),
                "weight": float(row.target_weight),
                "why": _binding(steps[steps["symbol"] == row.symbol]),
            }
            for row in targets.itertuples()
        },
        "fills": len(fills),
        "trading_state": str(trading["state"]),
        "drift": "; ".join(trading["reasons"]) or _quiet_drift(ledger.latest("drift", strategy.name)),
    }


def _quiet_drift(drift: pd.DataFrame) -> str:
    """What the monitors say where they change nothing."""
    drifted = int(drift["drifted"].sum()) if len(drift) else 0
    if drifted == 0:
        return f"none of {len(drift)} series beyond its calibrated value"
    return f"{drifted} of {len(drift)} series beyond their own value, too few together to act"


def _binding(steps: pd.DataFrame) -> str:
    """The reason of the step that cut the position most; of the last one where none did."""
    ordered = steps.sort_values("step")
    ordered = ordered[ordered["step"] >= _FIRST_CUT]
    share = ordered["weight_after"].abs() / ordered["weight_before"].abs()
    chosen = ordered.loc[share.idxmin()] if (share < _BARELY).any() else ordered.iloc[-1]
    return f"{chosen['rule']}: {chosen['reason']}"


def _told(name: str, each: dict[str, Any]) -> str:
    figures = each["figures"]
    lines = [
        "",
        f"{name}",
        (
            f"  data        {each['sessions']:,} sessions, {each['rows_quarantined']} rows in quarantine, "
            f"{each['folds']} models"
        ),
        "              " + "".join(f"{head:>14}" for head in ("AUC", "accuracy", "rank IC", "net Sharpe")),
    ]
    for estimator, values in figures.items():
        cells = "".join(
            f"{'-' if values[key] is None else format(values[key], '.3f'):>14}"
            for key in ("auc", "accuracy", "rank_ic", "sharpe_net")
        )
        lines.append(f"  {estimator:<12}{cells}")
    held = {symbol: target for symbol, target in each["targets"].items() if target["quantity"]}
    lines += [
        f"  verdict     {each['verdict']}",
        f"              {each['why']}",
        (
            f"  live        decided to {each['session']}, {each['fills']} paper fills, "
            f"trading state {each['trading_state']}"
        ),
        f"  drift       {each['drift']}",
        f"  next        {len(held)} of {len(each['targets'])} symbols held",
    ]
    shown = list((held or each["targets"]).items())[:5]
    lines += [
        f"    {symbol:<8} {target['quantity']:>12,.0f}  ({target['weight']:+.2%})  {target['why']}"
        for symbol, target in shown
    ]
    return "\n".join(lines)
