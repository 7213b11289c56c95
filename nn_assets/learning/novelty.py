"""How unlike anything that a model was fitted on a row of features is, by two scores with empirical p-values.

One is a distance (Mahalanobis 1936) with a shrunk covariance (Ledoit and Wolf 2004), the other the error with which an
autoencoder gives a row back. Neither reads a label. A p-value is the share of the fold's own rows that are as unlike,
so that scores of two models can be compared; the two are joined by Bonferroni's bound, whatever their dependence.
Inference adds numbers one by one, in one order: the bits of a row do not depend on the rows that are with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray, IntArray

REFERENCE_ROWS = 5000
"""Rows of the fold that p-values are counted in, at most, evenly spread over its time."""

MINIMUM_ROWS = 250
"""Training rows below which no score is fitted: a covariance of fewer is noise."""

_CHUNK = 8192
_SCORES = 2.0  # of Bonferroni's bound

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
        """The ranks of some scores."""
        return cls(np.sort(scores))

    def p_value(self, score: FloatArray) -> FloatArray:
        """(1 + how many of the reference are at least as large) / (1 + all): Davison and Hinkley (1997), eq. 4.11.

        NaN stays NaN.
        """
        count = len(self.reference)
        above = count - np.searchsorted(self.reference, score, side="left")
        return np.where(np.isfinite(score), (1.0 + above) / (count + 1.0), np.nan)


@dataclass(frozen=True, eq=False)
class RowNovelty:
    """How unlike some rows are, arrays of shape (rows,); NaN where a score could not be fitted, or has no row."""

    distance: FloatArray  # squared, in units of the covariance
    distance_p: FloatArray
    error: FloatArray  # mean square over features, in variances of the training rows
    error_p: FloatArray
    p_value: FloatArray  # of both together


@dataclass(frozen=True, eq=False)
class Novelty:
    """The two scores of a fold, as they travel with its model.

    Parameters
    ----------
    columns : ndarray of int, shape (scored,)
        Which of the model's features are scored, in their order.
    center, scale : ndarray, shape (scored,)
        Mean and standard deviation of the training rows.
    whitening : ndarray, shape (scored, scored)
        W with W'W the inverse of the shrunk covariance of the standardised rows.
    layers : tuple of (weight, bias)
        Of the autoencoder, weight of shape (to, from), a ReLU between two of them; none where it did not train.
    distances, errors : Rank
        Of the reference rows; of ``errors`` none where there is no autoencoder.
    days : Rank
        Of the fold's own sessions, by :func:`day_score`.
    """

    columns: IntArray
    center: FloatArray
    scale: FloatArray
    whitening: FloatArray
    layers: Layers
    distances: Rank
    errors: Rank
    days: Rank

    def score(self, rows: FloatArray) -> RowNovelty:
        """Score rows of the model's scaled features, (rows, features); a row with a NaN has NaN scores."""
        parts = [self._score(rows[start : start + _CHUNK]) for start in range(0, len(rows), _CHUNK)]
        names = ("distance", "distance_p", "error", "error_p", "p_value")
        joined = {
            name: np.concatenate([getattr(part, name) for part in parts]) if parts else np.empty(0) for name in names
        }
        return RowNovelty(**joined)

    def _score(self, rows: FloatArray) -> RowNovelty:
        unit = (rows[:, self.columns] - self.center) / self.scale
        finite = np.isfinite(unit).all(axis=1)
        unit = np.where(finite[:, None], unit, 0.0)
        distance = np.where(finite, _sum_of_squares(_times(unit, self.whitening)), np.nan)
        distance_p = self.distances.p_value(distance)
        if not self.layers:
            nothing = np.full(len(rows), np.nan)
            return RowNovelty(distance, distance_p, nothing, nothing, distance_p)
        error = np.where(finite, _sum_of_squares(unit - _through(unit, self.layers)) / len(self.columns), np.nan)
        error_p = self.errors.p_value(error)
        both = np.minimum(1.0, _SCORES * np.minimum(distance_p, error_p))
        return RowNovelty(distance, distance_p, error, error_p, both)

    def with_ranks(self, distances: Rank, errors: Rank, days: Rank) -> Novelty:
        """The same scores with the reference that makes p-values of them."""
        return replace(self, distances=distances, errors=errors, days=days)

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Lay everything out as named arrays."""
        arrays: dict[str, npt.NDArray[np.generic]] = {
            name: getattr(self, name) for name in ("columns", "center", "scale", "whitening")
        }
        arrays |= {name: getattr(self, name).reference for name in ("distances", "errors", "days")}
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
            center=numbers["center"],
            scale=numbers["scale"],
            whitening=numbers["whitening"],
            layers=tuple((numbers[f"layer{n}/weight"], numbers[f"layer{n}/bias"]) for n in range(count)),
            distances=Rank(numbers["distances"]),
            errors=Rank(numbers["errors"]),
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


def day_score(p_values: FloatArray) -> float:
    """How unlike a session as a whole is: mean of -ln p over its rows, 1 where they are like the fold's own.

    Common movement is in it on purpose: it is compared with sessions of the fold that had their own. NaN are left out;
    NaN without any.
    """
    finite = p_values[np.isfinite(p_values)]
    return float(np.add.accumulate(-np.log(finite))[-1] / len(finite)) if len(finite) else float("nan")


def day_scores(rows: IntArray, p_values: FloatArray) -> FloatArray:
    """The day score of every session among samples with a row each, ascending, (sessions,)."""
    starts = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])
    return np.array([day_score(part) for part in np.split(p_values, starts[1:])]) if len(rows) else np.empty(0)


def evenly(count: int, most: int) -> IntArray:
    """At most so many places, spread evenly over ``count``, the first and the last among them."""
    if count <= most:
        return np.arange(count, dtype=np.int64)
    return (np.arange(most, dtype=np.int64) * (count - 1)) // (most - 1)


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
