"""Good files, small, and how rows are laid out as files. Nothing of the product is used here."""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FIELDS = ("date", "open", "high", "low", "close", "volume")
LAYOUTS = ("long.csv", "split.csv", "long.csv.gz", "long.parquet", "split.parquet")


@dataclass(frozen=True)
class Row:
    """A bar as it is written: cells are texts."""

    date: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    symbol: str


@dataclass(frozen=True)
class Good:
    """Bars that break no rule, on every session of the calendar from the first to the last."""

    name: str
    rows: tuple[Row, ...]

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(sorted({row.symbol for row in self.rows}))

    @property
    def sessions(self) -> tuple[str, ...]:
        return tuple(sorted({row.date for row in self.rows}))


def bundled() -> Good:
    """The last forty sessions of the sample that the arch package ships."""
    from arch.data import nasdaq, sp500

    rows = []
    for symbol, loaded in (("SP500", sp500.load()), ("NASDAQ", nasdaq.load())):
        for day, bar in loaded.tail(40).iterrows():
            cells = {name: repr(float(bar[name.capitalize()])) for name in FIELDS[1:]}
            rows.append(Row(date=day.strftime("%Y-%m-%d"), symbol=symbol, **cells))
    return Good("bundled", tuple(rows))


def stocks(folder: Path) -> Good:
    """Thirty sessions of three stocks, under tickers that look like something else."""
    rows = []
    for file, symbol in (("AAL", "TRUE"), ("NUE", "INF"), ("O", "NAN")):
        with (folder / f"{file}_data.csv").open(encoding="utf-8", newline="") as stream:
            bars = [bar for bar in csv.DictReader(stream) if "2017-05-15" <= bar["date"] <= "2017-06-26"]
        rows += [Row(symbol=symbol, **{name: bar[name] for name in FIELDS}) for bar in bars]
    return Good("stocks", tuple(rows))


def text_of(rows: list[Row], *, symbol: bool) -> str:
    """Rows as CSV with a header; the symbol in a column, or left to the file's name."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*FIELDS, "Name"] if symbol else FIELDS)
    writer.writerows(map(attrgetter(*FIELDS, *(["symbol"] if symbol else [])), rows))
    return stream.getvalue()


def table_of(rows: list[Row], *, symbol: bool) -> pa.Table:
    """Rows as an Arrow table: dates as text, numbers as float64 and null for an empty cell."""
    columns = {
        name: [getattr(row, name) for row in rows]
        if name == "date"
        else pa.array([float(cell) if (cell := getattr(row, name)) else None for row in rows], pa.float64())
        for name in FIELDS
    }
    return pa.table({**columns, "Name": [row.symbol for row in rows]} if symbol else columns)


def parquet_bytes(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, write_page_checksum=True)
    return stream.getvalue()


def laid_out(rows: list[Row], layout: str) -> dict[str, bytes]:
    """Rows as files: name to content."""
    shape, _, ending = layout.partition(".")
    parts = {"bars": rows}
    if shape == "split":
        parts = {symbol: [row for row in rows if row.symbol == symbol] for symbol in {row.symbol for row in rows}}
    return {
        f"{name}.{ending}": content_of(part, ending, symbol=shape == "long") for name, part in sorted(parts.items())
    }


def content_of(rows: list[Row], ending: str, *, symbol: bool) -> bytes:
    if ending == "parquet":
        return parquet_bytes(table_of(rows, symbol=symbol))
    text = text_of(rows, symbol=symbol).encode()
    return gzip.compress(text, 1, mtime=0) if ending == "csv.gz" else text


def changed(row: Row, **cells: str) -> Row:
    return replace(row, **cells)
