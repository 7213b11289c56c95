"""Panels: bars land on their row and column whatever arrives around them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import SchemaError
from nn_assets.market.panel import FIELDS, panel_from_bars
from tests.market.builders import sound_bars

BARS = sound_bars(("AAA", "BBB"), count=10)
SESSIONS = pd.DatetimeIndex(BARS["session"].unique())


def test_each_bar_lands_on_its_session_and_symbol() -> None:
    panel = panel_from_bars(BARS.sample(frac=1.0, random_state=2), SESSIONS, ("BBB", "AAA", "CCC"))
    assert panel.session_count == 10
    for bar in BARS.itertuples():
        column = {"BBB": 0, "AAA": 1}[bar.symbol]
        row = panel.row(bar.session)
        assert [getattr(panel, name)[row, column] for name in FIELDS] == [getattr(bar, name) for name in FIELDS]
    assert np.isnan(panel.close[:, 2]).all()


def test_a_session_without_a_bar_is_nan_and_bars_off_the_axis_are_left_out() -> None:
    panel = panel_from_bars(BARS.drop(index=3), SESSIONS[1:], ("AAA",))
    assert np.isnan(panel.close[2, 0])
    assert np.isfinite(panel.close).sum() == 8


def test_a_panel_cut_at_a_session_is_the_panel_of_the_bars_until_then() -> None:
    whole = panel_from_bars(BARS, SESSIONS, ("AAA", "BBB"))
    cut = whole.until(SESSIONS[6])
    alone = panel_from_bars(BARS[BARS["session"] <= SESSIONS[6]], SESSIONS[:7], ("AAA", "BBB"))
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(cut, name), getattr(alone, name))


def test_a_panel_cannot_be_written_to() -> None:
    panel = panel_from_bars(BARS, SESSIONS, ("AAA",))
    with pytest.raises(ValueError, match="read-only"):
        panel.close[0, 0] = 1.0


def test_a_day_that_is_not_on_the_axis_is_refused() -> None:
    panel = panel_from_bars(BARS, SESSIONS, ("AAA",))
    with pytest.raises(SchemaError, match="2018-01-06"):
        panel.row("2018-01-06")
