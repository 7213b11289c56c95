"""The novelty scores of a fold, fitted: a shrunk covariance, and an autoencoder under the one training loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.special import ndtri
from torch import nn

from nn_assets.arrays import FloatArray
from nn_assets.errors import TrainingError
from nn_assets.learning.novelty import (
    MINIMUM_ROWS,
    NO_RANK,
    REFERENCE_ROWS,
    Layers,
    Novelty,
    NoveltyFit,
    Rank,
    by_session,
    day_departures,
    departures_from_others,
    evenly,
    normal_knots,
    normal_scores,
    scorable,
    whitened,
)
from nn_assets.learning.training import repeatable_torch, train_network
from nn_assets.learning.windows import Samples, Windows
from nn_assets.settings import LearningSettings

TRAINED_ON = 20_000
"""Training rows that the autoencoder sees, at most, evenly spread over the fold's time."""

_STOPPED_BY = 5_000
_WIDEST = 64
_LEAST_ERROR = 1e-6  # of a row given back perfectly, whose logit would be minus infinity
# Small rows, a convex end: what a network of layers as narrow as these needs, measured on simulated panels.
_TRAINING = {
    "learning_rate": 3e-3,
    "weight_decay": 1e-4,
    "gradient_norm": 1.0,
    "batch_size": 256,
    "maximum_epochs": 30,
    "patience": 5,
    "plateau_patience": 2,
    "plateau_factor": 0.5,
}


class Autoencoder(nn.Module):
    """A perceptron through a bottleneck of half the features, on normal scores of one row.

    It answers with the logit whose cross-entropy against 0 *is* the error: softplus(logit) = mean square over
    features. So the training loop that every network has trains it, with targets of 0, and no loss of its own.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        wide, narrow = min(2 * features, _WIDEST), max(1, features // 2)
        sizes = (features, wide, narrow, wide, features)
        self.layers = nn.ModuleList(nn.Linear(sizes[n], sizes[n + 1]) for n in range(len(sizes) - 1))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """From windows of one row, (batch, 1, features), to logits (batch,)."""
        rows = windows[:, -1]
        given_back = rows
        for number, layer in enumerate(self.layers):
            given_back = layer(given_back)
            if number + 1 < len(self.layers):
                given_back = torch.relu(given_back)
        error = ((rows - given_back) ** 2).mean(dim=1).clamp_min(_LEAST_ERROR)
        return error + torch.log(-torch.expm1(-error))

    def fitted(self) -> Layers:
        """The layers as plain float64 arrays."""
        return tuple(
            (
                layer.weight.detach().double().numpy().copy(),
                layer.bias.detach().double().numpy().copy(),
            )
            for layer in self.layers
            if isinstance(layer, nn.Linear)
        )


def fit_novelty(
    windows: Windows, samples: Mapping[str, Samples], learning: LearningSettings, names: tuple[str, ...]
) -> NoveltyFit:
    """Fit the scores to a fold's training rows, and rank them among its training, validation and calibration rows.

    Parameters
    ----------
    windows : Windows
        Scaled features; the last row of each window is scored.
    samples : mapping of part to Samples
        ``training``, ``validation`` and ``calibration``, in order of time. The autoencoder learns from the first and
        stops by the second; nothing learns from the third.
    learning : LearningSettings
        Its seed counts, and nothing else.
    names : tuple of str
        Of the features.

    Returns
    -------
    NoveltyFit
        Without scores where there are fewer than `MINIMUM_ROWS` training rows, or no feature can be scored; without
        the autoencoder's where it did not train. The figures say why.
    """
    training = samples["training"]
    if training.count < MINIMUM_ROWS:
        return NoveltyFit(None, {"none": f"{training.count} training rows, at least {MINIMUM_ROWS} are needed"})
    learned = _part(training, TRAINED_ON)
    rows = windows.last_rows(learned.rows, learned.columns)
    columns, left_out = scorable(rows, names)
    figures: dict[str, Any] = {"rows": learned.count, "left_out": left_out}
    if not len(columns):
        return NoveltyFit(None, {**figures, "none": "no feature varies on the training rows"})
    knots, normals = normal_knots(rows[:, columns], ndtri)
    unit = normal_scores(rows[:, columns], knots, normals)
    whitening, shrinkage = _whitening(unit)
    own = normal_knots(departures_from_others(whitened(unit, whitening), whitening), ndtri)
    stop = _part(samples["validation"], _STOPPED_BY)
    stop_rows = windows.last_rows(stop.rows, stop.columns)[:, columns]
    layers, fit_figures = _autoencoder(unit, normal_scores(stop_rows, knots, normals), learning)
    unranked = Novelty(columns, knots, normals, whitening, own, layers, (), NO_RANK)
    fitted = _ranked(unranked, windows, samples)
    return NoveltyFit(
        fitted, {**figures, "shrinkage": shrinkage, "sessions": len(fitted.days.reference), **fit_figures}
    )


def _part(samples: Samples, most: int) -> Samples:
    chosen = evenly(samples.count, most)
    return Samples(samples.rows[chosen], samples.columns[chosen], np.zeros(len(chosen), dtype=np.float32))


def _whitening(unit: FloatArray) -> tuple[FloatArray, float]:
    from sklearn.covariance import ledoit_wolf
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):  # sums split over threads round differently
        covariance, shrinkage = ledoit_wolf(unit)
        return np.linalg.inv(np.linalg.cholesky(covariance)), float(shrinkage)


def _autoencoder(training: FloatArray, stop: FloatArray, learning: LearningSettings) -> tuple[Layers, dict[str, Any]]:
    """The layers trained on some rows and stopped by others, and figures of it; none where it did not train."""
    windows = Windows(np.concatenate([training, stop])[:, None, :], lookback=1)
    parts = _zeros(0, len(training)), _zeros(len(training), len(training) + len(stop))
    settings, seed = learning.model_copy(update=_TRAINING), learning.seed
    with repeatable_torch(seed) as order:
        network = Autoencoder(training.shape[1])
        try:
            result = train_network(network, windows, *parts, settings, seed=seed, order=order)
        except TrainingError as error:  # the other two scores still tell
            return (), {"autoencoder": str(error)}
        fit_figures = {"epochs": len(result.history), "validation_error": float(f"{result.validation_loss:.6g}")}
        return network.fitted(), fit_figures


def _zeros(start: int, stop: int) -> Samples:
    rows = np.arange(start, stop, dtype=np.int64)
    return Samples(rows, np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.float32))


def _ranked(scores: Novelty, windows: Windows, samples: Mapping[str, Samples]) -> Novelty:
    """Scores with the fold's own rows to rank in; an even part of them, and every session."""
    rows = np.concatenate([part.rows for part in samples.values()])
    columns = np.concatenate([part.columns for part in samples.values()])
    some = evenly(len(rows), REFERENCE_ROWS)
    ranked = scores.ranked(windows.last_rows(rows[some], columns[some]))
    departures = day_departures(by_session(rows, ranked.score(windows.last_rows(rows, columns)).p_value))
    return replace(ranked, days=Rank.of(departures))
