"""The whole path over a small market, from versions of bars and series to orders, by the package's own functions.

Composed as the package's operations compose them: bars, actions and series as known, features, labels, sizes of the
market, a model fitted every other month on what lay before it, its forecasts, their calibration on the record
before it, signals, drift, positions by both constructions. Every array is on one session axis, so that two passes can
be compared row by row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from safetensors.numpy import load

from nn_assets import strategies
from nn_assets.arrays import Cube
from nn_assets.costs.model import cost_model_from
from nn_assets.estimators import USUAL
from nn_assets.evaluation.replay import Replay, Scene, replay
from nn_assets.features.catalogue.compute import compute_features
from nn_assets.features.labels import Labels, make_labels
from nn_assets.learning.artifact import DESCRIPTION, to_files
from nn_assets.learning.calibration import fit_calibration
from nn_assets.learning.chain import ScaledForecasts, calibrated, scaled
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.folds import make_fold
from nn_assets.learning.forecasts import ForecastArrays, Forecasts, no_forecasts
from nn_assets.learning.inference import forecast
from nn_assets.market.calendar.sessions import assumed_known_at, sessions_between
from nn_assets.market.facts.actions import actions_as_of
from nn_assets.market.facts.bars import known_bars
from nn_assets.market.facts.series import known_series
from nn_assets.market.panel import FIELDS, Panel, panel_from_bars
from nn_assets.session.daily_round import Round
from nn_assets.session.drift_watch import DriftWatch, drift_watch, model_references
from nn_assets.session.market_view import MarketView, market_view
from nn_assets.settings import Strategy
from nn_assets.simulator.markets import simulate_market
from tests.features.panels import OF_BARS, OF_SERIES
from tests.learning.tiny import fit_model

CALENDAR, LAG = "XNYS", 30
FIRST, LAST = "2013-06-03", "2016-09-30"
REFITS = ("2016-01", "2016-03", "2016-05", "2016-07")  # months from which a model is used, each until the next
SYMBOLS = 6
YEAR = 252
SPLIT, DIVIDEND = "2016-03-15", "2016-07-20"
ROLES = {"implied_volatility": "index", "funding_rate": "funding"}  # what a series is to the features, and its name
PAYMENTS_A_DAY = 3
STALE_AFTER = 5  # sessions
NETWORKS = {"small MLP": "", "LSTM of index_daily": "index_daily", "residual MLP of planted_edge": "planted_edge"}


def learning_of(network: str) -> dict[str, Any]:
    """A small MLP's settings, or those that a bundled strategy ships with; two members, three epochs."""
    settings: dict[str, Any] = {"network": "mlp", "lookback": 3, "hidden": 4, "layers": 1}
    if NETWORKS[network]:
        file = Path(str(strategies.__path__[0])) / f"{NETWORKS[network]}.yaml"
        settings = yaml.safe_load(file.read_text("utf-8"))["learning"]
    return settings | {"ensemble": 2, "maximum_epochs": 3, "processes": 1}


def strategy_of(construction: str = "programme", network: str = "small MLP") -> Strategy:
    """A small strategy on six names; its forecasts are watched, its breakers and limits at their defaults."""
    return Strategy.model_validate(
        {
            "name": "whole_path",
            "market": {"history_starts": FIRST, "known_at_lag_minutes": LAG},
            "features": {"market_symbol": "SIM01", "panel_pass_share": 0.5},
            "label": {"kind": "direction_relative", "horizon_sessions": 3, "execution": "next_open"},
            "learning": learning_of(network),
            "walk_forward": {"training_months": 15, "validation_months": 1, "calibration_months": 1}
            | {"minimum_training_rows": 200},
            "costs": {"half_spread_bps": 0.5, "commission_bps": 0.2},
            "portfolio": {"construction": construction, "net_limit": 0.0, "minimum_outcomes": 20}
            | {"shrink_prior_outcomes": 0, "correlation_sessions": 20},
            "oversight": {"drift_window_sessions": 20, "drift_reference_sessions": 60},
        }
    )


@dataclass(frozen=True, eq=False)
class Facts:
    """Versions of bars, actions and series, as the lake keeps them."""

    bars: pd.DataFrame
    actions: pd.DataFrame
    sessions: pd.DatetimeIndex
    series: pd.DataFrame

    def moment(self, session: pd.Timestamp) -> pd.Timestamp:
        """When a session is decided, UTC."""
        return assumed_known_at(CALENDAR, pd.DatetimeIndex([session]), LAG)[0]


