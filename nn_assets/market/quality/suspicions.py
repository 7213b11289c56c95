"""Prices and splits that do not fit each other, for a person's decision. Nothing is ever repaired here.

A move's size alone decides nothing: shares crash by half and split by half. What decides is the ratio
(near a stated split, or near a hundred), whether the price came back at once, and whether the whole
move happened overnight without a rush to trade: news moves prices with volume (Karpoff 1987), a
split or a spin-off moves them without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import FloatArray, Symbol
from nn_assets.contracts.frames import ActionVersions, DailyBars
from nn_assets.market.quality.dividend_suspicions import (
    Paid,
    Spot,
    SymbolBars,
    dividend_suspicions,
    paid_from,
)
from nn_assets.market.quality.notices import Notice
from nn_assets.market.quality.past import WHOLE_SPLITS

_LEAST_MOVE = 0.25  # log return that calls for an explanation
_UNITS = (100.0, 1000.0)  # cents for dollars, pence for pounds, fils and mils
_UNIT_SLACK = 0.25  # log: the price also moves
MIXED = _UNITS[0] * np.exp(-_UNIT_SLACK)  # factor between a bar's prices
SPLIT_REACH = 10  # bars around the ex-session in which a split's ratio is looked for
_SPLIT_SLACK = 0.25  # share of the ratio's logarithm
LEAST_SPLIT = 0.15  # log of the smallest split that is larger than ordinary moves
_CAME_BACK = 0.2  # share of a move that may be left after the next bar
_OVERNIGHT = 0.7  # share of a move that the open shows
_RUSH = 4.0  # value traded, in its own median over the sessions before
_VALUE_WINDOW, _FEWEST_VALUES = 20, 5
_FEWEST_SYMBOLS = 5  # below which their median is no market
_FEW_TICKS = 2.5  # of the price's own grid: what a coarse quotation moves by
_SPIKE_Z = 6.0  # robust standard deviations of a move that came back
# Without 4:3 and 5:2: of real moves near those (eBay 2015, HPE 2017) two of two were spin-offs.
_SPLITS = (*WHOLE_SPLITS, 1.5, *(1.0 / whole for whole in WHOLE_SPLITS))
_SIMPLE_SLACK = 0.05  # log


@dataclass(frozen=True)
class Jump(Spot):
    """A move that called for an explanation, and the rule that has one."""

    rule: str
    move: float  # log, stated actions taken off
    proposal: str
    session_before: pd.Timestamp  # of the bar before


@dataclass(frozen=True)
class Mixed(Spot):
    """A bar whose own prices differ by a factor of about a hundred."""

    apart: float  # high over low


@dataclass(frozen=True)
class SymbolEvents:
    """The events in a symbol's bars and actions from which its notices are made, each kind in order."""

    jumps: tuple[Jump, ...] = ()
    mixed: tuple[Mixed, ...] = ()
    paid: tuple[Paid, ...] = ()

    @classmethod
    def of(cls, own: SymbolBars, market: FloatArray, first: int = 0) -> SymbolEvents:
        """Find the events on bars from index ``first`` on; ``market``, (bars,), is each session's median move."""
        large = np.flatnonzero(np.abs(np.nan_to_num(own.left)) >= LEAST_SPLIT)
        jumps = (_explained(own, int(index), market) for index in large if index >= first)
        mixed = (Mixed(**own.spot(index), apart=float(own.high[index] / own.low[index])) for index in _mixed_units(own))
        return cls(
            tuple(jump for jump in jumps if jump is not None),
            tuple(bar for bar in mixed if bar.at >= own.earlier + first),
            tuple(paid_from(own, first)),
        )

    def up_to(self, index: int) -> SymbolEvents:
        """The events on bars before an index."""
        return SymbolEvents(*(tuple(event for event in part if event.at < index) for part in self.parts))

    def and_then(self, later: SymbolEvents) -> SymbolEvents:
        """These events, followed by later ones."""
        return SymbolEvents(
            *((*earlier_part, *later_part) for earlier_part, later_part in zip(self.parts, later.parts, strict=True))
        )

    @property
    def parts(self) -> tuple[tuple[Any, ...], ...]:
        """Jumps, bars of mixed units and dividends."""
        return self.jumps, self.mixed, self.paid

    def notices(self, symbol: Symbol) -> list[Notice]:
        """What a person should judge, by session."""
        notices = [*_price_notices(symbol, self.jumps, self.mixed), *dividend_suspicions(symbol, self.paid)]
        return sorted(notices, key=lambda notice: notice.first_session)


def events_by_symbol(bars: DailyBars, actions: ActionVersions) -> dict[Symbol, SymbolEvents]:
    """The events in each symbol's bars and actions, in order of symbol; bars without a close above zero are none."""
    usable = bars[np.isfinite(bars["close"]) & (bars["close"] > 0.0)].sort_values(["symbol", "session"], kind="stable")
    market, events = market_moves(usable), {}
    of_symbol = dict(iter(actions.groupby("symbol")))
    for symbol, rows in usable.groupby("symbol", sort=True):
        own = SymbolBars.of(str(symbol), rows, of_symbol.get(symbol, actions.iloc[:0]))
        events[str(symbol)] = SymbolEvents.of(own, market.reindex(own.session).to_numpy())
    return events


def market_moves(bars: DailyBars) -> pd.Series:
    """Median log return over the symbols of each session; 0 where too few have one."""
    returns = np.log(bars["close"]).groupby(bars["symbol"]).diff()
    by_session = returns.groupby(bars["session"])
    medians: pd.Series = by_session.median().where(by_session.count() >= _FEWEST_SYMBOLS, 0.0)
    return medians


