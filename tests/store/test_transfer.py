"""A ledger copied to another database: whole, chain and all, or not at all."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Connection, Engine, Row, event, text

from nn_assets.errors import AuditError, LedgerError
from nn_assets.store.ledger import audit, transfer
from nn_assets.store.ledger.audit import AuditReport, verify
from nn_assets.store.ledger.chain import ChainHead
from nn_assets.store.ledger.engine import open_engine
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.schema import TABLES
from nn_assets.store.ledger.transfer import copy_ledger
from tests.postgres import Server
from tests.store.conftest import NOON
from tests.store.rounds import append_round, day_round

DAYS = ("2018-01-02", "2018-01-03", "2018-01-04")
KILLED_COPIES = """
import os, signal, sys
from sqlalchemy import event
from nn_assets.store.ledger.engine import open_engine
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.transfer import copy_ledger

def copy(source, target, step):
    reached = 0

    def count(*_):
        nonlocal reached
        reached += 1
        if reached == step:
            os.kill(os.getpid(), signal.SIGKILL)

    with Ledger(target) as ledger:
        event.listen(ledger.engine, "before_cursor_execute", count)
        event.listen(ledger.engine, "after_cursor_execute", count)
        event.listen(ledger.engine, "commit", count)
        copy_ledger(open_engine(source, read_only=True), ledger)
    return reached

# Each copy in a child, which finds everything imported; this process itself opens nothing.
for line in sys.stdin:
    source, target, step = line.split()
    child = os.fork()
    if child == 0:
        try:
            print("steps", copy(source, target, int(step)), flush=True)
        finally:
            os._exit(0)
    status = os.waitpid(child, 0)[1]
    print("signal", os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, flush=True)
"""


@pytest.fixture(scope="module")
def first_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ledger of two sessions, with a row of every oddity in it; each test has a copy."""
    folder = tmp_path_factory.mktemp("source")
    with Ledger(f"sqlite:///{folder / 'ledger.sqlite'}", clock=lambda: NOON) as ledger:
        for day in DAYS[:2]:
            append_round(ledger, day_round(day, symbols=3))
        odd = {"settings_hash": "名 %s", "settings": {"é": [0.1, None, "\U0001f600"], "a": {"1": 5e-324}}}
        ledger.append("settings_versions", [odd], run_id="run", strategy="demo")
        ledger.append("settings_versions", [odd | {"settings": {}}], run_id="run", strategy="demo", reason="— why")
    return folder


@pytest.fixture
def source_url(first_source: Path, tmp_path: Path) -> str:
    """Address of an embedded ledger of two sessions."""
    return f"sqlite:///{shutil.copytree(first_source, tmp_path / 'source') / 'ledger.sqlite'}"


@pytest.fixture
def source(source_url: str) -> Iterator[Engine]:
    engine = open_engine(source_url, read_only=True)
    yield engine
    engine.dispose()


@pytest.fixture
def target(ledger_url: str) -> Iterator[Ledger]:
    with Ledger(ledger_url, clock=lambda: NOON) as opened:
        yield opened


def _demand_same(source_url: str, target: Ledger) -> None:
    with Ledger(source_url) as original:
        assert verify(original).ok
        assert verify(target, expected_head=original.head()).ok
        pd.testing.assert_frame_equal(original.chain(), target.chain())
        for table in TABLES:
            frames = [ledger.read(table, every_version=True, bookkeeping=True) for ledger in (original, target)]
            pd.testing.assert_frame_equal(*frames, check_exact=True)


def _demand_empty(target: Ledger) -> None:
    assert target.head().sequence == 0
    assert [table for table in TABLES if target.count(table)] == []


def test_a_copy_is_the_same_rows_and_the_same_chain(source: Engine, source_url: str, target: Ledger) -> None:
    done = copy_ledger(source, target)
    assert done.copied == done.verified.entries > 20
    assert sum(done.verified.rows.values()) > 90
    _demand_same(source_url, target)


@pytest.mark.full
def test_the_source_is_untouched_by_being_copied(source: Engine, tmp_path: Path, target: Ledger) -> None:
    file = tmp_path / "source" / "ledger.sqlite"
    before = file.read_bytes(), file.stat().st_mtime_ns
    copy_ledger(source, target)
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    with pytest.raises(Exception, match="readonly"), source.begin() as connection:
        connection.execute(text("CREATE TABLE more (n int)"))


@pytest.mark.full
def test_a_copy_goes_on_from_where_the_chain_was(source: Engine, source_url: str, target: Ledger) -> None:
    copy_ledger(source, target)
    head = target.head()
    for ledger in (target, Ledger(source_url, clock=lambda: NOON)):
        append_round(ledger, day_round(DAYS[2], symbols=3))
        ledger.close()
    assert verify(target, expected_head=head).ok
    _demand_same(source_url, target)  # the chain is the one that the source would have had


@pytest.mark.full
def test_a_copy_made_again_adds_only_what_is_new(source: Engine, source_url: str, target: Ledger) -> None:
    first = copy_ledger(source, target)
    assert copy_ledger(source, target).copied == 0
    with Ledger(source_url, clock=lambda: NOON) as original:
        append_round(original, day_round(DAYS[2], symbols=3))
        grown = len(original.chain())
    assert copy_ledger(source, target).copied == grown - first.copied > 0
    _demand_same(source_url, target)


