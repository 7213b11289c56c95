"""The daily round, live: yesterday's state from the ledger, today's records into it, one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.errors import DecisionError
from nn_assets.evaluation.daily_round import Round, SessionFacts, Standing, first_standing, play_session
from nn_assets.evaluation.market_view import MarketView, market_view
from nn_assets.evaluation.replay import forecast_arrays, session_signals
from nn_assets.evaluation.spending import SLIPPAGE_SESSIONS, Spending, spending_of
from nn_assets.evaluation.watch import drift_watch
from nn_assets.execution.orders import Orders, orders_frame
from nn_assets.features.cube import FeatureCube
from nn_assets.learning.address import code_version
from nn_assets.market.sessions import previous_session
from nn_assets.orchestration.clock import as_of_session
from nn_assets.orchestration.controls import kill_switch_state, latest_breaker_reset
from nn_assets.orchestration.models import drift_references, forecasts_until, models_in_force
from nn_assets.orchestration.study import cost_model_in_force, latest_study
from nn_assets.orchestration.workplace import Workplace
from nn_assets.oversight.severity import resumed_trading_state
from nn_assets.portfolio.fills import FillArrays, fills_frame
from nn_assets.portfolio.records import book_from_records, book_remainder, holdings_frame, state_row
from nn_assets.portfolio.trace import steps_frame, targets_frame
from nn_assets.signals.signals import outcome_statistics, signals_frame
from nn_assets.store.columns import canonical_json

__all__ = ["DecidedSession", "decide_session", "decided_sessions"]

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

# Enough of the history of states to know since when the present one holds.
_STATES_LOOKED_BACK = 400


@dataclass(frozen=True, eq=False)
class DecidedSession:
    """One session as it was decided: the round, its records, and whether it stood there before."""

    round: Round
    frames: dict[str, pd.DataFrame]
    provenance: dict[str, str]
    already_decided: bool


@dataclass(frozen=True)
class _Given:
    """What a decision takes from the ledger beside the state: recorded once, and replayed from there."""

    study_id: str | None
    verdict: str | None
    verdict_allows: bool
    kill_switch: str
    breaker_reset: tuple[str, str] | None
    model_id: str

    def details(self) -> dict[str, Any]:
        return {
            "verdict_allows": self.verdict_allows,
            "kill_switch": self.kill_switch,
            "breaker_reset": None if self.breaker_reset is None else list(self.breaker_reset),
        }


def decided_sessions(workplace: Workplace) -> list[pd.Timestamp]:
    """Sessions with a decision on record, in order."""
    found = workplace.ledger.read("decisions", workplace.strategy.name)
    return sorted(found["session"])


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
    cube = workplace.cube(session)
    standing = _standing(workplace, session, cube.symbols)
    earlier = workplace.ledger.read("decisions", workplace.strategy.name, session, session)
    panel = workplace.panel(session)
    market = market_view(panel, workplace.strategy.portfolio)
    given = _given(workplace, session, earlier)
    facts = _facts(workplace, session, cube, market, given)
    costs = cost_model_in_force(workplace)
    done = play_session(workplace.strategy, costs, workplace.sessions_per_year, standing, facts)
    frames = _frames(workplace, done, given, workplace.data_hash_until(session))
    provenance = _write(workplace, done, frames, given, run_id, session)
    return DecidedSession(done, frames, provenance, already_decided=not earlier.empty)


# --- yesterday ---------------------------------------------------------------------------------------------


def _standing(workplace: Workplace, session: pd.Timestamp, symbols: tuple[str, ...]) -> Standing:
    """State left by the session before, read back exactly; a flat book on the first live session."""
    strategy = workplace.strategy
    live = workplace.first_live_session
    if session < live:
        raise DecisionError(
            expected=f"a session from {live.date()} on, the first live one",
            found=str(session.date()),
            remedy="set market.live_starts earlier to replay as if live, or ask for a later session",
            session=session.date(),
        )
    if session == live:
        return first_standing(strategy, symbols, session)
    before = previous_session(strategy.market.calendar, session)
    states = workplace.ledger.read("portfolio_states", strategy.name, before, before)
    if states.empty:
        raise DecisionError(
            expected=f"{before.date()} decided",
            found="no portfolio state for it",
            remedy=f"nn-assets run --strategy {strategy.name} --session {before.date()}",
            session=session.date(),
        )
    holdings = workplace.ledger.read("holdings", strategy.name, before, before)
    book = book_from_records(states.iloc[0].to_dict(), holdings, states["book"].iloc[0])
    if book.symbols != symbols:
        raise DecisionError(
            expected=f"the symbols held so far: {', '.join(book.symbols)}",
            found=", ".join(symbols),
            remedy="list market.symbols in the strategy, so that a symbol that comes or goes changes nothing",
            session=session.date(),
        )
    trading = workplace.ledger.read("trading_states", strategy.name, None, before)
    return Standing(
        book=book,
        orders=_orders_of(workplace, before, book.symbols),
        trading=resumed_trading_state(trading.tail(_STATES_LOOKED_BACK), strategy.oversight),
        spending=_spending(workplace, before, book.symbols),
    )


def _orders_of(workplace: Workplace, session: pd.Timestamp, symbols: tuple[str, ...]) -> Orders:
    found = workplace.ledger.read("orders", workplace.strategy.name, session, session)
    place = {symbol: number for number, symbol in enumerate(symbols)}
    found = found.assign(place=found["symbol"].map(place)).sort_values("place")
    sign = np.where(found["side"] == "buy", 1.0, -1.0)
    return Orders(
        client_order_id=tuple(found["client_order_id"]),
        symbol=found["place"].to_numpy(dtype=np.int64),
        quantity=sign * found["quantity"].to_numpy(dtype=np.float64),
        urgency=tuple(found["urgency"]),
        reference_price=found["reference_price"].to_numpy(dtype=np.float64),
        reason_code=tuple(None if pd.isna(code) else str(code) for code in found["reason_code"]),
    )


def _spending(workplace: Workplace, until: pd.Timestamp, symbols: tuple[str, ...]) -> tuple[Spending, ...]:
    """Costs of the fills of the last sessions, as the round itself measured them."""
    strategy = workplace.strategy
    sessions = [day for day in workplace.sessions(until) if day >= workplace.first_live_session]
    recent = sessions[-SLIPPAGE_SESSIONS:]
    fills = workplace.ledger.read("fills", strategy.name, recent[0], until)
    market = market_view(workplace.panel(until), strategy.portfolio)
    costs = cost_model_in_force(workplace)
    return tuple(
        spending_of(
            _batches(fills[fills["session"] == day], symbols),
            market.at(market.panel.row(day)),
            costs,
        )
        for day in recent
    )


def _batches(fills: pd.DataFrame, symbols: tuple[str, ...]) -> tuple[FillArrays, ...]:
    ordered = fills.sort_values("fill_id")
    place = {symbol: number for number, symbol in enumerate(symbols)}
    numbers = {
        name: ordered[name].to_numpy(dtype=np.float64)
        for name in ("quantity", "price", "mid_price", "half_spread_usd", "commission_usd", "impact_usd")
    }
    batch = FillArrays(
        fill_id=tuple(ordered["fill_id"]),
        client_order_id=tuple(ordered["client_order_id"]),
        symbol=np.array([place[symbol] for symbol in ordered["symbol"]], dtype=np.int64),
        is_stop=np.zeros(len(ordered), dtype=np.bool_),
        **numbers,
    )
    return (batch,)


# --- today -------------------------------------------------------------------------------------------------


def _given(workplace: Workplace, session: pd.Timestamp, earlier: pd.DataFrame) -> _Given:
    if not earlier.empty:
        row = earlier.iloc[0]
        details = row["details"]
        reset = details["breaker_reset"]
        return _Given(
            study_id=_text(row["study_id"]),
            verdict=_text(row["verdict"]),
            verdict_allows=bool(details["verdict_allows"]),
            kill_switch=str(details["kill_switch"]),
            breaker_reset=None if reset is None else (str(reset[0]), str(reset[1])),
            model_id=str(row["model_id"]),
        )
    study = latest_study(workplace, session.strftime("%Y-%m"))
    return _Given(
        study_id=None if study is None else str(study["study_id"]),
        verdict=None if study is None else str(study["verdict"]),
        verdict_allows=study is not None and bool(study["figures"]["allows_trading"]),
        kill_switch=kill_switch_state(workplace.ledger, workplace.strategy.name),
        breaker_reset=latest_breaker_reset(workplace.ledger, workplace.strategy.name),
        model_id=models_in_force(workplace).on(session),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _facts(
    workplace: Workplace, session: pd.Timestamp, cube: FeatureCube, market: MarketView, given: _Given
) -> SessionFacts:
    strategy = workplace.strategy
    sessions, symbols = cube.sessions, cube.symbols
    row = cube.row(session)
    made = forecasts_until(workplace, cube, session)
    arrays = forecast_arrays(made, "network", sessions, symbols)
    labels = workplace.labels(market.panel)
    outcomes = outcome_statistics(arrays.calibrated, labels.returns, labels.realised_row)
    network = made[made["estimator"] == "network"].drop_duplicates("session")
    model_by_row: list[str | None] = [None] * cube.bars
    places = sessions.get_indexer(network["session"])
    # Only the rows that the monitor's window can reach need a reference.
    reach = row - 2 * strategy.oversight.drift_window_sessions
    for place, model_id in zip(places, network["model_id"], strict=True):
        if place >= reach:
            model_by_row[place] = str(model_id)
    references = drift_references(workplace, cube, [each for each in model_by_row if each])
    watch = drift_watch(cube, arrays.probability, model_by_row, references, strategy.oversight)
    return SessionFacts(
        market=market.at(row),
        signals=session_signals(row, symbols, arrays, outcomes, market.volatility),
        drift=watch(row),
        verdict_allows=given.verdict_allows,
        kill_switch=given.kill_switch,
        breaker_reset=given.breaker_reset,
    )


# --- records -----------------------------------------------------------------------------------------------


def _frames(workplace: Workplace, done: Round, given: _Given, data_hash: str) -> dict[str, pd.DataFrame]:
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
    given: _Given,
    run_id: str,
    session: pd.Timestamp,
) -> dict[str, str]:
    strategy = workplace.strategy
    told = {name: frames[name].to_dict("records") for name in RECORDS}
    content = hashlib.sha256(canonical_json(told).encode()).hexdigest()
    head = {
        "session": session,
        "data_hash": workplace.data_hash_until(session),
        "model_id": given.model_id,
        "code_version": code_version(),
        "settings_hash": strategy.content_hash(),
        "study_id": given.study_id,
        "verdict": given.verdict,
        "content_hash": content,
        "details": given.details(),
    }
    moment = as_of_session(strategy.market, session)
    with workplace.ledger.transaction(run_id, strategy=strategy.name, known_at=moment) as transaction:
        transaction.append("decisions", [head])
        for name in RECORDS:
            if len(frames[name]):
                transaction.append(name, frames[name])
        if done.drift is not None and done.drift.asks_retraining:
            transaction.append("refresh_requests", [_refresh(workplace, session, done)])
    return {
        name: str(head[name])
        for name in ("data_hash", "model_id", "code_version", "settings_hash", "verdict", "content_hash")
    }


def _refresh(workplace: Workplace, session: pd.Timestamp, done: Round) -> dict[str, Any]:
    identity = hashlib.sha256(f"{workplace.strategy.name}|{session.date()}|drift".encode()).hexdigest()[:16]
    return {
        "event_id": identity,
        "session": session,
        "cause": "prediction drift",
        "details": {"reasons": list(done.found.reasons)},
    }
