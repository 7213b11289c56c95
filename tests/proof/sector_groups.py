"""What limits on groups by behaviour do to a book, on markets whose true sectors the book is never told.

The same forecasts are played with ``portfolio.groups: behaviour`` and without any group. What is held in one true
sector is the truth that the limit is there for; the groups are the package's own, from the returns of the rows that a
model would be fitted on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import Replay, Scene, replay
from nn_assets.features.labels import make_labels
from nn_assets.learning.folds import make_fold
from nn_assets.learning.forecasts import ForecastArrays
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.portfolio.expected import NORMAL_SLOPE
from nn_assets.portfolio.groups import behaviour_groups
from nn_assets.session.market_view import market_view
from nn_assets.settings import Strategy
from nn_assets.simulator.markets import MarketShape, SimulatedMarket, simulate_market
from tests.proof.capture import CORRELATION, PERSISTENCE, RANK_IC
from tests.proof.changing_markets import CHANGES, HORIZON, YEAR, bars, strategy_of
from tests.proof.controls import SEEDS, interval, track_figures
from tests.proof.results import Result

TITLE = "Groups by behaviour: what is held in one true sector"
FIRST, TRADED, LAST = "2011-12-01", "2014-12", "2015-06-30"
# Volatility of a sector's factor a session, and the share of the forecasts' errors that a sector's names have in common
MARKETS = {
    "clear sectors, errors shared within each": (0.008, 0.5),
    "clear sectors, errors of each name alone": (0.008, 0.0),
    "no sectors": (0.0, 0.0),
}

_HEAD = (
    "market",
    "seeds",
    "groups found, as the sectors are",
    "largest share of a sector, without",
    "with",
    "with less without",
    "equity",
    "drawdown saved",
    "Sharpe",
    "found",
)


def panels() -> list[dict[str, Any]]:
    """Twenty seeds of each market."""
    return [{"market": market, "seed": seed, "names": 40} for seed in SEEDS for market in MARKETS]


def strategy_with(groups: str) -> Strategy:
    """Forty names in a neutral book, grouped or not."""
    plain = strategy_of(FIRST)
    return plain.model_copy(update={"portfolio": plain.portfolio.model_copy(update={"groups": groups})})


def forecast(simulated: SimulatedMarket, seed: int, shared: float) -> np.ndarray:
    """Probability that a name beats the cross-section, right by construction, (sessions, names).

    As :func:`tests.proof.changing_markets.forecast`, but for what is not seen: a share of it is the sector's. Each
    name's forecast is calibrated as before; those of a sector are wrong together.
    """
    signal, random = simulated.truth.signal, np.random.default_rng([seed, 46])
    kinds = sorted(set(simulated.sectors.values()))
    sector = np.array([kinds.index(simulated.sectors[name]) for name in simulated.symbols])
    own, common = random.normal(size=signal.shape), random.normal(size=(len(signal), len(kinds)))
    other = math.sqrt(shared) * common[:, sector] + math.sqrt(1.0 - shared) * own
    for row in range(1, len(other)):
        other[row] = PERSISTENCE * other[row - 1] + math.sqrt(1.0 - PERSISTENCE**2) * other[row]
    seen = CORRELATION * signal + math.sqrt(1.0 - CORRELATION**2) * other
    lasts = sum(PERSISTENCE**j for j in range(1, HORIZON + 1))
    mean = RANK_IC * lasts * CORRELATION * (seen - seen.mean(axis=1, keepdims=True))  # in daily volatilities
    return 0.5 + mean / (NORMAL_SLOPE * math.sqrt(HORIZON))


def exact(probability: np.ndarray) -> ForecastArrays:
    """Forecasts that are their own calibration, on which all members agree."""
    return ForecastArrays(
        probability=probability,
        dispersion=np.full(probability.shape, 0.02),
        calibrated=probability,
        base_rate=np.full(probability.shape, 0.5),
        confidence=np.ones(probability.shape),
        score=np.log(probability / (1.0 - probability)),
        novelty=np.ones(probability.shape),
    )


def measure(panel: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of the book with groups and without; the same one where no groups are found."""
    volatility, shared = MARKETS[panel["market"]]
    sessions = sessions_between("XNYS", FIRST, panel.get("last", LAST))
    shape = MarketShape(sector_volatility=volatility)
    simulated = simulate_market(panel["names"], sessions, panel["seed"], RANK_IC, PERSISTENCE, shape)
    prices, strategy = bars(simulated, CHANGES[0], 0), strategy_with("sectors")
    market = market_view(prices, strategy.portfolio)
    fold = make_fold(sessions, TRADED, strategy.walk_forward, strategy.label)
    groups = behaviour_groups(prices.symbols, market.returns[fold.training])
    arrays = exact(forecast(simulated, panel["seed"], shared))
    scene = Scene(range(fold.used_from, len(sessions)), market, make_labels(prices, strategy.label), arrays)
    without = with_groups = replay(strategy, cost_model_from(strategy.costs), YEAR, [scene])
    if any(groups.names):
        chosen = strategy_with("behaviour")
        grouped = replace(scene, groups=lambda _: groups.names)
        with_groups = replay(chosen, cost_model_from(chosen.costs), YEAR, [grouped])
    sectors = simulated.sectors
    true = {tuple(name for name in sectors if sectors[name] == kind) for kind in set(sectors.values())}
    return {
        "groups": len(groups.members),
        "as_sectors": {tuple(members) for members in groups.members.values()} == true,
        "with": track_figures(with_groups, 0) | held_in_one(with_groups, simulated),
        "without": track_figures(without, 0) | held_in_one(without, simulated),
    }


