"""A live round in which one source prints an odd price of what is held, below the stop that rests there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.cli.runs import run_rounds
from nn_assets.cli.status import report
from nn_assets.operations.history import open_history
from nn_assets.operations.intake import bars as intake
from nn_assets.operations.session_page import write_daily_page
from nn_assets.sources.simulated import SimulatedSource
from tests.first_lines import in_one_sentence
from tests.operations.homes import decide, months_between, take_in, train
from tests.orchestration.conftest import NAME, TINY, clock_at, living_in, recorded, strategy_of, write_strategy

pytestmark = pytest.mark.slow

BEFORE, DAY, NEXT = "2017-06-22", "2017-06-23", "2017-06-26"
HELD = "SIM06"  # long after BEFORE, with a stop 3.7% below its close
PRICES = ["open", "high", "low", "close"]


def bars(last: str) -> pd.DataFrame:
    source = SimulatedSource("XNYS", pd.Timestamp("2016-01-04").date(), seed=5, planted_rank_ic=0.3)
    return source.bars(tuple(TINY["market"]["symbols"]), None, pd.Timestamp(last)).drop(columns="source")  # type: ignore[arg-type]


def elsewhere(last: str) -> pd.DataFrame:
    """The same market as a second venue prints it, 2 bps of noise a price."""
    frame = bars(last)
    frame[PRICES] *= np.exp(np.random.default_rng(1).normal(0.0, 2e-4, (len(frame), 4)))
    return frame.assign(high=frame[PRICES].max(axis=1), low=frame[PRICES].min(axis=1))


def with_odd_low(last: str) -> pd.DataFrame:
    """The newest low of what is held 5% off, alone."""
    frame = bars(last)
    row = (frame["symbol"] == HELD) & (frame["session"] == pd.Timestamp(DAY))
    frame.loc[row, "low"] *= 0.95
    return frame


def deliver(home: Path, name: str, frame: pd.DataFrame) -> None:
    folder = home / "strategies" / name
    folder.mkdir(exist_ok=True)
    frame.to_csv(folder / "bars.csv", index=False)


@pytest.fixture(scope="module")
def held_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two sources, two sessions decided, and a long position held."""
    home = tmp_path_factory.mktemp("two-sources")
    write_strategy(
        home,
        source={"kind": "files", "path": "bars", "seed": None, "planted_rank_ic": None},
        market={"history_ends": None, "compare_with": {"kind": "files", "path": "venue"}},
        gate={"max_missing_symbols_fraction": 0.2},  # one of six
    )
    deliver(home, "bars", bars(BEFORE))
    deliver(home, "venue", elsewhere(BEFORE))
    with living_in(home), clock_at(f"{BEFORE} 23:00"):
        take_in(strategy_of(), review=True)
        train(strategy_of(), months_between("2017-01", "2017-06"))
        decide(strategy_of(), [pd.Timestamp("2017-06-21"), pd.Timestamp(BEFORE)])
    return home


@pytest.fixture
def evening(held_home: Path, tmp_path: Path) -> Iterator[Path]:
    """That home on the evening of the next session, whose low of what is held is odd."""
    home = Path(shutil.copytree(held_home, tmp_path / "home"))
    deliver(home, "bars", with_odd_low(DAY))
    with living_in(home), clock_at(f"{DAY} 23:00"):
        yield home


@contextmanager
def arriving(moment: str) -> Iterator[None]:
    """Set the clock that stamps what arrives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intake, "now_utc", lambda: pd.Timestamp(moment, tz="UTC").as_unit("ns"))
        yield


def of_held(home: Path, table: str, day: str = DAY) -> pd.DataFrame:
    rows = recorded(home, table)
    return rows[(rows["symbol"] == HELD) & (rows["session"] == pd.Timestamp(day))]


def stops(home: Path) -> list[str]:
    """Symbols of the day's fills that no order asked for."""
    fills, orders = recorded(home, "fills"), recorded(home, "orders")
    of_day = fills[fills["session"] == pd.Timestamp(DAY)]
    return of_day.loc[~of_day["client_order_id"].isin(orders["client_order_id"]), "symbol"].tolist()


def low_of(frame: pd.DataFrame) -> float:
    return float(frame.loc[(frame["symbol"] == HELD) & (frame["session"] == pd.Timestamp(DAY)), "low"].item())


def page(home: Path) -> str:
    return (home / "reports" / f"{NAME}-{DAY}.html").read_text(encoding="utf-8")


def test_no_stop_fills_on_a_price_that_the_second_source_contradicts_and_every_place_says_so(evening: Path) -> None:
    deliver(evening, "venue", elsewhere(DAY))
    before = of_held(evening, "holdings", BEFORE).iloc[0]
    low = low_of(with_odd_low(DAY))
    assert before["quantity"] > 0.0
    assert low < before["stop_price"] < low_of(bars(DAY))

    result = run_rounds(NAME, DAY)
    assert stops(evening) == []
    after = of_held(evening, "holdings").iloc[0]
    assert (after["quantity"], after["stop_price"]) == (before["quantity"], before["stop_price"])
    assert after["price"] == before["price"]  # marked at the last bar that is used
    with open_history(strategy_of()) as history:
        quarantine = history.stores.publications.quarantine(history.publication)
    assert quarantine[["symbol", "rule", "field"]].to_numpy().tolist() == [[HELD, "odd_print", "low"]]

    sentence = f"{HELD} is held and its bar of {DAY} is in quarantine (odd_print, low {low}): no order and no stop"
    assert sentence in in_one_sentence(result["text"])
    assert sentence in in_one_sentence(report(NAME)["text"])
    assert page(evening).count(sentence) == 2  # its first line, and a notice that says more
    assert "A person is needed: ask both which price stands" in in_one_sentence(result["headline"])
    alerts = (evening / "alerts.jsonl").read_text(encoding="utf-8")
    assert sentence in alerts


