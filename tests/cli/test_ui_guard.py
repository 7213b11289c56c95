"""The gate before the UI: no attack passes to a GraphQL server that reads requests as Dagster's does."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from itertools import product
from types import SimpleNamespace
from typing import Any, Self

import graphene
import pytest
from dagster_webserver.graphql import GraphQLServer
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from nn_assets.cli import ui_server
from nn_assets.cli.ui_guard import UiGuard, entrance

PORT = 3000
TOKEN = "a-token-of-this-test"
HOST = f"127.0.0.1:{PORT}"
COOKIE = f"nn_assets_ui_{PORT}={TOKEN}"
MUTATION = "mutation { startSensor }"
QUERY = "query=mutation+%7B+startSensor+%7D"
REPORT = "/report_asset_materialization/index_daily/features"


class _Mutation(graphene.ObjectType):
    start_sensor = graphene.Boolean()

    def resolve_start_sensor(self, info: Any) -> bool:
        info.context.commanded.append("mutation")
        return True


class _Query(graphene.ObjectType):
    version = graphene.String()

    def resolve_version(self, info: Any) -> str:
        info.context.commanded.append("query")
        return "1"


class _Subscription(graphene.ObjectType):
    runs = graphene.String()

    async def subscribe_runs(self, info: Any) -> AsyncIterator[str]:
        info.context.commanded.append("subscription")
        yield "a run"


class _Server(GraphQLServer):
    """Dagster's own reading of requests over a schema of one mutation; remembers what it was commanded."""

    def __init__(self) -> None:
        self.commanded: list[str] = []
        super().__init__()

    def build_graphql_schema(self) -> graphene.Schema:
        return graphene.Schema(query=_Query, mutation=_Mutation, subscription=_Subscription)

    def build_graphql_middleware(self) -> list[Any]:
        return []

    def build_middleware(self) -> list[Any]:
        return []

    def build_routes(self) -> list[Any]:
        return [
            Route("/graphql", self.graphql_http_endpoint, methods=["GET", "POST"]),
            WebSocketRoute("/graphql", self.graphql_ws_endpoint),
            Route("/report_asset_materialization/{asset_key:path}", self._report, methods=["POST"]),
            Route("/{path:path}", self._page),
        ]

    async def _report(self, _: Request) -> PlainTextResponse:
        self.commanded.append("report")
        return PlainTextResponse("{}")

    async def _page(self, _: Request) -> PlainTextResponse:
        self.commanded.append("page")
        return PlainTextResponse("a page")

    def _make_request_context(self, _: Any) -> Any:
        return _Context(self.commanded)


@dataclass
class _Context:
    commanded: list[str]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@dataclass(frozen=True)
class Ask:
    """One request: the way it is sent, and who seems to send it."""

    method: str = "GET"  # or websocket
    path: str = "/graphql"
    query: str = ""
    body: str = ""
    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = (
        ("host", HOST),
        ("origin", f"http://{HOST}"),
        ("sec-fetch-site", "same-origin"),
        ("cookie", COOKIE),
    )

    def with_header(self, name: str, *values: str) -> Ask:
        """The same with other values of a header, or none."""
        kept = tuple(header for header in self.headers if header[0] != name)
        return replace(self, headers=kept + tuple((name, value) for value in values))


