"""Windows of the last ``lookback`` bars, as views; gathered a batch at a time, never all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nn_assets.arrays import BoolArray, Float32Array, FloatArray, IntArray
from nn_assets.errors import ShortFoldError
from nn_assets.features.own_bars import OwnBars, with_gaps
from nn_assets.features.scaling import Scaler


class Windows:
    """All windows over a panel of scaled features. The last row of a window is its decision session.

    Parameters
    ----------
    values : float array, shape (bars, symbols, features)
        Scaled features; kept once as float32, which begins here, symbol by symbol. NaN means missing.
    lookback : int
        Rows in a window.
    first_row : int
        Row number, on the full session axis, of ``values[0]``. Rows asked for are numbered on
        the full axis, so that a slice of history answers like the whole.
    max_missing_fraction : float
        Share of missing rows, never the newest, that a window may step over, as the features' windows do: see
        :class:`nn_assets.features.own_bars.OwnBars`. 0: a window is ``lookback`` sessions, each with a value.
    names : sequence of str
        Of the features, for a network that treats some of them by name; none where none does.
    scaler : Scaler, optional
        What scaled the values, for such a network.
    past_returns : float array, shape (bars, symbols), optional
        Log return of each session, unscaled, for a rule that reads nothing else; NaN where there is none.
    """

    def __init__(
        self,
        values: FloatArray | Float32Array,
        lookback: int,
        first_row: int = 0,
        max_missing_fraction: float = 0.0,
        names: Sequence[str] = (),
        scaler: Scaler | None = None,
        past_returns: FloatArray | None = None,
    ) -> None:
        if lookback < 1 or values.shape[0] < lookback:
            raise ShortFoldError(
                expected=f"at least {max(lookback, 1)} sessions for one window",
                found=f"{values.shape[0]} sessions, lookback {lookback}",
                remedy="load more history or shorten learning.lookback",
            )
        self.lookback = lookback
        self.first_row = first_row
        self.names, self.scaler, self.past_returns = tuple(names), scaler, past_returns
        self.stop_row = first_row + values.shape[0]
        bars, symbols, features = values.shape
        # symbol by symbol, so that a window is one run of memory, and a batch a copy of as many runs
        self._by_symbol = np.array(values.transpose(1, 0, 2), dtype=np.float32, order="C")
        self._values = self._by_symbol.transpose(1, 0, 2)  # (bars, symbols, features), a view
        # one run for each of their rows; those that go on into the next symbol are never asked for
        runs = (symbols * bars - lookback + 1, lookback * features)
        self._runs = torch.from_numpy(self._by_symbol).as_strided(runs, (features, 1))
        self._max_missing_fraction = max_missing_fraction
        finite: BoolArray = np.asarray(np.isfinite(self._values).all(axis=2))
        self._whole = _unbroken(finite, lookback)
        self._stepping: BoolArray | None = None  # windows that step over a missing row, (bars, symbols)
        if max_missing_fraction and len(with_gaps(finite)):
            self._own = OwnBars.of(finite)
            usable = self._own.within(lookback, max_missing_fraction)
            usable = np.isfinite(self._own.spread(np.where(usable, 0.0, np.nan)))
            self._stepping = usable & ~self._whole
            self._whole |= usable
            self._packed_row = np.cumsum(finite, axis=0) - 1

    def __reduce__(self) -> tuple[object, ...]:
        # only the values go to another process: pickling would write the whole view out
        shape = self._values, self.lookback, self.first_row, self._max_missing_fraction
        return Windows, (*shape, self.names, self.scaler, self.past_returns)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(bars, symbols, features) of the values that the windows look at."""
        bars, symbols, features = self._values.shape
        return bars, symbols, features

    def whole(self) -> BoolArray:
        """Where the window that ends at (bar, symbol) has all of its rows, finite throughout; shape (bars, symbols)."""
        return self._whole

    def steps_over(self) -> BoolArray:
        """Where the window that ends at (bar, symbol) steps over a missing row; shape (bars, symbols)."""
        return np.zeros_like(self._whole) if self._stepping is None else self._stepping

    def gather(self, rows: IntArray, columns: IntArray) -> Float32Array:
        """Copy the windows that end at the given rows.

        Parameters
        ----------
        rows : int array, shape (samples,)
            Decision rows, numbered on the full session axis.
        columns : int array, shape (samples,)
            Symbol of each sample.

        Returns
        -------
        float32 array, shape (samples, lookback, features)
            ``[:, -1]`` is the decision session's own row. A window that steps over missing rows holds the rows
            before them instead.
        """
        bars, _, features = self.shape
        ends = self._row_offsets(rows, self.lookback)
        runs = torch.from_numpy(columns * bars + ends - (self.lookback - 1))
        # by torch: its memory is aligned, numpy's may not be, and a network's sums may round by alignment
        chosen: Float32Array = self._runs.index_select(0, runs).view(len(rows), self.lookback, features).numpy()
        if self._stepping is not None:
            stepping = np.flatnonzero(self._stepping[ends, columns])
            newest, symbol = self._packed_row[ends[stepping], columns[stepping]], columns[stepping, None]
            own = self._own.rows[newest[:, None] + np.arange(1 - self.lookback, 1), symbol]
            chosen[stepping] = self._values[own, symbol]
        return chosen

    def last_rows(self, rows: IntArray, columns: IntArray) -> FloatArray:
        """Features of the decision sessions alone; shape (samples, features), float64."""
        return self._values[self._row_offsets(rows, 1), columns].astype(np.float64)

    def _row_offsets(self, rows: IntArray, lookback: int) -> IntArray:
        """Rows as places among the values; a row before them would be taken for one of the last."""
        indices: IntArray = rows - self.first_row
        if indices.size and not (lookback - 1 <= indices.min() and indices.max() < self.shape[0]):
            raise IndexError("a window that begins or ends outside of the values")
        return indices


