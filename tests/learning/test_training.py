from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.metrics import log_loss as sklearn_log_loss

from nn_assets.errors import TrainingError
from nn_assets.learning.networks import build_network
from nn_assets.learning.training import mean_loss, repeatable_torch, train, train_network
from nn_assets.learning.windows import Samples, Windows
from tests.learning.reference_training import plain_run
from tests.learning.tiny import tiny_market, tiny_samples, tiny_settings


class _Scripted(torch.nn.Module):
    """Logit and weight follow a script: one weight that optimisation moves, and losses told in advance."""

    def __init__(self, validation_logits: list[float]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.script = validation_logits
        self.judged = 0
        self.weights_when_judged: list[float] = []

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        if self.training:
            return windows[:, -1, 0] + self.weight
        logit = self.script[self.judged]
        self.judged += 1
        self.weights_when_judged.append(self.weight.item())
        return torch.full((len(windows),), logit)


def _all_up(samples: Samples) -> Samples:
    return Samples(samples.rows, samples.columns, np.ones_like(samples.targets))


def _scripted(
    script: list[float], **changed: object
) -> tuple[_Scripted, tuple[float, ...], dict[str, np.ndarray], int]:
    windows, training, validation = tiny_samples()
    network = _Scripted(script)
    settings = tiny_settings(maximum_epochs=len(script), **changed)
    result = train_network(
        network,
        windows,
        training,
        _all_up(validation),
        settings,
        seed=0,
        order=torch.Generator().manual_seed(0),
    )
    rates = tuple(figures.learning_rate for figures in result.history)
    return network, rates, result.state, result.best_epoch


def test_the_weights_of_the_best_epoch_are_kept_and_restored_not_those_of_the_last() -> None:
    # outcomes are all up, so the highest logit is the lowest loss: epoch 1 is best
    network, _, state, best = _scripted([0.0, 3.0, 1.0, 0.5, 0.2, 0.1], patience=10)
    assert best == 1
    kept = network.weights_when_judged[1]
    assert network.weights_when_judged[-1] != kept  # later steps moved the live weights
    assert state["weight"].tolist() == pytest.approx([kept], abs=0)
    assert network.weight.item() == kept


def test_a_shallow_copy_of_the_state_would_be_overwritten_which_is_why_a_real_one_is_kept() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    shallow = network.state_dict().copy()
    with torch.no_grad():
        network.weight.fill_(42.0)
    assert shallow["weight"].item() == 42.0


def test_training_stops_when_patience_is_spent() -> None:
    network, rates, _, best = _scripted([0.0, 1.0, 0.5, 0.4, 0.3, 0.2, 0.1], patience=3)
    assert best == 1
    assert len(rates) == 5  # epochs 0 and 1, then three without gain
    assert network.judged == 5


def test_the_learning_rate_falls_by_the_factor_after_a_plateau() -> None:
    _, rates, _, _ = _scripted([1.0, 0.9, 0.8, 0.7, 0.6], patience=10, plateau_patience=1, plateau_factor=0.25)
    assert rates == (0.01, 0.01, 0.01, 0.0025, 0.0025)


def test_losses_are_averaged_over_samples_not_over_unequal_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    windows, training, _ = tiny_samples()
    with repeatable_torch(1):
        network = build_network(tiny_settings(), features=4).eval()
    # 261 samples in batches of 64 leave a last batch of 5
    monkeypatch.setattr("nn_assets.learning.training._JUDGED_AT_ONCE", 64)
    with torch.no_grad():
        logits = network(torch.from_numpy(windows.gather(training.rows, training.columns))).numpy()
    expected = sklearn_log_loss(training.targets, expit(logits.astype(np.float64)))
    assert mean_loss(network, windows, training) == pytest.approx(expected, rel=1e-6)


def test_the_reported_training_loss_weighs_a_small_last_batch_by_its_size() -> None:
    windows, training, validation = tiny_samples()
    # nothing is learned at this rate, and without dropout the loss is that of the first weights
    settings = tiny_settings(learning_rate=1e-30, weight_decay=0.0, dropout=0.0, maximum_epochs=1)
    result = train(windows, training, validation, settings, seed=4)
    with repeatable_torch(4):
        network = build_network(settings, features=4)
    assert result.history[0].training_loss == pytest.approx(mean_loss(network, windows, training), rel=1e-6)


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not() -> None:
    windows, training, validation = tiny_samples()
    first, again = (train(windows, training, validation, tiny_settings(), seed=9) for _ in range(2))
    other = train(windows, training, validation, tiny_settings(), seed=10)
    assert first.history == again.history
    for name, value in first.state.items():
        assert value.tobytes() == again.state[name].tobytes()
    assert any(value.tobytes() != other.state[name].tobytes() for name, value in first.state.items())


@pytest.mark.parametrize("kind", ["lstm", "mlp"])
def test_every_epoch_and_the_weights_kept_are_those_of_the_plainest_loop(kind: str) -> None:
    windows, training, validation = tiny_samples()
    settings = tiny_settings(
        network=kind, dropout=0.3, learning_rate=0.03, maximum_epochs=25, patience=4, plateau_factor=0.5
    )
    result = train(windows, training, validation, settings, seed=5)
    with repeatable_torch(5):
        plain = plain_run(tiny_market()[0].values, training, validation, settings, seed=5)
    # the run stops early, after an epoch that was not the last and a rate that fell
    assert plain.best_epoch == len(plain.rates) - 1 - settings.patience > 0
    assert len(plain.rates) < settings.maximum_epochs
    assert plain.rates[-1] < settings.learning_rate
    assert result.best_epoch == plain.best_epoch
    actual = [(epoch.training_loss, epoch.validation_loss, epoch.learning_rate) for epoch in result.history]
    expected = list(zip(plain.training_losses, plain.validation_losses, plain.rates, strict=True))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    for value, weights in zip(result.state.values(), plain.state, strict=True):
        np.testing.assert_allclose(value, weights, rtol=1e-4, atol=1e-5)


def test_a_network_learns_an_edge_that_is_there() -> None:
    windows, training, validation = tiny_samples()
    settings = tiny_settings(network="mlp", hidden=8, dropout=0.0, maximum_epochs=30, patience=10)
    result = train(windows, training, validation, settings, seed=1)
    assert result.best_epoch > 0
    assert result.validation_loss < 0.62  # chance is 0.693


def test_a_feature_gone_wild_stops_the_member_by_seed_and_epoch() -> None:
    windows, training, validation = tiny_samples()
    wild = Windows(np.full(windows.shape, 1e30), 4)
    with pytest.raises(TrainingError, match=r"seed 6, epoch 0.*found nan"):
        train(wild, training, validation, tiny_settings(network="mlp"), seed=6)


def test_an_exploding_loss_stops_the_member_by_seed_and_epoch() -> None:
    windows, training, validation = tiny_samples()
    settings = tiny_settings(network="mlp", learning_rate=1e4)
    with pytest.raises(TrainingError, match=r"seed 6, epoch \d+.*at most 20.0 nats"):
        train(windows, training, validation, settings, seed=6)


def test_parts_without_samples_are_refused() -> None:
    windows, training, validation = tiny_samples()
    none = Samples(training.rows[:0], training.columns[:0], training.targets[:0])
    for parts in ((none, validation), (training, none)):
        with pytest.raises(TrainingError, match="samples to train on"):
            train(windows, *parts, tiny_settings(), seed=0)


def test_torchs_own_state_is_left_as_it_was_found() -> None:
    windows, training, validation = tiny_samples()
    before = torch.random.get_rng_state()
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    fills = torch.utils.deterministic.fill_uninitialized_memory
    train(windows, training, validation, tiny_settings(), seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert torch.are_deterministic_algorithms_enabled() == deterministic
    assert torch.utils.deterministic.fill_uninitialized_memory == fills
