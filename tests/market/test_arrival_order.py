"""What arrived last is the newest, whatever the clock said; and what did not change is no version at all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from nn_assets.contracts import ACTION_VERSIONS, BAR_VERSIONS, INTRADAY_VERSIONS, MEMBERSHIP, SERIES, conform, empty
from nn_assets.market.facts.actions import actions_as_of, new_action_versions, with_action_moments
from nn_assets.market.facts.bars import known_bars, new_versions, with_assumed_known_at
from nn_assets.market.facts.intraday import intraday_as_of, new_intraday
from nn_assets.market.facts.membership import membership_as_of, new_spells
from nn_assets.market.facts.series import new_observations, series_as_of
from tests.market import test_intraday, test_universe

DAY, NOW = pd.Timestamp("2024-03-08"), pd.Timestamp("2024-03-11 12:00", tz="UTC").as_unit("ns")
AHEAD, MINUTE, FAR = NOW + pd.Timedelta(days=40), pd.Timedelta(minutes=1), NOW + pd.Timedelta(days=400)


def _bars(stored: pd.DataFrame, value: float, arrived: pd.Timestamp) -> pd.DataFrame:
    row = {"symbol": "A", "session": DAY, "source": "test"} | dict.fromkeys(["open", "high", "low", "close"], value)
    delivered = pd.DataFrame([{**row, "volume": 1.0}])
    return new_versions(stored, with_assumed_known_at(delivered, "XNYS", 15, arrived))[0]


def _actions(stored: pd.DataFrame, value: float, arrived: pd.Timestamp) -> pd.DataFrame:
    actions = pd.DataFrame(
        {"symbol": ["A"], "ex_session": [DAY], "kind": ["dividend"], "value": [value], "source": "t"}
    )
    return new_action_versions(stored, with_action_moments(actions, "XNYS", 15, arrived))[0]


def _series(stored: pd.DataFrame, value: float, arrived: pd.Timestamp) -> pd.DataFrame:
    observed = DAY.tz_localize("UTC")
    observation = {"name": "rate", "symbol": "", "observed_at": observed, "session": DAY, "value": value, "source": "t"}
    judged = pd.DataFrame([{**observation, "known_at": observed + MINUTE, "known_at_stated": False}])
    return new_observations(stored, judged, arrived)[0]


def _intraday(stored: pd.DataFrame, value: float, arrived: pd.Timestamp) -> pd.DataFrame:
    bar = test_intraday.bars(count=1).assign(volume=value)
    return new_intraday(stored, test_intraday.versions(bar, arrived))[0]


def _membership(stored: pd.DataFrame, value: float, arrived: pd.Timestamp) -> pd.DataFrame:
    ends = f"2012-06-{int(value):02d}"
    return new_spells(stored, test_universe.delivered([("A", "2012-01-03", ends)]), arrived)[0]


def _last_day(spells: pd.DataFrame) -> float:
    return float(spells["member_to"].iloc[0].day)


Take = Callable[[pd.DataFrame, float, pd.Timestamp], pd.DataFrame]
TABLES: dict[str, tuple[object, Take, Callable[[pd.DataFrame], float]]] = {
    "bars": (BAR_VERSIONS, _bars, lambda rows: known_bars(rows, FAR)["close"].item()),
    "actions": (ACTION_VERSIONS, _actions, lambda rows: actions_as_of(rows, FAR)["value"].item()),
    "series": (SERIES, _series, lambda rows: series_as_of(rows, FAR)["value"].item()),
    "intraday": (INTRADAY_VERSIONS, _intraday, lambda rows: intraday_as_of(rows, FAR)["volume"].item()),
    "membership": (MEMBERSHIP, _membership, lambda rows: _last_day(membership_as_of(rows, FAR))),
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("first", [AHEAD, NOW - MINUTE], ids=["the clock ran ahead", "the clock was right"])
def test_unchanged_rows_are_no_version_and_a_changed_one_is_the_next_whatever_the_clock(
    table: str, first: pd.Timestamp
) -> None:
    schema, take, newest = TABLES[table]
    stored = empty(schema)  # type: ignore[arg-type]
    clocks = [first, NOW, NOW + MINUTE, NOW + 2 * MINUTE, NOW + 3 * MINUTE, NOW + 4 * MINUTE]
    versions = 0
    for value, clock, adds in zip([5, 5, 7, 7, 5, 5], clocks, [1, 0, 1, 0, 1, 0], strict=True):
        fresh = take(stored, float(value), clock)
        assert len(fresh) == adds, f"{value} at {clock}"
        stored = conform(pd.concat([stored, fresh], ignore_index=True), schema)  # type: ignore[arg-type]
        versions += adds
        assert len(stored) == versions
        assert newest(stored) == value
    assert stored["ingested_at"].is_monotonic_increasing
    if first != AHEAD:
        assert stored["ingested_at"].tolist() == [first, clocks[2], clocks[4]]  # a right clock's own moments
    np.testing.assert_array_equal((stored["known_at"] > AHEAD).to_numpy()[1:], first == AHEAD)


def test_a_spell_retired_by_a_clock_behind_stays_retired() -> None:
    stored = _membership(empty(MEMBERSHIP), 5.0, AHEAD)
    other = test_universe.delivered([("B", "2012-01-03", None)])
    for again in (1, 0):
        fresh = new_spells(stored, other, NOW)[0]
        assert int((fresh["symbol"] == "A").sum()) == again
        stored = pd.concat([stored, fresh], ignore_index=True)
    assert membership_as_of(stored, FAR)["symbol"].tolist() == ["B"]


@pytest.mark.parametrize("again", [5.0, 7.0], ids=["the same", "another value"])
@pytest.mark.parametrize("table", TABLES)
def test_a_version_stated_for_the_future_and_then_delivered_plainly_is_one_version_however_often(
    table: str, again: float
) -> None:
    schema, take, _ = TABLES[table]
    stored = take(empty(schema), 5.0, NOW).assign(known_at=AHEAD)  # type: ignore[arg-type]
    for time in range(3):
        fresh = take(stored, again, NOW + (time + 1) * MINUTE)
        assert len(fresh) == (again == 7.0 and time == 0), time
        stored = pd.concat([stored, fresh], ignore_index=True)
    assert len(stored) == 1 + (again == 7.0)
