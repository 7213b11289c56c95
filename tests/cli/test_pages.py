"""The reports that the UI serves: the index of them, the pages themselves, and nothing else of the disk."""

from __future__ import annotations

import html
import io
import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from typer.testing import CliRunner

from nn_assets.cli import app as cli
from nn_assets.cli import pages
from nn_assets.cli.pages import WithReports
from nn_assets.errors import AuditError, LedgerError
from tests.cli.test_ui_guard import Answer, Ask, ask_app

Get = Callable[[str], Answer]


async def _dagster(_: Request) -> Response:
    return PlainTextResponse("Dagster")


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the pages of a home."""
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    (tmp_path / "secret.html").write_text("secret", encoding="utf-8")
    folder = tmp_path / "reports"
    folder.mkdir()
    return folder


@pytest.fixture
def get() -> Get:
    app = WithReports(Starlette(routes=[Route("/{path:path}", _dagster)]))
    return lambda path: ask_app(app, Ask(path=path))


def body(answer: Answer) -> str:
    return b"".join(message.get("body", b"") for message in answer.sent).decode()


class _Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hrefs += [value or "" for name, value in attrs if tag == "a" and name == "href"]


def test_the_index_lists_studies_data_docs_and_sessions_the_newest_first(reports: Path, get: Get) -> None:
    names = ["index_daily-study", "index_daily-data-docs", "index_daily-networks", "gone-2020-01-02", "demo"]
    names += ["demo-networks"]
    names += [f"index_daily-2020-01-{day:02}" for day in range(1, 15)]
    for name in names:
        (reports / f"{name}.html").write_text(name, encoding="utf-8")
    (reports / "notes.html").write_text("no page of a strategy", encoding="utf-8")
    (reports / "index_daily-study.json").write_text(
        json.dumps({"verdict": {"kind": "no edge found"}}), encoding="utf-8"
    )
    page = body(get("/reports/"))
    links = [link for link in _Links(page).hrefs if link != "/" and not link.startswith("/controls/kill-switch")]
    assert sorted(links) == sorted(f"/reports/{name}.html" for name in names)
    sessions = [link for link in links if "index_daily-2020" in link]
    assert sessions == sorted(sessions, reverse=True)
    assert "no edge found" in page
    assert "11 earlier sessions" in page
    assert 'id="demo"' not in page  # which is no strategy
    assert {link: body(get(link)) for link in links} == {f"/reports/{name}.html": name for name in names}


def test_each_strategys_first_line_is_that_of_status_with_its_newest_session(
    reports: Path, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategies = json.loads(CliRunner().invoke(cli, ["status", "--json"]).output)["strategies"]
    first_lines = {name: state["headline"] for name, state in strategies.items()}
    assert set(first_lines) == {"index_daily", "planted_edge"}
    sections = body(get("/reports/")).split("<section")[1:]
    for name, line in first_lines.items():
        (section,) = [part for part in sections if f'id="{name}"' in part]
        assert line in html.unescape(section)
        assert 'class="headline DOES_NOT_TRADE"' in section
        assert "session decided:" not in section
    halted = {"headline": "mine HALTED: <data>. A person is needed.", "decided_to": "2017-12-29"}
    monkeypatch.setattr(pages, "report", lambda _: {"strategies": {"mine": halted}})
    (section,) = [part for part in body(get("/reports/")).split("<section")[1:] if 'id="mine"' in part]
    assert 'class="headline HALTED"' in section
    assert "mine HALTED: &lt;data&gt;. A person is needed." in section
    assert "Newest session decided: 2017-12-29" in section


def test_a_sessions_row_says_how_it_ended_where_that_is_on_record(
    reports: Path, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(2, 8):
        (reports / f"index_daily-2020-01-{day:02}.html").write_text("", encoding="utf-8")
    sentences = {f"2020-01-{day:02}": f"equity {day},000 USD" for day in range(2, 7)}
    monkeypatch.setattr(pages, "session_summaries", lambda _, name: sentences if name == "index_daily" else {})
    page = body(get("/reports/"))
    assert page.count("index_daily, session: equity") == 2  # the newest of three is not on record
    assert "index_daily, session</span>" in page
    assert "index_daily, 2020-01-04</a>: equity 4,000 USD" in page


@pytest.mark.parametrize(
    ("headline", "shown"),
    [
        ("mine TRADES: 2 of 4 symbols to be held after 2020-01-02. No action needed.", "TRADES"),
        ("mine REDUCED: sizes are halved in a drawdown. No action needed.", "REDUCED"),
        ("mine DOES NOT TRADE: flat by the verdict; other TRADES: 2 of 4 symbols.", "DOES_NOT_TRADE"),
        ("mine HALTED: the kill switch is HALTED; before that mine TRADES: 2 of 4.", "HALTED"),
        # What says none of the words first is shown as the strictest of them.
        ("other TRADES: 2 of 4 symbols to be held after 2020-01-02.", "HALTED"),
        ("mine TRADESMAN: 2 of 4 symbols.", "HALTED"),
        ("mine trades: 2 of 4 symbols.", "HALTED"),
        ("", "HALTED"),
    ],
)
def test_the_index_shows_a_strategy_by_the_word_that_its_first_line_says(
    reports: Path, get: Get, monkeypatch: pytest.MonkeyPatch, headline: str, shown: str
) -> None:
    monkeypatch.setattr(pages, "report", lambda _: {"strategies": {"mine": {"headline": headline}}})
    (section,) = [part for part in body(get("/reports/")).split("<section")[1:] if 'id="mine"' in part]
    assert f'<p class="headline {shown}">{headline}</p>' in section


def test_sessions_that_cannot_be_read_take_no_line_away(
    reports: Path, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(_: object, name: str) -> dict[str, str]:
        raise AuditError(expected="a", found=f"a changed row of {name}", remedy="c")

    monkeypatch.setattr(pages, "session_summaries", changed)
    page = body(get("/reports/"))
    assert "index_daily DOES NOT TRADE" in page
    assert "a changed row" not in page


def test_where_status_has_an_error_the_index_shows_it_and_lists_the_pages(
    reports: Path, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    (reports / "index_daily-2020-01-02.html").write_text("", encoding="utf-8")
    (reports.parent / "strategies").mkdir()
    (reports.parent / "strategies" / "mine.yaml").write_text("name: [\n", encoding="utf-8")
    page = body(get("/reports/"))
    (section,) = [part for part in page.split("<section")[1:] if 'id="mine"' in part]
    assert 'class="headline HALTED"' in section
    assert "mine.yaml" in section
    assert "/reports/index_daily-2020-01-02.html" in page

    def no_ledger(name: str | None) -> None:
        raise LedgerError(expected="a ledger", found=f"none for {name}", remedy="restore it")

    monkeypatch.setattr(pages, "report", no_ledger)
    page = body(get("/reports/"))
    assert "How the strategies stand is not known" in page
    assert "restore it" in page
    assert "/reports/index_daily-2020-01-02.html" in page


def test_an_empty_home_says_what_to_do(reports: Path, get: Get) -> None:
    assert "nn-assets check --strategy index_daily" in body(get("/reports/"))


def test_a_damaged_record_of_a_study_leaves_the_index_standing(reports: Path, get: Get) -> None:
    (reports / "index_daily-study.html").write_text("", encoding="utf-8")
    (reports / "index_daily-study.json").write_text("{", encoding="utf-8")
    assert "no verdict kept" in body(get("/reports/"))


@pytest.mark.parametrize(
    "name",
    [
        *("../secret.html", "x/../../secret.html", "/etc/hostname", "index_daily-study.json", "absent.html", "\0.html"),
        *("x" * 5_000, f"{'x' * 5_000}.html", "loop.html", "shut.html", "/".join(["x"] * 5_000) + ".html"),
    ],
    ids=lambda name: ascii(name[:12]),
)
def test_nothing_but_pages_of_the_folder_is_served(reports: Path, get: Get, name: str) -> None:
    (reports / "index_daily-study.json").write_text("{}", encoding="utf-8")
    (reports / "loop.html").symlink_to("loop.html")
    (reports / "shut.html").mkdir()
    assert get(f"/reports/{name}").status == 404


@pytest.mark.parametrize("refusal", [FileNotFoundError(2, "gone"), PermissionError(13, "denied"), OSError(5, "disk")])
def test_a_page_that_cannot_be_read_is_no_error_of_the_server(
    reports: Path, get: Get, monkeypatch: pytest.MonkeyPatch, refusal: OSError
) -> None:
    (reports / "demo.html").write_text("demo", encoding="utf-8")
    assert body(get("/reports/demo.html")) == "demo"
    plain_open = io.open

    def refused(file: Any, *words: Any, **named: Any) -> Any:
        if str(file).endswith("demo.html"):
            raise refusal
        return plain_open(file, *words, **named)

    monkeypatch.setattr(io, "open", refused)
    assert get("/reports/demo.html").status == 404


def test_an_index_beside_files_that_cannot_be_read_is_served(
    reports: Path, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    (reports / "index_daily-study.html").write_text("", encoding="utf-8")
    (reports / "index_daily-study.json").mkdir()

    def denied(_: None) -> dict[str, Any]:
        raise PermissionError(13, "Permission denied", "ledger.sqlite")

    monkeypatch.setattr(pages, "report", denied)
    page = body(get("/reports/"))
    assert "no verdict kept" in page
    assert "Permission denied" in page


def test_no_page_may_run_a_script_or_load_anything(reports: Path, get: Get) -> None:
    (reports / "demo.html").write_text("<script>", encoding="utf-8")
    for path in ("/reports/", "/reports/demo.html"):
        policy = dict(get(path).headers)[b"content-security-policy"].decode()
        assert policy.startswith("default-src 'none'; ")
        assert "script-src" not in policy


def test_the_ui_opens_on_the_graph(reports: Path, get: Get) -> None:
    answer = get("/")
    assert answer.status == 307
    assert dict(answer.headers)[b"location"] == b"/asset-groups"
    assert body(get("/asset-groups")) == "Dagster"


def test_everything_else_is_dagsters(reports: Path, get: Get) -> None:
    assert body(get("/runs")) == "Dagster"
    assert body(get("/reportsandmore")) == "Dagster"
    assert dict(get("/reports").headers)[b"location"] == b"/reports/"
