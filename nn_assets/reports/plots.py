"""Plots of results: each takes arrays or frames and gives PNG bytes, at most about 60 kB.

Missing values are gaps. Where there is nothing to show the picture says so, never an exception: a report must
come out on the day when something is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.ticker import MaxNLocator, PercentFormatter

from nn_assets.arrays import FloatArray, Symbol
from nn_assets.contracts.frames import DriftRows
from nn_assets.evaluation.significance import rank_ic_contributions
from nn_assets.measures import compounded
from nn_assets.reports.canvas import (
    ALARM,
    COLOURS,
    INK,
    MUTED,
    NAMES,
    SEQUENCE,
    date_axis,
    draw,
    empty_note,
    legend,
    line,
    percent_axis,
    to_png,
)

_SHOWN_SYMBOLS = 7
_SHOWN_SERIES = 25
_DRIFT_COLOURS = {"prediction": COLOURS["network"], "feature": COLOURS["buy_and_hold"], "drifted": ALARM}
_CALIBRATION_BINS = 10


def equity_and_drawdown(sessions: pd.DatetimeIndex, net_returns: Mapping[str, FloatArray]) -> bytes:
    """Plot the growth of one unit of capital, net of costs, above its drawdown.

    Parameters
    ----------
    sessions : DatetimeIndex, shape (n,)
    net_returns : mapping of name to ndarray, shape (n,)
        Fractions per session. NaN, where there was no book or no return is known, is a gap; what comes after goes
        on from the capital before it. The first one is drawn strongest.
    """
    figure, (upper, lower) = draw("Equity and drawdown", rows=(2.4, 1.0), height=4.0)
    if len(sessions) < 2 or not net_returns:
        empty_note(upper, "no out-of-sample session has been replayed yet")
        empty_note(lower, "")
        return to_png(figure)
    date_axis(upper, sessions)
    days = date_axis(lower, sessions)
    for index, (name, returns) in enumerate(net_returns.items()):
        finite = np.isfinite(returns)
        grown = compounded(returns)
        peak = np.maximum(np.maximum.accumulate(grown), 1.0)
        wealth, below = np.where(finite, grown, np.nan), np.where(finite, grown / peak - 1.0, np.nan)
        colour = COLOURS.get(name, SEQUENCE[index % len(SEQUENCE)])
        width, order = (1.9 if index == 0 else 1.1), 5 - index
        line(upper, days, wealth, color=colour, width=width, zorder=order, label=NAMES.get(name, name))
        line(lower, days, below, color=colour, width=0.9, zorder=order)
        if index == 0:
            lower.fill_between(days, below, 0.0, color=colour, alpha=0.15, linewidth=0.0)
    upper.axhline(1.0, color=MUTED, linewidth=0.7)
    upper.set_ylabel("capital (start = 1)")
    lower.set_ylabel("drawdown")
    percent_axis(lower)
    legend(upper)
    return to_png(figure)


def training_curves(members: Sequence[Mapping[str, Any]]) -> bytes:
    """Plot losses, gradient norms and learning rates of the members of an ensemble, epoch by epoch.

    Parameters
    ----------
    members : sequence of mapping
        ``best_epoch``, counted from 0, and ``curve``: lists of ``training_loss`` and ``validation_loss`` in nats,
        ``gradient_norm`` and ``learning_rate``. Those that keep no curve, of models of before, are left out.
    """
    figure, (losses, norms) = draw("Training of the ensemble's members", rows=(2.0, 1.0), height=4.0)
    curves = [member for member in members if member.get("curve")]
    if not curves:
        empty_note(losses, "no training curve is kept with this model")
        empty_note(norms, "")
        return to_png(figure)
    for index, member in enumerate(curves):
        curve = {name: np.asarray(values, dtype=np.float64) for name, values in member["curve"].items()}
        epochs, best = np.arange(1.0, len(curve["training_loss"]) + 1.0), int(member["best_epoch"])
        called = ("training", "validation", "kept") if index == 0 else ("", "", "_")
        line(losses, epochs, curve["training_loss"], color=MUTED, width=0.9, label=called[0])
        line(losses, epochs, curve["validation_loss"], color=INK, width=1.1, label=called[1])
        losses.plot(best + 1, curve["validation_loss"][best], "o", color=ALARM, markersize=4.0, label=called[2])
        line(norms, epochs, curve["gradient_norm"], color=INK, width=0.9)
    losses.axhline(float(np.log(2.0)), color=MUTED, linewidth=0.7)  # of a forecast of one half
    losses.set_ylabel("log loss, nats")
    norms.set_ylabel("gradient norm")
    norms.set_xlabel(f"epoch ({len(curves)} members; the line across: a forecast of one half)")
    for axis in (losses, norms):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(losses)
    return to_png(figure)


def rolling_rank_ic(
    sessions: pd.DatetimeIndex,
    forecasts: Mapping[str, FloatArray],
    returns: FloatArray,
    window: int = 126,
    folds: npt.NDArray[np.str_] | None = None,
    counted: str = "sessions",
) -> bytes:
    """Plot the mean rank IC of the last ``window`` sessions that had one; a session that had none is a gap.

    Parameters
    ----------
    forecasts : mapping of estimator to ndarray, shape (n, symbols)
        Probabilities; NaN without a forecast.
    returns : ndarray, shape (n, symbols)
        The label's own return; NaN while unknown.
    folds : ndarray of str, shape (n,), optional
        Which model made the session's forecasts: few instruments are never ranked across models.
    counted : str
        What the rows are: sessions, or decisions within them.
    """
    figure, (axis,) = draw(f"Rank correlation of forecast and outcome, mean of {window} {counted}")
    drawn = False
    days = sessions.to_numpy().astype("datetime64[D]")
    for index, (name, values) in enumerate(forecasts.items()):
        series = pd.Series(rank_ic_contributions(values, returns, folds), index=sessions).dropna()
        rolled = series.rolling(window, min_periods=window).mean().dropna()
        if len(rolled) > 1:
            drawn = True
            colour = COLOURS.get(name, SEQUENCE[index % len(SEQUENCE)])
            means = rolled.reindex(sessions).to_numpy()
            width, label = (1.8 if index == 0 else 1.0), NAMES.get(name, name)
            line(axis, days, means, color=colour, width=width, zorder=5 - index, label=label)
    if not drawn:
        empty_note(axis, f"fewer than {window} {counted} have a forecast and a realised label")
        return to_png(figure)
    date_axis(axis, sessions[:0])
    axis.axhline(0.0, color=MUTED, linewidth=0.9)
    axis.set_ylabel("rank IC")
    legend(axis)
    return to_png(figure)


def calibration_curve(forecasts: Mapping[str, FloatArray], targets: FloatArray) -> bytes:
    """Plot the share of ups against the calibrated probability, in tenths of equal count.

    Parameters
    ----------
    forecasts : mapping of estimator to ndarray, any shape
    targets : ndarray, same shape, 1, 0 or NaN
    """
    figure, (left, right) = draw("Calibration, out of sample", columns=2, height=3.3)
    drawn: list[FloatArray] = []
    for index, (name, values) in enumerate(forecasts.items()):
        complete = np.isfinite(values) & np.isfinite(targets)
        p, y = values[complete], targets[complete]
        if len(p) < 5 * _CALIBRATION_BINS:
            continue
        parts = np.array_split(np.argsort(p, kind="stable"), _CALIBRATION_BINS)
        means = np.array([p[part].mean() for part in parts])
        shares = np.array([y[part].mean() for part in parts])
        errors = np.sqrt(shares * (1.0 - shares) / np.array([len(part) for part in parts]))
        colour = COLOURS.get(name, SEQUENCE[index % len(SEQUENCE)])
        bars = {"yerr": errors, "elinewidth": 0.8, "capsize": 0} if not drawn else {}
        left.errorbar(
            means,
            shares,
            fmt="o-",
            color=colour,
            markersize=3.5,
            linewidth=1.2,
            label=NAMES.get(name, name),
            **bars,
        )
        if not drawn:
            right.hist(p, bins=40, color=colour, alpha=0.85)
        drawn.append(means)
    if not drawn:
        for axis in (left, right):
            empty_note(axis, "too few forecasts with a realised label")
        return to_png(figure)
    low, high = min(part.min() for part in drawn), max(part.max() for part in drawn)
    left.plot([low, high], [low, high], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    left.set(xlabel="calibrated probability of a positive label", ylabel="share of positive labels")
    right.set(xlabel="calibrated probability of a positive label", ylabel="forecasts")
    percent_axis(left)
    legend(left, columns=3)
    return to_png(figure)


def positions_over_time(sessions: pd.DatetimeIndex, weights: FloatArray, symbols: Sequence[Symbol]) -> bytes:
    """Plot target weights of the largest positions, above the gross and net sum of all.

    Parameters
    ----------
    weights : ndarray, shape (n, symbols)
        Signed fractions of capital. NaN, where none is known, is a gap; in the sums where none of any symbol is.
    """
    several = f": {_SHOWN_SYMBOLS} of {len(symbols)} symbols, those held most" if len(symbols) > _SHOWN_SYMBOLS else ""
    figure, (upper, lower) = draw(f"Positions{several}", rows=(1.6, 1.0), height=3.9)
    held = np.nan_to_num(weights)
    if len(sessions) < 2 or not held.any():
        empty_note(upper, "no position was held" if len(sessions) else "no session has been decided yet")
        empty_note(lower, "")
        return to_png(figure)
    date_axis(upper, sessions)
    days = date_axis(lower, sessions)
    largest = np.argsort(-np.abs(held).sum(axis=0), kind="stable")[:_SHOWN_SYMBOLS]
    for index, column in enumerate(column for column in largest if held[:, column].any()):
        colour = SEQUENCE[index % len(SEQUENCE)]
        line(upper, days, weights[:, column], color=colour, width=1.2, stepped=True, label=symbols[column])
    finite = np.isfinite(weights).any(axis=1)
    gross, net = (np.where(finite, sums, np.nan) for sums in (np.abs(held).sum(axis=1), held.sum(axis=1)))
    colour, named = COLOURS["network"], "gross: sum of sizes"
    lower.fill_between(days, gross, step="post", color=colour, alpha=0.2, linewidth=0, label=named)
    line(lower, days, net, color=INK, width=1.1, stepped=True, label="net: longs less shorts")
    for axis, label in ((upper, "weight"), (lower, "sum of weights")):
        axis.axhline(0.0, color=MUTED, linewidth=0.7)
        axis.set_ylabel(label)
        percent_axis(axis)
    legend(upper, columns=_SHOWN_SYMBOLS)
    legend(lower, columns=2)
    return to_png(figure)


def bar_counts(sessions_per_symbol: Mapping[str, int], quarantined_by_rule: Mapping[str, int]) -> bytes:
    """Plot how many bars each symbol has (the fewest first) and how many rows each rule set aside."""
    figure, (left, right) = draw("Bars kept and rows set aside", columns=2, height=3.2)
    fewest = sorted(sessions_per_symbol.items(), key=lambda item: (item[1], item[0]))[:12][::-1]
    worst = sorted(quarantined_by_rule.items(), key=lambda item: (-item[1], item[0]))[:12][::-1]
    panels = (
        (left, fewest, COLOURS["network"], "bars", "no bars"),
        (right, worst, ALARM, "rows in quarantine", "no row was set aside"),
    )
    for axis, items, colour, unit, nothing in panels:
        if not items:
            empty_note(axis, nothing)
            continue
        bars = axis.barh([name for name, _ in items], [count for _, count in items], color=colour, height=0.65)
        axis.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=7.5, color=INK)
        axis.set_xlabel(unit)
        axis.grid(visible=False, axis="y")
        axis.margins(x=0.14)
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return to_png(figure)


def drift_statistics(drift: DriftRows) -> bytes:
    """Plot each monitored series' statistic as a share of its calibrated critical value.

    Distances and cumulative sums have scales of their own; their shares compare. The series nearest
    to their critical values are shown, and how many there are in all.

    Parameters
    ----------
    drift : DataFrame
        Rows of one session: name, layer, statistic, critical, drifted. NaN statistics are left out.
    """
    rows = drift[np.isfinite(drift["statistic"].to_numpy(dtype=np.float64))] if len(drift) else drift
    share = rows["statistic"] / rows["critical"] if len(rows) else pd.Series(dtype=np.float64)
    rows = rows.assign(share=share).sort_values(["share", "name"], kind="stable")
    shown = rows.tail(_SHOWN_SERIES)
    figure, (axis,) = draw("Drift: statistic over its critical value", height=max(1.6, 1.1 + 0.19 * len(shown)))
    if len(shown) == 0:
        empty_note(axis, "not enough sessions yet for the drift window")
        return to_png(figure)
    ticks = np.arange(len(shown))
    kinds = np.where(shown["drifted"].to_numpy(dtype=bool), "drifted", shown["layer"])
    colours = [_DRIFT_COLOURS[kind] for kind in kinds]
    axis.barh(ticks, shown["share"].to_numpy(), color=colours, height=0.62)
    axis.axvline(1.0, color=INK, linewidth=1.4)
    axis.set_yticks(ticks, [str(name) for name in shown["name"]])
    axis.set_xlim(0.0, max(1.15, 1.05 * float(shown["share"].max())))
    axis.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axis.grid(visible=False, axis="y")
    axis.set_ylim(-0.6, len(shown) - 0.4)
    for name, colour in _DRIFT_COLOURS.items():
        axis.barh([0.0], [0.0], color=colour, label=name)
    legend(axis)
    axis.set_xlabel(f"share of the critical value ({len(shown)} of {len(rows)} series; drift from 100% on)")
    return to_png(figure)
