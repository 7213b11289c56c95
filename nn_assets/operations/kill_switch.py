"""The kill switch set: by a command, by a job, by the report's button, and by a file ``HALT`` in the home."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from typing import Any

from nn_assets.errors import ControlError, NnAssetsError
from nn_assets.execution.venues import account_of
from nn_assets.operations.asof.controls import KILL_SWITCH, halted_by_file, kill_switch_now
from nn_assets.operations.asof.halt_file import halt_file_found
from nn_assets.operations.catalog import known_names, load_strategies, require_named
from nn_assets.operations.clock import now_utc
from nn_assets.portfolio.breakers import Control, KillSwitch, kill_switch_control, read_kill_switch
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.room import keep_reserve, no_room, spend_reserve


def demand_reason(kind: str, reason: str, option: str = "--reason") -> None:
    """Refuse a control that nobody says why of.

    Raises
    ------
    ControlError
        The reason is empty.
    """
    if not reason.strip():
        raise ControlError(
            expected="a reason",
            found="none",
            remedy=f"say why with {option}; it is kept in the ledger",
            rule=kind,
        )


def record_control(
    ledger: Ledger, strategy: str, kind: str, state: str, who: str, reason: str, details: dict[str, Any] | None = None
) -> None:
    """Put a control on record, as of now."""
    row = control_row(strategy, kind, state, who, reason, details)
    ledger.append("controls", [row], run_id=f"control:{row['control_id']}", strategy=strategy)


def control_row(
    strategy: str, kind: str, state: str, who: str, reason: str, details: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A row of ``controls``: what a person set now."""
    moment = now_utc()
    identity = hashlib.sha256(f"{strategy}|{kind}|{state}|{moment.isoformat()}".encode()).hexdigest()[:16]
    return {
        "control_id": identity,
        "kind": kind,
        "state": state,
        "who": who,
        "reason": reason,
        "details": details or {},
    }


def set_kill_switch(
    strategy: str | None, state: str, who: str, reason: str, ledger: str | None = None, *, never_milder: bool = False
) -> dict[str, Any]:
    """Set the kill switch of a strategy, also where the disk is full: a little room is kept back for it.

    Parameters
    ----------
    strategy : str, optional
        Its file may be broken, and may then be named instead of it, or gone as long as the ledger has something of it.
        Without a name every strategy is halted or reduced: someone in a hurry must not stop the wrong one. One that is
        HALTED stays so.
    ledger : str, optional
        Its address; that of the environment, or the home's, when left out.
    never_milder : bool
        Also a strategy that is named keeps a stricter state.

    Raises
    ------
    ControlError
        The state is not one of the three, no reason is given, or every strategy is to be active again; or it is
        milder than HALTED while a file ``HALT`` lies in the home.
    SettingsError
        Neither a file nor a record names the strategy.
    """
    if state not in set(KillSwitch):
        raise ControlError(
            expected=f"one of {', '.join(KillSwitch)}",
            found=repr(state),
            remedy="HALTED: nothing is sent or filled, not even a stop; REDUCING: positions may only shrink or close; "
            "ACTIVE: trades",
            rule=KILL_SWITCH,
        )
    demand_reason(KILL_SWITCH, reason)
    if state != KillSwitch.HALTED and (file := halt_file_found()) is not None:
        raise ControlError(
            expected="no file HALT in the home",
            found=file.reason,
            remedy="find out who put it there and why, take it away, then set the switch",
            rule=KILL_SWITCH,
        )
    if strategy is not None:
        (first, *others) = named = require_named(strategy)
        kept = _record_switches(named, state, who, reason, ledger, never_milder=never_milder)
        done: dict[str, Any] = {"strategies": list(named)} if others else {"strategy": first}
        return done | {"kill_switch": state, "text": kill_switch_text(named, state, kept=kept)}
    if state == KillSwitch.ACTIVE:
        raise ControlError(
            expected="the strategy that is to trade again",
            found="none named",
            remedy="name each: --strategy NAME",
            rule=KILL_SWITCH,
        )
    every = known_names()
    kept = _record_switches(every, state, who, reason, ledger, never_milder=True)
    return {"strategies": every, "kill_switch": state, "text": kill_switch_text(every, state, kept=kept)}


