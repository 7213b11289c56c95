"""What cash earns: a constant, rates stated from their dates on, or the bundled table of US Treasury bills.

``us_treasury_bills.csv`` names its source. A bill's rate is known when its month begins, so a session reads no
later rate than its own.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import FloatArray
from nn_assets.errors import SettingsError
from nn_assets.settings import MarketSettings

_TABLE = "us_treasury_bills.csv"
_HOLDS = pd.Timedelta(days=62)  # how long after its date the bundled table's last rate is still taken


def cash_rates(market: MarketSettings, sessions: pd.DatetimeIndex) -> FloatArray:
    """Rate that cash earns on each session, annual fraction, simple; shape (sessions,), never NaN.

    Raises
    ------
    SettingsError
        A session lies before the first rate, or two months after the last one of the bundled table.
    """
    if market.cash_rates is None:
        return np.full(len(sessions), market.cash_rate_annual_fraction)
    if isinstance(market.cash_rates, str):
        since, rates = _bundled()
        _demand(sessions, sessions <= since[-1] + _HOLDS, market, f"rates up to {since[-1]:%Y-%m}")
    else:
        dated_rates = sorted(market.cash_rates.items())
        since = pd.DatetimeIndex([day for day, _ in dated_rates])
        rates = np.array([rate for _, rate in dated_rates])
    _demand(sessions, sessions >= since[0], market, f"rates from {since[0].date()} on")
    return rates[since.searchsorted(sessions, side="right") - 1]


def _demand(sessions: pd.DatetimeIndex, holds: npt.NDArray[np.bool_], market: MarketSettings, found: str) -> None:
    if not holds.all():
        raise SettingsError(
            expected=f"a cash rate for {sessions[~holds][0].date()}",
            found=found,
            remedy="state market.cash_rates as a mapping from dates to annual fractions that covers the history",
            key="market.cash_rates",
            value=market.cash_rates if isinstance(market.cash_rates, str) else None,
        )


@cache
def _bundled() -> tuple[pd.DatetimeIndex, FloatArray]:
    lines = files(__package__).joinpath(_TABLE).read_text(encoding="utf-8").splitlines()
    rows = [line.split(",") for line in lines if line[:1].isdigit()]
    return pd.DatetimeIndex([f"{month}-01" for month, _ in rows]), np.array([float(rate) for _, rate in rows])
