"""What needs a person, a line each in ``alerts.jsonl`` of the home: a mail or chat hook can follow the file.

Nothing here may stop what it reports: an alert that cannot be written goes to standard error, and the first line
says what keeps the file from being written.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nn_assets.operations.clock import now_utc
from nn_assets.operations.outcomes import kept_text
from nn_assets.store.home import home

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UnwritableAlerts:
    """Why no alert can be written, and what a person does about it."""

    found: str
    remedy: str


def append_alert(
    alert_id: str, headline: Callable[[], str], *, cause: str, remedy: str, **about: str | None
) -> str | None:
    """Append a line, unless one of the same id is there; None, or why it could not be: that is logged, never raised.

    Parameters
    ----------
    alert_id : str
        Names what happened: it is reported once, however often it is noticed.
    headline : callable
        Gives the strategy's headline; called only where the line is appended.
    cause, remedy : str
        What happened, and what a person can do about it.
    about
        What it is about: ``strategy``, ``job``, ``run_id``, ``session``.
    """
    why = None
    try:
        if (fault := fault_of_alerts()) is not None:
            why = f"{fault.found}; {fault.remedy}"
        else:
            _append(_file(), alert_id, headline, {**about, "cause": cause, "remedy": remedy})
    except Exception as error:  # noqa: BLE001  whatever is wrong with the file, what it would report happened
        why = f"{type(error).__name__}: {error}"
    if why is not None:
        _log.error("an alert could not be written (%s): %s. Remedy: %s", why, kept_text(cause), kept_text(remedy))
    return why


def fault_of_alerts() -> UnwritableAlerts | None:
    """What keeps alerts from being written, as far as it shows without writing; None where nothing does."""
    file = _file()
    if file.exists() and not file.is_file():
        return UnwritableAlerts(f"alerts cannot be written: {file} is no file", f"move {file} away: it is made anew")
    needed = file if file.exists() else file.parent
    if needed.exists() and not os.access(needed, os.W_OK):
        why = f"alerts cannot be written: this user may not write to {needed}"
        return UnwritableAlerts(why, f"give this user the right to write to {needed}")
    return None


def _append(file: Path, alert_id: str, headline: Callable[[], str], details: dict[str, str | None]) -> None:
    identity = {"alert_id": alert_id}
    content = file.read_bytes() if file.exists() else b""  # the file may hold bytes that are not text
    if json.dumps(identity).removeprefix("{").encode() in content:  # with what ends its line: one cut short is none
        return
    texts = {name: kept_text(text) for name, text in {"headline": _stands(headline), **details}.items() if text}
    line = json.dumps({**texts, "at": now_utc().isoformat(), **identity}) + "\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as stream:
        stream.write(
            b"\n" * (content[-1:] not in {b"", b"\n"}) + line.encode()
        )  # a truncated line must not spoil the next


def _stands(headline: Callable[[], str]) -> str:
    try:
        return headline()
    except Exception as error:  # noqa: BLE001  what happened is reported all the same
        return f"how it stands cannot be told: {type(error).__name__}: {error}"


def _file() -> Path:
    return home() / "alerts.jsonl"
