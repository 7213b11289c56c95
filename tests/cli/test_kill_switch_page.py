"""The button of the reports: it halts, with a reason, behind the gate; nothing else that is sent there does."""

from __future__ import annotations

import html
import http.client
import re
import socket
import threading
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from nn_assets.cli.controls import set_kill_switch
from nn_assets.cli.kill_switch_page import WithKillSwitch
from nn_assets.cli.pages import WithReports
from nn_assets.cli.ui_guard import UiGuard
from nn_assets.errors import ControlError
from nn_assets.operations.asof.controls import halted_by_file, kill_switch_now
from nn_assets.operations.kill_switch import note_halt_file
from nn_assets.orchestration.controls import kill_switch_job
from nn_assets.orchestration.resources import StoresResource
from nn_assets.store.ledger.ledger import Ledger
from tests.cli.test_pages import body
from tests.cli.test_ui_guard import ELSEWHERE, PORT, TOKEN, WITHOUT_COOKIE, Answer, Ask, ask_app

PATH = "/controls/kill-switch"
FORM = "application/x-www-form-urlencoded"
STRATEGIES = ["index_daily", "planted_edge"]


async def _dagster(_: Request) -> Response:
    return PlainTextResponse("Dagster")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
    return tmp_path


@pytest.fixture
def gate(home: Path) -> UiGuard:
    return UiGuard(WithKillSwitch(WithReports(Starlette(routes=[Route("/{path:path}", _dagster)]))), PORT, TOKEN)


def on_record() -> list[tuple[str, str, str, str]]:
    with Ledger() as ledger:
        rows = ledger.read("controls", every_version=True, bookkeeping=True).sort_values("sequence")
    return list(zip(rows["strategy"], rows["state"], rows["who"], rows["reason"], strict=True))


def form_token(gate: UiGuard) -> str:
    page = body(ask_app(gate, Ask(path=PATH)))
    (token,) = re.findall(r'name="token" value="([^"]+)"', page)
    return str(token)


def sent(gate: UiGuard, **fields: str) -> Ask:
    form = {"token": form_token(gate), "strategy": "", "state": "HALTED", "reason": "feed looks wrong", "who": "ann"}
    return Ask("POST", path=PATH, body=urlencode(form | fields), content_type=FORM)


def shown_after(gate: UiGuard, answer: Answer) -> Answer:
    """The page that an answer of the form leads to."""
    path, _, query = dict(answer.headers)[b"location"].decode().partition("?")
    return ask_app(gate, Ask(path=path, query=query))


def test_the_button_halts_with_a_reason_and_who_and_cannot_start_trading(gate: UiGuard, home: Path) -> None:
    (home / "reports").mkdir()
    for name in ("index_daily-2017-06-01", "demo"):
        (home / "reports" / f"{name}.html").write_text("<html><body>\n<h1>Session</h1></body></html>")
    link = f'href="{PATH}?strategy=index_daily"'
    assert link in body(ask_app(gate, Ask(path="/reports/index_daily-2017-06-01.html")))
    assert PATH not in body(ask_app(gate, Ask(path="/reports/demo.html")))
    index = body(ask_app(gate, Ask(path="/reports/")))
    assert link in index
    page = ask_app(gate, Ask(path=PATH, query="strategy=index_daily"))
    assert 'value="index_daily" selected' in body(page)
    policy = dict(page.headers)[b"content-security-policy"].decode()
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert on_record() == []
    answer = ask_app(gate, sent(gate, strategy="index_daily"))
    assert answer.status == 303
    assert "index_daily: kill switch is HALTED" in body(shown_after(gate, answer))
    assert on_record() == [("index_daily", "HALTED", "ann, in the UI", "feed looks wrong")]
    with Ledger() as ledger:
        assert kill_switch_now(ledger, "index_daily") == "HALTED"
        assert kill_switch_now(ledger, "planted_edge") == "ACTIVE"
    assert ask_app(gate, sent(gate, strategy="index_daily", state="ACTIVE")).status == 400
    said = body(shown_after(gate, ask_app(gate, sent(gate, state="REDUCING"))))  # every strategy
    assert "index_daily: kill switch stays HALTED" in said
    assert "planted_edge: kill switch is REDUCING" in said
    assert [row[:2] for row in on_record()[1:]] == [("planted_edge", "REDUCING")]