@dataclass
class Answer:
    """What came back: the status (101 where a websocket was opened), headers and what was sent."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)


def ask_app(app: Any, ask: Ask) -> Answer:
    websocket = ask.method == "websocket"
    headers = [*ask.headers, *([("content-type", ask.content_type)] if ask.content_type is not None else [])]
    scope = {
        "type": "websocket" if websocket else "http",
        "scheme": "ws" if websocket else "http",
        "path": ask.path,
        "raw_path": ask.path.encode(),
        "root_path": "",
        "query_string": ask.query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        **({"subprotocols": ["graphql-ws"]} if websocket else {"method": ask.method}),
    }
    coming: list[dict[str, Any]]
    if websocket:
        coming = [{"type": "websocket.connect"}]
        coming += [{"type": "websocket.receive", "text": line} for line in ask.body.splitlines()]
    else:
        coming = [{"type": "http.request", "body": ask.body.encode()}]
    answer = Answer()

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        if coming:
            return coming.pop(0)
        if not websocket:
            await asyncio.Event().wait()  # nobody hangs up before the answer
        for _ in range(20):  # what was started may answer before the end
            await asyncio.sleep(0)
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message: dict[str, Any]) -> None:
        answer.sent.append(message)
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], list(message["headers"])
        elif message["type"] == "websocket.accept":
            answer.status = 101
        elif message["type"] == "websocket.close" and answer.status == 0:
            answer.status = 403  # what uvicorn answers

    asyncio.run(app(scope, receive, send))
    return answer


def _frames(query: str, **payload: str) -> str:
    start = {"type": "start", "id": "1", "payload": {"query": query, **payload}}
    return json.dumps({"type": "connection_init"}) + "\n" + json.dumps(start)


JSON_BODY = json.dumps({"query": MUTATION})
RIGHTFUL = {
    "a mutation in JSON": Ask("POST", body=JSON_BODY, content_type="application/json"),
    "a subscription": Ask("websocket", body=_frames("subscription { runs }")),
}
# Ways to command Dagster that no page of its own uses: refused to the user's own browser as well.
WRONG_WAYS = {
    "an image": Ask(query=QUERY),
    "an image, spelt otherwise": Ask(query=f"op=x&%71uery={QUERY[6:]}"),
    "an image, a line's end in the path": Ask(path="/graphql\n", query=QUERY),
    "HEAD": Ask("HEAD", query=QUERY),
    "JSON named as text": Ask("POST", body=JSON_BODY, content_type="text/plain; application/json"),
    "application/graphql": Ask("POST", body=MUTATION, content_type="application/graphql"),
    "no body": Ask("POST", query=QUERY),
    "a form": Ask("POST", query=QUERY, body=QUERY, content_type="application/x-www-form-urlencoded"),
    "a form of parts": Ask("POST", query=QUERY, body="--x--", content_type="multipart/form-data; boundary=x"),
    "text": Ask("POST", query=QUERY, body=JSON_BODY, content_type="text/plain"),
    "JSON spelt otherwise": Ask("POST", query=QUERY, body=JSON_BODY, content_type="Application/JSON"),
    "JSON beside a query": Ask("POST", query=QUERY, body=JSON_BODY, content_type="application/json"),
    "a report without a body": Ask("POST", path=REPORT),
    "a report as text": Ask("POST", path=REPORT, content_type="text/plain"),
    "PUT": Ask("PUT", body=JSON_BODY, content_type="application/json"),
    "OPTIONS": Ask("OPTIONS"),
    "a mutation by websocket": Ask("websocket", body=_frames(MUTATION)),
    "a mutation beside a subscription": Ask("websocket", body=_frames(f"subscription {{ runs }} {MUTATION}")),
    "a mutation beside a subscription that is chosen": Ask(
        "websocket", body=_frames("subscription Runs { runs } mutation Start { startSensor }", operation_name="Runs")
    ),
}
WAYS = {
    **RIGHTFUL,
    **WRONG_WAYS,
    "a report in JSON": Ask("POST", path=REPORT, body="{}", content_type="application/json"),
    "a page": Ask(path="/runs"),
}
# With the cookie, from somewhere else than the user's own page.
ELSEWHERE: dict[str, tuple[str, tuple[str, ...]]] = {
    "another origin": ("origin", ("http://evil.example",)),
    "another port": ("origin", ("http://127.0.0.1:8000",)),
    "another scheme": ("origin", (f"https://{HOST}",)),
    "an opaque origin": ("origin", ("null",)),
    "an origin that begins alike": ("origin", (f"http://{HOST}.evil.example",)),
    "two origins": ("origin", (f"http://{HOST}", "http://evil.example")),
    "another host": ("host", (f"evil.example:{PORT}",)),
    "no port": ("host", ("127.0.0.1",)),
    "a host that begins alike": ("host", (f"{HOST}.evil.example",)),
    "no host": ("host", ()),
    "two hosts": ("host", (HOST, "evil.example")),
    "another site": ("sec-fetch-site", ("cross-site",)),
    "a neighbour": ("sec-fetch-site", ("same-site",)),
    "two sites": ("sec-fetch-site", ("same-origin", "cross-site")),
    "two kinds of body": ("content-type", ("application/json", "text/plain")),
}
WITHOUT_COOKIE: dict[str, tuple[str, ...]] = {
    "no cookie": (),
    "an empty cookie": (f"nn_assets_ui_{PORT}=",),
    "a wrong cookie": (f"nn_assets_ui_{PORT}={TOKEN[:-1]}",),
    "the cookie of another port": (f"nn_assets_ui_3001={TOKEN}",),
    "the cookie in another's value": (f'x="{COOKIE}"',),
}


@dataclass(frozen=True)
class Attack:
    """A request that must command nothing, and the answers that it may get."""

    name: str
    ask: Ask
    statuses: frozenset[int]


def _attacks() -> list[Attack]:
    denied = frozenset({401, 403})
    attacks = [
        Attack(f"{way}, {where}", ask.with_header(name, *values), denied)
        for (way, ask), (where, (name, values)) in product(WAYS.items(), ELSEWHERE.items())
    ]
    attacks += [
        Attack(f"{way}, {which}", ask.with_header("cookie", *values), denied)
        for (way, ask), (which, values) in product(WAYS.items(), WITHOUT_COOKIE.items())
    ]
    attacks += [
        Attack(f"{way}, {which}, as no browser would", ask.with_header("origin").with_header("cookie", *values), denied)
        for (way, ask), (which, values) in product(WAYS.items(), WITHOUT_COOKIE.items())
    ]
    attacks += [
        Attack(f"{way}, no origin", ask.with_header("origin"), frozenset({403}))
        for way, ask in WAYS.items()
        if ask.method not in ("GET", "HEAD")
    ]
    attacks += [
        Attack(f"{way}, own page", ask, frozenset({101} if ask.method == "websocket" else {405, 415}))
        for way, ask in WRONG_WAYS.items()
    ]
    return attacks


ATTACKS = _attacks()


def test_none_of_the_attacks_commands_anything() -> None:
    server = _Server()
    gate = UiGuard(server.create_asgi_app(), PORT, TOKEN)
    assert len(ATTACKS) >= 300
    passed = []
    for attack in ATTACKS:
        answer = ask_app(gate, attack.ask)
        if answer.status not in attack.statuses or server.commanded:
            passed.append((attack.name, answer.status, tuple(server.commanded)))
        server.commanded.clear()
    assert passed == []


def test_they_are_attacks_most_of_them_command_the_server_that_has_no_gate() -> None:
    server = _Server()
    app = server.create_asgi_app()
    struck = {"mutation": 0, "report": 0, "subscription": 0, "page": 0, "query": 0}
    for attack in ATTACKS:
        ask_app(app, attack.ask)
        for what in set(server.commanded):
            struck[what] += 1
        server.commanded.clear()
    assert struck["mutation"] > 200
    assert struck["report"] > 30
    assert struck["subscription"] > 15


@pytest.fixture
def server() -> _Server:
    return _Server()


@pytest.fixture
def gate(server: _Server) -> UiGuard:
    return UiGuard(server.create_asgi_app(), PORT, TOKEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_users_own_page_commands(server: _Server, gate: UiGuard, host: str) -> None:
    own = RIGHTFUL["a mutation in JSON"].with_header("host", f"{host}:{PORT}")
    for ask in (
        own,
        replace(own, query="op=StartSensor"),
        replace(own, content_type="application/json; charset=utf-8"),
    ):
        assert ask_app(gate, ask.with_header("origin", f"http://{host}:{PORT}")).status == 200
        assert server.commanded == ["mutation"]
        server.commanded.clear()


def test_the_users_own_page_subscribes_and_hears(server: _Server, gate: UiGuard) -> None:
    answer = ask_app(gate, RIGHTFUL["a subscription"])
    assert server.commanded == ["subscription"]
    messages = [json.loads(message["text"]) for message in answer.sent if message["type"] == "websocket.send"]
    assert [message["payload"] for message in messages if message["type"] == "data"] == [{"data": {"runs": "a run"}}]


@pytest.mark.parametrize(
    "frame", ["no JSON", "[]", '{"type": "start"}', '{"type": "start", "payload": {"query": 1}}', "[" * 9999]
)
def test_a_frame_that_cannot_be_read_ends_the_websocket(server: _Server, gate: UiGuard, frame: str) -> None:
    answer = ask_app(gate, Ask("websocket", body=frame))
    assert answer.sent[-1]["type"] == "websocket.close"
    assert server.commanded == []


@pytest.mark.parametrize("way", [way for way, ask in WRONG_WAYS.items() if ask.method == "websocket"])
def test_what_is_no_subscription_ends_the_websocket_before_the_server_reads_it(
    server: _Server, gate: UiGuard, way: str
) -> None:
    answer = ask_app(gate, WRONG_WAYS[way])
    types = [message["type"] for message in answer.sent]
    assert types == ["websocket.accept", "websocket.send", "websocket.close"]  # what is sent acknowledges the first
    assert answer.sent[-1]["code"] == 1008
    assert server.commanded == []


def test_the_address_with_the_token_gives_a_cookie_that_no_script_and_no_other_site_has(gate: UiGuard) -> None:
    path, _, query = entrance(PORT, TOKEN).removeprefix(f"http://{HOST}").partition("?")
    typed = (
        Ask(path=path, query=query).with_header("origin").with_header("cookie").with_header("sec-fetch-site", "none")
    )
    answer = ask_app(gate, typed)
    headers = dict(answer.headers)
    assert answer.status == 303
    assert headers[b"location"] == b"/"
    assert headers[b"set-cookie"].decode() == f"{COOKIE}; Path=/; HttpOnly; SameSite=Strict"
    cookie = headers[b"set-cookie"].decode().partition(";")[0]
    assert ask_app(gate, Ask(path="/runs").with_header("origin").with_header("cookie", f"a=b; {cookie}")).status == 200


@pytest.mark.parametrize(
    ("path", "query", "location"),
    [
        ("/reports/", "token=%s", "/reports/"),
        ("/reports/mine-study.html", "token=%s", "/reports/mine-study.html"),
        ("/assets/mine/x", "view=overview&token=%s&partition=a%%26b", "/assets/mine/x?view=overview&partition=a%26b"),
        ("/runs/", "token=%s&token=wrong", "/runs/"),
        ("/\\evil.example", "token=%s", "/%5Cevil.example"),
        ("/x\r\nset-cookie: y", "token=%s", "/x%0D%0Aset-cookie%3A%20y"),
    ],
)
def test_a_page_opened_with_the_token_opens_without_it(
    server: _Server, gate: UiGuard, path: str, query: str, location: str
) -> None:
    typed = Ask(path=path, query=query % TOKEN).with_header("origin").with_header("cookie")
    answer = ask_app(gate, typed.with_header("sec-fetch-site", "none"))
    headers = dict(answer.headers)
    assert answer.status == 303
    assert headers[b"location"].decode() == location
    assert headers[b"set-cookie"].decode() == f"{COOKIE}; Path=/; HttpOnly; SameSite=Strict"
    assert server.commanded == []


@pytest.mark.parametrize(
    "ask",
    [
        Ask(path="/", query=f"token={TOKEN[:-1]}"),
        Ask(path="/", query="token="),
        Ask(path="/", query="token=%ff%00"),
        Ask(path="/reports/", query=f"token={TOKEN[:-1]}"),
        Ask(path="//evil.example/", query=f"token={TOKEN}"),
        Ask(query=f"{QUERY}&token={TOKEN}"),
        Ask(path="/GraphQL", query=f"token={TOKEN}"),
        Ask("HEAD", path="/runs", query=f"token={TOKEN}"),
        Ask("POST", path="/", query=f"token={TOKEN}", content_type="application/json"),
        Ask("POST", query=f"token={TOKEN}", body=JSON_BODY, content_type="application/json"),
        Ask("POST", path=REPORT, query=f"token={TOKEN}", body="{}", content_type="application/json"),
        Ask("PUT", path="/runs", query=f"token={TOKEN}"),
        Ask("websocket", query=f"token={TOKEN}", body=_frames(MUTATION)),
        Ask(path="/reports/", query=f"token={TOKEN}").with_header("origin", "http://evil.example"),
        Ask(path="/", query=f"token={TOKEN}").with_header("sec-fetch-site", "cross-site"),
        Ask(path="/", query=f"token={TOKEN}").with_header("host", "evil.example"),
    ],
)
def test_no_other_address_gives_a_cookie(server: _Server, gate: UiGuard, ask: Ask) -> None:
    answer = ask_app(gate, ask.with_header("cookie"))
    assert answer.status in (401, 403)
    assert b"set-cookie" not in dict(answer.headers)
    assert server.commanded == []


def test_no_page_may_be_framed(gate: UiGuard) -> None:
    assert dict(ask_app(gate, Ask(path="/runs")).headers)[b"x-frame-options"] == b"DENY"


def test_no_refusal_and_no_cookie_is_kept_by_a_cache(gate: UiGuard) -> None:
    own = Ask(path="/runs")
    answers = {
        303: Ask(path="/", query=f"token={TOKEN}"),
        401: own.with_header("cookie"),
        403: own.with_header("host", "evil.example"),
        405: WRONG_WAYS["PUT"],
        415: WRONG_WAYS["a report as text"],
    }
    for status, ask in answers.items():
        answer = ask_app(gate, ask)
        assert answer.status == status
        assert dict(answer.headers)[b"cache-control"] == b"no-store"
        assert dict(answer.headers)[b"referrer-policy"] == b"no-referrer"


@pytest.mark.parametrize("ended_before", [False, True])
def test_without_the_daemon_the_server_ends_and_says_so(capsys: pytest.CaptureFixture[str], ended_before: bool) -> None:
    daemon = SimpleNamespace(wait=lambda: 3, returncode=3)
    server, lost = SimpleNamespace(should_exit=ended_before), threading.Event()
    ui_server._end_with(daemon, server, lost)
    assert server.should_exit
    assert lost.is_set() is not ended_before
    assert ("daemon ended with status 3" in capsys.readouterr().err) is not ended_before
