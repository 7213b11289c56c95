"""The core of all five tables with versions, against plain references over lists that share no code with it.

Random deliveries: moments stated and unstated, restatements, contradictions, ties, rows told twice, what is taken in
before it can be known; what is read is compared at every moment, as of now and as of every arrival.
"""

from __future__ import annotations

import math
from collections import defaultdict
from random import Random

import numpy as np
import pandas as pd
import pytest

from nn_assets.contracts import (
    ACTION_VERSIONS,
    BAR_VERSIONS,
    INTRADAY_VERSIONS,
    MEMBERSHIP,
    QUOTES,
    SERIES,
    conform,
    empty,
)
from nn_assets.errors import SourceError
from nn_assets.market.facts.actions import actions_as_of, new_action_versions
from nn_assets.market.facts.bars import known_bars, new_versions
from nn_assets.market.facts.bitemporal import BAR_FACTS, INTRADAY_FACTS
from nn_assets.market.facts.intraday import intraday_as_of, new_intraday
from nn_assets.market.facts.membership import membership_as_of, new_spells
from nn_assets.market.facts.series import new_observations, series_as_of

HOUR = pd.Timedelta(hours=1)
SOON = pd.Timedelta(seconds=1)  # what arrives at once is stamped one after the other
START = pd.Timestamp("2019-03-01", tz="UTC").as_unit("ns")
FACTS = ("A", "B", "C")
ASSUMED = {"A": 2.0, "B": 5.0, "C": 9.0}  # hour at which each is taken to be known
ASKED = [float(hour) for hour in (0, 2, 4, 7, 11, 15, 19, 25)]
SEEDS = [0, 15, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(1, 40) if seed != 15)]
# By the fifteenth a moment that holds two values is told once more.

Version = tuple[float, float, float]  # hour it is known, hour it arrived, what it says
Known = dict[str, tuple[float, float]]  # what is said of each fact, and since when it is known
CONTRADICTED = -1.0


def at(hour: float) -> pd.Timestamp:
    return START + hour * HOUR


def hour_of(moment: pd.Timestamp) -> float:
    return round((moment - START) / HOUR, 3)


