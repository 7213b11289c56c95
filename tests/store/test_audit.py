"""Each way of tampering with a ledger is found and named, and a truthful ledger verifies."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, create_engine, inspect, text

from nn_assets.errors import AuditError
from nn_assets.store import home as homes
from nn_assets.store.ledger import reading
from nn_assets.store.ledger.audit import verify
from nn_assets.store.ledger.canonical import row_hash
from nn_assets.store.ledger.chain import Seal
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.schema import CHAIN, TABLES
from tests.matrices import often
from tests.store.conftest import IN_A_FILE_FIRST
from tests.store.rounds import append_round, day_round, fill_id

ENTRY = "(SELECT MIN(sequence) FROM audit_chain WHERE table_name = 'signals')"  # of three rows

OTHERWISE = dict.fromkeys(("known_at", "recorded_at", "reference_at"), "2017-01-01 00:00:00.000000")
OTHERWISE |= dict.fromkeys(("session", "effective_session", "entered_session", "blocked_until"), "2017-01-01")
OTHERWISE |= {"sequence": 987_654, "step": 77, "critical": 0.5}


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    for day in ("2018-01-02", "2018-01-03"):
        append_round(ledger, day_round(day, symbols=3))
    return ledger


@pytest.fixture
def tamper(ledger_url: str) -> Callable[..., None]:
    """Statements run as someone would who owns the database, and who removed the guards first."""

    def run(*statements: str) -> None:
        engine = create_engine(homes.ledger_url(ledger_url))
        with engine.begin() as connection:
            for statement in _disarming(engine):
                connection.execute(text(statement))
        with engine.begin() as connection:
            for statement in statements:
                assert connection.execute(text(statement)).rowcount != 0
        engine.dispose()

    return run


def _disarming(engine: Engine) -> list[str]:
    if engine.dialect.name == "sqlite":
        guards = [(name, action) for name in (*TABLES, CHAIN.name) for action in ("update", "delete")]
        return [f"DROP TRIGGER {name}_no_{action}" for name, action in guards]
    keys = [(name, key["name"]) for name in TABLES for key in inspect(engine).get_foreign_keys(name)]
    guards = [(name, guard) for name in (*TABLES, CHAIN.name) for guard in ("append_only", "no_truncate")]
    return [
        *(f"DROP TRIGGER {name}_{guard} ON {name}" for name, guard in guards),
        *(f"ALTER TABLE {name} DROP CONSTRAINT {key}" for name, key in keys),
    ]


@pytest.mark.full
def test_an_honest_ledger_verifies(filled: Ledger) -> None:
    report = verify(filled)
    assert report.ok
    assert report.first_broken is None
    assert report.unguarded == ()
    assert sum(report.rows.values()) == filled.head().sequence
    assert report.entries == 2 * len(day_round())  # one for a table's rows of a transaction
    assert report.rows["signals"] == 6
    report.demand_ok()


def test_an_empty_ledger_verifies(ledger: Ledger) -> None:
    report = verify(ledger)
    assert report.ok
    assert report.entries == 0
    assert str(report.head) == "0:" + "0" * 64


def test_the_chain_is_the_documented_hash(ledger: Ledger) -> None:
    """The entry of a row, computed here from its documentation and from the raw columns only."""
    ledger.append(
        "settings_versions",
        [{"settings_hash": "h", "settings": {"b": 0.1, "a": None}}],
        run_id="r",
        strategy="demo",
    )
    with ledger.engine.connect() as connection:
        entry = connection.execute(text("SELECT row_key, row_hash, previous_hash, hash FROM audit_chain")).one()
    row = {
        "table": "settings_versions",
        "strategy": "demo",
        "settings_hash": "h",
        "settings": {"a": None, "b": 0.1},
        "known_at": "2018-01-02T12:00:00.123456+00:00",
        "version": 1,
        "version_reason": None,
        "run_id": "r",
        "recorded_at": "2018-01-02T12:00:00.123456+00:00",
        "sequence": 1,
    }
    row_hash = hashlib.sha256(json.dumps(row, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    key = '["demo","h",1]'
    sealed = "\n".join(("1", "settings_versions", row_hash, "0" * 64, key))
    assert entry == (key, row_hash, "0" * 64, hashlib.sha256(sealed.encode()).hexdigest())


def test_several_rows_have_the_documented_entry(ledger: Ledger) -> None:
    """As above, of rows that one transaction appends to a table."""
    names = ("h", "g")
    rows = [{"settings_hash": name, "settings": {}} for name in names]
    ledger.append("settings_versions", rows, run_id="r", strategy="demo")
    with ledger.engine.connect() as connection:
        chain = "SELECT sequence, row_key, row_hash, hash, rows, digests, run_id FROM audit_chain"
        entry = connection.execute(text(chain)).one()
        kept = connection.execute(text("SELECT run_id, recorded_at FROM settings_versions")).all()
    moment = "2018-01-02T12:00:00.123456+00:00"
    hashes = [
        hashlib.sha256(
            json.dumps(
                {
                    "table": "settings_versions",
                    "strategy": "demo",
                    "settings_hash": name,
                    "settings": {},
                    "known_at": moment,
                    "version": 1,
                    "version_reason": None,
                    "run_id": "r",
                    "recorded_at": moment,
                    "sequence": sequence,
                },
                sort_keys=True,
                separators=(",", ":"),
            ).encode()
        ).hexdigest()
        for sequence, name in enumerate(names, 1)
    ]
    digests = "".join(base64.b64encode(bytes.fromhex(digest)[:12]).decode() for digest in hashes)
    content = hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    common = {"known_at": moment, "recorded_at": moment, "run_id": "r"}
    key, group = '["demo",["h","g"],1]', json.dumps([2, digests, common], separators=(",", ":"))
    sealed = "\n".join(("2", "settings_versions", content, "0" * 64, key, group))
    assert entry == (2, key, content, hashlib.sha256(sealed.encode()).hexdigest(), 2, digests, "r")
    assert kept == [(None, None)] * 2  # in their entry
    frame = ledger.read("settings_versions", bookkeeping=True)
    assert list(frame["run_id"]) == ["r", "r"]
    assert [stamp.isoformat() for stamp in frame["recorded_at"]] == [moment] * 2


def test_rows_whose_bits_in_the_entry_are_met_are_found_all_the_same(
    filled: Ledger, tamper: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that has the kept part of the hash of another in common with it: forged here, none is known."""
    tamper("UPDATE fills SET price = price + 1.0 WHERE symbol = 'S01' AND session = '2018-01-03'")
    monkeypatch.setattr(Seal, "holds", lambda self, table, row: row_hash(table, row))
    assert [(finding.kind, finding.table) for finding in verify(filled).findings] == [("row changed", "fills")]


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_no_value_of_any_row_or_entry_is_changed_unseen(filled: Ledger, tamper: Callable[..., None]) -> None:
    """Each column of each table in turn, in the middle row of several."""
    tamper()
    unseen = []
    for table in (*day_round(), "audit_chain"):
        with filled.engine.connect() as connection:
            names = [column["name"] for column in inspect(connection).get_columns(table)]
            sequence = connection.execute(
                text(f"SELECT sequence FROM {table} ORDER BY sequence LIMIT 1 OFFSET 1")
            ).scalar()
            for name in names:
                was = connection.execute(text(f"SELECT {name} FROM {table} WHERE sequence = {sequence}")).scalar()
                other = OTHERWISE.get(name, f"{was or ''}9" if was is None or isinstance(was, str) else 2 * was + 1)
                connection.execute(text(f"UPDATE {table} SET {name} = :v WHERE sequence = {sequence}"), {"v": other})
                connection.commit()
                if verify(filled).ok:
                    unseen.append(f"{table}.{name}")
                now = other if name == "sequence" else sequence
                connection.execute(text(f"UPDATE {table} SET {name} = :v WHERE sequence = {now}"), {"v": was})
                connection.commit()
    assert unseen == []
    assert verify(filled).ok


