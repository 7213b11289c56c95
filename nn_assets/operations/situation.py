"""The state of a strategy, for its headline: what the ledger records of it, and everything that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from nn_assets.arrays import Moment, values_of
from nn_assets.contracts.frames import HoldingRows, OrderRows, TargetPositionRows
from nn_assets.errors import ClockError, DecisionError, NnAssetsError
from nn_assets.learning.first_month import first_model_month, live_start_fault
from nn_assets.market.calendar.sessions import calendar_end_warning, next_session, sessions_between
from nn_assets.market.quality.unexplained_factors import UNEXPLAINED_FACTOR
from nn_assets.operations.alerts import fault_of_alerts
from nn_assets.operations.asof.controls import breaker_reset_for, kill_switch_now
from nn_assets.operations.asof.decisions import decided_sessions, decision_moments, undecided_sessions
from nn_assets.operations.asof.forecasts import missing_months
from nn_assets.operations.asof.halts import gate_of, last_halt, passed_since
from nn_assets.operations.asof.models import ModelsInForce, models_in_force
from nn_assets.operations.asof.settings_on_record import settings_apart
from nn_assets.operations.asof.studies import late_verdict, latest_study, month_of_verdict
from nn_assets.operations.asof.trials import alarms_just_released
from nn_assets.operations.bar_faults import ALERT_SESSIONS, delisting_line, lacking, silent, unchecked, without_bar
from nn_assets.operations.clock import has_clock, now_utc
from nn_assets.operations.edited import stage_fault, symbols_fault
from nn_assets.operations.facts import LOST_BARS, RAW_BARS, StoredFacts
from nn_assets.operations.failures import (
    LOST,
    checks_of_other_assets,
    failed_step_text,
    failed_tick_message,
    halt_text,
    is_halt,
    left_by_lost,
    one_line,
    split_remedy,
)
from nn_assets.operations.names import (
    COST_ESTIMATION,
    DAILY,
    DAILY_ROUND,
    DRIFT_REFRESH,
    RETRAINING,
    SOME_ASSETS,
    STUDY,
    TABLES,
    full_name,
)
from nn_assets.operations.outcomes import (
    FAILED,
    LEDGER_INTACT,
    STARTED,
    SUCCEEDED,
    FailedCheck,
    checks_failed_in,
    last_heartbeat,
    last_runs,
    last_ticks,
    runs_backwards,
)
from nn_assets.oversight.headline import Fault, Headline, Situation, TradingWord, headline
from nn_assets.portfolio.records import breakers_of, is_halved, recorded_symbols
from nn_assets.settings import Strategy
from nn_assets.store.ledger.audit import broken_on_record
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.reread import BROKEN_REMEDY
from nn_assets.store.ledger.run_locks import was_killed

_ROUNDS = (DAILY, TABLES, SOME_ASSETS)  # without them nothing is decided
_HOUR, _DAY = pd.Timedelta(hours=1), pd.Timedelta(days=1)
# How long a schedule, sensor or daemon may be silent: a beat comes every hour, a schedule ticks when it is due.
_LONGEST_SILENCE = {
    DAILY_ROUND: _DAY + _HOUR,
    RETRAINING: 32 * _DAY,
    COST_ESTIMATION: 32 * _DAY,
    DRIFT_REFRESH: 1.5 * _HOUR,
}
_LONGEST_OF_OTHERS = 32 * _DAY  # a schedule that a plug-in brought
_LONGEST_WITHOUT_BEAT = 1.5 * _HOUR
_SECOND_SOURCE = "have the source of market.compare_with deliver in time, or drop it"


def situation_of(
    strategy: Strategy,
    *,
    state: Mapping[str, Any],
    trading: Mapping[str, Any],
    targets: TargetPositionRows,
    holdings: HoldingRows,
    orders: OrderRows,
    verdict: str | None,
    verdict_allows: bool,
    verdict_of: str | None,
    late: str | None,
    kill_switch: str,
) -> Situation:
    """How a session left the strategy, by its own records.

    Parameters
    ----------
    state, trading : mapping
        The session's row of ``portfolio_states`` and of ``trading_states``.
    targets, holdings, orders : DataFrame
        Its ``target_positions``, ``holdings`` and ``orders``.
    verdict_of : str or None
        The month of the verdict, by :func:`~nn_assets.operations.asof.studies.month_of_verdict`.
    late : str or None
        Which verdict came too late for it, by :func:`~nn_assets.operations.asof.studies.late_verdict`.
    """
    session = pd.Timestamp(state["session"])
    held = set(holdings.loc[holdings["quantity"] != 0.0, "symbol"])
    following = next_session(strategy.market.calendar, session).date()
    return Situation(
        strategy=strategy.name,
        settings=strategy.portfolio,
        session=str(session.date()),
        held=len(held),
        closing=len(held.intersection(orders.loc[orders["status"] != "denied", "symbol"])),
        next_round=str(following),
        next_fill=f"the {strategy.label.execution.removeprefix('next_')} of {following}",
        to_hold=int((targets["target_quantity"] != 0.0).sum()),
        symbols=len(targets),
        verdict=verdict,
        verdict_of=verdict_of,
        verdict_allows=verdict_allows or strategy.trade_without_verdict,
        late_verdict=None if strategy.trade_without_verdict else late,
        without_verdict=strategy.trade_without_verdict and not verdict_allows,
        breakers=breakers_of(state["breaker"], state["book"]),
        kill_switch=kill_switch,
        trading_state=str(trading["state"]),
        trading_reasons="; ".join(trading["reasons"]),
        halved=is_halved(state["book"]),
    )


def headline_now(facts: StoredFacts) -> Headline:
    """What is true of a strategy at this moment."""
    with facts.stores.ledger.answers_kept():
        left, refused = _decided(facts), faults_of_stages(facts)
        faults = (*left.faults, *_faults(facts, refused))
    stopped = bool(refused) or any(_tells_of_a_changed_ledger(fault) for fault in faults)
    return headline(replace(left, faults=faults, stopped=stopped))


def _decided(facts: StoredFacts) -> Situation:
    """The strategy as its last decided session left it, under the controls of now."""
    strategy, ledger = facts.strategy, facts.stores.ledger
    decisions = ledger.latest("decisions", strategy.name, bookkeeping=True)
    switch = kill_switch_now(ledger, strategy.name)
    if decisions.empty:
        others = study_of_others(facts)
        return Situation(
            strategy=strategy.name, settings=strategy.portfolio, kill_switch=switch, study_of_others=others
        )
    decision, session = decisions.iloc[-1], decisions["session"].iloc[-1]
    states, trading, targets, holdings, orders = (
        ledger.read(table, strategy.name, session, session)
        for table in ("portfolio_states", "trading_states", "target_positions", "holdings", "orders")
    )
    if states.empty or trading.empty:
        lost = Fault(
            f"records of {session.date()} are gone from the ledger", "nn-assets audit verify", TradingWord.HALTED
        )
        return Situation(strategy=strategy.name, settings=strategy.portfolio, kill_switch=switch, faults=(lost,))
    reset = breaker_reset_for(ledger, strategy, next_session(strategy.market.calendar, session))
    left = situation_of(
        strategy,
        state=values_of(states.iloc[-1]),
        trading=values_of(trading.iloc[-1]),
        targets=targets,
        holdings=holdings,
        orders=orders,
        verdict=decision["verdict"] if isinstance(decision["verdict"], str) else None,
        verdict_allows=bool(decision["details"].get("verdict_allows", False)),
        verdict_of=month_of_verdict(ledger, strategy, session, decision["recorded_at"], decision["verdict"]),
        late=late_verdict(ledger, strategy, session, decision["recorded_at"]),
        kill_switch=switch,
    )
    faults = (*of_bars(facts, session, states.iloc[-1]["book"]), *_of_unknown_shares(ledger, strategy.name, session))
    releases = () if reset is None else reset.kinds
    situation = replace(left, releases=releases, faults=faults, study_of_others=study_of_others(facts))
    return replace(
        situation,
        alarm_released=alarms_just_released(ledger, strategy.name),
        verdict_since=_verdict_without_alarm(ledger, strategy),
    )


def _verdict_without_alarm(ledger: Ledger, strategy: Strategy) -> str:
    """What the newest study of the settings in force says, of which month; empty where it is a leak alarm too."""
    newest = latest_study(ledger, strategy)
    if newest is None or newest["verdict"] == "leak alarm":
        return ""
    return f"{newest['verdict']!r} of {newest['month']}"


def _of_unknown_shares(ledger: Ledger, strategy: str, session: pd.Timestamp) -> Iterator[Fault]:
    """Symbols for which a session sent no order, since no stated action explains a factor in their prices."""
    orders = ledger.read("orders", strategy, session, session, where={"reason_code": UNEXPLAINED_FACTOR})
    for symbol in orders["symbol"].unique():
        yield Fault(
            f"no order of {symbol} is sent: how many shares are held is not known, since no stated split explains the "
            "factor in its prices",
            f"nn-assets check --strategy {strategy} names the factor: state the split, or have the bars restated",
        )


def of_bars(facts: StoredFacts, session: pd.Timestamp, remainder: str | Mapping[str, Any]) -> tuple[Fault, ...]:
    """What is wrong with a session's bars: absent, held and in quarantine, confirmed by none, or known too late.

    Parameters
    ----------
    remainder : str or mapping
        The session's ``book``, of ``portfolio_states``.
    """
    in_quarantine, absent = without_bar(facts, session, remainder)
    absent = [position for position in absent if position.sessions >= ALERT_SESSIONS]
    alone, late = unchecked(facts, session), silent(facts, session, recorded_symbols(remainder))
    reported = {position.symbol for position in (*in_quarantine, *absent)}
    why = f"nn-assets check --strategy {facts.strategy.name} tells why bars are missing"
    return (
        *(Fault(bar.cause, bar.remedy) for bar in in_quarantine),
        *(Fault(position.cause, delisting_line(facts.strategy, position)) for position in absent),
        *(() if alone is None else (Fault(alone, _SECOND_SOURCE),)),
        *(() if late is None else (Fault(late.cause, late.remedy),)),
        *(
            Fault(gap.cause, "" if reported.issuperset(gap.symbols) else why)
            for gap in lacking(facts, pd.DatetimeIndex([session]), recorded_symbols(remainder))
        ),
    )


def study_of_others(facts: StoredFacts) -> str:
    """The settings in which the newest study on record differs from those in force; empty if any study has these."""
    newest = _newest_of_others(facts)
    return "" if newest is None else settings_apart(facts.stores.ledger, facts.strategy, str(newest["settings_hash"]))


def study_of_others_text(facts: StoredFacts) -> str | None:
    """If no study has the settings in force: how far the newest one goes, and in which settings it differs."""
    newest = _newest_of_others(facts)
    return None if newest is None else f"to {newest['month']}, of other settings: {study_of_others(facts)}"


def _newest_of_others(facts: StoredFacts) -> pd.Series | None:
    ledger = facts.stores.ledger
    newest = ledger.latest("studies", facts.strategy.name)
    if newest.empty or latest_study(ledger, facts.strategy) is not None:
        return None
    return newest.iloc[-1]


def _faults(facts: StoredFacts, refused: Sequence[NnAssetsError]) -> Iterator[Fault]:
    strategy, ledger = facts.strategy, facts.stores.ledger
    waiting = undecided_sessions(ledger, strategy, facts.live_sessions)
    models = models_in_force(ledger, strategy)
    halt = last_halt(ledger, strategy.name)
    if halt is not None:
        why = f"the gate halted on {halt[0]:%Y-%m-%d %H:%M} UTC: {halt_text(halt[1])}"
        mended = f"mend the data at the source, then {_goes_on_with(facts, waiting, models)}"
        yield Fault(why, mended, TradingWord.HALTED)
    if (broken := broken_on_record(ledger)) is not None:
        yield Fault(f"audit verify found a changed ledger: {broken}", BROKEN_REMEDY, TradingWord.HALTED)
    if (clock := facts.clock_fault) is not None:
        yield Fault(f"expected {clock.expected}; found {clock.found}", clock.remedy, TradingWord.HALTED)
    # What a round refused, and would refuse again, is reported only once, below.
    of_runs = [
        fault
        for fault in _of_runs(ledger, strategy)
        if not any(error.found in fault.why and error.expected in fault.why for error in refused)
    ]
    yield from of_runs
    reported = any(fault.word is TradingWord.HALTED and _tells_of_a_changed_ledger(fault) for fault in of_runs)
    if broken is None and not reported and facts.changed_record:
        yield Fault(f"the ledger is not as it was appended: {facts.changed_record}", BROKEN_REMEDY, TradingWord.HALTED)
    for error in refused:
        if isinstance(error, ClockError):
            continue  # reported above
        yield Fault(f"{error.found}; expected {error.expected}", error.remedy, TradingWord.HALTED)
    begun = facts.publication is not None or not facts.decision_moments.empty
    without_data = not begun and not facts.stores.lake.segments(strategy.name, RAW_BARS)
    if without_data:
        first = f"nn-assets check --strategy {strategy.name}"
        yield Fault("no data were taken in yet", first, TradingWord.DOES_NOT_TRADE)
    lost = list(_of_lost_folders(facts))
    yield from lost
    if not refused and not lost and not without_data:  # else a round would not help
        yield from _of_sessions(facts, waiting, models)
    today = now_utc().tz_localize(None) if has_clock(strategy.market, now_utc()) else facts.last_session
    if (ends := calendar_end_warning(strategy.market.calendar, today)) is not None:
        end, _, remedy = ends.partition(": ")
        yield Fault(end, remedy)
    yield from _silences(ledger, strategy, in_time=not waiting)
    yield from _failed_ticks(ledger, strategy.name)
    if not ledger.read_only and (unwritable := fault_of_alerts()) is not None:
        yield Fault(unwritable.found, unwritable.remedy)


def _of_lost_folders(facts: StoredFacts) -> Iterator[Fault]:
    """Folders that decisions rest on and that are gone: the bars, or the publications."""
    folder = facts.stores.lake.folder
    if facts.bars_lost:
        yield Fault(
            f"the bars are gone: nothing is stored in {folder(facts.strategy.name, RAW_BARS)}",
            LOST_BARS,
            TradingWord.HALTED,
        )
    elif facts.publication is None and not facts.decision_moments.empty:
        anew = f"or, without one, publish anew what is stored: nn-assets check --strategy {facts.strategy.name}"
        yield Fault(
            f"what decisions stand on is gone: nothing is published in {folder(facts.strategy.name, 'publication')}",
            f"restore the folder from a backup {anew}",
            TradingWord.HALTED,
        )


def _tells_of_a_changed_ledger(fault: Fault) -> bool:
    return fault.remedy.startswith(BROKEN_REMEDY)


def faults_of_stages(facts: StoredFacts) -> list[NnAssetsError]:
    """Faults of the strategy's dates and symbols, or of the clock, for which every round is refused."""
    faults = live_start_fault(facts.strategy), stage_fault(facts), symbols_fault(facts)
    return [fault for fault in faults if fault is not None]


