"""What is wrong with a strategy's account at its venue, or waits there, by what the ledger has on record of it."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from nn_assets.execution.venues import account_of
from nn_assets.operations.asof.cash_apart import CashApart
from nn_assets.operations.asof.controls import fill_moment, sending_control
from nn_assets.operations.asof.halted_orders import LeftByAHalt, left_by_a_halt
from nn_assets.operations.asof.passed_stops import passed_stops
from nn_assets.operations.asof.sendings import STOP_SENDINGS, Unsent, unsent_after
from nn_assets.operations.asof.unsent import not_on_their_way
from nn_assets.oversight.headline import Fault, TradingWord
from nn_assets.portfolio.breakers import Control
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

_NAMED_FROM_BPS = 5.0  # of equity: interest of some days, booked and not paid yet, is less


def faults_of_cash(apart: CashApart | None) -> tuple[Fault, ...]:
    """How far a venue's cash lies from its books', where that is some bps of equity and the account agrees."""
    if apart is None or not apart.agrees or apart.bps < _NAMED_FROM_BPS:
        return ()
    return (Fault(apart.text, ""),)


def faults_of_sending(
    ledger: Ledger, strategy: Strategy, session: pd.Timestamp | None, now: pd.Timestamp
) -> Iterator[Fault]:
    """What of the orders decided in a session the venue refused, was too late for, or does not take yet.

    Parameters
    ----------
    session : Timestamp or None
        The last one decided; nothing without one.
    now : Timestamp
        UTC.
    """
    if (missing := fault_of_unsent(ledger, strategy, session, now)) is not None:
        yield missing
    if session is not None and (left := left_by_a_halt(ledger, strategy, session)) is not None:
        yield from faults_of_a_halt(left, account_of(strategy))
    if session is not None and (passed := passed_stops(ledger, strategy, session)):
        why = f"{_stops(len(passed))} at the venue did not fill though the market closed beyond ({'; '.join(passed)})"
        yield Fault(why, "ask the venue why, and close what is held or put a stop there by hand")
    unsent = None if session is None else unsent_after(ledger, strategy, session)
    if unsent is None:
        return
    if (refused := fault_of_refusals(unsent)) is not None:
        yield refused
    if unsent.late:
        why = f"{_orders(len(unsent.late))} came too late to be sent ({', '.join(unsent.late)})"
        yield Fault(why, "see why its runs came late: nn-assets ui, Runs")
    if unsent.begins is not None:
        one = unsent.waiting == 1
        why = f"{_orders(unsent.waiting)} for {unsent.session.date()} {'waits' if one else 'wait'} until"
        why += f" {unsent.begins:%Y-%m-%d %H:%M} UTC, from when on the venue takes {'it' if one else 'them'}"
        sync = f"nn-assets account sync --account {account_of(strategy)} sends {'it' if one else 'them'}"
        yield Fault(why, "" if now < unsent.begins else sync)


def faults_of_a_halt(left: LeftByAHalt, account: str | None) -> Iterator[Fault]:
    """What may fill at the venue though it is stopped, what was taken back, and what no stop protects."""
    if left.may_fill:
        count = len(left.may_fill)
        why = f"{_orders(count)} that {'is' if count == 1 else 'are'} stopped may fill at the venue still"
        yield Fault(f"{why} ({', '.join(left.may_fill)})", f"nn-assets account cancel --account {account}")
    if left.taken_back:
        count = len(left.taken_back)
        why = f"{_orders(count)} for {left.session.date()} {'was' if count == 1 else 'were'} taken back by a control"
        yield Fault(f"{why} ({', '.join(left.taken_back)}): the next round decides anew", "")
    if left.unprotected:
        named = ", ".join(left.unprotected)
        sync = f"nn-assets account sync --account {account} has them rest again"
        why = f"no stop protects {named} at the venue {'while it is halted' if left.is_halted else 'since a halt'}"
        yield Fault(why, "" if left.is_halted else sync)


def fault_of_refusals(unsent: Unsent) -> Fault | None:
    """That the venue refused orders; where it took none of the others, the strategy does not trade."""
    if not unsent.refused:
        return None
    named = "; ".join(f"{', '.join(symbols)}: {reason}" for reason, symbols in unsent.refused)
    count = sum(len(symbols) for _, symbols in unsent.refused)
    why = f"the venue refused {_orders(count)} for {unsent.session.date()} ({named})"
    nothing = unsent.orders and not unsent.taken and not unsent.waiting
    remedy = "correct what the reason names; a refused order is not sent again, the next round decides anew"
    if unsent.unprotected:
        why += f", so that no stop protects {', '.join(unsent.unprotected)} there"
        remedy += f"; a stop is sent again at most {STOP_SENDINGS} times a session: put one there by hand, or close it"
    return Fault(why, remedy, TradingWord.DOES_NOT_TRADE if nothing else TradingWord.TRADES)


def fault_of_unsent(
    ledger: Ledger, strategy: Strategy, session: pd.Timestamp | None, now: pd.Timestamp, down: str = ""
) -> Fault | None:
    """That orders decided in a session are not on their way, though nothing on record keeps them back.

    Parameters
    ----------
    down : str
        What the venue said just now, where it could not be reached.
    """
    missing = None if session is None else not_on_their_way(ledger, strategy, session)
    if missing is None:
        return None
    one, account = missing.count == 1, account_of(strategy)
    why = f"{_orders(missing.count)} for {missing.session.date()} {'is' if one else 'are'} not on the way to the venue"
    why += f", which could not be reached: {down}" if down else ""
    if now >= fill_moment(strategy, missing.session):
        return Fault(f"{why}, and the moment has gone", "see why no run sent them: nn-assets ui, Runs")
    remedy = f"nn-assets account sync --account {account} sends"
    if sending_control(ledger, strategy).control >= Control.REDUCING:
        return Fault(why, f"{remedy} what only reduces, and takes the others back")
    remedy += " it" if one else " them"
    return Fault(why, f"{remedy}; nn-assets account send --now without books that have not decided")


def _stops(count: int) -> str:
    return f"{count} stop{'s' * (count != 1)}"


def _orders(count: int) -> str:
    return f"{count} order{'s' * (count != 1)}"
