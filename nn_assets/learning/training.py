"""The one training loop. A network is only its layers; how it learns is here and nowhere else."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch.utils import deterministic

from nn_assets.arrays import Float32Array
from nn_assets.errors import TrainingError
from nn_assets.learning.baselines import LinearModel
from nn_assets.learning.descent import AdamW, Plateau
from nn_assets.learning.heads import SIGN, Head
from nn_assets.learning.networks import Residual, build_network, forward_and_back, set_inputs
from nn_assets.learning.windows import Samples, Windows
from nn_assets.settings import LearningSettings

_JUDGED_AT_ONCE = 512

# Torch's generator and thread count belong to the process; two threads training at once would mix them.
_ONE_AT_A_TIME = threading.RLock()


@dataclass(frozen=True)
class EpochFigures:
    """What one epoch came to; losses are those of the head that learns, averaged over samples.

    ``gradient_norm`` is the mean over its steps, before the gradient is cut.
    """

    training_loss: float
    validation_loss: float
    learning_rate: float
    gradient_norm: float


@dataclass(frozen=True)
class TrainingResult:
    """One trained member.

    ``state`` holds the weights of ``best_epoch`` (counted from 0), the one with the lowest
    validation loss; ``history`` has one entry for each epoch run.
    """

    seed: int
    state: dict[str, Float32Array]
    best_epoch: int
    history: tuple[EpochFigures, ...]

    @property
    def validation_loss(self) -> float:
        """Validation loss of the weights kept."""
        return self.history[self.best_epoch].validation_loss


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch with one thread, in one thread of this process at a time; generator and count restored after."""
    with _ONE_AT_A_TIME, torch.random.fork_rng(devices=[]):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


@contextmanager
def repeatable_torch(seed: int) -> Iterator[torch.Generator]:
    """As ``one_thread``, with deterministic algorithms and a seeded generator.

    Memory that nothing was written to yet is not filled first, which torch does in this mode at a sixth of an LSTM's
    time: nothing here reads any.

    Yields a second generator, for the order of batches, so that the order does not depend on how
    many random numbers a network draws for its weights or its dropout.
    """
    with one_thread():
        # The switch of use_deterministic_algorithms, without the compiler that it imports for its own settings.
        mode, fills = torch.get_deterministic_debug_mode(), deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
        torch.set_deterministic_debug_mode("error")
        deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.manual_seed(seed)
        try:
            yield torch.Generator().manual_seed(seed)
        finally:
            torch.set_deterministic_debug_mode(mode)
            deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]


def train(
    windows: Windows,
    training: Samples,
    validation: Samples,
    settings: LearningSettings,
    seed: int,
    start: LinearModel | None = None,
    head: Head = SIGN,
    weights: Mapping[str, npt.NDArray[np.float32]] | None = None,
) -> TrainingResult:
    """Train one member of the ensemble, from fresh weights or from those of an earlier fit.

    Parameters
    ----------
    windows : Windows
        Scaled features; batches are gathered from it.
    training, validation : Samples
        Purged from one another.
    settings : LearningSettings
    seed : int
        Fixes the first weights, the dropout and the order of batches.
    start : LinearModel, optional
        What a residual network begins as; nothing when left out.
    head : Head, optional
        What is learned: whether a label comes true, when left out.
    weights : mapping of name to array, optional
        Of a network of the same layers and features, fitted to earlier rows; fresh ones when left out.

    Raises
    ------
    TrainingError
        A part without samples, or a loss or gradient that is NaN, infinite or exploding; names
        the seed and the epoch.
    """
    with repeatable_torch(seed) as order:
        network = build_network(settings, features=windows.shape[2])
        if weights is not None:
            network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in weights.items()})
        set_inputs(network, windows.names, windows.scaler)
        if isinstance(network, Residual) and start is not None:
            network.start_from(torch.from_numpy(start.coefficients), start.intercept)
        return train_network(network, windows, training, validation, settings, seed=seed, order=order, head=head)


