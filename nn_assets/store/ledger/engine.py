"""Connections to the ledger's database, with the guarantees that the ledger counts on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import DatabaseError, OperationalError
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Dialect, Engine, QueuePool, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.util import LRUCache

from nn_assets.errors import LedgerError
from nn_assets.store.home import ledger_url, safe_url

_BUSY_TIMEOUT_SECONDS = 30
# A server's own settings could shorten floats, spell dates in ways that cannot be read back, wait for
# another writer for ever, or report a commit that a failure then undoes.
_POSTGRESQL_SETTINGS = {
    "datestyle": "ISO",
    "extra_float_digits": "3",
    "lock_timeout": f"{_BUSY_TIMEOUT_SECONDS}s",
    "timezone": "UTC",
}
_DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
_WRITES = "nn_assets_writes"
_ALONE, _OPENED = "nn_assets_alone", "nn_assets_opened"
_UNWRITABLE = ("readonly database", "unable to open database file")
_LOCK_CHAIN = text("LOCK TABLE audit_chain IN SHARE ROW EXCLUSIVE MODE")


class _Statements(LRUCache[tuple[Any, ...], Any]):
    """Statements as compiled for one kind of database: an engine's own would compile each again for every opening."""

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        return super().get(self._of_kind(*key), default)

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        super().__setitem__(self._of_kind(*key), compiled)

    @staticmethod
    def _of_kind(dialect: Dialect, *statement: Any) -> tuple[Any, ...]:
        return type(dialect), dialect.server_version_info, *statement


_COMPILED = _Statements(500)


def open_engine(address: str, *, read_only: bool = False) -> Engine:
    """Return an engine for a ledger's address; nothing is connected yet.

    With ``read_only``, a SQLite file must be there, and not a byte of it is changed by being read. A file that this
    user cannot write to, or in whose folder nothing can be written, is opened so too.

    Another writer is waited for 30 s at most. SQLite: write-ahead log from the first write on, full
    synchronisation, foreign keys. A connection has one user at a time, and one is kept for the next: to open a file
    costs as much as a small reading does. It is opened anew in another process, and where another file took the
    place of the one that it reads.
    PostgreSQL: a pool whose connections are tried before use, so that a server may restart.

    Raises
    ------
    LedgerError
        The address is unreadable, or its driver is not installed.
    """
    address = ledger_url(address)
    url = make_url(address)
    try:
        if url.get_backend_name() != "sqlite":
            engine = create_engine(
                url,
                pool_pre_ping=True,
                isolation_level="READ COMMITTED",
                execution_options={"compiled_cache": _COMPILED},
            )
            if url.get_backend_name() == "postgresql":
                event.listen(engine, "connect", _prepare_postgresql)
            return engine
        file = Path(str(url.database))
        if read_only:
            url = url.set(database=f"file:{quote(str(url.database))}", query={"mode": "ro", "uri": "true"})
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            url,
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=-1,
            connect_args={"timeout": _BUSY_TIMEOUT_SECONDS},
            execution_options={"compiled_cache": _COMPILED},
        )
    except (NoSuchModuleError, ModuleNotFoundError, OSError) as error:
        raise LedgerError(
            expected="a database that can be opened",
            found=f"{type(error).__name__}: {error}",
            remedy="check the address; PostgreSQL needs the extra `postgres`",
            file=safe_url(address),
        ) from error

    def connect(dialect: Any, record: Any, arguments: Any, options: Any) -> Any:
        return _connect_sqlite(file, dialect, record, arguments, options)

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "connect", _without_own_transactions if read_only else _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "checkout", _demand_the_same_file)
    event.listen(engine, "checkin", _let_go_if_alone)
    return engine


def _connect_sqlite(file: Path, dialect: Any, record: Any, arguments: Any, options: Any) -> Any:
    """Connect, also where the disk is full: to be read, a file with a write-ahead log needs room for an index of it.

    That index, which all readers share, is then held in memory, by a connection that has the file alone. Where
    nothing may be written, a file without a log beside it is read as one that does not change, and one with a log by
    the index that its writer made.
    """
    connection = dialect.connect(*arguments, **options)
    try:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
    except OperationalError as error:
        if "disk I/O error" in str(error):
            connection.close()
            connection = dialect.connect(*arguments, **options)
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            record.info[_ALONE] = True
        elif any(phrase in str(error) for phrase in _UNWRITABLE):
            connection.close()
            how = "mode=ro" if _log_of(file) else "mode=ro&immutable=1"
            connection = dialect.connect(f"file:{quote(str(file))}?{how}", **{**options, "uri": True})
            record.info[_ALONE] = True  # the next user looks again whether there is a log
    except DatabaseError:
        pass  # no database: the first question to it raises
    record.info[_OPENED] = _opened_here(connection)
    return connection


