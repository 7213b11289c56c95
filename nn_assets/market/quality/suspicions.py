"""Prices and splits that do not fit each other, for a person's decision. Nothing is ever repaired here.

A move's size alone tells nothing: shares crash by half and split by half. What tells is the ratio
(near a stated split, or near a hundred), whether the price came back at once, and whether the whole
move happened overnight without a rush to trade: news moves prices with volume (Karpoff 1987), a
split or a spin-off moves them without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.market.quality.dividend_suspicions import SymbolBars, dividend_suspicions
from nn_assets.market.quality.notices import Notice
from nn_assets.market.quality.past import WHOLE_SPLITS

__all__ = ["Basis", "suspicions"]

Basis = Literal["raw", "split_adjusted"]
FloatArray = npt.NDArray[np.float64]

_LEAST_MOVE = 0.25  # log return that calls for an explanation
_UNITS = (100.0, 1000.0)  # cents for dollars, pence for pounds, fils and mils
_UNIT_SLACK = 0.25  # log: the price also moves
_SPLIT_REACH = 10  # bars around the ex-session in which a split's ratio is looked for
_SPLIT_SLACK = 0.25  # share of the ratio's logarithm
_LEAST_SPLIT = 0.15  # log of the smallest split that stands out of ordinary moves
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
class _Jump:
    """A move that called for an explanation, and the rule that has one."""

    rule: str
    at: int
    move: float  # log, stated actions taken off
    proposal: str


def suspicions(bars: pd.DataFrame, actions: pd.DataFrame, *, basis: Basis = "raw") -> tuple[Notice, ...]:
    """Point out prices, splits and dividends that contradict each other.

    Parameters
    ----------
    bars : DataFrame
        Columns symbol, session, open, high, low, close, volume, one row per symbol and bar; with
        ``adjusted_close`` beside them, the vendor's factor is held against the dividends too. Rows
        without a close above zero are passed over.
    actions : DataFrame
        Columns symbol, ex_session, kind, value, as stated by the source.
    basis : {"raw", "split_adjusted"}
        Whether the prices fall at a split, or the source has taken splits out already.

    Returns
    -------
    tuple of Notice
        Ordered by symbol, then session. Rules: ``price_unit`` (100 or 1000 times the bars around, or
        high over low so), ``split_misapplied`` (a stated split that the prices show elsewhere, twice or
        not at all), ``price_spike`` (a move taken back at once), ``unrecorded_action`` (an overnight
        move without a rush to trade and without an action); value: close over the close before, stated
        splits taken off. And those of
        :func:`nn_assets.market.quality.dividend_suspicions.dividend_suspicions`. Each message ends in a
        proposal.
    """
    usable = bars[np.isfinite(bars["close"]) & (bars["close"] > 0.0)].sort_values(["symbol", "session"], kind="stable")
    market = _market_moves(usable)
    notices: list[Notice] = []
    for symbol, rows in usable.groupby("symbol", sort=True):
        own = SymbolBars.of(str(symbol), rows, actions[actions["symbol"] == symbol], split_in_price=basis == "raw")
        judged = [*_price_notices(own, market.reindex(own.session).to_numpy()), *dividend_suspicions(own)]
        notices += sorted(judged, key=lambda notice: notice.first_session)
    return tuple(notices)


def _market_moves(bars: pd.DataFrame) -> pd.Series:
    """Median log return over the symbols of each session; 0 where too few have one."""
    returns = np.log(bars["close"]).groupby(bars["symbol"]).diff()
    by_session = returns.groupby(bars["session"])
    return by_session.median().where(by_session.count() >= _FEWEST_SYMBOLS, 0.0)


def _price_notices(own: SymbolBars, market: FloatArray) -> list[Notice]:
    large = np.flatnonzero(np.abs(np.nan_to_num(own.left)) >= _LEAST_SPLIT)
    judged = (_explained(own, int(at), market) for at in large)
    jumps = [jump for jump in judged if jump is not None]
    units = {at for jump in jumps if jump.rule == "price_unit" for at in (jump.at - 1, jump.at)}
    return [*_runs(own, jumps), *(_unit_in_bar(own, at) for at in _mixed_units(own) if at not in units)]


def _explained(own: SymbolBars, at: int, market: FloatArray) -> _Jump | None:
    """What explains the move left at a bar; None where it is small, or may well be real."""
    move = float(own.left[at])
    unit = _near_unit(move)
    if unit:
        return _Jump("price_unit", at, move, f"prices {unit:g} times off: state the currency unit, restate the bars")
    split = _nearby_split(own, at, move)
    if split:
        return _Jump("split_misapplied", at, move, f"a split of {split:g} is stated near: restate its day, or the bars")
    paid = 1.0 - own.dividend[at] / own.previous_close[at]
    unexplained = move - (float(np.log(paid)) if paid > 0.0 else 0.0)
    if min(abs(move - market[at]), abs(unexplained - market[at])) < _LEAST_MOVE or _few_ticks(own, at):
        return None
    rush = _rush(own, at)
    if _came_back(own, at) and not rush >= _RUSH and not abs(move) < _SPIKE_Z * own.scale_before(at):
        return _Jump("price_spike", at, move, "withdraw or restate the bar")
    if _overnight(own, at) / move >= _OVERNIGHT and rush < _RUSH:
        return _Jump("unrecorded_action", at, move, _unrecorded(own, at))
    return None


def _few_ticks(own: SymbolBars, at: int) -> bool:
    """Whether the close moved by no more than a tick or two of the grid that the bars before show."""
    before = slice(max(0, at - _VALUE_WINDOW), at)
    prices = np.concatenate([getattr(own, name)[before] for name in ("open", "high", "low", "close")])
    steps = np.diff(np.unique(prices[np.isfinite(prices)]))
    return len(steps) > 0 and bool(abs(own.close[at] - own.close[at - 1]) <= _FEW_TICKS * steps.min())


def _came_back(own: SymbolBars, at: int) -> bool:
    """Whether a move undoes the one before, or the next one undoes it."""
    beside = own.left[max(0, at - 1) : at + 2]
    return bool((np.abs(own.left[at] + beside) <= _CAME_BACK * np.abs(own.left[at])).any())


def _overnight(own: SymbolBars, at: int) -> float:
    """Log move from the close before to the open, stated splits taken off; NaN without an open."""
    return float(np.log(own.open[at] / own.previous_close[at])) if own.open[at] > 0.0 else float("nan")


def _unrecorded(own: SymbolBars, at: int) -> str:
    shown = np.array([_overnight(own, at), own.left[at]])
    for ratio in _SPLITS:
        if np.nanmin(np.abs(shown + np.log(ratio))) <= _SIMPLE_SLACK:
            return f"record a split of {ratio:g} new shares for one, once it is confirmed"
    worth = own.previous_close[at] - own.close[at]
    return f"record a distribution worth about {worth:g} a share (a spin-off, say) or a split, whichever is confirmed"


def _near_unit(move: float) -> float:
    return next((unit for unit in _UNITS if abs(abs(move) - np.log(unit)) <= _UNIT_SLACK), 0.0)


def _nearby_split(own: SymbolBars, at: int, move: float) -> float:
    reach = slice(max(0, at - _SPLIT_REACH), at + _SPLIT_REACH + 1)
    for split in own.split[reach][own.split[reach] != 1.0]:
        size = abs(float(np.log(split)))
        if size >= _LEAST_SPLIT and abs(abs(move) - size) <= _SPLIT_SLACK * size:
            return float(split)
    return 0.0


def _rush(own: SymbolBars, at: int) -> float:
    """Value traded over its median before; NaN where the past is too short to say."""
    traded = own.close * own.volume
    before = traded[max(0, at - _VALUE_WINDOW) : at]
    before = before[np.isfinite(before) & (before > 0.0)]
    if len(before) < _FEWEST_VALUES:
        return float("nan")
    return float(traded[at] / np.median(before))


def _mixed_units(own: SymbolBars) -> list[int]:
    """Bars whose own prices stand about a hundred times apart."""
    prices = np.column_stack([own.open, own.high, own.low, own.close])
    prices = np.where(prices > 0.0, prices, np.nan)
    apart = np.nanmax(prices, axis=1) / np.nanmin(prices, axis=1)
    return [int(at) for at in np.flatnonzero(apart >= _UNITS[0] * np.exp(-_UNIT_SLACK))]


def _unit_in_bar(own: SymbolBars, at: int) -> Notice:
    apart = own.high[at] / own.low[at]
    return own.notice("price_unit", at, at, apart, "prices of one bar stand in two units: restate the bar")


def _runs(own: SymbolBars, jumps: Sequence[_Jump]) -> list[Notice]:
    """One notice for a move and the move back, over the bars between; one for each move without return."""
    notices: list[Notice] = []
    waiting: _Jump | None = None
    for jump in [*jumps, None]:
        if waiting is None:
            waiting = jump
            continue
        back = jump is not None and jump.rule == waiting.rule and jump.move * waiting.move < 0.0
        last = jump.at - 1 if back and jump is not None else waiting.at
        notices.append(own.notice(waiting.rule, waiting.at, last, float(np.exp(waiting.move)), waiting.proposal))
        waiting = None if back else jump
    return notices