def held_in_one(played: Replay, simulated: SimulatedMarket) -> dict[str, float]:
    """What was held in one true sector, fractions of equity, both sides counted: the most ever, and on average."""
    kinds = sorted(set(simulated.sectors.values()))
    belongs = np.array([[simulated.sectors[name] == kind for kind in kinds] for name in simulated.symbols], dtype=float)
    shares = []
    for done in played.rounds:
        book = done.session_state.book
        shares.append(np.abs(np.nan_to_num(book.quantity * book.price)) @ belongs / book.equity_usd)
    largest = np.max(shares, axis=1)
    return {"largest_share": float(largest.max()), "mean_largest_share": float(largest.mean())}


def summary(results: Sequence[Result]) -> str:
    """A row a market."""
    lines = [f"| {' | '.join(_HEAD)} |", f"|{' --- |' * len(_HEAD)}"]
    for market in MARKETS:
        here = [result.figures for result in results if result.panel["market"] == market]
        if here:
            lines.append(row_of(market, here))
    return "\n\n".join([_plain_words(results), _READING, "\n".join(lines)])


def gains(figures: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """With groups less without, by seed: shares, growth, the deepest drawdown (less of it is a gain), Sharpe."""
    keys = {"largest_share": 1.0, "growth": 1.0, "drawdown": -1.0, "sharpe": 1.0}
    return {key: [sign * (of["with"][key] - of["without"][key]) for of in figures] for key, sign in keys.items()}


def row_of(market: str, figures: Sequence[Mapping[str, Any]]) -> str:
    """One market's figures, with the 95% interval of a paired bootstrap over seeds."""
    of = gains(figures)
    shown = []
    for key, values in of.items():
        mean, low, high = interval(values)
        form = ".2f" if key == "sharpe" else ".2%"
        shown.append(f"{mean:+{form}} ({low:+{form}} to {high:+{form}})")
    largest = [np.mean([figure[side]["largest_share"] for figure in figures]) for side in ("without", "with")]
    counts = [sum(figure["groups"] > 0 for figure in figures), sum(figure["as_sectors"] for figure in figures)]
    cells = (market, str(len(figures)), ", ".join(map(str, counts)), *(f"{share:.1%}" for share in largest))
    return f"| {' | '.join((*cells, *shown, conclusion(figures)))} |"


def conclusion(figures: Sequence[Mapping[str, Any]]) -> str:
    """What the intervals allow to be said."""
    if not any(figure["groups"] for figure in figures):
        return "no groups: the same book"
    of, phrases = gains(figures), []
    for key, gained, lost in (
        ("largest_share", "holds more of one sector", "holds less of one sector"),
        ("growth", "gains equity", "costs equity"),
        ("drawdown", "saves drawdown", "deepens drawdown"),
        ("sharpe", "gains Sharpe", "costs Sharpe"),
    ):
        _, low, high = interval(of[key])
        phrases += [gained] if low > 0.0 else [lost] if high < 0.0 else []
    return ", ".join(phrases) if phrases else "nothing that can be told from chance"


def _plain_words(results: Sequence[Result]) -> str:
    """What the table comes to, in its first line."""
    said: dict[str, list[str]] = {}
    for market in MARKETS:
        here = [result.figures for result in results if result.panel["market"] == market]
        if here:
            said.setdefault(conclusion(here), []).append(market)
    parts = "; ".join(f"{words} ({', or '.join(markets)})" for words, markets in said.items())
    return f"**In plain words, a book with groups by behaviour, beside one without any: {parts}.**"


_READING = (
    "40 names in five sectors, a neutral book by the programme, exactly calibrated forecasts of a planted edge (rank "
    "IC 0.05), limits at their defaults (a group is held to `sector_limit`, 30% of equity, both sides counted), no "
    "drift watch, 146 sessions from December 2014. Clear sectors: each has a factor of 0.8% a session. Errors that are "
    "shared make the forecasts of a sector wrong together, so that the book leans to a sector without a reason. "
    "*Largest share* is the most that was held in one true sector at any close, fraction of equity, mean over seeds. "
    "Gains are with groups less without, by seed, with the 95% interval of a paired bootstrap over seeds."
)
