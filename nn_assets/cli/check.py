"""The command ``check``: take in the data, run them through the gate, and report; nothing is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray
from nn_assets.cli.check_text import check_lines
from nn_assets.cli.failed import with_failed_checks
from nn_assets.cli.unknown_symbols import unknown_symbols
from nn_assets.contracts.frames import DailyBars, Quarantine
from nn_assets.costs.financing import financing_text
from nn_assets.errors import RunFailed, first_of
from nn_assets.learning.first_month import WARM_UP_SESSIONS, first_model_month, first_month_from
from nn_assets.market.calendar.sessions import decides_within
from nn_assets.market.quality.cleaning import RULES, Cleaned
from nn_assets.market.quality.copied import possible_copies
from nn_assets.market.quality.gate import GateReport, bars_due
from nn_assets.market.quality.session_names import session_name, session_names
from nn_assets.operations.asof.actions import ACTIONS
from nn_assets.operations.asof.halts import DAILY_GATE, INTRADAY_GATE, gate_of
from nn_assets.operations.asof.intraday_quarantine import with_intraday_quarantine
from nn_assets.operations.asof.series import OTHER_SERIES
from nn_assets.operations.asof.universe import UNIVERSE, unseen_members
from nn_assets.operations.catalog import find_live_strategy
from nn_assets.operations.clock import as_of_sessions
from nn_assets.operations.edited import require_stages
from nn_assets.operations.facts import RAW_BARS
from nn_assets.operations.history import History, open_history
from nn_assets.operations.intake.actions import actions_to_publish, delisted, stored_actions
from nn_assets.operations.intake.audited_whole import differing_from_whole
from nn_assets.operations.intake.bars import Audited, audit_bars, notices_of
from nn_assets.operations.intake.beside import other_tables
from nn_assets.operations.intake.intraday import RAW_INTRADAY, VALIDATED_INTRADAY, AuditedIntraday, audit_intraday
from nn_assets.operations.names import TABLES
from nn_assets.operations.next_command import history_too_short, next_command
from nn_assets.operations.pages import left_out_beside
from nn_assets.operations.situation import headline_now
from nn_assets.orchestration.naming import asset_key
from nn_assets.orchestration.outcomes import failed_checks_of, failure_of
from nn_assets.orchestration.running import attempt, metadata_by_asset, require_success, warnings_of
from nn_assets.portfolio.breakers import never_alone
from nn_assets.settings import Strategy
from nn_assets.store.home import data_docs_file
from nn_assets.store.lake.publication import Publication

_VALIDATED = DAILY_GATE
_MOST_ROWS, _MOST_NOTICES, _MOST_CONTENTS = 5, 10, 3
_DUPLICATE = "duplicate"
_REMEDY_OF_DUPLICATE = next(rule.remedy for rule in RULES if rule.name == _DUPLICATE)
# Advisory checks: where all bars end on one day they say only, once more, that the newest are not there.
_OF_THE_NEWEST = ("stale_feed", "usual_volume", "complete_symbols", "fresh_symbols", "usual_distribution")
_FACTS = ("symbol", "session", "rule", "field", "value", "source")
_CHANGES = ("added", "revised")
_NO_DAILY = {
    **dict.fromkeys(("delivered_rows", "outside_rows", "equal_rows", *_CHANGES), 0),
    **dict.fromkeys(("actions_added", "actions_revised", "actions_outside", "files_read"), 0),
    "files_without_bars": [],
    "first_outside": [],
    "held_out_rows": 0,
    "restated": [],
    "first_actions_outside": [],
}
_CLOSES = (
    "closes alone: orders fill at the next close; stops are hit by closes, at a distance of moves between closes, "
    "nearer than that of ranges; no feature reads a range or volume; a run of equal closes is a feed at a standstill "
    "(cleaning.stale_run_sessions)"
)
_Metadata = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Judged:
    """Daily bars as the gate judged them: those published, refused, or made of bars within the session refused."""

    bars: DailyBars
    quarantine: Quarantine
    notices: Sequence[str]
    noticed_by_rule: Mapping[str, int]
    possible_copies: Mapping[str, int] = field(default_factory=dict)  # bars by session

    @classmethod
    def published(cls, history: History, publication: Publication) -> Self:
        store, details = history.stores.publications, publication.details
        quarantine = with_intraday_quarantine(history.stores, history.strategy, store.quarantine(publication))
        rows = store.bars(publication), quarantine
        notices, by_rule = list(details.get("notices", ())), details.get("noticed_by_rule", {})
        return cls(*rows, notices, by_rule, details.get("possible_copies", {}))

    @classmethod
    def refused(cls, history: History, audited: Audited) -> Self:
        actions = actions_to_publish(history, history.stores.lake.segments(history.strategy.name, ACTIONS))
        notices, cleaned = notices_of(history, audited, actions), audited.cleaned
        by_rule = dict(Counter(notice.rule for notice in notices))
        lines, doubtful = [notice.line for notice in notices], possible_copies(notices)
        quarantine = with_intraday_quarantine(history.stores, history.strategy, cleaned.quarantine)
        return cls(cleaned.bars, quarantine, lines, by_rule, doubtful)

    @classmethod
    def of_refused_intraday(cls, audited: AuditedIntraday, strategy: Strategy) -> Self:
        daily = audited.sessions.bars
        bars = daily.assign(known_at=as_of_sessions(strategy.market, daily["session"]))
        return cls(bars, audited.cleaned.quarantine, [], {})


def check_data(name: str, *, whole: bool = False) -> dict[str, Any]:
    """Take a strategy's data in, judge them at their gates, and report them; nothing is trained.

    Where a gate halts, it has the same of what was refused, and every check that failed; the answer is not ok. With
    ``whole``, every bar is then judged once more: where what is published differs, the answer is not ok.

    Raises
    ------
    SettingsError
        The live start lies before any month that can have a model.
    RunFailed
        A source is at fault: the message is that of the step that failed.
    """
    strategy = find_live_strategy(name).strategy
    with open_history(strategy) as history:
        require_stages(history)
        before = history.stores.publications.current(strategy.name)
    result = attempt(strategy, TABLES, assets=(*other_tables(strategy), RAW_BARS, _VALIDATED))
    failure, halt, gate = failure_of(result.all_events), None, None
    try:
        require_success(strategy, TABLES, result)
    except RunFailed as error:
        if failure is None or not failure.of_a_gate or (gate := gate_of(failure.step)) is None:
            raise
        halt = error
    metadata, warnings = metadata_by_asset(result), warnings_of(result, asset_key(strategy, _VALIDATED))
    with open_history(strategy) as history:
        if halt is None:
            answer = _passed(history, metadata, warnings, before, whole=whole)
        else:
            answer = _halted(history, metadata, warnings, halt, gate)
    answer["run_id"] = str(result.run_id)
    return with_failed_checks(answer, failed_checks_of(result.all_events), already_shown=halt is not None)


def _passed(
    history: History, metadata: _Metadata, warnings: list[str], before: Publication | None, *, whole: bool
) -> dict[str, Any]:
    strategy = history.strategy
    now = history.stores.publications.require(strategy.name, history.last_session)
    changed = any(metadata[table].get(change) for table in metadata for change in _CHANGES)
    answer = {
        "nothing_new": before is not None and before.content_hash == now.content_hash and not changed,
        **_facts(history, _Judged.published(history, now), metadata),
        "gate": {"passed": True, "warnings": warnings},
        "first_model": _first_model(history, history.published_bars),
        "next": next_command(history),
    }
    if (short := history_too_short(history)) is not None:
        answer |= {"history_too_short": short.why}
    if history.clock_fault is not None:
        answer |= {"ok": False, "clock": f"ClockError: {history.clock_fault}"}
    lines = check_lines(answer)
    if whole:
        differing = differing_from_whole(history)
        answer |= {
            "whole_pass": {"equal": not differing, "differing": differing},
            "ok": answer.get("ok", True) and not differing,
        }
        lines += differing or ["the whole pass over all bars gives what is published"]
    return {**answer, "text": "\n".join(lines)}


def _halted(
    history: History, metadata: _Metadata, warnings: list[str], halt: RunFailed, gate: str | None
) -> dict[str, Any]:
    """What came in and was refused, judged once more; the last line is the strategy's headline."""
    if gate == INTRADAY_GATE:
        intraday = audit_intraday(history)
        judged, report = _Judged.of_refused_intraday(intraday, history.strategy), intraday.report
        none_came = {**_NO_DAILY, "actions": stored_actions(history)}
        metadata = {**metadata, VALIDATED_INTRADAY: report.figures, RAW_BARS: none_came, _VALIDATED: {}}
    else:
        audited = audit_bars(history)
        judged, report = _Judged.refused(history, audited), audited.report
        metadata = {**metadata, _VALIDATED: report.figures}
    failed = [
        {"name": cause.name, "found": cause.detail, "remedy": cause.remedy, "violations": list(cause.violations)}
        for cause in report.causes
    ]
    if report.following:
        warnings = [warning for warning in warnings if warning.partition(":")[0] not in _OF_THE_NEWEST]
    headline = headline_now(history)
    publication = history.stores.publications.current(history.strategy.name)
    answer = {
        "ok": False,
        "error": halt.kind,
        "message": str(halt),
        "nothing_new": False,
        "published_to": None if publication is None else str(publication.last_session.date()),
        **_facts(history, judged, metadata),
        "gate": {"passed": False, "warnings": warnings, "failed": failed},
        "first_model": _first_model(history, judged.bars),
        "headline": str(headline),
        "next": _next_after_halt(report, history.strategy),
    }
    below = [f"  {line}" for line in headline.below]
    return {**answer, "text": "\n".join([*check_lines(answer), *below, headline.sentence])}


