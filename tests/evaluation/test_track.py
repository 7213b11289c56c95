"""The record: joined without mixing anything up, and cut without reading the future."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from nn_assets.errors import SchemaError
from nn_assets.evaluation.figures import study_figures
from nn_assets.evaluation.track import BookTrack, StudyTrack
from tests.evaluation.tracks import made_record


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
    values = replace(record, ranked_against=record.returns / 0.01).until(99)
    assert values.outcomes.tobytes() == (cut.returns / 0.01).tobytes()
    assert cut.outcomes is cut.returns


def test_figures_of_a_cut_do_not_change_when_history_grows() -> None:
    long, short = made_record(300, seed=3), made_record(300, seed=3).until(149)
    changed = {name: values.copy() for name, values in long.forecasts.items()}
    for values in changed.values():
        values[150:] = 0.99
    object.__setattr__(long, "forecasts", changed)
    terms = {"horizon_sessions": 5, "sessions_per_year": 252}
    assert study_figures(long.until(149), **terms) == study_figures(short, **terms)


def whole_record(rows: int) -> StudyTrack:
    """A record that has everything a record can have."""
    base = made_record(rows)
    names = np.array([f"name {row}" for row in range(rows)])
    scores, rates = ({"network": base.forecasts["network"] * times} for times in (2.0, 0.5))
    share = np.linspace(0.0, 1.0, rows)
    return replace(base, regimes=names, models=names, scores=scores, base_rates=rates, training_share=share)


def test_a_cut_ends_every_array_after_the_same_session() -> None:
    record = whole_record(120)
    cut = record.until(69)
    for field in fields(StudyTrack):
        ours, theirs = getattr(cut, field.name), getattr(record, field.name)
        if field.name in ("symbols", "targets", "returns", "ranked_against", "first_rows"):
            continue
        if field.name == "tracks":
            ours = {f"{name} {part}": getattr(one, part) for name, one in ours.items() for part in vars(one)}
            theirs = {f"{name} {part}": getattr(one, part) for name, one in theirs.items() for part in vars(one)}
        if not isinstance(ours, dict):
            ours, theirs = {"": ours}, {"": theirs}
        assert ours.keys() == theirs.keys()
        for name, values in ours.items():
            assert len(values) == 70, (field.name, name)
            assert np.array_equal(values, theirs[name][:70], equal_nan=np.asarray(values).dtype.kind == "f")
    plain = made_record(120).until(69)
    assert (plain.regimes, plain.models, plain.scores, plain.base_rates) == (None,) * 4


def test_a_symbol_counts_from_its_first_bar_on() -> None:
    record = made_record(120)
    first = np.array([0] * (len(record.symbols) - 2) + [69, 70], dtype=np.int64)
    listed = replace(record, first_rows=first)
    assert [listed.until(row).breadth for row in (68, 69, 70)] == [len(first) - 2, len(first) - 1, len(first)]
    assert record.until(68).breadth == len(first)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("models", {"models": np.array(["a"] * 49)}),
        ("months", {"months": np.array(["2005-01"] * 51)}),
        ("network gross", {"tracks": {"network": BookTrack(np.zeros(50), np.zeros(49), np.zeros(50))}}),
        ("linear score", {"scores": {"linear": np.zeros((50, 5))}}),
        ("linear base rate", {"base_rates": {"linear": np.zeros((50, 5))}}),
        ("boosting", {"forecasts": {"boosting": np.zeros((49, 6))}}),
    ],
)
def test_any_array_off_the_axis_is_refused_by_its_name(name: str, changed: dict[str, object]) -> None:
    with pytest.raises(SchemaError) as refused:
        replace(made_record(50), **changed)  # type: ignore[arg-type]
    assert refused.value.where["key"] == name
