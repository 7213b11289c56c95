"""What every store of blobs keeps; a new one brings an empty folder of it."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.arrays import Cube
from nn_assets.errors import ModelError, PublicationError
from nn_assets.store.lake.carried import (
    open_array,
    read_arrays,
    read_carried,
    store_array,
    store_arrays,
    switch_carried,
)
from nn_assets.store.lake.files import (
    content_of,
    exists,
    file_sha256,
    listed,
    locked,
    read_record,
    replace_file,
    staged_folder,
    store_of,
    sweep,
    write_bytes,
)
from nn_assets.store.lake.lake import Lake
from nn_assets.store.lake.models import ModelStore
from nn_assets.store.lake.port import BlobPath
from nn_assets.store.lake.publication import PublicationStore
from tests.store.test_lake import some_bars


def filled(folder: Path, **files: bytes) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)


class BlobContract:
    """Tests that a member inherits, with the fixture ``root``."""

    @pytest.fixture
    def root(self) -> BlobPath:
        raise NotImplementedError

    def test_what_is_put_is_read_whole_and_in_ranges_and_listed_in_order(self, root: BlobPath) -> None:
        folder = root / "demo" / "table"
        assert (exists(folder), listed(folder), content_of(folder / "a")) == (False, [], None)
        for name in ("b", "a"):
            write_bytes(folder / name, name.encode() * 9)
        store = store_of(folder)
        assert store.get(folder / "a") == b"a" * 9
        source = store.open(folder / "b")
        with source.open("rb") if isinstance(source, Path) else source as stream:
            stream.seek(7)
            assert stream.read() == b"bb"
        assert store.local(folder / "a").read_bytes() == b"a" * 9
        assert [path.name for path in listed(folder)] == ["a", "b"]
        assert listed(root) == [root / "demo"]
        assert exists(folder)
        assert file_sha256(folder / "a") == hashlib.sha256(b"a" * 9).hexdigest()
        with pytest.raises(FileNotFoundError):
            store.get(folder / "c")

    def test_a_writer_that_fails_leaves_what_was_there(self, root: BlobPath) -> None:
        write_bytes(root / "x", b"before")
        with pytest.raises(IsADirectoryError), replace_file(root / "x") as staged:
            staged.parent.read_bytes()
        assert content_of(root / "x") == b"before"
        assert [path.name for path in listed(root)] == ["x"]
        write_bytes(root / "x", b"after")
        assert content_of(root / "x") == b"after"
        assert sweep(root) == 0

    def test_what_is_put_if_absent_is_not_put_over_another(self, root: BlobPath) -> None:
        for content in (b"first", b"second"):
            try:
                with replace_file(root / "x", if_absent=True) as staged:
                    staged.write_bytes(content)
            except FileExistsError:
                assert content == b"second"
        assert content_of(root / "x") == b"first"

    def test_a_folder_is_put_at_once_and_never_over_another(self, root: BlobPath) -> None:
        with staged_folder(root / "model") as staged:
            filled(staged, a=b"1", b=b"2")
            assert not exists(root / "model")
        with pytest.raises(FileExistsError), staged_folder(root / "model") as staged:
            filled(staged, a=b"3")
        with pytest.raises(IsADirectoryError), staged_folder(root / "other") as staged:
            staged.read_bytes()
        assert {path.name: content_of(path) for path in listed(root / "model")} == {"a": b"1", "b": b"2"}
        assert listed(root) == [root / "model"]

    def test_a_folder_that_is_set_aside_leaves_its_name_free(self, root: BlobPath) -> None:
        for _ in (1, 2):
            with staged_folder(root / "model") as staged:
                filled(staged, a=b"1")
            store_of(root).set_aside(root / "model", "model.damaged-")
        assert not exists(root / "model")
        assert [content_of(path / "a") for path in listed(root)] == [b"1", b"1"]

    def test_a_pointer_is_switched_only_from_what_was_read(self, root: BlobPath) -> None:
        store, pointer = store_of(root), root / "current.json"
        write_bytes(root / "beside", b"")
        store.swap(pointer, b"one", None)
        store.swap(pointer, b"two", b"one")
        for before in (None, b"one", b"other"):
            with pytest.raises(PublicationError):
                store.swap(pointer, b"three", before)
        assert content_of(pointer) == b"two"

    def test_what_is_removed_is_gone_and_removing_it_again_does_nothing(self, root: BlobPath) -> None:
        write_bytes(root / "x", b"x")
        for _ in (1, 2):
            store_of(root).remove(root / "x")
        assert not exists(root / "x")

    def test_of_two_who_lock_a_folder_one_waits_and_says_so(self, root: BlobPath) -> None:
        order: list[str] = []
        waiting = threading.Event()

        def second() -> None:
            with locked(root / "demo", waiting.set):
                order.append("second")

        with locked(root / "demo"):
            thread = threading.Thread(target=second)
            thread.start()
            assert waiting.wait(10.0)
            order.append("first")
        thread.join(10.0)
        assert order == ["first", "second"]

    # --- the lake, the publications and the models on it ----------------------------------------------

    def test_tables_months_and_segments_are_written_read_and_merged(self, root: BlobPath) -> None:
        lake, bars = Lake(root), some_bars()
        first = lake.write_table("demo", "table", bars)
        second = lake.write_table("demo", "table", bars.iloc[:-1])
        pd.testing.assert_frame_equal(lake.read_table("demo", "table"), bars.iloc[:-1])
        pd.testing.assert_frame_equal(lake.read_table("demo", "table", first), bars)
        record = read_record(lake.folder("demo", "table") / "current.json")
        assert record == {"address": second, "rows": len(bars) - 1, "earlier": [first]}
        lake.write_month("demo", "forecasts", "2018-01", bars)
        assert lake.months("demo", "forecasts") == ("2018-01",)
        pd.testing.assert_frame_equal(lake.read_months("demo", "forecasts", ["2018-01"]), bars)
        for row in range(33):  # one more than are merged
            lake.append_segment("demo", "raw_bars", bars.assign(close=100.0 + row))
        assert (lake.additions("demo", "raw_bars"), len(lake.segments("demo", "raw_bars"))) == (33, 2)
        assert lake.rows_added("demo", "raw_bars") == 33 * len(bars) == len(lake.read_segments("demo", "raw_bars"))
        assert lake.newest("demo", "raw_bars", "session") == bars["session"].max().tz_localize("UTC")
        assert lake.strategies() == ["demo"]

    def test_a_damaged_blob_is_missed_and_written_again(self, root: BlobPath) -> None:
        lake, bars = Lake(root), some_bars()
        address = lake.write_table("demo", "table", bars)
        file = lake.folder("demo", "table") / f"{address}.parquet"
        whole = content_of(file)
        assert whole is not None
        write_bytes(file, whole[:-9])
        with pytest.raises(PublicationError, match="as it was written"):
            lake.read_table("demo", "table")
        assert lake.write_table("demo", "table", bars) == address
        assert content_of(file) == whole

    def test_a_cube_is_written_plane_by_plane_and_read_back(self, root: BlobPath) -> None:
        lake, sessions = Lake(root), pd.bdate_range("2018-01-01", periods=5).as_unit("ns")
        values = np.random.default_rng(1).normal(size=(5, 2, 3))
        values[0, 0, 0] = np.nan
        cube = Cube(sessions, ("A", "B"), ("x", "y", "z"), values)
        address = lake.write_cube("demo", "features", cube)
        back = lake.read_cube("demo", "features")
        assert (back.values.tobytes(), back.names) == (values.tobytes(), cube.names)
        assert lake.read_cube("demo", "features", address, ["y"]).values.tobytes() == values[:, :, 1:2].tobytes()

    def test_a_publication_is_switched_to_and_the_one_before_stays_readable(self, root: BlobPath) -> None:
        store, bars = PublicationStore(Lake(root)), some_bars()
        days = sorted(bars["session"].unique())
        cuts = [bars[bars["session"] <= last].reset_index(drop=True) for last in (days[-2], days[-1])]
        for hour, cut in enumerate(cuts):
            store.publish(
                "demo",
                cut,
                cut.iloc[:0],
                first=days[0],
                last=cut["session"].max(),
                content_hash=f"{hour}" * 64,
                published_at=pd.Timestamp("2018-01-10", tz="UTC") + pd.Timedelta(hours=hour),
            )
        one, two = store.history("demo")
        assert store.require("demo", days[-1]) == two
        pd.testing.assert_frame_equal(store.bars(one), cuts[0])
        pd.testing.assert_frame_equal(store.bars(two), cuts[1])

    def test_what_a_growing_table_carries_on_is_read_back(self, root: BlobPath) -> None:
        folder, array = root / "demo" / "carried", np.arange(6.0)
        names = [store_arrays(folder, {"a": array}), store_array(folder, array), store_array(folder, array + 1.0)]
        switch_carried(folder, {"running": names[0]}, names[:2])
        assert read_carried(folder) == {"running": names[0]}
        arrays, mapped = read_arrays(folder, names[0]), open_array(folder, names[1])
        assert arrays is not None
        assert mapped is not None
        assert arrays["a"].tobytes() == np.asarray(mapped).tobytes() == array.tobytes()
        assert open_array(folder, names[2]) is None

    def test_a_model_is_kept_once_and_one_that_is_damaged_is_set_aside(self, root: BlobPath) -> None:
        models, files = ModelStore(root), {"weights.npy": b"w", "about.json": b"{}"}
        for _ in (1, 2):
            sha256 = models.put("a1b2c3d4", files)
        assert models.get("a1b2c3d4") == files
        with pytest.raises(ModelError, match="already holds"):
            models.put("a1b2c3d4", {"about.json": b"[]"})
        write_bytes(models.folder("a1b2c3d4") / "weights.npy", b"x")
        assert not models.has("a1b2c3d4")
        assert models.put("a1b2c3d4", files) == sha256 == models.artifact_sha256("a1b2c3d4")
        assert models.model_ids() == ("a1b2c3d4",)
