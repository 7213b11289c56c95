"""A PostgreSQL server of the test's own: free port, folder of its own, an unprivileged user."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def binaries() -> Path:
    """The folder of PostgreSQL's programs; the test is skipped where there is none."""
    asked = shutil.which("pg_config")
    told = subprocess.run([asked, "--bindir"], capture_output=True, text=True).stdout.strip() if asked else ""
    places = [Path(told)] if told else []
    places += [Path(found).resolve().parent for found in [shutil.which("postgres")] if found]
    for place in places:
        if (place / "postgres").is_file() and (place / "initdb").is_file():
            return place
    pytest.skip("no PostgreSQL server programs on this machine (pg_config --bindir, PATH)")


def _as_somebody() -> dict[str, object]:
    """Arguments that run a program as a user other than root, whom the server refuses."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    somebody = known.get("postgres") or known.get("nobody")
    if somebody is None:
        pytest.skip("running as root, and there is no user postgres or nobody to run the server as")
    return {"user": somebody.pw_uid, "group": somebody.pw_gid, "extra_groups": []}


@contextmanager
def running_postgres(password: str) -> Iterator[str]:
    """Give ``host:port`` of a server whose superuser ``owner`` has the password."""
    programs, somebody = binaries(), _as_somebody()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        secret = folder / "password"
        secret.write_text(password)
        if somebody:
            for path in (folder, secret):
                os.chown(path, somebody["user"], somebody["group"])  # type: ignore[arg-type]
        common = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, **somebody}
        settings = ["--no-sync", "--auth=scram-sha-256", "--username=owner", "--encoding=UTF8", "--locale=C"]
        command = [programs / "initdb", "-D", folder / "data", f"--pwfile={secret}", *settings]
        subprocess.run(command, check=True, **common)  # type: ignore[call-overload]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        arguments = ["-D", folder / "data", "-k", folder, "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-F"]
        server = subprocess.Popen([programs / "postgres", *arguments], **common)  # type: ignore[call-overload]
        try:
            while not (folder / f".s.PGSQL.{port}").exists() or not _answers(programs, port):
                assert server.poll() is None, "the server ended before it answered"
                time.sleep(0.05)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait()
    finally:
        shutil.rmtree(folder)


def _answers(programs: Path, port: int) -> bool:
    asked = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    return subprocess.run(asked).returncode == 0
