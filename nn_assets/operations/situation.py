"""The state of a strategy, for its headline: what the ledger records of it, and everything that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from nn_assets.arrays import values_of
from nn_assets.contracts.frames import HoldingRows, OrderRows, TargetPositionRows
from nn_assets.errors import ClockError, NnAssetsError
from nn_assets.execution.venues import account_of
from nn_assets.market.calendar.sessions import calendar_end_warning, next_session
from nn_assets.market.quality.unexplained_factors import UNEXPLAINED_FACTOR
from nn_assets.operations.account_faults import faults_of_cash, faults_of_sending
from nn_assets.operations.alerts import fault_of_alerts
from nn_assets.operations.asof.accounts import account_differs_now
from nn_assets.operations.asof.alarms import alarm_in_force, alarms_just_released
from nn_assets.operations.asof.capacity import estimates_of_capacity, only_of_other_settings
from nn_assets.operations.asof.cash_apart import cash_apart_now
from nn_assets.operations.asof.controls import breaker_reset_for, kill_switch_now
from nn_assets.operations.asof.costs import waiting_estimate
from nn_assets.operations.asof.decisions import undecided_sessions
from nn_assets.operations.asof.halt_file import halt_file_found
from nn_assets.operations.asof.halts import last_halt
from nn_assets.operations.asof.models import ModelsInForce, models_in_force
from nn_assets.operations.asof.studies import is_leak_alarm, late_verdict, latest_study, month_of_verdict
from nn_assets.operations.bar_faults import ALERT_SESSIONS, delisting_line, lacking, silent, unchecked, without_bar
from nn_assets.operations.clock import has_clock, now_utc
from nn_assets.operations.facts import LOST_BARS, RAW_BARS, StoredFacts
from nn_assets.operations.failures import (
    halt_text,
)
from nn_assets.operations.next_command import due_before, faults_of_stages, goes_on_with, study_of_others
from nn_assets.operations.run_faults import faults_of_runs, faults_of_silence, faults_of_ticks
from nn_assets.operations.waiting_refresh import waits_now
from nn_assets.oversight.headline import CHANGED_LEDGER, Fault, Headline, Situation, TradingWord, headline
from nn_assets.portfolio.near_capacity import near_capacity_text
from nn_assets.portfolio.records import breakers_of, is_halved, recorded_symbols
from nn_assets.settings import Strategy
from nn_assets.settings.sections import SIZES_BY_IT
from nn_assets.signals.novelty import DayNovelty
from nn_assets.signals.regimes import RARE_SHARE
from nn_assets.store.ledger.anchor import unanchored
from nn_assets.store.ledger.audit import broken_on_record
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.reread import BROKEN_REMEDY

_LATE_ACTION = "late_action"
_UNLIKE_DAY = "read the session's page, and see whether the data are right and the sizes are still wanted"
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
    controls: Mapping[str, Any],
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
    controls : mapping
        The details of its row of ``decisions``: by what verdict and alarm positions could be taken.
    verdict_of : str or None
        The month of the verdict, by :func:`~nn_assets.operations.asof.studies.month_of_verdict`.
    late : str or None
        Which verdict came too late for it, by :func:`~nn_assets.operations.asof.studies.late_verdict`.
    """
    session = pd.Timestamp(state["session"])
    under_alarm = bool(controls.get("leak_alarm", False))
    by_verdict = bool(controls.get("verdict_allows", False)) and not under_alarm
    without = strategy.trade_without_verdict and not under_alarm
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
        verdict_allows=by_verdict or without,
        late_verdict=None if without else late,
        without_verdict=without and not by_verdict,
        under_alarm=under_alarm,
        breakers=breakers_of(state["breaker"], state["book"]),
        kill_switch=kill_switch,
        trading_state=str(trading["state"]),
        trading_reasons="; ".join(trading["reasons"]),
        halved=is_halved(state["book"]),
        near_capacity=near_capacity_text(
            float(state["high_water_mark_usd"]), controls.get("capacity_usd"), strategy.portfolio.capacity_share
        ),
    )


def of_regime(details: Mapping[str, Any], session: pd.Timestamp) -> tuple[Fault, ...]:
    """Whether a session's regime was rare among what its model was fitted on, by its decision's details."""
    regime = details.get("regime", {})  # version 0.1 recorded none
    share = regime.get("share")
    if share is None or share >= RARE_SHARE:
        return ()
    return (Fault(f"the regime of {session.date()} ({regime['name']}) {share_text(share)}", ""),)


def share_text(share: float) -> str:
    """How much of what a model was fitted on was in a session's regime, in words."""
    return f"had {share:.0%} of the training and validation rows of the model in force"


