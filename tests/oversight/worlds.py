"""Simulated series that the tests of this room share. Written apart from the code under test."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.signal import lfilter

DAY = pd.Timestamp("2018-01-02")


def autoregressive(
    generator: np.random.Generator, coefficients: np.ndarray, sessions: int, common: float = 0.0
) -> np.ndarray:
    """Stationary unit-variance AR(1) columns, (sessions, series), whose shocks correlate by ``common``."""
    shocks = np.sqrt(1.0 - common) * generator.standard_normal((sessions + 200, len(coefficients)))
    shocks += np.sqrt(common) * generator.standard_normal((sessions + 200, 1))
    columns = [lfilter([np.sqrt(1.0 - c * c)], [1.0, -c], shocks[:, i]) for i, c in enumerate(coefficients)]
    return np.stack(columns, axis=1)[200:]
