"""A study made, kept and laid out on its page: plots, facts and the file it is written to."""

from __future__ import annotations

import base64
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.contracts.frames import Quarantine
from nn_assets.costs.financing import financing_text
from nn_assets.costs.shortfall import COMPONENTS, joined_executions, shortfall_rows
from nn_assets.errors import PublicationError, first_of
from nn_assets.estimators import TRADED
from nn_assets.evaluation.figure_set import StudyFigures
from nn_assets.evaluation.verdict import Verdict
from nn_assets.evaluation.was_on import was_on
from nn_assets.features.stationarity import StationarityReport
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.refresh import NOTHING_TO_COMPARE
from nn_assets.market.calendar.sessions import ends_of_sessions
from nn_assets.market.quality.notices import rule_counts_text
from nn_assets.operations.asof.choices import search_text
from nn_assets.operations.asof.intraday_quarantine import with_intraday_quarantine
from nn_assets.operations.asof.known_details import details_left_out, quarantine_text
from nn_assets.operations.asof.traces import read_steps
from nn_assets.operations.asof.universe import survivorship_facts
from nn_assets.operations.capacity import CAPTION, kept_capacity
from nn_assets.operations.feature_worth import measured_importance
from nn_assets.operations.history import History
from nn_assets.operations.models.groups import groups_of
from nn_assets.operations.models.novelty import novelty_by_session
from nn_assets.operations.models.stored import load_model
from nn_assets.operations.pages import caveats_of, market_label, own_sections, write_page
from nn_assets.operations.situation import headline_now
from nn_assets.operations.study import StudyResult, study_until
from nn_assets.reports.page import Plot, StudyPage, demo_page, study_page
from nn_assets.reports.plots import calibration_curve, equity_and_drawdown, positions_over_time, rolling_rank_ic
from nn_assets.settings import Strategy
from nn_assets.settings.sections import NO_DIRECTION
from nn_assets.store.home import reports_root
from nn_assets.store.lake.files import read_record, write_record
from nn_assets.store.lake.publication import Publication

_MOST_NOTICES = 50
_NOT_MEASURED = {"months": {}, "most_samples": 0, "absent": "by the study shown here; the next nn-assets study does"}
_CAPTIONS = {
    "equity": (
        "Growth of one unit of capital",
        "Out of sample, net of stated costs, as the study replayed it.",
    ),
    "skill": (
        "Skill over time",
        "Rank correlation of forecast and outcome over a sliding window; zero is chance.",
    ),
    "calibration": (
        "Calibration",
        "How often the label came out as 1 where the forecast said so; the diagonal is honest.",
    ),
    "positions": (
        "Positions in the replay",
        "Target weights; below, of all symbols, gross and net. The replay trades as if the verdict allowed it.",
    ),
}


def study_plots(result: StudyResult, counted: str = "sessions") -> dict[str, bytes]:
    """Equity, rolling skill, calibration and positions of a study, as PNG bytes by name; ``counted`` names its rows."""
    study = result.study
    if study.volatility is not None:
        return {}  # no book, and no rank of a direction
    rows = slice(study.rows[0], study.rows[-1] + 1)
    tracks = study.track
    weights = np.array([session_round.decision.target_weight for session_round in study.replays[TRADED].rounds])
    return {
        "equity": equity_and_drawdown(
            tracks.sessions[rows], {name: track.net[rows] for name, track in tracks.tracks.items()}
        ),
        "skill": rolling_rank_ic(
            tracks.sessions[rows],
            {name: tracks.ranked(name)[rows] for name in tracks.forecasts},
            tracks.outcomes[rows],
            folds=tracks.folds[rows],
            counted=counted,
        ),
        "calibration": calibration_curve(
            {name: values[rows] for name, values in tracks.forecasts.items()}, tracks.targets[rows]
        ),
        "positions": positions_over_time(tracks.sessions[rows], weights, tracks.symbols),
    }