def _price_notices(symbol: Symbol, jumps: Sequence[Jump], mixed: Sequence[Mixed]) -> list[Notice]:
    units = {index for jump in jumps if jump.rule == "price_unit" for index in (jump.at - 1, jump.at)}
    proposal = "prices of one bar stand in two units: restate the bar"
    in_bar = (
        bar.notice("price_unit", symbol, bar.session, bar.apart, proposal) for bar in mixed if bar.at not in units
    )
    return [*_runs(symbol, jumps), *in_bar]


def _explained(own: SymbolBars, index: int, market: FloatArray) -> Jump | None:
    """What explains the move left at a bar; None where it is small, or may well be real."""
    explanation = _explanation(own, index, market)
    if explanation is None:
        return None
    before = pd.Timestamp(own.session[index - 1])
    return Jump(
        **own.spot(index),
        rule=explanation[0],
        move=float(own.left[index]),
        proposal=explanation[1],
        session_before=before,
    )


def _explanation(own: SymbolBars, index: int, market: FloatArray) -> tuple[str, str] | None:
    """The rule, and what to do."""
    move = float(own.left[index])
    unit = _near_unit(move)
    if unit:
        return "price_unit", f"prices {unit:g} times off: state the currency unit, restate the bars"
    split = _nearby_split(own, index, move)
    if split:
        return "split_misapplied", f"a split of {split:g} is stated near: restate its day, or the bars"
    paid = 1.0 - own.dividend[index] / own.previous_close[index]
    unexplained = move - (float(np.log(paid)) if paid > 0.0 else 0.0)
    if min(abs(move - market[index]), abs(unexplained - market[index])) < _LEAST_MOVE or _few_ticks(own, index):
        return None
    rush = _rush(own, index)
    if _came_back(own, index) and not rush >= _RUSH and not abs(move) < _SPIKE_Z * own.scale_before(index):
        return "price_spike", "withdraw or restate the bar"
    if _overnight(own, index) / move >= _OVERNIGHT and rush < _RUSH:
        return "unrecorded_action", _unrecorded(own, index)
    return None


def _few_ticks(own: SymbolBars, index: int) -> bool:
    """Whether the close moved by no more than a tick or two of the grid that the bars before show."""
    before = slice(max(0, index - _VALUE_WINDOW), index)
    prices = np.concatenate([getattr(own, name)[before] for name in ("open", "high", "low", "close")])
    steps = np.diff(np.unique(prices[np.isfinite(prices)]))
    return len(steps) > 0 and bool(abs(own.close[index] - own.close[index - 1]) <= _FEW_TICKS * steps.min())


def _came_back(own: SymbolBars, index: int) -> bool:
    """Whether a move undoes the one before, or the next one undoes it."""
    neighbours = own.left[max(0, index - 1) : index + 2]
    return bool((np.abs(own.left[index] + neighbours) <= _CAME_BACK * np.abs(own.left[index])).any())


def _overnight(own: SymbolBars, index: int) -> float:
    """Log move from the close before to the open, stated splits taken off; NaN without an open."""
    return float(np.log(own.open[index] / own.previous_close[index])) if own.open[index] > 0.0 else float("nan")


def _unrecorded(own: SymbolBars, index: int) -> str:
    shown = np.array([_overnight(own, index), own.left[index]])
    for ratio in _SPLITS:
        if np.nanmin(np.abs(shown + np.log(ratio))) <= _SIMPLE_SLACK:
            return f"record a split of {ratio:g} new shares for one, once it is confirmed"
    worth = own.previous_close[index] - own.close[index]
    return f"record a distribution worth about {worth:g} a share (a spin-off, say) or a split, whichever is confirmed"


def _near_unit(move: float) -> float:
    return next((unit for unit in _UNITS if abs(abs(move) - np.log(unit)) <= _UNIT_SLACK), 0.0)


def _nearby_split(own: SymbolBars, index: int, move: float) -> float:
    reach = slice(max(0, index - SPLIT_REACH), index + SPLIT_REACH + 1)
    for split in own.split[reach][own.split[reach] != 1.0]:
        size = abs(float(np.log(split)))
        if size >= LEAST_SPLIT and abs(abs(move) - size) <= _SPLIT_SLACK * size:
            return float(split)
    return 0.0


def _rush(own: SymbolBars, index: int) -> float:
    """Value traded over its median before; NaN where the past is too short to say."""
    traded = own.close * own.volume
    before = traded[max(0, index - _VALUE_WINDOW) : index]
    before = before[np.isfinite(before) & (before > 0.0)]
    if len(before) < _FEWEST_VALUES:
        return float("nan")
    return float(traded[index] / np.median(before))


def _mixed_units(own: SymbolBars) -> list[int]:
    """Bars whose own prices differ by a factor of about a hundred."""
    return [int(index) for index in np.flatnonzero(apart(own.open, own.high, own.low, own.close) >= MIXED)]


def apart(*prices: FloatArray) -> FloatArray:
    """Largest price of each bar over its smallest, shape (bars,)."""
    of_bar = np.column_stack(prices)
    of_bar = np.where(of_bar > 0.0, of_bar, np.nan)
    return np.asarray(np.nanmax(of_bar, axis=1) / np.nanmin(of_bar, axis=1))


def _runs(symbol: Symbol, jumps: Sequence[Jump]) -> list[Notice]:
    """One notice for a move and the move back, over the bars between; one for each move without return."""
    notices: list[Notice] = []
    waiting: Jump | None = None
    for jump in [*jumps, None]:
        if waiting is None:
            waiting = jump
            continue
        back = jump is not None and jump.rule == waiting.rule and jump.move * waiting.move < 0.0
        last = jump.session_before if back and jump is not None else waiting.session
        notices.append(waiting.notice(waiting.rule, symbol, last, float(np.exp(waiting.move)), waiting.proposal))
        waiting = None if back else jump
    return notices
