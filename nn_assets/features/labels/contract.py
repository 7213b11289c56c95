"""The contract of a label, held on a market made for it: it is known at its horizon, not later, and not before.

The label of row t is made of bars up to t + lag + horizon and of nothing after; it depends on what comes after t, else
it is a feature; it is NaN where the bar of the fill or of the horizon is missing. One that is relative says nothing of
the market: what moves every name alike changes no sign. The unit that a value is learned in is known at t itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray, read_only
from nn_assets.features.contract import Held, Market, kept_by, made_up_market
from nn_assets.features.labels.compute import _LARGEST_VALUE, called, recent_volatility
from nn_assets.features.labels.definition import LabelFacts, OwnReturn
from nn_assets.features.labels.registry import label_kind
from nn_assets.settings import LabelSettings

_SYMBOLS = tuple(f"SIM{number:02d}" for number in range(1, 13))
_SEED = 22
_FEWEST_BARS, _LONG_BARS = 400, 2_600  # the long ones are ten years of sessions
_EVERY_DAY = 24  # last known rows, each asked by itself: a month's, whatever the day of the week
_CASH, _CANDIDATES_ABOVE = 1e-6, 14.0  # of the made-up series, from 10 to 40: a cash rate, and who may be trained on
_MARKET_MOVES = (0.8, 1.25)
_MOST_CUT = 0.1  # of values; of returns in units of their own spread next to none lie so far out
_NO_SIGN = 1e-9  # own returns nearer to nothing may change their sign by rounding


def require_sound_label(label: LabelSettings) -> None:
    """Refuse a kind of label that breaks its contract, with its own settings and the strategy's horizon and execution.

    Nor may it keep anything of what it is asked, change its input or make values up.

    Raises
    ------
    SettingsError
        There is no such kind, or its settings are not as it states them.
    PluginError
        Names the label, the bar and the values.
    """
    entry, span = label_kind(label), label.execution_lag_sessions + label.horizon_sessions
    short = made_up_market(span, _FEWEST_BARS + 2 * span, _SYMBOLS)
    held = _HeldLabel("label", label.kind, entry.own_return, short, label, entry.own_return)
    kept = kept_by(label.kind, entry.own_return)
    whole = held.computed(held.market)
    held.require_same(
        whole, held.computed(held.market), "computed twice alike", "two computations of the same bars differ"
    )
    held.require_numbers(whole)
    bars = held.market.panel.session_count
    held.require_nothing_past_the_horizon(whole, [span + 12, span + 20, span + 34, bars * 2 // 3])
    held.require_nothing_past_the_horizon(whole, range(bars - 1 - _EVERY_DAY, bars - 1), others=False)
    held.require_what_comes_after(whole)
    held.require_unknown_without_its_bars(whole)
    if entry.relative:
        held.require_nothing_of_the_market(whole)
    held.require_nothing_kept(kept, entry.own_return)
    market = made_up_market(span, _LONG_BARS + 2 * span, _SYMBOLS)
    years = _HeldLabel("label", label.kind, entry.own_return, market, label, entry.own_return)
    years.require_nothing_past_the_horizon(years.computed(years.market), [_LONG_BARS * 2 // 3])
    for part, compute in (("scale", entry.scale), ("centre", entry.centre)):
        if compute is not None:
            unit = _HeldLabel(f"label's {part}", label.kind, compute, short, label, compute)
            in_units = unit.computed(unit.market)
            unit.require_known_at_once(in_units, [bars // 3, bars * 2 // 3, bars - 2], part)
            if part == "scale" and entry.learns == "value":
                unit.require_unit_of(whole, in_units)
    if entry.ranked_against is not None:
        ranked = _HeldLabel(
            "label's ranked_against", label.kind, entry.ranked_against, short, label, entry.ranked_against
        )
        values = ranked.computed(ranked.market)
        ranked.require_numbers(values)
        ranked.require_nothing_past_the_horizon(values, [span + 12, bars * 2 // 3, bars - 2])
        ranked.require_what_comes_after(values)


@dataclass(frozen=True, eq=False)
class _HeldLabel(Held):
    label: LabelSettings
    compute: OwnReturn

    @property
    def span(self) -> int:
        """Sessions from the decision to the horizon."""
        return self.label.execution_lag_sessions + self.label.horizon_sessions

    @property
    def known(self) -> int:
        """Rows whose horizon lies on the axis."""
        return self.market.panel.session_count - self.span

    def computed(self, original: Market) -> FloatArray:
        """Own returns of a market, (bars, symbols); cash and candidates follow from it."""

        def own_return(market: Market) -> object:
            cash = read_only(market.series.values[:, 0] * _CASH)
            candidates = read_only(market.series.values > _CANDIDATES_ABOVE)
            volatility = read_only(recent_volatility(market.panel))
            return called(self.compute, market.panel, self.label, LabelFacts(cash, candidates, volatility))

        return self.called(own_return, original)

    def computed_with_others_after(self, row: int) -> FloatArray:
        """Own returns where other bars come after a row, some of them missing."""
        factor = np.random.default_rng(_SEED).uniform(0.5, 2.0, self.market.panel.close.shape)
        return self.computed(self.market.times(slice(row + 1, None), factor))

    def require_unknown_without_its_bars(self, whole: FloatArray) -> None:
        """Refuse values of rows whose fill or horizon has no bar, or lies beyond the axis."""
        price = self.market.panel.open if self.label.execution == "next_open" else self.market.panel.close
        has_price, lag = np.isfinite(price), self.label.execution_lag_sessions
        can_be_known = np.zeros(whole.shape, dtype=bool)
        can_be_known[: self.known] = has_price[lag : lag + self.known] & has_price[self.span :]
        expected = f"NaN where the bar of the fill, {lag} on, or of the horizon, {self.span} on, is missing"
        self.require_all(
            can_be_known | np.isnan(whole),
            whole,
            None,
            f"{expected} or not there yet",
            "a value, made up",
            advice="forward_returns(panel, label) has none there",
        )

    def require_nothing_past_the_horizon(self, whole: FloatArray, cuts: Iterable[int], *, others: bool = True) -> None:
        """Refuse values that bars after the horizon change: cut off and, with ``others``, others in their place."""
        texts = (
            f"a label that nothing after its horizon, {self.span} sessions on, changes",
            "what comes after its horizon changes it",
        )
        for last in cuts:
            rows, labels = slice(0, last + 1), slice(0, last + 1 - self.span)
            self.require_same(whole[labels], self.computed(self.market.of(rows))[labels], *texts)
            if others:
                self.require_same(whole[labels], self.computed_with_others_after(last)[labels], *texts)

    def require_known_at_once(self, whole: FloatArray, cuts: Iterable[int], part: str) -> None:
        """Refuse a scale or centre that bars after a session change, or a scale that is not above 0."""
        self.require_numbers(whole)
        self.require_all(~(whole < 0.0) | (part != "scale"), whole, None, "a scale above 0", "one below")
        texts = f"a {part} that nothing after its session changes", "what comes after its session changes it"
        for last in cuts:
            rows = slice(0, last + 1)
            self.require_same(whole[rows], self.computed(self.market.of(rows)), *texts)
            self.require_same(whole[rows], self.computed_with_others_after(last)[rows], *texts)

    def require_unit_of(self, returns: FloatArray, scale: FloatArray) -> None:
        """Refuse a scale in which values are cut: it is no spread of the returns, as of one in another unit."""
        with np.errstate(divide="ignore", invalid="ignore"):
            units = np.abs(returns / scale)
        there = np.isfinite(units)
        cut = float((units[there] > _LARGEST_VALUE).mean()) if there.any() else 1.0
        if cut > _MOST_CUT:
            self.refuse(
                f"a scale that is the spread of the returns, of which at most {_MOST_CUT:.0%} lie further than "
                f"{_LARGEST_VALUE:g} of it from 0",
                f"{cut:.0%} do, and are cut there",
            )

    def require_what_comes_after(self, whole: FloatArray) -> None:
        """Refuse values that nothing after their session changes, though it is there: those are a feature's."""
        rows, changes = range(self.known - _EVERY_DAY, self.known), np.zeros(whole.shape, dtype=bool)
        for row in rows:
            after = self.computed_with_others_after(row)[row]
            changes[row] = np.isfinite(after) & np.isfinite(whole[row]) & (after != whole[row])
        last = slice(rows[-1], rows[-1] + 1)
        self.require_all(
            np.asarray(changes.any(axis=0, keepdims=True)),
            whole[last],
            None,
            "a label that depends on what comes after its session",
            "nothing after its session changes it, so that it is a feature",
            rows[-1],
        )

    def require_nothing_of_the_market(self, whole: FloatArray) -> None:
        """Refuse signs that a move of every name alike changes."""
        bars, settled = self.market.panel.session_count, np.abs(whole) <= _NO_SIGN
        for factor in _MARKET_MOVES:
            for row in (bars // 3, bars * 2 // 3):
                moved = self.market.times(slice(row, None), np.full(whole.shape, factor)).panel
                after = self.computed(replace(self.market, panel=moved))
                missing = np.isnan(after) & np.isnan(whole)
                same: BoolArray = np.logical_or.reduce([np.sign(after) == np.sign(whole), settled, missing])
                expected = "a relative label, whose sign a move of every name alike leaves as it is"
                self.require_all(same, whole, after, expected, f"all prices times {factor} from a session on change it")
