"""What may be sent now: the strictest control of this moment, and nothing at all where any of them cannot be read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nn_assets.cli.controls import set_kill_switch
from nn_assets.execution.orders import targets_to_orders
from nn_assets.operations.asof.controls import SendingControl, sending_control
from nn_assets.operations.catalog import find_strategy
from nn_assets.portfolio.breakers import Control
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger
from tests.store.rounds import day_round

NAME = "index_daily"
HELD = np.array([10.0, 0.0])
DECIDED = targets_to_orders(
    ("SP500", "NASDAQ"), np.array([4.0, 7.0]), HELD, np.ones(2), np.zeros(2),
    strategy=NAME, session=pd.Timestamp("2018-01-02"),
)  # fmt: skip


@pytest.fixture
def strategy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Strategy:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
    return find_strategy(NAME).strategy


def decided(breaker: str | None = None, session: str = "2018-01-02") -> None:
    """A round on record that left these breakers latched."""
    kinds = [] if breaker is None else breaker.split(", ")
    book: dict[str, Any] = {"breaker_reason": f"why {kinds[0]}" if kinds else None}
    if kinds[1:]:
        book["other_breakers"] = {kind: f"why {kind}" for kind in kinds[1:]}
    rows = day_round(session, symbols=2)
    (state,) = rows["portfolio_states"]
    with Ledger() as ledger, ledger.transaction("r", strategy=NAME) as transaction:
        transaction.append("decisions", rows["decisions"])
        transaction.append("portfolio_states", [state | {"breaker": breaker, "book": book}])


def now(strategy: Strategy, **options: Any) -> SendingControl:
    with Ledger(**options) as ledger:
        return sending_control(ledger, strategy)


def sent(control: SendingControl) -> list[bool]:
    """Of an order that reduces, and one that opens."""
    return [code is None for code in control.of(DECIDED, HELD).reason_code]


@pytest.mark.parametrize(
    ("switch", "breaker", "control", "passes"),
    [
        (None, "no_answer", Control.NORMAL, [True, True]),
        ("REDUCING", None, Control.REDUCING, [True, False]),
        ("REDUCING", "drawdown", Control.FLAT, [True, False]),
        ("ACTIVE", "stale_data, drawdown", Control.HALTED, [False, False]),
        ("ACTIVE", "nobody_knows_it", Control.HALTED, [False, False]),
        *(
            pytest.param(*case, marks=pytest.mark.full)
            for case in [
                (None, None, Control.NORMAL, [True, True]),
                (None, "session_loss", Control.FLAT, [True, False]),
                ("REDUCING", "no_equity", Control.HALTED, [False, False]),
                ("HALTED", "weekly_loss", Control.HALTED, [False, False]),
            ]
        ),
    ],
)
def test_the_strictest_of_all_acts_and_each_is_named(
    strategy: Strategy, switch: str | None, breaker: str | None, control: Control, passes: list[bool]
) -> None:
    decided(breaker)
    if switch is not None:
        set_kill_switch(NAME, switch, "me", "a test")
    allowed = now(strategy)
    assert allowed.control is control
    assert sent(allowed) == passes
    named = "; ".join(allowed.reasons)
    for kind in (breaker or "").split(", "):
        assert kind == "no_answer" or kind in named
    assert switch in (None, "ACTIVE") or f"the kill switch is {switch}" in named


def test_what_is_set_between_the_decision_and_the_sending_stops_what_was_decided(strategy: Strategy) -> None:
    decided()
    assert sent(now(strategy)) == [True, True]
    set_kill_switch(NAME, "HALTED", "me", "before the open")
    assert sent(now(strategy)) == [False, False]
    set_kill_switch(NAME, "REDUCING", "me", "they may close")
    assert sent(now(strategy)) == [True, False]
    set_kill_switch(NAME, "ACTIVE", "me", "all is well")
    assert sent(now(strategy)) == [True, True]


def _without(table: str) -> None:
    """What a torn restore leaves: triggers and all gone with the table."""
    with closing(sqlite3.connect(_file())) as connection:
        connection.execute(f"DROP TABLE {table}")
        connection.commit()


def _file() -> Path:
    from nn_assets.store.home import embedded_ledger

    return embedded_ledger()


def test_a_ledger_that_is_gone_or_lacks_what_controls_stand_in_sends_nothing(strategy: Strategy) -> None:
    decided()
    assert now(strategy).control is Control.NORMAL
    whole = _file().read_bytes()
    for table in ("controls", "portfolio_states", "verifications"):
        with Ledger() as ledger:
            _without(table)
            allowed = sending_control(ledger, strategy)
        assert allowed.control is Control.HALTED, table
        assert not allowed.stops_protect
        for left in _file().parent.glob("ledger.sqlite*"):
            left.unlink()
        _file().write_bytes(whole)
    assert now(strategy).control is Control.NORMAL
    for left in _file().parent.glob("ledger.sqlite*"):
        left.unlink()
    gone = now(strategy)  # opened anew, it is empty
    assert gone.control is Control.HALTED
    assert "no decision of the strategy is on record" in gone.reasons[0]


def test_rows_that_cannot_be_read_send_nothing(strategy: Strategy) -> None:
    decided("session_loss")
    set_kill_switch(NAME, "REDUCING", "me", "a test")
    whole = _file().read_bytes()
    assert now(strategy).control is Control.FLAT
    for change in (
        "UPDATE controls SET state = 'active'",
        "UPDATE controls SET state = ''",
        "UPDATE controls SET state = X'ff00'",
        "UPDATE controls SET details = 'no JSON'",
        "UPDATE controls SET recorded_at = 'yesterday'",
        "UPDATE portfolio_states SET book = 'no JSON'",
        "UPDATE portfolio_states SET breaker = 'HALTED, please'",
        # Rows that read well, and are not as they were appended.
        "UPDATE controls SET state = 'ACTIVE'",
        "DELETE FROM controls",
        "UPDATE portfolio_states SET breaker = NULL",
    ):
        with closing(sqlite3.connect(_file())) as connection:
            for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                connection.execute(f"DROP TRIGGER {trigger}")
            connection.execute(change)
            connection.commit()
        assert now(strategy).control is Control.HALTED, change
        for left in _file().parent.glob("ledger.sqlite*"):
            left.unlink()
        _file().write_bytes(whole)
    assert now(strategy).control is Control.FLAT


def test_a_clock_that_was_set_back_sends_nothing(strategy: Strategy) -> None:
    decided()
    earlier = datetime.now(UTC) - timedelta(hours=3)
    behind = now(strategy, clock=lambda: earlier)
    assert behind.control is Control.HALTED
    assert "moments on record lie ahead of the clock" in behind.reasons
    assert now(strategy, clock=lambda: datetime.now(UTC) + timedelta(hours=3)).control is Control.NORMAL