def _next_after_halt(report: GateReport, strategy: Strategy) -> str:
    """What to do about a halt: a setting that would let the data pass, where there is one, or mending them."""
    hints = "".join(f"{cause.hint}; else " for cause in report.causes if cause.hint)
    return f"{hints}mend the data at the source, then nn-assets check --strategy {strategy.name}"


def _facts(history: History, judged: _Judged, metadata: _Metadata) -> dict[str, Any]:
    """What came in and what the gate saw, whether or not it passed."""
    strategy, page = history.strategy, data_docs_file(history.strategy.name)
    return {
        "strategy": strategy.name,
        **_bars(history, judged, {**metadata[_VALIDATED], **metadata[RAW_BARS]}),
        **_beside(history, metadata),
        "calendar": None
        if "calendar" in strategy.market.model_fields_set
        else f"{strategy.market.calendar}, since market.calendar is left out",
        "label": _label_assumed(strategy),
        "baselines": left_out_beside(strategy),
        "left_out": metadata[RAW_BARS].get("left_out"),
        "notices": {
            "count": len(judged.notices),
            "by_rule": judged.noticed_by_rule,
            "first": judged.notices[:_MOST_NOTICES],
        },
        "possible_copies": dict(judged.possible_copies),
        "details": _details(metadata),
        "compared": _compared(strategy, metadata),
        "prices": _CLOSES if strategy.closes_only else None,
        "unknown_symbols": unknown_symbols(strategy, _known_symbols(history, judged.bars)),
        "breakers": list(never_alone(strategy.portfolio)),
        "financing": financing_text(strategy),
        "data_docs": str(page) if page.is_file() else None,
    }


