"""Bitemporal bars: oracles are brute force over lists, and moments worked out by hand."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn_assets.contracts import BAR_VERSIONS, conform, empty, validate
from nn_assets.market.facts.bars import (
    RevisionCount,
    content_hash,
    known_bars,
    new_versions,
    with_assumed_known_at,
)
from nn_assets.market.facts.bitemporal import BAR_FACTS
from tests.market.builders import ARRIVAL, moment, sound_bars, with_values

DAYS = pd.date_range("2019-03-04", periods=3, freq="D")


def delivery(*rows: tuple[str, int, float], arrived: str, known: str | None = None) -> pd.DataFrame:
    """One delivery of (symbol, day number, close) rows; the other values follow from the close."""
    frame = pd.DataFrame(rows, columns=["symbol", "day", "close"])
    frame["session"] = [DAYS[day] for day in frame["day"]]
    for name in ("open", "high", "low", "volume"):
        frame[name] = frame["close"]
    closes = frame["session"].dt.tz_localize("UTC") + pd.Timedelta(hours=21)
    frame["known_at"] = closes if known is None else moment(known)
    return conform(frame.assign(source="test", ingested_at=moment(arrived)), BAR_VERSIONS)


def stored_after(*deliveries: pd.DataFrame) -> tuple[pd.DataFrame, list[RevisionCount]]:
    stored, counts = empty(BAR_VERSIONS), []
    for delivered in deliveries:
        fresh, count = new_versions(stored, delivered)
        stored = pd.concat([stored, fresh], ignore_index=True)
        counts.append(count)
    return stored, counts


def test_a_bar_delivered_again_unchanged_adds_no_version() -> None:
    bars = sound_bars(("AAA", "BBB"))
    stored, _ = stored_after(bars)
    again = bars.assign(ingested_at=ARRIVAL + pd.Timedelta(days=9)).sample(frac=1.0, random_state=3)
    fresh, count = new_versions(stored, again)
    assert fresh.empty
    assert count == RevisionCount(unchanged=240)


def test_a_missing_value_equals_a_missing_value() -> None:
    bars = with_values(sound_bars(count=5), 2, open=np.nan)
    stored, _ = stored_after(bars)
    _, count = new_versions(stored, bars)
    assert count == RevisionCount(unchanged=5)


def test_a_restated_bar_is_known_from_its_arrival_and_not_before() -> None:
    stored, counts = stored_after(
        delivery(("A", 0, 10.0), ("A", 1, 11.0), arrived="2019-04-01"),
        delivery(("A", 0, 10.0), ("A", 1, 99.0), arrived="2019-05-01 08:00"),
    )
    assert counts[1] == RevisionCount(revised=1, unchanged=1)
    before = known_bars(stored, moment("2019-05-01 07:59"))
    after = known_bars(stored, moment("2019-05-01 08:00"))
    assert before["close"].tolist() == [10.0, 11.0]
    assert after["close"].tolist() == [10.0, 99.0]
    assert after["known_at"].tolist() == [moment("2019-03-04 21:00"), moment("2019-05-01 08:00")]


def test_a_restatement_back_to_the_first_value_is_a_third_version() -> None:
    stored, counts = stored_after(
        delivery(("A", 0, 10.0), arrived="2019-04-01"),
        delivery(("A", 0, 12.0), arrived="2019-04-02"),
        delivery(("A", 0, 10.0), arrived="2019-04-03"),
    )
    assert [count.revised for count in counts] == [0, 1, 1]
    assert len(stored) == 3


def test_replaying_a_decision_ignores_what_was_stored_after_it() -> None:
    stored, _ = stored_after(
        delivery(("A", 0, 10.0), arrived="2019-03-05"),
        delivery(("A", 0, 10.0), ("A", 1, 11.0), arrived="2019-06-01"),
    )
    # The second bar counts as known on its own day, but this system did not have it until June.
    studied = known_bars(stored, moment("2019-03-06"))
    replayed = known_bars(stored, moment("2019-03-06"), ingested_by=moment("2019-03-06"))
    assert studied["close"].tolist() == [10.0, 11.0]
    assert replayed["close"].tolist() == [10.0]


def test_a_bar_taken_in_before_its_close_is_confirmed_by_an_equal_one_after_it() -> None:
    early = delivery(("A", 0, 10.0), arrived="2019-03-04 18:00")
    final = delivery(("A", 0, 10.0), arrived="2019-03-04 22:00")
    stored, counts = stored_after(early, early.copy(), final, final.copy())
    assert [count.confirmed for count in counts] == [0, 0, 1, 0]
    assert known_bars(stored, moment("2019-03-05"))["ingested_at"].tolist() == [moment("2019-03-04 22:00")]


def test_an_intraday_revision_stays_unknown_until_the_close() -> None:
    stored, _ = stored_after(
        delivery(("A", 0, 10.0), arrived="2019-03-04 15:00"),
        delivery(("A", 0, 10.5), arrived="2019-03-04 16:00"),
    )
    assert known_bars(stored, moment("2019-03-04 20:59")).empty
    assert known_bars(stored, moment("2019-03-04 21:00"))["close"].tolist() == [10.5]


def test_a_delivery_that_contradicts_itself_is_one_row_without_values_until_a_clean_one_replaces_it() -> None:
    torn = delivery(("A", 0, 10.0), ("A", 0, 20.0), ("A", 0, 10.0), arrived="2019-04-01")
    mended = delivery(("A", 0, 10.0), arrived="2019-04-02")
    stored, counts = stored_after(torn, torn.iloc[::-1], mended)
    assert counts[1] == RevisionCount(unchanged=1)
    assert len(stored) == 2
    known = known_bars(stored, moment("2019-04-01 12:00"))
    assert known[["open", "high", "low", "close", "volume"]].isna().all(axis=None)
    assert len(known) == 1
    assert known_bars(stored, moment("2019-04-02 12:00"))["close"].tolist() == [10.0]
    # What it said is told apart, for quarantine, and takes its place there; the delivery again tells the same.
    for count in counts[:2]:
        assert set(count.contradicted["close"]) == {10.0, 20.0}
        assert count.equal_rows == 1
        shown = BAR_FACTS.with_contents(known, count.contradicted)
        assert sorted(shown["close"]) == [10.0, 20.0]
        assert set(shown["known_at"]) == set(known["known_at"])


def test_known_at_is_assumed_from_the_close_half_days_and_summer_time_included() -> None:
    sessions = pd.to_datetime(["2018-01-02", "2018-07-03", "2018-07-05", "2018-07-04"])
    delivered = sound_bars(count=4).drop(columns=["known_at", "ingested_at"]).assign(session=sessions)
    bars = with_assumed_known_at(delivered, "XNYS", 30, ARRIVAL)
    validate(bars, BAR_VERSIONS)
    # 16:00 New York in winter, 13:00 on the eve of the holiday, 16:00 in summer, and a holiday.
    assert bars["known_at"].tolist() == [
        moment("2018-01-02 21:30"),
        moment("2018-07-03 17:30"),
        moment("2018-07-05 20:30"),
        moment("2018-07-05 00:30"),
    ]
    assert set(bars["ingested_at"]) == {ARRIVAL}


def test_a_known_at_of_the_source_is_kept() -> None:
    delivered = sound_bars(count=2).drop(columns="ingested_at")
    delivered.loc[0, "known_at"] = moment("2018-03-01 07:00")
    bars = with_assumed_known_at(delivered, "XNYS", 30, ARRIVAL)
    assert bars["known_at"].tolist() == [moment("2018-03-01 07:00"), moment("2018-01-03 21:30")]


Versions = st.lists(
    st.tuples(st.sampled_from("AB"), st.integers(0, 2), st.integers(1, 3), st.integers(0, 60)),
    max_size=12,
    unique_by=lambda version: (version[0], version[1], version[3]),
)


@pytest.mark.full
@settings(max_examples=25, deadline=None)
@given(Versions, st.integers(0, 70), st.randoms(use_true_random=False))
def test_as_of_gives_the_latest_version_known_whatever_the_order_of_storage(versions, hour, random) -> None:
    deliveries = [
        delivery((symbol, day, float(close)), arrived=f"{moment('2019-03-10') + pd.Timedelta(hours=at):%F %H:%M}")
        for symbol, day, close, at in sorted(versions, key=lambda version: version[3])
    ]
    stored, _ = stored_after(*deliveries)
    asked = moment("2019-03-10") + pd.Timedelta(hours=hour)
    # Brute force over plain records: the first version was known at its close, others at arrival.
    latest: dict[tuple[str, int], tuple[int, float]] = {}
    for symbol, day, close, at in sorted(versions, key=lambda version: version[3]):
        known = (symbol, day) not in latest or at <= hour
        if known:
            latest[symbol, day] = (at, float(close))
    expected = [latest[key][1] for key in sorted(latest)]
    order = list(range(len(stored)))
    random.shuffle(order)
    actual = known_bars(stored.iloc[order], asked)
    assert actual["close"].tolist() == expected
    pd.testing.assert_frame_equal(actual, known_bars(stored, asked))


@pytest.mark.full
@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_a_delivery_changes_neither_versions_nor_hash(random) -> None:
    bars = sound_bars(("AAA", "BBB"), count=6)
    stored = with_values(bars, 3, close=1.0)
    order = list(range(len(bars)))
    random.shuffle(order)
    fresh, count = new_versions(stored, bars.iloc[order])
    plain, plain_count = new_versions(stored, bars)
    pd.testing.assert_frame_equal(fresh, plain)
    assert count == plain_count == RevisionCount(revised=1, unchanged=11)
    assert content_hash(bars.iloc[order]) == content_hash(bars)


def test_the_content_hash_is_that_of_the_bytes_it_documents() -> None:
    bars = sound_bars(count=2)
    expected = hashlib.sha256(b"bars/1/2")
    expected.update(b"AAA\t2\n")
    expected.update(struct.pack("<2q", 1514851200 * 10**9, 1514937600 * 10**9))
    for name in ("open", "high", "low", "close", "volume"):
        expected.update(struct.pack("<2d", *bars[name].tolist()))
    assert content_hash(bars) == expected.hexdigest()


@pytest.mark.parametrize("name", ["open", "volume"])
def test_the_content_hash_sees_the_last_bit_of_a_value(name) -> None:
    bars = sound_bars(count=4)
    nudged = with_values(bars, 1, **{name: np.nextafter(bars[name][1], np.inf)})
    assert content_hash(nudged) != content_hash(bars)


def test_the_content_hash_ignores_arrival_and_the_sign_of_zero_but_not_the_symbol() -> None:
    bars = with_values(sound_bars(count=4), 0, volume=0.0)
    later = with_values(bars, 0, volume=-0.0).assign(ingested_at=ARRIVAL + pd.Timedelta(days=1))
    assert content_hash(later) == content_hash(bars)
    assert content_hash(bars.assign(symbol="AAB")) != content_hash(bars)


def test_a_bar_that_first_arrives_after_its_session_was_decided_is_known_from_its_arrival() -> None:
    delivered = sound_bars(count=3).drop(columns=["known_at", "ingested_at"])
    decided_to = delivered["session"].iloc[1]
    bars = with_assumed_known_at(delivered, "XNYS", 30, ARRIVAL, decided_to=decided_to)
    late = bars["session"] <= decided_to
    assert (bars.loc[late, "known_at"] == ARRIVAL).all()
    assert (bars.loc[~late, "known_at"] < ARRIVAL).all()
    assert known_bars(bars, bars.loc[~late, "known_at"].min()).shape[0] == 1
