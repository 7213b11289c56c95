"""What the tests of homes that earlier code left have in common: the command line and plain SQLite."""

from __future__ import annotations

import csv
import json
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nn_assets.cli import app


@dataclass(frozen=True)
class Answer:
    """What a command gave back."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Standard output as the one JSON document that ``--json`` promises."""
        return json.loads(self.out)


def give(*words: object) -> Answer:
    """Give a command in this process."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)


@contextmanager
def lived_in(archive: Path, folder: Path) -> Iterator[Path]:
    """A home, unpacked from what earlier code left behind, and lived in."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NN_ASSETS_HOME", str(folder))
        patch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
        yield folder


def reading(home: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(home / "ledger.sqlite"))


def columns(home: Path) -> dict[str, list[str]]:
    """The columns of every table of the ledger, but for the schema's own revision."""
    with reading(home) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: [column[1] for column in connection.execute(f'PRAGMA table_info("{name}")')]
            for name in names
            if name != "alembic_version" and not name.startswith("sqlite_")
        }


def rows(home: Path, asked: dict[str, list[str]]) -> dict[str, list[tuple[object, ...]]]:
    """Every row of some tables, the columns asked for alone, with the type that SQLite holds each value in."""
    contents = {}
    with reading(home) as connection:
        for table, names in asked.items():
            selected = ", ".join(f'"{name}", typeof("{name}")' for name in names)
            contents[table] = sorted(connection.execute(f'SELECT {selected} FROM "{table}"'), key=repr)
    return contents


def exported(table: str, out: Path, *options: str) -> list[dict[str, str]]:
    answer = give("export", table, "--strategy", "house", "--out", out, *options)
    assert answer.status == 0, answer.err
    with out.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def verified() -> dict[str, Any]:
    answer = give("audit", "verify", "--json")
    assert answer.status == 0, answer.out
    assert answer.document["findings"] == []
    return answer.document
