"""Bars lost at random, symbol by symbol: signals that are left out of sample, and what they are worth.

The same bars are lost under each treatment, and every forecast is judged by the label of the complete bars: what a
treatment does to the labels it trains on costs or earns it nothing else. A simulated panel has a planted edge; the real
one is 30 liquid stocks, where an edge this small is not told from none, and only the coverage says something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

from nn_assets.features.catalogue import compute_features
from nn_assets.features.labels import make_labels
from nn_assets.learning import baselines
from nn_assets.learning.baselines import BoostedTrees
from nn_assets.learning.first_month import first_model_month
from nn_assets.learning.folds import fitted_month, forecast_rows, make_fold
from nn_assets.learning.inference import forecast
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.panel import FIELDS, Panel, panel_from_bars
from nn_assets.settings import Strategy
from nn_assets.simulator.markets import simulate_market
from nn_assets.sources.tables.files import FilesSource
from tests.learning.tiny import fit_model
from tests.proof.behind import CHECKOUT
from tests.proof.intervals import mean_of
from tests.proof.results import Result, address, kept
from tests.proof.truth import rank_ic

TITLE = "Missing bars: what a lost bar costs"
TREATMENTS: Mapping[str, Mapping[str, Any]] = {
    "complete": {},
    "strict": {"max_missing_bars_fraction": 0.0},
    "step_over": {"missing_bars": "step_over"},
    "bridge": {"missing_bars": "bridge"},
}
LOST_ONE_IN = (250, 100)  # about one bar a year, and one every five months
NAMES, SESSIONS, HORIZON, PLANTED, PERSISTENCE = 30, 1260, 5, 0.05, 0.95
SEEDS = {"real": range(1, 3), "planted": range(1, 9)}
CASES = [("complete", 0), *((treatment, one_in) for one_in in LOST_ONE_IN for treatment in list(TREATMENTS)[1:])]
REAL = CHECKOUT.parent / "shared" / "data" / "sp500_5yr"
NO_TREES = BoostedTrees(0.0, *(np.zeros(0, dtype=kind) for kind in (int, int, float, int, int, float)))


def panels() -> list[dict[str, Any]]:
    """A market, a draw of lost bars and a treatment each; real bars only where they or their results are."""
    asked = [
        {"market": market, "seed": seed, "treatment": treatment, "lost_one_in": one_in}
        for market, seeds in SEEDS.items()
        for seed in seeds
        for treatment, one_in in CASES
    ]
    have = kept("missing_bars")
    return [
        panel for panel in asked if panel["market"] != "real" or REAL.is_dir() or address("missing_bars", panel) in have
    ]


def strategy_of(panel: Mapping[str, Any], starts: str, symbols: Sequence[str]) -> Strategy:
    """A small MLP with the default features and lookback, fitted once a year, three members."""
    return Strategy.model_validate(
        {
            "name": "missing_bars",
            "market": {"symbols": list(symbols), "history_starts": starts},
            "features": dict(TREATMENTS[panel["treatment"]]),
            "label": {"kind": "direction_relative", "horizon_sessions": HORIZON, "execution": "next_open"},
            "learning": {"network": "mlp", "hidden": 16, "layers": 1, "ensemble": 3, "processes": 1},
            "walk_forward": {"refit_every_months": 12},
            "portfolio": {"net_limit": 0.0},
        }
    )


def complete_bars(panel: Mapping[str, Any]) -> Panel:
    """The panel before bars are lost."""
    if panel["market"] == "planted":
        sessions = sessions_between("XNYS", "2012-01-03", "2022-12-30")[:SESSIONS]
        made = simulate_market(NAMES, sessions, panel["seed"], PLANTED, PERSISTENCE)
        return panel_from_bars(made.bars, sessions, made.symbols)
    bars = FilesSource(REAL).bars().dropna()
    sessions = sessions_between("XNYS", bars["session"].min().date(), bars["session"].max().date())
    whole = bars.groupby("symbol")["session"].transform("count") == len(sessions)
    traded = (bars["close"] * bars["volume"])[whole & (bars["session"] < sessions[250])].groupby(bars["symbol"]).mean()
    return panel_from_bars(bars, sessions, tuple(sorted(traded.nlargest(NAMES).index)))


def with_lost_bars(panel: Panel, seed: int, one_in: int) -> Panel:
    """Each bar lost with the same small chance, the same for every treatment."""
    lost = np.random.default_rng([seed, one_in]).random(panel.close.shape) < 1.0 / one_in
    fields = {name: np.where(lost, np.nan, getattr(panel, name)) for name in FIELDS}
    return Panel(sessions=panel.sessions, symbols=panel.symbols, **fields)


def measure(panel: Mapping[str, Any]) -> dict[str, Any]:
    """Signals and their rank IC out of sample."""
    complete = complete_bars(panel)
    one_in = panel["lost_one_in"]
    prices = with_lost_bars(complete, panel["seed"], one_in) if one_in else complete
    strategy = strategy_of(panel, str(complete.sessions[0].date()), complete.symbols)
    missing, bridge = strategy.features.max_missing_bars_fraction, strategy.features.missing_bars == "bridge"
    cube = compute_features(prices, max_missing_fraction=missing, bridge=bridge)
    labels = make_labels(prices, strategy.label, max_missing_fraction=missing)
    first = first_model_month(strategy)
    months = [str(period) for period in pd.period_range(first, complete.sessions[-1].to_period("M") - 1, freq="M")]
    probabilities = {name: np.full(complete.close.shape, np.nan) for name in ("network", "linear")}
    rows = np.zeros(complete.session_count, dtype=bool)
    fitted: dict[str, Any] = {}
    for month in months:
        due = fitted_month(month, first, strategy.walk_forward.refit_every_months)
        if due not in fitted:
            fold = make_fold(complete.sessions, due, strategy.walk_forward, strategy.label)
            with mock.patch.object(baselines, "fit_boosting", return_value=NO_TREES):
                fitted[due] = fit_model(cube, labels, fold, strategy)
        used = forecast_rows(complete.sessions, month)
        made, rows[used] = forecast(fitted[due], cube, used), True
        for name, values in probabilities.items():
            values[used] = made[name].probability
    truth = make_labels(complete, strategy.label).returns
    return {
        "symbol_sessions": int(rows.sum()) * len(complete.symbols),
        "lost": int(np.isnan(prices.close[rows]).sum() - np.isnan(complete.close[rows]).sum()),
        "signals": int(np.isfinite(probabilities["network"]).sum()),
        "training_samples": int(np.mean([model.figures["samples"]["training"] for model in fitted.values()])),
        "rank_ic": {name: _mean_rank_ic(values[rows], truth[rows]) for name, values in probabilities.items()},
    }


def _mean_rank_ic(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Mean over sessions of the correlation of ranks, among the names with a signal, five at least."""
    known = np.isfinite(probabilities) & np.isfinite(truth)
    correlations = [
        rank_ic(probabilities[None, row, known[row]], truth[None, row, known[row]])[0]
        for row in np.flatnonzero(known.sum(axis=1) >= 5)
    ]
    return float(np.nanmean(correlations))


