"""Features, rolling figures and unit-root tests against their plain references, in one run.

Run by ``pytest tests/benchmarks/bench_features.py``; each group holds both versions on the same
input.
"""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.features.catalogue import compute_features
from nn_assets.features.rolling import rolling_std
from nn_assets.features.stationarity import decide_transforms
from nn_assets.features.unit_root import adf_test, kpss_test, schwert_lags
from nn_assets.settings import FeatureSettings
from tests.benchmarks.telling import tell
from tests.features.panels import OF_BARS, random_panel
from tests.features.reference_features import reference_values
from tests.features.reference_rolling import lagged_view_std, pandas_std
from tests.features.reference_unit_root import reference_adf, reference_kpss

PANEL = random_panel(bars=1260, symbols=20)
MARKET = PANEL.symbols[0]
WIDE = np.random.default_rng(0).normal(size=(1260, 500))
SERIES = np.random.default_rng(1).normal(size=(630, 100))


def _by_reference() -> np.ndarray:
    return np.stack([reference_values(PANEL, name, MARKET) for name in OF_BARS], axis=2)


@pytest.mark.benchmark(group=f"features, {len(OF_BARS)} of 20 symbols x 1260 sessions")
@pytest.mark.parametrize("version", ["package", "plain reference"])
def test_features(benchmark, version):
    work = PANEL.session_count * len(PANEL.symbols) * len(OF_BARS)
    tell(benchmark, version, work, "feature values", reference=version != "package")
    if version == "package":
        benchmark(compute_features, PANEL, market_symbol=MARKET)
    else:
        benchmark.pedantic(_by_reference, rounds=2, iterations=1)


@pytest.mark.benchmark(group="rolling deviation over 20, 500 symbols x 1260 sessions")
@pytest.mark.parametrize(
    "function", [rolling_std, lagged_view_std, pandas_std], ids=["package", "lagged views", "pandas"]
)
def test_rolling_deviation(benchmark, function):
    version = {rolling_std: "package", lagged_view_std: "lagged views", pandas_std: "pandas"}[function]
    tell(benchmark, version, WIDE.size, "values", reference=function is pandas_std)
    deviations = benchmark(function, WIDE, 20)
    np.testing.assert_allclose(deviations, lagged_view_std(WIDE, 20), rtol=1e-7)


@pytest.mark.benchmark(group="augmented Dickey-Fuller tests, 100 series x 630 sessions")
@pytest.mark.parametrize("version", ["package", "plain reference"])
def test_augmented_dickey_fuller(benchmark, version):
    tell(benchmark, version, SERIES.shape[1], "tests", reference=version != "package")
    if version == "package":
        benchmark(adf_test, SERIES)
    else:
        benchmark.pedantic(reference_adf, (SERIES, schwert_lags(len(SERIES))), rounds=3, iterations=1)


@pytest.mark.benchmark(group="KPSS tests, 100 series x 630 sessions")
@pytest.mark.parametrize("function", [kpss_test, reference_kpss], ids=["package", "plain reference"])
def test_kpss(benchmark, function):
    is_plain = function is reference_kpss
    tell(benchmark, "plain reference" if is_plain else "package", SERIES.shape[1], "tests", reference=is_plain)
    benchmark.pedantic(function, (SERIES,), rounds=5, iterations=1)


@pytest.mark.benchmark(group=f"stationarity gate of one fold, {len(OF_BARS)} features x 20 symbols x 630 sessions")
def test_stationarity_gate(benchmark):
    cube = compute_features(PANEL, market_symbol=MARKET)
    tell(benchmark, "package", len(OF_BARS) * len(PANEL.symbols), "series")
    report = benchmark(decide_transforms, cube, slice(300, 930), FeatureSettings())
    assert len(report.verdicts) == len(OF_BARS)
