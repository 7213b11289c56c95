"""What every network is held to, whoever brought it: a new one brings the settings that name it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from nn_assets.learning.member import BLOCK_SIZE, Member
from nn_assets.learning.networks import build_network
from nn_assets.learning.networks.contract import require_sound_network
from nn_assets.learning.windows import Windows
from nn_assets.settings import LearningSettings


class NetworkContract:
    """A member gives ``settings``, of a lookback of four sessions, and how many weights it has.

    One that takes no window at random says what its windows are, and a rule that can be learned from them.
    """

    features = 3
    wide: Mapping[str, object] = {"hidden": 16}  # settings in which it has room to learn

    @pytest.fixture
    def settings(self) -> LearningSettings:
        raise NotImplementedError

    @pytest.fixture
    def most_weights(self) -> int:
        raise NotImplementedError

    def windows(self, rows: int, seed: int) -> torch.Tensor:
        """Windows of four sessions, (rows, 4, features)."""
        return torch.randn(rows, 4, self.features, generator=torch.Generator().manual_seed(seed))

    def rule(self, windows: torch.Tensor) -> torch.Tensor:
        """What is to be learned of each, 0 or 1: here of the newest session and of the oldest."""
        return (windows[:, -1, 0] - windows[:, 0, 1] > 0.0).float()

    def test_it_has_at_most_so_many_weights_as_it_says(self, settings: LearningSettings, most_weights: int) -> None:
        network = build_network(settings, features=self.features)
        assert sum(weight.numel() for weight in network.parameters()) <= most_weights

    def test_every_weight_learns(self, settings: LearningSettings) -> None:
        torch.manual_seed(0)
        network = build_network(
            settings.model_copy(update={"dropout": 0.0, "hidden": 16}), features=self.features
        ).train()
        network(self.windows(64, 0)).square().sum().backward()
        assert [name for name, weight in network.named_parameters() if not weight.grad.abs().sum() > 0.0] == []

    def test_saved_and_loaded_weights_give_the_same_bits(self, settings: LearningSettings) -> None:
        windows = self.windows(7, 0)
        network = build_network(settings, features=self.features).eval()
        kept = Member(0, {name: value.numpy() for name, value in network.state_dict().items()})
        again = Member.from_arrays(kept.to_arrays(), 0).network(settings, self.features)
        with torch.no_grad():
            assert torch.equal(network(windows), again(windows))

    def test_what_follows_a_session_changes_no_bit_of_its_logit(self, settings: LearningSettings) -> None:
        torch.manual_seed(2)
        network = build_network(settings, features=self.features).eval()
        kept = Member(0, {name: value.numpy() for name, value in network.state_dict().items()})
        values = np.random.default_rng(0).normal(size=(40, 2, self.features))
        rows, columns = np.repeat(np.arange(10, 20), 2), np.tile([0, 1], 10)
        answers = []
        for future in (0.0, 1e6, np.nan):
            changed = values.copy()
            changed[20:] += future
            answers.append(Member.probabilities([kept], settings, Windows(changed, 4), rows, columns))
        assert BLOCK_SIZE > 20 * 2  # those that follow lie in the same block
        assert answers[0].tobytes() == answers[1].tobytes() == answers[2].tobytes()

    def test_it_learns_sixty_four_rows_by_heart(self, settings: LearningSettings) -> None:
        windows, targets = self.windows(64, 1), torch.arange(64) % 2
        network = _learned(settings.model_copy(update=self.wide), windows, targets.float(), steps=120)
        assert int(((network(windows) > 0) == targets.bool()).sum()) == 64

    @pytest.mark.full
    def test_it_learns_a_planted_rule_that_holds_on_rows_it_has_not_seen(self, settings: LearningSettings) -> None:
        windows = self.windows(1_500, 2)
        targets = self.rule(windows)
        wide = settings.model_copy(update=self.wide)
        network = _learned(wide, windows[:1_000], targets[:1_000], steps=150)
        right = (network(windows[1_000:]) > 0) == targets[1_000:].bool()
        assert float(right.float().mean()) > 0.9

    def test_it_keeps_the_contract_that_plugins_are_held_to(self, settings: LearningSettings) -> None:
        require_sound_network(settings, self.features)

    @pytest.mark.parametrize("rows", [1, 7])
    def test_it_gives_one_logit_a_row_and_a_batch_of_one_stays_a_batch(
        self, settings: LearningSettings, rows: int
    ) -> None:
        network = build_network(settings, features=self.features)
        assert network(torch.zeros(rows, 4, self.features)).shape == (rows,)

    def test_a_row_is_judged_without_regard_to_its_neighbours(self, settings: LearningSettings) -> None:
        torch.manual_seed(0)
        network = build_network(settings, features=self.features).eval()
        windows = self.windows(5, 0)
        together = network(windows)
        alone = torch.cat([network(windows[row : row + 1]) for row in range(5)])
        torch.testing.assert_close(together, alone)

    def test_every_session_of_the_window_can_change_the_logit(self, settings: LearningSettings) -> None:
        torch.manual_seed(1)
        network = build_network(settings.model_copy(update={"hidden": 16}), features=self.features).eval()
        windows = self.windows(1, 0).requires_grad_()
        network(windows).sum().backward()
        assert windows.grad is not None
        assert (windows.grad.abs().sum(dim=2) > 0).all()

    def test_one_layer_trains_without_a_warning(self, settings: LearningSettings) -> None:
        network = build_network(settings.model_copy(update={"layers": 1}), features=self.features)
        network(torch.zeros(2, 4, self.features)).sum().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())


def _learned(
    settings: LearningSettings, windows: torch.Tensor, targets: torch.Tensor, *, steps: int
) -> torch.nn.Module:
    """A network after so many steps down the loss of all rows, by a loop of its own."""
    torch.manual_seed(3)
    network = build_network(settings.model_copy(update={"dropout": 0.0}), features=windows.shape[2]).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(network(windows), targets).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return network.eval().requires_grad_(False)
