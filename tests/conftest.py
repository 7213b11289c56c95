"""Fixtures that several rooms' tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# Results are compared to the bit: one thread, as the product itself runs.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# A developer's own database is no place for tests.
os.environ.pop("NN_ASSETS_DATABASE_URL", None)
os.environ.pop("NN_ASSETS_DAGSTER_DATABASE_URL", None)

import pytest

from tests.postgres import Server, programs, running_server

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the project."""
    return CHECKOUT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real market data kept beside the checkout, never inside it."""
    folder = CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real market data (../shared/data) are absent on this machine")
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL server for as long as the tests last."""
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL server is installed on this machine (Debian: apt-get install postgresql)")
    with running_server(found) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """Address of an empty database of the test's own."""
    name = postgres_server.create()
    yield postgres_server.url(name)
    postgres_server.drop(name)
