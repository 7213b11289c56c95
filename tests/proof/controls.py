"""What each control saves when a market breaks, how long it takes to act, and what it costs when nothing is wrong.

Each market is played through the package's own replay with every control on, and again from the first session on
which a control acts with that control alone switched off; up to there both are the same. Switched off means: the
decision takes no notice of it. The state is computed, watched and recorded as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np

from nn_assets.evaluation.replay import Replay, replay
from nn_assets.portfolio import book, steps
from nn_assets.portfolio.breakers import Breaker, Control
from nn_assets.portfolio.inputs import DecisionInputs
from nn_assets.session import daily_round
from nn_assets.session.daily_round import Round
from nn_assets.settings import PortfolioSettings
from tests.proof.changing_markets import CHANGES, LAST, YEAR, ChangingMarket, changing_market
from tests.proof.results import Result

TITLE = "Controls: what each saves when a market breaks, and costs when nothing is wrong"
SEEDS = range(1, 21)
ALL = "all of them"
KEPT = "drawdown, never released"

# Each control, and the part of the market that it watches.
CONTROLS = {
    "REDUCE": "forecasts' distribution against the model's own, the features' jointly with the cost of fills, "
    "and a refresh that drift asked for",
    "PAUSE": "forecasts' distribution together with the features' or the cost of fills",
    "drawdown halving": "own equity: above 60% of the drawdown limit of 8%, until below 45%",
    "session loss": "own equity: more than 3% in a session",
    "weekly loss": "own equity: more than 4% below the week's peak",
    "drawdown": "own equity: more than 8% below its peak; flat until released, which a replay does after 20 sessions",
}
_BREAKERS = {
    "session loss": "session_loss",
    "weekly loss": "weekly_loss",
    "drawdown": "drawdown",
    "stale data": "stale_data",
}


_READING = (
    "Forty names, a neutral book by the programme, exactly calibrated forecasts of a planted edge (rank IC 0.05 with "
    "the next session's return), limits at their defaults, three years for the model, then a healthy year, then the "
    "change. Nothing is fitted again, so that a refresh that drift asks for stands for as long as drift does, and the "
    "calibration that would follow an edge down is left out: what is measured are the controls alone. Gains are with "
    "the control less without it, all others on (without PAUSE its sessions have REDUCE): of equity at the end of the "
    "year (of both years where nothing is wrong), of the deepest drawdown (less of it is a gain), of net Sharpe. *In "
    "force* counts sessions of the last year, beside those of the same markets with nothing wrong: a control that is "
    "in force no longer than there does not notice the change, and what it saves it saves by being smaller."
)
_HEAD = (
    "control",
    "acted in",
    "sessions until it acted, median",
    "in force, unchanged",
    "equity",
    "drawdown",
    "Sharpe",
    "found",
)


def panels() -> list[dict[str, Any]]:
    """Twenty seeds of each market."""
    return [{"change": change, "seed": seed, "names": 40} for seed in SEEDS for change in CHANGES]


def measure(panel: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of each control on one market, over the year of the change (both years where nothing changes)."""
    market = changing_market(panel["change"], panel["seed"], panel["names"], panel.get("last", LAST))
    return {"controls": effects(market)}


def _healthy(market: ChangingMarket) -> bool:
    return market.change == CHANGES[0]


def effects(market: ChangingMarket, controls: Sequence[str] = (*CONTROLS, ALL)) -> dict[str, dict[str, Any]]:
    """What each control, and all together, did from the change on."""
    whole = play(market)
    first = market.scene.rows[0]
    begins = first if _healthy(market) else market.changed
    by_control: dict[str, dict[str, Any]] = {}
    for control in controls:
        names = list(CONTROLS) if control == ALL else [control]
        acting = [row for row, done in enumerate(whole.rounds, start=first) if row >= begins and _acts_any(names, done)]
        without = play_on(market, whole, acting[0], names) if acting else whole
        by_control[control] = {
            "sessions_in_force": len(acting),
            "in_force_last_year": sum(row >= market.changed for row in acting),
            "acted_after": acting[0] - begins if acting else None,
            **{f"with_{name}": value for name, value in track_figures(whole, begins - first).items()},
            **{f"without_{name}": value for name, value in track_figures(without, begins - first).items()},
        }
        if control == "drawdown":
            kept = play_on(_unreleased(market), whole, acting[0], []) if acting else whole
            figures = {f"with_{name}": value for name, value in track_figures(kept, begins - first).items()}
            by_control[KEPT] = (
                by_control[control]
                | figures
                | {
                    "sessions_in_force": len(whole.rounds) + first - acting[0] if acting else 0,
                    "in_force_last_year": len(whole.rounds) + first - max(acting[0], market.changed) if acting else 0,
                }
            )
    return by_control


