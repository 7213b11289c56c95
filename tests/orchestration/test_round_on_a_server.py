"""A home that worked embedded goes on with its ledger and its runs on a server, and decides the same."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nn_assets.cli.ledger import verify_audit
from nn_assets.cli.migrate import migrate
from nn_assets.cli.runs import run_rounds
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.orchestration.instance import open_instance
from nn_assets.store.ledger.ledger import Ledger
from tests.operations.homes import decide
from tests.orchestration.conftest import FIRST_LIVE, NAME, RECORDS, strategy_of

LAST_EMBEDDED, NEXT = "2017-06-22", "2017-06-23"


@pytest.mark.full
def test_the_round_goes_on_where_the_ledger_was_moved_and_decides_the_same(
    studied: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(strategy_of(), sessions_between("XNYS", FIRST_LIVE, LAST_EMBEDDED))
    monkeypatch.setenv("NEW_LEDGER", postgres_url)
    moved = migrate("NEW_LEDGER")
    with open_instance() as instance:
        runs_embedded = instance.get_runs_count()

    with monkeypatch.context() as patch:
        patch.setenv("NN_ASSETS_DATABASE_URL", postgres_url)
        result = run_rounds(NAME, NEXT)
        with Ledger() as ledger:
            served = {table: ledger.read(table, NAME) for table in ("decisions", *RECORDS)}
        audit = verify_audit()
        with open_instance() as instance:
            run = instance.get_run_by_id(result["run_id"])
            assert instance.get_runs_count() == 1
        assert run is not None
        assert run.is_success
    assert audit["ok"]
    assert audit["entries"] > moved["entries"]

    assert verify_audit()["head"] == moved["head"]  # the file is as it was
    with open_instance() as instance:
        assert instance.get_runs_count() == runs_embedded
    decide(strategy_of(), [pd.Timestamp(NEXT)])  # what would have been decided had nothing moved
    with Ledger() as ledger:
        for table, rows in served.items():
            pd.testing.assert_frame_equal(ledger.read(table, NAME), rows, check_exact=True)