def headline_now(facts: StoredFacts) -> Headline:
    """What is true of a strategy at this moment."""
    with facts.stores.ledger.answers_kept():
        left, refused = _decided(facts), faults_of_stages(facts)
        faults = (*left.faults, *_faults(facts, refused))
    stopped = bool(refused) or any(fault.cause == CHANGED_LEDGER for fault in faults)
    now = replace(
        left,
        faults=faults,
        stopped=stopped,
        no_direction=facts.strategy.of_no_direction,
        volatility_found=_volatility_found(facts) if facts.strategy.of_no_direction else "",
        within_the_session=facts.strategy.decisions is not None,
    )
    return headline(now)


def _volatility_found(facts: StoredFacts) -> str:
    """What the newest study found of forecasts of a volatility; of a variance, where better, what they are good for."""
    study = latest_study(facts.stores.ledger, facts.strategy)
    if study is None:
        return ""
    better = str(study["verdict"]).startswith("forecasts ")
    return SIZES_BY_IT if better and study["figures"].get("judged_by") == "QLIKE" else str(study["verdict"])


def _decided(facts: StoredFacts) -> Situation:
    """The strategy as its last decided session left it, under the controls of now."""
    strategy, ledger = facts.strategy, facts.stores.ledger
    decisions = ledger.latest("decisions", strategy.name, bookkeeping=True)
    switch = kill_switch_now(ledger, strategy.name)
    if decisions.empty:
        return Situation(
            strategy=strategy.name,
            settings=strategy.portfolio,
            kill_switch=switch,
            study_of_others=study_of_others(facts),
            alarm_stands=_alarm_stands(facts),
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
        controls=decision["details"],
        verdict_of=month_of_verdict(ledger, strategy, session, decision["recorded_at"], decision["verdict"]),
        late=late_verdict(ledger, strategy, session, decision["recorded_at"]),
        kill_switch=switch,
    )
    faults = (
        *of_bars(facts, session, states.iloc[-1]["book"]),
        *_of_unknown_shares(ledger, strategy.name, session),
        *of_regime(decision["details"], session),
        *unlike_day(decision["details"]),
        *orders_cancelled(decision["details"]),
        *(() if (waits := waits_now(ledger, strategy, session, decision["details"])) is None else waits[1:]),
    )
    releases = () if reset is None else reset.kinds
    situation = replace(left, releases=releases, faults=faults, study_of_others=study_of_others(facts))
    return replace(
        situation,
        alarm_released=alarms_just_released(ledger, strategy.name),
        verdict_since=_verdict_without_alarm(ledger, strategy),
        alarm_stands=_alarm_stands(facts),
    )


def _alarm_stands(facts: StoredFacts) -> str:
    """The month of a study by which a leak alarm stands that nobody released, whatever its settings; else empty."""
    ledger, strategy = facts.stores.ledger, facts.strategy
    newest = latest_study(ledger, strategy)
    if newest is not None and is_leak_alarm(newest) and not alarms_just_released(ledger, strategy.name):
        return str(newest["month"])
    if strategy.of_no_direction or facts.publication is None or facts.bars_lost:
        return ""
    rung = alarm_in_force(ledger, strategy, lambda: facts.published_bars)
    return "" if rung is None else rung.month


def _verdict_without_alarm(ledger: Ledger, strategy: Strategy) -> str:
    """What the newest study of the settings in force says, of which month; empty where it is a leak alarm too."""
    newest = latest_study(ledger, strategy)
    if newest is None or is_leak_alarm(newest):
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


def unlike_day(details: Mapping[str, Any]) -> tuple[Fault, ...]:
    """That a session was an unlike day, by its decision's details; nothing where it was none, or was not judged."""
    if "novelty" not in details:
        return ()
    novelty = DayNovelty.from_record(details["novelty"])
    return (Fault(novelty.sentence, _UNLIKE_DAY),) if novelty.unlike_day else ()


def orders_cancelled(details: Mapping[str, Any]) -> tuple[Fault, ...]:
    """That orders were cancelled for an action known late, by a decision's details: the broker may still hold them."""
    reasons = (details.get("ended_orders") or {}).values()  # version 0.1 recorded none
    if not (cancelled := sum(reason == _LATE_ACTION for reason in reasons)):
        return ()
    several = cancelled > 1
    why = f"{cancelled} order{'s were' if several else ' was'} cancelled, sized before an action became known late"
    still = "those that the account still holds" if several else "it if the account still holds it"
    return (Fault(why, f"cancel {still}, and compare the positions with the account"),)


def account_apart(strategy: Strategy, differs: str | None) -> tuple[Fault, ...]:
    """That the account at the venue is not that of its books, so that positions only shrink; nothing where it is."""
    if differs is None:
        return ()
    why = f"account_differs: {differs}; only what reduces is sent"
    account = f"--account {account_of(strategy)}"
    remedy = (
        f"nn-assets account reconcile {account}, which names all; put right what is wrong, or have the books take the "
        f'venue\'s over: nn-assets account accept {account} --who WHO --why "..."'
    )
    return (Fault(why, remedy, TradingWord.REDUCED),)


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
    reported = {bar.symbol for bar in in_quarantine} | {position.symbol for position in absent}
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


