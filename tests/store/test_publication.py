"""Nothing downstream is served but what the publication in force covers, under its hash."""

from __future__ import annotations

import cProfile
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.errors import PublicationError
from nn_assets.store.lake.files import write_record
from nn_assets.store.lake.lake import Lake
from nn_assets.store.lake.publication import Publication, PublicationStore
from nn_assets.store.ledger.ledger import Ledger
from tests.store.test_lake import some_bars

EVENING = pd.Timestamp("2018-01-06 22:00", tz="UTC")


@pytest.fixture
def store(tmp_path: Path) -> PublicationStore:
    return PublicationStore(Lake(tmp_path / "lake"))


def publish(
    store: PublicationStore,
    rows: int = 6,
    content_hash: str = "hash-6",
    at: pd.Timestamp = EVENING,
    seed: int = 0,
) -> Publication:
    bars = some_bars(rows, seed=seed)
    return store.publish(
        "demo",
        bars,
        bars[:1],
        first="2018-01-01",
        last=bars["session"].iloc[-1],
        content_hash=content_hash,
        published_at=at,
        details={"revised": 0},
    )


def test_a_publication_serves_the_sessions_it_covers(store: PublicationStore) -> None:
    made = publish(store)
    for session in ("2018-01-01", pd.Timestamp("2018-01-06")):
        assert store.require("demo", session) == made
        assert store.require("demo", session, "hash-6") == made
    pd.testing.assert_frame_equal(store.bars(made), some_bars(6))
    pd.testing.assert_frame_equal(store.quarantine(made), some_bars(6)[:1])


@pytest.mark.parametrize("session", ["2018-01-07", "2017-12-31"])
def test_a_session_that_is_not_covered_is_refused_by_name(store: PublicationStore, session: str) -> None:
    publish(store)
    with pytest.raises(PublicationError, match=session) as caught:
        store.require("demo", session)
    assert "2018-01-01 to 2018-01-06" in str(caught.value)


def test_a_table_with_another_hash_is_refused(store: PublicationStore) -> None:
    publish(store)
    with pytest.raises(PublicationError, match="hash-5"):
        store.require("demo", "2018-01-03", "hash-5")


def test_nothing_is_served_before_the_first_publication(store: PublicationStore) -> None:
    assert store.current("demo") is None
    assert store.history("demo") == ()
    with pytest.raises(PublicationError, match="nothing published") as caught:
        store.require("demo", "2018-01-03")
    assert caught.value.remedy == "nn-assets check --strategy demo"
    with pytest.raises(PublicationError, match="nothing published") as caught:
        store.require("demo.intraday", "2018-01-03")
    assert caught.value.remedy == "nn-assets check --strategy demo"


def test_after_a_failed_gate_earlier_sessions_stay_servable(store: PublicationStore) -> None:
    made = publish(store)
    # The gate refused the bars of January 7th, so nobody called publish for them.
    assert store.require("demo", "2018-01-06", "hash-6") == made
    with pytest.raises(PublicationError, match="2018-01-07"):
        store.require("demo", "2018-01-07", "hash-6")


