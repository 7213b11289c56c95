"""Membership: spells are facts with versions, and a session's candidates are those who belonged on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from nn_assets.contracts import MEMBERSHIP, empty, validate
from nn_assets.errors import SourceError
from nn_assets.market.calendar.sessions import assumed_known_at, sessions_between
from nn_assets.market.facts.membership import (
    members_of_sessions,
    members_without_bars,
    membership_as_of,
    new_spells,
    refuse_cut_off,
    several_spells,
)

SESSIONS = sessions_between("XNYS", "2012-01-03", "2014-12-31")
DECIDED = assumed_known_at("XNYS", SESSIONS, 30)
ARRIVED = pd.Timestamp("2015-01-05T12:00Z").as_unit("ns")

Spell = tuple[str, str, str | None]

# AMD left and came back; AAL was another company's ticker before.
SPELLS: list[Spell] = [
    ("AAL", "2012-01-03", "2012-06-01"),
    ("AAL", "2014-03-24", None),
    ("AMD", "2001-01-02", "2013-09-23"),
    ("IBM", "1996-01-02", None),
    ("NEW", "2013-05-04", None),  # a Saturday
]


def delivered(spells: Sequence[Spell] = SPELLS, known: Sequence[str | None] | None = None) -> pd.DataFrame:
    symbols, starts, ends = zip(*spells, strict=True)
    return pd.DataFrame(
        {
            "universe": "sp500",
            "symbol": pd.Series(symbols, dtype="str"),
            "member_from": pd.to_datetime(pd.Series(starts)).dt.as_unit("ns"),
            "member_to": pd.to_datetime(pd.Series(ends, dtype="str")).dt.as_unit("ns"),
            "source": "test",
            "known_at": pd.to_datetime(pd.Series(known or [None] * len(spells), dtype="str"), utc=True),
        }
    )


def stored(spells: Sequence[Spell] = SPELLS, arrived: pd.Timestamp = ARRIVED) -> pd.DataFrame:
    return new_spells(empty(MEMBERSHIP), delivered(spells), arrived)[0]


def plain_members(spells: Sequence[Spell], symbol: str) -> np.ndarray:
    """The plain reference: day by day, spell by spell."""
    members = []
    for day in SESSIONS:
        stamps = [(pd.Timestamp(start), end) for name, start, end in spells if name == symbol]
        members.append(any(start <= day and (end is None or day < pd.Timestamp(end)) for start, end in stamps))
    return np.array(members)


def test_a_session_has_the_members_of_its_day_and_between_two_spells_there_is_none() -> None:
    symbols = ("AAL", "AMD", "IBM", "NEW", "NEVER")
    members = members_of_sessions(stored(), symbols, SESSIONS, DECIDED)
    for column, symbol in enumerate(symbols):
        np.testing.assert_array_equal(members[:, column], plain_members(SPELLS, symbol), err_msg=symbol)
    assert 0 < members[:, 0].sum() < len(SESSIONS)


def test_the_last_day_of_a_spell_is_the_one_before_its_end() -> None:
    members = members_of_sessions(stored(), ("AMD",), SESSIONS, DECIDED)[:, 0]
    assert members[SESSIONS.get_loc("2013-09-20")]
    assert not members[SESSIONS.get_loc("2013-09-23")]


@pytest.mark.full
def test_what_is_told_later_changes_no_earlier_session_to_the_bit() -> None:
    symbols = ("AAL", "AMD", "IBM", "NEW")
    whole = members_of_sessions(stored(), symbols, SESSIONS, DECIDED)
    for row in range(10, len(SESSIONS), 37):
        known = membership_as_of(stored(), DECIDED[row])
        assert not (known["member_to"].dt.tz_localize("UTC") > DECIDED[row]).any()
        assert (known["member_from"] <= SESSIONS[row]).all()
        part = members_of_sessions(known, symbols, SESSIONS[: row + 1], DECIDED[: row + 1])
        assert part.tobytes() == whole[: row + 1].tobytes()


def test_an_end_that_arrives_late_counts_from_its_arrival() -> None:
    before = [("AMD", "2001-01-02", None)]
    versions = stored(before, pd.Timestamp("2013-01-02T00:00Z").as_unit("ns"))
    arrived = pd.Timestamp("2013-09-25T12:00Z").as_unit("ns")
    fresh, counted = new_spells(versions, delivered([("AMD", "2001-01-02", "2013-09-23")]), arrived)
    assert (counted.added, counted.revised, counted.unchanged) == (0, 1, 0)
    assert list(fresh["known_at"]) == [arrived]
    members = members_of_sessions(pd.concat([versions, fresh]), ("AMD",), SESSIONS, DECIDED)[:, 0]
    days = SESSIONS[members]
    assert days[-1] == pd.Timestamp("2013-09-24")  # still a member in the decisions made before it was told


def test_an_announcement_of_its_own_date_is_kept_and_a_spell_counts_no_earlier() -> None:
    spells = delivered([("NEW", "2013-05-06", None)], ["2013-05-08T12:00:00Z"])
    versions, _ = new_spells(empty(MEMBERSHIP), spells, ARRIVED)
    members = members_of_sessions(versions, ("NEW",), SESSIONS, DECIDED)[:, 0]
    assert SESSIONS[members][0] == pd.Timestamp("2013-05-08")


def test_a_repeated_delivery_adds_nothing_and_a_new_spell_after_decisions_is_known_from_its_arrival() -> None:
    versions = validate(stored(), MEMBERSHIP)
    assert new_spells(versions, delivered(), ARRIVED)[0].empty
    more = [*SPELLS, ("LATE", "2014-12-01", None)]
    fresh, counted = new_spells(versions, delivered(more), ARRIVED, decided_at=DECIDED[-1])
    assert (counted.added, counted.unchanged) == (1, 5)
    assert list(fresh["known_at"]) == [ARRIVED]
    fresh, _ = new_spells(versions, delivered(more), ARRIVED)
    assert list(fresh["known_at"]) == [pd.Timestamp("2014-12-01T00:00Z")]


def test_a_spell_that_the_file_no_longer_holds_is_retired_from_the_arrival_and_stays_in_what_was_known() -> None:
    early, late = ("AMD", "2012-03-01", None), ("AMD", "2013-03-01", None)
    versions = stored([early], pd.Timestamp("2012-01-02T00:00Z").as_unit("ns"))
    arrived = pd.Timestamp("2014-03-03T12:00Z").as_unit("ns")
    fresh, counted = new_spells(versions, delivered([late]), arrived, decided_at=arrived - pd.Timedelta(days=1))
    assert (counted.added, counted.revised, counted.unchanged) == (1, 1, 0)
    assert set(fresh["known_at"]) == {arrived}
    every = validate(pd.concat([versions, fresh], ignore_index=True), MEMBERSHIP)
    assert list(membership_as_of(every, arrived - pd.Timedelta(days=1))["member_from"]) == [pd.Timestamp(early[1])]
    assert list(membership_as_of(every, arrived)["member_from"]) == [pd.Timestamp(late[1])]
    again, counted = new_spells(every, delivered([late]), arrived + pd.Timedelta(days=1))
    assert (len(again), counted.revised) == (0, 0)
    gone, _ = new_spells(every, delivered([("IBM", "1996-01-02", None)]), arrived + pd.Timedelta(days=1))
    members = members_of_sessions(pd.concat([every, gone]), ("AMD",), SESSIONS, DECIDED)[:, 0]
    assert (str(SESSIONS[members][0].date()), str(SESSIONS[members][-1].date())) == ("2012-03-01", "2014-03-03")
    back, counted = new_spells(pd.concat([every, gone]), delivered([late]), arrived + pd.Timedelta(days=2))
    assert counted.revised == 2
    known = membership_as_of(pd.concat([every, gone, back]), arrived + pd.Timedelta(days=2))
    assert list(known["symbol"]) == ["AMD"]


def test_a_spell_ahead_that_is_called_off_never_begins() -> None:
    versions = stored([("NEW", "2013-05-06", None)], pd.Timestamp("2013-01-02T00:00Z").as_unit("ns"))
    arrived = pd.Timestamp("2013-03-01T12:00Z").as_unit("ns")
    fresh, _ = new_spells(versions, delivered([("IBM", "1996-01-02", None)]), arrived)
    every = pd.concat([versions, fresh])
    assert not members_of_sessions(every, ("NEW",), SESSIONS, DECIDED).any()
    assert list(membership_as_of(every, DECIDED[-1])["symbol"]) == ["IBM"]


def many(count: int, ended: int = 0) -> list[Spell]:
    """So many spells, of which the first ended long ago."""
    return [(f"S{index:03d}", "2001-01-02", "2005-01-03" if index < ended else None) for index in range(count)]


def test_a_delivery_that_lacks_more_spells_than_the_limit_is_refused_and_says_which() -> None:
    spells = many(100)
    refuse_cut_off(stored(spells), delivered(spells[:95]), ARRIVED, 0.05)
    with pytest.raises(SourceError, match="6 of 100 spells on record, 6 of 100 of them open") as caught:
        refuse_cut_off(stored(spells), delivered(spells[:94]), ARRIVED, 0.05)
    assert "S094, S095, S096, S097, S098 and 1 more" in caught.value.found
    assert "universe.max_retired_fraction" in caught.value.remedy
    assert (caught.value.where["file"], caught.value.where["rule"]) == ("test", "no_member_lost")
    refuse_cut_off(stored(spells), delivered(spells[:94]), ARRIVED, 0.06)


def test_the_limit_holds_for_the_open_spells_alone_too() -> None:
    # 4 of 100 spells, but 4 of the 20 that are members now.
    spells = many(100, ended=80)
    with pytest.raises(SourceError, match="4 of 100 spells on record, 4 of 20 of them open"):
        refuse_cut_off(stored(spells), delivered(spells[:96]), ARRIVED, 0.05)
    # 6 of 100 that ended, and no open one.
    with pytest.raises(SourceError, match="6 of 100 spells on record, 0 of 20 of them open"):
        refuse_cut_off(stored(spells), delivered(spells[6:]), ARRIVED, 0.05)


def test_a_first_delivery_has_no_limit_and_an_empty_one_afterwards_is_refused() -> None:
    refuse_cut_off(empty(MEMBERSHIP), delivered(), ARRIVED, 0.0)
    with pytest.raises(SourceError, match="5 of 5 spells"):
        refuse_cut_off(stored(), delivered()[:0], ARRIVED, 0.99)
    refuse_cut_off(stored(), delivered()[:0], ARRIVED, 1.0)


def test_an_end_that_is_told_and_a_beginning_that_is_corrected_lose_no_one() -> None:
    ended = [(name, start, "2014-12-01") for name, start, _ in many(20)]
    refuse_cut_off(stored(many(20)), delivered(ended), ARRIVED, 0.0)
    corrected = [(name, "2001-01-03", end) for name, _, end in many(20)]
    refuse_cut_off(stored(many(20)), delivered(corrected), ARRIVED, 0.0)
    elsewhere = [(name, "2006-01-03", end) for name, _, end in many(20)]
    with pytest.raises(SourceError, match="20 of 20 spells on record, 0 of 0 of them open"):
        refuse_cut_off(stored(many(20, ended=20)), delivered(elsewhere), ARRIVED, 0.5)


def test_a_spell_that_was_retired_before_is_not_lost_again() -> None:
    first = stored(many(20))
    gone, _ = new_spells(first, delivered(many(20)[:10]), ARRIVED + pd.Timedelta(days=1))
    every = pd.concat([first, gone], ignore_index=True)
    refuse_cut_off(every, delivered(many(20)[:10]), ARRIVED + pd.Timedelta(days=2), 0.0)
    with pytest.raises(SourceError, match="1 of 10 spells"):
        refuse_cut_off(every, delivered(many(20)[:9]), ARRIVED + pd.Timedelta(days=2), 0.05)


def test_a_symbol_of_the_bars_is_found_under_the_ticker_it_has_now() -> None:
    members = members_of_sessions(stored(), ("BLUE", "IBM"), SESSIONS, DECIDED, {"BLUE": "IBM"})
    assert members.all()
    assert not members_of_sessions(stored(), ("BLUE",), SESSIONS, DECIDED).any()


def test_tickers_with_several_spells_are_listed() -> None:
    assert several_spells(stored()) == ("AAL",)


def test_members_without_bars_are_counted_year_by_year() -> None:
    bars = pd.DataFrame(
        {
            "symbol": ["AAL", "IBM", "AMD", "OLD"],
            # AAL's bar lies between its spells; AMD's on the day it left.
            "session": pd.to_datetime(["2013-01-02", "2013-03-01", "2013-09-23", "2013-01-02"]),
        }
    )
    counts = members_without_bars(stored(), bars, SESSIONS[0], SESSIONS[-1])
    assert counts.to_dict("list") == {
        "year": [2012, 2013, 2014],
        "members": [3, 3, 3],
        "without_bars": [3, 2, 3],
    }
    renamed = members_without_bars(stored(), bars, SESSIONS[0], SESSIONS[-1], {"OLD": "NEW"})
    assert list(renamed["without_bars"]) == [3, 2, 3]  # the bar lies before the spell
    earlier = bars.assign(session=pd.Timestamp("2013-05-06"))
    assert list(members_without_bars(stored(), earlier, SESSIONS[0], SESSIONS[-1])["without_bars"]) == [3, 1, 3]


@pytest.mark.parametrize("symbols", [(), ("IBM",)])
def test_no_session_and_no_symbol_give_empty_arrays(symbols) -> None:
    assert members_of_sessions(stored(), symbols, SESSIONS[:0], DECIDED[:0]).shape == (0, len(symbols))
