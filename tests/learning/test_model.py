from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import forkserver

import numpy as np
import pandas as pd
import pytest
import torch

from nn_assets.arrays import Cube
from nn_assets.errors import FoldError, ModelError, ShortFoldError, TrainingError
from nn_assets.features.stationarity import (
    FeatureStationarity,
    StationarityReport,
    apply_transforms,
    decide_transforms,
)
from nn_assets.learning import inference
from nn_assets.learning.address import TRANSFORM_REACH, fit_code
from nn_assets.learning.artifact import to_files
from nn_assets.learning.compute import HERE, OnExecutor
from nn_assets.learning.ensemble import train_ensemble
from nn_assets.learning.folds import Fold
from nn_assets.learning.inference import cut_cube
from nn_assets.learning.member import BLOCK_SIZE, Member
from nn_assets.learning.model import FoldData, fit_models, model_address
from nn_assets.learning.networks import NETWORKS
from nn_assets.settings import FeatureSettings
from nn_assets.versions import definitions_behind
from tests.learning.tiny import (
    SPAN,
    SYMBOLS,
    fit_model,
    fitted,
    forecast,
    months_of_use,
    restated,
    same_bits,
    tiny_fold,
    tiny_market,
    tiny_samples,
    tiny_settings,
    tiny_strategy,
)


@pytest.mark.parametrize("network", ["lstm", "mlp"])
def test_a_session_forecast_alone_has_the_bits_it_has_among_all_others(network: str) -> None:
    cube, _ = tiny_market()
    model = fitted(network)
    together = forecast(model, cube, months_of_use(model, cube))
    for row in (model.fold.used_from, model.fold.used_from + 17, cube.session_count - 1):
        alone = forecast(model, cut_cube(cube, 0, row + 1), slice(row, row + 1))
        same = together[together["session"] == cube.sessions[row]].reset_index(drop=True)
        assert len(alone) == 3 * len(SYMBOLS)
        same_bits(alone, same)


