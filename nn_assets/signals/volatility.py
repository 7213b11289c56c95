"""Forecasts of volatility beside the EWMA, and which of them a session uses: a better one, once that is proved.

Every figure of row t is made of bars up to t and of variances realised at or before t, and is the same to the bit
whether the history ends at t or later: sums run forward from the first row, in one order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray, IntArray
from nn_assets.errors import SchemaError
from nn_assets.measures import mean_over_symbols

WEEK, MONTH = 5, 22
"""Sessions of HAR's two longer variances (Corsi 2009)."""

YEAR, FEWEST_OF_A_YEAR = 250, 120
"""Returns in a name's usual variance, which its constant is in units of, and how few will do."""

FEWEST_FITTED = 120
"""Sessions with a realised variance before HAR has coefficients."""

FEWEST_JUDGED = 250
"""Sessions with a realised variance before a forecast is held against a simpler one: a year of markets."""

LEVEL = 0.05
"""Chance that a candidate which is no better is held to be: one-sided, shared by the candidates."""

_LEAST = 0.1  # of the month's variance: no forecast is below it, whatever the coefficients say
_BANDWIDTH = 0.2  # lags of a long-run variance over the sessions behind it: errors of a volatility last for weeks
_NEVER_VARIES = 1e-24  # of the squared mean: what rounding leaves of differences that are all the same
_RIDGE = 1e-10  # of the normal equations' mean diagonal, so that equal regressors have an answer
_RELATIVE = "of returns less their session's median"
_TITLES = {"ewma": "the EWMA", "har": "HAR", "network": "the network"}


def har_volatility(log_returns: FloatArray, realised_variance: FloatArray, realised_row: IntArray) -> FloatArray:
    """Forecast volatility per session over the horizon by a heterogeneous autoregression of variances.

    E[v] = c L + b_d d + b_w w + b_m m (Corsi 2009, "A simple approximate long-memory model of realized volatility",
    equation 9, on squared close-to-close returns as realised variances): d the last session's variance, w and m the
    means over 5 and 22 sessions, L the name's usual one over 250. In levels, not in logarithms: a squared return may
    be 0, and the exponential of an expected logarithm is no expected variance, which is what QLIKE asks for. One set of
    coefficients for all names, by least squares on v / m, that is weighted by 1 / m^2 (Patton and Sheppard 2015,
    section 4.1): the error of a variance is in proportion to it, and a calm name counts as much as a wild one.
    Fitted anew at each session on all that was realised until then.

    Parameters
    ----------
    log_returns : ndarray, shape (bars, symbols)
        NaN: none. w and m make do with half of theirs, L with 120; without the session's own return no forecast.
    realised_variance : ndarray, shape (bars, symbols)
        v, squared fraction per session, mean over the horizon of the row's decision; NaN: not realised, or no member.
    realised_row : ndarray of int, shape (bars,)
        First row at which v of each row is known; beyond the axis, or negative: never.

    Returns
    -------
    ndarray, shape (bars, symbols)
        Fraction per session, at least the root of a tenth of m; NaN before 120 sessions were realised.

    Raises
    ------
    SchemaError
        The arrays' shapes differ.
    """
    _require_one_shape(log_returns, realised_variance, realised_row)
    regressors, month = har_regressors(log_returns)
    with np.errstate(invalid="ignore", divide="ignore"):
        outcome = realised_variance / month
    usable = np.isfinite(outcome) & np.isfinite(regressors).all(axis=2)
    products, moments = np.zeros((len(month), 4, 4)), np.zeros((len(month), 4))
    for symbol in range(month.shape[1]):  # one order of addition, whatever the memory layout
        rows = np.where(usable[:, symbol, None], regressors[:, symbol], 0.0)
        products += rows[:, :, None] * rows[:, None, :]
        moments += rows * np.where(usable[:, symbol], outcome[:, symbol], 0.0)[:, None]
    there: BoolArray = usable.any(axis=1).reshape(-1)
    order, known = _as_realised(there, realised_row)
    fitted = known >= FEWEST_FITTED
    left, right = np.cumsum(products[order], axis=0), np.cumsum(moments[order], axis=0)
    coefficients = np.full((len(month), 4), np.nan)
    if fitted.any():
        normal = left[known[fitted] - 1]
        ridge = _RIDGE * np.trace(normal, axis1=1, axis2=2) / 4.0
        normal = normal + ridge[:, None, None] * np.eye(4)
        coefficients[fitted] = np.linalg.solve(normal, right[known[fitted] - 1][:, :, None])[:, :, 0]
    ratio = np.zeros(month.shape)
    for number in range(4):
        ratio += regressors[:, :, number] * coefficients[:, number, None]
    return np.sqrt(month * np.maximum(ratio, _LEAST))


