"""Bars of one's own, good and bad: each fault is named with its place, and what was stored stays as it was.

Some of each kind go through the command; the others through the operations that it runs, which are cheaper to run.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.errors import SchemaError, SourceError
from tests.cli.conftest import FIRST, LIVE, NEGATIVE, SYMBOLS, call, delivered_bars
from tests.operations.homes import decide, take_in
from tests.orchestration.conftest import living_in, strategy_of

# Line 201 of every file, the header being line 1; nothing else about the day is special.
ROW, DAY = 200, "2015-10-16"


def lines_of(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


def rewrite(file: Path, lines: list[str]) -> None:
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def with_cell(column: str, value: str) -> Callable[[Path], None]:
    """Put a value into one cell of that day."""

    def change(file: Path) -> None:
        lines = lines_of(file)
        cells = lines[ROW].split(",")
        assert cells[0] == DAY
        cells[lines[0].split(",").index(column)] = value
        rewrite(file, [*lines[:ROW], ",".join(cells), *lines[ROW + 1 :]])

    return change


def with_symbol_column(symbol: str) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        header, *rows = lines_of(file)
        rewrite(file, [f"{header},Symbol", *(f"{row},{symbol}" for row in rows)])

    return change


def stored(home: Path) -> dict[str, str]:
    """Hash of every file of the lake and the models, and the content of the ledger."""
    files = [*(home / "lake").rglob("*"), *(home / "models").rglob("*")]
    hashes = {
        str(file.relative_to(home)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file() and file.name != ".lock"
    }
    with closing(sqlite3.connect(home / "ledger.sqlite")) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {
            name: sorted(map(repr, connection.execute(f'SELECT * FROM "{name}"')))
            for name in names
            if name not in ("audit_chain", "outcomes", "verifications")  # of how runs went
        }
    return hashes | {"ledger": hashlib.sha256(repr(rows).encode()).hexdigest()}


def published(home: Path) -> dict[str, str]:
    """What the strategy is served: the publication, what it points at, and everything derived."""
    return {name: content for name, content in stored(home).items() if "/raw_bars/" not in name}


def table(home: Path, name: str, *options: str) -> pd.DataFrame:
    out = home.parent / f"{name}.json"
    assert call(home, "export", name, "--out", out, "-s", "mine", *options, "--json").status == 0
    return pd.DataFrame(json.loads(out.read_text(encoding="utf-8")))


# --- the way in --------------------------------------------------------------------------------------------


def test_a_folder_of_csv_files_becomes_published_bars_with_one_row_in_quarantine(finished_home, tmp_path) -> None:
    out = tmp_path / "bars.parquet"
    assert call(finished_home, "export", "bars", "--out", out, "-s", "mine").status == 0
    bars = pd.read_parquet(out)
    delivered = delivered_bars()
    delivered = delivered.assign(symbol=delivered["symbol"].map(SYMBOLS))
    expected = delivered[
        (delivered["session"] < "2016-05-02")
        & ~((delivered["symbol"] == NEGATIVE[0]) & (delivered["session"] == NEGATIVE[1]))
    ].sort_values(["symbol", "session"])
    columns = ["symbol", "session", "open", "high", "low", "close", "volume"]
    pd.testing.assert_frame_equal(
        bars[columns].reset_index(drop=True),
        expected[columns].reset_index(drop=True),
        check_dtype=False,
        check_exact=True,
    )
    assert set(bars["source"]) == {f"files:{symbol}_data.csv" for symbol in SYMBOLS.values()}


def test_the_vault_is_not_even_read_into_the_lake(finished_home) -> None:
    segments = list((finished_home / "lake" / "mine" / "raw_bars").rglob("*.parquet"))
    assert segments
    assert max(pd.read_parquet(file, columns=["session"])["session"].max() for file in segments) < pd.Timestamp(
        "2016-05-02"
    )


# --- faults of a file: refused, and nothing is stored -------------------------------------------------------

REFUSED: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "a missing column": (
        lambda file: rewrite(file, [lines_of(file)[0].replace("Close", "Klose"), *lines_of(file)[1:]]),
        ["rule complete_columns", "column close", "'Klose'"],
    ),
    "text in a price": (
        with_cell("Close", "abc"),
        ["row 201", "symbol CON", f"session {DAY}", "rule numbers_are_numbers", "column close", "value 'abc'"],
    ),
    "a thousands separator": (with_cell("Volume", '"1,000"'), ["rule numbers_are_numbers", "value '1,000'"]),
    "a date that is none": (with_cell("Date", "16.10.2015"), ["row 201", "rule dates_are_days", "'16.10.2015'"]),
    "an empty file": (lambda file: file.write_bytes(b""), ["rule not_empty", "0 bytes"]),
    "a header alone": (lambda file: rewrite(file, lines_of(file)[:1]), ["rule not_empty"]),
    "a file that is not text": (lambda file: file.write_bytes(bytes(range(256)) * 20), ["rule readable"]),
    "a symbol that is a path": (
        with_symbol_column("../../x"),
        ["rule legal_symbol", "symbol '../../x'", "row 2"],
    ),
    "a symbol that is a formula": (with_symbol_column("=cmd()"), ["rule legal_symbol", "symbol '=cmd()'"]),
    "two headers": (
        lambda file: rewrite(file, [*lines_of(file), *lines_of(file)]),
        ["rule one_header", "row 356", "value 'Date'"],
    ),
}


def refusal_of_the_command(home: Path) -> str:
    answer = call(home, "run", "-s", "mine", "--session", LIVE[2], "--json")
    assert answer.status == 1
    assert "Traceback" not in answer.out + answer.err
    assert "Stack Trace" not in answer.out + answer.err
    message = str(answer.document["message"])
    assert "mine__raw_bars failed" in message
    return message


def refusal_of_the_operation(home: Path) -> str:
    with living_in(home), pytest.raises((SourceError, SchemaError)) as caught:
        take_in(strategy_of("mine"))
    return str(caught.value)


THROUGH_THE_COMMAND = ("text in a price",)


@pytest.mark.full
@pytest.mark.parametrize("case", REFUSED)
def test_a_file_at_fault_is_refused_by_name_and_nothing_is_stored(own_home, case) -> None:
    spoil, expected = REFUSED[case]
    file = own_home / "strategies" / "bars" / "CON_data.csv"
    before = stored(own_home)
    spoil(file)
    refusal = refusal_of_the_command if case in THROUGH_THE_COMMAND else refusal_of_the_operation
    message = refusal(own_home)
    assert all(part in message for part in (f"file {file}", *expected, "expected", "found", "Remedy")), message
    assert stored(own_home) == before


@pytest.mark.full
def test_a_symbol_that_is_gone_is_named(own_home) -> None:
    before = stored(own_home)
    (own_home / "strategies" / "bars" / "CON_data.csv").unlink()
    message = refusal_of_the_command(own_home)
    assert "[symbol CON]" in message
    assert "no bar of CON" in message
    assert stored(own_home) == before


def test_a_folder_that_is_gone_is_named(own_home) -> None:
    bars = own_home / "strategies" / "bars"
    bars.rename(own_home / "elsewhere")
    assert f"file {bars}, rule files_there" in refusal_of_the_operation(own_home)


# --- faults of a row: quarantine ----------------------------------------------------------------------------


def repeat(change: Callable[[str], str]) -> Callable[[Path], None]:
    """Deliver that day a second time, changed."""

    def spoil(file: Path) -> None:
        lines = lines_of(file)
        rewrite(file, [*lines[: ROW + 1], change(lines[ROW]), *lines[ROW + 1 :]])

    return spoil


QUARANTINED: dict[str, tuple[Callable[[Path], object], str, str, str]] = {
    "a negative price": (with_cell("Open", "-3.5"), "non_positive_price", "open", "-3.5"),
    "no price": (with_cell("Low", ""), "missing_price", "low", "nan"),
    "a high below the low": (with_cell("High", "0.5"), "", "high", "0.5"),
    "no volume": (with_cell("Volume", "0"), "zero_volume", "volume", "0.0"),
}


def round_of_the_command(home: Path) -> None:
    answer = call(home, "run", "-s", "mine", "--session", LIVE[1], "--json")
    assert answer.status == 0, answer.out


def round_of_the_operations(home: Path) -> None:
    with living_in(home):
        take_in(strategy_of("mine"))
        decide(strategy_of("mine"), [pd.Timestamp(LIVE[1])])


@pytest.mark.full
@pytest.mark.parametrize("case", QUARANTINED)
def test_a_row_at_fault_goes_to_quarantine_with_rule_field_and_value(own_home, case) -> None:
    spoil, rule, field, value = QUARANTINED[case]
    decided = {name: table(own_home, name).to_json() for name in ("signals", "positions", "orders", "fills")}
    spoil(own_home / "strategies" / "bars" / "CON_data.csv")
    give_round = round_of_the_command if case == "no price" else round_of_the_operations
    give_round(own_home)
    row = table(own_home, "quarantine").set_index("session").loc[DAY]
    assert (row["symbol"], row["field"], row["value"]) == ("CON", field, value)
    assert row["rule"].startswith(rule)
    assert row["source"] == "files:CON_data.csv"
    # The row had been good when the session was decided: the restated one changes no decision on record.
    assert {name: table(own_home, name).to_json() for name in decided} == decided


@pytest.mark.full
def test_two_different_bars_of_one_session_go_to_quarantine(own_home) -> None:
    file = own_home / "strategies" / "bars" / "CON_data.csv"
    repeat(lambda line: line.rsplit(",", 1)[0] + ",77")(file)
    round_of_the_operations(own_home)
    quarantine = table(own_home, "quarantine", "--from", DAY, "--to", DAY)
    assert set(quarantine["symbol"]) == {"CON"}
    assert quarantine["rule"].str.contains("duplicate").all()


@pytest.mark.full
def test_a_bar_on_a_holiday_goes_to_quarantine(own_home) -> None:
    file = own_home / "strategies" / "bars" / "CON_data.csv"
    good_friday = "2016-03-25," + lines_of(file)[ROW].split(",", 1)[1]
    rewrite(file, [*lines_of(file), good_friday])
    round_of_the_operations(own_home)
    row = table(own_home, "quarantine", "--from", "2016-03-25", "--to", "2016-03-25").iloc[0]
    assert row["rule"] == "off_calendar"
    assert (row["field"], row["value"]) == ("session", "2016-03-25")


# --- the gate: too much of it halts -------------------------------------------------------------------------


@pytest.mark.full
def test_too_many_bad_rows_halt_the_run_and_the_last_publication_stays(own_home) -> None:
    file = own_home / "strategies" / "bars" / "CON_data.csv"
    good = file.read_bytes()
    lines = lines_of(file)
    rewrite(file, [lines[0], *(line.replace(",", ",-", 1) for line in lines[1:])])
    before = published(own_home)
    answer = call(own_home, "run", "-s", "mine", "--session", LIVE[2], "--json")
    assert answer.status == 1
    message = answer.document["message"]
    assert "mine__validated_bars failed" in message
    assert "rule quarantined_share" in message
    assert "limit 2.00%" in message
    assert f"CON {FIRST}: non_positive_price, open -" in message
    assert "the last published data stay in force" in message
    assert "Stack Trace" not in answer.err
    assert published(own_home) == before
    assert call(own_home, "status", "-s", "mine", "--json").document["strategies"]["mine"]["undecided_sessions"] == 1
    # Mended at the source, the same command goes through.
    file.write_bytes(good)
    assert call(own_home, "run", "-s", "mine", "--session", LIVE[2], "--json").status == 0


# --- the strategy file ---------------------------------------------------------------------------------------

UNREADABLE: dict[str, tuple[bytes, list[str]]] = {
    "no YAML": (b"name: [mine\n", ["a readable YAML mapping", "line 1"]),
    "not text": (b"\xff\xfe\x00name", ["UTF-8"]),
    "empty": (b"", ["a YAML mapping of settings"]),
    "a list": (b"- name\n", ["a YAML mapping of settings", "list"]),
    "an unknown key": (b"name: mine\nmarket: {history_starts: 2015-01-02, horizon: 3}\n", ["market.horizon = 3"]),
    "a word for a number": (
        b"name: mine\nmarket: {history_starts: 2015-01-02}\nlearning: {lookback: ten}\n",
        ["learning.lookback = 'ten'", "a whole number was expected"],
    ),
    "a key twice": (
        b"name: mine\nname: yours\nmarket: {history_starts: 2015-01-02}\n",
        ["name stands twice, lines 1 and 2"],
    ),
    "no path for files": (
        b"name: mine\nsource: {kind: files}\nmarket: {history_starts: 2015-01-02}\n",
        ["source.path", "a file or a folder"],
    ),
    "a name taken": (b"name: index_daily\nmarket: {history_starts: 2015-01-02}\n", ["one strategy of each name"]),
    "a name that is a path": (b"name: ../x\nmarket: {history_starts: 2015-01-02}\n", ["name = '../x'"]),
    "a calendar that is none": (
        b"name: mine\nmarket: {calendar: NYSE_OF_MARS, history_starts: 2015-01-02}\n",
        ["'NYSE_OF_MARS'", "exchange_calendars"],
    ),
}


@pytest.mark.full
@pytest.mark.parametrize("case", UNREADABLE)
def test_a_strategy_file_at_fault_is_refused_with_file_key_value_and_what_was_expected(own_home, case) -> None:
    content, expected = UNREADABLE[case]
    file = own_home / "strategies" / "mine.yaml"
    file.write_bytes(content)
    answer = call(own_home, "run", "-s", "mine", "--session", LIVE[2], "--json")
    assert answer.status == 1
    assert answer.document["error"] == "SettingsError"
    message = answer.document["message"]
    named = [] if case == "a calendar that is none" else [f"file {file}"]
    assert all(part in message for part in (*named, *expected, "expected", "found", "Remedy")), message
    assert "Traceback" not in answer.out + answer.err
