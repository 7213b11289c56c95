"""Bars that arrive after their session was decided: nothing decided changes, and later sessions see them.

Lived day by day on files that grow, under a clock that says what had closed and when a delivery came.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.market.facts.bars import content_hash, known_bars
from nn_assets.operations.clock import as_of_session
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay
from nn_assets.operations.decisions.rounds import decide_session
from nn_assets.operations.history import open_history
from nn_assets.operations.intake import bars as ingest
from nn_assets.operations.intake import gate_record
from nn_assets.operations.session_page import write_daily_page
from nn_assets.sources.simulated import SimulatedSource
from tests.operations import homes
from tests.orchestration.conftest import (
    FIRST_MONTH,
    LAST_MONTH,
    RECORDS,
    TINY,
    clock_at,
    living_in,
    recorded,
    strategy_of,
    write_strategy,
)

pytestmark = pytest.mark.slow

DECIDED = ("2017-06-21", "2017-06-22", "2017-06-23")
FOLLOWING = ("2017-06-26", "2017-06-27")
LATE, RESTATED = ("SIM03", "2017-06-22"), ("SIM01", "2017-06-21")
VENDOR = "vendor"
SYMBOLS = tuple(f"SIM{number:02d}" for number in range(1, 7))


def vendor_bars() -> pd.DataFrame:
    """What the vendor has in the end, before any correction."""
    source = SimulatedSource(
        calendar="XNYS", history_starts=date(2016, 1, 4), history_ends=date(2017, 6, 30), seed=5, planted_rank_ic=0.3
    )
    return source.bars(SYMBOLS).drop(columns=["source", "known_at"], errors="ignore")


def is_bar(bars: pd.DataFrame, bar: tuple[str, str]) -> pd.Series:
    return (bars["symbol"] == bar[0]) & (bars["session"] == bar[1])


def deliver(home: Path, bars: pd.DataFrame) -> None:
    """Replace the file that the strategy reads."""
    folder = home / "strategies" / VENDOR
    folder.mkdir(exist_ok=True, parents=True)
    bars.to_parquet(folder / "bars.parquet", index=False)


def deliver_late_bars(home: Path) -> None:
    """The bar that was missing, and a correction of another."""
    bars = vendor_bars()
    wrong = is_bar(bars, RESTATED)
    bars.loc[wrong, "close"] *= 1.05
    bars.loc[wrong, "high"] *= 1.06
    deliver(home, bars)


@contextmanager
def at(moment: str) -> Iterator[None]:
    """Live at a moment, UTC: sessions closed by then are there, and what is delivered arrives then."""
    stamp = pd.Timestamp(moment, tz="UTC").as_unit("ns")
    with clock_at(moment), pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "now_utc", lambda: stamp)
        patch.setattr(gate_record, "now_utc", lambda: stamp)
        yield


def live(*sessions: str) -> None:
    """Decide sessions, each in the evening of its own day."""
    for session in sessions:
        with at(f"{session} 22:00"):
            homes.take_in(strategy_of())
            homes.decide(strategy_of(), [pd.Timestamp(session)])


@pytest.fixture(scope="module")
def live_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that decided three sessions, while one bar of the second was missing."""
    home = tmp_path_factory.mktemp("live")
    source: dict[str, object] = {**dict.fromkeys(TINY["source"]), "kind": "files", "path": VENDOR}
    gate: dict[str, object] = {"max_missing_symbols_fraction": 0.5}
    write_strategy(home, source=source, gate=gate, market={"history_ends": None})
    bars = vendor_bars()
    deliver(home, bars[~is_bar(bars, LATE)])
    with living_in(home):
        with at("2017-06-20 22:00"):
            homes.take_in(strategy_of())
            homes.train(strategy_of(), homes.months_between(FIRST_MONTH[:7], LAST_MONTH[:7]))
        live(*DECIDED)
    return home


