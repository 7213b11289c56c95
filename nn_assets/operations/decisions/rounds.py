"""The daily round, live: yesterday's state from the ledger, what a session may know, today's records into it.

It makes signals of forecasts and outcomes, hands them, the drift, the controls and the session's market to
``session/daily_round.py``, and puts what comes back on record in one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import Symbol
from nn_assets.contracts.frames import DecisionRows
from nn_assets.errors import DecisionError
from nn_assets.estimators import TRADED
from nn_assets.execution.venues import account_of
from nn_assets.features.labels import label_kind
from nn_assets.learning.forecasts import ForecastArrays, Forecasts
from nn_assets.operations.asof.account_left import require_account_as_left
from nn_assets.operations.asof.accounts import account_differs_at, adjustment_for, broker_for
from nn_assets.operations.asof.costs import cost_model
from nn_assets.operations.asof.models import ModelsInForce, models_in_force
from nn_assets.operations.asof.settings_on_record import hashes_in_force, settings_apart
from nn_assets.operations.decision_timing import refuse_live
from nn_assets.operations.decisions.code import decision_code
from nn_assets.operations.decisions.late_actions import late_actions
from nn_assets.operations.decisions.records import (
    Compared,
    DecisionContext,
    compare_session,
    recorded_context,
    session_frames,
    symbols_on_record,
    write_session,
)
from nn_assets.operations.decisions.session_state import session_state_before
from nn_assets.operations.edited import require_stages
from nn_assets.operations.history import History
from nn_assets.operations.kill_switch import note_halt_file
from nn_assets.operations.models.calibration import calibrate_session, calibration_of
from nn_assets.operations.models.forecasts import forecasts_until, keep_forecast_list, read_forecast_list
from nn_assets.operations.models.groups import groups_by_row
from nn_assets.operations.models.stored import drift_references
from nn_assets.operations.session_view import SessionView
from nn_assets.session.daily_round import Controls, Round, SessionFacts, play_session
from nn_assets.session.drift_watch import DriftWatch, drift_watch
from nn_assets.session.market_view import MarketView
from nn_assets.session.programme_facts import programme_watch
from nn_assets.session.volatility_used import own_volatility, volatility_used
from nn_assets.signals.signals import make_signals, outcome_statistics


@dataclass(frozen=True, eq=False)
class DecidedSession:
    """One session as it was decided: the round, its records, and whether it stood there before."""

    round: Round
    frames: dict[str, pd.DataFrame]
    provenance: dict[str, str]
    already_decided: bool
    compared: Compared | None = None  # where other code decided it

    @property
    def differs(self) -> bool:
        """Whether other code decided something else, which is kept: what is computed now is not recorded."""
        return self.compared is not None and bool(self.compared.differing)

    @property
    def sentence(self) -> str:
        """What the session came to, in one line."""
        session_round, before = self.round, " (decided before, and equal)" if self.already_decided else ""
        if self.compared is not None:
            return f"{session_round.session.date()}: {self.compared.sentence}"
        return (
            f"{session_round.session.date()}: {len(self.frames['fills'])} fills, "
            f"equity {session_round.state.equity_usd:,.0f} USD, {len(session_round.orders)} orders, "
            f"breaker {session_round.state.breaker or 'none'}, "
            f"drift says {session_round.session_state.trading_state}{before}"
        )


def decide_session(history: History, session: pd.Timestamp, run_id: str) -> DecidedSession:
    """Play one session and record it, all in one transaction.

    A session that was decided before is computed again from what was known then: equal records are
    left as they are, different ones are refused. One that other code decided is compared with its record, and left.

    Raises
    ------
    DecisionError
        The session before is undecided, the session lies before the live start, or was decided with other symbols or
        under other settings; or the strategy decides within the session, which is studied and replayed alone; or it
        names another account or venue than the one where it has something still.
    SettingsError
        The strategy's stages contradict what it has published or decided.
    ClockError
        Moments on record lie ahead of the clock.
    LedgerError
        The session was decided before by the code in force, and what is computed now differs.
    """
    refuse_live(history.strategy)
    note_halt_file(history.stores.ledger, history.strategy.name)
    require_stages(history)
    if history.clock_fault is not None:
        raise history.clock_fault
    earlier = history.stores.ledger.read("decisions", history.strategy.name, session, session, bookkeeping=True)
    if earlier.empty:
        require_account_as_left(history.stores.ledger, history.strategy)
    view, decided_under = history.view(session), None
    if not earlier.empty:
        decided_under = str(earlier["settings_hash"].iloc[-1])
        _require_symbols_as_decided(history, view)
        _require_settings_as_decided(history, view, decided_under)
    context, session_round = play_live(history, view, _decision_context(history, view, earlier))
    frames = session_frames(history, session_round, context, view.data_hash)
    if not earlier.empty and str(earlier["code_version"].iloc[-1]) != decision_code(history.strategy):
        compared = compare_session(history, session_round, frames, context, view.data_hash, earlier.iloc[-1])
        return DecidedSession(session_round, frames, compared.provenance, already_decided=True, compared=compared)
    provenance = write_session(history, session_round, frames, context, run_id, view.data_hash, decided_under)
    return DecidedSession(session_round, frames, provenance, already_decided=not earlier.empty)


def _require_symbols_as_decided(history: History, view: SessionView) -> None:
    decided_with = symbols_on_record(history, view.session)
    if decided_with != view.symbols:
        raise DecisionError(
            expected=f"the symbols that the session was decided with: {', '.join(decided_with or ())}",
            found=", ".join(view.symbols),
            remedy="run the first session that is not decided yet: other symbols count from there on, "
            "and what was decided stands",
            session=view.session.date(),
            key="market.symbols",
        )


def _require_settings_as_decided(history: History, view: SessionView, decided_under: str) -> None:
    strategy = history.strategy
    if decided_under not in hashes_in_force(history.stores.ledger, strategy):
        raise DecisionError(
            expected="the settings that the session was decided under",
            found=settings_apart(history.stores.ledger, strategy, decided_under),
            remedy="run the first session that is not decided yet: other settings count from there on, and what was "
            "decided stands; to compute this one again, set them back",
            strategy=strategy.name,
            session=view.session.date(),
        )


def play_live(history: History, view: SessionView, context: DecisionContext) -> tuple[DecisionContext, Round]:
    """Play one session as it is played live, from the state on record; what it was given, and its round.

    Where no calibration is given it is fitted, and is then part of what was given.
    """
    session, strategy, ledger = view.session, history.strategy, history.stores.ledger
    market = view.market_history
    # Recorded meanwhile, the view does not know of its record yet.
    as_viewed = context.recorded_at == view.decided_at
    models = view.models if as_viewed else models_in_force(ledger, strategy, context.recorded_at)
    session_state = session_state_before(history, session, view.symbols, market, context.recorded_at)
    on_record = None if context.forecast_list is None else read_forecast_list(history, context.forecast_list)
    forecasts = forecasts_until(history, session, on_record, models)
    if context.calibration is None:
        context = replace(context, calibration=calibration_of(history, forecasts, TRADED))
    facts = _facts(history, view, market, context, forecasts, models)
    costs = cost_model(ledger, strategy, context.cost_model_id)
    open_broker = broker_for(ledger, strategy, {session: context.account_until})
    return context, play_session(strategy, costs, history.sessions_per_year, session_state, facts, open_broker)


def _decision_context(history: History, view: SessionView, earlier: DecisionRows) -> DecisionContext:
    if not earlier.empty:
        return recorded_context(earlier.iloc[0])
    account_until = None if account_of(history.strategy) is None else history.stores.ledger.head().sequence
    study = view.study
    return DecisionContext(
        study_id=None if study is None else str(study["study_id"]),
        verdict=None if study is None else str(study["verdict"]),
        model_id=view.model_id,
        cost_model_id=view.cost_model_id,
        controls=_controls_of(history, view, account_until),
        forecast_list=keep_forecast_list(history, view.session),
        account_until=account_until,
    )


def _controls_of(history: History, view: SessionView, account_until: int | None) -> Controls:
    """The controls of a decision, with what its account's records up to a place in the ledger say."""
    if account_until is None:
        return view.controls
    of_account = history.stores.ledger, history.strategy, view.session, account_until
    return replace(
        view.controls, account_differs=account_differs_at(*of_account), adjustment=adjustment_for(*of_account)
    )


