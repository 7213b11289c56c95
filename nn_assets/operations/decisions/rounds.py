"""The daily round, live: yesterday's state from the ledger, what a session may know, today's records into it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import Cube
from nn_assets.evaluation.replay import ForecastArrays, forecast_arrays, session_signals
from nn_assets.operations.asof.stored import decided_sessions
from nn_assets.operations.asof.universe import members_only
from nn_assets.operations.costs.in_force import cost_model, cost_model_id_in_force
from nn_assets.operations.decisions.controls import kill_switch_state, latest_breaker_reset
from nn_assets.operations.decisions.late_actions import late_actions
from nn_assets.operations.decisions.records import Given, recorded_given, session_frames, write_session
from nn_assets.operations.decisions.standing import standing_before
from nn_assets.operations.models.in_force import (
    drift_references,
    forecasts_until,
    keep_forecast_list,
    models_in_force,
    read_forecast_list,
)
from nn_assets.operations.study import latest_study
from nn_assets.operations.workplace import Workplace
from nn_assets.session.daily_round import (
    Controls,
    Round,
    SessionFacts,
    play_session,
)
from nn_assets.session.drift_watch import DriftWatch, drift_watch
from nn_assets.session.market_view import MarketView, market_view
from nn_assets.signals.signals import outcome_statistics

__all__ = ["DecidedSession", "decide_session", "undecided_sessions", "watch_of"]


@dataclass(frozen=True, eq=False)
class DecidedSession:
    """One session as it was decided: the round, its records, and whether it stood there before."""

    round: Round
    frames: dict[str, pd.DataFrame]
    provenance: dict[str, str]
    already_decided: bool


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
    frames = session_frames(workplace, done, given, data_hash)
    provenance = write_session(workplace, done, frames, given, run_id, data_hash)
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


def _facts(workplace: Workplace, session: pd.Timestamp, cube: Cube, market: MarketView, given: Given) -> SessionFacts:
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
    cube: Cube,
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
