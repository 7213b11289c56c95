"""Which features a fold uses, judged on its training rows alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from nn_assets.arrays import BoolArray, Cube, FloatArray
from nn_assets.errors import ModelError, ShortFoldError
from nn_assets.features.labels import MINIMUM_CROSS_SECTION, Labels
from nn_assets.measures import hac_mean, rank_ic
from nn_assets.settings import FeatureSettings

_BLOCKS = 4
_SMALLEST_BLOCK = 20
_EMBARGO = 20  # sessions left out where training follows a block, on top of the purge
_ADMITTING_T = float(np.sqrt(2.0))
"""A term whose t-value is below this makes Akaike's (1974) criterion worse."""


@dataclass(frozen=True)
class FeatureFigures:
    """What selection found of one feature.

    ``rank_ic`` and ``t_statistic`` are univariate, on walk-forward blocks, signed by the blocks
    before; ``incremental_*`` are those of what the features chosen before it do not explain. None
    where nothing could be computed, or it was not reached.
    """

    name: str
    rank_ic: float | None
    t_statistic: float | None
    incremental_rank_ic: float | None
    incremental_t_statistic: float | None
    selected: bool
    reason: str


@dataclass(frozen=True)
class SelectionReport:
    """The features chosen, in order of choice, and the figures of all; travels with the model."""

    selected: tuple[str, ...]
    figures: tuple[FeatureFigures, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON types; ``from_dict`` gives back an equal report."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> SelectionReport:
        """Rebuild a report from what `to_dict` gave, also after a passage through JSON.

        Raises
        ------
        ModelError
            A part is missing or has an unknown name.
        """
        try:
            figures = tuple(FeatureFigures(**entry) for entry in stored["figures"])
            return cls(tuple(stored["selected"]), figures)
        except (KeyError, TypeError) as error:
            raise ModelError(
                expected="a stored selection report",
                found=f"{type(error).__name__}: {error}",
                remedy="refit the model; its stored report is damaged",
            ) from error


def rank_ic_by_session(feature: FloatArray, outcome: FloatArray) -> FloatArray:
    """Rank information coefficient, session by session.

    With at least 5 symbols: Spearman's correlation across the symbols of each session. With fewer,
    each session's contribution to the correlation in time: feature and outcome are ranked within each
    symbol over all rows passed, standardised, multiplied, and averaged over symbols; the mean of
    these contributions is the mean of the symbols' Spearman correlations.

    Parameters
    ----------
    feature, outcome : arrays, shape (rows, symbols)
        Pairs with NaN in either are left out.

    Returns
    -------
    array, shape (rows,)
        NaN where a session has no usable pair, or too few for a correlation.
    """
    if feature.shape[1] >= MINIMUM_CROSS_SECTION:
        return rank_ic(feature, outcome, minimum_symbols=MINIMUM_CROSS_SECTION)
    finite = np.isfinite(feature) & np.isfinite(outcome)
    product = _standard_ranks(feature, finite) * _standard_ranks(outcome, finite)
    usable = np.isfinite(product)
    count = usable.sum(axis=1)
    result = np.full(len(feature), np.nan)
    np.divide(np.where(usable, product, 0.0).sum(axis=1), count, out=result, where=count > 0)
    return result


def select_features(cube: Cube, labels: Labels, rows: slice, settings: FeatureSettings, purge: int) -> SelectionReport:
    """Choose features by what they add, on training rows only.

    1. *Univariate.* ``rows`` are cut into 4 blocks. The sign of a feature is learned on what lies
       ``purge`` sessions or more before a block, its signed rank IC measured in the block; the
       t-statistic of the mean over blocks 2 to 4 is Newey and West's (1987) with ``purge`` lags.
       A feature below t = sqrt(2) goes no further.
    2. *Incremental.* In order of that t, each candidate is regressed on the features chosen so far,
       with sign and regression from the other blocks (``purge`` sessions before a block and
       ``purge`` and 20 more after it left out), and joins if the residual's t reaches sqrt(2) too.

    When no feature passes the first step, the best one is kept, and the report says so: a model has to
    be fitted on something, and its figures will show that there is nothing in it.

    Parameters
    ----------
    cube : Cube
        Stationary features, (bars, symbols, features).
    labels : Labels
        Where they name candidates, no one else's features count.
    rows : slice
        Training rows, whose labels are realised before the rows that judge the model.
    settings : FeatureSettings
        ``maximum_selected`` bounds the number chosen.
    purge : int
        Horizon plus execution lag, in sessions.

    Raises
    ------
    ShortFoldError
        Too few rows to cut into blocks.
    """
    values, outcome = _of_candidates(cube, labels, rows)
    blocks = _blocks(len(outcome), purge)
    walk = [(_before(block, purge, len(outcome)), block) for block in blocks[1:]]
    cross = [(_around(block, purge, len(outcome)), block) for block in blocks]
    univariate = [
        _significance([values[:, :, index]] * len(walk), outcome, walk, purge) for index in range(len(cube.names))
    ]
    order = sorted(range(len(cube.names)), key=lambda index: (-_or_least(univariate[index][1]), index))
    chosen: list[int] = []
    incremental: dict[int, tuple[float, float]] = {}
    for index in order:
        if len(chosen) == settings.maximum_selected or _or_least(univariate[index][1]) < _ADMITTING_T:
            break
        if chosen:
            left = [_residual(values, index, chosen, train) for train, _ in cross]
            incremental[index] = _significance(left, outcome, cross, purge)
        if not chosen or _or_least(incremental[index][1]) >= _ADMITTING_T:
            chosen.append(index)
    selected = chosen or order[:1]
    figures = tuple(
        _figures(cube.names[index], univariate[index], incremental.get(index), selected=index in selected)
        for index in range(len(cube.names))
    )
    return SelectionReport(tuple(cube.names[index] for index in selected), figures)


def _of_candidates(cube: Cube, labels: Labels, rows: slice) -> tuple[FloatArray, FloatArray]:
    """Features and outcomes of some rows, of the symbols that belong on any of them, missing where they do not."""
    values, outcome = np.asarray(cube.values[rows]), labels.outcomes[rows]
    if labels.candidates is None:
        return values, outcome
    belongs = labels.candidates[rows]
    ever_candidate = belongs.any(axis=0)
    return np.where(belongs[:, ever_candidate, None], values[:, ever_candidate], np.nan), outcome[:, ever_candidate]


def _blocks(rows: int, purge: int) -> list[slice]:
    """Consecutive blocks of sessions, as equal as can be."""
    smallest = max(_SMALLEST_BLOCK, purge + 2)
    if rows < _BLOCKS * smallest:
        raise ShortFoldError(
            expected=f"at least {_BLOCKS * smallest} training sessions to select features on",
            found=str(rows),
            remedy="lengthen walk_forward.training_months (or training_days), or set features.select to false",
        )
    edges = [rows * block // _BLOCKS for block in range(_BLOCKS + 1)]
    return [slice(first, last) for first, last in pairwise(edges)]


def _before(block: slice, purge: int, rows: int) -> BoolArray:
    earlier: BoolArray = np.arange(rows) < block.start - purge
    return earlier


def _around(block: slice, purge: int, rows: int) -> BoolArray:
    row = np.arange(rows)
    outside: BoolArray = (row < block.start - purge) | (row >= block.stop + purge + _EMBARGO)
    return outside


def _significance(
    features: Sequence[FloatArray], outcome: FloatArray, parts: Sequence[tuple[BoolArray, slice]], lag: int
) -> tuple[float, float]:
    """Mean and t of the rank IC in the blocks, signed by the rows each block is judged from.

    ``features`` holds one array (rows, symbols) per part.
    """
    signed = []
    for feature, (train, block) in zip(features, parts, strict=True):
        learned = rank_ic_by_session(feature[train], outcome[train])
        finite = learned[np.isfinite(learned)]
        sign = float(np.sign(finite.mean())) if len(finite) else np.nan
        signed.append(sign * rank_ic_by_session(feature[block], outcome[block]))
    estimate = hac_mean(np.concatenate(signed), lag)
    return estimate.mean, estimate.t


def _residual(values: FloatArray, index: int, chosen: Sequence[int], train: BoolArray) -> FloatArray:
    """Take from a feature what a pooled regression on the chosen ones, fitted on ``train``, explains."""
    target, finite = values[:, :, index], np.isfinite(values[:, :, [index, *chosen]]).all(axis=2)
    design = np.concatenate([np.ones((*target.shape, 1)), values[:, :, list(chosen)]], axis=2)
    fitted = finite & train[:, None]
    left: FloatArray = np.full(target.shape, np.nan)
    if not fitted.any():
        return left
    slope = np.linalg.lstsq(design[fitted], target[fitted], rcond=None)[0]
    left[finite] = target[finite] - (design[finite] * slope).sum(axis=1)
    # What a collinear feature leaves is rounding, whose ranks would be taken for information.
    left[np.abs(left) <= 1e-9 * float(np.std(target[fitted]))] = 0.0
    return left


def _standard_ranks(values: FloatArray, finite: BoolArray) -> FloatArray:
    """Ranks in time per symbol, mean 0 and variance 1; NaN where unknown or all tie."""
    from scipy.stats import rankdata

    count = finite.sum(axis=0)
    # Unknown rows are sent to the end, where they do not touch the ranks of the known ones.
    ranks = rankdata(np.where(finite, values, np.inf), axis=0)
    centred = np.where(finite, ranks - (count + 1) / 2.0, 0.0)
    deviation = np.sqrt((centred * centred).sum(axis=0) / np.maximum(count, 1))
    result: FloatArray = np.full(values.shape, np.nan)
    np.divide(centred, deviation, out=result, where=finite & (deviation > 0.0))
    return result


def _or_least(t_statistic: float) -> float:
    return t_statistic if np.isfinite(t_statistic) else -np.inf


def _figures(
    name: str, univariate: tuple[float, float], incremental: tuple[float, float] | None, *, selected: bool
) -> FeatureFigures:
    alone = [float(figure) if np.isfinite(figure) else None for figure in univariate]
    added = [float(figure) if np.isfinite(figure) else None for figure in incremental or (np.nan, np.nan)]
    strong = _or_least(univariate[1]) >= _ADMITTING_T
    if selected:
        reason = "adds to those chosen before" if strong else "nothing passed; kept as the best"
    elif not strong:
        reason = "no univariate predictive power"
    elif incremental is None:
        reason = "enough features were chosen"
    else:
        reason = "adds nothing to those chosen before"
    return FeatureFigures(name, alone[0], alone[1], added[0], added[1], selected, reason)