def summary(results: Sequence[Result]) -> str:
    """Coverage, sessions without a signal for each bar lost, and rank IC with its difference to the complete bars."""
    about = (
        f"{NAMES} names, {SESSIONS:,} sessions, each bar lost with a chance of 1 in {LOST_ONE_IN[0]} or "
        f"{LOST_ONE_IN[1]}; models of 30 + 3 + 3 months fitted once a year, small MLP of three members, label of "
        f"{HORIZON} sessions, default features and lookback. *planted*: rank IC {PLANTED} with the next session's "
        f"return, AR(1) {PERSISTENCE}. *real*: the most traded of 122 stocks, 2013 to 2018, no edge known; a draw is "
        "of the bars lost alone. *strict* lets no window step over a missing bar. Rank IC is of the forecasts that "
        "there are, with the label of the complete bars; the difference to the complete bars' is paired by draw, with "
        "Student's 95% interval. More than one bar in twenty may be missing by chance: then all three are silent."
    )
    head = (
        "| market | one lost in | treatment | draws | signals | silent sessions a lost bar | training samples | "
        "rank IC, small MLP | less complete | rank IC, linear | less complete |"
    )
    lines = [about, "", head, "| --- " * 11 + "|"]
    for market in SEEDS:
        figures = {case: _of_case(results, market, *case) for case in CASES}
        for case, own in figures.items():
            pairs = [(own[seed], whole) for seed, whole in figures[CASES[0]].items() if seed in own]
            if pairs:
                lines.append(_line(market, case, pairs))
    return "\n".join(lines)


def _of_case(results: Sequence[Result], market: str, treatment: str, one_in: int) -> dict[int, Mapping[str, Any]]:
    """Figures by seed."""
    wanted = {"market": market, "treatment": treatment, "lost_one_in": one_in}
    return {
        result.panel["seed"]: result.figures
        for result in results
        if result.panel == wanted | {"seed": result.panel["seed"]}
    }


def _line(market: str, case: tuple[str, int], pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> str:
    signals = sum(own["signals"] for own, _ in pairs) / sum(own["symbol_sessions"] for own, _ in pairs)
    lost = sum(own["lost"] for own, _ in pairs)
    silent = sum(whole["signals"] - own["signals"] for own, whole in pairs) / lost if lost else 0.0
    samples = np.mean([own["training_samples"] for own, _ in pairs])
    cells = [
        market,
        str(case[1] or ""),
        case[0],
        str(len(pairs)),
        f"{signals:.1%}",
        f"{silent:.1f}" if lost else "",
        f"{samples:,.0f}",
    ]
    for name in ("network", "linear"):
        own, whole = (np.array([figures["rank_ic"][name] for figures in side]) for side in zip(*pairs, strict=True))
        cells += [f"{own.mean():+.4f}", _difference(own - whole) if lost else ""]
    return "| " + " | ".join(cells) + " |"


def _difference(values: np.ndarray) -> str:
    middle, low, high = mean_of(values)
    return f"{middle:+.4f} ({low:+.4f} to {high:+.4f})"
