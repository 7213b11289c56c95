"""Transformer encoder over a window; the last step gives the logit."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from nn_assets.errors import SettingsError
from nn_assets.settings import LearningSettings
from nn_assets.settings.section import Section


class AttentionSettings(Section):
    """``heads`` of attention share the width evenly; ``widening`` is how much wider a layer is between its two maps."""

    heads: Annotated[int, Field(ge=1, le=64)] = 4
    widening: Annotated[int, Field(ge=1, le=8)] = 2


class TransformerEncoder(torch.nn.Module):
    """Encoder layers of Vaswani et al. (2017), normalised before each part (Xiong et al. 2020), masked to the past.

    Parameters
    ----------
    lookback, features : int
        Shape of a window.
    hidden, layers : int
        Width of a step, and number of encoder layers.
    dropout : float
        Share of units silenced in training.
    heads, widening : int
        As of :class:`AttentionSettings`; ``hidden`` is a multiple of ``heads``.
    """

    mask: torch.Tensor  # (lookback, lookback), True where a step must not look

    def __init__(
        self, *, lookback: int, features: int, hidden: int, layers: int, dropout: float, heads: int, widening: int
    ) -> None:
        super().__init__()
        self.enter = torch.nn.Linear(features, hidden)
        self.position = torch.nn.Parameter(0.02 * torch.randn(lookback, hidden))
        stack = [
            torch.nn.TransformerEncoderLayer(
                hidden, heads, widening * hidden, dropout, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        ]
        norm = torch.nn.LayerNorm(hidden)
        self.body = torch.nn.TransformerEncoder(stack[0], layers, norm=norm, enable_nested_tensor=False)
        self.body.layers = torch.nn.ModuleList(stack)  # torch copies one layer: all would begin with its weights
        self.head = torch.nn.Linear(hidden, 1)
        later = torch.triu(torch.ones(lookback, lookback, dtype=torch.bool), diagonal=1)
        self.register_buffer("mask", later, persistent=False)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(batch, lookback, features) to logits (batch,)."""
        steps = self.body(self.enter(windows) + self.position, mask=self.mask)  # (batch, lookback, hidden)
        # squeeze(-1), not squeeze(): a batch of one stays a batch
        logits: torch.Tensor = self.head(steps[:, -1]).squeeze(-1)
        return logits


def build_transformer(settings: LearningSettings, features: int, own: AttentionSettings) -> torch.nn.Module:
    """Build a Transformer encoder (Vaswani et al. 2017), each step looking at itself and the steps before.

    Raises
    ------
    SettingsError
        The width cannot be shared evenly among the heads.
    """
    if settings.hidden % own.heads:
        raise SettingsError(
            expected=f"learning.hidden as a multiple of the {own.heads} heads of attention",
            found=f"{settings.hidden}",
            remedy="change learning.hidden, or learning.network_settings.heads",
            key="learning.hidden",
        )
    return TransformerEncoder(
        lookback=settings.lookback,
        features=features,
        hidden=settings.hidden,
        layers=settings.layers,
        dropout=settings.dropout,
        heads=own.heads,
        widening=own.widening,
    )
