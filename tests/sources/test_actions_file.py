"""A file of splits and dividends, as written and as miswritten."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.contracts import DELIVERED_ACTIONS, validate
from nn_assets.errors import SourceError
from nn_assets.market.facts.actions import with_action_moments
from nn_assets.sources.protocol import ActionSource
from nn_assets.sources.tables.actions_file import ActionsFile

HEADER = "symbol,ex_session,kind,value\n"
SOUND = HEADER + "TRUE,2014-06-09,split,7\nAAPL,2014-05-08,dividend,3.29\nAAPL,2013-05-09,dividend,\n"


def file_of(folder: Path, text: str) -> ActionsFile:
    path = folder / "actions.csv"
    path.write_text(text, encoding="utf-8")
    return ActionsFile(path)


def test_a_sound_file_is_read_whole_ordered_and_with_its_name_as_source(tmp_path: Path) -> None:
    source = file_of(tmp_path, SOUND)
    assert isinstance(source, ActionSource)
    actions = validate(source.actions(), DELIVERED_ACTIONS)
    assert actions["symbol"].tolist() == ["AAPL", "AAPL", "TRUE"]
    assert actions["ex_session"].dt.strftime("%F").tolist() == ["2013-05-09", "2014-05-08", "2014-06-09"]
    assert np.array_equal(actions["value"], [np.nan, 3.29, 7.0], equal_nan=True)
    assert set(actions["source"]) == {"actions:actions.csv"}


def test_symbols_and_span_are_cut_to_what_was_asked_and_nothing_is_no_error(tmp_path: Path) -> None:
    source = file_of(tmp_path, SOUND)
    first, last = pd.Timestamp("2014-05-08"), pd.Timestamp("2014-06-08")
    assert source.actions(first=first, last=last)["value"].tolist() == [3.29]
    assert source.actions(("TRUE",))["value"].tolist() == [7.0]
    assert source.actions(("MSFT",)).empty
    assert file_of(tmp_path, HEADER).actions().empty


def test_a_moment_of_its_own_takes_the_place_of_the_one_assumed(tmp_path: Path) -> None:
    text = "symbol,ex_session,kind,value,known_at\nA,2014-06-09,split,7,2014-04-23T20:30:00Z\nB,2014-06-09,split,7,\n"
    arrived = pd.Timestamp("2020-01-02", tz="UTC")
    moments = with_action_moments(file_of(tmp_path, text).actions(), "XNYS", 30, arrived)["known_at"]
    assert moments.tolist() == [pd.Timestamp("2014-04-23 20:30", tz="UTC"), pd.Timestamp("2014-06-06 20:30", tz="UTC")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "an empty file (0 bytes)"),
        ("symbol,ex_session,value\nA,2014-06-09,7\n", "no column kind"),
        (HEADER + "A,09.06.2014,split,7\n", "line 2: ex_session '09.06.2014'"),
        (HEADER + "A,2014-06-09,split,7\nA,2014-06-10,split,seven\n", "line 3: value 'seven'"),
        (HEADER + "A,2014-06-09,split,0\n", "line 2: value '0'"),
        (HEADER + "A,2014-06-09,split,inf\n", "line 2: value 'inf'"),
        (HEADER + "A,2014-06-09,merger,1\n", "line 2: kind 'merger'"),
        (HEADER + "A,2014-06-09,split,7\nA,2014-06-09,split,6\n", "line 3: the action of line 2 again"),
        (HEADER + "A,2014-06-09,dividend,7\nA,2014-06-09,dividend,7\n", "line 3: the action of line 2 again"),
        (HEADER + "a b,2014-06-09,split,7\n", "'a b'"),
        ("symbol,ex_session,kind,value,known_at\nA,2014-06-09,split,7,soon\n", "line 2: known_at 'soon'"),
        (HEADER + "A,2014-06-09,split,7\nA,2014-05-08,dividend,3,29\n", "5 cells"),
        (HEADER + "A,2014-06-09,split\n", "3 cells"),
        (HEADER + "A,9999-12-31,split,7\n", "line 2: ex_session '9999-12-31'"),
        (HEADER + "A,1066-10-14,split,7\n", "line 2: ex_session '1066-10-14'"),
        (
            "symbol,ex_session,kind,value,known_at\nA,2014-06-09,split,7,9999-12-31T00:00:00Z\n",
            "line 2: known_at '9999-12-31T00:00:00Z'",
        ),
    ],
)
def test_a_miswritten_file_is_refused_with_the_place(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(SourceError, match=r"actions\.csv") as refused:
        file_of(tmp_path, text).actions()
    assert expected in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.csv"):
        ActionsFile(tmp_path / "nowhere.csv").actions()


def test_a_packed_file_is_read_and_a_damaged_one_named(tmp_path: Path) -> None:
    path = tmp_path / "actions.csv.gz"
    packed = gzip.compress(SOUND.encode())
    path.write_bytes(packed)
    assert len(ActionsFile(path).actions()) == 3
    for damaged in (packed[:30], packed[:15] + b"\xff\xff\xff\xff" + packed[19:]):
        path.write_bytes(damaged)
        with pytest.raises(SourceError, match=r"actions\.csv\.gz"):
            ActionsFile(path).actions()


def refusal_of(folder: Path, text: str) -> SourceError:
    with pytest.raises(SourceError) as refused:
        file_of(folder, text).actions()
    return refused.value


def test_every_fault_of_a_row_and_every_row_at_fault_is_told_in_one_error(tmp_path: Path) -> None:
    rows = ["A,2014-06-09,split,7", "a b,09.06.2014,merger,seven", "B,2014-06-10,split,-1", "A,2014-06-09,split,8"]
    error = refusal_of(tmp_path, HEADER + "\n".join(rows) + "\n")
    assert error.found == (
        "line 3: symbol 'a b', ex_session '09.06.2014', kind 'merger', value 'seven'; "
        "line 4: value '-1'; line 5: the action of line 2 again"
    )
    assert error.where["row"] == 3
    for remedy in ("ticker", "YYYY-MM-DD", "split, dividend or delisting", "plain numbers", "above zero", "added up"):
        assert remedy in error.remedy


def test_ten_rows_at_fault_are_told_and_the_others_counted(tmp_path: Path) -> None:
    sound, rows = "A,2013-06-09,split,7\n", [f"A,2014-06-{day:02},merger,1\n" for day in range(1, 14)]
    message = refusal_of(tmp_path, HEADER + sound + "".join(rows)).found
    assert [f"line {line}: kind 'merger'" in message for line in range(3, 16)] == [True] * 10 + [False] * 3
    assert message.endswith("; and 3 lines more")
    assert "more" not in refusal_of(tmp_path, HEADER + sound + "".join(rows[:10])).found


@pytest.mark.parametrize("written", ["2014-04-23", "20140423", " 2014-04-23 "])
def test_a_known_at_without_a_time_is_refused(tmp_path: Path, written: str) -> None:
    error = refusal_of(tmp_path, f"{HEADER.strip()},known_at\nA,2014-06-09,split,7,{written}\n")
    assert error.where["rule"] == "known_at_is_a_moment"
    assert "leave the column out" in error.remedy


def test_a_known_at_at_an_explicit_midnight_stays(tmp_path: Path) -> None:
    text = (
        f"{HEADER.strip()},known_at\nA,2014-06-09,split,7,2014-04-23T00:00:00Z\nB,2014-06-09,split,7,2014-04-23 00:00\n"
    )
    assert set(file_of(tmp_path, text).actions()["known_at"]) == {pd.Timestamp("2014-04-23", tz="UTC")}


def test_a_split_written_twice_is_one_split_with_its_own_moment(tmp_path: Path) -> None:
    file = tmp_path / "actions.csv"
    rows = ["A,2014-06-09,split,7,", "A,2014-06-09,split,7,", "B,2014-06-09,split,2,2014-06-08T20:00:00Z"]
    file.write_text("symbol,ex_session,kind,value,known_at\n" + "\n".join(rows) + "\n")
    actions = ActionsFile(file).actions()
    assert actions[["symbol", "value"]].to_numpy().tolist() == [["A", 7.0], ["B", 2.0]]
    assert actions["known_at"].isna().tolist() == [True, False]
