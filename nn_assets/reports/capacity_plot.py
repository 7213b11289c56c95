"""The capacity of a strategy as a picture: what it earned at each size, in dollars and as a Sharpe ratio."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from nn_assets.oversight.capacity import LEVEL, Capacity
from nn_assets.reports.canvas import ALARM, COLOURS, MUTED, draw, legend, to_png

_UNITS = ((1e9, "bn"), (1e6, "m"), (1e3, "k"))


def capacity_curve(capacity: Capacity) -> bytes:
    """Plot net dollars a year, and the net Sharpe ratio, over assets, with intervals and the capacity, as PNG bytes."""
    figure, (upper, lower) = draw("Capacity", rows=(1.6, 1.0), height=4.2)
    sizes = np.array([rung.assets_usd for rung in capacity.rungs])
    returns = np.array([(r.net_return.value, r.net_return.low, r.net_return.high) for r in capacity.rungs])
    ratios = np.array([(rung.sharpe.value, rung.sharpe.low, rung.sharpe.high) for rung in capacity.rungs])
    for axis, values, label in (
        (upper, returns * sizes[:, None], "net of cash, USD a year"),
        (lower, ratios, "net Sharpe"),
    ):
        axis.plot(sizes, values[:, 0], color=COLOURS["network"], marker="o", markersize=3, label=None)
        axis.fill_between(
            sizes, values[:, 1], values[:, 2], color=COLOURS["network"], alpha=0.15, linewidth=0, label=f"{LEVEL:.0%}"
        )
        axis.axhline(0.0, color=MUTED, linewidth=0.7)
        axis.set_ylabel(label)
        axis.set_xscale("log")
        _mark(axis, capacity, float(sizes[-1]))
    upper.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    upper.set_yscale("symlog", linthresh=max(1.0, float(np.abs(returns[:, 0] * sizes).max()) / 10.0))
    upper.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    lower.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    lower.set_xlabel("mean assets, USD")
    legend(upper)
    return to_png(figure)


def _mark(axis: Axes, capacity: Capacity, largest: float) -> None:
    """The capacity as a line, and its interval as a band, where they lie among the sizes."""
    if math.isfinite(capacity.usd.low):
        axis.axvspan(max(capacity.usd.low, 1.0), min(capacity.usd.high, largest), color=ALARM, alpha=0.08, linewidth=0)
    if 0.0 < capacity.usd.value < math.inf:
        axis.axvline(capacity.usd.value, color=ALARM, linewidth=1.2, label="capacity")


def _short(value: float) -> str:
    for size, unit in _UNITS:
        if abs(value) >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"
