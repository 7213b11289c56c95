"""Facts of a decision, made up for tests: every number here is an input, none an expectation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nn_assets.costs.model import CostModel, cost_model_from
from nn_assets.portfolio.decide import Decision, decide
from nn_assets.portfolio.inputs import DecisionInputs
from nn_assets.settings import CostSettings, PortfolioSettings

COSTS: CostModel = cost_model_from(CostSettings())
SETTINGS = PortfolioSettings()
ONE_NAME = PortfolioSettings(single_name_limit=1.0)


def facts(symbols: int = 4, seed: int = 0, **changes: object) -> DecisionInputs:
    """Facts under which the first symbols open positions; ``changes`` replace fields."""
    generator = np.random.default_rng(seed)
    returns = generator.normal(0.0, 0.01, (60, symbols))
    made = DecisionInputs(
        symbols=tuple(f"S{index:02d}" for index in range(symbols)),
        session=np.datetime64("2017-06-01"),
        reference_price=np.full(symbols, 50.0),
        calibrated_probability=np.linspace(0.62, 0.58, symbols),
        base_rate=np.full(symbols, 0.5),
        confidence=np.full(symbols, 0.9),
        mean_win=np.full(symbols, 0.02),
        mean_loss=np.full(symbols, 0.019),
        outcomes=np.full(symbols, 2000, dtype=np.int64),
        outcome_sessions=np.full(symbols, 500, dtype=np.int64),
        atr=np.full(symbols, 0.75),
        daily_volatility=np.full(symbols, 0.012),
        adv_usd=np.full(symbols, 5e7),
        trailing_returns=returns,
        beta=np.full(symbols, np.nan),
        current_quantity=np.zeros(symbols),
        blocked_side=np.zeros(symbols, dtype=np.int64),
        equity_usd=1_000_000.0,
        drawdown_fraction=0.0,
        horizon_sessions=5,
        edge_scale=10.0,
        verdict_allows=True,
    )
    return replace(made, **changes)


def decided(inputs: DecisionInputs, chosen: PortfolioSettings = SETTINGS) -> Decision:
    return decide(inputs, chosen, COSTS)


def one(**changes: object) -> DecisionInputs:
    """A single instrument whose size no sum limit touches."""
    shaped = {name: np.array([value]) if name not in _SCALAR else value for name, value in changes.items()}
    base = {"calibrated_probability": np.array([0.58]), "adv_usd": np.array([5e9])}
    return facts(1, **{**base, **shaped})


_SCALAR = {"drawdown_fraction", "equity_usd", "trading_state", "breakers", "kill_switch", "regime_scale",
           "verdict_allows", "horizon_sessions", "trailing_returns", "edge_scale", "assets_usd",
           "capacity_usd"}  # fmt: skip