def open_failed_checks(
    ledger: Ledger, strategy: str, runs: Mapping[str, dict[str, Any]]
) -> dict[str, list[FailedCheck]]:
    """The checks that failed in the last runs, by job, without what the gate found of data that passed it since.

    Parameters
    ----------
    runs : mapping
        As :func:`~nn_assets.operations.outcomes.last_runs` gives them.
    """
    return {
        name: [
            check
            for check in checks_failed_in(run)
            if (gate := gate_of(check.name)) is None or not passed_since(ledger, strategy, run, gate)
        ]
        for name, run in runs.items()
    }


def _of_runs(ledger: Ledger, strategy: Strategy) -> Iterator[Fault]:
    runs = last_runs(ledger, strategy.name)
    if DAILY in runs:  # how the strategy stands is told by the last round that was not refused
        rounds = runs_backwards(ledger, strategy.name, DAILY)
        judged = next((run for run in rounds if not _refused_what_was_not_due(ledger, strategy, run)), None)
        if judged is None or judged["outcome_id"] != runs[DAILY]["outcome_id"]:
            text = failed_step_text(str(runs[DAILY]["message"]))
            yield Fault(f"the last run of {DAILY} was refused and changed nothing: {text}", "")
        runs = {name: run for name, run in runs.items() if name != DAILY} | ({DAILY: judged} if judged else {})
    decided, failed_checks = runs.get(DAILY), open_failed_checks(ledger, strategy.name, runs)
    for name, run in runs.items():
        for check in checks_of_other_assets(run["failed_step"], failed_checks[name]):
            if check.name != LEDGER_INTACT:
                yield Fault(f"check {check.name} failed: {one_line(check.found)}", check.remedy)
        if (fault := _of_run(ledger, strategy, name, run, decided)) is not None:
            yield fault


