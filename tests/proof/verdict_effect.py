"""What a verdict that stops trading saves and costs, against the same strategy told to trade regardless.

The strategy has a record of six years when it goes live; its verdict is taken at the end of the month before, and then
at every month's end, by the package's own study of everything out of sample until then. It is in force for the month
that follows. The live book goes on from the record's; both are the same up to the first session on which the verdict
does not allow trading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.estimators import USUAL
from nn_assets.evaluation.replay import BuyAndHold, Replay
from nn_assets.evaluation.study import YARDSTICK, Study, Terms, judge_figures, month_figures
from nn_assets.evaluation.track import BookTrack, StudyTrack
from tests.proof.changing_markets import CHANGES, LAST, YEAR, ChangingMarket, changing_market
from tests.proof.controls import gains_of, inputs_with, play, play_on, shown, track_figures, verdict
from tests.proof.results import Result

TITLE = "The verdict: what it saves by stopping, and costs by waiting"
SEEDS = range(1, 11)
PLANTED = (0.05, 0.10)
FIRST, RECORD, LIVE = "2005-01-03", "2008-01", "2014-01"
SOLD_BEFORE = 3  # sessions: decided, filled, and one more for what was capped
_LETTERS = {"leak alarm": "L", "no edge found": "N", "edge found": "E", "signal found": "S", "cannot tell": "C"}


def panels() -> list[dict[str, Any]]:
    """Ten seeds of two edges; each panel is one market and its three changes."""
    return [{"seed": seed, "planted": planted, "names": 40} for seed in SEEDS for planted in PLANTED]


def measure(panel: Mapping[str, Any]) -> dict[str, Any]:
    """By change: the verdicts at each look, when they stopped trading, and both books from the change on."""

    def made(change: str) -> ChangingMarket:
        return changing_market(
            change,
            panel["seed"],
            panel["names"],
            panel.get("last", LAST),
            first=panel.get("first", FIRST),
            traded=panel.get("record", RECORD),
            planted=panel["planted"],
        )

    healthy = made(CHANGES[0])
    whole, by_change = play(healthy), {}
    for change in CHANGES:
        market = healthy if change == CHANGES[0] else made(change)
        played = whole if market is healthy else play_on(market, whole, market.changed, [])
        by_change[change] = effect(market, played)
    return {"verdict": by_change}


def effect(market: ChangingMarket, regardless: Replay) -> dict[str, Any]:
    """What the verdict did on one market; from the change on, or from the first live session where nothing changes."""
    first, sessions = market.scene.rows[0], market.scene.market.panel.sessions
    months = sessions.strftime("%Y-%m")
    verdicts = verdicts_of(market, regardless)
    allowed = {str(pd.Period(month) + 1): allows for month, (_, allows) in verdicts.items()}
    live = [row for row in market.scene.rows if months[row] >= LIVE]
    # A strategy that may not trade when it goes live holds nothing then: what the record's book held is sold before.
    rows = range(live[0] - SOLD_BEFORE, live[-1] + 1)
    stopped = [row for row in rows if not allowed[max(months[row], LIVE)]]
    gated = regardless
    if stopped:
        with inputs_with(verdict_allows=lambda inputs: allowed[max(f"{inputs.session:%Y-%m}", LIVE)]):
            gated = play_on(market, regardless, stopped[0], [])
    begins = live[0] if market.change == CHANGES[0] else market.changed
    after = [row for row in stopped if row >= begins]
    return {
        "verdicts": "".join(letter for letter, _ in verdicts.values()),
        "trading": begins not in stopped,
        "stopped_after": after[0] - begins if after else None,
        "sessions": sum(row >= begins for row in live),
        "sessions_stopped": len(after),
        **{f"with_{name}": value for name, value in track_figures(gated, begins - first).items()},
        **{f"without_{name}": value for name, value in track_figures(regardless, begins - first).items()},
    }


def verdicts_of(market: ChangingMarket, played: Replay) -> dict[str, tuple[str, bool]]:
    """By month: the verdict at its end, and whether it allows trading; from the month before the first live one on."""
    study = study_of(market, played)
    first = str(pd.Period(LIVE) - 1)
    months = [month for month in dict.fromkeys(study.track.months) if month >= first][:-1]
    # The package's own three estimators are trials of every study.
    terms = Terms(trials=len(USUAL), first_look=first)
    figures = month_figures(market.strategy, YEAR, study, months, terms)
    return {
        entry.month: (_LETTERS[entry.verdict.kind], entry.verdict.allows_trading)
        for entry in judge_figures(figures, terms)
    }


def study_of(market: ChangingMarket, played: Replay) -> Study:
    """The study of a book that was played: one model, whose forecasts are the network's."""
    scene, strategy = market.scene, market.strategy
    panel, rows, forecasts = scene.market.panel, scene.rows, scene.forecasts
    used = np.arange(panel.session_count) >= rows[0]
    months = np.where(used, panel.sessions.strftime("%Y-%m").to_numpy(dtype=str), "")
    yardstick = BuyAndHold(strategy.portfolio.initial_capital_usd, market.costs)
    yardstick.hold(scene)

    def out_of_sample(values: np.ndarray) -> dict[str, np.ndarray]:
        return {"network": np.where(used[:, None], values, np.nan)}

    track = StudyTrack(
        sessions=panel.sessions,
        symbols=panel.symbols,
        forecasts=out_of_sample(forecasts.calibrated),
        scores=out_of_sample(forecasts.probability),
        base_rates=out_of_sample(forecasts.base_rate),
        targets=scene.labels.targets,
        returns=scene.labels.returns,
        realised_row=scene.labels.realised_row,
        months=months,
        tracks={"network": track_of(market, played), YARDSTICK: yardstick.track},
        regimes=None,
        models=np.where(used, "model", ""),
    )
    return Study(track, {"network": played}, rows, None, {rows[-1]: scene.labels}, lambda _: market.costs)  # type: ignore[arg-type]


