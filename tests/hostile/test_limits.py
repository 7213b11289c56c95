"""Files that claim, or unpack to, more than anybody meant: refused before they are loaded."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as pa_feather
import pyarrow.parquet as pq
import pytest

from nn_assets.errors import SourceError
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.actions import new_actions
from nn_assets.operations.intake.bars import source_of
from nn_assets.operations.intake.fills import import_fills, read_fills
from nn_assets.operations.intake.series import ingest_series
from nn_assets.operations.intake.universe import ingest_universe
from nn_assets.operations.strategy_files import parse_strategy
from nn_assets.settings import FileSeriesSettings, IntradaySettings, UniverseSettings
from nn_assets.sources.tables.actions_file import ActionsFile
from nn_assets.sources.tables.files import FilesSource
from nn_assets.sources.tables.intraday_files import read_intraday_files
from nn_assets.sources.tables.limits import Limits
from nn_assets.sources.tables.membership_files import read_membership_file
from nn_assets.sources.tables.plain_tables import read_plain
from nn_assets.sources.tables.series_files import read_series_file

HEADER = "date,open,high,low,close,volume"
GOOD = "2018-01-02,10,11,9,10.5,1000"
STRATEGY = "name: demo\nsource: {kind: files, path: bars.csv%s}\nmarket: {history_starts: 2018-01-02}\n"


def refused(path: Path, limits: Limits | None = None) -> SourceError:
    with pytest.raises(SourceError) as caught:
        FilesSource(path, limits=limits).bars()
    assert caught.value.where["file"] == str(path)
    return caught.value


def rows_of(count: int) -> pd.DataFrame:
    days = pd.bdate_range("1990-01-01", periods=count).strftime("%Y-%m-%d")
    return pd.DataFrame({"date": days, "open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 1000.0})


def write(folder: Path, frame: pd.DataFrame, suffix: str) -> Path:
    path = folder / f"ABC{suffix}"
    frame.to_parquet(path) if suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_one_row_over_the_limit_is_refused_and_the_limit_itself_is_not(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, rows_of(101), suffix)
    error = refused(path, Limits(rows=100))
    assert (error.where["rule"], error.where["value"]) == ("max_rows", 101)
    assert "at most 100 rows" in error.expected
    assert "101" in error.found
    assert "source.max_rows" in error.remedy
    assert len(FilesSource(path, limits=Limits(rows=101)).bars()) == 101


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_one_column_over_the_limit_is_refused_and_the_limit_itself_is_not(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, rows_of(2).assign(**{f"x{index}": 1 for index in range(5)}), suffix)
    error = refused(path, Limits(columns=10))
    assert (error.where["rule"], error.where["value"]) == ("max_columns", 11)
    assert "source.max_columns" in error.remedy
    assert len(FilesSource(path, limits=Limits(columns=11)).bars()) == 2


def test_rows_of_all_files_count_together(tmp_path: Path) -> None:
    for symbol in ("A", "B", "C"):
        rows_of(40).to_csv(tmp_path / f"{symbol}.csv", index=False)
    assert refused(tmp_path, Limits(rows=100)).where["rule"] == "max_rows"
    assert len(FilesSource(tmp_path, limits=Limits(rows=120)).bars()) == 120


@pytest.mark.full
def test_a_million_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ABC.csv"
    path.write_text(f"{HEADER}{',x' * 1_000_000}\n{GOOD}{',1' * 1_000_000}\n", encoding="utf-8")
    assert refused(path).where["value"] == 1_000_006


def test_a_parquet_of_many_columns_is_refused_by_its_footer(tmp_path: Path) -> None:
    path = tmp_path / "ABC.parquet"
    pq.write_table(pa.table({f"x{index}": pa.array([], pa.float64()) for index in range(1001)}), path)
    assert refused(path).where["rule"] == "max_columns"


@pytest.mark.full
def test_a_parquet_of_very_many_rows_is_refused_unloaded(tmp_path: Path) -> None:
    path = tmp_path / "ABC.parquet"
    same = {name: np.ones(1_000_000) for name in ("open", "high", "low", "close", "volume")}
    table = pa.table({"date": pa.array(["2018-01-02"] * 1_000_000).dictionary_encode(), **same})
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(21):
            writer.write_table(table)
    assert path.stat().st_size < 1_000_000
    before = pa.total_allocated_bytes()
    assert refused(path).where["value"] == 21_000_000
    assert pa.total_allocated_bytes() - before < 10_000_000


def test_a_parquet_that_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ABC.parquet"
    random = np.random.default_rng(1).random(200_000)
    pq.write_table(
        pa.table({"date": ["2018-01-02"] * 200_000, **dict.fromkeys(("o", "h", "l", "c", "v"), random)}), path
    )
    assert refused(path, Limits(megabytes=1)).where["rule"] == "max_megabytes"


@pytest.mark.parametrize("kept_as", ["text", "dictionary"])
def test_a_long_text_of_every_row_is_counted_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_as: str
) -> None:
    """Stored once, 200 kB in each of 4,096 rows: 800 MB that no footer tells of."""
    path = tmp_path / "ABC.parquet"
    texts = pa.array(["x" * 200_000]).take(pa.array([0])).dictionary_encode()
    texts = pa.DictionaryArray.from_arrays(np.zeros(4096, dtype=np.int32), texts.dictionary)
    schema = pa.schema({"symbol": texts.type if kept_as == "dictionary" else pa.string()})
    pq.write_table(pa.table({"symbol": texts}), path, compression="zstd", store_schema=kept_as == "dictionary")
    assert path.stat().st_size < 20_000
    with pq.ParquetFile(path) as file:
        assert file.schema_arrow.types == schema.types
    monkeypatch.setattr(Limits, "read_parquet", None)  # which unpacks
    with pytest.raises(SourceError) as error:
        read_plain(path, Limits(megabytes=16))
    assert (error.value.where["rule"], error.value.where["value"]) == ("max_megabytes", 782)  # 781.25


def test_a_feather_of_many_batches_is_counted_as_it_unpacks(tmp_path: Path) -> None:
    """160 MB in batches of 8."""
    path = tmp_path / "ABC.feather"
    pa_feather.write_feather(pa.table({"close": np.zeros(20 << 20)}), path, compression="zstd", chunksize=1 << 20)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(SourceError) as error:
        read_plain(path, Limits(megabytes=16))
    assert (error.value.where["rule"], error.value.where["value"]) == ("max_megabytes", 24)
    with pytest.raises(SourceError) as error:
        read_plain(path, Limits(rows=5 << 20))
    assert error.value.where["value"] == 6 << 20  # at the batch that goes over it


@pytest.mark.filterwarnings("ignore:Feather V1:DeprecationWarning")
@pytest.mark.parametrize(("limits", "rule"), [(Limits(rows=5), "max_rows"), (Limits(columns=2), "max_columns")])
def test_a_feather_of_the_first_version_keeps_to_the_limits(tmp_path: Path, limits: Limits, rule: str) -> None:
    path = tmp_path / "ABC.feather"
    pa_feather.write_feather(pa.table(dict.fromkeys("abc", np.arange(9.0))), path, version=1)
    with pytest.raises(SourceError) as error:
        read_plain(path, limits)
    assert error.value.where["rule"] == rule
    assert len(read_plain(path)) == 9


@pytest.mark.parametrize("name", ["ABC.csv", "20180102.zip", "20180102.tar.gz"])
def test_a_file_over_the_limit_of_size_is_refused_unread(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with path.open("wb") as stream:
        stream.write(f"{HEADER}\n".encode())
        stream.truncate(3 << 30)  # of holes: it has no blocks on the disk
    error = refused(path)
    assert (error.where["rule"], error.where["value"]) == ("max_megabytes", 3072)
    assert "source.max_megabytes" in error.remedy


def test_a_gzip_that_unpacks_without_end_is_refused_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "ABC.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(f"{HEADER}\n".encode())
        for _ in range(64):
            stream.write(b"9" * (1 << 20))  # one line, one number
    assert path.stat().st_size < 1_000_000
    tracemalloc.start()
    error = refused(path, Limits(megabytes=32))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (error.where["rule"], error.where["value"]) == ("max_megabytes", 33)
    assert "at least" in error.found
    assert peak < 16 << 20


def test_a_very_long_cell_is_quoted_in_part_only(tmp_path: Path) -> None:
    path = tmp_path / "ABC.csv"
    path.write_text(f"{HEADER}\n2018-01-02,10,11,9,{'x' * 900_000},1000\n", encoding="utf-8")
    error = refused(path)
    assert error.where["column"] == "close"
    assert len(str(error)) < 2000
    path.write_text(f"{HEADER},{'x' * 100_000}\n{GOOD}\n", encoding="utf-8")
    assert len(str(refused(path))) < 2000


@pytest.mark.parametrize("columns", [5, 7])
def test_a_line_of_other_length_than_the_header_is_named(tmp_path: Path, columns: int) -> None:
    path = tmp_path / "ABC.csv"
    line = ",".join(["2018-01-03", *["10"] * (columns - 1)])
    path.write_text(f"{HEADER}\n{GOOD}\n\n{line}\n", encoding="utf-8")
    error = refused(path)
    assert (error.where["rule"], error.where["row"]) == ("readable", 4)
    assert line in error.found


def test_the_limits_of_a_strategy_file_reach_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
    strategy = parse_strategy(STRATEGY % ", max_rows: 5, max_columns: 6, max_megabytes: 7")
    with open_history(strategy) as history:
        source = source_of(history, tmp_path)
    assert isinstance(source, FilesSource)
    assert source.limits == Limits(rows=5, columns=6, megabytes=7)


def test_limits_change_no_hash_since_they_change_no_result() -> None:
    one, other = parse_strategy(STRATEGY % ""), parse_strategy(STRATEGY % ", max_rows: 5, max_columns: 6")
    assert (one.content_hash(), one.content_hash("source")) == (other.content_hash(), other.content_hash("source"))
    assert one.source.max_rows == Limits().rows
    assert one.source.max_columns == Limits().columns
    assert one.source.max_megabytes == Limits().megabytes


def test_a_zero_byte_in_a_column_that_is_not_read_is_an_error_too(tmp_path: Path) -> None:
    path = tmp_path / "ABC.csv"
    path.write_text(f"{HEADER},sector\n{GOOD},te\0ch\n", encoding="utf-8")
    error = refused(path)
    assert error.where["rule"] == "readable"
    assert "a zero byte after" in error.found


NUMBERS = f"{HEADER}\n".encode() + b"9" * (64 << 20)  # one line, one number


def packed(path: Path, content: bytes, *, declared_size: int | None = None) -> Path:
    """An archive of one member, which may state another size than its own."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("prices.csv", content)
        if declared_size is not None:  # in the list at the end, which is what is read
            raw = bytearray(path.read_bytes())
            raw[(at := raw.rindex(b"PK\1\2") + 24) : at + 4] = declared_size.to_bytes(4, "little")
            path.write_bytes(raw)
        return path
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        member = tarfile.TarInfo("prices.csv")
        member.size = len(content) if declared_size is None else declared_size
        archive.addfile(member, io.BytesIO(content)) if declared_size is None else archive.addfile(member)
    return path