def _log_of(file: Path) -> bool:
    """Whether a write-ahead log with something in it lies beside a file."""
    log = file.with_name(f"{file.name}-wal")
    return log.exists() and log.stat().st_size > 0


def is_read_only(engine: Engine) -> bool:
    """Whether this user cannot write to a SQLite file, or to the folder in which its log lies."""
    if engine.dialect.name != "sqlite":
        return False
    file = Path(str(engine.url.database))
    return not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))


def _opened_here(connection: Any) -> tuple[int, int, int] | None:
    """The process, and the file that lies where a connection's was opened; None where there is none any more."""
    _, _, file = connection.execute("PRAGMA database_list").fetchone()
    try:
        lies = Path(file).stat()
    except FileNotFoundError:
        return None
    return os.getpid(), lies.st_dev, lies.st_ino


def _demand_the_same_file(connection: Any, record: Any, _proxy: object) -> None:
    if _opened_here(connection) != record.info[_OPENED]:
        raise DisconnectionError  # SQLAlchemy opens it anew


def _let_go_if_alone(_connection: object, record: Any) -> None:
    if _ALONE in record.info:
        record.invalidate()


def _without_own_transactions(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin or commit by itself


def _prepare_sqlite(connection: Any, record: object) -> None:
    _without_own_transactions(connection, record)
    cursor = connection.cursor()
    # Recursive triggers make `INSERT OR REPLACE` meet the trigger that refuses deletion.
    for pragma in ("foreign_keys=ON", "synchronous=FULL", "recursive_triggers=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_postgresql(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        for name, value in _POSTGRESQL_SETTINGS.items():
            cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
        cursor.execute(_DURABLE)
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _keep_write_ahead_log(connection: Connection) -> None:
    """Switch a SQLite file to the write-ahead log; only before writing, so that reading changes no byte of it."""
    cursor = connection.connection.cursor()  # the driver's own: the switch is refused inside a transaction
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        cursor.execute("PRAGMA journal_mode=WAL")
    cursor.close()


@contextmanager
def writing(engine: Engine, *, lock_chain: bool = True) -> Iterator[Connection]:
    """Return a transaction that holds the only right to append; it commits at the end, or not at all.

    Parameters
    ----------
    lock_chain : bool
        Whether to lock the chain on PostgreSQL. Only a migration, which comes before the chain
        exists, has no use for it. SQLite locks the whole file either way.
    """
    with named_errors(engine), engine.connect().execution_options(**{_WRITES: True}) as connection:
        if connection.dialect.name == "sqlite":
            _keep_write_ahead_log(connection)
        with connection.begin():
            if lock_chain and connection.dialect.name == "postgresql":
                connection.execute(_LOCK_CHAIN)
            yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Return a transaction that sees one state of the ledger throughout, and never waits for a writer."""
    options = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with (
        named_errors(engine),
        engine.connect().execution_options(**options) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def named_errors(engine: Engine) -> Iterator[None]:
    """Turn the database's errors into :class:`LedgerError`, without the address's password."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        raise LedgerError(
            expected="a ledger that can be read and appended to",
            found=f"{type(cause).__name__}: {' '.join(str(cause).split())}",
            remedy=_remedy(str(cause)),
            file=safe_url(engine.url.render_as_string(hide_password=True)),
        ) from error


def _remedy(message: str) -> str:
    if "append-only" in message:
        return "append a new version with a reason; the ledger changes and deletes nothing"
    if "locked" in message or "lock timeout" in message:
        return "wait for the other writer to finish, or end it, and run again"
    if "no such table" in message or ('relation "' in message and "does not exist" in message):
        return "the schema is not whole: restore the ledger from a backup that verifies"
    if "not a database" in message:
        return "the file is no ledger: move it away, or name another with NN_ASSETS_DATABASE_URL"
    if "readonly database" in message or "unable to open database file" in message:
        return (
            "give this user the right to read and write the file, those beside it and their folder; or "
            "copy them all, where you may write, and name the copy with NN_ASSETS_DATABASE_URL; delete nothing"
        )
    return "check that the database runs, that the address is right and that the disk has room"
