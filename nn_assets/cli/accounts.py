"""The commands of accounts at venues: send, sync, reconcile, cancel, accept, show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nn_assets.errors import ControlError, shortened
from nn_assets.execution.venues import account_of
from nn_assets.operations.accounts.books import AccountBooks, account_named, accounts
from nn_assets.operations.accounts.cancelling import cancel_orders
from nn_assets.operations.accounts.driver import Driver
from nn_assets.operations.accounts.of_the_day import sent_text
from nn_assets.operations.accounts.reconciling import Reconciled, accept, reconcile
from nn_assets.operations.accounts.sending import send_orders
from nn_assets.operations.asof.accounts import AGREED, account_record, difference_text
from nn_assets.operations.asof.cash_apart import cash_apart_of
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.stores import Stores, open_stores
from nn_assets.oversight.headline import LONGEST
from nn_assets.portfolio.breakers import Control

_RUN = "account"
_REDUCES = "only what brings a position nearer to zero is sent"
_CENT = 0.01


def name_of(account: str | None, strategy: str | None) -> str | None:
    """The account that is meant by its own name, or by a strategy that trades on it; None where neither is given.

    Raises
    ------
    SettingsError
        No file names the strategy; it names those there are.
    ControlError
        It trades on no account, or on another.
    """
    if strategy is None:
        return account
    own = account_of(find_strategy(strategy).strategy)
    if own is not None and account in (None, own):
        return own
    on = [name for books in accounts() for name in (one.name for one in books.strategies)]
    raise ControlError(
        expected="a strategy that trades on an account at a venue" + (f", on {account}" if account else ""),
        found=f"{strategy}, which " + ("fills on paper" if own is None else f"trades on {own}"),
        remedy=f"name one that does ({', '.join(on) or 'there is none'}), or leave out --strategy or --account",
        rule="account",
    )


def _of(name: str | None) -> AccountBooks:
    """The account of a name; without one the only one of the home."""
    if name is not None:
        return account_named(name)
    every = accounts()
    if len(every) != 1:
        raise ControlError(
            expected="the account that is meant",
            found=f"none named, and there are {', '.join(account.name for account in every) or 'none'}",
            remedy="name it: --account NAME" if every else "name a venue under execution.broker of a strategy",
            rule="account",
        )
    return every[0]


def _driven(name: str | None, command: str, work: Callable[[Driver], dict[str, Any]]) -> dict[str, Any]:
    account = _of(name)
    with open_stores() as stores:
        driver = Driver.opened(stores, account, f"{_RUN} {command}")
        return {"account": account.name, **work(driver)}


def send(name: str | None, *, alone: bool) -> dict[str, Any]:
    """Send what the books decided, under the controls of now; ``alone`` without waiting for books that have not."""

    def work(driver: Driver) -> dict[str, Any]:
        sent = send_orders(driver, waits=not alone)
        text = "\n".join([f"{driver.account.name}: {sent_text(sent)}", *_controls(driver)])
        return {
            "ok": not sent.hindered,
            "orders": dict(sent.orders),
            "waits_for": list(sent.waits_for),
            "text": text,
        }

    return _driven(name, "send", work)


def _controls(driver: Driver) -> list[str]:
    """A line for each book whose orders the controls of now keep back."""
    record = driver.record()
    by_book = {strategy.name: driver.control_of(strategy.name, record) for strategy in driver.account.strategies}
    return [
        f"  {book} is {control.name}: "
        + (
            "nothing of it is sent, and what it has at the venue is cancelled"
            if control is Control.HALTED
            else _REDUCES
        )
        for book, control in by_book.items()
        if control >= Control.REDUCING
    ]


def sync(name: str | None) -> dict[str, Any]:
    """Collect, compare, then send what waits and have the stops rest as the books hold."""

    def work(driver: Driver) -> dict[str, Any]:
        result = reconcile(driver)
        sent = send_orders(driver)
        answer = _answer(driver, result)
        done = {
            "ok": answer["ok"] and not sent.hindered,
            "orders": dict(sent.orders),
            "waits_for": list(sent.waits_for),
        }
        lines = [*answer["text"].splitlines(), f"  {sent_text(sent)}", *_controls(driver)]
        return answer | done | {"text": "\n".join(lines)}

    return _driven(name, "sync", work)


def compare(name: str | None) -> dict[str, Any]:
    """Collect, and compare the account with its books; not ok where it differs."""
    return _driven(name, "reconcile", lambda driver: _answer(driver, reconcile(driver)))


def _answer(driver: Driver, result: Reconciled) -> dict[str, Any]:
    first = shortened(f"{driver.account.name}: {result.sentence}", LONGEST)
    is_whole = first.endswith(result.sentence) and len(result.differences) < 2
    lines = [first, *([] if is_whole else _rows(result.differences))]
    return {
        "ok": result.state == AGREED,
        "session": str(result.session.date()),
        "state": result.state,
        "differences": list(result.differences),
        "text": "\n".join(lines),
    }


def _rows(differences: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each difference."""
    return [f"  {difference_text([row])}" for row in differences]