@pytest.mark.parametrize("declared_size", [None, 3 << 30])
@pytest.mark.parametrize("name", ["20180102.zip", "20180102.tar.gz"])
def test_an_archive_that_unpacks_to_more_than_the_limit_is_refused_in_little_memory(
    tmp_path: Path, name: str, declared_size: int | None
) -> None:
    path = packed(tmp_path / name, NUMBERS if declared_size is None else NUMBERS[:100], declared_size=declared_size)
    assert path.stat().st_size < 1_000_000
    tracemalloc.start()
    with pytest.raises(SourceError) as caught:
        FilesSource(path, limits=Limits(megabytes=32)).bars()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.where["file"] == f"{path}!prices.csv"
    assert caught.value.where["rule"] == "max_megabytes"
    assert caught.value.where["value"] == (65 if declared_size is None else 3072)
    assert "source.max_megabytes" in caught.value.remedy
    assert peak < 16 << 20


def test_a_member_that_holds_more_than_it_says_is_refused_in_little_memory(tmp_path: Path) -> None:
    path = packed(tmp_path / "20180102.zip", NUMBERS, declared_size=1000)
    tracemalloc.start()
    with pytest.raises(SourceError) as caught:
        FilesSource(path, limits=Limits(megabytes=1)).bars()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.where["file"] == str(path)
    assert caught.value.where["rule"] == "readable"
    assert peak < 16 << 20


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_packed_by_bzip2_or_lzma_is_counted_piece_by_piece_and_read_like_any(
    tmp_path: Path, method: int
) -> None:
    """Of either, 4 KiB hold 28 to 80 MB, which were unpacked before anything was counted."""
    path = tmp_path / "20180102.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("prices.csv", NUMBERS)
    raw = bytearray(path.read_bytes())
    raw[(at := raw.rindex(b"PK\1\2") + 24) : at + 4] = (1000).to_bytes(4, "little")  # it says less than it holds
    (lying := tmp_path / "20180103.zip").write_bytes(raw)
    for file, megabytes in ((path, 65), (lying, 2)):
        tracemalloc.start()
        with pytest.raises(SourceError) as caught:
            FilesSource(file, limits=Limits(megabytes=1)).bars()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (caught.value.where["rule"], caught.value.where["value"]) == ("max_megabytes", megabytes)
        assert peak < 16 << 20
    content = rows_of(5000).to_csv(index=False).encode()
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("ABC.csv", content)
    assert len(FilesSource(path, limits=Limits(megabytes=1)).bars()) == 5000
    raw = bytearray(path.read_bytes())
    raw[(at := raw.rindex(b"PK\1\2") + 16)] ^= 1  # the checksum
    path.write_bytes(raw)
    assert refused(path).where["rule"] == "readable"
    raw[at] ^= 1
    for at in range(45, 80):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 255]) + raw[at + 1 :])
        with suppress(SourceError):  # nothing but a named error, or all of it
            assert len(FilesSource(path, limits=Limits(megabytes=1)).bars()) == 5000


