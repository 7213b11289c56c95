"""The look-ahead proof in production: what is stored, computed again on less history, must be equal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import pandas as pd

from nn_assets.evaluation.replay import forecast_arrays, replay
from nn_assets.operations.clock import as_of_sessions
from nn_assets.operations.costs.in_force import cost_model, recorded_cost_model_ids
from nn_assets.operations.decisions.late_actions import late_actions
from nn_assets.operations.decisions.records import Given, recorded_given
from nn_assets.operations.decisions.rounds import watch_of
from nn_assets.operations.decisions.standing import spending_on_record, standing_before
from nn_assets.operations.models.in_force import forecasts_until, read_forecast_list
from nn_assets.operations.workplace import FORECASTS, Workplace
from nn_assets.session.daily_round import Round, Standing
from nn_assets.session.market_view import MarketView, market_view
from nn_assets.session.spending import SLIPPAGE_SESSIONS

__all__ = ["decisions_repeat_in_replay", "features_repeat_when_cut", "signals_repeat_forecasts"]

_CUTS = (0.5, 0.75, 0.95)


def features_repeat_when_cut(workplace: Workplace) -> tuple[list[str], list[pd.Timestamp]]:
    """Compute features on history cut at three sessions, and name what differs from the stored ones."""
    stored, panel = workplace.cube(), workplace.panel()
    cuts = [stored.sessions[int(share * (stored.bars - 1))] for share in _CUTS]
    differing = []
    for cut in cuts:
        again = workplace.compute_cube(panel.until(cut))
        kept = stored.until(cut)
        if again.names != kept.names:
            differing.append(f"{cut.date()}: features {sorted(set(again.names) ^ set(kept.names))}")
        elif not np.array_equal(again.values, np.asarray(kept.values), equal_nan=True):
            differing.append(f"{cut.date()}: values differ")
    return differing, cuts


def signals_repeat_forecasts(workplace: Workplace) -> tuple[int, list[str]]:
    """Compare live signals with the study's forecasts made by the same model for the same session."""
    name = workplace.strategy.name
    signals = workplace.ledger.read("signals", name)
    months = sorted({session.strftime("%Y-%m") for session in signals["session"]})
    stored = [month for month in months if month in workplace.lake.months(name, FORECASTS)]
    if not stored:
        return 0, []
    forecasts = workplace.lake.read_months(name, FORECASTS, stored)
    network = forecasts[forecasts["estimator"] == "network"]
    both = signals.merge(network, on=["symbol", "session", "model_id"], suffixes=("_live", "_study"))
    apart = both[both["calibrated_probability_live"] != both["calibrated_probability_study"]]
    named = [
        f"{row.symbol} {row.session.date()}: {row.calibrated_probability_live} live, "
        f"{row.calibrated_probability_study} in the study"
        for row in apart.itertuples()
    ]
    return len(both), named


@dataclass(frozen=True)
class _Told:
    """What one decided session was told, and numbers that change where the next one was told otherwise."""

    session: pd.Timestamp
    given: Given
    bars: int  # changes where bars of sessions gone by became known
    models: int  # changes where models were recorded
    spending: int  # changes where real fills took the place of paper ones


def decisions_repeat_in_replay(workplace: Workplace) -> tuple[int, list[str]]:
    """Play every decided session again on the backtest's path, and name targets that differ.

    The path is the study's: one pass on a panel, the state carried in memory. Each session is told
    what its decision was told: the controls, the cost model, the list of forecasts and the models on
    record then, real fills imported by then, and bars as known at its own close. A bar restated, or
    first delivered, after its session was decided became known when it arrived: sessions closed
    before do not see it, and those closed later do. So one panel serves from one such arrival to the
    next, one set of forecasts as long as list and models stay; everything else is computed anew.

    Only the sessions decided under the settings in force are played, from the state that the one before
    them left on record: what other settings would have decided is no contradiction.

    Returns
    -------
    int
        Sessions played.
    list of str
        One sentence for each target that differs.
    """
    strategy, ledger = workplace.strategy, workplace.ledger
    decisions = _under_present_settings(workplace)
    if decisions.empty:
        return 0, []
    targets = ledger.read("target_positions", strategy.name).set_index(["session", "symbol"])["target_quantity"]
    rounds: list[Round] = []
    for _, same_bars in groupby(_told(workplace, decisions), key=lambda each: each.bars):
        rounds += _played(workplace, list(same_bars), rounds, recorded_cost_model_ids(decisions))
    differing = [
        f"{symbol} {done.session.date()}: {targets[done.session, symbol]} on record, {quantity} replayed"
        for done in rounds
        for symbol, quantity in zip(done.standing.book.symbols, done.decision.target_quantity, strict=True)
        if targets[done.session, symbol] != quantity
    ]
    return len(rounds), differing


def _under_present_settings(workplace: Workplace) -> pd.DataFrame:
    """The last decisions on record that were all made under the settings in force, in order of the sessions."""
    strategy = workplace.strategy
    decisions = workplace.ledger.read("decisions", strategy.name, bookkeeping=True).sort_values("session")
    other = np.flatnonzero(decisions["settings_hash"].to_numpy() != strategy.content_hash())
    return decisions.iloc[int(other[-1]) + 1 if other.size else 0 :]


