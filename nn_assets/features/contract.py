"""The contract of a feature, held on a market made for it: it looks at nothing ahead, and makes up no value.

Row t of a feature reads its own symbol's bars up to t, of its reach alone; it is a number where all of them are there,
or none. The market has what real ones have: a late listing, missing bars, a session that moved nothing, one without
volume.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.errors import PluginError
from nn_assets.features.catalogue import Context, Feature
from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import FIELDS, Panel

__all__ = ["require_sound_feature"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_SYMBOLS = ("SIM01", "SIM02", "SIM03", "SIM04")
_SEED = 20
_GONE_ABOVE = 1.9  # of the factors, drawn from 0.5 to 2, that change a bar: where a bar is taken out instead
_PAST_TOLERANCE = 1e-6  # of a sum that runs, which may keep noise of what it has left behind


@dataclass(frozen=True, eq=False)
class _Market:
    """Bars, the market's log return and a series, on the same rows."""

    panel: Panel
    log_return: FloatArray
    series: KnownSeries

    def of(self, rows: slice, columns: slice = slice(None)) -> _Market:
        """Some rows and columns, in memory of their own."""
        panel = Panel(
            sessions=self.panel.sessions[rows],
            symbols=self.panel.symbols[columns],
            **{name: np.array(getattr(self.panel, name)[rows, columns]) for name in FIELDS},  # type: ignore[arg-type]
        )
        series = {each.name: np.array(getattr(self.series, each.name)[rows, columns]) for each in fields(KnownSeries)}
        return _Market(panel, np.array(self.log_return[rows]), KnownSeries(**series))

    def times(self, rows: slice, factor: FloatArray) -> _Market:
        """What some rows say multiplied by factors (bars, symbols), or taken out, in memory of its own."""
        changed = self.of(slice(None))
        gone = factor[rows] > _GONE_ABOVE
        for values in (*changed.arrays().values(), changed.log_return):
            width = values.shape[1]
            values[rows] = np.where(gone[:, :width], np.nan, values[rows] * factor[rows][:, :width])
        return changed

    def arrays(self) -> dict[str, FloatArray]:
        """Arrays of shape (bars, symbols) by what they are."""
        of_series = {f"the series' {each.name}": getattr(self.series, each.name) for each in fields(KnownSeries)}
        return {**{name: getattr(self.panel, name) for name in FIELDS}, **of_series}


def _made_up(reach: int) -> _Market:
    """At least twice a feature's reach, and 80 sessions more."""
    bars, symbols = 2 * reach + 80, len(_SYMBOLS)
    draw = np.random.default_rng(_SEED)
    moved = draw.normal(0.0, 0.015, (bars, symbols))
    moved[reach + 12, 0] = 0.0
    close = 80.0 * np.exp(moved.cumsum(axis=0))
    opened = close * np.exp(draw.normal(0.0, 0.004, close.shape))
    high = np.maximum(opened, close) * np.exp(np.abs(draw.normal(0.0, 0.005, close.shape)))
    low = np.minimum(opened, close) * np.exp(-np.abs(draw.normal(0.0, 0.005, close.shape)))
    volume = np.exp(draw.normal(13.0, 0.5, close.shape)).round()
    volume[reach + 20, 1] = 0.0
    arrays = dict(zip(FIELDS, _in_order(opened, high, low, close, volume), strict=True))
    for values in arrays.values():
        values[:5, 3] = np.nan  # listed later
        values[[reach + 30, reach + 34], 2] = np.nan
    sessions = pd.bdate_range("2015-01-05", periods=bars).as_unit("ns")
    market = np.vstack([[np.nan], np.diff(np.log(close[:, :1]), axis=0)])
    known = KnownSeries(draw.uniform(10.0, 40.0, close.shape), np.zeros(close.shape), np.full(close.shape, 480.0))
    return _Market(Panel(sessions=sessions, symbols=_SYMBOLS, **arrays), market, known)  # type: ignore[arg-type]


def _in_order(*values: FloatArray) -> list[FloatArray]:
    named = dict(zip(("open", "high", "low", "close", "volume"), values, strict=True))
    return [named[name] for name in FIELDS]