def _unreleased(market: ChangingMarket) -> ChangingMarket:
    """The same market, in which nobody ever releases a breaker."""
    settings = market.strategy.portfolio.model_copy(update={"replay_reset_sessions": len(market.scene.market.returns)})
    return replace(market, strategy=market.strategy.model_copy(update={"portfolio": settings}))


def play(market: ChangingMarket) -> Replay:
    """Every traded session with every control on."""
    with market.charging():
        return replay(market.strategy, market.costs, YEAR, [market.scene])


def play_on(market: ChangingMarket, whole: Replay, row: int, off: Sequence[str]) -> Replay:
    """Play from a row on with some controls off, after the rounds that were played with them on."""
    before = whole.rounds[: row - market.scene.rows[0]]
    rest = market.rows(range(row, market.scene.rows[-1] + 1))
    with market.charging(), ExitStack() as stack:
        for control in off:
            stack.enter_context(switched_off(control))
        played = replay(
            market.strategy,
            market.costs,
            YEAR,
            [rest],
            initial=before[-1].session_state if before else None,
            latched=_latched_for(before),
        )
    return Replay((*before, *played.rounds), played.track, played.latched)


def _latched_for(before: Sequence[Round]) -> int:
    """What the replay had counted when it played the last of these sessions."""
    count = 0
    for done in reversed(before[:-1]):
        if done.session_state.book.breakers == ():
            break
        count += 1
    return count


def _acts_any(controls: Sequence[str], done: Round) -> bool:
    return any(acts(control, done) for control in controls)


def acts(control: str, done: Round) -> bool:
    """Whether a control was in force at a session's decision."""
    if control in _BREAKERS:
        return _BREAKERS[control] in done.session_state.book.breaker_kinds
    if control == "drawdown halving":
        return done.session_state.book.halved
    if control == "regime scale":
        return done.decision.inputs.regime_scale < 1.0
    state = {"REDUCE": "REDUCE_SIZE", "PAUSE": "PAUSE_STRATEGY"}[control]
    return done.decision.inputs.trading_state == state


@contextmanager
def switched_off(control: str) -> Iterator[None]:
    """One control without effect: a breaker never fires; a state leaves what the next milder one leaves."""
    with ExitStack() as stack:
        if control in _BREAKERS:
            stack.enter_context(patch.object(book, "fired_breakers", _never(_BREAKERS[control], book.fired_breakers)))
        elif control == "drawdown halving":
            for room in (book, steps):
                stack.enter_context(patch.object(room, "halved_by_drawdown", lambda *_, **__: False))
        elif control == "regime scale":
            stack.enter_context(inputs_with(regime_scale=lambda _: 1.0))
        else:
            stack.enter_context(
                patch.object(steps, "trading_state_control", _milder(control, steps.trading_state_control))
            )
        yield


@contextmanager
def inputs_with(**facts: Callable[[DecisionInputs], Any]) -> Iterator[None]:
    """Every decision is made on other facts, each worked out from its inputs as they would be."""
    plain = daily_round._inputs

    def changed(*arguments: Any) -> DecisionInputs:
        inputs = plain(*arguments)
        return replace(inputs, **{name: fact(inputs) for name, fact in facts.items()})

    with patch.object(daily_round, "_inputs", changed):
        yield


def _never(kind: str, plain: Callable[..., tuple[Breaker, ...]]) -> Callable[..., tuple[Breaker, ...]]:
    def fired(*, settings: PortfolioSettings, **arguments: Any) -> tuple[Breaker, ...]:
        return tuple(breaker for breaker in plain(settings=settings, **arguments) if breaker.kind != kind)

    return fired


def _milder(control: str, plain: Callable[..., Control]) -> Callable[..., Control]:
    def allowed(state: str, settings: PortfolioSettings) -> Control:
        if control == "REDUCE" and state == "REDUCE_SIZE":
            state = "CONTINUE"
        if control == "PAUSE" and state == "PAUSE_STRATEGY":
            state = "REDUCE_SIZE"
        return plain(state, settings)

    return allowed


