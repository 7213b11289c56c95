"""A book that the ledger has at an account stays there: with a file that cannot be read, is gone, or names another."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from nn_assets.errors import ControlError, DecisionError
from nn_assets.operations.accounts.books import account_named, accounts
from nn_assets.operations.accounts.cancelling import cancel_orders
from nn_assets.operations.accounts.reconciling import accept, reconcile
from nn_assets.operations.accounts.sending import send_orders
from nn_assets.operations.asof.account_left import require_account_as_left
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.decisions.rounds import decide_session
from nn_assets.operations.history import open_history
from tests.operations.account_books import ACCOUNT, DECIDED, NOON, SYMBOLS, TRADED, Desk, Memory, a_strategy


def write(home: Path, name: str, **execution: object) -> None:
    """A strategy's file as the desk's own, or with other settings of its orders."""
    at_desk = {"broker": "file_drop", "broker_settings": {"folder": "/nowhere"}, "account": ACCOUNT}
    settings = {
        "name": name,
        "market": {
            "calendar": "XNYS",
            "symbols": list(SYMBOLS),
            "history_starts": "2020-01-02",
            "live_starts": str(DECIDED.date()),
        },
        "label": {"execution": "next_open"},
        "execution": {"settle_seconds": 60.0, **at_desk, **execution},
    }
    (home / "strategies").mkdir(exist_ok=True)
    settings["execution"] = {key: value for key, value in settings["execution"].items() if value is not None}
    (home / "strategies" / f"{name}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A home with two books of one account, each with its settings on record; one holds and has a stop at the venue."""
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
    desk = Desk.of(tmp_path, "one", "two")
    for name in ("one", "two"):
        write(tmp_path, name)
        row = {"settings_hash": "x", "settings": a_strategy(name).behaviour(), "known_at": pd.Timestamp(0, tz="UTC")}
        desk.stores.ledger.append("settings_versions", [row], run_id="test", strategy=name)
    desk.venue.held["AAA"] = 100.0
    desk.decided("one", {"BBB": 20}, held={"AAA": 100}, stops={"AAA": 45.0})
    desk.decided("two", {})
    send_orders(desk.driver())
    assert working(desk.venue) == [("at_open", 20.0), ("stop", -100.0)]
    return desk


def working(venue: Memory) -> list[tuple[str, float]]:
    live = [order for name, order in venue.taken.items() if venue.status[name] == "working"]
    return sorted((order.kind, order.quantity) for order in live)


def from_files(desk: Desk, name: str = ACCOUNT) -> None:
    """The desk as the home's files and its ledger have it now."""
    desk.account = account_named(name)


def test_a_typo_in_one_books_file_keeps_its_stops_makes_the_account_differ_and_refuses_acceptance(
    desk: Desk, tmp_path: Path
) -> None:
    assert reconcile(desk.driver()).state == "agreed"
    file = tmp_path / "strategies" / "one.yaml"
    file.write_text(file.read_text() + "\ntypo: 1\n")
    from_files(desk)
    assert [strategy.name for strategy in desk.account.strategies] == ["one", "two"]  # one as on record
    desk.moment = NOON
    compared = reconcile(desk.driver())
    assert compared.state == "differs"
    assert [row["kind"] for row in compared.differences] == ["book"]
    assert "the file of one cannot be read" in compared.sentence
    send_orders(desk.driver(), waits=False)
    assert ("stop", -100.0) in working(desk.venue)
    desk.venue.held["AAA"] = 60.0
    with pytest.raises(ControlError, match="the file of one cannot be read"):
        accept(desk.driver(), "me", "the venue is right")
    desk.halt("one")
    send_orders(desk.driver(), waits=False)
    assert working(desk.venue) == []


@pytest.mark.full
def test_the_only_book_of_an_account_with_a_broken_file_is_halted_at_its_venue_still(
    desk: Desk, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / "strategies" / f"{name}.yaml").write_text("name: [")
    (tmp_path / "HALT").touch()
    from_files(desk)
    send_orders(desk.driver(), waits=False)
    assert working(desk.venue) == []


@pytest.mark.full
def test_a_book_of_which_nothing_can_be_read_keeps_its_stops_and_loses_what_would_open(desk: Desk) -> None:
    desk.account = type(desk.account)(ACCOUNT, (a_strategy("two"),))
    send_orders(desk.driver(), waits=False)
    assert working(desk.venue) == [("stop", -100.0)]
    assert "one has orders that may fill" in reconcile(desk.driver()).sentence
    desk.halt("one")
    send_orders(desk.driver(), waits=False)
    assert working(desk.venue) == []


@pytest.mark.parametrize(
    "other",
    [
        {"account": "other"},
        pytest.param({"broker": "alpaca"}, marks=pytest.mark.full),
        pytest.param({"broker": "paper", "account": None}, marks=pytest.mark.full),
    ],
)
def test_another_account_or_broker_refuses_the_round_and_sends_nothing_while_the_old_one_has_something(
    desk: Desk, tmp_path: Path, other: dict[str, object]
) -> None:
    settings = {"broker_settings": None} if "broker" in other else {}
    write(tmp_path, "one", **{**settings, **other})
    changed = find_strategy("one").strategy
    refusal = "account desk at file_drop has 2 orders that may fill and positions"
    with open_history(changed) as history, pytest.raises(DecisionError, match=refusal):
        decide_session(history, TRADED, "test")
    require_account_as_left(desk.stores.ledger, a_strategy("one"))  # set back
    old, taken = desk.venue, dict(desk.venue.taken)
    if other.get("account") == "other":  # where it is to go nothing is sent for it, nor any stop
        from_files(desk, "other")
        desk.venue = Memory(held={"AAA": 100.0}, cash_usd=1_000_000.0)
        send_orders(desk.driver(), waits=False)
        assert desk.venue.sends == []
        assert "the file of one names other at file_drop" in reconcile(desk.driver()).sentence
    from_files(desk)
    desk.venue = old
    assert desk.account.strategies[0].execution.broker == "file_drop"
    assert "the file of one names" in reconcile(desk.driver()).sentence
    send_orders(desk.driver(), waits=False)
    assert desk.venue.taken == taken
    assert ("stop", -100.0) in working(old)
    cancel_orders(desk.driver())
    assert working(old) == []


@pytest.mark.full
def test_a_flat_book_may_change_its_account(desk: Desk, tmp_path: Path) -> None:
    cancel_orders(desk.driver())
    desk.decided("one", {}, session=pd.Timestamp("2024-03-05"))
    write(tmp_path, "one", account="other")
    require_account_as_left(desk.stores.ledger, find_strategy("one").strategy)
    assert [(account.name, dict(account.apart)) for account in accounts()] == [("desk", {}), ("other", {})]
