"""Capture: what the decision keeps of the edge in forecasts that are right by construction.

A market with a planted signal (rank IC 0.05 with the next session's return, AR(1) 0.95), a forecast that correlates
0.45 with it, and the same mean returns given to the package's programme and to the plain optimiser of
:mod:`tests.proof.reference`. Both trade at the next close, both pay the same costs, computed here; no stops, no
controls, no verdict. The first 120 sessions feed the covariance and are left out.

How the forecast's noise lasts is not told by "0.45": ``lasting``, which the table has, gives it the signal's own
AR(1), ``fresh`` draws it anew each session. Forecast, mean and p are exact for either, since only today's is read.

Beside it the package's book once more with stops: they rest from the fill on, two ATR away, and are filled at the worse
of open and stop; nothing is bought again on that side until the signal leaves it or the horizon has passed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

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
from tests.proof.results import Result
from tests.proof.targets import Target

TITLE = "Capture"
SHARPE_AT_LEAST, SHARPE_LOW_AT_LEAST, RETURN_AT_LEAST, DRAWDOWN_AT_MOST = 0.9, 0.8, 0.8, 1.1
# What a plain optimiser earned when the table was asked for, by names and seed; nobody said how its noise lasted.
EXPECTED = {(40, 3): 0.43, (40, 2): 0.59, (40, 4): 1.38, (60, 5): 2.04}
EXPECTED_WITHIN = 0.2
STOP_ATR = 2.0
_ATR_SESSIONS = 14

SESSIONS, WARM_UP, HORIZON = 900, 130, 10
CORRELATION, RANK_IC, PERSISTENCE = 0.45, 0.05, 0.95
CAPITAL, YEAR = 1e6, 252
COSTS = cost_model_from(CostSettings())
# The reference's limits, and none besides: net 0, 10% a name, gross 1.
LIMITS = PortfolioSettings(net_limit=0.0, beta_limit=100.0, risk_per_signal_fraction=1.0, risk_total_fraction=1.0)


@dataclass(frozen=True)
class Market:
    """Arrays (sessions, names)."""

    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    adv: np.ndarray
    volatility: np.ndarray  # EWMA of the return less the cross-section's median, per session
    own_volatility: np.ndarray  # EWMA of the return
    mean: np.ndarray  # expected return from fill to fill + h, less the cross-section's
    forecast: np.ndarray

    @property
    def average_true_range(self) -> np.ndarray:
        """Mean of 14 sessions' true range (Wilder 1978), price; NaN in the first of them."""
        before = np.vstack([np.full(self.close.shape[1], np.nan), self.close[:-1]])
        ranges = np.fmax(self.high, before) - np.fmin(self.low, before)
        return pd.DataFrame(ranges).rolling(_ATR_SESSIONS).mean().to_numpy()

    @property
    def returns(self) -> np.ndarray:
        """Simple returns, the first row NaN."""
        return np.vstack([np.full(self.close.shape[1], np.nan), self.close[1:] / self.close[:-1] - 1.0])


def make_market(names: int, seed: int, noise: str, sessions: int | None = None) -> Market:
    """Simulate, and put the forecast on top: exact mean given today's forecast and volatility."""
    sessions = sessions or SESSIONS
    made = simulate_market(names, pd.bdate_range("2012-01-02", periods=sessions), seed, RANK_IC, PERSISTENCE)
    bars = made.bars.sort_values(["session", "symbol"])
    opened, high, low, close = (
        bars[field].to_numpy().reshape(sessions, names) for field in ("open", "high", "low", "close")
    )
    dollars = (bars["close"] * bars["volume"]).to_numpy().reshape(sessions, names)
    adv = pd.DataFrame(dollars).rolling(20, min_periods=1).mean().to_numpy()
    g = np.random.default_rng([seed, 45])
    other = g.normal(size=(sessions, names))
    if noise == "lasting":
        for row in range(1, sessions):
            other[row] = PERSISTENCE * other[row - 1] + math.sqrt(1.0 - PERSISTENCE**2) * other[row]
    forecast = CORRELATION * made.truth.signal + math.sqrt(1.0 - CORRELATION**2) * other
    log_return = np.diff(np.log(close), axis=0, prepend=np.log(close[:1]))
    relative = log_return - np.median(log_return, axis=1, keepdims=True)
    # E[signal(t + j)] = 0.95^j 0.45 forecast(t); the fill is at t + 1, the first return earned that of t + 2.
    lasts = sum(PERSISTENCE**j for j in range(1, HORIZON + 1))
    volatility = _ewma(relative)
    mean = RANK_IC * lasts * CORRELATION * forecast * volatility
    mean = mean - mean.mean(axis=1, keepdims=True)
    return Market(opened, high, low, close, adv, volatility, _ewma(log_return), mean, forecast)


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


