"""The kill switch's own page in the UI: a form that HALTS or REDUCES, behind the gate of ``ui_guard.py``.

To open the page changes nothing. Its form is posted with a token that only the page has, and needs a reason and who
gives it. A form counts once: sent again as it is, by a reload or a second click, it only shows what it set. It stops
trading and cannot start it, nor make a strategy that is HALTED reduce: that is for the command, or the job, with a
strategy's name.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from threading import RLock
from urllib.parse import parse_qs, parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from nn_assets.errors import NnAssetsError
from nn_assets.operations.accounts.halting import halt_or_release
from nn_assets.operations.catalog import known_names
from nn_assets.operations.clock import now_utc
from nn_assets.portfolio.breakers import KillSwitch
from nn_assets.reports.page import KILL_SWITCH_PATH, render
from nn_assets.store.home import PAGES_PATH

_FIELDS = ("token", "strategy", "state", "reason", "who")
_MOST_BYTES = 16_384
_MOST_FORMS = 1_000  # opened and remembered
_STOPS = (KillSwitch.HALTED, KillSwitch.REDUCING)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'self'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class _Sent:
    """A form as it was sent, and what it set."""

    body: bytes | None
    done: list[str]


class WithKillSwitch:
    """Serves the kill switch's page; ``app`` answers the rest."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._forms: dict[str, _Sent | None] = {}  # by token, oldest first; None while it is unused
        self._one_at_a_time = RLock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] != KILL_SWITCH_PATH:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        if scope["method"] == "POST":
            body = await _body_of(request)
            response = await run_in_threadpool(self._set, body)
        else:
            asked = dict(parse_qsl(scope["query_string"].decode("latin-1")))
            sent = self._forms.get(asked.get("done", ""))
            response = await run_in_threadpool(self._page, asked.get("strategy", ""), done=sent.done if sent else None)
        await response(scope, receive, send)

    def _set(self, body: bytes | None) -> Response:
        """Set what a form says, or say why nothing was set."""
        form = {} if body is None else parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
        if sorted(form) != sorted(_FIELDS) or any(len(values) != 1 for values in form.values()):
            return self._page(fault="the form is not the one of this page", status=400)
        token, strategy, state, reason, who = (form[name][0] for name in _FIELDS)
        if token not in self._forms:
            return self._page(
                strategy, fault="the page is of an earlier start of the UI, or old: send it anew", status=403
            )
        if state not in _STOPS:
            return self._page(strategy, fault="this page HALTS or REDUCES, and nothing else", status=400)
        if not who.strip():
            return self._page(strategy, fault="nobody says who sets it", status=400)
        with self._one_at_a_time:
            sent = self._forms.get(token)
            if sent is None or sent.body != body:  # gone back to and changed, it is another form
                try:
                    done = halt_or_release(
                        strategy or None, state, f"{who.strip()}, in the UI", reason, never_milder=True
                    )
                except (NnAssetsError, OSError) as error:
                    return self._page(strategy, fault=str(error), status=400)
                at = f"Set at {now_utc():%Y-%m-%d %H:%M:%S} UTC:"
                self._forms[token] = _Sent(body, [at, *str(done["text"]).splitlines()])
        return RedirectResponse(f"{KILL_SWITCH_PATH}?done={token}", 303, headers=_HEADERS)

    def _new_token(self) -> str:
        token = secrets.token_urlsafe(32)
        with self._one_at_a_time:
            self._forms[token] = None
            while len(self._forms) > _MOST_FORMS:
                self._forms.pop(next(iter(self._forms)))
        return token

    def _page(self, chosen: str = "", *, done: list[str] | None = None, fault: str = "", status: int = 200) -> Response:
        try:
            names = known_names()
        except (NnAssetsError, OSError) as error:  # every strategy can be halted all the same
            names, fault = [], fault or f"which strategies there are is not known: {error}"
        page = render(
            "kill_switch.html",
            title="Kill switch",
            path=KILL_SWITCH_PATH,
            reports=PAGES_PATH,
            token="" if done else self._new_token(),
            names=names,
            chosen=chosen,
            done=done or [],
            fault=fault,
        )
        return HTMLResponse(page, status, headers=_HEADERS)


async def _body_of(request: Request) -> bytes | None:
    """The body; None where it is longer than any form of this page."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            return None
    return body