def keep_study(
    history: History, result: StudyResult, plots: Mapping[str, bytes], importance: Mapping[str, Any] | None = None
) -> None:
    """Keep what the tear sheet needs of a study, plots included, so that pages are made without running it again."""
    strategy = history.strategy
    track, rows = result.study.track, result.study.rows
    first, last = track.sessions[rows[0]], track.sessions[rows[-1]]
    models = [model_id for model_id in result.material.model_by_row[: rows[-1] + 1] if model_id]
    kept = {
        "figures": result.study.figures.to_dict(),
        "verdict": asdict(result.last.verdict),
        "facts": [
            [f"Out-of-sample {strategy.rows_called}", f"{len(rows):,}"],
            ["Span", f"{first.date()} to {last.date()}"],
            ["Models in use", str(len(set(models)))],
            *_never_live(history, set(models)),
            ["Refreshes", refreshes_text(result, refreshes_never_live(history, result))],
            ["Symbols", str(len(track.symbols))],
            ["Label", _label_text(strategy)],
            *([["Own code", ", ".join(strategy.plugins)]] if strategy.plugins else []),
            ["Trials counted", str(result.trials)],
            *_searched(history),
            ["Verdict of", _verdict_of(result)],
            *_bar_and_bounds(result.last.verdict),
            *_of_the_book(strategy, result),
            *_markov_regimes(strategy, result),
            *_pooled(load_model(history.stores, models[-1]).stationarity),
            *_novelty(history, result, load_model(history.stores, models[-1])),
            *_groups(history, models[-1]),
            *map(list, _survivorship(history).items()),
        ],
        "was_on": was_on_lines(strategy, result),
        "settings_hash": strategy.content_hash(),
        "newest_model": models[-1],
        "plots": {name: base64.b64encode(png).decode() for name, png in plots.items()},
        "importance": importance,
    }
    write_record(_kept_study(history), kept)


def _of_the_book(strategy: Strategy, result: StudyResult) -> list[list[str]]:
    """What the network's replay says of itself; that there is none where the label has no direction."""
    if result.study.volatility is not None:
        return [["Book", f"none: {NO_DIRECTION}"]]
    return [
        *_stops_and_premium(strategy, result),
        *_volatility(strategy, result),
        *_within_the_session(strategy, result),
        *_financing(strategy, result),
        *_shortfall(result),
    ]


def _shortfall(result: StudyResult) -> list[list[str]]:
    """What the network's replay lost to trading against the prices it decided at, by part and by order size."""
    executions = [played.executions for played in result.study.replays[TRADED].rounds if played.executions is not None]
    rows = shortfall_rows(joined_executions(executions))
    if not rows:
        return []
    every = rows[0]
    parts = ", ".join(
        f"{name} {1e4 * usd / every.ordered_usd:+.1f}"
        for name, usd in zip(COMPONENTS, vars(every.shortfall).values(), strict=True)
    )
    sizes = "; ".join(f"{row.label} {row.bps:+.1f}" for row in rows if row.group == "order size")
    return [["Implementation shortfall", f"{every.bps:+.1f} bps of what was ordered: {parts}; by order size: {sizes}"]]


def _importance(history: History, result: StudyResult, log: logging.Logger) -> dict[str, Any]:
    """What each feature was worth to the models of a study, those months taken over that the study before measured."""
    study, kept = result.study, read_record(_kept_study(history)) or {}
    rows = range(study.rows[0], study.rows[-1] + 1)
    of_before = kept.get("importance")
    return measured_importance(history, study.track.sessions, result.material.model_by_row, rows, of_before, log)


