"""Run as a process of its own: does writes in children that kill themselves with SIGKILL at a step.

``python -m tests.store.killed`` takes lines ``WHAT FOLDER STEP`` and answers each with ``killed``, or
with the number of steps when the write completed. Step 0 is never reached.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import event

from nn_assets.store import files
from nn_assets.store.engine import open_engine
from nn_assets.store.lake import Lake
from nn_assets.store.ledger import Ledger
from nn_assets.store.models import ModelStore
from nn_assets.store.publication import PublicationStore
from tests.store.rounds import append_round, day_round

NOON = datetime(2018, 1, 2, 12, tzinfo=UTC)


class Countdown:
    """Kills the process at the n-th step; counts them all."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.reached = 0

    def __call__(self, *_: Any, **__: Any) -> None:
        self.reached += 1
        if self.reached == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def before_and_after(function: Callable[..., Any], countdown: Countdown) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        countdown()
        result = function(*arguments, **keywords)
        countdown()
        return result

    return wrapped


def bars(rows: int) -> pd.DataFrame:
    sessions = pd.date_range("2018-01-01", periods=rows, unit="ns")
    return pd.DataFrame({"symbol": pd.Series(["A"] * rows, dtype="str"), "session": sessions, "close": range(rows)})


def write_ledger(folder: Path, countdown: Countdown) -> None:
    # Also counts the statements that create the schema, and each commit, before and after.
    def listen(engine: Any) -> None:
        event.listen(engine, "before_cursor_execute", countdown)
        event.listen(engine, "commit", countdown)

    import nn_assets.store.ledger as ledgers

    def opened(address: str) -> Any:
        engine = open_engine(address)
        listen(engine)
        return engine

    ledgers.open_engine = opened  # type: ignore[attr-defined]
    with Ledger(f"sqlite:///{folder / 'ledger.sqlite'}", clock=lambda: NOON) as ledger:
        for day in ("2018-01-02", "2018-01-03"):
            append_round(ledger, day_round(day, symbols=2))
            countdown()


def write_lake(folder: Path, countdown: Countdown) -> None:
    _watch_files(countdown)
    lake = Lake(folder / "lake")
    lake.write_table("demo", "features", bars(3))
    lake.write_table("demo", "features", bars(4))
    for rows in (2, 3):
        lake.append_segment("demo", "raw_bars", bars(rows))
    lake.write_month("demo", "forecasts", "2018-01", bars(5))
    PublicationStore(lake).publish(
        "demo", bars(6), bars(1), first="2018-01-01", last="2018-01-06", content_hash="h", published_at=NOON
    )


def write_model(folder: Path, countdown: Countdown) -> None:
    _watch_files(countdown)
    ModelStore(folder / "models").put("0f" * 16, {"weights.safetensors": b"w" * 5000, "model.json": b"{}"})


def _watch_files(countdown: Countdown) -> None:
    for name in ("replace", "rename", "fsync"):
        setattr(files.os, name, before_and_after(getattr(os, name), countdown))


def in_a_child(what: str, folder: Path, step: int) -> str:
    """Do the write in a fork, and tell how it ended. This process itself starts no thread, so it may fork."""
    folder.mkdir(parents=True, exist_ok=True)
    told, tells = os.pipe()
    child = os.fork()
    if child == 0:
        countdown = Countdown(step)
        try:
            WRITES[what](folder, countdown)
            os.write(tells, str(countdown.reached).encode())
        finally:
            os._exit(0)
    os.close(tells)
    with os.fdopen(told) as stream:
        reached = stream.read()
    _, status = os.waitpid(child, 0)
    return "killed" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL else reached


WRITES = {"ledger": write_ledger, "lake": write_lake, "model": write_model}

if __name__ == "__main__":
    for what, folder, step in (line.split() for line in sys.stdin):
        print(in_a_child(what, Path(folder), int(step)), flush=True)
