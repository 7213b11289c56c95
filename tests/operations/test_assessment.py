"""The self-assessment of controls, on a ledger whose history is known by hand: what fired, and what was overridden."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nn_assets.errors import AuditError, LedgerError
from nn_assets.execution import pre_trade_gate
from nn_assets.operations.assessment import Assessed, Assessment, assess, write_assessment
from nn_assets.operations.assessment.controls import GATE_CODES
from nn_assets.portfolio.breakers import BREAKERS
from nn_assets.store.ledger.ledger import Ledger
from tests.store.rounds import day_round

NAME = "demo"
DAYS = ("2018-01-02", "2018-01-03", "2018-01-04", "2018-01-05", "2018-01-08")


def play(ledger: Ledger, day: str, *, denied: int = 0, settings: str = "one", state: str = "CONTINUE", **changed: Any):
    """Put a session on record as a round does, with what of it matters here."""
    rows = day_round(day, symbols=3)
    details = {"verdict_allows": True, "kill_switch": changed.pop("kill_switch", "ACTIVE"), "breaker_reset": None}
    details |= changed.pop("details", {})
    rows["decisions"][0] |= {"settings_hash": settings, "details": details}
    rows["portfolio_states"][0] |= changed
    rows["trading_states"][0] |= {"state": state, "reasons": ["three features drifted"] if state != "CONTINUE" else []}
    for index, order in enumerate(rows["orders"]):
        order |= {"status": "denied", "reason_code": "price_collar"} if index < denied else {"status": "accepted"}
    with ledger.transaction("run", strategy=NAME) as transaction:
        for table, many in rows.items():
            transaction.append(table, many)


def act(ledger: Ledger, kind: str, state: str, who: str, reason: str, strategy: str = NAME, **details: Any) -> None:
    row = {"control_id": f"{kind}-{state}-{reason}", "kind": kind, "state": state, "who": who, "reason": reason}
    ledger.append("controls", [{**row, "details": details}], run_id="c", strategy=strategy)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five sessions: a weekly loss on the second, halted by hand after the third, two orders denied on the last."""
    file = tmp_path_factory.mktemp("assessed") / "ledger.sqlite"
    with Ledger(f"sqlite:///{file}") as ledger:
        versions = [
            {"settings_hash": "one", "settings": {"trade_without_verdict": False, "portfolio": {"gross_limit": 1.0}}},
            {"settings_hash": "two", "settings": {"trade_without_verdict": True, "portfolio": {"gross_limit": 0.5}}},
        ]
        moment = {"known_at": pd.Timestamp(0, tz="UTC")}
        ledger.append("settings_versions", [{**one, **moment} for one in versions], run_id="r", strategy=NAME)
        play(ledger, DAYS[0])
        book = {"breaker_reason": "5.00% below the week's peak, at most 4.00%"}
        play(ledger, DAYS[1], breaker="weekly_loss", book=book, state="REDUCE_SIZE")
        reset = {"after_session": DAYS[1], "breakers": ["weekly_loss"]}
        act(ledger, "breaker_reset", "RESET", "ann", "the loss was a split of no account", **reset)
        play(ledger, DAYS[2])
        act(ledger, "kill_switch", "HALTED", "bob", "the vendor is down")
        play(ledger, DAYS[3], kill_switch="HALTED")
        act(ledger, "kill_switch", "ACTIVE", "ann", "the vendor is back")
        forced = {"verdict_allows": False}
        play(ledger, DAYS[4], settings="two", denied=2, details=forced)
        act(ledger, "cost_model", "APPROVED", "cid", "the new clearer", approves="abc")
        compare_account(ledger)
    return file


def compare_account(ledger: Ledger) -> None:
    """An account that held more than its books, until a person took its word; an order taken back, a fill held back."""
    apart = [{"kind": "position", "symbol": "S00", "books": 0.0, "venue": 300.0}]
    common = {"session": DAYS[4], "details": {}}
    word = {"who": "ann", "reason": "bought by hand", "differences": apart, **common}
    rows = [
        {"reconciliation_id": "a", "state": "differs", **word, "who": None, "reason": None},
        {"reconciliation_id": "b", "state": "accepted", **word},
    ]
    ledger.append("reconciliations", rows, run_id="r", strategy=f"account.{NAME}")
    order = {"client_order_id": "o", **common}
    events = [
        {"event_id": "1", "event": "sending", "reason": None, **order},
        {"event_id": "2", "event": "withdrawn", "reason": "halted", **order},
    ]
    ledger.append("order_events", events, run_id="r", strategy=f"account.{NAME}")


@pytest.fixture
def recorded(file: Path) -> Iterator[Ledger]:
    """The ledger, to be read only."""
    with Ledger(f"sqlite:///{file}") as ledger:
        yield ledger


