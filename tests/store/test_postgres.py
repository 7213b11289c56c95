"""The ledger on a server: what may break there and nowhere else, and what a server's own manners may spoil."""

from __future__ import annotations

import os
import signal
import struct
import threading
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import text

from nn_assets.errors import LedgerError
from nn_assets.store.ledger.audit import verify
from nn_assets.store.ledger.ledger import Ledger
from tests.forks import ended, exit_code, forked
from tests.postgres import PASSWORD, Server
from tests.store.conftest import NOON
from tests.store.rounds import append_round, day_round

DAYS = ("2018-01-02", "2018-01-03", "2018-01-04")


@pytest.fixture
def database(postgres_ledger_url: str) -> str:
    return postgres_ledger_url.rpartition("?")[0].rpartition("/")[2]


@pytest.fixture
def served(postgres_ledger_url: str) -> Iterator[Ledger]:
    """A ledger on the server, with one session appended."""
    with Ledger(postgres_ledger_url, clock=lambda: NOON) as opened:
        append_round(opened, day_round(DAYS[0], symbols=2))
        yield opened


def _demand_first_session_only(ledger: Ledger) -> None:
    report = verify(ledger)
    assert report.ok
    assert report.rows["signals"] == 2
    assert report.rows["decisions"] == 1


def test_a_writer_whose_connection_is_ended_leaves_nothing_and_the_next_one_connects_anew(
    served: Ledger, postgres_server: Server, database: str
) -> None:
    def cut_off() -> None:
        with served.transaction("cut off", strategy="demo") as transaction:
            transaction.append("signals", day_round(DAYS[1], symbols=2)["signals"])
            assert postgres_server.terminate(database) >= 1
            transaction.append("fills", day_round(DAYS[1], symbols=2)["fills"])

    with pytest.raises(LedgerError, match=r"terminat|closed") as caught:
        cut_off()
    assert PASSWORD not in str(caught.value)
    _demand_first_session_only(served)
    append_round(served, day_round(DAYS[1], symbols=2))
    assert served.count("signals") == 4


@pytest.mark.full
def test_a_connection_ended_before_the_commit_is_an_error_and_commits_nothing(
    served: Ledger, postgres_server: Server, database: str
) -> None:
    def cut_off() -> None:
        with served.transaction("cut off", strategy="demo") as transaction:
            transaction.append("signals", day_round(DAYS[1], symbols=2)["signals"])
            postgres_server.terminate(database)

    with pytest.raises(LedgerError):
        cut_off()
    _demand_first_session_only(served)


def test_a_connection_that_ended_while_nobody_used_it_is_made_anew(
    served: Ledger, postgres_server: Server, database: str
) -> None:
    assert postgres_server.terminate(database) >= 1
    _demand_first_session_only(served)


def test_a_connection_has_the_manners_that_the_ledger_counts_on_whatever_the_servers_are(served: Ledger) -> None:
    with served.engine.connect() as connection:
        settings = {
            name: connection.execute(text(f"SHOW {name}")).scalar_one()
            for name in ("lock_timeout", "synchronous_commit", "timezone", "transaction_isolation")
        }
    assert settings == {
        "lock_timeout": "30s",
        "synchronous_commit": "on",
        "timezone": "UTC",
        "transaction_isolation": "read committed",
    }


@pytest.mark.full
def test_a_killed_writer_leaves_nothing_and_holds_up_nobody(
    served: Ledger, postgres_ledger_url: str, tmp_path: Path
) -> None:
    def write_and_die() -> None:
        with Ledger(postgres_ledger_url) as ledger, ledger.transaction("killed", strategy="demo") as transaction:
            for table, rows in day_round(DAYS[1], symbols=2).items():
                transaction.append(table, rows)
            os.kill(os.getpid(), signal.SIGKILL)

    assert ended(write_and_die, tmp_path / "told") == -signal.SIGKILL
    append_round(served, day_round(DAYS[2], symbols=2))
    assert served.count("signals") == 4
    assert DAYS[1] not in set(served.read("signals")["session"].dt.strftime("%Y-%m-%d"))
    assert verify(served).ok


@pytest.mark.full
def test_a_server_that_fails_and_comes_back_has_what_was_committed(served: Ledger, postgres_server: Server) -> None:
    head = served.head()

    def fails() -> None:
        with served.transaction("cut off", strategy="demo") as transaction:
            transaction.append("signals", day_round(DAYS[1], symbols=2)["signals"])
            postgres_server.crash()

    try:
        with pytest.raises(LedgerError):
            fails()
        with pytest.raises(LedgerError, match="database runs"):
            served.head()
    finally:
        postgres_server.start()
    assert served.head() == head
    _demand_first_session_only(served)


