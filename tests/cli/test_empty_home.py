"""What only reads makes nothing in a home in which nothing was taken in yet, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette

from nn_assets.cli.ledger import run_query, verify_audit
from nn_assets.cli.pages import WithReports
from nn_assets.cli.rederivation import audit_decisions
from nn_assets.cli.status import report
from nn_assets.errors import LedgerError
from nn_assets.store.ledger.ledger import Ledger
from tests.cli.test_ui_guard import Ask, ask_app


@pytest.fixture(params=["there", "not made yet"])
def empty(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    if request.param == "there":
        home.mkdir()
    monkeypatch.setenv("NN_ASSETS_HOME", str(home))
    return home


def test_what_only_reads_makes_nothing_in_an_empty_home(empty: Path) -> None:
    nothing = f"nothing was decided yet: there is no ledger {empty / 'ledger.sqlite'}"
    result = report(None)
    assert result["ok"]
    assert result["text"].startswith("index_daily, planted_edge: come with the package, never used in this home")
    index = ask_app(WithReports(Starlette()), Ask(path="/reports/"))
    assert b"index_daily" in b"".join(message.get("body", b"") for message in index.sent)
    denied = run_query("denied_orders", "index_daily", ["first=2018-01-02", "last=2018-01-31"])
    assert denied["ok"]
    assert denied["text"] == nothing
    for since_last in (False, True):
        verified = verify_audit(since_last=since_last)
        assert verified["ok"]
        assert verified["text"] == nothing
        assert verified["entries"] == 0
    assert audit_decisions("index_daily")["text"] == f"index_daily: {nothing}"
    assert {path.name for path in empty.parent.rglob("*")} <= {"home"}


def test_a_head_that_was_noted_is_in_no_ledger_that_is_not_there(empty: Path) -> None:
    with Ledger() as ledger:
        ledger.append("verifications", [{"verification_id": "1", "kind": "x", "details": {}}], run_id="t", strategy="s")
    head = verify_audit()["head"]
    file = empty / "ledger.sqlite"
    kept = file.rename(empty / "backup")
    for beside in empty.glob("ledger.sqlite-*"):
        beside.unlink()
    with pytest.raises(LedgerError, match="restore it from a backup") as refused:
        verify_audit(head)
    assert refused.value.where["file"] == str(file)
    assert not file.exists()
    kept.rename(file)
    assert verify_audit(head)["ok"]
