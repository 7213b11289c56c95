"""What is learned of a label: losses against numbers by hand, slopes against differences, and both ways of learning."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm, rankdata
from sklearn.linear_model import Ridge

from nn_assets.arrays import Cube
from nn_assets.errors import TrainingError
from nn_assets.features.labels import Labels
from nn_assets.features.labels.definition import Learns
from nn_assets.learning import inference
from nn_assets.learning.artifact import from_files, to_files
from nn_assets.learning.baselines import LinearModel, fit_boosting, fit_linear
from nn_assets.learning.heads import HEADS, SIGN, VALUE, VOLATILITY, Head
from nn_assets.learning.inference import estimate
from nn_assets.learning.networks import build_network
from nn_assets.learning.refresh import check_refresh
from nn_assets.learning.training import mean_loss, repeatable_torch, train, train_network
from nn_assets.learning.windows import Samples, Windows
from nn_assets.settings import Strategy
from tests.learning.tiny import (
    fit_model,
    fitted,
    months_of_use,
    restated,
    tiny_fold,
    tiny_market,
    tiny_samples,
    tiny_settings,
    tiny_strategy,
)

OTHERS = [VALUE, VOLATILITY]


def _named(head: Head) -> str:
    return head.name


def test_every_head_has_the_name_that_labels_give_it_and_is_one_object_in_every_process() -> None:
    assert tuple(HEADS) == Learns.__args__
    assert all(pickle.loads(pickle.dumps(head)) is head for head in HEADS.values())


@pytest.mark.parametrize(
    ("head", "output", "target", "loss"),
    [
        (SIGN, 0.0, 1.0, 0.6931471805599453),
        (SIGN, 2.0, 0.0, 2.1269280110429727),  # ln(1 + e^2)
        (VALUE, 0.5, -1.5, 2.0),
        (VOLATILITY, math.log(2.0), math.log(6.0), 0.9013877113318902),  # 3 - ln 3 - 1
        (VOLATILITY, math.log(6.0), math.log(2.0), 0.4319456220014431),  # 1/3 + ln 3 - 1: too much costs less
        (VOLATILITY, -8.0, -8.0, 0.0),
    ],
)
def test_losses_are_those_worked_out_by_hand(head: Head, output: float, target: float, loss: float) -> None:
    losses = head.losses(torch.tensor([output, output]), torch.tensor([target, target]))
    assert losses.tolist() == pytest.approx([loss, loss], abs=1e-6)
    assert head.mean_loss(np.array([output]), np.array([target])) == pytest.approx(loss, abs=1e-14)


@pytest.mark.parametrize("head", HEADS.values(), ids=_named)
def test_the_slope_is_what_small_steps_of_the_output_do_to_the_loss(head: Head) -> None:
    outputs = np.linspace(-3.0, 3.0, 13)
    targets = np.tile([0.0, 1.0], 7)[:13] if head is SIGN else np.cos(np.arange(13.0))
    small = 1e-6
    expected = [
        (head.mean_loss(np.array([s + small]), np.array([y])) - head.mean_loss(np.array([s - small]), np.array([y])))
        / (2.0 * small)
        for s, y in zip(outputs, targets, strict=True)
    ]
    slope = head.slope(torch.from_numpy(outputs), torch.from_numpy(targets))
    np.testing.assert_allclose(slope.numpy(), expected, rtol=1e-6, atol=1e-8)


def test_forecasts_are_probabilities_of_a_gain_or_a_volatility_in_its_unit() -> None:
    outputs = np.array([-1.5, 0.0, 0.7, np.nan])
    np.testing.assert_allclose(VALUE.forecast(outputs), norm.cdf(outputs), rtol=1e-13)
    np.testing.assert_allclose(SIGN.forecast(outputs), 1.0 / (1.0 + np.exp(-outputs)), rtol=1e-13)
    np.testing.assert_allclose(VOLATILITY.forecast(outputs) ** 2, np.exp(outputs), rtol=1e-13)
    for head in HEADS.values():
        np.testing.assert_allclose(
            head.forecast_of(torch.from_numpy(outputs)).numpy(), head.forecast(outputs), rtol=1e-12
        )


@pytest.mark.parametrize("head", OTHERS, ids=_named)
def test_the_constant_of_residuals_has_the_least_loss(head: Head) -> None:
    residuals = np.random.default_rng(2).standard_t(4, size=200)
    least = head.constant(residuals)
    losses = [head.mean_loss(np.full(200, least + step), residuals) for step in (-0.02, 0.0, 0.02)]
    assert losses[1] == min(losses)


def _values(windows: Windows, samples: Samples, seed: int) -> Samples:
    """Targets that the first two features tell, with noise."""
    features = windows.last_rows(samples.rows, samples.columns)
    noise = np.random.default_rng(seed).normal(size=samples.count)
    targets = 0.3 + 0.7 * features[:, 0] - 0.4 * features[:, 1] + noise
    return Samples(samples.rows, samples.columns, targets.astype(np.float32))


def _material() -> tuple[Windows, Samples, Samples]:
    windows, training, validation = tiny_samples()
    return windows, _values(windows, training, 0), _values(windows, validation, 1)


def test_the_linear_model_of_a_value_is_a_ridge_regression() -> None:
    windows, training, validation = _material()
    model = fit_linear(windows, training, validation, VALUE)
    inputs = windows.last_rows(training.rows, training.columns)
    plain = Ridge(alpha=1.0 / model.inverse_strength).fit(inputs, training.targets.astype(np.float64))
    judged = windows.last_rows(validation.rows, validation.columns)
    np.testing.assert_allclose(model.output(judged), plain.predict(judged), rtol=1e-9)


def test_the_linear_model_of_a_volatility_is_a_regression_of_logs_whose_mean_variance_is_right() -> None:
    windows, training, validation = _material()
    model = fit_linear(windows, training, validation, VOLATILITY)
    inputs = windows.last_rows(training.rows, training.columns)
    assert np.exp(training.targets - model.output(inputs)).mean() == pytest.approx(1.0, abs=1e-6)
    plain = Ridge(alpha=1.0 / model.inverse_strength).fit(inputs, training.targets.astype(np.float64))
    np.testing.assert_allclose(model.coefficients, plain.coef_, rtol=1e-9)
    assert model.intercept > plain.intercept_ + 0.3  # half the noise's variance, by Jensen


def test_boosting_of_a_value_knows_what_is_not_linear() -> None:
    windows, training, validation = tiny_samples()

    def kinked(samples: Samples) -> Samples:
        features = windows.last_rows(samples.rows, samples.columns)
        return Samples(samples.rows, samples.columns, np.abs(features[:, 0]).astype(np.float32))

    training, validation = kinked(training), kinked(validation)
    judged = windows.last_rows(validation.rows, validation.columns)
    linear, trees = (
        fit.output(judged)
        for fit in (
            fit_linear(windows, training, validation, VALUE),
            fit_boosting(windows, training, validation, 3, VALUE),
        )
    )
    assert VALUE.mean_loss(trees, validation.targets) < 0.4 * VALUE.mean_loss(linear, validation.targets)


@pytest.mark.parametrize("head", OTHERS, ids=_named)
@pytest.mark.parametrize("fit", [fit_linear, lambda *inputs: fit_boosting(*inputs[:3], 0, inputs[3])])
def test_a_label_that_never_changes_is_refused_by_name(head: Head, fit) -> None:
    windows, training, validation = tiny_samples()
    constant = Samples(training.rows, training.columns, np.full_like(training.targets, 0.25))
    with pytest.raises(TrainingError, match=r"labels differ for .*found 261 rows, all 0\.25"):
        fit(windows, constant, validation, head)


@pytest.mark.parametrize("head", OTHERS, ids=_named)
@pytest.mark.parametrize("residual", [False, True])
def test_a_network_goes_its_own_way_back_by_the_slope_that_autograd_finds(head: Head, residual: bool) -> None:
    windows, training, validation = _material()
    settings = tiny_settings(network="mlp", residual=residual, dropout=0.0, maximum_epochs=2)
    start = LinearModel(np.array([0.3, -0.2, 0.0, 0.1]), 0.1, 1.0)
    ours = train(windows, training, validation, settings, 5, start, head)
    with repeatable_torch(5) as order:
        network = build_network(settings, features=4)
        if residual:
            network.start_from(torch.from_numpy(start.coefficients), start.intercept)
        plain = _ByAutograd(network)
        theirs = train_network(plain, windows, training, validation, settings, seed=5, order=order, head=head)
    for name, weights in ours.state.items():
        np.testing.assert_allclose(weights, theirs.state[f"network.{name}"], rtol=1e-4, atol=1e-6)
    assert ours.history[0].gradient_norm > 0.0


class _ByAutograd(torch.nn.Module):
    """A network without a way of its own."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.network(windows)
        return outputs


