"""What a strategy's day has to do with its account: collected and compared before its round, sent after it."""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd

from nn_assets.errors import NnAssetsError
from nn_assets.execution.venue import OrderHours, hours_of
from nn_assets.execution.venues import account_of, venue_of
from nn_assets.market.calendar.sessions import is_session, next_session, session_hours, timezone_of
from nn_assets.operations.account_faults import fault_of_refusals, fault_of_unsent
from nn_assets.operations.accounts.books import account_for
from nn_assets.operations.accounts.driver import Driver
from nn_assets.operations.accounts.reconciling import Reconciled, reconcile
from nn_assets.operations.accounts.sending import Sent, send_orders
from nn_assets.operations.alerts import append_alert
from nn_assets.operations.asof.accounts import DIFFERS
from nn_assets.operations.asof.sendings import unsent_after
from nn_assets.operations.due import Due
from nn_assets.operations.history import History
from nn_assets.operations.situation import account_apart, headline_now
from nn_assets.settings import Strategy

_BEFORE, _AFTER = pd.Timedelta(minutes=60), pd.Timedelta(minutes=30)
_FROM_THEN = pd.Timedelta(minutes=60)


def before_round(history: History, run_id: str, log: logging.Logger) -> None:
    """Collect what the strategy's account did, and compare it; nothing for one that fills within its round.

    An account that differs, or a venue that does not answer, stops no round: it goes on, and only reduces.
    """
    driver = _driver(history, run_id)
    if driver is None:
        return
    result = reconcile(driver)
    log.info("account %s: %s", driver.account.name, result.sentence)
    _alert(history, driver, result, run_id)


def after_round(history: History, run_id: str, log: logging.Logger) -> None:
    """Send what the books of the strategy's account decided, once each of them has."""
    history = history.with_decided_since()  # else the first line of an alert is that of before the round
    driver = _driver(history, run_id)
    if driver is not None:
        sent = send_orders(driver)
        log.info("account %s: %s", driver.account.name, sent_text(sent))
        if not sent.waits_for:  # a book of the account that decides later today is no fault
            _alert_of_unsent(history, driver, sent, run_id)
        _alert_of_refusals(history, driver, run_id)


def keep_account(history: History, run_id: str) -> dict[str, Any]:
    """Within the session: collect, compare, send what waits under the controls of now, and have the stops rest."""
    driver = _driver(history, run_id)
    if driver is None:
        return {"account": "none"}
    result = reconcile(driver)
    _alert(history, driver, result, run_id)
    sent = send_orders(driver, waits=False)
    _alert_of_unsent(history, driver, sent, run_id)
    _alert_of_refusals(history, driver, run_id)
    return {"account": driver.account.name, "state": result.state, "says": result.sentence, "sent": sent_text(sent)}


def sent_text(sent: Sent) -> str:
    """What a sending came to, in one line."""
    if sent.changed:
        return f"nothing is sent by a ledger that is not as it was: {sent.changed}; nn-assets audit verify names all"
    if sent.waits_for:
        return f"nothing is sent before {', '.join(sent.waits_for)} has decided the session too: their orders net"
    states: dict[str, int] = {}
    for state in sent.orders.values():
        states[state] = states.get(state, 0) + 1
    named = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no order"
    return named + (f"; the venue could not be reached: {sent.down}" if sent.down else "")


def account_due(strategy: Strategy, moment: pd.Timestamp) -> Due | str:
    """The look after an account that is due at a UTC moment: from an hour before the open until after the close.

    Where the venue takes a session's orders only from some moment on, in the hour after it too.
    """
    calendar = strategy.market.calendar
    local = moment.tz_convert(timezone_of(calendar))
    day = local.tz_localize(None).normalize()
    taken = _hours_of_orders(strategy, next_session(calendar, day))
    if taken is not None and taken.begins <= moment < min(taken.begins + _FROM_THEN, taken.ends):
        return Due(f"{strategy.name}:account:{moment:%Y-%m-%dT%H:%M}")
    if not is_session(calendar, day):
        return f"{day.date()} is no session of {calendar}"
    day_of = session_hours(calendar, day, day).iloc[0]
    if not day_of["opens"] - _BEFORE <= moment <= day_of["closes"] + _AFTER:
        return f"the session of {day.date()} is more than an hour away, or over"
    return Due(f"{strategy.name}:account:{moment:%Y-%m-%dT%H:%M}")


def _hours_of_orders(strategy: Strategy, session: pd.Timestamp) -> OrderHours | None:
    """When the venue takes the strategy's orders for a session; None at any time, or where it cannot be opened."""
    try:
        venue = venue_of(strategy.execution.broker, strategy.execution.broker_settings)(str(account_of(strategy)))
    except NnAssetsError:
        return None  # a look that is due says so
    return hours_of(venue, "at_open" if strategy.label.execution == "next_open" else "at_close", session)


def _driver(history: History, run_id: str) -> Driver | None:
    account = account_for(history.strategy, history.stores.ledger)
    return None if account is None else Driver.opened(history.stores, account, run_id)


def _alert(history: History, driver: Driver, result: Reconciled, run_id: str) -> None:
    if result.state != DIFFERS:
        return
    (fault,) = account_apart(history.strategy, result.sentence)
    append_alert(
        f"account:{driver.account.name}:{result.session.date()}:{result.sentence}",
        lambda: str(headline_now(history)),
        cause=fault.why,
        remedy=fault.remedy,
        strategy=history.strategy.name,
        run_id=run_id,
        session=str(result.session.date()),
    )


def _alert_of_unsent(history: History, driver: Driver, sent: Sent, run_id: str) -> None:
    """An alert for each book that has orders which are not on their way, once for each number of them."""
    for book in driver.books():
        fault = fault_of_unsent(history.stores.ledger, book.strategy, book.session, driver.now(), down=sent.hindered)
        if book.session is None or fault is None:
            continue
        append_alert(
            f"account:{driver.account.name}:{book.strategy.name}:unsent:{fault.why}",
            lambda: str(headline_now(history)),
            cause=fault.why,
            remedy=fault.remedy,
            strategy=book.strategy.name,
            run_id=run_id,
            session=str(book.session.date()),
        )


def _alert_of_refusals(history: History, driver: Driver, run_id: str) -> None:
    """An alert for the orders that the venue refused, once for each number of them."""
    for book in driver.books():
        unsent = None if book.session is None else unsent_after(history.stores.ledger, book.strategy, book.session)
        fault = None if unsent is None else fault_of_refusals(unsent)
        if unsent is None or fault is None:
            continue
        count = sum(len(symbols) for _, symbols in unsent.refused)
        append_alert(
            f"account:{driver.account.name}:{book.strategy.name}:{unsent.session.date()}:refused:{count}",
            lambda: str(headline_now(history)),
            cause=fault.why,
            remedy=fault.remedy,
            strategy=book.strategy.name,
            run_id=run_id,
            session=str(unsent.session.date()),
        )