TAMPERED: list[tuple[list[str], str, str | None]] = [
    (["UPDATE fills SET price = price + 1e-9 WHERE symbol = 'S01'"], "row changed", "fills"),
    (["UPDATE orders SET reason_code = '' WHERE symbol = 'S01'"], "row changed", "orders"),
    (["UPDATE signals SET recorded_at = '2017-01-01 00:00:00.000000'"], "row changed", "signals"),
    (["UPDATE signals SET known_at = '2017-01-01 00:00:00.000000'"], "row changed", "signals"),
    (["UPDATE signals SET base_rate = NULL WHERE symbol = 'S01'"], "row changed", "signals"),
    (["UPDATE signals SET outcome_sessions = 76 WHERE symbol = 'S01'"], "row changed", "signals"),
    (["UPDATE position_steps SET weight_after = NULL WHERE step = 8"], "row changed", "position_steps"),
    (["UPDATE trading_states SET reasons = '{'"], "row unreadable", "trading_states"),
    (["DELETE FROM holdings WHERE symbol = 'S02'"], "row deleted", "holdings"),
    (["DELETE FROM drift WHERE sequence = (SELECT MAX(sequence) FROM drift)"], "row deleted", "drift"),
    (
        [
            "CREATE TEMP TABLE copied AS SELECT * FROM fills LIMIT 1",
            "UPDATE copied SET fill_id = 'forged', sequence = 100000",
            "INSERT INTO fills SELECT * FROM copied",
        ],
        "row without an entry",
        "fills",
    ),
    ([f"DELETE FROM audit_chain WHERE sequence = {ENTRY}"], "entry missing", None),
    ([f"UPDATE audit_chain SET row_hash = hash WHERE sequence = {ENTRY}"], "entry changed", None),
    ([f"UPDATE audit_chain SET table_name = 'nothing' WHERE sequence = {ENTRY}"], "entry changed", None),
    *(
        ([f"UPDATE audit_chain SET {change} WHERE sequence = {ENTRY}"], "entry changed", None)
        for change in (
            "rows = 2",
            "rows = NULL",
            "digests = NULL",
            "digests = SUBSTR(digests, 17, 16) || SUBSTR(digests, 1, 16) || SUBSTR(digests, 33)",
            "digests = SUBSTR(digests, 1, 40)",
            "run_id = 'other'",
            *(f"{name} = '2017-01-01 00:00:00.000000'" for name in ("recorded_at", "known_at", "reference_at")),
            "model_id = 'other'",
            "data_hash = NULL",
            "row_key = REPLACE(row_key, 'S01', 'S09')",
        )
    ),
    (["UPDATE audit_chain SET rows = 1 WHERE table_name = 'decisions'"], "entry changed", None),
    (["UPDATE signals SET run_id = 'other' WHERE symbol = 'S01'"], "row changed", "signals"),
    (["UPDATE decisions SET run_id = NULL"], "row changed", "decisions"),
    (
        [
            f"UPDATE audit_chain SET sequence = -7 WHERE sequence = {ENTRY}",
            "UPDATE audit_chain SET sequence = 7 WHERE sequence = 1",
            "UPDATE audit_chain SET sequence = 1 WHERE sequence = -7",
        ],
        "entry moved",
        None,
    ),
    (
        [
            "DELETE FROM audit_chain WHERE sequence = (SELECT MAX(sequence) FROM audit_chain)",
            "DELETE FROM audit_chain WHERE sequence = (SELECT MAX(sequence) FROM audit_chain)",
        ],
        "row without an entry",
        None,
    ),
]
FIRST_OF_KIND = {case[1]: number for number, case in reversed([*enumerate(TAMPERED)])}
ON_A_SERVER = [("postgresql", *case) for case in TAMPERED]