def _bars(history: History, judged: _Judged, taken: dict[str, Any]) -> dict[str, Any]:
    strategy, bars, quarantine = history.strategy, judged.bars, judged.quarantine
    within = decides_within(strategy.market.calendar)
    first, rows_shown = _first_quarantined(quarantine, within=within)
    unseen = unseen_members(strategy, history.membership_versions, bars, history.axis)
    symbols = strategy.market.symbols or tuple(sorted(bars["symbol"].unique()))
    due, absent = bars_due(Cleaned(bars, quarantine, ()), symbols, history.axis, delisted(history))
    members = history.bars_expected(history.axis, symbols)
    expected = np.ones_like(due) if members is None else members
    missing = absent & expected
    ahead = _known_ahead(history, symbols, missing)
    missing &= ~ahead
    return {
        "rows": {
            "delivered": taken["delivered_rows"],
            "outside": taken["outside_rows"],
            "added": taken["added"],
            "revised": taken["revised"],
            "equal_rows": taken["equal_rows"],
        },
        "first_outside": list(taken["first_outside"]),
        "vault": {"starts": str(strategy.market.vault_starts), "rows": taken["held_out_rows"]}
        if taken["held_out_rows"]
        else None,
        "restated": list(taken["restated"]),
        "symbols": sorted(str(symbol) for symbol in bars["symbol"].unique()),
        "first_session": _day(bars["session"].min(), within=within),
        "last_session": _day(bars["session"].max(), within=within),
        "never_delivered": _days_by_symbol(symbols, missing),
        "first_missing": _first_days(symbols, missing, history.axis),
        "known_ahead": _days_by_symbol(symbols, ahead),
        "first_known_ahead": _first_days(symbols, ahead, history.axis),
        "late_starts": _late_starts(symbols, due, expected, history.axis),
        "files": {"read": taken["files_read"], "without_bars": list(taken["files_without_bars"])},
        "actions": {
            "stored": taken["actions"],
            **{name: taken[f"actions_{name}"] for name in (*_CHANGES, "outside")},
            "first_outside": list(taken["first_actions_outside"]),
        },
        "quarantine": {
            "rows": len(quarantine),
            "by_rule": {rule: int(rows) for rule, rows in quarantine["rule"].value_counts().items()},
            "first": first,
            "rows_shown": rows_shown,
            "all": "nn-assets export quarantine",
        },
        "members_without_bars": unseen.to_dict("records") if strategy.universe else None,
    }


