"""Splits and dividends from their file to features, decisions and the book.

Splits by powers of two divide and multiply prices exactly: a market quoted with them must give the
same features, to the bit, as the market without.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import yaml

from nn_assets.arrays import Cube
from nn_assets.errors import NnAssetsError, SourceError
from nn_assets.market.facts.bars import RevisionCount
from nn_assets.operations.catalog import folder_of
from nn_assets.operations.clock import as_of_session
from nn_assets.operations.cost_estimation import _with_liquidity
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay, features_repeat_when_cut
from nn_assets.operations.facts import RAW_BARS
from nn_assets.operations.history import History, open_history
from nn_assets.operations.intake import bars as ingest
from nn_assets.operations.intake.actions import actions_to_publish, append_actions, new_actions
from nn_assets.operations.intake.bars import audit_bars, ingest_bars, publish_bars
from nn_assets.operations.stores import open_stores
from nn_assets.sources.answers import action_table
from nn_assets.sources.simulated import SimulatedSource
from nn_assets.store.ledger.ledger import Ledger
from tests.operations.homes import decide as decide_sessions
from tests.operations.homes import months_between, take_in, train
from tests.orchestration.conftest import (
    FIRST_LIVE,
    LAST,
    NAME,
    TINY,
    living_in,
    recorded,
    strategy_of,
    write_strategy,
)

Row = tuple[str, str, str, float]
PRICES = ["open", "high", "low", "close"]
SPLITS: list[Row] = [
    ("SIM01", "2016-09-01", "split", 4.0),
    ("SIM01", "2017-06-26", "split", 2.0),
    ("SIM02", "2017-06-27", "split", 0.5),
    ("SIM03", "2017-06-28", "split", 2.0),
]
DIVIDENDS: list[Row] = [
    ("SIM04", "2016-11-01", "dividend", 0.5),
    ("SIM04", "2017-06-23", "dividend", 0.75),
    ("SIM05", "2017-06-29", "dividend", 0.25),
]

LATE: Row = ("SIM06", "2017-06-22", "dividend", 0.5)
LATE_MOMENT = "2017-06-27T12:00:00Z"


@lru_cache
def simulated_bars() -> pd.DataFrame:
    """The market without actions; made once, and changed by nobody."""
    market = TINY["market"]
    source = SimulatedSource(
        calendar="XNYS",
        history_starts=pd.Timestamp(str(market["history_starts"])).date(),
        history_ends=pd.Timestamp(LAST).date(),
        seed=5,
        planted_rank_ic=0.3,
    )
    return source.bars(("SIM01", "SIM02", "SIM03", "SIM04", "SIM05", "SIM06"))


def quoted(bars: pd.DataFrame, *rows: Row) -> pd.DataFrame:
    """The bars as an exchange would have quoted them over the actions."""
    raw = bars.copy()
    for symbol, day, kind, value in sorted(rows, key=lambda row: row[1]):
        own = raw["symbol"] == symbol
        after = own & (raw["session"] >= pd.Timestamp(day))
        if kind == "split":
            raw.loc[after, PRICES] /= value
            raw.loc[after, "volume"] *= value
        else:
            before = raw.loc[own & (raw["session"] < pd.Timestamp(day)), "close"].iloc[-1]
            raw.loc[after, PRICES] *= 1.0 - value / before
    return raw


def write_actions(home: Path, *rows: Row, late: Row | None = None) -> None:
    frame = pd.DataFrame(rows, columns=["symbol", "ex_session", "kind", "value"])
    if late is not None:
        frame = pd.concat([frame, pd.DataFrame([late], columns=frame.columns).assign(known_at=LATE_MOMENT)])
    frame.to_csv(home / "actions.csv", index=False)


def build(home: Path, quoted_with: list[Row], listed: list[Row] | None, **portfolio: object) -> Path:
    """A home whose bars are quoted with some actions, and whose file of actions tells of some."""
    home.mkdir(parents=True, exist_ok=True)
    quoted(simulated_bars(), *quoted_with).drop(columns="source").to_parquet(home / "bars.parquet")
    if listed is not None:
        write_actions(home, *listed)
    source: dict[str, object] = {
        "kind": "files",
        "path": str(home / "bars.parquet"),
        "actions_path": None if listed is None else str(home / "actions.csv"),
        "seed": None,
        "planted_rank_ic": None,
    }
    write_strategy(home, source=source, portfolio={"hold_premium": True} | portfolio)
    return home


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Give a home whose tables are made, once for each set of actions."""
    made: dict[str, Path] = {}

    def give(name: str, quoted_with: list[Row], listed: list[Row] | None) -> Path:
        if name not in made:
            home = build(tmp_path_factory.mktemp(name), quoted_with, listed)
            with living_in(home):
                take_in(strategy_of())
            made[name] = home
        return made[name]

    return give


