"""Multilayer perceptron over a flattened window."""

from __future__ import annotations

from itertools import pairwise

import torch

__all__ = ["Perceptron"]


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
