"""Deliveries that state when they became known: whatever order they arrive in, the same bars are known.

Oracles: brute force over plain lists, and counts taken from the drops' text with the csv module.
"""

from __future__ import annotations

import csv
import io
import itertools
import tarfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from nn_assets.contracts import BAR_VERSIONS, conform, empty
from nn_assets.market.facts.bars import (
    RevisionCount,
    content_hash,
    known_after,
    known_bars,
    new_versions,
    restated_since,
    with_assumed_known_at,
)
from nn_assets.market.facts.bitemporal import BAR_FACTS
from nn_assets.market.quality.cleaning import clean
from nn_assets.settings import CleaningSettings
from nn_assets.sources.tables.files import FilesSource
from tests.market.builders import moment

Row = tuple[str, int, float]
Drop = tuple[int, list[Row]]  # hour at which it became known, and what it says

# A failing case has a few rows as it is; shrinking it takes minutes.
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
START = moment("2019-03-10")
DAYS = pd.date_range("2019-03-04", periods=3, freq="D")
CONTRADICTED = -1.0  # of a version that was told in two ways
SAID = ["symbol", "session", "open", "high", "low", "close", "volume", "known_at"]


def framed(rows: list[Row], hour: int, arrived: int) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["symbol", "day", "close"])
    for name in ("open", "high", "low", "volume"):
        frame[name] = frame["close"]
    versions = frame.assign(
        session=[DAYS[day] for day in frame["day"]],
        source="test",
        known_at=START + pd.Timedelta(hours=hour),
        ingested_at=START + pd.Timedelta(hours=arrived),
    )
    return conform(versions, BAR_VERSIONS)


def taken_in(drops: list[Drop], first_arrival: int = 1000) -> tuple[pd.DataFrame, RevisionCount]:
    """Versions stored after drops that arrive one an hour, later than any became known."""
    stored, counted = empty(BAR_VERSIONS), RevisionCount()
    for index, (hour, rows) in enumerate(drops):
        delivered = framed(rows, hour, first_arrival + index)
        fresh, count = new_versions(stored, delivered, explicit=np.ones(len(delivered), dtype=bool))
        stored, counted = pd.concat([stored, fresh], ignore_index=True), counted + count
    return stored, counted


def brute_force(drops: list[Drop], hour: int) -> list[tuple[str, int, float, int]]:
    """Symbol, day, close and the hour since which it is known, as known at an hour."""
    closes: dict[tuple[str, int], dict[int, set[float]]] = defaultdict(lambda: defaultdict(set))
    for known, rows in drops:
        for symbol, day, close in rows:
            closes[symbol, day][known].add(close)
    facts = []
    for (symbol, day), versions in sorted(closes.items()):
        since, current = None, None
        for known in sorted(versions):
            only = CONTRADICTED if len(versions[known]) > 1 else next(iter(versions[known]))
            if known <= hour and only != current:
                since, current = known, only
        if since is not None and current is not None:
            facts.append((symbol, day, current, since))
    return facts


rows = st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 2), st.sampled_from([1.0, 2.0])), max_size=5)
drop_lists = st.lists(st.tuples(st.integers(0, 4), rows), min_size=2, max_size=5)


@settings(max_examples=15, deadline=None, phases=UNSHRUNK)
@given(drop_lists, st.randoms(use_true_random=False))
def test_whatever_order_drops_arrive_in_the_same_is_known_at_every_moment(drops, random) -> None:
    shuffled = list(drops) + random.choices(drops, k=2)  # some are delivered twice
    random.shuffle(shuffled)
    stored, again = taken_in(drops)[0], taken_in(shuffled)[0]
    for hour in range(5):
        asked = START + pd.Timedelta(hours=hour)
        bars, other = known_bars(stored, asked), known_bars(again, asked)
        pd.testing.assert_frame_equal(bars[SAID], other[SAID])
        assert content_hash(bars) == content_hash(other)
        actual = [
            (
                row.symbol,
                int((row.session - DAYS[0]).days),
                CONTRADICTED if np.isnan(row.close) else row.close,
                int((row.known_at - START).total_seconds()) // 3600,
            )
            for row in bars.itertuples()
        ]
        assert actual == brute_force(drops, hour)


