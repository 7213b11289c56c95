"""The cube: what it refuses, how it is cut, and what its hash sees."""

from __future__ import annotations

import struct

import numpy as np
import pandas as pd
import pytest

from nn_assets.arrays import Cube, canonical, named_rows, records_of, values_of
from nn_assets.errors import SchemaError, SettingsError
from nn_assets.market.panel import Panel

SESSIONS = pd.bdate_range("2015-01-05", periods=6).as_unit("ns")


def _cube(values: np.ndarray | None = None, sessions: pd.DatetimeIndex = SESSIONS) -> Cube:
    if values is None:
        values = np.arange(36, dtype=np.float64).reshape(6, 2, 3)
    return Cube(sessions, ("A", "B"), ("x", "y", "z"), values)


def test_values_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        _cube().values[0, 0, 0] = 1.0


def test_the_callers_array_stays_writable():
    values = np.zeros((6, 2, 3))
    _cube(values)
    values[0, 0, 0] = 1.0
    assert values[0, 0, 0] == 1.0


@pytest.mark.parametrize("values", [np.zeros((5, 2, 3)), np.zeros((6, 3, 2)), np.zeros((6, 2, 3), np.float32)])
def test_values_that_do_not_fit_the_axes_are_refused(values):
    with pytest.raises(SchemaError, match=r"\(6, 2, 3\)"):
        _cube(values)


def test_a_name_given_twice_is_refused():
    with pytest.raises(SchemaError, match="x, x"):
        Cube(SESSIONS, ("A",), ("x", "x"), np.zeros((6, 1, 2)))


def test_cutting_keeps_the_session_itself_and_all_before_it():
    cube = _cube()
    cut = cube.until(SESSIONS[3])
    assert cut.session_count == 4
    np.testing.assert_array_equal(cut.values, cube.values[:4])
    assert cube.until(SESSIONS[3] + pd.Timedelta(days=1, hours=1)).session_count == 5
    assert cube.until("2014-01-01").session_count == 0


def test_selecting_follows_the_order_asked_for():
    cube = _cube().select(("z", "x"))
    assert cube.names == ("z", "x")
    np.testing.assert_array_equal(cube.values[0, 0], [2.0, 0.0])
    np.testing.assert_array_equal(_cube().feature("y"), _cube().values[:, :, 1])


@pytest.mark.parametrize("ask", [lambda cube: cube.select(("x", "w")), lambda cube: cube.feature("w")])
def test_an_unknown_feature_is_named(ask):
    with pytest.raises(SettingsError, match="found w"):
        ask(_cube())


def test_a_row_is_found_by_its_session():
    assert [_cube().row(session) for session in SESSIONS] == list(range(6))


@pytest.mark.parametrize("day", ["2015-01-10", "2014-12-31", "2016-01-01"])
def test_a_session_off_the_axis_is_named(day):
    with pytest.raises(SchemaError, match=f"session {day}"):
        _cube().row(day)
    with pytest.raises(SchemaError, match="no session"):
        _cube().until("2014-01-01").row(day)


def test_the_hash_sees_values_axes_and_names_but_not_where_the_axis_starts():
    cube = _cube()
    later = _cube(cube.values[2:], SESSIONS[2:])
    assert later.content_hash() == cube.content_hash(slice(2, None))
    assert later.content_hash(slice(0, 2)) == cube.content_hash(slice(2, 4))
    touched = np.array(cube.values)
    touched[3, 1, 2] = np.nextafter(touched[3, 1, 2], 1e9)
    hashes = {
        cube.content_hash(),
        cube.content_hash(slice(0, 5)),
        _cube(touched).content_hash(),
        _cube(cube.values, SESSIONS + pd.Timedelta(days=7)).content_hash(),
        Cube(SESSIONS, ("A", "C"), cube.names, cube.values).content_hash(),
        Cube(SESSIONS, cube.symbols, ("x", "y", "w"), cube.values).content_hash(),
        Cube(SESSIONS, ("A", "B\0x"), ("y", "z", "w"), cube.values).content_hash(),
    }
    assert len(hashes) == 7
    assert _cube(touched).content_hash(slice(0, 3)) == cube.content_hash(slice(0, 3))


def test_every_nan_and_every_zero_hashes_alike():
    other_nan = struct.unpack("<d", struct.pack("<Q", 0xFFF8000000000123))[0]
    one, two = np.zeros((6, 2, 3)), np.zeros((6, 2, 3))
    one[0, 0, 0], two[0, 0, 0] = np.nan, other_nan
    two[1, 0, 0] = -0.0
    assert one.tobytes() != two.tobytes()
    assert _cube(one).content_hash() == _cube(two).content_hash()


def test_canonical_values_have_no_infinity_and_leave_their_source_alone():
    source = np.array([1.0, np.inf, -np.inf, -0.0, np.nan])
    np.testing.assert_array_equal(canonical(source), [1.0, np.nan, np.nan, 0.0, np.nan])
    assert np.isinf(source[1])


def test_one_rule_finds_the_row_of_a_cube_and_of_a_panel() -> None:
    days = pd.bdate_range("2017-01-02", periods=3)
    nothing = np.full((3, 1), np.nan)
    panel = Panel(days, ("A",), nothing, nothing, nothing, nothing, nothing)
    for axis in (Cube(days, ("A",), ("one",), nothing[:, :, None]), panel):
        assert [axis.row(day) for day in days] == [0, 1, 2]
        for day in ("2017-01-01", "2017-01-05"):
            with pytest.raises(SchemaError, match=f"a session from 2017-01-02 to 2017-01-04; found {day}"):
                axis.row(day)
    with pytest.raises(SchemaError, match="a session of an axis that holds no session"):
        Cube(days[:0], ("A",), ("one",), nothing[:0, :, None]).row("2017-01-02")


def test_rows_of_a_frame_carry_the_values_of_its_columns_by_name():
    frame = pd.DataFrame({"symbol": ["A", None], "session": [SESSIONS[0], pd.NaT], "size": [1, 2]}, index=[7, 7])
    assert next((row.symbol, row.session) for row in named_rows(frame)) == ("A", SESSIONS[0])
    assert [row._fields for row in named_rows(frame)] == [("symbol", "session", "size")] * 2
    assert records_of(frame)[0] == {"symbol": "A", "session": SESSIONS[0], "size": 1}
    assert type(records_of(frame)[0]["size"]) is int
    assert values_of(frame.iloc[0]) == {"symbol": "A", "session": SESSIONS[0], "size": 1}
    assert (list(named_rows(frame[:0])), records_of(frame[:0])) == ([], [])
