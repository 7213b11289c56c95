"""Who sees to a run: a lock that dies with the process, so that a run without one is known to be lost.

Each process that sees to a run holds a share of its lock: the one that makes it, the one that launches it, the one
that works on it. In the home that is a lock on a file; where Dagster keeps its runs on a server, an advisory lock of
a connection of its own, which the server takes back when the connection ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sqlalchemy import Connection, Engine, func, select

from nn_assets.store.home import dagster_database_url, home
from nn_assets.store.ledger.engine import named_errors, open_engine

_held: dict[str, Callable[[], None]] = {}  # of this process: what lets go of each run's lock


def hold_run(run_id: str) -> None:
    """See to a run from here on, until :func:`let_go` or the end of this process; again changes nothing.

    Raises
    ------
    LedgerError
        The server that keeps the locks cannot be reached.
    """
    if run_id not in _held:
        address = dagster_database_url()
        _held[run_id] = _share_file(_file(run_id)) if address is None else _share_on_server(address, run_id)


def let_go(run_id: str) -> None:
    """See to a run no longer."""
    if run_id in _held:
        _held.pop(run_id)()


@contextmanager
def unattended(run_id: str) -> Iterator[bool]:
    """Whether no process sees to a run; if so, none can begin to while the block lasts.

    Raises
    ------
    LedgerError
        The server that keeps the locks cannot be reached.
    """
    address = dagster_database_url()
    with _alone_by_file(_file(run_id)) if address is None else _alone_on_server(address, run_id) as alone:
        yield alone


def is_attended(run_id: str) -> bool:
    """Whether some process sees to a run, as of now; needs no room on the disk."""
    if dagster_database_url() is None and not _file(run_id).exists():
        return False
    with unattended(run_id) as alone:
        return not alone


def was_killed(run_id: str) -> bool:
    """Whether the process that saw to a run ended without letting go of it; asking changes nothing.

    Only an unlocked file shows it: a server takes a lock back in the same way however its holder ended.
    """
    try:
        stream = _file(run_id).open()
    except FileNotFoundError:
        return False
    with stream:
        return _takes(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


# --- files in the home ---------------------------------------------------------------------------------


def _file(run_id: str) -> Path:
    return home() / "locks" / "runs" / run_id


def _share_file(file: Path) -> Callable[[], None]:
    stream = _locked(file, fcntl.LOCK_SH)

    def let_it_go() -> None:
        with stream:
            if _takes(stream, fcntl.LOCK_EX | fcntl.LOCK_NB):  # no one else has a share
                file.unlink(missing_ok=True)

    return let_it_go


@contextmanager
def _alone_by_file(file: Path) -> Iterator[bool]:
    try:
        stream = _locked(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
        return
    with stream:
        try:
            yield True
        finally:
            file.unlink(missing_ok=True)


def _locked(file: Path, kind: int) -> IO[str]:
    """The file, made where it is missing, and locked; one that was removed meanwhile is made again."""
    file.parent.mkdir(parents=True, exist_ok=True)
    while True:
        stream = file.open("a")
        try:
            fcntl.flock(stream, kind)
            if file.exists() and os.path.samestat(file.stat(), os.fstat(stream.fileno())):
                return stream
        except BaseException:
            stream.close()
            raise
        stream.close()


def _takes(stream: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(stream, kind)
    except BlockingIOError:
        return False
    return True


# --- on the server of Dagster's runs -------------------------------------------------------------------


def _share_on_server(address: str, run_id: str) -> Callable[[], None]:
    engine, connection = _connected(address)
    with named_errors(engine):
        connection.execute(select(func.pg_advisory_lock_shared(_key(run_id))))

    def let_it_go() -> None:
        _hang_up(engine, connection)

    return let_it_go


@contextmanager
def _alone_on_server(address: str, run_id: str) -> Iterator[bool]:
    engine, connection = _connected(address)
    try:
        with named_errors(engine):
            alone = bool(connection.execute(select(func.pg_try_advisory_lock(_key(run_id)))).scalar_one())
        yield alone
    finally:
        _hang_up(engine, connection)


def _connected(address: str) -> tuple[Engine, Connection]:
    engine = open_engine(address)
    with named_errors(engine):
        # No transaction stays open beside a run of hours.
        return engine, engine.connect().execution_options(isolation_level="AUTOCOMMIT")


def _hang_up(engine: Engine, connection: Connection) -> None:
    """End the connection for good: its locks end with it."""
    connection.invalidate()
    connection.close()
    engine.dispose()


def _key(run_id: str) -> int:
    """The run as a signed number of 64 bits, which is what the server locks."""
    return int.from_bytes(hashlib.sha256(f"run|{run_id}".encode()).digest()[:8], "big", signed=True)
