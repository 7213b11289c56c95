"""The training loop at its plainest: every window sliced in Python, schedule and early stop spelled out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from nn_assets.learning.windows import Samples
from nn_assets.settings import LearningSettings
from tests.learning.reference_networks import plain_network
from tests.learning.reference_windows import plain_windows

# What torch's ReduceLROnPlateau counts as a gain: one part in ten thousand.
GAIN = 1e-4


@dataclass
class PlainRun:
    """Losses and rates of each epoch run, and the weights of the best, in the order of their layers."""

    training_losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    best_epoch: int = 0
    state: list[np.ndarray] = field(default_factory=list)


def plain_training(
    values: np.ndarray, training: Samples, settings: LearningSettings, seed: int, epochs: int
) -> list[np.ndarray]:
    """Weights after ``epochs`` epochs at one rate; ``values`` is (bars, symbols, features)."""
    network, optimizer, order = _begin(values, settings, seed)
    for _ in range(epochs):
        _learn(network, optimizer, order, values, training, settings)
    return _weights(network)


def plain_run(
    values: np.ndarray, training: Samples, validation: Samples, settings: LearningSettings, seed: int
) -> PlainRun:
    """Train until patience is spent or the epochs are; the rate falls on a plateau of the validation loss."""
    network, optimizer, order = _begin(values, settings, seed)
    run = PlainRun()
    rate, best_for_the_rate, epochs_without_gain = settings.learning_rate, np.inf, 0
    for epoch in range(settings.maximum_epochs):
        for group in optimizer.param_groups:
            group["lr"] = rate
        run.rates.append(rate)
        run.training_losses.append(_learn(network, optimizer, order, values, training, settings))
        run.validation_losses.append(_judge(network, values, validation, settings))
        loss = run.validation_losses[-1]
        if loss == min(run.validation_losses) and run.validation_losses.count(loss) == 1:
            run.best_epoch, run.state = epoch, _weights(network)
        if epoch - run.best_epoch == settings.patience:
            break
        if loss < best_for_the_rate * (1.0 - GAIN):
            best_for_the_rate, epochs_without_gain = loss, 0
        else:
            epochs_without_gain += 1
        if epochs_without_gain > settings.plateau_patience:
            rate, epochs_without_gain = rate * settings.plateau_factor, 0
    return run


def _begin(
    values: np.ndarray, settings: LearningSettings, seed: int
) -> tuple[torch.nn.Module, torch.optim.Optimizer, torch.Generator]:
    torch.manual_seed(seed)
    network = plain_network(settings, values.shape[2])
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    return network, optimizer, torch.Generator().manual_seed(seed)


def _learn(
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    order: torch.Generator,
    values: np.ndarray,
    training: Samples,
    settings: LearningSettings,
) -> float:
    network.train()
    shuffled = torch.randperm(training.count, generator=order).numpy()
    losses: list[float] = []
    for start in range(0, training.count, settings.batch_size):
        batch = shuffled[start : start + settings.batch_size]
        windows = plain_windows(values, training.rows[batch], training.columns[batch], settings.lookback)
        batch_losses = _losses(network(torch.tensor(windows)), torch.tensor(training.targets[batch]))
        optimizer.zero_grad()
        batch_losses.mean().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_norm)
        optimizer.step()
        losses += batch_losses.tolist()
    return sum(losses) / len(losses)


def _judge(network: torch.nn.Module, values: np.ndarray, samples: Samples, settings: LearningSettings) -> float:
    network.eval()
    windows = plain_windows(values, samples.rows, samples.columns, settings.lookback)
    with torch.no_grad():
        losses = _losses(network(torch.tensor(windows)), torch.tensor(samples.targets)).tolist()
    return sum(losses) / len(losses)


def _losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy in nats: log(1 + exp(-z)) where the outcome is up, log(1 + exp(z)) where it is down."""
    return torch.nn.functional.softplus(torch.where(targets == 1.0, -logits, logits))


def _weights(network: torch.nn.Module) -> list[np.ndarray]:
    return [parameter.detach().numpy().copy() for parameter in network.parameters()]