def _facts(
    history: History,
    view: SessionView,
    market: MarketView,
    context: DecisionContext,
    forecasts: Forecasts,
    models: ModelsInForce,
) -> SessionFacts:
    assert context.calibration is not None, "fitted, or recorded"
    network = of_symbols(history, calibrate_session(history, forecasts, TRADED, context.calibration), view.symbols)
    labels, label = view.labels, history.strategy.label
    horizon = label.horizon_sessions
    used = volatility_used(history.strategy, market, labels, volatility_of(history, forecasts, view.symbols))
    own = own_volatility(market, used)
    outcomes = outcome_statistics(
        network.probability,
        labels.returns,
        labels.realised_row,
        own,
        horizon,
        relative=label_kind(label).relative,
    )
    groups = groups_by_row(history, market, forecasts.model_ids)
    watch = programme_watch(history.strategy, history.sessions_per_year, market, network, labels, outcomes, used.sigma)
    return SessionFacts(
        market=view.market,
        signals=make_signals(view.symbols, network.at(view.row), outcomes.at(view.row), own[view.row], horizon),
        drift=watch_of(history, view.session, network, view.row, models)(view.row),
        controls=context.controls,
        late=late_actions(history, view.session, market),
        programme=None if watch is None else watch.at(view.row),
        groups=None if groups is None else groups(view.row),
        volatility=None if len(used.names) == 1 else used.at(view.row),
    )