def cube_of(home: Path) -> Cube:
    with living_in(home), open_history(strategy_of()) as history:
        cube = history.view().cube
        return Cube(cube.sessions, cube.symbols, cube.names, np.array(cube.values))


def labels_of(home: Path) -> npt.NDArray[np.float64]:
    with living_in(home), open_history(strategy_of()) as history:
        return history.view().labels.returns


@pytest.mark.full
def test_features_and_labels_of_a_market_with_splits_equal_those_of_the_market_without(
    tables: Callable[..., Path],
) -> None:
    plain, split = tables("plain", [], None), tables("split", SPLITS, SPLITS)
    untold = tables("untold", SPLITS, None)
    assert np.array_equal(cube_of(split).values, cube_of(plain).values, equal_nan=True)
    assert not np.array_equal(cube_of(untold).values, cube_of(plain).values, equal_nan=True)
    assert np.array_equal(labels_of(split), labels_of(plain), equal_nan=True)


@pytest.mark.full
def test_the_data_hash_covers_the_actions_and_features_repeat_on_cut_history(tables: Callable[..., Path]) -> None:
    hashes = {}
    for name, listed in (("split", SPLITS), ("untold", None)):
        with living_in(tables(name, SPLITS, listed)), open_history(strategy_of()) as history:
            hashes[name] = history.covering(None).content_hash
            assert history.covering(None).content_hash == history.view(history.last_session).data_hash
            assert features_repeat_when_cut(history)[0] == []
    assert hashes["split"] != hashes["untold"]


Now = Callable[[], History]


@pytest.fixture
def now(tmp_path: Path) -> Iterator[Now]:
    """The history, as stored by the moment it is asked for, of a market with splits.

    The file at first tells none but that of 2016.
    """
    home = build(tmp_path / "home", SPLITS, SPLITS[:1])
    with living_in(home), open_stores() as stores:
        now = partial(History.of, stores, strategy_of())
        publish(now())
        yield now


def publish(history: History) -> None:
    ingest_bars(history, folder_of(NAME))
    publish_bars(history, audit_bars(history), "test")


def known(history: History, session: str) -> list[str]:
    actions = history.view(session).actions
    return [] if actions is None else [f"{symbol} {value:g}" for symbol, value in actions[["symbol", "value"]].values]


@pytest.mark.full
def test_actions_are_read_as_published_and_as_known_at_each_session(now: Now, tmp_path: Path) -> None:
    assert known(now(), "2016-08-31") == []
    assert known(now(), "2016-09-01") == ["SIM01 4"]
    write_actions(tmp_path / "home", *SPLITS)
    ingest_bars(now(), folder_of(NAME))
    assert known(now(), LAST) == ["SIM01 4"]  # taken in, not yet published
    publish(now())
    assert known(now(), LAST) == ["SIM01 4", "SIM01 2", "SIM02 0.5", "SIM03 2"]
    assert known(now(), "2017-06-26") == ["SIM01 4", "SIM01 2"]


@pytest.mark.full
def test_an_action_restated_later_is_seen_by_no_session_closed_before(now: Now, tmp_path: Path) -> None:
    before = now().view("2017-01-31").panel.total_return().close
    write_actions(tmp_path / "home", ("SIM01", "2016-09-01", "split", 5.0))
    publish(now())
    assert known(now(), LAST) == ["SIM01 4"]  # history ends years before the restatement arrived
    assert np.array_equal(now().view("2017-01-31").panel.total_return().close, before, equal_nan=True)
    arrived = now().stores.lake.read_segments(NAME, "actions")["known_at"].max()
    assert arrived > as_of_session(now().strategy.market, pd.Timestamp(LAST))


@pytest.mark.full
def test_delivering_the_same_actions_again_adds_nothing(now: Now) -> None:
    before = now().stores.lake.segments(NAME, "actions")
    publish(now())
    assert now().stores.lake.segments(NAME, "actions") == before


@pytest.mark.full
def test_what_prices_and_actions_say_against_each_other_stands_in_the_publication(now: Now) -> None:
    notices = now().stores.publications.require(NAME, LAST).details["notices"]
    unrecorded = [notice for notice in notices if "unrecorded_action" in notice]
    assert [notice[:16] for notice in unrecorded] == ["SIM01 2017-06-26", "SIM02 2017-06-27", "SIM03 2017-06-28"]
    jumps = [notice[:5] for notice in notices if "a 2 split" in notice or "a 0.5 split" in notice]
    assert jumps == ["SIM01", "SIM02", "SIM03"]


