"""Bars that were told in two ways, from a folder of files to the quarantine; and as older versions stored them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nn_assets.contracts import BAR_VERSIONS, conform
from nn_assets.operations.asof.stored import RAW_BARS, contradicted
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.bars import audit_bars, ingest_bars
from nn_assets.operations.strategy_files import make_strategy
from nn_assets.settings import Strategy

DAYS = ("2018-01-02", "2018-01-03", "2018-01-04")
Delivery = list[tuple[str, str, float]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path / "home"))
    made = tmp_path / "bars"
    made.mkdir()
    return made


def strategy(folder: Path) -> Strategy:
    gate = {"max_stale_sessions": 9, "max_quarantined_fraction": 1.0, "max_missing_sessions_fraction": 1.0}
    market = {"calendar": "XNYS", "symbols": ("A",), "history_starts": DAYS[0], "history_ends": DAYS[2]}
    source = {"kind": "files", "path": str(folder)}
    return make_strategy({"name": "torn", "source": source, "market": market, "gate": gate})


def put(folder: Path, name: str, closes: dict[int, float], known: str = "") -> None:
    lines = [f"A,{DAYS[day]},10.0,20.0,5.0,{close},1000,{known}" for day, close in closes.items()]
    (folder / name).write_text("\n".join(["symbol,date,open,high,low,close,volume,known_at", *lines]) + "\n")


def taken_in(folder: Path) -> tuple[int, list[float], Delivery, int]:
    """Rows stored, clean closes, what lies in quarantine as duplicates, and how much is on record of it."""
    with open_history(strategy(folder)) as history:
        ingest_bars(history, folder)
    with open_history(strategy(folder)) as history:
        cleaned = audit_bars(history).cleaned
        quarantine = cleaned.quarantine
        assert set(quarantine["rule"]) <= {"duplicate"}
        rows = [(row.source, str(row.session.date()), _close(row.value)) for row in quarantine.itertuples()]
        on_record = contradicted(history.stores, "torn", RAW_BARS)
        size = 0 if on_record is None else len(on_record)
        return len(history.raw_versions), cleaned.bars["close"].tolist(), sorted(rows), size


def _close(value: str) -> float:
    return float(value.split("close ")[1].split(",", maxsplit=1)[0])


def test_two_files_that_differ_are_a_row_without_values_and_neither_takes_over_when_it_grows(folder: Path) -> None:
    put(folder, "y.csv", {0: 11.0, 1: 12.0})
    put(folder, "z.csv", {0: 11.0, 1: 14.0})
    torn = [("files:y.csv", DAYS[1], 12.0), ("files:z.csv", DAYS[1], 14.0)]
    # Of the first bar a row for each file's own words.
    assert taken_in(folder) == (3, [11.0], torn, 2)
    put(folder, "z.csv", {0: 11.0, 1: 14.0, 2: 13.0})
    assert taken_in(folder) == (4, [11.0, 13.0], torn, 2)
    put(folder, "y.csv", {0: 11.0, 1: 14.0})  # mended
    assert taken_in(folder) == (5, [11.0, 14.0, 13.0], [], 2)


@pytest.mark.parametrize("order", [(12.0, 14.0, 15.0), (15.0, 12.0, 14.0)])
def test_files_that_state_one_moment_and_differ_tell_the_same_in_any_order(folder: Path, order) -> None:
    for index, close in enumerate(order):
        put(folder, f"{index}.csv", {0: 11.0, 1: close}, "2018-01-04T12:00:00Z")
        stored, closes, duplicates, size = taken_in(folder)
        assert (stored, closes) == (2 + (index > 0), [11.0] if index else [11.0, close])
        assert {row[2] for row in duplicates} == (set(order[: index + 1]) if index else set())
        assert size == (index + 1 if index else 0)


@pytest.mark.parametrize("apart", [0, 1], ids=["told at once", "told one after the other"])
def test_what_an_older_version_stored_side_by_side_lies_in_quarantine_as_it_did(folder: Path, apart: int) -> None:
    put(folder, "x.csv", {0: 11.0})
    taken_in(folder)
    arrived = pd.Timestamp("2018-03-01 12:00", tz="UTC")
    old = pd.DataFrame({"close": [12.0, 14.0], "source": ["old:y", "old:z"]}).assign(
        symbol="A", session=pd.Timestamp(DAYS[1]), open=10.0, high=20.0, low=5.0, volume=1000.0
    )
    old["known_at"] = pd.Timestamp("2018-01-04 12:00", tz="UTC")
    old["ingested_at"] = [arrived, arrived + pd.Timedelta(hours=apart)]
    with open_history(strategy(folder)) as history:
        history.stores.lake.append_segment("torn", RAW_BARS, conform(old, BAR_VERSIONS))
    torn = [("old:y", DAYS[1], 12.0), ("old:z", DAYS[1], 14.0)]
    assert taken_in(folder) == (3, [11.0], torn, 0)
    put(folder, "mended.csv", {1: 14.0})
    assert taken_in(folder) == (4, [11.0, 14.0], [], 0)