@pytest.mark.full
@settings(max_examples=10, deadline=None, phases=UNSHRUNK)
@given(drop_lists)
def test_drops_taken_in_again_add_nothing(drops) -> None:
    stored, _ = taken_in(drops)
    for index, (hour, rows) in enumerate(drops):
        delivered = framed(rows, hour, 2000 + index)
        fresh, count = new_versions(stored, delivered, explicit=np.ones(len(delivered), dtype=bool))
        assert fresh.empty
        assert (count.added, count.confirmed) == (0, 0)


@pytest.mark.full
@settings(max_examples=10, deadline=None, phases=UNSHRUNK)
@given(drop_lists)
@example([(0, [("A", 0, 1.0)]), (0, [("A", 0, 1.0)]), (1, [("A", 0, 1.0)])])
def test_drops_taken_in_at_once_are_the_same_versions(drops) -> None:
    one_by_one, _ = taken_in(drops)
    parts = [framed(rows, hour, 1000).assign(source=f"file {index}") for index, (hour, rows) in enumerate(drops)]
    at_once = pd.concat(parts, ignore_index=True)
    fresh, _ = new_versions(empty(BAR_VERSIONS), at_once, explicit=np.ones(len(at_once), dtype=bool))
    for hour in range(5):
        asked = START + pd.Timedelta(hours=hour)
        pd.testing.assert_frame_equal(known_bars(one_by_one, asked)[SAID], known_bars(fresh, asked)[SAID])


def test_a_late_drop_is_in_force_only_until_the_next_one_was_known() -> None:
    stored, counted = taken_in([(1, [("A", 0, 1.0)]), (5, [("A", 0, 1.0)]), (3, [("A", 0, 2.0)])])
    closes = {hour: known_bars(stored, START + pd.Timedelta(hours=hour))["close"].tolist() for hour in range(7)}
    assert closes == {0: [], 1: [1.0], 2: [1.0], 3: [2.0], 4: [2.0], 5: [1.0], 6: [1.0]}
    assert counted == RevisionCount(added=1, unchanged=1, revised=1)
    assert counted.most_revised() == {"A": 1}


def test_drops_of_one_moment_that_differ_are_one_row_without_values_whatever_their_order() -> None:
    for closes in itertools.permutations([1.0, 2.0, 3.0]):
        stored, counted = taken_in([(1, [("A", 0, close)]) for close in closes])
        assert len(stored) == 2  # the first, and that it is contradicted
        known = known_bars(stored, START + pd.Timedelta(hours=1))
        assert known["close"].isna().tolist() == [True]
        assert set(counted.contradicted["close"]) == {1.0, 2.0, 3.0}
        assert sorted(BAR_FACTS.with_contents(known, counted.contradicted)["close"]) == [1.0, 2.0, 3.0]
        assert counted == RevisionCount(added=1, revised=2)
        # A decision that was made before the second came in is replayed with the first.
        before = known_bars(stored, START + pd.Timedelta(hours=1), ingested_by=START + pd.Timedelta(hours=1000))
        assert before["close"].tolist() == [closes[0]]