@pytest.mark.full
def test_a_recorded_split_is_no_jump_to_explain(now: Now, tmp_path: Path) -> None:
    assert not [notice for notice in audit_bars(now()).cleaned.notices if notice.first_session.year == 2016]
    write_actions(tmp_path / "home", *SPLITS[:2], ("SIM02", "2017-06-27", "split", 4.0))
    publish(now())
    left = {notice.symbol for notice in audit_bars(now()).cleaned.notices}
    assert left == {"SIM02", "SIM03"}  # one recorded with another ratio, one not at all


@pytest.mark.full
def test_an_actions_file_without_actions_leaves_the_hash_of_the_bars(tmp_path: Path) -> None:
    hashes = {}
    for name, rows in (("none", None), ("empty", [])):
        with living_in(build(tmp_path / name, [], rows)), open_history(strategy_of()) as history:
            publish(history)
            hashes[name] = history.covering(None).content_hash
    assert hashes["none"] == hashes["empty"]


def decide(history: History, session: str) -> None:
    """Put the heads of the first live session's decision and of a later one on record."""
    head = dict.fromkeys(("data_hash", "model_id", "code_version", "settings_hash", "content_hash"), "0" * 64)
    for day in (history.first_live_session, pd.Timestamp(session)):
        moment = as_of_session(history.strategy.market, day)
        with history.stores.ledger.transaction("test", strategy=NAME, known_at=moment) as transaction:
            transaction.append("decisions", [{"session": day, **head}])


def test_an_action_that_comes_after_a_decision_is_known_from_its_arrival(now: Now, tmp_path: Path) -> None:
    decide(now(), "2017-06-26")
    write_actions(tmp_path / "home", *SPLITS)
    publish(now())
    assert known(now(), LAST) == ["SIM01 4", "SIM02 0.5", "SIM03 2"]  # the split of 26 June arrived years later
    versions = now().stores.lake.read_segments(NAME, "actions").set_index(["symbol", "ex_session"])
    late = versions.loc[("SIM01", pd.Timestamp("2017-06-26"))]
    assert late["known_at"] == late["ingested_at"]


@pytest.mark.full
def test_what_a_delivery_adds_to_and_changes_of_the_actions_is_counted(now: Now, tmp_path: Path) -> None:
    write_actions(tmp_path / "home", *SPLITS)
    first = ingest_bars(now(), folder_of(NAME)).actions
    assert (first.added, first.revised) == (len(SPLITS) - 1, 0)  # one was there before
    (symbol, day, kind, value), *others = SPLITS
    write_actions(tmp_path / "home", (symbol, day, kind, value * 2), *others)
    again = ingest_bars(now(), folder_of(NAME)).actions
    assert (again.added, again.revised, again.unchanged) == (0, 1, len(SPLITS) - 1)


@pytest.mark.full
def test_a_late_action_that_states_an_early_moment_changes_no_decided_session(tmp_path: Path) -> None:
    home, decided = build(tmp_path / "home", SPLITS, SPLITS[:1]), "2017-06-27"
    with living_in(home):
        take_in(strategy_of())
        with open_history(strategy_of()) as history:
            hashed, before = history.view(decided).data_hash, np.array(history.view(decided).cube.values)
            decide(history, decided)
        frame = pd.DataFrame(SPLITS[:2], columns=["symbol", "ex_session", "kind", "value"])
        frame.assign(known_at=[None, "2017-06-20T12:00:00Z"]).to_csv(home / "actions.csv", index=False)
        take_in(strategy_of())
        with open_history(strategy_of()) as history:
            assert known(history, decided) == ["SIM01 4"]
            assert known(history, "2017-06-28") == ["SIM01 4", "SIM01 2"]
            assert history.view(decided).data_hash == hashed
            assert np.array_equal(history.view(decided).cube.values, before, equal_nan=True)


class Vendor:
    """A source whose answer about actions is whole."""

    name = "vendor"

    def __init__(self, *rows: Row) -> None:
        self.rows = rows

    def bars(self, *asked: object) -> pd.DataFrame:
        raise AssertionError(asked)

    def actions(
        self, symbols: tuple[str, ...] = (), first: pd.Timestamp | None = None, last: pd.Timestamp | None = None
    ) -> pd.DataFrame:
        del symbols
        assert first is not None
        return action_table(self.name, self.rows, first, last)


