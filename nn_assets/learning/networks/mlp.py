"""Multilayer perceptron over a flattened window."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch

from nn_assets.settings import LearningSettings


class Perceptron(torch.nn.Module):
    """Hidden layers with ReLU and dropout; the last layer gives one logit.

    Parameters
    ----------
    lookback, features : int
        Shape of a window.
    hidden, layers : int
        Width and number of hidden layers.
    dropout : float
        Share of hidden units silenced in training, so that none is relied on alone.
    """

    def __init__(self, *, lookback: int, features: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        widths = [lookback * features] + [hidden] * layers
        stack: list[torch.nn.Module] = []
        for inputs, outputs in pairwise(widths):
            stack += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU(), torch.nn.Dropout(dropout)]
        self.body = torch.nn.Sequential(*stack)
        self.head = torch.nn.Linear(widths[-1], 1)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(batch, lookback, features) to logits (batch,)."""
        hidden = self.body(windows.flatten(start_dim=1))  # (batch, hidden)
        # squeeze(-1), not squeeze(): a batch of one stays a batch
        logits: torch.Tensor = self.head(hidden).squeeze(-1)
        return logits

    def forward_and_back(self, windows: torch.Tensor) -> tuple[torch.Tensor, Callable[[torch.Tensor], None]]:
        """Logits in training, and the way back, with autograd's own kernels: the same bits at two thirds of the cost.

        Parameters
        ----------
        windows : Tensor, shape (batch, lookback, features)

        Returns
        -------
        logits : Tensor, shape (batch,)
            As ``forward`` in training mode gives them, drawn dropout included.
        back : callable
            Takes the loss's derivative by each logit, (batch,), and writes that by each weight over its ``grad``.
        """
        inputs = windows.flatten(start_dim=1)
        passed: list[tuple[torch.nn.Linear, torch.Tensor, torch.Tensor, torch.Tensor | None]] = []
        for layer, _, dropout in zip(*[iter(self.body)] * 3, strict=True):
            active = torch.nn.functional.linear(inputs, layer.weight, layer.bias).relu_()
            kept = torch.empty_like(active).bernoulli_(1.0 - dropout.p).div_(1.0 - dropout.p) if dropout.p else None
            passed.append((layer, inputs, active, kept))
            inputs = active if kept is None else active * kept
        logits = torch.nn.functional.linear(inputs, self.head.weight, self.head.bias).squeeze(-1)

        @torch.no_grad()
        def back(slope: torch.Tensor) -> None:
            slopes = slope.unsqueeze(-1)  # by what a layer gives: (batch, its width)
            _write_gradient(self.head, slopes, inputs)
            above = self.head
            for layer, entered, active, kept in reversed(passed):
                slopes = slopes.mm(above.weight)
                if kept is not None:
                    slopes.mul_(kept)
                slopes = torch.ops.aten.threshold_backward(slopes, active, 0)
                _write_gradient(layer, slopes, entered)
                above = layer

        return logits, back


def _write_gradient(layer: torch.nn.Linear, slopes: torch.Tensor, entered: torch.Tensor) -> None:
    torch.mm(slopes.t(), entered, out=layer.weight.grad)
    torch.sum(slopes, 0, out=layer.bias.grad)


def build_mlp(settings: LearningSettings, features: int) -> torch.nn.Module:
    """Build a multilayer perceptron on the flattened window, with ReLU."""
    return Perceptron(
        lookback=settings.lookback,
        features=features,
        hidden=settings.hidden,
        layers=settings.layers,
        dropout=settings.dropout,
    )
