"""HAR beside the EWMA on real bars: the lower QLIKE on twenty years of two indexes, which is not yet a proof."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.arrays import FloatArray
from nn_assets.signals.signals import ewma_volatility
from nn_assets.signals.volatility import ForecastVolatility, choose_volatility, har_volatility, qlike
from nn_assets.sources.bundled import BundledSource


def _chosen(returns: FloatArray, horizon: int) -> tuple[ForecastVolatility, float]:
    """What is used, and HAR's mean QLIKE less the EWMA's, from fills one session on."""
    realised, known = np.full(returns.shape, np.nan), len(returns) - 1 - horizon
    windows = np.lib.stride_tricks.sliding_window_view(returns[2:] ** 2, horizon, axis=0)
    realised[:known] = windows.mean(axis=2)
    realised_row = np.arange(len(returns)) + 1 + horizon
    forecasts = {"ewma": ewma_volatility(returns), "har": har_volatility(returns, realised, realised_row)}
    losses = {name: qlike(sigma**2, realised) for name, sigma in forecasts.items()}
    chosen = choose_volatility(forecasts, realised, realised_row, horizon)
    return chosen, float(np.nanmean(losses["har"] - losses["ewma"]))


@pytest.mark.parametrize(("horizon", "lower"), [(5, -0.0207), (20, -0.0422)])
def test_on_the_bundled_indexes_har_is_better_and_not_taken_as_long_as_that_may_be_chance(
    horizon: int, lower: float
) -> None:
    close = BundledSource().bars().pivot(index="session", columns="symbol", values="close").sort_index()
    chosen, difference = _chosen(np.log(close).diff().to_numpy(), horizon)
    assert difference == pytest.approx(lower, abs=5e-4)
    (record,) = chosen.comparisons
    assert 0.05 < record.p_value[-1] < 0.25
    assert not chosen.used.any()


def test_on_stocks_of_five_years_har_is_better_and_taken(shared_data: Path) -> None:
    files = sorted((shared_data / "sp500_5yr").rglob("*.csv"))[:12]
    frames = {file.stem: pd.read_csv(file, index_col=0, parse_dates=True).rename(columns=str.lower) for file in files}
    close = pd.DataFrame({name: frame["close"] for name, frame in frames.items()}).sort_index()
    chosen, difference = _chosen(np.log(close).diff().to_numpy(), 5)
    assert difference == pytest.approx(-0.153, abs=5e-3)
    assert chosen.comparisons[0].p_value[-1] < 0.001
    assert chosen.at(len(close) - 1).used == "har"
