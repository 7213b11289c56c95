"""Long short-term memory over a window; its last state gives the logit."""

from __future__ import annotations

import torch


class LongShortTermMemory(torch.nn.Module):
    """Stacked LSTM (Hochreiter and Schmidhuber, 1997), a linear layer on the last hidden state.

    Parameters
    ----------
    features : int
        Features of a window.
    hidden, layers : int
        Width and number of recurrent layers.
    dropout : float
        Share of units silenced in training between layers and before the head.
    """

    def __init__(self, *, features: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.body = torch.nn.LSTM(features, hidden, layers, dropout=between)
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(hidden, 1)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(batch, lookback, features) to logits (batch,)."""
        states, _ = self.body(windows.transpose(0, 1))  # (lookback, batch, hidden)
        # squeeze(-1), not squeeze(): a batch of one stays a batch
        logits: torch.Tensor = self.head(self.dropout(states[-1])).squeeze(-1)
        return logits
