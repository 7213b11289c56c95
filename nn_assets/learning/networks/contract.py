"""The contract of a network: one finite logit a row, whatever the other rows say, and the same again by its seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import torch

from nn_assets.errors import PluginError, SettingsError
from nn_assets.features.scaling import Scaler
from nn_assets.learning.networks import build_network, forward_and_back, network_of, set_inputs
from nn_assets.learning.training import repeatable_torch
from nn_assets.plugins import place_of
from nn_assets.settings import LearningSettings

_ROWS, _FEATURES = 6, 3
_MANY_ROWS = 1_100  # as many as training or inference may ask of at once
_TOLERANCE = 1e-4  # of logits computed in float32, whose sums go in another order beside other rows


def require_sound_network(learning: LearningSettings, features: int = _FEATURES, names: Sequence[str] = ()) -> None:
    """Refuse a network that is not what training and inference take it for, on windows that are made up.

    One that is to be residual begins at nothing, whatever its layers do, so that these are held to it by themselves.

    Parameters
    ----------
    learning : LearningSettings
        Its name, its own settings, and the lookback, width and depth that it is to have.
    features : int
        Of the windows that it is held to.
    names : sequence of str
        Features that it is to read, which it has to take, too.

    Raises
    ------
    PluginError
        Names the network, what it gave and what was expected.
    SettingsError
        ``learning.dense_targets`` asks for an output at each step, and it has none.
    """
    if learning.residual:
        require_sound_network(learning.model_copy(update={"residual": False}), features)
    held = _Held(learning, features)
    try:
        with repeatable_torch(learning.seed):
            windows = torch.randn(_ROWS, learning.lookback, features)
            network, logits = held.trained(windows)
            again, repeated = held.trained(windows)
            _require_same_start(held, network, again, logits, repeated)
            _require_rows_apart(held, network.eval(), windows)
            restored = build_network(learning, features)
            restored.load_state_dict(network.state_dict())
            held.require_near(network(windows), restored.eval()(windows), "logits that weights alone give again")
            if learning.dense_targets:
                _require_steps(held, network, windows)
            if names:
                _require_takes(held, learning, names)
    except (PluginError, SettingsError):
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a person's layers raise
        held.refuse("layers that can be built, called and trained", f"{type(error).__name__}: {error}", error)


class _Held:
    """One kind of network."""

    def __init__(self, learning: LearningSettings, features: int) -> None:
        self._learning, self._features = learning, features

    def trained(self, windows: torch.Tensor) -> tuple[torch.nn.Module, torch.Tensor]:
        """A network built anew by the seed after one way forward and back, and the logits of it, (batch,)."""
        torch.manual_seed(self._learning.seed)
        network = build_network(self._learning, self._features).train()
        if not isinstance(network, torch.nn.Module) or not list(network.parameters()):
            self.refuse("a torch.nn.Module with weights", type(network).__name__)
        inputs = windows.clone()
        logits = network(inputs)
        if not isinstance(logits, torch.Tensor) or logits.shape != (_ROWS,) or logits.dtype != torch.float32:
            kind = f"{tuple(logits.shape)}, {logits.dtype}" if isinstance(logits, torch.Tensor) else type(logits)
            self.refuse(f"one logit a row, of shape ({_ROWS},), float32", str(kind))
        if not torch.equal(inputs, windows):
            self.refuse("windows left as they were given", "it writes over its input")
        self.require_finite(logits, "logits")
        logits.sum().backward()  # type: ignore[no-untyped-call]
        self._require_gradients(network, windows)
        return network, logits.detach()

    def _require_gradients(self, network: torch.nn.Module, windows: torch.Tensor) -> None:
        for name, weight in network.named_parameters():
            if weight.requires_grad and weight.grad is None:
                self.refuse(f"a gradient of {name}", "none: no logit depends on it")
            if weight.grad is not None:
                self.require_finite(weight.grad, f"gradients of {name}")
        if (own := forward_and_back(network)) is None:
            return
        torch.manual_seed(self._learning.seed + 1)
        network.zero_grad()
        network(windows).sum().backward()
        by_torch = [None if parameter.grad is None else parameter.grad.clone() for parameter in network.parameters()]
        torch.manual_seed(self._learning.seed + 1)
        _, back = own(windows)
        back(torch.ones(_ROWS))
        for expected, weight in zip(by_torch, network.parameters(), strict=True):
            if expected is not None and weight.grad is not None:
                self.require_near(expected, weight.grad, "forward_and_back with autograd's gradients")

    def require_finite(self, values: torch.Tensor, what: str) -> None:
        """Refuse values of which one is NaN or infinite."""
        if not bool(torch.isfinite(values).all()):
            self.refuse(f"finite {what}", str(values[~torch.isfinite(values)].flatten()[0].item()))

    def require_near(self, left: torch.Tensor, right: torch.Tensor, expected: str) -> None:
        """Refuse two tensors that differ by more than the order of sums explains."""
        if not torch.allclose(left, right, rtol=_TOLERANCE, atol=_TOLERANCE):
            index = int((left - right).abs().flatten().argmax())
            values = f"{left.flatten()[index].item()} and {right.flatten()[index].item()}"
            self.refuse(expected, values)

    def refuse(self, expected: str, found: str, cause: BaseException | None = None) -> NoReturn:
        raise PluginError(
            expected=expected,
            found=found,
            remedy=f"mend the network {self._learning.network}; it is held to windows of shape "
            f"({_ROWS}, {self._learning.lookback}, {self._features}) that were made up for it",
            **place_of(network_of(self._learning.network).build, cause),
            key="plugins",
            network=self._learning.network,
        ) from cause


def _require_same_start(
    held: _Held, network: torch.nn.Module, again: torch.nn.Module, logits: torch.Tensor, repeated: torch.Tensor
) -> None:
    for (name, left), right in zip(network.state_dict().items(), again.state_dict().values(), strict=True):
        if not torch.equal(left, right):
            held.refuse("the same weights by the same seed", f"{name} differs between two builds")
    if not torch.equal(logits, repeated):
        held.refuse("the same logits by the same seed", f"{logits.tolist()} and {repeated.tolist()}")


def _require_rows_apart(held: _Held, network: torch.nn.Module, windows: torch.Tensor) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        together = network(windows)
        for row in range(_ROWS):
            others = -3.0 * windows
            others[row] = windows[row]
            expected = f"row {row} judged without regard to the other rows"
            held.require_near(together[row], network(others)[row], expected)
        many = torch.cat([windows, torch.randn(_MANY_ROWS - _ROWS, *windows.shape[1:])])
        expected = f"rows judged without regard to the other rows, {_MANY_ROWS} in all"
        held.require_near(together, network(many)[:_ROWS], expected)
        alone = network(windows[:1])
        if alone.shape != (1,):
            held.refuse("a batch of one that stays a batch, (1,)", str(tuple(alone.shape)))
    for name, value in network.state_dict().items():
        if not torch.equal(before[name], value):
            held.refuse("nothing kept of what it is asked", f"{name}, which the evaluation of rows changes")


def _require_takes(held: _Held, learning: LearningSettings, names: Sequence[str]) -> None:
    """Refuse a network that gives no logits of the features that a strategy has."""
    network = build_network(learning, len(names)).eval()
    set_inputs(network, names, Scaler.of_nothing(len(names)))
    logits = network(torch.randn(_ROWS, learning.lookback, len(names)))
    if logits.shape != (_ROWS,):
        held.refuse(f"one logit a row, of {len(names)} features as well", str(tuple(logits.shape)))
    held.require_finite(logits, f"logits of {', '.join(names)}")


def _require_steps(held: _Held, network: torch.nn.Module, windows: torch.Tensor) -> None:
    """Refuse outputs at each step that are none: the last is the row's logit, and none sees what follows it."""
    steps = network.steps(windows)  # type: ignore[operator]
    rows, sessions, _ = windows.shape
    if not isinstance(steps, torch.Tensor) or steps.shape != (rows, sessions) or steps.dtype != torch.float32:
        kind = f"{tuple(steps.shape)}, {steps.dtype}" if isinstance(steps, torch.Tensor) else type(steps).__name__
        held.refuse(f"steps that give one logit a row and session, of shape ({rows}, {sessions}), float32", kind)
    held.require_finite(steps, "logits of steps")
    held.require_near(network(windows), steps[:, -1], "steps whose last is the row's logit")
    for step in range(sessions - 1):
        changed = windows.clone()
        changed[:, step + 1 :] = -3.0 * windows[:, step + 1 :] + 1.0
        seen = network.steps(changed)[:, : step + 1]  # type: ignore[operator]
        held.require_near(steps[:, : step + 1], seen, "steps that see no session after their own")
