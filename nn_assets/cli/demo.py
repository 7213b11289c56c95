"""The demo: both bundled strategies from raw bars to paper fills, and a page that shows what came out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.console import Console

from nn_assets.arrays import named_rows
from nn_assets.cli.failed import with_failed_checks
from nn_assets.estimators import estimators_of
from nn_assets.evaluation.study import YARDSTICK
from nn_assets.learning.compute import open_compute
from nn_assets.learning.first_month import first_model_month
from nn_assets.market.cash import cash_rates
from nn_assets.operations.asof.decisions import decided_sessions
from nn_assets.operations.asof.traces import read_steps
from nn_assets.operations.catalog import find_strategy, with_example
from nn_assets.operations.history import History, open_history
from nn_assets.operations.names import DAILY, DAILY_ROUND, STUDY
from nn_assets.operations.outcomes import FailedCheck
from nn_assets.operations.situation import headline_now
from nn_assets.operations.study import study_identity
from nn_assets.operations.study_page import study_sheet, write_demo_page, write_study_page
from nn_assets.orchestration.instance import open_instance
from nn_assets.orchestration.outcomes import failed_checks_of
from nn_assets.orchestration.partitions import month_partitions
from nn_assets.orchestration.running import execute, seconds_by_asset
from nn_assets.reports.page import StudyPage
from nn_assets.settings import Strategy

_FIRST_CUT = 4  # steps 1 to 3 propose a size, the others cut it
_BARELY = 0.99
_MOST_SHOWN = 5
_FIGURES = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "base_accuracy": "base rate",
    "rank_ic": "rank IC",
    "sharpe_net": "net Sharpe",
}
_SHORT = 5  # sessions: enough for orders of the first one to be filled
DEMO_STRATEGIES = ("index_daily", "planted_edge")
CRYPTO_STRATEGIES = ("crypto_24_7",)

# The parts whose times are shown, and the assets that belong to each.
_PARTS = {
    "bars and features": ("raw_bars", "validated_bars", "features"),
    "models": ("stationarity", "selected_features", "trained_model", "forecasts"),
    "study": ("walk_forward_study", "model_evaluation"),
    "live sessions": (DAILY_ROUND,),
}


@dataclass(frozen=True)
class _Span:
    """What of a strategy's history the demo runs over."""

    first_month: str
    last_month: str
    sessions: list[pd.Timestamp]


def run_demo(console: Console, *, short: bool = False, names: tuple[str, ...] = DEMO_STRATEGIES) -> dict[str, Any]:
    """Study some strategies, play the last sessions as if live, summarise, and write the page.

    What is current is left alone. Strategies with something to do are run side by side, a process each.

    Parameters
    ----------
    short : bool
        Play fewer sessions, for a quick check of an installation.
    names : tuple of str
        Strategies that come with the package, examples too. Of one alone, whether it trades and why comes first.
    """
    began = time.monotonic()
    for name in CRYPTO_STRATEGIES:
        if name in names:
            with_example(name)
    spans: dict[str, _Span] = {}
    waiting: list[str] = []
    for name in names:
        strategy = find_strategy(name).strategy
        console.print(f"[bold]{name}[/]  {strategy.description}")
        spans[name] = _span(strategy, short=short)
        missing = _missing(strategy, spans[name])
        waiting += [name] * bool(missing)
        if not missing:
            console.print("  study and live sessions: current", markup=False)
    parts: dict[str, dict[str, float]] = {}
    failed: list[FailedCheck] = []
    with open_instance():  # Dagster's storage is made here, before two processes ask for it at once
        pass
    with open_compute("processes", len(waiting)) as compute:
        tasks = [(name, spans[name]) for name in waiting]
        for name, (spent, checks) in zip(waiting, compute.map(_run, tasks), strict=True):
            parts[name] = spent
            failed += checks
    reported = time.monotonic()
    sheets: list[StudyPage] = []
    summaries: dict[str, Any] = {}
    for name in names:
        with open_history(find_strategy(name).strategy) as history:
            sheets.append(study_sheet(history))
            summaries[name] = _summary(history, spans[name], sheets[-1])
            if len(names) == 1:
                page = write_study_page(history)
    if len(names) > 1:
        page = write_demo_page(sheets)
    ended = time.monotonic()
    first = [summaries[name]["headline"] for name in names] if len(names) == 1 else []
    texts = (_summary_text(name, summary) for name, summary in summaries.items())
    text = "\n".join([*first, *texts, f"report  {page}"])
    timed = _timed(ended - began, ended - reported, parts)
    answer = {
        "strategies": summaries,
        "report": str(page),
        "seconds": round(ended - began, 1),
        "parts": {
            name: {part: round(spent, 1) for part, spent in durations.items()} for name, durations in parts.items()
        },
        "text": f"{text}\n{timed}",
    }
    return with_failed_checks(answer, failed)