def _told(workplace: Workplace, decisions: pd.DataFrame) -> list[_Told]:
    """What each decided session was told, in order of the sessions."""
    name = workplace.strategy.name
    moments = pd.DatetimeIndex(decisions["recorded_at"])
    real = workplace.ledger.read("fills", name, where={"source": "imported"}, bookkeeping=True)
    models = workplace.ledger.read("models", name, every_version=True, bookkeeping=True)
    imported, modelled = (np.sort(pd.DatetimeIndex(frame["recorded_at"])) for frame in (real, models))
    bars = np.searchsorted(
        _late_arrivals(workplace), as_of_sessions(workplace.strategy.market, decisions["session"]), side="right"
    )
    bars = bars + np.searchsorted(_late_deliveries(workplace, decisions), moments, side="right")
    fills, recorded = (np.searchsorted(each, moments, side="right") for each in (imported, modelled))
    told, spending = [], 0
    for place, (_, row) in enumerate(decisions.iterrows()):
        if place:
            before = decisions["session"].iloc[place - 1]
            paid_really = (real["session"] == before) & (real["recorded_at"] <= moments[place])
            spending += int(fills[place] != fills[place - 1] or bool(paid_really.any()))
        given = recorded_given(row)
        told.append(_Told(row["session"], given, int(bars[place]), int(recorded[place]), spending))
    return told


def _facts(workplace: Workplace) -> pd.DataFrame:
    """Session and moments of every version of bars and actions; an ex-day that is no session counts as the next."""
    columns = ["session", "known_at", "ingested_at"]
    facts, actions = workplace.raw_versions()[columns], workplace.action_versions()
    if actions is None:
        return facts
    sessions = workplace.sessions()
    row = sessions.searchsorted(pd.DatetimeIndex(actions["ex_session"]))
    effective = actions.assign(session=sessions[row.clip(max=len(sessions) - 1)])
    return pd.concat([facts, effective[columns]], ignore_index=True)


def _late_deliveries(workplace: Workplace, decisions: pd.DataFrame) -> pd.DatetimeIndex:
    """Moments, ascending, at which facts of a decided session came in, whatever moment they state as known."""
    facts = _facts(workplace)
    decided = facts["session"].map(decisions.set_index("session")["recorded_at"])
    return pd.DatetimeIndex(facts.loc[facts["ingested_at"] > decided, "ingested_at"].unique()).sort_values()


def _late_arrivals(workplace: Workplace) -> pd.DatetimeIndex:
    """Moments, ascending, at which versions of bars and actions became known after the decision of their session."""
    facts = _facts(workplace)
    days = pd.Series(facts["session"].unique())
    close = facts["session"].map(pd.Series(as_of_sessions(workplace.strategy.market, days), index=days))
    return pd.DatetimeIndex(facts.loc[facts["known_at"] > close, "known_at"].unique()).sort_values()


def _played(
    workplace: Workplace, told: list[_Told], before: list[Round], used: dict[pd.Timestamp, str | None]
) -> list[Round]:
    """Play sessions that one panel serves, from the state that the rounds before left in memory."""
    strategy, last = workplace.strategy, told[-1].session
    cube, panel = workplace.cube(last), workplace.panel(last)
    labels = workplace.labels(panel)
    market = market_view(panel, strategy.portfolio, labels.candidates)
    rounds = list(before)
    for _, same_forecasts in groupby(told, key=lambda each: (each.given.forecast_list, each.models)):
        together = list(same_forecasts)
        end = together[-1]
        on_record = None if end.given.forecast_list is None else read_forecast_list(workplace, end.given.forecast_list)
        made = forecasts_until(workplace, cube, end.session, on_record, end.given.recorded_at)
        arrays = forecast_arrays(made, "network", cube.sessions, cube.symbols)
        watch = watch_of(workplace, cube, arrays, cube.row(together[0].session), end.given.recorded_at)
        for _, same_costs in groupby(together, key=lambda each: (each.given.cost_model_id, each.spending)):
            run = list(same_costs)
            given = {cube.row(each.session): each.given for each in run}
            rounds += replay(
                strategy,
                cost_model(workplace, run[0].given.cost_model_id),
                workplace.sessions_per_year,
                market,
                labels,
                arrays,
                range(min(given), max(given) + 1),
                monitor=watch,
                standing=_standing(workplace, rounds, market, used, run[0]),
                controls=lambda row, given=given: given[row].controls,  # type: ignore[misc]
                late=lambda row: late_actions(workplace, cube.sessions[row], market),
            ).rounds
    return rounds[len(before) :]


def _standing(
    workplace: Workplace,
    rounds: list[Round],
    market: MarketView,
    used: dict[pd.Timestamp, str | None],
    told: _Told,
) -> Standing:
    """The state in memory, with what the last sessions' fills cost by what is known now; on record at first."""
    recorded_by = told.given.recorded_at
    if not rounds:
        return standing_before(workplace, told.session, market.panel.symbols, market, recorded_by)
    paper = {done.session: done.fills for done in rounds[-SLIPPAGE_SESSIONS:]}
    return replace(rounds[-1].standing, spending=spending_on_record(workplace, paper, market, used, recorded_by))
