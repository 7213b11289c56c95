"""A verification goes on from the last one on record: it looks at each entry once, and still finds tampering."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import event

from nn_assets.errors import AuditError, LedgerError
from nn_assets.store.ledger import chain, schema
from nn_assets.store.ledger.audit import AuditReport, verify, verify_before_round, verify_since_last
from nn_assets.store.ledger.ledger import Ledger
from tests.store.rounds import append_round, day_round
from tests.store.test_audit import tamper

__all__ = ["tamper"]

Tamper = Callable[..., None]


_FILES: dict[str, bytes] = {}


def filled(ledger: Ledger, fill: Callable[[Ledger], None]) -> Ledger:
    """Fill an empty ledger; where it is a file, with the bytes of the first that was filled in this way."""
    if ledger.engine.dialect.name != "sqlite":
        fill(ledger)
        return ledger
    file = Path(str(ledger.engine.url.database))
    if fill.__name__ in _FILES:
        ledger.close()
        file.write_bytes(_FILES[fill.__name__])
    else:
        fill(ledger)
        ledger.close()
        _FILES[fill.__name__] = file.read_bytes()  # all of it: no connection is open, so no log lies beside
    return ledger


def _verified(ledger: Ledger) -> None:
    append_round(ledger, day_round("2018-01-02", symbols=2))
    assert verify_since_last(ledger, run_id="one").ok
    append_round(ledger, day_round("2018-01-03", symbols=2))


@pytest.fixture
def verified(ledger: Ledger) -> Ledger:
    """A ledger verified after its first session, with a second one added since."""
    return filled(ledger, _verified)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is hashed while a test runs: one item for each entry and for each row."""
    seen: list[str] = []
    for name in ("entry_hash", "row_hash"):
        real = getattr(chain, name)

        def counted(*arguments: object, real=real, name=name) -> str:
            seen.append(name)
            return real(*arguments)

        monkeypatch.setattr(chain, name, counted)
    return seen


def on_record(ledger: Ledger) -> pd.DataFrame:
    return ledger.read("verifications", where={"kind": "chain"}, bookkeeping=True).sort_values("sequence")


@pytest.mark.full
def test_the_first_verification_is_of_everything_and_is_put_on_record(ledger: Ledger) -> None:
    append_round(ledger, day_round(symbols=2))
    head = ledger.head()
    report = verify_since_last(ledger, run_id="me")
    assert (report.ok, report.head, report.entries, report.since.sequence) == (True, head, len(day_round()), 0)
    assert sum(report.rows.values()) == head.sequence
    (row,) = on_record(ledger).to_dict("records")
    assert (row["until_sequence"], row["head_hash"]) == (head.sequence, head.hash)
    assert (row["strategy"], row["run_id"], row["sequence"]) == ("*", "me", head.sequence + 1)
    assert verify(ledger).ok


@pytest.mark.full
def test_the_next_one_looks_only_at_what_was_added(verified: Ledger, hashed: list[str]) -> None:
    (first,) = on_record(verified)["until_sequence"]
    added = verified.head().sequence - first
    report = verify_since_last(verified, run_id="two")
    assert report.ok
    assert (report.entries, report.since.sequence) == (len(day_round()) + 1, first)
    assert sum(report.rows.values()) == added
    of_the_record = 1  # which was appended
    assert hashed.count("entry_hash") == report.entries + of_the_record
    assert hashed.count("row_hash") == added + of_the_record
    assert on_record(verified)["until_sequence"].tolist() == [first, first + added]


@pytest.mark.full
def test_nothing_is_appended_while_nothing_was_added(verified: Ledger) -> None:
    verify_since_last(verified, run_id="two")
    head = verified.head()
    for _ in range(3):
        report = verify_since_last(verified, run_id="again")
        assert report.ok
        assert report.entries == 1  # the record of the verification before
    assert verified.head() == head


def test_an_empty_ledger_verifies_and_stays_empty(ledger: Ledger) -> None:
    assert verify_since_last(ledger, run_id="me").ok
    assert ledger.head().sequence == 0