def _unbroken(finite: BoolArray, lookback: int) -> BoolArray:
    """Rows at which the last ``lookback`` are finite, (bars, symbols)."""
    answer = np.zeros_like(finite)
    answer[lookback - 1 :] = np.lib.stride_tricks.sliding_window_view(finite, lookback, axis=0).all(axis=-1)
    return answer


@dataclass(frozen=True)
class Samples:
    """What may be learned from: a whole window and a known label each. In order of row, then symbol."""

    rows: IntArray  # (samples,), on the full session axis
    columns: IntArray  # (samples,), symbol
    targets: Float32Array  # (samples,), 0 or 1; a value where the label's head learns one

    steps: Float32Array | None = None  # (samples, lookback), labels of every session of a window; NaN where not learned

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.rows)


def find_samples(windows: Windows, rows: slice, targets: FloatArray, *, dense: bool = False) -> Samples:
    """Find the samples of a part of a fold.

    Parameters
    ----------
    windows : Windows
        Windows may reach back over the part's first row, as they do live.
    rows : slice
        The part, numbered on the full session axis, within the windows' rows.
    targets : float array, shape (rows of the part, symbols)
        NaN where the label is unknown: such a row is never a sample, and never counted as "down".
    dense : bool
        With the labels of the last half of each window's sessions, those of the part alone: what a part's purge
        promises of its labels holds of each of them. A window that steps over missing rows has that of its end alone.
    """
    first = rows.start - windows.first_row
    usable = windows.whole()[first : rows.stop - windows.first_row] & np.isfinite(targets)
    window_rows, columns = np.nonzero(usable)
    return Samples(
        rows=window_rows.astype(np.int64) + rows.start,
        columns=columns.astype(np.int64),
        targets=targets[usable].astype(np.float32),
        steps=_steps(windows, first, targets, usable) if dense else None,
    )


def _steps(windows: Windows, first: int, targets: FloatArray, usable: BoolArray) -> Float32Array:
    """Labels of the sessions of usable windows, (samples, lookback); NaN in their first half and before the part."""
    lookback = windows.lookback
    before = np.full((lookback - 1, targets.shape[1]), np.nan)
    table = np.concatenate([before, targets]).astype(np.float32)
    steps = np.array(np.lib.stride_tricks.sliding_window_view(table, lookback, axis=0)[usable])
    steps[:, : lookback // 2] = np.nan
    steps[windows.steps_over()[first : first + len(targets)][usable], :-1] = np.nan
    steps[:, -1] = targets[usable]  # of a lookback of 1 too
    return steps
