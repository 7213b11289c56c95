"""A ledger in a file, and the rows of a whole day's round to fill it with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nn_assets.store.ledger import Ledger
from tests.store.rounds import day_round

NOON = datetime(2018, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(ledger_file: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{ledger_file}", clock=lambda: NOON) as opened:
        yield opened


@pytest.fixture
def round_of() -> Callable[..., dict[str, list[dict[str, Any]]]]:
    return day_round
