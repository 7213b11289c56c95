"""Rows of the ledger read back as typed frames, each key at its highest version then visible."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from operator import itemgetter
from typing import Any

import pandas as pd
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Row,
    Select,
    Table,
    and_,
    exists,
    func,
    or_,
    select,
)

from nn_assets.arrays import Moment, Session
from nn_assets.errors import LedgerError
from nn_assets.market.facts.arrival import Mended
from nn_assets.store.ledger.columns import kind_of
from nn_assets.store.ledger.mended import as_read, read_mended, seen_by
from nn_assets.store.ledger.reread import changed_row_error
from nn_assets.store.ledger.schema import contract_columns, natural_key, rows_of, shared_columns, table_named

UNREADABLE = (TypeError, ValueError, OverflowError)
"""What is raised where a value in the database does not belong in its column."""

OnReading = Callable[[Connection, Table, Sequence[Mapping[str, Any]]], None]
"""Is handed the rows of a table just read, with all their columns."""

_ROWS_A_FETCH = 5_000


@dataclass(frozen=True)
class Query:
    """Which rows of a table.

    Parameters
    ----------
    table : str
        Name of the table.
    strategy : str, optional
        One strategy; all when left out.
    first, last : session or month, optional
        Bounds, both included, on ``session`` (or ``month``, as ``YYYY-MM``, where a table has that).
    as_of : UTC moment, optional
        Only versions with ``known_at`` at or before it.
    recorded_by : UTC moment, optional
        Only versions stored at or before it: what replaying a recorded decision must ask for.
    after_sequence : int, optional
        Only rows appended after that place in the chain: a cursor.
    where : mapping, optional
        Column to the value that it must equal.
    every_version : bool
        All versions instead of the highest visible one.
    """

    table: str
    strategy: str | None = None
    first: Session | None = None
    last: Session | None = None
    as_of: Moment | None = None
    recorded_by: Moment | None = None
    after_sequence: int | None = None
    where: Mapping[str, object] = field(default_factory=dict)
    every_version: bool = False

    @property
    def asked(self) -> tuple[Hashable, ...]:
        """The question, by which an answer to it can be found again."""
        attributes = {name: value for name, value in vars(self).items() if name != "where"}
        return (*attributes.values(), tuple(sorted(self.where.items())))

    def conditions(
        self, table: FromClause, mended: Mended
    ) -> tuple[list[ColumnElement[bool]], list[ColumnElement[bool]]]:
        """Return what limits the versions considered, and what limits the rows then given back."""
        visible = []
        if self.as_of is not None:
            known = table.c.known_at <= self.as_of
            by_storing = and_(table.c.known_at == table.c.recorded_at, seen_by(table.c.known_at, self.as_of, mended))
            visible.append(or_(known, by_storing) if mended.read_as else known)
        if self.recorded_by is not None:
            visible.append(seen_by(table.c.recorded_at, self.recorded_by, mended))
        if self.strategy is not None:
            visible.append(table.c.strategy == self.strategy)
        chosen = [self._column(table, name) == value for name, value in self.where.items()]
        if self.after_sequence is not None:
            chosen.append(table.c.sequence > self.after_sequence)
        if self.first is not None:
            chosen.append(self._time_column(table) >= self.first)
        if self.last is not None:
            chosen.append(self._time_column(table) <= self.last)
        return visible, chosen

    def _column(self, table: FromClause, name: str) -> ColumnElement[Any]:
        if name not in table.columns:
            raise LedgerError(
                expected=f"a column of {', '.join(table.columns.keys())}",
                found=repr(name),
                remedy="name a column that the table has",
                table=self.table,
            )
        return table.columns[name]

    def _time_column(self, table: FromClause) -> ColumnElement[Any]:
        for name in ("session", "month"):
            if name in table.columns:
                return table.columns[name]
        raise LedgerError(
            expected="a table with sessions or months",
            found="first or last on a table without them",
            remedy="leave out first and last",
            table=self.table,
        )


def _statement(query: Query, table: Table, mended: Mended, columns: Sequence[str]) -> tuple[Select[Any], FromClause]:
    """The question in SQL, and what its rows are taken from: the table alone where nothing of the entries is asked."""
    shared, by_moment = shared_columns(table), query.as_of is not None or query.recorded_by is not None
    whole = by_moment or not {*shared}.isdisjoint([*columns, *query.where])
    rows = rows_of(table) if whole else table
    newer = rows_of(table, "newer") if by_moment else _newer(table)
    visible, chosen = query.conditions(rows, mended)
    wanted = [rows.columns[name] for name in columns]
    if query.every_version:
        return select(*wanted).where(*visible, *chosen), rows
    same_key = [newer.c[name] == rows.c[name] for name in ("strategy", *natural_key(table))]
    seen_too, _ = query.conditions(newer, mended)
    superseded = exists().where(*same_key, newer.c.version > rows.c.version, *seen_too)
    return select(*wanted).where(*visible, *chosen, ~superseded), rows


@cache
def _newer(table: Table) -> FromClause:
    """A table under the name by which a row's other versions are looked for; its columns are made once."""
    return table.alias("newer")