def series_of(path: Path, limits: Limits) -> object:
    settings = FileSeriesSettings(name="rate", path=path.name, lag_minutes=5)
    return read_series_file(path.parent, settings, "XNYS", limits)


def members_of(path: Path, limits: Limits) -> object:
    return read_membership_file(path.parent, UniverseSettings(name="index", path=path.name), limits)


def intraday_of(path: Path, limits: Limits) -> object:
    return read_intraday_files(path.parent, IntradaySettings(path=path.name, bar_minutes=60), limits)


def actions_of(path: Path, limits: Limits) -> object:
    return ActionsFile(path, limits).actions()


def fills_of(path: Path, limits: Limits) -> object:
    return read_fills(path, "XNYS", limits)


Reader = Callable[[Path, Limits], object]
DAYS = [f"{day:%Y-%m-%d}" for day in sessions_between("XNYS", "2017-01-03", "2017-12-29")[:60]]
OTHER_FILES: dict[str, tuple[Reader, dict[str, list[object]]]] = {
    "series": (series_of, {"date": DAYS, "value": [1.5] * 60, "more": ["x" * 300] * 60}),
    "members": (members_of, {"symbol": [f"S{n}" for n in range(60)], "start": DAYS, "end": [""] * 60}),
    "intraday": (intraday_of, {"symbol": ["AAA"] * 60, "date": [f"{day}T15:00Z" for day in DAYS],
                               **dict.fromkeys(("open", "high", "low", "close"), [1.5] * 60)}),
    "actions": (actions_of, {"symbol": ["AAA"] * 60, "ex_session": DAYS, "kind": ["dividend"] * 60,
                             "value": [0.5] * 60}),
    "fills": (fills_of, {"fill_id": [f"f{n}" for n in range(60)], "client_order_id": ["o"] * 60, "symbol": ["AAA"] * 60,
                         "session": DAYS, "quantity": [1.0] * 60, "price": [9.5] * 60}),
}  # fmt: skip
ENDINGS = [(name, ending) for name in OTHER_FILES for ending in (".csv", ".csv.gz")]
ENDINGS += [(name, ending) for name in ("series", "members", "intraday") for ending in (".parquet", ".feather")]