def taken_in(history: History, *rows: Row) -> RevisionCount:
    fresh, counted, _ = new_actions(history, folder_of(NAME), Vendor(*rows), None)
    append_actions(history, fresh)
    return counted


def told_now(history: History) -> list[tuple[str, str, float]]:
    actions = actions_to_publish(history, history.stores.lake.segments(NAME, "actions"))
    assert actions is not None
    return [(symbol, str(day.date()), value) for symbol, day, _, value in actions.iloc[:, :4].itertuples(index=False)]


@pytest.mark.full
def test_an_action_that_a_vendor_moves_is_in_force_once(tmp_path: Path) -> None:
    home = build(tmp_path / "home", [], None)
    with living_in(home), open_history(strategy_of()) as history:
        taken_in(history, *DIVIDENDS)
        moved = (DIVIDENDS[0], ("SIM04", "2017-06-26", "dividend", 0.75), DIVIDENDS[2])
        counted = taken_in(history, *moved)
        assert (counted.added, counted.revised) == (1, 1)
        assert told_now(history) == [(symbol, day, value) for symbol, day, _, value in moved]
        segments = history.stores.lake.segments(NAME, "actions")
        taken_in(history, *moved)
        assert history.stores.lake.segments(NAME, "actions") == segments


def test_a_source_that_forgets_its_actions_is_refused_and_nothing_of_its_delivery_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = build(tmp_path / "home", [], None)
    with living_in(home), open_history(strategy_of()) as history:
        vendor = Vendor(*DIVIDENDS)
        monkeypatch.setattr(vendor, "bars", lambda *_: simulated_bars().query("session < '2017-06-01'"))
        monkeypatch.setattr(ingest, "source_of", lambda *_: vendor)
        ingest_bars(history, folder_of(NAME))
        before = [history.stores.lake.segments(NAME, table) for table in ("actions", RAW_BARS)]
        vendor.rows = ()
        monkeypatch.setattr(vendor, "bars", lambda *_: simulated_bars())
        with pytest.raises(SourceError, match="lacks 3 of 3 in force: SIM04 2016-11-01 dividend"):
            ingest_bars(history, folder_of(NAME))
        assert [history.stores.lake.segments(NAME, table) for table in ("actions", RAW_BARS)] == before
        assert len(told_now(history)) == 3
    file = home / "strategies" / f"{NAME}.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["source"]["max_withdrawn_fraction"] = 1.0
    file.write_text(yaml.safe_dump(settings))
    with living_in(home), open_history(strategy_of()) as history:
        ingest_bars(history, folder_of(NAME))
        assert told_now(history) == []


@pytest.mark.full
def test_an_action_whose_row_leaves_the_file_stays(now: Now, tmp_path: Path) -> None:
    before = told_now(now())
    assert before
    write_actions(tmp_path / "home")
    publish(now())
    assert told_now(now()) == before


@pytest.mark.full
def test_a_dividend_that_leaves_no_price_halts_before_it_is_published(tmp_path: Path) -> None:
    home = build(tmp_path / "home", SPLITS, SPLITS[:1])
    with living_in(home):
        take_in(strategy_of())
        with open_history(strategy_of()) as history:
            before, cube = history.stores.publications.require(NAME, LAST), np.array(history.view().cube.values)
        write_actions(home, SPLITS[0], ("SIM04", "2017-06-23", "dividend", 5000.0))
        with pytest.raises(NnAssetsError, match="expected a dividend below the close before it") as halted:
            take_in(strategy_of())
        assert "symbol SIM04, session 2017-06-23, rule dividend_size, value 5000" in str(halted.value)
        with open_history(strategy_of()) as history:
            assert history.stores.publications.require(NAME, LAST) == before
            assert np.array_equal(history.view().cube.values, cube, equal_nan=True)
            assert known(history, LAST) == ["SIM01 4"]


