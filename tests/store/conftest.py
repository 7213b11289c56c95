"""A ledger in a file or on a server, opened and closed by each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nn_assets.store.ledger.ledger import Ledger
from tests.postgres import Server

NOON = datetime(2018, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)

# Of what is said alike of either database, or before one is asked: a database on the server takes longer than the test.
IN_A_FILE_FIRST = pytest.mark.parametrize(
    "ledger_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.full)], indirect=True
)


@pytest.fixture(scope="session")
def migrated_database(postgres_server: Server) -> str:
    """A database with an empty ledger, from which others are copied: quicker than migrating each."""
    name = postgres_server.create()
    Ledger(postgres_server.url(name)).close()
    return name


@pytest.fixture
def postgres_ledger_url(postgres_server: Server, migrated_database: str) -> Iterator[str]:
    """Address of an empty ledger on the server."""
    name = postgres_server.create(f"TEMPLATE {migrated_database}")
    yield postgres_server.url(name)
    postgres_server.drop(name)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with an empty ledger, from which others are copied."""
    file = tmp_path_factory.mktemp("migrated") / "ledger.sqlite"
    Ledger(f"sqlite:///{file}").close()
    return file


@pytest.fixture(autouse=True)
def _as_the_product_makes_it(migrated_anew: None) -> None:
    """Here a new ledger is made by its migrations."""


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty ledger, once in a file and once on a server."""
    if request.param == "sqlite":
        return f"sqlite:///{shutil.copyfile(request.getfixturevalue('migrated_file'), tmp_path / 'ledger.sqlite')}"
    return str(request.getfixturevalue("postgres_ledger_url"))


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of a database in which there is nothing yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'bare.sqlite'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with Ledger(ledger_url, clock=lambda: NOON) as opened:
        yield opened
