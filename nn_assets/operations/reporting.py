"""A strategy's study page and session pages: their plots, facts and notices, and the files they are written to."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import values_of
from nn_assets.costs.financing import assumed_funding_warning, financing_text
from nn_assets.errors import PublicationError, first_of
from nn_assets.estimators import TRADED
from nn_assets.evaluation.figure_set import StudyFigures
from nn_assets.evaluation.verdict import Verdict
from nn_assets.evaluation.was_on import was_on
from nn_assets.features.labels import label_kind
from nn_assets.features.stationarity import StationarityReport
from nn_assets.market.calendar.sessions import calendar_end_warning
from nn_assets.market.quality.notices import rule_counts_text
from nn_assets.operations.asof.studies import late_verdict, month_of_verdict
from nn_assets.operations.asof.traces import read_steps
from nn_assets.operations.asof.universe import survivorship_facts
from nn_assets.operations.bar_faults import delisting_line, without_bar
from nn_assets.operations.history import History
from nn_assets.operations.models.stored import load_model
from nn_assets.operations.situation import (
    headline_now,
    of_bars,
    situation_of,
    study_of_others,
    study_of_others_text,
)
from nn_assets.operations.study import StudyResult
from nn_assets.oversight.headline import Situation, headline
from nn_assets.plugins import find
from nn_assets.portfolio.binding import binding_constraints
from nn_assets.portfolio.expected import horizon_is_short
from nn_assets.portfolio.late_actions import owed_by_late_actions
from nn_assets.portfolio.records import book_remainder
from nn_assets.reports.page import DailyPage, Plot, StudyPage, daily_page, demo_page, study_page
from nn_assets.reports.plots import (
    calibration_curve,
    equity_and_drawdown,
    positions_over_time,
    rolling_rank_ic,
)
from nn_assets.reports.sections import SECTIONS
from nn_assets.session.daily_round import Round
from nn_assets.session.missing_bars import missing_bars, sessions_read
from nn_assets.settings import Strategy
from nn_assets.sources.registry import source_member
from nn_assets.store.home import reports_root
from nn_assets.store.lake.files import read_record, replace_file, write_record
from nn_assets.store.lake.publication import Publication

_MOST_NOTICES = 50
_NET_ROOM = 0.001  # fraction of capital: what rounding to lots and a day's moves explain


def study_plots(result: StudyResult) -> dict[str, bytes]:
    """Equity, rolling skill, calibration and positions of a study, as PNG bytes by name."""
    study = result.study
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
            tracks.returns[rows],
            folds=tracks.folds[rows],
        ),
        "calibration": calibration_curve(
            {name: values[rows] for name, values in tracks.forecasts.items()}, tracks.targets[rows]
        ),
        "positions": positions_over_time(tracks.sessions[rows], weights, tracks.symbols),
    }


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
_PROVENANCE = {
    "data_hash": "Data",
    "model_id": "Model",
    "code_version": "Code",
    "settings_hash": "Settings",
    "content_hash": "Decision",
}


def keep_study(history: History, result: StudyResult, plots: Mapping[str, bytes]) -> None:
    """Keep what the tear sheet needs of a study, plots included, so that pages are made without running it again."""
    strategy = history.strategy
    track, rows = result.study.track, result.study.rows
    first, last = track.sessions[rows[0]], track.sessions[rows[-1]]
    models = [model_id for model_id in result.material.model_by_row[: rows[-1] + 1] if model_id]
    kept = {
        "figures": result.study.figures.to_dict(),
        "verdict": asdict(result.last.verdict),
        "facts": [
            ["Out-of-sample sessions", f"{len(rows):,}"],
            ["Span", f"{first.date()} to {last.date()}"],
            ["Models in use", str(len(set(models)))],
            ["Refreshes", refreshes_text(result)],
            ["Symbols", str(len(track.symbols))],
            ["Label", _label_text(strategy)],
            *([["Own code", ", ".join(strategy.plugins)]] if strategy.plugins else []),
            ["Trials counted", str(result.trials)],
            ["Verdict of", _verdict_of(result)],
            *_bar_and_bounds(result.last.verdict),
            *_stops_and_premium(strategy, result),
            *_financing(strategy, result),
            *_pooled(load_model(history.stores, models[-1]).stationarity),
            *map(list, survivorship(history).items()),
        ],
        "was_on": was_on_lines(strategy, result),
        "settings_hash": strategy.content_hash(),
        "newest_model": models[-1],
        "plots": {name: base64.b64encode(png).decode() for name, png in plots.items()},
    }
    write_record(_kept_study(history), kept)


def _label_text(strategy: Strategy) -> str:
    own = "".join(f", {key} {value}" for key, value in strategy.label.settings.items())
    return (
        f"{strategy.label.kind}{own}, {strategy.label.horizon_sessions} sessions, fills at {strategy.label.execution}"
    )


def was_on_lines(strategy: Strategy, result: StudyResult) -> list[str]:
    """One sentence for each estimator: its members and confidence, its drift watch, sizing and costs."""
    study = result.study
    costs = study.costs(study.rows[-1])
    return [str(was_on(strategy, name, played, costs)) for name, played in study.replays.items()]


def refreshes_text(result: StudyResult) -> str:
    """How many refreshes drift asked for in a study, and their outcomes."""
    refreshes = result.material.refreshes
    checks = [refresh.check for refresh in refreshes if refresh.check is not None]
    taken = sum(check.accepted for check in checks)
    text = f"{len(refreshes)} asked for, {taken} put in force, {len(checks) - taken} refused"
    waits = len(refreshes) - len(checks)
    return f"{text}, {waits} asked for on the last session and still open" if waits else text


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
        guessed = f"; on {assumed:,} of {len(books):,} sessions a rate was not known, and assumed" if assumed else ""
        facts.append(["Funding received less paid", f"{received:+,.0f} USD, {share}{guessed}"])
    return facts


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


def survivorship(history: History) -> dict[str, str]:
    """What a study says of members without bars: one line, or none without a universe."""
    bars = history.published_bars
    return survivorship_facts(history.strategy, history.membership_versions, bars, history.axis)


def _kept_study(history: History) -> Path:
    return reports_root() / f"{history.strategy.name}-study.json"


def study_sheet(history: History) -> StudyPage:
    """The tear sheet of the study kept last, with the positions decided last where there are any.

    Raises
    ------
    PublicationError
        No study was kept, or nothing is published.
    """
    strategy, ledger = history.strategy, history.stores.ledger
    kept = read_record(_kept_study(history))
    if kept is None:
        raise PublicationError(
            expected=f"a study of {strategy.name}",
            found="none kept",
            remedy=f"nn-assets study --strategy {strategy.name}",
            strategy=strategy.name,
        )
    publication = history.covering(history.last_session)
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
    quarantine = history.stores.publications.quarantine(publication)
    return StudyPage(
        name=strategy.name,
        description=strategy.description,
        verdict=Verdict(**kept["verdict"]),
        figures=StudyFigures.from_dict(kept["figures"]),
        label=_market_label(strategy),
        facts=[
            *((name, value) for name, value in kept["facts"]),
            ("Rows in quarantine", str(len(quarantine))),
        ],
        was_on=tuple(kept.get("was_on", ())),  # version 0.1 kept none
        plots=[
            Plot(*caption, base64.b64decode(kept["plots"][name]))
            for name, caption in _CAPTIONS.items()
            if name in kept["plots"]
        ],
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
        caveats=_caveats(strategy),
        own_sections=_own_sections(strategy),
    )


def _data_notices(publication: Publication) -> list[str]:
    """Counts by rule, then the first notices, and how many more there are."""
    lines = publication.details.get("notices", ())
    counted = rule_counts_text(publication.details.get("noticed_by_rule", {}))  # version 0.1 kept none
    return [*([f"{len(lines):,} notices: {counted}"] if counted else []), *first_of(lines, _MOST_NOTICES)]


def _market_label(strategy: Strategy) -> str:
    """Where the bars come from; that they are real is known of the bundled sample alone."""
    return source_member("files" if strategy.intraday is not None else strategy.source.kind).label


def _answer_notices(session_round: Round) -> list[str]:
    """Say that the session's solver had no answer, which limits its book exceeds, or that its horizon is short."""
    answer, inputs = session_round.decision.answer, session_round.decision.inputs
    notices = []
    if answer.no_answer is not None:
        notices.append(
            f"The solver had no answer ({answer.no_answer}): nothing was opened or enlarged on this session."
        )
    if answer.exceeded:
        notices.append(f"Over {', '.join(answer.exceeded)}: what cannot be traded today is more than the limit.")
    rho = math.nan if inputs.programme is None else inputs.programme.autocorrelation
    if horizon_is_short(rho):
        notices.append(
            f"The label's horizon of {inputs.horizon_sessions} sessions is below half the forecasts' half-life: over "
            f"it they correlate {rho:.2f} with themselves. A longer label would say more of what a position earns."
        )
    return notices


