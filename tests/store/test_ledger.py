"""Append-only, idempotent, fenced, exact to the bit, and readable as of any moment."""

from __future__ import annotations

import math
import sqlite3
import struct
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nn_assets.errors import LedgerError
from nn_assets.store.ledger import Appended, Ledger
from tests.store.conftest import NOON
from tests.store.rounds import append_round, day_round

HOLDING = {"session": pd.Timestamp("2018-01-02"), "symbol": "A", "quantity": 10.0, "price": 99.5}


def test_a_round_comes_back_to_the_bit(ledger: Ledger) -> None:
    rows = day_round()
    append_round(ledger, rows)
    for table in ("signals", "position_steps", "fills", "holdings", "drift"):
        stored = ledger.read(table, "demo").set_index("symbol" if table != "drift" else "name", drop=False)
        assert len(stored) == len(rows[table])
        key = "step" if table == "position_steps" else "layer" if table == "drift" else "session"
        for row in rows[table]:
            label = row["symbol"] if table != "drift" else row["name"]
            same = stored.loc[[label]]
            found = same[same[key] == row[key]].iloc[0]
            for name, value in row.items():
                if isinstance(value, float):
                    assert struct.pack("<d", found[name]) == struct.pack("<d", value), (table, name)
                elif value is None or value is pd.NaT:
                    assert pd.isna(found[name])
                else:
                    assert found[name] == value


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=5))
def test_any_float_comes_back_as_it_was(ledger: Ledger, numbers: list[float]) -> None:
    name = f"s{math.fsum(ord(c) for c in repr(numbers))}-{ledger.count('holdings')}"
    rows = [HOLDING | {"symbol": f"{name}-{i}", "price": value} for i, value in enumerate(numbers)]
    ledger.append("holdings", rows, run_id="run", strategy=name)
    for value, found in zip(numbers, ledger.read("holdings", name)["price"], strict=True):
        # SQLite has no negative zero and no distinct NaNs: both are stored as the plain ones.
        expected = math.nan if math.isnan(value) else value + 0.0
        assert struct.pack("<d", found) == struct.pack("<d", expected)


def test_an_empty_table_reads_with_the_types_of_a_full_one(ledger: Ledger) -> None:
    empty = {table: ledger.read(table, bookkeeping=True) for table in day_round()}
    append_round(ledger, day_round())
    for table, frame in empty.items():
        assert frame.dtypes.equals(ledger.read(table, bookkeeping=True).dtypes), table


def test_sessions_and_moments_have_the_types_that_frames_carry(ledger: Ledger) -> None:
    append_round(ledger, day_round())
    types = ledger.read("signals", bookkeeping=True).dtypes
    assert str(types["session"]) == "datetime64[ns]"
    assert str(types["known_at"]) == str(types["recorded_at"]) == "datetime64[ns, UTC]"
    assert str(types["probability"]) == "float64"
    assert str(types["direction"]) == "int64"


@pytest.mark.parametrize(
    "spelled",
    [
        pd.Timestamp("2018-07-02 16:30", tz="America/New_York"),
        pd.Timestamp("2018-07-02 20:30", tz="UTC"),
        datetime(2018, 7, 2, 22, 30, tzinfo=timezone(timedelta(hours=2))),
        "2018-07-02T20:30:00Z",
    ],
)
def test_a_moment_is_kept_in_utc_however_it_is_spelled(ledger: Ledger, spelled: object) -> None:
    ledger.append("target_positions", [_target(spelled)], run_id="run", strategy="demo")
    assert ledger.read("target_positions")["known_at"].tolist() == [
        pd.Timestamp("2018-07-02 20:30", tz="UTC")
    ]


def _target(known_at: object) -> dict[str, object]:
    return {"session": "2018-07-02", "symbol": "A", "target_quantity": 1.0, "known_at": known_at}


def test_a_moment_without_a_zone_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="timezone"):
        ledger.append(
            "target_positions", [_target(pd.Timestamp("2018-07-02 20:30"))], run_id="run", strategy="demo"
        )


def test_nanoseconds_never_make_a_fact_known_earlier(ledger: Ledger) -> None:
    known_at = pd.Timestamp("2018-07-02 20:30:00.000000001", tz="UTC")
    ledger.append("target_positions", [_target(known_at)], run_id="run", strategy="demo")
    assert ledger.read("target_positions")["known_at"].iloc[0] >= known_at


def test_appending_the_same_again_changes_nothing(ledger: Ledger) -> None:
    append_round(ledger, day_round())
    head = ledger.head()
    with ledger.transaction("another run", strategy="demo") as transaction:
        for table, rows in day_round().items():
            assert transaction.append(table, rows) == Appended(inserted=0, unchanged=len(rows))
    assert ledger.head() == head
    assert set(ledger.read("signals", bookkeeping=True)["run_id"]) == {"run"}


