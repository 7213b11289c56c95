"""What a network's forecasts rest on: what moved one since the session before, and what each feature is worth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import IntegratedGradients

from nn_assets.arrays import BoolArray, Cube, FloatArray, IntArray, Symbol
from nn_assets.estimators import TRADED
from nn_assets.features.labels import Labels
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.heads import Head
from nn_assets.learning.inference import model_windows
from nn_assets.learning.training import repeatable_torch

COMPLETE = 0.01
"""Share of a forecast's move that its parts may miss; see :class:`Move`."""

_STEPS = {32: "gausslegendre", 128: "gausslegendre", 512: "riemann_middle", 2_048: "riemann_middle"}
"""Steps along the path, more of the symbols whose parts still miss some of their move; equal ones where a gradient that
jumps, as of rectified units, would need very many of the others."""
_SMALLEST_MOVE = 0.01  # logits: of a smaller one the share that is missed says nothing
_SAMPLES_AT_ONCE = 256  # an image of each takes a megabyte
_OUTPUTS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sign": torch.logit,
    "value": torch.special.ndtri,
    "volatility": lambda forecast: 2.0 * torch.log(forecast),
}
"""From a forecast back to the output that a head makes it of, by the head's name."""


@dataclass(frozen=True, eq=False)
class Move:
    """What moved the network's forecasts from one session to the next, by one model.

    Attributes
    ----------
    symbols : tuple of str
        Those whose windows are whole on both sessions.
    features : tuple of str
    before, after : array, shape (symbols,)
        Logit of the mean probability of the members, before calibration, whatever head gave it.
    parts : array, shape (symbols, features)
        What each feature's move over the window adds to ``after - before``, in logits: integrated gradients
        (Sundararajan, Taly and Yan 2017) from the window of the session before to the session's own.
    missed : array, shape (symbols,)
        Share of the move that the parts miss, of at least 0.01 logits: beyond ``COMPLETE`` they explain it badly.
    """

    symbols: tuple[Symbol, ...]
    features: tuple[str, ...]
    before: FloatArray
    after: FloatArray
    parts: FloatArray
    missed: FloatArray


def what_moved(model: FoldModel, cube: Cube, row: int, symbols: Collection[Symbol] | None = None) -> Move:
    """Explain the moves of a session's forecasts since the session before, both by the model of the session.

    Parameters
    ----------
    model : FoldModel
    cube : Cube
        Untransformed features, from the first session of the axis on; rows after ``row`` are not read.
    row : int
        The session, at least one after the model's windows can begin.
    symbols : collection of str, optional
        Those to explain; all when left out. Each one's parts are the same whichever others are asked for.
    """
    windows = model_windows(model, cube, slice(row - 1, row + 1))
    whole = windows.whole()[[row - 1 - windows.first_row, row - windows.first_row]].all(axis=0)
    asked = np.array([symbols is None or name in symbols for name in model.symbols], dtype=bool)
    columns = np.flatnonzero(whole & asked).astype(np.int64)
    rows = np.full(len(columns), row, dtype=np.int64)
    inputs, baselines = (torch.from_numpy(windows.gather(moment, columns)) for moment in (rows, rows - 1))
    names, features = tuple(model.symbols[column] for column in columns), model.feature_names
    if not len(columns):
        return Move(names, features, np.empty(0), np.empty(0), np.empty((0, len(features))), np.empty(0))
    with repeatable_torch(0):
        logit = _ensemble_logit(model, len(features))
        with torch.no_grad():
            before, after = logit(baselines), logit(inputs)
        moved = after - before
        parts, missed = torch.zeros(len(columns), len(features), dtype=torch.float64), torch.ones_like(moved)
        if not _has_gradient(logit, inputs[:1]):  # no part says anything of any move
            missed = moved.abs() / moved.abs().clamp(min=_SMALLEST_MOVE)
            return Move(names, features, before.numpy(), after.numpy(), parts.numpy(), missed.numpy())
        for steps, rule in _STEPS.items():
            open_ones = torch.nonzero(missed > COMPLETE).flatten()
            if not len(open_ones):
                break
            gradients = IntegratedGradients(logit).attribute(
                inputs[open_ones],
                baselines[open_ones],
                n_steps=steps,
                method=rule,
                internal_batch_size=_SAMPLES_AT_ONCE,
            )
            parts[open_ones] = gradients.double().sum(dim=1).detach()  # over the window: (symbols, features)
            missed = (parts.sum(dim=1) - moved).abs() / moved.abs().clamp(min=_SMALLEST_MOVE)
    return Move(names, features, before.numpy(), after.numpy(), parts.numpy(), missed.numpy())


def _has_gradient(logit: Callable[[torch.Tensor], torch.Tensor], windows: torch.Tensor) -> bool:
    """Whether a logit follows its windows smoothly anywhere: one of a plug-in's may read their signs alone."""
    inputs = windows.clone().requires_grad_()
    outputs = logit(inputs)
    if not outputs.requires_grad:
        return False
    (gradient,) = torch.autograd.grad(outputs.sum(), inputs, allow_unused=True)
    return gradient is not None


@dataclass(frozen=True, eq=False)
class Importance:
    """What each feature is worth to the network, on sessions that it was not fitted on.

    Attributes
    ----------
    features : tuple of str
    loss : float
        Mean of the loss that the model learned by, of the members' mean forecast: log loss in nats, half the squared
        error in squared standard deviations, or QLIKE.
    rise : array, shape (sessions, features)
        By how much the session's mean loss rises where a feature's windows are dealt out anew among its symbols. NaN
        for a feature that all symbols of a session share: dealing it out says nothing of its worth.
    """

    features: tuple[str, ...]
    loss: float
    rise: FloatArray

    @property
    def mean(self) -> FloatArray:
        """Mean rise over sessions, (features,), in the unit of the loss; NaN without a session."""
        return self.rise.mean(axis=0) if len(self.rise) else np.full(len(self.features), np.nan)


