"""Temporal convolutional network: causal, dilated convolutions over a window."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from nn_assets.settings import LearningSettings
from nn_assets.settings.section import Section


class ConvolutionSettings(Section):
    """``kernel`` is how many steps each convolution sees, its own included, ``dilation`` sessions apart."""

    kernel: Annotated[int, Field(ge=2, le=32)] = 3


class TemporalConvolution(torch.nn.Module):
    """Blocks of two causal convolutions with a shortcut (Bai, Kolter and Koltun 2018); the last step gives the logit.

    The dilation doubles from block to block. There are as many blocks as ``layers``, or as many as it takes until the
    last step sees the whole window. Their weights are not normalised: the paper found no difference in the result.

    Parameters
    ----------
    lookback, features : int
        Shape of a window.
    hidden, layers : int
        Channels of every block, and the least number of blocks.
    dropout : float
        Share of units silenced in training after each convolution.
    kernel : int
        Steps that a convolution sees, 2 or more.
    """

    def __init__(self, *, lookback: int, features: int, hidden: int, layers: int, dropout: float, kernel: int) -> None:
        super().__init__()
        blocks: list[torch.nn.Module] = []
        seen, channels = 1, features
        while len(blocks) < layers or seen < lookback:
            dilation = 2 ** len(blocks)
            blocks.append(_Block(channels, hidden, kernel, dilation, dropout))
            seen, channels = seen + 2 * (kernel - 1) * dilation, hidden
        self.body = torch.nn.Sequential(*blocks)
        self.head = torch.nn.Linear(hidden, 1)

    def steps(self, windows: torch.Tensor) -> torch.Tensor:
        """(batch, lookback, features) to a logit at each step, which sees it and those before it: (batch, lookback)."""
        steps = self.body(windows.transpose(1, 2))
        logits: torch.Tensor = self.head(steps.transpose(1, 2)).squeeze(-1)
        return logits

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(batch, lookback, features) to logits (batch,)."""
        steps = self.body(windows.transpose(1, 2))  # (batch, hidden, lookback)
        # squeeze(-1), not squeeze(): a batch of one stays a batch
        logits: torch.Tensor = self.head(steps[:, :, -1]).squeeze(-1)
        return logits


class _Block(torch.nn.Module):
    """Two convolutions that see a step and steps before it, each with ReLU and dropout, added to their input."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.before = (kernel - 1) * dilation
        self.first = torch.nn.Conv1d(inputs, outputs, kernel, dilation=dilation)
        self.second = torch.nn.Conv1d(outputs, outputs, kernel, dilation=dilation)
        self.shortcut = torch.nn.Identity() if inputs == outputs else torch.nn.Conv1d(inputs, outputs, 1)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, lookback) to (batch, outputs, lookback)."""
        hidden = steps
        for convolution in (self.first, self.second):
            # zeros before the window and none after it: a step sees none that follow
            hidden = self.dropout(torch.relu(convolution(torch.nn.functional.pad(hidden, (self.before, 0)))))
        return torch.relu(hidden + self.shortcut(steps))


def build_tcn(settings: LearningSettings, features: int, own: ConvolutionSettings) -> torch.nn.Module:
    """Build a temporal convolutional network (Bai, Kolter and Koltun 2018): causal convolutions, dilated."""
    return TemporalConvolution(
        lookback=settings.lookback,
        features=features,
        hidden=settings.hidden,
        layers=settings.layers,
        dropout=settings.dropout,
        kernel=own.kernel,
    )