def _of_run(
    ledger: Ledger, strategy: Strategy, name: str, run: Mapping[str, Any], last_round: Mapping[str, Any] | None
) -> Fault | None:
    """That a job's last run was killed or failed; None where it was not, or where something else reports or mended it.

    ``last_round`` is the last round that was not refused.
    """
    killed = run["outcome"] == STARTED and was_killed(str(run["outcome_id"]))
    lost = run["outcome"] == FAILED and LOST in str(run["message"])
    if name == TABLES and (killed or lost):
        mended = _later_round(last_round, run) or _decided_since(ledger, strategy, _began(run))
        return None if mended else _of_killed_check(strategy, run)
    if killed:
        # What was to be decided waits, and says so itself.
        remedy_of_lost = left_by_lost(name, strategy.name, run["first_partition"], run["last_partition"])[1]
        return Fault(
            f"a run of {name} was killed; the next command or tick closes it", remedy_of_lost if name == STUDY else ""
        )
    if run["outcome"] != FAILED or _is_reported_by_the_gate(ledger, strategy.name, name, run):
        return None
    if name == DAILY and _lost_with_all_decided(ledger, strategy, run):
        return None
    if name in _ROUNDS and (
        _later_round(last_round, run) or (name != DAILY and _decided_since(ledger, strategy, run["ended_at"]))
    ):
        return None
    message = run["message"] or "before its first step"
    text, remedy = failed_step_text(message), split_remedy(one_line(message))[1]
    step = "" if run["failed_step"] is None else f" at {run['failed_step']}"
    halts = name in _ROUNDS and (name == DAILY or not lost)  # a round does what a killed one left
    word = TradingWord.HALTED if halts else TradingWord.TRADES
    return Fault(f"the last run of {name} failed{step}: {text}", remedy or "mend what it names, and run again", word)


