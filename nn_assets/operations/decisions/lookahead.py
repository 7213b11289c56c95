"""The look-ahead proof in production: what is stored, computed again on less history, must be equal."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import groupby, takewhile
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import named_rows
from nn_assets.contracts.frames import DecisionRows
from nn_assets.estimators import TRADED
from nn_assets.evaluation.replay import Scene, replay
from nn_assets.learning.forecasts import ForecastArrays, Forecasts
from nn_assets.operations.asof.accounts import broker_for
from nn_assets.operations.asof.costs import cost_model, recorded_cost_model_ids
from nn_assets.operations.asof.forecasts import recorded_months
from nn_assets.operations.asof.models import models_in_force
from nn_assets.operations.asof.settings_on_record import hashes_in_force, settings_apart
from nn_assets.operations.cut import PublishedCut
from nn_assets.operations.decisions.late_actions import late_actions
from nn_assets.operations.decisions.records import DecisionContext, recorded_context, symbols_on_record
from nn_assets.operations.decisions.rounds import of_symbols, play_live, volatility_of, watch_of
from nn_assets.operations.decisions.session_state import recorded_fill_costs, session_state_before
from nn_assets.operations.history import History
from nn_assets.operations.models.calibration import calibrate_forecasts
from nn_assets.operations.models.forecasts import ROUNDING, forecasts_of_months, forecasts_until, read_forecast_list
from nn_assets.operations.models.groups import groups_by_row
from nn_assets.portfolio.late_actions import LateActions
from nn_assets.session.daily_round import Round, SessionState
from nn_assets.session.fill_costs import SLIPPAGE_SESSIONS
from nn_assets.session.market_view import MarketView

_CUTS = (0.5, 0.75, 0.95)
# What a decision reads besides signals and the programme's facts, and that depends on no book.
_FACTS = (
    "symbols",
    "reference_price",
    "calibrated_probability",
    "base_rate",
    "confidence",
    "novelty",
    "mean_win",
    "mean_loss",
    "outcomes",
    "outcome_sessions",
    "atr",
    "daily_volatility",
    "adv_usd",
    "trailing_returns",
    "beta",
    "horizon_sessions",
    "edge_scale",
    "regime_scale",
    "since_halt",
)


def features_repeat_when_cut(history: History) -> tuple[list[str], list[pd.Timestamp]]:
    """Compute features on history cut at three sessions, and name what differs from the stored ones."""
    history.covering(history.last_session)
    cut = PublishedCut(history, history.last_session)
    stored = cut.stored_cube
    cuts = [stored.sessions[int(share * (stored.session_count - 1))] for share in _CUTS]
    differing = []
    for last in cuts:
        recomputed, kept = cut.compute_cube(last), stored.until(last)
        if recomputed.names != kept.names:
            differing.append(f"{last.date()}: features {sorted(set(recomputed.names) ^ set(kept.names))}")
        elif not np.array_equal(recomputed.values, np.asarray(kept.values), equal_nan=True):
            differing.append(f"{last.date()}: values differ")
    return differing, cuts


def signals_repeat_forecasts(history: History) -> tuple[int, list[str]]:
    """Compare live signals with the forecasts on record of the same model and session, calibrated as a study does.

    Equal is what differs by rounding alone, at most 1e-6 of a probability: the study may be another machine's.
    Signals from before calibrations were kept with decisions were made otherwise, and are no contradiction.
    """
    name, on_record = history.strategy.name, recorded_months(history.stores.lake, history.strategy)
    signals = history.stores.ledger.read("signals", name)
    months = sorted({session.strftime("%Y-%m") for session in signals["session"]})
    stored = [month for month in months if month in on_record]
    if not stored:
        return 0, []
    record = forecasts_of_months(history, on_record)
    study = calibrate_forecasts(history, record, [TRADED])
    columns = {symbol: number for number, symbol in enumerate(study.symbols)}
    decisions = history.stores.ledger.read("decisions", name)
    by_rules = np.array([_has_calibration(details) for details in decisions["details"]], dtype=bool)
    same_rules = set(decisions.loc[by_rules & _with_own_symbols(history, decisions), "session"])
    compared, named = 0, []
    for row in named_rows(signals[signals["session"].isin(same_rules)]):
        study_row = history.row(row.session)
        if study.model_ids[study_row] != row.model_id or row.session.strftime("%Y-%m") not in stored:
            continue
        compared += 1
        for figure in ("probability", "calibrated"):
            live = row.probability if figure == "probability" else row.calibrated_probability
            in_study = float(getattr(study[TRADED], figure)[study_row, columns[row.symbol]])
            if not abs(live - in_study) <= ROUNDING:  # a NaN is never equal
                named.append(f"{row.symbol} {row.session.date()}: {figure} {live} live, {in_study} in the study")
    return compared, named


def _has_calibration(details: dict[str, Any]) -> bool:
    """Whether a decision has its calibration on record: an older one cannot be derived again in this way."""
    return details.get("calibration") is not None


@dataclass(frozen=True)
class _Decided:
    """One decided session: what its decision was given, and numbers that change where the next was given otherwise."""

    session: pd.Timestamp
    row: int
    context: DecisionContext
    models: int  # changes where models were recorded
    fill_costs: int  # changes where real fills took the place of paper ones


def decisions_repeat_in_replay(history: History, after: pd.Timestamp | None = None) -> tuple[int, list[str]]:
    """Play decided sessions again on the backtest's path, and name targets that differ.

    The path is the study's: the state carried in memory, each session on the cut of the facts that it
    knew, forecasts scored and calibrated as a study's are. Each is given what its decision was given: the
    controls, the cost model, the list of forecasts and the models on record then, real fills imported by then.
    The last session is played on the live path beside, and every fact that its decision read is compared: one
    that changes no target today may change the next.

    Only the sessions decided under the settings in force are played, from the state that the one before
    them left on record: what other settings would have decided is no contradiction.

    Parameters
    ----------
    after : Timestamp, optional
        Only sessions after this one: those up to it were played before.

    Returns
    -------
    int
        Sessions played.
    list of str
        One sentence for each target, and for each fact of the last decision, that differs.
    """
    strategy, ledger = history.strategy, history.stores.ledger
    decisions = _under_present_settings(history, after)
    if decisions.empty:
        return 0, []
    on_record = ledger.read("target_positions", strategy.name, decisions["session"].min())
    targets = on_record.set_index(["session", "symbol"])["target_quantity"]
    decided = _decided(history, decisions)
    rounds = _played(history, decided, recorded_cost_model_ids(_with_recent(history, decisions)))
    differing = [
        f"{symbol} {session_round.session.date()}: {targets[session_round.session, symbol]} on record, "
        f"{quantity} replayed"
        for session_round in rounds
        for symbol, quantity in zip(
            session_round.session_state.book.symbols, session_round.decision.target_quantity, strict=True
        )
        if targets[session_round.session, symbol] != quantity
    ]
    _, live = play_live(history, history.view(decided[-1].session), decided[-1].context)
    apart = facts_apart(live, rounds[-1])
    return len(rounds), [*differing, *(f"{live.session.date()}: {fact}" for fact in apart)]


def facts_apart(live: Round, study: Round) -> list[str]:
    """Name what the decisions of two rounds of one session read of market, record and watch, and that differs.

    What depends on the book that a round began with is not compared: a study's is another.
    """
    facts = {name: (getattr(live.decision.inputs, name), getattr(study.decision.inputs, name)) for name in _FACTS}
    facts |= {f"signal {field.name}": _pair(live.signals, study.signals, field.name) for field in fields(live.signals)}
    live_programme, study_programme = live.decision.inputs.programme, study.decision.inputs.programme
    if live_programme is not None and study_programme is not None:
        facts |= {field.name: _pair(live_programme, study_programme, field.name) for field in fields(live_programme)}
    facts["drift"] = (repr(live.drift), repr(study.drift))
    return [f"{name} {_short(a)} live, {_short(b)} in the study" for name, (a, b) in facts.items() if not _same(a, b)]


def _pair(live: object, study: object, name: str) -> tuple[Any, Any]:
    return getattr(live, name), getattr(study, name)


def _same(live: Any, study: Any) -> bool:
    if isinstance(live, float | np.ndarray):
        return bool(np.array_equal(live, study, equal_nan=np.asarray(live).dtype.kind == "f"))
    return bool(live == study)


def _short(value: Any) -> str:
    return f"of shape {value.shape}" if isinstance(value, np.ndarray) else str(value)


def _under_present_settings(history: History, after: pd.Timestamp | None) -> DecisionRows:
    """The last decisions after a session that were all made under the settings in force, in order of the sessions."""
    decisions, first = _split_by_settings(history, after)
    return decisions.iloc[first:]


def decided_otherwise(history: History) -> tuple[int, str]:
    """How many of the first decisions on record cannot be played again by what is in force, and why not."""
    decisions, count = _split_by_settings(history, None)
    if not count:
        return 0, ""
    newest, ledger, strategy = decisions.iloc[count - 1], history.stores.ledger, history.strategy
    made_under = str(newest["settings_hash"])
    if made_under not in hashes_in_force(ledger, strategy):
        why = f"under other settings: {settings_apart(ledger, strategy, made_under)}"
    elif _has_calibration(newest["details"]):
        why = "with other symbols"
    else:
        why = "by the rules of before calibrations were kept"
    return count, f"up to {newest['session'].date()} not derived again, decided {why}"


def _split_by_settings(history: History, after: pd.Timestamp | None) -> tuple[DecisionRows, int]:
    """The decisions after a session, in order, and from which on all were made by what is in force."""
    strategy, ledger = history.strategy, history.stores.ledger
    first = None if after is None else after + pd.Timedelta(days=1)
    decisions = ledger.read("decisions", strategy.name, first, bookkeeping=True).sort_values("session")
    not_comparable = np.flatnonzero(
        ~decisions["settings_hash"].isin(hashes_in_force(ledger, strategy)).to_numpy(dtype=bool)
        | ~_with_own_symbols(history, decisions)
        | ~np.array([_has_calibration(details) for details in decisions["details"]], dtype=bool)
    )
    return decisions, int(not_comparable[-1]) + 1 if not_comparable.size else 0


def _with_own_symbols(history: History, decisions: DecisionRows) -> npt.NDArray[np.bool_]:
    """Whether each decision was made on the symbol axis that its session has now: one on another read another record.

    Parameters
    ----------
    decisions : DataFrame
        In order of their sessions, without a gap.
    """
    own, recorded = list[bool](), None
    for session, details in zip(decisions["session"], decisions["details"], strict=True):
        if recorded is None or "symbols" in details:
            recorded = symbols_on_record(history, session)
        own.append(recorded == history.symbols_on(session))
    return np.array(own, dtype=bool)


def _with_recent(history: History, decisions: DecisionRows) -> DecisionRows:
    """These decisions, and those of the sessions before whose fills still count."""
    live = history.live_sessions
    first = max(0, int(live.searchsorted(decisions["session"].iloc[0])) - SLIPPAGE_SESSIONS)
    return history.stores.ledger.read("decisions", history.strategy.name, live[first])


def _decided(history: History, decisions: DecisionRows) -> list[_Decided]:
    """What each decided session was given, in order of the sessions."""
    name, ledger = history.strategy.name, history.stores.ledger
    moments = pd.DatetimeIndex(decisions["recorded_at"])
    real = ledger.read("fills", name, where={"source": "imported"}, bookkeeping=True)
    models = ledger.read("models", name, every_version=True, bookkeeping=True)
    imported, modelled = (np.sort(pd.DatetimeIndex(frame["recorded_at"])) for frame in (real, models))
    fills, recorded = (np.searchsorted(times, moments, side="right") for times in (imported, modelled))
    decided, fills_revision = [], 0
    for index, (_, row) in enumerate(decisions.iterrows()):
        if index:
            before = decisions["session"].iloc[index - 1]
            paid_really = (real["session"] == before) & (real["recorded_at"] <= moments[index])
            fills_revision += int(fills[index] != fills[index - 1] or bool(paid_really.any()))
        session = row["session"]
        decided.append(
            _Decided(session, history.row(session), recorded_context(row), int(recorded[index]), fills_revision)
        )
    return decided


def _played(history: History, decided: list[_Decided], used: dict[pd.Timestamp, str | None]) -> list[Round]:
    """Play sessions on the cuts that serve them, from the state that the rounds before left in memory."""
    rounds: list[Round] = []
    by_row = {decision.row: decision for decision in decided}
    for stretch in history.stretches(sorted(by_row)):
        together = [by_row[row] for row in stretch.rows]
        for (symbols, *_), alike in groupby(together, key=lambda decision: _read_by(history, decision)):
            group = list(alike)
            end, cut = group[-1], stretch.cut.of(group[-1].session)
            on_record = None
            if end.context.forecast_list is not None:
                on_record = read_forecast_list(history, end.context.forecast_list)
            models = models_in_force(history.stores.ledger, history.strategy, end.context.recorded_at)
            forecasts = forecasts_until(history, end.session, on_record, models)
            network = of_symbols(history, _calibrated(history, forecasts, group), symbols)
            watch = watch_of(history, end.session, network, group[0].row, models)
            labels = cut.labels.until(end.row)
            for _, same_costs in groupby(
                group, key=lambda decision: (decision.context.cost_model_id, decision.fill_costs)
            ):
                run = list(same_costs)
                groups = groups_by_row(history, cut.market, forecasts.model_ids)
                rows = range(run[0].row, run[-1].row + 1)
                volatility = volatility_of(history, forecasts, symbols)
                scene = Scene(rows, cut.market, labels, network, watch, groups=groups, network_volatility=volatility)
                rounds += replay(
                    history.strategy,
                    cost_model(history.stores.ledger, history.strategy, run[0].context.cost_model_id),
                    history.sessions_per_year,
                    [scene],
                    initial=_session_state(history, rounds, cut.market, used, run[0]),
                    controls=lambda row: by_row[row].context.controls,
                    late=partial(_late_at, history, cut.market),
                    open_broker=broker_for(
                        history.stores.ledger,
                        history.strategy,
                        {decision.session: decision.context.account_until for decision in run},
                    ),
                ).rounds
    return rounds


def _late_at(history: History, market: MarketView, row: int) -> LateActions | None:
    return late_actions(history, history.axis[row], market)


def _read_by(history: History, decided: _Decided) -> tuple[tuple[str, ...], str | None, int]:
    """What sessions must share to be played on one scene: symbols, list of forecasts, models recorded."""
    return history.symbols_on(decided.session), decided.context.forecast_list, decided.models


def _calibrated(history: History, forecasts: Forecasts, group: list[_Decided]) -> ForecastArrays:
    """Forecasts up to a group's last session as a study has them, each of its sessions by the calibration given."""
    calibrations = {
        decision.row: decision.context.calibration for decision in group if decision.context.calibration is not None
    }
    assert len(calibrations) == len(group), "only decisions that have one are played"
    return calibrate_forecasts(history, forecasts, [TRADED], calibrations)[TRADED]


def _session_state(
    history: History,
    rounds: list[Round],
    market: MarketView,
    used: dict[pd.Timestamp, str | None],
    decided: _Decided,
) -> SessionState:
    """The state in memory, with what the last sessions' fills cost by what is known now.

    It is that on record at first, and where other symbols count from a session on.
    """
    recorded_by, symbols = decided.context.recorded_at, market.panel.symbols
    rounds = list(takewhile(lambda done: done.session_state.book.symbols == symbols, reversed(rounds)))[::-1]
    if len(rounds) < SLIPPAGE_SESSIONS:
        on_record = session_state_before(history, decided.session, symbols, market, recorded_by)
        return on_record if not rounds else replace(rounds[-1].session_state, fill_costs=on_record.fill_costs)
    paper = {session_round.session: session_round.fills for session_round in rounds[-SLIPPAGE_SESSIONS:]}
    return replace(rounds[-1].session_state, fill_costs=recorded_fill_costs(history, paper, market, used, recorded_by))
