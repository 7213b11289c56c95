"""Cleaning rules that judge a row by itself, or beside another delivery of the same bar.

Each takes the rows and the settings and gives the rows it finds at fault, with the field to blame.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from datetime import date
from typing import Self

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray, ObjectArray
from nn_assets.contracts import BRACKET_TOLERANCE
from nn_assets.contracts.frames import Quarantine
from nn_assets.market.facts.rows import Rows
from nn_assets.settings import CleaningSettings

_POSSIBLE_PRICES = (1e-12, 1e12)  # of the instrument's currency, a share or coin
_LARGEST_VOLUME = 1e18  # shares, contracts or coins


@dataclass(frozen=True)
class Finding:
    """Rows at fault, of each of them the field to blame, and what else to say of it."""

    at_fault: BoolArray  # (rows,)
    field: ObjectArray  # (rows at fault,)
    beside: ObjectArray | None = None  # (rows at fault,), sentences; None: nothing

    @classmethod
    def of(cls, at_fault: BoolArray, field: str) -> Self:
        """Blame one field of every row at fault."""
        return cls(at_fault, np.full(int(at_fault.sum()), field, dtype=object))


@dataclass(frozen=True)
class Rule:
    """A named rule: what a sound row keeps, how to find those that do not, and what a person can do.

    ``reach`` is how many earlier kept rows of its symbol a row's judgement may depend on, besides those of its session;
    None where any row before may count.
    """

    name: str
    demands: str
    find: Callable[[Rows, CleaningSettings], Finding]
    remedy: str
    reach: Callable[[CleaningSettings], int] | None = lambda settings: 0  # noqa: ARG005  a row by itself


class WithQuarantine:
    """Rows that were given in: those kept, and those in quarantine."""

    bars: pd.DataFrame
    quarantine: Quarantine

    @property
    def quarantined_fraction(self) -> float:
        """Share of the rows given in that are in quarantine; 0 of none."""
        rows = len(self.bars) + len(self.quarantine)
        return len(self.quarantine) / rows if rows else 0.0


def _blame_first(faults: dict[str, BoolArray]) -> Finding:
    """Blame the first field, in the order given, whose fault holds."""
    at_fault: BoolArray = np.logical_or.reduce(list(faults.values()))
    matrix = np.column_stack([fault[at_fault] for fault in faults.values()])
    return Finding(at_fault, np.array(list(faults), dtype=object)[matrix.argmax(axis=1)])


def _prices(rows: Rows) -> dict[str, FloatArray]:
    return {"open": rows.open, "high": rows.high, "low": rows.low, "close": rows.close}


def duplicate(rows: Rows, _settings: CleaningSettings) -> Finding:
    """Find several rows of one symbol and session that differ; equal ones are one row, and come here once.

    Which of them is right cannot be known, so none is used.
    """
    same_key = rows.follows.copy()
    same_key[1:] &= rows.session[1:] == rows.session[:-1]
    several = same_key.copy()
    several[:-1] |= same_key[1:]
    return Finding.of(several, "row")


def off_calendar(rows: Rows, _settings: CleaningSettings) -> Finding:
    """Find days on which the calendar has no session."""
    return Finding.of(~rows.on_calendar, "session")


def unfinished_last_bar(rows: Rows, _settings: CleaningSettings) -> Finding:
    """Find bars taken in, or known by their own moment, before their session closed: they may still change."""
    return _blame_first({"ingested_at": rows.ingested_at < rows.closes_at, "known_at": rows.known_at < rows.closes_at})


def missing_price(rows: Rows, _settings: CleaningSettings) -> Finding:
    """Find prices that are missing or not finite."""
    return _blame_first({name: ~np.isfinite(price) for name, price in _prices(rows).items()})


def non_positive_price(rows: Rows, _settings: CleaningSettings) -> Finding:
    """Find prices of zero or less."""
    return _blame_first({name: price <= 0.0 for name, price in _prices(rows).items()})


def impossible_size(rows: Rows, settings: CleaningSettings) -> Finding:
    """Find prices and volumes beyond any market's, with which sums and products overflow; of a contract, above 1."""
    low, high = _POSSIBLE_PRICES
    high = 1.0 if settings.binary_prices else high
    faults = {name: (price < low) | (price > high) for name, price in _prices(rows).items()}
    return _blame_first({**faults, "volume": (rows.volume > _LARGEST_VOLUME) & np.isfinite(rows.volume)})


def zero_volume(rows: Rows, settings: CleaningSettings) -> Finding:
    """Find no volume, or none known, where the instrument trades with volume; a negative one anywhere."""
    sound = rows.volume > 0.0 if settings.traded_with_volume else ~(rows.volume < 0.0)
    return Finding.of(~(sound & ~np.isinf(rows.volume)), "volume")


def high_low_bracket(rows: Rows, _settings: CleaningSettings) -> Finding:
    """Find high and low that do not bracket open and close; rounding of adjusted prices is let pass."""
    with np.errstate(over="ignore"):
        top, bottom = rows.high * (1.0 + BRACKET_TOLERANCE), rows.low * (1.0 - BRACKET_TOLERANCE)
    return _blame_first(
        {
            "high": top < rows.low,
            "close": (rows.close > top) | (rows.close < bottom),
            "open": (rows.open > top) | (rows.open < bottom),
        }
    )


ROW_RULES = (
    Rule("duplicate", "one row per symbol and session", duplicate, "ask the source which row is right"),
    Rule(
        "off_calendar",
        "a session of the calendar",
        off_calendar,
        "if the market traded, name the day under extra_sessions in the file market.calendar_overrides",
    ),
    Rule(
        "unfinished_last_bar",
        "a bar taken in, and known, after its session closed",
        unfinished_last_bar,
        "take the bar in again after the close; where the source states a known_at, it must not lie before the close",
    ),
    Rule("missing_price", "four finite prices", missing_price, "ask the source for the bar again"),
    Rule("non_positive_price", "prices above zero", non_positive_price, "correct the price at the source"),
    Rule(
        "impossible_size",
        "prices of 1e-12 to 1e12 (of binary contracts to 1), volume up to 1e18",
        impossible_size,
        "correct the figure, or its unit, at the source",
    ),
    Rule(
        "zero_volume",
        "volume above zero",
        zero_volume,
        "correct it at the source; for instruments without volume say cleaning.traded_with_volume: false",
    ),
    Rule(
        "high_low_bracket",
        "low <= open, close <= high",
        high_low_bracket,
        "compare with another source and correct the bar",
    ),
)
"""In this order; a row goes to quarantine under the first rule it breaks."""


def remedy_of(rule: Rule, day: date, extra_holidays: Container[date]) -> str:
    """What a person can do about a row; of a day that the overrides themselves close, that they do."""
    if rule.find is off_calendar and day in extra_holidays:
        return (
            "the day is listed under extra_holidays in the file market.calendar_overrides: "
            "take it out there if the market traded"
        )
    return rule.remedy
