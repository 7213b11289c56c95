"""A day costs a day: bars that grew are judged by what came, and nothing of what is published shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.quality.notices import widest_first
from nn_assets.market.quality.suspected import Suspected
from nn_assets.operations.asof.actions import ACTIONS
from nn_assets.operations.asof.universe import unseen_members
from nn_assets.operations.history import History, open_history
from nn_assets.operations.intake import actions as intake_actions
from nn_assets.operations.intake import bars as intake_bars
from nn_assets.operations.intake import grown, pieces, unseen
from nn_assets.operations.intake.actions import actions_to_publish
from nn_assets.operations.intake.audited_whole import differing_from_whole
from nn_assets.operations.intake.bars import Audited, audit_bars, ingest_bars, publish_bars
from nn_assets.operations.intake.data_docs import overview_of_audited
from nn_assets.operations.intake.grown import begun
from nn_assets.operations.intake.pieces import Carried
from nn_assets.operations.intake.trading_halts import ingest_halts
from nn_assets.operations.intake.universe import ingest_universe
from nn_assets.settings import Strategy
from nn_assets.store.lake import blobs, parts
from nn_assets.store.lake.carried import read_carried, switch_carried
from nn_assets.store.lake.publication import Publication
from nn_assets.versions import definitions_behind

FIRST, HISTORY = "2017-03-01", 150
AXIS = sessions_between("XNYS", FIRST, "2019-12-31")
OF_ALL = Suspected.of  # as it is before a test counts its calls
SYMBOLS = tuple(f"S{number}" for number in range(9))
PRICES = ["open", "high", "low", "close"]


@pytest.fixture(autouse=True)
def few_rows_are_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(parts, "_WHOLE_ROWS", 100)
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))


def market(seed: int, sessions: int, faults: float) -> pd.DataFrame:
    """Bars of all symbols, session by session, some of them faulty in one of many ways."""
    random = np.random.default_rng(seed)
    shape = (sessions, len(SYMBOLS))
    close = 50.0 * np.exp(np.cumsum(random.normal(0.0, 0.02, shape), axis=0))
    open_ = close * np.exp(random.normal(0.0, 0.01, shape))
    frame = pd.DataFrame(
        {
            "symbol": np.tile(SYMBOLS, sessions),
            "date": np.repeat(AXIS[:sessions], len(SYMBOLS)),
            "open": open_.ravel().round(2),
            "high": (np.maximum(open_, close) * 1.01).ravel().round(3),
            "low": (np.minimum(open_, close) * 0.99).ravel().round(3),
            "close": close.ravel().round(2),
            "volume": random.integers(100_000, 1_000_000, close.size).astype(float),
        }
    )
    # One is listed late, one halts for long, one leaves, one repeats its close as its next open.
    day_index = frame["date"].map({day: number for number, day in enumerate(AXIS[:sessions])})
    away = ((frame["symbol"] == "S1") & (day_index < HISTORY - 20)) | (
        (frame["symbol"] == "S2") & day_index.between(20, 155)
    )
    away |= (frame["symbol"] == "S3") & (day_index > HISTORY + 10)
    again = (frame["symbol"] == "S4").to_numpy()
    frame.loc[again, "open"] = frame.loc[again, "close"].shift().fillna(50.0)
    frame.loc[again, "high"] = frame.loc[again, ["open", "high"]].max(axis=1)
    frame.loc[again, "low"] = frame.loc[again, ["open", "low"]].min(axis=1)
    stale = (frame["symbol"] == "S5") & (day_index % 40 > 28)
    frame.loc[stale, PRICES], frame.loc[stale, "volume"] = 60.0, 10.0
    for at in np.flatnonzero(random.random(len(frame)) < faults):
        _spoil(frame, int(at), int(random.integers(7)))
    return frame[~away.to_numpy()].reset_index(drop=True)


def _spoil(frame: pd.DataFrame, at: int, how: int) -> None:
    row = frame.loc[at]
    if how == 0:
        frame.loc[at, PRICES] = row[PRICES].to_numpy(dtype=float) * 100.0
    elif how == 1:
        frame.loc[at, "low"] = row["low"] * 0.5
    elif how == 2:
        frame.loc[at, "close"] = np.nan
    elif how == 3:
        frame.loc[at, PRICES] = row[PRICES].to_numpy(dtype=float) * 1.6
    elif how == 4:
        frame.loc[at, "high"] = row["low"] * 0.9
    elif how == 5:
        frame.loc[at, "volume"] = 0.0
    else:
        frame.loc[at, PRICES] = row[PRICES].to_numpy(dtype=float) * 70.0


class Home:
    """A home that takes in a file a day."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder, self.settings = folder, settings
        (folder / "data").mkdir()

    def strategy(self, last: int) -> Strategy:
        source: dict[str, object] = {"kind": "files", "path": str(self.folder / "data")}
        if (self.folder / "actions.csv").exists():
            source["actions_path"] = str(self.folder / "actions.csv")
        market = {"calendar": "XNYS", "history_starts": FIRST, "history_ends": str(AXIS[last].date())}
        lenient = {
            "max_quarantined_fraction": 0.9,
            "max_missing_symbols_fraction": 0.9,
            "max_missing_sessions_fraction": 0.9,
            "max_repeated_bars_fraction": 1.0,
        }
        cleaning = {"repeated_open_window_sessions": 30}
        settings = {"name": "grown", "source": source, "market": market, "gate": lenient, "cleaning": cleaning}
        settings |= self.settings
        settings["market"] = market | dict(self.settings.get("market", {}))
        return Strategy.model_validate(settings)

    def write(self, name: str, bars: pd.DataFrame) -> None:
        bars.to_csv(self.folder / "data" / f"{name}.csv", index=False)

    def at(self, last: int, work: Callable[[History], object]) -> object:
        with open_history(self.strategy(last)) as history:
            return work(history)

    def take_in(self, last: int) -> None:
        if "halts" in self.settings:
            self.at(last, lambda history: ingest_halts(history, self.folder))
        self.at(last, lambda history: ingest_bars(history, self.folder))


