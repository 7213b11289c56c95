"""What a kind of label is: the own return whose sign is learned, and what it says of the market."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray
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
    """

    cash_rate_per_session: FloatArray
    candidates: BoolArray | None = None


OwnReturn = Callable[..., FloatArray]
"""From a panel, the label settings and :class:`LabelFacts` to own returns; with ``settings``, their values follow."""


@dataclass(frozen=True)
class LabelKind:
    """One kind of label.

    Parameters
    ----------
    own_return : callable
        From prices on a total-return basis, the label settings and :class:`LabelFacts` to the return whose sign is the
        target, (bars, symbols), a fraction over the horizon; NaN where it is not known. With ``settings``, their
        values come as a fourth argument.
    relative : bool
        Whether it compares a name with the others of its session, so that it says nothing of the market's direction:
        books are then dollar-neutral, and hits and calibration are less what is common to a session.
    settings : type of Section, optional
        What ``label.settings`` must be for it.
    """

    own_return: OwnReturn
    relative: bool
    settings: type[Section] | None = None

    @property
    def roots(self) -> tuple[Callable[..., Any], ...]:
        """What the version of anything made with it covers: its code, its settings, and whether it is relative."""
        own = partial(self.own_return, relative=self.relative)  # never called: what a root is given counts
        return (own,) if self.settings is None else (own, self.settings)


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