def facts(seed: int) -> Facts:
    """A market with a planted edge, a split and a dividend; an index of implied volatility, and funding by name."""
    sessions = sessions_between(CALENDAR, FIRST, LAST)
    bars = simulate_market(SYMBOLS, sessions, seed, 0.3, 0.9).bars
    split = (bars["symbol"] == "SIM03") & (bars["session"] >= pd.Timestamp(SPLIT))
    for name in FIELDS:
        bars.loc[split, name] *= 2.0 if name == "volume" else 0.5
    known = pd.Series(assumed_known_at(CALENDAR, pd.DatetimeIndex(bars["session"]), LAG), index=bars.index)
    versions = bars.assign(source="simulated", known_at=known, ingested_at=known)
    rows = [("SIM03", SPLIT, "split", 2.0), ("SIM05", DIVIDEND, "dividend", 0.5)]
    actions = pd.DataFrame(rows, columns=["symbol", "ex_session", "kind", "value"])
    actions["ex_session"] = pd.to_datetime(actions["ex_session"]).astype("datetime64[ns]")
    before = [sessions[sessions.searchsorted(day) - 1] for day in actions["ex_session"]]
    moments = assumed_known_at(CALENDAR, pd.DatetimeIndex(before), LAG)
    actions = actions.assign(source="simulated", known_at=moments, ingested_at=moments)
    return Facts(versions, actions, sessions, _series(seed, sessions, sorted(bars["symbol"].unique())))


def _series(seed: int, sessions: pd.DatetimeIndex, symbols: Sequence[str]) -> pd.DataFrame:
    """An index observed at each session's decision, and rates paid by each name every eight hours before it."""
    draw = np.random.default_rng([seed, 8])
    decided = assumed_known_at(CALENDAR, sessions, LAG)
    index = 20.0 * np.exp(np.cumsum(draw.normal(0.0, 0.05, len(sessions))) * 0.2)
    parts = [_observed(ROLES["implied_volatility"], "", sessions, decided, index)]
    for symbol in symbols:
        for back in range(PAYMENTS_A_DAY):
            rate = draw.normal(1e-4, 1e-4, len(sessions))
            moments = decided - pd.Timedelta(hours=24 * back / PAYMENTS_A_DAY)
            parts.append(_observed(ROLES["funding_rate"], symbol, sessions, moments, rate))
    return pd.concat(parts, ignore_index=True)


def _observed(
    name: str, symbol: str, sessions: pd.DatetimeIndex, moments: pd.DatetimeIndex, values: np.ndarray
) -> pd.DataFrame:
    """Observations of one series, known as they are made."""
    return pd.DataFrame(
        {"name": name, "symbol": symbol, "observed_at": moments, "session": sessions, "value": values}
    ).assign(source="simulated", known_at=moments, ingested_at=moments)


@dataclass(frozen=True, eq=False)
class WholePath:
    """Everything that the path gives, on the session axis of its facts."""

    cube: Cube
    labels: Labels
    market: MarketView
    models: Mapping[str, FoldModel]  # by month
    forecasts: Mapping[str, ForecastArrays]  # by estimator, calibrated
    replays: Mapping[str, Replay]  # by construction
    first: int  # row of the first session decided

    def until(self, row: int) -> dict[str, np.ndarray]:
        """Every thing by name, what of it was there at the close of ``row``."""
        stop = row + 1
        labels = self.labels.until(row)
        things = {f"feature {name}": self.cube.values[:stop, :, column] for column, name in enumerate(self.cube.names)}
        things |= {"label direction": labels.targets, "label return": labels.returns}
        for name in ("returns", "average_true_range", "volatility", "relative_volatility", "adv_usd", "beta"):
            things[f"market {name}"] = getattr(self.market, name)[:stop]
        for name in ("rising", "tercile", "in_drawdown"):
            state = getattr(self.market.regimes, name)[:stop]
            things[f"regime {name}"] = np.where(state < 0, np.nan, state)
        things["regime scale"] = self.market.regime_scales[:stop]
        for month, model in self.models.items():
            if model.fold.used_from <= row:
                things |= {f"model {month} {name}": values for name, values in _model(model).items()}
        for estimator, arrays in self.forecasts.items():
            for name in ("probability", "dispersion", "calibrated", "base_rate", "confidence", "score"):
                things[f"forecast {estimator} {name}"] = getattr(arrays, name)[:stop]
        for construction, played in self.replays.items():
            rounds = played.rounds[: stop - self.first]
            things |= {f"{name} ({construction})": values for name, values in _decided(rounds).items()}
        return things


def _model(model: FoldModel) -> dict[str, np.ndarray]:
    """Weights, baselines, what was decided on training rows; each as one array."""
    files = to_files(model)
    arrays = {}
    for name, content in files.items():
        if name != DESCRIPTION:
            tensors = load(content)
            flat = [np.asarray(tensors[key], dtype=np.float64).ravel() for key in sorted(tensors)]
            arrays[name.split(".")[0]] = np.concatenate(flat)
    for name, record in (("scaler", model.scaler.to_dict()), ("stationarity", model.stationarity.to_dict())):
        arrays[name] = np.array([repr(part) for part in _leaves(record)])
    arrays["address"] = np.array([model.model_id, model.data_hash])
    return arrays