@dataclass
class Stops:
    """Levels that rest under what is held (above what is short), (names,); NaN where nothing rests."""

    level: np.ndarray
    blocked: np.ndarray  # side on which one was hit, 0 for none
    since: np.ndarray  # session of the hit

    @classmethod
    def none(cls, names: int) -> Stops:
        return cls(np.full(names, np.nan), np.zeros(names, dtype=np.int64), np.zeros(names, dtype=np.int64))

    def hit(self, market: Market, t: int, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which were reached in a session, and the price that each got: the worse of open and stop."""
        side = np.sign(shares)
        worst = np.where(side > 0, market.low[t], market.high[t])
        reached = (side != 0) & (side * (worst - self.level) <= 0.0)
        price = np.where(side > 0, np.minimum(market.open[t], self.level), np.maximum(market.open[t], self.level))
        self.blocked = np.where(reached, side, self.blocked).astype(np.int64)
        self.since = np.where(reached, t, self.since)
        self.level = np.where(reached, np.nan, self.level)
        return reached, price

    def release(self, market: Market, t: int) -> None:
        """Let a side go when the signal has left it or the horizon has passed."""
        gone = (np.sign(market.mean[t]) != self.blocked) | (t - self.since >= HORIZON)
        self.blocked = np.where(gone, 0, self.blocked)

    def rest(self, before: np.ndarray, after: np.ndarray, price: np.ndarray, distance: np.ndarray) -> None:
        """Place them after a trade: an addition moves the level to the weighted one, never away from the price."""
        side = np.sign(after)
        fresh = price - side * distance
        held = np.where(np.sign(before) == side, np.abs(before), 0.0)
        added = np.maximum(np.abs(after) - held, 0.0)
        size = np.where(held + added > 0.0, held + added, 1.0)
        old = np.where(np.isfinite(self.level) & (held > 0.0), self.level, fresh)
        moved = (old * held + fresh * added) / size
        nearer = np.where(side > 0, np.maximum(old, moved), np.minimum(old, moved))
        self.level = np.where(side == 0, np.nan, np.where(held > 0.0, nearer, fresh))


def play_reference(market: Market) -> np.ndarray:
    """Equity by session."""
    account, aim, equity = Account(np.zeros(market.close.shape[1])), None, []
    for t in range(WARM_UP, min(SESSIONS, len(market.close))):
        close = market.close[t]
        if aim is not None:
            account.trade(aim, close, market.adv[t - 1], market.own_volatility[t - 1])
        worth = account.equity(close)
        equity.append(worth)
        matrix = reference.covariance(market.returns[: t + 1], HORIZON)
        aim = reference.weights(market.mean[t], matrix, account.shares * close / worth) * worth / close
    return np.array(equity)


def play_package(market: Market, *, share: float | None = None, stops: Stops | None = None) -> tuple[np.ndarray, int]:
    """Equity by session, and sessions without an answer from the solver; ``share`` puts q in place of the measured."""
    names = market.close.shape[1]
    account, unscaled, target, equity, fallbacks = Account(np.zeros(names)), np.zeros(names), None, [], 0
    for t in range(WARM_UP, min(SESSIONS, len(market.close))):
        close, sizes = market.close[t], (market.adv[t - 1], market.own_volatility[t - 1])
        if target is not None:
            aim = target
            if stops is not None:
                reached, price = stops.hit(market, t, account.shares)
                account.trade(np.where(reached, 0.0, account.shares), np.where(reached, price, close), *sizes)
                aim = np.where(np.sign(target) == stops.blocked, 0.0, target)
                stops.rest(account.shares, aim, close, STOP_ATR * market.average_true_range[t - 1])
            account.trade(aim, close, *sizes)
            unscaled = carried(unscaled, target, account.shares)
        equity.append(account.equity(close))
        inputs = _inputs(market, t, account, unscaled, share)
        if stops is not None:
            stops.release(market, t)
            inputs = replace(inputs, stop_price=stops.level, blocked_side=stops.blocked)
        construction = construct(inputs, LIMITS, COSTS)
        fallbacks += construction.solution.fallback
        unscaled, target = construction.quantity, targets_of(construction, Control.NORMAL, 1.0).quantity
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


def panels() -> list[dict[str, Any]]:
    """Two sizes of market, twenty seeds each, by turns."""
    return [{"names": names, "seed": seed, "noise": "lasting"} for seed in range(1, 21) for names in (40, 60)]


def measure(panel: Mapping[str, Any]) -> dict[str, Any]:
    """What the package's book, the same with stops, and the plain optimiser's earn on one market."""
    market = make_market(panel["names"], panel["seed"], panel["noise"], panel.get("sessions"))
    package, fallbacks = play_package(market)
    stopped, _ = play_package(market, stops=Stops.none(panel["names"]))
    played = {"package": package, "with stops": stopped, "reference": play_reference(market)}
    return {"fallbacks": fallbacks} | {name: asdict(Figures.of(equity)) for name, equity in played.items()}


def summary(results: Sequence[Result]) -> str:
    """Ratios of means over all markets, with the interval of a paired bootstrap; and the four that were expected."""
    about = (
        f"Forecasts right by construction (correlation {CORRELATION} with a planted signal of rank IC {RANK_IC}, AR(1) "
        f"{PERSISTENCE}; their noise lasts as the signal does), {SESSIONS} sessions, 40 and 60 names, seeds 1 to 20. "
        "The package's programme beside a plain one-step optimiser on the same means, limits and costs; no verdict, no "
        f"controls. Targets: ratio of net Sharpe at least {SHARPE_AT_LEAST}, its lower end at least "
        f"{SHARPE_LOW_AT_LEAST}; of net return at least {RETURN_AT_LEAST}; drawdown over volatility at most "
        f"{DRAWDOWN_AT_MOST}."
    )
    lines = [
        "| figure | markets | package | reference | ratio | with stops | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for key, called in (
        ("sharpe", "net Sharpe"),
        ("annual_return", "net return a year"),
        ("drawdown", "drawdown over volatility"),
    ):
        package, stopped, plain = (
            np.array([result.figures[name][key] for result in results])
            for name in ("package", "with stops", "reference")
        )
        ratios = []
        for own in (package, stopped):
            low, high = interval(own, plain)
            ratios.append(f"{own.mean() / plain.mean():.2f} ({low:.2f} to {high:.2f})")
        lines.append(
            f"| {called} | {len(results)} | {package.mean():.3f} | {plain.mean():.3f} | {ratios[0]} | "
            f"{stopped.mean():.3f} | {ratios[1]} |"
        )
    unsolved = sum(result.figures["fallbacks"] for result in results)
    return "\n\n".join(
        [about, "\n".join(lines), f"Sessions without an answer from the solver: {unsolved}.", _expected(results)]
    )


def targets(results: Sequence[Result]) -> list[Target]:
    """The package's book against the plain optimiser's."""
    targets = []
    for key, called, least, low_least in (
        ("sharpe", "net Sharpe", SHARPE_AT_LEAST, SHARPE_LOW_AT_LEAST),
        ("annual_return", "net return", RETURN_AT_LEAST, None),
        ("drawdown", "drawdown over volatility", None, None),
    ):
        own, plain = (np.array([result.figures[name][key] for result in results]) for name in ("package", "reference"))
        ratio, (low, high) = float(own.mean() / plain.mean()), interval(own, plain)
        if least is None:
            asked, met = f"{called}: at most {DRAWDOWN_AT_MOST} of the reference's", ratio <= DRAWDOWN_AT_MOST
        else:
            asked, met = f"{called}: at least {least} of the reference's", ratio >= least
        if low_least is not None:
            asked, met = f"{asked}, lower end at least {low_least}", met and low >= low_least
        targets.append(Target(asked, f"{ratio:.2f} ({low:.2f} to {high:.2f})", met))
    near = [(seed, sharpe, _reference_sharpe(results, *seed)) for seed, sharpe in EXPECTED.items()]
    known = [(sharpe, own) for _, sharpe, own in near if own is not None]
    if known:
        expected, own = np.array(known).T
        measured = ", ".join(f"{value:.2f}" for value in own)
        asked = f"the reference earns about {', '.join(f'{value:.2f}' for value in expected)} itself"
        targets.append(Target(asked, measured, bool((np.abs(own - expected) <= EXPECTED_WITHIN).all())))
    return targets


def _reference_sharpe(results: Sequence[Result], names: int, seed: int) -> float | None:
    for result in results:
        if (result.panel["names"], result.panel["seed"]) == (names, seed):
            return float(result.figures["reference"]["sharpe"])
    return None


def _expected(results: Sequence[Result]) -> str:
    lines = [
        "| names, seed | a plain optimiser, as expected | the reference here | the package |",
        "| --- | --- | --- | --- |",
    ]
    for (names, seed), sharpe in EXPECTED.items():
        for result in results:
            if (result.panel["names"], result.panel["seed"]) == (names, seed):
                plain, own = result.figures["reference"]["sharpe"], result.figures["package"]["sharpe"]
                lines.append(f"| {names}, {seed} | {sharpe:.2f} | {plain:.2f} | {own:.2f} |")
    note = (
        "**The reference does not reach the Sharpe ratios that were expected of it, seed by seed.** They came without "
        "the draw of the forecasts' noise, which decides most of a single market's figure at this rank IC. How long "
        "the noise lasts does not explain it: with noise drawn anew each session the reference earns less in each "
        "of the four. So only ratios over all markets are judged, in which both books see the same forecasts."
    )
    return "\n".join([*lines, "", note])
