"""Markets of binary contracts whose true probabilities are known: one settles on every session, whatever is bet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import Replay, Scene, replay
from nn_assets.features.labels import Labels, make_labels
from nn_assets.learning.forecasts import ForecastArrays
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.panel import FIELDS, Panel, panel_from_bars
from nn_assets.session.market_view import market_view
from nn_assets.settings import Strategy

LIFE = 26  # sessions that a contract is quoted before it settles
WARM_UP = LIFE + 62  # sessions before the first bet: a size needs the outcomes of 60


def event_strategy(**changes: dict[str, object]) -> Strategy:
    """Costs of nothing and no limit but all capital, unless ``changes``, by section, say otherwise."""
    free = dict.fromkeys(("half_spread_bps", "commission_bps", "temporary_impact", "permanent_impact"), 0.0)
    open_limits = dict.fromkeys(("single_name_limit", "risk_per_signal_fraction", "risk_total_fraction"), 1.0)
    losses = {
        "drawdown_limit_fraction": 0.98,
        "weekly_loss_limit_fraction": 0.97,
        "session_loss_limit_fraction": 0.96,
        "stale_symbols_limit_fraction": 0.99,
    }
    settings: dict[str, dict[str, object]] = {
        "market": {"history_starts": "2018-01-01", "calendar": "24/7", "asset_class": "binary"},
        "label": {"kind": "settlement", "horizon_sessions": 1, "execution": "next_close"},
        "costs": dict(free),
        "portfolio": {**open_limits, **losses, "adv_limit_fraction": 1.0, "minimum_outcomes": 1, "lot_size": 1e-6}
        | {"shrink_prior_outcomes": 0.0},
        "execution": {
            "participation_cap_fraction": 1.0,
            "cost_noise_fraction": 0.0,
            "maximum_order_usd": 1e12,
            "price_collar_fraction": 1.0,
        },
    }
    for section, values in changes.items():
        settings[section] = {**settings.get(section, {}), **values}
    return Strategy.model_validate({"name": "events", "trade_without_verdict": True, **settings})


@dataclass(frozen=True)
class EventMarket:
    """Contract j is bought at ``price[j]`` on session LIFE + j - 1 and settles at ``outcome[j]`` on the next."""

    panel: Panel
    price: np.ndarray
    probability: np.ndarray  # the true one
    outcome: np.ndarray

    def forecasts(self, probability: np.ndarray) -> ForecastArrays:
        """Those of some probabilities, on the last two sessions of each contract."""
        table = np.full(self.panel.close.shape, np.nan)
        for contract, p in enumerate(probability):
            table[LIFE + contract - 2 : LIFE + contract, contract] = p
        sure, none = np.where(np.isfinite(table), 1.0, np.nan), np.where(np.isfinite(table), 0.02, np.nan)
        return ForecastArrays(
            table, none, table, base_rate=0.5 * sure, confidence=sure, score=table - 0.5, novelty=sure
        )

    def labels(self, strategy: Strategy) -> Labels:
        return make_labels(self.panel, strategy.label)

    def played(self, strategy: Strategy, probability: np.ndarray, last: int | None = None) -> Replay:
        """The rounds from the first bet on."""
        view = market_view(self.panel, strategy.portfolio)
        rows = range(WARM_UP, self.panel.session_count if last is None else last)
        scene = Scene(rows, view, self.labels(strategy), self.forecasts(probability))
        return replay(strategy, cost_model_from(strategy.costs), 365, [scene])


def event_market(
    contracts: int, seed: int = 3, edge: float = 0.1, settled_at: Mapping[int, float | None] = MappingProxyType({})
) -> EventMarket:
    """Prices of 0.3 to 0.7, each wrong by ``edge`` on a side of its own; bars that hardly move.

    ``settled_at`` says otherwise of some contracts than what came out, or None where no settlement is stated.
    """
    draw = np.random.default_rng(seed)
    price = draw.uniform(0.3, 0.7, contracts)
    probability = price + edge * draw.choice([-1.0, 1.0], contracts)
    outcome = (draw.random(contracts) < probability).astype(np.float64)
    sessions = sessions_between("24/7", "2018-01-01", "2024-12-31")[: contracts + LIFE]
    frames, actions = [], []
    for contract in range(contracts):
        name = f"C{contract:04d}"
        days = sessions[contract : contract + LIFE]
        close = price[contract] + 0.004 * draw.choice([-1.0, 1.0], LIFE)
        close[-2:] = price[contract]
        frames.append(pd.DataFrame({"symbol": name, "session": days, **dict.fromkeys(FIELDS[:4], close)}))
        value = settled_at.get(contract, outcome[contract])
        if value is not None:
            actions.append((name, sessions[contract + LIFE], "settlement", value))
    bars = pd.concat(frames).assign(volume=1e12)
    names = tuple(f"C{contract:04d}" for contract in range(contracts))
    settlements = pd.DataFrame(actions, columns=["symbol", "ex_session", "kind", "value"])
    return EventMarket(panel_from_bars(bars, sessions, names, settlements), price, probability, outcome)
