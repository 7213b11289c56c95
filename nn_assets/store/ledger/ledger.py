"""The ledger: what was decided, ordered, filled, promoted, halted. Append-only, hash-chained.

Everything appended in one transaction is committed at once, with its chain entries, or not at all;
a process killed at any point leaves the ledger as it was before or as it is after. Appending again
what is already there changes nothing, so a rerun ends where a run never killed ends. A row that
says something else about the same key is refused: it comes from a stale or different computation.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import pandas as pd
from sqlalchemy import Connection, func, select

from nn_assets.arrays import Moment, Session
from nn_assets.contracts.frames import AuditChainRows
from nn_assets.market.facts.arrival import Mended
from nn_assets.store.home import database_url, safe_url
from nn_assets.store.ledger.appending import Appended, LedgerTransaction
from nn_assets.store.ledger.chain import ChainHead, read_head
from nn_assets.store.ledger.engine import is_read_only, open_engine, reading, writing
from nn_assets.store.ledger.mended import acts_on_record, read_mended, rows_stamped_after
from nn_assets.store.ledger.migrations import upgrade
from nn_assets.store.ledger.queries import run_query
from nn_assets.store.ledger.reading import OnReading, Query, last_appended, latest_frame, read_frame
from nn_assets.store.ledger.reread import RowsReread
from nn_assets.store.ledger.schema import CHAIN, table_named
from nn_assets.store.values import as_moment

__all__ = ["Appended", "Ledger", "LedgerTransaction", "Query"]

_Answer = TypeVar("_Answer")


def _now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """A ledger at an address, brought to the newest schema on opening; one of that schema is only read.

    Parameters
    ----------
    url : str, optional
        Database address; :func:`nn_assets.store.home.database_url` when left out.
    clock : callable
        Gives the UTC moment that rows are stamped with (``recorded_at``).

    Raises
    ------
    LedgerError
        The database cannot be reached, is no ledger, or was written by a newer version.
    """

    def __init__(self, url: str | None = None, *, clock: Callable[[], datetime] = _now) -> None:
        self.engine = open_engine(database_url() if url is None else url)
        self._clock = clock
        self._on_reading: OnReading | None = None
        self._answers: dict[Hashable, Any] | None = None
        try:
            upgrade(self.engine)
        except BaseException:
            self.engine.dispose()
            raise

    def __repr__(self) -> str:
        return f"Ledger({safe_url(self.engine.url.render_as_string(hide_password=True))!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def read_only(self) -> bool:
        """Whether it can be read alone: this user cannot write to its file, or where that lies."""
        return is_read_only(self.engine)

    def close(self) -> None:
        """Give back every connection. The ledger can be used again afterwards."""
        self.engine.dispose()

    @contextmanager
    def rows_verified(self) -> Iterator[None]:
        """Within, each row is hashed again when it is first read, and held against its chain entry.

        Raises
        ------
        AuditError
            By whatever reads a row that is not as it was appended, or of a table that lacks rows or has too many.
        """
        outer = self._on_reading
        self._on_reading = RowsReread()
        try:
            yield
        finally:
            self._on_reading = outer

    @contextmanager
    def answers_kept(self) -> Iterator[None]:
        """Within it nothing is read twice, unless this ledger appends: for a report of the present state."""
        outer = self._answers
        self._answers = {} if outer is None else outer
        try:
            yield
        finally:
            self._answers = outer

    def _answer(self, asked: tuple[Hashable, ...], read: Callable[[Connection], _Answer]) -> _Answer:
        """The answer to a question; while answers are kept, a copy of the one given to it before."""
        if self._answers is not None and asked in self._answers:
            answer: _Answer = copy(self._answers[asked])
            return answer
        with reading(self.engine) as connection:
            answer = read(connection)
        if self._answers is not None:
            self._answers[asked] = copy(answer)
        return answer

    @contextmanager
    def transaction(
        self,
        run_id: str,
        *,
        strategy: str | None = None,
        known_at: Moment | None = None,
        recorded_at: Moment | None = None,
    ) -> Iterator[LedgerTransaction]:
        """Append to several tables at once.

        Parameters
        ----------
        run_id : str
            Who writes; stored with each row, and no part of what the row says.
        strategy : str, optional
            Strategy of the rows that do not name one.
        known_at : UTC moment, optional
            When the facts could first be acted on, for tables whose rows do not say so themselves;
            ``recorded_at`` when left out.
        recorded_at : UTC moment, optional
            The moment of storing; the ledger's clock when left out.

        Yields
        ------
        LedgerTransaction
            Holds the only right to append until the block ends. An exception undoes all of it.
        """
        with writing(self.engine) as connection:
            stored = as_moment(self._clock() if recorded_at is None else recorded_at)
            if recorded_at is None and (read_as := read_mended(connection).read_as):
                while pd.Timestamp(stored).value in read_as:  # the clock is there at last: this is another moment
                    stored += timedelta(microseconds=1)
            known_moment = stored if known_at is None else as_moment(known_at)
            yield LedgerTransaction(
                connection, run_id=run_id, strategy=strategy, known_at=known_moment, recorded_at=stored
            )
        if self._answers is not None:
            self._answers.clear()

    def append(
        self,
        table: str,
        rows: Sequence[Mapping[str, Any]] | pd.DataFrame,
        *,
        run_id: str,
        strategy: str | None = None,
        reason: str | None = None,
    ) -> Appended:
        """Append to one table in a transaction of its own; see :meth:`LedgerTransaction.append`."""
        with self.transaction(run_id, strategy=strategy) as transaction:
            return transaction.append(table, rows, reason=reason)

    def read(
        self,
        table: str,
        strategy: str | None = None,
        first: Session | None = None,
        last: Session | None = None,
        as_of: Moment | None = None,
        *,
        recorded_by: Moment | None = None,
        after_sequence: int | None = None,
        where: Mapping[str, object] | None = None,
        every_version: bool = False,
        columns: Sequence[str] | None = None,
        bookkeeping: bool = False,
    ) -> pd.DataFrame:
        """Rows of a table in the order of their keys; see :class:`Query` and :func:`read_frame`."""
        query = Query(table, strategy, first, last, as_of, recorded_by, after_sequence, where or {}, every_version)
        return self._answer(
            ("rows", query.asked, None if columns is None else tuple(columns), bookkeeping),
            lambda connection: read_frame(
                connection, query, columns=columns, bookkeeping=bookkeeping, on_reading=self._on_reading
            ),
        )

    def latest(
        self,
        table: str,
        strategy: str | None = None,
        *,
        last: Session | None = None,
        as_of: Moment | None = None,
        recorded_by: Moment | None = None,
        where: Mapping[str, object] | None = None,
        bookkeeping: bool = False,
    ) -> pd.DataFrame:
        """Rows of the last session at or before ``last``, or the last row of a table without sessions."""
        query = Query(table, strategy, None, last, as_of, recorded_by, None, where or {})
        return self._answer(
            ("latest", query.asked, bookkeeping),
            lambda connection: latest_frame(connection, query, bookkeeping=bookkeeping, on_reading=self._on_reading),
        )

    def last_appended(self, table: str, **where: object) -> dict[str, Any] | None:
        """The row appended last of those with these values, bookkeeping included, or None."""
        asked = ("last", table, tuple(sorted(where.items())))
        return self._answer(
            asked, lambda connection: last_appended(connection, table, where, on_reading=self._on_reading)
        )

    def count(self, table: str, strategy: str | None = None) -> int:
        """How many rows a table holds, every version counted."""
        stored = table_named(table)
        statement = select(func.count()).select_from(stored)
        if strategy is not None:
            statement = statement.where(stored.c.strategy == strategy)
        with reading(self.engine) as connection:
            return int(connection.execute(statement).scalar_one())

    def strategies(self, table: str) -> list[str]:
        """The strategies that a table holds rows of, in order."""
        return self.distinct(table, "strategy")

    def distinct(self, table: str, column: str, **where: object) -> list[str]:
        """The texts of a column among a table's rows with these values, in order."""
        stored = table_named(table)
        chosen = select(stored.c[column]).distinct().where(*(stored.c[name] == value for name, value in where.items()))
        asked = ("distinct", table, column, tuple(sorted(where.items())))
        return self._answer(asked, lambda connection: sorted(connection.execute(chosen).scalars()))

    def now(self) -> datetime:
        """The moment that a row would be stamped with, UTC."""
        return self._clock()

    def mended(self) -> Mended:
        """Moments of a clock that ran ahead, as a person had them mended."""
        return self._answer(("mended",), read_mended)

    def stamped_after(self, moment: datetime) -> pd.DataFrame:
        """Moments of rows later than a UTC moment, but for mended ones: columns table, strategy, moment."""
        with reading(self.engine) as connection:
            return rows_stamped_after(connection, moment, read_mended(connection))

    def acts(self) -> pd.DatetimeIndex:
        """When each act was put on record, UTC, in the order in which they were."""
        with reading(self.engine) as connection:
            return acts_on_record(connection, read_mended(connection))

    def head(self) -> ChainHead:
        """Return the newest chain entry; noted elsewhere, it is what a later audit is held against."""
        with reading(self.engine) as connection:
            return read_head(connection)

    def chain(self) -> AuditChainRows:
        """Every entry of the hash chain, in order."""
        with reading(self.engine) as connection:
            entries = connection.execute(select(CHAIN).order_by(CHAIN.c.sequence)).all()
        return pd.DataFrame(entries, columns=list(CHAIN.columns.keys()))

    def query(self, name: str, **parameters: object) -> pd.DataFrame:
        """Run an operator's query from ``sql/queries``; see :func:`nn_assets.store.ledger.queries.run_query`."""
        with reading(self.engine) as connection:
            return run_query(connection, name, **parameters)
