"""What every estimator is held to: a new one brings the name that it is registered by."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pytest
from safetensors.numpy import load

from nn_assets.errors import TrainingError
from nn_assets.estimators import ESTIMATORS
from nn_assets.learning.artifact import DESCRIPTION, from_files, to_files
from nn_assets.learning.compute import HERE
from nn_assets.learning.fitted import FitInputs, Fitted
from nn_assets.learning.windows import Samples, Windows
from nn_assets.plugins import imported
from tests.learning.tiny import fitted, tiny_market, tiny_samples, tiny_settings, tiny_windows

SEED, MEMBERS = 3, 2


def fit(name: str, windows: Windows, training: Samples, validation: Samples, seed: int = SEED) -> Fitted:
    learning = tiny_settings(network="mlp", seed=seed, ensemble=MEMBERS)
    made: Fitted = imported(ESTIMATORS[name].fit)(FitInputs(windows, training, validation, learning, HERE))
    return made


@cache
def _ensemble(name: str) -> Fitted:
    return fit(name, *tiny_samples())


def forecast(name: str, members: tuple[Any, ...], windows: Windows, judged: Samples, order: Any = slice(None)) -> Any:
    """Probabilities of some samples, (members, samples)."""
    kind, settings = imported(ESTIMATORS[name].member), tiny_settings(network="mlp")
    return kind.probabilities(members, settings, windows, judged.rows[order], judged.columns[order])


class EstimatorContract:
    """A member gives the ``name`` that it has in the registry."""

    name: ClassVar[str]

    def test_it_forecasts_every_sample_by_a_probability_of_each_member(self) -> None:
        windows, _, judged = tiny_samples()
        made = forecast(self.name, _ensemble(self.name).members, windows, judged)
        assert made.shape == (MEMBERS, judged.count)
        assert made.dtype == np.float64
        assert ((made > 0.0) & (made < 1.0)).all()
        assert (made.std(axis=0) > 0.0).any()  # members of other seeds disagree
        assert (made.std(axis=1) > 0.0).all()  # and know something of a sample

    def test_a_sample_has_the_same_bits_alone_and_with_others_in_whatever_order(self) -> None:
        windows, _, judged = tiny_samples()
        members = _ensemble(self.name).members
        whole = forecast(self.name, members, windows, judged)
        order = np.random.default_rng(0).permutation(judged.count)
        assert forecast(self.name, members, windows, judged, order).tobytes() == whole[:, order].tobytes()
        for one in range(0, judged.count, 7):
            alone = forecast(self.name, members, windows, judged, slice(one, one + 1))
            assert alone.tobytes() == whole[:, [one]].tobytes()

    def test_what_comes_after_a_session_changes_no_forecast_of_it(self) -> None:
        windows, _, judged = tiny_samples()
        members = _ensemble(self.name).members
        values = tiny_market()[0].values.copy()
        cut = int(np.median(judged.rows))
        values[cut + 1 :] = 7.0
        known, changed = judged.rows <= cut, tiny_windows(values, windows.lookback)
        before = forecast(self.name, members, windows, judged)
        assert forecast(self.name, members, changed, judged, known).tobytes() == before[:, known].tobytes()
        assert forecast(self.name, members, changed, judged).tobytes() != before.tobytes()

    def test_its_seed_gives_the_same_bits_again_whatever_comes_after_its_rows_and_writes_nothing_over(self) -> None:
        windows, training, validation = tiny_samples()
        values = tiny_market()[0].values.copy()
        values[int(validation.rows.max()) + 1 :] = np.nan
        changed = tiny_windows(values, windows.lookback)
        before = [array.tobytes() for samples in (training, validation) for array in arrays_of(samples)]
        again = fit(self.name, changed, training, validation)
        for one, other in zip(again.members, _ensemble(self.name).members, strict=True):
            arrays = other.to_arrays()
            assert arrays
            assert {name: value.tobytes() for name, value in one.to_arrays().items()} == {
                name: value.tobytes() for name, value in arrays.items()
            }
        assert before == [array.tobytes() for samples in (training, validation) for array in arrays_of(samples)]

    def test_it_comes_back_from_its_files_to_the_bit_and_they_are_tensors_and_json_alone(self) -> None:
        windows, _, judged = tiny_samples()
        members = _ensemble(self.name).members
        model = fitted()
        whole = {**model.estimators.members, self.name: members}
        files = to_files(replace(model, estimators=replace(model.estimators, members=whole)))
        stored = from_files(files).estimators.members[self.name]
        assert len(stored) == len(members)
        restored = forecast(self.name, stored, windows, judged)
        assert restored.tobytes() == forecast(self.name, members, windows, judged).tobytes()
        for one, other in zip(stored, members, strict=True):
            for key, value in other.to_arrays().items():
                assert one.to_arrays()[key].tobytes() == np.asarray(value).tobytes()
        for name, content in files.items():
            assert json.loads(content) if name == DESCRIPTION else load(content)

    def test_its_figures_are_kept_as_json(self) -> None:
        figures = _ensemble(self.name).figures
        assert json.loads(json.dumps(dict(figures), allow_nan=False)) == figures


class BaselineContract(EstimatorContract):
    """A member gives, too, what its errors say that it is ``called``."""

    called: ClassVar[str]

    def test_training_rows_of_one_class_are_refused_by_name(self) -> None:
        windows, training, validation = tiny_samples()
        up = Samples(training.rows, training.columns, np.ones_like(training.targets))
        with pytest.raises(TrainingError, match=f"both classes for {self.called}"):
            fit(self.name, windows, up, validation)


def arrays_of(samples: Samples) -> list[np.ndarray]:
    """Every array of some samples; targets at steps are there only where they are asked for."""
    return [array for array in vars(samples).values() if array is not None]
