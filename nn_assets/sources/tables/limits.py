"""How much of a file is read at most: refused before it is loaded, by what it says of itself."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nn_assets.errors import SourceError
from nn_assets.settings.sources import SourceSection

_MEGABYTE = 1 << 20
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Limits:
    """Rows of a source, columns and size of one of its files (unpacked, where it is packed).

    Where files hold no bars, the limit of rows is that of each. ``adjustable`` says whether the strategy's source has
    settings for them.
    """

    rows: int = 20_000_000
    columns: int = 1000
    megabytes: int = 2048
    adjustable: bool = True

    @classmethod
    def of(cls, source: SourceSection) -> Limits:
        """What is read at most of every file of a strategy: as its source of files says, else the usual limits."""
        limits = source.file_limits
        return cls(adjustable=False) if limits is None else cls(*limits)

    def check_rows(self, count: int, path: Path, *, at_least: bool = False) -> None:
        """Refuse more rows than the limit; ``at_least`` says that counting stopped there."""
        self._check("rows", count, self.rows, path, at_least=at_least)

    def check_columns(self, count: int, path: Path) -> None:
        """Refuse more columns than the limit."""
        self._check("columns", count, self.columns, path)

    def check_bytes(self, size: int, path: Path, *, at_least: bool = False) -> None:
        """Refuse more bytes than the limit."""
        megabytes = -(-size // _MEGABYTE)
        self._check("megabytes", megabytes, self.megabytes, path, at_least=at_least)

    def _check(self, what: str, count: int, limit: int, path: Path, *, at_least: bool = False) -> None:
        if count <= limit:
            return
        raise SourceError(
            expected=f"at most {limit:,} {what}",
            found=f"{'at least ' * at_least}{count:,}",
            remedy=f"split the file, leave out what is not meant, or raise source.max_{what} in the strategy file"
            if self.adjustable
            else "split the file, or leave out what is not meant",
            file=str(path),
            rule=f"max_{what}",
            value=count,
        )

    def check_parquet(self, file: pq.ParquetFile, path: Path) -> None:
        """Refuse a Parquet file by its footer (columns, rows, bytes), and by its texts as they are in every row."""
        self.check_columns(len(file.schema_arrow.names), path)
        self.check_rows(file.metadata.num_rows, path)
        groups = range(file.num_row_groups)
        self.check_bytes(sum(file.metadata.row_group(group).total_byte_size for group in groups), path)
        texts = [field.name for field in file.schema_arrow if _is_text(field.type)]
        if texts:
            self._check_texts(path, texts)

    def _check_texts(self, path: Path, columns: list[str]) -> None:
        """Add the lengths up before a text that is stored once is unpacked in every row."""
        size = 0
        with pq.ParquetFile(path, read_dictionary=columns, page_checksum_verification=True) as packed:
            for batch in packed.iter_batches(_ROWS_AT_ONCE, columns=columns):
                for column in batch.columns:
                    is_packed = pa.types.is_dictionary(column.type)
                    lengths = pc.binary_length(column.dictionary if is_packed else column)
                    size += pc.sum(lengths.take(column.indices) if is_packed else lengths).as_py() or 0
                    self.check_bytes(size, path, at_least=True)

    def read_parquet(self, file: pq.ParquetFile, path: Path, columns: list[str] | None = None) -> pa.Table:
        """Read columns of a Parquet file piece by piece: a repeated text is stored once, and unpacked in every row."""
        pieces, size = [], 0
        for piece in file.iter_batches(_ROWS_AT_ONCE, columns=columns):
            size += piece.nbytes
            self.check_bytes(size, path, at_least=True)
            pieces.append(piece)
        return pa.Table.from_batches(pieces) if pieces else file.read(columns=columns)

    def check_text(self, path: Path) -> bool:
        """Refuse a text file that is too large, unpacked, or holds zero bytes, without keeping any of it.

        Returns
        -------
        bool
            Whether it holds a quotation mark.

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
        size, quotes = 0, False
        with gzip.open(path, "rb") if packed else path.open("rb") as stream:
            while block := stream.read(_MEGABYTE):
                size += len(block)
                self.check_bytes(size, path, at_least=True)
                if b"\0" in block:
                    raise ValueError(f"a zero byte after {size - len(block) + block.index(0)} bytes")
                quotes = quotes or b'"' in block
        return quotes


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    return any(
        is_it(kind) for is_it in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    )


USUAL_LIMITS = Limits()