def whole_and_grown(history: History) -> tuple[Audited, Audited]:
    whole, day = audit_bars(history, whole=True), audit_bars(history)
    for name in ("bars", "quarantine"):
        pd.testing.assert_frame_equal(
            getattr(whole.cleaned, name), getattr(day.cleaned, name), check_exact=True, obj=name
        )
    order = [notice.line for notice in whole.cleaned.notices]
    assert [notice.line for notice in day.cleaned.notices] == order
    assert whole.counts == day.counts == whole.cleaned.counts()
    assert whole.report == day.report
    return whole, day


def publish(history: History) -> bool:
    """Publish what grew as the whole pass would have it; whether it was judged by what came alone."""
    whole, day = whole_and_grown(history)
    of_whole = begun(history, whole.cleaned, pd.Timestamp.now(tz="UTC"))
    assert of_whole is not None
    assert day.grown is not None
    carried, listed, *_ = of_whole.store(history.axis[-1])
    actions = actions_to_publish(history, history.stores.lake.segments("grown", ACTIONS))
    of_all, of_day = (overview_of_audited(history, each, actions) for each in (whole, day))
    for name in ("symbols", "sessions", "returns"):
        pd.testing.assert_frame_equal(getattr(of_all, name), getattr(of_day, name), check_exact=True, obj=name)
    assert of_all.shift_noise == of_day.shift_noise
    assert (whole.kept, whole.kept_by_symbol) == (day.kept, day.kept_by_symbol)
    pd.testing.assert_frame_equal(whole.quarantine, day.quarantine, check_exact=True)
    publication = publish_bars(history, day, "run")
    stored = Carried.read(history)
    assert stored is not None
    assert (stored.pieces, stored.said, stored.notices) == (carried.pieces, carried.said, carried.notices)
    suspected = () if actions is None else OF_ALL(whole.cleaned.bars, actions).notices
    assert stored.suspicions == suspected
    expected = widest_first([*whole.cleaned.notices, *suspected])
    assert publication.details["notices"] == [each.line for each in expected]
    assert publication.rows == len(listed) == len(whole.cleaned.bars)
    pd.testing.assert_frame_equal(history.stores.publications.bars(publication), whole.cleaned.bars, check_exact=True)
    pd.testing.assert_frame_equal(
        history.stores.publications.quarantine(publication), whole.cleaned.quarantine, check_exact=True
    )
    return day.judged is None


def lived(tmp_path: Path, seed: int, days: int, faults: float = 0.01, **settings: object) -> list[bool]:
    bars = market(seed, HISTORY + days, faults)
    home = Home(tmp_path, **settings)
    by_day = dict(iter(bars.groupby("date")))
    home.write("history", pd.concat([by_day[day] for day in AXIS[:HISTORY]]))
    home.take_in(HISTORY - 1)
    publications = [home.at(HISTORY - 1, publish)]
    for last in range(HISTORY, HISTORY + days):
        home.write(str(AXIS[last].date()), by_day[AXIS[last]])
        home.take_in(last)
        publications.append(home.at(last, publish))
    return [bool(publication) for publication in publications]


@pytest.mark.full
def test_day_by_day_the_result_is_that_of_the_whole_pass_to_the_bit(tmp_path: Path) -> None:
    alone = lived(tmp_path, seed=1, days=5)
    assert not alone[0]
    assert all(alone[1:])


