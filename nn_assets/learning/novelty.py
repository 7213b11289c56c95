"""How unlike anything that a model was fitted on a row of features is, by empirical p-values of three scores.

Two come of a distance (Mahalanobis 1936) with a shrunk covariance (Ledoit and Wolf 2004): its square, for a row whose
features do not go together; and the largest departure of a single feature from what the others say of it (Rousseeuw
and Van den Bossche 2018, eq. 6, in its linear form), for a row with one value that is out of all proportion. The third
is the error with which an autoencoder gives the row back. All read normal scores of the features (van der Waerden
1952): of fat tails as they are, the wildest rows of a crash would set the scale for all others. None reads a label.

A p-value is the share of the fold's own rows that are as unlike, so that those of two models can be compared; the
smallest of the three is ranked among the smallest of the fold's own rows, which allows for their dependence. Inference
adds numbers one by one, in one order: the bits of a row do not depend on the rows that are with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray, IntArray

REFERENCE_ROWS = 5000
"""Rows of the fold that p-values are counted in, at most, evenly spread over its time."""

MINIMUM_ROWS = 250
"""Training rows below which no score is fitted: a covariance of fewer is noise."""

KNOTS = 161
"""Quantiles of each feature that its normal scores are read between."""

_CHUNK = 8192
_DAYS = 20  # before a session: what it is held against
_QUIET = 0.5  # the least that the mean of -ln p of those sessions is taken for

Layers = tuple[tuple[FloatArray, FloatArray], ...]


@dataclass(frozen=True, eq=False)
class Rank:
    """The scores of a fold's own rows, by which a score becomes a p-value.

    Parameters
    ----------
    reference : ndarray, shape (rows,)
        Ascending, finite.
    """

    reference: FloatArray

    @classmethod
    def of(cls, scores: FloatArray) -> Self:
        """The ranks of some scores; NaN are left out."""
        return cls(np.sort(scores[np.isfinite(scores)]))

    def p_value(self, score: FloatArray) -> FloatArray:
        """(1 + how many of the reference are at least as large) / (1 + all): Davison and Hinkley (1997), eq. 4.11.

        NaN stays NaN, and is the answer where there is no reference. Of a fold with few rows, most of which the scores
        were fitted on, a new row of the same kind is beyond them more often: at p 0.01 3 times in 100 with 1,200 rows.
        """
        count = len(self.reference)
        above = count - np.searchsorted(self.reference, score, side="left")
        known = np.isfinite(score) if count else np.zeros(len(score), dtype=np.bool_)
        return np.where(known, (1.0 + above) / (count + 1.0), np.nan)


NO_RANK = Rank(np.empty(0))
"""Of no rows at all."""


@dataclass(frozen=True, eq=False)
class RowNovelty:
    """How unlike some rows are, arrays of shape (rows,); NaN where a score could not be fitted, or has no row."""

    distance: FloatArray  # squared, in units of the covariance
    departure: FloatArray  # the largest of any feature from what the others say of it, as a normal score
    error: FloatArray  # mean square over features; 1 for a row given back as its mean
    p_values: FloatArray  # (3, rows), of each score
    p_value: FloatArray  # of all together


@dataclass(frozen=True, eq=False)
class Novelty:
    """The three scores of a fold, as they travel with its model.

    Parameters
    ----------
    columns : ndarray of int, shape (scored,)
        Which of the model's features are scored, in their order.
    knots, normals : ndarray, shape (scored, knots)
        Quantiles of each feature on the training rows, ascending, and the normal scores that they stand for.
    whitening : ndarray, shape (scored, scored)
        W with W'W the inverse of the shrunk covariance of the normal scores.
    own : pair of ndarray, shape (scored, knots)
        As ``knots`` and ``normals``, of what the other features leave of each.
    layers : tuple of (weight, bias)
        Of the autoencoder, weight of shape (to, from), a ReLU between two of them; none where it did not train.
    ranks : tuple of Rank
        Of the reference rows: distance, departure, error (none where there is no autoencoder), and the smallest of
        their p-values, with its sign turned.
    days : Rank
        Of the fold's own sessions, by :func:`day_departures`.
    """

    columns: IntArray
    knots: FloatArray
    normals: FloatArray
    whitening: FloatArray
    own: tuple[FloatArray, FloatArray]
    layers: Layers
    ranks: tuple[Rank, ...]
    days: Rank

    def score(self, rows: FloatArray) -> RowNovelty:
        """Score rows of the model's scaled features, (rows, features); a row with a NaN has NaN scores."""
        parts = [self._score(rows[start : start + _CHUNK]) for start in range(0, max(len(rows), 1), _CHUNK)]
        joined = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts], axis=-1)
            for field in fields(RowNovelty)
        }
        return RowNovelty(**joined)

    def _score(self, rows: FloatArray) -> RowNovelty:
        unit = normal_scores(rows[:, self.columns], self.knots, self.normals)
        finite = np.isfinite(unit).all(axis=1).reshape(-1)
        unit = np.where(finite[:, None], unit, 0.0)
        white = whitened(unit, self.whitening)
        distance, departure, error = (
            np.where(finite, score, np.nan)
            for score in (_sum_of_squares(white), self._departure(white), self._error(unit))
        )
        by_score = zip(self.ranks, (distance, departure, error), strict=False)
        p_values = np.stack([rank.p_value(score) for rank, score in by_score])
        return RowNovelty(distance, departure, error, p_values, self.ranks[-1].p_value(-_least(p_values)))

    def _departure(self, white: FloatArray) -> FloatArray:
        """The largest departure over features, each as a normal score among its own on the training rows.

        Of two features that are nearly one, what the other leaves has fat tails of its own: as it is it would hide all.
        """
        scores = normal_scores(departures_from_others(white, self.whitening), *self.own)
        largest: FloatArray = np.abs(scores).max(axis=1)
        return largest

    def _error(self, unit: FloatArray) -> FloatArray:
        if not self.layers:
            return np.full(len(unit), np.nan)
        return _sum_of_squares(unit - _through(unit, self.layers)) / len(self.columns)

    def ranked(self, rows: FloatArray) -> Novelty:
        """The same scores with some rows as the reference that makes p-values of them."""
        every = replace(self, ranks=(NO_RANK,) * 4).score(rows)
        ranks = [Rank.of(values) for values in (every.distance, every.departure, every.error)]
        least = _least(replace(self, ranks=(*ranks, NO_RANK)).score(rows).p_values)
        return replace(self, ranks=(*ranks, Rank.of(-least)))

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Lay everything out as named arrays."""
        arrays: dict[str, npt.NDArray[np.generic]] = {
            name: getattr(self, name) for name in ("columns", "knots", "normals", "whitening")
        }
        arrays |= {"own_knots": self.own[0], "own_normals": self.own[1]}
        arrays |= {f"rank{number}": rank.reference for number, rank in enumerate(self.ranks)}
        arrays["days"] = self.days.reference
        for number, (weight, bias) in enumerate(self.layers):
            arrays |= {f"layer{number}/weight": weight, f"layer{number}/bias": bias}
        return {name: np.ascontiguousarray(values) for name, values in arrays.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> Novelty:
        """Rebuild what :meth:`to_arrays` laid out."""
        count = sum(name.endswith("/weight") for name in arrays)
        numbers = {name: np.asarray(values, dtype=np.float64) for name, values in arrays.items() if name != "columns"}
        return cls(
            columns=np.asarray(arrays["columns"], dtype=np.int64),
            knots=numbers["knots"],
            normals=numbers["normals"],
            whitening=numbers["whitening"],
            own=(numbers["own_knots"], numbers["own_normals"]),
            layers=tuple((numbers[f"layer{n}/weight"], numbers[f"layer{n}/bias"]) for n in range(count)),
            ranks=tuple(Rank(numbers[f"rank{n}"]) for n in range(4)),
            days=Rank(numbers["days"]),
        )


@dataclass(frozen=True, eq=False)
class NoveltyFit:
    """Scores of a fold, or why there are none; and what is not scored, by name, with the reason."""

    novelty: Novelty | None
    figures: Mapping[str, Any]  # JSON values: ``left_out`` of features, ``rows``, and ``none`` with why there is none


def scorable(rows: FloatArray, names: tuple[str, ...]) -> tuple[IntArray, dict[str, str]]:
    """Which features of training rows, (rows, features), can be scored; and why each of the others cannot."""
    kept, left_out = list[int](), dict[str, str]()
    for column, name in enumerate(names):
        values = rows[:, column]
        finite = values[np.isfinite(values)]
        if len(finite) == 0:
            left_out[name] = "no value on the training rows"
        elif finite.min() == finite.max():
            left_out[name] = "constant on the training rows"
        else:
            kept.append(column)
    return np.array(kept, dtype=np.int64), left_out


def normal_knots(rows: FloatArray, quantile: Callable[[FloatArray], FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Quantiles of training rows, (rows, scored), and their normal scores, each (scored, knots).

    From the smallest to the largest value, evenly in the normal's quantiles; values that many rows share stand for the
    mean of theirs. ``quantile`` is the normal distribution's, from probabilities.
    """
    levels = np.linspace(0.5 / len(rows), 1.0 - 0.5 / len(rows), 2)
    ends = quantile(levels)
    even = np.linspace(ends[0], ends[1], KNOTS)
    fine = (np.arange(len(rows)) + 0.5) / len(rows)
    ranks = np.clip(np.round(np.interp(even, quantile(fine), np.arange(len(rows)))), 0, len(rows) - 1).astype(np.int64)
    knots = np.sort(rows, axis=0)[ranks].T
    normals = np.repeat(even[None, :], len(knots), axis=0)
    for own, scores in zip(knots, normals, strict=True):
        for value in np.unique(own[:-1][own[1:] == own[:-1]]):
            scores[own == value] = scores[own == value].mean()
    return np.ascontiguousarray(knots), normals


