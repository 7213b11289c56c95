"""Corporate actions as facts: moments worked out by hand."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pandas as pd
import pytest

from nn_assets.contracts import ACTION_VERSIONS, empty, validate
from nn_assets.errors import SchemaError, SourceError
from nn_assets.market.facts.actions import (
    action_hash,
    actions_as_of,
    new_action_versions,
    refuse_mass_withdrawal,
    with_action_moments,
    withdrawals,
)
from nn_assets.market.facts.bars import RevisionCount
from tests.market.builders import ARRIVAL, CALENDAR, moment

Row = tuple[str, str, str, float]
SPLIT: Row = ("AAPL", "2014-06-09", "split", 7.0)  # a Monday
DIVIDEND: Row = ("AAPL", "2014-05-08", "dividend", 3.29)
LATER = ARRIVAL + pd.Timedelta(days=3)


def delivery(*rows: Row, arrived: pd.Timestamp = ARRIVAL, decided_to: str | None = None) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["symbol", "ex_session", "kind", "value"])
    frame["ex_session"] = pd.to_datetime(frame["ex_session"])
    decided = None if decided_to is None else pd.Timestamp(decided_to)
    return with_action_moments(frame.assign(source="test"), CALENDAR, 30, arrived, decided_to=decided)


def stored_after(*deliveries: pd.DataFrame) -> pd.DataFrame:
    stored = empty(ACTION_VERSIONS)
    for delivered in deliveries:
        stored = pd.concat([stored, new_action_versions(stored, delivered)[0]], ignore_index=True)
    return validate(stored, ACTION_VERSIONS)


def test_an_action_is_known_a_lag_after_the_close_of_the_session_before_its_ex_session() -> None:
    (known,) = delivery(SPLIT)["known_at"]
    assert known == moment("2014-06-06 20:30")  # Friday, 16:00 in New York, plus 30 minutes


def test_an_action_that_comes_after_its_session_was_decided_is_known_when_it_arrived() -> None:
    rows = delivery(SPLIT, DIVIDEND, decided_to="2014-05-08").set_index("kind")["known_at"]
    assert rows["dividend"] == ARRIVAL
    assert rows["split"] == moment("2014-06-06 20:30")


def test_an_action_delivered_again_adds_nothing() -> None:
    stored = stored_after(delivery(SPLIT, DIVIDEND))
    fresh, count = new_action_versions(stored, delivery(DIVIDEND, SPLIT, arrived=LATER))
    assert fresh.empty
    assert count == RevisionCount(unchanged=2)


def test_a_restated_action_is_a_new_version_known_when_it_arrived() -> None:
    restated = delivery((*DIVIDEND[:3], 0.47), arrived=LATER)
    stored = stored_after(delivery(DIVIDEND), restated)
    assert list(actions_as_of(stored, LATER - pd.Timedelta(seconds=1))["value"]) == [3.29]
    assert list(actions_as_of(stored, LATER)["value"]) == [0.47]
    assert list(actions_as_of(stored, LATER, ingested_by=ARRIVAL)["value"]) == [3.29]


def test_an_announced_action_restated_before_it_could_be_known_is_known_no_earlier() -> None:
    early, after = moment("2014-05-01 12:00"), moment("2014-05-02 12:00")
    stored = stored_after(delivery(SPLIT, arrived=early), delivery((*SPLIT[:3], 5.0), arrived=after))
    assert actions_as_of(stored, moment("2014-06-06 20:29")).empty
    assert list(actions_as_of(stored, moment("2014-06-06 20:30"))["value"]) == [5.0]


def test_a_withdrawn_action_is_gone_from_its_withdrawal_on_and_may_come_back() -> None:
    gone = delivery((*SPLIT[:3], np.nan), arrived=LATER)
    stored = stored_after(delivery(SPLIT), gone)
    assert len(actions_as_of(stored, ARRIVAL)) == 1
    assert actions_as_of(stored, LATER).empty
    back = LATER + pd.Timedelta(days=1)
    assert len(actions_as_of(stored_after(delivery(SPLIT), gone, delivery(SPLIT, arrived=back)), back)) == 1


def test_withdrawing_what_is_not_there_says_nothing() -> None:
    fresh, count = new_action_versions(empty(ACTION_VERSIONS), delivery((*SPLIT[:3], np.nan)))
    assert fresh.empty
    assert count == RevisionCount()


def test_what_a_whole_answer_no_longer_lists_is_withdrawn_within_what_was_asked() -> None:
    other: Row = ("MSFT", "2014-05-13", "dividend", 0.28)
    stored = stored_after(delivery(SPLIT, DIVIDEND, other))
    answer = delivery(SPLIT, arrived=LATER)
    first, last = pd.Timestamp("2014-05-08"), pd.Timestamp("2014-06-09")

    def gone(source: str = "test", symbols: tuple[str, ...] = (), start: pd.Timestamp = first) -> list[str]:
        withdrawn = withdrawals(stored, answer, source, symbols, start, last, LATER)
        assert withdrawn["value"].isna().all()
        assert (withdrawn["known_at"] == LATER).all()
        return [str(symbol) for symbol in withdrawn["symbol"]]

    assert gone() == ["AAPL", "MSFT"]
    assert gone(symbols=("AAPL",)) == ["AAPL"]
    assert gone(start=pd.Timestamp("2014-05-09")) == ["MSFT"]
    assert gone(source="another") == []
    fresh, count = new_action_versions(stored, withdrawals(stored, answer, "test", (), first, last, LATER))
    assert count == RevisionCount(revised=2)
    stored = pd.concat([stored, fresh], ignore_index=True)
    assert actions_as_of(stored, LATER)["kind"].tolist() == ["split"]
    assert gone() == []  # withdrawn once


@pytest.mark.parametrize(
    "rows",
    [(SPLIT, SPLIT), ((*SPLIT[:2], "merger", 2.0),), ((*SPLIT[:3], 0.0),), ((*DIVIDEND[:3], -0.1),)],
    ids=["twice", "unknown kind", "split of zero", "negative dividend"],
)
def test_a_delivery_that_contradicts_itself_or_means_nothing_is_refused(rows: tuple[Row, ...]) -> None:
    with pytest.raises(SchemaError):
        delivery(*rows)


def test_the_hash_covers_every_value_and_no_moment_or_order() -> None:
    actions = delivery(SPLIT, DIVIDEND)
    assert action_hash(actions) == action_hash(delivery(DIVIDEND, SPLIT, arrived=LATER))
    others = (
        ("AAPL", "2014-06-09", "split", 7.000001),
        ("AAPL", "2014-06-10", "split", 7.0),
        ("AAPL", "2014-06-09", "dividend", 7.0),
        ("ABC", "2014-06-09", "split", 7.0),
    )
    assert action_hash(actions) not in {action_hash(delivery(other, DIVIDEND)) for other in others}


def test_the_hash_is_that_of_the_rows_spelled_one_after_the_other_in_their_order() -> None:
    rows: list[Row] = [DIVIDEND, SPLIT, ("AAPL", "1990-01-03", "dividend", 0.25), ("ÄB", "2014-06-09", "split", 0.1)]
    digest = hashlib.sha256(b"actions/1/4")
    for symbol, day, kind, value in sorted(rows):
        digest.update(f"{symbol}\t{day}\t{kind}\t".encode() + struct.pack("<d", value))
    assert action_hash(delivery(*rows)) == digest.hexdigest()
    assert action_hash(delivery(*rows).iloc[:0]) == hashlib.sha256(b"actions/1/0").hexdigest()


def judged(in_force: int, listed: int, limit: float = 0.05, other: bool = False, source: str = "test") -> None:
    """A source told of so many dividends, a symbol each; it lists the first of them now, or those of others."""
    rows: list[Row] = [(f"S{index:03d}", "2014-05-08", "dividend", 0.5) for index in range(in_force)]
    stored = stored_after(delivery(*rows))
    answer = delivery(*rows[:listed], *([("OTHER", "2014-05-08", "dividend", 0.5)] if other else []), arrived=LATER)
    span = pd.Timestamp("2014-01-02"), pd.Timestamp("2014-12-31")
    gone = withdrawals(stored, answer, source, (), *span, LATER)
    refuse_mass_withdrawal(stored, answer, gone, source, (), *span, limit)


@pytest.mark.parametrize(
    ("in_force", "listed", "limit"), [(100, 95, 0.05), (3, 2, 0.0), (3, 0, 1.0), (0, 0, 0.05), (4, 4, 0.0)]
)
def test_as_many_actions_may_be_withdrawn_at_once_as_the_limit_says_and_always_one(in_force, listed, limit) -> None:
    judged(in_force, listed, limit)


@pytest.mark.parametrize(
    ("in_force", "listed", "other"), [(100, 94, False), (3, 1, False), (1, 0, False), (1, 0, True)]
)
def test_a_delivery_that_withdraws_more_is_refused_and_says_which(in_force, listed, other) -> None:
    with pytest.raises(SourceError) as caught:
        judged(in_force, listed, other=other)
    error = caught.value
    assert (error.where["source"], error.where["rule"]) == ("test", "no_action_lost")
    assert f"lacks {in_force - listed} of {in_force} in force" in error.found
    assert f"S{listed:03d} 2014-05-08 dividend" in error.found
    assert ("and 1 more" in error.found) == (in_force - listed == 6)
    assert "source.max_withdrawn_fraction" in error.remedy


def test_the_actions_of_another_source_are_no_ones_to_lose() -> None:
    judged(100, 0, source="file")


def stated_delivery(*rows: Row, known_at: str | None, arrived: pd.Timestamp) -> tuple[pd.DataFrame, np.ndarray]:
    frame = pd.DataFrame(rows, columns=["symbol", "ex_session", "kind", "value"])
    frame["ex_session"] = pd.to_datetime(frame["ex_session"])
    own = pd.Series(pd.NaT if known_at is None else moment(known_at), index=frame.index, dtype="datetime64[ns, UTC]")
    stamped = with_action_moments(frame.assign(source="test", known_at=own), CALENDAR, 30, arrived)
    return stamped, own.notna().to_numpy()


DELISTING: Row = ("AAPL", "2014-06-09", "delisting", 12.5)


@pytest.mark.parametrize("action", [DELISTING, SPLIT, DIVIDEND])
def test_an_action_stated_as_known_earlier_than_it_is_on_record_is_known_from_then_on(action: Row) -> None:
    stored = stored_after(delivery(action))
    actions, explicit = stated_delivery(action, known_at="2014-05-01 12:00", arrived=LATER)
    fresh, count = new_action_versions(stored, actions, explicit=explicit)
    assert count == RevisionCount(revised=1)
    stored = validate(pd.concat([stored, fresh], ignore_index=True), ACTION_VERSIONS)
    assert actions_as_of(stored, moment("2014-05-01 11:59")).empty
    assert list(actions_as_of(stored, moment("2014-05-01 12:00"))["value"]) == [action[3]]
    assert actions_as_of(stored, moment("2014-05-01 12:00"), ingested_by=ARRIVAL).empty  # no past decision knew it
    again, count = new_action_versions(
        stored, actions.assign(ingested_at=LATER + pd.Timedelta(days=1)), explicit=explicit
    )
    assert again.empty
    assert count == RevisionCount(unchanged=1)
    for silent in (delivery(action, arrived=LATER), actions):  # an assumed moment says nothing
        assert new_action_versions(stored, silent)[0].empty


def test_an_action_stated_as_known_later_than_it_is_on_record_is_refused_and_the_remedy_is_taken() -> None:
    stored = stored_after(delivery(DELISTING))
    actions, explicit = stated_delivery(DELISTING, known_at="2014-06-12 12:00", arrived=LATER)
    with pytest.raises(SourceError) as refused:
        new_action_versions(stored, actions, explicit=explicit)
    assert refused.value.where["symbol"] == "AAPL"
    assert refused.value.found == (
        "AAPL 2014-06-09 delisting known at 2014-06-12T12:00:00Z, on record since 2014-06-06T20:30:00Z"
    )
    for remedy in ("2014-06-06 20:30", "2014-06-01 20:30", None):
        actions, explicit = stated_delivery(DELISTING, known_at=remedy, arrived=LATER)
        new_action_versions(stored, actions, explicit=explicit)


def test_of_an_action_told_otherwise_in_between_a_stated_moment_changes_nothing() -> None:
    """Else the value in force now would be told of times that had the other."""
    stored = stored_after(delivery((*DELISTING[:3], 10.0)), delivery(DELISTING, arrived=LATER))
    for known_at in ("2014-05-01 12:00", "2034-05-01 12:00"):
        actions, explicit = stated_delivery(DELISTING, known_at=known_at, arrived=LATER + pd.Timedelta(days=1))
        assert new_action_versions(stored, actions, explicit=explicit)[0].empty
