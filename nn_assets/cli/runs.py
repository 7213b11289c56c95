"""The commands run and study: Dagster's jobs without its UI, and their results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from nn_assets.cli.failed import with_failed_checks
from nn_assets.cli.intake import row_counts_text
from nn_assets.contracts.frames import RangeRows
from nn_assets.errors import MOST_NAMED, DecisionError, SettingsError, first_of
from nn_assets.evaluation.verdict import NO_MONTH_ENDED
from nn_assets.evaluation.volatility_verdict import DOES_NOT_TRADE
from nn_assets.learning.first_month import first_model_month, training_key
from nn_assets.market.calendar.sessions import days_of_bars, decides_within, is_session, sessions_between
from nn_assets.operations.asked import REFIT_TAG, effective_strategy
from nn_assets.operations.asof.decisions import ended_orders, undecided_sessions
from nn_assets.operations.asof.forecasts import missing_months
from nn_assets.operations.asof.halts import INTRADAY_GATE
from nn_assets.operations.asof.models import models_in_force, require_models
from nn_assets.operations.asof.studies import latest_study
from nn_assets.operations.bar_faults import lacking
from nn_assets.operations.catalog import find_live_strategy, find_strategy
from nn_assets.operations.days import COMPARED
from nn_assets.operations.decision_timing import refuse_live
from nn_assets.operations.edited import require_stages, symbols_fault
from nn_assets.operations.history import History, open_history
from nn_assets.operations.models.outdated import months_to_refit
from nn_assets.operations.names import DAILY, STUDY
from nn_assets.operations.next_command import comes_after_a_study, next_command
from nn_assets.operations.ranges import ranges_on, ranges_text
from nn_assets.operations.situation import headline_now
from nn_assets.operations.stores import open_stores
from nn_assets.orchestration.outcomes import failed_checks_of
from nn_assets.orchestration.partitions import month_partitions
from nn_assets.orchestration.running import execute, materialized_metadata, metadata_by_asset
from nn_assets.settings import Strategy
from nn_assets.settings.sections import STUDIED_AND_REPLAYED_ONLY
from nn_assets.store.home import reports_root

_Option = tuple[str, str | None]  # its name and its value
_LATE_ACTION = "late_action"


def run_rounds(name: str, session: str | None, first: str | None = None, last: str | None = None) -> dict[str, Any]:
    """Run the daily rounds of some sessions in order, in one run: those from ``first`` to ``last``, or one.

    Parameters
    ----------
    session : str, optional
        The one session; the last that is closed when nothing is named.
    first, last : str, optional
        Both included; ``last`` is the last that is closed when left out.

    Raises
    ------
    SettingsError
        No live start is stated, a day is no session, or the options contradict each other.
    ModelError
        No model decides the first session, or one that would be decided: nothing is loaded.
    DecisionError
        A session is not closed yet, lies before the live start, or depends on one that is undecided; or a symbol was
        taken off that is held or on order.
    ClockError
        Moments on record lie ahead of the clock.
    """
    strategy = find_live_strategy(name).strategy
    with open_history(strategy) as history:
        sessions = _asked(history, *_span(session, first, last))
        before_study = comes_after_a_study(history, [*sessions])
    begin, end = (str(sessions[index].date()) for index in (0, -1))
    result = execute(strategy, DAILY, first=begin, last=end)
    with open_history(strategy) as history:
        answer = _answer(history, sessions)
    answer |= {"before_study": before_study}
    answer = _with_intake(answer | {"run_id": str(result.run_id)}, metadata_by_asset(result))
    compared = [str(metadata[COMPARED]) for _, metadata in materialized_metadata(result) if COMPARED in metadata]
    early = [_before_study_text(strategy, len(sessions))] * before_study
    answer |= {"compared": compared, "text": "\n".join([*early, answer["text"], *compared])}
    return with_failed_checks(answer, failed_checks_of(result.all_events))


def _before_study_text(strategy: Strategy, count: int) -> str:
    """That the first sessions were decided flat for want of a study, and what to do."""
    were = "this session was" if count == 1 else f"these {count} sessions were"
    return (
        f"{strategy.name}: {were} decided flat for good, since no study came before: give nn-assets study --strategy "
        f"{strategy.name} now, for the sessions that follow"
    )


def _asked(history: History, begin: _Option, end: _Option) -> pd.DatetimeIndex:
    """The sessions asked for, each of which may be decided."""
    require_stages(history)  # first: a live start that was removed after decisions has an error of its own
    strategy = history.strategy
    refuse_live(strategy)
    if strategy.market.live_starts is None:
        raise SettingsError(
            expected="market.live_starts, the first session to be decided",
            found="none stated",
            remedy=f"state it, in {first_model_month(strategy)} or later, the first month that can have a model",
            key="market.live_starts",
        )
    if history.clock_fault is not None:
        raise history.clock_fault
    day = history.last_session if end[1] is None else session_asked(strategy, *end)
    opening = day if begin[1] is None else session_asked(strategy, *begin)
    _require_order("session", str(opening.date()), str(day.date()))
    history.require_live(opening)
    history.row(day)
    if (fault := symbols_fault(history)) is not None:
        raise fault
    _refuse_a_gap_before(history, opening, day)
    models = models_in_force(history.stores.ledger, strategy)
    sessions = sessions_between(strategy.market.calendar, opening, day)
    undecided = [session for session in sessions if history.decided_at(session) is None]
    for session in (opening, *undecided[:1]):
        models.on(session)
    require_models(models, undecided)
    return sessions


def _answer(history: History, sessions: pd.DatetimeIndex) -> dict[str, Any]:
    """What the last of some sessions left on record, and the strategy's headline now."""
    ledger, name, day = history.stores.ledger, history.strategy.name, sessions[-1]
    state = ledger.read("portfolio_states", name, day, day).iloc[0]
    targets = ledger.read("target_positions", name, day, day)
    trading = ledger.read("trading_states", name, day, day).iloc[0]
    headline = str(headline_now(history))
    positions = {
        str(row.symbol): {"target_quantity": row.target_quantity, "target_weight": row.target_weight}
        for row in targets.itertuples()
    }
    held = sum(1 for position in positions.values() if position["target_quantity"])
    breaker = state["breaker"] if isinstance(state["breaker"], str) and state["breaker"] else None
    without = lacking(history, sessions)
    notes = first_of([gap.cause for gap in without])
    ended = ended_orders(ledger, history.strategy, sessions)
    several = f"{len(sessions)} sessions from {sessions[0].date()} on; " if len(sessions) > 1 else ""
    ranges = None if history.strategy.ranges is None else ranges_on(history, day)
    suggested = "" if ranges is None else f"\n{ranges_text(ranges)}"
    return {
        "strategy": name,
        "session": str(day.date()),
        "headline": headline,
        "sessions": [str(session.date()) for session in sessions],
        "equity_usd": float(state["equity_usd"]),
        "trading_state": str(trading["state"]),
        "breaker": breaker,
        "targets": positions,
        "without_bars": {str(gap.session.date()): list(gap.symbols) for gap in without},
        "ended_orders": {str(session.date()): by_reason for session, by_reason in ended.items()},
        "text": "\n".join([headline, *notes, *first_of(_ended_order_lines(ended, _halted(history, ended)))])
        + f"\n{several}{name} {day.date()}: equity {state['equity_usd']:,.0f} USD, {held} positions to "
        f"hold next, breaker {breaker or 'none'}, drift says {trading['state']}{suggested}",
        **({} if ranges is None else {"ranges": _plain(ranges.to_frame(day))}),
    }