@pytest.mark.parametrize("head", OTHERS, ids=_named)
def test_a_residual_network_begins_at_its_linear_model_and_does_not_end_worse(head: Head) -> None:
    windows, training, validation = _material()
    linear = fit_linear(windows, training, validation, head)
    settings = tiny_settings(network="mlp", residual=True, maximum_epochs=3, learning_rate=1e-3)
    result = train(windows, training, validation, settings, 1, linear, head)
    judged = linear.output(windows.last_rows(validation.rows, validation.columns))
    begun = head.mean_loss(judged, validation.targets.astype(np.float64))
    assert result.validation_loss <= begun + 0.005
    network = build_network(settings, features=4)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in result.state.items()})
    assert mean_loss(network, windows, validation, head) == pytest.approx(result.validation_loss, rel=1e-6)


def test_a_loss_that_explodes_is_named_in_its_own_unit() -> None:
    windows, training, validation = _material()
    high = Samples(training.rows, training.columns, training.targets + np.float32(50.0))
    with pytest.raises(TrainingError, match=r"training loss of at most 1000\.0 QLIKE; found"):
        train(windows, high, validation, tiny_settings(network="mlp"), 0, head=VOLATILITY)


def test_a_model_of_values_comes_back_from_its_files_and_older_code_refuses_it() -> None:
    model = fitted("mlp")
    other = replace(model, estimators=replace(model.estimators, head=VALUE))
    files = to_files(other)
    assert from_files(files).estimators.head is VALUE
    assert b'"format": 3' in files["model.json"]
    assert b"learns" not in to_files(model)["model.json"]