def _first_quarantined(quarantine: Quarantine, *, within: bool) -> tuple[list[dict[str, str]], int]:
    """The first bars in quarantine, and how many rows they are: a contradicted one once, with its contents."""
    again = quarantine["rule"].eq(_DUPLICATE) & quarantine.duplicated(["symbol", "session", "rule"])
    number = (~again).cumsum()
    rows = quarantine.loc[number <= _MOST_ROWS, list(_FACTS)].astype("str")
    rows["session"] = [session_name(session, within=within) for session in quarantine.loc[rows.index, "session"]]
    bars = []
    for _, contents in rows.groupby(number, sort=False):
        bar = {str(name): str(value) for name, value in contents.iloc[0].items()}
        if bar["rule"] == _DUPLICATE:
            values, sources = list(dict.fromkeys(contents["value"])), dict.fromkeys(contents["source"])
            bar |= {"value": " and ".join(first_of(values, _MOST_CONTENTS)), "source": ", ".join(sources)}
            bar["remedy"] = _REMEDY_OF_DUPLICATE
        bars.append(bar)
    return bars, len(rows)


def _known_ahead(history: History, symbols: Sequence[str], missing: BoolArray) -> BoolArray:
    """Which of the missing bars came and state a known_at that lies ahead, (sessions, symbols)."""
    ahead = np.zeros_like(missing)
    if missing.any() and history.stores.lake.segments(history.strategy.name, RAW_BARS):
        versions = history.versions_of_some(sessions=history.axis[np.flatnonzero(missing.any(axis=1))])
        column = pd.Index(symbols).get_indexer(pd.Index(versions["symbol"]))
        ahead[history.axis.get_indexer(pd.DatetimeIndex(versions["session"]))[column >= 0], column[column >= 0]] = True
    return ahead & missing


def _known_symbols(history: History, bars: pd.DataFrame) -> set[str]:
    """Symbols that the strategy or its universe names, and those that have bars."""
    versions = history.membership_versions
    members = () if versions is None else versions["symbol"].unique()
    return {*map(str, bars["symbol"].unique()), *history.strategy.market.symbols, *map(str, members)}


def _days_by_symbol(symbols: Sequence[str], days: BoolArray) -> dict[str, int]:
    """Count of the marked days, (sessions, symbols), of each symbol that has any."""
    return {name: int(count) for name, count in zip(symbols, days.sum(axis=0), strict=True) if count}


def _first_days(symbols: Sequence[str], days: BoolArray, sessions: pd.DatetimeIndex) -> dict[str, str]:
    """The first marked day of each symbol that has any."""
    columns = zip(symbols, days.T, strict=True)
    names = session_names(sessions)
    return {name: names[column.argmax()] for name, column in columns if column.any()}


def _label_assumed(strategy: Strategy) -> str | None:
    """What is forecast, and when it is traded, where the settings leave that to their defaults; None where they say.

    A horizon that is told in hours and bars is told where it is stated, too.
    """
    label = strategy.label
    explicit = label.model_fields_set | ({"horizon_sessions"} if label.horizon_hours is not None else set())
    defaults = {
        "horizon_sessions": f"a horizon of {strategy.horizon_text}",
        "execution": f"orders at the {label.execution.replace('_', ' ')}",
    }
    assumed = [f"{phrase}, since label.{key} is left out" for key, phrase in defaults.items() if key not in explicit]
    own_words = [defaults["horizon_sessions"]] if strategy.horizon_in_bars and "horizon_sessions" in explicit else []
    return "; ".join([*own_words, *assumed]) or None


def _day(session: pd.Timestamp, *, within: bool) -> str:
    return "none" if pd.isna(session) else session_name(session, within=within)


