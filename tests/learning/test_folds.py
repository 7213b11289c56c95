from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn_assets.errors import FoldError
from nn_assets.learning.folds import (
    Fold,
    check_realised,
    fitted_month,
    forecast_rows,
    make_fold,
    purge_sessions,
    require_rows,
)
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.settings import LabelSettings, WalkForwardSettings

SESSIONS = sessions_between("XNYS", "2000-01-03", "2006-12-29")


@pytest.mark.full
@given(
    horizon=st.integers(1, 25),
    month=st.integers(0, 35),
    parts=st.tuples(st.integers(2, 30), st.integers(2, 6), st.integers(2, 6)),
    window=st.sampled_from(["rolling", "expanding"]),
)
@settings(max_examples=150, deadline=None)
def test_no_label_span_of_an_earlier_part_touches_a_later_part_or_the_months_of_use(
    horizon: int, month: int, parts: tuple[int, int, int], window: str
) -> None:
    walk = WalkForwardSettings.model_validate(
        dict(zip(("training_months", "validation_months", "calibration_months"), parts, strict=True))
        | {"window": window}
    )
    label = LabelSettings(horizon_sessions=horizon)
    asked = str(pd.Period("2004-01", "M") + month)
    fold = make_fold(SESSIONS, asked, walk, label)
    used = set(range(fold.used_from, len(SESSIONS)))
    later_than = {
        "training": set(range(fold.validation.start, fold.validation.stop))
        | set(range(fold.calibration.start, fold.calibration.stop))
        | used,
        "validation": set(range(fold.calibration.start, fold.calibration.stop)) | used,
        "calibration": used,
    }
    for name, rows in fold.parts().items():
        assert rows.stop > rows.start >= 0
        for row in range(rows.start, rows.stop):
            span = set(range(row + 1, row + 1 + horizon + 1))  # fill session to fill session + horizon
            assert not span & later_than[name]
    assert SESSIONS[fold.used_from] >= pd.Timestamp(asked) > SESSIONS[fold.used_from - 1]


def test_each_part_is_as_long_as_the_purge_allows() -> None:
    fold = make_fold(SESSIONS, "2004-01", WalkForwardSettings(), LabelSettings(horizon_sessions=5))
    assert SESSIONS[fold.training.start] == pd.Timestamp("2001-01-02")
    assert SESSIONS[fold.validation.start] == pd.Timestamp("2003-07-01")
    assert SESSIONS[fold.calibration.start] == pd.Timestamp("2003-10-01")
    assert SESSIONS[fold.used_from] == pd.Timestamp("2004-01-02")
    gaps = (
        fold.validation.start - fold.training.stop,
        fold.calibration.start - fold.validation.stop,
        fold.used_from - fold.calibration.stop,
    )
    assert gaps == (6, 6, 6)


def test_an_expanding_window_starts_where_history_does() -> None:
    fold = make_fold(SESSIONS, "2004-01", WalkForwardSettings(window="expanding"), LabelSettings())
    assert fold.training.start == 0


def test_a_fold_is_the_same_whether_history_ends_before_its_month_or_years_later() -> None:
    whole = make_fold(SESSIONS, "2004-01", WalkForwardSettings(), LabelSettings())
    ended = make_fold(SESSIONS[: whole.used_from], "2004-01", WalkForwardSettings(), LabelSettings())
    assert ended == whole


def test_a_refresh_inside_the_month_counts_its_parts_back_from_its_first_session() -> None:
    row = int(SESSIONS.searchsorted(pd.Timestamp("2004-01-16")))
    fold = make_fold(SESSIONS, "2004-01", WalkForwardSettings(), LabelSettings(), used_from=row)
    assert fold.used_from == row
    assert SESSIONS[fold.calibration.start] == pd.Timestamp("2003-10-16")
    assert fold.calibration.stop == row - 6


def test_a_purge_of_zero_is_refused() -> None:
    assert purge_sessions(5, 1) == 6
    for horizon, lag in ((0, 1), (5, 0)):
        with pytest.raises(FoldError, match="at least one session"):
            purge_sessions(horizon, lag)


def test_the_purge_counts_sessions_whatever_the_number_of_symbols() -> None:
    # a long table of 500 symbols has 500 rows a session; the axis has one
    fold = make_fold(SESSIONS, "2004-01", WalkForwardSettings(), LabelSettings(horizon_sessions=5))
    between = SESSIONS[fold.training.stop : fold.validation.start]
    assert len(between) == 6
    assert between[-1] == pd.Timestamp("2003-06-30")


@pytest.mark.parametrize("month", ["2000-03", "2007-02", "1999-01"])
def test_a_month_that_history_does_not_reach_is_refused_by_name(month: str) -> None:
    with pytest.raises(FoldError, match=f"month {month}"):
        make_fold(SESSIONS, month, WalkForwardSettings(), LabelSettings())


def test_too_few_usable_training_rows_are_refused_by_name() -> None:
    fold = make_fold(SESSIONS, "2004-01", WalkForwardSettings(), LabelSettings())
    require_rows(fold, 1000, 1000)
    with pytest.raises(FoldError, match=r"month 2004-01.*at least 1000 usable training rows; found 999"):
        require_rows(fold, 999, 1000)


def test_a_fold_that_forgot_to_purge_is_refused_by_the_labels_own_account() -> None:
    realised = np.arange(len(SESSIONS), dtype=np.int64) + 6
    purged = make_fold(SESSIONS, "2004-01", WalkForwardSettings(), LabelSettings(horizon_sessions=5))
    check_realised(purged, realised)
    for name, boundary in (
        ("training", purged.validation.start),
        ("validation", purged.calibration.start),
        ("calibration", purged.used_from),
    ):
        rows = purged.parts()[name]
        one_too_many = slice(rows.start, boundary - 6 + 1)
        broken = Fold(**{**purged.__dict__, name: one_too_many})
        with pytest.raises(FoldError, match=f"every label of {name}"):
            check_realised(broken, realised)


def test_the_model_in_force_is_the_latest_refit_at_or_before_the_month() -> None:
    in_force = [fitted_month(month, "2003-02", 6) for month in ("2003-02", "2003-07", "2003-08", "2004-01", "2004-02")]
    assert in_force == ["2003-02", "2003-02", "2003-08", "2003-08", "2004-02"]
    with pytest.raises(FoldError, match="a month from 2003-02 on"):
        fitted_month("2003-01", "2003-02", 6)


def test_forecast_rows_are_exactly_the_sessions_of_the_month() -> None:
    rows = forecast_rows(SESSIONS, "2001-09")
    assert SESSIONS[rows][0] == pd.Timestamp("2001-09-04")
    assert len(SESSIONS[rows]) == 15  # the exchange closed for four sessions after 11 September
    empty = forecast_rows(SESSIONS, "2007-01")
    assert empty.start == empty.stop == len(SESSIONS)


def test_a_fold_survives_its_passage_through_json_values() -> None:
    fold = make_fold(SESSIONS, "2004-01", WalkForwardSettings(), LabelSettings())
    assert Fold.from_dict(fold.to_dict()) == fold
