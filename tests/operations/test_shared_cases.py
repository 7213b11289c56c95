"""Two cases that other systems failed on, as given: a gap through a stop, and shares that are quoted no more."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.history import open_history
from nn_assets.operations.situation import headline_now
from nn_assets.portfolio.breakers import never_alone
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger
from tests.operations import homes

CASES = Path(__file__).parents[3] / "shared" / "cases"
CASH = {"AAQ": 12.5, "GGQ": 0.0}
MONTHS = homes.months_between("2017-06", "2017-12")


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Strategy:
    """The strategy of a case, in an empty home with a copy of its files, with the forecasts that decisions need."""
    folder, name = request.param
    if not (CASES / folder).is_dir():
        pytest.skip(f"the case {folder} is not here")
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
    shutil.copytree(CASES / folder, tmp_path / "home" / "strategies")
    strategy = find_strategy(name).strategy
    assert "session_loss_limit_fraction" in never_alone(strategy.portfolio)[0]
    homes.take_in(strategy)
    homes.train(strategy, MONTHS)
    return strategy


def held(strategy: Strategy, symbol: str) -> pd.Series:
    """Shares of a symbol after each session with a fill, by the fills alone."""
    with Ledger() as ledger:
        fills = ledger.read("fills", strategy.name)
    of_symbol = fills[fills["symbol"] == symbol]
    return of_symbol.groupby("session")["quantity"].sum().cumsum()


def live(strategy: Strategy, first: str, last: str) -> None:
    with open_history(strategy) as history:
        sessions = [session for session in homes.live_until(history, last) if session >= pd.Timestamp(first)]
    homes.decide(strategy, sessions)


@pytest.mark.full
@pytest.mark.parametrize("case", [("stop_after_a_gap", "s2")], indirect=True)
def test_a_position_is_closed_on_the_first_bar_that_trades_after_a_gap(case: Strategy) -> None:
    live(case, "2017-11-15", "2017-12-01")
    shares = held(case, "BBQ")
    assert shares[:"2017-11-28"].iloc[-1] > 0  # held long into the gap
    assert shares["2017-11-29"] == 0
    with Ledger() as ledger:
        fills = ledger.read("fills", case.name)
    there = fills[(fills["symbol"] == "BBQ") & (fills["session"] == "2017-11-29")]
    assert there["price"].between(38.4964, 38.8842).all()  # the bar's low and high
    assert not ((fills["symbol"] == "BBQ") & (fills["session"] == "2017-11-27")).any()  # no volume, no fill


@pytest.mark.full
@pytest.mark.parametrize("case", [("delisted_while_held", "s1")], indirect=True)
def test_what_is_quoted_no_more_is_told_until_its_delisting_is_written(case: Strategy) -> None:
    live(case, "2017-11-15", "2017-12-12")
    before = {symbol: held(case, symbol).iloc[-1] for symbol in CASH}
    assert before["AAQ"] > 0 > before["GGQ"]
    with open_history(case) as history:
        headline = str(headline_now(history))
    assert all(f"{symbol} is held and has had no bar" in headline for symbol in before)
    file = find_strategy(case.name).folder / "actions.csv"
    header, *rows = file.read_text(encoding="utf-8").splitlines()
    delistings = [f"{symbol},2017-11-27,delisting,{cash},2017-12-12T22:00:00Z" for symbol, cash in CASH.items()]
    lines = [f"{header},known_at", *(f"{row}," for row in rows), *delistings]  # what the line that a person reads says
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    homes.take_in(case)
    live(case, "2017-12-13", "2017-12-13")
    with open_history(case) as history:
        headline = str(headline_now(history))
    assert not any(f"{symbol} is held" in headline for symbol in before), headline
