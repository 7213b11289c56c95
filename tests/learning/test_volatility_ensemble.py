"""The ensemble of volatility beside the traded one: the same loop and windows, in the model, its address and files."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from nn_assets.arrays import Cube
from nn_assets.estimators import TRADED, VOLATILITY
from nn_assets.features.labels import Labels
from nn_assets.learning.artifact import from_files, to_files
from nn_assets.learning.ensemble import train_ensemble
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.heads import VOLATILITY as HEAD
from nn_assets.learning.inference import forecast, model_windows
from nn_assets.learning.model import model_address
from nn_assets.learning.windows import find_samples
from nn_assets.settings import Strategy
from tests.learning.tiny import fit_model, fitted, months_of_use, tiny_fold, tiny_market, tiny_strategy

RECENT = 0.01


def strategy() -> Strategy:
    plain = tiny_strategy(maximum_epochs=4)
    return plain.model_copy(update={"portfolio": plain.portfolio.model_copy(update={"volatility": "network"})})


@cache
def market() -> tuple[Cube, Labels]:
    """The tiny market, whose variances follow the second feature."""
    cube, labels = tiny_market()
    random = np.random.default_rng(6)
    log_ratio = 0.8 * cube.values[:, :, 1] + 0.5 * random.normal(size=labels.returns.shape)
    variance = np.where(np.isfinite(labels.returns), RECENT**2 * np.exp(log_ratio), np.nan)
    return cube, replace(labels, variance=variance, recent_volatility=np.full(variance.shape, RECENT))


@cache
def model() -> FoldModel:
    cube, labels = market()
    return fit_model(cube, labels, tiny_fold(cube, strategy()), strategy())


def test_it_is_what_the_one_loop_gives_of_the_same_windows_and_realised_variances() -> None:
    cube, labels = market()
    fold, parts = model().fold, {}
    windows = model_windows(model(), cube, slice(fold.training.start, fold.calibration.stop))
    for name in ("training", "validation"):
        rows = getattr(fold, name)
        parts[name] = find_samples(windows, rows, labels.learned_variance()[rows])
    ensemble = train_ensemble(windows, parts["training"], parts["validation"], strategy().learning, head=HEAD)
    held = model().volatility
    assert held is not None
    for member, trained in zip(held.members[TRADED], ensemble.members, strict=True):
        for name, weights in trained.state.items():
            assert member.state[name].tobytes() == weights.tobytes()
    figures = model().figures["volatility"]
    assert len(figures["members"]) == 2
    assert figures["samples"]["validation"] == parts["validation"].count
    learned = labels.learned_variance()[fold.validation]
    nothing = float(np.nanmean(np.expm1(learned) - learned))
    assert figures["validation"]["qlike"] < 0.9 * nothing


def test_what_is_traded_is_the_same_to_the_bit_beside_it() -> None:
    cube, labels = tiny_market()
    plain = tiny_strategy(maximum_epochs=4)
    without = fit_model(cube, labels, tiny_fold(cube, plain), plain)
    for name in ("weights.safetensors", "baselines.safetensors", "validation.safetensors"):
        assert to_files(without)[name] == to_files(model())[name]
    assert without.volatility is None
    assert "volatility.safetensors" not in to_files(without)
    assert "volatility" not in without.figures


def test_its_address_covers_the_variances_that_it_learned_and_no_later_ones() -> None:
    cube, labels = market()
    fold = tiny_fold(cube, strategy())
    address = model_address(cube, labels, fold, strategy())
    assert address != model_address(cube, labels, fold, tiny_strategy(maximum_epochs=4))
    assert labels.variance is not None
    learned, later = np.array(labels.variance), np.array(labels.variance)
    learned[fold.training.start + 3, 0] *= 2.0
    later[fold.used_from :] *= 2.0
    assert model_address(cube, replace(labels, variance=learned), fold, strategy()) != address
    assert model_address(cube, replace(labels, variance=later), fold, strategy()) == address
    again = fit_model(cube, replace(labels, variance=later), fold, strategy())
    assert to_files(again) == to_files(model())


def test_it_is_stored_read_again_and_forecasts_the_same_bits_alone_and_together() -> None:
    cube, _ = market()
    files = to_files(model())
    stored = from_files(files)
    assert to_files(stored) == files
    rows = months_of_use(model(), cube)
    together, read = forecast(model(), cube, rows), forecast(stored, cube, rows)
    assert together.volatility is not None
    assert read.volatility is not None
    share = together.volatility.probability
    assert share.tobytes() == read.volatility.probability.tobytes()
    alone = forecast(model(), cube, slice(rows.start + 7, rows.start + 8))
    assert alone[VOLATILITY].probability.tobytes() == share[7:8].tobytes()
    assert ((share > 0.0) & (share < 1.0)).all()
    assert set(together.judged) == {"network", "linear", "boosting"}
    log_variance = np.log(share / (1.0 - share))
    assert np.corrcoef(log_variance.ravel(), cube.values[rows, :, 1].ravel())[0, 1] > 0.6
    kept = together.to_rows()
    assert (kept["estimator"] == VOLATILITY).sum() == share.size
    assert fitted().volatility is None
