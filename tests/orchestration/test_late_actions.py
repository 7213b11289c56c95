"""Splits and dividends told after their session was decided: the next session's book holds what it should.

Lived day by day, on bars quoted by what is true and a file of actions that tells it late.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.cli.runs import _answer
from nn_assets.operations.decisions import records
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay
from nn_assets.operations.decisions.rounds import decide_session
from nn_assets.operations.history import open_history
from nn_assets.operations.intake import actions as ingest_actions
from nn_assets.operations.intake import bars as ingest
from nn_assets.operations.intake import gate_record
from nn_assets.operations.session_page import write_daily_page
from nn_assets.settings import PortfolioSettings
from nn_assets.store.home import home as home_folder
from tests.operations import homes
from tests.orchestration.conftest import (
    FIRST_MONTH,
    LAST_MONTH,
    NAME,
    RECORDS,
    TINY,
    clock_at,
    living_in,
    recorded,
    strategy_of,
    write_strategy,
)
from tests.orchestration.test_actions import Row, quoted, simulated_bars

pytestmark = pytest.mark.slow

EX = "2017-06-23"
DECIDED = ("2017-06-21", "2017-06-22", EX)
FOLLOWING = ("2017-06-26", "2017-06-27", "2017-06-28")
TRUE: list[Row] = [
    ("SIM01", EX, "split", 2.0),
    ("SIM03", EX, "split", 3.0),
    ("SIM04", EX, "dividend", 0.5),
    ("SIM05", "2017-06-26", "split", 0.1),
    ("SIM06", EX, "split", 0.1),
]
FALSE = ("SIM02", EX, "split", 2.0)
SYMBOLS = tuple(f"SIM{number:02d}" for number in range(1, 7))
# What the file says in time; after EX was decided; after the next session; after that.
FILES: list[list[tuple[str, str, str, float | None]]] = [
    [FALSE, ("SIM03", EX, "split", 2.0)],
    [TRUE[0], TRUE[4], ("SIM02", EX, "split", None), ("SIM03", EX, "split", 2.0)],
    [TRUE[0], TRUE[4], ("SIM02", EX, "split", None), *TRUE[1:3]],
    [TRUE[0], TRUE[4], ("SIM02", EX, "split", None), *TRUE[1:3], ("SIM05", "2017-06-24", "split", 0.1)],  # a Saturday
]
ARRIVED = {"SIM01": "2017-06-26", "SIM02": "2017-06-26", "SIM03": "2017-06-27", "SIM04": "2017-06-27"}
ARRIVED |= {"SIM05": "2017-06-28", "SIM06": "2017-06-26"}


def tell(home: Path, rows: list[tuple[str, str, str, float | None]]) -> None:
    frame = pd.DataFrame(rows, columns=["symbol", "ex_session", "kind", "value"])
    frame.to_csv(home / "actions.csv", index=False)


@contextmanager
def at(moment: str) -> Iterator[None]:
    """Live at a moment, UTC: sessions closed by then are there, and what is delivered arrives then."""
    stamp = pd.Timestamp(moment, tz="UTC").as_unit("ns")
    with clock_at(moment), pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "now_utc", lambda: stamp)
        patch.setattr(gate_record, "now_utc", lambda: stamp)
        patch.setattr(ingest_actions, "now_utc", lambda: stamp)
        yield


def deliver(home: Path, rows: list[tuple[str, str, str, float | None]], day: str) -> None:
    """Rewrite the file and take it in before a session's close."""
    tell(home, rows)
    with at(f"{day} 12:00"):
        homes.take_in(strategy_of())


def live(*sessions: str) -> None:
    """Decide sessions, each in the evening of its own day."""
    for session in sessions:
        with at(f"{session} 22:00"):
            homes.take_in(strategy_of())
            homes.decide(strategy_of(), [pd.Timestamp(session)])


def live_with_a_page(session: str) -> None:
    """The same, and the page that a run writes."""
    with at(f"{session} 22:00"):
        homes.take_in(strategy_of())
        (done,) = homes.decide(strategy_of(), [pd.Timestamp(session)])
        with open_history(strategy_of()) as history:
            write_daily_page(history, done.round, done.frames, done.provenance, None)


