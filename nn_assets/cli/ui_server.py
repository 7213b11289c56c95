"""``python -m nn_assets.cli.ui_server SOCKET``: serve the UI behind its gate on a socket that is bound already.

Standard output gets the address that lets a browser in, then that of the reports; everything else is standard error's.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import threading
from contextlib import suppress
from subprocess import Popen

import uvicorn

from nn_assets.cli.kill_switch_page import WithKillSwitch
from nn_assets.cli.pages import WithReports
from nn_assets.cli.ui_guard import UiGuard, entrance
from nn_assets.operations.starter import end_with_starter
from nn_assets.orchestration.web import dagster_pages
from nn_assets.store.home import PAGES_PATH

_OPEN_REQUESTS_SECONDS = 1  # that a page which stays open may hold up the end
_TOKEN_BYTES = 32


def main(descriptor: int) -> int:
    """Serve until asked to end; 0, or 1 where the daemon ended by itself."""
    end_with_starter()
    signal.signal(signal.SIGTERM, _interrupt)
    listener = socket.socket(fileno=descriptor)
    listener.set_inheritable(False)
    address = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    port, token = int(listener.getsockname()[1]), secrets.token_urlsafe(_TOKEN_BYTES)
    lost = threading.Event()
    with suppress(KeyboardInterrupt), dagster_pages() as pages:
        server = uvicorn.Server(
            uvicorn.Config(
                UiGuard(WithKillSwitch(WithReports(pages.app)), port, token),
                log_level="warning",
                proxy_headers=False,  # there is no proxy that could be believed
                server_header=False,
                timeout_graceful_shutdown=_OPEN_REQUESTS_SECONDS,
            )
        )
        threading.Thread(target=_end_with, args=(pages.daemon, server, lost), daemon=True).start()
        listener.listen()  # the first visitors wait for the server's loop
        reports = f"reports: {entrance(port, token, PAGES_PATH)}"
        print(entrance(port, token), reports, sep="\n", file=address, flush=True)
        server.run(sockets=[listener])
    return int(lost.is_set())


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _end_with(daemon: Popen[bytes], server: uvicorn.Server, lost: threading.Event) -> None:
    """End the server where its daemon has ended: without it, nothing that a page asks for would happen."""
    daemon.wait()
    if not server.should_exit:
        lost.set()
        print(f"Dagster's daemon ended with status {daemon.returncode}; so does the UI.", file=sys.stderr)  # noqa: T201
        server.should_exit = True


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
