"""Markets whose truth is known, as arrays, and the search that a strategy makes on them month after month."""

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


def market(seed: int, coefficient: float, *, symbols: int = 12, last: str = "2013-06-28") -> tuple[Cube, Labels]:
    """One feature of noise, and returns that follow it ``coefficient`` strong, three sessions late.

    The row before last of a window of three tells the return; a window of one tells nothing.
    """
    sessions = sessions_between("XNYS", "2011-01-03", last)
    random, bars = np.random.default_rng(seed), len(sessions)
    features, noise = random.normal(size=(bars, symbols)), random.normal(size=(bars, symbols))
    returns = np.full((bars, symbols), np.nan)
    returns[3 : bars - SPAN] = 0.01 * (coefficient * features[: bars - SPAN - 3] + noise[3 : bars - SPAN])
    targets = np.where(np.isfinite(returns), (returns > 0.0).astype(np.float64), np.nan)
    names = tuple(f"SIM{number:02d}" for number in range(symbols))
    cube = Cube(sessions, names, ("signal",), features[:, :, None])
    return cube, Labels(targets, returns, np.arange(bars, dtype=np.int64) + SPAN)


def seen_before(month: str, cube: Cube, labels: Labels, strategy: Strategy) -> Evidence:
    """What a search of a month sees of a market that goes on."""
    last = int(cube.sessions.searchsorted(pd.Timestamp(month))) - 1
    return Evidence.before(month, cube.until(cube.sessions[last]), labels.until(last), strategy, YEAR)


@dataclass
class Kept:
    """What a keeper was told, in order."""

    begun: list[int] = field(default_factory=list)
    ended: list[FinishedTrial] = field(default_factory=list)

    def begin(self, number: int, parameters: Mapping[str, Any]) -> None:
        self.begun.append(number)

    def end(self, trial: FinishedTrial, finished: object) -> None:
        self.ended.append(trial)