def _is_reported_by_the_gate(ledger: Ledger, strategy: str, name: str, run: Mapping[str, Any]) -> bool:
    """Whether a gate halted a run and halts still, which has a line of its own, or let a round's data pass since."""
    gate = gate_of(run["failed_step"]) if is_halt(str(run["message"])) else None
    if gate is None:
        return False
    stands = last_halt(ledger, strategy, (gate,)) is not None
    return stands or (name in _ROUNDS and passed_since(ledger, strategy, run, gate))


def _of_killed_check(strategy: Strategy, run: Mapping[str, Any]) -> Fault:
    """That a check was killed: it decides nothing, and rounds take in by themselves what it did not."""
    return Fault(
        f"a check that began on {_began(run):%Y-%m-%d %H:%M} UTC was killed: what it had taken in is kept",
        f"nn-assets check --strategy {strategy.name} again",
    )


def _refused_what_was_not_due(ledger: Ledger, strategy: Strategy, run: Mapping[str, Any]) -> bool:
    """Whether a round refused sessions none of which was the next to be decided: decided before, too early or too late.

    The strategy's state does not depend on that; it does on what a round found of the ledger, models or data.
    """
    first, last = run["first_partition"], run["last_partition"]
    if first is None or not str(run["message"]).startswith(f"{DecisionError.__name__}: "):
        return False
    moments = decision_moments(ledger, strategy.name)
    before = moments.index[moments < _began(run)]
    live = strategy.market.live_starts
    if before.empty and live is None:
        return True
    since = before.max() if live is None or not before.empty else pd.Timestamp(live) - _DAY
    due = next_session(strategy.market.calendar, since)
    return not pd.Timestamp(first) <= due <= pd.Timestamp(last)