def _stop_notices(session_round: Round) -> list[str]:
    """Say what the session's fills lost beyond the stops of the positions they closed."""
    lost = session_round.loss_beyond_stops_usd
    if lost <= 0.0:
        return []
    return [f"Fills lost {lost:,.2f} USD beyond the stops of the positions they closed: prices opened or moved past."]


def _ended_notices(session_round: Round) -> list[str]:
    """Say which orders under way ended without a whole fill, and why: the account may hold what the book does not."""
    by_reason: dict[str, list[str]] = {}
    for order in session_round.ended:
        by_reason.setdefault(order.reason, []).append(session_round.session_state.book.symbols[order.symbol])
    return [
        f"{reason}: {len(names)} order{'s' * (len(names) > 1)} under way ended without a whole fill: "
        f"{', '.join(first_of(names))}. The orders below replace them; compare the positions with the "
        "account."
        for reason, names in by_reason.items()
    ]


def _premium_notices(session_round: Round) -> list[str]:
    """Say what share of the target is premium, where the settings hold it."""
    decision = session_round.decision
    if not decision.settings.hold_premium:
        return []
    share = f"{decision.premium_of_gross:.0%} of the target's gross is premium of the base rates"
    return [f"hold_premium: {share}, held whatever is forecast. Step 1 of each name says its own share."]


