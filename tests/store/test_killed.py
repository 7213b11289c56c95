"""A writer killed with SIGKILL anywhere leaves nothing half done, and a rerun ends in the same bytes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nn_assets.errors import PublicationError
from nn_assets.store.audit import verify
from nn_assets.store.lake import Lake
from nn_assets.store.ledger import Ledger
from nn_assets.store.models import ModelStore
from nn_assets.store.publication import PublicationStore


@pytest.fixture(scope="module")
def do() -> Iterator[Callable[[str, Path, int], str]]:
    """Do a write up to a step, in a process that dies there: ``killed``, or how many steps there were."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.store.killed"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    ) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        requests, answers = driver.stdin, driver.stdout

        def write(what: str, folder: Path, step: int) -> str:
            requests.write(f"{what} {folder} {step}\n")
            requests.flush()
            return answers.readline().strip()

        yield write
        requests.close()


def dump(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".staged-" not in str(path) and path.name != ".lock"
    }


def chosen(steps: int, count: int) -> list[int]:
    """Steps spread over the whole write, the first and the last among them."""
    return sorted({1 + round(place * (steps - 1) / (count - 1)) for place in range(count)})


def test_a_ledger_killed_anywhere_ends_as_one_never_killed(do: Callable[[str, Path, int], str], tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    steps = int(do("ledger", whole, 0))
    expected = dump(whole / "ledger.sqlite")
    assert steps > 100
    for step in chosen(steps, 10):
        folder = tmp_path / f"{step}"
        assert do("ledger", folder, step) == "killed", step
        file = folder / "ledger.sqlite"
        with closing(sqlite3.connect(file)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        assert not tables or {"audit_chain", "signals", "alembic_version"} <= tables
        with Ledger(f"sqlite:///{file}") as ledger:
            counts = {ledger.count("signals"), ledger.count("fills"), ledger.count("drift") // 2}
            assert counts in ({0}, {2}, {4}), step  # all of a session or none of it
            assert verify(ledger).ok
        assert int(do("ledger", folder, 0)) > 0
        assert dump(file) == expected, step


def test_a_lake_killed_anywhere_ends_as_one_never_killed(do: Callable[[str, Path, int], str], tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    steps = int(do("lake", whole, 0))
    expected = tree(whole)
    for step in chosen(steps, 20):
        folder = tmp_path / f"{step}"
        assert do("lake", folder, step) == "killed", step
        lake = Lake(folder / "lake")
        readable = lake.address_of("demo", "features")
        assert readable is None or len(lake.read_table("demo", "features")) in (3, 4)
        assert [len(lake.read_table("demo", "raw_bars", a)) for a in lake.segments("demo", "raw_bars")] in (
            [],
            [2],
            [2, 3],
        )
        if PublicationStore(lake).current("demo") is not None:
            assert len(PublicationStore(lake).bars(PublicationStore(lake).require("demo", "2018-01-06"))) == 6
        else:
            with pytest.raises(PublicationError):
                PublicationStore(lake).require("demo", "2018-01-06")
        assert int(do("lake", folder, 0)) > 0
        assert tree(folder) == expected, step


def test_a_model_killed_anywhere_is_absent_or_whole(do: Callable[[str, Path, int], str], tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    steps = int(do("model", whole, 0))
    expected = tree(whole)
    for step in range(1, steps + 1):
        folder = tmp_path / f"{step}"
        assert do("model", folder, step) == "killed", step
        store = ModelStore(folder / "models")
        assert store.model_ids() == (("0f" * 16,) if store.has("0f" * 16) else ())
        assert int(do("model", folder, 0)) > 0
        assert tree(folder) == expected, step
