"""Fills as arrays: an empty batch is empty throughout, and a day is a day however it is written."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from nn_assets.portfolio.fills import FillArrays, day_of, no_fills


def test_an_empty_batch_is_empty_in_every_part() -> None:
    batch = no_fills()
    assert len(batch) == 0
    for field in fields(FillArrays):
        if field.name != "source":
            part = getattr(batch, field.name)
            assert part is None or len(part) == 0, field.name


@pytest.mark.parametrize(
    "session",
    [
        np.datetime64("2017-06-01T00:00", "ns"),
        np.datetime64("2017-06-01"),
        pd.Timestamp("2017-06-01"),
        "2017-06-01",
    ],
)
def test_a_session_is_its_day(session: object) -> None:
    assert day_of(session) == np.datetime64("2017-06-01", "D")
    assert day_of(session).dtype == np.dtype("datetime64[D]")


def test_a_bar_within_the_session_is_its_minute() -> None:
    assert day_of(pd.Timestamp("2017-06-01 16:05")) == np.datetime64("2017-06-01T16:05", "m")


@pytest.mark.parametrize("session", [None, pd.NaT, np.datetime64("NaT")])
def test_no_session_is_no_day(session: object) -> None:
    assert np.isnat(day_of(session))
    assert day_of(session).dtype == np.dtype("datetime64[D]")
