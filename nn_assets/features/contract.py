"""The contract of a feature, held on a market made for it: it looks at nothing ahead, and makes up no value.

Row t of a feature reads its own symbol's bars up to t, of its reach alone; it is a number where all of them are there,
or none. The market has what real ones have: a late listing, missing bars, a session that moved nothing, one without
volume.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Collection, Sized
from dataclasses import dataclass, fields
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray, Symbol
from nn_assets.contracts import DETAILS
from nn_assets.errors import PluginError
from nn_assets.features.catalogue import Context, Feature
from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import FIELDS, Panel
from nn_assets.plugins import place_of

_SYMBOLS = ("SIM01", "SIM02", "SIM03", "SIM04")
_SEED = 20
_GONE_ABOVE = 1.9  # of the factors, drawn from 0.5 to 2, that change a bar: where a bar is taken out instead
_LONG_BARS = 2_600  # ten years of sessions: a formula may differ where there are many
_EVERY_DAY = 24  # last sessions at which the future is cut off in a row: a month's, whatever the day of the week
_PAST_TOLERANCE = 1e-6  # relative; a running sum may keep rounding noise of values that left it


@dataclass(frozen=True, eq=False)
class Market:
    """Bars, the market's log return and a series, on the same rows."""

    panel: Panel
    log_return: FloatArray
    series: KnownSeries

    def of(self, rows: slice, columns: slice = slice(None)) -> Market:
        """Some rows and columns, as a view of memory of their own in which other bars follow."""
        panel = Panel(
            sessions=self.panel.sessions[rows],
            symbols=self.panel.symbols[columns],
            **{name: _cut(values[rows, columns]) for name, values in self.panel.arrays.items()},  # type: ignore[arg-type]
        )
        series = {field.name: _cut(getattr(self.series, field.name)[rows, columns]) for field in fields(KnownSeries)}
        return Market(panel, _cut(self.log_return[rows]), KnownSeries(**series))

    def times(self, rows: slice, factor: FloatArray) -> Market:
        """What some rows say multiplied by factors (bars, symbols), or taken out, in memory of its own."""
        changed = self.of(slice(None))
        gone = factor[rows] > _GONE_ABOVE
        for values in (*changed.arrays().values(), changed.log_return):
            width = values.shape[1]
            values[rows] = np.where(gone[:, :width], np.nan, values[rows] * factor[rows][:, :width])
        return changed

    def arrays(self) -> dict[str, FloatArray]:
        """Arrays of shape (bars, symbols) by what they are."""
        of_series = {f"the series' {field.name}": getattr(self.series, field.name) for field in fields(KnownSeries)}
        return {**self.panel.arrays, **of_series}


def _cut(values: FloatArray) -> FloatArray:
    """A copy cut from one twice as long, as a decision's bars are: who follows the view looks ahead, and is seen."""
    return np.vstack([values, np.ones_like(values)])[: len(values)]


def made_up_market(
    reach: int, fewest: int = 0, symbols: tuple[Symbol, ...] = _SYMBOLS, *, details: bool = False
) -> Market:
    """A simulated market of twice a member's reach and 80 sessions more, or ``fewest`` if that is more.

    With ``details`` its bars carry what few sources say of them, and one of them lacks it.
    """
    bars = max(2 * reach + 80, fewest)
    draw = np.random.default_rng(_SEED)
    moved = draw.normal(0.0, 0.015, (bars, len(symbols)))
    moved[reach + 12, 0] = 0.0
    close = 80.0 * np.exp(moved.cumsum(axis=0))
    opened = close * np.exp(draw.normal(0.0, 0.004, close.shape))
    high = np.maximum(opened, close) * np.exp(np.abs(draw.normal(0.0, 0.005, close.shape)))
    low = np.minimum(opened, close) * np.exp(-np.abs(draw.normal(0.0, 0.005, close.shape)))
    volume = np.exp(draw.normal(13.0, 0.5, close.shape)).round()
    volume[reach + 20, 1] = 0.0
    arrays = dict(zip(FIELDS, (opened, high, low, close, volume), strict=True))
    if details:
        arrays |= _made_up_details(low, high, close)
    for values in arrays.values():
        values[:5, 3] = np.nan  # listed later
        values[[reach + 30, reach + 34], 2] = np.nan
    sessions = pd.bdate_range("2015-01-05", periods=bars).as_unit("ns")
    market = np.vstack([[np.nan], np.diff(np.log(close[:, :1]), axis=0)])
    made_up_series = KnownSeries(
        draw.uniform(10.0, 40.0, close.shape), np.zeros(close.shape), np.full(close.shape, 480.0)
    )
    return Market(Panel(sessions=sessions, symbols=symbols, **arrays), market, made_up_series)


