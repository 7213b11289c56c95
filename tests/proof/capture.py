"""``python -m tests.proof.capture``: what the decision keeps of the edge in forecasts that are right by construction.

A market with a planted signal (rank IC 0.05 with the next session's return, AR(1) 0.95), a forecast that correlates
0.45 with it, and the same mean returns given to the package's programme and to the plain optimiser of
:mod:`tests.proof.reference`. Both trade at the next close, both pay the same costs, computed here; no stops, no
controls, no verdict. The first 120 sessions feed the covariance and are left out.

How the forecast's noise lasts is not told by "0.45": ``lasting`` gives it the signal's own AR(1), ``fresh`` draws it
anew each session. Forecast, mean and p are exact for either, since only today's forecast is read.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nn_assets.costs.model import cost_model_from
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.construction import ConstructionInputs, construct, targets_of
from nn_assets.portfolio.covariance import factor_covariance
from nn_assets.portfolio.expected import NORMAL_SLOPE, change_share
from nn_assets.portfolio.targets import carried
from nn_assets.settings import CostSettings, PortfolioSettings
from nn_assets.simulator.markets import simulate_market
from tests.proof import reference

SESSIONS, WARM_UP, HORIZON = 900, 130, 10
CORRELATION, RANK_IC, PERSISTENCE = 0.45, 0.05, 0.95
CAPITAL, YEAR = 1e6, 252
COSTS = cost_model_from(CostSettings())
# The reference's limits, and none besides: net 0, 10% a name, gross 1.
LIMITS = PortfolioSettings(net_limit=0.0, beta_limit=100.0, risk_per_signal_fraction=1.0, risk_total_fraction=1.0)


@dataclass(frozen=True)
class Market:
    """Arrays (sessions, names)."""

    close: np.ndarray
    adv: np.ndarray
    volatility: np.ndarray  # EWMA of the return less the cross-section's median, per session
    own_volatility: np.ndarray  # EWMA of the return
    mean: np.ndarray  # expected return from fill to fill + h, less the cross-section's
    forecast: np.ndarray

    @property
    def returns(self) -> np.ndarray:
        """Simple returns, the first row NaN."""
        return np.vstack([np.full(self.close.shape[1], np.nan), self.close[1:] / self.close[:-1] - 1.0])


def make_market(names: int, seed: int, noise: str) -> Market:
    """Simulate, and put the forecast on top: exact mean given today's forecast and volatility."""
    made = simulate_market(names, pd.bdate_range("2012-01-02", periods=SESSIONS), seed, RANK_IC, PERSISTENCE)
    bars = made.bars.sort_values(["session", "symbol"])
    close = bars["close"].to_numpy().reshape(SESSIONS, names)
    dollars = (bars["close"] * bars["volume"]).to_numpy().reshape(SESSIONS, names)
    adv = pd.DataFrame(dollars).rolling(20, min_periods=1).mean().to_numpy()
    g = np.random.default_rng([seed, 45])
    other = g.normal(size=(SESSIONS, names))
    if noise == "lasting":
        for row in range(1, SESSIONS):
            other[row] = PERSISTENCE * other[row - 1] + math.sqrt(1.0 - PERSISTENCE**2) * other[row]
    forecast = CORRELATION * made.truth.signal + math.sqrt(1.0 - CORRELATION**2) * other
    log_return = np.diff(np.log(close), axis=0, prepend=np.log(close[:1]))
    relative = log_return - np.median(log_return, axis=1, keepdims=True)
    # E[signal(t + j)] = 0.95^j 0.45 forecast(t); the fill is at t + 1, the first return earned that of t + 2.
    lasts = sum(PERSISTENCE**j for j in range(1, HORIZON + 1))
    volatility = _ewma(relative)
    mean = RANK_IC * lasts * CORRELATION * forecast * volatility
    return Market(close, adv, volatility, _ewma(log_return), mean - mean.mean(axis=1, keepdims=True), forecast)


def _ewma(returns: np.ndarray, decay: float = 0.94) -> np.ndarray:
    return np.sqrt(pd.DataFrame(returns**2).ewm(alpha=1.0 - decay).mean().to_numpy())


@dataclass
class Account:
    """Shares and cash, traded at closes."""

    shares: np.ndarray
    cash: float = CAPITAL

    def equity(self, close: np.ndarray) -> float:
        return self.cash + float(self.shares @ close)

    def trade(self, shares: np.ndarray, close: np.ndarray, adv: np.ndarray, volatility: np.ndarray) -> None:
        """Pay half-spread, commission and impact by the contract's formula, written out here."""
        order = np.abs(shares - self.shares) * close
        share = order / adv
        cost = order * (4.5e-4 + 1.8e-4 + 0.15 * volatility * np.sqrt(share) + 0.03 * volatility * share)
        self.cash -= float((shares - self.shares) @ close) + float(cost.sum())
        self.shares = shares


