"""Simulated series that the tests of this room share. Written apart from the code under test."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from nn_assets.oversight.drift import DriftMonitor, DriftReference, DriftReport
from nn_assets.oversight.monitored import cross_section

DAY = pd.Timestamp("2018-01-02")


def autoregressive(
    generator: np.random.Generator, coefficients: np.ndarray, sessions: int, common: float = 0.0
) -> np.ndarray:
    """Stationary unit-variance AR(1) columns, (sessions, series), whose shocks correlate by ``common``."""
    shocks = np.sqrt(1.0 - common) * generator.standard_normal((sessions + 200, len(coefficients)))
    shocks += np.sqrt(common) * generator.standard_normal((sessions + 200, 1))
    columns = [lfilter([np.sqrt(1.0 - c * c)], [1.0, -c], shocks[:, i]) for i, c in enumerate(coefficients)]
    return np.stack(columns, axis=1)[200:]


def examined(
    monitor: DriftMonitor, row: int, ranks: np.ndarray, features: np.ndarray, reference: DriftReference
) -> DriftReport:
    """The report of a row, of forecasts' ranks (bars, symbols) and features (bars, symbols, features)."""
    rows = slice(max(0, row - 400), len(features))  # far more than a window
    columns = (
        np.pad(cross_section(values[rows]), ((rows.start, 0), (0, 0)), constant_values=np.nan)
        for values in (ranks[:, :, None], features)
    )
    return monitor.examine(row, DAY, *columns, reference)
