"""A home that trades at a venue: what it books is what paper books where the venue fills as paper does."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.brokers.paper_venue import PaperVenue
from nn_assets.cli.controls import set_kill_switch
from nn_assets.execution.broker import Bar
from nn_assets.execution.venue import OrderHours, VenueDownError, VenueRefusedError
from nn_assets.market.calendar.sessions import session_hours, sessions_between
from nn_assets.operations.accounts import driver as driving
from nn_assets.operations.accounts.books import AccountBooks, account_for
from nn_assets.operations.accounts.driver import Driver
from nn_assets.operations.accounts.of_the_day import account_due, after_round, before_round, keep_account
from nn_assets.operations.accounts.reconciling import accept, reconcile
from nn_assets.operations.accounts.sending import send_orders
from nn_assets.operations.clock import as_of_session
from nn_assets.operations.cost_estimation import shortfall_on_record
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay
from nn_assets.operations.decisions.rounds import DecidedSession, decide_session
from nn_assets.operations.exported_tables import read_of_ledger
from nn_assets.operations.history import History, open_history
from nn_assets.operations.intake.fills import import_fills
from nn_assets.operations.situation import headline_now
from nn_assets.session.filling import _liquidity
from tests.operations import homes
from tests.orchestration.conftest import LAST, NAME, living_in, strategy_of, write_strategy
from tests.runs import materialise
from tests.shared_homes import built_once

pytestmark = pytest.mark.slow

FIRST = "2017-06-02"
SESSIONS = list(sessions_between("XNYS", FIRST, LAST))
ON_PAPER = {"cost_noise_fraction": 0.0, "participation_cap_fraction": 0.5}
AT_A_VENUE = {**ON_PAPER, "broker": "file_drop", "broker_settings": {"folder": "/nowhere"}, "settle_seconds": 0.0}
NEVER = pd.Timestamp("2017-06-01 21:00", tz="UTC")
LOG = logging.getLogger("test")


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny strategy with close stops, trained, with nothing decided."""

    def build(home: Path) -> None:
        write(home, ON_PAPER)
        with living_in(home):
            homes.take_in(strategy_of())
            homes.train(strategy_of(), homes.months_between("2017-01", "2017-06"))

    return built_once("trained-for-a-venue", tmp_path_factory, build)


def write(home: Path, execution: Mapping[str, object]) -> None:
    write_strategy(home, market={"live_starts": FIRST}, execution=dict(execution), portfolio={"stop_atr_multiple": 0.6})


@dataclass
class Traded:
    """A home that trades at a venue in memory, and its clock."""

    home: Path
    venue: PaperVenue
    foreign: dict[str, float] = field(default_factory=dict)
    now: pd.Timestamp = NEVER

    def driver(self, history: History) -> Driver:
        account = account_for(history.strategy)
        assert account is not None
        return Driver(history.stores, account, self.venue, "test", now=lambda: self.now, sleep=lambda _: None)

    def trade(self, session: pd.Timestamp) -> None:
        """One session at the venue: the open, then stops, then its end; the driver looks after the open."""
        with open_history(strategy_of()) as history:
            market = history.view(session).market
            bar = Bar(market.open, market.high, market.low, market.close, market.volume)
            liquidity = _liquidity(history.strategy, market)
            hours = session_hours("XNYS", session, session).iloc[0]
            self.venue.trade(session, bar, liquidity, hours["opens"], ("at_open",))
            self.now = hours["opens"] + pd.Timedelta(minutes=5)
            reconcile(self.driver(history))
            send_orders(self.driver(history))
            self.venue.trade(session, bar, liquidity, self.now, ("stop",))
            self.venue.end_session(session)
            self.now = as_of_session(history.strategy.market, session) + pd.Timedelta(minutes=15)

    def decide(self, session: pd.Timestamp) -> DecidedSession:
        with open_history(strategy_of()) as history:
            before_round(history, "test", LOG)
            decided = decide_session(history, session, "test")
            after_round(history, "test", LOG)
        return decided


