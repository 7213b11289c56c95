"""Frames and cubes come back to the bit, damage is named, history stays, half files never show."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn_assets.arrays import Cube, number_bytes
from nn_assets.errors import PublicationError, SchemaError
from nn_assets.store.lake.content import frame_hash
from nn_assets.store.lake.files import write_record
from nn_assets.store.lake.lake import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def some_bars(rows: int = 6, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    sessions = pd.date_range("2018-01-01", periods=rows, freq="D", unit="ns")
    return pd.DataFrame(
        {
            "symbol": pd.Series(["../x", "CON", "TRUE"] * rows, dtype="str")[:rows],
            "session": sessions,
            "close": np.where(random.random(rows) < 0.2, np.nan, random.lognormal(3, 2, rows)),
            "volume": random.lognormal(10, 3, rows),
            "count": random.integers(0, 9, rows),
            "halted": random.random(rows) < 0.5,
            "known_at": (sessions + pd.Timedelta(hours=21)).tz_localize("UTC"),
        }
    )


def test_a_table_comes_back_to_the_bit(lake: Lake) -> None:
    frame = some_bars(50)
    address = lake.write_table("demo", "raw_bars", frame)
    for stored in (lake.read_table("demo", "raw_bars"), lake.read_table("demo", "raw_bars", address)):
        pd.testing.assert_frame_equal(stored, frame, check_exact=True)
        assert stored["close"].to_numpy().tobytes() == frame["close"].to_numpy().tobytes()


def test_an_empty_table_keeps_its_types(lake: Lake) -> None:
    frame = some_bars()[:0]
    lake.write_table("demo", "quarantine", frame)
    assert lake.read_table("demo", "quarantine").dtypes.equals(frame.dtypes)


def test_writing_the_same_frame_again_writes_nothing(lake: Lake) -> None:
    lake.write_table("demo", "features", some_bars())
    before = {path: path.stat().st_mtime_ns for path in lake.root.rglob("*") if path.is_file()}
    lake.write_table("demo", "features", some_bars())
    after = {path: path.stat().st_mtime_ns for path in lake.root.rglob("*") if path.is_file()}
    del before[lake.root / "demo/features/.lock"], after[lake.root / "demo/features/.lock"]
    assert before == after


def test_a_replaced_table_stays_readable_by_its_address(lake: Lake) -> None:
    old, new = some_bars(seed=1), some_bars(seed=2)
    address = lake.write_table("demo", "features", old)
    assert lake.write_table("demo", "features", new) == lake.address_of("demo", "features")
    pd.testing.assert_frame_equal(lake.read_table("demo", "features"), new)
    pd.testing.assert_frame_equal(lake.read_table("demo", "features", address), old)


def test_a_selection_equals_the_same_cut_of_the_whole(lake: Lake) -> None:
    frame = some_bars(40)
    lake.write_table("demo", "raw_bars", frame)
    as_of = pd.Timestamp("2018-01-20 21:00", tz="UTC")
    selected = lake.read_table(
        "demo", "raw_bars", columns=["symbol", "close"], first="2018-01-05", last="2018-01-30", as_of=as_of
    )
    wanted = frame[
        (frame["session"] >= "2018-01-05") & (frame["session"] <= "2018-01-30") & (frame["known_at"] <= as_of)
    ]
    pd.testing.assert_frame_equal(selected, wanted[["symbol", "close"]].reset_index(drop=True))


def test_a_selection_by_a_column_that_is_not_there_is_refused(lake: Lake) -> None:
    lake.write_table("demo", "plain", some_bars()[["symbol", "close"]])
    with pytest.raises(SchemaError, match="session"):
        lake.read_table("demo", "plain", first="2018-01-01")
    with pytest.raises(SchemaError, match="colour"):
        lake.read_table("demo", "plain", columns=["colour"])


def test_an_index_or_a_column_that_would_be_lost_is_refused(lake: Lake) -> None:
    with pytest.raises(SchemaError, match="reset_index"):
        lake.write_table("demo", "plain", some_bars().set_index("session"))
    with pytest.raises(SchemaError, match="symbol"):
        lake.write_table("demo", "plain", pd.concat([some_bars(), some_bars()], axis=1))
    with pytest.raises(SchemaError, match="mixture"):
        lake.write_table("demo", "plain", pd.DataFrame({"odd": [1, "one"]}))


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden", "A", "x" * 200, "nul\x00"])
def test_a_name_that_could_leave_the_lake_is_refused(lake: Lake, name: str) -> None:
    with pytest.raises(PublicationError):
        lake.write_table(name, "raw_bars", some_bars())
    with pytest.raises(PublicationError):
        lake.read_table("demo", name)
    assert not lake.root.exists()


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "delete", "swap"])
def test_a_damaged_file_is_named_and_rewriting_mends_it(lake: Lake, damage: str) -> None:
    frame = some_bars(50)
    address = lake.write_table("demo", "raw_bars", frame)
    path = lake.root / "demo" / "raw_bars" / f"{address}.parquet"
    content = path.read_bytes()
    if damage == "delete":
        path.unlink()
    elif damage == "swap":
        some_bars(50, seed=9).to_parquet(path)
    else:
        half = len(content) // 2
        flipped = content[:60] + bytes([content[60] ^ 1]) + content[61:]  # a value: the footer is no content
        path.write_bytes({"truncate": content[:half], "flip": flipped, "empty": b""}[damage])
    for asked in (None, address):
        with pytest.raises(PublicationError, match=address):
            lake.read_table("demo", "raw_bars", asked)
    lake.write_table("demo", "raw_bars", frame)
    pd.testing.assert_frame_equal(lake.read_table("demo", "raw_bars"), frame)


def test_a_damaged_pointer_is_named(lake: Lake) -> None:
    lake.write_table("demo", "raw_bars", some_bars())
    pointer = lake.root / "demo" / "raw_bars" / "current.json"
    for content in ("{", "[]", '{"address": "x"}', "\x80"):
        pointer.write_bytes(content.encode("latin-1"))
        with pytest.raises(PublicationError, match=r"current\.json"):
            lake.read_table("demo", "raw_bars")


def test_a_table_that_was_never_written_is_missing_by_name(lake: Lake) -> None:
    assert lake.address_of("demo", "features") is None
    with pytest.raises(PublicationError, match="features"):
        lake.read_table("demo", "features")
    with pytest.raises(PublicationError, match="address"):
        lake.read_table("demo", "features", "../../x")


def test_months_are_read_in_order_and_missing_ones_are_named(lake: Lake) -> None:
    for month in ("2017-02", "2017-01"):
        lake.write_month("demo", "forecasts", month, some_bars(seed=int(month[-1])).assign(month=month))
    assert lake.months("demo", "forecasts") == ("2017-01", "2017-02")
    both = lake.read_months("demo", "forecasts", ["2017-02", "2017-01"])
    assert both["month"].tolist() == ["2017-01"] * 6 + ["2017-02"] * 6
    with pytest.raises(PublicationError, match="2016-12, 2017-03"):
        lake.read_months("demo", "forecasts", ["2016-12", "2017-01", "2017-03"])
    with pytest.raises(PublicationError, match="month"):
        lake.read_months("demo", "forecasts", [])
    with pytest.raises(PublicationError, match="2017-13"):
        lake.write_month("demo", "forecasts", "2017-13", some_bars())


def test_a_month_written_again_keeps_its_earlier_version(lake: Lake) -> None:
    first = lake.write_month("demo", "forecasts", "2017-01", some_bars(seed=1))
    second = lake.write_month("demo", "forecasts", "2017-01", some_bars(seed=2))
    assert lake.month_address("demo", "forecasts", "2017-01") == second
    pd.testing.assert_frame_equal(lake.read_table("demo", "forecasts", first), some_bars(seed=1))


def test_segments_are_read_in_the_order_of_their_adding_and_once(lake: Lake) -> None:
    parts = [some_bars(seed=seed) for seed in (5, 1, 3)]
    addresses = tuple(lake.append_segment("demo", "raw_bars", part) for part in parts)
    lake.append_segment("demo", "raw_bars", parts[0])
    assert lake.segments("demo", "raw_bars") == addresses
    pd.testing.assert_frame_equal(lake.read_segments("demo", "raw_bars"), pd.concat(parts, ignore_index=True))
    with pytest.raises(PublicationError, match="other"):
        lake.read_segments("demo", "other")


@pytest.mark.parametrize("index", [0, 1])
def test_an_addition_that_is_gone_from_before_the_last_is_named_and_none_is_read_past_it(
    lake: Lake, index: int
) -> None:
    parts = [some_bars(seed=seed) for seed in (5, 1, 3)]
    for part in parts:
        lake.append_segment("demo", "raw_bars", part)
    pointers = sorted((lake.root / "demo" / "raw_bars" / "segments").glob("*.json"))
    kept = pointers[index].read_bytes()
    pointers[index].unlink()
    for read in (lake.read_segments, lake.segments):
        with pytest.raises(PublicationError, match=f"addition {index + 1} to raw_bars"):
            read("demo", "raw_bars")
    with pytest.raises(PublicationError, match=f"{index + 1:08d}"):
        lake.append_segment("demo", "raw_bars", some_bars(seed=9))
    pointers[index].write_bytes(kept)  # from the backup
    pd.testing.assert_frame_equal(lake.read_segments("demo", "raw_bars"), pd.concat(parts, ignore_index=True))


def test_segments_added_at_once_are_all_there(lake: Lake) -> None:
    parts = [some_bars(seed=seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        addresses = list(pool.map(lambda part: lake.append_segment("demo", "raw_bars", part), parts))
    assert sorted(lake.segments("demo", "raw_bars")) == sorted(addresses)
    assert len(lake.read_segments("demo", "raw_bars")) == 48


def some_cube(bars: int = 30) -> Cube:
    values = np.random.default_rng(0).normal(size=(bars, 3, 4))
    values[::5, 1, 2] = np.nan
    return Cube(pd.date_range("2018-01-01", periods=bars, unit="ns"), ("A", "../x", "C"), ("r", "v", "t", "z"), values)


def test_a_cube_comes_back_to_the_bit_as_a_read_only_map(lake: Lake) -> None:
    cube = some_cube()
    address = lake.write_cube("demo", "features", cube)
    for stored in (lake.read_cube("demo", "features"), lake.read_cube("demo", "features", address)):
        assert stored.values.tobytes() == cube.values.tobytes()
        assert stored.sessions.equals(cube.sessions)
        assert stored.sessions.dtype == cube.sessions.dtype
        assert (stored.symbols, stored.names) == (cube.symbols, cube.names)
        with pytest.raises(ValueError, match="read-only"):
            stored.values[0, 0, 0] = 1.0


def test_a_damaged_cube_is_named_and_rewriting_mends_it(lake: Lake) -> None:
    address = lake.write_cube("demo", "features", some_cube())
    folder = lake.root / "demo" / "features"
    plane = next(folder.glob("*.npy"))
    for path, damage in ((plane, b"\x93NUMPY"), (folder / f"{address}.axes.json", b"{}")):
        path.write_bytes(damage)
        with pytest.raises(PublicationError, match=path.name):
            lake.read_cube("demo", "features")
        lake.write_cube("demo", "features", some_cube())
        assert lake.read_cube("demo", "features").symbols == some_cube().symbols
    plane.unlink()
    with pytest.raises(PublicationError, match=plane.name):
        lake.read_cube("demo", "features")


def test_an_edited_feature_adds_a_plane_and_a_reader_of_others_opens_theirs_alone(lake: Lake) -> None:
    cube, folder = some_cube(), lake.root / "demo" / "features"
    before = lake.write_cube("demo", "features", cube)
    planes = {path: path.stat().st_mtime_ns for path in folder.glob("*.npy")}
    assert len(planes) == 4
    values = np.concatenate([cube.values, cube.values[:, :, :1] * 2.0], axis=2)
    values[:, :, 1] += 1.0
    edited = Cube(cube.sessions, cube.symbols, (*cube.names, "new"), values)
    lake.write_cube("demo", "features", edited)
    assert {path: path.stat().st_mtime_ns for path in planes} == planes
    added = set(folder.glob("*.npy")) - planes.keys()
    assert len(added) == 2
    assert lake.read_cube("demo", "features").values.tobytes() == values.tobytes()
    for path in added:
        path.unlink()
    some = lake.read_cube("demo", "features", names=["t", "r", "none such"])
    assert some.names == ("r", "t")
    assert some.values.tobytes() == cube.select(("r", "t")).values.tobytes()
    assert lake.read_cube("demo", "features", before).values.tobytes() == cube.values.tobytes()


def test_a_cube_of_an_earlier_version_is_read_as_it_is(lake: Lake) -> None:
    cube, folder = some_cube(), lake.root / "demo" / "features"
    address = cube.content_hash()
    folder.mkdir(parents=True)
    np.save(folder / f"{address}.npy", cube.values)
    days = [day.date().isoformat() for day in cube.sessions]
    write_record(
        folder / f"{address}.axes.json", {"sessions": days, "symbols": list(cube.symbols), "names": list(cube.names)}
    )
    write_record(folder / "current.json", {"address": address, "rows": cube.session_count})
    assert lake.read_cube("demo", "features").values.tobytes() == cube.values.tobytes()
    some = lake.read_cube("demo", "features", names=("z", "v"))
    assert (some.names, some.values.tobytes()) == (("v", "z"), cube.select(("v", "z")).values.tobytes())
    (folder / f"{address}.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(PublicationError, match=address):
        lake.read_cube("demo", "features")


def test_every_part_of_a_frame_counts_in_its_hash() -> None:
    frame = some_bars(8)
    others = [
        frame.iloc[::-1].reset_index(drop=True),
        frame[[*frame.columns[::-1]]],
        frame.rename(columns={"close": "closed"}),
        frame.assign(close=np.nextafter(frame["close"], np.inf)),
        frame.assign(symbol=frame["symbol"].str.replace("CON", "con")),
        frame.assign(halted=~frame["halted"]),
        frame.assign(known_at=frame["known_at"] + pd.Timedelta(nanoseconds=1)),
        frame.assign(count=frame["count"].astype("int32")),
        frame.iloc[:-1],
    ]
    assert len({frame_hash(variant) for variant in [frame, *others]}) == len(others) + 1
    assert frame_hash(frame) == frame_hash(frame.copy())


@pytest.mark.full
@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text(max_size=4), min_size=2, max_size=4),
    st.lists(st.text(max_size=4), min_size=2, max_size=4),
)
def test_texts_cannot_run_into_each_other_in_a_hash(one: list[str], two: list[str]) -> None:
    hashes = [frame_hash(pd.DataFrame({"t": pd.Series(texts, dtype="str")})) for texts in (one, two)]
    assert (hashes[0] == hashes[1]) == (one == two)


def test_every_nan_is_the_same_nan() -> None:
    odd = np.frombuffer(np.array([0x7FF8000000000001], dtype="<u8").tobytes(), dtype="<f8").reshape(1, 1, 1)
    assert number_bytes(odd) == number_bytes(np.full((1, 1, 1), np.nan))
    assert frame_hash(pd.DataFrame({"x": odd.ravel()})) == frame_hash(pd.DataFrame({"x": [np.nan]}))


def test_both_zeros_are_one_in_every_hash() -> None:
    one, other = (pd.DataFrame({"x": [zero, 1.0]}) for zero in (0.0, -0.0))
    assert frame_hash(one) == frame_hash(other)
    sessions = pd.DatetimeIndex(["2018-01-02"])
    cubes = [Cube(sessions, ("A",), ("f",), np.full((1, 1, 1), zero)) for zero in (0.0, -0.0)]
    assert cubes[0].content_hash() == cubes[1].content_hash()
    assert number_bytes(np.inf) != number_bytes(np.nan)


def test_what_killed_writers_left_is_ignored_and_swept_once_it_is_old(lake: Lake) -> None:
    lake.write_table("demo", "raw_bars", some_bars())
    folder = lake.root / "demo" / "raw_bars"
    old, young = folder / ".staged-old", folder / ".staged-young"
    for path in (old, young):
        path.write_bytes(b"half a file")
    os.utime(old, (0, 0))
    assert len(lake.read_table("demo", "raw_bars")) == 6
    assert lake.sweep("other") == 0
    assert lake.sweep("demo") == 1
    assert young.exists()
    assert not old.exists()
