"""Whether the wall clock says what day it is for a strategy: one rule, whoever asks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nn_assets.operations import run_faults
from nn_assets.operations.asof import controls
from nn_assets.operations.bar_faults import Unquoted, delisting_line
from nn_assets.operations.clock import has_clock, last_open_session
from nn_assets.operations.stores import open_stores
from nn_assets.settings import MarketSettings, Strategy
from nn_assets.store.ledger.ledger import Ledger
from tests.orchestration.conftest import living_in

NOW = pd.Timestamp("2026-11-29 12:00", tz="UTC")
# What is stated, and whether the clock runs at NOW. The last session before it is that of 2026-11-27.
SETTINGS_OF_CLOCKS: dict[str, tuple[dict[str, str], bool]] = {
    "nothing": ({}, True),
    "a vault to come": ({"vault_starts": "2027-06-01"}, True),
    "a vault begun": ({"vault_starts": "2026-11-27"}, False),
    "a history that ended": ({"history_ends": "2026-10-30"}, False),
    "both, long ago": ({"history_ends": "2018-12-31", "vault_starts": "2018-01-02"}, False),
    "an end to come": ({"history_ends": "2027-06-30"}, True),
}
EVERY = pytest.mark.parametrize("case", list(SETTINGS_OF_CLOCKS))


def stating(name: str) -> tuple[Strategy, bool]:
    declared, runs = SETTINGS_OF_CLOCKS[name]
    market = {"calendar": "XNYS", "history_starts": "2014-01-02", "live_starts": "2016-01-04", **declared}
    return Strategy.model_validate({"name": "s", "market": market}), runs


@EVERY
def test_the_clock_runs_until_the_last_stated_session_is_decided(case: str) -> None:
    strategy, runs = stating(case)
    assert has_clock(strategy.market, NOW) is runs


def test_it_stops_at_the_decision_of_the_last_session_before_the_vault() -> None:
    market = MarketSettings.model_validate({"history_starts": "2014-01-02", "vault_starts": "2027-06-01"})
    last = pd.Timestamp("2027-05-28 20:00", tz="UTC") + pd.Timedelta(minutes=market.known_at_lag_minutes)
    assert has_clock(market, last - pd.Timedelta(seconds=1))
    assert not has_clock(market, last)
    assert last_open_session(market, NOW) == pd.Timestamp("2026-11-27")


@pytest.mark.parametrize(
    ("ends", "last"),
    [
        ("2026-10-30", "2026-10-30"),
        ("2026-11-27", "2026-11-27"),
        ("2026-11-30", "2026-11-27"),
        ("2027-06-30", "2026-11-27"),
    ],
)
def test_no_session_that_is_still_to_come_can_be_seen_whatever_end_is_stated(ends: str, last: str) -> None:
    market = MarketSettings.model_validate({"history_starts": "2014-01-02", "history_ends": ends})
    assert last_open_session(market, NOW) == pd.Timestamp(last)


@EVERY
def test_controls_headline_and_remedies_ask_the_same_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    strategy, runs = stating(case)
    for module in ("run_faults", "asof.controls", "bar_faults"):
        monkeypatch.setattr(f"nn_assets.operations.{module}.now_utc", lambda: NOW)
    with living_in(tmp_path), open_stores() as stores:
        ledger: Ledger = stores.ledger
        silent = [fault.why for fault in run_faults.faults_of_silence(ledger, strategy, in_time=False)]
        assert bool(silent) is runs
        halted = {"control_id": "c", "kind": "kill_switch", "state": "HALTED", "who": "w", "reason": "r", "details": {}}
        ledger.append("controls", [halted], run_id="test", strategy="s")
        # A switch set after a moment counts at it only where no clock tells the moments apart.
        switch = controls.kill_switch_at(ledger, strategy, pd.Timestamp("2020-01-02", tz="UTC"))
        assert switch == ["ACTIVE" if runs else "HALTED"]
    line = delisting_line(strategy, Unquoted("AAQ", pd.Timestamp("2026-10-27"), 4))
    assert ("known_at" in line) is not runs


def test_switches_of_two_clocks_are_read_in_the_order_in_which_they_were_set(tmp_path: Path) -> None:
    strategy, _ = stating("nothing")
    days = pd.to_datetime(["2026-08-01", "2026-06-22"], utc=True)  # the first clock ran ahead of the second
    seen = pd.Timestamp("2026-07-01", tz="UTC")
    with living_in(tmp_path):
        for number, (day, state) in enumerate(zip(days, ("HALTED", "ACTIVE"), strict=True)):
            row = {"control_id": f"{9 - number}", "kind": "kill_switch", "state": state, "who": "w", "reason": "r"}
            with Ledger(clock=day.to_pydatetime) as ledger:
                ledger.append("controls", [{**row, "details": {}}], run_id="test", strategy="s")
        with Ledger() as ledger:
            assert controls.kill_switch_at(ledger, strategy, seen) == ["ACTIVE"]
            assert controls.kill_switch_now(ledger, "s") == "ACTIVE"
