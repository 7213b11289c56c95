"""Unit-root and stationarity tests on many series at once.

Series are columns of (rows, series). Missing values are never spliced over: the augmented
Dickey-Fuller regression uses the rows whose own value and every lag are there, and KPSS sums over the
values that are there with zero in the place of a missing residual (Parzen 1963). On a series without
gaps both equal statsmodels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray, IntArray
from nn_assets.errors import SettingsError

MINIMUM_OBSERVATIONS = 50
"""Values below which a series is not tested: the tests' distributions are asymptotic."""

_KAPPA = 0.2  # Hartung (1999): what keeps the size where the correlation is estimated
_BLOCK_VALUES = 131_072
_SINGULAR = 1e-11

# MacKinnon (1994), table 3, one variable, constant: the distribution of the statistic as the normal
# distribution of a polynomial, one below and one above the breakpoint.
_P_MINIMUM, _P_BREAK, _P_MAXIMUM = -18.83, -1.61, 2.74
_P_SMALL = (2.1659, 1.4412, 3.8269e-2)
_P_LARGE = (1.7339, 9.3202e-1, -1.2745e-1, -1.0368e-2)

# Kwiatkowski, Phillips, Schmidt and Shin (1992), table 1, level stationarity.
_KPSS_CRITICAL = (0.347, 0.463, 0.574, 0.739)
_KPSS_P_VALUES = (0.10, 0.05, 0.025, 0.01)


@dataclass(frozen=True, eq=False)
class TestResult:
    """One test over many series; every array has shape (series,).

    ``statistic`` is NaN and ``p_value`` NaN where a series is too short to be tested. A series that is
    constant, or so regular that the regression is singular, has a statistic of NaN and the p-value
    that fails it: 1 in the augmented Dickey-Fuller test, 0 in KPSS.
    """

    __test__ = False  # not a test class, whatever its name suggests to a collector

    statistic: FloatArray
    p_value: FloatArray
    lags: IntArray
    observations: IntArray


