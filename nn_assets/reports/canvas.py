"""One look for every plot: colours, axes, and the way to a small PNG. No pyplot, no global state."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from PIL import Image

from nn_assets.estimators import ESTIMATORS

# Okabe and Ito (2008): distinct under every common kind of colour vision, and in grey.
SEQUENCE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#6B7280", "#A3A500")
COLOURS = {**dict(zip(ESTIMATORS, SEQUENCE, strict=False)), "buy_and_hold": "#6B7280"}
NAMES = {**{name: kind.title for name, kind in ESTIMATORS.items()}, "buy_and_hold": "buy and hold"}
INK, MUTED, GRID, ALARM = "#1F2937", "#6B7280", "#E5E7EB", "#C2410C"

_DPI = 110
_PALETTE = 96  # colours kept: anti-aliased lines stay smooth, and a plot stays below 60 kB


def draw(
    title: str, *, rows: Sequence[float] = (1.0,), columns: int = 1, width: float = 8.2, height: float = 3.1
) -> tuple[Figure, list[Axes]]:
    """Open a titled figure of stacked panels.

    Parameters
    ----------
    title : str
        Stands above the panels, left-aligned.
    rows : sequence of float
        Relative heights of the stacked panels.
    columns : int
        Panels side by side; only where ``rows`` is a single one.
    width, height : float
        Inches.

    Returns
    -------
    figure, axes
        Axes from top to bottom, or from left to right.
    """
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.012, ha="left", fontsize=11, fontweight="bold", color=INK)
    grid = figure.subplots(
        len(rows),
        columns,
        squeeze=False,
        sharex=len(rows) > 1,
        gridspec_kw={"height_ratios": list(rows)},
    )
    axes = list(grid.ravel())
    for axis in axes:
        axis.grid(visible=True, color=GRID, linewidth=0.7)
        axis.set_axisbelow(True)
        axis.tick_params(colors=MUTED, labelsize=8, length=0)
        for side, spine in axis.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color("#9CA3AF")
        axis.xaxis.label.set(size=8.5, color=MUTED)
        axis.yaxis.label.set(size=8.5, color=MUTED)
    return figure, axes


def date_axis(axis: Axes, sessions: pd.DatetimeIndex) -> npt.NDArray[np.datetime64]:
    """Set an axis up for sessions, and give them as days to plot against."""
    locator = AutoDateLocator(minticks=4, maxticks=9)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axis.xaxis.get_offset_text().set(size=8, color=MUTED)
    days = sessions.to_numpy().astype("datetime64[D]")
    if len(days) > 1:
        axis.set_xlim(days[0], days[-1])
    return days


def line(
    axis: Axes,
    days: npt.NDArray[np.datetime64] | npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    *,
    color: str,
    width: float,
    stepped: bool = False,
    zorder: float = 2.0,
    label: str = "",
) -> None:
    """Draw a series over time: nothing across a missing value, and a dot where both neighbours are missing.

    Parameters
    ----------
    days, values : ndarray, shape (n,)
        NaN is a gap.
    stepped : bool
        Whether a value holds until the next one.
    """
    finite = np.isfinite(values)
    beside = np.zeros(len(values), dtype=bool)
    beside[1:] |= finite[:-1]
    beside[:-1] |= finite[1:]
    alone, shape = finite & ~beside, "steps-post" if stepped else "default"
    axis.plot(days, values, color=color, linewidth=width, drawstyle=shape, zorder=zorder, label=label or "_")
    axis.plot(days[alone], values[alone], "o", color=color, markersize=width + 1.0, zorder=zorder, label="_")


def percent_axis(axis: Axes, digits: int = 0) -> None:
    """Label fractions on the vertical axis as per cent."""
    axis.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{100.0 * value:.{digits}f}%".replace("-", "\N{MINUS SIGN}"))
    )


def legend(axis: Axes, columns: int = 4) -> None:
    """Write the legend in one line above the panel, where it hides nothing."""
    axis.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        handlelength=1.6,
        columnspacing=1.4,
        borderaxespad=0.2,
    )


def empty_note(axis: Axes, message: str) -> None:
    """Say in the panel why it shows nothing."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(visible=False)
    axis.text(0.5, 0.5, message, ha="center", va="center", transform=axis.transAxes, color=MUTED, fontsize=9)


def to_png(figure: Figure) -> bytes:
    """Render with Agg and reduce to a palette: the same figure gives the same bytes."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3]
    image = Image.fromarray(np.ascontiguousarray(pixels))
    small = image.quantize(colors=_PALETTE, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    held = io.BytesIO()
    small.save(held, format="PNG", optimize=True)
    return held.getvalue()


def png_data_uri(png: bytes) -> str:
    """Give a PNG as a data URI, so that a page needs no other file."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def png_markdown(png: bytes, alt: str = "plot") -> str:
    """Give a PNG as a Markdown image with a data URI, as asset metadata shows it."""
    alt_text = "".join(letter for letter in alt if letter not in "[]()\n")
    return f"![{alt_text}]({png_data_uri(png)})"
