"""Features of symbols that lack a bar: over the bars that there are, or with the gap bridged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray, IntArray
from nn_assets.features.own_bars import OwnBars, with_gaps
from nn_assets.market.panel import FIELDS, Panel

Beside = Callable[[FloatArray], FloatArray]
"""Lays an array of the whole panel, (bars, symbols) or (bars, 1), on the rows and columns of the panel given beside."""

Laid = Callable[[Panel, Beside], FloatArray]


@dataclass(frozen=True, eq=False)
class Stepping:
    """How the features of a panel treat missing bars.

    Parameters
    ----------
    panel : Panel, arrays of shape (bars, symbols)
    there : array of bool, shape (bars, symbols)
        Where there is a bar with all that the features read.
    max_fraction : float
        Share of missing bars that a window may step over; see :class:`nn_assets.features.own_bars.OwnBars`.
        0: a window with a missing bar has no value.
    bridge : bool
        Put the last close in the place of a missing bar's prices, with zero volume, for as many missing bars as may
        be stepped over; step over it where that gives no value, as the logarithm of no volume. A session without a
        bar has no value of its own either way.
    """

    panel: Panel
    there: BoolArray
    max_fraction: float
    bridge: bool = False

    @cached_property
    def _gapped(self) -> IntArray:
        """Columns that lack a bar between two."""
        return with_gaps(self.there)

    @cached_property
    def _own(self) -> OwnBars:
        return OwnBars.of(self.there[:, self._gapped])

    @cached_property
    def _packed(self) -> Panel:
        fields = self.panel.arrays.items()
        return self._panel_of({name: self._own.pack(values[:, self._gapped]) for name, values in fields})

    @cached_property
    def _bridged(self) -> Panel:
        fields = {name: values[:, self._gapped] for name, values in self.panel.arrays.items()}
        missing, close = np.isnan(fields["close"]), last_known(fields["close"])
        # A detail of a session without a bar is nobody's: what reads one is stepped over instead.
        filled = {name: np.where(missing, close, fields[name]) if name in FIELDS else fields[name] for name in fields}
        filled["volume"] = np.where(missing & np.isfinite(close), 0.0, fields["volume"])
        return self._panel_of(filled)

    def _panel_of(self, fields: dict[str, Any]) -> Panel:
        symbols = tuple(self.panel.symbols[column] for column in self._gapped)
        return Panel(sessions=self.panel.sessions, symbols=symbols, **fields)

    def over(self, window: int, compute: Laid, bridged: Laid | None = None) -> FloatArray:
        """Compute a feature of the last ``window`` bars, (bars, symbols); what ``compute`` gives where none is missing.

        Parameters
        ----------
        window : int
        compute : callable
            From a panel, and a function that lays arrays beside it, to an array of the panel's shape; NaN where a bar
            of the window is missing.
        bridged : callable, optional
            What computes it where the gap is bridged, if that is another one.
        """
        plain = compute(self.panel, lambda values: values)
        if not self.max_fraction or not len(self._gapped):
            return plain
        own, columns, shape = self._own, self._gapped, self.there.shape
        usable = own.within(window, self.max_fraction)
        stepped = compute(self._packed, lambda values: own.pack(np.broadcast_to(values, shape)[:, columns]))
        result = own.spread(np.where(usable, stepped, np.nan))
        if self.bridge:
            filled = (bridged or compute)(self._bridged, lambda values: np.broadcast_to(values, shape)[:, columns])
            there = np.isfinite(own.spread(np.where(usable, 0.0, np.nan)))
            result = np.where(there & np.isfinite(filled), filled, result)
        stepped_over = np.array(plain)  # a formula may hand back its series itself, which is read-only
        stepped_over[:, columns] = result
        return stepped_over


def last_known(values: FloatArray) -> FloatArray:
    """The newest value up to each row, (bars, columns); NaN before the first."""
    rows = np.where(np.isfinite(values), np.arange(len(values))[:, None], -1)
    newest = np.maximum.accumulate(rows, axis=0)
    return np.where(newest >= 0, np.take_along_axis(values, np.maximum(newest, 0), axis=0), np.nan)
