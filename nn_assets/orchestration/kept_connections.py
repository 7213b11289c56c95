"""Dagster's storage in SQLite files, with its connections kept open for as long as the instance is.

For a command, which lives as long as its run. The webserver and the daemon, which live on while files are moved and
backups put back, use Dagster's own.

Dagster opens an engine and a connection for every event that it stores, and so compiles each statement anew: some
seven hundred connections in one daily round. The files are the same, whichever of the two writes them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sql import create_engine
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import (
    DagsterSqliteStorage,
    _event_logs_directory,
    _runs_directory,
    _schedule_directory,
)
from dagster._serdes import ConfigurableClassData


class _Connection(sqlite3.Connection):
    """A connection whose commits wait for no disk: a killed process loses nothing, a power cut the last events at most.

    Files with a log of writes ahead stay whole either way. A commit waited some 2 ms, and every event has one; what
    decides is in the ledger, whose commits wait.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.execute("PRAGMA synchronous=NORMAL")


_new_engine = partial(create_engine, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "factory": _Connection})


class _KeptEvents(SqliteEventLogStorage):
    """The event log: the index and the shard of the run written to last stay open."""

    def __init__(self, base_dir: str) -> None:
        self._engines: dict[str, Any] = {}
        self._columns: dict[str, bool] = {}
        super().__init__(base_dir)
        # Dagster asks both at every event, by a connection of its own; neither comes nor goes while a command runs.
        self.has_table = cache(super().has_table)  # type: ignore[method-assign]

    def _has_asset_key_col_on_connection(self, conn: Any, column_name: str) -> bool:
        if column_name not in self._columns:
            self._columns[column_name] = super()._has_asset_key_col_on_connection(conn, column_name)
        return self._columns[column_name]

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Any]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def _engine(self, shard: str) -> Any:
        if shard not in self._engines:
            for name in [key for key in self._engines if INDEX_SHARD_NAME not in (key, shard)]:
                self._engines.pop(name).dispose()
            self._engines[shard] = _new_engine(self.conn_string_for_shard(shard))
        return self._engines[shard]

    def dispose(self) -> None:
        super().dispose()
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()


class _KeptRuns(SqliteRunStorage):
    """The runs."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engine = _new_engine(conn_string)
        super().__init__(conn_string, inst_data)

    @contextmanager
    def connect(self) -> Iterator[Any]:
        with self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        super().dispose()
        self._engine.dispose()


class KeptSqliteStorage(DagsterSqliteStorage):
    """Runs, events and schedules in one folder, laid out as Dagster lays them out.

    Schedules and ticks, which a run asks for next to nothing, are Dagster's own: an instance that ends does not
    dispose of them.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super(DagsterSqliteStorage, self).__init__()  # type: ignore[no-untyped-call]  # Dagster's opens all three
        self.base_dir = base_dir
        self._inst_data = inst_data
        self._run_storage = _KeptRuns.from_local(_runs_directory(base_dir))
        self._event_log_storage = _KeptEvents(_event_logs_directory(base_dir))
        self._schedule_storage = SqliteScheduleStorage.from_local(_schedule_directory(base_dir))
