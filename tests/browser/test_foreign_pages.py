"""The running UI, attacked: by hand on its port, and by pages of other origins in the browser that it let in."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.browser.conftest import NAME, ServedUI, descendants_of, sync_api

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SENSOR = f"{NAME}__drift_refresh"
_SELECTOR = f'repositoryName: "__repository__", repositoryLocationName: "nn_assets", sensorName: "{SENSOR}"'
MUTATION = f"mutation {{ startSensor(sensorSelector: {{{_SELECTOR}}}) {{ __typename }} }}"
STATE = f"{{ sensorOrError(sensorSelector: {{{_SELECTOR}}}) {{ ... on Sensor {{ sensorState {{ status }} }} }} }}"


def _send(ui: ServedUI, request: str, headers: dict[str, str], body: str = "") -> tuple[int, str]:
    """Send a request as it stands; the status and the body of the answer."""
    host, _, port = ui.address.removeprefix("http://").partition(":")
    lines = [request, *(f"{name}: {value}" for name, value in headers.items()), f"Content-Length: {len(body)}"]
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", body]).encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, content = answer.decode(errors="replace").partition("\r\n\r\n")
    return int(head.split()[1]), content


def _own(ui: ServedUI) -> dict[str, str]:
    """Headers of the user's own page."""
    return {
        "Host": ui.address.removeprefix("http://"),
        "Origin": ui.address,
        "Content-Type": "application/json",
        "Cookie": ui.cookie,
    }


def _sensor(ui: ServedUI) -> str:
    """Whether the sensor is on."""
    status, content = _send(ui, "POST /graphql HTTP/1.1", _own(ui), json.dumps({"query": STATE}))
    assert status == 200, content
    return str(json.loads(content)["data"]["sensorOrError"]["sensorState"]["status"])


_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
    "Sec-WebSocket-Protocol": "graphql-ws",
}
_GET = f"GET /graphql?query={quote(MUTATION)} HTTP/1.1"
_POST = "POST /graphql HTTP/1.1"
_REPORT = f"POST /report_asset_materialization/{NAME}/features HTTP/1.1"
ATTACKS: dict[str, tuple[str, dict[str, str | None]]] = {
    "a page, no cookie": ("GET /runs HTTP/1.1", {"Cookie": None}),
    "an image, no cookie": (_GET, {"Cookie": None}),
    "an image": (_GET, {"Origin": None}),
    "an image of another site": (_GET, {"Origin": None, "Sec-Fetch-Site": "cross-site"}),
    "JSON, no cookie": (_POST, {"Cookie": None}),
    "JSON, a wrong cookie": (_POST, {"Cookie": "nn_assets_ui=x"}),
    "JSON, another host": (_POST, {"Host": "evil.example"}),
    "JSON, another origin": (_POST, {"Origin": "http://evil.example"}),
    "JSON, no origin": (_POST, {"Origin": None}),
    "JSON of a neighbour": (_POST, {"Sec-Fetch-Site": "same-site"}),
    "JSON called text": (_POST, {"Content-Type": "text/plain; application/json"}),
    "a report without a body": (_REPORT, {"Content-Type": None}),
    "a report of another origin": (_REPORT, {"Origin": "http://evil.example"}),
    "a websocket, no cookie": ("GET /graphql HTTP/1.1", {**_UPGRADE, "Cookie": None}),
    "a websocket, another origin": ("GET /graphql HTTP/1.1", {**_UPGRADE, "Origin": "http://evil.example"}),
    "PUT": ("PUT /graphql HTTP/1.1", {}),
}


def test_the_running_ui_refuses_every_attack_and_answers_its_own_page(ui: ServedUI) -> None:
    assert _sensor(ui) == "STOPPED"
    answers = {}
    for name, (request, changed) in ATTACKS.items():
        headers = {key: value for key, value in (_own(ui) | changed).items() if value is not None}
        answers[name] = _send(ui, request, headers, json.dumps({"query": MUTATION}))[0]
    assert {name: status for name, status in answers.items() if status not in (401, 403, 405, 415)} == {}
    assert {name: status for name, status in answers.items() if "cookie" in name and status not in (401, 403)} == {}
    assert _sensor(ui) == "STOPPED"


def _sockets_of(process: int) -> set[str]:
    """Numbers of the sockets that a process has open; what it closes meanwhile is none."""
    sockets = set()
    for link in Path(f"/proc/{process}/fd").glob("*"):
        with suppress(FileNotFoundError):
            if (to := str(link.readlink())).startswith("socket:"):
                sockets.add(to.removeprefix("socket:[").removesuffix("]"))
    return sockets


def test_nothing_of_it_listens_but_the_gate(ui: ServedUI) -> None:
    listening = set()
    for process in [ui.process.pid, *descendants_of(ui.process.pid)]:
        sockets = _sockets_of(process)
        for table in ("tcp", "tcp6") if sockets else ():
            for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in sockets:
                    listening.add((fields[1].split(":")[0], int(fields[1].split(":")[1], 16)))
    assert listening == {("0100007F", int(ui.address.rpartition(":")[2]))}


_FOREIGN = """<!doctype html><title>foreign</title><script>
const ui = %(ui)s, mutation = %(mutation)s, body = JSON.stringify({query: mutation});
const tries = [
    new Promise(done => { const image = new Image(); image.onload = image.onerror = done;
        image.src = ui + "/graphql?query=" + encodeURIComponent(mutation); }),
    ...["text/plain; application/json", "text/plain", "application/json"].map(type => fetch(ui + "/graphql",
        {method: "POST", mode: type === "application/json" ? "cors" : "no-cors", credentials: "include", body,
         headers: {"content-type": type}}).catch(() => 0)),
    fetch(ui + "/report_asset_materialization/%(name)s/features", {method: "POST", mode: "no-cors",
        credentials: "include"}).catch(() => 0),
    new Promise(done => { const wire = new WebSocket(ui.replace("http", "ws") + "/graphql", "graphql-ws");
        wire.onopen = () => { document.title = "opened";
            wire.send(JSON.stringify({type: "start", id: "1", payload: {query: mutation}})); };
        wire.onclose = wire.onerror = done; setTimeout(() => wire.close(), 5000); }),
];
Promise.all(tries).then(() => { document.body.dataset.done = "yes"; });
</script><body></body>"""


@pytest.fixture
def foreign(ui: ServedUI) -> Iterator[str]:
    """Address of a server of somebody else's on another port, whose page tries what a page can."""
    text = _FOREIGN % {"ui": json.dumps(ui.address), "mutation": json.dumps(MUTATION), "name": NAME}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])  # a neighbour, who is sent the cookie along; another site
def test_an_open_foreign_page_switches_nothing_on(
    ui: ServedUI, own_page: sync_api.Page, foreign: str, host: str
) -> None:
    own_page.goto(f"http://{foreign.replace('127.0.0.1', host)}/")
    own_page.wait_for_selector("body[data-done]", state="attached")
    assert own_page.title() == "foreign"
    assert _sensor(ui) == "STOPPED"


def test_a_browser_that_was_not_let_in_sees_nothing(ui: ServedUI, page: sync_api.Page) -> None:
    answer = page.goto(f"{ui.address}/runs")
    assert answer is not None
    assert answer.status == 401
    assert page.evaluate("document.cookie") == ""