def write_table(folder: Path, columns: dict[str, list[object]], ending: str) -> Path:
    path, frame = folder / f"AAA{ending}", pd.DataFrame(columns)
    if ending.startswith(".csv"):
        frame.to_csv(path, index=False)
    elif ending == ".parquet":
        frame.to_parquet(path)
    else:
        pa_feather.write_feather(frame, path, compression="zstd")
    return path


@pytest.mark.parametrize(("name", "ending"), ENDINGS)
def test_one_row_or_column_over_the_limit_is_refused_of_every_file_and_the_limit_itself_is_not(
    tmp_path: Path, name: str, ending: str
) -> None:
    read, columns = OTHER_FILES[name]
    path = write_table(tmp_path, columns, ending)
    read(path, Limits(rows=60, columns=len(columns), megabytes=1))
    for limits, rule, value in ((Limits(rows=59), "max_rows", 60), (Limits(columns=len(columns) - 1), "max_columns",
                                                                    len(columns))):  # fmt: skip
        with pytest.raises(SourceError) as caught:
            read(path, limits)
        where = caught.value.where
        assert (where["file"], where["rule"], where["value"]) == (str(path), rule, value)
        assert f"source.{rule}" in caught.value.remedy


@pytest.mark.parametrize(("name", "ending"), [case for case in ENDINGS if case[1] != ".csv"])
def test_every_file_that_unpacks_to_more_than_the_limit_is_refused_in_little_memory(
    tmp_path: Path, name: str, ending: str
) -> None:
    read, columns = OTHER_FILES[name]
    wide = {**columns, "notes": ["9" * 400_000] * 60}  # 24 MB of one digit, which Parquet keeps once
    path = write_table(tmp_path, wide, ending)
    assert path.stat().st_size < 500_000
    tracemalloc.start()
    with pytest.raises(SourceError) as caught:
        read(path, Limits(megabytes=1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.where["rule"] == "max_megabytes"
    assert peak < 16 << 20


def test_where_no_setting_raises_the_limits_the_remedy_names_none(tmp_path: Path) -> None:
    read, columns = OTHER_FILES["series"]
    path = write_table(tmp_path, columns, ".csv")
    limits = replace(Limits.of(parse_strategy("name: demo\nmarket: {history_starts: 2018-01-02}\n").source), rows=59)
    with pytest.raises(SourceError) as caught:
        read(path, limits)
    assert caught.value.remedy == "split the file, or leave out what is not meant"
    for half, rows in enumerate((slice(30), slice(30, 60))):  # the remedy
        (folder := tmp_path / "split").mkdir(exist_ok=True)
        part = {column: values[rows] for column, values in columns.items()}
        write_table(folder, part, ".csv").rename(folder / f"{half}.csv")
    settings = FileSeriesSettings(name="rate", path="split", lag_minutes=5)
    assert len(read_series_file(tmp_path, settings, "XNYS", limits)) == 60


@pytest.mark.parametrize(
    ("settings", "ingest"),
    [
        ("series: [{name: rate, path: other.csv, lag_minutes: 5}]", ingest_series),
        ("universe: {path: other.csv}", ingest_universe),
        ("", lambda history, folder: new_actions(history, folder, source_of(history, folder), None)),
    ],
)
def test_the_limits_of_a_strategy_file_reach_every_file_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str, ingest: Callable[..., object]
) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
    (tmp_path / "other.csv").write_text("date,value\n" + "2018-01-02,1\n" * 6, encoding="utf-8")
    limits = ", max_rows: 5" + (", actions_path: other.csv" if not settings else "")
    strategy = parse_strategy(f"{STRATEGY % limits}{settings}\n")
    with open_history(strategy) as history, pytest.raises(SourceError) as caught:
        ingest(history, tmp_path)
    assert (caught.value.where["rule"], caught.value.where["value"]) == ("max_rows", 6)


def test_the_limits_of_a_strategy_file_reach_the_fills_it_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path / "home"))
    (folder := tmp_path / "home" / "strategies").mkdir(parents=True)
    (folder / "demo.yaml").write_text(STRATEGY % ", max_rows: 5", encoding="utf-8")
    with pytest.raises(SourceError, match="at most 5 rows"):
        import_fills("demo", write_table(tmp_path, OTHER_FILES["fills"][1], ".csv"))