@pytest.fixture
def at_venue(trained_home: Path, tmp_path: Path, monkeypatch) -> Iterator[Traded]:
    home = Path(shutil.copytree(trained_home, tmp_path / "home"))
    write(home, AT_A_VENUE)
    with living_in(home):
        strategy = strategy_of()
        there = Traded(home, PaperVenue(strategy, strategy.market.symbols, strategy.portfolio.initial_capital_usd))
        honest = there.venue.positions
        there.venue.positions = lambda: {**honest(), **there.foreign}
        monkeypatch.setattr(AccountBooks, "open_venue", lambda self: there.venue)
        opened = Driver.opened.__func__
        monkeypatch.setattr(
            driving.Driver,
            "opened",
            classmethod(lambda cls, *a, **k: opened(cls, *a, now=lambda: there.now, sleep=lambda _: None)),
        )
        yield there


def states(home: Path, table: str) -> pd.DataFrame:
    with living_in(home), open_history(strategy_of()) as history:
        return history.stores.ledger.read(table, NAME)


def played(there: Traded, paper: Path, sessions: list[pd.Timestamp]) -> None:
    """Play some sessions at the venue and on paper, and demand equal books to the cent."""
    for number, session in enumerate(sessions):
        if number:
            there.trade(session)
        else:
            there.now = as_of_session(strategy_of().market, session) + pd.Timedelta(minutes=15)
        there.decide(session)
    with living_in(paper):
        homes.decide(strategy_of(), sessions)
    one, other = states(there.home, "portfolio_states"), states(paper, "portfolio_states")
    for column in ("cash_usd", "equity_usd"):
        np.testing.assert_allclose(one[column], other[column], rtol=0.0, atol=0.005)
    left, right = states(there.home, "holdings"), states(paper, "holdings")
    for column in ("quantity", "blocked_side"):
        np.testing.assert_array_equal(left[column], right[column])
    np.testing.assert_allclose(left["stop_price"], right["stop_price"], rtol=1e-12)
    fills = states(there.home, "fills")
    assert set(fills["source"]) == {"venue"}
    assert len(fills) == len(states(paper, "fills"))
    with open_history(strategy_of()) as history:
        reconciled = history.stores.ledger.read("reconciliations", "account.tiny")
        assert set(reconciled["state"]) == {"agreed"}
        count, differing = decisions_repeat_in_replay(history)
    assert (count, differing) == (len(sessions), [])


def on_paper(trained_home: Path, folder: Path) -> Path:
    return Path(shutil.copytree(trained_home, folder / "paper"))


@pytest.mark.full
def test_twenty_sessions_at_a_venue_that_fills_as_paper_are_papers_to_the_cent_stops_too(
    at_venue: Traded, trained_home: Path, tmp_path: Path
) -> None:
    played(at_venue, on_paper(trained_home, tmp_path), SESSIONS[:20])
    with open_history(strategy_of()) as history:
        exported = read_of_ledger(history.stores.ledger, NAME, "account_fills", None, None, None)
        shares = [s for a in exported["allotment"] for s in a]
    assert any(share["is_stop"] for share in shares)


def test_a_position_that_no_book_has_stops_what_opens_and_after_it_was_accepted_it_goes_on(at_venue: Traded) -> None:
    there = at_venue
    there.now = as_of_session(strategy_of().market, SESSIONS[0]) + pd.Timedelta(minutes=15)
    first = there.decide(SESSIONS[0])
    assert len(first.round.orders) > 0
    assert first.frames["orders"]["status"].eq("accepted").any()
    there.trade(SESSIONS[1])
    there.foreign["SIM01"] = there.venue._filled().get("SIM01", 0.0) + 777.0
    second = there.decide(SESSIONS[1])
    book, orders = second.round.session_state.book, second.frames["orders"]
    assert "SIM01: the books hold" in str(_details(SESSIONS[1])["account_differs"])
    held = dict(zip(book.symbols, book.quantity.tolist(), strict=True))
    sent = orders[orders["status"] == "accepted"]
    signed = sent["quantity"].where(sent["side"] == "buy", -sent["quantity"])
    assert all(q * held[s] < 0 and abs(q) <= abs(held[s]) for s, q in zip(sent["symbol"], signed, strict=True))
    with open_history(strategy_of()) as history:
        assert "; only what reduces is sent" in str(headline_now(history))
        accept(there.driver(history), "me", "moved by hand")
        assert reconcile(there.driver(history)).state == "agreed"
        assert "account_differs" not in str(headline_now(history))
    there.foreign.clear()
    honest = there.venue.positions
    there.venue.positions = lambda: {**honest(), "SIM01": honest().get("SIM01", 0.0) + 777.0}
    there.trade(SESSIONS[2])
    third = there.decide(SESSIONS[2])
    details = _details(SESSIONS[2])
    assert "account_differs" not in details
    assert details["adjustment"]["positions"][0][:2] == ["SIM01", 777.0]
    assert third.frames["orders"]["status"].eq("accepted").any()
    with open_history(strategy_of()) as history:
        assert decisions_repeat_in_replay(history)[1] == []