@pytest.mark.parametrize(
    ("ledger_url", "statements", "kind", "table"),
    [
        *(("sqlite", *case) for case in TAMPERED),
        *often(ON_A_SERVER, *(ON_A_SERVER[number] for number in FIRST_OF_KIND.values())),
    ],
    indirect=["ledger_url"],
)
def test_tampering_is_found(
    filled: Ledger, tamper: Callable[..., None], statements: list[str], kind: str, table: str | None
) -> None:
    tamper(*statements)
    report = verify(filled)
    assert not report.ok
    assert kind in {finding.kind for finding in report.findings}
    assert table is None or table in {finding.table for finding in report.findings}
    with pytest.raises(AuditError, match="backup"):
        report.demand_ok()


@pytest.mark.full
@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE fills SET price = 'cheap' WHERE symbol = 'S01'", "row changed"),
        ("UPDATE fills SET session = 'never' WHERE symbol = 'S01' AND session = '2018-01-02'", "row unreadable"),
    ],
)
def test_a_value_that_only_a_database_without_strict_types_takes_is_found(
    filled: Ledger, tamper: Callable[..., None], statement: str, kind: str
) -> None:
    tamper(statement)
    assert ("fills", kind) in {(finding.table, finding.kind) for finding in verify(filled).findings}


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE decisions SET session = '2018-W01-2' WHERE session = '2018-01-02'",
        "UPDATE decisions SET known_at = REPLACE(known_at, ' ', 'T')",
        "UPDATE audit_chain SET known_at = REPLACE(known_at, ' ', 'T') WHERE rows = 3",
        "UPDATE drift SET drifted = 7 + drifted",
        """UPDATE portfolio_states SET book = '{"targets": 7,' || SUBSTR(book, 2)""",
    ],
)
def test_a_value_spelled_so_that_queries_pass_it_over_is_found(
    filled: Ledger, tamper: Callable[..., None], statement: str
) -> None:
    """A text is compared by SQLite as it stands: a day of another spelling is of no session, a moment never reached."""
    tamper(statement)
    report, table = verify(filled), statement.split()[1]
    findings = [finding for finding in report.findings if (finding.table, finding.kind) == (table, "row unreadable")]
    assert findings
    assert table == CHAIN.name or (findings[0].sequence > 0 and findings[0].key.startswith('["demo","2018-01-0'))
    with pytest.raises(AuditError, match="backup"):
        report.demand_ok()


