"""A home that trades at a desk's files, and a day of it in steps: each is what one command or schedule does.

The clock stands still within a step, so that a run killed and given again has the bytes of one never killed.
"""

from __future__ import annotations

import csv
import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.cli.accounts import cancel, take_over
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.accounts import driver as driving
from nn_assets.operations.accounts.halting import halt_or_release
from nn_assets.operations.accounts.of_the_day import keep_account
from nn_assets.operations.asof.accounts import account_record
from nn_assets.operations.days import play_days
from nn_assets.operations.decisions.code import decision_code
from nn_assets.operations.derived import member_roots
from nn_assets.operations.history import open_history
from nn_assets.operations.intake import pieces
from nn_assets.operations.models import outdated
from nn_assets.operations.situation import headline_now
from nn_assets.versions import version_of
from tests.faults.watched import Watch, set_clock, watch
from tests.operations import homes
from tests.orchestration.conftest import NAME, living_in, strategy_of, write_strategy
from tests.shared_homes import nothing_drawn

FIRST, BEFORE, DAY = "2017-06-27", "2017-06-28", "2017-06-29"
LOG = logging.getLogger("tests.faults")
CASH = Decimal(1_000_000)


@dataclass(frozen=True)
class Step:
    """A part of the day: when it is, what a process does, by which command, and what the desk does before it."""

    name: str
    moment: str
    act: Callable[[], object]
    command: str
    prepare: Callable[[Path], object] = lambda _: None

    @property
    def now(self) -> pd.Timestamp:
        return pd.Timestamp(self.moment, tz="UTC")


def write(root: Path, last: str) -> None:
    """The strategy, its history up to a day, at the desk beside the home."""
    write_strategy(
        root / "home",
        market={"live_starts": FIRST, "history_ends": last},
        execution={
            "cost_noise_fraction": 0.0,
            "participation_cap_fraction": 0.5,
            "broker": "file_drop",
            "broker_settings": {"folder": str(root / "desk")},
            "settle_seconds": 0.0,
        },
        portfolio={"stop_atr_multiple": 0.6},
    )


# --- the desk ------------------------------------------------------------------------------------------


def desk(root: Path, at: str, *, fills: bool = True, gift: str = "") -> None:
    """What the desk's system does: end what it is asked to, fill the rest at its reference, write what there is."""
    folder = root / "desk" / NAME
    (folder / "in").mkdir(parents=True, exist_ok=True)
    asked = {path.stem for path in (folder / "out" / "cancels").glob("*.csv")}
    orders = [
        list(csv.reader(path.read_text().splitlines()))[1] for path in sorted((folder / "out/orders").glob("*.csv"))
    ]
    made = {row[1]: row for path in (folder / "in").glob("fills-*.csv") for row in _read(path)}
    new = []
    for name, symbol, quantity, kind, *_ in orders:
        if fills and kind == "at_open" and name not in made:
            new.append([f"f-{name[:16]}", name, symbol, quantity, str(_reference(root, symbol)), f"{at}+00:00", "0"])
    made |= {row[1]: row for row in new}
    if new:
        _put(folder, f"fills-{at[:10]}", "fill_id,client_order_id,symbol,quantity,price,at,commission_usd", new)
    held: dict[str, Decimal] = {}
    for _, _, symbol, quantity, *_ in made.values():
        held[symbol] = held.get(symbol, Decimal(0)) + Decimal(quantity)
    held |= {gift: Decimal(5)} if gift else {}
    money = CASH - sum((Decimal(row[3]) * Decimal(row[4]) for row in made.values()), Decimal(0))
    statuses = [
        [name, symbol, quantity, status, quantity if status == "filled" else "0", ""]
        for name, symbol, quantity, *_ in orders
        for status in ["filled" if name in made else "cancelled" if name in asked else "working"]
    ]
    _put(folder, "orders", "client_order_id,symbol,quantity,status,filled_quantity,reason", statuses)
    now = f"{at}+00:00"
    _put(folder, "positions", "symbol,quantity,as_of", [[name, str(size), now] for name, size in held.items()])
    _put(folder, "cash", "cash_usd,as_of", [[str(money), now]])


def _reference(root: Path, symbol: str) -> float:
    with closing(sqlite3.connect(root / "home" / "ledger.sqlite")) as connection:
        row = connection.execute(
            "SELECT reference_price FROM orders WHERE symbol = ? ORDER BY session DESC", (symbol,)
        ).fetchone()
    return round(float(row[0]), 2)


def _read(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text().splitlines()))[1:-1]


def _put(folder: Path, name: str, header: str, rows: list[list[str]]) -> None:
    lines = [header, *(",".join(row) for row in rows), f"end,{len(rows)}"]
    (folder / "in" / f"{name}.csv").write_text("\n".join(lines) + "\n")