def _faults(facts: StoredFacts, refused: Sequence[NnAssetsError]) -> Iterator[Fault]:
    strategy, ledger = facts.strategy, facts.stores.ledger
    waiting = undecided_sessions(ledger, strategy, facts.live_sessions)
    models, due = models_in_force(ledger, strategy), due_before(facts, waiting)
    goes_on = goes_on_with(strategy, waiting, models, due)
    yield from _of_halt_file(strategy.name)
    halt = last_halt(ledger, strategy.name)
    if halt is not None:
        why = f"the gate halted on {halt[0]:%Y-%m-%d %H:%M} UTC: {halt_text(halt[1])}"
        mended = f"mend the data at the source, then {goes_on}"
        yield Fault(why, mended, TradingWord.HALTED)
    if (broken := broken_on_record(ledger)) is not None:
        why = f"audit verify found a changed ledger: {broken}"
        yield Fault(why, BROKEN_REMEDY, TradingWord.HALTED, CHANGED_LEDGER)
    if (clock := facts.clock_fault) is not None:
        yield Fault(clock.statement, clock.remedy, TradingWord.HALTED)
    # What a round refused, and would refuse again, is reported only once, below.
    below = {error.statement for error in refused}
    of_runs = [fault for fault in faults_of_runs(ledger, strategy) if fault.cause not in below]
    yield from of_runs
    reported = any(fault.word is TradingWord.HALTED and fault.cause == CHANGED_LEDGER for fault in of_runs)
    if broken is None and not reported and facts.changed_record:
        why = f"the ledger is not as it was appended: {facts.changed_record}"
        yield Fault(why, BROKEN_REMEDY, TradingWord.HALTED, CHANGED_LEDGER)
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
        if due is not None and due.why and not study_of_others(facts):
            yield Fault(due.why, due.command)
        yield from _of_sessions(facts, waiting, models, goes_on)
    yield from account_apart(strategy, account_differs_now(ledger, strategy))
    yield from faults_of_cash(cash_apart_now(ledger, strategy))
    decided = facts.decision_moments.index
    yield from faults_of_sending(ledger, strategy, decided[-1] if len(decided) else None, now_utc())
    today = now_utc().tz_localize(None) if has_clock(strategy.market, now_utc()) else facts.last_session
    if (ends := calendar_end_warning(strategy.market.calendar, today)) is not None:
        end, _, remedy = ends.partition(": ")
        yield Fault(end, remedy)
    yield from _of_waiting_costs(ledger, strategy.name)
    yield from faults_of_silence(ledger, strategy, in_time=not waiting)
    yield from faults_of_ticks(ledger, strategy.name)
    yield from _of_what_is_beside(ledger, strategy)


def _of_what_is_beside(ledger: Ledger, strategy: Strategy) -> Iterator[Fault]:
    """Alerts that cannot be written, a head that is not anchored outside, a capacity that is asked for and unknown."""
    if not ledger.read_only and (unwritable := fault_of_alerts()) is not None:
        yield Fault(unwritable.found, unwritable.remedy)
    decided = ledger.last_appended("decisions", strategy=strategy.name)
    if (unsafe := unanchored(0 if decided is None else int(decided["sequence"]))) is not None:
        yield Fault(unsafe.found, unsafe.remedy)
    if strategy.portfolio.capacity_share is not None:
        why = ""
        if not estimates_of_capacity(ledger, strategy.name):
            why = "no size follows the capacity, which was never estimated"
        elif only_of_other_settings(ledger, strategy):
            why = "sizes follow a capacity that was estimated under other settings"
        if why:
            yield Fault(why, f"nn-assets capacity --strategy {strategy.name}")


def _of_halt_file(strategy: str) -> Iterator[Fault]:
    """That a file in the home halts everything; nothing where none lies there."""
    if (file := halt_file_found()) is not None:
        again = f'nn-assets control kill-switch ACTIVE --strategy {strategy} --reason "..."'
        yield Fault(file.reason, f"find out who put it there and why, take it away, then {again}", TradingWord.HALTED)


def _of_waiting_costs(ledger: Ledger, strategy: str) -> Iterator[Fault]:
    """That an estimate of costs waits for a person; the model before it stays in force until then."""
    if (estimate := waiting_estimate(ledger, strategy)) is not None:
        moved = str(estimate["figures"]["reason"]).partition(":")[0]
        why = f"the estimate of costs of {pd.Timestamp(estimate['session']).date()} waits for approval ({moved})"
        remedy = f'nn-assets costs approve --strategy {strategy} --why "..."'
        yield Fault(f"{why}, and the model before it stays in force", remedy)


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


def _of_sessions(
    facts: StoredFacts, waiting: Sequence[pd.Timestamp], models: ModelsInForce, goes_on: str
) -> Iterator[Fault]:
    """Sessions that wait, and whether the next one is refused for want of a model."""
    strategy, decided = facts.strategy, facts.decision_moments.index
    clocked = has_clock(strategy.market, now_utc())
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
