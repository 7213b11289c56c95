"""How much of a file is read at most: refused before it is loaded, by what it says of itself."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

from nn_assets.errors import SourceError

__all__ = ["Limits"]

_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Rows of a source, columns and size of one of its files (unpacked, where it is packed)."""

    rows: int = 20_000_000
    columns: int = 1000
    megabytes: int = 2048

    def check_rows(self, found: int, path: Path, *, at_least: bool = False) -> None:
        """Refuse more rows than the limit; ``at_least`` says that counting stopped there."""
        self._check("rows", found, self.rows, path, at_least=at_least)

    def check_columns(self, found: int, path: Path) -> None:
        """Refuse more columns than the limit."""
        self._check("columns", found, self.columns, path)

    def check_bytes(self, found: int, path: Path, *, at_least: bool = False) -> None:
        """Refuse more bytes than the limit."""
        megabytes = -(-found // _MEGABYTE)
        self._check("megabytes", megabytes, self.megabytes, path, at_least=at_least)

    def _check(self, what: str, found: int, limit: int, path: Path, *, at_least: bool = False) -> None:
        if found <= limit:
            return
        raise SourceError(
            expected=f"at most {limit:,} {what}",
            found=f"{'at least ' * at_least}{found:,}",
            remedy=f"split the file, leave out what is not meant, or raise source.max_{what} in the strategy file",
            file=str(path),
            rule=f"max_{what}",
            value=found,
        )

    def check_text(self, path: Path) -> None:
        """Refuse a text file that is too large, unpacked, or holds zero bytes, without keeping any of it.

        Raises
        ------
        SourceError
            It is too large.
        ValueError
            It holds a zero byte.
        OSError, EOFError, zlib.error
            It cannot be read or unpacked.
        """
        self.check_bytes(path.stat().st_size, path)
        packed = path.suffix.lower() == ".gz"
        size = 0
        with gzip.open(path, "rb") if packed else path.open("rb") as stream:
            while block := stream.read(_MEGABYTE):
                size += len(block)
                self.check_bytes(size, path, at_least=True)
                if b"\0" in block:
                    raise ValueError(f"a zero byte after {size - len(block) + block.index(0)} bytes")
