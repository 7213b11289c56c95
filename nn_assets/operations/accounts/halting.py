"""A halt carried to the venues at once, in place of with the driver's next look."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from nn_assets.operations.accounts.books import AccountBooks, accounts
from nn_assets.operations.accounts.cancelling import ask, cancel_one, ended_but_at_work
from nn_assets.operations.accounts.driver import UNREACHED, Driver, unreached_text
from nn_assets.operations.asof.accounts import account_record
from nn_assets.operations.stores import Stores
from nn_assets.portfolio.breakers import Control


def cancel_halted(stores: Stores, strategies: Collection[str], run_id: str) -> list[dict[str, Any]]:
    """Ask the venues for the end of what halted strategies have there; whatever goes wrong is said, never raised.

    Parameters
    ----------
    strategies : collection of str
        Those whose accounts are seen to; in these, of every book that is halted by the controls of now.

    Returns
    -------
    list of dict
        A row an account: its name, ``asked`` and ``live`` (names of orders whose end was asked for, and of those that
        may fill still), and ``text``.
    """
    try:
        meant = [account for account in accounts() if any(account.of(name) is not None for name in strategies)]
    except Exception as error:  # noqa: BLE001  the switch stands whatever is wrong with the settings of an account
        return [{"account": None, "asked": [], "live": [], "text": f"no account could be seen to: {error}"}]
    return [_cancelled(stores, account, run_id) for account in meant]


def _cancelled(stores: Stores, account: AccountBooks, run_id: str) -> dict[str, Any]:
    try:
        asked, why = end_halted(Driver.opened(stores, account, run_id))
        record = account_record(stores.ledger, account.name)
        live = [name for name in asked if record.orders[name].is_live]
    except Exception as error:  # noqa: BLE001  the switch stands whatever a venue's member raises
        asked, live, why = [], [], f"{type(error).__name__}: {error}"
    text = f"account {account.name}: the end of {len(asked)} orders was asked for"
    if why:
        text += f", and the venue could not be reached: {why}; what works there may fill until it is cancelled"
    elif live:
        text += f", {len(live)} of them may fill still"
    if why or live:
        text += f": nn-assets account cancel --account {account.name}"
    return {"account": account.name, "asked": asked, "live": live, "text": text}


def end_halted(driver: Driver) -> tuple[list[str], str]:
    """Ask for the end of what halted books have at the venue; a stop that others share ends with the next look.

    Returns
    -------
    list of str
        Orders whose end was asked for.
    str
        What a venue that is down said; empty otherwise.
    """
    asked: list[str] = []
    with driver.alone():
        record = driver.record()
        live = [tracked for tracked in record.orders.values() if tracked.is_live]
        names = {child.book for tracked in record.orders.values() for child in tracked.order.children}
        halted = {name for name in names if driver.control_of(name, record) is Control.HALTED}
        halted -= driver.unread_unhalted()
        try:
            for tracked in live:
                mine = [child for child in tracked.order.children if child.book in halted]
                is_shared = len(mine) < len(tracked.order.children)
                if mine and not (tracked.order.kind == "stop" and is_shared):
                    asked.append(tracked.order.client_order_id)
                    cancel_one(driver, tracked, "halted", [child.client_order_id for child in mine])
            ask(driver, ended_too=True)
            for tracked in ended_but_at_work(driver) if halted else ():
                asked.append(tracked.order.client_order_id)
                cancel_one(driver, tracked, "halted")
        except UNREACHED as error:
            return asked, unreached_text(error)
    return asked, ""