def _timed(whole: float, pages: float, parts: dict[str, dict[str, float]]) -> str:
    """How long it took, and where the time went."""
    lines = [f"time    {whole:.0f} s, {pages:.0f} s of them for summary and report"]
    for name, durations in parts.items():
        text = ", ".join(f"{part} {spent:.0f} s" for part, spent in durations.items())
        lines.append(f"        {name}: {text}")
    if len(parts) > 1:
        lines.append("        both at the same time, a process each; the rest is for starting them")
    return "\n".join(lines)


def _missing(strategy: Strategy, span: _Span) -> list[str]:
    """What of the demo is still to do: the study, the live sessions, both or nothing."""
    with open_history(strategy) as history:
        published = history.stores.publications.current(strategy.name) is not None
        studied = published and _has_study(history, strategy, span.last_month)
        waiting = _waiting(history, span)
    return [STUDY] * (not studied) + [DAILY] * bool(waiting)


def _waiting(history: History, span: _Span) -> list[pd.Timestamp]:
    decided = set(decided_sessions(history.stores.ledger, history.strategy.name))
    return [day for day in span.sessions if day not in decided]


def _run(task: tuple[str, _Span]) -> tuple[dict[str, float], tuple[FailedCheck, ...]]:
    """Study a strategy and play its live sessions, where either is to do; seconds by part, and what checks failed."""
    name, span = task
    strategy = find_strategy(name).strategy
    failed: tuple[FailedCheck, ...] = ()
    spent = dict.fromkeys(_PARTS, 0.0)
    for kind in _missing(strategy, span):
        if kind == STUDY:
            first, last = f"{span.first_month}-01", f"{span.last_month}-01"
        else:
            with open_history(strategy) as history:
                waiting = _waiting(history, span)
            first, last = str(waiting[0].date()), str(waiting[-1].date())
        result = execute(strategy, kind, first=first, last=last)
        failed += failed_checks_of(result.all_events)
        took = seconds_by_asset(result)
        for part, assets in _PARTS.items():
            spent[part] += sum(took.get(asset, 0.0) for asset in assets)
    return spent, failed


def _span(strategy: Strategy, *, short: bool) -> _Span:
    months = [key[:7] for key in month_partitions(strategy).get_partition_keys()]
    with open_history(strategy) as history:
        live = list(history.live_sessions)
    return _Span(first_model_month(strategy), months[-1], live[:_SHORT] if short else live)


def _has_study(history: History, strategy: Strategy, month: str) -> bool:
    studies = history.stores.ledger.read("studies", strategy.name, where={"study_id": study_identity(history, month)})
    return not studies.empty


def _summary(history: History, span: _Span, sheet: StudyPage) -> dict[str, Any]:
    strategy, ledger = history.strategy, history.stores.ledger
    publication = history.stores.publications.require(strategy.name, history.last_session)
    studies = ledger.read("studies", strategy.name, bookkeeping=True)
    study = studies[studies["month"] == span.last_month].sort_values("sequence").iloc[-1]
    figures = study["figures"]
    fills = ledger.read("fills", strategy.name)
    targets = ledger.latest("target_positions", strategy.name)
    session = targets["session"].iloc[0]
    steps = read_steps(history.stores.lake, ledger, strategy.name, session, session)
    trading = ledger.latest("trading_states", strategy.name).iloc[-1]
    return {
        "sessions": len(history.axis),
        "rows_quarantined": publication.quarantined,
        "models": next(value for what, value in sheet.facts if what.startswith("Models")),
        "figures": {
            name: {figure: figures.get(f"{name}_{figure}") for figure in _FIGURES} for name in _judged(strategy)
        },
        "earned": _earned(history, study),
        "verdict": str(study["verdict"]),
        "verdict_of": str(study["month"]),
        "why": str(figures["reason"]),
        "session": str(session.date()),
        "targets": {
            str(row.symbol): {
                "quantity": float(row.target_quantity),
                "weight": float(row.target_weight),
                "why": _binding(steps[steps["symbol"] == row.symbol]),
            }
            for row in named_rows(targets)
        },
        "fills": len(fills),
        "trading_state": str(trading["state"]),
        "headline": str(headline_now(history)),
        "drift": "; ".join(trading["reasons"]) or _quiet_drift(ledger.latest("drift", strategy.name)),
    }


def _earned(history: History, study: pd.Series) -> dict[str, Any]:
    """What the study's books earned under one rule, by estimator; fractions a year, None where nothing was earned."""
    strategy, figures = history.strategy, study["figures"]
    sessions = history.axis[history.row(study["first_session"]) : history.row(study["last_session"]) + 1]
    return {
        "first": str(sessions[0].date()),
        "last": str(sessions[-1].date()),
        "construction": str(strategy.portfolio.construction),
        "cash": float(cash_rates(strategy.market, sessions).mean()),
        "books": {
            name: {figure: figures.get(f"{name}_{figure}") for figure in ("return_per_year", "sharpe_net")}
            for name in _judged(strategy)
        },
    }


