"""The networks a second time: their equations in NumPy, and layers assembled here for the plain training loop.

Nothing is shared with the package but the names under which a model's weights are stored.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import erf

from nn_assets.settings import LearningSettings

Weights = dict[str, np.ndarray]
Shapes = dict[str, tuple[int, ...]]


def made_up_weights(settings: LearningSettings, features: int, seed: int) -> Weights:
    """float32 weights, every array drawn by itself, under the names and in the shapes a model is stored in."""
    shapes = {"head.weight": (1, settings.hidden), "head.bias": (1,)} | _SHAPES[settings.network](settings, features)
    random = np.random.default_rng(seed)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def _of_perceptron(settings: LearningSettings, features: int) -> Shapes:
    shapes, inputs, width = {}, settings.lookback * features, settings.hidden
    for layer in range(settings.layers):  # a linear map, its ReLU and its dropout make three steps of the body
        shapes |= {f"body.{3 * layer}.weight": (width, inputs), f"body.{3 * layer}.bias": (width,)}
        inputs = width
    return shapes


def _of_recurrent(settings: LearningSettings, features: int) -> Shapes:
    shapes, inputs, width = {}, features, settings.hidden
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[settings.network]
    for layer in range(settings.layers):
        shapes |= {
            f"body.weight_ih_l{layer}": (gates * width, inputs),
            f"body.weight_hh_l{layer}": (gates * width, width),
            f"body.bias_ih_l{layer}": (gates * width,),
            f"body.bias_hh_l{layer}": (gates * width,),
        }
        inputs = width
    return shapes


def _of_convolutions(settings: LearningSettings, features: int) -> Shapes:
    shapes, inputs, width = {}, features, settings.hidden
    for block in range(settings.layers):
        shapes |= {f"body.{block}.first.weight": (width, inputs, 3), f"body.{block}.first.bias": (width,)}
        shapes |= {f"body.{block}.second.weight": (width, width, 3), f"body.{block}.second.bias": (width,)}
        if inputs != width:
            shapes |= {f"body.{block}.shortcut.weight": (width, inputs, 1), f"body.{block}.shortcut.bias": (width,)}
        inputs = width
    return shapes


def _of_image(settings: LearningSettings, features: int) -> Shapes:
    shapes: Shapes = {"columns": (4,), "center": (4,), "scale": (4,)}
    channels, height = 1, features
    for layer in range(settings.layers):
        shapes |= {
            f"body.{2 * layer}.weight": (settings.hidden, channels, 5, 3),
            f"body.{2 * layer}.bias": (settings.hidden,),
        }
        channels, height = settings.hidden, -(-height // 2)
    return shapes | {"head.weight": (1, settings.hidden * height * settings.lookback)}


def _of_transformer(settings: LearningSettings, features: int) -> Shapes:
    width = settings.hidden
    shapes: Shapes = {"enter.weight": (width, features), "enter.bias": (width,), "position": (settings.lookback, width)}
    for layer in range(settings.layers):
        own = {
            "self_attn.in_proj_weight": (3 * width, width),
            "self_attn.in_proj_bias": (3 * width,),
            "self_attn.out_proj.weight": (width, width),
            "self_attn.out_proj.bias": (width,),
            "linear1.weight": (2 * width, width),
            "linear1.bias": (2 * width,),
            "linear2.weight": (width, 2 * width),
            "linear2.bias": (width,),
            **{f"norm{number}.{part}": (width,) for number in (1, 2) for part in ("weight", "bias")},
        }
        shapes |= {f"body.layers.{layer}.{name}": shape for name, shape in own.items()}
    return shapes | {"body.norm.weight": (width,), "body.norm.bias": (width,)}


def plain_logits(weights: Weights, windows: np.ndarray, settings: LearningSettings) -> np.ndarray:
    """Logits (samples,) of windows (samples, lookback, features) in float64, nothing silenced."""
    exact = {name: value.astype(np.float64) for name, value in weights.items()}
    states = [_LAST_STATES[settings.network](exact, window, settings) for window in windows.astype(np.float64)]
    return np.array([(exact["head.weight"] @ state + exact["head.bias"])[0] for state in states])


def _last_state(weights: Weights, window: np.ndarray, settings: LearningSettings) -> np.ndarray:
    steps = list(window)
    for layer in range(settings.layers):
        state = cell = np.zeros(settings.hidden)
        states = []
        for step in steps:
            entered = weights[f"body.weight_ih_l{layer}"] @ step + weights[f"body.bias_ih_l{layer}"]
            carried = weights[f"body.weight_hh_l{layer}"] @ state + weights[f"body.bias_hh_l{layer}"]
            if settings.network == "rnn":
                state = np.tanh(entered + carried)
            elif settings.network == "lstm":  # Gers et al. 2000, equations 1 to 6
                enter, forget, candidate, leave = np.split(entered + carried, 4)
                cell = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(candidate)
                state = _sigmoid(leave) * np.tanh(cell)
            else:  # Cho et al. 2014, the reset gate after the map, as in cuDNN
                reset, update = (_sigmoid(part) for part in np.split((entered + carried)[: -len(state)], 2))
                candidate = np.tanh(entered[-len(state) :] + reset * carried[-len(state) :])
                state = (1.0 - update) * candidate + update * state
            states.append(state)
        steps = states
    return steps[-1]


def _last_convolved(weights: Weights, window: np.ndarray, settings: LearningSettings) -> np.ndarray:
    steps = window
    for block in range(settings.layers):
        hidden = steps
        for part in ("first", "second"):
            kernel, bias = weights[f"body.{block}.{part}.weight"], weights[f"body.{block}.{part}.bias"]
            sums = np.tile(bias, (len(hidden), 1))
            for step in range(len(hidden)):
                for tap in range(3):  # the last tap is the step itself
                    earlier = step - (2 - tap) * 2**block
                    if earlier >= 0:
                        sums[step] += kernel[:, :, tap] @ hidden[earlier]
            hidden = np.maximum(sums, 0.0)
        if f"body.{block}.shortcut.weight" in weights:
            steps = steps @ weights[f"body.{block}.shortcut.weight"][:, :, 0].T + weights[f"body.{block}.shortcut.bias"]
        steps = np.maximum(hidden + steps, 0.0)
    return steps[-1]


def _last_attended(weights: Weights, window: np.ndarray, settings: LearningSettings) -> np.ndarray:
    steps = window @ weights["enter.weight"].T + weights["enter.bias"] + weights["position"]
    heads, width = 4, settings.hidden // 4
    for layer in range(settings.layers):
        own = {name.removeprefix(f"body.layers.{layer}."): value for name, value in weights.items()}
        normal = _normalised(steps, own["norm1.weight"], own["norm1.bias"])
        asked, offered, said = np.split(
            normal @ own["self_attn.in_proj_weight"].T + own["self_attn.in_proj_bias"], 3, 1
        )
        attended = np.empty_like(steps)
        for head in range(heads):
            its = slice(head * width, (head + 1) * width)
            for step in range(len(steps)):
                likeness = offered[: step + 1, its] @ asked[step, its] / np.sqrt(width)
                shares = np.exp(likeness - likeness.max())
                attended[step, its] = shares / shares.sum() @ said[: step + 1, its]
        steps = steps + attended @ own["self_attn.out_proj.weight"].T + own["self_attn.out_proj.bias"]
        normal = _normalised(steps, own["norm2.weight"], own["norm2.bias"])
        wide = normal @ own["linear1.weight"].T + own["linear1.bias"]
        wide = wide * 0.5 * (1.0 + erf(wide / np.sqrt(2.0)))  # Hendrycks and Gimpel 2016
        steps = steps + wide @ own["linear2.weight"].T + own["linear2.bias"]
    return _normalised(steps, weights["body.norm.weight"], weights["body.norm.bias"])[-1]


def _seen(weights: Weights, window: np.ndarray, settings: LearningSettings) -> np.ndarray:
    image = window.T[None]  # (channels, levels, sessions)
    for layer in range(settings.layers):
        kernel, bias = weights[f"body.{2 * layer}.weight"], weights[f"body.{2 * layer}.bias"]
        framed = np.pad(image, ((0, 0), (2, 2), (1, 1)))
        levels, sessions = -(-image.shape[1] // 2), image.shape[2]
        made = np.empty((len(bias), levels, sessions))
        for level in range(levels):
            for session in range(sessions):
                patch = framed[:, 2 * level : 2 * level + 5, session : session + 3]
                made[:, level, session] = np.tensordot(kernel, patch, 3) + bias
        image = np.where(made > 0.0, made, 0.01 * made)
    return image.reshape(-1)


def _normalised(steps: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    centred = steps - steps.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5) * weight + bias


def _last_layer(weights: Weights, window: np.ndarray, settings: LearningSettings) -> np.ndarray:
    hidden = window.reshape(-1)
    for layer in range(settings.layers):
        hidden = np.maximum(weights[f"body.{3 * layer}.weight"] @ hidden + weights[f"body.{3 * layer}.bias"], 0.0)
    return hidden


_SHAPES = {
    "mlp": _of_perceptron,
    "rnn": _of_recurrent,
    "lstm": _of_recurrent,
    "gru": _of_recurrent,
    "tcn": _of_convolutions,
    "candlestick": _of_image,
    "transformer": _of_transformer,
}
_LAST_STATES = {
    "mlp": _last_layer,
    "rnn": _last_state,
    "lstm": _last_state,
    "gru": _last_state,
    "tcn": _last_convolved,
    "candlestick": _seen,
    "transformer": _last_attended,
}


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
