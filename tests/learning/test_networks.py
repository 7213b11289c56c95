from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nn_assets.errors import SettingsError
from nn_assets.features.scaling import Scaler
from nn_assets.learning.baselines import LinearModel
from nn_assets.learning.fold_model import Estimators
from nn_assets.learning.inference import estimate
from nn_assets.learning.member import Member
from nn_assets.learning.networks import NETWORKS, build_network
from nn_assets.learning.networks.candlestick import CANDLE_FEATURES
from nn_assets.settings import LearningSettings
from tests.contracts.networks import NetworkContract
from tests.learning.reference_networks import made_up_weights, plain_logits
from tests.learning.reference_windows import plain_windows
from tests.learning.tiny import tiny_market, tiny_samples, tiny_settings

KINDS = tuple(NETWORKS.own)
OWN_SETTINGS = {"candlestick": {"image": "table"}}  # of features at random; of candles see below
WEIGHTS = {  # of 3 features in windows of 4 sessions, 4 wide, 2 layers, and a head of 5
    "candlestick": (15 * 1 + 1) * 4 + (15 * 4 + 1) * 4 + 4 * 1 * 4 + 1,  # three levels, then two, then one
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
        return tiny_settings(network=request.param, network_settings=OWN_SETTINGS.get(request.param, {}))

    @pytest.fixture
    def most_weights(self, settings: LearningSettings) -> int:
        return WEIGHTS[settings.network]


class TestCandles(NetworkContract):
    """Windows of candles: open, high, low and close beside the close before, and a rule of what they look like."""

    features = 4

    @pytest.fixture
    def settings(self) -> LearningSettings:
        return tiny_settings(network="candlestick", network_settings={"levels": 16})

    @pytest.fixture
    def most_weights(self) -> int:
        return (15 * 3 + 1) * 4 + (15 * 4 + 1) * 4 + 4 * 4 * 4 + 1

    def windows(self, rows: int, seed: int) -> torch.Tensor:
        draw = torch.Generator().manual_seed(seed)
        start, close, up, down = torch.randn(4, rows, 4, generator=draw).unbind()
        high, low = torch.maximum(start, close) + up.abs(), torch.minimum(start, close) - down.abs()
        return torch.stack([start, high, low, close], dim=-1)

    def rule(self, windows: torch.Tensor) -> torch.Tensor:
        return (windows[:, -1, 3] > windows[:, -1, 0]).float()  # the newest candle is a rising one


def test_a_window_is_drawn_as_candles_of_one_height_level_by_level() -> None:
    settings = tiny_settings(network="candlestick", network_settings={"levels": 8}, lookback=2)
    network = build_network(settings, features=4)
    # in levels of 1/8: a rising candle from 0 to 4, its body from 1 to 3; a falling one from 2 to 8, from 7 to 4
    closes = torch.tensor([3.0, 1.0])  # each close less the one before, which is 0 and 3
    window = torch.tensor([[[1.0, 4.0, 0.0, closes[0]], [4.0, 5.0, -1.0, closes[1]]]]) / 8.0
    image = network.drawn(window).round()[0]
    columns = {name: image[channel].T.tolist() for channel, name in enumerate(("range", "rising", "falling"))}
    assert columns["range"] == [[1, 1, 1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 1, 1, 1, 1]]
    assert columns["rising"][0] == [0, 1, 1, 0, 0, 0, 0, 0]
    assert columns["rising"][1] == columns["falling"][0] == [0] * 8
    assert columns["falling"][1] == [0, 0, 0, 0, 1, 1, 1, 0]


def test_half_of_each_body_is_drawn_of_a_session_that_closes_at_its_open_whatever_its_last_digit() -> None:
    settings = tiny_settings(network="candlestick", network_settings={"levels": 16})
    network = build_network(settings, features=4)
    windows = TestCandles().windows(50, 3)
    windows[..., 0] = windows[..., 3]
    bodies = network.drawn(windows)[:, 1:]
    torch.testing.assert_close(bodies[:, 0], bodies[:, 1], rtol=1e-4, atol=1e-4)
    nudged = windows.clone()
    nudged[..., 0] *= 1.0 + 1e-6
    torch.testing.assert_close(network.drawn(nudged), network.drawn(windows), rtol=1e-3, atol=1e-3)


def test_a_candle_beyond_what_the_scaler_lets_through_is_cut_as_one() -> None:
    network = build_network(tiny_settings(network="candlestick", network_settings={"levels": 16}), features=4)
    scaler = Scaler(np.array([0.0, 0.004, -0.004, 0.0]), np.array([0.005, 0.006, 0.004, 0.01]), "robust")
    network.set_inputs(CANDLE_FEATURES, scaler)
    candles = np.tile([0.001, 0.006, -0.006, 0.002], (1, 4, 1))
    candles[0, 2] = [-0.160, -0.155, -0.170, -0.165]
    window = torch.from_numpy(scaler.transform(candles).astype(np.float32))
    image = network.drawn(window)[0]
    covered = image[1] + image[2]  # bodies, (levels, sessions): none where the range is not
    assert bool((covered <= image[0] + 0.5).all())
    assert float(image[0, :, 2].max()) > 0.5
    moved = (window[0, 2] * network.scale + network.center).clamp(-0.036, 0.036)
    np.testing.assert_allclose(moved, np.full(4, -0.036), atol=1e-3)  # ten scales of candle_low less its centre


def test_layers_of_a_transformer_begin_with_weights_of_their_own() -> None:
    network = build_network(tiny_settings(network="transformer", layers=2), features=3)
    first, second = (dict(layer.named_parameters()) for layer in network.body.layers)
    assert not torch.equal(first["linear1.weight"], second["linear1.weight"])
    assert not torch.equal(first["self_attn.in_proj_weight"], second["self_attn.in_proj_weight"])


def test_candles_are_drawn_from_their_features_by_name_and_in_their_own_unit() -> None:
    settings = tiny_settings(network="candlestick", network_settings={"levels": 8})
    by_order, by_name = (build_network(settings, features=4) for _ in range(2))
    scaler = Scaler(np.array([0.1, 0.2, 0.3, -0.4]), np.array([1.0, 2.0, 3.0, 4.0]), "standard")
    names = ("candle_close", "candle_low", "candle_high", "candle_open")
    by_name.set_inputs(names, scaler)
    raw = TestCandles().windows(3, 1)
    mixed = raw[..., [3, 2, 1, 0]].double().numpy()  # in the order of the names
    scaled = torch.from_numpy(((mixed - scaler.center) / scaler.scale).astype(np.float32))
    torch.testing.assert_close(by_name.drawn(scaled), by_order.drawn(raw), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("names", [("candle_open", "candle_high", "candle_close", "rsi_14"), ("candle_open",)])
def test_candles_that_lack_a_price_are_refused_by_its_name(names: tuple[str, ...]) -> None:
    network = build_network(tiny_settings(network="candlestick"), features=4)
    with pytest.raises(SettingsError, match=r"candle_low.*Remedy.*image: table"):
        network.set_inputs(names, Scaler(np.zeros(len(names)), np.ones(len(names)), "standard"))


def test_candles_of_other_than_four_features_and_heads_that_cannot_share_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"candle_open, candle_high, candle_low, candle_close.*found 5 features"):
        build_network(tiny_settings(network="candlestick"), features=5)
    with pytest.raises(SettingsError, match=r"multiple of the 4 heads.*found 6"):
        build_network(tiny_settings(network="transformer", hidden=6), features=3)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_network_given_weights_equals_its_equations_written_out(kind: str, layers: int) -> None:
    own = OWN_SETTINGS.get(kind, {})
    settings = tiny_settings(network=kind, network_settings=own, layers=layers, hidden=8, dropout=0.5)
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
    silent = SimpleNamespace(output=lambda features: np.zeros(len(features)))
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
    silent = SimpleNamespace(output=lambda features: np.zeros(len(features)))
    estimators = Estimators(settings, {"network": (member,), "linear": tuple(linear), "boosting": (silent,)})
    made = estimate(estimators, windows, slice(20, 40))
    features = tiny_market()[0].values[made.rows, made.columns]
    probabilities = [1.0 / (1.0 + np.exp(-(features @ model.coefficients + model.intercept))) for model in linear]
    np.testing.assert_allclose(made.probability["linear"], np.mean(probabilities, axis=0), rtol=1e-6)
    np.testing.assert_allclose(made.dispersion["linear"], np.std(probabilities, axis=0, ddof=1), rtol=1e-5)
