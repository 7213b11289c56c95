"""The look-ahead proof in production: what is stored, computed again on less history, must be equal."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pandas as pd

from nn_assets.evaluation.daily_round import Round
from nn_assets.evaluation.market_view import market_view
from nn_assets.evaluation.replay import forecast_arrays, replay
from nn_assets.orchestration.cost_models import cost_model, recorded_cost_model_ids
from nn_assets.orchestration.models import forecasts_until
from nn_assets.orchestration.rounds import recorded_given, watch_of
from nn_assets.orchestration.workplace import FORECASTS, Workplace

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


def decisions_repeat_in_replay(workplace: Workplace) -> tuple[int, list[str]]:
    """Play every decided session again on the backtest's path, and name targets that differ.

    The path is the study's: one panel, one pass, state carried in memory. The controls are those on
    record; everything else is computed anew.
    """
    strategy, ledger = workplace.strategy, workplace.ledger
    decisions = ledger.read("decisions", strategy.name)
    if decisions.empty:
        return 0, []
    last = decisions["session"].max()
    cube, panel = workplace.cube(last), workplace.panel(last)
    arrays = forecast_arrays(forecasts_until(workplace, cube, last), "network", cube.sessions, cube.symbols)
    given = {row["session"]: recorded_given(row) for _, row in decisions.iterrows()}
    market = market_view(panel, strategy.portfolio)
    first = cube.row(decisions["session"].min())
    watch = watch_of(workplace, cube, arrays, first)
    priced = recorded_cost_model_ids(decisions)
    rounds: list[Round] = []
    # Runs of sessions that one cost model priced, each from the state that the run before left.
    for cost_model_id, run in groupby(range(first, cube.row(last) + 1), key=lambda row: priced[cube.sessions[row]]):
        rows = list(run)
        rounds += replay(
            strategy,
            cost_model(workplace, cost_model_id),
            workplace.sessions_per_year,
            market,
            workplace.labels(panel),
            arrays,
            range(rows[0], rows[-1] + 1),
            monitor=watch,
            standing=rounds[-1].standing if rounds else None,
            controls=lambda row: given[cube.sessions[row]].controls,
        ).rounds
    targets = ledger.read("target_positions", strategy.name).set_index(["session", "symbol"])["target_quantity"]
    differing = [
        f"{symbol} {done.session.date()}: {targets[done.session, symbol]} on record, {quantity} replayed"
        for done in rounds
        for symbol, quantity in zip(panel.symbols, done.decision.target_quantity, strict=True)
        if targets[done.session, symbol] != quantity
    ]
    return len(rounds), differing