def test_an_ensemble_forecasts_the_mean_of_what_its_members_outputs_mean() -> None:
    model, (windows, _, judged) = fitted("mlp"), tiny_samples()
    rows = slice(int(judged.rows.min()), int(judged.rows.max()) + 1)
    sign, value = (
        estimate(replace(model.estimators, head=head), windows, rows).probability["network"] for head in (SIGN, VALUE)
    )
    outputs = type(model.estimators.members["network"][0]).outputs(
        model.estimators.members["network"], model.estimators.settings, windows, judged.rows, judged.columns
    )
    np.testing.assert_allclose(value, norm.cdf(outputs).mean(axis=0), rtol=1e-12)
    assert not np.allclose(sign, value)


def _learned(head: Head) -> tuple[Cube, Labels, Strategy]:
    """The tiny market with its returns as values, or as the log of a variance."""
    cube, labels = tiny_market()
    kind = {"value": "return_zscored", "volatility": "log_realised_volatility"}[head.name]
    strategy = tiny_strategy(network="mlp", ensemble=2, maximum_epochs=2)
    strategy = strategy.model_copy(update={"label": strategy.label.model_copy(update={"kind": kind})})
    return cube, replace(labels, values=labels.returns / 0.01), strategy


@pytest.mark.parametrize("head", OTHERS, ids=_named)
def test_a_model_learns_it_end_to_end_and_knows_nothing_of_what_comes_after(head: Head) -> None:
    cube, labels, strategy = _learned(head)
    fold = tiny_fold(cube, strategy)
    model = fit_model(cube, labels, fold, strategy)
    assert model.estimators.head is head
    rows = months_of_use(model, cube)
    made = inference.forecast(model, cube, rows)
    for name in model.estimators.names:
        ranks = rankdata(made[name].probability), rankdata(cube.values[rows][:, :, 0])
        assert np.corrcoef(*(rank.ravel() for rank in ranks))[0, 1] > 0.3, name
        assert np.isfinite(made[name].dispersion).all()
    figures = model.figures["estimators"]["network"]["calibration"]
    assert set(figures) >= ({"brier", "log_loss"} if head is VALUE else {"outcomes", "qlike"})
    again = inference.forecast(from_files(to_files(model)), cube, rows)
    assert again["network"].probability.tobytes() == made["network"].probability.tobytes()
    changed, later = restated(cube, labels, fold.used_from)
    values = np.where(np.isfinite(later.targets), labels.values, np.nan)
    other = fit_model(changed, replace(later, values=values), fold, strategy)
    assert other.model_id == model.model_id
    assert to_files(other)["weights.safetensors"] == to_files(model)["weights.safetensors"]
    scaled = fit_model(cube, replace(labels, values=2.0 * labels.values), fold, strategy)
    assert scaled.model_id != model.model_id  # the same signs and returns, in another unit


def test_a_refit_of_a_volatility_is_judged_by_its_own_loss() -> None:
    cube, labels, strategy = _learned(VOLATILITY)
    early, late = (tiny_fold(cube, strategy, month) for month in ("2012-05", "2012-09"))
    incumbent, candidate = (fit_model(cube, labels, fold, strategy) for fold in (early, late))
    check = check_refresh(candidate, incumbent, cube, labels, 0.05, 3)
    assert check.candidate_loss is not None
    rows = slice(max(late.calibration.start, early.used_from), late.calibration.stop)
    made = inference.forecast(candidate, cube, rows, before_use=True)["network"].probability
    ratio = np.exp(labels.learned[rows]) * (1.0 - made) / made
    assert check.candidate_loss == pytest.approx(np.nanmean(ratio - np.log(ratio) - 1.0), rel=1e-9)
