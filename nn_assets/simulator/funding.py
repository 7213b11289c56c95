"""Simulated funding rates of perpetuals: three payments a day, each day drawn from a generator keyed by its own date.

A longer span repeats a shorter one to the bit, and a symbol's rates do not depend on how many others are asked for.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import FloatArray

PAYMENTS = 3
"""A day: at 0, 8 and 16 hours UTC."""

_KEY = 20_210_101  # of the generators, beside the day
_REMEMBERED = 6  # days over which a rate is smoothed: funding is persistent
_USUAL, _OF_MARKET, _OF_SYMBOL = 1e-4, 6e-5, 5e-5  # fractions of the notional per payment
_FARTHEST = 7.5e-3  # at which exchanges commonly cap a payment
_LATEST_MILLISECONDS = 30  # exchanges stamp payments a little late


def simulate_funding(ordinals: npt.NDArray[np.int64], days: pd.DatetimeIndex) -> tuple[pd.DatetimeIndex, FloatArray]:
    """Rates of simulated perpetuals.

    Parameters
    ----------
    ordinals : int array, shape (symbols,)
        Numbers of the simulated symbols, from 1 on.
    days : DatetimeIndex, shape (days,)
        UTC days, tz-naive midnights, ascending and without gaps.

    Returns
    -------
    moments : DatetimeIndex, shape (days * 3,), UTC
        When each was paid, up to 30 milliseconds after 0, 8 and 16 hours.
    rates : ndarray, shape (days * 3, symbols)
        Fractions of the notional, positive where longs pay; around 0.01% a payment. No NaN.
    """
    numbers: list[int] = days.to_numpy().astype("datetime64[D]").astype(np.int64).tolist()
    drawn = {day: _drawn(day, int(ordinals.max())) for day in range(numbers[0] - _REMEMBERED + 1, numbers[-1] + 1)}
    moments, rates = [], []
    for day in numbers:
        span = [drawn[earlier] for earlier in range(day - _REMEMBERED + 1, day + 1)]
        market = np.sum([draws[0] for draws in span], axis=0) / np.sqrt(_REMEMBERED)  # (payments,)
        own = np.sum([draws[1] for draws in span], axis=0)[ordinals - 1] / np.sqrt(_REMEMBERED)  # (symbols, payments)
        paid = np.clip(_USUAL + _OF_MARKET * market + _OF_SYMBOL * own, -_FARTHEST, _FARTHEST)
        rates.append(np.round(paid.T, 8))
        late = drawn[day][2].astype("timedelta64[ms]").astype("timedelta64[ns]")
        hours = np.arange(PAYMENTS) * np.timedelta64(24 // PAYMENTS, "h")
        moments.append(np.datetime64(day, "D").astype("datetime64[ns]") + hours + late)
    return pd.DatetimeIndex(np.concatenate(moments)).tz_localize("UTC"), np.concatenate(rates)


def _drawn(day: int, symbols: int) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int64]]:
    """A day's draws: of the market (payments,), of the symbols (symbols, payments), and how late its payments are."""
    generator = np.random.default_rng([_KEY, day])
    late = generator.integers(0, _LATEST_MILLISECONDS, PAYMENTS)
    return generator.standard_normal(PAYMENTS), generator.standard_normal((symbols, PAYMENTS)), late
