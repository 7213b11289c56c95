"""The hash of all that was known up to a session."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.facts.known_hash import known_hashes

SESSIONS = pd.DatetimeIndex(pd.date_range("2020-01-01", periods=6)).as_unit("ns")
MOMENTS = (SESSIONS + pd.Timedelta(hours=21)).tz_localize("UTC")


def fact(symbol: str, row: int, close: float, known_at: pd.Timestamp | None = None) -> dict[str, object]:
    moment = MOMENTS[row] if known_at is None else known_at
    arrived = pd.Timestamp("2021-01-01", tz="UTC")
    return {"symbol": symbol, "session": SESSIONS[row], "close": close, "known_at": moment, "ingested_at": arrived}


FACTS = [fact(symbol, row, 1.0 + row) for row in range(6) for symbol in ("A", "B")]


def hashes(facts: list[dict[str, object]], *beside: tuple[pd.DataFrame, str]) -> list[str]:
    tables = [(pd.DataFrame(facts), "session"), *beside]
    return known_hashes(tables, SESSIONS, MOMENTS, np.arange(6))


def first_difference(one: list[str], other: list[str]) -> int:
    """The first row from which on all differ; all before are equal."""
    differ = [a != b for a, b in zip(one, other, strict=True)]
    first = differ.index(True) if any(differ) else len(differ)
    assert all(differ[first:])
    return first


@pytest.mark.parametrize(
    ("added", "first"),
    [
        (fact("A", 1, 9.0), 1),
        (fact("A", 1, 9.0, MOMENTS[3]), 3),
        (fact("A", 1, 9.0, MOMENTS[3] + pd.Timedelta(seconds=1)), 4),
        (fact("A", 5, 9.0, MOMENTS[0]), 5),
        (fact("A", 1, 9.0, MOMENTS[5] + pd.Timedelta(days=9)), 6),
        (fact("NEW", 2, np.nan), 2),
    ],
)
def test_a_fact_counts_from_the_first_session_that_may_read_it(added: dict[str, object], first: int) -> None:
    assert first_difference(hashes(FACTS), hashes([*FACTS, added])) == first
    assert first_difference(hashes(FACTS), hashes([added, *FACTS])) == first


def test_when_it_arrived_and_where_it_lies_among_other_rows_do_not_count() -> None:
    later = [{**fact, "ingested_at": pd.Timestamp("2022-01-01", tz="UTC")} for fact in FACTS]
    assert hashes(later) == hashes(FACTS)
    assert hashes(FACTS[6:] + FACTS[:6]) == hashes(FACTS)  # rows of one session in their order
    some = known_hashes([(pd.DataFrame(FACTS), "session")], SESSIONS, MOMENTS, np.array([2, 5]))
    assert some == [hashes(FACTS)[2], hashes(FACTS)[5]]


@pytest.mark.parametrize(
    ("column", "value", "same"),
    [("close", 2.0000001, False), ("symbol", "AA", False), ("known_at", MOMENTS[0], False), ("close", 2.0, True)],
)
def test_every_column_counts(column: str, value: object, same: bool) -> None:
    changed = [dict(fact) for fact in FACTS]
    changed[2][column] = value
    assert (hashes(changed) == hashes(FACTS)) is same


def test_zeros_and_missing_values_are_what_they_say() -> None:
    zero, negative, missing = ([fact("A", 0, value)] for value in (0.0, -0.0, np.nan))
    assert hashes(zero) == hashes(negative) != hashes(missing)
    text = [{**fact("A", 0, 1.0), "symbol": None}]
    assert hashes(text) != hashes([fact("A", 0, 1.0)])


def test_tables_count_apart_and_an_empty_one_is_one() -> None:
    other = pd.DataFrame([fact("C", 2, 1.0)]).rename(columns={"session": "ex_session"})
    assert first_difference(hashes(FACTS, (other.iloc[:0], "ex_session")), hashes(FACTS, (other, "ex_session"))) == 2
