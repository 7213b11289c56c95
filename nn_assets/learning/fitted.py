"""What the fit of every estimator takes and gives, and what a fitted member of its ensemble can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray, IntArray
from nn_assets.learning.compute import Compute
from nn_assets.learning.heads import SIGN, Head
from nn_assets.learning.windows import Samples, Windows
from nn_assets.settings import LearningSettings

Arrays = Mapping[str, npt.NDArray[np.generic]]


class FittedMember(Protocol):
    """One member of a fitted ensemble, kept as plain arrays: no pickle is needed to store one."""

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Lay the member out as named arrays."""

    @classmethod
    def from_arrays(cls, arrays: Arrays, number: int) -> Self:
        """Rebuild what ``to_arrays`` laid out; ``number`` is the member's in its file, a network's its seed."""

    @classmethod
    def outputs(
        cls, members: Sequence[Self], settings: LearningSettings, windows: Windows, rows: IntArray, columns: IntArray
    ) -> FloatArray:
        """Output of each member, (members, samples), as the head of its fit means it: a logit where a sign is learned.

        A sample's bits are the same whichever are with it.
        """


Members = Mapping[str, tuple[Any, ...]]
"""The fitted members of each estimator, by its name."""


Weights = Mapping[int, Mapping[str, npt.NDArray[np.float32]]]
"""Weights of networks by name, by the seed of the member."""


@dataclass(frozen=True, eq=False)
class FitInputs:
    """What an ensemble is fitted to.

    Parameters
    ----------
    windows : Windows
    training, validation : Samples
    learning : LearningSettings
    compute : Compute
        Where members may be trained; it changes no bit.
    fitted : mapping
        The ensembles fitted before: all of the baselines, for the one that is traded.
    head : Head
        What is learned of the samples' targets.
    weights : mapping of seed to weights
        What networks begin with; fresh ones for a seed that is not there.
    """

    windows: Windows
    training: Samples
    validation: Samples
    learning: LearningSettings
    compute: Compute
    fitted: Members = field(default_factory=dict)
    head: Head = SIGN
    weights: Weights = field(default_factory=dict)

    @property
    def seeds(self) -> range:
        """A seed for each member."""
        return range(self.learning.seed, self.learning.seed + self.learning.ensemble)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted ensemble, and figures of its fit as JSON values, which are kept with the model."""

    members: tuple[FittedMember, ...]
    figures: Mapping[str, Any] = field(default_factory=dict)
