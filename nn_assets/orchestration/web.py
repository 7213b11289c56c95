"""Dagster's pages as an application that listens nowhere, and its daemon beside them, on one code server."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._cli.proxy_server_manager import ProxyServerManager
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._serdes import serialize_value
from dagster._utils.log import configure_loggers
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.cli import (
    DEFAULT_DB_STATEMENT_TIMEOUT,
    DEFAULT_POOL_MAX_OVERFLOW,
    DEFAULT_POOL_RECYCLE,
)
from dagster_webserver.version import __version__

from nn_assets.store.home import dagster_home, instance_root

_ORDERLY_END_SECONDS = 3.0
_POLL_MILLISECONDS = 2000  # how often an open page asks for what is new


@dataclass(frozen=True)
class DagsterPages:
    """An ASGI application, and the process of the daemon that launches what it asks for."""

    app: Any
    daemon: subprocess.Popen[bytes]


@contextmanager
def dagster_pages() -> Iterator[DagsterPages]:
    """Start the code server and the daemon, and make the application; all of it ends with the block.

    The code server listens on a socket in a folder of this user's own, the application nowhere.
    """
    configure_loggers()
    with ExitStack() as stack:
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(dagster_home())))
        packaged = WorkspaceFileTarget([str(instance_root() / "workspace.yaml")])
        servers = stack.enter_context(ProxyServerManager(instance, packaged))
        workspace = dagster_home() / "workspace.yaml"  # no other UI of this home runs
        workspace.write_text(yaml.safe_dump({"load_from": list(servers.get_code_server_specs())}), encoding="utf-8")
        daemon = stack.enter_context(_daemon(instance, workspace))
        instance.optimize_for_webserver(DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_RECYCLE, DEFAULT_POOL_MAX_OVERFLOW)
        context = stack.enter_context(
            WorkspaceProcessContext(
                instance,
                version=__version__,
                read_only=False,
                workspace_load_target=WorkspaceFileTarget([str(workspace)]),
            )
        )
        app = create_app_from_workspace_process_context(
            context, live_data_poll_rate=_POLL_MILLISECONDS, lifespan=_lifespan
        )
        yield DagsterPages(app, daemon)


@asynccontextmanager
async def _lifespan(_: object) -> AsyncIterator[None]:
    yield


@contextmanager
def _daemon(instance: dg.DagsterInstance, workspace: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "nn_assets.orchestration.daemon", "run"]
    command += ["--instance-ref", serialize_value(instance.get_ref()), "--workspace", str(workspace)]
    daemon = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603  fixed
    try:
        yield daemon
    finally:
        daemon.send_signal(signal.SIGINT)
        try:
            daemon.wait(_ORDERLY_END_SECONDS)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
