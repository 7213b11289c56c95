"""A ledger in a file, opened and closed by each test."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nn_assets.store.ledger import Ledger

NOON = datetime(2018, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(ledger_file: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{ledger_file}", clock=lambda: NOON) as opened:
        yield opened
