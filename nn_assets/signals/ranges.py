"""Ranges for grids: where a price reverts to a level, how far it strays from it, and steps that pay their costs.

Beside the signal and for execution alone: no position is made of a range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray, Symbol
from nn_assets.contracts import framed
from nn_assets.contracts.tables import RANGES
from nn_assets.features.unit_root import adf_test
from nn_assets.settings.beside_signals import RangeSettings

TRENDING = "no range: trending"
NO_CLOSES = "no range: closes of the window are missing"
NO_VOLATILITY = "no range: no forecast volatility"
TOO_DEAR = "no range: a round trip costs more than it is wide"
WIDE = "range"


@dataclass(frozen=True, eq=False)
class Ranges:
    """What a session suggests, arrays of shape (symbols,); NaN where there is no range.

    Attributes
    ----------
    level, lower, upper : price, in that of the session
    spacing : of two neighbouring orders, fraction of the price
    steps : from end to end
    half_life : sessions in which half of a departure is gone
    p_value : of the hypothesis that the price has no level; NaN where it was not tested
    said : `WIDE`, or why there is no range
    """

    symbols: tuple[Symbol, ...]
    level: FloatArray
    lower: FloatArray
    upper: FloatArray
    spacing: FloatArray
    steps: FloatArray
    half_life: FloatArray
    p_value: FloatArray
    said: tuple[str, ...]

    @property
    def reverting(self) -> BoolArray:
        """Which symbols have a range, (symbols,)."""
        return np.isfinite(self.level)

    def to_frame(self, session: pd.Timestamp) -> pd.DataFrame:
        """One row a symbol, in their order, as exported."""
        columns = {name: getattr(self, name) for name in ("level", "spacing", "steps", "half_life", "p_value")}
        bounds = {"lower_bound": self.lower, "upper_bound": self.upper}
        symbols, said = list(self.symbols), list(self.said)
        return framed(RANGES, len(symbols), symbol=symbols, session=session, said=said, **columns, **bounds)


def suggest_ranges(
    symbols: tuple[Symbol, ...],
    log_closes: FloatArray,
    close: FloatArray,
    forecast_volatility: FloatArray,
    round_trip_cost: FloatArray,
    settings: RangeSettings,
) -> Ranges:
    """Suggest a range for each price that reverts to a level.

    x_(t+1) = level + phi (x_t - level) + e, the Ornstein-Uhlenbeck process at whole sessions (Uhlenbeck and Ornstein
    1930), of the log close by least squares over a fixed window: the level moves as the window does. It reverts where
    the Dickey-Fuller test with a constant and no lags (1979; p-value of MacKinnon 1994) is significant: a price less
    its own moving average would be stationary for every random walk, and is not tested. phi is freed of its bias,
    (1 + 3 phi) / n (Kendall 1954, eq. 20). The half-life is log(1/2) / log(phi).

    The stationary standard deviation comes of the *forecast* volatility sigma of one session's return, whose variance
    is 2 (1 - phi) times its square: sigma / sqrt(2 (1 - phi)). The range is ``width_deviations`` of it to both sides of
    the level; its steps are ``grid_levels``, or fewer: none is narrower than a round trip costs.

    Parameters
    ----------
    log_closes : ndarray, shape (sessions, symbols)
        Of total returns, chained; the last ``window_sessions`` rows are read, the last of them the session's own. A
        symbol with a missing one in the window has no range.
    close : ndarray, shape (symbols,)
        Price of the session: the range is given in its unit.
    forecast_volatility : ndarray, shape (symbols,)
        Fraction per session. NaN or not positive: no range.
    round_trip_cost : ndarray, shape (symbols,)
        Fraction of the price. NaN: no range.
    settings : RangeSettings

    Returns
    -------
    Ranges
    """
    window = np.ascontiguousarray(log_closes[-settings.window_sessions :])
    whole = np.isfinite(window).all(axis=0) & (len(window) == settings.window_sessions) & np.isfinite(close)
    values = np.where(whole, window, np.nan)
    test = adf_test(values, lags=0) if len(window) > 2 else None
    p_value = np.full(len(symbols), np.nan) if test is None else test.p_value
    level, phi = _reversion(np.where(whole, window, 0.0))
    known = np.isfinite(forecast_volatility) & (forecast_volatility > 0.0) & np.isfinite(round_trip_cost)
    reverts = whole & (p_value <= settings.significance) & (phi > 0.0) & (phi < 1.0)
    safe = np.where(reverts, phi, 0.5)
    deviation = np.where(known, forecast_volatility, np.nan) / np.sqrt(2.0 * (1.0 - safe))
    width = 2.0 * settings.width_deviations * deviation
    with np.errstate(invalid="ignore"):
        affordable = width > round_trip_cost
        steps = np.clip(np.floor(width / np.maximum(round_trip_cost, 1e-12)), 1.0, settings.grid_levels)
    suggested = reverts & known & affordable
    reasons = [
        (~whole, NO_CLOSES), (~reverts, TRENDING), (~known, NO_VOLATILITY), (~affordable, TOO_DEAR),
    ]  # fmt: skip
    said = [next((why for fails, why in reasons if fails[column]), WIDE) for column in range(len(symbols))]
    away = level - np.where(whole, window[-1], 0.0) if len(window) else level
    centre = np.where(suggested, close * np.exp(away), np.nan)
    reach = np.exp(settings.width_deviations * np.where(suggested, deviation, np.nan))
    return Ranges(
        symbols=symbols,
        level=centre,
        lower=centre / reach,
        upper=centre * reach,
        spacing=np.where(suggested, np.expm1(width / steps), np.nan),
        steps=np.where(suggested, steps, np.nan),
        half_life=np.where(suggested, np.log(0.5) / np.log(safe), np.nan),
        p_value=p_value,
        said=tuple(said),
    )


def _reversion(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The level and phi of each series, (rows, series); both 0 where it does not vary."""
    if len(values) < 3:
        return np.zeros(values.shape[1]), np.zeros(values.shape[1])
    before, after = values[:-1], values[1:]
    mean_before, mean_after = before.mean(axis=0), after.mean(axis=0)
    spread = ((before - mean_before) ** 2).sum(axis=0)
    slope = ((before - mean_before) * (after - mean_after)).sum(axis=0) / np.where(spread > 0.0, spread, 1.0)
    away = np.where(np.abs(1.0 - slope) > 0.0, 1.0 - slope, 1.0)
    level = (mean_after - slope * mean_before) / away
    count = len(before)
    phi = np.where(spread > 0.0, (slope + 1.0 / count) / (1.0 - 3.0 / count), 0.0)
    return np.where(spread > 0.0, level, 0.0), phi