def _within_the_session(strategy: Strategy, result: StudyResult) -> list[list[str]]:
    """How a strategy decides within the session, which decisions were late, and what a flat book held all the same."""
    decisions = strategy.decisions
    if strategy.intraday is None or decisions is None:
        return []
    replayed = result.study.replays[TRADED]
    late, count = replayed.late_decisions, len(replayed.rounds)
    minutes, budget = strategy.intraday.decision_minutes, decisions.latency_budget_seconds
    counted = "losses, average volume, regimes and resets of breakers count days, the rest counts decisions"
    lines = [
        ["Decisions", f"every {minutes} minutes, {decisions.overnight} overnight; {counted}; no drift watched"],
        ["Not sent, late", f"{late:,} of {count:,} decisions, more than {budget} s after their bar's close"],
    ]
    if decisions.overnight == "flat":
        sessions = pd.DatetimeIndex([session_round.session for session_round in replayed.rounds])
        ends = np.flatnonzero(ends_of_sessions(strategy.market.calendar, sessions))
        held = sum(bool(replayed.rounds[row].session_state.book.quantity.any()) for row in ends)
        lines.append(["Held past a session's end", f"{held:,} of {len(ends):,} sessions, by what could not be closed"])
    return lines


def _label_text(strategy: Strategy) -> str:
    own = "".join(f", {key} {value}" for key, value in strategy.label.settings.items())
    return f"{strategy.label.kind}{own}, {strategy.horizon_text}, fills at {strategy.label.execution}"


def _volatility(strategy: Strategy, result: StudyResult) -> list[list[str]]:
    """How often each forecast of volatility was used, and why the last one is; nothing where only one is asked for."""
    choices = [played.volatility for played in result.study.replays[TRADED].rounds if played.volatility is not None]
    if not choices:
        return []
    used = Counter(choice.used for choice in choices)
    counts = ", ".join(f"{name} on {count:,}" for name, count in sorted(used.items()))
    return [["Volatility", f"{counts} of {len(choices):,} {strategy.rows_called}. On the last: {choices[-1].sentence}"]]


def _novelty(history: History, result: StudyResult, model: FoldModel) -> list[list[str]]:
    """What novelty the newest model scores and how much was unlike in the study, where the settings ask for it."""
    if history.strategy.novelty is None:
        return []
    scored = model.figures.get("novelty", {})
    if model.novelty is None:
        return [["Novelty", f"none: {scored.get('none', 'the model was fitted without')}"]]
    left_out = "".join(f"; {name} left out, {why}" for name, why in scored.get("left_out", {}).items())
    without = f"; no autoencoder: {scored['autoencoder']}" if "autoencoder" in scored else ""
    return [
        ["Novelty", f"{len(model.novelty.columns)} features scored{left_out}{without}"],
        ["Unlike", _unlike_text(history, result)],
    ]


def _unlike_text(history: History, result: StudyResult) -> str:
    """How many rows of a study, and how many sessions as a whole, were unlike what their models were fitted on."""
    rows = range(result.study.rows[0], result.study.rows[-1] + 1)
    days = novelty_by_session(history, rows, result.material.model_by_row[rows.start : rows.stop])
    unlike, scored = sum(day.unlike for day in days), sum(day.rows for day in days)
    whole = sum(day.unlike_day for day in days)
    return f"{unlike:,} of {scored:,} rows, and {whole:,} of {len(days):,} days as a whole"


def _groups(history: History, model_id: str) -> list[list[str]]:
    """The groups that limits hold names without a sector to, by the newest model's training rows."""
    if history.strategy.portfolio.groups != "behaviour":
        return []
    groups = groups_of(history, history.view().market_history, model_id)
    return [["Groups by behaviour", groups.text]]


def was_on_lines(strategy: Strategy, result: StudyResult) -> list[str]:
    """One sentence for each estimator: its members and confidence, its drift watch, sizing and costs."""
    study = result.study
    costs = study.costs(study.rows[-1])
    return [str(was_on(strategy, name, played, costs)) for name, played in study.replays.items()]


def refreshes_never_live(history: History, result: StudyResult) -> list[pd.Timestamp]:
    """The sessions whose refresh a study put in force and the record of models has not: live sessions do without it."""
    on_record = _models_on_record(history)
    return [
        refresh.session
        for refresh in result.material.refreshes
        if refresh.check is not None and refresh.check.accepted and refresh.model_id not in on_record
    ]


