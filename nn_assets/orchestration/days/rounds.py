"""The daily round, live: yesterday's state from the ledger, today's records into it, one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.evaluation.daily_round import (
    Controls,
    Round,
    SessionFacts,
    play_session,
)
from nn_assets.evaluation.drift_watch import DriftWatch, drift_watch
from nn_assets.evaluation.market_view import MarketView, market_view
from nn_assets.evaluation.replay import ForecastArrays, forecast_arrays, session_signals
from nn_assets.execution.orders import orders_frame
from nn_assets.features.cube import FeatureCube
from nn_assets.frames import (
    DRIFT,
    FILLS,
    HOLDINGS,
    ORDERS,
    PORTFOLIO_STATES,
    POSITION_STEPS,
    SIGNALS,
    TARGET_POSITIONS,
    TRADING_STATES,
    conform,
    validate,
)
from nn_assets.learning.address import code_version
from nn_assets.orchestration.clock import as_of_session
from nn_assets.orchestration.days.controls import kill_switch_state, latest_breaker_reset
from nn_assets.orchestration.days.late_actions import late_actions
from nn_assets.orchestration.days.standing import standing_before
from nn_assets.orchestration.known.stored import decided_sessions
from nn_assets.orchestration.known.universe import members_only
from nn_assets.orchestration.months.cost_models import cost_model, cost_model_id_in_force
from nn_assets.orchestration.months.models import (
    drift_references,
    forecasts_until,
    keep_forecast_list,
    models_in_force,
    read_forecast_list,
)
from nn_assets.orchestration.months.study import latest_study, settings_version
from nn_assets.orchestration.workplace import Workplace
from nn_assets.portfolio.fills import fills_frame
from nn_assets.portfolio.records import book_remainder, holdings_frame, state_row
from nn_assets.portfolio.trace import steps_frame, targets_frame
from nn_assets.signals.signals import outcome_statistics, signals_frame
from nn_assets.store.columns import canonical_json

__all__ = ["DecidedSession", "Given", "decide_session", "recorded_given", "undecided_sessions", "watch_of"]

Told = Callable[[str], None]

RECORDS = (
    "fills",
    "portfolio_states",
    "holdings",
    "signals",
    "target_positions",
    "position_steps",
    "orders",
    "drift",
    "trading_states",
)
"""Tables of one session, in the order in which they come about."""

_CONTRACTS = {
    "fills": FILLS,
    "portfolio_states": PORTFOLIO_STATES,
    "holdings": HOLDINGS,
    "signals": SIGNALS,
    "target_positions": TARGET_POSITIONS,
    "position_steps": POSITION_STEPS,
    "orders": ORDERS,
    "drift": DRIFT,
    "trading_states": TRADING_STATES,
}
# Made of records: their contract is held against the columns and types that it states.
_FROM_RECORDS = ("portfolio_states", "holdings", "trading_states")


@dataclass(frozen=True, eq=False)
class DecidedSession:
    """One session as it was decided: the round, its records, and whether it stood there before."""

    round: Round
    frames: dict[str, pd.DataFrame]
    provenance: dict[str, str]
    already_decided: bool


@dataclass(frozen=True)
class Given:
    """What a decision takes from the ledger beside the state: recorded once, and replayed from there."""

    study_id: str | None
    verdict: str | None
    model_id: str
    cost_model_id: str | None  # None: the settings' own
    controls: Controls
    forecast_list: str | None  # address of the list of the months of forecasts that were on record
    recorded_at: pd.Timestamp | None = None  # None: decided now; models and fills of later are not this decision's


def undecided_sessions(workplace: Workplace) -> list[pd.Timestamp]:
    """Live sessions so far without a decision on record, in order; none where no live start is stated."""
    if workplace.strategy.market.live_starts is None:
        return []
    decided = decided_sessions(workplace.ledger, workplace.strategy.name)
    return list(workplace.live_sessions.difference(pd.DatetimeIndex(decided)))


def decide_session(workplace: Workplace, session: pd.Timestamp, run_id: str) -> DecidedSession:
    """Play one session and record it, all in one transaction.

    A session that was decided before is computed again from what was known then: equal records are
    left as they are, different ones are refused.

    Raises
    ------
    DecisionError
        The session before is undecided, or the session lies before the live start.
    LedgerError
        The session was decided before, and what is computed now differs.
    """
    cube, panel = workplace.cube(session), workplace.panel(session)
    market = market_view(panel, workplace.strategy.portfolio, workplace.candidates(panel))
    earlier = workplace.ledger.read("decisions", workplace.strategy.name, session, session, bookkeeping=True)
    recorded_by = None if earlier.empty else earlier["recorded_at"].iloc[0]
    standing = standing_before(workplace, session, cube.symbols, market, recorded_by)
    given = _given(workplace, session, earlier)
    facts = _facts(workplace, session, cube, market, given)
    costs = cost_model(workplace, given.cost_model_id)
    done = play_session(workplace.strategy, costs, workplace.sessions_per_year, standing, facts)
    data_hash = workplace.data_hash_until(session)
    frames = _frames(workplace, done, given, data_hash)
    provenance = _write(workplace, done, frames, given, run_id, data_hash)
    return DecidedSession(done, frames, provenance, already_decided=not earlier.empty)


# --- today -------------------------------------------------------------------------------------------------


def _given(workplace: Workplace, session: pd.Timestamp, earlier: pd.DataFrame) -> Given:
    if not earlier.empty:
        return recorded_given(earlier.iloc[0])
    study = latest_study(workplace, session.strftime("%Y-%m"))
    return Given(
        study_id=None if study is None else str(study["study_id"]),
        verdict=None if study is None else str(study["verdict"]),
        model_id=models_in_force(workplace).on(session),
        cost_model_id=cost_model_id_in_force(workplace),
        controls=Controls(
            verdict_allows=study is not None and bool(study["figures"]["allows_trading"]),
            kill_switch=kill_switch_state(workplace.ledger, workplace.strategy.name),
            breaker_reset=latest_breaker_reset(workplace.ledger, workplace.strategy.name),
        ),
        forecast_list=keep_forecast_list(workplace, session),
    )


def recorded_given(decision: pd.Series) -> Given:
    """What a decision on record was given; ``decision`` is its row of the ledger's ``decisions``."""
    told = dict(decision["details"])
    reset = told.pop("breaker_reset")
    cost_model_id, forecast_list = told.pop("cost_model_id"), told.pop("forecast_list", None)
    controls = Controls(breaker_reset=None if reset is None else (str(reset[0]), str(reset[1])), **told)
    return Given(
        study_id=_text(decision["study_id"]),
        verdict=_text(decision["verdict"]),
        model_id=str(decision["model_id"]),
        cost_model_id=cost_model_id,
        controls=controls,
        forecast_list=forecast_list,
        recorded_at=decision.get("recorded_at"),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _facts(
    workplace: Workplace, session: pd.Timestamp, cube: FeatureCube, market: MarketView, given: Given
) -> SessionFacts:
    sessions, symbols = cube.sessions, cube.symbols
    row = cube.row(session)
    on_record = None if given.forecast_list is None else read_forecast_list(workplace, given.forecast_list)
    made = forecasts_until(workplace, cube, session, on_record, given.recorded_at)
    arrays = forecast_arrays(made, "network", sessions, symbols)
    labels = workplace.labels(market.panel)
    outcomes = outcome_statistics(arrays.calibrated, labels.returns, labels.realised_row)
    return SessionFacts(
        market=market.at(row),
        signals=session_signals(row, symbols, arrays, outcomes, market.volatility),
        drift=watch_of(workplace, cube, arrays, row, given.recorded_at)(row),
        controls=given.controls,
        late=late_actions(workplace, session, market),
    )


def watch_of(
    workplace: Workplace,
    cube: FeatureCube,
    arrays: ForecastArrays,
    first: int,
    recorded_by: pd.Timestamp | None = None,
) -> DriftWatch:
    """The drift watch over rows from ``first`` on, each against the model in force on it."""
    strategy = workplace.strategy
    in_force = models_in_force(workplace, recorded_by)
    # Only the rows that the first window can reach need a reference.
    reach = max(0, first - 2 * strategy.oversight.drift_window_sessions)
    known: npt.NDArray[np.bool_] = np.isfinite(arrays.probability).any(axis=1).reshape(-1)
    model_by_row = [
        in_force.on(cube.sessions[row]) if row >= reach and known[row] else None for row in range(cube.bars)
    ]
    references = drift_references(workplace, cube, [each for each in model_by_row if each])
    seen = members_only(strategy, workplace.lake, cube)
    return drift_watch(seen, arrays.probability, model_by_row, references, strategy.oversight)


# --- records -----------------------------------------------------------------------------------------------


def _frames(workplace: Workplace, done: Round, given: Given, data_hash: str) -> dict[str, pd.DataFrame]:
    strategy, session, book = workplace.strategy, done.session, done.standing.book
    moment = as_of_session(strategy.market, session)
    symbols = book.symbols
    fills = pd.concat(
        [fills_frame(batch, symbols, session=session, known_at=moment) for batch in done.fills],
        ignore_index=True,
    )
    state = state_row(done.state) | {"book": book_remainder(book)}
    trading = done.standing.trading
    drift = pd.DataFrame() if done.drift is None else done.drift.to_frame()
    return {
        "fills": fills,
        "portfolio_states": pd.DataFrame([state]),
        "holdings": holdings_frame(book),
        "signals": signals_frame(
            done.signals,
            session=session,
            model_id=given.model_id,
            data_hash=data_hash,
            code_version=code_version(),
            known_at=moment,
        ),
        "target_positions": targets_frame(
            done.decision, stop_price=book.stop_price, reference_at=moment, known_at=moment
        ),
        "position_steps": steps_frame(done.decision),
        "orders": orders_frame(
            done.orders, symbols, session=session, execution=strategy.label.execution, reference_at=moment
        ),
        "drift": drift,
        "trading_states": pd.DataFrame(
            [
                {
                    "session": trading.session,
                    "effective_session": trading.effective_session,
                    "state": trading.state,
                    "score": float(trading.score),
                    "reasons": list(trading.reasons),
                }
            ]
        ),
    }


def _write(
    workplace: Workplace,
    done: Round,
    frames: dict[str, pd.DataFrame],
    given: Given,
    run_id: str,
    data_hash: str,
) -> dict[str, str]:
    strategy, session = workplace.strategy, done.session
    told = {name: frames[name].to_dict("records") for name in RECORDS}
    content = hashlib.sha256(canonical_json(told).encode()).hexdigest()
    head = {
        "session": session,
        "data_hash": data_hash,
        "model_id": given.model_id,
        "code_version": code_version(),
        "settings_hash": strategy.content_hash(),
        "study_id": given.study_id,
        "verdict": given.verdict,
        "content_hash": content,
        "details": {
            **asdict(given.controls),
            "cost_model_id": given.cost_model_id,
            "forecast_list": given.forecast_list,
        },
    }
    moment = as_of_session(strategy.market, session)
    with workplace.ledger.transaction(run_id, strategy=strategy.name, known_at=moment) as transaction:
        transaction.append("settings_versions", [settings_version(strategy)])
        transaction.append("decisions", [head])
        for name in RECORDS:
            if len(frames[name]):
                transaction.append(name, _held(name, frames[name]))
        if done.drift is not None and done.drift.asks_retraining:
            transaction.append("refresh_requests", [_refresh(workplace, session, done)])
    return {
        name: str(head[name])
        for name in ("data_hash", "model_id", "code_version", "settings_hash", "verdict", "content_hash")
    }


def _held(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Hold a session's records to the contract of their table."""
    contract = _CONTRACTS[name]
    validate(conform(frame, contract) if name in _FROM_RECORDS else frame, contract)
    return frame


def _refresh(workplace: Workplace, session: pd.Timestamp, done: Round) -> dict[str, Any]:
    identity = hashlib.sha256(f"{workplace.strategy.name}|{session.date()}|drift".encode()).hexdigest()[:16]
    return {
        "event_id": identity,
        "session": session,
        "cause": "prediction drift",
        "details": {"reasons": list(done.found.reasons)},
    }