# --- the day -------------------------------------------------------------------------------------------


def look_after_account() -> None:
    """As the schedule of accounts does within a session."""
    with open_history(strategy_of()) as history:
        keep_account(history, "account")


def take_in() -> None:
    """As the first part of a daily run."""
    homes.take_in(strategy_of())


def decide(*days: str) -> None:
    """As the second part of a daily run."""
    with open_history(strategy_of()) as history, history.stores.alone(NAME):
        for _ in play_days(history, [pd.Timestamp(day) for day in days or (DAY,)], "round", LOG):
            pass


def accept_the_gift() -> None:
    """What the desk holds too much, named, and accepted where it is not yet; then looked after as the rest is."""
    look_after_account()
    with open_history(strategy_of()) as history:
        last = account_record(history.stores.ledger, NAME).last_reconciliation
    if last is not None and last["state"] == "differs":
        take_over(NAME, "an operator", "a gift", outside=False)
    look_after_account()


def halt() -> None:
    """The kill switch, by hand."""
    halt_or_release(NAME, "HALTED", "an operator", "to be sure")


STEPS = (
    Step(
        "account",
        f"{DAY} 13:40",
        look_after_account,
        f"nn-assets account sync --account {NAME}",
        lambda root: desk(root, f"{DAY} 13:30:00"),
    ),
    Step("intake", f"{DAY} 21:30", take_in, f"nn-assets run --strategy {NAME}", lambda root: write(root, DAY)),
    Step("round", f"{DAY} 21:45", decide, f"nn-assets run --strategy {NAME}"),
    Step("cancel", f"{DAY} 21:50", lambda: cancel(NAME, ()), f"nn-assets account cancel --account {NAME}"),
    Step(
        "accept",
        f"{DAY} 21:55",
        accept_the_gift,
        f"nn-assets account accept --account {NAME} --why ...",
        lambda root: desk(root, f"{DAY} 21:52:00", fills=False, gift="SIM06"),
    ),
    Step("halt", f"{DAY} 22:00", halt, f"nn-assets control kill-switch HALTED --strategy {NAME} --reason ..."),
)
STEP = {step.name: step for step in STEPS}


def build(root: Path) -> None:
    """Everything up to the day: six months trained, two sessions decided, the first one's orders filled."""
    _at("2017-06-27 21:45")
    write(root, BEFORE)
    (root / "elsewhere").mkdir()
    desk(root, "2017-06-27 13:30:00")
    with living_at(root), nothing_drawn():
        homes.take_in(strategy_of())
        homes.train(strategy_of(), homes.months_between("2017-01", "2017-06"))
        decide(FIRST)
        _at(f"{BEFORE} 13:40")
        desk(root, f"{BEFORE} 13:30:00")
        look_after_account()
        _at(f"{BEFORE} 21:45")
        homes.take_in(strategy_of())
        decide(BEFORE)


@contextmanager
def living_at(root: Path) -> Iterator[None]:
    """Have the home of a root as this process's, and its anchor beside it."""
    with living_in(root / "home"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("NN_ASSETS_ANCHOR", str(root / "elsewhere" / "anchor.txt"))
        yield


def build_untrained(root: Path) -> None:
    """Bars taken in up to the day, and nothing else."""
    _at(f"{BEFORE} 21:45")
    write(root, BEFORE)
    (root / "elsewhere").mkdir()
    desk(root, f"{BEFORE} 13:30:00")
    with living_at(root), nothing_drawn():
        homes.take_in(strategy_of())


def _at(moment: str) -> None:
    now = pd.Timestamp(moment, tz="UTC")
    set_clock(now)
    opened = driving.Driver.__init__.__defaults__ or ()
    fixed = tuple((lambda: now) if value is opened[0] else value for value in opened)
    driving.Driver.__init__.__defaults__ = fixed  # type: ignore[misc]


def live(root: Path, step: Step, passing: Watch) -> None:
    """Do a step in this process, which is to be one of its own, as it is killed or comes to its end."""
    _at(step.moment)
    watch(passing, {root / "home" / "lake" / NAME: "", root / "home": "home/", root / "desk": "desk/"})
    with living_at(root), nothing_drawn():
        step.act()


def first_line(root: Path, step: Step) -> str:
    """What status says first, a minute after a step began."""
    _at(step.moment)
    with living_at(root), open_history(strategy_of()) as history:
        return str(headline_now(history))


def warm(root: Path) -> None:
    """Find out in this process what each one of a step's own would find out anew: calendar, versions of code."""
    with living_at(root):
        strategy = strategy_of()
        sessions_between(strategy.market.calendar, strategy.market.history_starts, DAY)
        version_of(*pieces._MADE_BY)
        version_of(outdated._MADE_BY, *member_roots(strategy))
        decision_code(strategy)
