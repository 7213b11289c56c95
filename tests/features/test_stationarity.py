"""The stationarity gate: what it keeps, how it repairs, and which rows it may read."""

from __future__ import annotations

import json
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from nn_assets.arrays import Cube
from nn_assets.errors import ModelError, SettingsError
from nn_assets.features.catalogue import compute_features
from nn_assets.features.stationarity import (
    StationarityReport,
    apply_transforms,
    decide_transforms,
)
from nn_assets.features.unit_root import pooled_p_value
from nn_assets.settings import FeatureSettings
from tests.features.panels import random_panel, rows_of, same_bits
from tests.features.reference_unit_root import reference_adf, reference_kpss

BARS, SYMBOLS = 400, 10
TRAINING = slice(0, 300)
SETTINGS = FeatureSettings()


def _cube_of(**features: np.ndarray) -> Cube:
    values = np.stack(list(features.values()), axis=2)
    sessions = pd.bdate_range("2011-01-03", periods=len(values)).as_unit("ns")
    symbols = tuple(f"S{number}" for number in range(values.shape[1]))
    return Cube(sessions, symbols, tuple(features), values)


def _features(seed: int = 4) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    shape = (BARS, SYMBOLS)
    # An explosive level whose changes explode too, divided by its own spread, wanders about a constant.
    growth = 1.05 ** np.arange(BARS)[:, None] * np.exp(draw.normal(0.0, 0.02, shape))
    return {
        "noise": draw.normal(size=shape),
        "walk": np.cumsum(draw.normal(size=shape), axis=0),
        "growth": growth,
        "twice": np.cumsum(np.cumsum(draw.normal(size=shape), axis=0), axis=0),
        "constant": np.full(shape, 0.1),
        "absent": np.full(shape, np.nan),
    }


@pytest.fixture(scope="module")
def cube() -> Cube:
    return _cube_of(**_features())


@pytest.fixture(scope="module")
def report(cube: Cube) -> StationarityReport:
    return decide_transforms(cube, TRAINING, SETTINGS)


def _verdicts(report: StationarityReport) -> dict[str, str]:
    return {entry.name: entry.verdict for entry in report.verdicts}


def test_each_kind_of_series_gets_the_repair_it_needs(report):
    assert _verdicts(report) == {
        "noise": "level",
        "walk": "differenced",
        "growth": "volatility_normalised",
        "twice": "dropped",
        "constant": "dropped",
        "absent": "dropped",
    }
    assert report.kept == ("noise", "walk", "growth")
    assert report.dropped == ("twice", "constant", "absent")


def test_the_figures_of_an_attempt_are_those_of_its_symbols(cube, report):
    walk = cube.feature("walk")[TRAINING]
    _, p_value = reference_adf(walk, 15)
    first, second = report.verdicts[1].attempts
    assert first.transform == "level"
    assert first.tested_symbols == SYMBOLS
    assert first.pass_share == pytest.approx((p_value < 0.05).mean())
    assert first.median_p_value == pytest.approx(np.median(p_value), abs=1e-8)
    _, p_value = reference_adf(np.diff(walk, axis=0), 15)
    assert second.median_p_value == pytest.approx(np.median(p_value), abs=1e-8)
    _, p_value, _ = reference_kpss(np.diff(walk, axis=0))
    assert report.verdicts[1].kpss_share == pytest.approx((p_value >= 0.05).mean())
    assert report.verdicts[1].pass_share == second.pass_share


def test_kpss_confirms_noise_and_reports_without_vetoing(report):
    assert report.confirmed("noise")
    assert not report.confirmed("constant")
    assert report.verdicts[5].attempts[0].tested_symbols == 0
    assert report.verdicts[5].median_p_value is None


@pytest.mark.parametrize(("failing", "verdict"), [(1, "level"), (2, "differenced")])
def test_nine_symbols_of_ten_must_pass_and_all_share_one_verdict(failing, verdict):
    features = _features()
    mixed = features["noise"].copy()
    # Walks that surely fail: a walk with a drift.
    mixed[:, :failing] = features["walk"][:, :failing] + 0.5 * np.arange(BARS)[:, None]
    result = decide_transforms(_cube_of(mixed=mixed), TRAINING, SETTINGS)
    assert result.verdicts[0].attempts[0].pass_share == pytest.approx(1 - failing / 10)
    assert result.verdicts[0].verdict == verdict


