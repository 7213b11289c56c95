"""Training samples and forecasts per second, each beside its plain reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nn_assets.learning.training import repeatable_torch, train
from nn_assets.learning.windows import Samples, Windows, find_samples
from nn_assets.settings import LearningSettings
from tests.benchmarks.telling import tell
from tests.learning.reference_training import plain_training
from tests.learning.reference_windows import plain_samples, plain_windows

EPOCHS, LOOKBACK, FEATURES = 2, 20, 18


def _panel(symbols: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Thirty months of training rows and three of validation, as the bundled strategies have."""
    random = np.random.default_rng(0)
    values = random.normal(size=(720, symbols, FEATURES))
    return values, (random.random((720, symbols)) > 0.5).astype(np.float64)


def _settings(network: str) -> LearningSettings:
    return LearningSettings.model_validate(
        {"network": network, "lookback": LOOKBACK, "maximum_epochs": EPOCHS, "patience": EPOCHS}
    )


def _parts(symbols: int) -> tuple[np.ndarray, Windows, Samples, Samples]:
    values, targets = _panel(symbols)
    windows = Windows(values, LOOKBACK)
    training, validation = (find_samples(windows, rows, targets[rows]) for rows in (slice(20, 650), slice(656, 716)))
    return values, windows, training, validation


@pytest.mark.parametrize(("network", "symbols"), [("lstm", 2), ("mlp", 20)])
class TestTraining:
    def test_loop(self, benchmark: Any, network: str, symbols: int) -> None:
        _, windows, training, validation = _parts(symbols)
        benchmark.group = f"training, {network}, {training.count} samples x {EPOCHS} epochs"
        benchmark.pedantic(train, (windows, training, validation, _settings(network), 1), rounds=3)
        tell(benchmark, "package", training.count * EPOCHS, "samples")

    def test_plain_reference(self, benchmark: Any, network: str, symbols: int) -> None:
        values, _, training, _ = _parts(symbols)
        benchmark.group = f"training, {network}, {training.count} samples x {EPOCHS} epochs"
        with repeatable_torch(1):
            benchmark.pedantic(plain_training, (values, training, _settings(network), 1, EPOCHS), rounds=3)
        tell(benchmark, "plain reference", training.count * EPOCHS, "samples", reference=True)


class TestWindows:
    def test_views(self, benchmark: Any) -> None:
        values, targets = _panel(20)
        benchmark.group = "finding and gathering windows, 20 symbols x 720 sessions"
        tell(benchmark, "package", 14_000, "windows")

        def views() -> np.ndarray:
            windows = Windows(values, LOOKBACK)
            samples = find_samples(windows, slice(20, 720), targets[20:720])
            return windows.gather(samples.rows, samples.columns)

        assert benchmark(views).shape == (14_000, LOOKBACK, FEATURES)

    def test_plain_reference(self, benchmark: Any) -> None:
        values, targets = _panel(20)
        benchmark.group = "finding and gathering windows, 20 symbols x 720 sessions"
        tell(benchmark, "plain reference", 14_000, "windows", reference=True)

        def plain() -> np.ndarray:
            samples = np.array(plain_samples(values, targets, slice(20, 720), LOOKBACK))
            return plain_windows(values, samples[:, 0], samples[:, 1], LOOKBACK)

        assert benchmark(plain).shape == (14_000, LOOKBACK, FEATURES)