class _PositionInBlock(torch.nn.Module):
    """A network that sees nothing but where in its block a sample lies."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        assert windows.shape[0] == BLOCK_SIZE
        return torch.linspace(-3.0, 3.0, BLOCK_SIZE)


@pytest.mark.full
def test_a_sample_has_one_place_for_ever_in_blocks_of_one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    # a large network's last bits may depend on the place; a small one's need not, so places are read off
    cube, _ = tiny_market()
    model = fitted()  # fitted before the fake takes the place of its networks
    monkeypatch.setattr(Member, "network", lambda *_: _PositionInBlock())
    together = forecast(model, cube, months_of_use(model, cube))
    for row in (model.fold.used_from + 1, model.fold.used_from + 40, cube.session_count - 1):
        alone = forecast(model, cube, slice(row, row + 1))
        same_bits(alone, together[together["session"] == cube.sessions[row]].reset_index(drop=True))
    network = together.query("estimator == 'network'")["probability"]
    assert network.nunique() == BLOCK_SIZE


@pytest.mark.full
def test_a_symbol_forecast_without_its_neighbours_has_the_same_bits() -> None:
    cube, _ = tiny_market()
    model = fitted()
    rows = months_of_use(model, cube)
    values = np.array(cube.values)
    values[rows, 0] = np.nan
    without = forecast(model, Cube(cube.sessions, cube.symbols, cube.names, values), rows)
    assert "AAA" not in set(without["symbol"])
    whole = forecast(model, cube, rows)
    same_bits(without, whole[whole["symbol"] != "AAA"].reset_index(drop=True))


def test_training_really_happens_and_finds_the_planted_edge() -> None:
    cube, labels = tiny_market()
    strategy = tiny_strategy(network="mlp", hidden=8, maximum_epochs=25, patience=8, ensemble=3)
    model = fit_model(cube, labels, tiny_fold(cube, strategy), strategy)
    made = forecast(model, cube, slice(model.fold.used_from, cube.session_count - SPAN))
    rows = cube.sessions.get_indexer(pd.DatetimeIndex(made["session"]))
    columns = [SYMBOLS.index(symbol) for symbol in made["symbol"]]
    right = (made["probability"].to_numpy() > 0.5) == (labels.targets[rows, columns] == 1.0)
    accuracy = {
        name: right[(made["estimator"] == name).to_numpy()].mean() for name in ("network", "linear", "boosting")
    }
    assert min(accuracy.values()) > 0.6, accuracy


@pytest.mark.full
def test_each_month_has_a_model_of_its_own_fitted_before_it() -> None:
    cube, labels = tiny_market()
    strategy = tiny_strategy(maximum_epochs=1, ensemble=1)
    folds = [tiny_fold(cube, strategy, month) for month in ("2012-07", "2012-08", "2012-09")]
    models = list(fit_models([FoldData(cube, labels, fold) for fold in folds], strategy))
    assert [model.fold for model in models] == folds
    assert len({model.model_id for model in models}) == 3
    weights = {to_files(model)["weights.safetensors"] for model in models}
    assert len(weights) == 3


def test_a_model_is_refused_for_sessions_before_its_first_use() -> None:
    cube, _ = tiny_market()
    model = fitted()
    start = model.fold.used_from - 1
    with pytest.raises(ModelError, match="fitted before it"):
        forecast(model, cube, slice(start, start + 5))


@pytest.fixture(scope="module")
def compute() -> Iterator[OnExecutor]:
    """Two processes that train, for all tests that need any. They have nothing of this one but what they are sent.

    As those of ``open_compute``, but that what both import is imported once, by the process that they are forked from.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([fit_models.__module__, "sklearn.ensemble", "sklearn.linear_model"])
    with ProcessPoolExecutor(2, context, initializer=torch.set_num_threads, initargs=(1,)) as opened:
        yield OnExecutor(opened)
    forkserver._forkserver._stop()  # type: ignore[attr-defined]  # else it stays as long as the tests do


@pytest.mark.slow
def test_folds_fitted_in_processes_have_the_bits_of_folds_fitted_here(compute: OnExecutor) -> None:
    cube, labels = tiny_market()
    strategy = tiny_strategy(maximum_epochs=1)
    data = [FoldData(cube, labels, tiny_fold(cube, strategy, month)) for month in ("2012-07", "2012-08")]
    here = [to_files(model) for model in fit_models(data, strategy)]
    assert here == [to_files(model) for model in fit_models(data, strategy, compute)]
    beside = strategy.model_copy(update={"learning": tiny_settings(maximum_epochs=1, processes=2)})
    whole, spread = (to_files(next(fit_models(data[:1], beside, where))) for where in (HERE, compute))
    assert whole == spread
    assert whole["weights.safetensors"] == here[0]["weights.safetensors"]


@pytest.mark.slow
def test_members_trained_in_processes_have_the_bits_of_members_trained_here(compute: OnExecutor) -> None:
    windows, training, validation = tiny_samples()
    settings = tiny_settings(ensemble=3)
    here = train_ensemble(windows, training, validation, settings)
    there = train_ensemble(windows, training, validation, settings, compute)
    assert [member.seed for member in there.members] == [7, 8, 9]
    for one, other in zip(here.members, there.members, strict=True):
        assert one.history == other.history
        for name, value in one.state.items():
            assert value.tobytes() == other.state[name].tobytes()


def test_forecasts_hold_every_estimator_with_its_spread() -> None:
    cube, _ = tiny_market()
    model = fitted()
    made = forecast(model, cube, months_of_use(model, cube))
    assert list(made.columns) == [
        "symbol",
        "session",
        "estimator",
        "probability",
        "dispersion",
        "model_id",
    ]
    assert made["session"].dtype == "datetime64[ns]"
    assert len(made) == 3 * 3 * (cube.session_count - model.fold.used_from)
    assert made["probability"].between(0, 1).all()
    for name in ("network", "linear", "boosting"):
        assert (made.loc[made["estimator"] == name, "dispersion"] > 0).mean() > 0.9, name
    assert set(made["model_id"]) == {model.model_id}
    assert (
        made[["session", "symbol"]]
        .drop_duplicates()
        .equals(made[["session", "symbol"]].drop_duplicates().sort_values(["session", "symbol"]))
    )


