"""What a decided session puts on record: its tables, each held to its contract, in one transaction."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from nn_assets.contracts import DRIFT, FILLS, PORTFOLIO_STATES, TRADING_STATES, empty, framed, validate
from nn_assets.contracts.frames import PositionStepRows
from nn_assets.contracts.ledger import ROUNDS, STATED_LATER, TRACES
from nn_assets.errors import first_of
from nn_assets.execution.orders import orders_frame
from nn_assets.learning.calibration import Calibration
from nn_assets.market.calendar.sessions import previous_session
from nn_assets.operations.asof.accounts import ACCOUNT_UNTIL
from nn_assets.operations.asof.traces import STEPS, read_steps
from nn_assets.operations.clock import as_of_session
from nn_assets.operations.decisions.code import changed_since, decision_code, keep_code
from nn_assets.operations.decisions.regime_seen import regime_details
from nn_assets.operations.history import History
from nn_assets.operations.models.refresh_requests import request_row, watch_record
from nn_assets.operations.models.unlike_days import novelty_details
from nn_assets.operations.study import settings_version
from nn_assets.portfolio.adjustments import BookAdjustment
from nn_assets.portfolio.breakers import BreakerReset
from nn_assets.portfolio.fills import fills_frame
from nn_assets.portfolio.records import book_remainder, holdings_frame, recorded_symbols, state_row
from nn_assets.portfolio.trace import steps_frame, targets_frame
from nn_assets.session.daily_round import Controls, Round
from nn_assets.settings import Strategy
from nn_assets.signals.signals import signals_frame
from nn_assets.store.lake.content import frame_hash
from nn_assets.store.ledger.appending import LedgerTransaction
from nn_assets.store.values import hash_of

_CONTRACTS = {contract.name: contract for contract in (FILLS, *ROUNDS)}
_ENDED = "ended_orders"
_REGIME = "regime"
_PROVENANCE = ("data_hash", "model_id", "code_version", "settings_hash", "verdict", "content_hash")
_OF_THE_CODE = ("code_version", "content_hash")  # the content is that of the signals too, which name the code
_MOST_DIFFERENCES = 5


@dataclass(frozen=True)
class DecisionContext:
    """What a decision takes from the ledger beside the state: recorded once, and replayed from there."""

    study_id: str | None
    verdict: str | None
    model_id: str
    cost_model_id: str | None  # None: the settings' own
    controls: Controls
    forecast_list: str | None  # address of the list of the months of forecasts that were on record
    calibration: Calibration | None = None  # of the month's forecasts; None: not fitted yet, or not kept then
    recorded_at: pd.Timestamp | None = None  # None: decided now; models and fills of later are not this decision's
    account_until: int | None = None  # place in the ledger of the last record of its account that it took
    tells_ended_orders: bool = True  # False: recorded by a version that did not yet
    tells_regime: bool = True  # likewise


def recorded_context(decision: pd.Series) -> DecisionContext:
    """What a decision on record was given; ``decision`` is its row of the ledger's ``decisions``."""
    details = dict(decision["details"])
    reset = details.pop("breaker_reset")
    # of it, not given to it
    for made in ("refresh", "no_answer", "symbols", "novelty", "groups", "volatility", _ENDED, _REGIME):
        details.pop(made, None)
    cost_model_id, forecast_list = details.pop("cost_model_id"), details.pop("forecast_list", None)
    calibration = details.pop("calibration", None)
    account_until, adjustment = details.pop(ACCOUNT_UNTIL, None), details.pop("adjustment", None)
    controls = Controls(
        breaker_reset=None if reset is None else BreakerReset.from_record(reset),
        adjustment=None if adjustment is None else BookAdjustment.from_record(adjustment),
        **details,
    )
    return DecisionContext(
        study_id=_text(decision["study_id"]),
        verdict=_text(decision["verdict"]),
        model_id=str(decision["model_id"]),
        cost_model_id=cost_model_id,
        controls=controls,
        forecast_list=forecast_list,
        calibration=None if calibration is None else Calibration.from_dict(calibration),
        recorded_at=decision.get("recorded_at"),
        account_until=account_until,
        tells_ended_orders=_ENDED in decision["details"],
        tells_regime=_REGIME in decision["details"],
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def session_frames(
    history: History, session_round: Round, context: DecisionContext, data_hash: str
) -> dict[str, pd.DataFrame]:
    """The tables of one session by name, in the order in which they are produced."""
    strategy, session, book = history.strategy, session_round.session, session_round.session_state.book
    moment = as_of_session(strategy.market, session)
    symbols = book.symbols
    fills = pd.concat(
        [fills_frame(batch, symbols, session=session, known_at=moment) for batch in session_round.fills],
        ignore_index=True,
    )
    state = state_row(session_round.state) | {"book": book_remainder(book)}
    trading = session_round.session_state.trading
    drift = empty(DRIFT) if session_round.drift is None else session_round.drift.to_frame()
    return {
        "fills": fills,
        "portfolio_states": framed(PORTFOLIO_STATES, 1, **state),
        "holdings": holdings_frame(book),
        "signals": signals_frame(
            session_round.signals_on_record,
            session=session,
            model_id=context.model_id,
            data_hash=data_hash,
            code_version=decision_code(strategy),
            known_at=moment,
        ),
        "target_positions": targets_frame(
            session_round.decision, stop_price=book.stop_price, reference_at=moment, known_at=moment
        ),
        STEPS: steps_frame(session_round.decision),
        "orders": orders_frame(
            session_round.orders, symbols, session=session, execution=strategy.label.execution, reference_at=moment
        ),
        "drift": drift,
        "trading_states": framed(
            TRADING_STATES,
            1,
            session=trading.session,
            effective_session=trading.effective_session,
            state=session_round.session_state.trading_state,
            score=float(trading.score),
            reasons=[_reasons(session_round)],
        ),
    }


def write_session(
    history: History,
    session_round: Round,
    frames: dict[str, pd.DataFrame],
    context: DecisionContext,
    run_id: str,
    data_hash: str,
    decided_under: str | None = None,
) -> dict[str, str]:
    """Append a session's records, its decision and a refresh it asks for, in one transaction of the ledger.

    The steps by which positions got their sizes go into a file of the lake before it, and their hash into it.

    Parameters
    ----------
    decided_under : str, optional
        Hash of the settings that the session was decided under, where it was before: history may end elsewhere now.

    Returns
    -------
    dict of str to str
        What the decision was made of: hashes, model, verdict.

    Raises
    ------
    SchemaError
        A table breaks its contract; nothing is recorded.
    LedgerError
        The session is on record with other content.
    """
    head = _head(history, session_round, frames, context, data_hash, decided_under)
    keep_code(history)
    kept = {name: validate(frame, _CONTRACTS[name]) for name, frame in frames.items() if len(frame)}
    kept = _with_trace(history, session_round, kept)
    with _recording(history, session_round, run_id) as transaction:
        transaction.append("settings_versions", [settings_version(history.strategy)])
        transaction.append("decisions", [head])
        for name, frame in kept.items():
            transaction.append(name, frame)
        if session_round.asks_refresh:
            request = request_row(history.strategy.name, session_round.session, session_round.refresh_reasons)
            transaction.append("refresh_requests", [request])
    return {name: str(head[name]) for name in _PROVENANCE}


def _with_trace(history: History, session_round: Round, frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables as they are appended: the steps in a file of the lake, which is stored here, before it is on record.

    A session of an earlier version, decided again, has its steps as rows.
    """
    stores, name = history.stores, history.strategy.name
    as_rows = not stores.ledger.read(
        STEPS, name, session_round.session, session_round.session, columns=("symbol",)
    ).empty
    if as_rows or STEPS not in frames:
        return frames
    address = stores.lake.store(name, STEPS, frames[STEPS])
    trace = framed(TRACES, 1, session=session_round.session, address=address, rows=len(frames[STEPS]))
    return {(TRACES.name if table == STEPS else table): trace if table == STEPS else frames[table] for table in frames}


@dataclass(frozen=True)
class Compared:
    """A session on record, compared with what the present code makes of the same inputs.

    Attributes
    ----------
    then, now : str
        Version of the code that decided it, and of the code in force.
    changed : str
        What of the code changed, by name; nothing where that is not known.
    differing : tuple of str
        A line for each row that is not what is on record.
    provenance : dict of str to str
        As :func:`write_session` gives it, of what is on record.
    """

    then: str
    now: str
    changed: str
    differing: tuple[str, ...]
    provenance: dict[str, str]

    @property
    def sentence(self) -> str:
        """The result of the comparison, with the reason, in one line."""
        why = f"code {self.then} decided it, {self.now} is in force" + (
            f" (changed: {self.changed})" if self.changed else ""
        )
        if not self.differing:
            return f"decided before, and equal, though {why}"
        rows = "; ".join(first_of(self.differing, _MOST_DIFFERENCES))
        return f"decided before, and what is on record stands: {why}, and differs by {len(self.differing)} rows: {rows}"


def compare_session(
    history: History,
    session_round: Round,
    frames: dict[str, pd.DataFrame],
    context: DecisionContext,
    data_hash: str,
    decision: pd.Series,
) -> Compared:
    """Hold a session that was decided by other code against its record; nothing is written.

    Parameters
    ----------
    decision : Series
        Its row of the ledger's ``decisions``.
    """
    version_then, version_now, name = (
        str(decision["code_version"]),
        decision_code(history.strategy),
        history.strategy.name,
    )
    head = _head(history, session_round, frames, context, data_hash, str(decision["settings_hash"]))
    head |= {column: decision[column] for column in _OF_THE_CODE}
    signals = frames["signals"].assign(code_version=version_then)
    tables = {"decisions": pd.DataFrame([head]), **frames, "signals": signals}
    steps = _steps_on_record(history, session_round, frames[STEPS])
    differing: list[str] = []
    with _recording(history, session_round, "compared") as transaction:
        for table, frame in tables.items():
            stored = transaction.read(table, strategy=name, first=session_round.session, last=session_round.session)
            differing += transaction.differences(table, frame, steps if table == STEPS else stored)
    provenance = {column: str(decision[column]) for column in _PROVENANCE}
    return Compared(version_then, version_now, changed_since(history, version_then), tuple(differing), provenance)


def _steps_on_record(history: History, session_round: Round, steps: PositionStepRows) -> PositionStepRows:
    """The steps that a session was decided by; a file of them that was lost is stored again, if they are the same."""
    lake, ledger, name = history.stores.lake, history.stores.ledger, history.strategy.name
    if frame_hash(steps) in set(
        ledger.read(TRACES.name, name, session_round.session, session_round.session)["address"]
    ):
        lake.store(name, STEPS, steps)
    return read_steps(lake, ledger, name, session_round.session, session_round.session)


def _recording(history: History, session_round: Round, run_id: str) -> AbstractContextManager[LedgerTransaction]:
    strategy = history.strategy
    moment = as_of_session(strategy.market, session_round.session)
    return history.stores.ledger.transaction(run_id, strategy=strategy.name, known_at=moment)


def _head(
    history: History,
    session_round: Round,
    frames: dict[str, pd.DataFrame],
    context: DecisionContext,
    data_hash: str,
    decided_under: str | None,
) -> dict[str, Any]:
    """The session's row of ``decisions``."""
    strategy, session = history.strategy, session_round.session
    # What no fill of the round states is no part of its content: a round of before these columns has the same hash.
    content_of = {**frames, "fills": frames["fills"].drop(columns=[*STATED_LATER])}
    content = hash_of({name: frame.to_dict("records") for name, frame in content_of.items()})
    return {
        "session": session,
        "data_hash": data_hash,
        "model_id": context.model_id,
        "code_version": decision_code(strategy),
        "settings_hash": decided_under or strategy.content_hash(),
        "study_id": context.study_id,
        "verdict": context.verdict,
        "content_hash": content,
        "details": {
            **_control_details(context.controls),
            **_watch_details(session_round, strategy),
            **_no_answer_details(session_round),
            **_symbol_details(history, session_round),
            **novelty_details(history, session, context.model_id),
            **_group_details(session_round),
            **({} if session_round.volatility is None else {"volatility": session_round.volatility.to_record()}),
            **(
                {_ENDED: {order.client_order_id: order.reason for order in session_round.ended}}
                if context.tells_ended_orders
                else {}
            ),
            **({_REGIME: regime_details(history, session, context.model_id)} if context.tells_regime else {}),
            **({} if context.account_until is None else {ACCOUNT_UNTIL: context.account_until}),
            "cost_model_id": context.cost_model_id,
            "forecast_list": context.forecast_list,
            "calibration": None if context.calibration is None else context.calibration.to_dict(),
        },
    }


def _control_details(controls: Controls) -> dict[str, Any]:
    """Controls as recorded; version 0.1 read the kill switch once, and its decisions repeat without the second."""
    record, reset = asdict(controls), controls.breaker_reset
    if reset is not None:
        record["breaker_reset"] = reset.to_record()
    if controls.kill_switch_before_fill is None:
        del record["kill_switch_before_fill"]
    if controls.adjustment is not None:
        record["adjustment"] = controls.adjustment.to_record()
    for name in ("account_differs", "adjustment"):
        if record[name] is None:
            del record[name]
    if not controls.leak_alarm:
        del record["leak_alarm"]
    if controls.unfinished_run is None:
        del record["unfinished_run"]
    if controls.capacity_usd is None:
        del record["capacity_usd"]
    return record


def _reasons(session_round: Round) -> list[str]:
    asked_on = session_round.session_state.refresh.asked
    waits = [] if asked_on is None else [f"the refresh asked for on {asked_on.date()} has not taken force"]
    return [*session_round.session_state.trading.reasons, *waits]


def _watch_details(session_round: Round, strategy: Strategy) -> dict[str, Any]:
    """The watch over refreshes, with the state by the score alone; nothing where the recorded states tell both.

    They do not tell since when a state holds that a study left for the first live session.
    """
    refresh, trading = session_round.session_state.refresh, session_round.session_state.trading
    starts = strategy.market.live_starts
    began_live = starts is None or trading.since >= pd.Timestamp(starts)
    if refresh.idle and (began_live or trading.state == "CONTINUE"):
        return {}
    return {"refresh": watch_record(trading, refresh)}


def _no_answer_details(session_round: Round) -> dict[str, str]:
    """Why the solver had no answer, so that nothing was opened or enlarged; nothing where it had one."""
    answer = session_round.decision.answer
    return {} if answer.no_answer is None else {"no_answer": answer.no_answer}


def _group_details(session_round: Round) -> dict[str, str]:
    """Hash of the groups by behaviour that the limits were of; nothing where the settings ask for none."""
    inputs = session_round.decision.inputs
    return {} if inputs.groups is None else {"groups": hash_of(dict(zip(inputs.symbols, inputs.groups, strict=True)))}


def _symbol_details(history: History, session_round: Round) -> dict[str, dict[str, list[str]]]:
    """Which symbols joined and left since the session before; nothing where the axis is the same, order and all."""
    before = symbols_on_record(history, previous_session(history.strategy.market.calendar, session_round.session))
    now = session_round.session_state.book.symbols
    if before is None or before == now:
        return {}
    return {"symbols": {"joined": sorted(set(now) - set(before)), "left": sorted(set(before) - set(now))}}


def symbols_on_record(history: History, session: pd.Timestamp) -> tuple[str, ...] | None:
    """The symbol axis of the book that a session left; None where none is on record."""
    states = history.stores.ledger.read("portfolio_states", history.strategy.name, session, session)
    return None if states.empty else recorded_symbols(states["book"].iloc[0])
