"""Seconds of one decision by the programme: covariance, the final solve, and the steps that a live session stores.

The book before is what the programme holds for yesterday's forecasts, so that holdings, no-trade zone and limits are
those of a running strategy. Nothing stands beside it: a solve in numpy alone takes minutes at these sizes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from nn_assets.costs.model import cost_model_from
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.construction import ConstructionInputs, construct, targets_of
from nn_assets.portfolio.covariance import factor_covariance
from nn_assets.portfolio.decide import decide
from nn_assets.portfolio.inputs import DecisionInputs, ProgrammeFacts
from nn_assets.portfolio.trace import steps_frame
from nn_assets.settings import CostSettings, PortfolioSettings
from tests.benchmarks.telling import tell

SIZES = (60, 500, 3000)
COSTS = cost_model_from(CostSettings())


def settings(names: int) -> PortfolioSettings:
    sectors = {f"S{index:04d}": f"sector {index % 11}" for index in range(names)}
    return PortfolioSettings(initial_capital_usd=1e8, net_limit=0.0, sectors=sectors)


def returns(names: int) -> np.ndarray:
    g = np.random.default_rng([names, 1])
    market, sector = g.normal(0.0, 0.008, (120, 1)), g.normal(0.0, 0.0045, (120, 11))
    own = g.normal(0.0, 0.016, (120, names)) * np.exp(0.2 * g.normal(size=names))
    return market * (1.0 + 0.2 * g.normal(size=names)) + sector[:, np.arange(names) % 11] + own


def running_book(names: int) -> ConstructionInputs:
    """Facts of a session after forty under forecasts of AR(1) 0.95, IC 0.05, capital of 100 million."""
    g = np.random.default_rng([names, 2])
    volatility = 0.019 * np.exp(0.2 * g.normal(size=names))
    price = np.exp(np.log(60.0) + 0.5 * g.normal(size=names))
    signal, unscaled = g.normal(size=names), np.zeros(names)
    for session in range(41):
        made = ConstructionInputs(
            symbols=tuple(f"S{index:04d}" for index in range(names)),
            session=session,
            reference_price=price,
            last_mark=price,
            calibrated_probability=0.5 + 0.03 * signal,
            confidence=np.ones(names),
            volatility=volatility,
            daily_volatility=volatility,
            atr=1.4 * volatility * price,
            stop_price=np.full(names, np.nan),
            adv_usd=np.exp(np.log(8e7) + 0.7 * np.random.default_rng(3).normal(size=names)),
            market_beta=1.0 + 0.2 * np.random.default_rng(4).normal(size=names),
            covariance=factor_covariance(returns(names), 10),
            unscaled_quantity=unscaled,
            held_quantity=unscaled,
            blocked_side=np.zeros(names, dtype=np.int64),
            evidence=np.ones(names, dtype=np.bool_),
            equity_usd=1e8,
            horizon_sessions=10,
            base_rate=0.5,
            outcome_slope=2.133,
            change_share=1.0,
            relative=True,
            short_fee=2e-4,
        )
        if session < 40 and session % (10 if names > 1000 else 1) == 0:
            unscaled = construct(made, settings(names), COSTS).quantity
        signal = 0.95 * signal + np.sqrt(1.0 - 0.95**2) * g.normal(size=names)
    return made


@pytest.mark.benchmark(group="covariance of 3000 names, 120 sessions")
def test_covariance(benchmark: BenchmarkFixture) -> None:
    latest = returns(3000)
    tell(benchmark, "package", 3000, "names")
    assert np.isfinite(benchmark.pedantic(factor_covariance, (latest, 10), rounds=5, warmup_rounds=1).specific).all()


@pytest.mark.parametrize("with_steps", [False, True], ids=["replay", "live"])
@pytest.mark.parametrize("names", SIZES)
def test_decision(benchmark: BenchmarkFixture, names: int, *, with_steps: bool) -> None:
    benchmark.group = f"decision of {names} names"
    tell(benchmark, "with its eight steps" if with_steps else "final solve and targets", names, "names")
    made, chosen = running_book(names), settings(names)

    def decided() -> np.ndarray:
        construction = construct(made, chosen, COSTS, with_steps=with_steps)
        assert not construction.solution.fallback
        return targets_of(construction, Control.NORMAL, 1.0).weight

    weights = benchmark.pedantic(decided, rounds=5 if names > 1000 else 15, warmup_rounds=1)
    assert np.abs(weights).sum() > 0.2


def wide_book(names: int) -> tuple[DecisionInputs, PortfolioSettings]:
    """A session of a book of a billion, so large that a third of the names are held: what a live round is given."""
    g = np.random.default_rng([names, 5])
    volatility = 0.019 * np.exp(0.2 * g.normal(size=names))
    price, latest = np.exp(np.log(60.0) + 0.5 * g.normal(size=names)), returns(names)
    programme = ProgrammeFacts(
        label_volatility=volatility, outcome_slope=2.133, change_share=0.2, autocorrelation=0.95, returns=latest,
        relative=True, short_fee=2e-4, margin_fee=2e-4,
    )  # fmt: skip
    signal, nothing = g.normal(size=names), np.zeros(names)
    made = DecisionInputs(
        symbols=tuple(f"S{index:04d}" for index in range(names)),
        session=np.datetime64("2017-06-01"),
        reference_price=price,
        calibrated_probability=0.5 + 0.03 * signal,
        base_rate=np.full(names, 0.5),
        confidence=np.ones(names),
        mean_win=0.8 * volatility * 10**0.5,
        mean_loss=0.8 * volatility * 10**0.5,
        outcomes=np.full(names, 1000, dtype=np.int64),
        outcome_sessions=np.full(names, 500, dtype=np.int64),
        atr=1.4 * volatility * price,
        daily_volatility=volatility,
        adv_usd=np.exp(np.log(8e7) + 0.7 * g.normal(size=names)),
        trailing_returns=latest[-60:],
        beta=1.0 + 0.2 * g.normal(size=names),
        current_quantity=nothing,
        blocked_side=np.zeros(names, dtype=np.int64),
        equity_usd=1e9,
        drawdown_fraction=0.0,
        horizon_sessions=10,
        edge_scale=40.0,
        verdict_allows=True,
        programme=programme,
    )
    chosen = settings(names).model_copy(update={"construction": "programme"})
    for _ in range(2):
        held = decide(made, chosen, COSTS).unscaled_quantity
        signal = 0.95 * signal + np.sqrt(1.0 - 0.95**2) * g.normal(size=names)
        made = replace(made, calibrated_probability=0.5 + 0.03 * signal, current_quantity=held, unscaled_quantity=held)
    return made, chosen


@pytest.mark.parametrize("traced", [False, True], ids=["replay", "live"])
@pytest.mark.parametrize("names", [500, 3000])
def test_decision_as_a_round_makes_it(benchmark: BenchmarkFixture, names: int, *, traced: bool) -> None:
    benchmark.group = f"decision of {names} names as a round makes it, a third of them held"
    tell(benchmark, "with its frame of eight steps" if traced else "decision", names, "names")
    made, chosen = wide_book(names)

    def decided() -> np.ndarray:
        decision = decide(made, chosen, COSTS)
        assert decision.answer.no_answer is None
        return steps_frame(decision)["weight_after"].to_numpy() if traced else decision.target_weight

    assert np.abs(benchmark.pedantic(decided, rounds=3, warmup_rounds=1)).sum() > 0.2
