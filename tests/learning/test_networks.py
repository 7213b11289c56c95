from __future__ import annotations

import pytest
import torch

from nn_assets.learning.networks import build_network
from tests.learning.tiny import tiny_settings


@pytest.mark.parametrize("kind", ["lstm", "mlp"])
class TestEveryNetwork:
    def test_a_batch_of_one_stays_a_batch(self, kind: str) -> None:
        network = build_network(tiny_settings(network=kind), features=3)
        assert network(torch.zeros(1, 4, 3)).shape == (1,)

    def test_it_gives_one_logit_a_row(self, kind: str) -> None:
        network = build_network(tiny_settings(network=kind), features=3)
        assert network(torch.zeros(7, 4, 3)).shape == (7,)

    def test_a_row_is_judged_without_regard_to_its_neighbours(self, kind: str) -> None:
        torch.manual_seed(0)
        network = build_network(tiny_settings(network=kind), features=3).eval()
        windows = torch.randn(5, 4, 3)
        together = network(windows)
        alone = torch.cat([network(windows[place : place + 1]) for place in range(5)])
        torch.testing.assert_close(together, alone)

    def test_every_session_of_the_window_can_change_the_logit(self, kind: str) -> None:
        torch.manual_seed(1)
        network = build_network(tiny_settings(network=kind, hidden=16), features=3).eval()
        windows = torch.randn(1, 4, 3, requires_grad=True)
        network(windows).sum().backward()
        assert windows.grad is not None
        assert (windows.grad.abs().sum(dim=2) > 0).all()

    def test_one_layer_trains_without_a_warning(self, kind: str) -> None:
        network = build_network(tiny_settings(network=kind, layers=1), features=3)
        network(torch.zeros(2, 4, 3)).sum().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_lstm_equals_its_equations_written_out() -> None:
    torch.manual_seed(2)
    network = build_network(tiny_settings(layers=1, hidden=3), features=2).eval()
    weights = network.state_dict()
    window = torch.randn(4, 2)
    state = cell = torch.zeros(3)
    for row in window:  # Gers et al. 2000, equations 1 to 6
        arguments = (
            weights["body.weight_ih_l0"] @ row
            + weights["body.bias_ih_l0"]
            + weights["body.weight_hh_l0"] @ state
            + weights["body.bias_hh_l0"]
        )
        enter, forget, candidate, leave = arguments.split(3)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(candidate)
        state = torch.sigmoid(leave) * torch.tanh(cell)
    expected = weights["head.weight"] @ state + weights["head.bias"]
    torch.testing.assert_close(network(window[None]), expected)


def test_the_perceptron_equals_its_equations_written_out() -> None:
    torch.manual_seed(3)
    network = build_network(tiny_settings(network="mlp", layers=1, hidden=3), features=2).eval()
    weights = network.state_dict()
    window = torch.randn(4, 2)
    hidden = (weights["body.0.weight"] @ window.reshape(-1) + weights["body.0.bias"]).clamp(min=0.0)
    expected = weights["head.weight"] @ hidden + weights["head.bias"]
    torch.testing.assert_close(network(window[None]), expected)