def _details(session: pd.Timestamp) -> dict[str, object]:
    with open_history(strategy_of()) as history:
        return dict(history.stores.ledger.read("decisions", NAME, session, session)["details"].iloc[0])


@pytest.mark.full
def test_orders_that_the_venue_never_ends_are_not_piled_up_and_halt_the_book(at_venue: Traded) -> None:
    """Without this four sessions sent one symbol up to four times, and every comparison agreed."""
    there = at_venue
    there.venue.cancel = lambda client_order_id: None  # type: ignore[method-assign]
    for session in SESSIONS[:4]:
        there.now = as_of_session(strategy_of().market, session) + pd.Timedelta(minutes=15)
        there.decide(session)
    symbols = [order.symbol for order in there.venue.orders()]
    assert symbols
    assert len(symbols) == len(set(symbols))
    assert states(there.home, "portfolio_states")["breaker"].fillna("").tolist() == ["", *["unfinished_run"] * 3]
    with open_history(strategy_of()) as history:
        reconciled = history.stores.ledger.read("reconciliations", "account.tiny", bookkeeping=True)
        reconciled = reconciled.sort_values("sequence")
        assert list(reconciled["state"]) == ["agreed", "differs", "differs", "differs"]
        assert "unfinished_run" in str(headline_now(history))
        assert decisions_repeat_in_replay(history) == (4, [])


@pytest.mark.full
def test_a_venue_that_is_down_before_the_round_only_reduces_and_halts_nothing(at_venue: Traded) -> None:
    there = at_venue
    there.now = as_of_session(strategy_of().market, SESSIONS[0]) + pd.Timedelta(minutes=15)
    there.decide(SESSIONS[0])
    there.now = as_of_session(strategy_of().market, SESSIONS[1]) + pd.Timedelta(minutes=15)

    def down(*_: object) -> None:
        raise VenueDownError(expected="an answer", found="maintenance", remedy="wait")

    there.venue.orders = down  # type: ignore[method-assign,assignment]
    there.decide(SESSIONS[1])
    assert states(there.home, "portfolio_states")["breaker"].isna().all()
    assert "maintenance" in str(_details(SESSIONS[1])["account_differs"])


@pytest.mark.full
def test_reducing_between_the_sending_and_the_open_opens_nothing_at_the_venue(at_venue: Traded) -> None:
    there = at_venue
    there.now = as_of_session(strategy_of().market, SESSIONS[0]) + pd.Timedelta(minutes=15)
    there.decide(SESSIONS[0])
    assert there.venue.orders()
    set_kill_switch(NAME, "REDUCING", "me", "a test")
    there.now += pd.Timedelta(minutes=10)
    with open_history(strategy_of()) as history:
        send_orders(there.driver(history), waits=False)
    there.trade(SESSIONS[1])
    there.decide(SESSIONS[1])
    assert there.venue.positions() == {}
    assert len(states(there.home, "fills")) == 0


@pytest.mark.full
def test_the_first_line_says_what_waits_for_its_venue_and_what_it_refused(at_venue: Traded, monkeypatch) -> None:
    there = at_venue
    there.now = as_of_session(strategy_of().market, SESSIONS[0]) + pd.Timedelta(minutes=15)
    hours = OrderHours(there.now + pd.Timedelta(hours=2), there.now + pd.Timedelta(hours=12))
    monkeypatch.setattr(there.venue, "takes", lambda kind, session: hours, raising=False)
    there.decide(SESSIONS[0])
    with open_history(strategy_of()) as history:
        assert there.venue.orders() == []
        assert f"wait until {hours.begins:%Y-%m-%d %H:%M} UTC" in str(headline_now(history))
        refusal = VenueRefusedError(expected="money", found="none", remedy="pay in", reason="no buying power")
        monkeypatch.setattr(there.venue, "send", raising(refusal))
        there.now = hours.begins
        keep_account(history, "test")
        first_line = str(headline_now(history))
        assert "DOES NOT TRADE: the venue refused" in first_line
        assert "no buying power" in first_line
        assert decisions_repeat_in_replay(history)[1] == []
    assert "no buying power" in (there.home / "alerts.jsonl").read_text(encoding="utf-8")