def cancel(name: str | None, client_order_ids: Sequence[str]) -> dict[str, Any]:
    """Ask for the end of orders that may still fill, of all without names; also under a halt."""

    def work(driver: Driver) -> dict[str, Any]:
        known = driver.record().orders
        if unknown := [name for name in client_order_ids if name not in known]:
            raise ControlError(
                expected=f"orders of the account {driver.account.name}",
                found=f"{', '.join(unknown)}, which it never had",
                remedy=f"nn-assets account show --account {driver.account.name} names those that may fill",
                rule="account_cancel",
            )
        asked = cancel_orders(driver, client_order_ids)
        return {
            "cancelled": list(asked),
            "text": f"{driver.account.name}: the end of {len(asked)} orders was asked for",
        }

    return _driven(name, "cancel", work)


def take_over(name: str | None, who: str, why: str, *, outside: bool) -> dict[str, Any]:
    """Have the books take over what the venue says, on record."""

    def work(driver: Driver) -> dict[str, Any]:
        result = accept(driver, who, why, outside=outside)
        details = (driver.record().last_reconciliation or {"details": {}})["details"]
        lines = [f"{driver.account.name}: accepted, by {who}:"]
        lines += _rows(result.differences)
        for book, adjustment in details["books"].items():
            parts = [f"{quantity:+g} {symbol} at {price:g}" for symbol, quantity, price in adjustment["positions"]]
            parts += [f"{adjustment['cash_usd']:+,.2f} USD"] if adjustment["cash_usd"] else []
            lines.append(f"  {book} takes over {', '.join(parts)} as its next session begins")
        outside_books = ", ".join(f"{quantity:g} {what}" for what, quantity in sorted(details["outside"].items()))
        lines += [f"  no book's from now on: {outside_books}"] if outside_books else []
        return {"state": result.state, "differences": list(result.differences), **details, "text": "\n".join(lines)}

    return _driven(name, "accept", work)


def show(name: str | None = None) -> dict[str, Any]:
    """What the ledger holds of every account, or of one; no venue is asked."""
    every = accounts() if name is None else (account_named(name),)
    with open_stores() as stores:
        shown = {account.name: _shown(stores, account) for account in every}
    lines = [f"{name}: {account['text']}" for name, account in shown.items()]
    return {"accounts": shown, "text": "\n".join(lines) or "no strategy trades on an account at a venue"}


def _shown(stores: Stores, account: AccountBooks) -> dict[str, Any]:
    record = account_record(stores.ledger, account.name)
    live = {name: tracked for name, tracked in record.orders.items() if tracked.is_live or tracked.status == "waiting"}
    last = record.last_reconciliation
    state = "never compared" if last is None else f"{last['state']} as of {last['session'].date()}"
    differences = [] if last is None else _rows(last["differences"])
    books = [strategy.name for strategy in account.strategies]
    orders = [
        f"  {tracked.order.symbol} {tracked.order.quantity:g} {tracked.order.kind}"
        f"{'' if tracked.order.price is None else f' {tracked.order.price:g}'}, {tracked.status}, "
        f"{tracked.filled:g} filled, {name}"
        for name, tracked in live.items()
    ]
    apart = cash_apart_of(last)
    orders = [*(f"  {why}" for _, why in sorted(account.apart.items())), *orders]
    orders = [*([] if apart is None or abs(apart.usd) < _CENT else [f"  {apart.text}"]), *orders]
    head = f"{state}; books {', '.join(books)}; {len(live)} orders that may fill, {len(record.fills)} fills"
    return {
        "state": state,
        "differences": [] if last is None else list(last["differences"]),
        "books": books,
        "orders": {name: tracked.status for name, tracked in live.items()},
        "fills": len(record.fills),
        "held_back": len(record.held_back),
        "outside": record.outside,
        "cash_apart_usd": None if apart is None else apart.usd,
        "text": "\n".join([shortened(head, LONGEST), *differences, *orders]),
    }
