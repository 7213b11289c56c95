"""A refit takes force only when it is not worse than the model in force, on rows that judged neither."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.model import fit_model
from nn_assets.learning.refresh import check_refresh
from tests.learning.tiny import tiny_fold, tiny_market, tiny_strategy


@pytest.fixture(scope="module")
def pair() -> tuple[FoldModel, FoldModel]:
    cube, labels = tiny_market(last="2013-03-28")
    strategy = tiny_strategy()
    old = fit_model(cube, labels, tiny_fold(cube, strategy, "2012-07"), strategy)
    new = fit_model(cube, labels, tiny_fold(cube, strategy, "2012-12"), strategy)
    return old, new


def spoiled(model: FoldModel) -> FoldModel:
    """The same model, made grossly overconfident."""
    worse = {
        name: replace(each, method="temperature", slope=each.slope * 40.0) for name, each in model.calibrations.items()
    }
    return replace(model, calibrations=worse)


def test_a_sound_refit_is_taken(pair: tuple[FoldModel, FoldModel]) -> None:
    cube, labels = tiny_market(last="2013-03-28")
    old, new = pair
    check = check_refresh(new, old, cube, labels, tolerance=0.5)
    assert check.accepted
    assert check.candidate_loss is not None
    assert "not worse than" in check.reason


def test_a_spoiled_refit_is_not_taken(pair: tuple[FoldModel, FoldModel]) -> None:
    cube, labels = tiny_market(last="2013-03-28")
    old, new = pair
    check = check_refresh(spoiled(new), old, cube, labels, tolerance=0.05)
    assert not check.accepted
    assert check.candidate_loss > check.incumbent_loss * 1.05  # type: ignore[operator]


def test_what_comes_after_the_candidates_use_begins_changes_nothing(pair: tuple[FoldModel, FoldModel]) -> None:
    old, new = pair
    long_cube, long_labels = tiny_market(last="2013-03-28")
    cut = new.fold.used_from
    short_cube, short_labels = tiny_market(last=str(long_cube.sessions[cut - 1].date()))
    one = check_refresh(new, old, long_cube, long_labels, tolerance=0.05)
    other = check_refresh(new, old, short_cube, short_labels, tolerance=0.05)
    assert one == other
    assert np.isfinite(one.candidate_loss)  # type: ignore[arg-type]


def test_a_model_is_never_compared_with_itself(pair: tuple[FoldModel, FoldModel]) -> None:
    cube, labels = tiny_market()
    assert check_refresh(pair[0], pair[0], cube, labels, tolerance=0.0).accepted
