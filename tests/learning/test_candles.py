"""A network that draws candles, fitted, stored and asked: what it draws from travels with its weights."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.arrays import Cube
from nn_assets.errors import SettingsError, TrainingError
from nn_assets.learning.artifact import from_files, to_files
from nn_assets.learning.networks.candlestick import CANDLE_FEATURES
from nn_assets.operations.plugins import prepare
from tests.learning.tiny import fit_model, forecast, months_of_use, same_bits, tiny_fold, tiny_market, tiny_strategy

OWN = {"network": "candlestick", "network_settings": {"levels": 8}, "hidden": 2, "maximum_epochs": 1}


def test_a_model_of_candles_stores_their_columns_and_unit_and_forecasts_the_same_bits_when_read() -> None:
    cube, labels = tiny_market()
    mixed = (CANDLE_FEATURES[3], *CANDLE_FEATURES[:3])
    cube = Cube(cube.sessions, cube.symbols, mixed, cube.values)
    strategy = tiny_strategy(**OWN)
    model = fit_model(cube, labels, tiny_fold(cube, strategy), strategy)
    state = model.estimators.members["network"][0].state
    assert state["columns"].tolist() == [1.0, 2.0, 3.0, 0.0]
    np.testing.assert_allclose(state["scale"], model.scaler.scale[[1, 2, 3, 0]], rtol=1e-6)
    np.testing.assert_allclose(state["center"], model.scaler.center[[1, 2, 3, 0]], rtol=1e-6)
    rows = months_of_use(model, cube)
    same_bits(forecast(model, cube, rows), forecast(from_files(to_files(model)), cube, rows))


@pytest.mark.parametrize(
    ("learning", "names", "message"),
    [
        (OWN, (*CANDLE_FEATURES, "rsi_14"), "found 5 features"),
        (OWN, (*CANDLE_FEATURES[:3], "rsi_14"), "without candle_close"),
        (OWN, (), "candle_open"),
        ({"network": "transformer", "hidden": 6}, (), "multiple of the 4 heads"),
        ({"network": "tcn", "network_settings": {"kernle": 3}}, (), "kernel"),
    ],
)
def test_what_a_network_cannot_be_is_said_before_anything_is_computed(
    learning: dict[str, object], names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        prepare(tiny_strategy({"names": names}, **learning))


def test_candles_that_no_test_calls_stationary_stay_as_they_are() -> None:
    cube, labels = tiny_market()
    cube = Cube(cube.sessions, cube.symbols, CANDLE_FEATURES, cube.values)
    strict = {"adf_p_value": 0.0}  # nothing passes
    strategy = tiny_strategy(strict, **OWN)
    model = fit_model(cube, labels, tiny_fold(cube, strategy), strategy)
    assert {entry.verdict for entry in model.stationarity.verdicts} == {"level"}
    assert model.feature_names == CANDLE_FEATURES
    table = tiny_strategy(strict, network="candlestick", network_settings={"image": "table"})
    with pytest.raises(TrainingError, match="at least one stationary feature"):
        fit_model(cube, labels, tiny_fold(cube, table), table)


def test_a_selection_that_may_leave_a_price_out_is_refused_before_anything_is_computed() -> None:
    with pytest.raises(SettingsError, match=r"features\.select off.*candle_open"):
        prepare(tiny_strategy({"names": CANDLE_FEATURES, "select": True}, **OWN))


def test_candles_named_in_any_order_are_prepared() -> None:
    prepare(tiny_strategy({"names": CANDLE_FEATURES[::-1]}, **OWN))