def _compared(strategy: Strategy, metadata: _Metadata) -> dict[str, Any] | None:
    """Bars that the second source could judge, and what it delivered; None where there is none, or it was not asked."""
    if strategy.market.compare_with is None or "compared_delivered" not in metadata[RAW_BARS]:
        return None
    taken, judged = metadata[RAW_BARS], metadata[_VALIDATED]
    rows = judged["bars"] + judged["quarantined"]
    return {
        "with": strategy.market.compare_with.kind,
        "delivered": taken["compared_delivered"],
        "rows": judged["compared"],
        "not_judged": rows - judged["compared"],
        "failed": taken.get("compared_failed"),
    }


def _details(metadata: _Metadata) -> dict[str, Any] | None:
    """What came of bars beyond prices and volume; None where nothing did."""
    taken = metadata[RAW_BARS]
    if "details_added" not in taken:
        return None
    return {name: taken[f"details_{name}"] for name in ("added", "revised", "left_out")}


def _late_starts(
    symbols: Sequence[str], due: BoolArray, expected: BoolArray, sessions: pd.DatetimeIndex
) -> dict[str, str | None]:
    """First session delivered of each symbol without the first one asked for; None where none ever came.

    Asked for is all of the history, or, of a universe, the sessions on which the symbol was a member.
    """
    names = session_names(sessions)
    return {
        symbol: names[days.argmax()] if days.any() else None
        for symbol, days, member in zip(symbols, due.T, expected.T, strict=True)
        if member.any() and not days[member.argmax()]
    }


def _beside(history: History, metadata: _Metadata) -> dict[str, Any]:
    """Series, universe and intraday bars; none where the strategy names none."""
    strategy = history.strategy
    taken, judged = metadata.get(RAW_INTRADAY), metadata.get(VALIDATED_INTRADAY, {})
    return {
        "series": _series(history.series_versions) if strategy.series else [],
        "series_rows": _chosen(metadata.get(OTHER_SERIES), (*_CHANGES, "quarantined")),
        "universe": _chosen(metadata.get(UNIVERSE), (*_CHANGES, "spells", "symbols", "members")),
        "intraday": _chosen(
            None if taken is None else {**judged, **taken},
            (
                "delivered_rows",
                "left_out",
                *_CHANGES,
                "bars",
                "equal_rows",
                "symbols",
                "quarantined",
                "gaps",
                "missing_bars",
            ),
        ),
    }


def _chosen(facts: dict[str, Any] | None, names: tuple[str, ...]) -> dict[str, Any] | None:
    return None if facts is None else {name: facts[name] for name in names}


def _series(versions: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "symbol": symbol,
            "observations": int(rows["observed_at"].nunique()),
            "first": str(rows["observed_at"].min().date()),
            "last": str(rows["observed_at"].max().date()),
        }
        for (name, symbol), rows in versions.groupby(["name", "symbol"])
    ]


def _first_model(history: History, bars: pd.DataFrame) -> dict[str, Any]:
    """From when bars, features and a model are there by the data, and what the settings say that they cannot keep.

    ``bars``, with session and known_at, are those published, or those that a gate which halted was given. One that
    states a later ``known_at`` than its session's decision is not there for that decision.
    """
    strategy = history.strategy
    if bars.empty:
        none = "none: no bar is left to train on"
        return {"bars": None, "features": None, "month": None, "late_bars": 0, "late_by_symbol": {}, "told": none}
    known_late = bars["known_at"] > as_of_sessions(strategy.market, bars["session"])
    by_symbol = bars[known_late].groupby("symbol", observed=True)["session"]
    late = {
        "late_bars": int(known_late.sum()),
        "late_by_symbol": {str(name): int(days) for name, days in by_symbol.count().items()},
        "first_late": {str(name): str(day.date()) for name, day in by_symbol.min().items()},
    }
    days = bars.loc[~known_late, "session"]
    if days.empty:
        message = (
            f"none: all {len(bars):,} bars state a known_at later than their own session's decision, so that no "
            "session sees its bar; write into the column known_at when each bar became known, or leave the column out"
        )
        return {"bars": None, "features": None, "month": None, **late, "told": message}
    start = days.min()
    row = int(history.axis.searchsorted(start)) + WARM_UP_SESSIONS
    features = str(history.axis[row].date()) if row < len(history.axis) else None
    month, wanted = first_month_from(strategy, start.date()), first_model_month(strategy)
    message = f"{month}, from bars that begin {start.date()}; every feature is there from {features or 'no session'} on"
    if month > wanted:
        message += (
            f"; market.history_starts {strategy.market.history_starts} asks for models from {wanted} on, which no data "
            f"can train: set market.history_starts to {start.date()}"
        )
    return {
        "bars": str(start.date()),
        "features": features,
        "month": month,
        **late,
        "told": message,
    }