@pytest.mark.full
def test_halted_sessions_are_counted_alike_day_by_day_and_a_new_halt_has_all_judged_again(tmp_path: Path) -> None:
    """S2 lacks 136 sessions; S3 leaves after the eleventh day."""
    home, bars = Home(tmp_path, halts={"path": "halts.csv"}), market(1, HISTORY + 14, 0.0)
    by_day = dict(iter(bars.groupby("date")))
    known = f"S2,{AXIS[20].date()},{AXIS[156].date()}\n"
    (tmp_path / "halts.csv").write_text(f"symbol,halted_from,resumes\n{known}")
    home.write("history", pd.concat([by_day[day] for day in AXIS[:HISTORY]]))
    alone, missing = [], []
    for last in range(HISTORY - 1, HISTORY + 14):
        if last >= HISTORY:
            home.write(str(AXIS[last].date()), by_day[AXIS[last]])
        if last == HISTORY + 12:
            known += f"S3,{AXIS[last].date()},\n"
            (tmp_path / "halts.csv").write_text(f"symbol,halted_from,resumes\n{known}")
        home.take_in(last)
        alone.append(bool(home.at(last, publish)))
        checks = home.at(last, lambda history: {check.name: check for check in audit_bars(history).report.checks})
        assert isinstance(checks, dict)
        missing.append(checks["missing_sessions"].detail.partition(" of ")[0])
    assert alone == [False, *[True] * 12, False, True]
    assert missing == [*["0"] * 12, *["1"] * 3]  # of S3, the day before its halt was stated


def test_publishing_a_session_reads_and_writes_what_it_needs_however_long_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Growth, counted where the machine's load does not tell: rows judged, bytes hashed, files written."""
    cost = {}
    for sessions in (130, 390):
        folder = tmp_path / str(sessions)
        folder.mkdir()
        monkeypatch.setenv("NN_ASSETS_HOME", str(folder))
        home, bars = Home(folder), market(5, sessions + 2, 0.0)
        by_day = dict(iter(bars.groupby("date")))
        home.write("history", pd.concat([by_day[day] for day in AXIS[:sessions]]))
        home.take_in(sessions - 1)
        home.at(sessions - 1, lambda history: publish_bars(history, audit_bars(history), "run"))
        for last in (sessions, sessions + 1):
            home.write(str(AXIS[last].date()), by_day[AXIS[last]])
            home.take_in(last)
            with monkeypatch.context() as patch:
                counted = _counting(patch)
                home.at(last, lambda history: publish_bars(history, audit_bars(history), "run"))
        cost[sessions] = counted
    assert cost[130]["rows judged"] > 0
    for what, few in cost[130].items():
        assert cost[390][what] <= 1.2 * few, (what, cost)


def _counting(patch: pytest.MonkeyPatch) -> dict[str, int]:
    counted = {"rows judged": 0, "bytes hashed": 0, "rows hashed": 0}
    clean, sha256, frame_hash = grown.clean, blobs.file_sha256, blobs.frame_hash

    def counting_clean(bars: pd.DataFrame, *words: Any, past: Any, **named: Any) -> Any:
        counted["rows judged"] += len(bars)
        assert len(past.rows) <= len(SYMBOLS) * 90  # the window, what was missed in it and a few more
        return clean(bars, *words, past=past, **named)

    def counting_sha256(path: Path) -> str:
        counted["bytes hashed"] += path.stat().st_size
        return sha256(path)

    def counting_frame_hash(frame: pd.DataFrame) -> str:
        counted["rows hashed"] += len(frame)
        return frame_hash(frame)

    patch.setattr(grown, "clean", counting_clean)
    patch.setattr(blobs, "file_sha256", counting_sha256)
    patch.setattr(blobs, "frame_hash", counting_frame_hash)
    return counted


def test_long_bars_published_as_a_frame_before_stay_until_a_session_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def published(history: History) -> Publication:
        return publish_bars(history, audit_bars(history), "run")

    home, bars = Home(tmp_path), market(6, HISTORY + 2, 0.0)
    by_day = dict(iter(bars.groupby("date")))
    home.write("history", pd.concat([by_day[day] for day in AXIS[:HISTORY]]))
    home.take_in(HISTORY - 1)
    with monkeypatch.context() as patch:
        patch.setattr(intake_bars, "begun", lambda *_: None)
        before = home.at(HISTORY - 1, published)
    assert isinstance(before, Publication)
    assert home.at(HISTORY - 1, published) == before
    for last in (HISTORY, HISTORY + 1):
        home.write(str(AXIS[last].date()), by_day[AXIS[last]])
        home.take_in(last)
        assert bool(home.at(last, publish)) == (last > HISTORY)
    with open_history(home.strategy(HISTORY + 1)) as history:
        first, *_, newest = history.stores.publications.history("grown")
        assert (first, newest.ordinal) == (before, 3)
        old = history.stores.publications.bars(first)
        new = history.stores.publications.bars(newest, last=AXIS[HISTORY - 1])
        pd.testing.assert_frame_equal(old, new, check_exact=True)