@pytest.mark.parametrize("ledger_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.full)], indirect=True)
@pytest.mark.parametrize(
    ("statement", "kind", "table"),
    [
        ("UPDATE fills SET price = price + 1e-9 WHERE session = '2018-01-03'", "row changed", "fills"),
        ("DELETE FROM holdings WHERE session = '2018-01-03' AND symbol = 'S01'", "row deleted", "holdings"),
        ("DELETE FROM drift WHERE sequence = (SELECT MAX(sequence) FROM drift)", "row deleted", "drift"),
        ("DELETE FROM verifications", "row deleted", "verifications"),
        ("UPDATE verifications SET run_id = 'someone else'", "row changed", "verifications"),
        ("UPDATE audit_chain SET row_hash = hash WHERE sequence = (SELECT MAX(sequence) FROM audit_chain)",
         "entry changed", None),
        ("DELETE FROM audit_chain WHERE sequence = (SELECT MAX(sequence) FROM audit_chain WHERE table_name = 'fills')",
         "entry missing", None),
        ("UPDATE audit_chain SET hash = row_hash WHERE sequence = (SELECT until_sequence FROM verifications)",
         "head lost", None),
        ("DELETE FROM audit_chain WHERE sequence = (SELECT until_sequence FROM verifications)",
         "head lost", None),
        ("UPDATE verifications SET until_sequence = 100000", "verification unfounded", "verifications"),
        ("UPDATE verifications SET until_sequence = sequence", "verification unfounded", "verifications"),
        ("UPDATE verifications SET until_sequence = until_sequence + 0, head_hash = 'forged'", "head lost", None),
        ("UPDATE verifications SET until_sequence = NULL", "verification unfounded", "verifications"),
    ],
)  # fmt: skip
def test_tampering_since_the_last_verification_is_found(
    verified: Ledger, tamper: Tamper, statement: str, kind: str, table: str | None
) -> None:
    tamper(statement)
    before = verified.count("verifications")
    for _ in range(2):  # nothing wrong is ever put on record as verified: it is found again
        report = verify_since_last(verified, run_id="two")
        assert not report.ok
        assert kind in {finding.kind for finding in report.findings}
        assert table is None or table in {finding.table for finding in report.findings}
    assert verified.count("verifications") == before


@pytest.mark.full
def test_a_row_added_behind_the_systems_back_is_found(verified: Ledger, tamper: Tamper) -> None:
    tamper(
        "CREATE TEMP TABLE copied AS SELECT * FROM fills LIMIT 1",
        "UPDATE copied SET fill_id = 'forged', sequence = (SELECT MAX(sequence) + 1 FROM audit_chain)",
        "INSERT INTO fills SELECT * FROM copied",
    )
    assert [finding.kind for finding in verify_since_last(verified, run_id="two").findings] == ["row without an entry"]


@pytest.mark.full
def test_a_verification_forged_to_cover_up_is_found(verified: Ledger, tamper: Tamper) -> None:
    head = verified.head()
    tamper(
        "UPDATE fills SET price = 1.0 WHERE session = '2018-01-03'",
        "CREATE TEMP TABLE copied AS SELECT * FROM verifications LIMIT 1",
        f"UPDATE copied SET verification_id = 'forged', until_sequence = {head.sequence}, "
        f"head_hash = '{head.hash}', sequence = {head.sequence + 1}",
        "INSERT INTO verifications SELECT * FROM copied",
    )
    (finding,) = verify_since_last(verified, run_id="two").findings
    assert (finding.kind, finding.table) == ("row without an entry", "verifications")


@pytest.mark.full
def test_a_chain_cut_back_behind_its_last_verification_is_found(verified: Ledger, tamper: Tamper) -> None:
    until = int(on_record(verified)["until_sequence"].iloc[-1])
    holding = [
        f"DELETE FROM {table} WHERE sequence >= {until}"
        for table in schema.TABLES
        if table != "verifications" and (verified.read(table, bookkeeping=True)["sequence"] >= until).any()
    ]
    tamper(*holding, f"DELETE FROM audit_chain WHERE sequence >= {until}")
    kinds = {finding.kind for finding in verify_since_last(verified, run_id="two").findings}
    assert {"head lost", "row without an entry"} <= kinds


@pytest.mark.full
def test_an_old_row_changed_after_it_was_verified_is_found_by_the_whole_only(verified: Ledger, tamper: Tamper) -> None:
    """The limit that the module's docstring states."""
    tamper("UPDATE fills SET price = 1.0 WHERE session = '2018-01-02'")
    assert verify_since_last(verified, run_id="two").ok
    assert {finding.kind for finding in verify(verified).findings} == {"row changed"}


@pytest.mark.full
def test_two_that_verify_at_once_put_one_record(verified: Ledger, ledger_url: str) -> None:
    head = verified.head()
    row = {"verification_id": f"chain-{head.sequence}", "kind": "chain", "until_sequence": head.sequence,
           "head_hash": head.hash}  # fmt: skip
    for run in ("a", "b"):
        with Ledger(ledger_url) as other:
            other.append("verifications", [row], run_id=run, strategy="*")
    assert verified.count("verifications") == 2


@pytest.mark.full
def test_the_table_serves_other_verifications_too(ledger: Ledger) -> None:
    append_round(ledger, day_round(symbols=1))
    for session in ("2018-01-02", "2018-01-03"):
        row = {"verification_id": f"decisions-{session}", "kind": "decisions", "until_session": session,
               "details": {"sessions": 1}}  # fmt: skip
        ledger.append("verifications", [row], run_id="r", strategy="demo")
    verify_since_last(ledger, run_id="me")
    newest = ledger.latest("verifications", "demo", where={"kind": "decisions"}).iloc[0]
    assert newest["until_session"] == pd.Timestamp("2018-01-03")
    assert pd.isna(newest["until_sequence"])
    assert ledger.last_appended("verifications", strategy="demo", kind="decisions")["details"] == {"sessions": 1}
    assert ledger.last_appended("verifications", strategy="other") is None
    assert verify(ledger).ok


def test_a_verification_that_is_not_whole_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="kind"):
        ledger.append("verifications", [{"verification_id": "v"}], run_id="r", strategy="demo")


