"""Daily drops as they lie in a folder: archives read in memory, each with its day, empty ones passed over."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.errors import SourceError
from nn_assets.sources.tables.files import FilesSource
from tests.sources.contract import SourceContract

HEADER = "symbol,date,open,high,low,close,volume,adj_close"
TRUE_20 = "TRUE,2015-03-20,10,11,9,10.5,1000,10.5"
TRUE_19 = TRUE_20.replace("-20", "-19")
TRUE_18 = TRUE_20.replace("-20", "-18")
TRUE_23 = "TRUE,2015-03-23,11,12,10,11.5,2000,11.5"
NAN_23 = "NAN,2015-03-23,20,21,19,20.5,3000,20.5"
REPORTS = "symbol,end_date,revenues\nTRUE,2014-12-31,5.0\n"


def text(*lines: str) -> str:
    return "\n".join((HEADER, *lines)) + "\n"


def drop(path: Path, **members: str) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name.replace("__", "."))
            member.size = len(content.encode())
            tar.addfile(member, io.BytesIO(content.encode()))
    return path


def at_22(day: pd.Timestamp) -> pd.Timestamp:
    return day.tz_localize("UTC") + pd.Timedelta(hours=22)


def sessions_of(bars: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(bars["symbol"], bars["session"].dt.strftime("%m-%d"), strict=True))


class TestAFolderOfDrops(SourceContract):
    symbols = ("NAN", "TRUE")
    rows = 5
    known_bar = ("TRUE", "2015-03-20", 10.0, 11.0, 9.0, 10.5)

    @pytest.fixture
    def source(self, tmp_path: Path) -> FilesSource:
        drop(
            tmp_path / "20150320.tar.gz",
            prices__csv=text(TRUE_18, TRUE_19, TRUE_20),
            reports__csv=REPORTS,
            symbols__txt="TRUE\tTrueCar\n",
        )
        drop(tmp_path / "20150321.tar.gz", prices__csv="", reports__csv=REPORTS)
        drop(tmp_path / "20150322.tar.gz", prices__csv=text())
        drop(tmp_path / "20150323.tar.gz", prices__csv=text(TRUE_23, NAN_23))
        return FilesSource(tmp_path)


def test_bars_are_known_on_the_day_in_the_files_name_and_others_have_no_moment(tmp_path: Path) -> None:
    drop(tmp_path / "0001_initial.tar.gz", prices__csv=text(TRUE_20))
    drop(tmp_path / "prices_2015-03-23.tgz", prices__csv=text(TRUE_23))
    known = FilesSource(tmp_path, known_on=at_22).bars()["known_at"]
    assert known.isna().tolist() == [True, False]
    assert known.iloc[1] == pd.Timestamp("2015-03-23 22:00", tz="UTC")
    assert "known_at" not in FilesSource(tmp_path).bars().columns


def test_a_moment_in_a_column_comes_before_the_day_in_the_name(tmp_path: Path) -> None:
    rows = ("2015-03-20T21:30:00Z", "2015-03-23 17:30-04:00", "")
    lines = [f"{line},{known}" for line, known in zip((TRUE_20, TRUE_23, NAN_23), rows, strict=True)]
    (tmp_path / "20150323.csv").write_text("\n".join((f"{HEADER},known_at", *lines)) + "\n")
    bars = FilesSource(tmp_path, known_on=at_22).bars()
    known = dict(zip(sessions_of(bars), bars["known_at"], strict=True))
    assert known["TRUE", "03-20"] == pd.Timestamp("2015-03-20 21:30", tz="UTC")
    assert known["TRUE", "03-23"] == pd.Timestamp("2015-03-23 21:30", tz="UTC")
    assert known["NAN", "03-23"] is pd.NaT
    (tmp_path / "20150323.csv").write_text(f"{HEADER},known_at\n{TRUE_20},soon\n")
    with pytest.raises(SourceError, match="'soon'") as caught:
        FilesSource(tmp_path).bars()
    assert (caught.value.where["row"], caught.value.where["column"]) == (2, "known_at")


def test_two_drops_set_one_behind_the_other_say_what_both_say_once(tmp_path: Path) -> None:
    drop(tmp_path / "20150323.tar.gz", prices__csv=text(TRUE_20, TRUE_23, HEADER, TRUE_23, NAN_23))
    assert sessions_of(FilesSource(tmp_path).bars()) == [("NAN", "03-23"), ("TRUE", "03-20"), ("TRUE", "03-23")]


def test_a_fault_after_a_seam_is_named_with_its_line_and_member(tmp_path: Path) -> None:
    path = drop(tmp_path / "20150323.tar.gz", prices__csv=text(TRUE_20, HEADER, TRUE_23.replace("11.5", "dear")))
    with pytest.raises(SourceError) as caught:
        FilesSource(tmp_path).bars()
    assert caught.value.where["file"] == f"{path}!prices.csv"
    assert (caught.value.where["row"], caught.value.where["column"]) == (4, "close")


def test_a_zip_is_read_like_a_tar_and_a_member_can_be_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "20150323.zip", "w") as packed:
        packed.writestr("../prices.csv", text(TRUE_20))
        packed.writestr("intraday.csv", text(TRUE_23))
    assert sessions_of(FilesSource(tmp_path).bars()) == [("TRUE", "03-20"), ("TRUE", "03-23")]
    assert sessions_of(FilesSource(tmp_path, member="prices*").bars()) == [("TRUE", "03-20")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["20150323.zip"]


def test_archives_without_any_bar_are_an_error_and_no_success(tmp_path: Path) -> None:
    drop(tmp_path / "20150321.tar.gz", prices__csv="")
    with pytest.raises(SourceError, match="archives without any"):
        FilesSource(tmp_path).bars()


def test_a_drop_whose_prices_lost_a_column_is_no_drop_without_bars(tmp_path: Path) -> None:
    drop(tmp_path / "20150323.tar.gz", prices__csv=text(TRUE_20).replace("close,volume", "shut,volume"))
    with pytest.raises(SourceError) as caught:
        FilesSource(tmp_path).bars()
    assert (caught.value.where["rule"], caught.value.where["column"]) == ("complete_columns", "close")


@pytest.mark.parametrize("name", ["20150323.tar.gz", "20150323.zip", "20150323.tar"])
def test_a_damaged_archive_is_named(tmp_path: Path, name: str) -> None:
    whole = drop(tmp_path / "20150320.tar.gz", prices__csv=text(*[TRUE_20] * 50)).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=name) as caught:
        FilesSource(tmp_path).bars()
    assert caught.value.where["rule"] == "readable"


@pytest.mark.parametrize("name", ["20150231.csv", "20150320_20150323.csv"])
def test_a_name_without_one_day_is_refused_where_it_counts(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(text(TRUE_20))
    assert len(FilesSource(tmp_path).bars()) == 1
    with pytest.raises(SourceError, match="one day in the file's name"):
        FilesSource(tmp_path, known_on=at_22).bars()


@pytest.mark.parametrize("ending", [".zip", ".tar.gz"])
def test_members_without_a_column_of_symbols_are_of_their_own_names(tmp_path: Path, ending: str) -> None:
    content = "date,open,high,low,close,volume\n2015-03-20,10,11,9,10.5,1000\n"
    path = tmp_path / f"stocks{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            for name in ("daily/AAA_data.csv", "daily/BBB_data.csv"):
                packed.writestr(name, content)
    else:
        drop(path, AAA_data__csv=content, BBB_data__csv=content)
    bars = FilesSource(path).bars()
    assert sessions_of(bars) == [("AAA", "03-20"), ("BBB", "03-20")]
    assert set(bars["source"]) == {f"files:stocks{ending}"}
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as packed:
        packed.writestr("a b.csv", content)
    with pytest.raises(SourceError, match="'a b'") as caught:
        FilesSource(tmp_path / "other.zip").bars()
    assert caught.value.where["file"] == f"{tmp_path / 'other.zip'}!a b.csv"


def test_a_member_with_a_name_too_long_for_a_folder_is_read(tmp_path: Path) -> None:
    path = tmp_path / "20150320.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(f"{'x' * 256}.csv", text(TRUE_20))
    assert sessions_of(FilesSource(path).bars()) == [("TRUE", "03-20")]
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(f"{'x' * 256}.csv", text(TRUE_20).replace("symbol", "note"))
    with pytest.raises(SourceError, match="a symbol of 1 to 32") as caught:
        FilesSource(path).bars()
    assert caught.value.where["file"] == f"{path}!{'x' * 256}.csv"