def importance(
    model: FoldModel,
    cube: Cube,
    labels: Labels,
    rows: slice,
    *,
    repeats: int = 3,
    seed: int = 0,
    most_samples: int | None = None,
) -> Importance:
    """Permutation importance (Breiman 2001) within each session, on rows from the model's use on.

    A feature's whole windows go to other symbols of their session, so that what is common to a session stays where it
    is; a session of one symbol is left out. A model of one symbol has them go to other sessions of the rows. In a
    universe its members of the session count alone.

    Parameters
    ----------
    model : FoldModel
    cube : Cube
        Untransformed features, from the first session of the axis on.
    labels : Labels
        On the cube's axis; rows without a known label are left out.
    rows : slice
        Sessions, none before the model's first session of use.
    repeats : int
        How often each feature is dealt out anew.
    seed : int
        Of the dealing.
    most_samples : int, optional
        Of more rows and symbols, sessions spread evenly are taken, and of a session wider than that some symbols.
    """
    windows = model_windows(model, cube, rows)
    places = [cube.symbols.index(name) if name in cube.symbols else -1 for name in model.symbols]
    targets = np.where(np.array(places) >= 0, labels.learned[rows][:, places], np.nan)
    usable = windows.whole()[rows.start - windows.first_row : rows.stop - windows.first_row] & np.isfinite(targets)
    if labels.candidates is not None:
        usable &= labels.candidates[rows][:, places]
    if len(model.symbols) > 1:  # a session of one has nobody to deal with
        usable &= usable.sum(axis=1, keepdims=True) > 1
    if most_samples is not None:
        usable = _spread(usable, most_samples)
    local, columns = np.nonzero(usable)
    features = model.feature_names
    if not len(local):
        return Importance(features, float("nan"), np.empty((0, len(features))))
    inputs = torch.from_numpy(windows.gather(local.astype(np.int64) + rows.start, columns.astype(np.int64)))
    outcome = torch.from_numpy(targets[usable])
    sessions, session = np.unique(local, return_inverse=True)
    groups = session if len(model.symbols) > 1 else np.zeros(len(local), dtype=np.int64)
    draw = np.random.default_rng(seed)
    with repeatable_torch(0), torch.no_grad():
        head, forecast = model.estimators.head, _ensemble_forecast(model, len(features))
        losses = _loss(head, forecast, inputs, outcome)
        rise = np.zeros((len(sessions), len(features)))
        for feature in range(len(features)):
            if len(model.symbols) > 1 and _common(session, inputs[:, :, feature].numpy()):
                rise[:, feature] = np.nan
                continue
            for _ in range(repeats):
                dealt = inputs.clone()
                dealt[:, :, feature] = inputs[torch.from_numpy(_dealt(groups, draw)), :, feature]
                risen = _loss(head, forecast, dealt, outcome) - losses
                rise[:, feature] += _mean_by(session, risen, len(sessions)) / repeats
    return Importance(features, float(losses.mean()), rise)


def _spread(usable: BoolArray, most: int) -> BoolArray:
    """At most so many of the usable samples, (sessions, symbols): whole sessions spread evenly, of wide ones a part."""
    widths = usable.sum(axis=1)
    sessions = np.flatnonzero(widths)
    if widths.sum() <= most:
        return usable
    count = max(1, int(most * len(sessions) / widths.sum()))
    kept = np.zeros_like(usable)
    for session in _evenly(sessions, count):
        kept[session, _evenly(np.flatnonzero(usable[session]), max(2, most // count))] = True
    return kept


def _evenly(items: IntArray, count: int) -> IntArray:
    return items if len(items) <= count else items[np.linspace(0, len(items) - 1, count).round().astype(np.int64)]


def _ensemble_logit(model: FoldModel, features: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Logit of the mean probability of the members, (samples,), float64: what calibration takes."""
    forecast = _ensemble_forecast(model, features)
    return lambda windows: torch.logit(forecast(windows))


def _ensemble_forecast(model: FoldModel, features: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Mean forecast of the members, (samples,), float64.

    The networks stay in float32, as they forecast: a plug-in's may hold constants that have no other type.
    """
    settings, head = model.estimators.settings, model.estimators.head
    networks = [member.network(settings, features) for member in model.estimators.members[TRADED]]

    def forecast(windows: torch.Tensor) -> torch.Tensor:
        return torch.stack([head.forecast_of(network(windows).double()) for network in networks]).mean(dim=0)

    return forecast


def _loss(
    head: Head, forecast: Callable[[torch.Tensor], torch.Tensor], windows: torch.Tensor, outcome: torch.Tensor
) -> FloatArray:
    """Loss of each sample by its head, of the output that would give its forecast."""
    forecasts = torch.cat([forecast(part) for part in torch.split(windows, _SAMPLES_AT_ONCE)])
    losses = head.losses(_OUTPUTS[head.name](forecasts), outcome)
    return np.asarray(losses.numpy(), dtype=np.float64)


def _common(groups: IntArray, values: FloatArray) -> bool:
    """Whether all samples of a group have the same windows, (samples, lookback)."""
    firsts = np.searchsorted(groups, groups)  # place of the first sample of each one's group
    return bool((values == values[firsts]).all())


def _dealt(groups: IntArray, draw: np.random.Generator) -> IntArray:
    """A random order of the samples within their groups, which come in order."""
    return np.lexsort((draw.random(len(groups)), groups))


def _mean_by(groups: IntArray, values: FloatArray, count: int) -> FloatArray:
    mean: FloatArray = np.bincount(groups, values, count) / np.bincount(groups, minlength=count)
    return mean
