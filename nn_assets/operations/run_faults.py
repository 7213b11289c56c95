"""What is wrong with a strategy's runs, schedules and sensors, by what the ledger has on record of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from nn_assets.arrays import Moment
from nn_assets.errors import DecisionError
from nn_assets.market.calendar.sessions import next_session, sessions_between
from nn_assets.operations.asof.decisions import decided_sessions, decision_moments
from nn_assets.operations.asof.halts import gate_of, last_halt, passed_since
from nn_assets.operations.clock import has_clock, now_utc
from nn_assets.operations.failures import (
    LOST,
    checks_of_other_assets,
    failed_step_text,
    failed_tick_message,
    is_halt,
    left_by_lost,
    one_line,
    split_remedy,
    statement_in,
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
from nn_assets.oversight.headline import CHANGED_LEDGER, Fault, TradingWord
from nn_assets.settings import Strategy
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


def faults_of_runs(ledger: Ledger, strategy: Strategy) -> Iterator[Fault]:
    """Runs that failed, were killed or were refused, and failed checks in them, unless a later run mended it."""
    runs = last_runs(ledger, strategy.name)
    if DAILY in runs:  # how the strategy stands is told by the last round that was not refused
        rounds = runs_backwards(ledger, strategy.name, DAILY)
        judged = next((run for run in rounds if not _refused_what_was_not_due(ledger, strategy, run)), None)
        if judged is None or judged["outcome_id"] != runs[DAILY]["outcome_id"]:
            text = failed_step_text(str(runs[DAILY]["message"]))
            why = f"the last run of {DAILY} was refused and changed nothing: {text}"
            yield Fault(why, "", cause=statement_in(text))
        runs = {name: run for name, run in runs.items() if name != DAILY} | ({DAILY: judged} if judged else {})
    decided, failed_checks = runs.get(DAILY), open_failed_checks(ledger, strategy.name, runs)
    for name, run in runs.items():
        for check in checks_of_other_assets(run["failed_step"], failed_checks[name]):
            if check.name != LEDGER_INTACT:
                text = one_line(check.found)
                cause = _cause_on_record(text, check.remedy)
                yield Fault(f"check {check.name} failed: {text}", check.remedy, cause=cause)
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
    remedy = remedy or "mend what it names, and run again"
    return Fault(f"the last run of {name} failed{step}: {text}", remedy, word, _cause_on_record(text, remedy))


def _cause_on_record(text: str, remedy: str) -> str:
    """The cause of a fault on record, which is text only: a changed ledger is known by its remedy."""
    return CHANGED_LEDGER if remedy.startswith(BROKEN_REMEDY) else statement_in(text)


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


def faults_of_silence(ledger: Ledger, strategy: Strategy, *, in_time: bool) -> Iterator[Fault]:
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
    for name in _LONGEST_SILENCE:
        if (silent := silence_of_sensor(ticks.get(name), name)) is not None:
            yield Fault(
                f"{name} is off, {silent}", f"switch {full_name(strategy.name, name)} on in the UI, under Automation"
            )


def faults_of_ticks(ledger: Ledger, strategy: str) -> Iterator[Fault]:
    """Schedules and sensors whose last tick failed; one not heard of for too long is reported as off instead."""
    for name, tick in last_ticks(ledger, strategy).items():
        longest = _LONGEST_SILENCE.get(name, _LONGEST_OF_OTHERS)
        if tick["outcome"] == FAILED and _quiet(tick["ended_at"], longest) is None:
            why, remedy = failed_tick_message(name, str(tick["message"]))
            yield Fault(why, remedy, cause=_cause_on_record(why, remedy))


def silence_of_sensor(tick: Mapping[str, Any] | None, name: str) -> str | None:
    """When a schedule or sensor was last heard from, by its last tick, where that is too long ago; None where not."""
    return _quiet(None if tick is None else tick["ended_at"], _LONGEST_SILENCE[name])


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
