"""An older copy of the ledger says of orders that they were never sent: an account sends nothing by it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nn_assets.operations.accounts.sending import send_orders
from nn_assets.store.ledger.anchor import anchor_head
from nn_assets.store.ledger.ledger import Ledger
from tests.operations.account_books import DECIDED, Desk


def test_by_a_ledger_that_was_cut_back_nothing_is_sent_and_the_finding_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NN_ASSETS_ANCHOR", str(tmp_path / "elsewhere.txt"))
    desk = Desk.of(tmp_path / "home", "one")
    file = tmp_path / "home" / "ledger.sqlite"
    older = file.read_bytes()
    desk.decided("one", {"AAA": 100.0})
    with Ledger(f"sqlite:///{file}") as ledger:
        anchor_head(ledger.head(), "one", str(DECIDED.date()), pd.Timestamp(desk.moment).to_pydatetime())
    file.write_bytes(older)
    again = Desk.of(tmp_path / "other", "one", venue=desk.venue)
    again.decided("one", {"AAA": 100.0, "BBB": 50.0})
    sent = send_orders(again.driver())
    assert not desk.venue.orders()
    assert "rewritten" in sent.changed or "cut back" in sent.changed
