"""What lies after the stated end of history: rows that are delivered, sessions that are asked for, files that end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.errors import DecisionError, GateHalted
from nn_assets.operations import clock, history
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.bars import ingest_bars
from nn_assets.settings import Strategy
from nn_assets.sources.simulated import SimulatedSource
from tests.operations import homes
from tests.orchestration.conftest import NAME, TINY, clock_at, living_in, strategy_of, write_strategy
from tests.shared_homes import nothing_drawn

SYMBOLS = ("SIM01", "SIM02")
SOURCE = {**dict.fromkeys(TINY["source"]), "kind": "files", "path": "bars.csv"}
START, LAST = "2017-03-01", "2017-06-30"


def state(home: Path, **market: object) -> Strategy:
    settings = {"symbols": list(SYMBOLS), "history_starts": START, "live_starts": None, **market}
    write_strategy(home, source=SOURCE, market=settings)
    return strategy_of()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    source = SimulatedSource("XNYS", pd.Timestamp(START).date(), seed=5)
    folder = tmp_path / "strategies"
    folder.mkdir()
    source.bars((*SYMBOLS, "SIM03"), None, pd.Timestamp(LAST)).drop(columns="source").to_csv(
        folder / "bars.csv", index=False
    )
    with living_in(tmp_path), nothing_drawn():
        yield tmp_path


def taken_in() -> str:
    with open_history(strategy_of()) as facts:
        return ingest_bars(facts, find_strategy(NAME).folder).after_the_end


def test_rows_after_the_stated_end_are_counted_and_the_key_named(home: Path) -> None:
    state(home, history_ends="2017-06-23")
    expected = "10 rows after market.history_ends 2017-06-23 left out, up to 2017-06-30: move it there to take them in"
    assert taken_in() == expected
    assert taken_in() == expected  # still so on the next day
    state(home, history_ends="2017-06-30")
    assert taken_in() == ""
    with open_history(strategy_of()) as facts:
        assert facts.raw_versions["session"].max() == pd.Timestamp(LAST)


def test_rows_in_the_vault_are_not_spoken_of(home: Path) -> None:
    state(home, history_ends="2017-06-28", vault_starts="2017-06-26")
    assert taken_in() == ""


@pytest.mark.parametrize(
    ("market", "now", "remedy"),
    [
        ({"history_ends": "2017-06-23"}, "2017-07-01", "move market.history_ends 2017-06-23 to 2017-06-27 or later"),
        (
            {"history_ends": "2017-06-23"},
            "2017-06-27",
            "wait for its close, then move market.history_ends 2017-06-23 to 2017-06-27 or later",
        ),
        (
            {"history_ends": "2017-06-30", "vault_starts": "2017-06-27"},
            "2017-07-01",
            "it lies in the vault and stays sealed, for as long as market.vault_starts is 2017-06-27",
        ),
        ({"history_ends": None}, "2017-06-27", "wait for its close"),
    ],
)
def test_a_session_that_may_not_be_seen_names_what_holds_it_back(
    home: Path, monkeypatch: pytest.MonkeyPatch, market: dict[str, object], now: str, remedy: str
) -> None:
    strategy = state(home, **market)
    monkeypatch.setattr(history, "now_utc", lambda: pd.Timestamp(now, tz="UTC"))
    with clock_at(now), open_history(strategy) as seen, pytest.raises(DecisionError) as refused:
        seen.row(pd.Timestamp("2017-06-27"))
    assert refused.value.remedy == remedy


def test_the_remedy_lets_the_session_be_seen(home: Path) -> None:
    for ends in ("2017-06-27", "2017-06-28"):
        with open_history(state(home, history_ends=ends)) as seen:
            assert seen.axis[seen.row(pd.Timestamp("2017-06-27"))] == pd.Timestamp("2017-06-27")


@pytest.mark.parametrize("ends", [None, "2017-07-14"])
def test_a_file_that_ends_halts_with_the_end_to_state(
    home: Path, monkeypatch: pytest.MonkeyPatch, ends: str | None
) -> None:
    moment = "2017-07-14 23:00"
    monkeypatch.setattr(clock, "now_utc", lambda: pd.Timestamp(moment, tz="UTC"))
    with clock_at(moment):
        with pytest.raises(GateHalted) as halted:
            homes.take_in(state(home, history_ends=ends))
        assert "where the data end there, set market.history_ends to 2017-06-30" in halted.value.remedy
        homes.take_in(state(home, history_ends="2017-06-30"))  # the remedy
        with open_history(strategy_of()) as facts:
            assert facts.covering(None).last_session == pd.Timestamp(LAST)


def test_the_end_to_state_is_not_before_what_was_published(home: Path) -> None:
    strategy = state(home, history_ends="2017-07-03")
    file = home / "strategies" / f"{NAME}.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "gate: {max_stale_sessions: 1}\n", encoding="utf-8")
    homes.take_in(strategy_of())  # a session behind is within the limit: published to 2017-07-03
    file.write_text(file.read_text(encoding="utf-8").replace("2017-07-03", "2017-07-14"), encoding="utf-8")
    with pytest.raises(GateHalted, match=r"set market\.history_ends to 2017-07-03"):
        homes.take_in(strategy_of())
    file.write_text(file.read_text(encoding="utf-8").replace("2017-07-14", "2017-07-03"), encoding="utf-8")
    homes.take_in(strategy_of())
    assert strategy.name == NAME