def play_reference(market: Market) -> np.ndarray:
    """Equity by session."""
    account, aim, equity = Account(np.zeros(market.close.shape[1])), None, []
    for t in range(WARM_UP, SESSIONS):
        close = market.close[t]
        if aim is not None:
            account.trade(aim, close, market.adv[t - 1], market.own_volatility[t - 1])
        worth = account.equity(close)
        equity.append(worth)
        matrix = reference.covariance(market.returns[: t + 1], HORIZON)
        aim = reference.weights(market.mean[t], matrix, account.shares * close / worth) * worth / close
    return np.array(equity)


def play_package(market: Market, *, share: float | None = None) -> tuple[np.ndarray, int]:
    """Equity by session, and sessions without an answer from the solver; ``share`` puts q in place of the measured."""
    names = market.close.shape[1]
    account, unscaled, target, equity, fallbacks = Account(np.zeros(names)), np.zeros(names), None, [], 0
    for t in range(WARM_UP, SESSIONS):
        close = market.close[t]
        if target is not None:
            account.trade(target, close, market.adv[t - 1], market.own_volatility[t - 1])
            unscaled = carried(unscaled, target, account.shares)
        equity.append(account.equity(close))
        found = construct(_inputs(market, t, account, unscaled, share), LIMITS, COSTS)
        fallbacks += found.solution.fallback
        unscaled, target = found.quantity, targets_of(found, Control.NORMAL, 1.0).quantity
    return np.array(equity), fallbacks


def _inputs(market: Market, t: int, account: Account, unscaled: np.ndarray, share: float | None) -> ConstructionInputs:
    names, close = market.close.shape[1], market.close[t]
    p = 0.5 + market.mean[t] / (NORMAL_SLOPE * market.volatility[t] * math.sqrt(HORIZON))
    return ConstructionInputs(
        symbols=tuple(map(str, range(names))),
        session=t,
        reference_price=close,
        last_mark=close,
        calibrated_probability=p,
        confidence=np.ones(names),
        volatility=market.volatility[t],
        daily_volatility=market.own_volatility[t],
        atr=0.02 * close,
        stop_price=np.full(names, np.nan),
        adv_usd=market.adv[t],
        market_beta=np.full(names, np.nan),
        covariance=factor_covariance(market.returns[1 : t + 1], HORIZON),
        unscaled_quantity=unscaled,
        held_quantity=account.shares,
        blocked_side=np.zeros(names, dtype=np.int64),
        evidence=np.ones(names, dtype=np.bool_),
        equity_usd=account.equity(close),
        horizon_sessions=HORIZON,
        base_rate=0.5,
        outcome_slope=NORMAL_SLOPE,
        change_share=_share(market.forecast[: t + 1]) if share is None else share,
        relative=True,
    )


def _share(forecast: np.ndarray) -> float:
    """q from the forecasts so far: a name's forecast beside itself h sessions later."""
    return change_share(float(np.corrcoef(forecast[:-HORIZON].ravel(), forecast[HORIZON:].ravel())[0, 1]))


@dataclass(frozen=True)
class Figures:
    sharpe: float
    annual_return: float
    drawdown: float  # over annual volatility

    @classmethod
    def of(cls, equity: np.ndarray) -> Figures:
        daily = equity[1:] / equity[:-1] - 1.0
        volatility = float(daily.std()) * math.sqrt(YEAR)
        drawdown = float((1.0 - equity / np.maximum.accumulate(equity)).max())
        return cls(float(daily.mean()) * YEAR / volatility, float(daily.mean()) * YEAR, drawdown / volatility)


def interval(own: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """95% of the ratio of means, by a paired bootstrap over markets."""
    draw = np.random.default_rng(0).integers(0, len(own), (5000, len(own)))
    low, high = np.quantile(own[draw].mean(axis=1) / other[draw].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def main(arguments: list[str]) -> int:
    """Play the markets asked for and print a line each, then the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", type=int, nargs="+", default=[40, 60])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1, 21)))
    parser.add_argument("--noise", choices=["lasting", "fresh"], default="lasting")
    chosen = parser.parse_args(arguments)
    pairs = []
    for names in chosen.names:
        for seed in chosen.seeds:
            began = time.process_time()
            market = make_market(names, seed, chosen.noise)
            package, fallbacks = play_package(market)
            own, plain = Figures.of(package), Figures.of(play_reference(market))
            pairs.append((own, plain))
            print(
                f"{names} names, seed {seed}: net Sharpe {own.sharpe:+.2f} beside {plain.sharpe:+.2f}, a year "
                f"{own.annual_return:+.2%} beside {plain.annual_return:+.2%}, drawdown over volatility "
                f"{own.drawdown:.2f} beside {plain.drawdown:.2f}, {fallbacks} sessions without an answer, "
                f"{time.process_time() - began:.0f} s",
                flush=True,
            )
    for name in ("sharpe", "annual_return", "drawdown"):
        own, plain = (np.array([getattr(pair[side], name) for pair in pairs]) for side in (0, 1))
        low, high = interval(own, plain)
        ratio = own.mean() / plain.mean()
        print(f"{name}: {own.mean():.3f} beside {plain.mean():.3f}, ratio {ratio:.2f} ({low:.2f} to {high:.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
