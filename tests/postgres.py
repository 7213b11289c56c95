"""A PostgreSQL server of one's own: in a folder of its own, reached by a socket there, gone at the end."""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from tests.memory import in_memory

USER = "quant"
PASSWORD = "s3cret-%41@/ö"  # wants escaping wherever it is put
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # the machine does not fail in these tests, only processes do
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "32MB",
    "max_wal_size": "128MB",
    "max_connections": "60",
    "autovacuum": "off",
    "jit": "off",  # the compiler is loaded for one look into the catalogue, and for nothing else here
    # A server set up for other purposes: nothing here may count on its manners.
    "timezone": "Asia/Kolkata",
    "datestyle": "SQL, DMY",
    "extra_float_digits": "0",
    "default_transaction_isolation": "serializable",
}
# Ends the server when its own input ends: it does even where the tests themselves are killed.
_GUARDED = '"$@" & server=$!; cat >/dev/null; kill -INT $server; wait $server'


def programs() -> Path | None:
    """The folder with the newest server's programs; None where there is none."""
    named = shutil.which("pg_config")
    bindir = subprocess.run([named, "--bindir"], capture_output=True, text=True, check=True).stdout if named else ""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: _number(path.parent.name))
    beside = [Path(executable).resolve().parent for executable in [shutil.which("postgres")] if executable]
    for folder in (*reversed(installed), *beside, Path(bindir.strip() or "/nonexistent")):
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder
    return None


def _number(text: str) -> float:
    return float(text) if re.fullmatch(r"[\d.]+", text) else 0.0


def _unprivileged() -> dict[str, Any]:
    """How to start a process that is not root, which the server refuses to run as."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = known.get("postgres") or known["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@dataclass
class Server:
    """A running server.

    Parameters
    ----------
    folder : Path
        Holds its data and its socket.
    """

    folder: Path
    programs: Path
    made: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _kept: psycopg.Connection[tuple[Any, ...]] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder)]
        for name, value in _SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _GUARDED, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **_unprivileged(),
            )
        while True:
            if self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text(encoding="utf-8"))
            try:
                self.execute("SELECT 1")
                break
            except psycopg.OperationalError:
                time.sleep(0.02)

    def stop(self) -> None:
        """Stop it; whoever is connected is thrown out."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()
            self._process = None

    def crash(self) -> None:
        """End it at once, as a failure would: nothing is rolled back or written in order."""
        postmaster = int((self.folder / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        os.kill(postmaster, signal.SIGQUIT)
        self.stop()

    def execute(self, *statements: str | sql.Composed, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run statements as the owner, each committed by itself; the rows of the last.

        In a database that is named by a connection of its own, else in the server's by one that stays open.
        """
        if database is not None:
            with self._connected(database) as connection:
                return _answered(connection, statements)
        if self._kept is None:
            self._kept = self._connected("postgres")
        return _answered(self._kept, statements)

    def _connected(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(host=str(self.folder), user=USER, password=PASSWORD, dbname=database, autocommit=True)

    def create(self, options: str = "") -> str:
        """Make a database, an empty one unless ``options`` say otherwise; its name."""
        self.made += 1
        name = f"ledger_{self.made}"
        # Files copied as they are cost a third of blocks copied through the log; before 15 nothing else was known.
        copied = "STRATEGY file_copy" if _number(self.programs.parent.name) >= 15 else ""
        self.execute(f"CREATE DATABASE {name} {options} {copied}")
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def url(self, database: str, user: str = USER, password: str = PASSWORD) -> str:
        """The address of a database, as an operator would write it: password escaped, no driver named."""
        return f"postgresql://{user}:{quote(password, safe='')}@/{database}?host={quote(str(self.folder), safe='')}"

    def terminate(self, database: str) -> int:
        """End every connection to a database from the server's side; how many there were."""
        ended = self.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            f"WHERE datname = '{database}' AND pid <> pg_backend_pid()"
        )
        return len(ended)


def _answered(
    connection: psycopg.Connection[tuple[Any, ...]], statements: tuple[str | sql.Composed, ...]
) -> list[tuple[Any, ...]]:
    for statement in statements:
        cursor = connection.execute(statement)
    return cursor.fetchall() if cursor.description else []


@contextmanager
def running_server(program_folder: Path) -> Iterator[Server]:
    """A server started for a while, with nothing left of it afterwards."""
    # Not below pytest's own folders: those only their owner may enter, who may be root.
    folder = Path(tempfile.mkdtemp(prefix="nn-postgres-", dir=in_memory()))
    try:
        rights = _unprivileged()
        secret = folder / f"{secrets.token_hex(4)}.password"
        secret.write_text(PASSWORD + "\n", encoding="utf-8")
        if rights:
            for path in (folder, secret):
                os.chown(path, rights["user"], rights["group"])
        subprocess.run(
            [
                # A password is demanded of everyone; how it is hashed on the way, which takes most of a connection's
                # time, is the driver's own matter.
                *(str(program_folder / "initdb"), "-D", str(folder / "data"), "-U", USER, "-A", "md5"),
                *(f"--pwfile={secret}", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"),
            ],
            cwd=folder,
            check=True,
            capture_output=True,
            **rights,
        )
        secret.unlink()
        server = Server(folder, program_folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
