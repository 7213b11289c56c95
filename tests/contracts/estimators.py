"""What every estimator beside the network is held to: a new one brings its name, and what its errors call it."""

from __future__ import annotations

from functools import cache
from typing import ClassVar

import numpy as np
import pytest

from nn_assets.errors import TrainingError
from nn_assets.learning.baselines import BASELINES, FittedBaseline, drawn_sessions
from nn_assets.learning.windows import Samples
from tests.learning.tiny import tiny_samples

SEEDS = range(3, 6)


@cache
def _ensemble(name: str) -> tuple[FittedBaseline, ...]:
    return BASELINES[name].ensemble(*tiny_samples(), SEEDS)


def _features() -> np.ndarray:
    windows, _, validation = tiny_samples()
    return windows.last_rows(validation.rows, validation.columns)


class EstimatorContract:
    """A member gives the ``name`` that it has among the baselines, and what it is ``called``."""

    name: ClassVar[str]
    called: ClassVar[str]

    def test_a_row_has_the_same_bits_alone_and_with_others_in_whatever_order(self) -> None:
        fitted, features = _ensemble(self.name)[0], _features()
        whole = fitted.probability(features)
        assert whole.shape == (len(features),)
        assert ((whole > 0.0) & (whole < 1.0)).all()
        alone = np.concatenate([fitted.probability(features[row : row + 1]) for row in range(len(features))])
        assert alone.tobytes() == whole.tobytes()
        order = np.random.default_rng(0).permutation(len(features))
        assert fitted.probability(features[order]).tobytes() == whole[order].tobytes()

    def test_it_comes_back_from_its_arrays_to_the_bit(self) -> None:
        for fitted in _ensemble(self.name):
            arrays = fitted.to_arrays()
            stored = BASELINES[self.name].from_arrays({key: value.copy() for key, value in arrays.items()})
            assert stored.probability(_features()).tobytes() == fitted.probability(_features()).tobytes()
            again = stored.to_arrays()
            assert list(again) == list(arrays)
            assert all(again[key].tobytes() == value.tobytes() for key, value in arrays.items())

    def test_the_same_seed_gives_the_same_bits_and_writes_nothing_over(self) -> None:
        windows, training, validation = tiny_samples()
        before = [values.tobytes() for each in (training, validation) for values in vars(each).values()]
        (again,) = BASELINES[self.name].ensemble(windows, training, validation, SEEDS[:1])
        arrays = _ensemble(self.name)[0].to_arrays()
        assert all(value.tobytes() == arrays[key].tobytes() for key, value in again.to_arrays().items())
        assert before == [values.tobytes() for each in (training, validation) for values in vars(each).values()]

    def test_members_of_other_seeds_disagree_and_are_fitted_to_the_sessions_that_theirs_draws(self) -> None:
        windows, training, validation = tiny_samples()
        kind, members = BASELINES[self.name], _ensemble(self.name)
        assert (np.std([each.probability(_features()) for each in members], axis=0) > 0.0).any()
        samples = drawn_sessions(training, SEEDS[1]) if kind.drawn_by_session else training
        by_hand = kind.fit(windows, samples, validation, SEEDS[1]).probability(_features())
        assert members[1].probability(_features()).tobytes() == by_hand.tobytes()

    def test_training_rows_of_one_class_are_refused_by_name(self) -> None:
        windows, training, validation = tiny_samples()
        up = Samples(training.rows, training.columns, np.ones_like(training.targets))
        with pytest.raises(TrainingError, match=f"both classes for {self.called}"):
            BASELINES[self.name].fit(windows, up, validation, 1)
