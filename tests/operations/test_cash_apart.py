"""Cash at a venue that pays late agrees with the books, and cash that goes missing does not for long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.cli.accounts import _shown
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.account_faults import faults_of_cash
from nn_assets.operations.accounts.reconciling import accept, reconcile
from nn_assets.operations.asof.cash_apart import cash_apart_at, cash_apart_now
from tests.operations.account_books import Desk, a_strategy

INTEREST = 110.0  # a session: 4% a year on a million


def compared(
    desk: Desk, first: str, last: str, paid: Callable[[pd.Timestamp, float], float], interest: float = INTEREST
) -> dict[str, str]:
    """Book interest session by session, and compare; ``paid``: what of all that is due by a session has arrived."""
    states, due = {}, 0.0
    for session in sessions_between("XNYS", first, last):
        due += interest
        desk.decided("one", {}, cash=1_000_000.0 + due, session=session, interest=interest)
        desk.venue.cash_usd = 1_000_000.0 + paid(session, due)
        desk.moment = session.tz_localize("UTC") + pd.Timedelta(hours=22)
        states[str(session.date())] = reconcile(desk.driver(), settles=False).state
    return states


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk.of(tmp_path, "one")


def test_cash_that_goes_missing_each_session_differs_by_the_tenth_of_the_next_month(desk: Desk) -> None:
    lost = 0.0

    def leaks(session: pd.Timestamp, due: float) -> float:
        nonlocal lost
        lost += 100.0
        return due - lost

    states = compared(desk, "2024-03-27", "2024-04-11", leaks)
    assert next(day for day, state in states.items() if state == "differs") == "2024-04-11"
    assert "cash: the books have 1,001,210.00 USD, the venue 1,000,110.00 USD" in (
        reconcile(desk.driver(), settles=False).sentence
    )
    # By hand: 11 sessions, 100 USD gone in each; what 9 of them booked in April may still be owed, 990 USD.
    row = desk.rows("reconciliations").iloc[-1]
    assert row["details"]["cash_may_be_apart_usd"] == pytest.approx([-9 * INTEREST - 0.01, 0.01])


def test_interest_that_a_venue_pays_on_the_third_of_the_next_month_agrees_and_its_gap_is_said(desk: Desk) -> None:
    paid: dict[str, float] = {}

    def monthly(session: pd.Timestamp, due: float) -> float:
        if session < pd.Timestamp("2024-04-03"):
            paid["march"] = due if session < pd.Timestamp("2024-04-01") else paid["march"]
            return 0.0
        return paid["march"]

    states = compared(desk, "2024-03-20", "2024-04-03", monthly)
    assert set(states.values()) == {"agreed"}
    strategy, ledger = a_strategy("one"), desk.stores.ledger
    assert faults_of_cash(cash_apart_now(ledger, strategy)) == ()  # 3 sessions of April: 3.3 bps
    day = pd.Timestamp("2024-04-02")
    until = int(desk.rows("reconciliations").set_index("session").loc[day, "sequence"])
    (fault,) = faults_of_cash(cash_apart_at(ledger, strategy, day, {"account_until": until}))
    assert fault.why == (
        "the venue's cash is 990.00 USD below the books' (9.9 bps of equity), where up to 990.01 USD were booked "
        "and may not have been paid yet"
    )
    assert "330.00 USD below the books'" in _shown(desk.stores, desk.account)["text"]


def test_the_venue_may_not_run_ahead_of_what_books_were_credited(desk: Desk) -> None:
    states = compared(desk, "2024-03-18", "2024-03-19", lambda _, due: due + 50.0)
    assert set(states.values()) == {"differs"}  # as much as was booked, and on the wrong side


def test_a_venue_may_charge_later_what_books_paid_and_not_before(desk: Desk) -> None:
    states = compared(desk, "2024-03-18", "2024-03-20", lambda _, due: 0.0, interest=-INTEREST)
    assert set(states.values()) == {"agreed"}
    desk.venue.cash_usd = 1_000_000.0 - 4 * INTEREST
    assert reconcile(desk.driver(), settles=False).state == "differs"


def test_what_a_person_accepted_is_settled(desk: Desk) -> None:
    compared(desk, "2024-03-18", "2024-03-20", lambda _, due: due - 500.0)
    accept(desk.driver(), "me", "a fee")
    assert reconcile(desk.driver(), settles=False).state == "agreed"
    desk.venue.cash_usd -= INTEREST + 0.02  # beyond the interest of the last session, which is still to come
    assert reconcile(desk.driver(), settles=False).state == "differs"
