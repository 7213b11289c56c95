"""What ``status`` looks at again: what the last session left, and the last outcomes, each with its entry."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nn_assets.operations.edited import left_while_bound
from nn_assets.store.ledger.audit import find_changed_state, verify_before_round
from nn_assets.store.ledger.ledger import Ledger
from tests.matrices import often
from tests.store.conftest import IN_A_FILE_FIRST
from tests.store.rounds import append_round, day_round
from tests.store.test_acts_on_record import NOW
from tests.store.test_audit import tamper

__all__ = ["tamper"]

FIRST, LAST = "2018-01-02", "2018-01-03"
OUTCOMES = 450  # of about three days
Tamper = Callable[..., None]


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """Two sessions of a strategy, one of another after them, and outcomes."""
    for day, strategy in ((FIRST, "demo"), (LAST, "demo"), ("2018-01-04", "other")):
        append_round(ledger, day_round(day, symbols=2), strategy=strategy)
    ended = {"kind": "run", "name": "daily", "outcome": "succeeded", "details": {}}
    rows = [{"outcome_id": f"run-{number:03d}", **ended} for number in range(OUTCOMES)]
    ledger.append("outcomes", rows, run_id="r", strategy="demo")
    assert find_changed_state(ledger, "demo") is None
    return ledger


def change_in(ledger: Ledger, strategy: str = "demo") -> tuple[str, str] | None:
    finding = find_changed_state(ledger, strategy)
    return None if finding is None else (finding.table, finding.kind)


def newest_of(table: str) -> str:
    """The newest row of the strategy, as a query."""
    return f"SELECT sequence FROM (SELECT MAX(sequence) AS sequence FROM {table} WHERE strategy = 'demo') AS newest"


@IN_A_FILE_FIRST
@pytest.mark.parametrize(
    "table",
    often(
        ["decisions", "portfolio_states", "trading_states", "target_positions", "orders", "holdings"],
        *["decisions", "orders", "holdings"],
    ),
)
def test_no_row_of_the_last_session_is_hidden_changed_or_removed_unseen(
    filled: Ledger, tamper: Tamper, table: str
) -> None:
    tamper(f"UPDATE {table} SET strategy = 'zzz' WHERE sequence = ({newest_of(table)})")
    assert change_in(filled) == (table, "row changed")
    assert change_in(filled, "other") is None


@IN_A_FILE_FIRST
@pytest.mark.parametrize("table", ["orders", "trading_states"])
def test_a_row_of_the_last_session_that_is_gone_is_seen(filled: Ledger, tamper: Tamper, table: str) -> None:
    tamper(f"DELETE FROM {table} WHERE sequence = ({newest_of(table)})")
    assert change_in(filled) == (table, "row deleted")


def test_a_hidden_outcome_is_seen_as_far_back_as_some_days_bring(filled: Ledger, tamper: Tamper) -> None:
    tamper("UPDATE outcomes SET strategy = 'zzz' WHERE outcome_id = 'run-000'")
    assert change_in(filled) == ("outcomes", "row changed")


@IN_A_FILE_FIRST
@pytest.mark.parametrize("table", ["holdings", "outcomes", "verifications"])
def test_an_entry_that_was_changed_beside_its_row_is_seen(filled: Ledger, tamper: Tamper, table: str) -> None:
    filled.append("verifications", [{"verification_id": "1", "kind": "x", "details": {}}], run_id="r", strategy="demo")
    tamper(f"UPDATE audit_chain SET previous_hash = hash WHERE sequence = ({newest_of(table)})")
    assert change_in(filled) == (table, "entry changed")


def test_what_comes_after_the_round_is_left_to_the_next_rounds_own_look(filled: Ledger, tamper: Tamper) -> None:
    """So that the look at a strategy that rests costs no more for the rounds of all others."""
    (late,) = day_round(FIRST, symbols=1, seed=1)["orders"]
    filled.append("orders", [{**late, "client_order_id": "late"}], run_id="r", strategy="demo")
    tamper("DELETE FROM orders WHERE client_order_id = 'late'")
    assert change_in(filled) is None
    report = verify_before_round(filled, "demo", run_id="r", now=NOW)
    assert [(finding.table, finding.kind) for finding in report.findings] == [("orders", "row deleted")]


def test_a_symbol_that_is_held_and_not_on_order_is_bound(ledger: Ledger) -> None:
    rows = day_round(LAST, symbols=3)
    held, flat = rows["holdings"][:2]
    append_round(ledger, {**rows, "orders": [], "holdings": [held, {**flat, "quantity": 0.0}]})
    day = held["session"]
    fault = left_while_bound(ledger, "demo", day, ("S02",))
    assert fault is not None
    assert fault.found == "market.symbols without S00"
    assert left_while_bound(ledger, "demo", day, ("S00",)) is None


def test_answers_are_kept_until_something_is_appended_and_handed_out_as_ones_own(ledger: Ledger) -> None:
    def note(name: str) -> None:
        ledger.append(
            "verifications", [{"verification_id": name, "kind": "x", "details": {}}], run_id="r", strategy="d"
        )

    def names() -> list[str]:
        return list(ledger.read("verifications", "d")["verification_id"])

    note("1")
    with ledger.answers_kept():
        for _ in range(3):
            frame = ledger.read("verifications", "d")
            assert list(frame["kind"]) == ["x"]
            frame["kind"] = "y"
        with ledger.answers_kept():
            note("2")
        assert names() == ["1", "2"]
        with Ledger(
            ledger.engine.url.render_as_string(hide_password=False)
        ) as other:  # what another one appends comes after
            row = {"verification_id": "3", "kind": "x", "details": {}}
            other.append("verifications", [row], run_id="r", strategy="d")
        assert names() == ["1", "2"]
    assert names() == ["1", "2", "3"]