@pytest.fixture(scope="module")
def decided_over_actions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home trained and decided, with splits and dividends among the live sessions, one of them told late."""
    rows = SPLITS + DIVIDENDS
    home = build(tmp_path_factory.mktemp("decided"), rows, rows)
    with living_in(home):
        take_in(strategy_of())
        train(strategy_of(), months_between("2017-01", "2017-06"))
        with open_history(strategy_of()) as history:
            live = history.live_sessions
        decide_sessions(strategy_of(), [session for session in live if session <= pd.Timestamp("2017-06-26")])
        write_actions(home, *rows, late=LATE)
        take_in(strategy_of())
        decide_sessions(strategy_of(), [session for session in live if session > pd.Timestamp("2017-06-26")])
    return home


@pytest.mark.full
@pytest.mark.slow
def test_live_decisions_carry_the_book_over_actions_and_repeat_in_replay(decided_over_actions: Path) -> None:
    home = decided_over_actions
    holdings = recorded(home, "holdings").set_index(["symbol", "session"])
    fills = recorded(home, "fills").groupby(["symbol", "session"])["quantity"].sum()
    states = recorded(home, "portfolio_states").set_index("session")
    days = sorted(states.index)
    converted = 0
    for symbol, day, kind, value in [row for row in SPLITS + DIVIDENDS if row[1] >= FIRST_LIVE]:
        session = pd.Timestamp(day)
        before = days[days.index(session) - 1]
        held = float(holdings.loc[(symbol, before), "quantity"])
        traded = float(fills.get((symbol, session), 0.0))
        expected = np.trunc(held * value) if kind == "split" else held
        assert holdings.loc[(symbol, session), "quantity"] == pytest.approx(expected + traded)
        converted += held != 0.0
    assert converted > 0
    with living_in(home), open_history(strategy_of()) as history:
        played, differing = decisions_repeat_in_replay(history)
        notices = history.stores.publications.require(NAME, LAST).details["notices"]
        seen = ["SIM06 0.5" in known(history, day) for day in ("2017-06-26", "2017-06-27")]
    assert seen == [False, True]
    assert (played, differing) == (len(days), [])
    (late,) = [notice for notice in notices if "late_action" in notice]
    assert late.startswith("SIM06 2017-06-22: late_action: the dividend became known 2017-06-27 12:00 UTC")


@pytest.mark.slow
def test_cash_moves_by_fills_financing_dividends_and_fractions_alone(decided_over_actions: Path) -> None:
    home = decided_over_actions
    states = recorded(home, "portfolio_states").set_index("session").sort_index()
    fills = recorded(home, "fills")
    spent = (fills["quantity"] * fills["price"] + fills["commission_usd"]).groupby(fills["session"]).sum()
    paid = 0.0
    for before, after in zip(states.index, states.index[1:], strict=False):
        book = json.loads(str(states.loc[after, "book"]))
        own = book.get("session_dividends_usd", 0.0) + book.get("session_cash_in_lieu_usd", 0.0)
        moved = own + book["session_financing_usd"] - float(spent.get(after, 0.0))
        assert states.loc[after, "cash_usd"] == pytest.approx(states.loc[before, "cash_usd"] + moved, abs=1e-6)
        paid += abs(own)
    assert paid > 0.0
    with living_in(home), Ledger() as ledger:
        assert len(ledger.read("decisions", NAME)) == len(states)


@pytest.mark.full
@pytest.mark.slow
def test_fills_in_new_shares_are_measured_against_a_reference_in_new_shares(decided_over_actions: Path) -> None:
    home = decided_over_actions
    with living_in(home), open_history(strategy_of()) as history:
        fills = _with_liquidity(history, history.stores.ledger.read("fills", NAME))
    ordered = fills.dropna(subset=["reference_price"])
    away = np.abs(np.log(ordered["price"] / ordered["reference_price"]))
    on_splits = {(symbol, pd.Timestamp(day)) for symbol, day, _, _ in SPLITS}
    carried = [pair in on_splits for pair in zip(ordered["symbol"], ordered["session"], strict=True)]
    assert any(carried)
    assert away.max() < 0.2  # a factor of two would be 0.69


def test_a_moment_stated_for_an_action_that_was_known_before_makes_no_late_action_of_it(
    now: Now, tmp_path: Path
) -> None:
    write_actions(tmp_path / "home", *SPLITS[:2])
    publish(now())
    decide(now(), "2017-06-26")  # which knew it
    frame = pd.DataFrame(SPLITS[:2], columns=["symbol", "ex_session", "kind", "value"])
    frame = frame.assign(known_at=[None, "2017-06-20T12:00:00Z"])
    frame.to_csv(tmp_path / "home" / "actions.csv", index=False)
    counted = ingest_bars(now(), folder_of(NAME)).actions
    assert (counted.added, counted.revised, counted.unchanged) == (0, 1, 1)
    publish(now())
    notices = now().stores.publications.require(NAME, LAST).details["notices"]
    assert not [notice for notice in notices if "late_action" in notice]
    assert known(now(), "2017-06-26") == ["SIM01 4", "SIM01 2"]
    assert ingest_bars(now(), folder_of(NAME)).actions.unchanged == 2
