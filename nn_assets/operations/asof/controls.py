"""What a person set: the kill switch and the release of latched breakers, as in force at a session's own moments.

Orders under way obey the switch as it stood before their fill, new orders as it stood at the decision: a session
that is decided late, or again, runs under the controls of its day. Orders put on record only after they were due
cannot have been sent: the run that should have sent them was unfinished. A strategy whose settings end its history
has no clock that a person could act by: for it a control holds from the next session decided after it was set.
"""

from __future__ import annotations

import pandas as pd

from nn_assets.errors import LedgerError
from nn_assets.market.calendar.sessions import session_hours
from nn_assets.operations.asof.decisions import decision_moments
from nn_assets.operations.clock import as_of_session, has_clock, now_utc
from nn_assets.portfolio.breakers import BREAKERS, BreakerReset, KillSwitch, named_kinds
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

KILL_SWITCH, BREAKER_RESET = "kill_switch", "breaker_reset"


def kill_switch_now(ledger: Ledger, strategy: str) -> str:
    """The kill switch as it was set last; ACTIVE when it never was, HALTED when it cannot be read."""
    return _states(ledger, strategy, None)[0]


def kill_switch_at(
    ledger: Ledger, strategy: Strategy, *moments: pd.Timestamp, decided_at: pd.Timestamp | None = None
) -> list[str]:
    """The kill switch as it stood at UTC moments of the strategy's clock.

    Where it has none: as it was when the session was decided, or as it is while that is undecided.
    """
    clocked = has_clock(strategy.market, now_utc())
    return _states(ledger, strategy.name, *(moments if clocked else [decided_at] * len(moments)))


def fill_moment(strategy: Strategy, session: pd.Timestamp) -> pd.Timestamp:
    """When the orders under way are filled on a session, UTC: at its open, or at its close by setting."""
    hours = session_hours(strategy.market.calendar, session, session).iloc[0]
    moment: pd.Timestamp = hours["opens"] if strategy.label.execution == "next_open" else hours["closes"]
    return moment


def _states(ledger: Ledger, strategy: str, *moments: pd.Timestamp | None) -> list[str]:
    try:
        rows = ledger.read("controls", strategy, where={"kind": KILL_SWITCH}, every_version=True, bookkeeping=True)
        rows = rows.sort_values("sequence")
        wrong = ledger.mended().of_wrong_clocks(rows["recorded_at"]) | (rows["recorded_at"] > ledger.now())
    except LedgerError:
        return [str(KillSwitch.HALTED)] * len(moments)
    # Set by a clock that ran ahead, at an unknown time: what restricts counts at once, a release no earlier.
    at_once = wrong & (rows["state"] != str(KillSwitch.ACTIVE))
    histories = (rows if moment is None else rows[(rows["recorded_at"] <= moment) | at_once] for moment in moments)
    return [str(KillSwitch.ACTIVE) if frame.empty else str(frame["state"].iloc[-1]) for frame in histories]


def breaker_reset_for(
    ledger: Ledger, strategy: Strategy, session: pd.Timestamp, decided_at: pd.Timestamp | None = None
) -> BreakerReset | None:
    """The reset of breakers latched as a session begins, or None; ``decided_at`` as of :func:`kill_switch_at`.

    A reset names the latches it was set for, and is used once: the first session whose decision it came in time
    for releases those latches, and no other. Several that wait count together, with all their persons and reasons.
    """
    rows = ledger.read(
        "controls",
        strategy.name,
        recorded_by=as_of_session(strategy.market, session) if has_clock(strategy.market, now_utc()) else decided_at,
        where={"kind": BREAKER_RESET},
        bookkeeping=True,
    )
    if rows.empty:
        return None
    before = ledger.latest("portfolio_states", strategy.name, last=session - pd.Timedelta(days=1))
    latched = () if before.empty else named_kinds(before["breaker"].iloc[-1])
    persons, reasons, kinds = list[str](), list[str](), set[str]()
    for _, row in rows.sort_values("sequence").iterrows() if latched else ():
        meant = row["details"].get("breakers", row["details"].get("breaker"))  # one by name until version 0.1
        named = set(latched if meant is None else [meant] if isinstance(meant, str) else meant) & set(latched)
        waiting = named - _used(ledger, strategy.name, row, session)
        if waiting:
            persons, reasons, kinds = [*persons, str(row["who"])], [*reasons, str(row["reason"])], kinds | waiting
    if not kinds:
        return None
    named_in_order = tuple(kind for kind in latched if kind in kinds)
    return BreakerReset("; ".join(dict.fromkeys(persons)), "; ".join(dict.fromkeys(reasons)), named_in_order)


def _used(ledger: Ledger, strategy: str, reset: pd.Series, session: pd.Timestamp) -> set[str]:
    """The kinds that sessions before this one released since a reset was set."""
    after = reset["details"].get("after_session")
    if after is None:  # set by version 0.1, which counted every decision recorded later as one that used it
        decided = ledger.latest("decisions", strategy, last=session - pd.Timedelta(days=1), bookkeeping=True)
        used = not decided.empty and bool(decided["sequence"].iloc[-1] > reset["sequence"])
        return set(BREAKERS) if used else set()
    first = pd.Timestamp(after) + pd.Timedelta(days=1)
    decided = ledger.read("decisions", strategy, first, session - pd.Timedelta(days=1))
    records = [details["breaker_reset"] for details in decided["details"] if details.get("breaker_reset") is not None]
    return {kind for record in records for kind in BreakerReset.from_record(record).among(BREAKERS)}


def unfinished_run_before(
    ledger: Ledger, strategy: Strategy, session: pd.Timestamp, decided: pd.Series | None = None
) -> str | None:
    """Why the orders under way on a session cannot have been sent; None where they could, or were never to be.

    They were put on record after the moment of their fill. A history that is played as if live has no such
    moment: only a strategy some earlier session of which was decided in time is one that trades.

    Parameters
    ----------
    decided : Series of UTC moments by session, optional
        When earlier sessions were put on record, as far as known; read from the ledger when left out.
    """
    if not has_clock(strategy.market, now_utc()):
        return None
    newest = ledger.latest("decisions", strategy.name, last=session - pd.Timedelta(days=1), bookkeeping=True)
    if newest.empty:
        return None
    before, recorded_at = newest["session"].iloc[-1], newest["recorded_at"].iloc[-1]
    due = fill_moment(strategy, session)
    if recorded_at <= due:
        return None
    moments = decision_moments(ledger, strategy.name) if decided is None else decided
    earlier = moments[moments.index < before]
    if earlier.empty or not _any_in_time(strategy, earlier, before):
        return None
    return (
        f"the round of {before.date()} was put on record at {recorded_at:%Y-%m-%d %H:%M} UTC, after its orders "
        f"were due at {due:%Y-%m-%d %H:%M} UTC: none was sent; compare the positions with the broker's"
    )


def _any_in_time(strategy: Strategy, moments: pd.Series, until: pd.Timestamp) -> bool:
    """Whether any of these sessions was on record when its orders were due, at the next session's fill."""
    hours = session_hours(strategy.market.calendar, moments.index[0], until)
    due = hours["opens" if strategy.label.execution == "next_open" else "closes"].shift(-1)
    due = due.set_axis(pd.DatetimeIndex(hours["session"])).reindex(moments.index)
    return bool((moments <= due).any())