def test_versions_that_an_older_version_stored_side_by_side_are_read_as_one_without_values() -> None:
    """In any order of storage; and what is delivered since finds them contradicted."""
    old = pd.concat([framed([("A", 0, 1.0)], 1, 1000), framed([("A", 0, 2.0), ("A", 1, 5.0)], 1, 1001)])
    at_once = framed([("A", 0, 1.0), ("A", 0, 2.0), ("A", 1, 5.0), ("A", 1, 5.0)], 1, 1000)
    for stored in (old, old.iloc[::-1], at_once, at_once.iloc[::-1]):
        known = known_bars(stored, START + pd.Timedelta(hours=1))
        assert known["close"].isna().tolist() == [True, False]
        assert sorted(BAR_FACTS.with_contents(known, stored)["close"]) == [1.0, 2.0, 5.0]
        again = framed([("A", 0, 1.0)], 1, 2000)
        for close, expected in ((1.0, [1.0]), (3.0, [3.0])):
            fresh, counted = new_versions(stored, again.assign(close=close), explicit=np.ones(1, dtype=bool))
            assert fresh.empty
            assert counted.contradicted["close"].tolist() == expected
        later = framed([("A", 0, 4.0)], 5, 2000)
        fresh, counted = new_versions(stored, later, explicit=np.ones(1, dtype=bool))
        assert counted == RevisionCount(revised=1)
        every = pd.concat([stored, fresh], ignore_index=True)
        assert known_bars(every, START + pd.Timedelta(hours=5))["close"].tolist() == [4.0, 5.0]
        assert restated_since(every, START + pd.Timedelta(hours=4))


def test_what_arrives_without_a_moment_after_drops_is_known_from_its_arrival() -> None:
    stored, _ = taken_in([(1, [("A", 0, 1.0)])])
    delivered = framed([("A", 0, 3.0), ("B", 0, 4.0)], -100, 2000)
    fresh, count = new_versions(stored, delivered)
    assert count == RevisionCount(added=1, revised=1)
    assert fresh["known_at"].tolist() == [START + pd.Timedelta(hours=2000), START - pd.Timedelta(hours=100)]


def test_a_repetition_is_no_restatement_and_a_late_drop_is_one() -> None:
    stored, _ = taken_in([(1, [("A", 0, 1.0)]), (5, [("A", 0, 1.0)])])
    then = START + pd.Timedelta(hours=2)
    assert not restated_since(stored, then)
    late, _ = taken_in([(1, [("A", 0, 1.0)]), (5, [("A", 0, 1.0)]), (2, [("A", 0, 2.0)])])
    assert restated_since(late, then)
    # A decision made before the late drop came in is replayed without it.
    came = START + pd.Timedelta(hours=1002)
    assert known_bars(late, then, ingested_by=came - pd.Timedelta(hours=1))["close"].tolist() == [1.0]
    assert known_bars(late, then, ingested_by=came)["close"].tolist() == [2.0]
    assert restated_since(late, then, ingested_by=came - pd.Timedelta(hours=1))


# --- the real feed ---------------------------------------------------------------------------------------

ARRIVAL = moment("2015-05-01 12:00")


@pytest.fixture(scope="module")
def real_drops(shared_data: Path) -> list[pd.DataFrame]:
    source = FilesSource(
        shared_data / "us_daily_drops" / "2015", known_on=lambda day: known_after("XNYS", [day], 30)[0]
    )
    read = [source.read(file) for file in source.files()]
    return [with_assumed_known_at(bars, "XNYS", 30, ARRIVAL) for bars in read if bars is not None]


@pytest.fixture(scope="module")
def in_order(real_drops: list[pd.DataFrame]) -> tuple[pd.DataFrame, list[RevisionCount]]:
    return replayed(real_drops)


def replayed(
    drops: list[pd.DataFrame], stored: pd.DataFrame | None = None, hours: int = 0
) -> tuple[pd.DataFrame, list[RevisionCount]]:
    """Drops taken in one an hour, on top of what is stored, from some hours after the first arrival on."""
    stored, counts = empty(BAR_VERSIONS) if stored is None else stored, []
    for index, drop in enumerate(drops, start=hours):
        delivered = drop.assign(ingested_at=ARRIVAL + pd.Timedelta(hours=index))
        fresh, count = new_versions(stored, delivered, explicit=np.ones(len(drop), dtype=bool))
        stored, counts = pd.concat([stored, fresh], ignore_index=True), [*counts, count]
    return stored, counts


