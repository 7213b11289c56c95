"""Kinds of columns: as both databases keep them, as plain Python values, and as frames carry them."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Dialect, Double, Integer, String, Text
from sqlalchemy.types import TypeDecorator

from nn_assets.store.values import as_moment, as_session, canonical_json

_Reads = Callable[[Any], Any]


def _as_written(reads: Callable[[str], Any], marks: Mapping[int, str], letters: int) -> _Reads:
    """Read a text of so many letters, marks at their places: SQLite compares texts, and finds no other spelling."""
    separators = tuple(marks.items())

    def read(value: Any) -> Any:
        if value is None:
            return None
        if (
            not isinstance(value, str)
            or len(value) != letters
            or any(value[index] != mark for index, mark in separators)
        ):
            raise ValueError(f"{value!r} is spelled otherwise than the ledger writes it, so that queries pass it over")
        return reads(value)

    return read


_DAY = _as_written(date.fromisoformat, {4: "-", 7: "-"}, 10)
_MOMENT = _as_written(datetime.fromisoformat, {4: "-", 7: "-", 10: " ", 13: ":", 16: ":", 19: "."}, 26)


class SessionDate(TypeDecorator[date]):
    """A session: a date, whatever spelling of a day is bound."""

    impl = Date
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> date | None:  # noqa: ARG002
        """Reduce what is bound to a plain date."""
        return None if value is None else as_session(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> _Reads | None:
        """Read a day in the one spelling in which it is written."""
        return _DAY if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


class Moment(TypeDecorator[datetime]):
    """A UTC moment. SQLite keeps it without its zone; it comes back aware from either database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> datetime | None:
        """Convert to UTC, and drop the zone where the database has no place for it."""
        if value is None:
            return None
        moment = as_moment(value)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def result_processor(self, dialect: Dialect, coltype: object) -> _Reads | None:
        """Read a moment in the one spelling in which it is written."""
        if dialect.name != "sqlite":
            return super().result_processor(dialect, coltype)
        return lambda value: self.process_result_value(_MOMENT(value), dialect)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give the zone back."""
        if value is None:
            return None
        moment: datetime = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment


class Flag(TypeDecorator[bool]):
    """True or false; in SQLite 1 or 0, and no other number is read as true."""

    impl = Boolean
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> _Reads | None:
        """Read 1 and 0 alone."""
        return _flag if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


def _flag(value: Any) -> bool | None:
    if value not in (None, 0, 1):
        raise ValueError(f"{value!r} is neither 0 nor 1, so that queries pass it over")
    return None if value is None else bool(value)


class CanonicalJson(TypeDecorator[Any]):
    """A JSON value kept as canonical text, so that its bytes, and their hash, are stable."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Write canonical text."""
        return None if value is None else canonical_json(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Read the text back."""
        if not isinstance(value, str | None):
            raise TypeError(f"{value!r} is no text")
        return None if value is None else json.loads(value, object_pairs_hook=_unique_names)


_PACKED, _LONG = "~", 200  # a letter with which no JSON begins; letters from which on packing is tried


def packed(text: str) -> str:
    """A long text compressed, in printable letters; one that would not get shorter, as it is."""
    if len(text) < _LONG:
        return text
    shorter = _PACKED + base64.b85encode(zlib.compress(text.encode(), 9)).decode()
    return min(text, shorter, key=len)


def unpacked(text: str) -> str:
    """The text that was packed, or one that was not.

    Raises
    ------
    ValueError
        It is not as :func:`packed` writes it.
    """
    if not text.startswith(_PACKED):
        return text
    compressed, inflating = base64.b85decode(text[1:]), zlib.decompressobj()
    try:
        plain = inflating.decompress(compressed).decode()
    except zlib.error as error:
        raise ValueError(f"a packed text that cannot be unpacked: {error}") from error
    if not inflating.eof or inflating.unused_data or base64.b85encode(compressed).decode() != text[1:]:
        raise ValueError("a packed text with letters too many or too few")
    return plain


class PackedJson(CanonicalJson):
    """A JSON value whose canonical text is kept packed where it is long."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Write canonical text, packed."""
        text = super().process_bind_param(value, dialect)
        return None if text is None else packed(text)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Read the text back."""
        return super().process_result_value(unpacked(value) if isinstance(value, str) else value, dialect)


class PackedKeys(TypeDecorator[str]):
    """The key of one row, or of several, as JSON; behind its strategy, by which it is looked for, packed where long."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Write the key, packed."""
        return None if value is None else _behind_strategy(packed, value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Read the key; one that cannot be unpacked, which no entry seals, is given as it stands."""
        try:
            return _behind_strategy(unpacked, value) if isinstance(value, str) else value
        except ValueError:
            return value


def _behind_strategy(change: Callable[[str], str], key: str) -> str:
    strategy, end, rest = key.partition('",')
    return strategy + end + change(rest)


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which no name occurs twice: readers differ in which of the two they heed."""
    parsed = dict(pairs)
    if len(parsed) < len(pairs):
        raise ValueError(f"a name that stands twice among {', '.join(name for name, _ in pairs)[:60]}")
    return parsed


def _as_float(value: object) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError("not a number")
    return float(value) + 0.0  # SQLite does not keep the sign of -0.0, so neither does the hash


def _as_integer(value: object) -> int:
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return int(value)
    raise ValueError("not an integer")


def _as_boolean(value: object) -> bool:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise ValueError("not a boolean")


def _as_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    if "\x00" in value:
        raise ValueError("a text with a NUL character, which PostgreSQL cannot keep")
    value.encode("utf-8")  # a lone surrogate raises UnicodeEncodeError, which is a ValueError
    return str(value)


def _as_json(value: object) -> object:
    text = canonical_json(value)
    if "\\u0000" in text:
        raise ValueError("a text with a NUL character, which PostgreSQL cannot keep")
    text.encode("utf-8")
    plain: object = json.loads(text)
    return plain


def _days(values: Sequence[Any]) -> Any:
    return np.array(values, dtype="datetime64[D]").astype("datetime64[ns]")


def _moments(values: Sequence[Any]) -> Any:
    bare = [None if value is None else value.replace(tzinfo=None) for value in values]
    return pd.DatetimeIndex(np.array(bare, dtype="datetime64[us]").astype("datetime64[ns]"), tz="UTC").array


@dataclass(frozen=True)
class Kind:
    """What a kind of column is.

    Parameters
    ----------
    stored : SQLAlchemy type
        How both databases keep it.
    plain : callable
        Brings a value to plain Python; raises TypeError, ValueError or OverflowError where it is of another kind.
    typed : callable
        Values of one column in the type that frames carry; None is NaN, NaT or missing text. Arrays where an array
        keeps its type in a frame: a frame made of Series takes twice as long, for it aligns them.
    """

    stored: Any
    plain: Callable[[Any], object]
    typed: Callable[[Sequence[Any]], Any]


def _text(stored: Any) -> Kind:
    return Kind(stored, _as_text, lambda values: pd.array(list(values), dtype="str"))


def _array(stored: Any, plain: Callable[[Any], object], dtype: type) -> Kind:
    return Kind(stored, plain, lambda values: np.array(values, dtype=dtype))


KINDS: Mapping[str, Kind] = {
    "text": _text(String),
    "line": _text(Text),
    "digest": _text(String(64)),
    "day": Kind(SessionDate, as_session, _days),
    "moment": Kind(Moment, as_moment, _moments),
    "number": _array(Double, _as_float, np.float64),
    "whole": _array(BigInteger, _as_integer, np.int64),
    "small": _array(Integer, _as_integer, np.int64),
    "flag": _array(Flag, _as_boolean, bool),
    "json": Kind(CanonicalJson, _as_json, lambda values: pd.Series(list(values), dtype=object)),
}
"""By the name that contracts give it."""


def kind_of(column: Column[Any]) -> Kind:
    """The kind of a column of the ledger's tables."""
    return KINDS[column.info["kind"]]