@pytest.fixture(scope="module")
def untold_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that decided an ex-session on the wrong actions."""
    home = tmp_path_factory.mktemp("told-late")
    quoted(simulated_bars(), *TRUE).drop(columns="source").to_parquet(home / "bars.parquet")
    tell(home, FILES[0])
    source: dict[str, object] = {
        **dict.fromkeys(TINY["source"]),
        "kind": "files",
        "path": str(home / "bars.parquet"),
        "actions_path": str(home / "actions.csv"),
    }
    # Relative, so that some are held long: a split that nobody told is then a gain for the book.
    write_strategy(
        home,
        source=source,
        market={"history_ends": None},
        label={"kind": "direction_relative"},
        portfolio={"net_limit": 0.0},
    )
    with living_in(home):
        with at("2017-06-20 22:00"):
            homes.take_in(strategy_of())
            homes.train(strategy_of(), homes.months_between(FIRST_MONTH[:7], LAST_MONTH[:7]))
        live(*DECIDED)
    return home


@pytest.fixture(scope="module")
def told_home(untold_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same home three sessions on, its file of actions corrected before each."""
    home = tmp_path_factory.mktemp("told") / "home"
    shutil.copytree(untold_home, home)
    with living_in(home):
        for session, rows in zip(FOLLOWING, FILES[1:], strict=True):
            deliver(untold_home, rows, session)
            live_with_a_page(session)
    return home


def plain_quantities(home: Path, known: list[Row], last: str) -> dict[str, int]:
    """Count shares through the fills on record, converted by the actions told."""
    fills = recorded(home, "fills")
    quantities = {}
    for symbol in SYMBOLS:
        shares = 0
        for day in (*DECIDED, *FOLLOWING):
            if day > last:
                break
            for of, ex_session, kind, value in known:
                if (of, ex_session, kind) == (symbol, day, "split"):
                    shares = int(shares * Fraction(str(value)))
            own = fills[(fills["symbol"] == symbol) & (fills["session"] == day)]
            shares += int(own["quantity"].sum())
        quantities[symbol] = shares
    return quantities


def holdings(home: Path, session: str) -> dict[str, float]:
    on_record = recorded(home, "holdings")
    rows = on_record[on_record["session"] == session]
    return dict(zip(rows["symbol"], rows["quantity"], strict=True))


@pytest.mark.full
def test_the_book_holds_what_it_would_had_it_known_and_sent_the_same_fills(told_home: Path) -> None:
    in_time: list[Row] = [FALSE, ("SIM03", EX, "split", 2.0)]
    after_first: list[Row] = [TRUE[0], TRUE[4], ("SIM03", EX, "split", 2.0)]
    expected = [(EX, in_time), ("2017-06-26", after_first), ("2017-06-27", [*TRUE[:3], TRUE[4]]), ("2017-06-28", TRUE)]
    for session, known in expected:
        assert holdings(told_home, session) == plain_quantities(told_home, known, session)
    before = holdings(told_home, "2017-06-22")
    assert sum(before[symbol] != 0.0 for symbol in ARRIVED) >= 3
    assert plain_quantities(told_home, TRUE, "2017-06-28") != plain_quantities(told_home, in_time, "2017-06-28")


@pytest.mark.full
def test_what_was_decided_before_stays_and_what_was_decided_late_repeats_in_replay(
    told_home: Path, untold_home: Path
) -> None:
    for table in ("decisions", *RECORDS):
        pd.testing.assert_frame_equal(recorded(told_home, table, EX), recorded(untold_home, table, EX))
    with living_in(told_home), at("2017-06-28 23:00"), open_history(strategy_of()) as history:
        again = [decide_session(history, pd.Timestamp(day), "again") for day in reversed((*DECIDED, *FOLLOWING))]
        assert all(done.already_decided for done in again)
        assert [done.round.late is not None for done in reversed(again)] == [False, False, False, True, True, True]
        assert decisions_repeat_in_replay(history) == (6, [])


@pytest.mark.full
def test_equity_moves_by_prices_dividends_costs_and_interest_alone(told_home: Path) -> None:
    """The cash that a session's records explain is the cash that moved."""
    states = recorded(told_home, "portfolio_states").set_index("session").sort_index()
    fills = recorded(told_home, "fills")
    spent = (fills["quantity"] * fills["price"] + fills["commission_usd"]).groupby(fills["session"]).sum()
    with living_in(told_home), at("2017-06-28 23:00"), open_history(strategy_of()) as history:
        books = {day: decide_session(history, day, "again").round.session_state.book for day in states.index[1:]}
    for before, after in zip(states.index, states.index[1:], strict=False):
        book = books[after]
        own = book.session_dividends_usd + book.session_cash_in_lieu_usd + book.session_financing_usd
        moved = own - float(spent.get(after, 0.0))
        assert states.loc[after, "cash_usd"] == pytest.approx(states.loc[before, "cash_usd"] + moved, abs=1e-6)
    paid = holdings(told_home, "2017-06-22")["SIM04"] * 0.5
    assert books[pd.Timestamp("2017-06-27")].session_dividends_usd == pytest.approx(paid)