def test_reducing_by_the_page_or_for_all_never_loosens_a_halt(gate: UiGuard, home: Path) -> None:
    (home / "HALT").touch()
    with Ledger() as ledger:
        note_halt_file(ledger, "planted_edge")
    (home / "HALT").unlink()
    set_kill_switch(None, "REDUCING", "ann", "calmer")
    assert ask_app(gate, sent(gate, strategy="planted_edge", state="REDUCING")).status == 303
    with Ledger() as ledger:
        assert [kill_switch_now(ledger, name) for name in STRATEGIES] == ["HALTED", "HALTED"]
        assert halted_by_file(ledger, "planted_edge")
    set_kill_switch("planted_edge", "REDUCING", "ann", "looked into it")  # the command, with its name, may
    with Ledger() as ledger:
        assert [kill_switch_now(ledger, name) for name in STRATEGIES] == ["HALTED", "REDUCING"]


def test_a_form_counts_once_and_sent_again_shows_what_it_set(gate: UiGuard) -> None:
    form = sent(gate, strategy="planted_edge", state="REDUCING")
    first = ask_app(gate, form)
    set_kill_switch("planted_edge", "ACTIVE", "ann", "looked into it")
    again = ask_app(gate, form)
    assert (first.status, again.status) == (303, 303)
    assert body(shown_after(gate, again)) == body(shown_after(gate, first))
    assert [row[:2] for row in on_record()] == [("planted_edge", "REDUCING"), ("planted_edge", "ACTIVE")]
    ask_app(gate, replace(form, body=form.body.replace("REDUCING", "HALTED")))  # gone back to, and changed
    assert [row[:2] for row in on_record()[2:]] == [("planted_edge", "HALTED")]


def _attacks(gate: UiGuard) -> dict[str, tuple[Ask, set[int]]]:
    right = sent(gate)
    fields = right.body
    asked = {"path": PATH, "query": fields}
    attacks: dict[str, tuple[Ask, set[int]]] = {
        "a link": (Ask(**asked), {200}),
        "a link with the token of the address": (Ask(path=PATH, query=f"{fields}&token={TOKEN}"), {200, 303}),
        "HEAD": (Ask("HEAD", **asked), {200}),
        "PUT": (replace(right, method="PUT"), {405}),
        "DELETE": (replace(right, method="DELETE"), {405}),
        "JSON": (replace(right, content_type="application/json"), {415}),
        "text": (replace(right, content_type="text/plain"), {415}),
        "no kind of body": (replace(right, content_type=None), {415}),
        "a form of parts": (replace(right, content_type="multipart/form-data; boundary=x"), {415}),
        "fields in the address": (replace(right, body="", query=fields), {400}),
        "no token": (replace(right, body=re.sub("token=[^&]*&", "", fields)), {400}),
        "an empty token": (sent(gate, token=""), {403}),
        "the token of the address": (sent(gate, token=TOKEN), {403}),
        "a token that is not ASCII": (sent(gate, token="\u00e9"), {403}),
        "no reason": (sent(gate, reason=""), {400}),
        "a blank reason": (sent(gate, reason=" \t "), {400}),
        "nobody": (sent(gate, who=" "), {400}),
        "another state": (sent(gate, state="OFF"), {400}),
        "to start": (sent(gate, state="ACTIVE"), {400}),
        "a strategy that nobody names": (sent(gate, strategy="nobody"), {400}),
        "a field twice": (replace(right, body=f"{fields}&state=REDUCING"), {400}),
        "a field more": (replace(right, body=f"{fields}&also=this"), {400}),
        "too long": (sent(gate, reason="x" * 20_000), {400}),
        "another path": (replace(right, path=f"{PATH}/"), {415}),
        "a form to Dagster": (replace(right, path="/graphql"), {415}),
    }
    for where, (name, values) in ELSEWHERE.items():
        attacks[where] = (right.with_header(name, *values), {401, 403})
    for which, values in WITHOUT_COOKIE.items():
        attacks[which] = (right.with_header("cookie", *values), {401})
    attacks["no origin"] = (right.with_header("origin"), {403})
    return attacks