def test_processes_that_write_at_once_lose_nothing(postgres_url: str, tmp_path: Path) -> None:
    def write(strategy: str) -> None:
        with Ledger(postgres_url) as ledger:
            for day in DAYS:
                append_round(ledger, day_round(day, symbols=2), strategy=strategy)

    log = tmp_path / "told"
    started = [forked(partial(write, name), log) for name in ("one", "two", "three")]
    assert [exit_code(process) for process in started] == [0, 0, 0], log.read_text(encoding="utf-8")
    with Ledger(postgres_url) as ledger:
        report = verify(ledger)
        assert report.ok
        assert report.rows["signals"] == 3 * 3 * 2
        assert report.head.sequence == sum(report.rows.values())


@pytest.mark.full
def test_threads_share_a_ledger(served: Ledger) -> None:
    failures: list[BaseException] = []

    def write(strategy: str) -> None:
        try:
            append_round(served, day_round(DAYS[1], symbols=2), strategy=strategy)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(f"s{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert served.count("signals") == 2 * 9
    assert verify(served).ok


@pytest.mark.full
def test_both_databases_hold_the_same_bytes_for_the_same_rows(served: Ledger, ledger_file: Path) -> None:
    with Ledger(f"sqlite:///{ledger_file}", clock=lambda: NOON) as embedded:
        append_round(embedded, day_round(DAYS[0], symbols=2))
        pd.testing.assert_frame_equal(served.chain(), embedded.chain())
        for table in day_round():
            one, other = (ledger.read(table, bookkeeping=True) for ledger in (served, embedded))
            pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.full
@pytest.mark.parametrize("number", [0.1 + 0.2, 5e-324, 1.7976931348623157e308, 1 / 3, -1e-310, float("inf")])
def test_a_float_is_kept_to_the_bit_by_a_server_that_shortens_floats(served: Ledger, number: float) -> None:
    rows = [{"session": DAYS[0], "symbol": "float", "quantity": number, "blocked_side": 0}]
    served.append("holdings", rows, run_id="run", strategy="demo")
    stored = served.read("holdings", where={"symbol": "float"})["quantity"].iloc[0]
    assert struct.pack("<d", stored) == struct.pack("<d", number)


@pytest.mark.full
def test_long_and_foreign_text_is_kept(served: Ledger) -> None:
    long = {
        "text": "名前 \u2028 \U0001f600 é e\u0301 \\ ' \" % %s :name $1 \r\n\t" * 50_000,
        "nested": [{"π": [1.5, None]}],
    }
    served.append("settings_versions", [{"settings_hash": "名", "settings": long}], run_id="ö", strategy="Ω % :x")
    stored = served.read("settings_versions", "Ω % :x")
    assert stored["settings"].iloc[0] == long
    assert verify(served).ok


def test_rows_are_in_the_order_of_their_keys_whatever_the_servers_collation(postgres_server: Server) -> None:
    name = postgres_server.create("LOCALE_PROVIDER icu ICU_LOCALE 'en-US' TEMPLATE template0")
    symbols = ["B", "a", "Z", "_", "é", "1", "b", "A"]
    row = {"session": DAYS[0], "quantity": 1.0, "blocked_side": 0}
    with Ledger(postgres_server.url(name)) as ledger:
        ledger.append("holdings", [row | {"symbol": symbol} for symbol in symbols], run_id="run", strategy="demo")
        assert ledger.read("holdings")["symbol"].tolist() == sorted(symbols)
    postgres_server.drop(name)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda url, server: url.replace("s3cret", "s3cret-wrong"), "password authentication failed"),
        (lambda url, server: url.replace("/ledger_", "/nowhere_"), "does not exist"),
        (lambda url, server: url.replace("nn-postgres", "nn-absent"), "No such file"),
        (lambda url, server: url.partition("?")[0].replace("@/", "@127.0.0.1:1/"), "127.0.0.1"),
        (lambda url, server: url.replace("@/", "@no-such-host.invalid/").partition("?")[0], "no-such-host"),
        (lambda url, server: f"postgresql://quant:{PASSWORD}@/x?host={server.folder}", "percent"),
        (lambda url, server: url.replace("@/", "@:port/"), "parsed"),
        (lambda url, server: url + "&sslmodee=disable", "sslmodee"),
    ],
)
def test_an_error_never_tells_the_password(
    postgres_ledger_url: str, postgres_server: Server, change: Callable[[str, Server], str], says: str
) -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger(change(postgres_ledger_url, postgres_server))
    message = str(caught.value)
    assert says in message
    assert "s3cret" not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)


def test_a_password_in_the_query_is_hidden_like_any_other(postgres_server: Server, postgres_ledger_url: str) -> None:
    database = postgres_ledger_url.rpartition("?")[0].rpartition("/")[2]
    address = f"postgresql:///{database}?host={postgres_server.folder}&user=quant&password=s3cret-%2541%40/%C3%B6"
    with Ledger(address) as ledger:
        assert ledger.count("signals") == 0
        assert "s3cret" not in f"{ledger!r} {ledger.engine!r} {ledger.engine.url!r}"
