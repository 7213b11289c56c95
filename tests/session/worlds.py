"""A small market with forecasts of known quality, for replays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import BuyAndHold, Scene
from nn_assets.evaluation.track import BookTrack
from nn_assets.features.labels import Labels, make_labels
from nn_assets.learning.forecasts import ForecastArrays
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.panel import FIELDS, Panel
from nn_assets.session.market_view import MarketView, market_view
from nn_assets.settings import Strategy
from nn_assets.signals.signals import SessionSignals, make_signals, outcome_statistics

SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE")


def world_strategy(execution: str = "next_close", **portfolio: object) -> Strategy:
    return Strategy.model_validate(
        {
            "name": "world",
            "market": {"history_starts": "2014-01-02", "cash_rate_annual_fraction": 0.01},
            "label": {"horizon_sessions": 3, "execution": execution},
            "portfolio": {"minimum_outcomes": 20, "shrink_prior_outcomes": 5.0, **portfolio},
        }
    )


@dataclass(frozen=True)
class World:
    strategy: Strategy
    panel: Panel
    market: MarketView
    labels: Labels
    forecasts: ForecastArrays

    def scene(self, rows: range, market: MarketView | None = None, **changed: object) -> Scene:
        """Some sessions of the world, to be replayed."""
        seen = self.market if market is None else market
        return Scene(rows, seen, self.labels, self.forecasts, **changed)  # type: ignore[arg-type]

    def signals(self, row: int) -> SessionSignals:
        """Signals of a session, from all outcomes realised by it."""
        horizon, volatility = self.strategy.label.horizon_sessions, self.market.volatility
        outcomes = outcome_statistics(
            self.forecasts.probability, self.labels.returns, self.labels.realised_row, volatility, horizon
        )
        return make_signals(SYMBOLS, self.forecasts.at(row), outcomes.at(row), volatility[row], horizon)

    def cut(self, rows: int) -> World:
        """The same world, known to ``rows`` rows only."""
        return world(self.strategy, rows, self.forecasts)


def _panel(bars: int, seed: int = 8) -> Panel:
    draw = np.random.default_rng(seed)
    shape = (400, len(SYMBOLS))
    close = 50.0 * np.exp(np.cumsum(draw.normal(0.0003, 0.012, shape), axis=0))
    start = close * np.exp(draw.normal(0.0, 0.004, shape))
    high = np.maximum(start, close) * np.exp(np.abs(draw.normal(0.0, 0.005, shape)))
    low = np.minimum(start, close) * np.exp(-np.abs(draw.normal(0.0, 0.005, shape)))
    fields = dict(zip(FIELDS, (start, high, low, close, np.full(shape, 5e6)), strict=True))
    sessions = sessions_between("XNYS", "2014-01-02", "2016-12-30")[:bars]
    return Panel(sessions=sessions, symbols=SYMBOLS, **{name: fields[name][:bars] for name in FIELDS})


def world(strategy: Strategy, bars: int = 300, forecasts: ForecastArrays | None = None) -> World:
    """Forecasts that know the label in 6 of 10 cases, made once from the longest history."""
    panel = _panel(bars)
    labels = make_labels(panel, strategy.label)
    if forecasts is None:
        draw = np.random.default_rng(3)
        side = np.where(draw.random(labels.targets.shape) < 0.6, labels.targets, 1.0 - labels.targets)
        calibrated = np.where(np.isfinite(side), np.where(side > 0.5, 0.6, 0.4), 0.55)
        spread, half, sure = (np.full(calibrated.shape, value) for value in (0.02, 0.5, 1.0))
        forecasts = ForecastArrays(
            calibrated, spread, calibrated, base_rate=half, confidence=sure, score=calibrated - 0.5, novelty=sure
        )
    return World(strategy, panel, market_view(panel, strategy.portfolio), labels, forecasts.at(slice(bars)))


def yardstick_of(scenes: list[Scene], strategy: Strategy | None = None) -> BookTrack:
    """What buying and holding earned over scenes."""
    strategy = world_strategy() if strategy is None else strategy
    yardstick = BuyAndHold(strategy.portfolio.initial_capital_usd, cost_model_from(strategy.costs))
    for scene in scenes:
        yardstick.hold(scene)
    return yardstick.track