def volatility_of(history: History, forecasts: Forecasts, symbols: tuple[Symbol, ...]) -> ForecastArrays | None:
    """Forecasts of volatility on a session's own symbols; None where none are asked for."""
    return None if forecasts.volatility is None else of_symbols(history, forecasts.volatility, symbols)


def of_symbols(history: History, arrays: ForecastArrays, symbols: tuple[Symbol, ...]) -> ForecastArrays:
    """Forecasts on a session's own symbols, of those on the history's."""
    if symbols == history.symbols:
        return arrays
    columns = pd.Index(history.symbols).get_indexer(pd.Index(list(symbols)))
    return ForecastArrays(*(getattr(arrays, field.name)[:, columns] for field in fields(ForecastArrays)))


def watch_of(
    history: History,
    session: pd.Timestamp,
    network: ForecastArrays,
    first: int,
    in_force: ModelsInForce,
) -> DriftWatch:
    """The drift watch on what a session knows, over rows from ``first`` up to it.

    Parameters
    ----------
    network : ForecastArrays
        On the session axis up to the session, and on its own symbols; each row by the model in force on it.
    in_force : ModelsInForce
        The models of the decision.
    """
    strategy, view = history.strategy, history.view(session)
    bars = len(network.probability)
    # Only the rows that the first window can reach need a reference.
    reach = max(0, first - 2 * strategy.oversight.drift_window_sessions)
    scored: npt.NDArray[np.bool_] = np.isfinite(network.probability).any(axis=1).reshape(-1)
    model_by_row = [in_force.on(history.axis[row]) if row >= reach and scored[row] else None for row in range(bars)]
    of_models = drift_references(history, view.cube, view.members, [model_id for model_id in model_by_row if model_id])
    references = of_models.get(TRADED, {})  # none where nobody was forecast for as long, as after a series has ended
    return drift_watch(view.cube.where(view.members), network.probability, model_by_row, references, strategy.oversight)
