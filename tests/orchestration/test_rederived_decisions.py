"""The check that the backtest gives the targets on record: no false alarm after restated bars, and no blindness."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.asof.forecasts import FORECASTS
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay
from nn_assets.operations.decisions.rounds import decide_session
from nn_assets.operations.facts import RAW_BARS
from nn_assets.operations.history import open_history
from nn_assets.operations.models.forecasts import read_forecast_list
from tests.operations import homes
from tests.orchestration.conftest import (
    FIRST_LIVE,
    FIRST_MONTH,
    LAST,
    LAST_MONTH,
    NAME,
    living_in,
    strategy_of,
    write_strategy,
)

pytestmark = pytest.mark.slow

LIVE = list(sessions_between("XNYS", FIRST_LIVE, LAST))
MONTHS = ("2017-05", "2017-06")


@pytest.fixture(scope="module")
def half_home(studied_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the first five live sessions decided."""
    home = tmp_path_factory.mktemp("half") / "home"
    shutil.copytree(studied_home, home)
    with living_in(home):
        decide(*LIVE[:5])
    return home


@pytest.fixture
def half(half_home: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it, lived in."""
    home = tmp_path / "home"
    shutil.copytree(half_home, home)
    with living_in(home):
        yield home


def decide(*sessions: pd.Timestamp) -> list[bool]:
    with open_history(strategy_of()) as history:
        return [decide_session(history, session, "test").already_decided for session in sessions]


def repeated() -> tuple[int, list[str]]:
    with open_history(strategy_of()) as history:
        return decisions_repeat_in_replay(history)


def restate(bars: list[tuple[str, str]], known_at: str) -> None:
    """A vendor's corrections, known at a UTC moment; then tables on what is known now."""
    strategy = strategy_of()
    known, now = pd.Timestamp(known_at, tz="UTC").as_unit("ns"), pd.Timestamp.now(tz="UTC").as_unit("ns")
    with open_history(strategy) as history:
        keys = pd.DataFrame(bars, columns=["symbol", "session"]).astype({"session": "datetime64[ns]"})
        bar = history.raw_versions.merge(keys, on=["symbol", "session"])
        assert len(bar) == len(bars)
        wrong = bar.assign(close=bar["close"] * 1.05, high=bar["high"] * 1.06, known_at=known, ingested_at=now)
        history.stores.lake.append_segment(NAME, RAW_BARS, wrong)
    homes.publish(strategy)


def study_again() -> None:
    """Fit and forecast every month on what is known now."""
    homes.train(strategy_of(), homes.months_between(FIRST_MONTH[:7], LAST_MONTH[:7]))


def change(table: str, column: str, value: object, **key: object) -> None:
    """Put another version of one row on record, against all rules."""
    with open_history(strategy_of()) as history:
        rows = history.stores.ledger.read(table, NAME, where=key)
        row = {**rows.iloc[0].to_dict(), column: value}
        assert len(rows) == 1
        assert history.stores.ledger.append(table, [row], run_id="test", strategy=NAME, reason="forged").inserted == 1


@pytest.mark.full
def test_a_study_run_again_on_restated_bars_raises_no_alarm(half: Path) -> None:
    with open_history(strategy_of()) as history:
        before = {month: history.stores.lake.month_address(NAME, FORECASTS, month) for month in MONTHS}
    assert repeated() == (5, [])
    # One bar that the model in force was trained on, and one that it has since forecast from.
    restate([("SIM02", "2016-11-15"), ("SIM03", "2017-05-10")], known_at="2017-06-28 12:00")
    study_again()
    with open_history(strategy_of()) as history:
        after = {month: history.stores.lake.month_address(NAME, FORECASTS, month) for month in before}
    assert after == before  # made again, each month is as it was known when it was due
    assert repeated() == (5, [])
    assert decide(*LIVE[:7]) == [True] * 5 + [False] * 2
    assert repeated() == (7, [])  # two of them on the restated bar, and on the new forecasts
    assert decide(*reversed(LIVE[5:7])) == [True] * 2


def test_bars_restated_between_two_decided_sessions_raise_no_alarm(studied: Path) -> None:
    restate([("SIM02", "2017-06-22")], known_at="2017-06-26 12:00")
    assert decide(*LIVE[:4]) == [False] * 4  # three before the restated bar was known, one after
    with open_history(strategy_of()) as history:
        column = history.symbols.index("SIM02")
        row = history.view("2017-06-22").panel.row("2017-06-22")
        closes = {day: history.view(day).panel.close[row, column] for day in ("2017-06-23", "2017-06-26")}
    assert closes["2017-06-26"] == pytest.approx(closes["2017-06-23"] * 1.05)
    assert repeated() == (4, [])
    assert decide(*reversed(LIVE[:4])) == [True] * 4


def test_a_target_changed_on_record_is_named(half: Path) -> None:
    with open_history(strategy_of()) as history:
        targets = history.stores.ledger.read("target_positions", NAME, LIVE[2], LIVE[2]).set_index("symbol")
    quantity = float(targets.loc["SIM04", "target_quantity"])
    change("target_positions", "target_quantity", quantity + 1.0, symbol="SIM04", session=LIVE[2])
    played, differing = repeated()
    assert played == 5
    assert [line[:16] for line in differing] == ["SIM04 2017-06-23"]


@pytest.mark.full
def test_another_forecast_in_the_list_on_record_is_named(half: Path) -> None:
    session = LIVE[1]  # three names are held on it
    with open_history(strategy_of()) as history:
        decided = history.stores.ledger.read("decisions", NAME, session, session).iloc[0]["details"]
        listed = read_forecast_list(history, decided["forecast_list"])
        made = history.stores.lake.read_table(NAME, FORECASTS, listed["2017-05"])
        made["probability"] = 1.0 - made["probability"]
        listed["2017-05"] = history.stores.lake.store(NAME, FORECASTS, made)
        frame = pd.DataFrame(sorted(listed.items()), columns=["month", "address"], dtype="str")
        other = history.stores.lake.store(NAME, "forecast_lists", frame)
    change("decisions", "details", {**decided, "forecast_list": other}, session=session)
    _, differing = repeated()
    days = sorted({line.split()[1].removesuffix(":") for line in differing})
    assert days[0] == str(session.date())  # and from there on what the book then holds, never before
    assert set(days) <= {str(day.date()) for day in LIVE[1:5]}


@pytest.mark.full
def test_bars_of_the_training_rows_restated_give_the_same_drift_in_another_process(studied: Path) -> None:
    restate([("SIM02", "2016-11-15"), ("SIM05", "2016-11-16")], known_at="2017-06-26 12:00")
    assert decide(*LIVE[:5]) == [False] * 5
    assert decide(*reversed(LIVE[:5])) == [True] * 5
    assert repeated() == (5, [])


@pytest.mark.full
def test_sessions_decided_under_other_settings_are_left_out_and_the_next_go_on_from_them(half: Path) -> None:
    write_strategy(half, portfolio={"single_name_limit": 0.02})
    assert repeated() == (0, [])
    decide(*LIVE[5:7])
    assert repeated() == (2, [])


@pytest.mark.full
def test_a_bar_that_comes_after_its_decision_and_claims_an_earlier_moment_raises_no_alarm(half: Path) -> None:
    restate([("SIM01", str(LIVE[1].date()))], known_at=f"{LIVE[1].date()} 21:31")
    assert repeated() == (5, [])
    decide(*LIVE[5:7])
    assert repeated() == (7, [])