def test_nothing_else_that_is_sent_there_sets_anything(gate: UiGuard) -> None:
    attacks = _attacks(gate)
    assert len(attacks) > 40
    answers = {name: ask_app(gate, ask).status for name, (ask, _) in attacks.items()}
    assert {name: status for name, status in answers.items() if status not in attacks[name][1]} == {}
    assert on_record() == []


def test_a_strategy_is_never_part_of_the_page_as_markup(gate: UiGuard) -> None:
    answer: Answer = ask_app(gate, sent(gate, strategy="<script>alert(1)</script>"))
    assert answer.status == 400
    assert "<script" not in body(answer)
    assert "&lt;script" in body(answer)


def test_the_page_of_another_start_halts_nothing_and_says_so(gate: UiGuard, home: Path) -> None:
    earlier = sent(gate)
    again = UiGuard(WithKillSwitch(Starlette()), PORT, TOKEN)
    answer = ask_app(again, earlier)
    assert answer.status == 403
    assert "of an earlier start of the UI" in html.unescape(body(answer))
    assert on_record() == []


def test_the_job_sets_it_with_a_reason_and_never_without(home: Path) -> None:
    job = kill_switch_job(StoresResource())

    def launched(**config: str) -> None:
        job.execute_in_process(run_config={"ops": {"set_kill_switch": {"config": config}}})

    launched(state="HALTED", reason="from the pages")
    assert [row[:2] for row in on_record()] == [(name, "HALTED") for name in STRATEGIES]
    launched(state="ACTIVE", strategy="planted_edge", reason="looked into it", who="ann")
    assert on_record()[-1] == ("planted_edge", "ACTIVE", "ann", "looked into it")
    for wrong in (
        {"state": "HALTED", "reason": " "},
        {"state": "ACTIVE", "reason": "all of them"},
        {"state": "OFF", "reason": "x"},
    ):
        with pytest.raises(ControlError):
            launched(**wrong)
    (home / "HALT").touch()
    with pytest.raises(ControlError, match="no file HALT"):
        launched(state="ACTIVE", strategy="planted_edge", reason="again")
    assert len(on_record()) == 3
    set_kill_switch(None, "HALTED", "ann", "the command still halts")


def test_by_a_real_server_a_person_opens_the_address_and_halts(home: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        app = UiGuard(WithKillSwitch(WithReports(Starlette())), port, TOKEN)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        listener.listen()
        thread.start()
        asks = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

        def answered(method: str, path: str, content: str = "", **headers: str) -> tuple[int, str, str]:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            asks.request(method, path, content or None, named)
            answer = asks.getresponse()
            return answer.status, answer.getheader("set-cookie", ""), answer.read().decode()

        assert answered("GET", PATH)[0] == 401
        status, cookie, _ = answered("GET", f"{PATH}?token={TOKEN}&strategy=index_daily")
        cookie = cookie.partition(";")[0]
        assert status == 303
        page = answered("GET", f"{PATH}?strategy=index_daily", cookie=cookie)[2]
        (token,) = re.findall(r'name="token" value="([^"]+)"', page)
        form = urlencode({"token": token, "strategy": "", "state": "HALTED", "reason": "stop it all", "who": "ann"})
        own = {"cookie": cookie, "origin": f"http://127.0.0.1:{port}", "content_type": FORM}
        assert answered("POST", PATH, form, **own | {"origin": "http://evil.example"})[0] == 403
        assert on_record() == []
        status, _, _ = answered("POST", PATH, form, **own)
        assert (status, [row[:2] for row in on_record()]) == (303, [(name, "HALTED") for name in STRATEGIES])
        server.should_exit = True
        asks.close()
        thread.join(5.0)
