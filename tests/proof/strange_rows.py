"""What novelty does to a book whose feed shows rows unlike any that its model was fitted on, and to one whose does not.

A model is fitted on a market as it is. Once its book trades, the feed shows rows that are planted strange, while the
market goes on: features, forecasts, their novelty, every decision and mark see the feed, fills the market. The same
forecasts are played with the confidence that novelty leaves and with all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from nn_assets.evaluation.replay import Replay, Scene
from nn_assets.features.catalogue import compute_features
from nn_assets.features.labels import make_labels
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.forecasts import ForecastArrays
from nn_assets.market.panel import FIELDS, Panel, panel_from_bars
from nn_assets.operations.models.calibration import calibrate_forecasts
from nn_assets.operations.strategy_files import make_strategy
from nn_assets.session.market_view import MarketView, market_view
from tests.proof.changing_markets import ChangingMarket
from tests.proof.controls import SEEDS, interval, play, track_figures
from tests.proof.results import Result
from tests.proof.studied import Studied, _Facts, _History, settings_of

TITLE = "Novelty: rows unlike any that the model was fitted on"
CLEAN, VOLUMES, FROZEN = "nothing strange", "volumes of ten deviations", "frozen series"
MARKETS = (CLEAN, VOLUMES, FROZEN)
PLANTED = {"names": 24, "sessions": 1046, "rank_ic": 0.12, "persistence": 0.95, "horizon": 10}  # to February 2016
ESTIMATOR = "network"
DEVIATIONS, OF_SESSIONS = 10.0, 0.02
FROZEN_FOR, BEGINS = 10, 0.01  # sessions, and the chance of a name's on each
WAITS = 70  # sessions from the model's first use until the programme knows how long its forecasts last, and trades

_HEAD = (
    "market",
    "seeds",
    "strange rows told unlike",
    "other rows told unlike",
    "size on strange rows, without",
    "with",
    "equity",
    "drawdown saved",
    "Sharpe",
    "found",
)


def panels() -> list[dict[str, Any]]:
    """Twenty seeds; the markets of a seed share their model."""
    return [PLANTED | {"seed": seed} for seed in SEEDS]


class Feed(Studied):
    """A panel that is studied by what a feed shows of it, with the model of the market as it is."""

    def __init__(self, panel: Mapping[str, Any], shown: str, fitted: Studied | None = None) -> None:
        super().__init__(panel)
        settings = settings_of(panel)
        settings["learning"] |= {"ensemble": 3}
        self.strategy = make_strategy(settings | {"novelty": {}})
        self.shown, self.fitted = shown, fitted

    @cached_property
    def bars(self) -> Panel:
        """The market as it is."""
        return panel_from_bars(self.made.bars, self.made.sessions, self.made.symbols)

    @cached_property
    def strange(self) -> np.ndarray:
        """Which rows are planted strange, (sessions, names) bool: none before trading begins."""
        strange = np.zeros(self.bars.close.shape, dtype=np.bool_)
        random = np.random.default_rng([self.panel["seed"], 47])
        drawn = random.random(strange.shape)
        if self.shown == VOLUMES:
            strange = drawn < OF_SESSIONS
        if self.shown == FROZEN:
            begins = drawn < BEGINS
            for later in range(FROZEN_FOR):
                strange[later:] |= begins[: len(begins) - later]
        strange[: self.traded.start] = False
        return strange

    @cached_property
    def traded(self) -> range:
        """Rows that are played."""
        return range(self.models[self.months[0]].fold.used_from + WAITS, len(self.made.sessions))

    def seen(self) -> Panel:
        """The market as the feed shows it."""
        fields = {name: getattr(self.bars, name).copy() for name in FIELDS}
        if self.shown == VOLUMES:
            spread = np.log(fields["volume"]).std(axis=0)
            fields["volume"] = np.where(self.strange, fields["volume"] * np.exp(DEVIATIONS * spread), fields["volume"])
        if self.shown == FROZEN:
            rows = np.where(self.strange, 0, np.arange(len(self.strange))[:, None])
            rows = np.maximum.accumulate(rows, axis=0)
            fields = {name: np.take_along_axis(values, rows, axis=0) for name, values in fields.items()}
        return Panel(sessions=self.bars.sessions, symbols=self.bars.symbols, **fields)

    @cached_property
    def models(self) -> dict[str, FoldModel]:
        """Those of the market as it is."""
        if self.fitted is None:
            return super().models
        self._kept = self.fitted._kept
        return self.fitted.models

    @cached_property
    def history(self) -> _History:
        """Bars, features and labels as the feed shows them; no return of cash, so that none need be scored."""
        strategy, seen = self.strategy, self.bars if self.shown == CLEAN else self.seen()
        of = strategy.features
        cube = compute_features(seen, of.names, market_symbol=of.market_symbol)
        facts = _Facts(strategy, self.made.sessions, self.view(seen), cube, make_labels(seen, strategy.label))
        _ = self.fitted and self.models
        return _History(facts, self._kept)

    def view(self, bars: Panel) -> MarketView:
        """The sizes that bars show."""
        return market_view(bars, self.strategy.portfolio)

    def forecasts(self) -> dict[str, ForecastArrays]:
        """Of the network, with novelty and without."""
        plain = self.strategy.model_copy(update={"novelty": None})
        made = {}
        for name, strategy in (("with", self.strategy), ("without", plain)):
            history = replace(self.history, cut=replace(self.history.cut, strategy=strategy))
            record = calibrate_forecasts(history, self.raw, (ESTIMATOR,))  # type: ignore[arg-type]
            made[name] = record.estimators[ESTIMATOR]
        return made

    def played(self, forecasts: ForecastArrays) -> Replay:
        """A book of some forecasts, decided on the feed and filled on the market."""
        cut = self.history.cut
        scene = Scene(self.traded, cut.market, cut.labels, forecasts)
        return play(ChangingMarket(self.strategy, self.shown, scene, len(cut.sessions), self.view(self.bars)))


def measure(panel: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of each market of a seed, with novelty and without."""
    fitted = Feed(panel, CLEAN)
    return {market: of_market(fitted if market == CLEAN else Feed(panel, market, fitted)) for market in MARKETS}