def normal_scores(rows: FloatArray, knots: FloatArray, normals: FloatArray) -> FloatArray:
    """Normal scores of rows, (rows, scored); NaN stays NaN.

    Beyond the training rows it goes on along the line from the middle to the last of them: what is twice as far out
    counts twice.
    """
    scores = np.empty(rows.shape)
    for column, (own, normal) in enumerate(zip(knots, normals, strict=True)):
        values = rows[:, column]
        inside = np.interp(values, own, normal)
        middle = len(own) // 2
        for end, beyond in ((0, values < own[0]), (-1, values > own[-1])):
            reach = own[end] - own[middle]
            if reach != 0.0:
                far = (normal[end] - normal[middle]) / reach
                inside = np.where(beyond, normal[end] + far * (values - own[end]), inside)
        scores[:, column] = np.where(np.isfinite(values), inside, np.nan)
    return scores


def day_score(p_values: FloatArray) -> float:
    """How unlike a session as a whole is: mean of -ln p over its rows, 1 where they are like the fold's own.

    Common movement is in it on purpose: it is compared with sessions of the fold that had their own. NaN are left out;
    NaN without any.
    """
    finite = p_values[np.isfinite(p_values)]
    return float(np.add.accumulate(-np.log(finite))[-1] / len(finite)) if len(finite) else float("nan")


