"""Ranks within the universe: where a symbol stands among the members of its session.

A feature of this file gives a figure of its own symbol's bars; what a model reads is the symbol's place by it. Only the
place looks across symbols, and it looks at the figures of one session alone.
"""

from __future__ import annotations

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.features.catalogue.definition import Context, Feature
from nn_assets.features.catalogue.prices import log_return, rolling_volatility
from nn_assets.features.rolling import rolling_mean, rolling_sum
from nn_assets.market.panel import Panel

SMALLEST_RANKED = 5
"""Members with a figure below which a session has no ranks; as many as a median of labels needs."""


def place_among_members(figures: FloatArray, members: BoolArray | None) -> FloatArray:
    """The share of the other members that a symbol stands above, ties counted half, less one half.

    Parameters
    ----------
    figures : array, shape (bars, symbols)
    members : array of bool, shape (bars, symbols), optional
        Members of the universe as each session knew them; every symbol when left out.

    Returns
    -------
    array, shape (bars, symbols), in [-0.5, 0.5]
        Of a member (rank - 1) / (members - 1) - 0.5, with mean ranks of ties; a symbol that is no member has the place
        that it would take. NaN without a figure, and on sessions where fewer than ``SMALLEST_RANKED`` members have one.
        Row t reads row t alone.
    """
    has_figure = np.isfinite(figures)
    ranked = has_figure if members is None else has_figure & members
    count = ranked.sum(axis=1)
    places = np.full(figures.shape, np.nan)
    for row in np.flatnonzero(count >= SMALLEST_RANKED):
        ordered = np.sort(figures[row, ranked[row]])
        own = figures[row, has_figure[row]]
        counted = ranked[row, has_figure[row]]  # itself among those of its figure
        below = np.searchsorted(ordered, own, side="left")
        level = np.searchsorted(ordered, own, side="right") - below - counted
        places[row, has_figure[row]] = (below + level / 2.0) / (count[row] - counted) - 0.5
    return places


def _return_5(panel: Panel, _: Context) -> FloatArray:
    return rolling_sum(log_return(panel), 5)  # every bar of the window is there


def _return_20(panel: Panel, _: Context) -> FloatArray:
    return rolling_sum(log_return(panel), 20)


def _volatility_20(panel: Panel, _: Context) -> FloatArray:
    return rolling_volatility(panel, 20)


def _dollar_volume_20(panel: Panel, _: Context) -> FloatArray:
    return rolling_mean(panel.close * panel.volume, 20)


_STANDS_BY = "place among the session's members, in [-0.5, 0.5], of "

RANKS = tuple(
    Feature(
        name=f"rank_in_universe_{figure}",
        group="cross_market",
        reach_sessions=reach,
        compute=compute,
        formula=_STANDS_BY + formula,
        fields=fields,
        source=source,
        ranked=True,
    )
    for figure, reach, compute, formula, fields, source in (
        ("return_5", 5, _return_5, "log(C[t] / C[t-5])", ("close",), "Jegadeesh (1990), reversal"),
        ("return_20", 20, _return_20, "log(C[t] / C[t-20])", ("close",), "Jegadeesh and Titman (1993), momentum"),
        ("volatility_20", 20, _volatility_20, "sigma_20", ("close",), "Ang, Hodrick, Xing and Zhang (2006)"),
        (
            "dollar_volume_20",
            19,
            _dollar_volume_20,
            "mean_20(C V); C holds the dividends since the first session, which weigh in",
            ("close", "volume"),
            "Brennan, Chordia and Subrahmanyam (1998)",
        ),
    )
)