@pytest.mark.full
def test_eight_daily_drops_give_the_restatements_counted_in_their_text(shared_data: Path, in_order) -> None:
    text: dict[tuple[str, str], list[list[str]]] = defaultdict(list)
    for file in sorted((shared_data / "us_daily_drops" / "2015").iterdir()):
        with tarfile.open(file) as tar:
            lines = csv.reader(io.TextIOWrapper(tar.extractfile("prices.csv")))  # type: ignore[arg-type]
            for symbol, day, *values in list(lines)[1:]:
                text[symbol, day].append(values)
    assert (len(text), sum(len(rows) > 1 for rows in text.values())) == (54_267, 42_194)
    assert sum(len({tuple(values) for values in rows}) > 1 for rows in text.values()) == 1_766
    # 326 of them differ in the vendor's adjusted close alone, which is no part of a raw bar.
    conflicts = [key for key, rows in text.items() if len({tuple(map(float, values[:5])) for values in rows}) > 1]
    assert len(conflicts) == 1_440
    stored, counts = in_order
    total = sum(counts, RevisionCount())
    assert (total.added, total.revised, total.unchanged) == (54_267, 1_440, 42_194 - 1_440)
    versions = stored.groupby(["symbol", "session"])["known_at"].nunique()
    assert (len(versions), int((versions > 1).sum())) == (54_267, 42_194)
    by_symbol = pd.Series([symbol for symbol, _ in conflicts]).value_counts()
    assert total.revised_by_symbol == by_symbol.to_dict()
    assert list(total.most_revised(3).values()) == [7, 7, 7]


@pytest.mark.full
def test_the_drops_give_the_same_bars_in_any_order_and_again(real_drops, in_order) -> None:
    stored, _ = in_order
    order = [5, 0, 7, 2, 2, 6, 1, 4, 3, 0]
    shuffled, _ = replayed([real_drops[index] for index in order])
    assert len(shuffled) == len(stored)
    for day in pd.date_range("2015-03-22", "2015-04-02"):
        asked = day.tz_localize("UTC")
        left, right = known_bars(stored, asked), known_bars(shuffled, asked)
        pd.testing.assert_frame_equal(left.drop(columns="ingested_at"), right.drop(columns="ingested_at"))
        assert content_hash(left) == content_hash(right)
    again, counts = replayed(real_drops, stored, len(real_drops))
    assert len(again) == len(stored)
    assert sum(counts, RevisionCount()) == RevisionCount(unchanged=96_461)


@pytest.mark.full
def test_tickers_like_words_stay_and_zero_closes_go_to_quarantine_by_rule(in_order) -> None:
    stored, _ = in_order
    quarantined = []
    for day in ("2015-03-30", "2015-03-31", "2015-04-01"):
        known = known_bars(stored, moment(f"{day} 23:00"))
        cleaned = clean(known, "XNYS", CleaningSettings())
        assert {"TRUE", "INF", "NAN"} <= set(cleaned.bars.loc[cleaned.bars["session"] == day, "symbol"])
        zeros = cleaned.quarantine[
            (cleaned.quarantine["symbol"] == "CUI") & (cleaned.quarantine["rule"] != "zero_volume")
        ]
        quarantined += [(day, str(row.session.date()), row.rule, row.field, row.value) for row in zeros.itertuples()]
    fault = ("non_positive_price", "open", "0.0")
    assert quarantined == [
        ("2015-03-30", "2015-03-30", *fault),
        ("2015-03-31", "2015-03-30", *fault),
        ("2015-04-01", "2015-03-30", *fault),
        ("2015-04-01", "2015-04-01", *fault),
    ]
    # Three rows with a zero close were delivered: that of 30 March twice, alike, so it is one version twice.
    zero = stored[(stored["symbol"] == "CUI") & (stored["close"] == 0.0)]
    assert [(str(row.session.date()), str(row.known_at.date())) for row in zero.itertuples()] == [
        ("2015-03-30", "2015-03-30"),
        ("2015-03-30", "2015-03-31"),
        ("2015-04-01", "2015-04-01"),
    ]
