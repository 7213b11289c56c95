"""Every feature written out plainly with pandas, one symbol at a time. Shares no code with the package.

The oracle of the catalogue's values, and the slow side of its benchmark.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import Panel


def _log_return(bars: pd.DataFrame, sessions: int) -> pd.Series:
    moved = np.log(bars["close"]).diff(sessions)
    return moved.where(bars["close"].rolling(sessions + 1).count() == sessions + 1)


def _momentum(bars: pd.DataFrame) -> pd.Series:
    daily = np.log(bars["close"]).diff()
    return daily / daily.rolling(20).std()


def _volatility_ratio(bars: pd.DataFrame) -> pd.Series:
    daily = np.log(bars["close"]).diff()
    return daily.rolling(5).std() / daily.rolling(20).std()


def _relative_range(bars: pd.DataFrame) -> pd.Series:
    return (bars["high"] - bars["low"]) / bars["close"]


def _average_true_range(bars: pd.DataFrame) -> pd.Series:
    before = bars["close"].shift(1)
    three = pd.concat([bars["high"] - bars["low"], (bars["high"] - before).abs(), (bars["low"] - before).abs()], axis=1)
    return three.max(axis=1, skipna=False).rolling(14).mean() / bars["close"]


def _spread(bars: pd.DataFrame) -> pd.Series:
    close = np.log(bars["close"])
    middle = (np.log(bars["high"]) + np.log(bars["low"])) / 2
    pair = (close - middle) * (close - middle.shift(-1))
    return np.sqrt((4 * pair.shift(1).rolling(20).mean()).clip(lower=0))


def _close_location(bars: pd.DataFrame) -> pd.Series:
    return 2 * (bars["close"] - bars["low"]) / (bars["high"] - bars["low"]) - 1


def _volume_z(bars: pd.DataFrame) -> pd.Series:
    logged = np.log(bars["volume"])
    return (logged - logged.rolling(20).mean()) / logged.rolling(20).std()


def _balance(bars: pd.DataFrame) -> pd.Series:
    signed = bars["volume"] * _close_location(bars)
    return signed.rolling(20).sum() / bars["volume"].rolling(20).sum()


def _ema(values: pd.Series, span: int) -> pd.Series:
    weights = (1 - 2 / (span + 1)) ** np.arange(3 * span)[::-1]
    return values.rolling(3 * span).apply(lambda window: np.dot(window, weights) / weights.sum(), raw=True)


def _macd(bars: pd.DataFrame) -> pd.Series:
    line = _ema(bars["close"], 12) - _ema(bars["close"], 26)
    return (line - _ema(line, 9)) / bars["close"]


def _rsi(bars: pd.DataFrame) -> pd.Series:
    change = bars["close"].diff()
    gain = change.clip(lower=0).rolling(14).mean()
    loss = (-change).clip(lower=0).rolling(14).mean()
    return 1 - 1 / (1 + gain / loss)


def _bollinger(bars: pd.DataFrame) -> pd.Series:
    middle = bars["close"].rolling(20).mean()
    deviation = bars["close"].rolling(20).std(ddof=0)
    lower, upper = middle - 2 * deviation, middle + 2 * deviation
    return (bars["close"] - lower) / (upper - lower)


def _correlation(bars: pd.DataFrame) -> pd.Series:
    return np.log(bars["close"]).diff().rolling(60).corr(bars["market"])


def _residual(bars: pd.DataFrame) -> pd.Series:
    daily = np.log(bars["close"]).diff()
    beta = daily.rolling(60).cov(bars["market"]) / bars["market"].rolling(60).var()
    return daily - beta.shift(1) * bars["market"]


def _high_low_spread(bars: pd.DataFrame) -> pd.Series:
    """Corwin and Schultz (2012), a pair of sessions at a time."""
    pairs = np.full(len(bars), np.nan)
    for row in range(1, len(bars)):
        (high_1, low_1, close_1), (high_2, low_2) = (
            bars.iloc[row - 1][["high", "low", "close"]],
            bars.iloc[row][["high", "low"]],
        )
        factor = close_1 / low_2 if low_2 > close_1 else close_1 / high_2 if high_2 < close_1 else 1.0
        high_2, low_2 = high_2 * factor, low_2 * factor
        beta = np.log(high_1 / low_1) ** 2 + np.log(high_2 / low_2) ** 2
        gamma = np.log(max(high_1, high_2) / min(low_1, low_2)) ** 2
        k = 3 - 2 * 2**0.5
        alpha = ((2 * beta) ** 0.5 - beta**0.5) / k - (gamma / k) ** 0.5
        pairs[row] = max(0.0, 2 * (np.exp(alpha) - 1) / (1 + np.exp(alpha)))
    return pd.Series(pairs).rolling(20).mean()


def _traded_below(window: np.ndarray, price: float) -> float:
    high, low, volume = window
    return float((volume * np.clip((price - low) / (high - low), 0.0, 1.0)).sum())


def _volume_above_close(bars: pd.DataFrame) -> pd.Series:
    shares = np.full(len(bars), np.nan)
    for row in range(59, len(bars)):
        window = bars[["high", "low", "volume"]].to_numpy()[row - 59 : row + 1].T
        shares[row] = 1.0 - _traded_below(window, bars["close"].iloc[row]) / window[2].sum()
    return pd.Series(shares)


def _point_of_control(bars: pd.DataFrame) -> pd.Series:
    distances = np.full(len(bars), np.nan)
    for row in range(59, len(bars)):
        window = bars[["high", "low", "volume"]].to_numpy()[row - 59 : row + 1].T
        edges = np.linspace(window[1].min(), window[0].max(), 25)
        traded = np.diff([_traded_below(window, edge) for edge in edges])
        fullest = int(np.argmax(traded))
        distances[row] = np.log(bars["close"].iloc[row] / edges[fullest : fullest + 2].mean())
    return pd.Series(distances)


def _quoted(bars):
    middle = (bars["bid"] + bars["ask"]) / 2.0
    return (bars["ask"] - bars["bid"]) / middle


REFERENCE = {
    "log_return_1": lambda bars: _log_return(bars, 1),
    "log_return_5": lambda bars: _log_return(bars, 5),
    "log_return_20": lambda bars: _log_return(bars, 20),
    "momentum_1": _momentum,
    "close_location": _close_location,
    "sigma_5_over_sigma_20": _volatility_ratio,
    "range_over_close": _relative_range,
    "range_over_mean_20": lambda bars: _relative_range(bars) / _relative_range(bars).rolling(20).mean(),
    "atr_14_over_close": _average_true_range,
    "spread_estimate_20": _spread,
    "volume_z_20": _volume_z,
    "signed_volume_balance_20": _balance,
    "sma_gap_5_20": lambda bars: (bars["close"].rolling(5).mean() - bars["close"].rolling(20).mean()) / bars["close"],
    "sma_ratio_5_20": lambda bars: bars["close"].rolling(5).mean() / bars["close"].rolling(20).mean() - 1,
    "distance_from_high_20": lambda bars: bars["close"] / bars["high"].rolling(20).max() - 1,
    "distance_from_low_20": lambda bars: bars["close"] / bars["low"].rolling(20).min() - 1,
    "macd_histogram": _macd,
    "rsi_14": _rsi,
    "bollinger_b_20": _bollinger,
    "market_correlation_60": _correlation,
    "market_residual_return": _residual,
    "candle_open": lambda bars: np.log(bars["open"] / bars["close"].shift(1)),
    "candle_high": lambda bars: np.log(bars["high"] / bars["close"].shift(1)),
    "candle_low": lambda bars: np.log(bars["low"] / bars["close"].shift(1)),
    "candle_close": lambda bars: np.log(bars["close"] / bars["close"].shift(1)),
    "high_low_spread_20": _high_low_spread,
    "volume_above_close_60": _volume_above_close,
    "point_of_control_distance_60": _point_of_control,
    "vwap_deviation": lambda bars: (bars["close"] - bars["vwap"]) / bars["vwap"],
    "quoted_spread_20": lambda bars: _quoted(bars) / _quoted(bars).shift(1).rolling(20).median(),
    "effective_spread_20": lambda bars: bars["effective_spread"].rolling(20).mean(),
    "log_odds": lambda bars: np.log(bars["close"]) - np.log((1.0 - bars["close"]).abs()),
}


def _z(values: pd.DataFrame, window: int) -> pd.DataFrame:
    return (values - values.rolling(window).mean()) / values.rolling(window).std()


def reference_values(panel, name: str, market_symbol: str) -> np.ndarray:
    """One feature of every symbol, shape (bars, symbols)."""
    close = pd.DataFrame(panel.close, columns=list(panel.symbols))
    market = np.log(close[market_symbol]).diff()
    columns = []
    for column in range(len(panel.symbols)):
        bars = pd.DataFrame({field: values[:, column] for field, values in panel.arrays.items()})
        bars["market"] = market
        columns.append(REFERENCE[name](bars).to_numpy())
    return np.column_stack(columns)


def reference_series_values(panel: Panel, name: str, series: KnownSeries) -> np.ndarray:
    """Each feature of a series written out with pandas, (bars, symbols)."""
    values = pd.DataFrame(series.values)
    per_day = values * 1440.0 / pd.DataFrame(series.interval_minutes)
    daily = np.log(pd.DataFrame(panel.close)).diff()
    return {
        "implied_over_realised": values / 100.0 / 252.0**0.5 / daily.rolling(20).std(),
        "funding_rate_per_day": per_day,
        "funding_rate_change": per_day.diff(),
        "btc_dominance_change_5": values.diff(5),
        **{f"{role}_z_60": _z(values, 60) for role in ("on_chain", "sentiment", "search_trend")},
        "order_book_imbalance": values,
        "factor_return_5": values.rolling(5).sum(),
    }[name].to_numpy()
