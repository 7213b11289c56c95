"""The bundled strategy ``planted_edge`` as it ships, its seed replaced: what its study says at the first look.

Each seed is studied in a home of its own, by the operations that the assets call, up to the month before its live
start: the first look, as the demo has it. Boosting is judged by no verdict of the network's and costs a fifth of the
time: it grows no trees here and its book is not replayed. It stays a trial.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import yaml

from nn_assets import strategies
from nn_assets.evaluation.replay import Replay
from nn_assets.evaluation.study import judge_months, run_study
from nn_assets.learning import baselines
from nn_assets.learning.baselines import BoostedTrees
from nn_assets.learning.first_month import first_model_month
from nn_assets.operations import study as operations_study
from nn_assets.operations.asof.trials import ground_of
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.history import open_history
from nn_assets.operations.strategy_files import make_strategy
from nn_assets.settings import Strategy
from tests.operations import homes
from tests.proof.intervals import share
from tests.proof.results import Result
from tests.proof.targets import Target, of_count

TITLE = "Planted edge: the bundled simulated strategy over seeds"
SEEDS = range(1, 21)
FINDINGS = ("signal found", "edge found")
REPLAYED = ("network", "linear")
NO_TREES = BoostedTrees(0.0, *(np.zeros(0, dtype=kind) for kind in (int, int, float, int, int, float)))


def settings_of(seed: int) -> dict[str, Any]:
    """The bundled file's settings under another seed, in one process: as many say the same to the bit."""
    settings = yaml.safe_load((Path(str(strategies.__path__[0])) / "planted_edge.yaml").read_text("utf-8"))
    settings["source"]["seed"] = seed
    settings["learning"]["processes"] = 1
    return settings | {"name": "planted"}


def panels() -> list[dict[str, Any]]:
    """A panel for each seed; the hash of its settings makes another panel of other settings."""
    return [{"seed": seed, "settings": make_strategy(settings_of(seed)).content_hash()} for seed in SEEDS]


def measure(panel: Mapping[str, Any]) -> dict[str, Any]:
    """Study one seed; sizes are shares of equity, returns fractions a year."""
    with _home(panel["seed"]) as strategy, patch.object(baselines, "fit_boosting", return_value=NO_TREES):
        assert strategy.market.live_starts is not None
        last = str(pd.Period(strategy.market.live_starts, "M") - 1)
        months = homes.months_between(first_model_month(strategy), last)
        homes.take_in(strategy)
        homes.train(strategy, months)
        return studied(strategy, last)


def studied(strategy: Strategy, last: str) -> dict[str, Any]:
    """Verdict and figures of the record up to a month, boosting's book left out."""
    with open_history(strategy) as history:
        material = operations_study.material_until(history, last)
        ground = ground_of(strategy.name, history.covering(history.last_session).content_hash, history.view().bars)
        terms = operations_study._terms(history, ground, [last])
        study = run_study(strategy, history.sessions_per_year, material, terms, played=REPLAYED)
        (judged,) = judge_months(strategy, history.sessions_per_year, study, [last], terms)
    verdict, total = judged.verdict, study.figures.total
    assert terms.trials == 3
    return {
        "verdict": verdict.kind,
        "p_value": verdict.adjusted_p_value,
        "sessions": len(study.rows),
        "alarms": [str(alarm) for alarm in study.figures.alarms],
        "smallest_effect": study.figures.smallest_effect.value,
        "estimators": {
            name: {
                **{key: getattr(total[name], key) for key in ("rank_ic", "rank_ic_t", "sharpe_gross", "sharpe_net")},
                **{key: getattr(total[name], key) for key in ("return_per_year", "deflated_sharpe", "max_drawdown")},
                **_gross(study.replays[name]),
            }
            for name in REPLAYED
        },
        "buy_and_hold_sharpe_net": total["buy_and_hold"].sharpe_net,
    }


def _gross(replay: Replay) -> dict[str, float]:
    """Gross exposure on average over the sessions with a position, and the share of those."""
    gross = np.array([done.state.gross_fraction for done in replay.rounds])
    traded = gross > 0.0
    return {"gross": float(gross[traded].mean()) if traded.any() else 0.0, "traded": float(traded.mean())}


