"""Scalers against scikit-learn's, and on features that do not vary."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from nn_assets.errors import ModelError
from nn_assets.features.scaling import CLIP, Scaler, fit_scaler

KINDS = ("robust", "standard", "unit")


def _values(rows: int = 400) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(rows, 5)) * [1.0, 1e-4, 50.0, 3.0, 0.2] + [0, 1, -7, 1e4, 3]


@pytest.mark.parametrize(
    ("kind", "oracle"),
    [
        ("robust", RobustScaler(unit_variance=True)),
        ("standard", StandardScaler()),
        ("unit", MinMaxScaler()),
    ],
)
def test_scaled_values_equal_scikit_learns(kind, oracle):
    values = _values()
    scaler = fit_scaler(values[:300], kind)
    expected = oracle.fit(values[:300]).transform(values)
    np.testing.assert_allclose(scaler.transform(values), np.clip(expected, -CLIP, CLIP), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cube_is_fitted_over_all_rows_and_symbols_and_keeps_its_shape(kind):
    values = _values().reshape(80, 5, 5)
    scaler = fit_scaler(values, kind)
    flat = fit_scaler(values.reshape(400, 5), kind)
    assert scaler.to_dict() == flat.to_dict()
    assert scaler.transform(values).shape == (80, 5, 5)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_outside_the_fit_change_nothing_and_scaling_goes_row_by_row(kind):
    values = _values()
    scaler = fit_scaler(values[:200], kind)
    whole = scaler.transform(values)
    assert scaler.transform(values[250:260]).tobytes() == whole[250:260].tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_missing_values_are_left_out_of_the_fit_and_stay_missing(kind):
    values = _values()
    holed = np.vstack([values, np.full((3, 5), np.nan)])
    assert fit_scaler(holed, kind).to_dict() == fit_scaler(values, kind).to_dict()
    assert np.isnan(fit_scaler(values, kind).transform(holed)[-3:]).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("constant", [0.0, 0.1, -1e300])
def test_a_feature_that_does_not_vary_gives_zero_and_never_an_infinity(kind, constant):
    scaler = fit_scaler(np.full((50, 1), constant), kind)
    assert scaler.scale[0] == 0.0
    np.testing.assert_array_equal(scaler.transform(np.array([[constant], [5.0], [np.nan]])).ravel(), [0, 0, np.nan])


@pytest.mark.parametrize("kind", KINDS)
def test_a_feature_without_any_value_gives_zero(kind):
    scaler = fit_scaler(np.full((50, 2), np.nan), kind)
    np.testing.assert_array_equal(scaler.transform(np.array([[3.0, np.nan]])), [[0.0, np.nan]])


def test_a_feature_that_is_mostly_one_value_is_scaled_by_its_deviation():
    values = np.zeros((100, 1))
    values[:10, 0] = 1.0
    assert fit_scaler(values, "robust").scale[0] == pytest.approx(values.std())


def test_an_outlier_is_cut():
    scaler = fit_scaler(_values(), "robust")
    assert np.abs(scaler.transform(np.full((1, 5), 1e9))).max() == CLIP
    assert scaler.transform(np.full((1, 5), -1e9)).min() == -CLIP


@pytest.mark.parametrize("kind", KINDS)
def test_a_scaler_survives_json_to_the_bit(kind):
    scaler = fit_scaler(_values(), kind)
    again = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict(), allow_nan=False)))
    assert again.transform(_values()).tobytes() == scaler.transform(_values()).tobytes()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"kind": "other"}, "other"),
        ({"scale": [1.0]}, "shapes"),
        ({"center": [None, 1.0]}, "finite|TypeError"),
        ({"scale": [1.0, -1.0]}, "negative"),
        ({"scale": "text"}, "ValueError"),
    ],
)
def test_a_damaged_scaler_is_refused(damage, message):
    stored = {"kind": "robust", "center": [0.0, 1.0], "scale": [1.0, 2.0]}
    with pytest.raises(ModelError, match=message):
        Scaler.from_dict(stored | damage)
    with pytest.raises(ModelError, match="KeyError"):
        Scaler.from_dict({})


def test_another_number_of_features_is_refused():
    with pytest.raises(ModelError, match=r"expected 5 features.*found 4"):
        fit_scaler(_values(), "robust").transform(np.zeros((3, 4)))
