"""A home that version 0.1 left behind opens, verifies and goes on, by the command line and plain SQLite alone.

What the home holds is told in the package's docstring. The figures here are literals: they were read off that home
when it was made, and nothing that comes later may change them. Of ``nn_assets`` only the command line is imported, so
that these tests stay as they are while everything behind it moves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.home_0_1.older_home import columns, exported, give, lived_in, reading, rows, verified

ARCHIVE = Path(__file__).with_name("home.tar.gz")
HEAD = "1015:6ee40e0f09422a07027b5dd065818857752eaa45fa0fb5737c8b029930af06f6"
DECIDED, NEXT = "2016-06-24", "2016-06-27"

# The settings of pair leave `portfolio.construction` out: since then that is `programme` where the label is relative,
# and the study of its book as it was made before is none of the strategy's any more.
STATUS: dict[str, dict[str, object]] = {
    "house": {
        "last_session": "2016-06-30",
        "published_to": "2016-06-30",
        "quarantined": 1,
        "study_to": "2016-06",
        "verdict": "signal found",
        "models": 2,
        "decided_to": DECIDED,
        "undecided_sessions": 4,
        "equity_usd": 994442.6679967721,
        "breaker": None,
        "trading_state": "CONTINUE",
        "kill_switch": "ACTIVE",
        "faults": [],
        "missing": [],
    },
    "pair": {
        "last_session": "2016-06-30",
        "published_to": "2016-06-30",
        "quarantined": 0,
        "study_to": None,
        "verdict": None,
        "models": 2,
        "decided_to": "2016-06-27",
        "undecided_sessions": 3,
        "equity_usd": 1_000_000.0,
        "breaker": None,
        "trading_state": "CONTINUE",
        "kill_switch": "ACTIVE",
        "faults": [],
        "missing": [],
    },
}

ROWS = {
    "audit_chain": 1015,
    "controls": 2,
    "cost_models": 0,
    "decisions": 13,
    "drift": 124,
    "fills": 32,
    "holdings": 68,
    "models": 12,
    "orders": 36,
    "portfolio_states": 13,
    "position_steps": 544,
    "publications": 3,
    "refresh_requests": 0,
    "settings_versions": 2,
    "signals": 67,
    "studies": 12,
    "target_positions": 68,
    "trading_states": 13,
    "trials": 6,
}
# Of house, for the session after the last that was decided.
HELD = {"BRK.B": 1569.0, "CON": 3737.0, "KO": 0.0, "NAN": 0.0, "TRUE": 1615.0}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with lived_in(ARCHIVE, tmp_path / "home") as folder:
        yield folder


@pytest.mark.full
def test_the_ledger_verifies_and_its_head_is_the_one_written_down_then(home) -> None:
    assert verified()["head"] == HEAD
    assert give("audit", "verify", "--head", HEAD).status == 0


def test_the_ledger_holds_the_rows_that_were_written_then(home) -> None:
    counts = {table: len(table_rows) for table, table_rows in rows(home, columns(home)).items()}
    assert {table: counts.get(table) for table in ROWS} == ROWS


@pytest.mark.full
def test_status_tells_what_was_decided(home) -> None:
    answer = give("status", "--json")
    assert answer.status == 0, answer.out
    strategies = answer.document["strategies"]
    assert set(STATUS) <= set(strategies)
    for strategy, expected in STATUS.items():
        assert {key: strategies[strategy].get(key, "absent") for key in expected} == expected


@pytest.mark.full
def test_a_study_of_then_is_the_strategy_s_own_where_the_book_is_stated_as_it_was_made_then(home) -> None:
    file = home / "strategies" / "pair.yaml"
    file.write_text(file.read_text("utf-8").replace("portfolio:\n", "portfolio:\n  construction: per_name\n"), "utf-8")
    state = give("status", "--json").document["strategies"]["pair"]
    assert (state["study_to"], state["verdict"]) == ("2016-06", "cannot tell: 1,586 more sessions needed")


@pytest.mark.full
def test_a_balanced_book_goes_on_by_the_programme(home) -> None:
    answer = give("run", "--strategy", "pair", "--session", "2016-06-28", "--json")
    assert answer.status == 0, answer.out
    state = give("status", "--strategy", "pair", "--json").document["strategies"]["pair"]
    assert (state["decided_to"], state["undecided_sessions"]) == ("2016-06-28", 2)
    with reading(home) as connection:
        targets = connection.execute("SELECT session, symbol FROM target_positions WHERE strategy = 'pair'").fetchall()
        rows = {day for (day,) in connection.execute("SELECT session FROM position_steps WHERE strategy = 'pair'")}
    sessions, symbols = sorted({day for day, _ in targets}), sorted({symbol for _, symbol in targets})
    assert rows == set(sessions[:-1])  # of before; now the steps lie in a file
    assert sessions[-1] == "2016-06-28"
    asked = [f"session={day}" for day in sessions[-2:]] + [f"symbol={symbol}" for symbol in symbols]
    why = [word for value in asked for word in ("--value", value)]
    steps = give("query", "why_this_size", "-s", "pair", *why, "--json").document["rows"]
    assert len(steps) == 2 * 8 * len(symbols)
    now = [row["reason"] for row in steps if row["session"] == "2016-06-28"]
    assert len(now) == 8 * len(symbols)
    assert any("beside a base rate of" in reason for reason in now)
    verified()


def test_the_positions_exported_are_those_of_then(home, tmp_path) -> None:
    positions = exported("positions", tmp_path / "x.csv")
    with reading(home) as connection:
        kept = connection.execute(
            "SELECT session, symbol, current_quantity, target_quantity, target_weight, reference_price, stop_price "
            "FROM target_positions WHERE strategy = 'house'"
        ).fetchall()
    assert len(positions) == len(kept) == 50
    indexed = {(row["session"][:10], row["symbol"]): row for row in positions}
    for session, symbol, *figures in kept:
        row = indexed[str(session)[:10], symbol]
        names = ("current_quantity", "target_quantity", "target_weight", "reference_price", "stop_price")
        assert [row[name] and float(row[name]) for name in names] == [
            "" if figure is None else figure for figure in figures
        ]
    assert {key[1]: float(row["target_quantity"]) for key, row in indexed.items() if key[0] == DECIDED} == HELD


def test_the_next_session_is_decided_and_no_row_of_before_is_changed(home, tmp_path) -> None:
    known = columns(home)
    before = rows(home, known)
    positions = exported("positions", tmp_path / "before.csv")
    fitted = sorted(path.name for path in (home / "models").glob("*/*"))

    answer = give("run", "--strategy", "house", "--session", NEXT, "--json")
    assert (answer.document["strategy"], answer.document["session"]) == ("house", NEXT)
    # The record of then kept no hash of what it was made of: its months are made again, and live and study agree.
    assert answer.status == 0
    assert sorted(path.name for path in (home / "models").glob("*/*")) == fitted
    assert fitted

    assert all(set(names) <= set(columns(home).get(table, ())) for table, names in known.items())
    after = rows(home, known)
    for table, kept in before.items():
        lost = set(kept) - set(after[table])
        assert not lost, (table, sorted(lost, key=repr)[:3])
        assert len(after[table]) >= len(kept), table
    assert len(after["decisions"]) == len(before["decisions"]) + 1
    assert len(after["signals"]) == len(before["signals"]) + 5

    assert exported("positions", tmp_path / "again.csv", "--to", DECIDED) == positions
    state = give("status", "--strategy", "house", "--json").document["strategies"]["house"]
    assert (state["decided_to"], state["undecided_sessions"]) == (NEXT, 3)
    assert verified()["head"] != HEAD
    assert give("audit", "verify", "--head", HEAD).status == 0


def assert_only_kept_on_record(before: dict[str, list[tuple]], after: dict[str, list[tuple]]) -> None:
    """Demand that nothing of before is gone, and that all that came are moments of the chain and a publication.

    The rules that judge bars are others than then, so that the same bars are published again.
    """
    assert all(set(kept) <= set(after[table]) for table, kept in before.items())
    added = {table: set(after[table]) - set(kept) for table, kept in before.items()}
    assert {table for table, rows in added.items() if rows} == {"audit_chain", "publications"}
    assert all({"verifications", "outcomes", "publications"} & set(map(str, row)) for row in added["audit_chain"])


# What version 0.1 decided followed its own rules: its calibration was the model's, and no decision kept one.
@pytest.mark.full
def test_a_session_decided_then_is_compared_with_what_its_rules_decided_and_nothing_changes(home) -> None:
    known = columns(home)
    before = rows(home, known)
    answer = give("run", "--strategy", "house", "--session", DECIDED, "--json")
    (comparison,) = answer.document["compared"]
    match = re.search(r"what is on record stands: code (\w+) decided it, (\w+) is in force, and differs by", comparison)
    assert match
    assert match[1] != match[2]
    assert "details.calibration None on record, {" in comparison
    assert_only_kept_on_record(before, rows(home, known))
    assert give("audit", "verify", "--head", HEAD).status == 0
