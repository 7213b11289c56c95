"""A file ``HALT`` in the home: whatever lies there by that name halts, and to take it away resumes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.cli.controls import set_kill_switch
from nn_assets.errors import ControlError
from nn_assets.execution.orders import targets_to_orders
from nn_assets.operations.asof import halt_file
from nn_assets.operations.asof.controls import kill_switch_now, kill_switches_of, sending_control
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.kill_switch import note_halt_file
from nn_assets.portfolio.breakers import Control
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

NAME = "index_daily"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
    return tmp_path


@pytest.fixture
def strategy(home: Path) -> Strategy:
    return find_strategy(NAME).strategy


def live(strategy: Strategy) -> Strategy:
    """The same, whose history goes on: the wall clock says which session is next."""
    return strategy.model_copy(
        update={"market": strategy.market.model_copy(update={"history_ends": None, "vault_starts": None})}
    )


def noted(strategy: str) -> str | None:
    with Ledger() as ledger:
        return note_halt_file(ledger, strategy)


def laid(home: Path, kind: str) -> Path:
    file = home / "HALT"
    if kind == "folder":
        file.mkdir()
    elif kind == "link to nowhere":
        file.symlink_to(home / "nowhere")
    elif kind == "unreadable":
        file.write_bytes(b"\xff\x00")
        file.chmod(0)
    else:
        file.write_text("ACTIVE" if kind == "says ACTIVE" else "")
    return file


_FILES = ("empty", "unreadable", "says ACTIVE")


@pytest.mark.parametrize(
    "kind", ["folder", "link to nowhere", *(pytest.param(kind, marks=pytest.mark.full) for kind in _FILES)]
)
def test_whatever_lies_there_halts_what_is_sent_and_what_is_decided(home: Path, strategy: Strategy, kind: str) -> None:
    moment = pd.Timestamp("2017-06-01 21:00", tz="UTC")
    with Ledger() as ledger:
        assert kill_switch_now(ledger, NAME) == "ACTIVE"
        laid(home, kind)
        assert kill_switch_now(ledger, NAME) == "HALTED"
        assert kill_switches_of(ledger, strategy, moment, moment) == ("HALTED", "HALTED")
        sending = sending_control(ledger, strategy)
    assert sending.control is Control.HALTED
    assert "HALT lies in the home" in sending.reasons[0]
    assert not sending.stops_protect


def test_where_nobody_can_look_it_halts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(halt_file, "lstat", refused)
    with Ledger() as ledger:
        assert kill_switch_now(ledger, NAME) == "HALTED"


def test_to_take_it_away_resumes_nothing_until_a_person_says_why(home: Path, strategy: Strategy) -> None:
    file = laid(home, "empty")
    with pytest.raises(ControlError, match="no file HALT in the home"):
        set_kill_switch(NAME, "ACTIVE", "me", "all is well")
    with pytest.raises(ControlError, match="no file HALT in the home"):
        set_kill_switch(NAME, "REDUCING", "me", "all is well")
    assert "HALT" in str(noted(NAME))
    noted(NAME)  # read again, it is on record already
    file.unlink()
    assert noted(NAME) is None
    moment = pd.Timestamp("2017-06-01 21:00", tz="UTC")
    with Ledger() as ledger:
        rows = ledger.read("controls", NAME, every_version=True)
        assert rows["state"].tolist() == ["HALTED"]
        assert ledger.strategies("controls") == [NAME, "planted_edge"]  # every strategy
        assert kill_switch_now(ledger, NAME) == "HALTED"
        assert kill_switches_of(ledger, strategy, moment, moment)[0] == "HALTED"
        assert sending_control(ledger, strategy).control is Control.HALTED
    with pytest.raises(ControlError, match="a reason"):
        set_kill_switch(NAME, "ACTIVE", "me", " ")
    set_kill_switch(NAME, "ACTIVE", "me", "the file was a test")
    with Ledger() as ledger:
        assert kill_switch_now(ledger, NAME) == "ACTIVE"
        assert kill_switches_of(ledger, strategy, moment, moment) == ("ACTIVE", "ACTIVE")


def test_a_late_round_is_halted_by_it_and_fills_only_of_since_it_lay_there(home: Path, strategy: Strategy) -> None:
    """The switch of a command set after a session's moment leaves it alone; the file does not."""
    now = pd.Timestamp.now(tz="UTC")
    file = laid(home, "empty")
    hour_ago = (now - pd.Timedelta(hours=1)).value
    os.utime(file, ns=(hour_ago, hour_ago))
    decision, before, after = (now - pd.Timedelta(minutes=minutes) for minutes in (90, 120, 30))
    clocked = live(strategy)
    with Ledger() as ledger:
        assert kill_switches_of(ledger, clocked, decision, before) == ("HALTED", "ACTIVE")
        assert kill_switches_of(ledger, clocked, decision, after) == ("HALTED", "HALTED")
    noted(NAME)
    file.unlink()
    with Ledger() as ledger:
        assert kill_switches_of(ledger, clocked, decision, before) == ("HALTED", "ACTIVE")
        assert kill_switches_of(ledger, clocked, decision, after) == ("HALTED", "HALTED")
        # What was decided before it was read stands as it was decided.
        assert kill_switches_of(ledger, clocked, decision, after, decided_at=now) == ("ACTIVE", "ACTIVE")


def test_a_file_of_tomorrow_lay_there_since_nobody_knows_when(home: Path, strategy: Strategy) -> None:
    """A clock that was set back: what the file's own time says is not believed."""
    file = laid(home, "empty")
    with pytest.MonkeyPatch.context() as patch:
        status = os.lstat(file)
        tomorrow = status.st_mtime_ns + 86_400 * 10**9

        class Tomorrow:
            st_mtime_ns = st_ctime_ns = tomorrow

        patch.setattr(halt_file, "lstat", lambda _: Tomorrow)
        long_ago = pd.Timestamp("2017-06-01 21:00", tz="UTC")
        with Ledger() as ledger:
            assert kill_switches_of(ledger, live(strategy), long_ago, long_ago) == ("HALTED", "HALTED")


def test_what_may_be_sent_under_each_control() -> None:
    from nn_assets.operations.asof.controls import SendingControl

    held = np.array([10.0, -5.0, 0.0, 4.0])
    orders = targets_to_orders(
        ("A", "B", "C", "D"), np.array([4.0, 2.0, 3.0, np.nan]), held, np.ones(4), np.zeros(4),
        strategy="s", session=pd.Timestamp("2017-06-01"),
    )  # fmt: skip
    closing = (None, None, "halted", "halted", None)
    for control, codes in [
        (Control.NORMAL, (None,) * 5),
        (Control.REDUCED, (None,) * 5),
        (Control.REDUCING, closing),
        (Control.FLAT, closing),
        (Control.HALTED, ("halted",) * 5),
    ]:
        sending = SendingControl(control)
        assert sending.of(orders, held).reason_code == codes
        assert sending.stops_protect == (control is not Control.HALTED)
    unknown = np.array([np.nan, -5.0, 0.0, 4.0])
    assert SendingControl(Control.REDUCING).of(orders, unknown).reason_code[0] == "halted"