def of_market(feed: Feed) -> dict[str, Any]:
    """How many rows are told unlike, and the two books."""
    forecasts, traded = feed.forecasts(), slice(feed.traded.start, feed.traded.stop)
    novelty, strange = forecasts["with"].novelty[traded], feed.strange[traded]
    scored = np.isfinite(novelty)
    rows, others = strange & scored, ~strange & scored
    figures: dict[str, Any] = {
        "strange": int(rows.sum()),
        "strange_unlike": int((novelty[rows] < 1.0).sum()),
        "others": int(others.sum()),
        "others_unlike": int((novelty[others] < 1.0).sum()),
    }
    for name, arrays in forecasts.items():
        played = feed.played(arrays)
        sizes = np.abs(np.array([done.decision.target_weight for done in played.rounds]))
        size = float(sizes[rows].mean()) if rows.any() else 0.0
        figures[name] = track_figures(played, 0) | {"size_on_strange": size}
    return figures


def summary(results: Sequence[Result]) -> str:
    """A row a market."""
    lines = [f"| {' | '.join(_HEAD)} |", f"|{' --- |' * len(_HEAD)}"]
    lines += [row_of(market, [result.figures[market] for result in results]) for market in MARKETS]
    return "\n\n".join([_plain_words(results), _READING, "\n".join(lines)])


def gains(figures: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """With novelty less without, by seed: of growth, of the deepest drawdown (less of it is a gain), of Sharpe."""
    keys = {"growth": 1.0, "drawdown": -1.0, "sharpe": 1.0}
    return {key: [sign * (of["with"][key] - of["without"][key]) for of in figures] for key, sign in keys.items()}


def row_of(market: str, figures: Sequence[Mapping[str, Any]]) -> str:
    """One market's figures, with the 95% interval of a paired bootstrap over seeds."""

    def unlike(rows: str) -> str:
        total = sum(of[rows] for of in figures)
        return f"{sum(of[f'{rows}_unlike'] for of in figures) / total:.1%}" if total else "none"

    shown = []
    for key, values in gains(figures).items():
        mean, low, high = interval(values)
        form = ".2f" if key == "sharpe" else ".2%"
        shown.append(f"{mean:+{form}} ({low:+{form}} to {high:+{form}})")
    sizes = [f"{np.mean([of[side]['size_on_strange'] for of in figures]):.2%}" for side in ("without", "with")]
    sizes = sizes if market != CLEAN else ["none", "none"]
    cells = (market, str(len(figures)), unlike("strange"), unlike("others"), *sizes, *shown, conclusion(figures))
    return f"| {' | '.join(cells)} |"


def conclusion(figures: Sequence[Mapping[str, Any]]) -> str:
    """What the intervals allow to be said."""
    of, phrases = gains(figures), []
    for key, called in (("growth", "equity"), ("drawdown", "drawdown"), ("sharpe", "Sharpe")):
        _, low, high = interval(of[key])
        phrases += [f"saves {called}"] if low > 0.0 else [f"costs {called}"] if high < 0.0 else []
    return ", ".join(phrases) if phrases else "saves nothing that can be told from chance"


def _plain_words(results: Sequence[Result]) -> str:
    """What the table comes to, in its first line."""
    said: dict[str, list[str]] = {}
    for market in MARKETS:
        said.setdefault(conclusion([result.figures[market] for result in results]), []).append(market)
    parts = "; ".join(f"{words} ({', or '.join(markets)})" for words, markets in said.items())
    return f"**In plain words, a book with novelty, beside the same without it: {parts}.**"


_READING = (
    f"{PLANTED['names']} names, planted rank IC 0.12 with the next session's return, a small MLP of three members "
    "fitted once on 30 + 3 + 3 months of the market as it is, its own calibration, a neutral book by the programme, no "
    f"drift watch, traded from {WAITS} sessions after the model's first use to February 2016. Over these sessions the "
    "feed shows strange rows, which no check of bars stops here: a volume "
    f"{DEVIATIONS:.0f} standard deviations of its logarithm too large on {OF_SESSIONS:.0%} of a name's sessions, or "
    f"all bars of a name repeating the last one for {FROZEN_FOR} sessions, begun on {BEGINS:.0%} of them. Fills are "
    "those of the market as it is. *Told unlike*: confidence is lowered. *Size*: mean absolute weight decided on the "
    "strange rows, fraction of equity. Gains are with novelty less without, by seed, with the 95% interval of a paired "
    "bootstrap over seeds."
)