def read_frame(
    connection: Connection,
    query: Query,
    *,
    columns: Sequence[str] | None = None,
    bookkeeping: bool = False,
    on_reading: OnReading | None = None,
) -> pd.DataFrame:
    """Return the rows asked for, in the order of their keys.

    Parameters
    ----------
    columns : sequence of str, optional
        Only these, of the contract's columns and the bookkeeping's: what else a row holds is neither fetched nor
        decoded, unless rows are verified as they are read, which takes the whole of them.

    Returns
    -------
    DataFrame, shape (rows, columns)
        ``strategy`` and the contract's columns, and with ``bookkeeping`` version, run and place in
        the chain too. Sessions are tz-naive ``datetime64[ns]``, moments ``datetime64[ns, UTC]``,
        NULL is NaN in numbers and missing in text; an empty answer has the same types. When a row was
        stored is as it is read: a moment of a clock that ran ahead as a person had it mended.
    """
    table, mended = table_named(query.table), read_mended(connection)
    names = _names(table, bookkeeping=bookkeeping) if columns is None else columns
    statement, _ = _statement(query, table, mended, _fetched(table, names, on_reading))
    return _framed(connection, table, statement, mended, names=names, on_reading=on_reading)


def _fetched(table: Table, names: Sequence[str], on_reading: OnReading | None) -> Sequence[str]:
    """The columns asked for, and those that rows are ordered by; all where rows are verified as they are read."""
    if on_reading is not None:
        return table.columns.keys()
    return list(dict.fromkeys([*names, "strategy", *natural_key(table), "version"]))


def _names(table: Table, *, bookkeeping: bool) -> Sequence[str]:
    return table.columns.keys() if bookkeeping else ("strategy", *contract_columns(table))


def latest_frame(
    connection: Connection, query: Query, *, bookkeeping: bool = False, on_reading: OnReading | None = None
) -> pd.DataFrame:
    """Return the rows of the last session, or, in a table without sessions, the row appended last."""
    table, mended = table_named(query.table), read_mended(connection)
    names = _names(table, bookkeeping=bookkeeping)
    statement, rows = _statement(query, table, mended, _fetched(table, names, on_reading))
    if "session" in table.columns:
        newest = select(func.max(statement.subquery().c.session)).scalar_subquery()
        statement = statement.where(rows.c.session == newest)
    else:
        statement = statement.order_by(rows.c.sequence.desc()).limit(1)
    return _framed(connection, table, statement, mended, names=names, on_reading=on_reading)


def last_appended(
    connection: Connection, table: str, where: Mapping[str, object], *, on_reading: OnReading | None = None
) -> dict[str, Any] | None:
    """Return the row appended last of those with these values, whatever its version, or None.

    Where an index ends in ``sequence`` its cost does not grow with the table, as that of
    :func:`latest_frame`, which weighs every version, does.
    """
    stored = table_named(table)
    rows = rows_of(stored)
    statement = select(rows).where(*(rows.c[name] == value for name, value in where.items()))
    with _read_back(stored):
        fetched = connection.execute(statement.order_by(rows.c.sequence.desc()).limit(1)).all()
    newest = [dict(row._mapping) for row in fetched]  # noqa: SLF001  the public accessor of a SQLAlchemy row
    if on_reading is not None:
        on_reading(connection, stored, newest)
    return newest[0] if newest else None


@contextmanager
def _read_back(table: Table) -> Iterator[None]:
    """Within it, a value that cannot be read back is reported as a row that is not as it was appended."""
    try:
        yield
    except UNREADABLE as error:
        problem = f"row unreadable: {type(error).__name__}: {error}"
        raise changed_row_error(problem, sequence=0, table=table.name, key="") from error


def _framed(
    connection: Connection,
    table: Table,
    statement: Select[Any],
    mended: Mended,
    *,
    names: Sequence[str],
    on_reading: OnReading | None,
) -> pd.DataFrame:
    column_index = {str(column.name): position for position, column in enumerate(statement.selected_columns)}
    key = itemgetter(*(column_index[name] for name in ("strategy", *natural_key(table), "version")))
    # Ordered here, by code point: a database would order text by its own collation.
    with _read_back(table):
        rows = sorted(connection.execute(statement).all(), key=key)
    if on_reading is not None:
        on_reading(connection, table, [dict(zip(column_index, row, strict=True)) for row in rows])
    if not rows:
        return _empty(table, tuple(names)).copy()
    values = list(zip(*rows, strict=True))
    with _read_back(table):
        frame = pd.DataFrame({name: _typed(table.columns[name], values[column_index[name]]) for name in names})
    return as_read(frame, mended)


@cache
def _empty(table: Table, names: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame({name: _typed(table.columns[name], ()) for name in names})


def _typed(column: Column[Any], values: Sequence[Any]) -> Any:
    if isinstance(column.type, Integer) and column.nullable:
        return pd.array(list(values), dtype="Int64")  # int64 has no way to say that one is missing
    return kind_of(column).typed(values)


def in_order(
    connection: Connection, stored: Table, *, of_table: str | None = None, after: int | None = None
) -> Iterator[Row[Any]]:
    """Rows in the order of ``sequence``, fetched piece by piece: a ledger may outgrow the memory.

    Parameters
    ----------
    of_table : str, optional
        Of the chain, only the entries of that table.
    after : int, optional
        Only rows after that place in the chain.
    """
    start = after
    while True:
        statement = select(stored).order_by(stored.c.sequence).limit(_ROWS_A_FETCH)
        if of_table is not None:
            statement = statement.where(stored.c.table_name == of_table)
        if start is not None:
            statement = statement.where(stored.c.sequence > start)
        batch = connection.execute(statement).all()
        yield from batch
        if len(batch) < _ROWS_A_FETCH:
            return
        start = batch[-1].sequence
