"""Drift statistics: the sliding distance beside its plain version, and one session's examination."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.oversight.distance import sliding_ks
from nn_assets.oversight.drift import DriftMonitor, drift_reference
from nn_assets.settings import OversightSettings
from tests.benchmarks.telling import tell
from tests.oversight.reference_critical_values import plain_sliding_ks
from tests.oversight.worlds import examined

PATH = np.random.default_rng(1).standard_normal(500 + 59 + 252)


def _fast(path: np.ndarray) -> np.ndarray:
    ranks = np.searchsorted(np.sort(path[:500]), path[500:]).astype(np.int16)
    return sliding_ks(ranks, 60, 500)


@pytest.mark.benchmark(group="sliding KS distance, one year of windows")
def test_sliding_distance_by_sorted_ranks(benchmark) -> None:
    tell(benchmark, "package", 252, "windows")
    distances = benchmark(_fast, PATH)
    np.testing.assert_allclose(distances, plain_sliding_ks(PATH, 60, 500), atol=1e-12)


@pytest.mark.benchmark(group="sliding KS distance, one year of windows")
def test_sliding_distance_by_brute_force(benchmark) -> None:
    tell(benchmark, "plain reference", 252, "windows", reference=True)
    assert len(benchmark(plain_sliding_ks, PATH, 60, 500)) == 252


@pytest.mark.benchmark(group="drift, one session of 20 features examined")
def test_examining_one_session(benchmark) -> None:
    generator = np.random.default_rng(2)
    features, forecasts = generator.standard_normal((700, 1, 20)), generator.random((700, 1))
    names = [f"f{i}" for i in range(20)]
    settings = OversightSettings()
    reference = drift_reference(forecasts[:500], features[:500], names, settings)
    monitor = DriftMonitor(settings)
    tell(benchmark, "package", 1, "sessions")
    report = benchmark(examined, monitor, 650, reference.forecast_ranks(forecasts), features, reference)
    assert len(report.statistics) == 21


@pytest.mark.benchmark(group="drift, one model's reference of 20 features built")
def test_building_one_reference(benchmark) -> None:
    generator = np.random.default_rng(3)
    features, forecasts = generator.standard_normal((500, 1, 20)), generator.random((500, 1))
    names = [f"f{i}" for i in range(20)]
    tell(benchmark, "package")
    reference = benchmark.pedantic(drift_reference, (forecasts, features, names, OversightSettings()), rounds=3)
    assert np.isfinite(reference.multiplier)
