"""Which rows of a delivery of files say what their file said before, where whole deliveries seldom come."""

from __future__ import annotations

import pandas as pd

from nn_assets.contracts import BAR_VERSIONS, conform
from nn_assets.market.facts.repeats import new_versions_of_files, repeats_and_changes

DAY = pd.Timestamp("2018-01-04")
ARRIVALS = pd.DatetimeIndex([f"2018-02-{day:02d} 12:00" for day in range(1, 6)], tz="UTC")


def rows(*versions: tuple[str, float, int, int]) -> pd.DataFrame:
    """Versions of one bar: who says it, its close, and as of and on which arrival."""
    source, close, known, arrived = (list(column) for column in zip(*versions, strict=True))
    frame = pd.DataFrame(
        {"source": source, "close": close, "known_at": ARRIVALS[known], "ingested_at": ARRIVALS[arrived]}
    )
    return conform(frame.assign(symbol="A", session=DAY, open=10.0, high=20.0, low=5.0, volume=1.0), BAR_VERSIONS)


def test_who_repeats_a_bar_taken_in_before_it_could_be_known_confirms_it() -> None:
    repeated, otherwise = repeats_and_changes(rows(("x", 11.0, 1, 0)), rows(("x", 11.0, 2, 2)), {"x"})
    assert not repeated.any()
    assert not otherwise.any()
    fresh, words, counted = new_versions_of_files(rows(("x", 11.0, 1, 0)), rows(("x", 11.0, 2, 2)), {"x"})
    assert (len(fresh), len(words), counted.confirmed) == (1, 0, 1)


def test_a_row_that_states_its_moment_finds_its_place_whoever_said_so_before() -> None:
    stored = rows(("x", 11.0, 0, 0), ("y", 12.0, 1, 1))
    delivered = rows(("x", 11.0, 2, 3))
    fresh, words, _ = new_versions_of_files(stored, delivered, {"x"}, explicit=(delivered["close"] > 0).to_numpy())
    assert fresh["known_at"].tolist() == [ARRIVALS[2]]
    assert words.empty


def test_of_a_bar_that_contradicts_itself_no_words_are_stored() -> None:
    stored = rows(("x", 12.0, 0, 0), ("y", 11.0, 1, 1), ("z", 14.0, 1, 1))
    fresh, words, counted = new_versions_of_files(stored, rows(("x", 11.0, 2, 2), ("z", 14.0, 2, 2)), set())
    assert counted.revised == 1  # one of the two is repeated, the other is news
    assert fresh["close"].tolist() == [11.0]
    fresh, words, counted = new_versions_of_files(stored, rows(("x", 11.0, 2, 2), ("w", 14.0, 2, 2)), set())
    assert (len(fresh), len(words), counted.unchanged) == (0, 0, 1)


def test_words_wait_where_a_version_is_not_known_yet() -> None:
    stored = rows(("x", 12.0, 0, 0), ("y", 11.0, 4, 1))
    fresh, words, counted = new_versions_of_files(stored, rows(("x", 11.0, 2, 2)), set())
    assert (len(fresh), len(words), counted.unchanged) == (0, 0, 1)
    _, words, _ = new_versions_of_files(rows(("x", 12.0, 0, 0), ("y", 11.0, 1, 1)), rows(("x", 11.0, 2, 2)), set())
    assert words[["source", "close"]].to_numpy().tolist() == [["x", 11.0]]
    assert words["known_at"].tolist() == words["ingested_at"].tolist() == [ARRIVALS[2]]
