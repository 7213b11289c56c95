"""The UI on the loopback address, Dagster's daemon included, started and ended as one."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from nn_assets.errors import InstallationError
from nn_assets.orchestration.instance import open_instance
from nn_assets.orchestration.outcomes import free_of_lost_runs
from nn_assets.orchestration.resources import StoresResource
from nn_assets.store.home import checkout, dagster_home, home
from nn_assets.store.room import keep_reserve

_ORDERLY_END_SECONDS = 6.0


def serve_ui(port: int) -> dict[str, Any]:
    """Serve the UI and run Dagster's daemon until interrupted; ``ok`` says that nothing else ended them.

    Raises
    ------
    InstallationError
        Another UI of this home runs, or the port is taken.
    """
    with ExitStack() as held:
        with _bound(port) as listener:
            held.enter_context(_the_only_one(port))
            _prepare_home()
            server = _started(listener)
        signal.signal(signal.SIGTERM, _interrupt)
        ended = None
        with suppress(KeyboardInterrupt):
            ended = server.wait()
        _end(server)
    return {"ok": not ended}


def _prepare_home() -> None:
    """Initialise a fresh home by one process, before two race for it; close lost runs, and keep the reserve."""
    with open_instance() as instance:
        free_of_lost_runs(instance, StoresResource())
    keep_reserve()


def _started(listener: socket.socket) -> subprocess.Popen[bytes]:
    """The server, in a process that ends with this one."""
    # A session of its own: an interrupt reaches it once, from here, and nothing of it can be left behind.
    return subprocess.Popen(  # noqa: S603  fixed
        [sys.executable, "-m", "nn_assets.cli.ui_server", str(listener.fileno())],
        cwd=checkout() or home(),
        # The instance that headless runs use, whatever DAGSTER_HOME the user has for other work.
        env={**os.environ, "DAGSTER_HOME": str(dagster_home())},
        pass_fds=[listener.fileno()],
        stdin=subprocess.PIPE,  # by whose end it knows that this process is gone
        start_new_session=True,
    )


@contextmanager
def _the_only_one(port: int) -> Iterator[None]:
    """Hold the home for the UI of this process: its lock ends with it, and the locked file names the process."""
    file = _lock_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+", encoding="utf-8") as stream:
        _lock_or_name_holder(stream, fcntl.LOCK_EX)
        stream.truncate(0)
        print(f"process {os.getpid()} on port {port}", file=stream, end="", flush=True)
        yield


def _lock_file() -> Path:
    return home() / "locks" / "ui.lock"  # which no strategy can be named


def _lock_or_name_holder(stream: IO[str], kind: int) -> None:
    """Lock the file of the home's UI.

    Raises
    ------
    InstallationError
        Another UI has it, which the error names.
    """
    try:
        fcntl.flock(stream, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.seek(0)
        raise InstallationError(
            expected="no other UI of this home",
            found=f"one that runs: {stream.read()}",
            remedy="open the address that it printed first, or end that process and start again",
            home=str(home()),
        ) from None


def _bound(port: int) -> socket.socket:
    """Socket of the loopback address on a port, which does not listen yet."""
    listener = _above_standard_streams(socket.socket())
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        if _lock_file().exists():  # where this home's own UI has the port, the error says so
            with _lock_file().open(encoding="utf-8") as stream:
                _lock_or_name_holder(stream, fcntl.LOCK_SH)
        raise InstallationError(
            expected=f"port {port} of 127.0.0.1 for the UI",
            found=str(error.strerror),
            remedy="end what listens there, or name another: nn-assets ui --port N",
        ) from error
    return listener


def _above_standard_streams(opened: socket.socket) -> socket.socket:
    """The same socket by a descriptor that is none of 0 to 2, which are the server's own: one closed here gives its."""
    with opened:
        return socket.socket(fileno=fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 3))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _end(server: subprocess.Popen[bytes]) -> None:
    """End a server and all that it started: in order if that takes seconds, else, or asked again, at once."""
    server.terminate()
    with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        server.wait(_ORDERLY_END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