def har_regressors(log_returns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """L / m, d / m, w / m and 1, (bars, symbols, 4), and m, (bars, symbols); NaN where one of them is not known."""
    squares = np.asarray(log_returns, dtype=np.float64) ** 2
    week, month = _trailing_mean(squares, WEEK, 3), _trailing_mean(squares, MONTH, MONTH // 2)
    usual = _trailing_mean(squares, YEAR, FEWEST_OF_A_YEAR)
    month = np.where(month > 0.0, month, np.nan)
    regressors = np.stack([usual / month, squares / month, week / month, np.ones_like(month)], axis=2)
    regressors[~np.isfinite(regressors).all(axis=2)] = np.nan
    return regressors, month


def _trailing_mean(values: FloatArray, window: int, fewest: int) -> FloatArray:
    """Mean of those of the last values that are there, (bars, symbols); NaN with fewer than ``fewest``."""
    present = np.isfinite(values)
    total, count = (np.zeros((len(values) + 1, *values.shape[1:])) for _ in range(2))
    np.cumsum(np.where(present, values, 0.0), axis=0, out=total[1:])
    np.cumsum(present, axis=0, out=count[1:])
    first = np.maximum(np.arange(1, len(values) + 1) - window, 0)
    counted = count[1:] - count[first]
    return np.where(counted >= fewest, (total[1:] - total[first]) / np.maximum(counted, 1.0), np.nan)


def exceedance_probability(
    forecast: FloatArray, threshold: FloatArray, realised_variance: FloatArray, realised_row: IntArray
) -> FloatArray:
    """Probability that the realised volatility exceeds a threshold, as a forecast of it implies by its own errors.

    The share of realised over forecast volatilities, of all names and sessions realised until then, above threshold
    over forecast: their empirical distribution, of no shape (filtered historical simulation, Barone-Adesi et al. 1999,
    of a volatility in place of a return).

    Parameters
    ----------
    forecast, threshold : ndarray, shape (bars, symbols)
        Fraction per session, known at the session itself; NaN: no probability.
    realised_variance, realised_row
        As :func:`har_volatility`.

    Returns
    -------
    ndarray, shape (bars, symbols)
        NaN before 120 sessions with a forecast were realised.

    Raises
    ------
    SchemaError
        The arrays' shapes differ.
    """
    _require_one_shape(forecast, realised_variance, realised_row)
    with np.errstate(divide="ignore", invalid="ignore"):
        error, needed = np.sqrt(realised_variance) / forecast, threshold / forecast
    order, known = _as_realised(np.isfinite(error).any(axis=1).reshape(-1), realised_row)
    probability, errors, taken = np.full(forecast.shape, np.nan), np.zeros(0), 0
    for row, count in enumerate(known):
        new = error[order[taken:count]]
        new = np.sort(new[np.isfinite(new)])
        errors, taken = np.insert(errors, np.searchsorted(errors, new), new), int(count)
        if count >= FEWEST_FITTED:
            above = len(errors) - np.searchsorted(errors, needed[row], side="right")
            probability[row] = np.where(np.isfinite(needed[row]), above / len(errors), np.nan)
    return probability


def qlike(variance: FloatArray, realised: FloatArray) -> FloatArray:
    """QLIKE less what no forecast changes: v / f + ln f, of shape of the arguments (Patton 2011, equation 5).

    Differences of two forecasts are those of v / f - ln(v / f) - 1, and there is one where nothing moved (v = 0).

    Parameters
    ----------
    variance : ndarray
        f, the forecast. NaN, or not above 0: no loss.
    realised : ndarray
        v, in the same unit. NaN: no loss.
    """
    forecast = np.where(variance > 0.0, variance, np.nan)
    return realised / forecast + np.log(forecast)


@dataclass(frozen=True, eq=False)
class Comparison:
    """A forecast's record against a simpler one's, as known at each row; arrays of shape (bars,)."""

    candidate: str
    simpler: str
    mean: FloatArray  # QLIKE of the candidate less that of the simpler one: below 0 is better; NaN: no session yet
    statistic: FloatArray  # over its error; NaN before there are enough sessions
    p_value: FloatArray  # that it is no better; likewise
    sessions: IntArray  # that were realised


@dataclass(frozen=True)
class VolatilityChoice:
    """Which forecast of volatility a session uses, and the record that says so."""

    used: str
    reason: str
    comparisons: tuple[tuple[str, str, float, float, int], ...]  # candidate, simpler, mean, p-value, sessions
    relative: bool = False  # of returns less their session's median

    @property
    def sentence(self) -> str:
        """Which one, and why, for a page."""
        of = f" {_RELATIVE}" if self.relative else ""
        return f"Volatility{of} by {_TITLES.get(self.used, self.used)}: {self.reason}."

    def to_record(self) -> dict[str, Any]:
        """As JSON values; what is not known is None."""
        names = ("candidate", "simpler", "qlike_difference", "p_value", "sessions")
        rows: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in self.comparisons]
        for row in rows:
            row |= {name: None for name, value in row.items() if isinstance(value, float) and math.isnan(value)}
        of = {"of": _RELATIVE.removeprefix("of ")} if self.relative else {}
        return {"used": self.used, **of, "reason": self.reason, "comparisons": rows}


@dataclass(frozen=True, eq=False)
class ForecastVolatility:
    """The volatility that each session uses."""

    sigma: FloatArray  # fraction per session, (bars, symbols)
    used: IntArray  # (bars,), place in ``names``
    names: tuple[str, ...]  # from the simplest on
    comparisons: tuple[Comparison, ...]
    relative: bool = False  # of returns less their session's median; else of the names' own

    def at(self, row: int) -> VolatilityChoice:
        """Which one a row uses, and why."""
        rows = tuple(
            (one.candidate, one.simpler, float(one.mean[row]), float(one.p_value[row]), int(one.sessions[row]))
            for one in self.comparisons
        )
        used = self.names[int(self.used[row])]
        return VolatilityChoice(used, _reason(rows, used, LEVEL / (len(self.names) - 1)), rows, self.relative)


def choose_volatility(
    forecasts: Mapping[str, FloatArray], realised_variance: FloatArray, realised_row: IntArray, horizon_sessions: int
) -> ForecastVolatility:
    """Choose, at each row, the forecast that was proved better than every simpler one by what was realised until then.

    The most complex candidate whose mean QLIKE lies below that of each simpler one: losses as a session's mean over
    the names that have both, their difference tested one-sidedly (Diebold and Mariano 1995) at 5% over the number of
    candidates. The long-run variance has Bartlett weights (Newey and West 1987, equation 5) over a fifth of the
    sessions, at least 3 h, less the share that the mean takes (Kiefer and Vogelsang 2005, theorem 1), and the statistic
    is referred to a Student-t of 3 n / (2 (lags + 1)) degrees of freedom (Lazarus et al. 2018, section 2): with the few
    lags of an overlap alone, a test at 5% takes 7% of forecasts that are no better, whose errors last as an EWMA's do.
    Nothing is judged better on fewer than 250 sessions.

    Parameters
    ----------
    forecasts : mapping of name to ndarray, shape (bars, symbols)
        Volatilities, fraction per session, out of sample, from the simplest on; the first needs no proof. NaN: none,
        and the name then has the next simpler one that there is.
    realised_variance : ndarray, shape (bars, symbols)
        Mean squared return per session over the horizon; NaN: not known.
    realised_row : ndarray of int, shape (bars,)
        As :func:`har_volatility`.
    horizon_sessions : int
        h.

    Returns
    -------
    ForecastVolatility
        NaN where the simplest forecast is: a name without it has no size.

    Raises
    ------
    SchemaError
        The arrays' shapes differ.
    """
    names = tuple(forecasts)
    for values in forecasts.values():
        _require_one_shape(values, realised_variance, realised_row)
    losses = {name: qlike(values**2, realised_variance) for name, values in forecasts.items()}
    level = LEVEL / max(len(names) - 1, 1)
    used = np.zeros(len(realised_variance), dtype=np.int64)
    comparisons: list[Comparison] = []
    for number, candidate in enumerate(names[1:], start=1):
        against = [
            _compared(candidate, simpler, losses[candidate] - losses[simpler], realised_row, horizon_sessions)
            for simpler in names[:number]
        ]
        with np.errstate(invalid="ignore"):
            better: BoolArray = np.logical_and.reduce([one.p_value < level for one in against])
        used = np.where(better, number, used)
        comparisons += against
    simplest = values = forecasts[names[0]]
    for number, candidate in enumerate(names[1:], start=1):
        there = np.isfinite(forecasts[candidate]) & np.isfinite(simplest)
        values = np.where((used == number)[:, None] & there, forecasts[candidate], values)
    return ForecastVolatility(values, used, names, tuple(comparisons))


def _compared(
    candidate: str, simpler: str, differences: FloatArray, realised_row: IntArray, horizon: int
) -> Comparison:
    """The record of differences of losses, (bars, symbols), as it stood at each row."""
    by_session = mean_over_symbols(differences)
    order, known = _as_realised(np.isfinite(by_session), realised_row)
    mean, statistic, p_value = _tested_as_it_grows(by_session[order], horizon)
    at = np.maximum(known - 1, 0)
    none = known == 0

    def by_row(values: FloatArray) -> FloatArray:
        return np.where(none, np.nan, values[at]) if len(values) else np.full(len(known), np.nan)

    return Comparison(candidate, simpler, by_row(mean), by_row(statistic), by_row(p_value), known)


def first_tested(horizon_sessions: int) -> int:
    """Sessions with both losses before their difference is tested."""
    return max(FEWEST_JUDGED, 3 * horizon_sessions + 1)


class LossTest(NamedTuple):
    """The mean difference of two forecasts' losses, and how sure it is; NaN where too few sessions are realised."""

    mean: float
    standard_error: float
    degrees: float  # of the Student-t that the mean over its error is referred to
    p_value: float  # that the mean is not below 0
    sessions: int


def losses_compared(differences: FloatArray, realised_row: IntArray, horizon_sessions: int) -> LossTest:
    """Test differences of losses as :func:`choose_volatility` does, on all that the axis has realised.

    Parameters
    ----------
    differences : ndarray, shape (bars, symbols)
        Loss of the candidate less that of the simpler forecast; NaN: not both, or not realised.
    realised_row : ndarray of int, shape (bars,)
        As :func:`har_volatility`.
    """
    by_session = mean_over_symbols(differences)
    order, _ = _as_realised(np.isfinite(by_session), realised_row)
    count = len(order)
    if count == 0:
        return LossTest(math.nan, math.nan, math.nan, math.nan, 0)
    mean, statistic, p_value = (
        float(values[-1]) for values in _tested_as_it_grows(by_session[order], horizon_sessions, count)
    )
    error = mean / statistic if statistic else math.nan
    return LossTest(mean, error, 1.5 * count / (_lags(count, horizon_sessions) + 1.0), p_value, count)


def _lags(number: int, horizon: int) -> int:
    return max(3 * horizon, int(_BANDWIDTH * number))


def _tested_as_it_grows(values: FloatArray, horizon: int, first: int = 0) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean, statistic and p-value that it is not below 0, of the first 1, 2, ... values; arrays of their shape.

    The last two are NaN before there are ``first`` values.
    """
    from scipy.special import stdtr  # who reads a record needs none

    number = np.arange(1, len(values) + 1)
    lags = np.maximum(3 * horizon, np.floor(_BANDWIDTH * number)).astype(np.int64)
    total = np.concatenate(([0.0], np.cumsum(values)))
    mean = total[1:] / number
    variance = np.full(len(values), np.nan)
    for count in range(max(first, first_tested(horizon)), len(values) + 1):
        lag = int(lags[count - 1])
        sums = total[: count + 1] - mean[count - 1] * np.arange(count + 1)  # of what differs from the mean
        # Bartlett's weights count the squared sums of all stretches of lag + 1 values, those over either end too.
        squares = (sums[1 : lag + 1] ** 2).sum() + (sums[count - lag : count] ** 2).sum()
        squares += ((sums[lag + 1 :] - sums[: count - lag]) ** 2).sum()
        variance[count - 1] = squares / ((lag + 1.0) * count)
    share, degrees = lags / number, 1.5 * number / (lags + 1.0)
    kept = 1.0 - share + share**2 / 3.0
    varies = variance > _NEVER_VARIES * mean**2
    statistic = np.full(len(values), np.nan)
    statistic[varies] = mean[varies] / np.sqrt(variance[varies] / kept[varies] / number[varies])
    return mean, statistic, np.asarray(stdtr(degrees, statistic), dtype=np.float64)


def _as_realised(there: BoolArray, realised_row: IntArray) -> tuple[IntArray, IntArray]:
    """Rows that have something, in the order in which it is realised, and how many of them are at each row."""
    bars = len(there)
    never = ~there | (realised_row < 0) | (realised_row >= bars)
    order = np.argsort(np.where(never, bars, realised_row), kind="stable")[: int((~never).sum())]
    return order, np.searchsorted(realised_row[order], np.arange(bars), side="right").astype(np.int64)


def _reason(rows: Sequence[tuple[str, str, float, float, int]], used: str, level: float) -> str:
    """Why a forecast is used, in a clause."""
    held = [row for row in rows if row[0] == used] or list(rows)
    said = "; ".join(
        f"QLIKE of {_TITLES.get(candidate, candidate)} less that of {_TITLES.get(simpler, simpler)} {mean:+.3f} over "
        f"{sessions} sessions, p = {p:.3f}"
        if not math.isnan(p)
        else f"{_TITLES.get(candidate, candidate)} has {sessions} realised sessions beside "
        f"{_TITLES.get(simpler, simpler)}, and {FEWEST_JUDGED} are needed"
        for candidate, simpler, mean, p, sessions in held
    )
    proved = "proved better" if any(row[0] == used for row in rows) else "nothing else is proved better"
    return f"{proved} at {level:.1%}: {said}"


def _require_one_shape(values: FloatArray, realised_variance: FloatArray, realised_row: IntArray) -> None:
    if values.shape != realised_variance.shape or realised_row.shape != values.shape[:1]:
        raise SchemaError(
            expected="forecasts or returns and realised variances of one shape (bars, symbols), realised rows (bars,)",
            found=f"{values.shape}, {realised_variance.shape}, {realised_row.shape}",
            remedy="align them on one session axis",
        )
