"""What the exposure scale of a two-state Markov model saves and costs, and whether its timing has a part in that.

Markets and measurement are those of :mod:`tests.proof.controls`, shorter. Beside the book with the scale and the one
without stands a third, whose size is multiplied all along by the mean of the scale that was in force: what the first
has over it is timing, what that one has over the second is being smaller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nn_assets.evaluation.replay import Replay
from nn_assets.session.market_view import market_view
from nn_assets.session.regime_naming import regime_naming
from nn_assets.settings import Strategy
from tests.proof.changing_markets import CHANGES, ChangingMarket, changing_market
from tests.proof.controls import SEEDS, acts, inputs_with, play, play_on, shown, track_figures, verdict
from tests.proof.results import Result

TITLE = "Markov scale: half the size in the turbulent state, and a constant size beside it"
FIRST, TRADED, LAST = "2011-07-01", "2014-12", "2015-06-30"
CONTROL = "regime scale"
BOOKS = ("with", "without", "constant")
TOO_FEW = "cannot be told yet: too few seeds are measured"
FEWEST = 10  # seeds of which a bootstrap is believed

_HEAD = (
    "market",
    "seeds",
    "sessions in force",
    "mean scale",
    "named by the rules",
    "against",
    "equity",
    "drawdown",
    "Sharpe",
    "found",
)


def panels() -> list[dict[str, Any]]:
    """Twenty seeds of each market."""
    return [{"change": change, "seed": seed, "names": 40} for seed in SEEDS for change in CHANGES]


def with_regimes(market: ChangingMarket) -> ChangingMarket:
    """The same market, whose regimes a two-state Markov model names, fitted anew as often as the strategy's models."""
    strategy = Strategy.model_validate(
        {**market.strategy.model_dump(mode="json", exclude_unset=True), "regimes": {"model": "markov_2"}}
    )
    bars = market.scene.market.panel
    view = market_view(bars, strategy.portfolio, regime_naming=regime_naming(strategy, bars.sessions))
    return replace(market, strategy=strategy, scene=replace(market.scene, market=view))


def measure(panel: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of the three books from the change on; until then all have the scale."""
    of = panel["change"], panel["seed"], panel["names"], panel.get("last", LAST)
    market = with_regimes(changing_market(*of, first=FIRST, traded=TRADED))
    whole = play(market)
    first, begins = market.scene.rows[0], market.changed
    scales = [done.decision.inputs.regime_scale for done in whole.rounds[begins - first :]]
    acting = [row for row, done in enumerate(whole.rounds, start=first) if row >= begins and acts(CONTROL, done)]
    books: dict[str, Replay] = dict.fromkeys(BOOKS, whole)
    if acting:
        books["without"] = play_on(market, whole, acting[0], [CONTROL])
        average = float(np.mean(scales))
        with inputs_with(regime_scale=lambda _: average):
            books["constant"] = play_on(market, whole, begins, [])
    by_rule = [bool(market.scene.market.regimes.no_markov(row)) for row in range(begins, first + len(whole.rounds))]
    return {
        "sessions": len(scales),
        "sessions_by_rule": sum(by_rule),
        "sessions_in_force": len(acting),
        "mean_scale": float(np.mean(scales)),
        "books": {name: track_figures(played, begins - first) for name, played in books.items()},
    }


def gains(results: Sequence[Result], one: str, other: str) -> dict[str, list[float]]:
    """Of one book less another, by seed: of growth, of the deepest drawdown (less of it is a gain), of Sharpe."""
    pairs = [(result.figures["books"][one], result.figures["books"][other]) for result in results]
    return {
        "growth": [a["growth"] - b["growth"] for a, b in pairs],
        "drawdown": [b["drawdown"] - a["drawdown"] for a, b in pairs],
        "sharpe": [a["sharpe"] - b["sharpe"] for a, b in pairs],
    }


def summary(results: Sequence[Result]) -> str:
    """A row a market for the scale, and one for its timing."""
    lines = [f"| {' | '.join(_HEAD)} |", f"|{' --- |' * len(_HEAD)}"]
    for change in CHANGES:
        here = [result for result in results if result.panel["change"] == change]
        if here:
            lines += rows_of(change, here)
    return "\n\n".join([_plain_words(results), _READING, "\n".join(lines)])


def rows_of(change: str, results: Sequence[Result]) -> list[str]:
    """One market's rows: with the scale against without it, and against a constant one of the same mean."""
    figures = [result.figures for result in results]
    shares = [of["sessions_in_force"] / of["sessions"] for of in figures]
    acted = [1 for of in figures if of["sessions_in_force"]]
    facts = (
        f"{np.mean(shares):.0%} ({min(shares):.0%} to {max(shares):.0%})",
        f"{np.mean([of['mean_scale'] for of in figures]):.2f}",
        f"{np.mean([of['sessions_by_rule'] / of['sessions'] for of in figures]):.0%}",
    )
    rows = []
    for other, called in (("without", "no scale"), ("constant", "a constant scale of the same mean")):
        of = gains(results, "with", other)
        cells = (change, str(len(results)), *facts, called, *shown(of), conclusion_of(acted, of))
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def conclusion_of(acted: Sequence[int], gained: Mapping[str, Sequence[float]]) -> str:
    """What the intervals allow to be said; nothing of a few seeds, whose bootstrap is far too narrow."""
    return TOO_FEW if len(gained["growth"]) < FEWEST else verdict(acted, gained)


def _plain_words(results: Sequence[Result]) -> str:
    """What the table comes to, in its first line."""
    scale, timing = (_conclusions(results, other) for other in ("without", "constant"))
    return f"**In plain words: the scale {scale}. Beside a constant scale of the same mean, its timing {timing}.**"


def _conclusions(results: Sequence[Result], other: str) -> str:
    """What is found against one of the other books, each finding with its markets."""
    by_conclusion: dict[str, list[str]] = {}
    for change in CHANGES:
        here = [result for result in results if result.panel["change"] == change]
        acted = [1 for result in here if result.figures["sessions_in_force"]]
        if here:
            by_conclusion.setdefault(conclusion_of(acted, gains(here, "with", other)), []).append(change)
    if len(by_conclusion) == 1:
        (conclusion,) = by_conclusion
        if conclusion == TOO_FEW:
            return conclusion
        return f"{conclusion} in {'any' if 'nothing' in conclusion else 'each'} of the markets"
    return "; ".join(f"{conclusion} where {' or '.join(where)}" for conclusion, where in by_conclusion.items())


_READING = (
    "The four markets of *Controls* with `regimes.model: markov_2` and every other control on, traded from December "
    "2014; the change comes with 2015, figures are of its first half (124 sessions). The Markov model is fitted anew "
    "each month on the 30 months that the strategy's own models would be fitted on, filtered, and halves the size in "
    "its turbulent state. *Named by the rules* are sessions of months for which none could be fitted, its states "
    "hardly differing: the scale is then that of the rules. *Against no scale* is with it less without it; *against a "
    "constant scale* is with it less a book that is all along multiplied by the mean of the scale in force, which "
    "nobody knew beforehand: what is left is timing alone. Gains by seed, with the 95% interval of a paired bootstrap "
    "over seeds."
)
