"""One query read from a database: bound parameters, read-only, in chunks, without telling the address."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Engine, NullPool, bindparam, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.sql.elements import TextClause

from nn_assets.errors import SourceError
from nn_assets.sources.keys import EnvironmentKey, how_to_install, without_secrets

_CHUNK_ROWS = 50_000
_PARAMETERS = ("first", "last", "symbols")
_BARE_POSTGRES = ("postgres", "postgresql")
_EXCERPT = 300
_READS = re.compile(r"(?>\s|\(|--[^\n]*(?:\n|$)|/\*(?!!).*?\*/)*+(?:SELECT|WITH|VALUES)\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Database:
    """A database by the environment variable that holds its address.

    Parameters
    ----------
    source : str
        The source's name, for errors.
    url : EnvironmentKey
        A bare ``postgresql://`` means psycopg 3.
    maximum_rows : int
        More than that is refused: a query that lost its WHERE.
    """

    source: str
    url: EnvironmentKey
    maximum_rows: int

    def read(self, query: str, symbols: tuple[str, ...], first: dt.date, last: dt.date) -> pd.DataFrame:
        """Read a query's rows.

        Parameters
        ----------
        query : str
            One statement that begins with SELECT, WITH or VALUES. It may use ``:symbols`` (as in
            ``symbol IN :symbols``), ``:first`` and ``:last``, which are bound, never written into the
            text.
        symbols : tuple of str
        first, last : date

        Returns
        -------
        DataFrame
            Columns as the query names them, values as the driver gives them.

        Raises
        ------
        SourceError
            No address, no connection, a query that fails, tries to write or uses another parameter,
            more rows than allowed, or two columns of one name.
        """
        statement = self._bound(query, symbols, first, last)
        self.url.require(self.source)
        outcome = self._attempt(statement)
        if isinstance(outcome, SourceError):  # raised here, where no variable and no cause holds the address
            raise outcome
        if outcome.columns.has_duplicates:
            twice = outcome.columns[outcome.columns.duplicated()][0]
            raise self._fault(
                "one_column_per_field", "column names that differ", f"two named {twice!r}", "rename one", column=twice
            )
        return outcome

    def _bound(self, query: str, symbols: tuple[str, ...], first: dt.date, last: dt.date) -> TextClause:
        single = query.rstrip().removesuffix(";")
        if ";" in single:
            found = "a semicolon within the query"
            raise self._fault("one_statement", "one statement", found, "write one SELECT", value=";")
        if not _READS.match(single):  # some statements, as VACUUM INTO, write files before a database refuses them
            raise self._fault(
                "reads_rows",
                "a query that begins with SELECT, WITH or VALUES",
                repr(" ".join(single.split())[:60]),
                "write a SELECT",
            )
        statement = text(single)
        used = set(statement.compile().params)
        unknown = sorted(used - set(_PARAMETERS))
        if unknown:
            raise self._fault(
                "known_parameters",
                f"no parameters but {', '.join(f':{name}' for name in _PARAMETERS)}",
                f":{unknown[0]}",
                "correct the query; a colon that begins no parameter is written \\:",
                value=unknown[0],
            )
        if "symbols" in used:
            statement = statement.bindparams(bindparam("symbols", list(symbols), expanding=True))
        days = {"first": first, "last": last}
        return statement.bindparams(**{name: day for name, day in days.items() if name in used})

    def _attempt(self, statement: TextClause) -> pd.DataFrame | SourceError:
        """Ask once. Exceptions of drivers end here: some quote the address."""
        url = self._parsed()
        if isinstance(url, SourceError):
            return url
        if url.get_backend_name() == "sqlite" and not _is_there(url):  # SQLite would make an empty one of it
            file = str(Path(url.database or "").absolute())  # a path is no secret
            return self._fault("reachable", "a SQLite file", "no such file", self._check_remedy(), file=file)
        try:
            return self._fetch(create_engine(url, poolclass=NullPool), statement)
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            rule, message = "driver_installed", f"{type(error).__name__}: {error}"
            remedy = f"install the database's driver; for PostgreSQL: {how_to_install('postgres')}"
        except Exception as error:  # noqa: BLE001  whatever a driver raises may quote the address
            cause = error.orig if isinstance(error, DBAPIError) else error
            rule, message = "query_answered", f"{type(cause).__name__}: {cause}"
            remedy = f"correct source.query, or {self._check_remedy()}; the query may read, not write"
        found = without_secrets(" ".join(message.split()), _secrets_of(url, self.url.reveal()))
        return self._fault(rule, "a database that answers the query", found[:_EXCERPT], remedy)

    def _parsed(self) -> URL | SourceError:
        try:
            url = make_url(self.url.reveal())
        except (ArgumentError, ValueError) as error:
            return self._fault(
                "readable_address",
                "a database address such as postgresql://user:password@host/name",
                f"one that cannot be parsed ({type(error).__name__})",
                self._check_remedy(),
            )
        return url.set(drivername="postgresql+psycopg") if url.drivername in _BARE_POSTGRES else url

    def _fetch(self, engine: Engine, statement: TextClause) -> pd.DataFrame | SourceError:
        with engine.connect() as connection:
            try:
                _make_read_only(connection)
                answer = connection.execution_options(stream_results=True, max_row_buffer=_CHUNK_ROWS).execute(
                    statement
                )
                if not answer.returns_rows:
                    return self._fault(
                        "reads_rows", "a query that gives rows", "a statement that gives none", "write a SELECT"
                    )
                names, chunks, rows = list(map(str, answer.keys())), [], 0
                for part in answer.partitions(_CHUNK_ROWS):
                    rows += len(part)
                    if rows > self.maximum_rows:
                        return self._fault(
                            "row_cap",
                            f"at most {self.maximum_rows} rows",
                            "more",
                            "narrow the query with :symbols, :first and :last, or raise source.maximum_rows",
                            value=self.maximum_rows,
                        )
                    chunks.append(_chunk(names, part))
            finally:
                connection.rollback()
        return pd.concat(chunks, ignore_index=True) if chunks else pd.DataFrame(columns=names, dtype=object)

    def _check_remedy(self) -> str:
        return f"check the address in {self.url.variable}"

    def _fault(self, rule: str, expected: str, found: str, remedy: str, **where: object) -> SourceError:
        return SourceError(expected=expected, found=found, remedy=remedy, source=self.source, rule=rule, **where)


def _is_there(url: URL) -> bool:
    database = url.database or ""
    return database in ("", ":memory:") or database.startswith("file:") or Path(database).is_file()


def _make_read_only(connection: Connection) -> None:
    statements: dict[str, Callable[[], object]] = {
        "postgresql": lambda: connection.execution_options(postgresql_readonly=True),
        "sqlite": lambda: connection.exec_driver_sql("PRAGMA query_only = ON"),
        "mysql": lambda: connection.exec_driver_sql("SET TRANSACTION READ ONLY"),
        "mariadb": lambda: connection.exec_driver_sql("SET TRANSACTION READ ONLY"),
    }
    statements.get(connection.dialect.name, lambda: None)()


def _chunk(names: list[str], rows: Sequence[Any]) -> pd.DataFrame:
    columns = list(zip(*rows, strict=True))
    return pd.DataFrame(
        {index: pd.Series(values, dtype=object).infer_objects() for index, values in enumerate(columns)}
    ).set_axis(names, axis=1)


def _secrets_of(url: URL, address: str) -> list[str]:
    options = [option for value in url.query.values() for option in ([value] if isinstance(value, str) else value)]
    return [address, str(url.password or ""), *options]