def _never_live(history: History, models: set[str]) -> list[list[str]]:
    """How many of a study's models no live session can have, since the record has them not; nothing where it has all.

    ``status`` counts the models on record.
    """
    never = len(models - _models_on_record(history))
    return [["Models of the study alone", f"{never}, which the live record never had"]] if never else []


def _models_on_record(history: History) -> set[str]:
    """The models that the ledger has in force on any session."""
    return set(history.stores.ledger.read("models", history.strategy.name)["model_id"])


def refreshes_text(result: StudyResult, never_live: Sequence[pd.Timestamp] = ()) -> str:
    """How many refreshes drift asked for in a study, their outcomes, and those that the live record never had.

    Parameters
    ----------
    never_live : sequence of Timestamp
        As :func:`refreshes_never_live` gives them.
    """
    refreshes = result.material.refreshes
    checks = [refresh.check for refresh in refreshes if refresh.check is not None]
    taken = sum(check.accepted for check in checks)
    unjudged = sum(check.accepted and check.reason.startswith(NOTHING_TO_COMPARE) for check in checks)
    without = f" ({unjudged} of them with nothing to compare)" if unjudged else ""
    text = f"{len(refreshes)} asked for, {taken} put in force{without}, {len(checks) - taken} refused"
    if never_live:
        days = ", ".join(first_of([str(session.date()) for session in never_live]))
        text += f"; {len(never_live)} put in force here that the live record never had, asked for on {days}"
    waits = len(refreshes) - len(checks)
    return f"{text}, {waits} asked for on the last session and still open" if waits else text


def _searched(history: History) -> list[list[str]]:
    """What was spent on searches, and the newest choice; nothing of a strategy that searches nothing."""
    text = search_text(history.stores.ledger, history.strategy)
    return [] if text is None else [["Hyper-parameters", f"searched: {text}"]]


def _verdict_of(result: StudyResult) -> str:
    """The month at whose end the verdict was taken."""
    newest = str(result.study.track.months[-1])
    if not result.months:
        return f"no month has ended; {newest} is under way"
    return result.last.month + ("" if result.last.month == newest else f"; {newest} is shown, and not judged")


def _stops_and_premium(strategy: Strategy, result: StudyResult) -> list[list[str]]:
    """What the network's replay lost beyond its stops, and what share of its positions was premium where it is held."""
    played = result.study.replays[TRADED]
    lost = played.loss_beyond_stops_usd
    facts = [["Lost beyond stops", f"{lost:,.0f} USD, {lost / strategy.portfolio.initial_capital_usd:.2%} of capital"]]
    if strategy.portfolio.hold_premium:
        facts.append(["Premium of the positions", f"{played.premium_of_gross:.0%} of gross"])
    return facts


def _financing(strategy: Strategy, result: StudyResult) -> list[list[str]]:
    """What positions pay while held, and what the network's replay paid of funding."""
    facts = [["Financing", financing_text(strategy)]]
    if strategy.costs.funding is not None:
        books = [session_round.session_state.book for session_round in result.study.replays[TRADED].rounds]
        received = math.fsum(book.session_funding_usd for book in books)
        assumed = sum(bool(book.funding_assumed) for book in books)
        share = f"{received / strategy.portfolio.initial_capital_usd:+.2%} of capital"
        those = f"{assumed:,} of {len(books):,} {strategy.rows_called}"
        guessed = f"; on {those} a rate was not known, and assumed" if assumed else ""
        facts.append(["Funding received less paid", f"{received:+,.0f} USD, {share}{guessed}"])
    return facts


