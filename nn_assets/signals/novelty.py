"""What follows from a row, or a whole session, that is unlike anything its model was fitted on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nn_assets.arrays import FloatArray, Symbol

_NAMED = 5
_DAY_NOT_JUDGED = "the day as a whole is not judged: the 20 sessions before it have no scores"


def confidence_share(p_values: FloatArray, unlike_p_value: float) -> FloatArray:
    """min(1, p / the level below which a row is unlike), of the arrays' shape; 1 where p is not known.

    Monotone in p; rows that are like the fold's own keep their confidence to the bit.
    """
    return np.where(np.isfinite(p_values), np.minimum(1.0, p_values / unlike_p_value), 1.0)


@dataclass(frozen=True)
class DayNovelty:
    """How unlike a session as a whole is.

    Attributes
    ----------
    rows, unlike : how many rows were scored, and how many are unlike
    score : mean of -ln p over the rows; 1 on an ordinary session; None without a row that was scored
    p_value : of what sets it apart from the 20 sessions before it, among the sessions of the model's fold; None where
        those have no scores: the day as a whole is not judged
    unlike_day : whether that is rarer than chance brings as often a year as the settings say
    symbols : the most unlike rows, by name
    """

    rows: int
    unlike: int
    score: float | None
    p_value: float | None
    unlike_day: bool
    symbols: tuple[Symbol, ...] = ()

    @property
    def share(self) -> float:
        """Share of the rows that are unlike."""
        return self.unlike / self.rows if self.rows else 0.0

    @property
    def sentence(self) -> str:
        """What a person reads of an unlike day, or of unlike rows."""
        if self.score is None:
            return "no row is judged: on this session each lacks a feature that its model scores"
        named = f", first of all {', '.join(self.symbols)}" if self.symbols else ""
        rows = f"{self.unlike} of {self.rows} rows are unlike any that the model was fitted on{named}"
        if self.p_value is None:
            return f"{rows}; {_DAY_NOT_JUDGED}"
        if not self.unlike_day:
            return rows
        return f"an unlike day, p {self.p_value:.2g} among the sessions that the model was fitted on: {rows}"

    def to_record(self) -> dict[str, Any]:
        """As JSON values, for a decision's details."""
        return asdict(self) | {"symbols": list(self.symbols)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> DayNovelty:
        """Rebuild what :meth:`to_record` gave."""
        return cls(**{**record, "symbols": tuple(record["symbols"])})


def judge_day(
    p_values: FloatArray,
    symbols: tuple[Symbol, ...],
    *,
    score: float,
    day_p_value: float,
    sessions: int,
    unlike_p_value: float,
    days_a_year: float,
    sessions_per_year: int,
) -> DayNovelty:
    """Judge a session by its rows' p-values, (symbols,), and its own.

    NaN in ``score`` or ``day_p_value``, not known, is None in what it says.

    An unlike day has a p-value of at most ``days_a_year / sessions_per_year``; of a fold with too few ``sessions`` for
    so small a one, the smallest there is: a session more unlike than all of the fold's.
    """
    finite = np.isfinite(p_values)
    unlike = finite & (p_values < unlike_p_value)
    order = np.argsort(np.where(unlike, p_values, np.inf), kind="stable")
    level = max(days_a_year / sessions_per_year, 1.0 / (sessions + 1.0))
    return DayNovelty(
        rows=int(finite.sum()),
        unlike=int(unlike.sum()),
        score=None if math.isnan(score) else round(score, 6),
        p_value=None if math.isnan(day_p_value) else round(day_p_value, 6),
        unlike_day=bool(day_p_value <= level),
        symbols=tuple(symbols[index] for index in order[: min(_NAMED, int(unlike.sum()))]),
    )