def _lost_with_all_decided(ledger: Ledger, strategy: Strategy, run: Mapping[str, Any]) -> bool:
    """Whether a round was killed and all its sessions have been decided since, by whichever run."""
    first, last = run["first_partition"], run["last_partition"]
    if run["outcome"] != FAILED or first is None or LOST not in str(run["message"]):
        return False
    sessions = sessions_between(strategy.market.calendar, first, last)
    return bool(sessions.isin(decided_sessions(ledger, strategy.name)).all())


def _decided_since(ledger: Ledger, strategy: Strategy, moment: pd.Timestamp) -> bool:
    """Whether a session was decided after a moment, however the round of that session ended."""
    moments = decision_moments(ledger, strategy.name)
    return not moments.empty and bool(moments.max() > moment)


def _later_round(last_round: Mapping[str, Any] | None, run: Mapping[str, Any]) -> bool:
    """Whether a round that began after a run succeeded."""
    if last_round is None or last_round["outcome"] != SUCCEEDED:
        return False
    if _began(run) > now_utc():  # by a clock that ran ahead: what was recorded later is later
        return bool(last_round["sequence"] > run["sequence"])
    return _began(last_round) > _began(run)


def _began(run: Mapping[str, Any]) -> pd.Timestamp:
    """When a run on record began, UTC; when it ended, where that is all that is known."""
    began: pd.Timestamp = run["began_at"] or run["ended_at"]
    return began


