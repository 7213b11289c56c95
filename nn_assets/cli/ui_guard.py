"""The gate before the UI: an ASGI application around another, which only one browser can command.

A page of any other site can make a browser send requests to the loopback address, and so can any program of another
user. Neither has the cookie, which only the address with the token sets. A page on another port of this machine would
be sent the cookie along; it is known by ``Origin``, ``Sec-Fetch-Site`` and the kind of body, which no page can forge.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse

from nn_assets.reports.page import KILL_SWITCH_PATH

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_SINGLE_HEADERS = (b"host", b"origin", b"sec-fetch-site", b"content-type")
_HEADERS = (
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_OPERATION = "op"  # Dagster's pages repeat the name of a query in its address, for logs
_TOKEN = "token"  # noqa: S105  the name of the parameter
_POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1


def entrance(port: int, token: str, page: str = "/") -> str:
    """Address that lets a browser in, and opens a page."""
    return f"http://127.0.0.1:{port}{page}?{_TOKEN}={token}"


@dataclass(frozen=True)
class _Refused:
    status: int
    reason: str


class UiGuard:
    """Lets through to ``app`` what the user's own page asks for.

    Answers 403 where another host, site or origin is named, 401 without the cookie, 405 and 415 where something is
    commanded other than by JSON in a POST, or by the form of the kill switch. Through a websocket only subscriptions
    pass. Whoever opens a page with the token is given the cookie, and sent to the same page without the token.

    Parameters
    ----------
    app : ASGI application
        What lies behind the gate.
    port : int
        Port of the loopback address that the user's browser names.
    token : str
        The secret of ``entrance``.
    """

    def __init__(self, app: Application, port: int, token: str) -> None:
        self._app = app
        self._hosts = {f"127.0.0.1:{port}".encode(), f"localhost:{port}".encode()}
        self._cookie = f"nn_assets_ui_{port}".encode()  # cookies of all ports of a host are sent to each
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refused = self._another_page(scope)
        page = self._entered(scope) if refused is None else None
        if page is not None:
            await _answer(send, 303, "", [(b"location", page), (b"set-cookie", self._set_cookie())])
            return
        refused = refused or self._without_cookie(scope) or _not_a_json_command(scope)
        if refused is not None:
            await _refuse(scope, receive, send, refused)
        elif scope["type"] == "websocket":
            await self._app(scope, _subscriptions(receive, send), send)
        else:
            await self._app(scope, receive, _with_headers(send))

    def _another_page(self, scope: Scope) -> _Refused | None:
        """Refuse what another host, site or origin is named in."""
        if any(len(_values(scope, name)) > 1 for name in _SINGLE_HEADERS):
            return _Refused(403, "a header that is given once came twice")
        host = _value(scope, b"host")
        if host not in self._hosts:
            return _Refused(403, "another host")
        if _value(scope, b"sec-fetch-site") not in (None, b"same-origin", b"none"):
            return _Refused(403, "asked for by another site")
        origin = _value(scope, b"origin")
        # Browsers name it with every POST and websocket.
        expected = {b"http://" + host} if _commands(scope) else {b"http://" + host, None}
        return None if origin in expected else _Refused(403, "another origin")

    def _entered(self, scope: Scope) -> bytes | None:
        """Address on this host of the page asked for, less the token that came with it; None where none came."""
        if scope["type"] != "http" or scope["method"] != "GET" or not _is_page(scope["path"]):
            return None
        parameters = _parameters(scope)
        if not any(
            name == _TOKEN and secrets.compare_digest(value.encode(), self._token) for name, value in parameters
        ):
            return None
        kept = urlencode([parameter for parameter in parameters if parameter[0] != _TOKEN])
        return (quote(scope["path"]) + (f"?{kept}" if kept else "")).encode()

    def _set_cookie(self) -> bytes:
        return b"%s=%s; Path=/; HttpOnly; SameSite=Strict" % (self._cookie, self._token)

    def _without_cookie(self, scope: Scope) -> _Refused | None:
        pairs = (pair.strip().partition(b"=") for line in _values(scope, b"cookie") for pair in line.split(b";"))
        if any(name == self._cookie and secrets.compare_digest(value, self._token) for name, _, value in pairs):
            return None
        return _Refused(401, "open the address that `nn-assets ui` printed when it started")


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for header, value in scope["headers"] if header.lower() == name]


def _value(scope: Scope, name: bytes) -> bytes | None:
    return next(iter(_values(scope, name)), None)


def _parameters(scope: Scope) -> list[tuple[str, str]]:
    return parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def _is_page(path: str) -> bool:
    """Whether a person would open it, and a redirect to it stays on this host: ``//x`` names another."""
    return path.startswith("/") and not path.startswith("//") and not _takes_queries(path)


def _takes_queries(path: str) -> bool:
    return "graphql" in path.lower()


def _commands(scope: Scope) -> bool:
    return scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")


def _not_a_json_command(scope: Scope) -> _Refused | None:
    """Refuse what Dagster would take a command from that is no JSON in a POST's body."""
    if scope["type"] == "websocket":
        return None
    if scope["method"] not in ("GET", "HEAD", "POST"):
        return _Refused(405, "GET, HEAD and POST alone")
    if _takes_queries(scope["path"]) and any(name != _OPERATION for name, _ in _parameters(scope)):
        return _Refused(405, "a query goes into the body of a POST, as JSON")
    # Dagster looks for the media type anywhere in the header, in lower case: here it is that, or nothing.
    media_type = (_value(scope, b"content-type") or b"").partition(b";")[0].strip()
    if scope["method"] == "POST" and scope["path"] == KILL_SWITCH_PATH:
        of_form = media_type == b"application/x-www-form-urlencoded"
        return None if of_form else _Refused(415, "the kill switch is set by its form")
    if scope["method"] == "POST" and media_type != b"application/json":
        return _Refused(415, "a body is JSON, and says so")
    return None


def _subscriptions(receive: Receive, send: Send) -> Receive:
    """Messages of a websocket up to the first that starts anything but a subscription, which ends it."""

    async def checked() -> Message:
        message = await receive()
        if message["type"] == "websocket.receive" and not _is_subscription(message.get("text")):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return {"type": "websocket.disconnect", "code": _POLICY_VIOLATION}
        return message

    return checked


def _is_subscription(text: str | None) -> bool:
    """Whether a frame of the protocol ``graphql-ws`` starts a subscription, or nothing at all."""
    try:
        frame = json.loads(text or "")
        if frame["type"] != "start":
            return True
        definitions = parse(frame["payload"]["query"]).definitions
    except (ValueError, TypeError, KeyError, RecursionError, GraphQLError):
        return False
    operations = [definition.operation for definition in definitions if isinstance(definition, OperationDefinitionNode)]
    return set(operations) == {OperationType.SUBSCRIPTION}


def _with_headers(send: Send) -> Send:
    async def completed(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
        await send(message)

    return completed


async def _refuse(scope: Scope, receive: Receive, send: Send, refused: _Refused) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": refused.reason})
        return
    await _answer(send, refused.status, f"{refused.status}: {refused.reason}\n", [])


async def _answer(send: Send, status: int, text: str, headers: list[tuple[bytes, bytes]]) -> None:
    body = text.encode()
    common = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"no-referrer"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": [*common, *headers, *_HEADERS]})
    await send({"type": "http.response.body", "body": body})
