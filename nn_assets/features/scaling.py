"""Scaling of features by figures fitted on training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.errors import ModelError

ScalingKind = Literal["robust", "standard", "unit"]

CLIP = 10.0
"""Scaled values beyond this are cut: ten deviations away, how far no longer says anything, and one bad
value must not carry a network's output."""

_NORMAL_INTERQUARTILE = 1.3489795003921634
_KINDS = ("robust", "standard", "unit")


@dataclass(frozen=True, eq=False)
class Scaler:
    """What `fit_scaler` found; travels with the model.

    Parameters
    ----------
    center, scale : arrays, shape (features,)
        In the feature's own unit. A scale of zero marks a feature without variation.
    kind : 'robust', 'standard' or 'unit'
    """

    center: FloatArray
    scale: FloatArray
    kind: ScalingKind

    @classmethod
    def of_nothing(cls, features: int) -> Scaler:
        """One that leaves values as they are."""
        return cls(np.zeros(features), np.ones(features), "standard")

    def transform(self, values: FloatArray) -> FloatArray:
        """(values - center) / scale, cut at +-`CLIP`.

        Parameters
        ----------
        values : array, shape (..., features), float64

        Returns
        -------
        array of the same shape
            NaN stays NaN. A feature of zero scale gives 0, never an infinity. Row by row: no value
            depends on another row.

        Raises
        ------
        ModelError
            The number of features is not the fitted one.
        """
        if values.shape[-1] != len(self.center):
            raise ModelError(
                expected=f"{len(self.center)} features, as the scaler was fitted on",
                found=f"{values.shape[-1]}",
                remedy="pass the features the model was fitted on, in its order",
            )
        usable = self.scale > 0.0
        scaled: FloatArray = (values - self.center) / np.where(usable, self.scale, 1.0)
        scaled *= usable
        return np.clip(scaled, -CLIP, CLIP, out=scaled)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types; ``from_dict`` gives back the same bits."""
        return {"kind": self.kind, "center": self.center.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Scaler:
        """Rebuild a scaler from what `to_dict` gave, also after a passage through JSON.

        Raises
        ------
        ModelError
            A part is missing, not finite, or of unequal length.
        """
        try:
            center = np.asarray(stored["center"], dtype=np.float64)
            scale = np.asarray(stored["scale"], dtype=np.float64)
            kind = stored["kind"]
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(type(error).__name__, error) from error
        if kind not in _KINDS:
            raise _damaged("kind", repr(kind))
        if center.ndim != 1 or center.shape != scale.shape:
            raise _damaged("shapes of center and scale", center.shape, scale.shape)
        if not (np.isfinite(center).all() and np.isfinite(scale).all() and (scale >= 0.0).all()):
            raise _damaged("a center or scale that is not finite, or a negative scale")
        return cls(center, scale, kind)


def fit_scaler(values: FloatArray, kind: ScalingKind) -> Scaler:
    """Fit center and scale of each feature.

    ``robust``: median and interquartile range / 1.349, which equals the standard deviation of a normal;
    where the range is zero though the feature varies (half of its values are one and the same), the
    standard deviation instead. ``standard``: mean and standard deviation (population). ``unit``:
    minimum and range, so that the rows fitted on lie in [0, 1].

    Parameters
    ----------
    values : array, shape (rows, features) or (rows, symbols, features)
        Training rows of the fold only. NaN is left out.
    kind : 'robust', 'standard' or 'unit'

    Returns
    -------
    Scaler
        A feature without any value gets center and scale 0.
    """
    flat = values.reshape(-1, values.shape[-1])
    center, scale = np.zeros(flat.shape[1]), np.zeros(flat.shape[1])
    for column in range(flat.shape[1]):
        finite = flat[np.isfinite(flat[:, column]), column]
        if len(finite):
            center[column], scale[column] = _figures(finite, kind)
    return Scaler(center, scale, kind)


def _figures(finite: FloatArray, kind: ScalingKind) -> tuple[float, float]:
    lowest, highest = float(finite.min()), float(finite.max())
    if lowest == highest:
        return lowest, 0.0
    if kind == "unit":
        return lowest, highest - lowest
    deviation = float(finite.std())
    if kind == "standard":
        return float(finite.mean()), deviation
    lower, middle, upper = (float(q) for q in np.quantile(finite, (0.25, 0.5, 0.75)))
    return middle, (upper - lower) / _NORMAL_INTERQUARTILE or deviation


def _damaged(*parts: object) -> ModelError:
    return ModelError(
        expected="a stored scaler: kind, and finite center and scale of equal length",
        found=" ".join(str(part) for part in parts),
        remedy="refit the model; its stored scaler is damaged",
    )