@pytest.mark.full
@pytest.mark.parametrize("known_at", ["", f"{DAY} 23:30+00:00"])
def test_in_a_history_that_ends_in_the_past_a_mended_bar_stops_out_only_where_it_states_known_at(
    evening: Path, known_at: str
) -> None:
    """The bar came with a low that cannot be, and was traded below the stop."""
    write_strategy(
        evening,
        source={"kind": "files", "path": "bars", "seed": None, "planted_rank_ic": None},
        market={"history_ends": NEXT},
        gate={"max_missing_symbols_fraction": 0.2},
    )
    wrong = with_odd_low(DAY)
    row = (wrong["symbol"] == HELD) & (wrong["session"] == pd.Timestamp(DAY))
    deliver(evening, "bars", wrong.assign(low=wrong["low"].where(~row, -wrong["low"])))
    take_in(strategy_of())
    decide(strategy_of(), [pd.Timestamp(DAY)])
    headline = in_one_sentence(report(NAME)["text"])
    assert f"{HELD} is held and its bar of {DAY} is in quarantine (non_positive_price, low -" in headline
    assert (
        "must state known_at, a moment before the next session to be decided: else it counts as known from now"
        in headline
    )
    mended = with_odd_low(NEXT)
    row = (mended["symbol"] == HELD) & (mended["session"] == pd.Timestamp(DAY))
    deliver(evening, "bars", mended.assign(known_at=np.where(row, known_at, "")))
    with clock_at(f"{NEXT} 23:00"):
        take_in(strategy_of())
        (done,) = decide(strategy_of(), [pd.Timestamp(NEXT)])
    stopped = done.frames["fills"].query("symbol == @HELD")["quantity"].sum()
    assert (stopped == -of_held(evening, "holdings")["quantity"].item()) == bool(known_at)


@pytest.mark.full
def test_what_the_second_source_corrects_later_stops_out_the_next_session_and_changes_no_decision(
    evening: Path,
) -> None:
    """Both say now that the low was traded at."""
    deliver(evening, "venue", elsewhere(DAY))
    with arriving(f"{DAY} 21:00"):
        take_in(strategy_of())
    decide(strategy_of(), [pd.Timestamp(DAY)])
    decided = recorded(evening, "decisions")
    both = elsewhere(NEXT)
    row = (both["symbol"] == HELD) & (both["session"] == pd.Timestamp(DAY))
    both.loc[row, "low"] = low_of(with_odd_low(DAY)) * 1.0001
    deliver(evening, "venue", both[both["session"] <= pd.Timestamp(DAY)])
    with arriving(f"{NEXT} 14:00"):  # before the next session is decided
        take_in(strategy_of())
    deliver(evening, "bars", with_odd_low(NEXT))
    deliver(evening, "venue", both)
    with clock_at(f"{NEXT} 23:00"), arriving(f"{NEXT} 21:00"):
        take_in(strategy_of())
        (done,) = decide(strategy_of(), [pd.Timestamp(NEXT)])
        (again,) = decide(strategy_of(), [pd.Timestamp(DAY)])
        assert "in quarantine" not in in_one_sentence(report(NAME)["text"])
    stopped = done.frames["fills"].query("symbol == @HELD")
    assert stopped["quantity"].sum() == -of_held(evening, "holdings")["quantity"].item()
    assert of_held(evening, "holdings", NEXT)["blocked_side"].item() == 1
    assert again.already_decided
    assert recorded(evening, "decisions", DAY)["content_hash"].tolist() == decided["content_hash"].tolist()


UNCHECKED = f"no bar of {DAY} could be held against the second source"


@pytest.mark.full
def test_where_the_second_source_lags_the_round_is_decided_and_told_as_unchecked(evening: Path) -> None:
    result = run_rounds(NAME, DAY)
    assert stops(evening) == [HELD]  # nobody contradicted the price
    assert result["headline"].startswith("tiny TRADES: ")
    for text in (in_one_sentence(result["text"]), in_one_sentence(report(NAME)["text"]), page(evening)):
        assert UNCHECKED in text


@pytest.mark.full
def test_where_the_second_source_is_gone_the_round_is_decided_and_told_as_unchecked(evening: Path) -> None:
    shutil.rmtree(evening / "strategies" / "venue")
    take_in(strategy_of())
    (done,) = decide(strategy_of(), [pd.Timestamp(DAY)])
    with open_history(strategy_of()) as history:
        write_daily_page(history, done.round, done.frames, done.provenance, None)
    assert stops(evening) == [HELD]
    result = report(NAME)
    assert result["strategies"][NAME]["headline"].startswith("tiny TRADES: ")
    for text in (in_one_sentence(result["text"]), page(evening)):
        assert UNCHECKED in text