@pytest.mark.full
@pytest.mark.parametrize("sessions", [200, pytest.param(1_000, marks=pytest.mark.full)])
def test_after_many_sessions_it_costs_what_it_does_after_twenty(
    tmp_path: Path, hashed: list[str], sessions: int
) -> None:
    days = [str(day.date()) for day in pd.bdate_range("2014-01-02", periods=sessions + 1)]
    instructions = 0  # of the database, by tens

    def ten_more() -> int:
        nonlocal instructions
        instructions += 1
        return 0

    def verify_now(ledger: Ledger, how: Callable[[Ledger], AuditReport]) -> tuple[int, int, float]:
        hashed.clear()
        before, began = instructions, time.perf_counter()
        assert how(ledger).ok
        return len(hashed), instructions - before, time.perf_counter() - began

    since_last = partial(verify_since_last, run_id="bench")
    cost = {}
    with Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
        event.listen(ledger.engine, "checkout", lambda connection, *_: connection.set_progress_handler(ten_more, 10))
        for first, last in ((0, 20), (20, 21), (21, sessions), (sessions, sessions + 1)):
            append_rounds(ledger, days[first:last])
            cost[last] = verify_now(ledger, since_last)
        whole = verify_now(ledger, verify)
    print(f"hashes, instructions and seconds {cost}; the whole after them all: {whole}")
    assert cost[21][0] == cost[sessions + 1][0] < cost[sessions][0] / (sessions // 2)
    # No walk through what was verified before hides in it.
    assert cost[21][1] * 0.5 < cost[sessions + 1][1] < cost[21][1] * 1.5 < whole[1] / 5
    if sessions == 1_000:  # few sessions are too soon done for a clock to tell
        assert cost[sessions + 1][2] < whole[2] / 20


def append_rounds(ledger: Ledger, days: list[str]) -> None:
    """Sessions of one symbol, in one transaction: the disk is waited for once."""
    with ledger.transaction("run", strategy="demo") as transaction:
        tables: dict[str, list[dict[str, object]]] = {}
        for day in days:
            for table, rows in day_round(day, symbols=1).items():
                tables.setdefault(table, []).extend(rows)
        for table, rows in tables.items():
            transaction.append(table, rows)


IN_A_FILE = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)

# --- before a round ------------------------------------------------------------------------------------------------

NOW = pd.Timestamp("2026-01-05 22:00", tz="UTC").to_pydatetime()


def before_round(ledger: Ledger, days: float = 0.0) -> AuditReport:
    return verify_before_round(ledger, "demo", run_id="round", now=NOW + timedelta(days=days))


