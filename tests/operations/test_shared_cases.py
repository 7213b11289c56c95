"""Two cases that other systems failed on, as given: a gap through a stop, and shares that are quoted no more."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
import yaml

from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.decisions.rounds import DecidedSession
from nn_assets.operations.exported_tables import read_of_ledger
from nn_assets.operations.history import open_history
from nn_assets.operations.session_page import write_daily_page
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


def live(strategy: Strategy, first: str, last: str) -> list[DecidedSession]:
    with open_history(strategy) as history:
        sessions = [session for session in homes.live_until(history, last) if session >= pd.Timestamp(first)]
    return homes.decide(strategy, sessions)


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
    live(case, "2017-11-15", "2017-12-11")
    before = {symbol: held(case, symbol).iloc[-1] for symbol in CASH}
    assert before["AAQ"] > 0 > before["GGQ"]
    with open_history(case) as history:
        headline = str(headline_now(history))
    assert all(f"{symbol} is held and has had no bar" in headline for symbol in before)
    file = find_strategy(case.name).folder / "actions.csv"
    header, *rows = file.read_text(encoding="utf-8").splitlines()
    delistings = [f"{symbol},2017-11-27,delisting,{cash},2017-12-11T22:00:00Z" for symbol, cash in CASH.items()]
    lines = [f"{header},known_at", *(f"{row}," for row in rows), *delistings]  # what the line that a person reads says
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    homes.take_in(case)
    (done,) = live(case, "2017-12-12", "2017-12-12")
    with open_history(case) as history:
        headline = str(headline_now(history))
        page = write_daily_page(history, done.round, done.frames, done.provenance, None).read_text("utf-8")
    assert not any(f"{symbol} is held" in headline for symbol in before), headline
    # The page says what was paid for which shares, and the cash is what it was, and that, and what the session traded.
    paid = before["AAQ"] * CASH["AAQ"]
    assert f"{paid:+,.2f} USD of delistings" in page
    assert "delisting of 2017-11-27 nan -&gt; 12.5, known only now" in page
    with Ledger() as ledger:
        states = read_of_ledger(ledger, case.name, "portfolio", None, None, None).set_index("session").sort_index()
        fills = ledger.read("fills", case.name, pd.Timestamp("2017-12-12"), pd.Timestamp("2017-12-12"))
    assert not set(fills["symbol"]) & set(CASH)
    traded = (fills["quantity"] * fills["price"] + fills["commission_usd"]).sum()
    last = states.iloc[-1]
    flows = last[["financing_usd", "dividends_usd", "cash_in_lieu_usd"]].sum()
    assert last["delistings_usd"] == pytest.approx(paid, abs=0.005)
    assert states["cash_usd"].diff().iloc[-1] == pytest.approx(paid + flows - traded, abs=0.005)
    state_symbols(case, [name for name in done.round.session_state.book.symbols if name not in CASH])
    smaller = find_strategy(case.name).strategy
    homes.take_in(smaller)
    homes.train(smaller, MONTHS[-1:])
    (after,) = live(smaller, "2017-12-13", "2017-12-13")
    book = after.round.session_state.book
    assert book.symbols == smaller.market.symbols
    assert book.equity_usd == pytest.approx(last["equity_usd"], rel=0.02)


def state_symbols(strategy: Strategy, symbols: Sequence[str]) -> None:
    """State the symbols in the strategy's file, in the place of all that the files hold."""
    file = next(find_strategy(strategy.name).folder.glob("*.yaml"))
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["market"]["symbols"] = list(symbols)
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
