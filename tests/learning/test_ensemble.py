from __future__ import annotations

import numpy as np
import pytest

from nn_assets.errors import TrainingError
from nn_assets.learning import ensemble as ensemble_module
from nn_assets.learning.baselines import LinearModel
from nn_assets.learning.ensemble import train_ensemble
from nn_assets.learning.heads import Head
from nn_assets.learning.training import TrainingResult, train
from nn_assets.learning.windows import Samples, Windows
from nn_assets.settings import LearningSettings
from tests.learning.tiny import tiny_samples, tiny_settings


def _failing_seeds(monkeypatch: pytest.MonkeyPatch, seeds: set[int]) -> None:
    def fail_some(
        windows: Windows,
        training: Samples,
        validation: Samples,
        settings: LearningSettings,
        seed: int,
        start: LinearModel | None,
        head: Head,
        weights: object,
    ) -> TrainingResult:
        if seed in seeds:
            raise TrainingError(expected="a loss", found="nan", remedy="none", seed=seed, epoch=2)
        return train(windows, training, validation, settings, seed, start, head, weights)  # type: ignore[arg-type]

    monkeypatch.setattr(ensemble_module, "train", fail_some)


def test_a_failed_member_is_named_and_one_of_the_next_seed_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    _failing_seeds(monkeypatch, {8})
    ensemble = train_ensemble(*tiny_samples(), tiny_settings(ensemble=3))
    assert [member.seed for member in ensemble.members] == [7, 9, 10]
    assert [seed for seed, _ in ensemble.failures] == [8]
    assert "seed 8, epoch 2" in ensemble.failures[0][1]


def test_who_takes_a_residual_members_place_begins_as_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: dict[int, LinearModel | None] = {}

    def fail_first(*task: object) -> TrainingResult:
        seed, begun[seed] = task[4], task[5]  # type: ignore[index, assignment]
        if seed == 7:
            raise TrainingError(expected="a loss", found="nan", remedy="none", seed=7, epoch=0)
        return train(*task)  # type: ignore[arg-type]

    monkeypatch.setattr(ensemble_module, "train", fail_first)
    starts = [LinearModel(np.full(4, float(number)), 0.0, 1.0) for number in range(2)]
    train_ensemble(*tiny_samples(), tiny_settings(ensemble=2, residual=True), starts=starts)
    assert begun == {7: starts[0], 8: starts[1], 9: starts[0]}


def test_an_ensemble_with_fewer_than_half_of_its_members_left_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _failing_seeds(monkeypatch, {7, 9, 10, 12, 13, 14})
    with pytest.raises(TrainingError, match=r"half of 5 members trained; found 2.*seed 7.*seed 9.*seed 10.*seed 14"):
        train_ensemble(*tiny_samples(), tiny_settings(ensemble=5))


def test_exactly_half_of_the_members_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    _failing_seeds(monkeypatch, {7, 9})
    ensemble = train_ensemble(*tiny_samples(), tiny_settings(ensemble=2))
    assert [member.seed for member in ensemble.members] == [8]
    assert [seed for seed, _ in ensemble.failures] == [7, 9]


def test_members_are_those_that_the_strategys_seed_and_the_next_ones_train_alone() -> None:
    ensemble = train_ensemble(*tiny_samples(), tiny_settings(ensemble=2, seed=11))
    assert [member.seed for member in ensemble.members] == [11, 12]
    for member in ensemble.members:
        alone = train(*tiny_samples(), tiny_settings(), member.seed)
        assert alone.state.keys() == member.state.keys()
        assert all(np.array_equal(member.state[name], value) for name, value in alone.state.items())
    one, other = (member.state for member in ensemble.members)
    assert not any(np.array_equal(one[name], other[name]) for name in one)


def test_windows_sent_to_a_process_are_their_values_not_every_window() -> None:
    windows = Windows(np.zeros((400, 10, 8)), lookback=20)
    rebuild, arguments = windows.__reduce__()
    assert sum(part.nbytes for part in arguments if isinstance(part, np.ndarray)) == 400 * 10 * 8 * 4
    copy = rebuild(*arguments)
    assert copy.shape == windows.shape
