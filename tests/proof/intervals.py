"""Intervals of what is counted, by formulas of their own."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import betaincinv, stdtrit


def clopper_pearson(count: int, of: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a share: Clopper and Pearson (1934), by quantiles of the beta distribution."""
    tail = (1.0 - level) / 2.0
    low = 0.0 if count == 0 else float(betaincinv(count, of - count + 1, tail))
    high = 1.0 if count == of else float(betaincinv(count + 1, of - count, 1.0 - tail))
    return low, high


def share(count: int, of: int) -> str:
    """A count, its share and interval: '5 of 200, 2.5% (0.8% to 5.7%)'."""
    if of == 0:
        return "nothing measured"
    low, high = clopper_pearson(count, of)
    return f"{count} of {of}, {count / of:.1%} ({low:.1%} to {high:.1%})"


def mean_of(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Mean and the ends of Student's interval for it; NaN ends of one value."""
    if len(values) < 2:
        return float(values.mean()), math.nan, math.nan
    reach = float(stdtrit(len(values) - 1, 0.5 + level / 2.0)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()), float(values.mean()) - reach, float(values.mean()) + reach


def mean_interval(values: np.ndarray) -> str:
    """As it is printed: '+0.12 (-0.30 to +0.54)'."""
    middle, low, high = mean_of(values)
    return f"{middle:+.2f}" if math.isnan(low) else f"{middle:+.2f} ({low:+.2f} to {high:+.2f})"


def median_interval(values: np.ndarray, draws: int = 2000) -> tuple[float, float, float]:
    """Median of independent values and its 95% interval: the percentile bootstrap of Efron (1979), seed 0."""
    chosen = np.random.default_rng(0).integers(0, len(values), (draws, len(values)))
    low, high = np.quantile(np.median(values[chosen], axis=1), [0.025, 0.975])
    return float(np.median(values)), float(low), float(high)
