"""The UI on the loopback address, Dagster's daemon included, started and ended as one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any

from nn_assets.errors import InstallationError
from nn_assets.orchestration.instance import open_instance
from nn_assets.orchestration.outcomes import free_of_lost_runs
from nn_assets.orchestration.resources import StoresResource
from nn_assets.store.home import checkout, dagster_home, home
from nn_assets.store.room import keep_reserve

__all__ = ["serve_ui"]

_ORDERLY_END_SECONDS = 6.0


def serve_ui(port: int) -> dict[str, Any]:
    """Serve the UI and run Dagster's daemon until interrupted; ``ok`` says that nothing else ended them.

    Raises
    ------
    InstallationError
        The port is taken.
    """
    with _bound(port) as listener:
        with open_instance() as instance:  # a fresh home is initialised by one process, before two race for it
            free_of_lost_runs(instance, StoresResource())
        keep_reserve()
        # The instance that headless runs use, whatever DAGSTER_HOME the user has for other work.
        environment = {**os.environ, "DAGSTER_HOME": str(dagster_home())}
        # A session of its own: an interrupt reaches it once, from here, and nothing of it can be left behind.
        server = subprocess.Popen(  # noqa: S603  fixed
            [sys.executable, "-m", "nn_assets.cli.ui_server", str(listener.fileno())],
            cwd=checkout() or home(),
            env=environment,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    signal.signal(signal.SIGTERM, _interrupt)
    ended = None
    with suppress(KeyboardInterrupt):
        ended = server.wait()
    _end(server)
    return {"ok": not ended}


def _bound(port: int) -> socket.socket:
    """Socket of the loopback address on a port, which does not listen yet."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise InstallationError(
            expected=f"port {port} of 127.0.0.1 for the UI",
            found=str(error.strerror),
            remedy="end what listens there, or name another: nn-assets ui --port N",
        ) from error
    return listener


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
