"""Features of a strategy's own series, by names of a pattern; betas to factors against numpy's least squares."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.errors import SettingsError
from nn_assets.features.catalogue import CATALOGUE, Feature, compute_features, refuse_features_beyond
from nn_assets.features.contract import require_sound_feature
from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import Panel
from tests.contracts.features import FeatureContract
from tests.features.panels import changed, random_panel, rows_of, same_bits

BARS, FACTORS = 150, ("market", "size", "value")
BETAS = tuple(f"beta_to_{role}" for role in FACTORS)
NAMES = (*BETAS, "factor_residual_return")
PANEL = random_panel(BARS, 3)


def factors_of(age: int = 0, symbols: int = 3) -> dict[str, KnownSeries]:
    """Returns of three factors that move together, of the whole market."""
    draw = np.random.default_rng(11)
    market = draw.normal(0.0, 0.01, BARS)
    of_each = (market, 0.5 * market + draw.normal(0.0, 0.005, BARS), -0.3 * market + draw.normal(0.0, 0.004, BARS))
    shape = (BARS, symbols)
    return {
        role: KnownSeries(
            np.repeat(values[:, None], symbols, axis=1), np.full(shape, float(age)), np.full(shape, 1440.0)
        )
        for role, values in zip(FACTORS, of_each, strict=True)
    }


def made(panel: Panel, series: dict[str, KnownSeries]) -> np.ndarray:
    return compute_features(panel, NAMES, series=series, factors=FACTORS).values


def least_squares(panel: Panel, series: dict[str, KnownSeries], age: int, row: int, column: int) -> np.ndarray:
    """Slopes of the 60 sessions whose factor returns are known up to a row, by numpy's own solver."""
    rows = np.arange(row - 59, row + 1)
    own = np.log(panel.close[rows - age, column] / panel.close[rows - age - 1, column])
    design = np.column_stack([np.ones(60), *(series[role].values[rows, column] for role in FACTORS)])
    return np.linalg.lstsq(design, own, rcond=None)[0][1:]


class TestOwnSeries(FeatureContract):
    @pytest.fixture(params=["level_of_mood", "change_of_mood", "zscore_of_mood"])
    def entry(self, request: pytest.FixtureRequest) -> Feature:
        return CATALOGUE[request.param]

    def expected(self, entry: Feature, panel: Panel, series: KnownSeries) -> np.ndarray:
        del panel
        values, result = series.values, np.full(series.values.shape, np.nan)
        for row in range(len(values)):
            window = values[max(0, row - 59) : row + 1]
            if entry.name == "level_of_mood":
                result[row] = values[row]
            elif entry.name == "change_of_mood" and row >= 5:
                result[row] = values[row] - values[row - 5]
            elif entry.name == "zscore_of_mood" and row >= 59:
                result[row] = (values[row] - window.mean(axis=0)) / window.std(axis=0, ddof=1)
        return result


@pytest.mark.parametrize("name", ["beta_to_mood", "factor_residual_return"])
def test_features_of_factors_keep_the_contract_that_plugins_are_held_to(name: str) -> None:
    require_sound_feature(CATALOGUE[name])


@pytest.mark.parametrize("age", [0, 2])
def test_betas_and_what_is_left_are_those_of_least_squares_each_return_beside_its_own_session(age: int) -> None:
    series = factors_of(age)
    values = made(PANEL, series)
    for row in (90, 149):
        for column in range(3):
            slopes = least_squares(PANEL, series, age, row, column)
            np.testing.assert_allclose(values[row, column, :3], slopes, rtol=1e-8)
            before = least_squares(PANEL, series, age, row - 1, column)
            own = np.log(PANEL.close[row - age, column] / PANEL.close[row - age - 1, column])
            explained = sum(
                slope * series[role].values[row, column] for slope, role in zip(before, FACTORS, strict=True)
            )
            assert values[row, column, 3] == pytest.approx(own - explained, abs=1e-12)


def test_a_factor_of_each_symbols_own_gives_what_one_of_the_whole_market_does_where_they_agree() -> None:
    series = factors_of()
    apart = factors_of()
    apart["size"].values[:, 2] += np.random.default_rng(3).normal(0.0, 0.01, BARS)
    whole, single = made(PANEL, series), made(PANEL, apart)
    np.testing.assert_allclose(single[:, :2], whole[:, :2], rtol=1e-12)
    np.testing.assert_allclose(single[100, 2, :3], least_squares(PANEL, apart, 0, 100, 2), rtol=1e-8)


def test_a_planted_beta_is_found_and_factors_that_are_one_another_are_told_by_no_value() -> None:
    series = factors_of()
    returns = 1.5 * series["market"].values - 0.7 * series["value"].values
    close = 100.0 * np.exp(np.cumsum(returns, axis=0))
    values = made(changed(PANEL, lambda field: field.__setitem__(slice(None), close)), series)
    np.testing.assert_allclose(values[100, :, :3], np.tile([1.5, 0.0, -0.7], (3, 1)), atol=1e-9)
    np.testing.assert_allclose(values[100, :, 3], 0.0, atol=1e-12)
    series["size"].values[:] = 2.0 * series["market"].values + 1.0
    assert np.isnan(made(PANEL, series)).all()


def test_nothing_later_changes_a_factor_feature_nor_does_anything_before_its_reach() -> None:
    series, row = factors_of(1), 120
    whole = made(PANEL, series)
    early = {
        role: KnownSeries(*(getattr(one, name)[:row] for name in ("values", "age_sessions", "interval_minutes")))
        for role, one in series.items()
    }
    assert same_bits(made(rows_of(PANEL, slice(0, row)), early), np.ascontiguousarray(whole[:row]))
    for index, name in enumerate(NAMES):
        reach = (CATALOGUE[name]).reach_sessions
        old = changed(PANEL, lambda field, until=row - reach: field.__setitem__(slice(0, until), 50.0))
        assert same_bits(
            np.ascontiguousarray(made(old, series)[row:, :, index]), np.ascontiguousarray(whole[row:, :, index])
        )


def test_factor_returns_of_differing_sessions_or_too_old_ones_have_no_value() -> None:
    series = factors_of()
    series["size"].age_sessions[140:] = 1.0
    values = made(PANEL, series)
    assert np.isfinite(values[139]).all()
    assert np.isnan(values[140:]).all()
    assert np.isnan(made(PANEL, factors_of(6))).all()


@pytest.mark.parametrize(
    ("names", "series", "factors", "message"),
    [
        (
            ("level_of_mood",),
            ("moods",),
            (),
            "features.series of moods. Remedy: did you mean moods",
        ),
        (("level_off_mood",), ("mood",), (), "did you mean level_of_mood"),
        (("beta_to_size",), ("size",), (), "features.factors"),
        (("factor_residual_return",), ("size",), (), "features.factors of nothing"),
        (("beta_to_sise",), ("size",), ("size",), "did you mean size"),
    ],
)
def test_a_series_that_is_not_there_and_a_mistyped_name_are_refused_by_name(names, series, factors, message) -> None:
    known = factors_of()["size"]
    with pytest.raises(SettingsError) as refused:
        compute_features(PANEL, names, series=dict.fromkeys(series, known), factors=factors)
    assert message in f"{refused.value.where.get('key')}: {refused.value}"


def test_a_source_of_closes_alone_may_feed_features_of_its_own_series() -> None:
    refuse_features_beyond(("close",), ("zscore_of_mood",), market_symbol=None)
    with pytest.raises(SettingsError, match="rank_in_universe_dollar_volume_20"):
        refuse_features_beyond(("close",), ("rank_in_universe_dollar_volume_20",), market_symbol=None)
