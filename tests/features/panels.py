"""Panels that the tests of features are run on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from nn_assets.features.catalogue import CATALOGUE, STANDARD
from nn_assets.market.panel import Panel

OF_BARS = {name: entry for name, entry in STANDARD.items() if not entry.role}
"""The standard features that read no series, in order."""
OF_SERIES = {name: entry for name, entry in STANDARD.items() if entry.role}
ON_REQUEST = {name: entry for name, entry in CATALOGUE.own.items() if name not in STANDARD}


def random_panel(bars: int = 260, symbols: int = 3, seed: int = 5) -> Panel:
    """Prices that move as prices do, with every bar present."""
    draw = np.random.default_rng(seed)
    shape = (bars, symbols)
    close = 100.0 * np.exp(np.cumsum(draw.normal(0.0, 0.012, shape), axis=0))
    start = close * np.exp(draw.normal(0.0, 0.004, shape))
    high = np.maximum(start, close) * np.exp(np.abs(draw.normal(0.0, 0.005, shape)))
    low = np.minimum(start, close) * np.exp(-np.abs(draw.normal(0.0, 0.005, shape)))
    volume = np.exp(draw.normal(13.0, 0.4, shape)).round()
    names = tuple(f"S{number}" for number in range(symbols))
    spread, details = close * np.exp(draw.normal(-8.0, 0.3, shape)), {}
    details["vwap"] = low + (high - low) * draw.uniform(0.2, 0.8, shape)
    details["trades"] = np.exp(draw.normal(8.0, 0.4, shape)).round()
    details |= {"bid": close - spread, "ask": close + spread}
    details["effective_spread"] = np.exp(draw.normal(-7.5, 0.3, shape))
    return panel_of(names, open=start, high=high, low=low, close=close, volume=volume, **details)


def panel_of(symbols: tuple[str, ...], **fields: np.ndarray) -> Panel:
    bars = len(fields["close"])
    sessions = pd.bdate_range("2010-01-04", periods=bars).as_unit("ns")
    return Panel(sessions=sessions, symbols=symbols, **{name: frozen(fields[name]) for name in fields})


def frozen(values: np.ndarray) -> np.ndarray:
    kept = np.array(values, dtype=np.float64)
    kept.setflags(write=False)
    return kept


def constant_panel(bars: int = 200, symbols: int = 3, price: float = 0.1, volume: float = 1000.0) -> Panel:
    shape = (bars, symbols)
    prices = {name: np.full(shape, price) for name in ("open", "high", "low", "close")}
    return panel_of(tuple(f"S{number}" for number in range(symbols)), volume=np.full(shape, volume), **prices)


def changed(panel: Panel, change: Callable[[np.ndarray], object]) -> Panel:
    """The panel after ``change`` was applied in place to a copy of each field."""
    fields = {}
    for name, was in panel.arrays.items():
        values = np.array(was)
        change(values)
        fields[name] = frozen(values)
    return Panel(sessions=panel.sessions, symbols=panel.symbols, **fields)


def rows_of(panel: Panel, rows: slice) -> Panel:
    """Some sessions of a panel, in memory of their own."""
    fields = {name: frozen(values[rows]) for name, values in panel.arrays.items()}
    return Panel(sessions=panel.sessions[rows], symbols=panel.symbols, **fields)


def columns_of(panel: Panel, columns: list[int]) -> Panel:
    fields = {name: frozen(values[:, columns]) for name, values in panel.arrays.items()}
    symbols = tuple(panel.symbols[column] for column in columns)
    return Panel(sessions=panel.sessions, symbols=symbols, **fields)


def same_bits(left: np.ndarray, right: np.ndarray) -> bool:
    return left.shape == right.shape and left.tobytes() == right.tobytes()