def test_a_frame_read_from_the_ledger_can_be_appended_again_unchanged(ledger: Ledger) -> None:
    append_round(ledger, day_round())
    for table, rows in day_round().items():
        again = ledger.append(table, ledger.read(table), run_id="run")
        assert again == Appended(inserted=0, unchanged=len(rows)), table


def test_a_row_that_contradicts_a_stored_one_is_refused_naming_both(ledger: Ledger) -> None:
    ledger.append("holdings", [HOLDING], run_id="first", strategy="demo")
    with pytest.raises(LedgerError) as caught:
        ledger.append("holdings", [HOLDING | {"quantity": 11.0}], run_id="second", strategy="demo")
    told = str(caught.value)
    for part in ("holdings", "demo", "2018-01-02", "symbol A", "quantity 10.0", "quantity 11.0", "first"):
        assert part in told
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
        ledger.append(
            "holdings", [HOLDING | {"price": np.nextafter(99.5, 100.0)}], run_id="run", strategy="demo"
        )


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
    ledger.append(
        "holdings", [HOLDING | {"quantity": 12.0}], run_id="run", strategy="demo", reason="corrected"
    )
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


def test_the_past_reads_as_it_was_known(ledger: Ledger) -> None:
    close = pd.Timestamp("2018-07-02 20:30", tz="UTC")
    corrected = pd.Timestamp("2018-07-05 09:00", tz="UTC")
    with ledger.transaction("run", strategy="demo", recorded_at=close) as transaction:
        transaction.append("target_positions", [_target(close)])
    with ledger.transaction("run", strategy="demo", recorded_at=corrected) as transaction:
        transaction.append(
            "target_positions", [_target(close) | {"target_quantity": 2.0}], reason="price was wrong"
        )

    def quantities(**bounds: object) -> list[float]:
        return ledger.read("target_positions", "demo", **bounds)["target_quantity"].tolist()  # type: ignore[arg-type]

    assert quantities(as_of=close - pd.Timedelta(microseconds=1)) == []
    assert quantities(as_of=close) == [1.0]
    # What was corrected counts from its arrival on, although it states the close as before.
    assert quantities(as_of=corrected - pd.Timedelta(microseconds=1)) == [1.0]
    assert quantities(as_of=corrected) == [2.0]
    assert quantities() == [2.0]
    assert quantities(recorded_by=close) == [1.0]


def test_a_replay_states_when_its_facts_were_known(ledger: Ledger) -> None:
    known = pd.Timestamp("2018-01-02 21:30", tz="UTC")
    with ledger.transaction("replay", strategy="demo", known_at=known) as transaction:
        transaction.append("holdings", [HOLDING])
    assert len(ledger.read("holdings", as_of=known)) == 1
    assert len(ledger.read("holdings", as_of=known - pd.Timedelta(minutes=1))) == 0
    stored = ledger.read("holdings", bookkeeping=True)
    assert stored["recorded_at"].tolist() == [pd.Timestamp(NOON)]


def test_bounds_choose_sessions_and_values(ledger: Ledger) -> None:
    days = ["2018-01-02", "2018-01-03", "2018-01-04"]
    for day in days:
        append_round(ledger, day_round(day, symbols=2))
    append_round(ledger, day_round(days[0], symbols=1), strategy="other")
    some = ledger.read("orders", "demo", first=days[1], last="2018-01-03")
    assert some["session"].dt.strftime("%Y-%m-%d").unique().tolist() == [days[1]]
    assert len(ledger.read("signals", "demo", where={"symbol": "S01"})) == 3
    assert len(ledger.read("signals")) == 7
    assert ledger.latest("holdings", "demo")["session"].unique().tolist() == [pd.Timestamp(days[2])]
    assert ledger.latest("holdings", "demo", last=days[1])["session"].unique().tolist() == [
        pd.Timestamp(days[1])
    ]


def test_a_bound_on_a_value_does_not_bring_back_a_superseded_version(ledger: Ledger) -> None:
    ledger.append("holdings", [HOLDING], run_id="run", strategy="demo")
    ledger.append(
        "holdings", [HOLDING | {"quantity": 12.0}], run_id="run", strategy="demo", reason="corrected"
    )
    assert len(ledger.read("holdings", where={"quantity": 10.0})) == 0
    assert len(ledger.read("holdings", where={"quantity": 12.0})) == 1


