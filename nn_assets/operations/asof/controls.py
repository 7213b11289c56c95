"""What a person set: the kill switch and the release of latched breakers, as in force at a session's own moments.

Orders under way obey the switch as it stood before their fill, new orders as it stood at the decision: a session
that is decided late, or again, runs under the controls of its day. Orders put on record only after they were due
cannot have been sent: the run that should have sent them was unfinished. A strategy whose settings end its history
has no clock that a person could act by: for it a control holds from the next session decided after it was set.
The file ``HALT`` in the home (``halt_file.py``) is the one control that counts for whatever is decided while it stands,
and for orders under way that were to fill since it lay there. *Sending* obeys the controls of now:
:func:`sending_control`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from nn_assets.arrays import FloatArray
from nn_assets.errors import LedgerError, NnAssetsError
from nn_assets.execution.orders import Orders
from nn_assets.execution.pre_trade_gate import orders_under
from nn_assets.market.calendar.sessions import session_hours
from nn_assets.operations.asof.decisions import decision_moments
from nn_assets.operations.asof.halt_file import HaltFile, halt_file_found
from nn_assets.operations.clock import as_of_session, has_clock, now_utc
from nn_assets.portfolio.breakers import (
    BREAKERS,
    BreakerReset,
    Control,
    KillSwitch,
    breaker_control,
    kill_switch_control,
    named_kinds,
    read_kill_switch,
    strictest,
)
from nn_assets.portfolio.records import breakers_of
from nn_assets.settings import Strategy
from nn_assets.store.ledger.audit import broken_on_record
from nn_assets.store.ledger.ledger import Ledger

KILL_SWITCH, BREAKER_RESET = "kill_switch", "breaker_reset"


@dataclass(frozen=True)
class SendingControl:
    """What may leave for a broker at this moment. A cancellation always may, whatever the control."""

    control: Control
    reasons: tuple[str, ...] = ()  # why it is no milder, strictest first

    @property
    def stops_protect(self) -> bool:
        """Whether stops rest at the broker, and new ones may be sent: unless HALTED."""
        return self.control < Control.HALTED

    def of(self, orders: Orders, held: FloatArray) -> Orders:
        """The same orders; those that may not be sent now have the reason ``halted``.

        Below REDUCING all may, below HALTED those that only bring a position nearer to zero, then none.

        Parameters
        ----------
        orders : Orders
            As decided; one that has a reason keeps it.
        held : ndarray, shape (symbols,)
            Signed quantities held now. NaN is no quantity that an order could reduce.
        """
        return orders_under(orders, held, self.control)


def sending_control(ledger: Ledger, strategy: Strategy) -> SendingControl:
    """What may be sent now, by the controls of now: the strictest of them all, to be asked again before each sending.

    The file ``HALT``, the kill switch, and the breakers that the last decided session left latched. A reset counts
    from the decision of the next session, and so do drift states. Where the ledger was found changed, has rows that lie
    ahead of the clock, has no decision of the strategy, or has a row of these controls that cannot be read or is not as
    it was appended: HALTED.
    """
    file = halt_file_found()
    if file is not None:
        return SendingControl(Control.HALTED, (file.reason,))
    try:
        with ledger.rows_verified():
            causes = _causes_now(ledger, strategy)
    except (NnAssetsError, OSError, ValueError, TypeError, LookupError) as error:
        return SendingControl(Control.HALTED, (f"the controls cannot be read: {error}",))
    acting = sorted((cause for cause in causes if cause[0] is not Control.NORMAL), key=lambda cause: -cause[0])
    return SendingControl(strictest(*(control for control, _ in causes)), tuple(why for _, why in acting))


_CLOCKS_APART = pd.Timedelta(minutes=1)  # of machines that share a ledger


def _causes_now(ledger: Ledger, strategy: Strategy) -> list[tuple[Control, str]]:
    """Each control of now, and how it is said."""
    causes = []
    if (broken := broken_on_record(ledger)) is not None:
        causes.append((Control.HALTED, f"the ledger is not as it was appended: {broken}"))
    if len(ledger.stamped_after((pd.Timestamp(ledger.now()) + _CLOCKS_APART).to_pydatetime())):
        causes.append((Control.HALTED, "moments on record lie ahead of the clock"))
    switch = read_kill_switch(kill_switch_now(ledger, strategy.name))
    causes.append((kill_switch_control(switch), f"the kill switch is {switch}"))
    states = ledger.latest("portfolio_states", strategy.name)
    if states.empty:
        return [*causes, (Control.HALTED, "no decision of the strategy is on record")]
    for breaker in breakers_of(states["breaker"].iloc[-1], states["book"].iloc[-1]):
        why = f"breaker {breaker.kind} is latched ({breaker.reason})"
        causes.append((breaker_control([breaker.kind], strategy.portfolio), why))
    return causes


def kill_switch_now(ledger: Ledger, strategy: str) -> str:
    """The kill switch as it was set last; ACTIVE when it never was, HALTED when it cannot be read.

    HALTED while a file ``HALT`` lies in the home.
    """
    return str(KillSwitch.HALTED) if halt_file_found() is not None else _states(_switches(ledger, strategy), None)[0]


def kill_switches_of(
    ledger: Ledger,
    strategy: Strategy,
    decision: pd.Timestamp,
    fill: pd.Timestamp,
    decided_at: pd.Timestamp | None = None,
) -> tuple[str, str]:
    """The kill switch as a session's decision obeys it, and as its fills do, with the file ``HALT`` in the home.

    The file halts the decision of every session that is decided while it lies there or while its halt stands on
    record, late or not; and the fills that were due since it lay there, or, where nobody knows since when, all.

    Parameters
    ----------
    decision, fill : UTC moments
        Of the session.
    decided_at : UTC moment, optional
        When the session was put on record; None while it is undecided.
    """
    rows = _switches(ledger, strategy.name)
    clocked = has_clock(strategy.market, now_utc())
    at_decision, before_fill = _states(rows, *((decision, fill) if clocked else (decided_at, decided_at)))
    file = (halt_file_found() if decided_at is None else None) or _file_on_record(rows, decided_at)
    if file is None:
        return at_decision, before_fill
    reaches = file.since is None or fill >= file.since or not clocked
    return str(KillSwitch.HALTED), str(KillSwitch.HALTED) if reaches else before_fill


def _file_on_record(rows: pd.DataFrame | None, decided_at: pd.Timestamp | None) -> HaltFile | None:
    """The halt that a file put on record, as long as no person set the switch to anything milder since."""
    if rows is None:
        return HaltFile("the kill switch cannot be read")
    if decided_at is not None:
        rows = rows[(rows["recorded_at"] <= decided_at) | rows["at_once"]]
    halt = None
    for details, state in zip(rows["details"], rows["state"], strict=True):
        if isinstance(details, Mapping) and "halt_file" in details:
            halt = HaltFile(str(details["halt_file"]), _moment(details.get("since")))
        elif state in (KillSwitch.ACTIVE, KillSwitch.REDUCING):
            halt = None
    return halt


def _moment(text: object) -> pd.Timestamp | None:
    """A UTC moment on record; None where it is none."""
    try:
        moment = pd.Timestamp(str(text))
    except ValueError:
        return None
    return moment if isinstance(moment, pd.Timestamp) and moment.tzinfo is not None else None


def halted_by_file(ledger: Ledger, strategy: str) -> bool:
    """Whether a halt by the file stands on record, so that it need not be put there again."""
    return _file_on_record(_switches(ledger, strategy), None) is not None


def kill_switch_at(
    ledger: Ledger, strategy: Strategy, *moments: pd.Timestamp, decided_at: pd.Timestamp | None = None
) -> list[str]:
    """The kill switch as it stood at UTC moments of the strategy's clock.

    Where it has none: as it was when the session was decided, or as it is while that is undecided.
    """
    clocked = has_clock(strategy.market, now_utc())
    return _states(_switches(ledger, strategy.name), *(moments if clocked else [decided_at] * len(moments)))


def fill_moment(strategy: Strategy, session: pd.Timestamp) -> pd.Timestamp:
    """When the orders under way are filled on a session, UTC: at its open, or at its close by setting."""
    hours = session_hours(strategy.market.calendar, session, session).iloc[0]
    moment: pd.Timestamp = hours["opens"] if strategy.label.execution == "next_open" else hours["closes"]
    return moment


def _switches(ledger: Ledger, strategy: str) -> pd.DataFrame | None:
    """Every setting of the switch in order; None where they cannot be read.

    Those ``at_once`` were set by a clock that ran ahead, at an unknown time: what restricts counts at once, a release
    no earlier.
    """
    try:
        rows = ledger.read("controls", strategy, where={"kind": KILL_SWITCH}, every_version=True, bookkeeping=True)
        rows = rows.sort_values("sequence")
        wrong = ledger.mended().of_wrong_clocks(rows["recorded_at"]) | (rows["recorded_at"] > ledger.now())
    except LedgerError:
        return None
    return rows.assign(at_once=wrong & (rows["state"] != str(KillSwitch.ACTIVE)))


def _states(rows: pd.DataFrame | None, *moments: pd.Timestamp | None) -> list[str]:
    if rows is None:
        return [str(KillSwitch.HALTED)] * len(moments)
    at_once = rows["at_once"]
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
