"""What a fit leaves behind: everything that a forecast needs, and the figures of how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import Symbol
from nn_assets.estimators import ESTIMATORS
from nn_assets.features.scaling import Scaler
from nn_assets.features.selection import SelectionReport
from nn_assets.features.stationarity import StationarityReport
from nn_assets.learning.calibration import LogitScale
from nn_assets.learning.fitted import Members
from nn_assets.learning.folds import Fold
from nn_assets.learning.heads import SIGN, Head
from nn_assets.learning.novelty import Novelty
from nn_assets.settings import LearningSettings


@dataclass(frozen=True, eq=False)
class Estimators:
    """The fitted ensemble of each estimator that the model holds, by its name, and what they learned."""

    settings: LearningSettings
    members: Members
    head: Head = SIGN

    @property
    def names(self) -> tuple[str, ...]:
        """Those that the model holds, in the registry's order."""
        return tuple(name for name in ESTIMATORS if name in self.members)


@dataclass(frozen=True, eq=False)
class FoldModel:
    """A fitted fold.

    Parameters
    ----------
    model_id : str
        Its address: the hash of data, code, configuration and seed.
    fold : Fold
    axis_start : Timestamp
        First session of the axis that the fold's row numbers count from.
    symbols : tuple of str
        In the order of the symbol axis.
    stationarity : StationarityReport
        Verdict and transform of every input feature.
    selection : SelectionReport or None
        None where every stationary feature is used.
    scaler : Scaler
        Of ``feature_names``, in their order.
    estimators : Estimators
    figures : mapping
        JSON values. ``samples`` by part; ``members``, with their training curves, and ``failed_members``; for each of
        ``estimators``: ``validation`` and ``calibration``, what its raw probabilities were worth on
        those rows: outcomes, base_rate, log_loss (nats), brier, expected_calibration_error, or None
        where the part has no outcome; ``libraries``.
    validation_forecasts : DataFrame
        Columns symbol, session, estimator, probability (uncalibrated), over the validation rows:
        what later forecasts are ranked within, and their logits are measured by.
    data_hash, code_version : str
    novelty : Novelty, optional
        How unlike its rows a row is; None where the settings did not ask for it, or no score could be fitted.
    volatility : Estimators, optional
        The ensemble of the same network that learned realised volatility; None where the settings did not ask for it.
    """

    model_id: str
    fold: Fold
    axis_start: pd.Timestamp
    symbols: tuple[Symbol, ...]
    stationarity: StationarityReport
    selection: SelectionReport | None
    scaler: Scaler
    estimators: Estimators
    figures: Mapping[str, Any]
    validation_forecasts: pd.DataFrame
    data_hash: str
    code_version: str
    novelty: Novelty | None = None
    volatility: Estimators | None = None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Features that the estimators see, in order."""
        return self.selection.selected if self.selection is not None else self.stationarity.kept

    @cached_property
    def logit_scales(self) -> Mapping[str, LogitScale]:
        """How the logits of each estimator that the model holds lie on the validation rows."""
        kept = self.validation_forecasts
        return {
            name: LogitScale.of(kept.loc[kept["estimator"] == name, "probability"].to_numpy(dtype=np.float64))
            for name in self.estimators.names
        }

    @property
    def lookback(self) -> int:
        """Sessions in a window."""
        return self.estimators.settings.lookback
