"""Steps and rates are torch's own, to the bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nn_assets.learning.descent import AdamW, Plateau
from nn_assets.learning.networks import build_network, forward_and_back
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
    norms: list[float] = []
    with repeatable_torch(3):
        ours = build_network(settings, FEATURES).train()
        optimizer = AdamW(ours, _rate(0), 0.1)
        for step in range(STEPS):
            optimizer.rate = _rate(step)
            norms.append(optimizer.descend(_losses(ours, step).mean().backward, largest_norm))
    with repeatable_torch(3):
        theirs = build_network(settings, FEATURES).train()
        torchs = torch.optim.AdamW(theirs.parameters(), lr=_rate(0), weight_decay=0.1)
        for step in range(STEPS):
            torchs.param_groups[0]["lr"] = _rate(step)
            torchs.zero_grad()
            _losses(theirs, step).mean().backward()
            assert norms[step] == float(torch.nn.utils.clip_grad_norm_(theirs.parameters(), largest_norm))
            torchs.step()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("layers", "dropout", "residual"), [(1, 0.2, False), (1, 0.3, True), (3, 0.0, False), (2, 0.7, True)]
)
@pytest.mark.parametrize("batch", [1, 33, 256])
def test_a_perceptrons_own_way_back_is_autograds(layers: int, dropout: float, residual: bool, batch: int) -> None:
    settings = tiny_settings(network="mlp", hidden=5, layers=layers, dropout=dropout, residual=residual)
    with repeatable_torch(3):
        network = build_network(settings, FEATURES).train()
        for weight in network.parameters():  # the head of a residual network begins at nothing
            torch.nn.init.normal_(weight)
            weight.grad = torch.full_like(weight, torch.nan)
        windows, outcomes = torch.randn(batch, 4, FEATURES), (torch.rand(batch) > 0.5).float()
        own_way = forward_and_back(network)
        assert own_way is not None
        torch.manual_seed(5)
        with torch.no_grad():
            logits, back = own_way(windows)
            back((torch.sigmoid(logits) - outcomes) * (1.0 / batch))
        drawn = torch.rand(1)
        written = [weight.grad.clone() for weight in network.parameters() if weight.grad is not None]
        network.zero_grad()
        torch.manual_seed(5)
        expected = network(windows)
        losses = torch.nn.functional.binary_cross_entropy_with_logits(expected, outcomes, reduction="none")
        losses.mean().backward()
        assert torch.equal(drawn, torch.rand(1)), "as many random numbers are drawn"
    assert torch.equal(logits, expected)
    assert any(gradient.abs().max() > 0.001 for gradient in written)
    for weight, own in zip(network.parameters(), written, strict=True):
        assert torch.equal(weight.grad, own)


def test_a_gradient_that_is_not_finite_moves_nothing() -> None:
    network = torch.nn.Linear(3, 1)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    optimizer = AdamW(network, 0.1, 0.1)
    assert not math.isfinite(optimizer.descend((network(torch.ones(2, 3)) * torch.inf).mean().backward, 1.0))
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