def schwert_lags(observations: int, scale: int = 12) -> int:
    """Lag order int(12 (n / 100)^0.25) (Schwert 1989, l12; l4 with ``scale`` 4), at most what the series can carry."""
    return max(0, min(int(scale * (observations / 100.0) ** 0.25), observations // 2 - 2))


def adf_test(series: FloatArray, lags: int | None = None) -> TestResult:
    """Augmented Dickey-Fuller test with a constant and a fixed lag order.

    The change is regressed on a constant, the level before it and ``lags`` earlier changes (Said and
    Dickey 1984); the statistic is the t-value of the level, its p-value MacKinnon's (1994).

    Parameters
    ----------
    series : array, shape (rows, series)
        NaN means missing; only rows whose value and lags are all there enter the regression.
    lags : int, optional
        The same for every series; by default `schwert_lags` of each series' count of values.

    Returns
    -------
    TestResult
        ``observations`` counts the values of a series that are there.

    Raises
    ------
    SettingsError
        ``lags`` is negative, or more than the rows can carry.
    """
    if lags is not None and not 0 <= lags <= max(0, len(series) // 2 - 2):
        raise SettingsError(
            expected=f"from 0 to {max(0, len(series) // 2 - 2)} lags for {len(series)} rows",
            found=str(lags),
            remedy="lower the lag order or pass a longer series",
            value=lags,
        )
    columns = np.ascontiguousarray(series.T)
    count = np.isfinite(columns).sum(axis=1)
    orders = np.array([schwert_lags(int(n)) if lags is None else lags for n in count], dtype=np.int64)
    statistic = np.full(len(columns), np.nan)
    p_value = np.full(len(columns), np.nan)
    testable = count >= MINIMUM_OBSERVATIONS
    for order in np.unique(orders[testable]):
        members = np.flatnonzero(testable & (orders == order))
        width = max(1, _BLOCK_VALUES // max(1, columns.shape[1] * (int(order) + 1)))
        for start in range(0, len(members), width):
            block = members[start : start + width]
            statistic[block] = _adf_statistic(columns[block], int(order))
    p_value[testable] = np.where(np.isfinite(statistic[testable]), _mackinnon_p_value(statistic[testable]), 1.0)
    return TestResult(statistic, p_value, orders, count)


def pooled_p_value(p_values: FloatArray) -> float:
    """One p-value of a panel whose series may move together, each with its own unit root under the hypothesis.

    The modified inverse normal method: Hartung (1999), with kappa 0.2; for panels of unit root tests
    Demetrescu, Hassler and Tarcolea (2006), Oxford Bulletin of Economics and Statistics 68, 647-663. The correlation
    of the probits is estimated from their spread, so that a panel of one series many times says no more than it.

    Parameters
    ----------
    p_values : array, shape (series,)
        NaN where a series was not tested. Values are kept within 1e-10 and 0.999.

    Returns
    -------
    float
        Small where not all series have a unit root; a single one's own; NaN of none.
    """
    from scipy.special import ndtr, ndtri

    finite = np.clip(p_values[np.isfinite(p_values)], 1e-10, 0.999)
    count = len(finite)
    if count < 2:
        return float(finite[0]) if count else float("nan")
    probits = ndtri(finite)
    correlation = max(-1.0 / (count - 1), 1.0 - float(probits.var(ddof=1)))
    widened = correlation + _KAPPA * np.sqrt(2.0 / (count + 1)) * (1.0 - correlation)
    return float(ndtr(probits.sum() / np.sqrt(count + count * (count - 1) * widened)))


def _adf_statistic(values: FloatArray, order: int) -> FloatArray:
    """t-value of the level for a block of series (series, rows) with one lag order; NaN if singular."""
    target, design, used = _regression(values, order)
    norm = np.sqrt((design * design).sum(axis=2))  # (series, order + 1)
    moving = (norm > 0.0).all(axis=1)
    design /= np.where(norm > 0.0, norm, 1.0)[:, :, None]
    size, vectors = np.linalg.eigh(design @ design.transpose(0, 2, 1))
    sound = moving & (size[:, 0] > _SINGULAR * size[:, -1])
    size = np.where(sound[:, None], size, 1.0)
    residual = target
    slope = np.zeros(design.shape[:2])
    # The second round solves for what rounding in the normal equations left over (Björck 1987).
    for _ in range(2):
        gradient = (design @ residual[:, :, None])[:, :, 0]
        turned = (vectors.transpose(0, 2, 1) @ gradient[:, :, None])[:, :, 0] / size
        slope += (vectors @ turned[:, :, None])[:, :, 0]
        residual = target - (slope[:, None, :] @ design)[:, 0, :]
    freedom = used - (order + 2)
    left = (residual * residual).sum(axis=1)
    # A residual of nothing but rounding means a deterministic series, which no test applies to.
    sound &= (freedom > 0) & (left > _SINGULAR * _SINGULAR * (target * target).sum(axis=1))
    variance = left / np.maximum(freedom, 1) * ((vectors[:, 0, :] ** 2) / size).sum(axis=1)
    result: FloatArray = np.full(len(values), np.nan)
    np.divide(slope[:, 0], np.sqrt(variance), out=result, where=sound & (variance > 0.0))
    return result


def _regression(values: FloatArray, order: int) -> tuple[FloatArray, FloatArray, IntArray]:
    """Change (series, m), level and earlier changes (series, order + 1, m), rows in use (series,).

    Each is centred over the rows in use, which takes the constant out of the regression (Frisch and
    Waugh 1933); rows not in use are zero.
    """
    present = np.isfinite(values)
    count = np.maximum(present.sum(axis=1, keepdims=True), 1)
    filled = np.where(present, values, 0.0)
    filled -= filled.sum(axis=1, keepdims=True) / count
    change = np.diff(filled, axis=1)
    rows = values.shape[1] - order - 1  # m
    whole = np.ones((len(values), rows), dtype=np.bool_)
    for lag in range(order + 2):
        whole &= present[:, lag : lag + rows]
    used = whole.sum(axis=1)
    parts = [change[:, order:], filled[:, order : order + rows]]
    parts += [change[:, order - lag : order - lag + rows] for lag in range(1, order + 1)]
    table = np.stack(parts, axis=1)  # (series, order + 2, m)
    if not whole.all():
        table *= whole[:, None, :]
    table -= table.sum(axis=2, keepdims=True) / np.maximum(used, 1)[:, None, None]
    if not whole.all():
        table *= whole[:, None, :]
    return table[:, 0, :], table[:, 1:, :], used


def _mackinnon_p_value(statistic: FloatArray) -> FloatArray:
    """P-value of the statistic with a constant (MacKinnon 1994). NaN in, NaN out."""
    from scipy.special import ndtr

    small = np.polynomial.polynomial.polyval(statistic, _P_SMALL)
    large = np.polynomial.polynomial.polyval(statistic, _P_LARGE)
    p_value: FloatArray = ndtr(np.where(statistic <= _P_BREAK, small, large))
    p_value = np.where(statistic > _P_MAXIMUM, 1.0, p_value)
    return np.where(statistic < _P_MINIMUM, 0.0, p_value)


def kpss_test(series: FloatArray) -> TestResult:
    """KPSS test of level stationarity; the null hypothesis is that the series is stationary.

    Statistic: equations 11 and 13 of Kwiatkowski et al. (1992), Bartlett weights, the bandwidth by
    Hobijn, Franses and Ooms (1998). P-values are read from the published table and lie between 0.01
    and 0.10.

    Parameters
    ----------
    series : array, shape (rows, series)
        NaN means missing.

    Returns
    -------
    TestResult
    """
    values = np.ascontiguousarray(series.T)
    present = np.isfinite(values)
    count = present.sum(axis=1)
    safe = np.maximum(count, 1)
    residual = np.where(present, values, 0.0)
    residual -= residual.sum(axis=1, keepdims=True) / safe[:, None]
    residual *= present
    testable = count >= MINIMUM_OBSERVATIONS
    constant = _constant(values, present)
    lags = np.where(testable & ~constant, _bandwidth(residual, safe), 0)
    long_run = (residual * residual).sum(axis=1)
    for lag in range(1, int(lags.max(initial=0)) + 1):
        weight = np.maximum(1.0 - lag / (lags + 1.0), 0.0)
        long_run = long_run + 2.0 * weight * (residual[:, lag:] * residual[:, :-lag]).sum(axis=1)
    sums = np.cumsum(residual, axis=1)
    statistic = np.full(len(values), np.nan)
    sound = testable & ~constant & (long_run > 0.0)
    np.divide((sums * sums * present).sum(axis=1) / safe, long_run, out=statistic, where=sound)
    p_value = np.where(sound, np.interp(statistic, _KPSS_CRITICAL, _KPSS_P_VALUES), 0.0)
    return TestResult(statistic, np.where(testable, p_value, np.nan), lags, count)


def _bandwidth(residual: FloatArray, count: IntArray) -> IntArray:
    """Data-dependent lag of the Bartlett window (Hobijn, Franses and Ooms 1998, section 4)."""
    preliminary = (count ** (2.0 / 9.0)).astype(np.int64)
    level = (residual * residual).sum(axis=1) / count
    slope = np.zeros(len(residual))
    for lag in range(1, int(preliminary.max(initial=0)) + 1):
        product = (residual[:, lag:] * residual[:, :-lag]).sum(axis=1) / (count / 2.0)
        product *= lag <= preliminary
        level = level + product
        slope = slope + lag * product
    with np.errstate(divide="ignore", invalid="ignore"):
        gamma = 1.1447 * ((slope / level) ** 2.0) ** (1.0 / 3.0)
        lags = gamma * count ** (1.0 / 3.0)
    lags = np.where(np.isfinite(lags), lags, 0.0)
    return np.minimum(lags.astype(np.int64), count - 1)


def _constant(values: FloatArray, present: BoolArray) -> BoolArray:
    """Whether every value that is there is the same."""
    lowest = np.where(present, values, np.inf).min(axis=1, initial=np.inf)
    highest = np.where(present, values, -np.inf).max(axis=1, initial=-np.inf)
    same: BoolArray = ~(lowest < highest)
    return same
