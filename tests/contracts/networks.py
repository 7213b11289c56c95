"""What every network is held to, whoever brought it: a new one brings the settings that name it."""

from __future__ import annotations

import pytest
import torch

from nn_assets.learning.networks import build_network
from nn_assets.learning.networks.contract import require_sound_network
from nn_assets.settings import LearningSettings


class NetworkContract:
    """A member gives ``settings``, of a lookback of four sessions."""

    @pytest.fixture
    def settings(self) -> LearningSettings:
        raise NotImplementedError

    def test_it_keeps_the_contract_that_plugins_are_held_to(self, settings: LearningSettings) -> None:
        require_sound_network(settings)

    @pytest.mark.parametrize("rows", [1, 7])
    def test_it_gives_one_logit_a_row_and_a_batch_of_one_stays_a_batch(
        self, settings: LearningSettings, rows: int
    ) -> None:
        network = build_network(settings, features=3)
        assert network(torch.zeros(rows, 4, 3)).shape == (rows,)

    def test_a_row_is_judged_without_regard_to_its_neighbours(self, settings: LearningSettings) -> None:
        torch.manual_seed(0)
        network = build_network(settings, features=3).eval()
        windows = torch.randn(5, 4, 3)
        together = network(windows)
        alone = torch.cat([network(windows[row : row + 1]) for row in range(5)])
        torch.testing.assert_close(together, alone)

    def test_every_session_of_the_window_can_change_the_logit(self, settings: LearningSettings) -> None:
        torch.manual_seed(1)
        network = build_network(settings.model_copy(update={"hidden": 16}), features=3).eval()
        windows = torch.randn(1, 4, 3, requires_grad=True)
        network(windows).sum().backward()
        assert windows.grad is not None
        assert (windows.grad.abs().sum(dim=2) > 0).all()

    def test_one_layer_trains_without_a_warning(self, settings: LearningSettings) -> None:
        network = build_network(settings.model_copy(update={"layers": 1}), features=3)
        network(torch.zeros(2, 4, 3)).sum().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
