"""Forecasts as arrays: spread from stored rows without mixing anything up, and back to the same rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import SchemaError
from nn_assets.estimators import USUAL
from nn_assets.learning.forecasts import forecasts_from_rows, no_forecasts
from nn_assets.market.calendar.sessions import sessions_between

SESSIONS = sessions_between("XNYS", "2015-01-02", "2015-04-30")
SYMBOLS = ("AAA", "BBB")


def stored_rows() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows = [
        {
            "symbol": symbol,
            "session": session,
            "estimator": estimator,
            "probability": generator.random(),
            "dispersion": generator.random(),
            "model_id": "m1" if session < pd.Timestamp("2015-03-01") else "m2",
        }
        for session in SESSIONS[10:]
        for symbol in SYMBOLS
        for estimator in USUAL
    ]
    return pd.DataFrame(rows)


def test_every_forecast_lands_on_its_symbol_and_session() -> None:
    rows = stored_rows()
    table = forecasts_from_rows(rows.sample(frac=1.0, random_state=1), SESSIONS, SYMBOLS)
    for row in rows.iloc[::17].to_dict("records"):
        cell = SESSIONS.get_loc(row["session"]), SYMBOLS.index(row["symbol"])
        assert table[row["estimator"]].probability[cell] == row["probability"]
        assert table[row["estimator"]].dispersion[cell] == row["dispersion"]
        assert table.model_ids[cell[0]] == row["model_id"]
    assert np.isnan(table["network"].probability[:10]).all()
    assert table.model_ids[:10] == [None] * 10


def test_rows_come_back_as_they_were_stored() -> None:
    rows = stored_rows()
    again = forecasts_from_rows(rows.sample(frac=1.0, random_state=2), SESSIONS, SYMBOLS).to_rows()
    pd.testing.assert_frame_equal(again, rows, check_dtype=False, check_exact=True)


def test_two_forecasts_for_one_place_are_refused() -> None:
    rows = stored_rows()
    with pytest.raises(SchemaError, match="one forecast per symbol"):
        forecasts_from_rows(pd.concat([rows, rows.iloc[:1]]), SESSIONS, SYMBOLS)


def test_rows_off_the_axis_are_left_out() -> None:
    table = forecasts_from_rows(stored_rows(), SESSIONS[:20], ("BBB",))
    assert np.isfinite(table["linear"].probability).sum() == 10


def test_a_part_is_written_over_its_own_rows_and_columns_alone() -> None:
    whole = forecasts_from_rows(stored_rows(), SESSIONS, SYMBOLS)
    table = no_forecasts(SESSIONS, SYMBOLS)
    table.put(whole.rows(slice(20, 30)))
    made = np.isfinite(table["network"].probability).any(axis=1)
    assert list(np.flatnonzero(made)) == list(range(20, 30))
    assert [model for model in table.model_ids if model] == list(whole.model_ids[20:30])


def test_who_is_no_member_has_no_forecast_and_no_model() -> None:
    whole = forecasts_from_rows(stored_rows(), SESSIONS, SYMBOLS)
    kept = np.ones((len(SESSIONS), 2), dtype=bool)
    kept[15] = False
    kept[16, 0] = False
    left = whole.where(kept)
    assert left.model_ids[15] is None
    assert left.model_ids[16] == "m1"
    assert np.isnan(left["boosting"].probability[16, 0])
    assert left["boosting"].probability[16, 1] == whole["boosting"].probability[16, 1]
