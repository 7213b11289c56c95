"""A clock that ran ahead: nothing is decided on what it stamped until a person has it mended, on record."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.cli import controls
from nn_assets.cli.check import check_data
from nn_assets.cli.runs import run_rounds
from nn_assets.cli.status import report
from nn_assets.errors import ClockError, ControlError
from nn_assets.market.facts.bars import RevisionCount
from nn_assets.operations import facts, kill_switch, mended_clock, outcomes, run_faults, situation
from nn_assets.operations.asof import controls as controls_in_force
from nn_assets.operations.asof import wrong_clock
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay
from nn_assets.operations.exported_tables import read_exported
from nn_assets.operations.facts import RAW_BARS
from nn_assets.operations.history import open_history
from nn_assets.operations.intake import bars as intake
from nn_assets.operations.intake import gate_record
from nn_assets.operations.intake.gate_record import record_halt
from nn_assets.store.ledger.ledger import Ledger
from tests.first_lines import in_one_sentence
from tests.operations import homes
from tests.operations.test_refused_bars import delivered
from tests.orchestration.conftest import FIRST_LIVE, NAME, TINY, living_in, strategy_of, write_strategy

FIRST, SECOND, THIRD = "2017-06-21", "2017-06-22", "2017-06-23"
AHEAD, NOW = "2017-08-01 23:00", f"{SECOND} 23:00"
RESTATED = "2017-06-15"


def deliver(home: Path, last: str, *, restated: float = 1.0) -> None:
    bars = delivered(last)
    prices = ["open", "high", "low", "close"]
    old = (bars["session"] == RESTATED) & (bars["symbol"] == "SIM02")
    changed = bars.assign(**{name: bars[name].where(~old, restated * bars[name]) for name in prices})
    changed.to_csv(home / "strategies" / "bars.csv", index=False)


@contextmanager
def at(moment: str) -> Iterator[None]:
    """Every clock at one moment."""
    stamp = pd.Timestamp(moment, tz="UTC").as_unit("ns")
    with pytest.MonkeyPatch.context() as patch:
        in_force = (controls_in_force, wrong_clock, mended_clock, kill_switch)
        for module in (facts, intake, gate_record, outcomes, run_faults, situation, *in_force):
            patch.setattr(module, "now_utc", lambda: stamp)
        patch.setitem(Ledger.__init__.__kwdefaults__, "clock", lambda: stamp.to_pydatetime())
        yield


def take_in() -> RevisionCount:
    with open_history(strategy_of()) as history:
        return intake.ingest_bars(history, find_strategy(NAME).folder).counted


def decide(session: str) -> bool:
    return homes.decide(strategy_of(), [pd.Timestamp(session)])[0].already_decided


def mend(now: str, why: str = "the battery was flat") -> str:
    return str(controls.mend_clock(now, "an operator", why)["text"])


def headline() -> str:
    return str(in_one_sentence(report(NAME)["strategies"][NAME]["headline"]))


def exported(session: str) -> pd.DataFrame:
    with open_history(strategy_of()) as history:
        return read_exported(history, "bars", pd.Timestamp(session), pd.Timestamp(session), None)


def bars_seen_by(session: str) -> pd.DataFrame:
    with open_history(strategy_of()) as history:
        known = history.view(pd.Timestamp(session)).bars
    return known[known["session"] == session]


def stored() -> list[str]:
    with open_history(strategy_of()) as history:
        return list(history.stores.lake.segments(NAME, RAW_BARS))


def begun(home: Path) -> None:
    """A strategy whose first file was taken in by a right clock."""
    source = {**dict.fromkeys(TINY["source"]), "kind": "files", "path": "bars.csv"}
    write_strategy(home, source=source, market={"history_ends": None})
    deliver(home, FIRST)
    with living_in(home), at(f"{FIRST} 23:00"):
        take_in()


def take_in_ahead(home: Path) -> None:
    """The next file, by a clock 40 days ahead."""
    deliver(home, SECOND, restated=1.01)
    with living_in(home), at(AHEAD):
        assert take_in() == RevisionCount(added=6, revised=1, unchanged=len(delivered(FIRST)) - 1)


@pytest.fixture(scope="module")
def taken_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that took data in, by a right clock and then by one ahead, and decided nothing."""
    home = tmp_path_factory.mktemp("ahead")
    begun(home)
    take_in_ahead(home)
    return home