def test_orders_sized_on_the_wrong_book_fill_nothing_and_no_breaker_fires_on_a_false_peak(told_home: Path) -> None:
    fills, orders = recorded(told_home, "fills"), recorded(told_home, "orders")
    states = recorded(told_home, "portfolio_states").set_index("session")
    under_way = orders[(orders["session"] == EX) & (orders["status"] == "accepted")]
    assert len(under_way)
    assert not fills["client_order_id"].isin(under_way["client_order_id"]).any()
    page = (told_home / "reports" / f"{NAME}-{FOLLOWING[0]}.html").read_text()
    assert f"late_action: {len(under_way)} orders under way were cancelled" in page
    needed = "cancel those that the account still holds, and compare the positions with the account"
    assert "A person is needed: cancel those that the account" in page, "the first line asks for what notices ask for"
    assert needed in page
    assert "Compare" not in page
    with living_in(told_home), at("2017-06-28 23:00"), open_history(strategy_of()) as history:
        answer = _answer(history, pd.DatetimeIndex(FOLLOWING[:1]))
    assert answer["ended_orders"] == {FOLLOWING[0]: {"late_action": sorted(under_way["symbol"])}}
    (line,) = [text for text in answer["text"].splitlines() if "late_action" in text]
    assert line.startswith(f"{FOLLOWING[0]}: {len(under_way)} orders ended without a whole fill: late_action (")
    assert line.endswith(f": {', '.join(sorted(under_way['symbol']))}")
    limits = strategy_limits(told_home)
    for session in FOLLOWING:
        assert states.loc[session, "gross_fraction"] <= limits.gross_limit
        assert pd.isna(states.loc[session, "breaker"])
    # Until the last split was told, sessions were recorded far above their equity, by more than a book may lose:
    # no peaks that a later session is measured from.
    peak = states["high_water_mark_usd"]
    assert states.loc[EX, "session_return"] > limits.weekly_loss_limit_fraction + 0.02
    assert (peak[EX : FOLLOWING[1]] > peak["2017-06-22"] * (1.0 + limits.weekly_loss_limit_fraction)).all()
    # What the mended book was really worth at best: a move of three honest sessions, half a per cent at most.
    assert peak["2017-06-22"] <= peak[FOLLOWING[-1]] <= 1.005 * peak["2017-06-22"]


def strategy_limits(home: Path) -> PortfolioSettings:
    with living_in(home):
        return strategy_of().portfolio


@pytest.mark.full
def test_the_publication_and_the_page_say_which_session_mended_the_book(told_home: Path) -> None:
    with living_in(told_home), at("2017-06-28 23:00"), open_history(strategy_of()) as history:
        notices = history.stores.publications.require(NAME, "2017-06-28").details["notices"]
        pages = {day: (home_folder() / "reports" / f"{NAME}-{day}.html").read_text() for day in FOLLOWING}
    late = {notice[:5]: notice for notice in notices if "late_action" in notice}
    assert set(late) == set(ARRIVED)
    for symbol, day in ARRIVED.items():
        verb = "was withdrawn" if symbol == "SIM02" else "became known"
        assert (
            f"{verb} {day} 12:00 UTC; a book that held it then is converted before the first fill of {day}"
            in (late[symbol])
        )
        assert [session for session in FOLLOWING if f"{symbol}: " in pages[session]] == [day]
    assert "split of 2017-06-23 2 -&gt; 3, known only now" in pages["2017-06-27"]


@pytest.mark.full
def test_a_run_killed_while_it_mends_ends_in_the_same_records(
    untold_home: Path, told_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(untold_home, home)
    with living_in(home):
        deliver(untold_home, FILES[1], "2017-06-26")
        with at("2017-06-26 22:00"):
            homes.take_in(strategy_of())
        with monkeypatch.context() as patch, at("2017-06-26 22:00"), open_history(strategy_of()) as history:
            patch.setattr(records, "validate", None)
            with pytest.raises(TypeError):
                decide_session(history, pd.Timestamp("2017-06-26"), "killed")
        live("2017-06-26")
    for table in RECORDS:
        pd.testing.assert_frame_equal(recorded(home, table, "2017-06-26"), recorded(told_home, table, "2017-06-26"))
