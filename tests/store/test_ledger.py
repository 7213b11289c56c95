"""Append-only, idempotent, fenced: a row is written once, and contradicted only with a reason."""

from __future__ import annotations

from datetime import UTC

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import LedgerError
from nn_assets.store.ledger.ledger import Appended, Ledger
from tests.store.conftest import IN_A_FILE_FIRST, NOON
from tests.store.rounds import append_round, day_round

HOLDING = {"session": pd.Timestamp("2018-01-02"), "symbol": "A", "quantity": 10.0, "price": 99.5, "blocked_side": 0}


@pytest.mark.full
def test_appending_the_same_again_changes_nothing(ledger: Ledger) -> None:
    append_round(ledger, day_round())
    head = ledger.head()
    with ledger.transaction("another run", strategy="demo") as transaction:
        for table, rows in day_round().items():
            assert transaction.append(table, rows) == Appended(inserted=0, unchanged=len(rows))
    assert ledger.head() == head
    assert set(ledger.read("signals", bookkeeping=True)["run_id"]) == {"run"}


@pytest.mark.full
def test_a_frame_read_from_the_ledger_can_be_appended_again_unchanged(ledger: Ledger) -> None:
    append_round(ledger, day_round())
    for table, rows in day_round().items():
        again = ledger.append(table, ledger.read(table), run_id="run")
        assert again == Appended(inserted=0, unchanged=len(rows)), table


def test_a_row_that_contradicts_a_stored_one_is_refused_naming_both(ledger: Ledger) -> None:
    ledger.append("holdings", [HOLDING], run_id="first", strategy="demo")
    with pytest.raises(LedgerError) as caught:
        ledger.append("holdings", [HOLDING | {"quantity": 11.0}], run_id="second", strategy="demo")
    message = str(caught.value)
    for part in ("holdings", "demo", "2018-01-02", "symbol A", "quantity 10.0", "quantity 11.0", "first"):
        assert part in message
    assert ledger.read("holdings")["quantity"].tolist() == [10.0]


def test_one_refused_row_undoes_the_whole_transaction(ledger: Ledger) -> None:
    ledger.append("holdings", [HOLDING], run_id="first", strategy="demo")
    head = ledger.head()

    def second_run() -> None:
        with ledger.transaction("second", strategy="demo") as transaction:
            transaction.append("signals", day_round()["signals"])
            transaction.append("holdings", [HOLDING | {"price": 1.0}])

    with pytest.raises(LedgerError, match="price 99"):
        second_run()
    assert ledger.count("signals") == 0
    assert ledger.head() == head


def test_a_difference_in_the_last_bit_is_a_difference(ledger: Ledger) -> None:
    ledger.append("holdings", [HOLDING], run_id="run", strategy="demo")
    with pytest.raises(LedgerError):
        ledger.append("holdings", [HOLDING | {"price": np.nextafter(99.5, 100.0)}], run_id="run", strategy="demo")


def test_a_correction_with_a_reason_becomes_a_new_version(ledger: Ledger) -> None:
    ledger.append("holdings", [HOLDING], run_id="run", strategy="demo")
    corrected = HOLDING | {"quantity": 12.0}
    done = ledger.append("holdings", [corrected], run_id="run", strategy="demo", reason="split booked twice")
    again = ledger.append("holdings", [corrected], run_id="run", strategy="demo", reason="split booked twice")
    unexplained = ledger.append("holdings", [corrected], run_id="run", strategy="demo")
    assert (done.inserted, again.inserted, unexplained.inserted) == (1, 0, 0)
    assert ledger.read("holdings")["quantity"].tolist() == [12.0]
    versions = ledger.read("holdings", every_version=True, bookkeeping=True)
    assert versions["version"].tolist() == [1, 2]
    assert versions["quantity"].tolist() == [10.0, 12.0]
    assert versions["version_reason"].iloc[1] == "split booked twice"


def test_a_stale_run_cannot_bring_the_superseded_version_back(ledger: Ledger) -> None:
    ledger.append("holdings", [HOLDING], run_id="run", strategy="demo")
    ledger.append("holdings", [HOLDING | {"quantity": 12.0}], run_id="run", strategy="demo", reason="corrected")
    with pytest.raises(LedgerError, match=r"12\.0"):
        ledger.append("holdings", [HOLDING], run_id="stale", strategy="demo")


