"""A file of splits and dividends, as written and as miswritten."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import SourceError
from nn_assets.frames import DELIVERED_ACTIONS, validate
from nn_assets.market.actions import with_action_moments
from nn_assets.sources.actions_file import ActionsFile
from nn_assets.sources.protocol import ActionSource

HEADER = "symbol,ex_session,kind,value\n"
SOUND = HEADER + "TRUE,2014-06-09,split,7\nAAPL,2014-05-08,dividend,3.29\nAAPL,2013-05-09,dividend,\n"


def file_of(folder: Path, text: str) -> ActionsFile:
    path = folder / "actions.csv"
    path.write_text(text, encoding="utf-8")
    return ActionsFile(path)


def test_a_sound_file_is_read_whole_ordered_and_with_its_name_as_source(tmp_path: Path) -> None:
    source = file_of(tmp_path, SOUND)
    assert isinstance(source, ActionSource)
    found = validate(source.actions(), DELIVERED_ACTIONS)
    assert found["symbol"].tolist() == ["AAPL", "AAPL", "TRUE"]
    assert found["ex_session"].dt.strftime("%F").tolist() == ["2013-05-09", "2014-05-08", "2014-06-09"]
    assert np.array_equal(found["value"], [np.nan, 3.29, 7.0], equal_nan=True)
    assert set(found["source"]) == {"actions:actions.csv"}


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
    ("text", "said"),
    [
        ("", "EmptyDataError"),
        ("symbol,ex_session,value\nA,2014-06-09,7\n", "no column kind"),
        (HEADER + "A,09.06.2014,split,7\n", "ex_session '09.06.2014' in line 2"),
        (HEADER + "A,2014-06-09,split,7\nA,2014-06-10,split,seven\n", "value 'seven' in line 3"),
        (HEADER + "A,2014-06-09,split,0\n", "A: value = 0.0"),
        (HEADER + "A,2014-06-09,split,inf\n", "A: value = inf"),
        (HEADER + "A,2014-06-09,merger,1\n", "A: kind = merger"),
        (HEADER + "A,2014-06-09,split,7\nA,2014-06-09,split,7\n", "unique by symbol, ex_session, kind"),
        (HEADER + "a b,2014-06-09,split,7\n", "'a b'"),
        ("symbol,ex_session,kind,value,known_at\nA,2014-06-09,split,7,soon\n", "known_at 'soon' in line 2"),
        (HEADER + "A,2014-06-09,split,7\nA,2014-05-08,dividend,3,29\n", "5 cells in line 3"),
        (HEADER + "A,2014-06-09,split\n", "3 cells in line 2"),
        (HEADER + "A,9999-12-31,split,7\n", "ex_session '9999-12-31' in line 2"),
        (HEADER + "A,1066-10-14,split,7\n", "ex_session '1066-10-14' in line 2"),
        (
            "symbol,ex_session,kind,value,known_at\nA,2014-06-09,split,7,9999-12-31T00:00:00Z\n",
            "known_at '9999-12-31T00:00:00Z' in line 2",
        ),
    ],
)
def test_a_miswritten_file_is_refused_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SourceError, match=r"actions\.csv") as refused:
        file_of(tmp_path, text).actions()
    assert said in str(refused.value)


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
