"""What the pages show of explanations: the parts of each move, and what each feature was worth over the months."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_PARTS_SHOWN = 5

LEAST_MONTHS = 6
"""Months with a figure from which a mean over them has a t: the error of fewer is hardly known."""


@dataclass(frozen=True)
class MoveLine:
    """One forecast's move: probabilities before calibration, and the parts that moved it, the largest first."""

    symbol: str
    why: str
    before: float | None
    after: float | None
    missed: float | None
    parts: tuple[tuple[str, float, float], ...]  # (feature, logits, share of the session's largest part)
    others: float  # logits of the features not shown
    others_count: int


def move_lines(kept: Mapping[str, Any]) -> list[MoveLine]:
    """Lines of a session's explanation as it was kept."""
    known = [value for row in kept["rows"] for value in row["parts"].values() if value is not None]
    scale = max((abs(value) for value in known), default=0.0) or 1.0
    lines = []
    for row in kept["rows"]:
        values = {name: value for name, value in row["parts"].items() if value is not None}
        ordered = sorted(values.items(), key=lambda item: -abs(item[1]))
        shown, rest = ordered[:_PARTS_SHOWN], ordered[_PARTS_SHOWN:]
        lines.append(
            MoveLine(
                symbol=row["symbol"],
                why=row["why"],
                before=_probability(row["before"]),
                after=_probability(row["after"]),
                missed=row["missed"],
                parts=tuple((name, value, abs(value) / scale) for name, value in shown),
                others=math.fsum(value for _, value in rest),
                others_count=len(rest),
            )
        )
    return lines


def worst_missed(kept: Mapping[str, Any]) -> float | None:
    """The largest share of a move that its parts miss; None without a line."""
    return max((row["missed"] for row in kept["rows"] if row["missed"] is not None), default=None)


@dataclass(frozen=True)
class FeatureWorth:
    """By how much the loss that is learned rises without a feature, over months, in its unit; None where not known."""

    feature: str
    months: int  # that have a figure
    rise: float | None
    spread: float | None  # standard deviation of the months' means
    error: float | None  # spread over the root of the months
    share: float  # of the largest rise or fall, for its bar

    @property
    def t(self) -> float | None:
        """The rise over its error; None of fewer months than :data:`LEAST_MONTHS`."""
        known = self.rise is not None and self.error and self.months >= LEAST_MONTHS
        return self.rise / self.error if known else None


def feature_worths(kept: Mapping[str, Any]) -> list[FeatureWorth]:
    """A line a feature over the months kept, the most important first; those that all symbols share come last."""
    by_feature: dict[str, list[float | None]] = {}
    for month in kept["months"].values():
        for name, rise in month["rises"].items():
            by_feature.setdefault(name, []).append(rise)
    means = {
        name: np.array([value for value in values if value is not None], dtype=np.float64)
        for name, values in by_feature.items()
    }
    scale = max((abs(float(values.mean())) for values in means.values() if len(values)), default=0.0) or 1.0
    lines = []
    for name, values in means.items():
        rise = float(values.mean()) if len(values) else None
        spread = float(values.std(ddof=1)) if len(values) > 1 else None
        error = None if spread is None else spread / math.sqrt(len(values))
        share = 0.0 if rise is None else abs(rise) / scale
        lines.append(FeatureWorth(name, len(values), rise, spread, error, share))
    return sorted(lines, key=lambda line: (line.rise is None, -(line.rise or 0.0), line.feature))


def _probability(logit: float | None) -> float | None:
    return None if logit is None else 1.0 / (1.0 + math.exp(-logit))
