"""Files whose contents were taken in before say nothing new: touched, moved, renamed, or read again for a setting."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.operations.history import open_history
from nn_assets.operations.intake.bars import Ingested, audit_bars, ingest_bars
from nn_assets.operations.strategy_files import make_strategy
from nn_assets.settings import Strategy
from nn_assets.sources.tables.files import FilesSettings
from nn_assets.store.lake.files import read_record, write_record
from tests.matrices import often
from tests.orchestration.conftest import living_in

DAYS = ("2018-01-02", "2018-01-03", "2018-01-04", "2018-01-05")
VALUES = ["symbol", "session", "open", "high", "low", "close", "volume", "known_at"]


def at(folder: Path, symbols: tuple[str, ...] = ("A",), *, compared: bool = False, **source: object) -> Strategy:
    market = {"calendar": "XNYS", "symbols": symbols, "history_starts": DAYS[0], "history_ends": DAYS[3]}
    if compared:
        market["compare_with"] = {"kind": "files", "path": str(folder / "bars")}
        source["path"] = str(folder / "other")
    settings = {"kind": "files", "path": str(folder / "bars"), **source}
    gate = {"max_stale_sessions": 9, "max_quarantined_fraction": 1.0, "max_missing_sessions_fraction": 1.0}
    return make_strategy({"name": "drops", "source": settings, "market": market, "gate": gate})


def put(folder: Path, name: str, rows: dict[tuple[str, int], float]) -> Path:
    lines = ["symbol,date,open,high,low,close,volume"]
    lines += [f"{symbol},{DAYS[day]},10.0,20.0,5.0,{close},1000" for (symbol, day), close in rows.items()]
    path = folder / "bars" / name
    path.write_text("\n".join(lines) + "\n")
    return path


def take_in(strategy: Strategy, folder: Path) -> Ingested:
    with open_history(strategy) as history:
        return ingest_bars(history, folder)


def known(strategy: Strategy) -> tuple[pd.DataFrame, int]:
    """The clean bars known now, with their moments, and how many rows lie in quarantine."""
    with open_history(strategy) as history:
        cleaned = audit_bars(history).cleaned
    return cleaned.bars[VALUES].sort_values(VALUES[:2], ignore_index=True), len(cleaned.quarantine)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Where a folder and its home are to lie, and both as they were once its files were taken in."""
    root = tmp_path_factory.mktemp("place")
    made = root / "mine"
    (made / "bars").mkdir(parents=True)
    with living_in(root / "home"):
        put(made, "history.csv", {(symbol, day): 10.0 + day for symbol in "AB" for day in range(3)})
        take_in(at(made), made)
        put(made, "restated.csv", {("A", 1): 12.5})
        assert take_in(at(made), made).counted.revised == 1
        put(made, "day.csv", {("A", 3): 13.0})
        assert take_in(at(made), made).counted.added == 1
        put(made, "day_again.csv", {("A", 3): 13.0})
        assert take_in(at(made), made).counted.revised == 0
    return root, Path(shutil.copytree(root, tmp_path_factory.mktemp("kept") / "place"))


@pytest.fixture
def folder(lived: tuple[Path, Path]) -> Iterator[Path]:
    """A folder whose history was restated by a second file, and followed by two equal files of the day after.

    Always at the same place, and with the moments at which its files were written: another place would be a change.
    """
    root, kept = lived
    shutil.rmtree(root)
    shutil.copytree(kept, root)
    with living_in(root / "home"):
        yield root / "mine"


def touched(folder: Path) -> Strategy:
    for file in (folder / "bars").iterdir():
        os.utime(file)
    return at(folder)


def restored_elsewhere(folder: Path) -> Strategy:
    shutil.copytree(folder, folder.parent / "restored", copy_function=shutil.copyfile)
    return at(folder.parent / "restored")


def renamed(folder: Path) -> Strategy:
    for file in sorted((folder / "bars").iterdir()):
        file.rename(file.with_name(f"x_{file.name}"))
    return at(folder)


def read_with_other_limits(folder: Path) -> Strategy:
    return at(folder, max_rows=1_000_000)


def grown_beside_the_restatement(folder: Path) -> Strategy:
    file = folder / "bars" / "history.csv"
    file.write_text(file.read_text() + f"B,{DAYS[3]},10.0,20.0,5.0,13.0,1000\n")
    return at(folder)


def without_the_record_of_files(folder: Path) -> Strategy:
    with open_history(at(folder)) as history:
        path = history.stores.lake.folder("drops", "raw_bars") / "files_read.json"
    path.unlink()
    return at(folder)


