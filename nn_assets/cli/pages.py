"""The reports beside Dagster's pages: an ASGI application that answers under ``/reports/`` and hands the rest on."""

from __future__ import annotations

from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from nn_assets.cli.status import report
from nn_assets.errors import NnAssetsError
from nn_assets.operations.report_index import index_page, page_file, session_summaries, strategy_of
from nn_assets.operations.stores import open_stores
from nn_assets.reports.page import KILL_SWITCH_PATH
from nn_assets.store.home import PAGES_PATH, address_to_read
from nn_assets.store.ledger.ledger import Ledger

_FIRST_PAGE = "/asset-groups"  # the graph has every strategy from the start; Dagster's own first page has only runs
# A page holds what vendors and users wrote: were any of it ever run as a script, it could command the UI.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}
_NO_PAGE = PlainTextResponse("no such page can be read; all are listed on /reports/\n", status_code=404)


class WithReports:
    """Serves the index and the pages of the reports' folder, and opens on the graph; ``app`` answers the rest."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"] == "/":
            await RedirectResponse(_FIRST_PAGE)(scope, receive, send)
            return
        if scope["type"] != "http" or not f"{scope['path']}/".startswith(PAGES_PATH):
            await self._app(scope, receive, send)
            return
        response = await run_in_threadpool(_response, scope["path"])
        await response(scope, receive, send)


def _response(path: str) -> Response:
    if f"{path}/" == PAGES_PATH:
        return RedirectResponse(PAGES_PATH)
    if path == PAGES_PATH:
        return HTMLResponse(_index(), headers=_HEADERS)
    file = page_file(path.removeprefix(PAGES_PATH))
    try:
        return _NO_PAGE if file is None else HTMLResponse(_with_button(file), headers=_HEADERS)
    except OSError:  # it went, or this user may not read it
        return _NO_PAGE


def _with_button(file: Path) -> bytes:
    """A page as it lies there, with a button that halts its strategy: a file opened by itself has no UI behind it."""
    content, strategy = file.read_bytes(), strategy_of(file)
    if strategy is None:
        return content
    button = (
        f'<body>\n<p style="text-align:right;margin:8px 24px"><a style="color:#b00020;font-weight:700" '
        f'href="{KILL_SWITCH_PATH}?strategy={strategy}">Halt {strategy}</a></p>'
    )
    return content.replace(b"<body>", button.encode(), 1)


def _index() -> str:
    """The index with each strategy's first line; where ``status`` has none, what it says instead."""
    try:
        states = report(None)["strategies"]
        with address_to_read() as ledger, open_stores(ledger=ledger) as stores:
            return index_page(states, summaries={name: _session_summaries(stores.ledger, name) for name in states})
    except (NnAssetsError, OSError) as error:
        return index_page({}, str(error))


def _session_summaries(ledger: Ledger, strategy: str) -> dict[str, str]:
    """How sessions ended; nothing where a record cannot be read, which takes no other strategy's line away."""
    try:
        return session_summaries(ledger, strategy)
    except NnAssetsError:
        return {}