@contextmanager
def _home(seed: int) -> Iterator[Strategy]:
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        file = Path(folder) / "strategies" / "planted.yaml"
        file.parent.mkdir()
        file.write_text(yaml.safe_dump(settings_of(seed)), encoding="utf-8")
        with patch.dict(os.environ, {"NN_ASSETS_HOME": folder}):
            os.environ.pop("NN_ASSETS_DATABASE_URL", None)
            yield find_strategy("planted").strategy


def summary(results: Sequence[Result]) -> str:
    """How often each verdict, and what the books were; shares with Clopper-Pearson's 95% intervals."""
    figures = [result.figures for result in results]
    kinds = [entry["verdict"] for entry in figures]
    signals, edge = sum(kind in FINDINGS for kind in kinds), kinds.count("edge found")
    alarms = sum(bool(entry["alarms"]) for entry in figures)
    traded = [entry["estimators"]["network"]["gross"] for entry in figures]
    exposure = f"{np.mean(traded):.1%} on average over seeds, {min(traded):.1%} to {max(traded):.1%}"
    settings = settings_of(1)
    names, planted = len(settings["market"]["symbols"]), settings["source"]["planted_rank_ic"]
    lines = [
        f"{names} names, 2010 to 2017, planted rank IC {planted:g} with the next session's return; at the first look.",
        "",
        "| what | seeds |",
        "| --- | --- |",
        _share("signal found, edge found among them (asked: at least 18 of 20)", signals, len(kinds)),
        _share("edge found", edge, len(kinds)),
        *(_share(kind, kinds.count(kind), len(kinds)) for kind in sorted(set(kinds) - set(FINDINGS))),
        _share("a leak alarm (asked: none)", alarms, len(kinds)),
        "",
        f"Gross exposure over traded sessions, the network's book (asked: at least 30% on average): {exposure}.",
        "",
        "| estimator | rank IC | its t | gross Sharpe | net Sharpe | net a year | gross exposure | sessions traded |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_row(name, [entry["estimators"][name] for entry in figures]) for name in REPLAYED),
        "",
        "± is two standard errors of the mean over seeds.",
    ]
    return "\n".join(lines)


def targets(results: Sequence[Result]) -> list[Target]:
    """Found in most seeds, no alarm, and a book that is not empty."""
    figures = [result.figures for result in results]
    seeds = len(panels())
    signals = sum(entry["verdict"] in FINDINGS for entry in figures)
    alarms = sum(bool(entry["alarms"]) for entry in figures)
    gross = float(np.mean([entry["estimators"]["network"]["gross"] for entry in figures]))
    of = len(figures)
    return [
        of_count("signal found in at least 18 of 20 seeds", share(signals, of), signals, of, seeds, at_least=18),
        of_count("no leak alarm", share(alarms, of), alarms, of, seeds, at_most=0),
        Target("gross at least 30% on average over traded sessions", f"{gross:.1%}", gross >= 0.30),
    ]


def _share(what: str, count: int, of: int) -> str:
    return f"| {what} | {share(count, of)} |"


def _row(name: str, figures: Sequence[Mapping[str, float | None]]) -> str:
    """Means over seeds, with two standard errors where the figure is a ratio."""

    def mean_and_reach(key: str, form: str) -> str:
        values = np.array([0.0 if one[key] is None else one[key] for one in figures], dtype=float)
        if len(values) == 1:
            return f"{values[0]:{form}}"
        reach = 2.0 * values.std(ddof=1) / len(values) ** 0.5
        return f"{values.mean():{form}} ± {reach:{form.lstrip('+')}}"

    cells = [
        *(mean_and_reach(key, "+.4f") for key in ("rank_ic",)),
        *(mean_and_reach(key, "+.2f") for key in ("rank_ic_t", "sharpe_gross", "sharpe_net")),
        mean_and_reach("return_per_year", "+.2%"),
        *(mean_and_reach(key, ".1%") for key in ("gross", "traded")),
    ]
    return f"| {name} | {' | '.join(cells)} |"
