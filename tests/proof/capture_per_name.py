"""Capture by ``per_name``: the markets and forecasts of :mod:`tests.proof.capture`, each name sized by itself.

The published chain is given what the programme and the plain optimiser are given there: the same forecasts, limits and
costs, at the next close, without stops, controls or verdict. Its wins and losses are those of a calm record in the
name's own volatility: the mean of |r| over the horizon, on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from nn_assets.portfolio.decide import decide
from nn_assets.portfolio.expected import NORMAL_SLOPE
from nn_assets.portfolio.inputs import DecisionInputs
from nn_assets.portfolio.kelly import edge_scale
from nn_assets.portfolio.targets import carried
from tests.proof import capture
from tests.proof.capture import HORIZON, WARM_UP, Account, Figures, Market, interval, make_market
from tests.proof.results import Result, address, kept

TITLE = "Capture by per_name: what the default of other labels keeps of the same forecasts"
SETTINGS = capture.LIMITS.model_copy(update={"construction": "per_name"})
_PROVEN = 10_000  # outcomes, and sessions with one: no size is withheld for want of evidence
_TRAILING = 60
_COMPARED: dict[str, Callable[[Mapping[str, float]], float]] = {
    "net Sharpe": lambda figures: figures["sharpe"],
    "net return a year": lambda figures: figures["annual_return"],
    "volatility a year": lambda figures: figures["annual_return"] / figures["sharpe"],
    "drawdown over volatility": lambda figures: figures["drawdown"],
}


def panels() -> list[dict[str, Any]]:
    """The markets of the table of capture."""
    return capture.panels()


def measure(panel: Mapping[str, Any]) -> dict[str, Any]:
    """What ``per_name`` earns on one market, and how much of its capital it uses (mean gross weight)."""
    market = make_market(panel["names"], panel["seed"], panel["noise"], panel.get("sessions"))
    equity, gross = play(market)
    return asdict(Figures.of(equity)) | {"gross": float(gross.mean())}


def play(market: Market) -> tuple[np.ndarray, np.ndarray]:
    """Equity and the target's gross weight by session."""
    names = market.close.shape[1]
    account, unscaled, target, equity, gross = Account(np.zeros(names)), np.zeros(names), None, [], []
    for t in range(WARM_UP, min(capture.SESSIONS, len(market.close))):
        if target is not None:
            account.trade(target, market.close[t], market.adv[t - 1], market.own_volatility[t - 1])
            unscaled = carried(unscaled, target, account.shares)
        equity.append(account.equity(market.close[t]))
        decision = decide(inputs_of(market, t, account, unscaled), SETTINGS, capture.COSTS)
        unscaled, target = decision.unscaled_quantity, decision.target_quantity
        gross.append(float(np.abs(decision.target_weight).sum()))
    return np.array(equity), np.array(gross)


def inputs_of(market: Market, t: int, account: Account, unscaled: np.ndarray) -> DecisionInputs:
    """What ``per_name`` may know at the close of session ``t``."""
    names, close = market.close.shape[1], market.close[t]
    outcome = market.volatility[t] * math.sqrt(HORIZON * 2.0 / math.pi)
    return DecisionInputs(
        symbols=tuple(map(str, range(names))),
        session=t,  # type: ignore[arg-type]
        reference_price=close,
        calibrated_probability=0.5 + market.mean[t] / (NORMAL_SLOPE * market.volatility[t] * math.sqrt(HORIZON)),
        base_rate=np.full(names, 0.5),
        confidence=np.ones(names),
        mean_win=outcome,
        mean_loss=outcome,
        outcomes=np.full(names, _PROVEN),
        outcome_sessions=np.full(names, _PROVEN),
        atr=0.02 * close,
        daily_volatility=market.own_volatility[t],
        adv_usd=market.adv[t],
        trailing_returns=market.returns[t + 1 - _TRAILING : t + 1],
        beta=np.full(names, np.nan),
        current_quantity=account.shares,
        blocked_side=np.zeros(names, dtype=np.int64),
        equity_usd=account.equity(close),
        drawdown_fraction=0.0,
        horizon_sessions=HORIZON,
        edge_scale=edge_scale(
            SETTINGS.kelly_fraction,
            outcome,
            outcome,
            market.own_volatility[t],
            HORIZON,
            float(np.nanmedian(market.own_volatility[: t + 1])),
        ),
        verdict_allows=True,
        unscaled_quantity=unscaled,
    )


def summary(results: Sequence[Result]) -> str:
    """Means beside those of the programme and of the plain optimiser, with paired intervals of the ratios."""
    have = kept("capture")
    pairs = [
        (result.figures, have[key].figures) for result in results if (key := address("capture", result.panel)) in have
    ]
    about = (
        "The markets, forecasts, limits and costs of the table above; no stops, controls or verdict, and evidence "
        "enough for every size. `per_name` is the default of every label that is not relative to the other names. It "
        "sizes each name by half Kelly after its own round trip, and reads of the rest of the book one correlation a "
        f"name. Its mean gross weight is {np.mean([own['gross'] for own, _ in pairs] or [0.0]):.1%}. Nothing was asked "
        "of it here."
    )
    lines = [
        "| figure | markets | per_name | programme | ratio | reference | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for called, figure in _COMPARED.items():
        own = np.array([figure(figures) for figures, _ in pairs])
        cells = [called, str(len(pairs)), f"{own.mean():.3f}"]
        for name in ("package", "reference"):
            other = np.array([figure(figures[name]) for _, figures in pairs])
            low, high = interval(own, other)
            cells += [f"{other.mean():.3f}", f"{own.mean() / other.mean():.2f} ({low:.2f} to {high:.2f})"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n\n".join([about, "\n".join(lines)])
