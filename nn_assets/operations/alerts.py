"""What needs a person, a line each in ``alerts.jsonl`` of the home: a mail or chat hook can follow the file."""

from __future__ import annotations

import json
from collections.abc import Callable

from nn_assets.operations.clock import now_utc
from nn_assets.operations.outcomes import kept_text
from nn_assets.store.home import home

__all__ = ["append_alert"]


def append_alert(alert_id: str, headline: Callable[[], str], *, cause: str, remedy: str, **about: str | None) -> bool:
    """Append a line, unless one of the same id is there; whether it was appended.

    Parameters
    ----------
    alert_id : str
        Names what happened: it is told once, however many tell of it.
    headline : callable
        Gives the sentence that says how the strategy stands; asked only where the line is appended.
    cause, remedy : str
        What happened, and what a person can do about it.
    about
        What it is about: ``strategy``, ``job``, ``run_id``, ``session``.
    """
    file = home() / "alerts.jsonl"
    identity = {"alert_id": alert_id}
    if file.is_file() and json.dumps(identity).strip("{}") in file.read_text(encoding="utf-8"):
        return False
    told = {"headline": headline(), **about, "cause": cause, "remedy": remedy}
    texts = {name: kept_text(text) for name, text in told.items() if text}
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({**texts, "at": now_utc().isoformat(), **identity}) + "\n")
    return True
