"""Mutations of a CSV file's bytes, of a packed one's, and of a Parquet file's."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from random import Random

import pyarrow as pa

from tests.hostile.good import Row, content_of, parquet_bytes, table_of

TextMutation = Callable[[str, Random], str | bytes]
OK, BROKEN = True, False


def _line(change: Callable[[str, Random], str], *, header: bool = False) -> TextMutation:
    """One line changed: the header, or one of the rows."""

    def mutate(text: str, rng: Random) -> str:
        lines = text.split("\n")
        index = 0 if header else rng.randrange(1, len(lines) - 1)
        lines[index] = change(lines[index], rng)
        return "\n".join(lines)

    return mutate


def _cell(change: Callable[[str, Random], str], first: int = 1, last: int = 5) -> TextMutation:
    """One cell of one row changed, in a column from ``first`` to ``last``."""

    def line(text: str, rng: Random) -> str:
        cells = text.split(",")
        column = rng.randint(first, last)
        cells[column] = change(cells[column], rng)
        return ",".join(cells)

    return _line(line)


def _columns(change: Callable[[list[list[str]], Random], None]) -> TextMutation:
    """The table of all cells changed, header included."""

    def mutate(text: str, rng: Random) -> str:
        table = [line.split(",") for line in text.split("\n")[:-1]]
        change(table, rng)
        return "".join(",".join(cells) + "\n" for cells in table)

    return mutate


def _add_column(table: list[list[str]], rng: Random) -> None:
    column = rng.randint(0, len(table[0]))
    word = rng.choice(["adjclose", "sector", "", "Unnamed: 0", "dividend", "open_interest_x", "7"])
    for cells in table:
        cells.insert(column, word)


def _drop_column(table: list[list[str]], rng: Random) -> None:
    column = rng.randrange(len(table[0]))
    for cells in table:
        cells.pop(column)


def _shuffle_columns(table: list[list[str]], rng: Random) -> None:
    order = rng.sample(range(len(table[0])), len(table[0]))
    table[:] = [[cells[column] for column in order] for cells in table]


def _rename_column(table: list[list[str]], rng: Random) -> None:
    names = [
        "price",
        "",
        "CLOSE",
        "\u0441lose",
        "close ",
        "1. open",
        "<HIGH>",
        "date",
        "o",
        "Volume",
        "close*",
        "ope\u043f",
        "last",
    ]
    table[0][rng.randrange(len(table[0]))] = rng.choice(names)


def _repeat_header(text: str, rng: Random) -> str:
    header, *rows = text.split("\n")
    index = rng.randint(0, len(rows) - 1)
    return "\n".join([header, *rows[:index], rng.choice([header, header.upper()]), *rows[index:]])


def _flip(text: str, rng: Random) -> bytes:
    content = bytearray(text.encode())
    for _ in range(rng.randint(1, 3)):
        content[rng.randrange(len(content))] = rng.choice(b'0123456789,.;-+eE"\n\r\t x\x00\x7f\x80\xff')
    return bytes(content)


def _gap(text: str, rng: Random) -> str:
    start = rng.randrange(len(text))
    return text[:start] + text[start + rng.randint(1, 400) :]


def _ending(text: str, rng: Random) -> str:
    return text + rng.choice(
        ["Source: a vendor\n", "\n\n\n", ",,,,,\n", "# end\n", "EOF", "\x1a", "   \n", "2018-12-28\n"]
    )


CSV_MUTATIONS: dict[str, TextMutation] = {
    "truncated": lambda text, rng: text[: rng.randrange(len(text))],
    "cut in a line": _line(lambda line, rng: line[: rng.randrange(len(line))]),
    "a gap": _gap,
    "a column more": _columns(_add_column),
    "a column less": _columns(_drop_column),
    "columns in another order": _columns(_shuffle_columns),
    "a column renamed": _columns(_rename_column),
    "a cell more": _line(lambda line, rng: line + rng.choice([",", ",1", ",x"])),
    "a header among the rows": _repeat_header,
    "byte order marks": lambda text, rng: (
        rng.choice([b"\xef\xbb\xbf", b"\xef\xbb\xbf" * 2, b"\xff\xfe"]) + text.encode()
    ),
    "UTF-16 or 32": lambda text, rng: text.encode(rng.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32"])),
    "another code page": _cell(lambda cell, rng: cell + rng.choice(["é", "€", "\xa0", "\u2212", "\uff11", "\u0663"])),
    "zero bytes": _cell(lambda cell, rng: cell[:1] + "\0" * rng.randint(1, 3) + cell[1:], first=0),
    "another delimiter": lambda text, rng: text.replace(",", rng.choice([";", "\t", "|", " ", ",,", ", "])),
    "decimal commas": lambda text, rng: re.sub(r"(\d)\.(\d)", rng.choice([r"\1,\2", r'"\1,\2"']), text),
    "thousands separators": _cell(
        lambda cell, rng: rng.choice(['"1,234.50"', "1 234.5", "1'234.5", "1_234.5", "1.234.567"])
    ),
    "currency signs": _cell(
        lambda cell, rng: rng.choice(["$", "€", "£", "USD ", ""]) + cell + rng.choice([" $", "M", "%", "p"])
    ),
    "text in a number": _cell(
        lambda cell, rng: rng.choice(["n.a. yet", "TRUE", "0x1F", "1e", "1d5", "--5", "1.2.3", "halted", "."])
    ),
    "spellings of no number": _cell(
        lambda cell, rng: rng.choice(["nan", "NaN", "NAN", "-nan", "null", "N/A", "#N/A", "-", "None", "?"])
    ),
    "spellings of infinity": _cell(
        lambda cell, rng: rng.choice(["inf", "-Infinity", "+INF", "1e999", "1.#INF", "infinit", "∞"])
    ),
    "formulas": _cell(
        lambda cell, rng: rng.choice(["=cmd()", "=1+1", "@SUM(A1)", "+1+1", "-2+3", "=HYPERLINK(1)"]), first=0
    ),
    "quotes": _cell(
        lambda cell, rng: rng.choice(['"', '""', f'"{cell}"', f'"{cell}', f'{cell}"', f'"{cell}"x', f'"{cell}\n"']),
        first=0,
    ),
    "a very long cell": _cell(
        lambda cell, rng: cell + rng.choice("0x ") * rng.choice([200, 140_000, 1_200_000]), first=0
    ),
    "blanks around cells": _cell(
        lambda cell, rng: rng.choice([" ", "\t", "  "]) + cell + rng.choice(["", " "]), first=0
    ),
    "other line ends": lambda text, rng: text.replace("\n", rng.choice(["\r\n", "\r", "\n\n", "\n\r\n"])),
    "no line end at the end": lambda text, rng: text.rstrip("\n"),
    "something at the end": _ending,
    "bytes changed": _flip,
    "nothing, or a header alone": lambda text, rng: rng.choice(
        ["", "\n", "\ufeff", text.split("\n")[0], text.split("\n")[0] + "\n"]
    ),
    "binary rubbish": lambda text, rng: rng.randbytes(rng.randint(1, 3000)),
    "another kind of file": lambda text, rng: rng.choice(
        [b"PK\x03\x04" + bytes(60), b"%PDF-1.4\n%", b"PAR1", b"<html><body>429</body>", b'{"error": 1}']
    ),
}


def _packed_flip(content: bytes, rng: Random) -> bytes:
    broken = bytearray(content)
    broken[rng.randrange(10, len(broken) - 8)] ^= 1 << rng.randrange(8)
    return bytes(broken)


PACKED_MUTATIONS: dict[str, Callable[[bytes, Random], bytes]] = {
    "gzip truncated": lambda content, rng: content[: rng.randrange(len(content))],
    "gzip of a wrong kind": lambda content, rng: rng.choice([b"BZh9", b"\x1f\x8c", b"PK\x03\x04", b""]) + content[2:],
    "gzip with bytes changed": _packed_flip,
    "gzip with rubbish behind": lambda content, rng: content + rng.randbytes(rng.randint(1, 50)),
    "gzip in gzip": lambda content, rng: gzip.compress(content),
    "no gzip at all": lambda content, rng: gzip.decompress(content),
}

ParquetMutation = Callable[[list[Row], bool, Random], tuple[bytes, bool]]
"""Rows and whether the symbol is a column; gives a file, and whether it still says the same."""


def _typed(change: Callable[[pa.Table, Random], pa.Table], same: bool) -> ParquetMutation:
    return lambda rows, symbol, rng: (parquet_bytes(change(table_of(rows, symbol=symbol), rng)), same)


def _as(table: pa.Table, name: str, values: object) -> pa.Table:
    index = table.schema.get_field_index(name)
    return table.set_column(index, name, values)


def _price(table: pa.Table, rng: Random, make: Callable[[float], object], type_: pa.DataType | None = None) -> pa.Table:
    name = rng.choice(["open", "high", "low", "close", "volume"])
    return _as(table, name, pa.array([make(value.as_py()) for value in table[name]], type_))


def _wrong_price(table: pa.Table, rng: Random) -> pa.Table:
    kinds: list[tuple[Callable[[float], object], pa.DataType | None]] = [
        (lambda value: value > 1.0, pa.bool_()),
        (lambda value: f"${value}", None),
        (lambda value: [value], None),
        (lambda value: {"value": value}, None),
        (lambda value: int(value) * 86_400, pa.timestamp("s")),
        (lambda value: int(value), pa.duration("s")),
        (lambda value: str(value).encode() + b"\xff", pa.binary()),
        (lambda value: int(value) % 20_000, pa.date32()),
        (lambda value: None, pa.null()),
    ]
    return _price(table, rng, *rng.choice(kinds[:-1]))


def wrong_days(count: int) -> list[pa.Array]:
    """Columns in which no value is a day."""
    return [
        pa.array([1.5] * count),
        pa.array([[1]] * count),
        pa.array([True] * count),
        pa.array([None] * count, pa.timestamp("ns")),
        pa.array([10**15] * count, pa.timestamp("s")),
        pa.array([-(10**15)] * count, pa.timestamp("us")),
        pa.array([1_514_851_200_000_000_001] * count, pa.timestamp("ns", "UTC")),
        pa.array([34_200] * count, pa.time32("s")),
        pa.array([10_000_000] * count, pa.date32()),
        pa.array([b"\xff\xfe"] * count),
        pa.array([1_514_851_201] * count),  # a second after midnight
        pa.array([1_514_851_200_001] * count),
    ]


def _wrong_day(table: pa.Table, rng: Random) -> pa.Table:
    return _as(table, "date", rng.choice(wrong_days(len(table))))


def _same_day(table: pa.Table, rng: Random) -> pa.Table:
    days = table["date"].cast(pa.timestamp("s")).combine_chunks()
    written = [
        days.cast(pa.date32()),
        days.cast(pa.date64()),
        days.cast(pa.timestamp("ns")),
        pa.array([int(text.as_py().replace("-", "")) for text in table["date"]]),
        days.cast(pa.int64()),
        days.cast(pa.timestamp("ms")).cast(pa.int64()),
        table["date"].combine_chunks().dictionary_encode(),
        table["date"].cast(pa.large_string()),
    ]
    return _as(table, "date", rng.choice(written))


def _columns_beside(table: pa.Table, rng: Random) -> pa.Table:
    beside: list[list[object]] = [[{"a": [1]}], [b"\xff"], [None], [[1.0]], ["\ud7ff=cmd()"]]
    return table.append_column(
        rng.choice(["nested", "a.b", "__index_level_0__", ""]), pa.array(rng.choice(beside) * len(table))
    )


def _columns_wrong(table: pa.Table, rng: Random) -> pa.Table:
    name = rng.choice(["date", "open", "high", "low", "close", "volume"])
    index = table.schema.get_field_index(name)
    twice = table.append_column(rng.choice([name, name.upper()]), table[name])
    renamed = table.rename_columns([f"x{column}" if column == name else column for column in table.column_names])
    return rng.choice([table.remove_column(index), twice, renamed])


def _hostile_notes(table: pa.Table, rng: Random) -> pa.Table:
    notes = rng.choice(
        [b"{", b"\xff", b'{"index_columns": ["x"], "columns": []}', b'{"index_columns": [{"kind": "range"}]}', b"[]"]
    )
    return table.replace_schema_metadata({b"pandas": notes})


def _damaged(rows: list[Row], symbol: bool, rng: Random) -> tuple[bytes, bool]:
    content = bytearray(content_of(rows, "parquet", symbol=symbol))
    footer = int.from_bytes(content[-8:-4], "little")
    kind = rng.choice(["cut", "magic", "length", "head"])
    if kind == "cut":
        return bytes(content[: rng.randrange(len(content))]), BROKEN
    if kind == "magic":
        content[-4:] = b"PAR2"
    elif kind == "length":
        content[-8:-4] = rng.choice([0, 1, footer * 1000, 2**31 - 1, 2**32 - 1]).to_bytes(4, "little")
    else:
        del content[: rng.randrange(1, len(content) - footer - 8)]
    return bytes(content), BROKEN


def _no_rows(rows: list[Row], symbol: bool, rng: Random) -> tuple[bytes, bool]:
    return parquet_bytes(table_of(rows, symbol=symbol).slice(0, 0)), BROKEN


def _another_format(rows: list[Row], symbol: bool, rng: Random) -> tuple[bytes, bool]:
    return content_of(rows, rng.choice(["csv", "csv.gz"]), symbol=symbol), BROKEN


PARQUET_MUTATIONS: dict[str, ParquetMutation] = {
    "Parquet damaged": _damaged,
    "Parquet prices of a wrong type": _typed(_wrong_price, BROKEN),
    "Parquet days of a wrong type": _typed(_wrong_day, BROKEN),
    "Parquet days of another good type": _typed(_same_day, OK),
    "Parquet columns beside": _typed(_columns_beside, OK),
    "Parquet columns missing or twice": _typed(_columns_wrong, BROKEN),
    "Parquet with hostile notes": _typed(_hostile_notes, OK),
    "Parquet without rows": _no_rows,
    "Parquet that is a CSV": _another_format,
}


def bytes_changed(content: bytes, rng: Random) -> bytes:
    """A Parquet file with some bits anywhere in it changed: what it then says nobody can know."""
    broken = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
    return bytes(broken)
