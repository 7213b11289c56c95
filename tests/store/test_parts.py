"""Long frames lie in quarters and come back to the bit; what is asked for some sessions opens no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import PublicationError
from nn_assets.store.lake import lake as lakes
from nn_assets.store.lake import parts, segments
from nn_assets.store.lake.content import frame_hash
from nn_assets.store.lake.lake import Lake

SESSIONS = pd.date_range("2018-01-01", "2018-12-31", freq="B", unit="ns")


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake to which a few hundred rows are long."""
    monkeypatch.setattr(parts, "_WHOLE_ROWS", 100)
    return Lake(tmp_path / "lake")


def bars(symbols: tuple[str, ...] = ("B", "AB", "CON"), sessions: pd.DatetimeIndex = SESSIONS) -> pd.DataFrame:
    random = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "symbol": pd.Series(np.repeat(sorted(symbols), len(sessions)), dtype="str"),
            "session": np.tile(sessions, len(symbols)),
        }
    )
    values = random.lognormal(3, 1, len(frame))
    values[random.random(len(frame)) < 0.1] = np.nan
    known = (frame["session"] + pd.Timedelta(hours=21)).dt.tz_localize("UTC")
    return frame.assign(close=values, known_at=known)


def ordered(frame: pd.DataFrame, how: str) -> pd.DataFrame:
    """The same rows in one of the orders that frames come in, with a bar held twice."""
    twice = pd.concat([frame, frame.iloc[[5]].assign(close=-1.0)], ignore_index=True)
    if how == "neither":
        return twice.sample(frac=1.0, random_state=1).reset_index(drop=True)
    by = ["symbol", "session"] if how == "symbol" else ["session", "symbol"]
    return twice.sort_values(by, kind="stable").reset_index(drop=True)


@pytest.mark.parametrize("how", ["symbol", "session", "neither"])
def test_a_long_frame_comes_back_to_the_bit_and_so_does_every_selection(lake: Lake, how: str) -> None:
    frame = ordered(bars(), how)
    address = lake.write_table("demo", "bars", frame)
    assert address == frame_hash(frame)
    files = len(list((lake.root / "demo" / "bars").glob("*.parquet")))
    assert files == (1 if how == "neither" else 4)
    stored = lake.read_table("demo", "bars")
    pd.testing.assert_frame_equal(stored, frame, check_exact=True)
    assert frame_hash(stored) == address
    days = pd.DatetimeIndex(["2018-02-01", "2018-08-03", "2019-01-01"])
    moment = pd.Timestamp("2018-05-01 21:00", tz="UTC")
    for selection, wanted in (
        ({"first": "2018-03-29", "last": "2018-04-03"}, frame["session"].between("2018-03-29", "2018-04-03")),
        ({"sessions": days}, frame["session"].isin(days)),
        ({"as_of": moment}, frame["known_at"] <= moment),
        ({"first": "2019-01-01"}, frame["session"] >= "2019-01-01"),
        ({"last": "2018-06-01", "columns": ["close"]}, frame["session"] <= "2018-06-01"),
    ):
        cut = frame.loc[wanted, selection.get("columns", list(frame.columns))].reset_index(drop=True)
        pd.testing.assert_frame_equal(lake.read_table("demo", "bars", **selection), cut, check_exact=True)


def test_only_quarters_with_a_session_asked_for_are_opened(lake: Lake) -> None:
    lake.write_table("demo", "bars", bars())
    folder = lake.root / "demo" / "bars"
    [summer] = [
        file for file in folder.glob("*.parquet") if "2018-08-01" in str(pd.read_parquet(file)["session"].tolist())
    ]
    summer.unlink()
    assert len(lake.read_table("demo", "bars", first="2018-10-01")) == 3 * sum(SESSIONS >= "2018-10-01")
    with pytest.raises(PublicationError, match=summer.stem):
        lake.read_table("demo", "bars", first="2018-09-28")
    lake.write_table("demo", "bars", bars())  # writing again mends it
    pd.testing.assert_frame_equal(lake.read_table("demo", "bars"), bars())


def test_a_frame_that_grew_by_a_day_shares_all_its_quarters_but_the_last(lake: Lake) -> None:
    whole = bars()
    lake.write_table("demo", "bars", whole[whole["session"] < SESSIONS[-1]].reset_index(drop=True))
    folder = lake.root / "demo" / "bars"
    before = {file: file.stat().st_mtime_ns for file in folder.glob("*.parquet")}
    lake.write_table("demo", "bars", whole)
    after = {file: file.stat().st_mtime_ns for file in folder.glob("*.parquet")}
    assert len(after.keys() - before.keys()) == 1
    assert {file: after[file] for file in before} == before


