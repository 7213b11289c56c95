"""Recurrent networks over a window: simple, long short-term memory, gated; the last state gives the logit."""

from __future__ import annotations

from collections.abc import Callable

import torch

from nn_assets.settings import LearningSettings


class Recurrent(torch.nn.Module):
    """Stacked recurrent layers, and a linear layer on the state after the last session.

    Parameters
    ----------
    cell : callable
        ``torch.nn.RNN`` (Elman 1990, tanh), ``torch.nn.LSTM`` (Hochreiter and Schmidhuber 1997, with the forget gate of
        Gers, Schmidhuber and Cummins 2000) or ``torch.nn.GRU`` (Cho et al. 2014).
    features : int
        Features of a window.
    hidden, layers : int
        Width and number of recurrent layers.
    dropout : float
        Share of units silenced in training between layers and before the head.
    """

    def __init__(
        self, cell: Callable[..., torch.nn.RNNBase], *, features: int, hidden: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.body = cell(features, hidden, layers, dropout=between)
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(hidden, 1)

    def steps(self, windows: torch.Tensor) -> torch.Tensor:
        """(batch, lookback, features) to a logit at each step, which sees it and those before it: (batch, lookback)."""
        states, _ = self.body(windows.transpose(0, 1))
        logits: torch.Tensor = self.head(self.dropout(states)).squeeze(-1).transpose(0, 1)
        return logits

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(batch, lookback, features) to logits (batch,)."""
        states, _ = self.body(windows.transpose(0, 1))  # (lookback, batch, hidden)
        # squeeze(-1), not squeeze(): a batch of one stays a batch
        logits: torch.Tensor = self.head(self.dropout(states[-1])).squeeze(-1)
        return logits


def build_rnn(settings: LearningSettings, features: int) -> torch.nn.Module:
    """Build a simple recurrent network (Elman 1990): each state is tanh of the session and the state before."""
    return _built(torch.nn.RNN, settings, features)


def build_lstm(settings: LearningSettings, features: int) -> torch.nn.Module:
    """Build a network of long short-term memory (Hochreiter and Schmidhuber 1997), the default."""
    return _built(torch.nn.LSTM, settings, features)


def build_gru(settings: LearningSettings, features: int) -> torch.nn.Module:
    """Build a network of gated recurrent units (Cho et al. 2014): as the LSTM, with three quarters of its weights."""
    return _built(torch.nn.GRU, settings, features)


def _built(cell: Callable[..., torch.nn.RNNBase], settings: LearningSettings, features: int) -> torch.nn.Module:
    return Recurrent(cell, features=features, hidden=settings.hidden, layers=settings.layers, dropout=settings.dropout)
