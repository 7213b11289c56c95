"""Archives that hold tables of bars, as daily drops come: ``20150323.tar.gz`` with a ``prices.csv`` in it.

Members are read in memory, never unpacked under the names they carry.
"""

from __future__ import annotations

import fnmatch
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pandas as pd

from nn_assets.errors import SourceError

__all__ = ["ARCHIVES", "read_archive"]

ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip")
_TABLES = (".csv", ".csv.gz", ".parquet", ".pq")
_LARGEST_BYTES = 1 << 31
_UNREADABLE = (OSError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile, RuntimeError)


def read_archive(path: Path, member: str | None, read: Callable[[Path], pd.DataFrame]) -> pd.DataFrame | None:
    """Read the tables of an archive that hold bars.

    Parameters
    ----------
    path : Path
        A tar, gzipped or not, or a zip.
    member : str, optional
        Name, or pattern such as ``prices*.csv``, of the members that hold bars. When left out, every
        CSV or Parquet member with a bar's columns is read, and others are passed over.
    read : callable
        Reads one table from a file that ends as the member's name does.

    Returns
    -------
    DataFrame or None
        None where the archive holds no bars: no such member, or one without rows. A line of a CSV
        that repeats its first one is the seam of two drops set one behind the other; rows that both
        hold are given once.

    Raises
    ------
    SourceError
        Not an archive, damaged, or a member that is no sound table; names ``archive!member``.
    """
    found: list[pd.DataFrame] = []
    foreign: list[SourceError] = []
    without_rows = False
    for name, content in _members(path, member):
        try:
            found.append(_read_member(path, name, content, read))
        except SourceError as error:
            if error.where.get("rule") == "not_empty":
                without_rows = True
            elif error.where.get("rule") == "complete_columns" and member is None:
                foreign.append(error)
            else:
                raise
    if not found and foreign and not without_rows:
        raise foreign[0]
    return pd.concat(found, ignore_index=True) if found else None


def _read_member(path: Path, name: str, content: bytes, read: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
    told, seams = _without_seams(content) if name.lower().endswith(".csv") else (content, 0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / PurePosixPath(name).name
        file.write_bytes(told)
        try:
            table = read(file)
        except SourceError as error:
            raise _placed(error, f"{path}!{name}") from error
    if seams:
        said = [column for column in table.columns if column != "line"]
        table = table.drop_duplicates(said).reset_index(drop=True)
    return table


def _placed(error: SourceError, file: str) -> SourceError:
    return SourceError(expected=error.expected, found=error.found, remedy=error.remedy, **{**error.where, "file": file})


def _without_seams(content: bytes) -> tuple[bytes, int]:
    """Blank the lines that repeat the first, so that the others keep their numbers; how many there were."""
    lines = content.split(b"\n")
    header = lines[0].strip().removeprefix(b"\xef\xbb\xbf")
    seams = [place for place, line in enumerate(lines) if place and header and line.strip() == header]
    for place in seams:
        lines[place] = b""
    return b"\n".join(lines), len(seams)


def _members(path: Path, pattern: str | None) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the members that are tables, in the order of their names."""

    def wanted(name: str, size: int) -> bool:
        base = PurePosixPath(name).name
        chosen = fnmatch.fnmatch(base, pattern) if pattern else not base.startswith(".")
        if chosen and base.lower().endswith(_TABLES) and size > _LARGEST_BYTES:
            raise _damaged(path, ValueError(f"a member {name} of {size} bytes"))
        return chosen and base.lower().endswith(_TABLES)

    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as packed:
                for entry in sorted(packed.infolist(), key=lambda each: each.filename):
                    if not entry.is_dir() and wanted(entry.filename, entry.file_size):
                        yield entry.filename, packed.read(entry)
            return
        with tarfile.open(path, "r:*") as tar:
            for piece in sorted(tar.getmembers(), key=lambda each: each.name):
                stream = tar.extractfile(piece) if piece.isfile() and wanted(piece.name, piece.size) else None
                if stream is not None:
                    yield piece.name, stream.read()
    except _UNREADABLE as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> SourceError:
    return SourceError(
        expected=f"an archive ({', '.join(ARCHIVES)}) of tables",
        found=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
        remedy="deliver the file again, or move it out of the folder",
        file=str(path),
        rule="readable",
    )
