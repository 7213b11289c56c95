"""A halt carried to the venues at once, in place of with the driver's next look."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from nn_assets.errors import NnAssetsError
from nn_assets.operations.accounts.books import AccountBooks, accounts
from nn_assets.operations.accounts.cancelling import ask, cancel_each, ended_but_at_work, tried
from nn_assets.operations.accounts.driver import Driver, unreached_text
from nn_assets.operations.asof.accounts import TrackedOrder, account_record
from nn_assets.operations.kill_switch import kill_switch_text, set_kill_switch
from nn_assets.operations.stores import Stores, open_stores
from nn_assets.portfolio.breakers import Control, KillSwitch


def halt_or_release(
    strategy: str | None, state: str, who: str, reason: str, ledger: str | None = None, *, never_milder: bool = False
) -> dict[str, Any]:
    """Set the kill switch; HALTED also asks the venues at once for the end of what halted strategies have there.

    Arguments and errors as of :func:`.set_kill_switch`. A venue that is down is named, and the switch stands all the
    same.
    """
    done = set_kill_switch(strategy, state, who, reason, ledger, never_milder=never_milder)
    names = done.get("strategies") or [done["strategy"]]
    if state != KillSwitch.HALTED:
        return done
    text = kill_switch_text(names, state, at_venues=False)
    if done["text"] == text:  # no strategy has an account
        return done
    try:
        with open_stores(ledger=ledger) as stores:
            there = cancel_halted(stores, names, "control kill-switch")
    except (NnAssetsError, OSError) as error:  # the switch stands, and what was to be done at the venue is said
        there = [{"account": None, "asked": [], "live": [], "text": f"{error}\n{done['text']}"}]
    return done | {"accounts": there, "text": "\n".join([text, *(row["text"] for row in there)])}


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
        of_halted: list[tuple[TrackedOrder, str, list[str]]] = []
        for tracked in live:
            mine = [child.client_order_id for child in tracked.order.children if child.book in halted]
            if mine and not (tracked.order.kind == "stop" and len(mine) < len(tracked.order.children)):
                of_halted.append((tracked, "halted", mine))
        asked += [tracked.order.client_order_id for tracked, _, _ in of_halted]

        def end_what_had_ended() -> None:
            there = ended_but_at_work(driver) if halted else []
            asked.extend(tracked.order.client_order_id for tracked in there)
            cancel_each(driver, [(tracked, "halted", ()) for tracked in there])

        faults = tried(lambda: cancel_each(driver, of_halted), lambda: ask(driver, ended_too=True), end_what_had_ended)
    return asked, unreached_text(faults[0]) if faults else ""
