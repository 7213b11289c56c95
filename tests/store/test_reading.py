"""What is read is what was appended, to the bit, and what was known at any moment."""

from __future__ import annotations

import math
import struct
from datetime import datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from nn_assets.errors import LedgerError
from nn_assets.store.ledger.ledger import Ledger
from tests.store.conftest import IN_A_FILE_FIRST, NOON
from tests.store.rounds import append_round, day_round

HOLDING = {"session": pd.Timestamp("2018-01-02"), "symbol": "A", "quantity": 10.0, "price": 99.5, "blocked_side": 0}


@pytest.mark.full
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
            actual = same[same[key] == row[key]].iloc[0]
            for name, value in row.items():
                if isinstance(value, float):
                    assert struct.pack("<d", actual[name]) == struct.pack("<d", value), (table, name)
                elif value is None or value is pd.NaT:
                    assert pd.isna(actual[name])
                else:
                    assert actual[name] == value


@pytest.mark.full
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=5))
def test_any_float_comes_back_as_it_was(ledger: Ledger, numbers: list[float]) -> None:
    name = f"s{math.fsum(ord(c) for c in repr(numbers))}-{ledger.count('holdings')}"
    rows = [HOLDING | {"symbol": f"{name}-{i}", "price": value} for i, value in enumerate(numbers)]
    ledger.append("holdings", rows, run_id="run", strategy=name)
    for value, stored in zip(numbers, ledger.read("holdings", name)["price"], strict=True):
        # SQLite has no negative zero and no distinct NaNs: both are stored as the plain ones.
        expected = math.nan if math.isnan(value) else value + 0.0
        assert struct.pack("<d", stored) == struct.pack("<d", expected)


@IN_A_FILE_FIRST
def test_an_answer_without_rows_is_the_askers_own(ledger: Ledger) -> None:
    first = ledger.read("holdings")
    first["quantity"] = "changed"
    first["more"] = 1
    again = ledger.read("holdings")
    assert "more" not in again
    assert again["quantity"].dtype == np.float64
    assert list(ledger.read("holdings", bookkeeping=True).columns) != list(again.columns)


@pytest.mark.full
def test_an_empty_table_reads_with_the_types_of_a_full_one(ledger: Ledger) -> None:
    empty = {table: ledger.read(table, bookkeeping=True) for table in day_round()}
    append_round(ledger, day_round())
    for table, frame in empty.items():
        assert frame.dtypes.equals(ledger.read(table, bookkeeping=True).dtypes), table


@pytest.mark.full
def test_sessions_and_moments_have_the_types_that_frames_carry(ledger: Ledger) -> None:
    append_round(ledger, day_round())
    types = ledger.read("signals", bookkeeping=True).dtypes
    assert str(types["session"]) == "datetime64[ns]"
    assert str(types["known_at"]) == str(types["recorded_at"]) == "datetime64[ns, UTC]"
    assert str(types["probability"]) == "float64"
    assert str(types["direction"]) == "int64"


@pytest.mark.full
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
    assert ledger.read("target_positions")["known_at"].tolist() == [pd.Timestamp("2018-07-02 20:30", tz="UTC")]


def _target(known_at: object) -> dict[str, object]:
    return {"session": "2018-07-02", "symbol": "A", "target_quantity": 1.0, "known_at": known_at}


@IN_A_FILE_FIRST
def test_a_moment_without_a_zone_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="timezone"):
        ledger.append("target_positions", [_target(pd.Timestamp("2018-07-02 20:30"))], run_id="run", strategy="demo")


def test_nanoseconds_never_make_a_fact_known_earlier(ledger: Ledger) -> None:
    known_at = pd.Timestamp("2018-07-02 20:30:00.000000001", tz="UTC")
    ledger.append("target_positions", [_target(known_at)], run_id="run", strategy="demo")
    assert ledger.read("target_positions")["known_at"].iloc[0] >= known_at


def test_the_past_reads_as_it_was_known(ledger: Ledger) -> None:
    close = pd.Timestamp("2018-07-02 20:30", tz="UTC")
    corrected = pd.Timestamp("2018-07-05 09:00", tz="UTC")
    with ledger.transaction("run", strategy="demo", recorded_at=close) as transaction:
        transaction.append("target_positions", [_target(close)])
    with ledger.transaction("run", strategy="demo", recorded_at=corrected) as transaction:
        transaction.append("target_positions", [_target(close) | {"target_quantity": 2.0}], reason="price was wrong")

    def quantities(**bounds: object) -> list[float]:
        return ledger.read("target_positions", "demo", **bounds)["target_quantity"].tolist()  # type: ignore[arg-type]

    assert quantities(as_of=close - pd.Timedelta(microseconds=1)) == []
    assert quantities(as_of=close) == [1.0]
    # What was corrected counts from its arrival on, although it states the close as before.
    assert quantities(as_of=corrected - pd.Timedelta(microseconds=1)) == [1.0]
    assert quantities(as_of=corrected) == [2.0]
    assert quantities() == [2.0]
    assert quantities(recorded_by=close) == [1.0]


@pytest.mark.full
def test_a_replay_states_when_its_facts_were_known(ledger: Ledger) -> None:
    known = pd.Timestamp("2018-01-02 21:30", tz="UTC")
    with ledger.transaction("replay", strategy="demo", known_at=known) as transaction:
        transaction.append("holdings", [HOLDING])
    assert len(ledger.read("holdings", as_of=known)) == 1
    assert len(ledger.read("holdings", as_of=known - pd.Timedelta(minutes=1))) == 0
    stored = ledger.read("holdings", bookkeeping=True)
    assert stored["recorded_at"].tolist() == [pd.Timestamp(NOON)]


@pytest.mark.full
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
    assert ledger.latest("holdings", "demo", last=days[1])["session"].unique().tolist() == [pd.Timestamp(days[1])]


def test_a_bound_on_a_value_does_not_bring_back_a_superseded_version(ledger: Ledger) -> None:
    ledger.append("holdings", [HOLDING], run_id="run", strategy="demo")
    ledger.append("holdings", [HOLDING | {"quantity": 12.0}], run_id="run", strategy="demo", reason="corrected")
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
    ledger.append("controls", [row | {"control_id": "x", "kind": "breaker_reset"}], run_id="run", strategy="demo")
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


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("table", ["signals", "target_positions", "orders", "fills", "holdings", "decisions"])
@pytest.mark.parametrize("how", ["rows", "as_of", "bookkeeping"])
def test_a_session_is_read_by_an_index_and_each_entry_by_its_place(ledger: Ledger, table: str, how: str) -> None:
    """So that no reading walks through sessions, or entries, that are not asked for."""
    day, asked = "2018-01-02", []
    event.listen(ledger.engine, "before_cursor_execute", lambda *arguments: asked.append((arguments[2], arguments[3])))
    moment = pd.Timestamp("2020-01-01", tz="UTC") if how == "as_of" else None
    ledger.read(table, "demo", day, day, moment, bookkeeping=how == "bookkeeping")
    with ledger.engine.connect() as connection:
        plan = [
            step[3]
            for statement, values in list(asked)
            if f"FROM {table}" in statement or f"{table}." in statement
            for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    assert any(step.startswith(f"SEARCH {table} USING INDEX") and "session" in step for step in plan)
    assert not [step for step in plan if step.startswith("SCAN") or "AUTOMATIC" in step], plan