@pytest.fixture
def clocked(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Three sessions, all of them verified, the whole at ``NOW``."""
    monkeypatch.setattr(ledger, "_clock", lambda: NOW)
    return filled(ledger, _clocked)


def _clocked(ledger: Ledger) -> None:
    for day in ("2018-01-02", "2018-01-03", "2018-01-04"):
        append_round(ledger, day_round(day, symbols=2))
    assert before_round(ledger).since.sequence == 0
    assert verify_since_last(ledger, run_id="two").ok


def test_before_a_round_the_last_round_is_looked_at_again_and_the_whole_once_a_week(clocked: Ledger) -> None:
    decided = clocked.read("decisions", bookkeeping=True)["sequence"].max()
    for days in (1.0, 6.9):
        report = before_round(clocked, days)
        assert report.ok
        assert report.since.sequence == decided - 1
    assert before_round(clocked, 7.0).since.sequence == 0
    assert before_round(clocked, -1.0).since.sequence == 0  # a record from the future is no record


@IN_A_FILE
@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE holdings SET quantity = 3 * quantity + 1 WHERE session = '2018-01-04'", "row changed"),
        ("UPDATE target_positions SET target_quantity = 7 WHERE session = '2018-01-04'", "row changed"),
        ("UPDATE orders SET session = '2017-01-03' WHERE session = '2018-01-04'", "row changed"),
        ("DELETE FROM orders WHERE session = '2018-01-04'", "row deleted"),
        ("DELETE FROM decisions WHERE session = '2018-01-04'", "row deleted"),
    ],
)
def test_the_last_round_tampered_with_after_it_was_verified_is_found_before_the_next(
    clocked: Ledger, tamper: Tamper, statement: str, kind: str
) -> None:
    assert before_round(clocked, 1.0).ok
    tamper(statement)
    assert verify_since_last(clocked, run_id="three").ok  # nothing was added: this one does not see it
    assert kind in {finding.kind for finding in before_round(clocked, 1.0).findings}
    with pytest.raises(AuditError, match="restore it from a backup"):
        before_round(clocked, 1.0).demand_ok()


def test_a_record_of_the_whole_that_was_put_off_is_none(clocked: Ledger, tamper: Tamper) -> None:
    tamper("UPDATE verifications SET recorded_at = '2026-03-01 22:00:00.000000' WHERE kind = 'whole'")
    assert not before_round(clocked, 60.0).ok


@IN_A_FILE
def test_a_record_of_the_whole_that_was_changed_is_none_though_no_other_verification_meets_it(
    clocked: Ledger, tamper: Tamper
) -> None:
    append_round(clocked, day_round("2018-01-05", symbols=2))  # the record now lies before the last round
    assert verify_since_last(clocked, run_id="three").ok
    old = "UPDATE holdings SET quantity = 3 * quantity + 1 WHERE session = '2018-01-02'"
    tamper(old, "UPDATE verifications SET recorded_at = '2026-03-01 22:00:00.000000' WHERE kind = 'whole'")
    report = before_round(clocked, 60.0)
    assert report.since.sequence == 0
    assert {finding.table for finding in report.findings} == {"holdings", "verifications"}


READS: dict[str, Callable[[Ledger], object]] = {
    "read": lambda ledger: ledger.read("portfolio_states", "demo"),
    "latest": lambda ledger: ledger.latest("portfolio_states", "demo", last=pd.Timestamp("2018-01-02")),
    "last_appended": lambda ledger: ledger.last_appended("portfolio_states", session=pd.Timestamp("2018-01-02")),
}


@IN_A_FILE
@pytest.mark.parametrize("how", READS)
@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE portfolio_states SET cash_usd = 3 * cash_usd WHERE session = '2018-01-02'", "row changed"),
        ("DELETE FROM portfolio_states WHERE session = '2018-01-03'", "row deleted"),
        ("UPDATE audit_chain SET row_hash = hash WHERE table_name = 'portfolio_states'", "entry changed"),
        ("DELETE FROM audit_chain WHERE table_name = 'portfolio_states'", "row without an entry"),
    ],
)
def test_an_old_row_is_verified_as_it_is_read(
    clocked: Ledger, tamper: Tamper, how: str, statement: str, kind: str
) -> None:
    with clocked.rows_verified():
        READS[how](clocked)
    tamper(statement)
    READS[how](clocked)  # outside nothing is verified
    with clocked.rows_verified(), pytest.raises(AuditError, match=kind):
        READS[how](clocked)


@IN_A_FILE
def test_a_row_is_hashed_once_however_often_it_is_read(clocked: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[object] = []
    real = chain.row_hash
    monkeypatch.setattr(chain, "row_hash", lambda *arguments: hashed.append(arguments) or real(*arguments))
    with clocked.rows_verified():
        for _ in range(3):
            assert len(clocked.read("holdings", "demo")) == 6
    assert len(hashed) == 6