def _of_sessions(facts: StoredFacts, waiting: Sequence[pd.Timestamp], models: ModelsInForce) -> Iterator[Fault]:
    """Sessions that wait, and whether the next one is refused for want of a model."""
    strategy, decided = facts.strategy, facts.decision_moments.index
    clocked = has_clock(strategy.market, now_utc())
    goes_on = _goes_on_with(facts, waiting, models)
    refused = ""
    if len(decided) and (waiting or clocked):
        month = f"{waiting[0] if waiting else decided[-1]:%Y-%m}"
        if month not in models.by_month and (others := models.describe_other_settings(month)):
            refused = f"no session is decided: the models of {month} are of other settings ({others})"
        elif waiting and month not in models.by_month:
            refused = f"no session is decided: there is no model of {month}"
    if waiting:
        count = f"{len(waiting)} session{'s' * (len(waiting) > 1)} not decided, the oldest {waiting[0].date()}"
        # Where history has ended, a person goes through it; where it goes on, a round was missed.
        yield Fault(count, "" if refused else goes_on, TradingWord.DOES_NOT_TRADE if clocked else TradingWord.TRADES)
    if refused:
        yield Fault(
            refused, f"nn-assets study --strategy {strategy.name}" if not waiting else goes_on, TradingWord.HALTED
        )


