"""Orders that are not on their way to the venue are told: in an alert, in the first line, by a command's exit."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nn_assets.cli import accounts as commands
from nn_assets.operations.account_faults import fault_of_unsent
from nn_assets.operations.accounts import of_the_day
from nn_assets.operations.accounts.sending import send_orders
from nn_assets.operations.facts import StoredFacts
from nn_assets.operations.situation import headline_now
from tests.operations.account_books import DECIDED, NOON, Desk


def driven(desk: Desk, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Any:
    """A history of the desk's first book, whose days drive the desk's account; alerts go to a folder."""
    monkeypatch.setenv("NN_ASSETS_HOME", str(folder))
    monkeypatch.setattr(of_the_day, "_driver", lambda *_: desk.driver())
    monkeypatch.setattr(of_the_day, "headline_now", lambda _: "first line")
    history = SimpleNamespace(stores=desk.stores, strategy=desk.account.strategies[0])
    history.with_decided_since = lambda: history
    return history


def alerts(folder: Path, what: str = "cause") -> list[str]:
    files = sorted(folder.rglob("alerts.jsonl"))
    return [json.loads(line)[what] for file in files for line in file.read_text().splitlines()]


def test_a_venue_that_is_down_as_orders_go_out_is_an_alert_a_first_line_and_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk.of(tmp_path, "one", "two")
    history = driven(desk, monkeypatch, tmp_path)
    desk.decided("one", {"AAA": 100, "BBB": 10})
    of_the_day.after_round(history, "run", logging.getLogger())  # the other book decides later: no alert
    assert alerts(tmp_path) == []
    one = desk.account.of("one")
    assert one is not None
    missing = fault_of_unsent(desk.stores.ledger, one, DECIDED, desk.moment)
    assert missing is not None
    assert missing.why == "2 orders for 2024-03-05 are not on the way to the venue"
    desk.decided("two", {})
    desk.venue.answers = ["down"]
    of_the_day.after_round(history, "run", logging.getLogger())
    (cause,) = alerts(tmp_path)
    why = "expected an answer; found no connection: wait"
    assert cause == f"2 orders for 2024-03-05 are not on the way to the venue, which could not be reached: {why}"
    late = fault_of_unsent(desk.stores.ledger, one, DECIDED, NOON)
    assert late is not None
    assert late.why.endswith("and the moment has gone")

    desk.venue.answers = ["down"]
    monkeypatch.setattr(commands, "_driven", lambda name, command, work: work(desk.driver()))
    assert commands.sync(None)["ok"] is False
    assert commands.sync(None)["ok"] is True
    send_orders(desk.driver())
    assert len(desk.venue.taken) == 2
    assert fault_of_unsent(desk.stores.ledger, one, DECIDED, desk.moment) is None


def test_an_alert_of_orders_that_wait_says_so_in_its_first_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first line was that of the session before, under which no action was needed."""
    desk = Desk.of(tmp_path, "one")
    driven(desk, monkeypatch, tmp_path)
    monkeypatch.setattr(of_the_day, "headline_now", headline_now)
    history = StoredFacts(desk.stores, desk.account.strategies[0], DECIDED)
    assert history.decision_moments.empty  # read before the round
    desk.decided("one", {"AAA": 100, "BBB": 10})
    desk.venue.answers = ["down"]
    of_the_day.after_round(history, "run", logging.getLogger())  # type: ignore[arg-type]
    (said,) = alerts(tmp_path, "headline")
    assert "2 orders for 2024-03-05 are not on the way to the venue" in said
    now = headline_now(StoredFacts(desk.stores, desk.account.strategies[0], DECIDED))
    assert said.splitlines()[0] == str(now).splitlines()[0]
    assert history.decision_moments.empty  # what a session knew stays as it was read


def test_what_a_halt_keeps_back_is_not_called_missing(tmp_path: Path) -> None:
    desk = Desk.of(tmp_path, "one")
    desk.decided("one", {"AAA": 100})
    desk.halt("one")
    send_orders(desk.driver())
    assert fault_of_unsent(desk.stores.ledger, desk.account.strategies[0], DECIDED, desk.moment) is None
