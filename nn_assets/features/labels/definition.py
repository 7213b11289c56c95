"""What a kind of label is: the own return, what is learned of it, and what it says of the market."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.errors import PluginError
from nn_assets.market.panel import Panel
from nn_assets.settings import LabelSettings
from nn_assets.settings.section import Section


@dataclass(frozen=True, eq=False)
class LabelFacts:
    """What a label may know beside the bars.

    Attributes
    ----------
    cash_rate_per_session : array, shape (bars,)
        Fraction, simple; that of the decision session holds over the horizon.
    candidates : array of bool, shape (bars, symbols), or None
        Who may be trained on; None: everyone.
    volatility : array, shape (bars, symbols), or None
        sigma_20 of each session, fraction per session; NaN where it is missing. None where nobody asks a kind that
        needs it.
    """

    cash_rate_per_session: FloatArray
    candidates: BoolArray | None = None
    volatility: FloatArray | None = None

    @property
    def recent_volatility(self) -> FloatArray:
        """sigma_20, (bars, symbols), NaN where it is missing or 0."""
        assert self.volatility is not None, "make_labels gives it"
        return np.where(self.volatility > 0.0, self.volatility, np.nan)


Learns = Literal["sign", "value", "volatility"]
"""What may be learned of a label, by the name of its :class:`~nn_assets.learning.heads.Head`."""

OwnReturn = Callable[..., FloatArray]
"""From a panel, the label settings and :class:`LabelFacts` to own returns; with ``settings``, their values follow."""


@dataclass(frozen=True)
class LabelKind:
    """One kind of label.

    Parameters
    ----------
    own_return : callable
        From prices on a total-return basis, the label settings and :class:`LabelFacts` to the return whose sign is the
        target, (bars, symbols), a fraction over the horizon, already less any threshold; NaN where it is not known.
        With ``settings``, their values come as a fourth argument.
    relative : bool
        Whether it compares a name with the others of its session, so that it says nothing of the market's direction:
        books are then dollar-neutral, and hits and calibration are less what is common to a session.
    settings : type of Section, optional
        What ``label.settings`` must be for it.
    learns : {"sign", "value", "volatility"}
        Whether the own return is above zero; its value in units of ``scale``; or, where the own return is the log of
        a realised variance in units of ``scale`` squared, that. A volatility has no direction and is not traded.
    scale : callable, optional
        As ``own_return``, to the unit that a value or a volatility is learned in, (bars, symbols), above 0, known at
        the session itself; NaN where it is not known, and no label there. Needed unless a sign is learned.
    ranked_against : callable, optional
        As ``own_return``, to what forecasts are ranked against within a session, where that is not the own return (of
        a value: in units of ``scale``), NaN where it is not known. Where a sign is learned it is what a position earns,
        as a fraction: a search judges by it.
    centre : callable, optional
        As ``scale``, to what a value is less. Only what is learned is less it: a return less its own recent mean is
        foretold by that mean, which earns nothing, so that calibration, ranks and sizes are of the return itself.
    traded : bool
        Whether its forecasts say what a position earns.

    Raises
    ------
    PluginError
        It learns what nothing learns, or a value without a scale.
    """

    own_return: OwnReturn
    relative: bool
    settings: type[Section] | None = None
    learns: Learns = "sign"
    scale: OwnReturn | None = None
    ranked_against: OwnReturn | None = None
    traded: bool = True
    centre: OwnReturn | None = None

    def __post_init__(self) -> None:
        if self.learns not in get_args(Learns):
            expected, found = f"a label that learns one of {', '.join(get_args(Learns))}", repr(self.learns)
        elif (self.learns == "sign") != (self.scale is None):
            expected = "a scale for a label that learns a value or a volatility, and none for one that learns a sign"
            found = f"learns {self.learns}, {'no scale' if self.scale is None else 'and a scale'}"
        elif self.learns == "volatility" and self.traded:
            expected, found = "traded=False of a label that learns a volatility: it has no direction", "traded=True"
        else:
            return
        raise PluginError(
            expected=expected, found=found, remedy="correct the file that registers the label", key="plugins"
        )

    @property
    def roots(self) -> tuple[Callable[..., Any], ...]:
        """What the version of anything made with it covers: its code, its settings, and whether it is relative."""
        learned = {} if self.learns == "sign" else {"learns": self.learns}
        # never called: what a root is given counts
        own = partial(self.own_return, relative=self.relative, **learned)
        others = (self.settings, self.scale, self.ranked_against, self.centre)
        return (own, *(other for other in others if other is not None))


def forward_returns(panel: Panel, label: LabelSettings) -> FloatArray:
    """Measure the simple return from the fill (row t + lag) to ``horizon_sessions`` after it.

    Both ends are opens with ``next_open``, closes with ``next_close``.

    Parameters
    ----------
    panel : Panel, arrays of shape (bars, symbols)
        Prices on a total-return basis, so that every action in the span is included.
    label : LabelSettings

    Returns
    -------
    array, shape (bars, symbols), fraction over the horizon
        NaN where either price is missing or not positive, and on the last lag + horizon rows, whose
        future is not known: a missing future is never counted as a fall.
    """
    price = panel.open if label.execution == "next_open" else panel.close
    lag, horizon = label.execution_lag_sessions, label.horizon_sessions
    result = np.full(price.shape, np.nan)
    known_rows = panel.session_count - lag - horizon
    if known_rows <= 0:
        return result
    entry, leave = price[lag : lag + known_rows], price[lag + horizon :]
    tradable = (entry > 0.0) & (leave > 0.0) & np.isfinite(entry) & np.isfinite(leave)
    np.divide(leave, entry, out=result[:known_rows], where=tradable)
    result[:known_rows] -= 1.0
    result[~np.isfinite(result)] = np.nan
    return result
