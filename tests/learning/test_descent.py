"""Steps and rates are torch's own, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nn_assets.learning.descent import AdamW, Plateau
from nn_assets.learning.networks import build_network
from nn_assets.learning.training import repeatable_torch
from tests.learning.tiny import tiny_settings

FEATURES, BATCH, STEPS = 7, 33, 40  # sizes that leave no tensor a multiple of what is aligned


def _losses(network: torch.nn.Module, step: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(step)
    windows = torch.randn(BATCH, 4, FEATURES, generator=g)
    outcomes = (torch.rand(BATCH, generator=g) > 0.5).float()
    return torch.nn.functional.binary_cross_entropy_with_logits(network(windows), outcomes, reduction="none")


def _rate(step: int) -> float:
    return 0.02 if step < STEPS // 2 else 0.005


@pytest.mark.full
@pytest.mark.parametrize("kind", ["mlp", "lstm"])
@pytest.mark.parametrize("largest_norm", [0.02, 0.15, 100.0])  # every gradient is clipped, some are, none is
def test_the_weights_are_those_of_torchs_optimiser_and_clipping(kind: str, largest_norm: float) -> None:
    settings = tiny_settings(network=kind, hidden=5, dropout=0.3)
    with repeatable_torch(3):
        mine = build_network(settings, FEATURES).train()
        optimizer = AdamW(mine, _rate(0), 0.1)
        for step in range(STEPS):
            optimizer.rate = _rate(step)
            assert optimizer.descend(_losses(mine, step), largest_norm)
    with repeatable_torch(3):
        theirs = build_network(settings, FEATURES).train()
        torchs = torch.optim.AdamW(theirs.parameters(), lr=_rate(0), weight_decay=0.1)
        for step in range(STEPS):
            torchs.param_groups[0]["lr"] = _rate(step)
            torchs.zero_grad()
            _losses(theirs, step).mean().backward()
            torch.nn.utils.clip_grad_norm_(theirs.parameters(), largest_norm)
            torchs.step()
    assert list(mine.state_dict()) == list(theirs.state_dict())
    for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_gradient_that_is_not_finite_moves_nothing() -> None:
    network = torch.nn.Linear(3, 1)
    before = [each.detach().clone() for each in network.parameters()]
    assert not AdamW(network, 0.1, 0.1).descend(network(torch.ones(2, 3))[:, 0] * torch.inf, 1.0)
    assert all(torch.equal(one, other) for one, other in zip(before, network.parameters(), strict=True))


@pytest.mark.full
@pytest.mark.parametrize("patience", [0, 1, 3])
def test_the_rate_falls_when_torchs_schedule_lets_it_fall(patience: int) -> None:
    g = np.random.default_rng(patience)
    losses = 0.69 - 1e-4 * g.integers(0, 3, 200).cumsum() * g.uniform(0.9, 1.1, 200)
    torchs = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(torchs, patience=patience, factor=0.9)
    plateau, rates = Plateau(patience, 0.9), [1.0]
    for loss in losses:
        schedule.step(loss)
        rates.append(plateau.rate_after(loss, rates[-1]))
        assert rates[-1] == torchs.param_groups[0]["lr"]
    assert 3 < len(set(rates)) < 190
