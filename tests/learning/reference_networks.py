"""The networks a second time: their equations in NumPy, and layers assembled here for the plain training loop.

Nothing is shared with the package but the names under which a model's weights are stored.
"""

from __future__ import annotations

import numpy as np
import torch

from nn_assets.settings import LearningSettings

Weights = dict[str, np.ndarray]


def made_up_weights(settings: LearningSettings, features: int, seed: int) -> Weights:
    """float32 weights, every array drawn by itself, under the names and in the shapes a model is stored in."""
    width, shapes = settings.hidden, {}
    inputs = features if settings.network == "lstm" else settings.lookback * features
    for layer in range(settings.layers):
        if settings.network == "lstm":
            shapes |= {
                f"body.weight_ih_l{layer}": (4 * width, inputs),
                f"body.weight_hh_l{layer}": (4 * width, width),
                f"body.bias_ih_l{layer}": (4 * width,),
                f"body.bias_hh_l{layer}": (4 * width,),
            }
        else:  # a linear map, its ReLU and its dropout make three steps of the body
            shapes |= {f"body.{3 * layer}.weight": (width, inputs), f"body.{3 * layer}.bias": (width,)}
        inputs = width
    shapes |= {"head.weight": (1, width), "head.bias": (1,)}
    random = np.random.default_rng(seed)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def plain_logits(weights: Weights, windows: np.ndarray, settings: LearningSettings) -> np.ndarray:
    """Logits (samples,) of windows (samples, lookback, features) in float64, nothing silenced."""
    exact = {name: value.astype(np.float64) for name, value in weights.items()}
    if settings.network == "lstm":
        states = [_last_state(exact, window, settings) for window in windows.astype(np.float64)]
    else:
        states = [_last_layer(exact, window, settings) for window in windows.astype(np.float64)]
    return np.array([(exact["head.weight"] @ state + exact["head.bias"])[0] for state in states])


def _last_state(weights: Weights, window: np.ndarray, settings: LearningSettings) -> np.ndarray:
    steps = list(window)
    for layer in range(settings.layers):
        state = cell = np.zeros(settings.hidden)
        states = []
        for step in steps:  # Gers et al. 2000, equations 1 to 6
            arguments = (
                weights[f"body.weight_ih_l{layer}"] @ step
                + weights[f"body.bias_ih_l{layer}"]
                + weights[f"body.weight_hh_l{layer}"] @ state
                + weights[f"body.bias_hh_l{layer}"]
            )
            enter, forget, candidate, leave = np.split(arguments, 4)
            cell = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(candidate)
            state = _sigmoid(leave) * np.tanh(cell)
            states.append(state)
        steps = states
    return steps[-1]


def _last_layer(weights: Weights, window: np.ndarray, settings: LearningSettings) -> np.ndarray:
    hidden = window.reshape(-1)
    for layer in range(settings.layers):
        hidden = np.maximum(weights[f"body.{3 * layer}.weight"] @ hidden + weights[f"body.{3 * layer}.bias"], 0.0)
    return hidden


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-values))


class PlainRecurrent(torch.nn.Module):
    """An LSTM, dropout, and a linear map of the state after the last session."""

    def __init__(self, settings: LearningSettings, features: int) -> None:
        super().__init__()
        between = settings.dropout if settings.layers > 1 else 0.0  # torch warns of it where nothing is between
        self.recurrent = torch.nn.LSTM(features, settings.hidden, settings.layers, batch_first=True, dropout=between)
        self.silence = torch.nn.Dropout(settings.dropout)
        self.last = torch.nn.Linear(settings.hidden, 1)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        outputs, _ = self.recurrent(windows)
        return self.last(self.silence(outputs[:, -1, :]))[:, 0]


class PlainPerceptron(torch.nn.Module):
    """Linear maps, each with ReLU and dropout, and one more to the logit."""

    def __init__(self, settings: LearningSettings, features: int) -> None:
        super().__init__()
        first = [settings.lookback * features]
        self.maps = torch.nn.ModuleList(
            torch.nn.Linear(inputs, settings.hidden) for inputs in first + [settings.hidden] * (settings.layers - 1)
        )
        self.silence = torch.nn.Dropout(settings.dropout)
        self.last = torch.nn.Linear(settings.hidden, 1)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        hidden = windows.reshape(len(windows), -1)
        for layer in self.maps:
            hidden = self.silence(torch.relu(layer(hidden)))
        return self.last(hidden)[:, 0]


def plain_network(settings: LearningSettings, features: int) -> torch.nn.Module:
    """A fresh network, its weights drawn from torch's generator layer by layer, inputs before outputs."""
    return PlainRecurrent(settings, features) if settings.network == "lstm" else PlainPerceptron(settings, features)
