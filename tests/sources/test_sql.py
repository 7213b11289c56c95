"""Queries to SQLite files and to a real PostgreSQL server."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest
from sqlalchemy import create_engine, text

from nn_assets.sources.answers import Scope
from nn_assets.sources.keys import EnvironmentKey
from nn_assets.sources.protocol import taken_outside
from nn_assets.sources.sql import SqlSource
from tests.postgres import Server
from tests.sources.contract import SourceContract
from tests.sources.members import MemberContract
from tests.sources.secrets import SECRET, refused

ADDRESS = "TEST_MARKET_DATABASE_URL"
QUERY = (
    "SELECT ticker, day, open, high, low, close, volume FROM bars "
    "WHERE ticker IN :symbols AND day BETWEEN :first AND :last"
)
ROWS = [
    ("ABC", dt.date(2018, 1, 2), 10.0, 11.0, 9.0, 10.5, 1000.0),
    ("ABC", dt.date(2018, 1, 3), 10.5, 12.0, 10.0, 11.5, 1100.0),
    ("ABC", dt.date(2018, 1, 4), 11.5, 12.0, 11.0, 11.75, 900.0),
    ("XYZ", dt.date(2018, 1, 2), 20.0, 21.0, 19.0, 20.5, 2000.0),
    ("XYZ", dt.date(2018, 1, 3), 20.5, 22.0, 20.0, 21.5, 2100.0),
    ("XYZ", dt.date(2018, 1, 4), 21.5, 22.0, 21.0, 21.75, 1900.0),
    ("ZZZ", dt.date(2018, 1, 4), 1.0, 1.0, 1.0, 1.0, 1.0),
]
SCOPE = Scope("XNYS", ("ABC", "XYZ"), dt.date(2018, 1, 2))


def asking(query: str = QUERY, **settings: object) -> SqlSource:
    return SqlSource(SCOPE, EnvironmentKey(ADDRESS), query, **settings)  # type: ignore[arg-type]


class KeepsTheContract(SourceContract):
    symbols = ("ABC", "XYZ")
    rows = 6
    known_bar = ("XYZ", "2018-01-03", 20.5, 22.0, 20.0, 21.5)


@pytest.fixture
def sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SQLite file with bars, named by the variable."""
    file = tmp_path / "market data.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE bars (ticker TEXT, day DATE, open, high, low, close, volume)")
        rows = [(row[0], row[1].isoformat(), *row[2:]) for row in ROWS]
        connection.executemany("INSERT INTO bars VALUES (?,?,?,?,?,?,?)", rows)
    connection.close()
    monkeypatch.setenv(ADDRESS, f"sqlite:///{file}")
    return file


def test_a_query_may_give_details_and_a_column_of_text_is_none(sqlite: Path, caplog: pytest.LogCaptureFixture) -> None:
    details = "(high + low) / 2 AS vwap, NULL AS bid, 'none stated' AS trades"
    bars = asking(
        f"SELECT ticker AS symbol, day AS session, open, high, low, close, volume, {details} FROM bars"
    ).bars()
    assert bars["vwap"].tolist() == ((bars["high"] + bars["low"]) / 2).tolist()
    assert bars["bid"].isna().all()
    assert "trades" not in bars.columns
    assert "the column of trades holds 'none stated'" in caplog.text


class TestSqlite(KeepsTheContract, MemberContract):
    kind = "sql"
    delivers = ("bars", "actions", "known_at")
    market = {"history_starts": "2018-01-02"}  # noqa: RUF012

    @pytest.fixture
    def source(self, sqlite: Path) -> SqlSource:
        return asking()

    @pytest.fixture
    def own_keys(self) -> dict[str, str]:
        return {"url_env": ADDRESS, "query": QUERY}


@pytest.fixture(scope="module")
def database(postgres_server: Server) -> Iterator[str]:
    """A PostgreSQL database with the same bars; prices as NUMERIC, as many write them."""
    name = postgres_server.create()
    postgres_server.execute(f"CREATE ROLE owner LOGIN SUPERUSER PASSWORD '{SECRET}'")
    address = postgres_server.url(name, "owner", SECRET)
    engine = create_engine(address.replace("postgresql", "postgresql+psycopg", 1))
    with engine.begin() as connection:
        kinds = ", ".join(f"{name} NUMERIC(12, 4)" for name in ("open", "high", "low", "close"))
        connection.execute(text(f"CREATE TABLE bars (ticker TEXT, day DATE, {kinds}, volume BIGINT)"))
        body = "BEGIN DELETE FROM bars; RETURN 1; END"
        connection.execute(text(f"CREATE FUNCTION take_away() RETURNS int LANGUAGE plpgsql AS '{body}'"))
        named = [dict(zip("abcdefg", row, strict=True)) for row in ROWS]
        connection.execute(text("INSERT INTO bars VALUES (:a, :b, :c, :d, :e, :f, :g)"), named)
    engine.dispose()
    yield name
    postgres_server.drop(name)
    postgres_server.execute("DROP ROLE owner")