@pytest.fixture
def lived(live_home: Path, tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    shutil.copytree(live_home, home)
    with living_in(home):
        yield home


@pytest.fixture
def punctual(lived: Path, tmp_path: Path) -> Path:
    """The same home two sessions on, had nothing arrived late."""
    home = tmp_path / "punctual"
    shutil.copytree(lived, home)
    with living_in(home):
        live(*FOLLOWING)
    return home


def known_at_close(session: str) -> str:
    """Hash of the raw bars as they were known at a session's close."""
    strategy = strategy_of()
    with open_history(strategy) as history:
        return content_hash(known_bars(history.raw_versions, as_of_session(strategy.market, session)))


def records(home: Path, last: str) -> dict[str, pd.DataFrame]:
    return {table: recorded(home, table, last) for table in ("decisions", *RECORDS)}


def all_stand(sessions: tuple[str, ...]) -> bool:
    """Whether all sessions, decided again in order, give the records that are there."""
    again = homes.decide(strategy_of(), [pd.Timestamp(session) for session in sessions])
    return all(done.already_decided for done in again)


def told_of(session: str, bar: tuple[str, str]) -> float:
    """The close of a bar as a session's panel has it; NaN where it has none."""
    with open_history(strategy_of()) as history:
        panel = history.view(session).panel
        return float(panel.close[panel.row(bar[1]), panel.symbols.index(bar[0])])


def test_late_bars_change_no_decided_session_and_reach_the_next(lived: Path, punctual: Path) -> None:
    decided = records(lived, DECIDED[-1])
    with living_in(lived), at("2017-06-23 22:30"):
        close = told_of(DECIDED[-1], RESTATED)
        hashes = [known_at_close(session) for session in DECIDED]
    with living_in(lived), at("2017-06-26 12:00"):
        deliver_late_bars(lived)
        homes.take_in(strategy_of())  # before the next close
        assert [known_at_close(session) for session in DECIDED] == hashes
        with open_history(strategy_of()) as history:
            again = [decide_session(history, pd.Timestamp(session), "again") for session in DECIDED]
            assert decisions_repeat_in_replay(history) == (3, [])
    assert all(done.already_decided for done in again)
    with living_in(lived):
        live(*FOLLOWING)
        with at("2017-06-27 23:00"):
            assert pd.isna(told_of(DECIDED[-1], LATE))
            assert told_of(DECIDED[-1], RESTATED) == close
            assert told_of(FOLLOWING[0], LATE) > 0.0
            assert told_of(FOLLOWING[0], RESTATED) == pytest.approx(1.05 * close)
            assert [known_at_close(session) for session in DECIDED] == hashes
            assert all_stand((*DECIDED, *FOLLOWING))
            with open_history(strategy_of()) as history:
                assert decisions_repeat_in_replay(history) == (5, [])
    for table, frame in records(lived, DECIDED[-1]).items():
        pd.testing.assert_frame_equal(frame, decided[table], check_exact=True)
        pd.testing.assert_frame_equal(frame, recorded(punctual, table, DECIDED[-1]), check_exact=True)
    after, never = (recorded(home, "decisions").set_index("session")["data_hash"] for home in (lived, punctual))
    assert list(after.index) == [pd.Timestamp(session) for session in (*DECIDED, *FOLLOWING)]
    assert [after[session] != never[session] for session in after.index] == [False] * 3 + [True] * 2


@pytest.mark.full
def test_what_arrives_after_a_close_waits_for_the_session_after(lived: Path) -> None:
    """The late bars come on the evening on which the next session is decided, after its close."""
    with living_in(lived), at("2017-06-26 21:30"):
        deliver_late_bars(lived)
        homes.take_in(strategy_of())
        homes.decide(strategy_of(), [pd.Timestamp(FOLLOWING[0])])
        # It arrived after the close of 26 June: that session's as-of moment does not know it, the next one does.
        assert pd.isna(told_of(FOLLOWING[0], LATE))
    with living_in(lived), at("2017-06-27 22:00"):
        homes.take_in(strategy_of())
        homes.decide(strategy_of(), [pd.Timestamp(FOLLOWING[1])])
        assert told_of(FOLLOWING[1], LATE) > 0.0
        assert pd.isna(told_of(FOLLOWING[0], LATE))
        assert all_stand((*DECIDED, *FOLLOWING))
        with open_history(strategy_of()) as history:
            assert decisions_repeat_in_replay(history) == (5, [])


@pytest.mark.full
def test_a_session_without_any_bar_is_decided_has_a_page_and_ends_its_orders_with_a_reason(lived: Path) -> None:
    """The drop of 26 June is empty, and comes the day after: what was sent for it is on record as unfilled."""
    gate: dict[str, object] = {"max_missing_symbols_fraction": 1.0, "max_stale_sessions": 1}
    source: dict[str, object] = {**dict.fromkeys(TINY["source"]), "kind": "files", "path": VENDOR}
    write_strategy(lived, source=source, gate=gate, market={"history_ends": None})
    bars = vendor_bars()
    orders = recorded(lived, "orders")
    sent = orders.loc[(orders["session"] == DECIDED[-1]) & orders["reason_code"].isna(), "client_order_id"]
    deliver(lived, bars[(bars["session"] <= DECIDED[-1]) & ~is_bar(bars, LATE)])
    with living_in(lived), at("2017-06-26 22:00"):
        homes.take_in(strategy_of())
        (done,) = homes.decide(strategy_of(), [pd.Timestamp(FOLLOWING[0])])
        with open_history(strategy_of()) as history:
            page = write_daily_page(history, done.round, done.frames, done.provenance, None).read_text("utf-8")
    assert len(sent) > 0
    decision = recorded(lived, "decisions").set_index("session").loc[FOLLOWING[0], "details"]
    assert decision["ended_orders"] == dict.fromkeys(sent, "no_bar")
    assert f"no_bar: {len(sent)} order" in page
    deliver(lived, bars)
    with living_in(lived):
        live(FOLLOWING[1])
        with at("2017-06-27 23:00"):
            assert all_stand(FOLLOWING)