def _markov_regimes(strategy: Strategy, result: StudyResult) -> list[list[str]]:
    """In which months there is no Markov regime, and why; nothing where the settings ask for none."""
    if strategy.regimes is None or strategy.regimes.model == "rules":
        return []
    by_reason: dict[str, list[str]] = {}
    for month, why in result.study.no_markov.items():
        by_reason.setdefault(why, []).append(month)
    months = len(set(result.material.month_by_row) - {""})
    where = "none in" if strategy.walk_forward.refit_every_days is None else "none in all or part of"
    named = [f"{where} {', '.join(first_of(those))}, because {why}" for why, those in by_reason.items()]
    fitted = f"{strategy.regimes.model} in {months - len(result.study.no_markov)} of {months} months"
    return [["Regimes", "; ".join([fitted, *named])]]


def _pooled(report: StationarityReport) -> list[list[str]]:
    """How many features of the newest model passed by the test for short windows alone; nothing where none did."""
    if not report.pooled:
        return []
    text = (
        f"{len(report.pooled)} of {len(report.kept)} features of the newest model pass by the test for short windows "
        "alone (the weaker half of the panel pooled, fewer lags); of each symbol by itself too little is known"
    )
    return [["Stationarity", text]]


def _bar_and_bounds(verdict: Verdict) -> list[list[str]]:
    """What the verdict looked for, and the values of the statistic that no look has ruled out."""
    if verdict.smallest_effect is None:
        return []
    ends = [("unknown" if end is None else f"{end:.4f}") for end in (verdict.interval_low, verdict.interval_high)]
    return [
        ["Smallest effect", f"{verdict.statistic} {verdict.smallest_effect:.4f}"],
        ["Not ruled out", f"{verdict.statistic} {ends[0]} to {ends[1]}"],
    ]


def _survivorship(history: History) -> dict[str, str]:
    """What a study says of members without bars: one line, or none without a universe."""
    bars = history.published_bars
    return survivorship_facts(history.strategy, history.membership_versions, bars, history.axis)


def _kept_study(history: History) -> Path:
    return reports_root() / f"{history.strategy.name}-study.json"


def keep_left_out(history: History, lines: Sequence[str]) -> None:
    """Keep what estimators fitted without a regime came to beside the study kept last; the next study drops it.

    Raises
    ------
    PublicationError
        No study was kept.
    """
    write_record(_kept_study(history), {**_kept(history), "left_out": list(lines)})


def _kept(history: History) -> dict[str, Any]:
    strategy, kept = history.strategy, read_record(_kept_study(history))
    if kept is None:
        raise PublicationError(
            expected=f"a study of {strategy.name}",
            found="none kept",
            remedy=f"nn-assets study --strategy {strategy.name}",
            strategy=strategy.name,
        )
    return kept


def _set_aside(history: History, publication: Publication) -> tuple[Quarantine, str]:
    """All rows in quarantine, bars within the session and details of bars included, and in words how many they are."""
    of_daily = history.stores.publications.quarantine(publication)
    of_details = details_left_out(history.stores, history.strategy.name, of_daily)
    of_bars = with_intraday_quarantine(history.stores, history.strategy, of_daily)
    both = pd.concat([of_bars, of_details], ignore_index=True) if len(of_details) else of_bars
    return both, quarantine_text(len(of_bars), len(of_details))