def test_the_whole_pass_on_demand_says_what_differs(tmp_path: Path) -> None:
    assert lived(tmp_path, seed=1, days=2)[-1]
    home = Home.__new__(Home)
    home.folder, home.settings = tmp_path, {}
    assert home.at(HISTORY + 1, differing_from_whole) == []
    folder = tmp_path / "lake" / "grown" / "validated_bars_carried"
    record = read_carried(folder)
    assert record is not None
    spoiled = [[rule, symbol, *days, value, "other words"] for rule, symbol, *days, value, _ in record["notices"]]
    arrays = [path.name for path in folder.glob("*.np?")]
    switch_carried(folder, {**record, "notices": spoiled}, arrays)
    home.write("again", pd.read_csv(tmp_path / "data" / f"{AXIS[HISTORY + 1].date()}.csv").assign(volume=5e5))
    home.take_in(HISTORY + 1)
    home.at(HISTORY + 1, lambda history: publish_bars(history, audit_bars(history), "run"))
    differing = home.at(HISTORY + 1, differing_from_whole)
    assert isinstance(differing, list)
    assert [line.partition(":")[0] for line in differing] == ["notices"]


def test_restatements_late_bars_and_late_splits_are_judged_as_the_whole_pass_does(tmp_path: Path) -> None:
    """Versions and actions that touch older sessions, one after the other, of which each is judged both ways."""
    days = 7
    bars = market(2, HISTORY + days, 0.01)
    home = Home(tmp_path)
    (tmp_path / "actions.csv").write_text("symbol,ex_session,kind,value\n")
    by_day = dict(iter(bars.groupby("date")))
    late = bars[(bars["symbol"] == "S6") & (bars["date"] == AXIS[HISTORY - 3])]
    history = pd.concat([by_day[day] for day in AXIS[:HISTORY]]).drop(index=late.index)
    home.write("history", history)
    home.take_in(HISTORY - 1)
    home.at(HISTORY - 1, publish)
    alone = []
    for last in range(HISTORY, HISTORY + days):
        number = last - HISTORY
        fresh = by_day[AXIS[last]]
        if number == 0:
            home.write("late", late)
        if number in (1, 2):  # restated, a few sessions and a few months ago
            day = AXIS[last - (4 if number == 1 else 75)]
            home.write(f"restated {number}", by_day[day].assign(close=lambda rows: rows["close"] * 1.02))
        if number == 3:
            text = f"symbol,ex_session,kind,value\nS7,{AXIS[last - 6].date()},split,3\n"
            (tmp_path / "actions.csv").write_text(text + f"S8,{AXIS[last].date()},dividend,0.3\n")
        if number == 4:  # of the quarter before
            text = (tmp_path / "actions.csv").read_text()
            (tmp_path / "actions.csv").write_text(text + f"S0,{AXIS[last - 70].date()},split,1.5\n")
        if number == 5:  # equal to a bar of long ago
            old = by_day[AXIS[15]]
            fresh = pd.concat([fresh[fresh["symbol"] != "S7"], old[old["symbol"] == "S7"].assign(date=AXIS[last])])
        home.write(str(AXIS[last].date()), fresh)
        home.take_in(last)
        alone.append(bool(home.at(last, publish)))
    assert alone == [number != 5 for number in range(days)]


@pytest.mark.full
@pytest.mark.parametrize("days", [6, 60])
def test_real_bars_with_a_copied_session_among_them_and_one_restated(
    tmp_path: Path, five_years: pd.DataFrame, days: int
) -> None:
    names = sorted(five_years["symbol"].unique())[::5]  # on 2017-08-04 seven of them have the bars of 2017-08-01
    some = five_years[five_years["symbol"].isin(names) & (five_years["session"] >= FIRST)]
    by_day = {day: rows.rename(columns={"session": "date"}) for day, rows in some.groupby("session")}
    home = Home(tmp_path)
    columns = ["symbol", "date", *PRICES, "volume"]
    home.write("history", pd.concat([by_day[day] for day in AXIS[:HISTORY]])[columns])
    home.take_in(HISTORY - 1)
    home.at(HISTORY - 1, publish)
    for last in range(HISTORY, HISTORY + days):
        home.write(str(AXIS[last].date()), by_day[AXIS[last]][columns])
        if last == HISTORY + 3:
            old = by_day[AXIS[last - 2]][columns]
            home.write("restated", old.assign(high=old["high"] * 1.7))
        home.take_in(last)
        assert home.at(last, publish)


