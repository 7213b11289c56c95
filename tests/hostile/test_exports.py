"""Exports: cells that a spreadsheet would run are disarmed, and files go nowhere but where they were meant to."""

from __future__ import annotations

import csv
import os
import re
import stat
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn_assets.cli.table_files import FORMATS, write_table_file
from nn_assets.errors import SettingsError

FORMULAS = ["=cmd|'/c calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "-1+cmd|'/c calc'!A0", "-12.5-1"]
FORMULAS += ["-1_0", "+1e", "-.", "--1", "-1 ", "-1\n", "\t-1", "'-1.0", "-inf", "-nan", "-0x1F", "-1,5", "-\u0661"]
NUMBERS = ["-1.0", "-12.5", "+3", "-1e-07", "-.5", "-5.", "+1E+9"]  # as texts, such as values in quarantine
HARMLESS = [*NUMBERS, "AAPL", "", "a=b", " =1", "'quoted", "1-2", "a\tb", "a\rb", "a\nb"]


def cells_of(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))[1:]


def written(folder: Path, frame: pd.DataFrame, name: str = "table.csv") -> Path:
    write_table_file(frame, folder / name)
    return folder / name


@pytest.mark.parametrize("dtype", ["str", "object"])
def test_cells_that_begin_like_a_formula_get_an_apostrophe_and_others_none(tmp_path: Path, dtype: str) -> None:
    texts = pd.Series([*FORMULAS, *HARMLESS], dtype=dtype)
    exported = [row[0] for row in cells_of(written(tmp_path, pd.DataFrame({"text": texts, "n": 1})))]
    assert exported == [*("'" + formula for formula in FORMULAS), *HARMLESS]


def test_a_missing_text_among_formulas_hides_none_of_them(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": pd.Series(["=1+1", None, float("nan"), -3.5, ["=2"]], dtype=object), "n": 1})
    assert [row[0] for row in cells_of(written(tmp_path, frame))] == ["'=1+1", "", "", "-3.5", '["=2"]']


def test_categories_are_disarmed_too(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": pd.Series(["=1", "b", "=1"], dtype="category"), "n": 1})
    assert [row[0] for row in cells_of(written(tmp_path, frame))] == ["'=1", "b", "'=1"]


def test_numbers_and_days_are_left_as_they_are(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [-1.5, 0.1], "b": [-3, 4], "c": pd.to_datetime(["2018-01-02", "2018-01-03"])})
    assert cells_of(written(tmp_path, frame)) == [["-1.5", "-3", "2018-01-02"], ["0.1", "4", "2018-01-03"]]


@pytest.mark.full
@given(st.lists(st.text(alphabet="'=+-@\t\rab1", min_size=1, max_size=5), min_size=1, max_size=8))
def test_one_apostrophe_less_gives_every_text_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    file = written(tmp_path_factory.mktemp("export"), pd.DataFrame({"text": texts, "n": 1}))
    exported = [row[0] for row in cells_of(file)]
    assert not any(text[0] in "=@\t\r" or (text[0] in "+-" and not text[1:].isdigit()) for text in exported)
    assert [text[1:] if re.match(r"'+[=+\-@\t\r]", text) else text for text in exported] == texts


@pytest.mark.parametrize("suffix", [".parquet", ".json"])
def test_formats_that_no_spreadsheet_runs_keep_texts_as_they_are(tmp_path: Path, suffix: str) -> None:
    file = written(tmp_path, pd.DataFrame({"text": FORMULAS}), f"table{suffix}")
    exported = pd.read_parquet(file) if suffix == ".parquet" else pd.read_json(file)
    assert exported["text"].tolist() == FORMULAS


def test_spreadsheet_files_are_not_offered() -> None:
    assert set(FORMATS) == {".csv", ".parquet", ".json"}


FRAME = pd.DataFrame({"a": [1.0, 2.0]})


def refused(out: Path, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        write_table_file(FRAME, out)
    assert message in str(caught.value)
    assert caught.value.where["file"] == str(out)
    assert caught.value.where["key"] == "--out"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    (home / "lake").mkdir(parents=True)
    (home / "lake" / "content.parquet").write_bytes(b"published")
    monkeypatch.setenv("NN_ASSETS_HOME", str(home))
    return home


@pytest.mark.parametrize("way", ["straight", "a folder's link", "a file's link", "dots", "a link to a link"])
def test_nothing_is_written_into_the_home(home: Path, tmp_path: Path, way: str) -> None:
    content = home / "lake" / "content.parquet"
    (tmp_path / "link").symlink_to(home / "lake")
    (tmp_path / "again").symlink_to(tmp_path / "link")
    (tmp_path / "file.parquet").symlink_to(content)
    (tmp_path / "elsewhere").mkdir()
    out = {
        "straight": content,
        "a folder's link": tmp_path / "link" / "content.parquet",
        "a file's link": tmp_path / "file.parquet",
        "dots": tmp_path / "elsewhere" / ".." / "home" / "lake" / "new.parquet",
        "a link to a link": tmp_path / "again" / "new" / "folder" / "x.parquet",
    }[way]
    refused(out, "outside the home")
    assert content.read_bytes() == b"published"
    assert sorted(path.name for path in home.rglob("*")) == ["content.parquet", "lake"]


def test_a_file_of_another_folder_is_replaced_and_not_written_through_its_link(home: Path, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("keep", encoding="utf-8")
    out = tmp_path / "link.csv"
    out.symlink_to(tmp_path / "other.csv")
    write_table_file(FRAME, out)
    assert (tmp_path / "other.csv").read_text(encoding="utf-8") == "keep"
    assert out.read_text(encoding="utf-8").splitlines() == ["a", "1.0", "2.0"]


@pytest.mark.parametrize("kind", ["folder", "link to a folder", "pipe"])
def test_what_is_no_file_is_not_overwritten(home: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "table.csv"
    (tmp_path / "folder").mkdir()
    if kind == "folder":
        out.mkdir()
    elif kind == "link to a folder":
        out.symlink_to(tmp_path / "folder")
    else:
        os.mkfifo(out)
    before = sorted(tmp_path.iterdir())
    refused(out, "a place that can be written")
    assert sorted(tmp_path.iterdir()) == before
    assert out.is_dir() is (kind in {"folder", "link to a folder"})


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_beside_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = written(tmp_path, FRAME)
    before = out.read_bytes()

    def half(frame: pd.DataFrame, file: Path) -> None:
        file.write_text("half a li", encoding="utf-8")
        raise RuntimeError("killed")

    monkeypatch.setitem(FORMATS, ".csv", half)
    with pytest.raises(RuntimeError, match="killed"):
        write_table_file(FRAME * 2, out)
    assert out.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [home, out]


def test_a_link_laid_where_the_file_is_staged_is_not_followed(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: "guessed")
    (tmp_path / "victim").write_text("keep", encoding="utf-8")
    (tmp_path / ".table.csv.guessed").symlink_to(tmp_path / "victim")
    refused(tmp_path / "table.csv", "FileExistsError")
    assert (tmp_path / "victim").read_text(encoding="utf-8") == "keep"


def test_the_file_has_the_rights_that_the_process_gives(home: Path, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        out = written(tmp_path, FRAME)
    finally:
        os.umask(before)
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