class Plain:
    """Every row ever told, in lists; which are contradicted is found out by whoever asks."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Version]] = defaultdict(list)

    def chain(self, fact: str, hour: float, arrived: float) -> list[tuple[float, float, bool, bool]]:
        """Moment, what is said, whether it could be known then, and whether all of it was in hand by then."""
        versions: dict[float, list[Version]] = defaultdict(list)
        for row in self.rows[fact]:
            if row[0] <= hour and row[1] <= arrived:
                versions[row[0]].append(row)
        chain = []
        for known in sorted(versions):
            in_time = [row for row in versions[known] if row[1] >= known]
            newest = max(row[1] for row in versions[known])
            says = {row[2] for row in (in_time or [row for row in versions[known] if row[1] == newest])}
            value = CONTRADICTED if len(says) > 1 else says.pop()
            chain.append((known, value, bool(in_time), len(in_time) == len(versions[known])))
        return chain

    def in_force(self, fact: str, hour: float = math.inf, by: float = math.inf) -> tuple[float, float, bool] | None:
        """What is said, since when, and whether that could be known then."""
        last = None
        in_hand = False
        for known, value, in_time, whole in self.chain(fact, hour, by):
            if last is None or value != last[0] or not in_hand:
                last = (value, known, in_time)
            in_hand = whole
        return last

    def take(self, fact: str, says: set[float], known: float, arrived: float) -> None:
        """Rows without a moment of their own."""
        now = self.in_force(fact)
        value = CONTRADICTED if len(says) > 1 else next(iter(says))
        if now is None:
            self.rows[fact].append((known, arrived, value))
        elif value != now[0] or (not now[2] and arrived >= now[1]):
            self.rows[fact].append((max(known, arrived), arrived, value))

    def known(self, hour: float, arrived: float) -> Known:
        in_force = {fact: self.in_force(fact, hour, arrived) for fact in list(self.rows)}
        return {fact: (now[0], now[1]) for fact, now in in_force.items() if now is not None}


def read(frame: pd.DataFrame, fact: str, value: str) -> Known:
    assert not frame.duplicated(fact).any()
    return {
        str(name): (CONTRADICTED if np.isnan(number) else float(number), hour_of(known))
        for name, number, known in zip(frame[fact], frame[value], frame["known_at"], strict=True)
    }


Delivery = list[tuple[str, float, float | None]]  # fact, what is said, hour stated


def drawn(random: Random, *, explicit: bool) -> Delivery:
    """Few values and moments, so that rows repeat, tie and contradict one another."""
    rows: Delivery = []
    for _ in range(random.randint(1, 5)):
        hour = random.choice([1.0, 3.0, 6.0, 14.0, 20.0]) if explicit and random.random() < 0.6 else None
        rows.append((random.choice(FACTS), random.choice([1.0, 2.0, 3.0]), hour))
    return rows


def framed(records: Delivery, arrived: float, **more: object) -> pd.DataFrame:
    frame = pd.DataFrame(records, columns=["symbol", "close", "hour"])
    known = [at(ASSUMED[fact] if hour is None else hour) for fact, _, hour in records]
    for name in ("open", "high", "low", "volume"):
        frame[name] = frame["close"]
    return frame.assign(known_at=known, ingested_at=at(arrived), source="t", session=pd.Timestamp("2019-03-01"), **more)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("table", ["bars", "intraday"])
def test_bars_and_bars_within_the_session_are_those_of_the_reference(table: str, seed: int) -> None:
    random, plain = Random(seed), Plain()
    schema, facts = (BAR_VERSIONS, BAR_FACTS) if table == "bars" else (INTRADAY_VERSIONS, INTRADAY_FACTS)
    known_at = known_bars if table == "bars" else intraday_as_of
    stored, arrivals = empty(schema), [1.5 + 3.0 * index for index in range(7)]
    for arrived in arrivals:
        records = drawn(random, explicit=table == "bars")
        delivered = conform(framed(records, arrived, bar_at=START, **dict.fromkeys(QUOTES, np.nan)), schema)
        explicit = np.array([hour is not None for _, _, hour in records])
        if table == "bars":
            fresh, _ = new_versions(stored, delivered, explicit=explicit)
        else:
            fresh, _ = new_intraday(stored, delivered)
        assert not fresh.duplicated([*facts.key, "known_at"]).any()
        stored = pd.concat([stored, fresh], ignore_index=True)
        for fact, value, hour in records:
            if hour is not None:
                plain.rows[fact].append((hour, arrived, value))
        for fact in FACTS:
            if says := {value for name, value, hour in records if name == fact and hour is None}:
                plain.take(fact, says, ASSUMED[fact], arrived)
    shuffled = stored.sample(frac=1.0, random_state=seed)
    for hour in ASKED:
        assert read(known_at(shuffled, at(hour)), "symbol", "close") == plain.known(hour, math.inf)
        for arrived in arrivals:
            then = known_at(stored, at(hour), ingested_by=at(arrived) + SOON)
            assert read(then, "symbol", "close") == plain.known(hour, arrived)


@pytest.mark.parametrize("seed", SEEDS)
def test_stated_contradictions_and_what_they_say_are_the_same_in_any_order_of_delivery(seed: int) -> None:
    random = Random(seed)
    deliveries = [[row for row in drawn(random, explicit=True) if row[2] is not None] for _ in range(6)]
    expected: dict[tuple[str, float], set[float]] = defaultdict(set)
    for fact, value, hour in (row for records in deliveries for row in records):
        assert hour is not None
        expected[fact, hour].add(value)
    for _ in range(2):
        random.shuffle(deliveries)
        stored, contents = empty(BAR_VERSIONS), [empty(BAR_VERSIONS)]
        for index, records in enumerate(deliveries):
            if records:
                delivered = conform(framed(records, 100.0 + index), BAR_VERSIONS)
                fresh, counted = new_versions(stored, delivered, explicit=np.ones(len(records), dtype=bool))
                stored = pd.concat([stored, fresh], ignore_index=True)
                contents.append(counted.contradicted)
        quarantine = pd.concat(contents, ignore_index=True)
        versions = BAR_FACTS.one_row_per_version(stored)
        actual = defaultdict(set)
        for row in BAR_FACTS.with_contents(versions, quarantine).itertuples():
            actual[row.symbol, hour_of(row.known_at)].add(row.close)
        assert actual == expected
        silent = BAR_FACTS.without_values(versions)
        torn = {(row.symbol, hour_of(row.known_at)) for row in versions[silent].itertuples()}
        assert torn == {version for version, says in expected.items() if len(says) > 1}


def _calls_off(later: Version, ahead: Version) -> bool:
    return later[1] > ahead[1] and later[0] < ahead[0]


def finds_place(known: float, said: float, before: list[Version], last_word: float) -> bool:
    """Whether a version of a table that is delivered whole keeps the moment that it states.

    ``before`` are the versions of its fact, ``last_word`` is the last moment that the delivery states of it.
    """
    if not before:
        return True
    then = {row[2] for row in before if row[0] == known}
    if not then and {row[2] for row in before} == {said}:
        return True  # all that was ever said, known earlier or later
    return last_word >= max(row[0] for row in before) and then <= {said}


@pytest.mark.parametrize("seed", SEEDS)
def test_actions_are_those_told_last_as_before(seed: int) -> None:
    """By arrival: the reference of the table as it was before it had one core with the others."""
    random, stored = Random(seed), empty(ACTION_VERSIONS)
    rows: dict[str, list[Version]] = defaultdict(list)
    arrivals = [1.5 + 3.0 * index for index in range(8)]
    withdrawn = CONTRADICTED  # how ``read`` tells a value that is missing
    for arrived in arrivals:
        records = list({row[0]: row for row in drawn(random, explicit=True)}.values())
        records = [(fact, withdrawn if random.random() < 0.2 else value, hour) for fact, value, hour in records]
        frame = framed(records, arrived, ex_session=pd.Timestamp("2019-03-01"), kind="split")
        delivered = conform(frame.assign(value=frame["close"].where(frame["close"] > 0.0)), ACTION_VERSIONS)
        added: list[tuple[str, Version]] = []
        refused = False
        for fact, value, hour in records:
            known, before = ASSUMED[fact] if hour is None else hour, rows[fact]
            now = max(before, key=lambda row: row[1], default=None)
            if now is None:
                if value != withdrawn:
                    added.append((fact, (known, arrived, value)))
            elif value != now[2]:
                # Of those that were called off before they could be known nothing is left.
                left = [row for row in before if row[1] >= row[0] or not any(_calls_off(each, row) for each in before)]
                own = hour is not None and known > max(row[0] for row in left)
                added.append((fact, (known if own else max(known, arrived), arrived, value)))
            elif hour is not None and value != withdrawn and len({row[2] for row in before}) == 1:
                since = min(row[0] for row in before)
                refused |= known > since
                if known < since:
                    added.append((fact, (known, arrived, value)))
        explicit = np.array([hour is not None for _, _, hour in records])
        if refused:
            with pytest.raises(SourceError):
                new_action_versions(stored, delivered, explicit=explicit)
            continue
        fresh, _ = new_action_versions(stored, delivered, explicit=explicit)
        stored = pd.concat([stored, fresh], ignore_index=True)
        assert len(fresh) == len(added)
        for fact, version in added:
            rows[fact].append(version)
    for hour in ASKED:
        for by in (*arrivals, math.inf):
            expected = {}
            for fact, versions in rows.items():
                seen = [row for row in versions if row[0] <= hour and row[1] <= by]
                last = max(seen, key=lambda row: row[1], default=None)
                if last is not None and last[2] != withdrawn:
                    expected[fact] = last[2]
            ingested_by = None if by == math.inf else at(by) + SOON
            actions = actions_as_of(stored.sample(frac=1.0, random_state=seed), at(hour), ingested_by=ingested_by)
            assert {fact: value for fact, (value, _) in read(actions, "symbol", "value").items()} == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_other_series_are_those_of_the_reference(seed: int) -> None:
    random, plain, stored = Random(seed), Plain(), empty(SERIES)
    arrivals = [12.5 + 3.0 * index for index in range(5)]  # all is published before it arrives
    for arrived in arrivals:
        # One value for each publication: two are quarantined before.
        records = list(
            {(fact, hour): (fact, value, hour) for fact, value, hour in drawn(random, explicit=True)}.values()
        )
        records = [row for row in records if row[2] is None or row[2] < arrived]
        if not records:
            continue
        frame = framed(records, arrived, name="rate", observed_at=START)
        explicit = pd.Series([hour is not None for _, _, hour in records])
        judged = frame.assign(value=frame["close"], known_at_stated=explicit)
        # An unstated row of the moment that another states is the same publication.
        judged = judged.drop_duplicates(["symbol", "known_at"])
        fresh, _ = new_observations(stored, judged.drop(columns="ingested_at").reset_index(drop=True), at(arrived))
        stored = pd.concat([stored, fresh], ignore_index=True)
        before = {fact: list(rows) for fact, rows in plain.rows.items()}
        for fact in FACTS:
            rows = judged.loc[judged["symbol"] == fact, ["known_at", "close", "known_at_stated"]].to_numpy().tolist()
            publications = [(hour_of(known), value, own) for known, value, own in rows]
            on_record = {(known, value) for known, _, value in before.get(fact, [])}
            if not on_record:
                plain.rows[fact] += [(known, arrived, value) for known, value, _ in publications]
                continue
            several = len(publications) > 1
            vintages = [
                (known, value) for known, value, own in publications if own or (several and (known, value) in on_record)
            ]
            last_word = max(vintages, default=(0.0, 0.0))[0]
            kept = {(known, said) for known, said in vintages if finds_place(known, said, before[fact], last_word)}
            plain.rows[fact] += [(known, arrived, said) for known, said in kept - on_record]
            rest = [(known, said) for known, said, _ in publications if (known, said) not in kept]
            if rest:
                known, value = max(rest)
                plain.take(fact, {value}, known, arrived)
    for hour in [*ASKED, 30.0]:
        assert read(series_as_of(stored, at(hour)), "symbol", "value") == plain.known(hour, math.inf)
        for arrived in arrivals:
            then = series_as_of(stored, at(hour), ingested_by=at(arrived) + SOON)
            assert read(then, "symbol", "value") == plain.known(hour, arrived)


@pytest.mark.parametrize("seed", SEEDS)
def test_spells_are_those_of_the_reference(seed: int) -> None:
    """Of each symbol one spell, whose end, or absence, is told again and again; the reference orders plain lists."""
    random, stored = Random(seed), empty(MEMBERSHIP)
    begins = {"A": pd.Timestamp("2019-01-02"), "B": pd.Timestamp("2019-03-20"), "C": pd.Timestamp("2019-04-10")}
    ends = [None, *(pd.Timestamp(day) for day in ("2019-04-20", "2019-05-02"))]
    rows: dict[str, list[tuple[pd.Timestamp, pd.Timestamp, pd.Timestamp | None]]] = defaultdict(list)
    arrivals = [pd.Timestamp(f"2019-{month}-11 12:00", tz="UTC").as_unit("ns") for month in ("02", "03", "04", "05")]

    def newest(fact: str, moment: pd.Timestamp, by: pd.Timestamp):  # type: ignore[no-untyped-def]
        seen = [row for row in rows[fact] if row[0] <= moment and row[1] <= by]
        return max(seen, key=lambda row: row[:2], default=None)

    far = pd.Timestamp("2030-01-01", tz="UTC")
    for arrived in arrivals:
        new_ends = {fact: random.choice(ends) for fact in FACTS if random.random() < 0.8} or {"A": None}
        known_days = {fact: random.choice([None, "2019-02-20", "2019-03-15"]) for fact in new_ends}
        frame = pd.DataFrame(
            {"symbol": list(new_ends), "member_to": pd.Series(list(new_ends.values()), dtype="datetime64[ns]")}
        )
        own = pd.Series([known_days[fact] for fact in new_ends], dtype="str")
        frame = frame.assign(universe="u", source="t", known_at=pd.to_datetime(own, utc=True).dt.as_unit("ns"))
        frame["member_from"] = pd.Series([begins[fact] for fact in new_ends]).dt.as_unit("ns")
        fresh, _ = new_spells(stored, frame, arrived)
        stored = pd.concat([stored, fresh], ignore_index=True)
        for fact in FACTS:
            now = newest(fact, far, far)
            end = new_ends.get(fact, begins[fact])  # retired: it ends as it begins
            assumed = begins[fact].tz_localize("UTC")
            known = pd.Timestamp(known_days[fact], tz="UTC") if known_days.get(fact) else assumed
            if now is None and fact in new_ends:
                rows[fact].append((known, arrived, end))
            elif now is not None and now[2] != end:
                own_moment = known if fact in new_ends else now[0]
                if not (known_days.get(fact) and known > now[0]):  # else it is the last word
                    own_moment = max(own_moment, arrived, now[0])
                rows[fact].append((own_moment, arrived, end))
            elif now is not None and known_days.get(fact) and {row[2] for row in rows[fact]} == {end}:
                rows[fact].append((min(known, now[0]), arrived, end))  # the same, known earlier
    for moment in pd.date_range("2019-02-01", "2019-06-01", freq="9D", tz="UTC"):
        for by in (*arrivals, far):
            expected = {}
            for fact in FACTS:
                now = newest(fact, moment, by)
                if now is not None and now[2] != begins[fact]:
                    ahead = now[2] is not None and now[2].tz_localize("UTC") > moment
                    expected[fact] = None if ahead else now[2]
            spells = membership_as_of(stored, moment, ingested_by=by)
            told_of = {row.symbol: None if pd.isna(row.member_to) else row.member_to for row in spells.itertuples()}
            assert told_of == expected