def looked_at_whole(patch: pytest.MonkeyPatch) -> list[int]:
    """Counts, from now on, how often all bars are held against all actions."""
    lengths: list[int] = []
    of = Suspected.of

    def counting(bars: pd.DataFrame, actions: pd.DataFrame) -> Suspected:
        lengths.append(len(bars))
        return of(bars, actions)

    patch.setattr(Suspected, "of", counting)
    return lengths


@pytest.mark.full
@pytest.mark.parametrize("seed", range(120))
def test_actions_late_restated_and_taken_back_are_held_against_bars_as_the_whole_pass_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Splits and dividends of all ages, and bars of before, come on some of the days; on the others nothing is late."""
    days, random = 5, np.random.default_rng(seed)
    bars = market(seed + 100, HISTORY + days, 0.01)
    large = 0.3 * bars["close"].min()  # below every close, half as much again and after a split too
    home, by_day = Home(tmp_path), dict(iter(bars.groupby("date")))
    known: dict[tuple[str, str, str], float] = {}

    def tell(last: int, age: int) -> None:
        day = AXIS[last - (int(random.integers(1, 100)) if age else 0)]
        kind = str(random.choice(["split", "dividend"]))
        value = float(random.choice([2.0, 0.5]) if kind == "split" else random.choice([0.2, 0.2, large]))
        known[str(random.choice(SYMBOLS)), str(day.date()), kind] = value

    def write() -> None:
        rows = [f"{','.join(key)},{'' if np.isnan(value) else value}" for key, value in known.items()]
        (tmp_path / "actions.csv").write_text("\n".join(["symbol,ex_session,kind,value", *rows]) + "\n")

    for _ in range(30):
        tell(HISTORY - 1, 1)
    write()
    late = bars[bars["date"].isin(AXIS[HISTORY - 20 : HISTORY])].sample(3, random_state=seed)
    home.write("history", pd.concat([by_day[day] for day in AXIS[:HISTORY]]).drop(index=late.index))
    home.take_in(HISTORY - 1)
    home.at(HISTORY - 1, publish)
    in_time = []
    for last in range(HISTORY, HISTORY + days):
        how = int(random.integers(5)) if last > HISTORY + 1 else 0
        tell(last, 0)
        tell(last, 0)
        if how == 1:
            tell(last, 1)
        if how in (2, 3):
            key = list(known)[int(random.integers(len(known)))]
            known[key] = np.nan if how == 2 else known[key] * 1.5
        if how == 4 and len(late):
            home.write(f"late {last}", late.iloc[:1])
            late = late.iloc[1:]
        write()
        home.write(str(AXIS[last].date()), by_day[AXIS[last]])
        home.take_in(last)
        with monkeypatch.context() as patch:
            whole = looked_at_whole(patch)
            home.at(last, publish)
        in_time += [not whole] if how == 0 else []
    assert all(in_time)
    assert len(in_time) >= 2


@pytest.mark.full
@pytest.mark.parametrize("seed", range(3, 11))
def test_whatever_is_wrong_with_the_bars(tmp_path: Path, seed: int) -> None:
    settings = {"cleaning": {"jump_window_sessions": 20 + 7 * (seed % 3), "repeated_open_window_sessions": 30}}
    assert sum(lived(tmp_path, seed, 60, faults=0.01 * (seed - 2), **settings)) >= 30


def small(sessions: int, symbols: int = 4, seed: int = 7) -> pd.DataFrame:
    """Sound bars of a few symbols."""
    return market(seed, sessions, 0.0).query(f"symbol in {sorted(SYMBOLS)[5 : 5 + symbols]} or symbol == 'S0'")


def begin(home: Home, bars: pd.DataFrame, until: int) -> None:
    """Publish bars up to a session, at once."""
    home.write("history", bars[bars["date"] <= AXIS[until]])
    home.take_in(until)
    home.at(until, publish)


@pytest.mark.full
def test_two_rows_of_another_symbol_on_a_session_with_a_bar_in_quarantine(tmp_path: Path) -> None:
    """A bar hundredfold, and one told in two ways, of one session within reach: the next session is judged."""
    home, last = Home(tmp_path), 60
    bars = small(last + 2)
    day = bars["date"] == AXIS[last - 1]
    bars.loc[day & (bars["symbol"] == "S6"), PRICES] *= 100.0
    again = bars[day & (bars["symbol"] == "S7")].assign(volume=7.0)
    begin(home, pd.concat([bars, again]), last)
    home.write("next", bars[bars["date"] == AXIS[last + 1]])
    home.take_in(last + 1)
    assert home.at(last + 1, publish)


def test_a_session_judged_again_says_of_its_missing_bars_what_it_said(tmp_path: Path) -> None:
    home, last = Home(tmp_path), 60
    bars = small(last + 2)
    bars.loc[(bars["date"] == AXIS[last + 1]) & (bars["symbol"] == "S6"), "high"] = 1.0
    begin(home, bars, last)
    home.write("next", bars[bars["date"] == AXIS[last + 1]])
    home.take_in(last + 1)
    assert home.at(last + 1, publish)
    home.at(last + 1, whole_and_grown)


@pytest.mark.full
def test_a_bar_whose_follower_is_restated_away_is_the_newest_again(tmp_path: Path) -> None:
    """Whether a bar stands apart is asked of both neighbours, and of the newest bar of the one before alone."""
    cleaning = {"displaced_newest_multiple": 50.0}
    home, last = Home(tmp_path, cleaning=cleaning), 60
    bars = small(last + 1)
    bars = bars[(bars["date"] != AXIS[last - 1]) | (bars["symbol"] == "S6")]  # alone on its session
    bars.loc[bars["date"] == AXIS[last - 1], PRICES] *= 1.5
    begin(home, bars, last - 1)
    home.write("next", bars[bars["date"] == AXIS[last]])
    home.take_in(last)
    assert home.at(last, publish)
    home.write("restated", bars[(bars["date"] == AXIS[last]) & (bars["symbol"] == "S6")].assign(high=1.0))
    home.take_in(last)
    assert not home.at(last, publish)  # judged whole


@pytest.mark.full
def test_a_delisting_that_is_moved_on_has_the_sessions_before_it_counted_again(tmp_path: Path) -> None:
    home, last = Home(tmp_path), 60
    bars = small(last + 3)
    bars = bars[(bars["symbol"] != "S6") | (bars["date"] < AXIS[20])]
    header = "symbol,ex_session,kind,value\n"
    (tmp_path / "actions.csv").write_text(f"{header}S6,{AXIS[20].date()},delisting,0\n")
    begin(home, bars, last)
    (tmp_path / "actions.csv").write_text(f"{header}S6,{AXIS[last].date()},delisting,0\n")
    home.write("next", bars[bars["date"] == AXIS[last + 1]])
    home.take_in(last + 1)
    home.at(last + 1, publish)


def test_what_bars_come_to_is_of_the_code_and_settings_that_it_hangs_on(tmp_path: Path) -> None:
    behind = definitions_behind(*pieces._MADE_BY)
    for definition in ("quality.gate:days_asked", "facts.bitemporal:Kind", "facts.refused:refused"):
        assert f"nn_assets.market.{definition}" in behind
    market = {"calendar": "XNYS", "history_starts": FIRST, "history_ends": str(AXIS[9].date())}
    made = []
    for lag in (30, 45):
        home = Home.__new__(Home)
        home.folder, home.settings = tmp_path, {"market": {**market, "known_at_lag_minutes": lag}}
        made.append(home.at(9, pieces.made_by))
    assert made[0] != made[1]


@pytest.mark.parametrize(
    "ways", [(1.002, 0.998), *(pytest.param(ways, marks=pytest.mark.full) for ways in ((1.004, 0.998), (1.002,)))]
)
def test_a_bar_told_in_two_ways_and_then_again_is_judged_as_the_whole_pass_does(
    tmp_path: Path, ways: tuple[float, ...]
) -> None:
    home, last = Home(tmp_path), 60
    bars = small(last + 3)
    begin(home, bars, last)
    bar = bars[(bars["date"] == AXIS[last + 1]) & (bars["symbol"] == "S7")]  # told so from the first
    home.write("first way", bar.assign(close=bar["close"] * 1.002))
    home.write("second way", bar.assign(close=bar["close"] * 0.998))
    home.write("next", bars[bars["date"] == AXIS[last + 1]])
    home.take_in(last + 1)
    home.at(last + 1, publish)
    for number, way in enumerate(ways):
        home.write(f"again {number}", bar.assign(close=bar["close"] * way))
    home.write("one after", bars[bars["date"] == AXIS[last + 2]])
    home.take_in(last + 2)
    home.at(last + 2, publish)


@pytest.mark.full
def test_members_without_bars_are_counted_again_for_a_year_of_which_something_changed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    years: list[int] = []
    count = unseen.members_without_bars

    def counting(spells: pd.DataFrame, bars: pd.DataFrame, first: pd.Timestamp, *rest: Any) -> pd.DataFrame:
        years.append(first.year)
        assert bars["session"].dt.year.isin([first.year]).all()
        return count(spells, bars, first, *rest)

    def counted(history: History) -> list[int]:
        publication = publish_bars(history, audit_bars(history), "run")
        years.clear()
        whole = history.stores.publications.bars(publication)
        expected = unseen_members(history.strategy, history.membership_versions, whole, history.axis)
        pd.testing.assert_frame_equal(unseen.unseen_of_published(history, publication), expected, check_exact=True)
        assert expected["without_bars"].sum() > 0
        return list(years)

    monkeypatch.setattr(unseen, "members_without_bars", counting)
    members = ["symbol,member_from,member_to", "S5,2016-01-04,", "S6,2017-05-01,2017-06-01", "GONE,2017-05-01,"]
    (tmp_path / "members.csv").write_text("\n".join(members) + "\n")
    last = int(AXIS.searchsorted(pd.Timestamp("2018-01-10")))
    home, bars = Home(tmp_path, universe={"path": str(tmp_path / "members.csv"), "name": "some"}), small(last + 3)
    home.at(last, lambda history: ingest_universe(history, tmp_path))
    home.write("history", bars[bars["date"] <= AXIS[last]])
    home.take_in(last)
    assert home.at(last, counted) == [2017, 2018]
    for day in (last + 1, last + 2):
        home.write(str(day), bars[bars["date"] == AXIS[day]])
        home.take_in(day)
        assert home.at(day, counted) == [2018]
    assert home.at(day, counted) == []
    (tmp_path / "members.csv").write_text("\n".join([*members[:-1], f"GONE,2017-05-01,{AXIS[day].date()}"]) + "\n")
    home.at(day, lambda history: ingest_universe(history, tmp_path))
    home.at(day, lambda history: publish_bars(history, audit_bars(history), "run"))
    assert 2017 not in home.at(day, counted)  # type: ignore[operator]
    home.write("late", bars[bars["date"] == AXIS[100]].assign(volume=5e5))
    home.take_in(day)
    assert home.at(day, counted) == [2017]


def test_members_without_bars_are_never_counted_by_pieces_of_an_earlier_publication(tmp_path: Path) -> None:
    """A bar that waits to be known has all published at once: the pieces on record are those of before."""

    def counted(history: History) -> tuple[object, object, object]:
        publication = publish_bars(history, audit_bars(history), "run")
        whole = history.stores.publications.bars(publication)
        expected = unseen_members(history.strategy, history.membership_versions, whole, history.axis)
        stored = read_carried(history.stores.lake.folder("grown", unseen.COUNTED))
        got = unseen.unseen_of_published(history, publication)
        assert got is not None or read_carried(history.stores.lake.folder("grown", unseen.COUNTED)) == stored
        return got, expected, Carried.read(history)

    universe, last = {"path": str(tmp_path / "members.csv"), "name": "some"}, 60
    (tmp_path / "members.csv").write_text("symbol,member_from,member_to\nS5,2016-01-04,\nGONE,2017-04-03,\n")
    home, bars = Home(tmp_path, universe=universe), small(last + 1)
    home.at(last, lambda history: ingest_universe(history, tmp_path))
    home.write("history", bars)
    home.take_in(last)
    got, expected, carried = home.at(last, counted)  # type: ignore[misc]
    pd.testing.assert_frame_equal(got, expected, check_exact=True)
    assert expected["without_bars"].tolist() == [1]
    gone = bars[bars["symbol"] == "S5"].assign(symbol="GONE", known_at="2017-12-01T00:00:00Z", volume=7.0)
    gone[PRICES] *= 1.37
    gone.loc[gone.index[-1], "known_at"] = "2200-01-01T00:00:00Z"
    home.write("gone", gone)
    home.take_in(last)
    got, expected, now = home.at(last, counted)  # type: ignore[misc]
    assert now == carried
    assert expected["without_bars"].tolist() == [0]
    assert got is None

    def of_before(history: History) -> None:
        folder = history.stores.lake.folder("grown", pieces.CARRIED)
        record = read_carried(folder)
        assert record is not None
        assert record.pop("bars_address")
        switch_carried(folder, record, {piece.running for piece in carried.pieces})
        assert Carried.read(history) == replace(carried, bars_address="")
        assert unseen.unseen_of_published(history, history.stores.publications.history("grown")[0]) is None

    home.at(last, of_before)


@pytest.mark.full
def test_a_dividend_of_a_symbol_that_has_no_bar_before_explains_its_jump(tmp_path: Path) -> None:
    """On the days of its first bars no other symbol has one: no row is looked back on."""
    home, last = Home(tmp_path), 60
    bars = small(last + 3)
    (tmp_path / "actions.csv").write_text(f"symbol,ex_session,kind,value\nNEW,{AXIS[last + 2].date()},dividend,50\n")
    begin(home, bars[bars["date"] <= AXIS[last]], last)
    new = bars[(bars["symbol"] == "S5") & (bars["date"] > AXIS[last])].assign(symbol="NEW")
    new[PRICES] = [[100.0, 101.0, 99.0, 100.0], [50.0, 51.0, 49.0, 50.0]]
    home.write("new", new)
    home.take_in(last + 2)
    home.at(last + 2, publish)


@pytest.mark.full
def test_actions_known_long_ago_are_not_looked_at_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Growth, counted: actions that cleaning is given, those walked for late ones, how often they are worked out."""
    counted = {"given to cleaning": 0, "walked": 0, "worked out": 0}
    clean, walk, work_out = grown.clean, intake_actions._saying_the_last, intake_actions.actions_as_of

    def counting_clean(bars: pd.DataFrame, calendar: str, rules: Any, actions: pd.DataFrame, **named: Any) -> Any:
        counted["given to cleaning"] += len(actions)
        return clean(bars, calendar, rules, actions, **named)

    def counting_walk(versions: pd.DataFrame) -> pd.DataFrame:
        counted["walked"] += 1
        return walk(versions)

    def counting_work(*words: Any, **named: Any) -> pd.DataFrame:
        counted["worked out"] += 1
        return work_out(*words, **named)

    last = HISTORY + 60
    bars, known = small(last + 2), [AXIS[day].date() for day in range(5, last + 2, 5)]
    rows = [f"{symbol},{day},dividend,0.1" for symbol in ("S0", "S5", "S6") for day in known]
    home = Home(tmp_path, market={"live_starts": str(AXIS[1].date())})
    (tmp_path / "actions.csv").write_text("\n".join(["symbol,ex_session,kind,value", *rows]) + "\n")
    begin(home, bars, last)
    home.write("next", bars[bars["date"] == AXIS[last + 1]])
    home.take_in(last + 1)
    monkeypatch.setattr(grown, "clean", counting_clean)
    monkeypatch.setattr(intake_actions, "_saying_the_last", counting_walk)
    monkeypatch.setattr(intake_actions, "actions_as_of", counting_work)
    home.at(last + 1, lambda history: publish_bars(history, audit_bars(history), "run"))
    assert 0 < counted["given to cleaning"] <= len(rows) // 2, counted
    assert (counted["walked"], counted["worked out"]) == (0, 1), counted