def test_the_members_of_an_archive_count_together_and_raising_the_limit_helps(tmp_path: Path) -> None:
    path = tmp_path / "20180102.zip"
    text = f"{HEADER}\n" + "\n".join([GOOD] * 20_000)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for symbol in ("A", "B"):
            archive.writestr(f"{symbol}.csv", text)
    for limits, rule in ((Limits(megabytes=1), "max_megabytes"), (Limits(rows=30_000), "max_rows")):
        with pytest.raises(SourceError) as caught:
            FilesSource(path, limits=limits).bars()
        assert (caught.value.where["file"], caught.value.where["rule"]) == (f"{path}!B.csv", rule)
    assert len(FilesSource(path, limits=Limits(megabytes=2, rows=40_000)).bars()) == 40_000


def text_of(size: int) -> str:
    """Eight bars as a CSV of so many bytes, most of them notes."""
    header, *lines = rows_of(8).assign(note="").to_csv(index=False).splitlines()
    room = size - len("\n".join([header, *lines, ""]))
    notes = ["x" * (room // 8)] * 7 + ["x" * (room - room // 8 * 7)]
    return "\n".join([header, *(line + note for line, note in zip(lines, notes, strict=True)), ""])


def stating(path: Path, size: int) -> Path:
    """A zip whose members all state another size than their own, in the list at the end, which is what is read."""
    raw = bytearray(path.read_bytes())
    at = -1
    while (at := raw.find(b"PK\1\2", at + 1)) >= 0:
        raw[at + 24 : at + 28] = size.to_bytes(4, "little")
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("by", [-1, 1])
def test_a_member_that_is_whole_but_not_of_the_size_it_states_is_damaged(tmp_path: Path, method: int, by: int) -> None:
    content = rows_of(50).to_csv(index=False).encode()
    with zipfile.ZipFile(path := tmp_path / "20180102.zip", "w", method) as archive:
        archive.writestr("ABC.csv", content)
    assert len(FilesSource(path).bars()) == 50
    assert refused(stating(path, len(content) + by)).where["rule"] == "readable"
    assert len(FilesSource(stating(path, len(content))).bars()) == 50


@pytest.mark.parametrize("ending", [".zip", ".tar.gz"])
def test_an_archive_of_exactly_the_limit_is_read_and_one_byte_more_is_not(tmp_path: Path, ending: str) -> None:
    """Of a megabyte its two members state, and hold, half each."""
    half = text_of(1 << 19)
    path = tmp_path / f"20180102{ending}"
    for over in (0, 1):
        members = {"A.csv": half, "B.csv": half + "\n" * over}
        if ending == ".zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, text in members.items():
                    archive.writestr(name, text)
        else:
            with tarfile.open(path, "w:gz", compresslevel=1) as tar:
                for name, text in members.items():
                    (member := tarfile.TarInfo(name)).size = len(text)
                    tar.addfile(member, io.BytesIO(text.encode()))
        if not over:
            assert len(FilesSource(path, limits=Limits(megabytes=1)).bars()) == 16
    with pytest.raises(SourceError) as caught:
        FilesSource(path, limits=Limits(megabytes=1)).bars()
    assert (caught.value.where["file"], caught.value.found) == (
        f"{path}!B.csv",
        "2",
    )  # by what they state: none unpacked


def test_members_that_state_less_than_they_hold_count_together_as_they_unpack(tmp_path: Path) -> None:
    path = tmp_path / "20180102.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        for symbol in ("A", "B"):
            archive.writestr(f"{symbol}.csv", text_of(600_000))  # neither more than the limit alone
    raw = path.read_bytes()
    at = raw.rindex(b"PK\1\2") + 24  # of the second, which states no byte
    path.write_bytes(raw[:at] + bytes(4) + raw[at + 4 :])
    with pytest.raises(SourceError) as caught:
        FilesSource(path, limits=Limits(megabytes=1)).bars()
    assert (caught.value.where["file"], caught.value.found) == (f"{path}!B.csv", "at least 2")


def test_a_tar_with_a_long_extended_header_is_refused_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "20180102.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        notes = tarfile.TarInfo("notes")
        notes.type, notes.size = tarfile.XHDTYPE, 64 << 20
        archive.addfile(notes, io.BytesIO(bytes(64 << 20)))
    tracemalloc.start()
    with pytest.raises(SourceError, match="extended header") as caught:
        FilesSource(path).bars()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.where["file"] == str(path)
    assert peak < 16 << 20