def day_departures(scores: FloatArray) -> FloatArray:
    """How far each of consecutive sessions' day scores departs from those before it, (sessions,).

    Its ratio to the median of the 20 before it, that to be 0.5 at least; NaN for the first 20. A market that became
    another one is unlike for months; the day on which it did, or one that stands alone, is told from that.
    """
    departures = np.full(len(scores), np.nan)
    for row in range(_DAYS, len(scores)):
        before = scores[row - _DAYS : row]
        before = before[np.isfinite(before)]
        if len(before):
            departures[row] = scores[row] / max(float(np.median(before)), _QUIET)
    return departures


DAY_REACH = _DAYS + 1
"""Sessions that a day's departure reads, its own included."""


def by_session(rows: IntArray, p_values: FloatArray) -> FloatArray:
    """The day score of every session among samples in order of their row, (sessions,)."""
    starts = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])
    return np.array([day_score(part) for part in np.split(p_values, starts[1:])]) if len(rows) else np.empty(0)


def evenly(count: int, most: int) -> IntArray:
    """At most so many places, spread evenly over ``count``, the first and the last among them."""
    if count <= most:
        return np.arange(count, dtype=np.int64)
    return (np.arange(most, dtype=np.int64) * (count - 1)) // (most - 1)


def departures_from_others(white: FloatArray, whitening: FloatArray) -> FloatArray:
    """(inverse covariance x)_k / sqrt(inverse_kk): what the others leave of each feature, (rows, scored).

    ``white`` are the whitened rows. Of normal rows each is a standard normal.
    """
    back = np.ascontiguousarray(whitening.T)
    return np.asarray(_times(white, back) / np.sqrt(_sum_of_squares(back)))


def whitened(unit: FloatArray, whitening: FloatArray) -> FloatArray:
    """Rows of normal scores in units of their covariance."""
    return _times(unit, whitening)


def _least(p_values: FloatArray) -> FloatArray:
    """The smallest p-value of each row, (rows,), of those of its scores; NaN of none."""
    least: FloatArray = np.fmin.reduce(p_values)
    return least


def _through(rows: FloatArray, layers: Layers) -> FloatArray:
    for number, (weight, bias) in enumerate(layers):
        rows = _times(rows, weight) + bias
        if number + 1 < len(layers):
            rows = np.maximum(rows, 0.0)
    return rows


def _times(rows: FloatArray, weight: FloatArray) -> FloatArray:
    """Add rows @ weight' up feature by feature: a matrix product's bits depend on how many rows there are."""
    total = np.zeros((len(rows), len(weight)))
    for column in range(rows.shape[1]):
        total += rows[:, column, None] * weight[:, column]
    return total


def _sum_of_squares(rows: FloatArray) -> FloatArray:
    total = np.zeros(len(rows))
    for column in range(rows.shape[1]):
        total += rows[:, column] ** 2
    return total
