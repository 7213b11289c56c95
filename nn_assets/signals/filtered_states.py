"""The states of a market's Markov models over a history: each session's by the model in force on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray, IntArray, read_only_fields

UNKNOWN = -1
"""Of a session without a state."""


@dataclass(frozen=True, eq=False)
class FilteredStates:
    """What one fitted Markov model says of the sessions from its first training session on.

    ``probability`` has the shape (sessions, states), the states in order of their variance; none where no model could
    be fitted, which ``reason`` then says.
    """

    start: int  # row of its first session
    probability: FloatArray
    reason: str = ""

    def __post_init__(self) -> None:
        read_only_fields(self)

    @property
    def state(self) -> IntArray:
        """The likeliest state of each session, (sessions,)."""
        return np.asarray(self.probability.argmax(axis=1), dtype=np.int64)

    def until(self, stop: int) -> FilteredStates:
        """The sessions before a row alone."""
        return FilteredStates(self.start, self.probability[: max(0, stop - self.start)], self.reason)


@dataclass(frozen=True, eq=False)
class MarkovStates:
    """The Markov models of a history, and which of them is in force on each session."""

    number: IntArray  # (bars,), index into ``models``; -1 before the first
    models: tuple[FilteredStates, ...]

    def __post_init__(self) -> None:
        read_only_fields(self)

    def until(self, stop: int) -> MarkovStates:
        """The sessions before a row alone."""
        number = self.number[:stop]
        return MarkovStates(
            number, tuple(model.until(stop) for model in self.models[: int(number.max(initial=-1)) + 1])
        )

    def in_force(self, row: int) -> FilteredStates | None:
        """The model of a session; None where there is none, or it could not be fitted."""
        number = int(self.number[row])
        return None if number < 0 or self.models[number].reason else self.models[number]

    def reason(self, row: int) -> str:
        """Why a session has no state; empty where it has one."""
        number = int(self.number[row])
        return "no model is in force yet" if number < 0 else self.models[number].reason

    @property
    def state(self) -> IntArray:
        """The likeliest state of each session by the model in force on it, (bars,); -1 without one."""
        states = np.full(len(self.number), UNKNOWN, dtype=np.int64)
        for number, model in enumerate(self.models):
            rows = np.flatnonzero(self.number == number)
            if not model.reason:
                states[rows] = model.state[rows - model.start]
        return states

    @property
    def is_highest(self) -> BoolArray:
        """Whether the likeliest state is that of the greatest variance, (bars,); False without one."""
        count = np.array([*(0 if model.reason else model.probability.shape[1] for model in self.models), 0])
        return np.asarray((self.state != UNKNOWN) & (self.state == count[self.number] - 1))