def _net_notices(strategy: Strategy, state: Mapping[str, Any]) -> list[str]:
    """Say that a stop left one leg of a balanced book alone overnight; the orders below bring it back."""
    net, limit = float(state["net_fraction"]), strategy.portfolio.net_limit
    if abs(net) <= limit + _NET_ROOM:
        return []
    cause = "a stop, a partial fill or a move unbalanced the book after its orders were made"
    remedy = "The targets below keep to the limit again from the next fill on."
    return [f"Net {net:+.2%} lies beyond the limit of {limit:.0%}: {cause}. {remedy}"]


def _missing_notices(history: History, session_round: Round) -> list[str]:
    """Say which symbols of the decision lack a bar: stepped over, of the session itself, or too many of them."""
    view, strategy = history.view(session_round.session), history.strategy
    reached = sessions_read(view.cube.names, strategy.learning.lookback, strategy.features.max_missing_bars_fraction)
    signalled = np.isfinite(session_round.signals.calibrated_probability)
    missing = missing_bars(np.isfinite(view.panel.close), signalled, view.members, reached)
    within = f"within the {reached} sessions that features and lookback read"

    def named(columns: Sequence[int]) -> str:
        return ", ".join(first_of([view.symbols[column] for column in columns]))

    notices = []
    if missing.stepped_over:
        notices.append(
            f"{len(missing.stepped_over)} of {int(signalled.sum())} signals rest on fewer bars "
            f"(features.missing_bars {strategy.features.missing_bars}), at least one is missing {within}: "
            f"{named(missing.stepped_over)}."
        )
    if missing.none_today:
        notices.append(f"No bar of this session, so no signal: {named(missing.none_today)}.")
    if missing.silenced:
        notices.append(
            f"No signal, and bars are missing {within}: {named(missing.silenced)}. Windows step over "
            f"{strategy.features.max_missing_bars_fraction:.0%} at most (features.max_missing_bars_fraction)."
        )
    return notices


def _alarm_notices(history: History, session_round: Round) -> list[str]:
    """Repeat the leak alarms that a person released, as the study in force has them."""
    study = history.view(session_round.session).study
    alarms = "" if study is None else study["figures"].get("released_alarms", "")  # version 0.1 had none
    return [f"Leak alarm, released: {alarms}"] if alarms else []


def _unquoted_notices(history: History, session_round: Round) -> list[str]:
    """Say what is held and has no bar, or has one in quarantine."""
    remainder = book_remainder(session_round.session_state.book)
    in_quarantine, absent = without_bar(history, session_round.session, remainder)
    return [
        *(f"{bar.cause}; {bar.remedy}." for bar in in_quarantine),
        *(f"{position.cause}; {delisting_line(history.strategy, position)}." for position in absent),
    ]


