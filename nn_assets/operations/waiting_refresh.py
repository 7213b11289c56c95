"""A refresh that drift asked for and nothing carries out: live, only a sensor does, in a daemon that runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from nn_assets.arrays import Moment
from nn_assets.operations.asof.refreshes import REFRESH_REFUSED, REFRESH_TAKEN
from nn_assets.operations.clock import last_configured_session
from nn_assets.operations.names import DRIFT_REFRESH, full_name
from nn_assets.operations.outcomes import last_heartbeat, last_ticks
from nn_assets.operations.run_faults import silence_of_daemon, silence_of_sensor
from nn_assets.oversight.headline import Fault
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

UI = "nn-assets ui"


class Unserved(NamedTuple):
    """Why nothing carries a refresh out; whether that is for want of a daemon, and not of the sensor alone."""

    why: str
    for_want_of_a_daemon: bool


def waiting_since(
    ledger: Ledger,
    strategy: Strategy,
    session: pd.Timestamp,
    details: Mapping[str, Any],
    answered_by: Moment | None = None,
) -> pd.Timestamp | None:
    """The session whose drift asked for a refresh that no run has answered; None where no request is open.

    None too after the last session of the history stated: no session follows that another model could decide.

    Parameters
    ----------
    session : Timestamp
        The last one decided.
    details : mapping
        Of its decision.
    answered_by : Moment, optional
        Answers recorded later do not count; all of them do when left out.
    """
    asked = details.get("refresh", {}).get("asked")
    if asked is None or session == last_configured_session(strategy.market):
        return None
    asked_on = pd.Timestamp(asked)
    answers = ledger.read("refresh_requests", strategy.name, asked_on, asked_on, recorded_by=answered_by)
    return None if answers["cause"].isin([REFRESH_TAKEN, REFRESH_REFUSED]).any() else asked_on


def unserved(ledger: Ledger, strategy: str) -> Unserved | None:
    """Why nothing carries out what drift asks for, by the last signs of daemon and sensor; None where both are."""
    beat = last_heartbeat(ledger)
    if silence_of_daemon(beat) is not None:
        heard = "never heard from" if beat is None else f"last heard from at {beat:%Y-%m-%d %H:%M} UTC"
        return Unserved(f"the daemon was {heard}", for_want_of_a_daemon=True)
    silent = silence_of_sensor(last_ticks(ledger, strategy).get(DRIFT_REFRESH), DRIFT_REFRESH)
    return None if silent is None else Unserved(f"{DRIFT_REFRESH} is off, {silent}", for_want_of_a_daemon=False)


def fault_of_waiting(strategy: str, asked_on: pd.Timestamp, cause: Unserved | None) -> Fault:
    """That a refresh waits, and what a person does about it.

    Parameters
    ----------
    asked_on : Timestamp
        As :func:`waiting_since` gives it.
    cause : Unserved or None
        None where it is not told, as on the page of a session.
    """
    because = "" if cause is None else f": {cause.why}"
    switch = f"switch {full_name(strategy, DRIFT_REFRESH)} on in"
    alone = cause is not None and not cause.for_want_of_a_daemon
    remedy = f"{switch} the UI, under Automation" if alone else f"{UI}, then {switch} it, under Automation"
    return Fault(f"nothing has carried out the refresh asked for on {asked_on.date()}{because}", remedy)


def waits_on_page(
    ledger: Ledger, strategy: Strategy, session: pd.Timestamp, details: Mapping[str, Any], decided_at: Moment | None
) -> tuple[Fault, ...]:
    """That an earlier session's refresh was still not carried out when a session was decided; nothing else."""
    asked_on = waiting_since(ledger, strategy, session, details, decided_at)
    return () if asked_on is None or asked_on >= session else (fault_of_waiting(strategy.name, asked_on, None),)


def waits_now(
    ledger: Ledger, strategy: Strategy, session: pd.Timestamp, details: Mapping[str, Any]
) -> tuple[Unserved, Fault] | None:
    """That a refresh waits after the last session decided and nothing is there to carry it out; None otherwise."""
    asked_on = waiting_since(ledger, strategy, session, details)
    cause = None if asked_on is None else unserved(ledger, strategy.name)
    if asked_on is None or cause is None:
        return None
    return cause, fault_of_waiting(strategy.name, asked_on, cause)
