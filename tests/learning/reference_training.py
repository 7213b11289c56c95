"""The training loop at its plainest: every window sliced in Python, no schedule, no early stop.

With a patience and a plateau longer than the run, the product's loop must end with the same weights.
"""

from __future__ import annotations

import numpy as np
import torch

from nn_assets.learning.networks import build_network
from nn_assets.learning.windows import Samples
from nn_assets.settings import LearningSettings
from tests.learning.reference_windows import plain_windows


def plain_training(
    values: np.ndarray, training: Samples, settings: LearningSettings, seed: int, epochs: int
) -> dict[str, torch.Tensor]:
    """Weights after ``epochs`` epochs; ``values`` is (bars, symbols, features)."""
    torch.manual_seed(seed)
    network = build_network(settings, values.shape[2])
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    for _ in range(epochs):
        network.train()
        shuffled = torch.randperm(training.count, generator=order).numpy()
        for start in range(0, training.count, settings.batch_size):
            places = shuffled[start : start + settings.batch_size]
            windows = plain_windows(values, training.rows[places], training.columns[places], settings.lookback)
            logits = network(torch.tensor(windows))
            targets = torch.tensor(training.targets[places])
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_norm)
            optimizer.step()
    return {name: value.clone() for name, value in network.state_dict().items()}
