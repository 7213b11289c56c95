"""The unit-root tests as statsmodels does them, one series at a time: oracle and slow side."""

from __future__ import annotations

import warnings

import numpy as np
from statsmodels.tools.sm_exceptions import InterpolationWarning
from statsmodels.tsa.stattools import adfuller, kpss


def reference_adf(series: np.ndarray, lags: int) -> tuple[np.ndarray, np.ndarray]:
    """Statistic and p-value of each column of (rows, series)."""
    results = [adfuller(column, maxlag=lags, regression="c", autolag=None, result_object=False) for column in series.T]
    return np.array([entry[0] for entry in results]), np.array([entry[1] for entry in results])


def reference_kpss(series: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Statistic, p-value and lags of each column of (rows, series)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InterpolationWarning)
        results = [kpss(column, regression="c", nlags="auto", result_object=False) for column in series.T]
    return tuple(np.array([entry[part] for entry in results]) for part in range(3))
