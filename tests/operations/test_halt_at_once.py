"""The command that halts asks the venue at once for the end of what the halted book has there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette

from nn_assets.cli.kill_switch_page import WithKillSwitch
from nn_assets.operations.accounts import halting
from nn_assets.operations.accounts.halting import halt_or_release
from nn_assets.operations.accounts.sending import send_orders
from nn_assets.operations.kill_switch import set_kill_switch
from nn_assets.orchestration.controls import kill_switch_job
from nn_assets.orchestration.resources import StoresResource
from tests.operations.account_books import Desk
from tests.orchestration.conftest import living_in, strategy_of, write_strategy


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk.of(tmp_path, "one", "two")
    monkeypatch.setattr(halting, "accounts", lambda: (made.account,))
    monkeypatch.setattr(halting.Driver, "opened", lambda *_, **__: made.driver())
    made.decided("one", {"AAA": 100})
    made.decided("two", {"BBB": 10})
    send_orders(made.driver())
    return made


def test_a_halt_ends_what_the_book_has_at_the_venue_and_leaves_the_others(desk: Desk) -> None:
    desk.halt("one")
    (done,) = halting.cancel_halted(desk.stores, ["one"], "test")
    assert done["text"] == "account desk: the end of 1 orders was asked for"
    assert {desk.venue.taken[name].symbol: status for name, status in desk.venue.status.items()} == {
        "AAA": "cancelled",
        "BBB": "working",
    }


def test_a_venue_that_is_down_or_late_is_named(desk: Desk) -> None:
    desk.halt("one")
    desk.venue.holds_cancels = True
    (done,) = halting.cancel_halted(desk.stores, ["one"], "test")
    assert "asked for, 1 of them may fill still: nn-assets account cancel --account desk" in done["text"]
    desk.venue.down = True
    (done,) = halting.cancel_halted(desk.stores, ["one"], "test")
    assert (
        "could not be reached: expected an answer; found maintenance: wait; what works there may fill" in done["text"]
    )
    assert halting.cancel_halted(desk.stores, ["another"], "test") == []


def by_job(name: str) -> None:
    config = {"state": "HALTED", "reason": "a test", "strategy": name, "who": "ann"}
    kill_switch_job(StoresResource()).execute_in_process(run_config={"ops": {"set_kill_switch": {"config": config}}})


def by_page(name: str) -> None:
    page = WithKillSwitch(Starlette())
    token = page._new_token()
    form = {"token": token, "strategy": name, "state": "HALTED", "reason": "a test", "who": "ann"}
    assert page._set(urlencode(form).encode()).status_code == 303
    assert any("the end of 0 orders was asked for" in line for line in page._forms[token].done)


@pytest.mark.parametrize("halts", [by_job, by_page])
def test_the_job_and_the_button_see_to_the_account_at_once_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, halts: Callable[[str], None]
) -> None:
    seen = []
    ends = halting.end_halted
    monkeypatch.setattr(halting, "end_halted", lambda driver: (seen.append(driver.account.name), ends(driver))[1])
    settings = {"folder": str(tmp_path / "nowhere")}
    write_strategy(tmp_path, execution={"broker": "file_drop", "broker_settings": settings, "account": "desk"})
    with living_in(tmp_path):
        halts(strategy_of().name)
    assert seen == ["desk"]


def test_the_command_halts_and_names_the_account_that_it_cannot_reach(tmp_path: Path) -> None:
    settings = {"folder": str(tmp_path / "nowhere")}
    write_strategy(tmp_path, execution={"broker": "file_drop", "broker_settings": settings, "account": "desk"})
    with living_in(tmp_path):
        done = halt_or_release(strategy_of().name, "HALTED", "ann", "a test")
        hint = set_kill_switch(strategy_of().name, "HALTED", "ann", "by the page")["text"]
    switched, there = done["text"].splitlines()
    assert switched.endswith("kill switch is HALTED")
    assert "account desk: the end of 0 orders was asked for" in there
    assert "nn-assets account cancel --account desk" in hint