def test_a_truncated_part_is_named(lake: Lake) -> None:
    lake.write_table("demo", "bars", bars())
    part = min((lake.root / "demo" / "bars").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(PublicationError, match=part.stem):
        lake.read_table("demo", "bars")


# --- many small additions --------------------------------------------------------------------------------


@pytest.fixture
def merging(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake that merges three segments at once."""
    monkeypatch.setattr(segments, "MERGED_AT_ONCE", 3)
    return lake


def day(index: int) -> pd.DataFrame:
    return bars(sessions=SESSIONS[index : index + 1])


MANIFESTS = [
    "{}",
    '{"rows": 3}',
    '{"parts": 3}',
    '{"parts": []}',
    '{"parts": [{}]}',
    '{"parts": [3]}',
    "[]",
    "",
    "\x00",
]


@pytest.mark.parametrize("text", MANIFESTS)
def test_a_manifest_that_is_none_is_named_and_written_again_with_the_table(lake: Lake, text: str) -> None:
    frame = bars()
    address = lake.write_table("demo", "bars", frame)
    (manifest,) = (lake.root / "demo" / "bars").glob(f"{address}.manifest.json")
    manifest.write_text(text, encoding="utf-8")
    with pytest.raises(PublicationError, match="makes it again") as refused:
        lake.read_table("demo", "bars")
    assert refused.value.where["file"] == str(manifest)
    assert lake.write_table("demo", "bars", frame) == address
    pd.testing.assert_frame_equal(lake.read_table("demo", "bars"), frame, check_exact=True)


@pytest.mark.full
def test_many_segments_become_few_and_read_as_they_were_added(merging: Lake) -> None:
    order = [5, 4, *range(6, 30), 0, 1, 2, 3]
    for count, index in enumerate(order, start=1):
        merging.append_segment("demo", "raw_bars", day(index))
        whole = pd.concat([day(number) for number in order[:count]], ignore_index=True)
        pd.testing.assert_frame_equal(merging.read_segments("demo", "raw_bars"), whole, check_exact=True)
        assert merging.additions("demo", "raw_bars") == count
        assert len(merging.segments("demo", "raw_bars")) <= 8
    asked = SESSIONS[[3, 17]]
    selected = merging.read_segments("demo", "raw_bars", sessions=asked)
    pd.testing.assert_frame_equal(selected, whole[whole["session"].isin(asked)].reset_index(drop=True))
    kept = {file.stem for file in (merging.root / "demo" / "raw_bars").glob("*.parquet")}
    assert len(kept) < len(order)


def test_a_segment_added_again_after_a_merge_is_not_added_twice(merging: Lake) -> None:
    for index in range(3):
        merging.append_segment("demo", "raw_bars", day(index))
    assert len(merging.segments("demo", "raw_bars")) == 1
    merging.append_segment("demo", "raw_bars", day(2))
    assert len(merging.read_segments("demo", "raw_bars")) == 9


@pytest.mark.full
def test_a_content_that_a_merged_one_lies_in_is_not_removed_with_its_segment(merging: Lake) -> None:
    summer, autumn = (bars(sessions=SESSIONS[SESSIONS.quarter == quarter]) for quarter in (3, 4))
    long = [piece.sort_values("session", kind="stable", ignore_index=True) for piece in (summer, autumn)]
    pieces = [day(0), *long, *(day(index).assign(close=float(index)) for index in range(3, 30))]
    for piece in pieces:
        merging.append_segment("demo", "raw_bars", piece)
    stored = merging.read_segments("demo", "raw_bars")
    pd.testing.assert_frame_equal(stored, pd.concat(pieces, ignore_index=True), check_exact=True)


def test_a_merge_that_breaks_off_anywhere_loses_nothing(merging: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(8):
        merging.append_segment("demo", "raw_bars", day(index))
    whole = pd.concat([day(index) for index in range(9)], ignore_index=True)

    class Killed(BaseException):
        pass

    for step in range(12):
        left = iter(range(step))

        def stop(real: object, *arguments: object, left: object = left) -> object:
            if next(left, None) is None:  # type: ignore[call-overload]
                raise Killed
            return real(*arguments)  # type: ignore[operator]

        with monkeypatch.context() as patched:
            for room in (lakes, segments):
                for name in {"store_frame", "write_record", "forget_frame"} & set(vars(room)):
                    real = getattr(room, name)
                    patched.setattr(room, name, lambda *arguments, real=real, stop=stop: stop(real, *arguments))
            try:
                merging.append_segment("demo", "raw_bars", day(8))
            except Killed:
                assert len(merging.read_segments("demo", "raw_bars")) in (24, 27)
                continue
        break
    assert step > 3
    pd.testing.assert_frame_equal(merging.read_segments("demo", "raw_bars"), whole, check_exact=True)