def kill_switch_text(
    strategies: Sequence[str], state: str, *, at_venues: bool = True, kept: Collection[str] = ()
) -> str:
    """A line for each strategy, and with ``at_venues`` one for each account where a halt cancels nothing by itself.

    Those ``kept`` stay HALTED whatever the state is.
    """
    lines = [
        f"{name}: kill switch stays {KillSwitch.HALTED}" if name in kept else f"{name}: kill switch is {state}"
        for name in strategies
    ]
    if state == KillSwitch.HALTED and at_venues:
        lines += [
            f"account {account}: what works at the venue may fill until the account is looked after next, or at once: "
            f"nn-assets account cancel --account {account}"
            for account in _accounts_of(strategies)
        ]
    return "\n".join(lines)


def _accounts_of(strategies: Sequence[str]) -> list[str]:
    """Accounts at venues of the strategies whose files can be read; whatever is wrong with one, the switch stands."""
    names = []
    for entry in load_strategies():
        if entry.strategy.name in strategies:
            try:
                names.append(account_of(entry.strategy))
            except NnAssetsError:
                continue
    return sorted({account for account in names if account is not None})


def note_halt_file(ledger: Ledger, strategy: str) -> str | None:
    """Put a halt by the file ``HALT`` on record, of every strategy, once: to take it away resumes nothing.

    To be called before every decision and every sending. Where the record cannot be made the error is raised, and
    nothing may be decided or sent.

    Parameters
    ----------
    strategy : str
        Whose decision or sending it is; it is halted first, and although its file is broken or gone.

    Returns
    -------
    str or None
        Why everything is halted; None where no such file lies in the home.
    """
    file = halt_file_found()
    if file is None:
        return None
    details = {"halt_file": file.reason, "since": None if file.since is None else file.since.isoformat()}
    row = (str(KillSwitch.HALTED), "the file HALT", file.reason, details)
    for name in dict.fromkeys([strategy, *known_names()]):
        if not halted_by_file(ledger, name):
            _with_room(lambda name=name: record_control(ledger, name, KILL_SWITCH, *row))  # type: ignore[misc]
    return file.reason


def _record_switches(
    strategies: Sequence[str], state: str, who: str, reason: str, ledger: str | None, *, never_milder: bool
) -> list[str]:
    """Set the switch of each, with the room kept back where the disk is full; the names that stay HALTED instead."""
    kept = [name for name in strategies if never_milder and _is_milder_than_now(name, state, ledger)]
    for name in strategies:
        if name not in kept:
            _with_room(lambda name=name: _record_switch(name, state, who, reason, ledger))  # type: ignore[misc]
    keep_reserve()
    return kept


def _is_milder_than_now(strategy: str, state: str, address: str | None) -> bool:
    """Whether a strategy is HALTED, also by a record that cannot be read, and a state would loosen that."""
    if state == KillSwitch.HALTED:
        return False
    with Ledger(address) as ledger:
        return kill_switch_control(read_kill_switch(kill_switch_now(ledger, strategy))) is Control.HALTED


def _with_room(record: Callable[[], None]) -> None:
    """Put something on record; where the disk is full, with the room that is kept back for it."""
    try:
        record()
    except NnAssetsError as error:
        if no_room(error) is None:
            raise
        spend_reserve()
        record()


def _record_switch(strategy: str, state: str, who: str, reason: str, address: str | None = None) -> None:
    with Ledger(address) as ledger:  # it halts although the store of the lake is out of reach
        record_control(ledger, strategy, KILL_SWITCH, state, who, reason)