def track_figures(played: Replay, start: int) -> dict[str, float]:
    """Growth, deepest fall from a peak (fractions) and net Sharpe a year, from the round at ``start`` on."""
    before = played.rounds[start - 1].state.equity_usd if start else _initial(played)
    equity = np.array([before, *(done.state.equity_usd for done in played.rounds[start:])])
    daily = equity[1:] / equity[:-1] - 1.0
    spread = float(daily.std())
    return {
        "growth": float(equity[-1] / equity[0] - 1.0),
        "drawdown": float((1.0 - equity / np.maximum.accumulate(equity)).max()),
        "sharpe": float(daily.mean() / spread * np.sqrt(YEAR)) if spread > 0.0 else 0.0,
    }


def _initial(played: Replay) -> float:
    first = played.rounds[0].state
    return float(first.equity_usd / (1.0 + first.session_return))


def summary(results: Sequence[Result]) -> str:
    """A table a market: what each control did, with the 95% interval of a paired bootstrap over seeds."""
    watched = "\n".join(f"- {control}: {part}" for control, part in CONTROLS.items())
    parts = [f"{_READING}\n\nWhat each watches:\n\n{watched}"]
    healthy = {
        result.panel["seed"]: result.figures["controls"] for result in results if result.panel["change"] == CHANGES[0]
    }
    for change in CHANGES:
        here = [result for result in results if result.panel["change"] == change]
        if here:
            parts.append(table_of(change, here, healthy, (*CONTROLS, KEPT, ALL)))
    return "\n\n".join(parts)


def table_of(
    change: str, results: Sequence[Result], healthy: Mapping[int, Mapping[str, Any]], controls: Sequence[str]
) -> str:
    """What some controls did on the markets of one change, beside the same markets with nothing wrong, by seed."""
    lines = [f"**{change}** ({len(results)} seeds)\n", f"| {' | '.join(_HEAD)} |", f"|{' --- |' * len(_HEAD)}"]
    for control in controls:
        figures = [result.figures["controls"][control] for result in results]
        acted = [entry["acted_after"] for entry in figures if entry["acted_after"] is not None]
        after = [sessions for sessions in acted if sessions > 0]
        gains = gains_of(figures)
        waited = f"{np.median(after):.0f}" if after else "never"
        before = f", in {len(acted) - len(after)} before the change" if len(acted) > len(after) else ""
        seeds = f"{len(acted)} of {len(figures)}{before}"
        pairs = [
            (result.figures["controls"][control]["in_force_last_year"], healthy[seed][control]["in_force_last_year"])
            for result in results
            if (seed := result.panel["seed"]) in healthy
        ]
        conclusion = verdict(acted, gains)
        if change != CHANGES[0] and acted and pairs and not notices(pairs):
            conclusion = f"does not notice the change; {conclusion}"
        force = ", ".join(f"{np.mean(values):.0f}" for values in zip(*pairs, strict=True)) or "not compared"
        cells = (control, seeds, waited, force, *shown(gains), conclusion)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def gains_of(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """With less without, by seed: of growth, of the deepest drawdown (less of it is a gain), of Sharpe."""
    return {
        "growth": [entry["with_growth"] - entry["without_growth"] for entry in entries],
        "drawdown": [entry["without_drawdown"] - entry["with_drawdown"] for entry in entries],
        "sharpe": [entry["with_sharpe"] - entry["without_sharpe"] for entry in entries],
    }


def shown(gains: Mapping[str, Sequence[float]]) -> list[str]:
    """Each mean gain with its interval, as it is printed."""
    intervals = ((".2f" if name == "sharpe" else ".2%", interval(values)) for name, values in gains.items())
    return [f"{mean:+{form}} ({low:+{form}} to {high:+{form}})" for form, (mean, low, high) in intervals]


def notices(pairs: Sequence[tuple[int, int]]) -> bool:
    """Whether a control is in force longer than in the same markets with nothing wrong, beyond chance."""
    _, low, _ = interval([float(one - other) for one, other in pairs])
    return low > 0.0


def interval(differences: Sequence[float], draws: int = 10_000) -> tuple[float, float, float]:
    """Mean of paired differences, and its 95% interval by a bootstrap over seeds."""
    values = np.asarray(differences, dtype=np.float64)
    drawn = np.random.default_rng(0).integers(0, len(values), (draws, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def verdict(acted: Sequence[int], gains: Mapping[str, Sequence[float]]) -> str:
    """What the intervals allow to be said."""
    if not acted:
        return "never acted: saves and costs nothing"
    phrases = []
    for name, word in (("growth", "equity"), ("drawdown", "drawdown"), ("sharpe", "Sharpe")):
        _, low, high = interval(gains[name])
        if low > 0.0:
            phrases.append(f"saves {word}")
        elif high < 0.0:
            phrases.append(f"costs {word}")
    return ", ".join(phrases) if phrases else "saves nothing that can be told from chance"