def _made_up_details(low: FloatArray, high: FloatArray, close: FloatArray) -> dict[str, FloatArray]:
    draw = np.random.default_rng(_SEED + 3)
    half_spread = close * np.exp(draw.normal(-8.0, 0.3, close.shape))
    values = {
        "vwap": low + (high - low) * draw.uniform(0.2, 0.8, close.shape),
        "trades": np.exp(draw.normal(8.0, 0.4, close.shape)).round(),
        "bid": close - half_spread,
        "ask": close + half_spread,
        "effective_spread": np.exp(draw.normal(-7.5, 0.3, close.shape)),
    }
    for detail in values.values():
        detail[len(detail) // 2, 1] = np.nan
    return values


def require_sound_feature(entry: Feature) -> None:
    """Refuse a feature that looks ahead, reads further back than it says, changes its input or makes values up.

    Nor may it keep anything of what it is asked: what it gave of a whole history would be given again of a part of it.

    Raises
    ------
    PluginError
        Names the feature, the bar and the values.
    """
    details = not set(entry.fields).isdisjoint(DETAILS)
    market = made_up_market(entry.reach_sessions, details=details)
    held = _HeldFeature("feature", entry.name, entry.compute, market, entry)
    whole = held.computed(market)
    kept = kept_by(entry.name, entry.compute)
    held.require_numbers(whole)
    held.require_same(whole, held.computed(market), "computed twice alike", "two computations of the same bars differ")
    bars, reach = market.panel.session_count, entry.reach_sessions
    draw = np.random.default_rng(_SEED + 1).uniform(0.5, 2.0, whole.shape)
    held.require_nothing_ahead(whole, {reach + 5, reach + 12, reach + 20, reach + 30, reach + 34, bars * 2 // 3}, draw)
    for last in range(bars - 1 - _EVERY_DAY, bars - 1):
        held.require_same(whole[: last + 1], held.computed(market.of(slice(0, last + 1))), *_AHEAD)
    start = bars - reach - 20
    past = held.computed(market.times(slice(0, start - reach), draw))
    near = np.isclose(past[start:], whole[start:], rtol=_PAST_TOLERANCE, atol=_PAST_TOLERANCE, equal_nan=True)
    held.require_all(
        near, whole[start:], past[start:], _further_back(reach), "older bars change it", start, advice=_REACH
    )
    held.require_nothing_made_up(whole)
    for column, symbol in enumerate(_SYMBOLS):
        alone = held.computed(market.of(slice(None), slice(column, column + 1)))
        expected = "a value of its own symbol's bars alone"
        held.require_same(whole[:, [column]], alone, expected, f"another symbol than {symbol} changes it", column)
    held.require_nothing_kept(kept, entry.compute)
    long_market = made_up_market(reach, _LONG_BARS, details=details)
    long = _HeldFeature("feature", entry.name, entry.compute, long_market, entry)
    bars = long.market.panel.session_count
    draw = np.random.default_rng(_SEED + 2).uniform(0.5, 2.0, (bars, len(_SYMBOLS)))
    long.require_nothing_ahead(long.computed(long.market), {bars * 2 // 3}, draw)


_REACH = "state a larger reach_sessions, or shorten its window"
_WINDOWS = "rolling_sum and its like in nn_assets.features.rolling need every bar of a window; lagged reads two alone"
_AHEAD = "a value that nothing after its session changes", "it looks ahead: what comes after its session changes it"


def _further_back(reach: int) -> str:
    return f"a value of the {reach + 1} bars that reach_sessions {reach} states"


def kept_by(member: str, function: Callable[..., Any]) -> dict[str, object]:
    """What a function and its module hold, by name, as far as it shows that something was put there."""
    module = sys.modules.get(function.__module__)
    held = {} if module is None else dict(vars(module))
    held |= {f"{member}.{name}": value for name, value in vars(function).items()}
    for number, value in enumerate(getattr(function, "__defaults__", None) or ()):
        held[f"default {number} of {member}"] = value
    return {name: _size(value) for name, value in held.items() if not name.startswith("__")}


def _size(value: object) -> object:
    if isinstance(value, type):
        return id(value)
    if isinstance(value, np.ndarray):
        return value.tobytes() if value.dtype != object else len(value)
    if hasattr(value, "cache_info"):
        return value.cache_info().currsize
    if isinstance(value, Sized):
        return len(value)
    return value if isinstance(value, int | float | str | None) else id(value)


@dataclass(frozen=True, eq=False)
class Held:
    """A member by its kind, name and function, and the market that it is held to."""

    kind: str
    name: str
    function: Callable[..., object]
    market: Market

    def called(self, function: Callable[[Market], object], original: Market) -> FloatArray:
        """What a member says of a market; refuses what is no array of its shape, or was written over."""
        market = original.of(slice(None))
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                values = function(market)
        except PluginError as fault:  # says itself what it is: a field that is not stated
            where = {**place_of(self.function, fault), **fault.where}
            raise PluginError(expected=fault.expected, found=fault.found, remedy=fault.remedy, **where) from fault
        except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a person's formula raises
            self.refuse(f"a {self.kind} that can be computed", f"{type(error).__name__}: {error}", cause=error)
        for name, before in original.arrays().items():
            after = market.arrays()[name]
            expectation = f"bars left as they were given; {name}"
            self.require_same(before, after, expectation, f"it writes {name} over")
        if not isinstance(values, np.ndarray) or values.shape != market.panel.close.shape:
            shape = f"of shape {values.shape}" if isinstance(values, np.ndarray) else f"but {type(values).__name__}"
            expectation = f"an array of shape {market.panel.close.shape}, (bars, symbols)"
            self.refuse(expectation, f"none {shape}" if shape.startswith("but") else f"one {shape}")
        if values.dtype != np.float64:
            self.refuse("an array of float64", f"one of {values.dtype}")
        return np.array(values)

    def require_nothing_kept(self, before: dict[str, object], function: Callable[..., Any]) -> None:
        """Refuse a function beside which something has come to lie since it was asked first."""
        now = kept_by(self.name, function)
        changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if changed:
            expectation = "nothing kept of what it is asked, once it was asked"
            self.refuse(expectation, f"{', '.join(sorted(changed))} changes from one call to the next")

    def require_numbers(self, values: FloatArray) -> None:
        """Refuse infinities, and a member without any value."""
        self.require_all(~np.isinf(values), values, None, "a number, or NaN where there is none", "an infinity")
        if not np.isfinite(values).any():
            self.refuse("a value where all bars within reach are there", "none on any bar")

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
        advice: str = "",
    ) -> None:
        """Refuse the first bar at which something is not kept."""
        if kept.all():
            return
        row, column = (int(index) for index in np.argwhere(~kept)[0])
        shown = " and ".join(str(array[row, column]) for array in (values, others) if array is not None)
        self.refuse(
            expected,
            f"{found}: {shown}",
            advice=advice,
            symbol=self.market.panel.symbols[first_column + column],
            session=self.market.panel.sessions[first_row + row].date(),
        )

    def refuse(
        self, expected: str, found: str, cause: BaseException | None = None, *, advice: str = "", **where: object
    ) -> NoReturn:
        """Refuse the member by name; ``advice`` is what mends most members of which this is found."""
        raise PluginError(
            expected=expected,
            found=found,
            remedy=f"mend {self.name}{advice and ': '}{advice}; it is held to bars of made-up symbols",
            **place_of(self.function, cause),
            key="plugins",
            **{self.kind: self.name, **where},
        ) from cause


@dataclass(frozen=True, eq=False)
class _HeldFeature(Held):
    entry: Feature

    def computed(self, original: Market) -> FloatArray:
        """What the feature says of a market."""
        entry = self.entry

        def compute(market: Market) -> object:
            context = Context(
                log_return=market.log_return if entry.needs_market else None,
                series=market.series if entry.role else None,
                factors=(market.series,) if entry.factors else (),
            )
            return entry.computed(market.panel, context)

        return self.called(compute, original)

    def require_nothing_ahead(self, whole: FloatArray, cuts: Collection[int], draw: FloatArray) -> None:
        """Refuse values that the bars after some rows change: cut off, or others in their place."""
        for last in sorted({*cuts, self.market.panel.session_count - 2}):
            rows, ahead = slice(0, last + 1), slice(last + 1, None)
            self.require_same(whole[rows], self.computed(self.market.of(rows)), *_AHEAD)
            self.require_same(whole[rows], self.computed(self.market.times(ahead, draw))[rows], *_AHEAD)

    def require_nothing_made_up(self, values: FloatArray) -> None:
        """Refuse values of windows that lack a bar."""
        if self.entry.reads_series:
            return  # a series goes on where bars end: where there is no bar, its feature is taken out
        has_fields = np.logical_and.reduce(
            [np.isfinite(getattr(self.market.panel, name)) for name in self.entry.fields]
        )
        whole = _whole_windows(has_fields, self.entry.reach_sessions)
        expectation = f"NaN where one of the {self.entry.reach_sessions + 1} bars within reach is missing"
        self.require_all(
            whole | np.isnan(values), values, None, expectation, "a value, made up or of fewer bars", advice=_WINDOWS
        )


def _whole_windows(has_fields: BoolArray, reach: int) -> BoolArray:
    """Where the last ``reach`` + 1 rows are all there."""
    missing = np.vstack([np.zeros((1, has_fields.shape[1]), dtype=np.int64), (~has_fields).cumsum(axis=0)])
    whole = np.zeros(has_fields.shape, dtype=bool)
    whole[reach:] = missing[reach + 1 :] == missing[: len(missing) - reach - 1]
    return whole