def recorded_by_an_older_version(folder: Path) -> Strategy:
    """The record named the folder by its full path."""
    with open_history(at(folder)) as history:
        path = history.stores.lake.folder("drops", "raw_bars") / "files_read.json"
    record = read_record(path)
    assert record is not None
    write_record(path, {**record, "asked": {**record["asked"], "path": "/somewhere/else"}})
    return at(folder)


CHANGES = [
    touched,
    restored_elsewhere,
    renamed,
    read_with_other_limits,
    grown_beside_the_restatement,
    without_the_record_of_files,
    recorded_by_an_older_version,
]


CASES = [(decided, change) for decided in (False, True) for change in CHANGES]
OFTEN = [case for case in CASES if not case[0] or case[1] in (touched, grown_beside_the_restatement)]


@pytest.mark.parametrize(("decided", "change"), often(CASES, *OFTEN))
def test_contents_taken_in_before_change_nothing(
    folder: Path, change: Callable[[Path], Strategy], decided: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, quarantined = known(at(folder))
    assert (before["close"].tolist(), quarantined) == ([10.0, 12.5, 12.0, 13.0], 0)
    if decided:
        monkeypatch.setattr("nn_assets.operations.intake.bars.last_decided_session", lambda *_: pd.Timestamp(DAYS[3]))
    again = change(folder)
    counted = take_in(again, Path(str(again.source.path)).parent).counted
    assert (counted.added, counted.revised) == (0, 0)
    after, quarantined = known(again)
    pd.testing.assert_frame_equal(after, before)
    assert quarantined == 0


def test_a_symbol_added_leaves_the_bars_of_the_others_alone(folder: Path) -> None:
    before, _ = known(at(folder))
    wider = at(folder, ("A", "B"))
    assert take_in(wider, folder).counted.revised == 0
    after, quarantined = known(wider)
    pd.testing.assert_frame_equal(after[after["symbol"] == "A"].reset_index(drop=True), before)
    assert (quarantined, int((after["symbol"] == "B").sum())) == (0, 3)


def test_what_a_changed_file_says_anew_counts_from_its_arrival(folder: Path) -> None:
    put(folder, "history.csv", {("A", 0): 10.0, ("A", 1): 11.0, ("A", 2): 14.0})
    assert take_in(at(folder), folder).counted.revised == 1
    after, quarantined = known(at(folder))
    assert (after["close"].tolist(), quarantined) == ([10.0, 12.5, 14.0, 13.0], 0)
    with open_history(at(folder)) as history:
        raw = history.raw_versions
    mended = raw[raw["close"] == 14.0]
    assert (mended["known_at"] == mended["ingested_at"]).all()
    # Back to what it said first, which is news again.
    put(folder, "history.csv", {("A", 0): 10.0, ("A", 1): 11.0, ("A", 2): 12.0})
    assert take_in(at(folder), folder).counted.revised == 1


def test_a_file_that_contradicts_itself_is_judged_as_a_whole(folder: Path) -> None:
    file = folder / "bars" / "history.csv"
    file.write_text(file.read_text() + f"A,{DAYS[2]},10.0,20.0,5.0,14.0,1000\n")
    take_in(at(folder), folder)
    after, quarantined = known(at(folder))
    assert (after["close"].tolist(), quarantined) == ([10.0, 12.5, 13.0], 2)


def test_a_row_said_once_more_than_before_is_no_restatement(folder: Path) -> None:
    """First two files of one delivery that agree, then a third that agrees with them."""
    wider = at(folder, ("A", "B"))
    put(folder, "b_again.csv", {("B", 0): 10.0})
    take_in(wider, folder)
    before, _ = known(wider)
    put(folder, "b_once_more.csv", {("B", 0): 10.0, ("B", 1): 11.0})
    assert take_in(wider, folder).counted.revised == 0
    pd.testing.assert_frame_equal(known(wider)[0], before)


def test_the_second_source_says_nothing_twice_either(folder: Path) -> None:
    strategy = at(folder, compared=True)
    shutil.copytree(folder / "bars", folder / "other")
    file = put(folder, "restated.csv", {("A", 1): 12.5})
    file.rename(folder / "later.csv")
    take_in(strategy, folder)
    (folder / "later.csv").rename(file)
    first = take_in(strategy, folder).compared
    assert first is not None
    assert first.counted.revised == 1
    (folder / "bars" / "day.csv").rename(folder / "bars" / "renamed.csv")
    wider = {"kind": "files", "path": str(folder / "bars"), "max_rows": 1_000_000}
    market = strategy.market.model_copy(update={"compare_with": FilesSettings.model_validate(wider)})
    again = take_in(strategy.model_copy(update={"market": market}), folder).compared
    assert again is not None
    assert again.delivered == 6
    assert (again.counted.added, again.counted.revised) == (0, 0)


def closes(folder: Path) -> list[float]:
    """What is known of A, day by day, with nothing in quarantine."""
    bars, quarantined = known(at(folder))
    assert quarantined == 0
    return bars["close"].tolist()


def test_a_file_that_goes_back_to_what_a_copy_beside_it_still_says_takes_back_what_it_restated(folder: Path) -> None:
    shutil.copyfile(folder / "bars" / "day.csv", folder / "bars" / "backup.csv")
    assert take_in(at(folder), folder).counted.revised == 0
    for close in (14.0, 13.0, 14.0):
        put(folder, "day.csv", {("A", 3): close})
        assert take_in(at(folder), folder).counted.revised == 1
        assert closes(folder) == [10.0, 12.5, 12.0, close]


def test_what_a_file_said_last_counts_also_where_another_said_it_first(folder: Path) -> None:
    """It agrees with a restatement: when it grows it takes back no later one, and what it then takes back counts."""
    delivered: dict[tuple[str, int], float] = {("A", day): close for day, close in enumerate((10.0, 12.5, 12.0))}
    put(folder, "history.csv", delivered)
    assert take_in(at(folder), folder).counted.revised == 0
    put(folder, "restated_again.csv", {("A", 1): 13.5})
    take_in(at(folder), folder)
    put(folder, "history.csv", {**delivered, ("B", 0): 10.0})
    assert take_in(at(folder), folder).counted.revised == 0
    assert closes(folder) == [10.0, 13.5, 12.0, 13.0]
    put(folder, "history.csv", {**delivered, ("A", 1): 11.0})
    assert take_in(at(folder), folder).counted.revised == 1
    assert closes(folder) == [10.0, 11.0, 12.0, 13.0]


def test_two_files_that_agree_at_once_with_a_restatement_leave_it_known_since_it_came(folder: Path) -> None:
    put(folder, "other.csv", {("A", 1): 11.0, ("A", 2): 14.0})
    take_in(at(folder), folder)
    put(folder, "restated.csv", {("A", 1): 12.0, ("A", 2): 14.0})
    put(folder, "restated_too.csv", {("A", 1): 12.0})  # two equal rows at once
    take_in(at(folder), folder)
    before, _ = known(at(folder))
    assert before["close"].tolist() == [10.0, 12.0, 14.0, 13.0]
    put(folder, "other.csv", {("A", 1): 12.0, ("A", 2): 14.0, ("B", 0): 10.0})
    put(folder, "history.csv", {("A", 0): 10.0, ("A", 1): 12.0, ("A", 2): 14.0})
    assert take_in(at(folder), folder).counted.revised == 0
    after, quarantined = known(at(folder))
    pd.testing.assert_frame_equal(after, before)
    assert quarantined == 0
    put(folder, "third.csv", {("A", 1): 17.0})
    take_in(at(folder), folder)
    for name in ("other.csv", "history.csv"):  # both have said so
        put(folder, name, {("A", 1): 12.0, ("B", 0): 11.0})
    assert take_in(at(folder), folder).counted.revised == 0
    assert closes(folder) == [10.0, 17.0, 14.0, 13.0]


def test_a_setting_put_back_brings_back_what_the_same_file_said_under_it(folder: Path) -> None:
    tables = folder / "tables"
    tables.mkdir()
    for member, close in (("one", 15.0), ("two", 16.0)):
        (tables / f"{member}.csv").write_text(
            f"symbol,date,open,high,low,close,volume\nA,{DAYS[2]},10,20,5,{close},9\n"
        )
    shutil.make_archive(str(folder / "bars" / "both"), "zip", tables)
    for member, close in (("one.csv", 15.0), ("two.csv", 16.0), ("one.csv", 15.0)):
        strategy = at(folder, member=member)
        assert take_in(strategy, folder).counted.revised == 1
        assert known(strategy)[0]["close"].tolist() == [10.0, 12.5, close, 13.0]


def test_names_that_move_on_with_their_contents_restate_nothing(folder: Path) -> None:
    """As of a log: the newest goes by another name each time, and what it held is under the next one."""
    put(folder, "latest.csv", {("A", 2): 15.0})
    take_in(at(folder), folder)
    put(folder, "mended.csv", {("A", 2): 16.0})
    take_in(at(folder), folder)
    (folder / "bars" / "latest.csv").rename(folder / "bars" / "restated.csv")
    put(folder, "latest.csv", {("A", 3): 13.0, ("B", 3): 13.0})
    assert take_in(at(folder), folder).counted.revised == 0
    assert closes(folder) == [10.0, 12.5, 16.0, 13.0]