def track_of(market: ChangingMarket, played: Replay) -> BookTrack:
    """Net, gross and turnover of every round over the session axis, fractions of the equity before."""
    rounds, rows = played.rounds, market.scene.rows
    columns = np.full((3, market.scene.market.panel.session_count), np.nan)
    equity = np.array([done.state.equity_usd for done in rounds])
    before = np.concatenate([[equity[0] / (1.0 + rounds[0].state.session_return)], equity[:-1]])
    net = np.array([done.state.session_return for done in rounds])
    costs = np.array([done.state.costs_usd for done in rounds])
    turnover = np.array([done.turnover_usd for done in rounds])
    columns[:, rows[0] : rows[0] + len(rounds)] = net, net + costs / before, turnover / before
    return BookTrack(*columns)


def summary(results: Sequence[Result]) -> str:
    """A table an edge: what the verdict did on each market, with the 95% interval of a bootstrap over seeds."""
    about = (
        "Markets as in the tables of the controls, forty names, every other control on, and a longer history: a model "
        "of three years, a record of six when the strategy goes live, a healthy year, then the change. The first "
        "verdict is taken at the end of the month before it goes live, then one at every month's end, each in force "
        "for the month that follows; the package's three estimators count as trials. The other book is told to trade "
        "regardless. Gains are with the verdict less without it, as for the controls: from the change on, or over both "
        "live years where nothing is wrong. What a verdict that never let the strategy trade saves and costs, it saves "
        "and costs by keeping it flat; the second row of each market holds the seeds in which the verdict let it trade "
        "when the change came."
    )
    parts = [about]
    for planted in PLANTED:
        here = [result for result in results if result.panel["planted"] == planted]
        if here:
            parts.append(_of_edge(planted, [result.figures["verdict"] for result in here]))
    return "\n\n".join(parts)


def _of_edge(planted: float, figures: Sequence[Mapping[str, Mapping[str, Any]]]) -> str:
    first = [by_change[CHANGES[0]]["verdicts"][0] for by_change in figures]
    counts = ", ".join(f"{kind} {first.count(letter)}" for kind, letter in _LETTERS.items() if letter in first)
    head = (
        "market",
        "seeds",
        "trading when it began",
        "stopped later",
        "sessions until then, median",
        "share of sessions stopped",
        "equity",
        "drawdown",
        "Sharpe",
        "found",
    )
    lines = [
        f"**Planted rank IC {planted:g}** ({len(figures)} seeds; the first verdict: {counts})\n",
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
    ]
    for change in CHANGES:
        every = [by_change[change] for by_change in figures]
        trading = [entry for entry in every if entry["trading"]]
        lines.append(_row(f"{change}, all seeds", every))
        if trading:
            lines.append(_row(f"{change}, those trading", trading))
    return "\n".join(lines)


def _row(called: str, entries: Sequence[Mapping[str, Any]]) -> str:
    trading = [entry for entry in entries if entry["trading"]]
    later = [entry["stopped_after"] for entry in trading if entry["stopped_after"] is not None]
    sessions, stopped = (sum(entry[name] for entry in entries) for name in ("sessions", "sessions_stopped"))
    gains = gains_of(entries)
    cells = [
        called,
        str(len(entries)),
        f"{len(trading)} of {len(entries)}",
        f"{len(later)} of {len(trading)}",
        f"{np.median(later):.0f}" if later else "never",
        f"{stopped / sessions:.0%}",
        *shown(gains),
        verdict([entry["sessions_stopped"] for entry in entries if entry["sessions_stopped"]], gains),
    ]
    return f"| {' | '.join(cells)} |"
