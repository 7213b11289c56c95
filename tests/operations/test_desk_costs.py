"""An account by files whose fills state no mid: judged by the bars, end to end, from the file to the score."""

from __future__ import annotations

import csv
import logging
import re
import shutil
from collections import defaultdict
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.market.calendar.sessions import session_hours, sessions_between
from nn_assets.operations.accounts import driver as driving
from nn_assets.operations.accounts.driver import Driver
from nn_assets.operations.accounts.of_the_day import after_round, before_round, keep_account
from nn_assets.operations.clock import as_of_session
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay
from nn_assets.operations.decisions.rounds import DecidedSession, decide_session
from nn_assets.operations.history import open_history
from nn_assets.reports.round_notices import slippage_notices
from nn_assets.session.fill_costs import slippage_of
from tests.operations.test_account_end_to_end import trained_home
from tests.orchestration.conftest import LAST, living_in, strategy_of, write_strategy

pytestmark = [pytest.mark.slow, pytest.mark.full]
__all__ = ["trained_home"]

FIRST = "2017-05-22"
SESSIONS = list(sessions_between("XNYS", FIRST, LAST))
LOG = logging.getLogger("test")
HALF_SPREAD_BPS = 0.5
IN = {
    "fills": "fill_id,client_order_id,symbol,quantity,price,at,commission_usd",
    "orders": "client_order_id,symbol,quantity,status,filled_quantity,reason",
    "positions": "symbol,quantity,as_of",
    "cash": "cash_usd,as_of",
}


class Desk:
    """A desk's own system: fills at the open, so many of the model's half-spreads away, and says no mid."""

    def __init__(self, folder: Path, cash: float, times: float) -> None:
        self.folder, self.cash, self.times = folder, cash, times
        self.held: defaultdict[str, float] = defaultdict(float)
        self.said: list[list[object]] = []
        (folder / "in").mkdir(parents=True)
        self.write(pd.Timestamp("2017-05-19 21:00", tz="UTC"), [])

    def open(self, at: pd.Timestamp, prices: dict[str, float]) -> None:
        fills: list[list[object]] = []
        for path in sorted((self.folder / "out" / "orders").glob("*.csv")):
            name, symbol, size, kind, session, _ = list(csv.reader(path.read_text().splitlines()))[1]
            if kind != "at_open" or session != str(at.date()):
                continue
            quantity = float(size)
            price = prices[symbol] * (1.0 + (1.0 if quantity > 0 else -1.0) * self.times * HALF_SPREAD_BPS * 1e-4)
            fills.append([f"f-{name}", name, symbol, size, repr(price), at.isoformat(), "0.0"])
            self.said.append([name, symbol, size, "filled", size, ""])
            self.held[symbol] += quantity
            self.cash -= quantity * price
        self.write(at, fills)

    def heed(self, at: pd.Timestamp) -> None:
        """End the orders, stops all of them, whose end is asked for."""
        over = {row[0] for row in self.said}
        for path in sorted((self.folder / "out" / "cancels").glob("*.csv")):
            if path.stem not in over:
                sent = self.folder / "out" / "orders" / path.name
                name, symbol, size, *_ = list(csv.reader(sent.read_text().splitlines()))[1]
                self.said.append([name, symbol, size, "cancelled", "0", "as asked"])
        self.write(at, [])

    def write(self, at: pd.Timestamp, fills: list[list[object]]) -> None:
        now = at.isoformat()
        if fills:
            self.put(f"fills-{at.date()}", IN["fills"], fills)
        self.put("orders", IN["orders"], self.said)
        self.put("positions", IN["positions"], [[name, size, now] for name, size in self.held.items()])
        self.put("cash", IN["cash"], [[repr(self.cash), now]])

    def put(self, name: str, header: str, rows: list[list[object]]) -> None:
        lines = [header, *(",".join(map(str, row)) for row in rows), f"end,{len(rows)}"]
        (self.folder / "in" / f"{name}.csv").write_text("\n".join(lines) + "\n")


def played(home: Path, folder: Path, times: float, monkeypatch: pytest.MonkeyPatch) -> list[DecidedSession]:
    """Every session of the home decided, and traded at a desk."""
    venue = {"broker": "file_drop", "broker_settings": {"folder": str(folder)}, "settle_seconds": 0.0}
    costs = dict.fromkeys(("commission_bps", "temporary_impact", "permanent_impact"), 0.0)
    write_strategy(
        home, market={"live_starts": FIRST}, execution=venue, costs={**costs, "half_spread_bps": HALF_SPREAD_BPS}
    )
    strategy, clock = strategy_of(), [pd.NaT]
    desk = Desk(folder / strategy.name, strategy.portfolio.initial_capital_usd, times)
    opened = Driver.opened.__func__  # type: ignore[attr-defined]
    asked = classmethod(lambda cls, *a, **k: opened(cls, *a, now=lambda: clock[0], sleep=lambda _: None))
    monkeypatch.setattr(driving.Driver, "opened", asked)
    decided = []
    for number, session in enumerate(SESSIONS):
        with open_history(strategy) as history:
            if number:
                shown = history.view(session).market
                names = history.cut_for(session).market.panel.symbols
                clock[0] = session_hours("XNYS", session, session).iloc[0]["opens"] + pd.Timedelta(seconds=1)
                desk.open(clock[0], dict(zip(names, shown.open.tolist(), strict=True)))
            clock[0] = as_of_session(strategy.market, session) + pd.Timedelta(minutes=15)
            before_round(history, "test", LOG)
            decided.append(decide_session(history, session, "test"))
            after_round(history, "test", LOG)
            desk.heed(clock[0])
            keep_account(history, "test")
        desk.cash += decided[-1].round.session_state.book.session_financing_usd  # the desk pays what the book expects
    return decided


@pytest.mark.parametrize("times", [3.0, 1.0])
def test_a_desk_at_three_times_the_half_spread_is_named_after_twenty_sessions_with_fills_and_an_honest_one_is_not(
    trained_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    times: float,
) -> None:
    home = Path(shutil.copytree(trained_home, tmp_path / "home"))
    with living_in(home):
        decided = played(home, tmp_path / "desk", times, monkeypatch)
        strategy = strategy_of()
    results = [slippage_of(one.round.session_state.fill_costs, 0.25) for one in decided]
    enough = [number for number, result in enumerate(results) if result.observations >= 20]
    assert len(enough) >= 3
    notices = slippage_notices(strategy, decided[-1].round)
    for number in enough:
        assert results[number].ratio == pytest.approx(times, rel=1e-3)
        said = re.search(r"; (\d+) of (\d+) fills against their bars, for want of a mid$", results[number].message)
        assert said is not None
        assert said[1] == said[2]
        slipped = [reason for reason in decided[number].round.severity.reasons if reason.startswith("slippage breach")]
        assert len(slipped) == (1 if times == 3.0 else 0)
    if times == 3.0:
        assert notices[0].startswith(
            "Fills of the last 60 sessions cost more than the model in force says: realised 3.00"
        )
    else:
        assert notices == []
    with living_in(home), open_history(strategy) as history:
        assert decisions_repeat_in_replay(history) == (len(SESSIONS), [])
