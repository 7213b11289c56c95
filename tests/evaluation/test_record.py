"""The record: joined without mixing anything up, and cut without reading the future."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import SchemaError
from nn_assets.evaluation.figures import study_figures
from nn_assets.evaluation.record import record_from_forecasts
from nn_assets.market.calendar.sessions import sessions_between
from tests.evaluation.records import made_record

SESSIONS = sessions_between("XNYS", "2015-01-02", "2015-04-30")
SYMBOLS = ("AAA", "BBB")


def _frame() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows = [
        {
            "symbol": symbol,
            "session": session,
            "estimator": estimator,
            "calibrated_probability": generator.random(),
            "model_id": "m1" if session < pd.Timestamp("2015-03-01") else "m2",
        }
        for estimator in ("network", "linear")
        for session in SESSIONS[10:]
        for symbol in SYMBOLS
    ]
    return pd.DataFrame(rows).sample(frac=1.0, random_state=1)


def _joined(frame: pd.DataFrame) -> object:
    labels = np.zeros((len(SESSIONS), 2))
    return record_from_forecasts(frame, SESSIONS, SYMBOLS, labels, labels, np.arange(len(SESSIONS)) + 6)


def test_every_forecast_lands_on_its_symbol_and_session() -> None:
    frame = _frame()
    record = _joined(frame)
    for row in frame.iloc[::17].to_dict("records"):
        place = SESSIONS.get_loc(row["session"]), SYMBOLS.index(row["symbol"])
        assert record.forecasts[row["estimator"]][place] == row["calibrated_probability"]
    assert np.isnan(record.forecasts["network"][:10]).all()


def test_models_are_told_apart_by_the_month_they_took_force() -> None:
    months = _joined(_frame()).months
    assert set(months[:10]) == {""}
    assert set(months[10:]) == {"2015-01", "2015-03"}
    assert months[-1] == "2015-03"


def test_two_forecasts_for_one_place_are_refused() -> None:
    frame = _frame()
    with pytest.raises(SchemaError, match="one forecast per symbol"):
        _joined(pd.concat([frame, frame.iloc[:1]]))


def test_arrays_off_the_axis_are_refused_by_name() -> None:
    labels = np.zeros((3, 2))
    with pytest.raises(SchemaError) as refused:
        record_from_forecasts(_frame(), SESSIONS, SYMBOLS, labels, labels, np.arange(len(SESSIONS)))
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
