"""Archives that hold tables of bars, as daily drops come: ``20150323.tar.gz`` with a ``prices.csv`` in it.

Members are read in memory, never unpacked under the names they carry.
"""

from __future__ import annotations

import bz2
import copy
import fnmatch
import lzma
import os
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO

import pandas as pd

from nn_assets.errors import SourceError
from nn_assets.sources.tables.limits import Limits

ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip")
_TABLES = (".csv", ".csv.gz", ".parquet", ".pq")
_PIECE = 1 << 16
_LONGEST_HEADER = 1 << 20
_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_LONGEST_NAME = 100
_UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, RuntimeError)
_LZMA_PROPERTIES = 5
_ENDS_WITH_A_MARK = 0x02  # a flag: an LZMA stream whose size is not needed to know where it ends


def read_archive(
    path: Path, member: str | None, read: Callable[[Path, str], pd.DataFrame], limits: Limits
) -> pd.DataFrame | None:
    """Read the tables of an archive that hold bars.

    Parameters
    ----------
    path : Path
        A tar, gzipped or not, or a zip.
    member : str, optional
        Name, or pattern such as ``prices*.csv``, of the members that hold bars. When left out, every
        CSV or Parquet member with a bar's columns is read, and others are passed over.
    read : callable
        Reads one table from a file that ends as the member's name does, given that name too, without folders.
    limits : Limits
        Rows, and bytes unpacked, of all these members together.

    Returns
    -------
    DataFrame or None
        None where the archive holds no bars: no such member, or one without rows. A line of a CSV
        that repeats its first one is the seam of two drops set one behind the other; rows that both
        hold are given once.

    Raises
    ------
    SourceError
        Not an archive, damaged, more than the limits, by what it says of itself or as it unpacks, or a
        member that is no sound table; names ``archive!member``.
    """
    tables: list[pd.DataFrame] = []
    foreign: list[SourceError] = []
    without_rows = False
    rows = 0
    for name, content in _members(path, member, limits):
        try:
            tables.append(_read_member(path, name, content, read))
            rows += len(tables[-1])
            limits.check_rows(rows, _member_path(path, name), at_least=True)
        except SourceError as error:
            if error.where.get("rule") == "not_empty":
                without_rows = True
            elif error.where.get("rule") == "complete_columns" and member is None:
                foreign.append(error)
            else:
                raise
    if not tables and foreign and not without_rows:
        raise foreign[0]
    return pd.concat(tables) if tables else None


def _read_member(path: Path, name: str, content: bytes, read: Callable[[Path, str], pd.DataFrame]) -> pd.DataFrame:
    cleaned, seams = _without_seams(content) if name.lower().endswith(".csv") else (content, 0)
    with tempfile.TemporaryDirectory() as folder:
        base = PurePosixPath(name).name
        ending = next(suffix for suffix in _TABLES if base.lower().endswith(suffix))
        # A name may be longer in an archive than in a folder.
        file = Path(folder) / (base if len(os.fsencode(base)) <= _LONGEST_NAME else f"member{ending}")
        file.write_bytes(cleaned)
        try:
            table = read(file, base)
        except SourceError as error:
            raise _placed(error, str(_member_path(path, name))) from error
    if seams:
        table = table.drop_duplicates()
    return table


def _placed(error: SourceError, file: str) -> SourceError:
    return SourceError(expected=error.expected, found=error.found, remedy=error.remedy, **{**error.where, "file": file})


def _without_seams(content: bytes) -> tuple[bytes, int]:
    """Blank the lines that repeat the first, so that the others keep their numbers; how many there were."""
    lines = content.split(b"\n")
    header = lines[0].strip().removeprefix(b"\xef\xbb\xbf")
    seams = [index for index, line in enumerate(lines) if index and header and line.strip() == header]
    for index in seams:
        lines[index] = b""
    return b"\n".join(lines), len(seams)


