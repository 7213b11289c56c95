"""Dagster's webserver and daemon on the loopback address, started and ended as one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress

from nn_assets.orchestration.instance import dagster_home, open_instance
from nn_assets.orchestration.outcomes import free_of_lost_runs
from nn_assets.orchestration.resources import StoresResource
from nn_assets.store.home import checkout, home, instance_root
from nn_assets.store.room import keep_reserve

__all__ = ["serve_ui"]

_ORDERLY_END_SECONDS = 6.0


def serve_ui(port: int) -> None:
    """Run Dagster's webserver and daemon on the loopback address until interrupted."""
    with open_instance() as instance:  # a fresh home is initialised by one process, before two race for it
        free_of_lost_runs(instance, StoresResource())
    keep_reserve()
    command = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "-w",
        str(instance_root() / "workspace.yaml"),
    ]
    # The instance that headless runs use, whatever DAGSTER_HOME the user has for other work.
    environment = {**os.environ, "DAGSTER_HOME": str(dagster_home())}
    # A session of its own: an interrupt reaches it once, from here, and nothing of it can be left behind.
    server = subprocess.Popen(command, cwd=checkout() or home(), env=environment, start_new_session=True)  # noqa: S603  fixed
    signal.signal(signal.SIGTERM, _interrupt)
    with suppress(KeyboardInterrupt):
        server.wait()
    _end(server)


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