def _calendar_notices(strategy: Strategy, session_round: Round) -> list[str]:
    """Say that the calendar ends soon."""
    warning = calendar_end_warning(strategy.market.calendar, session_round.session)
    return [] if warning is None else [f"{warning[0].upper()}{warning[1:]}."]


def _delisting_notices(session_round: Round) -> list[str]:
    """Say what delistings brought to the book on this session."""
    paid = session_round.session_state.book.session_delistings_usd
    gone = [
        session_round.session_state.book.symbols[order.symbol]
        for order in session_round.ended
        if order.reason == "delisted"
    ]
    if paid == 0.0 and not gone:
        return []
    return [f"Delistings were booked before this session's first fill: {paid:+,.2f} USD. Compare it with the account."]


def _funding_notices(strategy: Strategy, session_round: Round) -> list[str]:
    """Say what funding a session paid, and where its rates were not known."""
    if strategy.costs.funding is None:
        return []
    book = session_round.session_state.book
    notices = [f"Funding received less paid on this session: {book.session_funding_usd:+,.2f} USD."]
    if book.funding_assumed:
        cause, remedy = assumed_funding_warning(strategy, book.funding_assumed)
        notices.append(f"{cause[0].upper()}{cause[1:]}: {remedy}.")
    return notices


def _late_notices(strategy: Strategy, session_round: Round) -> list[str]:
    """Say which actions became known late, and what they brought to the book on this session."""
    late, symbols = session_round.late, session_round.session_state.book.symbols
    if late is None:
        return []
    notices, owed = [], owed_by_late_actions(late, strategy.portfolio.lot_size)
    for column in late.changed.nonzero()[0]:
        changes = [
            f"{kind} of {day} {before[column]:g} -> {now[column]:g}"
            for kind in ("split", "dividend", "delisting")
            for day, before, now in zip(
                late.sessions, getattr(late.taken, kind), getattr(late.known, kind), strict=True
            )
            if before[column] != now[column] and not (np.isnan(before[column]) and np.isnan(now[column]))
        ]
        notices.append(
            f"{symbols[column]}: {', '.join(changes)}, known only now. The book was converted before this session's "
            f"first fill: {owed.quantity[column]:+,.10g} shares, {owed.dividends_usd[column]:+,.2f} USD of dividends, "
            f"{owed.in_lieu_usd[column]:+,.2f} USD for fractions, "
            f"{owed.delistings_usd[column]:+,.2f} USD of delistings. Compare it with the account."
        )
    if session_round.cancelled:
        notices.append(
            f"late_action: {session_round.cancelled} orders under way were cancelled and nothing of them was filled: "
            "the book that sized them was wrong. Cancel those that the account still holds; the orders below replace "
            "them."
        )
    return notices


def _caveats(strategy: Strategy) -> tuple[str, ...]:
    caveats = []
    if source_member(strategy.source.kind).simulated:
        caveats.append(
            "The market is simulated and its edge was planted: the figures prove nothing about real markets."
        )
    if strategy.market.vault_starts is not None:
        caveats.append(
            f"History from {strategy.market.vault_starts} on is sealed in the vault; nothing here has seen it."
        )
    else:
        caveats.append("There is no vault: no stretch of history was kept back for a last test.")
    if strategy.trade_without_verdict:
        caveats.append(
            "The settings say trade_without_verdict: positions are taken although no edge may have been found."
        )
    resets = strategy.portfolio.replay_reset_sessions
    if label_kind(strategy.label).relative:
        caveats.append(
            "'Up' means better than the other names of the day: the label is relative, and the book dollar-neutral."
        )
    caveats.append(f"In the replay a latched breaker is reset after {resets} sessions; live, only a person resets it.")
    caveats.append("Returns are simulated fills at stated costs, not money made.")
    return tuple(caveats)


def _own_sections(strategy: Strategy) -> tuple[str, ...]:
    """Names of the sections that the strategy's plug-ins registered, in their order."""
    return SECTIONS.brought_by(find(plugin).top for plugin in strategy.plugins)


def _write(name: str, text: str) -> Path:
    folder = reports_root()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    with replace_file(file) as staged:
        staged.write_text(text, encoding="utf-8")
    return file


def write_study_page(history: History) -> Path:
    """Write a strategy's tear sheet; returns its file."""
    return _write(f"{history.strategy.name}-study.html", study_page(study_sheet(history)))