def _plain(ranges: RangeRows) -> dict[str, dict[str, Any]]:
    """Rows of ranges as JSON values, by symbol; no value where there is none."""
    rows = ranges.drop(columns="session").astype(object)
    return {
        str(row["symbol"]): {str(name): value for name, value in row.items() if name != "symbol"}
        for row in rows.where(rows.notna(), None).to_dict("records")
    }


_Ended = Mapping[pd.Timestamp, Mapping[str, Sequence[str]]]


def _halted(history: History, ended: _Ended) -> dict[pd.Timestamp, set[str]]:
    """Which symbols of ended orders were known to be halted on the session, as its page names them."""
    halted: dict[pd.Timestamp, set[str]] = {}
    for session, by_reason in ended.items():
        names = tuple(sorted({name for of_reason in by_reason.values() for name in of_reason}))
        on = history.halted(pd.DatetimeIndex([session]), names)
        halted[session] = (
            set() if on is None else {name for name, is_halted in zip(names, on[0], strict=True) if is_halted}
        )
    return halted


def _ended_order_lines(ended: _Ended, halted: Mapping[pd.Timestamp, Collection[str]]) -> list[str]:
    """A line for each session and reason for which orders under way ended without a whole fill, with the symbols."""
    return [
        f"{session.date()}: {len(names)} order{'s' * (len(names) > 1)} ended without a whole fill: {reason}"
        + " (an action known late changed the book that had sized all of them)" * (reason == _LATE_ACTION)
        + f": {', '.join(first_of([_with_halt(name, halted[session]) for name in dict.fromkeys(names)]))}"
        for session, by_reason in ended.items()
        for reason, names in by_reason.items()
    ]


