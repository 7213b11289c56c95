"""Forecasts of volatility and the choice among them, against statsmodels and on records whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.signal import lfilter
from scipy.stats import t as student

from nn_assets.arrays import FloatArray, IntArray
from nn_assets.errors import SchemaError
from nn_assets.signals.signals import ewma_volatility
from nn_assets.signals.volatility import FEWEST_FITTED, FEWEST_JUDGED, choose_volatility, har_volatility, qlike

HORIZON, BARS = 5, 600


def _realised(returns: FloatArray, horizon: int = HORIZON) -> tuple[FloatArray, IntArray]:
    """Mean squared return over the horizon after a fill one session on, and the row at which it is known."""
    realised, known = np.full(returns.shape, np.nan), len(returns) - 1 - horizon
    realised[:known] = np.lib.stride_tricks.sliding_window_view(returns[2:] ** 2, horizon, axis=0).mean(axis=2)
    return realised, np.arange(len(returns)) + 1 + horizon


def _clustered(bars: int, names: int, seed: int, persistence: float = 0.98) -> FloatArray:
    """GARCH(1, 1) returns of a unit daily variance of 1%^2."""
    random, variance, returns = np.random.default_rng(seed), np.ones(names), np.empty((bars, names))
    for row in range(bars):
        returns[row] = np.sqrt(variance) * random.standard_normal(names)
        variance = (1.0 - persistence) + 0.08 * returns[row] ** 2 + (persistence - 0.08) * variance
    return 0.01 * returns


def test_har_is_the_least_squares_fit_on_what_was_realised() -> None:
    returns = _clustered(420, 3, seed=1) * [1.0, 2.0, 0.5]
    returns[200:203, 1] = np.nan
    realised, realised_row = _realised(returns)
    forecast = har_volatility(returns, realised, realised_row)
    squares = returns**2

    def regressors(row: int, name: int) -> list[float] | None:
        """L, d, w and m of a name, by hand; None where one is not known."""
        parts = [squares[max(0, row + 1 - window) : row + 1, name] for window in (250, 1, 5, 22)]
        there = [part[np.isfinite(part)] for part in parts]
        if any(len(part) < fewest for part, fewest in zip(there, (120, 1, 3, 11), strict=True)):
            return None
        return [float(part.mean()) for part in there]

    for today in (300, 363, 419):
        rows, outcomes, weights = [], [], []
        for row in range(today + 1):
            for name in range(3):
                known = regressors(row, name)
                if realised_row[row] <= today and known is not None and np.isfinite(realised[row, name]):
                    rows.append(known)
                    outcomes.append(realised[row, name])
                    weights.append(known[3] ** -2.0)
        fit = sm.WLS(outcomes, rows, weights=weights).fit()
        for name in range(3):
            known = regressors(today, name)
            assert known is not None
            expected = np.sqrt(max(float(np.dot(fit.params, known)), 0.1 * known[3]))
            assert forecast[today, name] == pytest.approx(expected, rel=1e-6)
    assert np.isnan(forecast[: 119 + FEWEST_FITTED]).all()


def test_har_finds_the_coefficients_of_a_process_that_it_is_true_of() -> None:
    random, names, bars = np.random.default_rng(4), 30, 1_500
    squares, truth = np.ones((bars, names)), np.ones((bars, names))
    for row in range(22, bars):
        week, month = squares[row - 5 : row].mean(axis=0), squares[row - 22 : row].mean(axis=0)
        truth[row] = 0.3 + 0.1 * squares[row - 1] + 0.3 * week + 0.3 * month
        squares[row] = truth[row] * random.standard_normal(names) ** 2
    returns, variance = np.sqrt(squares), np.full((bars, names), np.nan)
    variance[:-1] = squares[1:]
    forecast = har_volatility(returns, variance, np.arange(bars) + 1)
    log_error = np.log(forecast[-400:-1] ** 2 / truth[-399:])
    assert np.sqrt(np.mean(log_error**2)) < 0.15
    ewma = np.log(ewma_volatility(returns)[-400:-1] ** 2 / truth[-399:])
    assert np.mean(log_error**2) < 0.5 * np.mean(ewma**2)


def test_the_record_of_a_forecast_is_the_mean_difference_over_its_robust_error() -> None:
    random = np.random.default_rng(7)
    realised, realised_row = _realised(0.01 * random.standard_normal((BARS, 4)))
    simple, other = (0.01 * np.exp(0.2 * random.standard_normal((BARS, 4))) for _ in range(2))
    simple[40, 2] = np.nan
    (record,) = choose_volatility({"ewma": simple, "har": other}, realised, realised_row, HORIZON).comparisons
    for row in (300, 411, BARS - 1):
        known = realised_row <= row
        loss = [ratio - np.log(ratio) - 1.0 for ratio in (realised / other**2, realised / simple**2)]
        differences = np.nanmean((loss[0] - loss[1])[known], axis=1)
        count = len(differences)
        lags = max(3 * HORIZON, count // 5)
        fit = sm.OLS(differences, np.ones(count)).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
        share = lags / count
        kept = 1.0 - share + share**2 / 3.0
        statistic = fit.params[0] / (fit.bse[0] / np.sqrt(kept))
        assert record.sessions[row] == count
        assert record.mean[row] == pytest.approx(fit.params[0], rel=1e-9)
        assert record.statistic[row] == pytest.approx(statistic, rel=1e-7)
        assert record.p_value[row] == pytest.approx(student.cdf(statistic, 1.5 * count / (lags + 1.0)), rel=1e-6)


def test_a_better_forecast_is_taken_once_it_is_proved_and_a_name_without_it_keeps_the_simplest() -> None:
    returns = 0.01 * np.random.default_rng(2).standard_normal((BARS, 5))
    realised, realised_row = _realised(returns)
    ewma, true = ewma_volatility(returns), np.full(returns.shape, 0.01)
    true[:, 3] = np.nan
    chosen = choose_volatility({"ewma": ewma, "har": true}, realised, realised_row, HORIZON)
    first = int(np.flatnonzero(chosen.used)[0])
    assert chosen.comparisons[0].sessions[first] >= FEWEST_JUDGED
    assert (chosen.used[first + 60 :] == 1).all()
    np.testing.assert_array_equal(chosen.sigma[-1], [0.01, 0.01, 0.01, ewma[-1, 3], 0.01])
    np.testing.assert_array_equal(chosen.sigma[: first - 1], ewma[: first - 1])
    last = chosen.at(BARS - 1)
    assert last.used == "har"
    assert last.reason.startswith("proved better at 5.0%: QLIKE of HAR less that of the EWMA -0.")
    early = chosen.at(100).to_record()
    assert (early["used"], early["comparisons"][0]["p_value"]) == ("ewma", None)
    assert "250 are needed" in early["reason"]


def test_the_network_is_taken_only_where_it_beats_both() -> None:
    """As good as HAR, which is the truth: better than the EWMA, and no better than HAR."""
    returns = 0.01 * np.random.default_rng(3).standard_normal((BARS, 5))
    realised, realised_row = _realised(returns)
    ewma, true = ewma_volatility(returns), np.full(returns.shape, 0.01)
    worse = true * np.exp(0.05 * np.random.default_rng(5).standard_normal(true.shape))
    chosen = choose_volatility({"ewma": ewma, "har": true, "network": worse}, realised, realised_row, HORIZON)
    against = {one.simpler: float(one.p_value[-1]) for one in chosen.comparisons if one.candidate == "network"}
    assert against["ewma"] < 0.025 < against["har"]
    assert chosen.at(BARS - 1).used == "har"
    swapped = choose_volatility({"ewma": ewma, "har": worse, "network": true}, realised, realised_row, HORIZON)
    assert swapped.at(BARS - 1).used == "network"


def test_a_candidate_that_is_no_better_is_taken_no_more_often_than_the_test_allows() -> None:
    """Each is the true volatility with an error of one size that lasts as an EWMA's does: neither is better.

    At 5%, more than 5 of 50 are taken in one such test of twenty at most; a worse one is never taken.
    """
    taken, ever_worse = 0, 0
    for seed in range(50):
        random = np.random.default_rng(seed)
        level = _lasting(random, 0.98, 0.3)
        returns = 0.01 * level * random.standard_normal((BARS, 4))
        realised, realised_row = _realised(returns)
        first, second = (0.01 * level * _lasting(random, 0.9, 0.25) * np.ones((1, 4)) for _ in range(2))
        chosen = choose_volatility({"ewma": first, "har": second}, realised, realised_row, HORIZON)
        taken += int(chosen.used[-1] == 1)
        if seed < 10:
            worse = first * np.exp(0.4 * random.standard_normal((BARS, 4)))
            judged = choose_volatility({"ewma": first, "har": worse}, realised, realised_row, HORIZON)
            ever_worse += int(judged.used.any())
    assert taken <= 5
    assert ever_worse == 0


def _lasting(random: np.random.Generator, persistence: float, spread: float) -> FloatArray:
    """A factor around 1, (bars, 1), whose logarithm is AR(1)."""
    shocks = spread * np.sqrt(1.0 - persistence**2) * random.standard_normal(BARS)
    return np.exp(lfilter([1.0], [1.0, -persistence], shocks))[:, None]


def test_nothing_of_a_session_changes_when_the_future_is_cut_or_corrupted() -> None:
    returns = _clustered(500, 3, seed=9)
    random = np.random.default_rng(1)
    network = 0.01 * np.exp(0.1 * random.standard_normal(returns.shape))

    def made(bars: FloatArray, forecast: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
        realised, realised_row = _realised(bars)
        har = har_volatility(bars, realised, realised_row)
        forecasts = {"ewma": ewma_volatility(bars), "har": har, "network": forecast}
        chosen = choose_volatility(forecasts, realised, realised_row, HORIZON)
        return chosen.sigma, np.stack([one.p_value for one in chosen.comparisons]), chosen.used

    values, p_values, used = made(returns, network)
    for last in (400, 469):
        stop = last + 1
        corrupted, other = returns.copy(), network.copy()
        corrupted[stop:] *= 50.0
        other[stop:] = np.nan
        for seen in (made(returns[:stop], network[:stop]), made(corrupted, other)):
            np.testing.assert_array_equal(seen[0][:stop], values[:stop])
            np.testing.assert_array_equal(seen[1][:, :stop], p_values[:, :stop])
            np.testing.assert_array_equal(seen[2][:stop], used[:stop])


def test_a_loss_is_there_where_nothing_moved_and_shapes_are_held() -> None:
    assert qlike(np.array([4.0, 0.0]), np.array([0.0, 1.0]))[0] == pytest.approx(np.log(4.0))
    assert np.isnan(qlike(np.array([0.0]), np.array([1.0]))).all()
    with pytest.raises(SchemaError, match="of one shape"):
        har_volatility(np.zeros((3, 2)), np.zeros((3, 1)), np.zeros(3, dtype=np.int64))
