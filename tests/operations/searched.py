"""Markets whose truth is known, as arrays, and the searches that a strategy makes on them, in months or in days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import Cube
from nn_assets.features.labels import Labels
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.search.judging import Evidence
from nn_assets.operations.search.sampling import FinishedTrial
from nn_assets.settings import Strategy

SPAN = 2  # lag 1 + horizon 1
YEAR = 252.0


def strategy_with(space: Mapping[str, Any], learning: Mapping[str, Any] | None = None, **search: Any) -> Strategy:
    """A strategy on arrays; months of training, validation and calibration 6, 2 and 3."""
    small = {"network": "mlp", "lookback": 1, "hidden": 8, "layers": 1, "dropout": 0.0, "learning_rate": 0.01}
    small |= {"maximum_epochs": 8, "patience": 3, "ensemble": 1, "processes": 1, "batch_size": 512}
    return Strategy.model_validate(
        {
            "name": "searched",
            "market": {"history_starts": "2011-01-03"},
            "features": {"panel_pass_share": 0.5},
            "label": {"horizon_sessions": 1},
            "learning": {**small, **(learning or {})},
            "walk_forward": {
                "training_months": 6,
                "validation_months": 2,
                "calibration_months": 3,
                "minimum_training_rows": 300,
            },
            "costs": {"half_spread_bps": 0.0, "commission_bps": 0.0},
            "search": {"trials": 6, "every_months": 3, "folds": 2, "space": space, **search},
        }
    )


def around_the_clock(space: Mapping[str, Any], learning: Mapping[str, Any] | None = None, **search: Any) -> Strategy:
    """The same on every day of the year: parts of 120, 30 and 60 days, a refit every 30 days, a search every 60."""
    settings = strategy_with(space, learning, every_months=1).model_dump(exclude_unset=True)
    days = {"refit_every_days": 30, "training_days": 120, "validation_days": 30, "calibration_days": 60}
    searched = {"trials": 6, "every_days": 60, "folds": 2, "space": space, **search}
    return Strategy.model_validate(
        settings
        | {
            "market": {"calendar": "24/7", "history_starts": "2011-01-03"},
            "walk_forward": {**days, "minimum_training_rows": 300},
            "search": searched,
        }
    )


def market(
    seed: int, coefficient: float, *, symbols: int = 12, last: str = "2013-06-28", calendar: str = "XNYS"
) -> tuple[Cube, Labels]:
    """One feature of noise, and returns that follow it ``coefficient`` strong, three sessions late.

    The row before last of a window of three tells the return; a window of one tells nothing.
    """
    sessions = sessions_between(calendar, "2011-01-03", last)
    random, bars = np.random.default_rng(seed), len(sessions)
    features, noise = random.normal(size=(bars, symbols)), random.normal(size=(bars, symbols))
    returns = np.full((bars, symbols), np.nan)
    returns[3 : bars - SPAN] = 0.01 * (coefficient * features[: bars - SPAN - 3] + noise[3 : bars - SPAN])
    targets = np.where(np.isfinite(returns), (returns > 0.0).astype(np.float64), np.nan)
    names = tuple(f"SIM{number:02d}" for number in range(symbols))
    cube = Cube(sessions, names, ("signal",), features[:, :, None])
    return cube, Labels(targets, returns, np.arange(bars, dtype=np.int64) + SPAN)


def corrupted(cube: Cube, labels: Labels, row: int) -> tuple[Cube, Labels]:
    """All bars from a row on are another market, and so are the labels that they realise."""
    random, realised = np.random.default_rng(99), row - int(labels.realised_row[0])
    values, targets, returns = (np.array(array) for array in (cube.values, labels.targets, labels.returns))
    values[row:] = random.normal(size=values[row:].shape) * 50.0
    returns[realised:] = random.normal(size=returns[realised:].shape)
    targets[realised:] = (returns[realised:] > 0.0).astype(np.float64)
    return Cube(cube.sessions, cube.symbols, cube.names, values), Labels(targets, returns, labels.realised_row)


def seen_before(start: str, cube: Cube, labels: Labels, strategy: Strategy) -> Evidence:
    """What a search of a month or a day sees of a market that goes on."""
    last = int(cube.sessions.searchsorted(pd.Timestamp(start))) - 1
    return Evidence.before(start, cube.until(cube.sessions[last]), labels.until(last), strategy, YEAR)


@dataclass
class Kept:
    """What a keeper was told, in order."""

    begun: list[int] = field(default_factory=list)
    ended: list[FinishedTrial] = field(default_factory=list)

    def begin(self, number: int, parameters: Mapping[str, Any]) -> None:
        self.begun.append(number)

    def end(self, trial: FinishedTrial, finished: object) -> None:
        self.ended.append(trial)