def test_a_publication_that_cannot_be_made_leaves_the_one_before(
    store: PublicationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = publish(store)
    with monkeypatch.context() as patched:
        patched.setattr("nn_assets.store.lake.publication.frame_hash", lambda frame: "other")
        with pytest.raises(PublicationError, match="address"):
            publish(store, rows=7, content_hash="hash-7")
    assert store.current("demo") == made
    with pytest.raises(PublicationError, match="outside"):
        store.publish(
            "demo",
            some_bars(9),
            some_bars(0),
            first="2018-01-01",
            last="2018-01-06",
            content_hash="h",
            published_at=EVENING,
        )
    with pytest.raises(PublicationError, match="before the last"):
        store.publish(
            "demo",
            some_bars(0),
            some_bars(0),
            first="2018-01-06",
            last="2018-01-01",
            content_hash="h",
            published_at=EVENING,
        )
    assert store.current("demo") == made


def test_publishing_the_same_again_changes_nothing(store: PublicationStore) -> None:
    made = publish(store)
    again = publish(store, at=EVENING + pd.Timedelta(days=30))
    assert again == made
    assert store.history("demo") == (made,)


def test_going_on_takes_no_more_calls_after_many_publications_than_after_few(tmp_path: Path) -> None:
    """Growth, counted in functions called, of which the machine's load changes none."""
    calls = {}
    for earlier in (10, 400):
        store = PublicationStore(Lake(tmp_path / str(earlier)))
        last = replace(publish(store), ordinal=earlier)
        folder = store.lake.folder("demo", "publication")
        for ordinal in range(2, earlier):
            (folder / "history" / f"{ordinal:08d}-{'0' * 16}.json").touch()
        write_record(folder / "history" / last.file_name, last.to_record())
        write_record(folder / "current.json", {"publication": last.file_name})
        profile = cProfile.Profile()
        made = profile.runcall(publish, store, rows=7, content_hash="hash-7")
        assert profile.runcall(store.current, "demo") == made
        assert made.ordinal == earlier + 1
        calls[earlier] = sum(entry.callcount for entry in profile.getstats())
    assert calls[400] <= 1.02 * calls[10], calls


def test_the_past_sees_the_publication_then_in_force(store: PublicationStore) -> None:
    first = publish(store)
    second = publish(store, rows=7, content_hash="hash-7", at=EVENING + pd.Timedelta(days=1))
    assert store.history("demo") == (first, second)
    assert store.current("demo") == second
    assert store.current("demo", as_of=EVENING) == first
    assert store.current("demo", as_of=EVENING - pd.Timedelta(seconds=1)) is None
    assert store.require("demo", "2018-01-06", "hash-6", as_of=EVENING) == first
    with pytest.raises(PublicationError):
        store.require("demo", "2018-01-07", as_of=EVENING)
    pd.testing.assert_frame_equal(store.bars(first), some_bars(6))


def test_going_back_to_earlier_bars_is_a_publication_of_its_own(store: PublicationStore) -> None:
    publish(store)
    publish(store, seed=1, content_hash="other")
    back = publish(store)
    assert [publication.content_hash for publication in store.history("demo")] == ["hash-6", "other", "hash-6"]
    assert store.current("demo") == back
    assert len({publication.publication_id for publication in store.history("demo")}) == 3


def test_strategies_do_not_see_each_other(store: PublicationStore) -> None:
    publish(store)
    with pytest.raises(PublicationError):
        store.require("other", "2018-01-03")


def test_a_record_whose_switch_never_came_was_never_in_force(store: PublicationStore) -> None:
    made = publish(store)
    folder = store.lake.root / "demo" / "publication"
    pointer = (folder / "current.json").read_bytes()
    lost = publish(store, rows=7, content_hash="hash-7")
    (folder / "current.json").write_bytes(pointer)  # as a kill just before the switch leaves it
    assert store.history("demo") == (made,)
    again = publish(store, rows=7, content_hash="hash-7")
    assert again == lost
    assert store.history("demo") == (made, lost)


@pytest.mark.parametrize("content", ["{", "{}", '{"publication": "00000009-x.json"}'])
def test_a_damaged_pointer_is_named(store: PublicationStore, content: str) -> None:
    publish(store)
    (store.lake.root / "demo" / "publication" / "current.json").write_text(content, encoding="utf-8")
    with pytest.raises(PublicationError, match=r"current\.json"):
        store.require("demo", "2018-01-03")


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("content", ["{", "{}", '{"publication": "00000009-x.json"}', None])
def test_the_remedy_for_a_damaged_or_lost_pointer_works(
    store: PublicationStore, content: str | None, count: int
) -> None:
    made = tuple(publish(store, content_hash=f"hash-{number}") for number in range(count))
    pointer = store.lake.root / "demo" / "publication" / "current.json"
    pointer.unlink()
    if content is not None:
        pointer.write_text(content, encoding="utf-8")
    elif count == 1:
        record = next((pointer.parent / "history").iterdir())
        before = record.read_bytes()
        assert publish(store, content_hash="hash-0", at=EVENING + pd.Timedelta(days=9)) == made[0]
        assert record.read_bytes() == before, "the moment from which it was in force stays"
        return
    for asks in (lambda: store.current("demo"), lambda: publish(store, content_hash="new")):
        with pytest.raises(PublicationError, match=r"current\.json") as caught:
            asks()
        assert str(pointer) in str(caught.value)
    record = caught.value.remedy
    pointer.write_text(record[record.index("{") : record.index("}") + 1], encoding="utf-8")
    assert store.history("demo") == made


@pytest.mark.parametrize(
    ("before", "after"),
    [('"rows": 6', '"rows": 5'), ('"hash-6"', '"hash-7"'), ('"ordinal": 1', '"ordinal": 2'), ("{", "")],
)
def test_a_record_that_is_not_the_one_its_name_tells_is_refused(
    store: PublicationStore, before: str, after: str
) -> None:
    publish(store)
    publish(store, content_hash="second")
    record = next((store.lake.root / "demo" / "publication" / "history").glob("00000001-*.json"))
    text = record.read_text(encoding="utf-8")
    assert before in text
    record.write_text(text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(PublicationError, match=f"{record.name}.*backup"):
        store.history("demo")


def test_no_changed_digit_of_the_moment_of_publishing_goes_unnoticed(store: PublicationStore) -> None:
    """It decides what was in force at a decision, and is no part of the publication's id."""
    made = publish(store)
    record = next((store.lake.root / "demo" / "publication" / "history").iterdir())
    text = record.read_text(encoding="utf-8")
    start = text.index('"published_at": "') + len('"published_at": "')
    moment = text[start : start + len("2018-01-06T22:00:00.000000")]
    assert moment == "2018-01-06T22:00:00.000000"
    for index, digit in enumerate(moment):
        if digit.isdigit():
            changed = moment[:index] + str((int(digit) + 1) % 10) + moment[index + 1 :]
            record.write_text(text.replace(moment, changed), encoding="utf-8")
            with pytest.raises(PublicationError, match=f"{record.name}.*backup"):
                store.current("demo")
    record.write_text(text, encoding="utf-8")
    assert store.history("demo") == (made,)


def test_a_record_of_an_earlier_version_holds_no_hash_of_the_whole_and_is_read(store: PublicationStore) -> None:
    made = publish(store)
    record = next((store.lake.root / "demo" / "publication" / "history").iterdir())
    fields = json.loads(record.read_text(encoding="utf-8"))
    del fields["sha256"]
    record.write_text(json.dumps(fields), encoding="utf-8")
    assert store.history("demo") == (made,)
    assert publish(store) == made
    assert store.unhashed("demo") == (made,)
    second = publish(store, content_hash="second")
    assert store.history("demo") == (made, second)
    assert store.unhashed("demo") == (made,)


def test_a_record_that_lost_its_hash_is_not_taken_for_one_of_an_earlier_version(store: PublicationStore) -> None:
    publish(store)
    publish(store, content_hash="second")
    record = max((store.lake.root / "demo" / "publication" / "history").iterdir())
    fields = json.loads(record.read_text(encoding="utf-8"))
    del fields["sha256"]
    record.write_text(json.dumps({**fields, "published_at": "2018-01-07T00:00:00+00:00"}), encoding="utf-8")
    with pytest.raises(PublicationError, match=f"{record.name}.*no sha256, which an earlier record has"):
        store.history("demo")


def test_a_pointer_of_long_ago_is_not_taken_for_a_killed_writer(store: PublicationStore) -> None:
    pointer = store.lake.root / "demo" / "publication" / "current.json"
    first = publish(store)
    older = pointer.read_bytes()
    made = (first, publish(store, content_hash="second"), publish(store, content_hash="third"))
    pointer.write_bytes(older)
    for asks in (lambda: store.current("demo"), lambda: publish(store, content_hash="new")):
        with pytest.raises(PublicationError, match=r"an older pointer, to 00000001-") as caught:
            asks()
    record = caught.value.remedy
    pointer.write_text(record[record.index("{") : record.index("}") + 1], encoding="utf-8")
    assert store.history("demo") == made


def test_a_publication_that_is_gone_from_the_record_is_missed(store: PublicationStore) -> None:
    for number in range(3):
        publish(store, content_hash=f"hash-{number}")
    history = store.lake.root / "demo" / "publication" / "history"
    for ordinal in (1, 2):
        next(history.glob(f"{ordinal:08d}-*.json")).unlink()
        with pytest.raises(PublicationError, match=f"no publication {ordinal}"):
            store.history("demo")


@pytest.mark.full
def test_a_publication_fits_the_ledger_and_its_rerun_is_no_news(store: PublicationStore, ledger: Ledger) -> None:
    made = publish(store)
    assert ledger.append("publications", [made.to_row()], run_id="run").inserted == 1
    assert ledger.append("publications", [publish(store).to_row()], run_id="rerun").unchanged == 1
    assert ledger.read("publications", "demo")["publication_id"].tolist() == [made.publication_id]


def test_what_was_never_switched_to_is_no_part_of_history_once_its_number_is_taken(store: PublicationStore) -> None:
    first = publish(store)
    current = store.lake.root / "demo" / "publication" / "current.json"
    pointer = current.read_bytes()
    for number in range(8):  # their names sort before and after that of the one to come
        publish(store, content_hash=f"lost {number}", at=EVENING + pd.Timedelta(hours=number))
        current.write_bytes(pointer)
    second = publish(store, content_hash="hash-7", at=EVENING + pd.Timedelta(days=1))
    assert store.history("demo") == (first, second)
    assert store.current("demo", as_of=EVENING + pd.Timedelta(hours=12)) == first