@pytest.mark.full
def test_the_mean_and_spread_are_those_of_the_members() -> None:
    cube, _ = tiny_market()
    model = fitted("mlp")
    rows = months_of_use(model, cube)
    whole = forecast(model, cube, rows).query("estimator == 'network'")
    singles = []
    for member in model.estimators.members["network"]:
        members = {**model.estimators.members, "network": (member,)}
        one = replace(model, estimators=replace(model.estimators, members=members))
        singles.append(forecast(one, cube, rows).query("estimator == 'network'")["probability"].to_numpy())
    np.testing.assert_allclose(whole["probability"], np.mean(singles, axis=0), rtol=1e-14)
    np.testing.assert_allclose(whole["dispersion"], np.std(singles, axis=0, ddof=1), rtol=1e-9)


def test_no_rows_give_an_empty_frame_of_the_same_types() -> None:
    cube, _ = tiny_market()
    model = fitted()
    start = model.fold.used_from
    empty = forecast(model, cube, slice(start, start))
    full = forecast(model, cube, slice(start, start + 1))
    assert empty.empty
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()


def test_a_cube_from_another_session_on_or_without_a_feature_is_refused() -> None:
    cube, _ = tiny_market()
    model = fitted()
    rows = months_of_use(model, cube)
    late = cut_cube(cube, 1, cube.session_count)
    with pytest.raises(ModelError, match="first session is 2011-01-03"):
        forecast(model, late, rows)
    with pytest.raises(ModelError, match="none named delta"):
        forecast(model, cube.select(("alpha", "beta", "gamma")), rows)


def test_who_joined_has_no_forecast_and_who_stayed_has_the_same_bits_in_whatever_place() -> None:
    cube, _ = tiny_market()
    model = fitted()
    rows = months_of_use(model, cube)
    before = inference.forecast(model, cube, rows)
    kept = [cube.symbols.index("CCC"), cube.symbols.index("AAA")]
    values = np.array(cube.values)[:, [kept[0], 0, kept[1]]]
    after = inference.forecast(model, Cube(cube.sessions, ("CCC", "NEW", "AAA"), cube.names, values), rows)
    assert after.symbols == ("CCC", "NEW", "AAA")
    for name in after.estimators:
        for field in ("probability", "dispersion"):
            ours, theirs = getattr(after[name], field), getattr(before[name], field)
            np.testing.assert_array_equal(ours[:, [0, 2]], theirs[:, kept])
            assert np.isnan(ours[:, 1]).all()


def test_too_few_usable_rows_are_refused_by_month() -> None:
    cube, labels = tiny_market()
    strategy = tiny_strategy({"panel_pass_share": 0.0})  # every feature as it is
    fold = tiny_fold(cube, strategy)
    values = np.array(cube.values)
    values[: fold.training.stop - 103] = np.nan  # 103 sessions, so 100 whole windows
    late = Cube(cube.sessions, cube.symbols, cube.names, values)
    with pytest.raises(ShortFoldError, match=r"month 2012-07.*at least 500 usable training rows; found 300"):
        fit_model(late, labels, fold, strategy)


def test_a_fold_that_forgot_to_purge_is_refused() -> None:
    cube, labels = tiny_market()
    strategy = tiny_strategy()
    fold = tiny_fold(cube, strategy)
    touching = Fold(**fold.__dict__ | {"training": slice(fold.training.start, fold.validation.start)})
    with pytest.raises(FoldError, match="every label of training realised before"):
        fit_model(cube, labels, touching, strategy)