def study_sheet(history: History) -> StudyPage:
    """The tear sheet of the study kept last, with the positions decided last where there are any.

    Raises
    ------
    PublicationError
        No study was kept, or nothing is published.
    """
    strategy, ledger = history.strategy, history.stores.ledger
    kept = _kept(history)
    publication = history.covering(history.last_session)
    capacity = kept_capacity(strategy.name)
    targets = ledger.latest("target_positions", strategy.name)
    decided = None if targets.empty else targets["session"].iloc[0]
    steps = drift = None
    stands, state, reasons = None, "", ""
    if decided is not None:
        stands = headline_now(history)
        steps = read_steps(history.stores.lake, ledger, strategy.name, decided, decided)
        drift = ledger.read("drift", strategy.name, decided, decided)
        trading = ledger.latest("trading_states", strategy.name)
        state, reasons = str(trading["state"].iloc[-1]), "; ".join(trading["reasons"].iloc[-1])
    quarantine, rows_shown = _set_aside(history, publication)
    return StudyPage(
        name=strategy.name,
        description=strategy.description,
        verdict=Verdict(**kept["verdict"]),
        figures=StudyFigures.from_dict(kept["figures"]),
        label=market_label(strategy),
        horizon=strategy.horizon_text,
        facts=[
            *((name, value) for name, value in kept["facts"]),
            ("Rows in quarantine", rows_shown),
            *([] if capacity is None else [("Capacity", f"{capacity['sentence']}, as of {capacity['session']}")]),
        ],
        was_on=tuple(kept.get("was_on", ())),  # version 0.1 kept none
        left_out=tuple(kept.get("left_out", ())),
        plots=[
            Plot(*caption, base64.b64decode(kept["plots"][name]))
            for name, caption in _CAPTIONS.items()
            if name in kept["plots"]
        ]
        + ([] if capacity is None else [Plot(*CAPTION, base64.b64decode(capacity["plot"]))]),
        importance=kept.get("importance") or _NOT_MEASURED,
        decided_session="" if decided is None else str(decided.date()),
        targets=None if targets.empty else targets,
        steps=steps,
        drift=drift,
        headline=stands,
        trading_state=state,
        trading_reasons=reasons,
        quarantine=quarantine,
        notices=_data_notices(publication),
        provenance={
            "Data": publication.content_hash,
            "Settings": str(kept["settings_hash"]),
            "Code": str(ledger.latest("trials", strategy.name)["code_version"].iloc[-1]),
            "Newest model": str(kept["newest_model"]),
        },
        caveats=caveats_of(strategy),
        own_sections=own_sections(strategy),
        counted=strategy.rows_called,
    )


def _data_notices(publication: Publication) -> list[str]:
    """Counts by rule, then the first notices, and how many more there are."""
    lines = publication.details.get("notices", ())
    counted = rule_counts_text(publication.details.get("noticed_by_rule", {}))  # version 0.1 kept none
    return [*([f"{len(lines):,} notices: {counted}"] if counted else []), *first_of(lines, _MOST_NOTICES)]


def write_study_page(history: History) -> Path:
    """Write a strategy's tear sheet; returns its file."""
    return write_page(f"{history.strategy.name}-study.html", study_page(study_sheet(history)))


def write_study_page_where_kept(history: History) -> Path | None:
    """As :func:`write_study_page`; None where no study was kept."""
    return None if read_record(_kept_study(history)) is None else write_study_page(history)


def write_demo_page(sheets: list[StudyPage]) -> Path:
    """Write the demo's page with every strategy's sheet; returns its file."""
    text = demo_page(
        sheets,
        title="nn_assets demo",
        subtitle="Two strategies, the same machinery: real index bars, and a simulated market with a planted edge.",
    )
    return write_page("demo.html", text)


def study_and_show(
    history: History, months: list[str], run_id: str, log: logging.Logger
) -> tuple[StudyResult, dict[str, Any]]:
    """Study some months, keep what the tear sheet needs, and write it; to be called while the strategy is held alone.

    What killed writers left is swept away, too.

    Returns
    -------
    StudyResult
    dict of str to object
        What an operator sees of it, by name.
    """
    result = study_until(history, months, run_id, log.info)
    plots = study_plots(result, history.strategy.rows_called)
    keep_study(history, result, plots, _importance(history, result, log))
    metadata = {
        **result.metadata,
        "report": write_study_page(history),
        "was_on": "; ".join(was_on_lines(history.strategy, result)),
        "refreshes": refreshes_text(result, refreshes_never_live(history, result)),
        **_survivorship(history),
        **plots,
    }
    if swept := history.stores.sweep(history.strategy.name):
        log.info("removed %s staged files that killed writers left more than a day ago", swept)
    return result, metadata
