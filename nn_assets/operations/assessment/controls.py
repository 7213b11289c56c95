"""The controls of a strategy, each with what it did in a period: read from records, one function for each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd

from nn_assets.execution.venues import ledger_name
from nn_assets.operations.asof.accounts import (
    ACCEPTED,
    DIFFERS,
    EVENTS,
    FILLS,
    HELD_BACK,
    RECONCILIATIONS,
    difference_text,
)
from nn_assets.operations.asof.alarms import LEAK_RELEASE
from nn_assets.operations.asof.capacity import CAPACITY
from nn_assets.operations.asof.controls import BREAKER_RESET, KILL_SWITCH
from nn_assets.operations.asof.costs import COSTS_APPROVED
from nn_assets.operations.asof.halts import HALTED, KIND
from nn_assets.operations.asof.refreshes import DRIFT_ASKS, REFRESH_REFUSED, REFRESH_TAKEN
from nn_assets.operations.assessment.records import Assessed, Event, Records
from nn_assets.portfolio.breakers import BREAKERS, KillSwitch, named_kinds
from nn_assets.portfolio.near_capacity import near_capacity_text
from nn_assets.portfolio.records import breakers_of, is_halved
from nn_assets.settings.changes import changes_text
from nn_assets.signals.novelty import DayNovelty
from nn_assets.store.ledger.mended import CLOCK
from nn_assets.store.ledger.schema import WHOLE_LEDGER

GATE_CODES = {
    "halted": "denied, since all was halted",
    "quantity": "denied, for a quantity that is none",
    "missing_reference": "denied, for want of a reference price",
    "price_collar": "denied, for a price too far from the last close",
    "value": "denied, above the largest order allowed",
    "duplicate": "denied, since one like it was sent",
    "reducing_only": "denied, since it would open or enlarge",
    "stale": "denied, since the symbol has had no fresh bar for too long",
    "exposure": "denied, since gross or net would exceed their limits",
    "rate": "denied, above the most orders of a session",
    "unexplained_factor": "denied, since how many shares are held is not known",
}
"""Reason codes of the pre-trade gate, each a control, and what it did with an order."""

_BREAKER_DOES = {
    "no_answer": "named only: nothing was opened or enlarged on the session",
    "session_loss": "paused trading",
    "weekly_loss": "paused trading",
    "drawdown": "flattened the book",
    "stale_data": "halted",
    "unfinished_run": "halted",
    "no_equity": "halted",
}


def _at(row: dict[str, Any] | pd.Series) -> str:
    return f"{row['recorded_at']:%Y-%m-%d %H:%M:%S}"


def _event(row: dict[str, Any], what: str, *, by_person: bool = False) -> Event:
    session = "" if row["after"] is None else str(row["after"].date())
    person = {"who": str(row["who"]), "why": str(row["reason"])} if by_person else {}
    return Event(session, _at(row), what, **person)


def _of_session(row: pd.Series, what: str) -> Event:
    return Event(str(row["session"].date()), _at(row), what)


def _kill_switch(records: Records) -> Iterator[Assessed]:
    rows = [row for row in records.controls if row["kind"] == KILL_SWITCH]
    under = [details.get("kill_switch", "ACTIVE") != str(KillSwitch.ACTIVE) for details in records.decisions["details"]]
    fired = [_event(row, f"set to {row['state']}", by_person=True) for row in rows if row["state"] != KillSwitch.ACTIVE]
    if any(under):
        days = records.decisions["session"][under]
        what = f"{sum(under)} sessions were decided under it, {days.iloc[0].date()} to {days.iloc[-1].date()}"
        fired.append(_of_session(records.decisions[under].iloc[-1], what))
    released = [_event(row, "set back to ACTIVE", by_person=True) for row in rows if row["state"] == KillSwitch.ACTIVE]
    yield Assessed("kill switch", "a person stops or reduces all trading", tuple(fired), tuple(released))


def _breakers(records: Records) -> Iterator[Assessed]:
    resets = [row for row in records.controls if row["kind"] == BREAKER_RESET]
    for kind in BREAKERS:
        fired, latched_before, held = list[Event](), False, 0
        for _, state in records.states.iterrows():
            latched = kind in named_kinds(state["breaker"])
            if records.in_period(state["session"]):
                held += latched
                if latched and not latched_before:
                    reasons = [one.reason for one in breakers_of(state["breaker"], state["book"]) if one.kind == kind]
                    fired.append(_of_session(state, f"{_BREAKER_DOES.get(kind, 'halted')}: {'; '.join(reasons)}"))
            latched_before = latched
        if held:
            fired[-1:] = [] if not fired else [_with(fired[-1], f"; latched at {held} closes of the period")]
        overridden = [_event(row, "reset", by_person=True) for row in resets if kind in _kinds_reset(row["details"])]
        yield Assessed(f"breaker {kind}", _BREAKER_DOES.get(kind, "halts"), tuple(fired), tuple(overridden))


def _with(event: Event, more: str) -> Event:
    return Event(event.session, event.at, event.what + more, event.who, event.why)


def _kinds_reset(details: dict[str, Any]) -> Sequence[str]:
    named = details.get("breakers", details.get("breaker"))  # one by name until version 0.1
    return BREAKERS if named is None else [named] if isinstance(named, str) else list(named)


def _drift(records: Records) -> Iterator[Assessed]:
    states, before, fired = records.of_sessions("trading_states"), "CONTINUE", list[Event]()
    for _, row in states.iterrows():
        state = str(row["state"])
        if state not in {before, "CONTINUE"} and records.in_period(row["session"]):
            fired.append(
                _of_session(row, f"{state} from {row['effective_session'].date()}: {'; '.join(row['reasons'])}")
            )
        before = state
    looks = len(records.decisions)
    yield Assessed("drift state", "halves or pauses sizes on drift and slippage", tuple(fired), looks=looks)


def _drawdown(records: Records) -> Iterator[Assessed]:
    before, fired = False, list[Event]()
    for _, state in records.states.iterrows():
        halved = is_halved(state["book"])
        if halved and not before and records.in_period(state["session"]):
            fired.append(_of_session(state, f"sizes halved, at a drawdown of {state['drawdown_fraction']:.2%}"))
        before = halved
    yield Assessed("drawdown scale", "halves sizes in a drawdown", tuple(fired))


def _capacity(records: Records) -> Iterator[Assessed]:
    marks = dict(zip(records.states["session"], records.states["high_water_mark_usd"], strict=True))
    before, fired = "", list[Event]()
    for _, row in records.decisions.iterrows():
        share = records.settings.get(row["settings_hash"], {}).get("portfolio", {}).get("capacity_share")
        peak = float(marks.get(row["session"], 0.0))
        text = near_capacity_text(peak, row["details"].get("capacity_usd"), share)
        if text and not before:
            fired.append(_of_session(row, text))
        before = text
    looks = sum(row["kind"] == CAPACITY for row in records.controls)
    yield Assessed("capacity scale", "shrinks sizes as assets approach the capacity", tuple(fired), looks=looks)


def _gate_codes(records: Records) -> Iterator[Assessed]:
    orders = records.of_sessions("orders", before=False)
    denied = orders[orders["status"] == "denied"]
    codes = [*GATE_CODES, *sorted(set(denied["reason_code"]) - set(GATE_CODES))]
    for code in codes:
        rows = denied[denied["reason_code"] == code]
        fired = [
            _of_session(day.iloc[0], f"{len(day)} orders {GATE_CODES.get(code, 'denied')}: {', '.join(day['symbol'])}")
            for _, day in rows.groupby("session")
        ]
        yield Assessed(f"pre-trade gate, {code}", GATE_CODES.get(code, "denied"), tuple(fired))


def _verdict(records: Records) -> Iterator[Assessed]:
    decisions = records.decisions
    allowed = [bool(details.get("verdict_allows")) for details in decisions["details"]]
    without = [bool(records.settings.get(name, {}).get("trade_without_verdict")) for name in decisions["settings_hash"]]
    flat = decisions[[not a and not w for a, w in zip(allowed, without, strict=True)]]
    forced = decisions[[not a and w for a, w in zip(allowed, without, strict=True)]]
    fired = [_over(flat, "decided flat, since the verdict in force did not allow trading")] if len(flat) else []
    done = "decided without a verdict that allows trading, by the setting trade_without_verdict"
    overridden = [_over(forced, done)] if len(forced) else []
    yield Assessed(
        "verdict of the study", "nothing trades without an edge found", tuple(fired), tuple(overridden), len(decisions)
    )


def _over(rows: pd.DataFrame, what: str) -> Event:
    days = rows["session"]
    return _of_session(rows.iloc[-1], f"{len(rows)} sessions, {days.iloc[0].date()} to {days.iloc[-1].date()}, {what}")


def _leak_alarms(records: Records) -> Iterator[Assessed]:
    looks = records.acts("looks")
    fired = [
        _event(row, f"look of {row['month']}: {'; '.join(alarms.values())}")
        for row in looks
        if (alarms := row["details"].get("standing_alarms"))
    ]
    released = [
        _event(row, f"released {', '.join(row['details'].get('alarms', ()))}", by_person=True)
        for row in records.controls
        if row["kind"] == LEAK_RELEASE
    ]
    purpose = "nothing trades on a figure that is too good to be true"
    yield Assessed("leak alarm", purpose, tuple(fired), tuple(released), len(looks))


def _data_gate(records: Records) -> Iterator[Assessed]:
    rows = records.acts("outcomes", kind=KIND)
    fired = [_event(row, f"{row['name']} halted: {row['message']}") for row in rows if row["outcome"] == HALTED]
    published = len(records.acts("publications"))
    yield Assessed("data gate", "no bar is published that breaks a rule", tuple(fired), looks=published)


def _unlike_days(records: Records) -> Iterator[Assessed]:
    judged = [
        (row, row["details"]["novelty"]) for _, row in records.decisions.iterrows() if "novelty" in row["details"]
    ]
    days = [(row, DayNovelty.from_record(record)) for row, record in judged]
    fired = [_of_session(row, f"named only: {novelty.sentence}") for row, novelty in days if novelty.unlike_day]
    yield Assessed("unlike day", "names a session unlike those learned from", tuple(fired), looks=len(days))


def _refreshes(records: Records) -> Iterator[Assessed]:
    rows = records.acts("refresh_requests")
    asked = [_event(row, "; ".join(row["details"]["reasons"])) for row in rows if row["cause"] == DRIFT_ASKS]
    refused = [_event(row, f"refused: {row['details']['reason']}") for row in rows if row["cause"] == REFRESH_REFUSED]
    taken = sum(row["cause"] == REFRESH_TAKEN for row in rows)
    yield Assessed("refresh request", "drift asks for a newer model", tuple(asked))
    yield Assessed("refresh check", "no worse model takes force", tuple(refused), looks=taken)


def _costs(records: Records) -> Iterator[Assessed]:
    rows = records.acts("cost_models")
    waiting = [
        _event(row, f"waits for approval: {row['figures']['reason']}")
        for row in rows
        if row["figures"].get("status") == "awaiting_approval"
    ]
    approved = [
        _event(row, f"approved: {row['details'].get('approves', '')}", by_person=True)
        for row in records.controls
        if row["kind"] == COSTS_APPROVED
    ]
    purpose = "no great change of costs takes force unseen"
    yield Assessed("cost change", purpose, tuple(waiting), tuple(approved), looks=len(rows))


def _accounts(records: Records) -> Iterator[Assessed]:
    """What held an account against its books, and orders back; nothing where no account at a venue was used."""
    sections = [settings.get("execution", {}) for settings in records.settings.values()]
    accounts = sorted({ledger_name(str(section.get("account") or records.strategy)) for section in sections})
    compared = [row for account in accounts for row in records.acts(RECONCILIATIONS, account)]
    if not compared:  # before each of its rounds an account is held against its books
        return
    apart = [
        _event(row, f"positions could only shrink: {difference_text(row['differences'])}")
        for row in compared
        if row["state"] == DIFFERS
    ]
    taken = [
        _event(row, f"the venue's word was taken: {difference_text(row['differences'])}", by_person=True)
        for row in compared
        if row["state"] == ACCEPTED
    ]
    yield Assessed(
        "account against books", "no risk is taken on holdings in doubt", tuple(apart), tuple(taken), len(compared)
    )
    events = [row for account in accounts for row in records.acts(EVENTS, account)]
    back = [
        _event(row, f"order {row['client_order_id']} taken back unsent: {row['reason']}")
        for row in events
        if row["event"] == "withdrawn"
    ]
    sent = sum(row["event"] == "sending" for row in events)
    yield Assessed("controls of what is sent", "what leaves obeys the controls of then", tuple(back), looks=sent)
    fills = [row for account in accounts for row in records.acts(FILLS, account)]
    odd = [
        _event(row, f"fill {row['fill_id']} of {row['symbol']} held back: {row['reason']}")
        for row in fills
        if row["state"] == HELD_BACK
    ]
    yield Assessed("fills held back", "no fill is guessed to be a book's", tuple(odd), looks=len(fills) - len(odd))


def _verifications(records: Records) -> Iterator[Assessed]:
    of_ledger = records.acts("verifications", WHOLE_LEDGER)
    broken = [_event(row, str(row["details"]["findings"][0])) for row in of_ledger if row["kind"] == "broken"]
    yield Assessed("ledger verification", "no row is changed unseen", tuple(broken), looks=len(of_ledger) - len(broken))
    again = sum(row["kind"] == "decisions" for row in records.acts("verifications"))
    yield Assessed("decisions derived again", "the backtest decides what live decided", looks=again)


def _clock(records: Records) -> Iterator[Assessed]:
    rows = records.acts("controls", WHOLE_LEDGER, kind=CLOCK)
    overridden = tuple(
        _event(row, "moments of a clock that ran ahead are read as earlier", by_person=True) for row in rows
    )
    yield Assessed("clock", "no moment lies ahead of the clock", overridden=overridden)


def _failed_runs(records: Records) -> Iterator[Assessed]:
    ends = records.acts("outcomes", kind="run")
    failed = [
        _event(row, f"{row['name']} failed at {row['failed_step']}: {row['message']}")
        for row in ends
        if row["outcome"] == "FAILED"
    ]
    yield Assessed(
        "failed run", "a run that fails is on record, and decides nothing by halves", tuple(failed), looks=len(ends)
    )


def _changed(records: Records) -> Iterator[Assessed]:
    settings, code, before = list[Event](), list[Event](), None
    for _, row in records.decisions.iterrows():
        if before is not None and row["settings_hash"] != before["settings_hash"]:
            then, now = (records.settings.get(one["settings_hash"], {}) for one in (before, row))
            settings.append(
                _of_session(row, f"other settings from here on: {changes_text(then, now) or 'not on record'}")
            )
        if before is not None and row["code_version"] != before["code_version"]:
            code.append(_of_session(row, f"other code from here on: {before['code_version']} to {row['code_version']}"))
        before = row
    looks = len(records.decisions)
    yield Assessed("settings", "what is changed is on record", tuple(settings), looks=looks)
    yield Assessed("code", "what decides is on record", tuple(code), looks=looks)


CONTROLS: tuple[Callable[[Records], Iterator[Assessed]], ...] = (
    _kill_switch,
    _breakers,
    _drift,
    _drawdown,
    _capacity,
    _gate_codes,
    _verdict,
    _leak_alarms,
    _data_gate,
    _unlike_days,
    _refreshes,
    _costs,
    _accounts,
    _verifications,
    _clock,
    _failed_runs,
    _changed,
)