def test_features_none_of_which_is_stationary_are_refused() -> None:
    cube, labels = tiny_market()
    strategy = tiny_strategy({"adf_p_value": 0.0})
    with pytest.raises(TrainingError, match="at least one stationary feature"):
        fit_model(cube, labels, tiny_fold(cube, strategy), strategy)


def test_figures_tell_what_was_trained_and_how_it_was_judged() -> None:
    model = fitted()
    figures = model.figures
    assert [member["seed"] for member in figures["members"]] == [7, 8]
    for member in figures["members"]:
        curve = member["curve"]
        assert {len(values) for values in curve.values()} == {member["epochs"]}
        assert curve["validation_loss"][member["best_epoch"]] == pytest.approx(member["validation_loss"], rel=1e-5)
        assert min(curve["validation_loss"]) == curve["validation_loss"][member["best_epoch"]]
        assert min(curve["gradient_norm"]) > 0.0
    assert figures["samples"]["training"] > 500
    for name in ("network", "linear", "boosting"):
        judged = figures["estimators"][name]
        assert judged["validation"]["outcomes"] == figures["samples"]["validation"]
        assert judged["calibration"]["outcomes"] == figures["samples"]["calibration"]
        assert 0 < judged["calibration"]["base_rate"] < 1
    reference = model.validation_forecasts
    cube, _ = tiny_market()
    assert set(reference["session"]) == set(cube.sessions[model.fold.validation])


def test_the_address_follows_data_configuration_and_seed_and_nothing_else() -> None:
    cube, labels = tiny_market()
    strategy = tiny_strategy()
    fold = tiny_fold(cube, strategy)
    address = model_address(cube, labels, fold, strategy)
    assert address == fitted().model_id
    assert address == model_address(*restated(cube, labels, fold.used_from), fold, strategy)
    more_processes = tiny_strategy(processes=4)
    assert address == model_address(cube, labels, fold, more_processes)
    others = {
        model_address(cube, labels, fold, tiny_strategy(seed=8)),
        model_address(cube, labels, fold, tiny_strategy(dropout=0.2)),
        model_address(cube, labels, fold, tiny_strategy({"scaling": "standard"})),
        model_address(cube, labels, tiny_fold(cube, strategy, "2012-08"), strategy),
        model_address(*restated(cube, labels, fold.calibration.stop - 1), fold, strategy),
    }
    assert len(others | {address}) == 6


def test_the_version_of_a_fit_is_that_of_the_fit_and_of_the_network_used() -> None:
    version = fit_code(tiny_strategy(network="lstm"))
    assert version == fit_code(tiny_strategy(network="lstm", hidden=9)) == fitted().code_version
    assert len(version) == 16
    assert version != fit_code(tiny_strategy(network="mlp"))
    behind = definitions_behind("nn_assets.learning.model:fit_models", NETWORKS["mlp"].build)
    assert "nn_assets.learning.networks.mlp:Perceptron" in behind
    assert "nn_assets.learning.networks.recurrent:Recurrent" not in behind


@pytest.mark.full
def test_no_transform_reads_further_back_than_the_rows_handed_to_a_fit() -> None:
    cube, _ = tiny_market()
    decided = decide_transforms(cube, slice(0, 200), FeatureSettings())
    for verdict in ("level", "differenced", "volatility_normalised"):
        forced = StationarityReport(
            tuple(FeatureStationarity(entry.name, verdict, entry.attempts) for entry in decided.verdicts),
            decided.adf_p_value,
            decided.panel_pass_share,
        )
        whole = apply_transforms(cube, forced).values[200:]
        cut = apply_transforms(cut_cube(cube, 200 - TRANSFORM_REACH, cube.session_count), forced).values
        assert np.isfinite(whole).all()
        assert whole.tobytes() == np.ascontiguousarray(cut[TRANSFORM_REACH:]).tobytes()