def raising(error: Exception) -> Callable[[object], None]:
    def send(order: object) -> None:
        raise error

    return send


@pytest.mark.full
def test_a_brokers_own_statement_of_the_venues_fills_counts_once(at_venue: Traded, tmp_path: Path) -> None:
    there = at_venue
    there.now = as_of_session(strategy_of().market, SESSIONS[0]) + pd.Timedelta(minutes=15)
    there.decide(SESSIONS[0])
    for session in SESSIONS[1:3]:
        there.trade(session)
        there.decide(session)
    statement = states(there.home, "fills").loc[
        :, ["fill_id", "client_order_id", "symbol", "session", "quantity", "price", "commission_usd"]
    ]
    statement["mid_price"] = statement["price"] * (1.0 - np.sign(statement["quantity"]) * 1e-4)
    statement.assign(
        fill_id="stated-" + statement["fill_id"], session=statement["session"].dt.strftime("%Y-%m-%d")
    ).to_csv(tmp_path / "statement.csv", index=False)
    with open_history(strategy_of()) as history:
        before = shortfall_on_record(history, SESSIONS[0], SESSIONS[2])[0][0]
    assert import_fills(NAME, tmp_path / "statement.csv")["imported"] == len(statement) > 5
    with open_history(strategy_of()) as history:
        after = shortfall_on_record(history, SESSIONS[0], SESSIONS[2])[0][0]
    assert (after.lines, after.ordered_usd) == (before.lines, pytest.approx(before.ordered_usd, rel=1e-4))
    assert after.shortfall.total_usd == pytest.approx(before.shortfall.total_usd, rel=0.1)  # a stop's is from its mid
    spread = math.fsum(abs(statement["quantity"]) * statement["price"]) * 1e-4
    assert after.shortfall.spread_usd == pytest.approx(spread, rel=1e-3)
    assert before.shortfall.spread_usd != pytest.approx(spread, rel=1e-3)


@pytest.mark.full
def test_dagsters_daily_job_collects_before_its_round_and_sends_after_it_and_the_accounts_job_keeps_it(
    at_venue: Traded,
) -> None:
    there = at_venue
    there.now = as_of_session(strategy_of().market, SESSIONS[0]) + pd.Timedelta(minutes=15)
    materialise(strategy_of(), "daily", first=str(SESSIONS[0].date()), last=str(SESSIONS[0].date()))
    assert there.venue.orders()
    there.trade(SESSIONS[1])
    materialise(strategy_of(), "daily", first=str(SESSIONS[1].date()), last=str(SESSIONS[1].date()))
    assert set(states(there.home, "fills")["source"]) == {"venue"}
    materialise(strategy_of(), "account")
    with open_history(strategy_of()) as history:
        rows = history.stores.ledger.read("reconciliations", "account.tiny")
        assert rows["state"].eq("agreed").all()
        assert account_due(history.strategy, pd.Timestamp("2017-06-05 13:00", tz="UTC")).run_key.startswith("tiny:")
        assert "no session" in account_due(history.strategy, pd.Timestamp("2017-06-04 14:00", tz="UTC"))
        assert "more than an hour away" in account_due(history.strategy, pd.Timestamp("2017-06-05 06:00", tz="UTC"))
    there.trade(SESSIONS[2])
    there.foreign["SIM01"] = 12_345.0
    materialise(strategy_of(), "daily", first=str(SESSIONS[2].date()), last=str(SESSIONS[2].date()))
    page = next(there.home.rglob(f"*{SESSIONS[2].date()}*.html"))
    assert "; only what reduces is sent" in page.read_text(encoding="utf-8")
    assert "SIM01: the books hold" in (there.home / "alerts.jsonl").read_text(encoding="utf-8")
