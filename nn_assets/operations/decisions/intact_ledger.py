"""A round starts from records alone: what it reads of them is verified before it decides anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nn_assets.operations.clock import now_utc
from nn_assets.operations.history import History
from nn_assets.store.ledger.audit import verify_before_round


@contextmanager
def on_intact_ledger(history: History, run_id: str) -> Iterator[None]:
    """Verify what the next round goes on from, then within each row of the ledger as it is read.

    Raises
    ------
    AuditError
        A row is not as it was appended: nothing is decided.
    """
    ledger = history.stores.ledger
    verify_before_round(ledger, history.strategy.name, run_id=run_id, now=now_utc().to_pydatetime()).demand_ok()
    with ledger.rows_verified():
        yield