@pytest.fixture(scope="module")
def decided_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that decided its first live session by a right clock before."""
    home = tmp_path_factory.mktemp("decided")
    begun(home)
    with living_in(home), at(f"{FIRST} 23:00"):
        homes.publish(strategy_of())
        homes.train(strategy_of(), ["2017-06"])
        homes.decide(strategy_of(), [pd.Timestamp(FIRST_LIVE)])
    take_in_ahead(home)
    return home


@pytest.fixture
def taken(taken_home: Path, tmp_path: Path) -> Iterator[Path]:
    yield from copied(taken_home, tmp_path)


@pytest.fixture
def lived(decided_home: Path, tmp_path: Path) -> Iterator[Path]:
    yield from copied(decided_home, tmp_path)


def copied(home: Path, folder: Path) -> Iterator[Path]:
    shutil.copytree(home, folder / "home")
    with living_in(folder / "home"):
        yield folder / "home"


def test_moments_ahead_of_the_clock_stop_every_decision_until_they_are_mended_on_record(taken: Path) -> None:
    with at(NOW):
        assert take_in() == RevisionCount()  # the very files that were taken in: nothing is read
        deliver(taken, SECOND, restated=1.02)
        assert take_in() == RevisionCount(revised=1, unchanged=len(delivered(SECOND)) - 1)
        line = headline()
        assert line.startswith(
            f"{NAME} HALTED: expected no recorded moment later than now, {NOW}:00 UTC; found 2 moments"
        )
        assert "raw_bars" in line
        assert 'nn-assets control clock --now "UTC TIME BY ANOTHER CLOCK" --reason "..."' in line
        for refused in (lambda: decide(SECOND), lambda: run_rounds(NAME, SECOND)):
            with pytest.raises(ClockError, match="up to 2017-08-01 23:00:00 UTC"):
                refused()
        before = stored()
        with pytest.raises(ControlError, match="a clock within five minutes"):
            mend("2017-08-01 23:00")
        with pytest.raises(ControlError, match="a reason"):
            mend(NOW, " ")
        with pytest.raises(ControlError, match="the UTC time by another clock"):
            mend("soon")
        assert "raw_bars of tiny: 2, 2017-08-01 23:00:00" in mend(f"{SECOND} 23:02")
        assert stored() == before
        assert mend(NOW).endswith("nothing to mend")
        assert "moments on record" not in headline()
        with Ledger() as ledger:
            row = ledger.read("controls", "*").iloc[0]
        assert (row["kind"], row["who"], row["reason"]) == ("clock", "an operator", "the battery was flat")


@pytest.mark.full
def test_nothing_is_decided_until_the_clock_is_mended_and_then_nothing_is_hidden(lived: Path) -> None:
    with at(NOW):
        deliver(lived, SECOND, restated=1.02)
        take_in()
        mend(NOW)
    with at(f"{SECOND} 23:01"):
        homes.publish(strategy_of())
        assert not decide(SECOND)
        assert len(exported(SECOND)) == 6  # after the decision too
        assert decide(SECOND)
        with open_history(strategy_of()) as history:
            assert decisions_repeat_in_replay(history) == (2, [])
            panel, earlier = history.view(SECOND).panel, history.view(FIRST).panel
    row, column = panel.row(pd.Timestamp(RESTATED)), panel.symbols.index("SIM02")
    plain = delivered(SECOND).set_index(["symbol", "session"])["close"]
    true = float(plain.loc[("SIM02", pd.Timestamp(RESTATED))])
    assert earlier.close[row, column] == pytest.approx(true)  # restated after that decision
    assert panel.close[row, column] == pytest.approx(true)  # known from the mend on: after the close of the 22nd
    deliver(lived, THIRD, restated=1.02)
    with at(f"{THIRD} 23:00"):
        homes.take_in(strategy_of())
        decide(THIRD)
        with open_history(strategy_of()) as history:
            assert history.view(THIRD).panel.close[row, column] == pytest.approx(1.02 * true)
            assert decisions_repeat_in_replay(history) == (3, [])


@pytest.mark.full
def test_what_was_decided_on_hidden_bars_before_can_be_derived_again(
    lived: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with at("2017-08-01 23:05"):
        controls.set_kill_switch(NAME, "ACTIVE", "me", "an act by the wrong clock after it took data in")
    with at(f"{SECOND} 22:30"):
        controls.set_kill_switch(NAME, "ACTIVE", "me", "an act by the right clock")
    with at(NOW):
        homes.publish(strategy_of())
        with monkeypatch.context() as patched:
            patched.setattr(facts.StoredFacts, "clock_fault", None)  # as it was before moments ahead were told
            assert not decide(SECOND)
        assert len(bars_seen_by(SECOND)) == 0  # hidden, since they seem to have been stored later
        mend(NOW)
        assert len(bars_seen_by(SECOND)) == 6
        assert decide(SECOND)
        with open_history(strategy_of()) as history:
            assert decisions_repeat_in_replay(history) == (2, [])
            read = history.stored_versions
    newest = read["ingested_at"].max()
    right = pd.Timestamp(f"{SECOND} 22:30", tz="UTC")
    assert right - pd.Timedelta(microseconds=1) < newest < right


def test_a_switch_set_by_a_clock_ahead_acts_at_once_and_a_release_no_earlier_than_the_mend(taken: Path) -> None:
    del taken

    def switch(moment: str) -> str:
        with Ledger() as ledger:
            return controls_in_force.kill_switch_at(ledger, strategy_of(), pd.Timestamp(moment, tz="UTC"))[0]

    closes = f"{SECOND} 20:30"
    with at(AHEAD):
        controls.set_kill_switch(NAME, "HALTED", "me", "stop")
    with at(NOW):
        assert switch(closes) == "HALTED"
        mend(NOW)
        assert switch(closes) == "HALTED"
    with at(AHEAD):  # the very moment again, by a clock that ran ahead a second time
        controls.set_kill_switch(NAME, "ACTIVE", "me", "go on")
    with at(f"{THIRD} 09:00"):
        assert switch(f"{THIRD} 08:00") == "HALTED"
        mend(f"{THIRD} 09:00")
        assert switch(f"{THIRD} 08:00") == "HALTED"
        assert switch(f"{THIRD} 20:30") == "ACTIVE"


def test_when_the_gate_judged_is_told_as_it_was_mended(taken: Path) -> None:
    del taken

    def gate() -> str:
        return str(report(NAME)["strategies"][NAME]["gate"])

    with at(f"{SECOND} 23:50"):  # ahead of NOW, on the same session
        homes.publish(strategy_of())
    with at(NOW):
        assert gate() == f"passed {SECOND} 23:50 UTC"
        mend(NOW)
        assert gate() == f"passed {SECOND} 22:59 UTC"
    ahead = "2017-08-02 23:00"
    with at(ahead), Ledger() as ledger:
        record_halt(ledger, NAME, pd.Timestamp(ahead, tz="UTC"), "why", "test")
    with at(f"{SECOND} 23:30"):
        mend(f"{SECOND} 23:30")
        assert gate() == f"HALTED {SECOND} 23:29 UTC: why"
        assert f"the gate halted on {SECOND} 23:29 UTC" in headline()


def test_what_arrives_when_the_clock_is_really_there_is_not_read_as_what_was_mended(taken: Path) -> None:
    with at(NOW):
        mend(NOW)
    deliver(taken, SECOND, restated=1.05)
    with at(AHEAD):
        assert take_in().revised == 1
        with open_history(strategy_of()) as history:
            versions = history.stored_versions
    bar = versions[(versions["session"] == RESTATED) & (versions["symbol"] == "SIM02")].sort_values("ingested_at")
    there = pd.Timestamp(AHEAD, tz="UTC")
    np.testing.assert_array_equal(bar["ingested_at"] >= there, [False, False, True])
    np.testing.assert_array_equal(bar["known_at"] >= there, [False, False, True])


def test_a_beat_by_a_clock_ahead_is_no_beat_and_the_next_one_is_recorded(taken: Path) -> None:
    del taken
    with Ledger() as ledger:
        with at(AHEAD):
            outcomes.record_heartbeat(ledger)
        with at(NOW):
            assert "still to come" in str(run_faults.silence_of_daemon(outcomes.last_heartbeat(ledger)))
            outcomes.record_heartbeat(ledger)
            assert outcomes.last_heartbeat(ledger) == pd.Timestamp(NOW, tz="UTC")


@pytest.mark.full
def test_check_takes_data_in_and_tells_of_a_moment_that_is_still_to_come(tmp_path: Path) -> None:
    write_strategy(tmp_path)
    with living_in(tmp_path):
        with Ledger(clock=lambda: (pd.Timestamp.now(tz="UTC") + pd.Timedelta(days=40)).to_pydatetime()) as ledger:
            outcomes.record_heartbeat(ledger)
        result = check_data(NAME)
        assert not result["ok"]
        assert result["rows"]["added"] > 0
        assert "1 moment later than that in outcomes, up to" in result["clock"]
        mend(f"{pd.Timestamp.now(tz='UTC'):%Y-%m-%d %H:%M:%S}")
        assert check_data(NAME)["ok"]
