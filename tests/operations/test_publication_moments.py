"""Moments of publications whose records hold no hash of them: held against what the ledger recorded, and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.errors import PublicationError
from nn_assets.operations.publication_moments import require_moments
from nn_assets.store.lake.publication import Publication
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.mended import CLOCK
from nn_assets.store.ledger.schema import WHOLE_LEDGER

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


def made(ordinal: int, moment: datetime) -> Publication:
    day, name = pd.Timestamp("2026-02-27"), f"{ordinal:064x}"
    return Publication("one", ordinal, day, day, name, name, name, 1, 0, pd.Timestamp(moment), hashed=False)


@pytest.fixture
def clock() -> list[datetime]:
    return [NOW - 2 * HOUR]


@pytest.fixture
def ledger(tmp_path: Path, clock: list[datetime]) -> Iterator[Ledger]:
    """A ledger that recorded a first publication two hours ago, a second after it was made."""
    with Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", clock=lambda: clock[0]) as opened:
        record(opened, FIRST)
        yield opened


FIRST = made(1, NOW - 2 * HOUR - SECOND)


def record(ledger: Ledger, publication: Publication) -> None:
    ledger.append("publications", [publication.to_row()], run_id="run", strategy="one")


@pytest.mark.parametrize("moment", [NOW, NOW - 3 * HOUR], ids=["after all on record", "before all on record"])
def test_a_publication_that_a_killed_run_left_unrecorded_is_compared_with_no_record(
    ledger: Ledger, moment: datetime
) -> None:
    killed = made(2, moment)
    require_moments(ledger, "one", [FIRST, killed])
    with pytest.raises(PublicationError, match="published_at of publication 1 by"):
        require_moments(ledger, "one", [killed, made(1, NOW)])  # the one after it is compared all the same


def test_a_moment_that_a_clock_stamped_ahead_is_held_against_the_records_as_it_was_mended(
    ledger: Ledger, clock: list[datetime]
) -> None:
    ahead = NOW + timedelta(days=40)
    second = made(2, ahead - SECOND)
    clock[0] = ahead
    record(ledger, second)
    clock[0] = NOW
    read_as = {(ahead - late).isoformat(): (NOW - HOUR - late).isoformat() for late in (SECOND, 0 * SECOND)}
    row = {"control_id": "mend", "kind": CLOCK, "state": "MENDED", "who": "me", "reason": "why"}
    row |= {"details": {"read_as": read_as}, "strategy": WHOLE_LEDGER}
    ledger.append("controls", [row], run_id="test")
    require_moments(ledger, "one", [FIRST, second])
    with pytest.raises(PublicationError, match="published_at of publication 2 between"):
        require_moments(ledger, "one", [FIRST, made(2, ahead - 2 * SECOND)])  # a moment that nobody mended