def _with_halt(name: str, halted: Collection[str]) -> str:
    return f"{name} (halted)" if name in halted else name


def _with_intake(answer: dict[str, Any], metadata: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The answer with what was taken in, and a line of its own for it and for rows left out."""
    raw, published = metadata["raw_bars"], metadata["validated_bars"]
    rows = {"delivered": raw["delivered_rows"], "added": raw["added"], "revised": raw["revised"]}
    within = metadata.get(INTRADAY_GATE, {}).get("quarantined", 0)
    quarantined, left_out = int(published["quarantined"]) + int(within), raw.get("left_out")
    stands, others = answer["headline"], answer["text"].removeprefix(f"{answer['headline']}\n")
    restated = list(raw.get("restated", ()))
    data = f"data: {row_counts_text(rows)}, {quarantined:,} in quarantine"
    text = "\n".join(filter(None, [stands, data, *(f"restated: {bar}" for bar in restated), left_out, others]))
    new = {"rows": {**rows, "quarantined": quarantined}, "restated": restated, "left_out": left_out, "text": text}
    return {**answer, **new}


def _span(session: str | None, first: str | None, last: str | None) -> tuple[_Option, _Option]:
    """The options that say which sessions are first and last, each with its value."""
    if session is None and first is None and last is None:
        return ("--session", None), ("--session", None)
    if session is not None and first is None and last is None:
        return ("--session", session), ("--session", session)
    if session is None and first is not None:
        return ("--from", first), ("--to", last)
    raise SettingsError(
        expected="one session with --session, or several with --from and --to",
        found=", ".join(
            f"{name} {value}"
            for name, value in (("--session", session), ("--from", first), ("--to", last))
            if value is not None
        ),
        remedy="leave --session out, and say with --from where to begin",
        key="--session / --from / --to",
    )


def _refuse_a_gap_before(history: History, opening: pd.Timestamp, day: pd.Timestamp) -> None:
    """Refuse sessions with undecided ones before them: each decision starts from the one before."""
    undecided = undecided_sessions(history.stores.ledger, history.strategy, history.live_sessions)
    earlier = [session for session in undecided if session < opening]
    if earlier and any(opening <= session <= day for session in undecided):
        # Without a model no round helps, and what this raises names the study that does.
        models_in_force(history.stores.ledger, history.strategy).on(earlier[0])
        raise DecisionError(
            expected=f"every session from {history.first_live_session.date()} on decided before {opening.date()}",
            found=f"{len(earlier)} undecided, the oldest {earlier[0].date()}",
            remedy=f"all in one run: nn-assets run --strategy {history.strategy.name} --from {earlier[0].date()} "
            f"--to {day.date()}",
            session=opening.date(),
        )


def session_asked(strategy: Strategy, option: str, text: str | None) -> pd.Timestamp:
    """A day that an option names, as a session of the strategy's calendar.

    Raises
    ------
    SettingsError
        It is no day, or none on which the market trades.
    """
    day = pd.NaT if text is None else pd.to_datetime(text, format="%Y-%m-%d", errors="coerce")
    if pd.isna(day):
        raise SettingsError(
            expected="a day as YYYY-MM-DD",
            found=repr(text),
            remedy="write the day year first, such as 2015-06-01 for 1 June 2015",
            key=option,
        )
    if not is_session(strategy.market.calendar, day):
        raise SettingsError(
            expected=f"a session of {strategy.market.calendar}",
            found=repr(text),
            remedy="name a day on which the market trades",
            key=option,
        )
    return day


def decision_asked(strategy: Strategy, option: str, text: str) -> pd.Timestamp:
    """A decision that an option names: a session by its day, or a bar within the session by the moment it begins.

    Of a day alone, the last bar of that day's session.

    Raises
    ------
    SettingsError
        It is no day or moment, or none at which the strategy decides.
    """
    calendar = strategy.market.calendar
    if not decides_within(calendar):
        return session_asked(strategy, option, text)
    forms = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M")
    read = [pd.to_datetime(text, format=form, errors="coerce") for form in forms]
    moment = next((one for one in read if not pd.isna(one)), None)
    if moment is None:
        raise SettingsError(
            expected="a moment as YYYY-MM-DDTHH:MM, UTC, or a day as YYYY-MM-DD",
            found=repr(text),
            remedy="write when the bar begins, such as 2024-03-10T05:00; of a day alone the last bar is taken",
            key=option,
        )
    around = sessions_between(calendar, moment - pd.Timedelta(days=2), moment + pd.Timedelta(days=2))
    days = days_of_bars(calendar, around)
    of_bar = around if days is None or pd.isna(read[0]) else pd.DatetimeIndex(days)
    known = around[of_bar == moment]
    if not len(known):
        minutes = strategy.intraday.decision_minutes if strategy.intraday is not None else 0
        near = around[around <= moment][-1:]
        raise SettingsError(
            expected=f"a bar of {minutes} minutes of {calendar.split(' ')[0]}, named by its start, UTC",
            found=repr(text),
            remedy="name a moment at which a bar begins"
            + "".join(f", such as {decision_named(strategy, bar)}" for bar in near),
            key=option,
        )
    return known[-1]


def decision_named(strategy: Strategy, session: pd.Timestamp) -> str:
    """A session by its day; a bar within the session by the moment it begins, UTC, as ``2024-03-10T05:00``."""
    return f"{session:%Y-%m-%dT%H:%M}" if decides_within(strategy.market.calendar) else str(session.date())


def run_study(
    name: str,
    first: str | None,
    last: str | None,
    refit_every: int | None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Run the walk-forward study over a range of months, all of history when none is named.

    ``say`` is called, before the study begins, with the earlier months that must be run too.
    """
    strategy = find_strategy(name).strategy
    with open_history(strategy) as history:
        require_stages(history)
        newest, models = history.last_session.strftime("%Y-%m"), history.stores.models
    low, high = months_asked(strategy, first, last, newest)
    tags = {} if refit_every is None else {REFIT_TAG: str(refit_every)}
    with open_history(strategy) as history:
        # A study needs the whole record before it: months that are missing or outdated are run too.
        missing, outdated = missing_months(history.stores.lake, strategy, low), months_to_refit(history, low)
    if missing or outdated:
        opening = min(*missing, *outdated, low)
        why = [f"{_listed(missing)} had no forecasts yet"] if missing else []
        why += [f"facts of {_listed(outdated)} arrived since"] if outdated else []
        again = len(pd.period_range(opening, low, freq="M")) - 1
        say(
            f"{strategy.name}: a study stands on every month before it; {' and '.join(why)}, "
            f"so {_months(again)} from {opening} on run before {low}"
        )
        low = opening
    before = len(models.model_ids())
    try:
        result = execute(strategy, STUDY, first=f"{low}-01", last=f"{high}-01", tags=tags)
    except KeyboardInterrupt as interrupt:
        kept = len(models.model_ids()) - before
        raise KeyboardInterrupt(f"{kept} model{'s' * (kept != 1)} kept") from interrupt
    failed = failed_checks_of(result.all_events)
    with open_stores() as stores:
        study = latest_study(stores.ledger, effective_strategy(strategy, tags), str(pd.Period(high, "M") + 1))
    answer: dict[str, Any] = {"strategy": strategy.name, "from": low, "to": high, "run_id": str(result.run_id)}
    with open_history(strategy) as history:
        following = next_command(history)
    page = reports_root() / f"{strategy.name}-study.html"
    answer |= {"page": str(page) if page.is_file() else None, "next": following}
    ending = ([f"page  {page}"] if page.is_file() else []) + [f"next  {answer['next']}"]
    if study is None:
        flat = f"{DOES_NOT_TRADE}; " * strategy.of_no_direction
        conclusion = conclusion_of(strategy, NO_MONTH_ENDED.phrase, flat + NO_MONTH_ENDED.reason)
        text = f"{strategy.name} {low} to {high}: {conclusion}"
        answer |= {"verdict": NO_MONTH_ENDED.phrase, "verdict_of": None, "figures": {}}
        return with_failed_checks(answer | {"text": "\n".join([text, *ending])}, failed)
    later = "" if study["month"] == high else ": no later month has ended"
    conclusion = conclusion_of(strategy, str(study["verdict"]), str(study["figures"]["reason"]))
    head = f"{strategy.name} {low} to {high} (verdict of {study['month']}{later}): {conclusion}"
    answer |= {
        "verdict": str(study["verdict"]),
        "verdict_of": str(study["month"]),
        "figures": study["figures"],
        "text": "\n".join([head, *ending]),
    }
    return with_failed_checks(answer, failed)


def conclusion_of(strategy: Strategy, phrase: str, reason: str) -> str:
    """A verdict and its reason, two sentences; first why no position follows where decisions are not sent."""
    why = reason if strategy.decisions is None else f"it does not trade: {STUDIED_AND_REPLAYED_ONLY}; {reason}"
    return f"{phrase}. {why[:1].upper()}{why[1:]}"


def _listed(months: list[str]) -> str:
    """How many months, and which: all of a few, the first and the last of many."""
    named = months if len(months) <= MOST_NAMED else [*months[:2], "...", months[-1]]
    return f"{_months(len(months))} ({', '.join(named)})"


def _months(count: int) -> str:
    return f"{count} month{'s' * (count != 1)}"


def months_asked(strategy: Strategy, first: str | None, last: str | None, newest: str) -> tuple[str, str]:
    """The range of months that two options name; left out, the first that can have a model, and ``newest``.

    Raises
    ------
    SettingsError
        One is no month that can have a model, or the first lies after the last.
    """
    low = first_model_month(strategy) if first is None else _month(strategy, first)
    high = newest if last is None else _month(strategy, last)
    _require_order("month", low, high)
    return low, high


def _require_order(kind: str, first: str, last: str) -> None:
    """Refuse ``--from`` after ``--to``, both as ISO has them."""
    if first > last:
        raise SettingsError(
            expected=f"a first {kind} that does not lie after the last",
            found=f"{first} to {last}",
            remedy="swap the two",
            key="--from / --to",
        )


def _month(strategy: Strategy, text: str) -> str:
    keys = month_partitions(strategy).get_partition_keys()
    if not keys:
        raise SettingsError(
            expected=f"history beyond {first_model_month(strategy)}, the first month that a model can be trained for",
            found=f"history from {strategy.market.history_starts} to {strategy.market.history_ends or 'today'}",
            remedy=f"bring a longer history, or shorten {training_key(strategy)}",
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