def test_symbols_without_enough_history_are_not_counted():
    noise = _features()["noise"]
    noise[:270, 4:] = np.nan
    result = decide_transforms(_cube_of(noise=noise), TRAINING, SETTINGS)
    assert result.verdicts[0].attempts[0].tested_symbols == 4
    assert result.verdicts[0].verdict == "level"


def test_rows_outside_the_training_rows_decide_nothing(cube, report):
    rows = slice(50, 300)
    touched = {name: values.copy() for name, values in _features().items()}
    for values in touched.values():
        values[300:] = 1e6 * np.arange(100)[:, None]
        values[:50] = np.nan
    assert decide_transforms(_cube_of(**touched), rows, SETTINGS) == decide_transforms(cube, rows, SETTINGS)


def test_the_significance_level_and_the_share_are_settings(cube):
    lenient = decide_transforms(cube, TRAINING, FeatureSettings(adf_p_value=1.0))
    assert _verdicts(lenient)["twice"] == "level"
    walk = decide_transforms(cube.select(("walk",)), TRAINING, FeatureSettings(panel_pass_share=0.0))
    assert _verdicts(walk)["walk"] == "level"


def test_transforms_are_what_their_names_say(cube, report):
    out = apply_transforms(cube, report)
    assert out.names == report.kept
    np.testing.assert_array_equal(out.feature("noise"), cube.feature("noise"))
    walk = pd.DataFrame(cube.feature("walk"))
    np.testing.assert_allclose(out.feature("walk"), walk.diff(), rtol=1e-12)
    growth = pd.DataFrame(cube.feature("growth"))
    np.testing.assert_allclose(out.feature("growth")[59:360], (growth / growth.rolling(60).std())[59:360], rtol=1e-6)


def test_transformed_values_have_the_same_bits_whatever_comes_later(cube, report):
    whole = apply_transforms(cube, report)
    for row in (1, 59, 60, 222, 399):
        session = cube.sessions[row]
        early = apply_transforms(cube.until(session), report)
        assert same_bits(early.values, whole.until(session).values)
        assert early.content_hash() == whole.content_hash(slice(0, row + 1))
    late = apply_transforms(Cube(cube.sessions[100:], cube.symbols, cube.names, cube.values[100:]), report)
    reach = 59  # rows before its own that a value normalised over 60 sessions depends on
    assert same_bits(late.values[reach:], whole.values[100 + reach :])
    assert not same_bits(late.values[reach - 1 :], whole.values[100 + reach - 1 :])


def test_the_decision_on_a_catalogue_is_the_same_when_history_goes_on():
    panel = random_panel(bars=500, symbols=2)
    full = compute_features(panel)
    early = compute_features(rows_of(panel, slice(0, 420)))
    rows = slice(110, 415)
    assert decide_transforms(full, rows, SETTINGS) == decide_transforms(early, rows, SETTINGS)


def test_a_spread_of_zero_is_a_missing_value_when_normalising(report):
    values = np.full((BARS, SYMBOLS), 2.0)
    cube = _cube_of(noise=values, walk=values, growth=values)
    assert np.isnan(apply_transforms(cube, report).feature("growth")).all()


def test_a_report_survives_json(report):
    stored = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert StationarityReport.from_dict(stored) == report


@pytest.mark.parametrize(
    "damage",
    [
        lambda stored: stored.pop("verdicts"),
        lambda stored: stored["verdicts"][0].update(verdict="whitened"),
        lambda stored: stored["verdicts"][0]["attempts"][0].pop("pass_share"),
        lambda stored: stored.update(adf_p_value=None),
    ],
)
def test_a_damaged_report_is_refused(report, damage):
    stored = json.loads(json.dumps(report.to_dict()))
    damage(stored)
    with pytest.raises(ModelError, match="stationarity report"):
        StationarityReport.from_dict(stored)


