"""``history_starts`` and ``known_at`` as stated, against the bars that there are: said before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.cli.check import _first_model
from nn_assets.errors import PublicationError
from nn_assets.learning.first_month import first_model_month
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.bars import audit_bars, ingest_bars, notices_of, publish_bars
from nn_assets.sources.simulated import SimulatedSource
from tests.operations import homes
from tests.orchestration.conftest import NAME, TINY, living_in, strategy_of, write_strategy

SYMBOLS = ("SIM01", "SIM02", "SIM03")
STARTS, ENDS = pd.Timestamp("2016-01-04"), pd.Timestamp("2016-12-30")
SOURCE = {**dict.fromkeys(TINY["source"]), "kind": "files", "path": "bars.csv"}


def state(home: Path, **market: object) -> None:
    settings = {"symbols": list(SYMBOLS), "history_ends": "2016-12-30", "live_starts": None, **market}
    write_strategy(home, source=SOURCE, market=settings)


def deliver(home: Path, known_at: object = None) -> pd.DataFrame:
    source = SimulatedSource("XNYS", STARTS.date(), seed=5, planted_rank_ic=0.3)
    bars = source.bars(SYMBOLS, None, ENDS).drop(columns=["source", "known_at"], errors="ignore")
    if known_at is not None:
        bars = bars.assign(known_at=known_at)
    bars.to_csv(home / "strategies" / "bars.csv", index=False)
    return bars


def published() -> None:
    with open_history(strategy_of()) as history:
        ingest_bars(history, find_strategy(NAME).folder)
    with open_history(strategy_of()) as history:
        publish_bars(history, audit_bars(history), homes.RUN)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    state(tmp_path)
    with living_in(tmp_path):
        yield tmp_path


def test_a_later_start_is_a_view_of_what_is_stored_and_an_earlier_one_comes_back(home: Path) -> None:
    deliver(home)
    published()
    rows = {}
    for start in ("2016-01-04", "2016-03-01", "2016-01-04"):
        state(home, history_starts=start)
        published()
        with open_history(strategy_of()) as history:
            assert history.published_bars["session"].min() == pd.Timestamp(start)
            assert history.view().panel.sessions[0] == pd.Timestamp(start)
            rows.setdefault(start, len(history.published_bars))
            assert rows[start] == len(history.published_bars) == 3 * len(sessions_between("XNYS", start, ENDS))


def test_a_start_long_before_the_bars_is_said_with_the_first_month_that_can_have_a_model(home: Path) -> None:
    state(home, history_starts="2010-01-04", history_ends="2016-12-30")
    deliver(home)
    published()
    with open_history(strategy_of()) as history:
        first_model = _first_model(history, history.published_bars)
        assert first_model_month(strategy_of()) == "2011-01"
    sixty_on = sessions_between("XNYS", STARTS, ENDS)[60]
    assert (first_model["bars"], first_model["month"], first_model["features"]) == (
        "2016-01-04",
        "2017-01",
        str(sixty_on.date()),
    )
    assert "asks for models from 2011-01 on" in first_model["told"]
    assert "set market.history_starts to 2016-01-04" in first_model["told"]
    # The remedy.
    state(home, history_starts="2016-01-04")
    published()
    with open_history(strategy_of()) as history:
        assert "asks for models" not in _first_model(history, history.published_bars)["told"]
        assert _first_model(history, history.published_bars)["month"] == first_model_month(strategy_of()) == "2017-01"


def test_bars_known_later_than_their_sessions_move_the_first_model(home: Path) -> None:
    bars = deliver(home)
    deliver(home, pd.Series("2016-12-01T21:15:00Z", index=bars.index).where(bars["session"] < "2016-06-01", ""))
    published()
    with open_history(strategy_of()) as history:
        first_model = _first_model(history, history.published_bars)
    late = int((bars["session"] < "2016-06-01").sum())
    assert (first_model["bars"], first_model["month"], first_model["late_bars"]) == ("2016-06-01", "2017-06", late)
    assert first_model["late_by_symbol"] == dict.fromkeys(("SIM01", "SIM02", "SIM03"), late // 3)
    assert first_model["first_late"]["SIM02"] == "2016-01-04"
    assert "known only after" not in first_model["told"]  # a line of its own


def test_bars_known_in_the_future_are_said_by_symbol_and_none_at_all_is_an_error(home: Path) -> None:
    bars = deliver(home)
    some = (bars["symbol"] == "SIM02") & (bars["session"] >= "2016-12-28")
    deliver(home, pd.Series("2099-01-04T21:15:00Z", index=bars.index).where(some, ""))
    with open_history(strategy_of()) as history:
        ingest_bars(history, find_strategy(NAME).folder)
    with open_history(strategy_of()) as history:
        notices = [
            notice for notice in notices_of(history, audit_bars(history), None) if notice.rule == "known_in_the_future"
        ]
    assert [(notice.symbol, notice.value) for notice in notices] == [("SIM02", 3)]
    assert "2099-01-04" in notices[0].message
    told_of_other = {"symbols": list(SYMBOLS), "history_ends": "2016-12-30", "live_starts": None}
    write_strategy(home, "other", source=SOURCE, market=told_of_other)
    deliver(home, "2099-01-04T21:15:00Z")
    with open_history(strategy_of("other")) as history:
        ingest_bars(history, find_strategy("other").folder)
    with open_history(strategy_of("other")) as history, pytest.raises(PublicationError, match="2099-01-04") as refused:
        audit_bars(history)
    assert "leave the column out" in refused.value.remedy
