"""A network beside a linear model that is held fast: it learns what the linear one leaves."""

from __future__ import annotations

from collections.abc import Callable

import torch


class Residual(torch.nn.Module):
    """The logit of a linear model of the last session's features, and a network's logit on top.

    The network begins at nothing, so that training begins at the linear model (Zhang 2003, a linear model first and a
    network for its residuals). A faint linear signal then need not be found a second time through hidden units.

    Parameters
    ----------
    network : Module
        Its ``head`` is set to zero.
    features : int
        Of a window.
    """

    coefficients: torch.Tensor  # (features,)
    intercept: torch.Tensor  # (1,)

    def __init__(self, network: torch.nn.Module, features: int) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("coefficients", torch.zeros(features))
        self.register_buffer("intercept", torch.zeros(1))
        for weight in network.get_submodule("head").parameters():
            torch.nn.init.zeros_(weight)

    def start_from(self, coefficients: torch.Tensor, intercept: float) -> None:
        """Set the linear model: a coefficient for each feature, in logits."""
        self.coefficients.copy_(coefficients)
        self.intercept.fill_(intercept)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(batch, lookback, features) to logits (batch,)."""
        logits: torch.Tensor = self._linear(windows) + self.network(windows)
        return logits

    def forward_and_back(self, windows: torch.Tensor) -> tuple[torch.Tensor, Callable[[torch.Tensor], None]]:
        """As the network's own, where it has one: the linear model is held fast."""
        logits, back = self.network.forward_and_back(windows)  # type: ignore[operator]
        return self._linear(windows) + logits, back

    def steps(self, windows: torch.Tensor) -> torch.Tensor:
        """As the network's own, where it has one, each step with the linear model's logit of its own features."""
        logits: torch.Tensor = self.network.steps(windows)  # type: ignore[operator]
        return (windows * self.coefficients).sum(dim=-1) + self.intercept + logits

    def _linear(self, windows: torch.Tensor) -> torch.Tensor:
        return (windows[:, -1] * self.coefficients).sum(dim=-1) + self.intercept