def _decided(rounds: Sequence[Round]) -> dict[str, np.ndarray]:
    """Signals, drift, positions, orders and the book of sessions decided, a row each."""
    series: dict[str, list[np.ndarray]] = {}

    def add(name: str, values: object) -> None:
        series.setdefault(name, []).append(np.atleast_1d(np.asarray(values, dtype=np.float64)))

    for done in rounds:
        for field in fields(done.signals):
            if field.name != "symbols":
                add(f"signal {field.name}", getattr(done.signals, field.name))
        add("position target", done.decision.target_quantity)
        add("position unscaled", done.decision.unscaled_quantity)
        add("position stop distance", done.decision.stop_distance)
        add("order quantity", done.session_state.book.unfilled_quantity)
        add("book equity", done.state.equity_usd)
        add("drift score", done.severity.score)
        add("drift statistic", [item.statistic for item in done.drift.statistics] if done.drift else [np.nan])
    return {name: np.concatenate(values) for name, values in series.items()}


def _leaves(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return [leaf for key in sorted(value, key=str) for leaf in (key, *_leaves(value[key]))]
    if isinstance(value, list | tuple):
        return [leaf for part in value for leaf in _leaves(part)]
    return [value]


def whole_path(of: Facts, moment: pd.Timestamp, last: pd.Timestamp, network: str = "small MLP") -> WholePath:
    """Everything up to ``last`` by what is known at a moment; the axis goes on as far as the facts do.

    Parameters
    ----------
    last : Timestamp
        Last session decided; months that begin after it have no model.
    network : one of NETWORKS
    """
    strategy = strategy_of(network=network)
    panel = _panel(of, moment)
    row = panel.row(last)
    prices = panel.total_return()
    decided = assumed_known_at(CALENDAR, panel.sessions, LAG)
    known = {
        role: known_series(of.series, name, panel.symbols, panel.sessions, decided, stale_after_sessions=STALE_AFTER)
        for role, name in ROLES.items()
    }
    names = (*OF_BARS, *OF_SERIES)
    cube = compute_features(prices, names, market_symbol=strategy.features.market_symbol, series=known)
    labels = make_labels(prices, strategy.label)
    market = market_view(panel, strategy.portfolio)
    models = {
        month: fit_model(
            cube, labels, make_fold(panel.sessions, month, strategy.walk_forward, strategy.label), strategy
        )
        for month in REFITS
        if pd.Timestamp(month) <= last
    }
    made = _forecasts(cube, labels, models, strategy)
    first = models[REFITS[0]].fold.used_from
    watch = _watch(cube, made, models, strategy)
    replays = {}
    for construction in ("programme", "per_name"):
        sized = strategy_of(construction, network)
        scene = Scene(range(first, row + 1), market, labels, made["network"], watch)
        replays[construction] = replay(sized, cost_model_from(sized.costs), YEAR, [scene])
    return WholePath(cube, labels, market, models, dict(made.estimators), replays, first)


def _panel(of: Facts, moment: pd.Timestamp) -> Panel:
    known = known_bars(of.bars, moment)
    symbols = tuple(sorted(of.bars["symbol"].unique()))
    return panel_from_bars(known, of.sessions, symbols, actions_as_of(of.actions, moment))


def _forecasts(cube: Cube, labels: Labels, models: Mapping[str, FoldModel], strategy: Strategy) -> Forecasts:
    """Every session by the model in force, calibrated on what was realised before its first use."""
    made = no_forecasts(cube.sessions, cube.symbols)
    ids: list[str | None] = [None] * cube.session_count
    starts = [model.fold.used_from for model in models.values()]
    used = [slice(start, stop) for start, stop in zip(starts, [*starts[1:], cube.session_count], strict=True)]
    for model, rows in zip(models.values(), used, strict=True):
        part = forecast(model, cube, rows)
        made.put(part)
        ids[rows] = list(part.model_ids)
    scales = {model.model_id: model.logit_scales for model in models.values()}
    arrays: dict[str, ForecastArrays] = {}
    for name in USUAL:
        marks = scaled(made[name], ids, {model_id: by_estimator[name] for model_id, by_estimator in scales.items()})
        parts = [made[name].at(slice(0, starts[0]))]
        for rows in used:
            start = rows.start
            calibration = fit_calibration(
                marks.score[:start],
                marks.dispersion[:start],
                labels.until(start - 1).targets,
                horizon_sessions=strategy.label.horizon_sessions,
                half_life_sessions=YEAR,
                prior_outcomes=strategy.portfolio.shrink_prior_outcomes,
            )
            marked = ScaledForecasts(marks.score[rows], marks.dispersion[rows])
            parts.append(calibrated(made[name].at(rows), marked, calibration))
        arrays[name] = ForecastArrays.joined(parts)
    return Forecasts(cube.sessions, cube.symbols, arrays, ids)


def _watch(cube: Cube, made: Forecasts, models: Mapping[str, FoldModel], strategy: Strategy) -> DriftWatch:
    references = {
        model.model_id: model_references(model, cube, strategy.oversight, YEAR)["network"] for model in models.values()
    }
    return drift_watch(cube, made["network"].probability, made.model_ids, references, strategy.oversight)
