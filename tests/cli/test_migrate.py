"""``nn-assets migrate``: an embedded ledger goes to a server, and no password goes anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nn_assets.cli import app
from nn_assets.store.ledger.ledger import Ledger
from tests.cli.conftest import Answer, call
from tests.store.rounds import append_round, day_round


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
        append_round(ledger, day_round(symbols=3))
    return tmp_path


@pytest.fixture
def named(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of the variable that holds the server's address."""
    monkeypatch.setenv("NEW_LEDGER", postgres_url)
    return "NEW_LEDGER"


@pytest.fixture(autouse=True)
def _nobody_tells_the_password(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    out, err = capfd.readouterr()
    assert "s3cret" not in out + err + caplog.text


def _there(home: Path, address: str, *words: str) -> Answer:
    """Give a command in the home, with its ledger on the server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NN_ASSETS_HOME", str(home))
        patch.setenv("NN_ASSETS_DATABASE_URL", address)
        result = CliRunner().invoke(app, list(words))
    return Answer(result.exit_code, result.stdout, result.stderr)


def test_a_home_is_migrated_and_both_ledgers_verify_with_the_same_head(
    home: Path, named: str, postgres_url: str
) -> None:
    done = call(home, "migrate", "--to-env", named, "--json")
    assert done.status == 0, done.out
    assert done.document["copied"] == done.document["entries"] >= 10  # one a table
    assert done.document["rows"]["signals"] == 3
    assert "s3cret" not in done.out + done.err
    embedded = call(home, "audit", "verify", "--json").document
    served = _there(home, postgres_url, "audit", "verify", "--json").document
    assert embedded == served
    assert served["head"] == done.document["head"]


def test_a_migration_given_again_changes_nothing_and_says_so(home: Path, named: str) -> None:
    assert call(home, "migrate", "--to-env", named).status == 0
    again = call(home, "migrate", "--to-env", named)
    assert again.status == 0
    assert again.out.startswith("0 entries copied")
    assert "s3cret" not in again.out


@pytest.mark.full
def test_the_variable_that_the_ledger_is_found_by_is_the_one_meant_unless_another_is_named(
    home: Path, postgres_url: str
) -> None:
    assert _there(home, postgres_url, "migrate", "--json").document["copied"] >= 10


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("NOWHERE", None, "found nothing"),
        ("NOWHERE", "sqlite:///elsewhere.sqlite", "something else"),
        ("postgresql://quant:s3cret@db/ledger", None, "name of an environment variable"),
        ("WRONG", "postgresql://quant:s3cret@127.0.0.1:1/ledger?connect_timeout=1", "127.0.0.1"),
        ("WRONG", "postgresql://quant:s3@cret@db/ledger", "%40"),
        ("WRONG", "postgresql://quant:s3cret@db:port/ledger", "parsed"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_without_its_password(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str | None, says: str
) -> None:
    if value is not None:
        monkeypatch.setenv(name, value)
    for words in (("--json",), ()):
        answer = call(home, "migrate", "--to-env", name, *words)
        assert answer.status == 1
        assert says in answer.out + answer.err
        assert "cret" not in answer.out + answer.err


def test_a_home_without_a_ledger_is_told_so_and_gets_none(tmp_path: Path, named: str) -> None:
    answer = call(tmp_path, "migrate", "--to-env", named)
    assert answer.status == 1
    assert "no such file" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_commands_on_a_server_that_refuses_the_password_do_not_tell_it(home: Path, postgres_url: str) -> None:
    wrong = postgres_url.replace("s3cret", "s3cret-wrong")
    for words in (("audit", "verify"), ("status", "--strategy", "index_daily"), ("query", "trial_count")):
        answer = _there(home, wrong, *words, "--json")
        assert answer.status == 1
        assert answer.document["error"] == "LedgerError"
        assert "password authentication failed" in answer.out
        assert "s3cret" not in answer.out + answer.err