@pytest.mark.parametrize("ahead", [False, True])
def test_a_target_with_a_chain_of_its_own_is_refused_and_left_alone(
    source: Engine, target: Ledger, *, ahead: bool
) -> None:
    if ahead:
        copy_ledger(source, target)
    append_round(target, day_round(DAYS[2], symbols=1))
    head = target.head()
    with pytest.raises(LedgerError, match="never overwritten"):
        copy_ledger(source, target)
    assert target.head() == head


@pytest.mark.full
def test_a_source_that_was_tampered_with_is_not_even_begun_to_be_copied(
    source: Engine, source_url: str, target: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = open_engine(source_url)
    with owner.begin() as connection:
        connection.execute(text("DROP TRIGGER fills_no_update"))
        connection.execute(text("UPDATE fills SET price = price * 2 WHERE symbol = 'S01'"))
    owner.dispose()
    monkeypatch.setattr(transfer, "writing", lambda _: pytest.fail("the target was opened for writing"))
    with pytest.raises(AuditError, match="row changed"):
        copy_ledger(source, target)
    _demand_empty(target)


@pytest.mark.full
@pytest.mark.parametrize("spoilt", ["lost", "changed", "doubled"])
def test_a_copy_that_is_not_the_source_is_undone(
    source: Engine, target: Ledger, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    honest = transfer._pieces

    def spoiling(rows: Iterable[Row[Any]]) -> Iterator[list[dict[str, Any]]]:
        for piece in honest(rows):
            if "fill_id" not in piece[0]:
                yield piece
            elif spoilt == "lost":
                yield piece[1:]
            elif spoilt == "doubled":
                yield [*piece, piece[0]]
            else:
                yield [piece[0] | {"price": np.nextafter(piece[0]["price"], np.inf)}, *piece[1:]]

    monkeypatch.setattr(transfer, "_pieces", spoiling)
    with pytest.raises(LedgerError):
        copy_ledger(source, target)
    _demand_empty(target)


@pytest.mark.parametrize(
    "differs", [{"entries": 1}, {"rows": {}}, {"head": ChainHead(1, "0" * 64)}], ids=["entries", "rows", "head"]
)
def test_counts_and_head_are_held_against_the_source(
    source: Engine, target: Ledger, monkeypatch: pytest.MonkeyPatch, differs: dict[str, object]
) -> None:
    verdicts = iter([{}, differs])  # the source's, then the target's

    def verify_within(connection: Connection, *, expected_head: object = None) -> AuditReport:
        return dataclasses.replace(audit.verify_within(connection), **next(verdicts))  # type: ignore[arg-type]

    monkeypatch.setattr(transfer, "verify_within", verify_within)
    with pytest.raises(LedgerError, match="left as it was"):
        copy_ledger(source, target)
    _demand_empty(target)


def test_a_file_that_is_no_ledger_of_this_version_is_not_copied(tmp_path: Path, target: Ledger) -> None:
    address = f"sqlite:///{tmp_path / 'other.sqlite'}"
    engine = open_engine(address)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE letters (n int)"))
    engine.dispose()
    plain = open_engine(address, read_only=True)
    with pytest.raises(LedgerError, match="no ledger"):
        copy_ledger(plain, target)
    plain.dispose()
    with Ledger(address) as ledger, ledger.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    old = open_engine(address, read_only=True)
    with pytest.raises(LedgerError, match="schema 0000"):
        copy_ledger(old, target)
    old.dispose()
    _demand_empty(target)


@pytest.mark.full
def test_a_copy_killed_anywhere_leaves_the_target_empty(
    source: Engine, source_url: str, postgres_url: str, postgres_ledger_url: str, checkout: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_COPIES],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as copies:
        requests, answers = copies.stdin, copies.stdout
        assert requests is not None
        assert answers is not None

        def copy(address: str, step: int) -> list[str]:
            requests.write(f"{source_url} {address} {step}\n")
            requests.flush()
            first = answers.readline().split()
            return first + (answers.readline().split() if first[0] == "steps" else [])

        label, steps, *ended = copy(postgres_ledger_url, 0)
        assert (label, *ended) == ("steps", "signal", "0")
        with Ledger(postgres_url) as target:
            for step in (2, int(steps) // 4, int(steps) // 2, int(steps)):  # the last one is the commit itself
                assert copy(postgres_url, step) == ["signal", "9"], step
                _demand_empty(target)
            assert copy_ledger(source, target).copied > 20
            _demand_same(source_url, target)
        requests.close()


@pytest.mark.full
def test_a_copy_whose_connection_is_ended_leaves_the_target_empty(
    source: Engine, postgres_url: str, postgres_server: Server
) -> None:
    database = postgres_url.rpartition("?")[0].rpartition("/")[2]
    with Ledger(postgres_url) as target:
        inserts: list[str] = []

        def cut_off(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith("INSERT INTO fills"):
                inserts.append(statement)
                postgres_server.terminate(database)

        event.listen(target.engine, "before_cursor_execute", cut_off)
        with pytest.raises(LedgerError):
            copy_ledger(source, target)
        event.remove(target.engine, "before_cursor_execute", cut_off)
        assert inserts
        _demand_empty(target)
        assert copy_ledger(source, target).copied > 20