def require_sound_feature(entry: Feature) -> None:
    """Refuse a feature that looks ahead, reads further back than it says, changes its input or makes values up.

    Raises
    ------
    PluginError
        Names the feature, the bar and the values.
    """
    market = _made_up(entry.reach_sessions)
    held = _Held(entry, market)
    whole = held.computed(market)
    held.require_numbers(whole)
    held.require_same(whole, held.computed(market), "computed twice alike", "two computations of the same bars differ")
    bars, reach = market.panel.bars, entry.reach_sessions
    draw = np.random.default_rng(_SEED + 1).uniform(0.5, 2.0, whole.shape)
    for last in sorted({reach + 5, reach + 30, reach + 34, bars * 2 // 3, bars - 2}):
        rows, ahead = slice(0, last + 1), slice(last + 1, None)
        held.require_same(whole[rows], held.computed(market.of(rows)), *_AHEAD)
        held.require_same(whole[rows], held.computed(market.times(ahead, draw))[rows], *_AHEAD)
    start = bars - reach - 20
    past = held.computed(market.times(slice(0, start - reach), draw))
    near = np.isclose(past[start:], whole[start:], rtol=_PAST_TOLERANCE, atol=_PAST_TOLERANCE, equal_nan=True)
    held.require_all(near, whole[start:], past[start:], _further_back(reach), "older bars change it", start)
    held.require_nothing_made_up(whole)
    alone = held.computed(market.of(slice(None), slice(1, None)))
    held.require_same(whole[:, 1:], alone, "a value of its own symbol's bars alone", "another symbol changes it", 1)


_AHEAD = "a value that nothing after its session changes", "it looks ahead: what comes after its session changes it"


def _further_back(reach: int) -> str:
    return f"a value of the {reach + 1} bars that reach_sessions {reach} states"


@dataclass(frozen=True, eq=False)
class _Held:
    """One feature, and the market that it is held to."""

    entry: Feature
    market: _Market

    def computed(self, given: _Market) -> FloatArray:
        """What the feature says of a market; refuses what is no array of its shape, or was written over."""
        market, entry = given.of(slice(None)), self.entry
        context = Context(
            log_return=market.log_return if entry.needs_market else None,
            series=market.series if entry.role else None,
        )
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                values = entry.compute(market.panel, context)
        except Exception as error:  # noqa: BLE001  whatever a person's formula raises
            self._refuse("a feature that can be computed", f"{type(error).__name__}: {error}", cause=error)
        for name, before in given.arrays().items():
            after = market.arrays()[name]
            told = f"bars left as they were given; {name}"
            self.require_same(before, after, told, f"it writes {name} over")
        if not isinstance(values, np.ndarray) or values.shape != market.panel.close.shape:
            shape = f"of shape {values.shape}" if isinstance(values, np.ndarray) else f"but {type(values).__name__}"
            told = f"an array of shape {market.panel.close.shape}, (bars, symbols)"
            self._refuse(told, f"none {shape}" if shape.startswith("but") else f"one {shape}")
        if values.dtype != np.float64:
            self._refuse("an array of float64", f"one of {values.dtype}")
        return np.array(values)

    def require_numbers(self, values: FloatArray) -> None:
        """Refuse infinities, and a feature without any value."""
        self.require_all(~np.isinf(values), values, None, "a number, or NaN where there is none", "an infinity")
        if not np.isfinite(values).any():
            self._refuse("a value where all bars within reach are there", "none on any bar")

    def require_nothing_made_up(self, values: FloatArray) -> None:
        """Refuse values of windows that lack a bar."""
        if self.entry.role:
            return  # a series goes on where bars end: where there is no bar, its feature is taken out
        there = np.logical_and.reduce([np.isfinite(getattr(self.market.panel, name)) for name in self.entry.fields])
        whole = _whole_windows(there, self.entry.reach_sessions)
        told = f"NaN where one of the {self.entry.reach_sessions + 1} bars within reach is missing"
        self.require_all(whole | np.isnan(values), values, None, told, "a value, made up or of fewer bars")

    def require_same(
        self, left: FloatArray, right: FloatArray, expected: str, found: str, first_column: int = 0
    ) -> None:
        """Refuse two arrays that differ in a bit."""
        same = (left == right) | (np.isnan(left) & np.isnan(right))
        self.require_all(same, left, right, expected, found, first_column=first_column)

    def require_all(
        self,
        kept: BoolArray,
        values: FloatArray,
        others: FloatArray | None,
        expected: str,
        found: str,
        first_row: int = 0,
        *,
        first_column: int = 0,
    ) -> None:
        """Refuse the first bar at which something is not kept."""
        if kept.all():
            return
        row, column = (int(each) for each in np.argwhere(~kept)[0])
        told = " and ".join(str(each[row, column]) for each in (values, others) if each is not None)
        self._refuse(
            expected,
            f"{found}: {told}",
            symbol=self.market.panel.symbols[first_column + column],
            session=self.market.panel.sessions[first_row + row].date(),
        )

    def _refuse(self, expected: str, found: str, cause: Exception | None = None, **where: object) -> NoReturn:
        raise PluginError(
            expected=expected,
            found=found,
            remedy=f"mend the formula of {self.entry.name}; it is held to bars that were made up for it",
            key="plugins",
            feature=self.entry.name,
            **where,
        ) from cause


def _whole_windows(there: BoolArray, reach: int) -> BoolArray:
    """Where the last ``reach`` + 1 rows are all there."""
    missing = np.vstack([np.zeros((1, there.shape[1]), dtype=np.int64), (~there).cumsum(axis=0)])
    whole = np.zeros(there.shape, dtype=bool)
    whole[reach:] = missing[reach + 1 :] == missing[: len(missing) - reach - 1]
    return whole