@pytest.mark.full
def test_two_rows_that_changed_places_are_found(filled: Ledger, tamper: Callable[..., None]) -> None:
    first, second = filled.read("holdings", bookkeeping=True)["sequence"].iloc[:2]
    tamper(
        f"UPDATE holdings SET sequence = -1 WHERE sequence = {first}",
        f"UPDATE holdings SET sequence = {first} WHERE sequence = {second}",
        f"UPDATE holdings SET sequence = {second} WHERE sequence = -1",
    )
    assert [(finding.sequence, finding.kind) for finding in verify(filled).findings] == [
        (first, "row changed"),
        (second, "row changed"),
    ]


@pytest.mark.full
def test_the_first_broken_entry_is_named(filled: Ledger, tamper: Callable[..., None]) -> None:
    sequence = int(
        filled.read("fills", first="2018-01-03", where={"symbol": "S01"}, bookkeeping=True)["sequence"].iloc[0]
    )
    tamper("UPDATE fills SET price = 1.0 WHERE symbol = 'S01' AND session = '2018-01-03'")
    report = verify(filled)
    assert len(report.findings) == 1
    assert report.first_broken is not None
    assert (report.first_broken.sequence, report.first_broken.table) == (sequence, "fills")
    assert report.first_broken.key == json.dumps(["demo", fill_id("2018-01-03", "S01"), 1], separators=(",", ":"))


@pytest.mark.full
def test_a_tail_cut_off_whole_is_found_only_with_a_head_kept_elsewhere(
    filled: Ledger, tamper: Callable[..., None]
) -> None:
    head = str(filled.head())
    assert verify(filled, expected_head=head).ok
    kept = filled.chain()["sequence"].iloc[-2]
    holding = [
        f"DELETE FROM {table} WHERE sequence > {kept}"
        for table, rows in verify(filled).rows.items()
        if rows and filled.read(table, bookkeeping=True)["sequence"].max() > kept
    ]
    tamper(*holding, f"DELETE FROM audit_chain WHERE sequence > {kept}")
    assert verify(filled).ok  # what is left is consistent: by itself it cannot betray the cut
    broken = verify(filled, expected_head=head).first_broken
    assert broken is not None
    assert broken.kind == "head lost"


@pytest.mark.full
def test_a_head_stays_valid_while_the_ledger_grows(filled: Ledger) -> None:
    head = filled.head()
    append_round(filled, day_round("2018-01-04", symbols=1))
    assert verify(filled, expected_head=head).ok


@pytest.mark.full
def test_something_that_is_no_head_is_refused(filled: Ledger) -> None:
    with pytest.raises(AuditError, match="no-head"):
        verify(filled, expected_head="no-head")


@pytest.mark.full
def test_missing_guards_are_reported_though_nothing_was_changed(filled: Ledger, tamper: Callable[..., None]) -> None:
    tamper()
    report = verify(filled)
    assert report.ok
    assert set(report.unguarded) == {*TABLES, CHAIN.name}


@pytest.mark.full
@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("state", ["DISABLE TRIGGER signals_append_only", "ENABLE REPLICA TRIGGER signals_append_only"])
def test_a_guard_that_stands_elsewhere_or_sleeps_guards_nothing(filled: Ledger, state: str) -> None:
    with filled.engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE signals {state}"))
        connection.execute(text("CREATE SCHEMA elsewhere"))
        connection.execute(text("CREATE TABLE elsewhere.signals (n int)"))
        fires = "BEFORE UPDATE OR DELETE ON elsewhere.signals FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        connection.execute(text(f"CREATE TRIGGER signals_append_only {fires}"))
    assert verify(filled).unguarded == ("signals",)


@IN_A_FILE_FIRST
@pytest.mark.parametrize("rows_a_fetch", [1, 4, 5])
def test_a_chain_fetched_piece_by_piece_is_read_whole_and_once(
    filled: Ledger, monkeypatch: pytest.MonkeyPatch, rows_a_fetch: int
) -> None:
    entries = 2 * len(day_round())
    assert entries % 4 == 0 or entries % 5 == 0  # one of the pieces ends where the chain does
    monkeypatch.setattr(reading, "_ROWS_A_FETCH", rows_a_fetch)
    report = verify(filled)
    assert (report.ok, report.entries) == (True, entries)