def _goes_on_with(facts: StoredFacts, waiting: Sequence[pd.Timestamp], models: ModelsInForce) -> str:
    """The command that decides what waits, or takes data in: a study where a round would find no study or model."""
    strategy = facts.strategy
    study, month = f"nn-assets study --strategy {strategy.name}", f"{waiting[0]:%Y-%m}" if waiting else ""
    if not models.by_month or strategy.market.live_starts is None or comes_after_a_study(facts, waiting):
        return study
    if month and month not in models.by_month:
        return f"{study} --from {month} --to {month}"
    return f"nn-assets run --strategy {strategy.name}" + (f" --from {waiting[0].date()}" if waiting else "")


def comes_after_a_study(facts: StoredFacts, waiting: Sequence[pd.Timestamp]) -> bool:
    """Whether the first sessions ever must wait for a study: decided before it, they would be flat for good.

    They would have no forecasts of earlier months to size by, or no verdict that lets them trade.
    """
    if not waiting or not facts.decision_moments.empty:
        return False
    strategy, month = facts.strategy, f"{waiting[0]:%Y-%m}"
    if missing_months(facts.stores.lake, strategy, month):
        return True
    verdict_needed = not strategy.trade_without_verdict and first_model_month(strategy) < month
    return verdict_needed and latest_study(facts.stores.ledger, strategy) is None


def _silences(ledger: Ledger, strategy: Strategy, *, in_time: bool) -> Iterator[Fault]:
    """Schedules and sensors that should run but do not; none once history has ended and schedules skip.

    Nothing either where no daemon ever ran and every session is decided: something else, cron say, runs the rounds.
    """
    if not has_clock(strategy.market, now_utc()) or strategy.market.live_starts is None:
        return
    beat = last_heartbeat(ledger)
    if beat is None and in_time:
        return
    if (fault := silence_of_daemon(beat)) is not None:
        yield fault
        return
    ticks = last_ticks(ledger, strategy.name)
    for name, longest in _LONGEST_SILENCE.items():
        tick = ticks.get(name)
        if (silent := _quiet(None if tick is None else tick["ended_at"], longest)) is not None:
            yield Fault(
                f"{name} is off, {silent}", f"switch {full_name(strategy.name, name)} on in the UI, under Automation"
            )


def _failed_ticks(ledger: Ledger, strategy: str) -> Iterator[Fault]:
    """Schedules and sensors whose last tick failed; one not heard of for too long is reported as off instead."""
    for name, tick in last_ticks(ledger, strategy).items():
        longest = _LONGEST_SILENCE.get(name, _LONGEST_OF_OTHERS)
        if tick["outcome"] == FAILED and _quiet(tick["ended_at"], longest) is None:
            yield Fault(*failed_tick_message(name, str(tick["message"])))


def silence_of_daemon(beat: pd.Timestamp | None) -> Fault | None:
    """That Dagster's daemon evaluates no schedules and sensors, by what it last recorded; None where it does."""
    silent = _quiet(beat, _LONGEST_WITHOUT_BEAT)
    if silent is None:
        return None
    remedy = "start it with nn-assets ui, and have the sensor run_outcomes on in it, under Automation"
    return Fault(f"the daemon was {silent}: no schedule or sensor runs by itself", remedy)


def _quiet(last: Moment | None, longest: pd.Timedelta) -> str | None:
    """When something was last heard from, where that is too long ago or still to come; else None."""
    if last is None:
        return "never heard from"
    moment, now = pd.Timestamp(last), now_utc()
    if moment > now + longest:  # by a clock that ran ahead: it says nothing of how long ago that was
        return f"last heard from at {moment:%Y-%m-%d %H:%M} UTC, which is still to come"
    return None if now - moment <= longest else f"last heard from at {moment:%Y-%m-%d %H:%M} UTC"