@pytest.fixture
def postgres(database: str, postgres_server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database, named by the variable as people write it: without a driver."""
    monkeypatch.setenv(ADDRESS, postgres_server.url(database, "owner", SECRET))
    return database


class TestPostgres(KeepsTheContract):
    @pytest.fixture
    def source(self, postgres: str) -> SqlSource:
        return asking()


def test_a_query_that_would_write_to_postgres_is_refused_and_nothing_is_written(postgres, caplog) -> None:
    error = refused(caplog, asking("SELECT take_away()").bars)
    assert error.where["rule"] == "query_answered"
    assert "read-only transaction" in error.found
    assert len(asking().bars()) == 6


def test_nothing_is_written_where_a_database_knows_no_read_only_transactions(postgres, caplog, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("nn_assets.sources.database._make_read_only", lambda _: None)
        assert refused(caplog, asking("SELECT take_away() AS symbol").bars).where["rule"] == "complete_columns"
    assert len(asking().bars()) == 6


def test_a_wrong_password_is_told_without_the_password(postgres, postgres_server, caplog, monkeypatch) -> None:
    monkeypatch.setenv(ADDRESS, postgres_server.url(postgres, "owner", SECRET + "x"))
    error = refused(caplog, asking().bars)
    assert "password authentication failed" in error.found
    assert ADDRESS in error.remedy


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://owner:{quote(SECRET, safe='')}@127.0.0.1:1/postgres",
        f"postgresql://owner:pw@127.0.0.1:1/postgres?sslpassword={quote(SECRET, safe='')}",
        f"nosuchdatabase://owner:{quote(SECRET, safe='')}@host/name",
        f"no address {SECRET}",
        f"postgresql://owner@host:{SECRET}/name",
        "",
    ],
)
def test_an_address_that_leads_nowhere_is_told_without_being_quoted(address, caplog, monkeypatch) -> None:
    monkeypatch.setenv(ADDRESS, address)
    error = refused(caplog, asking().bars)
    assert ADDRESS in str(error) or error.where["rule"] == "driver_installed"


def test_a_sqlite_file_that_is_not_there_is_named(tmp_path, caplog, monkeypatch) -> None:
    file = tmp_path / "none.sqlite"
    monkeypatch.setenv(ADDRESS, f"sqlite:///{file}?password={SECRET}")
    error = refused(caplog, asking().bars)
    assert error.where == {"source": "sql", "rule": "reachable", "file": str(file)}
    assert ADDRESS in error.remedy
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(ADDRESS, "sqlite:///none.sqlite")
    assert refused(caplog, asking().bars).where["file"] == str(file)


def test_the_address_is_needed_only_when_data_are_asked_for(monkeypatch) -> None:
    monkeypatch.delenv(ADDRESS, raising=False)
    assert ADDRESS in repr(asking())


def test_a_sqlite_query_that_would_write_is_refused_and_nothing_is_written(sqlite, caplog) -> None:
    before = sqlite.read_bytes()
    error = refused(caplog, asking("DELETE FROM bars WHERE ticker IN :symbols").bars)
    assert error.where["rule"] == "reads_rows"
    assert sqlite.read_bytes() == before


def test_a_write_behind_with_is_refused_by_sqlite_and_nothing_is_written(sqlite, caplog) -> None:
    before = sqlite.read_bytes()
    error = refused(caplog, asking("WITH old AS (SELECT 1) DELETE FROM bars WHERE ticker IN :symbols").bars)
    assert "readonly" in error.found
    assert sqlite.read_bytes() == before


@pytest.mark.parametrize(
    "query",
    [
        "VACUUM INTO '{}'",
        "ATTACH '{}' AS other",
        "/* SELECT */ -- WITH\n VACUUM INTO '{}'",
        "/* */ VACUUM INTO '{}' -- */ SELECT",
    ],
)
def test_a_statement_that_does_not_read_is_refused_before_it_leaves_a_file(sqlite, caplog, query) -> None:
    error = refused(caplog, asking(query.format(sqlite.with_name("left"))).bars)
    assert error.where["rule"] == "reads_rows"
    assert [file.name for file in sqlite.parent.iterdir()] == [sqlite.name]


@pytest.mark.parametrize("begin", ["-- bars\n", "/* bars */ ", "\n WITH one AS (SELECT 1) "])
def test_a_query_may_begin_with_a_comment_or_with(sqlite, begin) -> None:
    assert len(asking(begin + QUERY.lower()).bars()) == 6


@pytest.mark.parametrize("query", ["SELECT 1; DROP TABLE bars", "SELECT 1;; SELECT 2"])
def test_several_statements_are_refused(sqlite, caplog, query) -> None:
    assert refused(caplog, asking(query).bars).where["rule"] == "one_statement"


def test_symbols_are_bound_and_never_become_part_of_the_query(sqlite, caplog) -> None:
    hostile = "ABC'-OR-'1'='1"
    assert hostile[:3] in refused(caplog, lambda: asking().bars((hostile,))).found
    error = refused(caplog, lambda: asking().bars(("NOSUCH", "NEITHER")))
    assert error.where["rule"] == "not_empty"


def test_a_column_that_is_missing_is_named_with_those_that_were_found(sqlite, caplog) -> None:
    error = refused(caplog, asking("SELECT ticker, day, open, high, low, volume FROM bars").bars)
    assert error.where == {"rule": "complete_columns", "column": "close"}
    assert "'ticker', 'day', 'open', 'high', 'low', 'volume'" in error.found
    error = refused(caplog, asking("SELECT day, open, high, low, close, volume FROM bars").bars)
    assert error.where["column"] == "symbol"


def test_a_query_without_parameters_is_cut_to_what_was_asked_for(sqlite) -> None:
    bars = asking("SELECT ticker, day, open, high, low, close, volume FROM bars").bars(("XYZ",))
    assert bars["symbol"].tolist() == ["XYZ"] * 3


def test_another_parameter_is_refused_by_name(sqlite, caplog) -> None:
    error = refused(caplog, asking(QUERY + " AND venue = :venue").bars)
    assert (error.where["rule"], error.where["value"]) == ("known_parameters", "venue")


def test_more_rows_than_allowed_are_refused(sqlite, caplog) -> None:
    assert len(asking(maximum_rows=6).bars()) == 6
    error = refused(caplog, asking(maximum_rows=5).bars)
    assert (error.where["rule"], error.where["value"]) == ("row_cap", 5)


def test_many_chunks_come_as_one_answer(sqlite, monkeypatch) -> None:
    whole = asking().bars()
    monkeypatch.setattr("nn_assets.sources.database._CHUNK_ROWS", 2)
    pd.testing.assert_frame_equal(asking().bars(), whole)


def test_volume_may_be_absent_where_the_instrument_has_none(sqlite, caplog) -> None:
    query = "SELECT ticker, day, open, high, low, close FROM bars"
    assert asking(query, requires_volume=False).bars()["volume"].isna().all()
    assert refused(caplog, asking(query).bars).where["column"] == "volume"


def test_a_moment_at_which_a_bar_became_known_is_kept(sqlite) -> None:
    query = QUERY.replace("volume FROM", "volume, day || 'T21:05:00Z' AS known_at FROM")
    bars = asking(query).bars()
    assert bars.loc[0, "known_at"] == pd.Timestamp("2018-01-02 21:05", tz="UTC")


@pytest.mark.parametrize("moment", ["20180102", "'20180102'", "1514926800.5", "'9999-12-31T00:00:00Z'", "'0001-01-01'"])
def test_a_known_at_that_is_no_moment_or_beyond_nanoseconds_is_named(sqlite, caplog, moment) -> None:
    error = refused(caplog, asking(QUERY.replace("volume FROM", f"volume, {moment} AS known_at FROM")).bars)
    assert (error.where["rule"], error.where["column"]) == ("moments_are_moments", "known_at")
    assert moment.strip("'") in error.found


def test_a_known_at_that_the_database_does_not_know_stays_open(sqlite) -> None:
    assert asking(QUERY.replace("volume FROM", "volume, NULL AS known_at FROM")).bars()["known_at"].isna().all()


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("close", "ten", "numbers_are_numbers"),
        ("day", "2018-01-03 09:30:00", "dates_are_days"),
        ("day", "03/01/2018", "dates_are_days"),
        ("ticker", None, "legal_symbol"),
        ("ticker", "A B", "legal_symbol"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(sqlite, caplog, column, value, rule) -> None:
    with sqlite3.connect(sqlite) as connection:
        connection.execute(f"UPDATE bars SET {column} = ? WHERE ticker = 'ABC' AND day = '2018-01-03'", (value,))
    connection.close()
    error = refused(caplog, asking("SELECT ticker, day, open, high, low, close, volume FROM bars").bars)
    assert error.where["rule"] == rule
    assert value is None or value in str(error)


def with_closes(file: Path, **closes: object) -> None:
    """Give ABC other closes, by the day of January."""
    with sqlite3.connect(file) as connection:
        for day, close in closes.items():
            parameters = (close, f"2018-01-{day[1:]}")
            connection.execute("UPDATE bars SET close = ? WHERE ticker = 'ABC' AND day = ?", parameters)
    connection.close()


def test_of_numbers_stored_as_texts_the_first_that_is_none_is_named(sqlite, caplog) -> None:
    with_closes(sqlite, d02="50.28", d03="n/a", d04="halted")
    error = refused(caplog, asking().bars)
    assert error.found == "text 'n/a', first of 2"
    assert error.where == {
        "source": "sql",
        "rule": "numbers_are_numbers",
        "row": 2,
        "symbol": "ABC",
        "session": "2018-01-03",
        "column": "close",
        "value": "'n/a'",
    }
    assert "store numbers" in error.remedy
    assert "0 of text" in error.remedy


def test_texts_that_are_numbers_are_told_as_that(sqlite, caplog) -> None:
    with_closes(sqlite, d03="50.28")
    error = refused(caplog, asking().bars)
    assert error.found == "text '50.28', a number stored as text, first of 1"
    assert (error.where["row"], error.where["session"]) == (2, "2018-01-03")


def test_a_missing_price_is_delivered_for_cleaning_to_judge(sqlite) -> None:
    with sqlite3.connect(sqlite) as connection:
        connection.execute("UPDATE bars SET high = NULL WHERE ticker = 'ABC' AND day = '2018-01-03'")
    connection.close()
    assert asking().bars()["high"].isna().tolist() == [False, True, False, False, False, False]


def test_splits_and_dividends_come_from_a_query_of_their_own(sqlite, caplog) -> None:
    with sqlite3.connect(sqlite) as connection:
        connection.execute("CREATE TABLE actions (symbol, ex_session, kind, value)")
        rows = [
            ("XYZ", "2018-01-04", "dividend", 0.08),
            ("XYZ", "2018-01-03", "split", 2),
            ("ZZZ", "2018-01-03", "split", 3),
        ]
        connection.executemany("INSERT INTO actions VALUES (?,?,?,?)", [*rows, ("ABC", "2019-01-03", "split", 4)])
    connection.close()
    source = asking(actions_query="SELECT * FROM actions")
    actions = source.actions((), None, pd.Timestamp("2018-12-31"))
    assert actions.to_dict("list") == {
        "symbol": ["XYZ", "XYZ"],
        "ex_session": [pd.Timestamp("2018-01-03"), pd.Timestamp("2018-01-04")],
        "kind": ["split", "dividend"],
        "value": [2.0, 0.08],
        "source": ["sql", "sql"],
    }
    assert taken_outside(actions) == 2  # of ZZZ, and of 2019
    assert asking().actions().empty
    error = refused(caplog, asking(actions_query="SELECT symbol, kind, value FROM actions").actions)
    assert error.where["column"] == "ex_session"
    error = refused(
        caplog, asking(actions_query="SELECT symbol, ex_session, 'merger' kind, value FROM actions").actions
    )
    assert error.where == {"source": "sql", "rule": "known_kind", "value": "merger"}
    error = refused(caplog, asking(actions_query="SELECT symbol, ex_session, kind, 0 value FROM actions").actions)
    assert error.where["rule"] == "rows_as_documented"


def test_decimals_become_floats(postgres) -> None:
    bars = asking().bars(("XYZ",))
    assert bars["close"].tolist() == [float(Decimal("20.5")), 21.5, 21.75]
