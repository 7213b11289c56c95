"""The record: joined without mixing anything up, and cut without reading the future."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.errors import SchemaError
from nn_assets.evaluation.figures import study_figures
from tests.evaluation.records import made_record


def test_arrays_off_the_axis_are_refused_by_name() -> None:
    with pytest.raises(SchemaError) as refused:
        made_record(200).labelled(np.zeros((3, 2)), np.zeros((3, 2)))
    assert refused.value.where["key"] == "targets"


def test_a_cut_record_knows_no_label_realised_later() -> None:
    record = made_record(200)
    cut = record.until(99)
    assert len(cut.sessions) == 100
    assert np.isfinite(cut.targets[:94]).all()
    assert np.isnan(cut.targets[94:]).all()
    assert np.isnan(cut.returns[94:]).all()


def test_figures_of_a_cut_do_not_change_when_history_grows() -> None:
    long, short = made_record(300, seed=3), made_record(300, seed=3).until(149)
    changed = {name: values.copy() for name, values in long.forecasts.items()}
    for values in changed.values():
        values[150:] = 0.99
    object.__setattr__(long, "forecasts", changed)
    terms = {"horizon_sessions": 5, "sessions_per_year": 252}
    assert study_figures(long.until(149), **terms) == study_figures(short, **terms)