def of(made: Assessment, name: str) -> Assessed:
    (control,) = [control for control in made.controls if control.name == name]
    return control


def test_what_fired_what_it_did_and_who_overrode_it_and_why(recorded: Ledger) -> None:
    made = assess(recorded, NAME, None, None)
    assert (made.first, made.last, made.sessions) == (DAYS[0], DAYS[4], 5)
    assert made.head == str(recorded.head())
    weekly = of(made, "breaker weekly_loss")
    (fired,) = weekly.fired
    assert fired.session == DAYS[1]
    assert fired.what.startswith("paused trading: ")
    assert fired.what.endswith("latched at 1 closes of the period")
    (reset,) = weekly.overridden
    assert (reset.session, reset.who, reset.why) == (DAYS[1], "ann", "the loss was a split of no account")
    switch = of(made, "kill switch")
    assert [(event.session, event.who) for event in switch.fired] == [(DAYS[2], "bob"), (DAYS[3], "")]
    assert switch.fired[1].what.startswith("1 sessions were decided under it")
    assert [(event.session, event.who, event.why) for event in switch.overridden] == [
        (DAYS[3], "ann", "the vendor is back")
    ]
    (drift,) = of(made, "drift state").fired
    assert "REDUCE_SIZE" in drift.what
    assert "three features drifted" in drift.what
    (denied,) = of(made, "pre-trade gate, price_collar").fired
    assert denied.session == DAYS[4]
    assert denied.what.startswith("2 orders denied, for a price too far from the last close: S00")
    (forced,) = of(made, "verdict of the study").overridden
    assert forced.what.startswith(f"1 sessions, {DAYS[4]} to {DAYS[4]}, decided without a verdict")
    (changed,) = of(made, "settings").fired
    assert "portfolio.gross_limit 1.0 then, 0.5 now" in changed.what
    (approved,) = of(made, "cost change").overridden
    assert (approved.who, approved.why) == ("cid", "the new clearer")
    account = of(made, "account against books")
    assert "S00: the books hold 0, the venue 300" in account.fired[0].what
    assert [(event.who, event.why) for event in account.overridden] == [("ann", "bought by hand")]
    (back,) = of(made, "controls of what is sent").fired
    assert back.what == "order o taken back unsent: halted"
    never = set(made.untested)
    assert never >= {f"breaker {kind}" for kind in BREAKERS if kind != "weekly_loss"}
    assert never >= {f"pre-trade gate, {code}" for code in GATE_CODES if code != "price_collar"}
    assert not {"kill switch", "breaker weekly_loss", "drift state", "verdict of the study"} & never


def test_a_period_has_what_happened_in_it_alone(recorded: Ledger) -> None:
    made = assess(recorded, NAME, pd.Timestamp(DAYS[2]), pd.Timestamp(DAYS[3]))
    assert made.sessions == 2
    assert not of(made, "breaker weekly_loss").tested
    assert [event.who for event in of(made, "kill switch").overridden] == ["ann"]
    assert not of(made, "settings").fired
    with pytest.raises(LedgerError, match="a decided session of demo in the period"):
        assess(recorded, NAME, pd.Timestamp("2019-01-01"), pd.Timestamp("2019-12-31"))


def test_the_page_and_the_file_say_the_same_with_the_head(
    recorded: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    page, written = write_assessment(assess(recorded, NAME, None, None))
    text, document = page.read_text(), json.loads(written.read_text())
    assert str(recorded.head()) in text
    assert document["head"] == str(recorded.head())
    assert "the vendor is down" in text
    assert "breaker drawdown" in document["untested"]
    assert document["sentence"].startswith("5 sessions from 2018-01-02 to 2018-01-08: ")


def test_a_row_that_was_changed_is_no_evidence(file: Path, tmp_path: Path) -> None:
    changed = tmp_path / "ledger.sqlite"
    with sqlite3.connect(file) as whole, sqlite3.connect(changed) as database:
        whole.backup(database)
        database.execute("DROP TRIGGER controls_no_update")
        database.execute("UPDATE controls SET who = 'nobody' WHERE who = 'bob'")
    with Ledger(f"sqlite:///{changed}") as ledger, pytest.raises(AuditError):
        assess(ledger, NAME, None, None)


def test_every_code_of_the_pre_trade_gate_is_a_control() -> None:
    text = Path(pre_trade_gate.__file__).read_text()
    naming = [line for line in text.splitlines() if re.search(r"deny\(.*\"|codes\[row\] = \"", line)]
    denials = {line.split('"')[-2] for line in naming}
    assert len(denials) > 5
    assert denials <= set(GATE_CODES)