def test_a_cube_that_lacks_a_kept_feature_is_refused(cube, report):
    with pytest.raises(SettingsError, match="found walk"):
        apply_transforms(cube.select(("noise", "growth")), report)


def test_nothing_kept_is_an_empty_cube_not_a_crash(cube):
    only = cube.select(("constant",))
    result = decide_transforms(only, TRAINING, SETTINGS)
    assert apply_transforms(only, result).values.shape == (BARS, SYMBOLS, 0)


# --- short windows -----------------------------------------------------------------------------------------


def _autoregressive(draw: np.random.Generator, slope: float, rows: int, symbols: int, common: float) -> np.ndarray:
    shocks = np.sqrt(1.0 - common) * draw.normal(size=(rows + 100, symbols))
    shocks += np.sqrt(common) * draw.normal(size=(rows + 100, 1))
    values = np.zeros_like(shocks)
    for row in range(1, len(values)):
        values[row] = slope * values[row - 1] + shocks[row]
    return values[100:]


def test_the_pooled_p_value_is_the_published_formula_s() -> None:
    draw = np.random.default_rng(1)
    for count in (2, 5, 28):
        p_values = draw.uniform(0.001, 0.6, count)
        probits = [NormalDist().inv_cdf(p) for p in p_values]
        mean = sum(probits) / count
        rho = max(1.0 - sum((probit - mean) ** 2 for probit in probits) / (count - 1), -1.0 / (count - 1))
        inner = rho + 0.2 * (2.0 / (count + 1)) ** 0.5 * (1.0 - rho)
        expected = NormalDist().cdf(sum(probits) / (count + (count**2 - count) * inner) ** 0.5)
        assert pooled_p_value(np.array([*p_values, np.nan])) == pytest.approx(expected, rel=1e-9)
    assert pooled_p_value(np.array([0.2])) == 0.2
    assert np.isnan(pooled_p_value(np.array([np.nan])))
    # the same series ten times over says what it says once
    assert pooled_p_value(np.full(10, 0.2)) == pytest.approx(0.2)


@pytest.mark.parametrize(("slope", "common"), [(0.0, 0.0), (0.5, 0.0), (0.5, 0.7)])
def test_noise_of_ninety_sessions_is_kept_as_a_panel_and_the_report_says_so(slope: float, common: float) -> None:
    noise = _autoregressive(np.random.default_rng(6), slope, 90, 10, common)
    result = decide_transforms(_cube_of(noise=noise), slice(0, 90), SETTINGS)
    assert _verdicts(result) == {"noise": "level"}
    assert result.pooled == ("noise",)
    assert result.verdicts[0].pass_share < 0.9
    assert StationarityReport.from_dict(json.loads(json.dumps(result.to_dict()))) == result


@pytest.mark.parametrize("common", [0.0, 0.5, 0.95])
def test_walks_of_ninety_sessions_pass_as_a_panel_in_few_of_a_hundred(common: float) -> None:
    draw, passed = np.random.default_rng(8), 0
    for _ in range(100):
        walks = _autoregressive(draw, 1.0, 90, 10, common)
        result = decide_transforms(_cube_of(walk=walks), slice(0, 90), SETTINGS)
        passed += result.verdicts[0].verdict == "level"
    assert passed <= 5


def test_a_panel_half_of_which_walks_does_not_pass_for_the_other_half() -> None:
    draw, passed = np.random.default_rng(9), 0
    for _ in range(50):
        halves = [_autoregressive(draw, slope, 90, 5, 0.0) for slope in (1.0, 0.0)]
        result = decide_transforms(_cube_of(mixed=np.hstack(halves)), slice(0, 90), SETTINGS)
        passed += result.verdicts[0].verdict == "level"
    assert passed <= 5


def test_windows_that_are_long_enough_are_judged_name_by_name_alone(report: StationarityReport) -> None:
    assert report.pooled == ()
    assert all(attempt.pooled_p_value is None for entry in report.verdicts[:1] for attempt in entry.attempts)