def _judged(strategy: Strategy) -> tuple[str, ...]:
    """The estimators that a strategy's study judges side by side, and the yardstick."""
    return (*estimators_of(strategy.learning.baselines), YARDSTICK)


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
    chosen = ordered.iloc[int(share.argmin())] if (share < _BARELY).any() else ordered.iloc[-1]
    return f"{chosen['rule']}: {chosen['reason']}"


def _summary_text(name: str, summary: dict[str, Any]) -> str:
    set_aside = "1 row" if summary["rows_quarantined"] == 1 else f"{summary['rows_quarantined']} rows"
    figures = summary["figures"]
    lines = [
        "",
        f"{name}",
        f"  data        {summary['sessions']:,} sessions, {set_aside} in quarantine, {summary['models']} models in use",
        "              " + "".join(f"{head:>14}" for head in _FIGURES.values()),
    ]
    for estimator, values in figures.items():
        cells = "".join(f"{'-' if values[key] is None else format(values[key], '.3f'):>14}" for key in _FIGURES)
        lines.append(f"  {estimator:<12}{cells}")
    held = {symbol: target for symbol, target in summary["targets"].items() if target["quantity"]}
    drift = f"drift says {summary['trading_state']}"
    lines += [
        f"  verdict     {summary['verdict']}, of {summary['verdict_of']}",
        f"              {summary['why']}",
        f"  live        decided to {summary['session']}, {summary['fills']} paper fills, {drift}",
        *(f"  {'' if number else 'stands':<12}{line}" for number, line in enumerate(summary["headline"].splitlines())),
        f"  drift       {summary['drift']}",
        f"  next        {len(held)} of {len(summary['targets'])} symbols held",
    ]
    targets = list((held or summary["targets"]).items())
    lines += [
        f"    {symbol:<8} {target['quantity']:>12,.0f}  ({target['weight']:+.2%})  {target['why']}"
        for symbol, target in targets[:_MOST_SHOWN]
    ]
    lines += [f"    and {len(targets) - _MOST_SHOWN} more"] * (len(targets) > _MOST_SHOWN)
    return "\n".join([*lines, *_earnings_lines(summary["earned"])])


_SIZED = {
    "programme": "the whole book at once (programme)",
    "per_name": "name by name (per_name)",
}


_COUNTS = {1: "the one", 2: "the two", 3: "the three", 4: "the four"}


def _earnings_lines(earned: dict[str, Any]) -> list[str]:
    """One line for each estimator: what it would have earned beside the others, and what was on."""
    books = earned["books"]
    estimators = [name for name in books if name != YARDSTICK]
    among = _COUNTS[len(estimators)]
    lines = [
        f"  earned      a year after costs, in the study from {earned['first']} to {earned['last']}, interest included",
        f"              (cash alone {earned['cash']:+.1%}; Sharpe is in excess of it). One rule for {among}, all on:",
        f"              sized {_SIZED[earned['construction']]}, the same costs, limits, watch for drift,",
        "              halving in a drawdown and breakers; the verdict was not asked.",
    ]
    lines += [f"    {name:<14}{_book(books[name])}: {_beside(name, books)}" for name in estimators]
    kept = "bought in equal parts on the first session and kept"
    return [*lines, f"    {'buy and hold':<14}{_book(books[YARDSTICK])}: {kept}"]


def _beside(name: str, books: dict[str, dict[str, float | None]]) -> str:
    """The rank of an estimator's return among them all, and its distance from each of the others, as shown."""
    earned = {
        estimator: float(f"{100.0 * (book['return_per_year'] or 0.0):.1f}")
        for estimator, book in books.items()
        if estimator != YARDSTICK
    }
    others = [estimator for estimator in earned if estimator != name]
    if all(earned[rival] == earned[name] for rival in others):
        return "as much as the others"
    more = sum(earned[rival] > earned[name] for rival in others)
    less = sum(earned[rival] < earned[name] for rival in others)
    rank = "the most" if more == 0 else "the least" if less == 0 else f"the {('second', 'third')[more - 1]} most"
    phrases, unit = [f"{rank} of {_COUNTS[len(earned)]}"], " points"
    for rival in others:
        points = earned[name] - earned[rival]
        if points == 0.0:
            phrases.append(f"as much as {rival}")
            continue
        phrases.append(f"{abs(points):.1f}{unit} {'more' if points > 0.0 else 'less'} than {rival}")
        unit = ""
    return ", ".join(phrases)


def _book(book: dict[str, float | None]) -> str:
    """Return and Sharpe ratio of a book, or that it never held anything."""
    earned, sharpe = book["return_per_year"], book["sharpe_net"]
    if earned is None:
        return "too few sessions to say"
    return f"{earned:+z6.1%}, " + ("no position" if sharpe is None else f"Sharpe {sharpe:+.2f}")
