"""What a power cut may not take back: content is on the disk before its name is, and every name soon after."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nn_assets.arrays import Cube
from nn_assets.operations.stores import open_stores
from nn_assets.store.lake.files import locked, staged_folder, write_bytes
from nn_assets.store.lake.lake import Lake
from nn_assets.store.lake.models import ModelStore
from nn_assets.store.lake.publication import PublicationStore
from tests.store.test_lake import some_bars

Event = tuple[str, Any]


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """What was flushed, moved and made, in order, once the test has its folder."""
    recorded: list[Event] = []

    def watch(name: str, tell: Callable[..., Event]) -> None:
        real = getattr(os, name)

        def call(*arguments: Any, **keywords: Any) -> Any:
            event = tell(*arguments)
            answer = real(*arguments, **keywords)
            recorded.append(event)
            return answer

        monkeypatch.setattr(os, name, call)

    def moved(source: Path, target: Path) -> Event:
        return "moved", ({_identity(path) for path in (source, *source.rglob("*"))}, _identity(target.parent))

    watch("fsync", lambda descriptor: ("flushed", _identity(descriptor)))
    watch("mkdir", lambda path, *_: ("made", _identity(Path(path).parent)))
    for name in ("replace", "rename"):
        watch(name, lambda source, target: moved(Path(source), Path(target)))
    return recorded


def _identity(path: Path | int) -> tuple[int, int]:
    """Inode and size, so that a file flushed before it was filled counts as another; of a folder the inode alone."""
    status = os.stat(path)  # noqa: PTH116  a descriptor has no path
    return status.st_ino, 0 if stat.S_ISDIR(status.st_mode) else status.st_size


def _demand_durable(events: list[Event], folder: Path) -> None:
    assert [what for what, _ in events].count("moved") > 0
    for index, (what, detail) in enumerate(events):
        before = {identity for kind, identity in events[:index] if kind == "flushed"}
        after = {identity for kind, identity in events[index:] if kind == "flushed"}
        if what == "moved":
            contents, holder = detail
            assert contents <= before, f"event {index}: renamed before its content was flushed"
            assert holder in after, f"event {index}: renamed, and the folder not flushed after"
        if what == "made":
            assert detail in after, f"event {index}: a folder made, and the one above it not flushed after"
    flushed = {identity for kind, identity in events if kind == "flushed"}
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    assert files
    assert [path for path in files if _identity(path) not in flushed] == []


def _new_file(folder: Path) -> None:
    write_bytes(folder / "above" / "below" / "file", b"content")


def _file_again(folder: Path) -> None:
    write_bytes(folder / "file", b"old")
    write_bytes(folder / "file", b"newer")


def _new_folder(folder: Path) -> None:
    with staged_folder(folder / "above" / "whole") as staged:
        (staged / "one").write_bytes(b"1")
        (staged / "two").write_bytes(b"22")


def _file_beside_a_lock(folder: Path) -> None:
    with locked(folder / "above" / "below"):
        write_bytes(folder / "above" / "below" / "file", b"content")


def _lake(folder: Path) -> None:
    lake = Lake(folder)
    lake.write_table("demo", "features", some_bars(3))
    lake.write_month("demo", "forecasts", "2018-01", some_bars(3))
    lake.append_segment("demo", "raw_bars", some_bars(3))
    bars = some_bars(2)
    lake.write_cube("demo", "cube", Cube(pd.DatetimeIndex(bars["session"]), ("A",), ("x",), np.ones((2, 1, 1))))


def _publication(folder: Path) -> None:
    bars = some_bars(3)
    PublicationStore(Lake(folder)).publish(
        "demo",
        bars,
        bars[:1],
        first="2018-01-01",
        last="2018-01-03",
        content_hash="h",
        published_at="2018-01-04T00:00:00+00:00",
    )


def _model(folder: Path) -> None:
    ModelStore(folder).put("0f" * 16, {"weights.safetensors": b"w" * 5000, "model.json": b"{}"})


@pytest.mark.parametrize(
    "write", [_new_file, _file_again, _new_folder, _file_beside_a_lock, _lake, _publication, _model]
)
def test_content_is_flushed_before_it_is_renamed_and_every_folder_after(
    write: Callable[[Path], None], events: list[Event], tmp_path: Path
) -> None:
    write(tmp_path)
    _demand_durable(events, tmp_path)


def test_who_waits_for_a_strategy_says_so_first(tmp_path: Path) -> None:
    folder = tmp_path / "locks" / "one"
    folder.mkdir(parents=True)
    holder = (folder / ".lock").open("a")
    fcntl.flock(holder, fcntl.LOCK_EX)
    messages = []

    class LetsGo(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())
            holder.close()

    handler = LetsGo()
    logging.getLogger("nn_assets.operations.stores").addHandler(handler)
    try:
        for _ in range(2):  # and says nothing where no one is waited for
            ledger = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
            with open_stores(tmp_path / "lake", ledger, tmp_path) as stores, stores.alone("one"):
                pass
    finally:
        logging.getLogger("nn_assets.operations.stores").removeHandler(handler)
    assert messages == ["another run, study or check of one is under way: this one waits for it to end"]
