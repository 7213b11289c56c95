"""Every kind of file of the lake, damaged in every way: what is read is what was written, or one error names the file.

What follows from other things is written again as it was; what arrived as a fact comes back from a backup.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.arrays import Cube
from nn_assets.errors import AccessError, NnAssetsError, PublicationError
from nn_assets.store.lake import parts
from nn_assets.store.lake.blobs import load_frame
from nn_assets.store.lake.lake import Lake
from nn_assets.store.lake.publication import PublicationStore
from tests.store.forbidden import forbid

DAYS = pd.bdate_range("2018-03-01", "2018-07-31").as_unit("ns")
PUBLISHED = pd.Timestamp("2018-08-01 20:00", tz="UTC")


def bars(seed: int, symbols: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "symbol": np.repeat([f"S{number}" for number in range(symbols)], len(DAYS)),
            "session": np.tile(DAYS, symbols),
            "close": rng.normal(size=symbols * len(DAYS)),
        }
    )


def fill(lake: Lake) -> None:
    """One of each form in which the lake keeps anything; to fill it again is what a run or a study does."""
    lake.append_segment("demo", "raw_bars", bars(1).head(50))
    lake.append_segment("demo", "raw_bars", bars(2).head(50))
    lake.append_segment("demo", "raw_bars", bars(3))  # in parts
    make_again(lake)


def make_again(lake: Lake) -> None:
    lake.write_table("demo", "features_record", bars(4).head(9))
    lake.write_table("demo", "validated_bars", bars(5))  # in parts
    for month in ("2018-03", "2018-04"):
        lake.write_month("demo", "forecasts", month, bars(int(month[-2:])).head(20))
    sessions, values = DAYS[:9], np.random.default_rng(6).normal(size=(9, 2, 2))
    lake.write_cube("demo", "features", Cube(sessions, ("A", "B"), ("x", "y"), values))
    publish(lake)


def publish(lake: Lake) -> None:
    PublicationStore(lake).publish(
        "demo",
        bars(5),
        bars(7).head(2),
        first=DAYS[0],
        last=DAYS[-1],
        content_hash="hash",
        published_at=PUBLISHED,
    )


def read(lake: Lake) -> dict[str, object]:
    """Everything that can be asked of it, as what can be compared."""
    store = PublicationStore(lake)
    published = store.require("demo", DAYS[3])
    frames = {
        "raw": lake.read_segments("demo", "raw_bars"),
        "raw, some": lake.read_segments("demo", "raw_bars", first="2018-03-05", last="2018-03-09"),
        "record": lake.read_table("demo", "features_record"),
        "table": lake.read_table("demo", "validated_bars"),
        "bars": store.bars(published, first="2018-04-02", last="2018-04-20"),
        "quarantine": store.quarantine(published),
        "months": lake.read_months("demo", "forecasts", lake.months("demo", "forecasts")),
    }
    cube = lake.read_cube("demo", "features")
    contents = {name: frame.to_csv(index=False) for name, frame in frames.items()}
    return {**contents, "cube": (cube.symbols, cube.names, list(cube.sessions), cube.values.tobytes())}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "_WHOLE_ROWS", 60)
        lake = Lake(tmp_path_factory.mktemp("whole") / "lake")
        fill(lake)
        yield lake


@pytest.fixture
def lake(whole: Lake, tmp_path: Path) -> Lake:
    return Lake(Path(shutil.copytree(whole.root, tmp_path / "lake")))


def files_of(lake: Lake) -> dict[str, list[Path]]:
    """The files there are, relative to the lake, by kind."""
    kinds: dict[str, list[Path]] = {}
    for path in sorted(lake.root.rglob("*")):
        if path.is_file() and path.name != ".lock":
            relative = path.relative_to(lake.root)
            kind = re.sub(r"[0-9a-f]{64}", "ADDRESS", str(relative))
            kind = re.sub(r"/[0-9]{8}-[^/]*json", "/ORDINAL.json", re.sub(r"2018-0[0-9]", "MONTH", kind))
            kinds.setdefault(kind, []).append(relative)
    return kinds


DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "deleted": lambda _: None,
    "emptied": lambda _: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "flipped": lambda content: (
        content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :]
    ),
    "an empty object": lambda _: b"{}",
}
QUICK = ("flipped",)
IS_A_FACT = "raw_bars/"
FORMS = {
    "ADDRESS.parquet",
    "ADDRESS.manifest.json",
    "ADDRESS.npy",
    "ADDRESS.axes.json",
    "current.json",
    "MONTH.json",
    "ORDINAL.json",
    "additions.json",
}


def test_every_form_is_there(whole: Lake) -> None:
    assert {name.rpartition("/")[2] for name in files_of(whole)} == FORMS
    assert any('"parts"' in path.read_text() for path in (whole.root / "demo" / "raw_bars").glob("*.manifest.json"))


@pytest.mark.parametrize("how", [pytest.param(how, marks=[] if how in QUICK else pytest.mark.full) for how in DAMAGE])
def test_what_is_damaged_is_made_again_or_restored(whole: Lake, tmp_path: Path, how: str) -> None:
    wanted = read(whole)
    for kind, paths in files_of(whole).items():
        for number, path in enumerate(paths):
            lake = Lake(Path(shutil.copytree(whole.root, tmp_path / f"{kind.replace('/', '_')}{number}")))
            file = lake.root / path
            content = DAMAGE[how](file.read_bytes())
            file.unlink() if content is None else file.write_bytes(content)
            remedy = ""
            try:
                actual = read(lake)
                if how == "deleted" and kind.endswith("MONTH.json"):
                    actual = wanted  # as if it had never been there
                assert actual == wanted, (kind, how)
            except PublicationError as error:
                remedy = str(error)
                table = path.parts[1]
                if table == "publication":
                    continue  # in tests/store/test_publication.py
                assert str(lake.root / "demo" / table) in remedy or f"table {table}]" in remedy, (kind, how, remedy)
                assert ("backup" in remedy) == (IS_A_FACT in kind), (kind, how, remedy)
                assert ("nn-assets study --strategy demo" in remedy) == (IS_A_FACT not in kind), (kind, how, remedy)
            if "backup" in remedy or (how == "deleted" and file.name == "additions.json"):
                file.write_bytes((whole.root / path).read_bytes())
            else:
                make_again(lake)
            assert read(lake) == wanted, (kind, how)
            if not file.name.startswith(("current", "0", "2018")):  # a pointer keeps what it took the place of
                assert file.read_bytes() == (whole.root / path).read_bytes(), (kind, how)


@pytest.mark.parametrize("what", ["content", "pointer"])
def test_every_damaged_month_of_a_table_is_named_by_whoever_reads_one(lake: Lake, what: str) -> None:
    folder = lake.root / "demo" / "forecasts"
    for month in ("2018-03", "2018-04"):
        pointer = folder / "months" / f"{month}.json"
        file = folder / f"{json.loads(pointer.read_text())['address']}.parquet" if what == "content" else pointer
        file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(PublicationError, match=r"strategy demo, table forecasts, months 2018-03, 2018-04") as raised:
        lake.read_months("demo", "forecasts", ["2018-04"])
    assert "nn-assets study --strategy demo --from 2018-03 --to 2018-04" in raised.value.remedy
    make_again(lake)
    assert len(lake.read_months("demo", "forecasts", ["2018-03", "2018-04"])) == 40


def test_no_flipped_byte_of_a_record_changes_what_is_read(whole: Lake, lake: Lake) -> None:
    _flip_bytes(whole, lake, step=23)


@pytest.mark.full
def test_no_flipped_byte_of_many_in_a_record_changes_what_is_read(whole: Lake, lake: Lake) -> None:
    _flip_bytes(whole, lake, step=3)


def _flip_bytes(whole: Lake, lake: Lake, step: int) -> None:
    wanted = read(whole)
    for paths in files_of(whole).values():
        if paths[0].suffix != ".json":
            continue
        file, content = lake.root / paths[-1], (whole.root / paths[-1]).read_bytes()
        for at in range(0, len(content), step):
            file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            try:
                actual = read(lake)
            except NnAssetsError:
                continue
            finally:
                file.write_bytes(content)
            assert actual == wanted, (paths[-1], at, content[at - 9 : at + 9])


@pytest.mark.parametrize("step", [61, pytest.param(3, marks=pytest.mark.full)])
def test_no_flipped_byte_of_content_changes_what_is_read(lake: Lake, step: int) -> None:
    wanted = lake.read_table("demo", "features_record")
    file = next((lake.root / "demo" / "features_record").glob("*.parquet"))
    content = file.read_bytes()
    for at in range(0, len(content), step):
        file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        try:
            actual = lake.read_table("demo", "features_record")
        except PublicationError:
            continue
        pd.testing.assert_frame_equal(actual, wanted)
        assert file.read_bytes() == content, "written again as it was"


@pytest.mark.parametrize("step", [197, pytest.param(5, marks=pytest.mark.full)])
def test_a_flipped_bit_of_any_content_is_a_named_error_or_changes_nothing(lake: Lake, step: int) -> None:
    """Pages, dictionaries, headers and footers of every Parquet file, parts too: the hash of the file stands before."""
    named, read_as_written = list[tuple[Path, PublicationError]](), 0
    draw = np.random.default_rng(11)
    for file in sorted(lake.root.rglob("*.parquet")):
        content, wanted = file.read_bytes(), load_frame(file.parent, file.stem, {})
        for at in range(int(draw.integers(step)), len(content), step):
            flipped = content[at] ^ (1 << int(draw.integers(8)))
            file.write_bytes(content[:at] + bytes([flipped]) + content[at + 1 :])
            try:
                actual = load_frame(file.parent, file.stem, {})
            except PublicationError as error:
                named.append((file, error))
            else:
                pd.testing.assert_frame_equal(actual, wanted)
                assert file.read_bytes() == content, "written again as it was"
                read_as_written += 1
            file.write_bytes(content)
    assert len(named) > 100
    for file, error in named:
        assert str(file) == error.where["file"]
        assert error.remedy.startswith(("nn-assets study", "restore it from a backup"))
    assert read_as_written > 5


def test_a_footer_with_a_flipped_bit_is_not_parsed_where_it_alone_is_read(lake: Lake) -> None:
    """Some of these bits end the process, and many change what the footer says the newest moment is."""
    stored = bars(8).head(9).assign(ingested_at=PUBLISHED)
    lake.append_segment("demo", "stamped", stored)
    (file,) = (lake.root / "demo" / "stamped").rglob("*.parquet")
    content = file.read_bytes()
    for at in [638, 962, 1062, *range(4, len(content), 7)]:
        file.write_bytes(content[:at] + bytes([content[at] ^ 64]) + content[at + 1 :])
        assert lake.newest("demo", "stamped", "ingested_at") is None, "what reads the rows says that it is damaged"
    file.write_bytes(content)
    assert lake.newest("demo", "stamped", "ingested_at") == PUBLISHED


def test_a_file_that_may_not_be_read_is_not_taken_for_damaged(whole: Lake, lake: Lake) -> None:
    wanted = read(whole)
    for kind, paths in files_of(lake).items():
        if kind.endswith(("segments/ORDINAL.json", ".npy")):
            continue  # a segment's name says all; an array is opened by NumPy
        with pytest.MonkeyPatch.context() as patch:
            forbid(patch, paths[0].name)
            with pytest.raises(AccessError, match=re.escape(paths[0].name)):
                read(lake)
    assert read(lake) == wanted


@pytest.mark.parametrize("folder", ["raw_bars/segments", "forecasts/months", "publication/history"])
def test_a_folder_that_may_not_be_listed_is_not_taken_for_an_empty_one(
    lake: Lake, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.listdir

    def refusing(path: Path) -> list[str]:
        if str(path).endswith(folder):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "listdir", refusing)
    with pytest.raises(AccessError, match=folder):
        read(lake)


def pointers_of(lake: Lake) -> list[Path]:
    return sorted((lake.root / "demo" / "raw_bars" / "segments").iterdir())


@pytest.mark.parametrize("which", [(0,), (1,), (2,), (1, 2), (0, 1, 2)])
def test_an_addition_that_is_gone_is_missed_and_comes_back(lake: Lake, which: tuple[int, ...]) -> None:
    """Read without it, bars would be taken in again as if they had arrived today."""
    wanted = read(lake)
    lost = [pointers_of(lake)[index] for index in which]
    kept = [path.read_bytes() for path in lost]
    for path in lost:
        path.unlink()
    asks: tuple[Callable[[], object], ...] = (
        lambda: read(lake),
        lambda: lake.segments("demo", "raw_bars"),
        lambda: lake.additions("demo", "raw_bars"),
        lambda: lake.newest("demo", "raw_bars", "session"),
        lambda: lake.append_segment("demo", "raw_bars", bars(9).head(3)),
    )
    for ask in asks:
        with pytest.raises(PublicationError, match=rf"addition {which[0] + 1} to raw_bars.*backup") as raised:
            ask()
        assert raised.value.where["file"] == str(lost[0])
    for path, content in zip(lost, kept, strict=True):
        path.write_bytes(content)
    assert read(lake) == wanted


def test_a_folder_of_pointers_that_is_gone_is_missed(lake: Lake) -> None:
    shutil.rmtree(lake.root / "demo" / "raw_bars" / "segments")
    with pytest.raises(PublicationError, match=r"addition 1 to raw_bars.*backup"):
        lake.segments("demo", "raw_bars")


def test_an_older_pointer_in_the_place_of_a_newer_one_is_named(lake: Lake) -> None:
    wanted, newest = read(lake), pointers_of(lake)[-1]
    older = newest.with_name(newest.name.replace(newest.name.split("-")[1], "0" * 64))
    content = newest.read_bytes()
    newest.rename(older)
    with pytest.raises(PublicationError, match=r"addition 3 to raw_bars.*backup") as raised:
        read(lake)
    assert raised.value.where["file"] == str(newest)
    newest.write_bytes(content)
    assert read(lake) == wanted, "beside the older one too"


def test_a_damaged_list_of_additions_is_written_again_by_the_next(lake: Lake) -> None:
    wanted, listed = lake.read_segments("demo", "raw_bars"), lake.root / "demo" / "raw_bars" / "additions.json"
    before = json.loads(listed.read_text())
    for damage in (
        b"",
        b"{}",
        b'{"segments": [], "sha256": ""}',
        listed.read_bytes().replace(b"00000003-", b"00000002-"),
    ):
        listed.write_bytes(damage)
        for ask in (
            lambda: lake.read_segments("demo", "raw_bars"),
            lambda: lake.append_segment("demo", "raw_bars", bars(9).head(3)),
        ):
            with pytest.raises(PublicationError, match="move it away") as raised:
                ask()
            assert raised.value.where["file"] == str(listed)
    listed.rename(listed.with_name("damaged"))
    pd.testing.assert_frame_equal(lake.read_segments("demo", "raw_bars"), wanted)
    lake.append_segment("demo", "raw_bars", bars(3))  # what is there already
    assert json.loads(listed.read_text()) == before


def test_a_table_of_an_earlier_version_has_its_list_from_its_next_addition_on(lake: Lake) -> None:
    wanted, listed = lake.read_segments("demo", "raw_bars"), lake.root / "demo" / "raw_bars" / "additions.json"
    listed.unlink()
    pd.testing.assert_frame_equal(lake.read_segments("demo", "raw_bars"), wanted)
    assert not listed.exists()
    lake.append_segment("demo", "raw_bars", bars(9).head(3))
    assert len(json.loads(listed.read_text())["segments"]) == 4
    pointers_of(lake)[-1].unlink()
    with pytest.raises(PublicationError, match="addition 4 to raw_bars"):
        lake.read_segments("demo", "raw_bars")


def test_a_manifest_of_parts_of_an_earlier_version_is_read(lake: Lake, whole: Lake) -> None:
    for path in (lake.root / "demo").rglob("*.manifest.json"):
        record = json.loads(path.read_text())
        if "parts" in record:
            del record["sha256"]
            path.write_text(json.dumps(record))
    assert read(lake) == read(whole)