def with_one_dividend(tmp_path: Path, known_at: str) -> Home:
    home = Home(tmp_path, market={"live_starts": str(AXIS[1].date())})
    row = f"S5,{AXIS[20].date()},dividend,0.1,{known_at}"
    (tmp_path / "actions.csv").write_text(f"symbol,ex_session,kind,value,known_at\n{row}\n")
    home.write("history", small(40))
    home.take_in(39)
    return home


def test_an_action_that_becomes_known_while_its_home_is_open_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def published(history: History) -> list[int]:
        segments, counted = history.stores.lake.segments("grown", ACTIONS), []
        for now in ("2199-12-31", "2200-01-02"):
            monkeypatch.setattr(intake_actions, "now_utc", lambda now=now: pd.Timestamp(now, tz="UTC"))
            actions = actions_to_publish(history, segments)
            assert actions is not None
            counted.append(len(actions))
        return counted

    assert with_one_dividend(tmp_path, "2200-01-01T00:00:00Z").at(39, published) == [0, 1]


def test_an_action_stored_after_its_session_was_decided_is_late_whatever_moment_it_states(tmp_path: Path) -> None:
    def late(history: History) -> list[list[str]]:
        lines = []
        for moment in ("2017-12-01", "2200-01-01"):
            vars(history)["decision_moments"] = pd.Series(pd.Timestamp(moment, tz="UTC"), AXIS[:40])
            lines.append([notice.line for notice in intake_actions.late_notices(history)])
        return lines

    before, after = with_one_dividend(tmp_path, f"{AXIS[18].date()}T12:00:00Z").at(39, late)  # type: ignore[misc]
    assert [line[: len("S5 2017-03-29: late_action")] for line in before] == [f"S5 {AXIS[20].date()}: late_action"]
    assert after == []


def test_what_was_published_is_asked_of_versions_stored_before_a_halt_alone(tmp_path: Path) -> None:
    """A gate that halted once does not have every publication read on each day that follows."""
    home, last = Home(tmp_path), 60
    begin(home, small(last + 2), last)

    def asked(history: History) -> tuple[bool, bool]:
        halt = pd.DatetimeIndex([pd.Timestamp.now(tz="UTC")])
        vars(history)["gate_halts"] = halt
        versions = history.versions_of_some(first=AXIS[last - 2])
        before = "published_at" in vars(history)
        vars(history).pop("published_at", None)
        vars(history)["gate_halts"] = halt - pd.Timedelta(days=1)
        pd.testing.assert_frame_equal(history.versions_of_some(first=AXIS[last - 2]), versions)
        return before, "published_at" in vars(history)

    assert home.at(last, asked) == (True, False)