def train_network(
    network: torch.nn.Module,
    windows: Windows,
    training: Samples,
    validation: Samples,
    settings: LearningSettings,
    *,
    seed: int,
    order: torch.Generator,
    head: Head = SIGN,
) -> TrainingResult:
    """Train a given network in place: AdamW, clipped gradients, plateau schedule, early stopping.

    The network ends with the weights of its best epoch, and so does the result.

    Parameters
    ----------
    network : Module
        Takes (batch, lookback, features) float32, gives one output a window.
    windows : Windows
        What ``training`` and ``validation`` point into.
    training, validation : Samples
        Fitted on, and stopped by.
    settings : LearningSettings
    seed : int
        Named in an error; the network was made from it.
    order : Generator
        Shuffles the training samples, epoch by epoch.
    head : Head, optional
        As ``train``.

    Raises
    ------
    TrainingError
        As ``train``.
    """
    _require_samples(training, validation, seed)
    optimizer = AdamW(network, settings.learning_rate, settings.weight_decay)
    plateau = Plateau(settings.plateau_patience, settings.plateau_factor)
    history: list[EpochFigures] = []
    best_epoch, best_state = 0, _real_copy(network)
    for epoch in range(settings.maximum_epochs):
        learned, norm = _one_epoch(network, optimizer, windows, training, settings, order, head)
        judged = mean_loss(network, windows, validation, head)
        _refuse_divergence(learned, judged, head, seed, epoch)
        history.append(EpochFigures(learned, judged, optimizer.rate, norm))
        if epoch == 0 or judged < history[best_epoch].validation_loss:
            best_epoch, best_state = epoch, _real_copy(network)
        elif epoch - best_epoch >= settings.patience:
            break
        optimizer.rate = plateau.rate_after(judged, optimizer.rate)
    network.load_state_dict(best_state)
    return TrainingResult(
        seed=seed,
        state={name: tensor.numpy() for name, tensor in best_state.items()},
        best_epoch=best_epoch,
        history=tuple(history),
    )


def mean_loss(network: torch.nn.Module, windows: Windows, samples: Samples, head: Head = SIGN) -> float:
    """The head's loss, averaged over samples whatever the batches' sizes; dropout off."""
    network.eval()
    total = 0.0
    with torch.no_grad():
        for start in range(0, samples.count, _JUDGED_AT_ONCE):
            indices = np.arange(start, min(start + _JUDGED_AT_ONCE, samples.count))
            inputs, targets = _batch(windows, samples, indices)
            total += float(head.losses(network(inputs), targets).double().sum())
    return total / samples.count


def _one_epoch(
    network: torch.nn.Module,
    optimizer: AdamW,
    windows: Windows,
    samples: Samples,
    settings: LearningSettings,
    order: torch.Generator,
    head: Head,
) -> tuple[float, float]:
    """Mean loss over samples, and mean norm of the gradient over steps; NaN where a gradient is not finite."""
    network.train()
    own_way = forward_and_back(network)
    shuffled = torch.randperm(samples.count, generator=order).numpy()
    total, learned, norms = 0.0, 0, list[float]()
    for start in range(0, samples.count, settings.batch_size):
        indices = shuffled[start : start + settings.batch_size]
        inputs, targets = _batch(windows, samples, indices)
        if samples.steps is not None:
            of_steps = torch.from_numpy(samples.steps[indices]).clone()
            known = of_steps.isfinite()
            losses = head.losses(network.steps(inputs)[known], of_steps[known])  # type: ignore[operator]
            back: Callable[[], object] = losses.mean().backward
        elif own_way is None:
            losses = head.losses(network(inputs), targets)
            # down one number: asked for any other gradient, torch imports a library of algebra, a second a process
            back = losses.mean().backward
        else:
            with torch.no_grad():
                outputs, back_from = own_way(inputs)
                losses = head.losses(outputs, targets)
                slope = head.slope(outputs, targets).mul_(1.0 / len(indices))  # of the mean loss, by the outputs
            back = partial(back_from, slope)
        norms.append(optimizer.descend(back, settings.gradient_norm))
        if not math.isfinite(norms[-1]):
            # stepping would have spread the NaN into every weight; the caller names it
            return math.nan, math.nan
        # a sum over samples: the last batch is smaller and must not weigh as much as a full one
        total += float(losses.detach().double().sum())
        learned += len(losses)
    return total / learned, math.fsum(norms) / len(norms)


def _batch(windows: Windows, samples: Samples, indices: npt.NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.from_numpy(windows.gather(samples.rows[indices], samples.columns[indices]))
    # clone(): torch's own memory is aligned, numpy's may not be, and sums may round by alignment
    return inputs, torch.from_numpy(samples.targets[indices]).clone()


def _real_copy(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    # state_dict() hands out the live tensors; without clone() later steps would overwrite the copy
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _require_samples(training: Samples, validation: Samples, seed: int) -> None:
    if training.count == 0 or validation.count == 0:
        raise TrainingError(
            expected="samples to train on and samples to validate on",
            found=f"{training.count} and {validation.count}",
            remedy="look for features or labels that are missing throughout a part of the fold",
            seed=seed,
        )


def _refuse_divergence(learned: float, judged: float, head: Head, seed: int, epoch: int) -> None:
    for part, loss in (("training", learned), ("validation", judged)):
        if not loss <= head.exploded:  # NaN compares false
            raise TrainingError(
                expected=f"a {part} loss of at most {head.exploded} {head.loss_unit}",
                found=f"{loss}",
                remedy="lower learning.learning_rate, or look for extreme values among the features",
                seed=seed,
                epoch=epoch,
            )
