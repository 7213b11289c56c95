"""The whole room on real bars: the bundled indexes, and stocks as a vendor delivered them."""

from __future__ import annotations

from pathlib import Path

import arch.data.nasdaq
import arch.data.sp500
import numpy as np
import pandas as pd
import pytest

from nn_assets.features.catalogue import CATALOGUE, compute_features
from nn_assets.features.labels import make_labels
from nn_assets.features.stationarity import apply_transforms, decide_transforms
from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import Panel
from nn_assets.settings import FeatureSettings, LabelSettings
from tests.features.panels import OF_BARS, columns_of, panel_of, rows_of, same_bits
from tests.features.reference_features import REFERENCE, reference_values
from tests.features.reference_unit_root import reference_adf

FIELDS = ("open", "high", "low", "close", "volume")
OF_FIELDS = [name for name in REFERENCE if set(CATALOGUE[name].fields) <= set(FIELDS)]  # these bars have no quotes


@pytest.fixture(scope="module")
def indexes() -> Panel:
    frames = [module.load().rename(columns=str.lower) for module in (arch.data.sp500, arch.data.nasdaq)]
    frames = [frame[~frame.index.duplicated()] for frame in frames]
    together = frames[0].index.union(frames[1].index)
    fields = {
        name: np.column_stack([frame[name].reindex(together).to_numpy(float) for frame in frames]) for name in FIELDS
    }
    fields["volume"][fields["volume"] == 0.0] = np.nan
    return panel_of(("SPX", "IXIC"), **fields)


@pytest.fixture(scope="module")
def stocks(shared_data: Path) -> Panel:
    files = sorted((shared_data / "sp500_5yr").rglob("*.csv"))[:12]
    frames = {file.stem: pd.read_csv(file, index_col=0, parse_dates=True).rename(columns=str.lower) for file in files}
    days = sorted(set().union(*(frame.index for frame in frames.values())))
    fields = {
        name: np.column_stack([frame[name].reindex(days).to_numpy(float) for frame in frames.values()])
        for name in FIELDS
    }
    return panel_of(tuple(frames), **fields)


@pytest.mark.full
@pytest.mark.parametrize("name", OF_FIELDS)
def test_features_of_real_indexes_equal_the_plain_reference(indexes, name):
    panel = rows_of(indexes, slice(0, 700))
    values = compute_features(panel, (name,), market_symbol="SPX").values[:, :, 0]
    expected = reference_values(panel, name, "SPX")
    both = np.isfinite(values) & np.isfinite(expected)
    np.testing.assert_allclose(values[both], expected[both], rtol=1e-5, atol=1e-8)
    assert both.mean() > 0.8


def test_twenty_years_of_indexes_look_ahead_nowhere(indexes):
    whole = compute_features(indexes, market_symbol="SPX")
    for row in (300, 2511, 4900):
        early = compute_features(indexes.until(indexes.sessions[row]), market_symbol="SPX")
        assert early.names == whole.names
        assert same_bits(early.values, whole.values[: row + 1])
    assert not np.isinf(whole.values).any()


def test_the_gate_on_real_indexes_agrees_with_statsmodels(indexes):
    cube = compute_features(indexes)
    rows = slice(1000, 1630)
    report = decide_transforms(cube, rows, FeatureSettings())
    for index, entry in enumerate(report.verdicts):
        _, p_value = reference_adf(cube.values[rows, :, index], 19)
        assert entry.attempts[0].median_p_value == pytest.approx(np.median(p_value), abs=1e-8)
        assert (entry.verdict == "level") == bool((p_value < 0.05).all())
    assert len(report.kept) >= 17
    moved = apply_transforms(cube, report)
    assert np.isfinite(moved.values[rows.start + 60 : rows.stop]).all()


def test_labels_of_real_indexes_are_up_a_little_more_often_than_down(indexes):
    labels = make_labels(indexes, LabelSettings())
    assert 0.53 < np.nanmean(labels.targets) < 0.60


def test_flawed_stocks_give_missing_values_and_never_an_infinity(stocks):
    cube = compute_features(stocks, market_symbol=stocks.symbols[0])
    assert cube.names == tuple(OF_BARS)
    assert not np.isinf(cube.values).any()
    assert np.isfinite(cube.values[150:]).mean() > 0.95
    alone = compute_features(columns_of(stocks, [0, 5]), market_symbol=stocks.symbols[0])
    assert same_bits(alone.values, np.ascontiguousarray(cube.values[:, [0, 5]]))


def test_a_volatility_index_is_read_under_a_name_of_ones_own_as_pandas_reads_it(
    indexes: Panel, shared_data: Path
) -> None:
    vix = pd.read_csv(shared_data / "vix" / "vix-daily.csv", index_col=0, parse_dates=True)["CLOSE"]
    days = pd.DatetimeIndex(arch.data.sp500.load().index).unique()[:1_500]
    panel = rows_of(indexes, slice(0, len(days)))  # the same sessions: the two indexes trade on the same days
    values = np.repeat(vix.reindex(days).to_numpy(float)[:, None], 2, axis=1)
    known = KnownSeries(values, np.zeros(values.shape), np.full(values.shape, 1440.0))
    names = ("level_of_fear", "change_of_fear", "zscore_of_fear", "implied_over_realised")
    made = compute_features(panel, names, series={"fear": known, "implied_volatility": known}).values
    index = pd.Series(values[:, 0])
    z = (index - index.rolling(60).mean()) / index.rolling(60).std()
    realised = pd.Series(np.log(panel.close[:, 1])).diff().rolling(20).std() * 252.0**0.5
    for column, expected in enumerate((index, index.diff(5), z, index / 100.0 / realised)):
        np.testing.assert_allclose(made[:, 1, column], expected.to_numpy(), rtol=1e-8, atol=1e-10)
    assert np.isfinite(made[60:, 0]).mean() > 0.98  # the index lacks a day of these
