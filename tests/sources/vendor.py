"""A vendor on this machine: a local HTTP server that answers as scripted, and a sleep that takes no time."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from nn_assets.sources.retry import RetryPolicy


@dataclass(frozen=True)
class Request:
    """What was asked."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    method: str = "GET"
    body: Any = None


@dataclass(frozen=True)
class Answer:
    """What is answered. ``announced`` differs from the body's length where the body is cut off."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = "application/json"
    announced: int | None = None
    silent: bool = False
    hangs_up: bool = False

    @property
    def payload(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def cut_off(body: Any) -> Answer:
    """Half an answer: the connection ends before the announced length."""
    whole = json.dumps(body).encode()
    return Answer(whole[: len(whole) // 2], announced=len(whole))


@dataclass
class Vendor:
    """The server. ``faults`` are answered first, one a request that ``counts``; ``serve`` answers the rest."""

    serve: Callable[[Request], Answer]
    url: str = ""
    faults: list[Answer] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    broken: list[Exception] = field(default_factory=list)
    counts: Callable[[Request], bool] = field(default=lambda _: True)

    @property
    def policy(self) -> RetryPolicy:
        """The policy in force, whose waits are noted instead of waited for."""
        return RetryPolicy(sleep=self.slept.append)

    def answer(self, request: Request) -> Answer:
        if self.counts(request):
            self.asked.append(request)
            if self.faults:
                return self.faults.pop(0)
        try:
            return self.serve(request)
        except Exception as error:
            self.broken.append(error)
            return Answer({"message": "the test's own vendor is broken"}, 400)


@contextmanager
def running(serve: Callable[[Request], Answer]) -> Iterator[Vendor]:
    """Run a vendor for a while."""
    vendor = Vendor(serve)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            length = int(headers.get("content-length", "0"))
            content = self.rfile.read(length)
            if len(content) < length:  # whoever asked was killed: it never arrived whole
                self.close_connection = True
                return
            body = json.loads(content) if content else None
            answer = vendor.answer(Request(parts.path, dict(parse_qsl(parts.query)), headers, self.command, body))
            if answer.hangs_up:
                self.close_connection = True
                with suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
                return
            if answer.silent:
                vendor.released.wait()
                self.close_connection = True
                return
            self.send_response_only(answer.status)
            length = len(answer.payload) if answer.announced is None else answer.announced
            for name, value in {"Content-Type": answer.kind, "Content-Length": str(length), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # whoever asked may have hung up
                self.wfile.write(answer.payload)
                self.wfile.flush()
            if answer.announced is not None:
                self.close_connection = True
                with suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)

        do_POST = do_DELETE = do_GET

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionResetError):  # whoever asked was killed
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    vendor.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield vendor
    finally:
        vendor.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
    if vendor.broken:  # a request that the vendor's documentation does not know
        raise vendor.broken[0]
