"""What a row's own ``known_at`` does, in all five tables with versions: from the cell of a file to what is known when.

One table of moments for all of them. A bar of 2018-01-02, whose session closes at 21:00 UTC, is told on the day after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.arrays import BoolArray
from nn_assets.contracts import ACTION_VERSIONS, BAR_VERSIONS, INTRADAY_VERSIONS, MEMBERSHIP, SERIES, empty
from nn_assets.contracts.contract import Contract
from nn_assets.market.facts.actions import actions_as_of, new_action_versions, with_action_moments
from nn_assets.market.facts.bars import known_bars, new_versions, with_assumed_known_at
from nn_assets.market.facts.bitemporal import MEMBERSHIP_FACTS, stated_in
from nn_assets.market.facts.intraday import intraday_as_of, new_intraday, stamped_intraday
from nn_assets.market.facts.membership import new_spells
from nn_assets.market.facts.series import new_observations, series_as_of
from nn_assets.market.facts.series_intake import judge_series
from nn_assets.market.quality.cleaning import clean
from nn_assets.market.quality.intraday_cleaning import clean_intraday
from nn_assets.settings import CleaningSettings, FileSeriesSettings, IntradaySettings, UniverseSettings
from nn_assets.sources.tables.actions_file import ActionsFile
from nn_assets.sources.tables.files import FilesSource
from nn_assets.sources.tables.intraday_files import read_intraday_files
from nn_assets.sources.tables.membership_files import read_membership_file
from nn_assets.sources.tables.series_files import read_series_file
from tests.matrices import often

NEW_YORK = "XNYS"
FIVE = IntradaySettings(path="told.csv", bar_minutes=5)
RATE = FileSeriesSettings(name="rate", path="told.csv", lag_minutes=15)


def utc(written: str) -> pd.Timestamp:
    return pd.Timestamp(written, tz="UTC").as_unit("ns")


ARRIVED = utc("2018-01-03 12:00")
DAY, SECOND = pd.Timedelta(days=1), pd.Timedelta(seconds=1)
Taken = tuple[pd.DataFrame, list[str]]  # rows to append, and the fields that are blamed of those that nobody may see


@dataclass(frozen=True)
class Table:
    """One table: a line of its file, what takes it in, what is read, and what is assumed where nothing is stated."""

    schema: Contract
    header: str
    line: Callable[[int], str]  # of a value from 1 to 9
    take: Callable[[Path, pd.DataFrame, pd.Timestamp], Taken]
    known: Callable[[pd.DataFrame, pd.Timestamp], list[int]]
    assumed: pd.Timestamp


def _bars(folder: Path, stored: pd.DataFrame, arrived: pd.Timestamp) -> Taken:
    delivered = FilesSource(folder / "told.csv").bars()
    stamped = with_assumed_known_at(delivered, NEW_YORK, 30, arrived)
    fresh = new_versions(stored, stamped, explicit=stated_in(delivered))[0]
    return fresh, clean(fresh, NEW_YORK, CleaningSettings()).quarantine["field"].tolist() if len(fresh) else []


def _intraday(folder: Path, stored: pd.DataFrame, arrived: pd.Timestamp) -> Taken:
    delivered = read_intraday_files(folder, FIVE)
    stamped = stamped_intraday(delivered, NEW_YORK, FIVE, arrived)
    fresh = new_intraday(stored, stamped, explicit=stated_in(delivered))[0]
    judged = clean_intraday(fresh, NEW_YORK, FIVE, CleaningSettings()) if len(fresh) else None
    return fresh, [] if judged is None else judged.quarantine["field"].tolist()


def _series(folder: Path, stored: pd.DataFrame, arrived: pd.Timestamp) -> Taken:
    judged = judge_series(read_series_file(folder, RATE, NEW_YORK), RATE, NEW_YORK)
    return new_observations(stored, judged.observations, arrived)[0], judged.quarantine["field"].tolist()


def _actions(folder: Path, stored: pd.DataFrame, arrived: pd.Timestamp) -> Taken:
    delivered = ActionsFile(folder / "told.csv").actions()
    stamped = with_action_moments(delivered, NEW_YORK, 30, arrived)
    return new_action_versions(stored, stamped, explicit=stated_in(delivered))[0], []


def _membership(folder: Path, stored: pd.DataFrame, arrived: pd.Timestamp) -> Taken:
    return new_spells(stored, read_membership_file(folder, UniverseSettings(path="told.csv")), arrived)[0], []


def _numbers(values: pd.Series) -> list[int]:
    return [0 if np.isnan(value) else int(value) for value in values]


TABLES = {
    "bars": Table(
        BAR_VERSIONS,
        "symbol,date,open,high,low,close,volume,known_at",
        lambda value: f"A,2018-01-02,9,9,1,{value},100",
        _bars,
        lambda rows, moment: _numbers(known_bars(rows, moment)["close"]),
        utc("2018-01-02 21:30"),
    ),
    "intraday": Table(
        INTRADAY_VERSIONS,
        "symbol,date,open,high,low,close,volume,known_at",
        lambda value: f"A,2018-01-02 20:55,9,9,1,{value},100",
        _intraday,
        lambda rows, moment: _numbers(intraday_as_of(rows, moment)["close"]),
        utc("2018-01-02 21:00:05"),
    ),
    "series": Table(
        SERIES,
        "date,value,known_at",
        lambda value: f"2018-01-02,{value}",
        _series,
        lambda rows, moment: _numbers(series_as_of(rows, moment)["value"]),
        utc("2018-01-02 21:15"),
    ),
    "actions": Table(
        ACTION_VERSIONS,
        "symbol,ex_session,kind,value,known_at",
        lambda value: f"A,2018-01-02,split,{value}",
        _actions,
        lambda rows, moment: _numbers(actions_as_of(rows, moment)["value"]),
        utc("2017-12-29 21:30"),
    ),
    "membership": Table(
        MEMBERSHIP,
        "symbol,member_from,member_to,known_at",
        lambda value: f"A,2017-01-03,2017-02-0{value}",
        _membership,
        lambda rows, moment: MEMBERSHIP_FACTS.as_of(rows, moment)["member_to"].dt.day.tolist(),
        utc("2017-01-03 00:00"),
    ),
}
OF_BARS = ("bars", "intraday", "series")  # nobody knows them before they are over
MOMENTS = {
    "before the close": ("2018-01-02T15:00Z", utc("2018-01-02 15:00")),
    "within": ("2018-01-02T22:00Z", utc("2018-01-02 22:00")),
    "another zone": ("2018-01-02 17:00:00-05:00", utc("2018-01-02 22:00")),
    "after its arrival": ("2018-01-03T12:05Z", utc("2018-01-03 12:05")),
    "in the future": ("2031-01-03T12:00Z", utc("2031-01-03 12:00")),
    "missing": ("", None),
}


def write_rows(folder: Path, table: Table, *rows: tuple[int, str]) -> None:
    lines = [table.header, *(f"{table.line(value)},{known}" for value, known in rows)]
    (folder / "told.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


CASES = [(name, written) for name in TABLES for written in MOMENTS]
ALIKE = ("within", "in the future")  # as "another zone" and "after its arrival", of which the tables differ


@pytest.mark.parametrize(
    ("name", "written"), often(CASES, *(case for case in CASES if case[0] == "bars" or case[1] not in ALIKE))
)
def test_a_row_is_known_from_the_moment_that_it_states_and_at_fault_where_that_is_too_early(
    tmp_path: Path, name: str, written: str
) -> None:
    table, (cell, moment) = TABLES[name], MOMENTS[written]
    write_rows(tmp_path, table, (5, cell))
    stored, blamed = table.take(tmp_path, empty(table.schema), ARRIVED)
    early = written == "before the close" and name in OF_BARS
    assert blamed == (["known_at"] if early else [])
    if not early:
        known = table.assumed if moment is None else moment
        assert stored["known_at"].tolist() == [known]
        assert stored["ingested_at"].tolist() == [ARRIVED]
        assert (table.known(stored, known - SECOND), table.known(stored, known)) == ([], [5])
    for days in (1, 2):
        fresh, _ = table.take(tmp_path, stored, ARRIVED + days * DAY)
        # A bar that was taken in before it could be known is confirmed once.
        confirmed = days == 1 and written == "after its arrival" and name in ("bars", "intraday")
        assert fresh["known_at"].tolist() == ([moment] if confirmed else [])
        stored = pd.concat([stored, fresh], ignore_index=True)
    if not early:
        assert (table.known(stored, known - SECOND), table.known(stored, known)) == ([], [5])


FIRST, LATER, EARLIER = "2018-01-02T22:00Z", "2018-01-02T23:00Z", "2018-01-02T21:30Z"
AGAIN = ARRIVED + DAY
WHOLE = ("series", "actions", "membership")


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("arrived", ["after the close", "long before"])
def test_what_is_told_again_with_a_moment_of_its_own_finds_its_place_by_it(
    tmp_path: Path, name: str, arrived: str
) -> None:
    """Cases: what is told then; what is known at 21:30, 22:00, 23:00, at its arrival and after."""
    table = TABLES[name]
    first = ARRIVED if arrived == "after the close" else ARRIVED - 9 * DAY
    if first < ARRIVED and name not in WHOLE:
        return  # a bar that is taken in before it is over is another matter
    asked = [utc(each.replace("T", " ").removesuffix("Z")) for each in (EARLIER, FIRST, LATER)]
    asked += [AGAIN - SECOND, AGAIN, AGAIN + DAY]
    cases: list[tuple[int, str, list[int]]] = [
        (7, LATER, [0, 5, 7, 7, 7, 7]),  # restated since then
        (5, EARLIER, [5, 5, 5, 5, 5, 5]),  # the same, known earlier
    ]
    if name in WHOLE:  # a correction of what is known since then, whose moment was not its own
        cases += [(7, FIRST, [0, 5, 5, 5, 7, 7]), (7, EARLIER, [0, 5, 5, 5, 7, 7])]
    else:  # every delivery has its own moment: told in two ways, and one that comes late
        cases += [(7, FIRST, [0, 0, 0, 0, 0, 0]), (7, EARLIER, [7, 5, 5, 5, 5, 5])]
    for value, moment, expected in cases:
        write_rows(tmp_path, table, (5, FIRST))
        stored, _ = table.take(tmp_path, empty(table.schema), first)
        write_rows(tmp_path, table, (value, moment))
        fresh, _ = table.take(tmp_path, stored, AGAIN)
        assert len(fresh) == 1
        both = pd.concat([stored, fresh], ignore_index=True)
        assert [(table.known(both, each) or [0])[0] for each in asked] == expected, (value, moment)
        assert table.take(tmp_path, both, AGAIN + DAY)[0].empty, (value, moment)


def test_bid_and_ask_are_known_when_both_sides_are(tmp_path: Path) -> None:
    for side, minutes in (("bid", 1), ("ask", 2)):
        line = f"2018-01-02 20:55,9,9,1,5,2018-01-02T21:0{minutes}Z"
        (tmp_path / f"A-{side}.csv").write_text(f"date,open,high,low,close,known_at\n{line}\n", encoding="utf-8")
    delivered = read_intraday_files(tmp_path, IntradaySettings(path="A-*.csv", bar_minutes=5))
    assert delivered["known_at"].tolist() == [utc("2018-01-02 21:02")]


def test_an_observation_and_a_spell_are_stated_too_late_for_a_decision_made_before_they_came(tmp_path: Path) -> None:
    """Decisions on record read both tables by ``known_at`` alone: what is decided stands."""
    decided = utc("2018-01-03 00:30")
    for name in ("series", "membership"):
        table = TABLES[name]
        write_rows(tmp_path, table, (5, FIRST))
        stored, _ = table.take(tmp_path, empty(table.schema), ARRIVED - DAY)
        write_rows(tmp_path, table, (7, LATER))
        if name == "series":
            judged = judge_series(read_series_file(tmp_path, RATE, NEW_YORK), RATE, NEW_YORK).observations
            fresh = new_observations(stored, judged, ARRIVED, decided_at=decided)[0]
        else:
            spells = read_membership_file(tmp_path, UniverseSettings(path="told.csv"))
            fresh = new_spells(stored, spells, ARRIVED, decided_at=decided)[0]
        assert fresh["known_at"].tolist() == [ARRIVED]


def test_which_rows_state_a_moment() -> None:
    rows = pd.DataFrame({"known_at": pd.to_datetime(["2018-01-02T22:00Z", None], utc=True)})
    has_moment: BoolArray | None = stated_in(rows)
    assert has_moment is not None
    assert has_moment.tolist() == [True, False]
    assert stated_in(rows[[]]) is None
