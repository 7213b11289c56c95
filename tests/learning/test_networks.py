from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nn_assets.learning.baselines import LinearModel
from nn_assets.learning.fold_model import Estimators
from nn_assets.learning.inference import estimate
from nn_assets.learning.member import Member
from nn_assets.learning.networks import NETWORKS, build_network
from nn_assets.settings import LearningSettings
from tests.contracts.networks import NetworkContract
from tests.learning.reference_networks import made_up_weights, plain_logits
from tests.learning.reference_windows import plain_windows
from tests.learning.tiny import tiny_market, tiny_samples, tiny_settings

KINDS = tuple(NETWORKS.own)
WEIGHTS = {  # of 3 features in windows of 4 sessions, 4 wide, 2 layers, and a head of 5
    "mlp": (12 + 1) * 4 + (4 + 1) * 4 + 5,
    "rnn": (3 + 4 + 2) * 4 + (4 + 4 + 2) * 4 + 5,
    "lstm": 4 * ((3 + 4 + 2) * 4 + (4 + 4 + 2) * 4) + 5,
    "gru": 3 * ((3 + 4 + 2) * 4 + (4 + 4 + 2) * 4) + 5,
    "tcn": (3 * 3 + 1) * 4 + 3 * (3 * 4 + 1) * 4 + (3 + 1) * 4 + 5,
    "transformer": (3 + 1) * 4 + 4 * 4 + 2 * (4 * (4 + 1) * 4 + (4 + 1) * 8 + (8 + 1) * 4 + 2 * 8) + 8 + 5,
}


class TestEveryNetwork(NetworkContract):
    @pytest.fixture(params=KINDS)
    def settings(self, request: pytest.FixtureRequest) -> LearningSettings:
        return tiny_settings(network=request.param)

    @pytest.fixture
    def most_weights(self, settings: LearningSettings) -> int:
        return WEIGHTS[settings.network]


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_network_given_weights_equals_its_equations_written_out(kind: str, layers: int) -> None:
    settings = tiny_settings(network=kind, layers=layers, hidden=8, dropout=0.5)
    network = build_network(settings, features=3).eval()
    # every array is drawn apart and loaded by name: layers that share one would lose the other's
    weights = made_up_weights(settings, features=3, seed=layers)
    network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in weights.items()})
    windows = np.random.default_rng(0).normal(size=(6, 4, 3)).astype(np.float32)
    expected = plain_logits(weights, windows, settings)
    assert np.ptp(expected) > 0.1  # a constant would agree with anything
    for mode in (network.eval(), build_trained(settings, network)):  # torch has other kernels where nothing is learned
        np.testing.assert_allclose(mode(torch.from_numpy(windows)).detach().numpy(), expected, rtol=2e-4, atol=2e-5)


def build_trained(settings: LearningSettings, network: torch.nn.Module) -> torch.nn.Module:
    """The same weights in layers that are trained, without dropout."""
    trained = build_network(settings.model_copy(update={"dropout": 0.0}), features=3)
    trained.load_state_dict(network.state_dict())
    return trained.train()


@pytest.mark.parametrize("kind", ["lstm", "mlp"])
def test_an_estimate_is_the_mean_of_the_members_written_out_with_nothing_silenced(kind: str) -> None:
    settings = tiny_settings(network=kind, hidden=5, dropout=0.5)
    windows, _, _ = tiny_samples()
    members = tuple(Member(seed, made_up_weights(settings, features=4, seed=seed)) for seed in (1, 2, 3))
    silent = SimpleNamespace(probability=lambda features: np.zeros(len(features)))
    estimators = Estimators(settings, {"network": members, "linear": (silent,), "boosting": (silent,)})
    made = estimate(estimators, windows, slice(20, 40))
    values = tiny_market()[0].values
    inputs = plain_windows(values, made.rows, made.columns, settings.lookback)
    probabilities = [1.0 / (1.0 + np.exp(-plain_logits(member.state, inputs, settings))) for member in members]
    assert len(made.rows) == 60
    np.testing.assert_allclose(made.probability["network"], np.mean(probabilities, axis=0), rtol=1e-4)
    np.testing.assert_allclose(made.dispersion["network"], np.std(probabilities, axis=0, ddof=1), rtol=1e-3)
    assert (made.dispersion["linear"] == 0.0).all()  # one member disagrees with none


def test_a_baseline_is_the_mean_of_its_members_and_their_disagreement_its_dispersion() -> None:
    settings = tiny_settings(network="mlp", hidden=5)
    windows, _, _ = tiny_samples()
    member = Member(1, made_up_weights(settings, features=4, seed=1))
    random = np.random.default_rng(5)
    linear = [LinearModel(random.normal(size=4), float(random.normal()), 1.0) for _ in range(5)]
    silent = SimpleNamespace(probability=lambda features: np.zeros(len(features)))
    estimators = Estimators(settings, {"network": (member,), "linear": tuple(linear), "boosting": (silent,)})
    made = estimate(estimators, windows, slice(20, 40))
    features = tiny_market()[0].values[made.rows, made.columns]
    probabilities = [1.0 / (1.0 + np.exp(-(features @ model.coefficients + model.intercept))) for model in linear]
    np.testing.assert_allclose(made.probability["linear"], np.mean(probabilities, axis=0), rtol=1e-6)
    np.testing.assert_allclose(made.dispersion["linear"], np.std(probabilities, axis=0, ddof=1), rtol=1e-5)
