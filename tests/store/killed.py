"""Run as a process of its own: does writes in children that kill themselves with SIGKILL at a step.

``python -m tests.store.killed`` takes lines ``WHAT FOLDER STEP`` and answers each with ``null`` where the
child was killed, or with the names of its steps, in order, where it came to its end. Step 0 is never reached.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import event

import nn_assets.store.ledger.ledger as ledgers
from nn_assets.arrays import Cube
from nn_assets.cli import controls
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations import mended_clock
from nn_assets.operations.asof import wrong_clock
from nn_assets.operations.history import History
from nn_assets.operations.intake import pieces
from nn_assets.operations.intake.bars import audit_bars, ingest_bars, publish_bars
from nn_assets.operations.stores import Stores
from nn_assets.operations.strategy_files import make_strategy
from nn_assets.store.lake import files, parts, segments
from nn_assets.store.lake.lake import Lake
from nn_assets.store.lake.models import ModelStore
from nn_assets.store.lake.publication import PublicationStore
from nn_assets.store.ledger.engine import open_engine
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.versions import version_of
from tests.store.rounds import append_round, day_round

NOON = datetime(2018, 1, 2, 12, tzinfo=UTC)


class Countdown:
    """Kills the process at the n-th step; keeps the names of those it passed."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.passed: list[str] = []

    def __call__(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def before_and_after(name: str, countdown: Countdown) -> Callable[..., Any]:
    # A process killed loses nothing that the kernel has: what a flush is for, a power cut, is not tried here.
    function = getattr(os, name) if name != "fsync" else lambda _: None

    def wrapped(*arguments: Any) -> Any:
        # what is renamed is told by its new place, under the folder of its table
        step = f"{name} {'/'.join(Path(arguments[1]).parts[-2:])}" if len(arguments) > 1 else name
        countdown(f"before {step}")
        result = function(*arguments)
        countdown(f"after {step}")
        return result

    return wrapped


def bars(rows: int) -> pd.DataFrame:
    sessions = pd.date_range("2018-01-01", periods=rows, unit="ns")
    return pd.DataFrame({"symbol": pd.Series(["A"] * rows, dtype="str"), "session": sessions, "close": range(rows)})


def opened_ledger(folder: Path, countdown: Countdown, **keywords: Any) -> Ledger:
    """A ledger of which every statement and every commit is a step, those that create its schema too."""
    _watch_ledgers(countdown)
    return Ledger(f"sqlite:///{folder / 'ledger.sqlite'}", **keywords)


def _watch_ledgers(countdown: Countdown) -> None:
    def opened(address: str) -> Any:
        engine = open_engine(address)
        event.listen(engine, "before_cursor_execute", lambda *arguments: countdown(f"before {arguments[2].split()[0]}"))
        event.listen(engine, "commit", lambda *_: countdown("before commit"))
        return engine

    ledgers.open_engine = opened  # type: ignore[attr-defined]


def write_ledger(folder: Path, countdown: Countdown) -> None:
    with opened_ledger(folder, countdown, clock=lambda: NOON) as ledger:
        for day in ("2018-01-02", "2018-01-03"):
            append_round(ledger, day_round(day, symbols=2))
            countdown("after commit")


def open_ledger(folder: Path, countdown: Countdown) -> None:
    with opened_ledger(folder, countdown):
        countdown("opened")


def write_lake(folder: Path, countdown: Countdown) -> None:
    _watch_files(countdown)
    lake = Lake(folder / "lake")
    lake.write_table("demo", "features", bars(3))
    lake.write_table("demo", "features", bars(4))
    for rows in (2, 3):
        lake.append_segment("demo", "raw_bars", bars(rows))
    lake.write_month("demo", "forecasts", "2018-01", bars(5))
    for days in (3, 4):
        sessions = pd.date_range("2018-01-01", periods=days, unit="ns")
        lake.write_cube("demo", "cube", Cube(sessions, ("A",), ("x",), np.ones((days, 1, 1))))
    PublicationStore(lake).publish(
        "demo", bars(6), bars(1), first="2018-01-01", last="2018-01-06", content_hash="h", published_at=NOON
    )


def write_additions(folder: Path, countdown: Countdown) -> None:
    """Three additions, which become one; after a kill, those that are not there yet."""
    _watch_files(countdown)
    segments.MERGED_AT_ONCE = 3
    lake = Lake(folder / "lake")
    for rows in (2, 3, 4)[lake.additions("demo", "raw_bars") :]:
        lake.append_segment("demo", "raw_bars", bars(rows))
    lake.append_segment("demo", "raw_bars", bars(5))


def heal(folder: Path, countdown: Countdown) -> None:
    """Read and write again what ``write_lake`` wrote, whatever became of manifests, pointers and lists of it."""
    _watch_files(countdown)
    lake = Lake(folder / "lake")
    lake.append_segment("demo", "raw_bars", bars(3))
    lake.append_segment("demo", "raw_bars", bars(2))
    lake.write_table("demo", "features", bars(4))
    lake.write_month("demo", "forecasts", "2018-01", bars(5))
    for table in ("raw_bars", "features", "forecasts"):
        for manifest in sorted(lake.folder("demo", table).glob("*.manifest.json")):
            lake.read_table("demo", table, manifest.name.removesuffix(".manifest.json"))


def stamp_ahead(folder: Path, countdown: Countdown) -> None:
    """Bars and a control, by a clock that runs 40 days ahead."""
    ahead = NOON + timedelta(days=40)
    stamped = bars(2).assign(known_at=pd.Timestamp(ahead), ingested_at=pd.Timestamp(ahead))
    Lake(folder / "lake").append_segment("demo", "raw_bars", stamped)
    row = {"control_id": "1", "kind": "kill_switch", "state": "ACTIVE", "who": "me", "reason": "why", "details": {}}
    with opened_ledger(folder, countdown, clock=lambda: ahead) as ledger:
        ledger.append("controls", [row], run_id="ahead", strategy="demo")


def mend_clock(folder: Path, countdown: Countdown) -> None:
    """The command that mends it, by a clock at noon."""
    os.environ["NN_ASSETS_HOME"] = str(folder)
    os.environ.pop("NN_ASSETS_DATABASE_URL", None)
    for module in (wrong_clock, mended_clock):
        module.now_utc = lambda: pd.Timestamp(NOON)  # type: ignore[attr-defined]
    Ledger.__init__.__kwdefaults__["clock"] = lambda: NOON
    _watch_files(countdown)
    _watch_ledgers(countdown)
    controls.mend_clock(NOON.isoformat(), "an operator", "the battery was flat")
    countdown("after commit")


def write_model(folder: Path, countdown: Countdown) -> None:
    _watch_files(countdown)
    ModelStore(folder / "models").put("0f" * 16, {"weights.safetensors": b"w" * 5000, "model.json": b"{}"})


def intake(last: str, *, long: int | None = None) -> Callable[[Path, Countdown], None]:
    """Bars up to a session taken in, cleaned, published and recorded, under whatever the clock says.

    More than ``long`` rows are kept in pieces, and a day is judged by itself.
    """

    def write(folder: Path, countdown: Countdown) -> None:
        _watch_files(countdown)
        if long is not None:
            parts._WHOLE_ROWS = long
        strategy = make_strategy(
            {
                "name": "demo",
                "source": {"kind": "simulator", "seed": 5},
                "market": {"symbols": ["SIM01", "SIM02"], "history_starts": "2016-01-04", "history_ends": last},
            }
        )
        with opened_ledger(folder, countdown) as ledger:
            stores = Stores(Lake(folder / "lake"), ledger, ModelStore(folder / "models"))
            history = History.of(stores, strategy)
            ingest_bars(history, folder)
            publish_bars(history, audit_bars(history), run_id=f"run {os.getpid()}")
            countdown("after commit")

    return write


def _watch_files(countdown: Countdown) -> None:
    for name in ("replace", "rename", "fsync"):
        setattr(files.os, name, before_and_after(name, countdown))


def in_a_child(what: str, folder: Path, step: int) -> list[str] | None:
    """Do the write in a fork; the steps it passed, None when killed. This process itself starts no thread."""
    folder.mkdir(parents=True, exist_ok=True)
    read_end, tells = os.pipe()
    child = os.fork()
    if child == 0:
        countdown = Countdown(step)
        try:
            WRITES[what](folder, countdown)
            with os.fdopen(tells, "w") as stream:
                json.dump(countdown.passed, stream)
        finally:
            os._exit(0)
    os.close(tells)
    with os.fdopen(read_end) as stream:
        passed = stream.read()
    _, status = os.waitpid(child, 0)
    return None if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL else json.loads(passed)


WRITES = {
    "ledger": write_ledger,
    "opening": open_ledger,
    "lake": write_lake,
    "additions": write_additions,
    "heal": heal,
    "ahead": stamp_ahead,
    "mend": mend_clock,
    "model": write_model,
    "intake_1": intake("2016-02-01"),
    "intake_2": intake("2016-02-02"),
    "intake_3": intake("2016-02-03"),
    "long_1": intake("2016-03-31", long=20),  # the end of a week and a quarter: pieces are joined the day after
    "long_2": intake("2016-04-04", long=20),
    "long_3": intake("2016-04-05", long=20),
}

# Imported where first needed, and slow to come: the children find them there.
SLOW = (
    "alembic.command",
    "alembic.config",
    "alembic.context",
    "nn_assets.sources.simulated",
    "pandas.core.methods.to_dict",
    "pandera.backends.pandas.builtin_checks",
    "pandera.pandas",
    "sqlalchemy.dialects.sqlite",
    "sqlite3",
)

if __name__ == "__main__":
    for name in SLOW:
        importlib.import_module(name)
    sessions_between("XNYS", "2016-01-04", "2016-02-03")  # a calendar is long in the making: every child has this one
    version_of(*pieces._MADE_BY)  # and so are the versions of the package's code
    for what, folder, step in (line.split() for line in sys.stdin):
        print(json.dumps(in_a_child(what, Path(folder), int(step))), flush=True)