class _Member(tarfile.TarInfo):
    """A member whose extended header, which is read whole, is no longer than a name and its notes are."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        """Read a block of 512 bytes; a name, or notes, of more than 1 MiB to follow are refused."""
        member = super().frombuf(buf, encoding, errors)
        if member.type in _EXTENDED and member.size > _LONGEST_HEADER:
            raise tarfile.TarError(f"an extended header of {member.size} bytes")
        return member


def _members(path: Path, pattern: str | None, limits: Limits) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the members that are tables, in the order of their names."""

    def wanted(name: str) -> bool:
        base = PurePosixPath(name).name
        chosen = fnmatch.fnmatch(base, pattern) if pattern else not base.startswith(".")
        return chosen and base.lower().endswith(_TABLES)

    try:
        limits.check_bytes(path.stat().st_size, path)
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as packed:
                inside = [member for member in packed.infolist() if not member.is_dir() and wanted(member.filename)]
                _check_declared(((member.filename, member.file_size) for member in inside), path, limits)
                members = sorted(inside, key=lambda member: member.filename)
                yield from _unpacked(
                    ((member.filename, _zip_pieces(packed, member)) for member in members), path, limits
                )
            return
        with tarfile.open(path, "r:*", tarinfo=_Member) as tar:
            pieces = []

            def declared_sizes() -> Iterator[tuple[str, int]]:
                for piece in tar:  # each is judged before what it holds is unpacked to reach the next
                    if piece.isfile() and wanted(piece.name):
                        pieces.append(piece)
                        yield piece.name, piece.size

            _check_declared(declared_sizes(), path, limits)
            pieces.sort(key=lambda piece: piece.name)
            streams = ((piece.name, tar.extractfile(piece)) for piece in pieces)
            yield from _unpacked(
                ((name, _pieces(stream)) for name, stream in streams if stream is not None), path, limits
            )
    except _UNREADABLE as error:
        raise _damaged(path, error) from error


def _check_declared(sizes: Iterator[tuple[str, int]], path: Path, limits: Limits) -> None:
    """Refuse members that say of themselves to be, together, larger than the limit."""
    total = 0
    for name, size in sizes:
        total += size
        limits.check_bytes(total, _member_path(path, name))


def _unpacked(
    members: Iterator[tuple[str, Generator[bytes]]], path: Path, limits: Limits
) -> Iterator[tuple[str, bytes]]:
    """Unpack members one by one, no more of all than the limit: what they say of themselves may be untrue."""
    total = 0
    for name, pieces in members:
        content = bytearray()
        with closing(pieces):
            for piece in pieces:
                total += len(piece)
                limits.check_bytes(total, _member_path(path, name), at_least=True)
                content += piece
        yield name, bytes(content)


def _pieces(stream: IO[bytes]) -> Generator[bytes]:
    with stream:
        while piece := stream.read(_PIECE):
            yield piece


def _zip_pieces(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> Generator[bytes]:
    """Unpack a member of a zip, never more than a piece at once.

    From bzip2 and LZMA ``zipfile`` unpacks all that 4 KiB hold, up to some 80 MB, at once: their bytes are read as they
    are, and unpacked here.
    """
    if member.compress_type not in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        yield from _pieces(packed.open(member))
        return
    stored = copy.copy(member)
    stored.compress_type, stored.file_size = zipfile.ZIP_STORED, member.compress_size
    stored.CRC = None  # type: ignore[assignment]  # that of what is unpacked
    checksum = size = 0
    with packed.open(stored) as stream:
        unpacker = _unpacker(stream, member)
        while not unpacker.eof:
            content = stream.read(_PIECE) if unpacker.needs_input else b""
            if unpacker.needs_input and not content:
                raise EOFError("the member ends before what is packed in it does")
            piece = unpacker.decompress(content, _PIECE)
            checksum, size = zlib.crc32(piece, checksum), size + len(piece)
            yield piece
    if (checksum, size) != (member.CRC, member.file_size):
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {member.filename!r}")


def _unpacker(stream: IO[bytes], member: zipfile.ZipInfo) -> bz2.BZ2Decompressor | lzma.LZMADecompressor:
    """What unpacks a member from here on; before LZMA a zip states version and properties."""
    if member.compress_type == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor()
    version_and_length = stream.read(4)  # two bytes each
    properties = stream.read(int.from_bytes(version_and_length[2:], "little"))
    if len(properties) != _LZMA_PROPERTIES:
        raise lzma.LZMAError(f"properties of {len(properties)} bytes")
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_ALONE)
    size = (1 << 64) - 1 if member.flag_bits & _ENDS_WITH_A_MARK else member.file_size
    unpacker.decompress(properties + size.to_bytes(8, "little"), 0)
    return unpacker


def _member_path(path: Path, member: str) -> Path:
    return Path(f"{path}!{member}")


def _damaged(path: Path, error: Exception) -> SourceError:
    return SourceError(
        expected=f"an archive ({', '.join(ARCHIVES)}) of tables",
        found=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
        remedy="deliver the file again, or move it out of the folder",
        file=str(path),
        rule="readable",
    )