def test_a_stated_version_follows_the_newest_and_needs_a_reason(ledger: Ledger) -> None:
    ledger.append("holdings", [HOLDING], run_id="run", strategy="demo")
    other = [HOLDING | {"quantity": 12.0}]
    with ledger.transaction("run", strategy="demo") as transaction:
        with pytest.raises(LedgerError, match="reason"):
            transaction.append("holdings", other, version=2)
        with pytest.raises(LedgerError, match="version 2 at most"):
            transaction.append("holdings", other, version=3, reason="why not")
        with pytest.raises(LedgerError, match=r"quantity 10\.0"):
            transaction.append("holdings", other, version=1, reason="why not")
        assert transaction.append("holdings", other, version=2, reason="corrected").inserted == 1
        assert transaction.append("holdings", other, version=2, reason="corrected").inserted == 0


@IN_A_FILE_FIRST
@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"quantity": "ten"}, ("quantity", "ten")),
        ({"quantity": True}, ("quantity", "True")),
        ({"symbol": None}, ("symbol",)),
        ({"symbol": "A\x00"}, ("symbol", "NUL")),
        ({"symbol": "\ud800"}, ("symbol",)),
        ({"session": "2018-01-02 10:00"}, ("session", "midnight")),
        ({"session": pd.Timestamp("2018-01-02", tz="UTC")}, ("session", "midnight")),
        ({"session": "soon"}, ("session", "soon")),
        ({"colour": "red"}, ("colour",)),
    ],
)
def test_a_row_that_does_not_fit_names_table_column_and_value(
    ledger: Ledger, change: dict[str, object], names: tuple[str, ...]
) -> None:
    with pytest.raises(LedgerError) as caught:
        ledger.append("holdings", [HOLDING | change], run_id="run", strategy="demo")
    assert all(name in str(caught.value) for name in ("holdings", *names))
    assert ledger.count("holdings") == 0


@IN_A_FILE_FIRST
def test_a_row_without_a_strategy_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="strategy"):
        ledger.append("holdings", [HOLDING], run_id="run")


@IN_A_FILE_FIRST
def test_an_unknown_table_lists_those_there_are(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="position_steps"):
        ledger.read("positions")


def test_the_same_key_twice_in_one_append_must_say_the_same(ledger: Ledger) -> None:
    assert ledger.append("holdings", [HOLDING, dict(HOLDING)], run_id="run", strategy="demo").inserted == 1
    with pytest.raises(LedgerError, match=r"11\.0"):
        ledger.append(
            "holdings",
            [HOLDING | {"symbol": "B"}, HOLDING | {"symbol": "B", "quantity": 11.0}],
            run_id="run",
            strategy="demo",
        )


def test_a_symbol_that_looks_like_something_else_is_only_text(ledger: Ledger) -> None:
    odd = ["../../x", "CON", "TRUE", "nan", "'; DROP TABLE holdings; --", "名", "NULL", "1e5"]
    ledger.append("holdings", [HOLDING | {"symbol": name} for name in odd], run_id="run", strategy="demo")
    assert ledger.read("holdings")["symbol"].tolist() == sorted(odd)


def test_a_transaction_reads_what_it_wrote_and_others_do_not(ledger: Ledger) -> None:
    with ledger.transaction("run", strategy="demo") as transaction:
        transaction.append("holdings", [HOLDING])
        assert len(transaction.read("holdings", strategy="demo")) == 1
        assert len(transaction.latest("holdings", strategy="demo")) == 1
        assert len(ledger.read("holdings")) == 0
    assert len(ledger.read("holdings")) == 1


@IN_A_FILE_FIRST
def test_rows_are_stamped_with_the_clock_that_was_handed_in(ledger: Ledger) -> None:
    ledger.append("holdings", [HOLDING], run_id="run-7", strategy="demo")
    stored = ledger.read("holdings", bookkeeping=True).iloc[0]
    assert stored["recorded_at"] == pd.Timestamp(NOON)
    assert stored["run_id"] == "run-7"
    assert NOON.tzinfo is UTC