def test_a_cursor_sees_each_request_once(ledger: Ledger) -> None:
    def request(event: str) -> None:
        row = {"event_id": event, "session": "2018-01-02", "cause": "prediction drift", "details": {"d": 0.3}}
        ledger.append("refresh_requests", [row], run_id="run", strategy="demo")

    request("b")
    request("a")
    first = ledger.read("refresh_requests", "demo", after_sequence=0, bookkeeping=True)
    cursor = int(first["sequence"].max())
    assert len(first) == 2
    assert len(ledger.read("refresh_requests", "demo", after_sequence=cursor)) == 0
    request("c")
    assert ledger.read("refresh_requests", "demo", after_sequence=cursor)["event_id"].tolist() == ["c"]


def test_the_control_appended_last_is_the_one_in_force(ledger: Ledger) -> None:
    for number, state in enumerate(["HALTED", "ACTIVE", "REDUCING"]):
        row = {
            "control_id": f"{9 - number}",
            "kind": "kill_switch",
            "state": state,
            "who": "operator",
            "reason": "drill",
        }
        ledger.append("controls", [row], run_id="run", strategy="demo")
    ledger.append(
        "controls", [row | {"control_id": "x", "kind": "breaker_reset"}], run_id="run", strategy="demo"
    )
    assert ledger.latest("controls", "demo", where={"kind": "kill_switch"})["state"].tolist() == ["REDUCING"]


def test_json_comes_back_as_it_went_in(ledger: Ledger) -> None:
    figures = {
        "sharpe": np.float64(0.1),
        "ic": np.nan,
        "months": ("2017-01",),
        "folds": np.arange(2),
        "n": {"µ": 1},
    }
    row = {
        "study_id": "s",
        "month": "2017-01",
        "verdict": "no edge found",
        "trial_count": 3,
        "figures": figures,
        "data_hash": "d",
        "code_version": "c",
        "settings_hash": "h",
    }
    ledger.append("studies", [row], run_id="run", strategy="demo")
    stored = ledger.read("studies", first="2017-01", last="2017-01")["figures"].iloc[0]
    assert stored == {"sharpe": 0.1, "ic": None, "months": ["2017-01"], "folds": [0, 1], "n": {"µ": 1}}
    assert ledger.append("studies", [row], run_id="run", strategy="demo").unchanged == 1


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


def test_a_row_without_a_strategy_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="strategy"):
        ledger.append("holdings", [HOLDING], run_id="run")


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


def test_two_writers_wait_for_each_other_and_lose_nothing(ledger_file: Path) -> None:
    failures: list[BaseException] = []

    def write(strategy: str) -> None:
        try:
            with Ledger(f"sqlite:///{ledger_file}") as own:  # opened, and so migrated, at the same time too
                for day in ("2018-01-02", "2018-01-03", "2018-01-04"):
                    append_round(own, day_round(day, symbols=3), run_id=strategy, strategy=strategy)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with Ledger(f"sqlite:///{ledger_file}") as ledger:
        assert ledger.count("signals") == 27
        total = sum(ledger.count(table) for table in day_round())
        assert ledger.head().sequence == total


def test_of_two_writers_of_one_session_the_second_is_fenced_off(ledger_file: Path) -> None:
    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    def write(seed: int) -> None:
        with Ledger(f"sqlite:///{ledger_file}") as own:
            barrier.wait()
            try:
                append_round(own, day_round(seed=seed, symbols=2))
                outcomes.append("committed")
            except LedgerError as error:
                outcomes.append("fenced" if "stale" in error.remedy else str(error))

    Ledger(f"sqlite:///{ledger_file}").close()
    threads = [threading.Thread(target=write, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["committed", "fenced"]


def test_a_file_that_is_no_ledger_is_named_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear quant, this is no database, however long it may be. " * 100, encoding="utf-8")
    before = file.read_bytes()
    with pytest.raises(LedgerError, match=r"letter\.txt"):
        Ledger(f"sqlite:///{file}")
    assert file.read_bytes() == before


def test_an_unreachable_database_is_an_error_that_keeps_the_password() -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger("postgresql://quant:s3cret@127.0.0.1:1/ledger?connect_timeout=1")
    assert "s3cret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_the_database_is_set_up_to_survive(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        settings_found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings_found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }


def test_rows_are_stamped_with_the_clock_that_was_handed_in(ledger: Ledger) -> None:
    ledger.append("holdings", [HOLDING], run_id="run-7", strategy="demo")
    stored = ledger.read("holdings", bookkeeping=True).iloc[0]
    assert stored["recorded_at"] == pd.Timestamp(NOON)
    assert stored["run_id"] == "run-7"
    assert NOON.tzinfo is UTC


def test_a_reader_does_not_wait_for_a_writer(ledger: Ledger, ledger_file: Path) -> None:
    connection = sqlite3.connect(ledger_file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        assert len(ledger.read("holdings")) == 0
    finally:
        connection.execute("ROLLBACK")
        connection.close()