def write_demo_page(sheets: list[StudyPage]) -> Path:
    """Write the demo's page with every strategy's sheet; returns its file."""
    text = demo_page(
        sheets,
        title="nn_assets demo",
        subtitle="Two strategies, the same machinery: real index bars, and a simulated market with a planted edge.",
    )
    return _write("demo.html", text)


def _allowed_by_verdict(history: History, session_round: Round) -> bool:
    """Whether the verdict itself let positions be taken, as the session's decision has it on record."""
    decided = history.stores.ledger.read(
        "decisions", history.strategy.name, session_round.session, session_round.session
    )
    return not decided.empty and bool(decided["details"].iloc[-1].get("verdict_allows", False))


def _situation_after(
    history: History, session_round: Round, frames: Mapping[str, pd.DataFrame], provenance: Mapping[str, str]
) -> Situation:
    """How the session left the strategy."""
    decided_at = history.view(session_round.session).decided_at
    ledger, verdict = history.stores.ledger, _verdict_or_none(provenance)
    situation = situation_of(
        history.strategy,
        state=values_of(frames["portfolio_states"].iloc[0]),
        trading=values_of(frames["trading_states"].iloc[0]),
        targets=frames["target_positions"],
        holdings=frames["holdings"],
        orders=frames["orders"],
        verdict=verdict,
        verdict_allows=_allowed_by_verdict(history, session_round),
        verdict_of=month_of_verdict(ledger, history.strategy, session_round.session, decided_at, verdict),
        late=late_verdict(ledger, history.strategy, session_round.session, decided_at),
        kill_switch=str(session_round.decision.inputs.kill_switch),
    )
    faults = of_bars(history, session_round.session, frames["portfolio_states"]["book"].iloc[0])
    return replace(situation, study_of_others=study_of_others(history), faults=faults)


def bound_by(session_round: Round, frames: Mapping[str, pd.DataFrame]) -> dict[str, tuple[str, int | None]]:
    """The constraint that bound each size of a session and the step that it acts in, by symbol."""
    symbols = session_round.decision.inputs.symbols
    after = frames["position_steps"]["weight_after"].to_numpy().reshape(len(symbols), -1).T  # (steps, symbols)
    return dict(zip(symbols, binding_constraints(session_round.decision, after), strict=True))


def _verdict_or_none(provenance: Mapping[str, str]) -> str | None:
    return provenance["verdict"] if provenance["verdict"] != "None" else None


def _no_verdict(history: History) -> str:
    """How far the newest study goes, if it was made under other settings; else empty."""
    text = study_of_others_text(history)
    return "" if text is None else f"none: the newest study goes {text}"


def write_daily_page(
    history: History,
    session_round: Round,
    frames: dict[str, pd.DataFrame],
    provenance: dict[str, str],
    drift_plot: bytes | None,
) -> Path:
    """Write the report of one session; returns its file."""
    strategy = history.strategy
    trading = frames["trading_states"].iloc[0]
    caption = "Each monitored series against its calibrated critical value."
    plots = [] if drift_plot is None else [Plot("Drift", caption, drift_plot)]
    page = DailyPage(
        name=strategy.name,
        session=str(session_round.session.date()),
        headline=headline(_situation_after(history, session_round, frames, provenance)),
        trading_state=str(trading["state"]),
        trading_reasons="; ".join(trading["reasons"]),
        portfolio=values_of(frames["portfolio_states"].iloc[0]),
        targets=frames["target_positions"],
        steps=frames["position_steps"],
        orders=frames["orders"],
        fills=frames["fills"],
        drift=frames["drift"],
        bound_by=bound_by(session_round, frames),
        label=_market_label(strategy),
        verdict=_verdict_or_none(provenance) or _no_verdict(history),
        plots=plots,
        notices=[
            *_answer_notices(session_round),
            *_ended_notices(session_round),
            *_stop_notices(session_round),
            *_premium_notices(session_round),
            *_net_notices(strategy, values_of(frames["portfolio_states"].iloc[0])),
            *_calendar_notices(strategy, session_round),
            *_unquoted_notices(history, session_round),
            *_delisting_notices(session_round),
            *_funding_notices(strategy, session_round),
            *_late_notices(strategy, session_round),
            *_missing_notices(history, session_round),
            *_alarm_notices(history, session_round),
        ],
        provenance={label: provenance[key] for key, label in _PROVENANCE.items()},
        caveats=_caveats(strategy),
        own_sections=_own_sections(strategy),
    )
    return _write(f"{strategy.name}-{session_round.session.date()}.html", daily_page(page))
