"""As what moments are read that a clock stamped ahead: never earlier than the truth, and in their order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.facts.arrival import Mended, following, read_moments


def at(*minutes: float) -> pd.DatetimeIndex:
    start = pd.Timestamp("2024-03-11", tz="UTC")
    return pd.DatetimeIndex([start + pd.Timedelta(minutes=minute) for minute in minutes], tz="UTC").as_unit("ns")


def test_what_arrives_at_or_before_the_stamp_that_it_follows_is_stamped_just_after_it() -> None:
    arrived = pd.Series(at(5.0, 5.0, 5.0, 5.0))
    before = pd.Series([*at(4.0, 5.0, 6.0), pd.NaT], dtype=arrived.dtype)
    stamped = following(arrived, before)
    assert stamped.dtype == arrived.dtype
    assert (stamped - pd.Series([*at(5.0, 5.0, 6.0, 5.0)])).tolist() == [
        pd.Timedelta(offset) for offset in (0, 1, 1, 0)
    ]


def test_without_an_act_that_shows_more_a_moment_is_read_as_just_before_now() -> None:
    ahead, now = at(1000.0, 2000.0), at(60.0)[0]
    for acts in (at(), at(1.0, 50.0), at(1500.0), at(1500.0, 2000.0, 2001.0)):
        read = read_moments(ahead.append(acts[acts > now]), acts, now).read_as
        assert now.value - 5 <= read[ahead[0].value] < read[ahead[1].value] < now.value


def test_a_wrong_act_after_a_moment_and_a_right_one_after_that_bound_it() -> None:
    acts, now = at(0.0, 1000.0, 1002.0, 5.0, 7.0), at(60.0)[0]
    ahead = at(1000.0, 1001.0, 1002.0, 1003.0)
    read = read_moments(ahead, acts, now).read_as
    right = at(5.0)[0].value
    assert [read[moment.value] - right for moment in ahead[:3]] == [-3, -2, -1]
    assert read[ahead[3].value] == now.value - 1  # no act shows when


def test_a_moment_stamped_after_the_version_it_follows_tells_nothing_of_when() -> None:
    first = at(1000.0)
    stamp = following(pd.Series(at(40.0)), pd.Series(first))[0]
    acts, now = at(0.0, 1000.0, 1002.0, 5.0), at(60.0)[0]
    read = read_moments(first.append(pd.DatetimeIndex([stamp, acts[2]])), acts, now).read_as
    assert read[first[0].value] < at(5.0)[0].value
    assert read[stamp.value] == now.value - 1


def test_an_act_of_another_wrong_clock_shows_nothing_of_when_a_moment_came_about() -> None:
    """Days, as minutes: 20 ahead on day 1 alone; a fact of day 8, by a clock 5 ahead that put no act on record."""
    acts, now = at(1.0, 21.0, 2.0, 3.0, 8.5), at(9.0)[0]
    read = read_moments(at(21.0, 13.0), acts, now).read_as
    assert read[at(13.0)[0].value] >= at(8.0)[0].value
    assert read[at(21.0)[0].value] < at(2.0)[0].value


@pytest.mark.parametrize("seed", range(20))
def test_no_moment_is_read_earlier_than_the_truth_however_often_the_clock_jumped(seed: int) -> None:
    """The plain world: true minutes, a clock that jumps ahead and back, facts and acts stamped by it in turn."""
    rng = np.random.default_rng(seed)
    truth, offset, stamps = 0.0, 0.0, []
    for _ in range(60):
        truth += rng.uniform(0.1, 5.0)
        if rng.random() < 0.15:
            offset = float(rng.choice([0.0, 0.0, 900.0, 1800.0, 1790.0]))
        # What takes in data is an act of its own, before and after, as a run on record is.
        began = truth
        truth += 0.01
        fact = truth
        truth += 0.01
        killed = rng.random() < 0.3
        stamps.append((began, began + offset, fact, fact + offset, None if killed else truth + offset))
    now = at(truth + 1.0)[0]
    acts = at(*[stamp for one in stamps for stamp in (one[1], one[4]) if stamp is not None])
    facts = at(*[one[3] for one in stamps])
    ahead = facts[facts > now].append(acts[acts > now])
    read = read_moments(ahead, acts, now).read_as
    for one in stamps:
        stored = at(one[3])[0]
        if stored > now:
            assert at(one[2])[0].value - 1_000 <= read[stored.value] < now.value
    ordered = [read[stamp] for stamp in sorted(read)]
    assert ordered == sorted(set(ordered))


def test_versions_are_read_with_their_arrival_and_keep_what_was_known_otherwise() -> None:
    mended = Mended({at(1000.0)[0].value: at(5.0)[0].value})
    stored = pd.DataFrame({"known_at": at(1000.0, 3.0, 1000.0), "ingested_at": at(1000.0, 1000.0, 2.0)})
    read = mended.of_versions(stored)
    assert read["known_at"].tolist() == at(5.0, 3.0, 1000.0).tolist()
    assert read["ingested_at"].tolist() == at(5.0, 5.0, 2.0).tolist()
    assert stored["ingested_at"][0] == at(1000.0)[0]


def test_what_arrives_when_the_clock_really_is_there_is_read_as_it_is() -> None:
    mended = Mended({at(1000.0)[0].value: at(5.0)[0].value})
    later = mended.unlike(pd.Series(at(1000.0, 1001.0)))
    assert mended.of(later).tolist() == later.tolist()
    assert (later - pd.Series(at(1000.0, 1001.0))).max() == pd.Timedelta(1, unit="ns")


def test_moments_of_any_dtype_are_read_alike_and_without_a_warning() -> None:
    mended = Mended({at(1000.0)[0].value: at(59.0)[0].value})
    stamped = pd.Series(at(1000.0, 5.0))
    for made in (stamped, stamped.dt.as_unit("us"), stamped.astype(object)):  # of the lake, of the ledger, of both
        assert mended.of(made).tolist() == [*at(59.0, 5.0)]
