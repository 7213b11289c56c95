"""Dagster's runs and events on PostgreSQL: recorded by one process, read by another, and no password anywhere."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._cli.instance import info_command
from dagster._core.instance.ref import InstanceRef
from dagster_shared.serdes import deserialize_value, serialize_value

from nn_assets.errors import LedgerError
from nn_assets.orchestration.instance import open_instance
from nn_assets.store.home import dagster_database_url
from nn_assets.store.ledger.dagster_schema import dagster_schema
from nn_assets.store.ledger.ledger import Ledger
from tests.forks import exit_code, forked
from tests.postgres import Server

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def served(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A home whose ledger and Dagster are on the server; the database's name."""
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.setenv("NN_ASSETS_DATABASE_URL", postgres_url)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return postgres_url.rpartition("?")[0].rpartition("/")[2]


def _materialise_as(who: str, into: Path) -> None:
    """Record a run, and leave its id in a file of that name."""
    logging.basicConfig(force=True)  # on standard error, as in a process that was started

    @dg.asset
    def tiny(context) -> None:  # type: ignore[no-untyped-def]
        context.add_output_metadata({"who": who})

    with open_instance() as instance:
        (into / who).write_text(dg.materialize([tiny], instance=instance).run_id)


@pytest.mark.full
def test_processes_that_start_at_once_record_their_runs_for_all_others(
    served: str, tmp_path: Path, postgres_server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    names = ("one", "two")
    error_files = [tmp_path / f"{name}.txt" for name in names]
    writers = [
        forked(partial(_materialise_as, name, tmp_path), failure)
        for name, failure in zip(names, error_files, strict=True)
    ]
    assert [exit_code(writer) for writer in writers] == [0, 0], [
        file.read_text() for file in error_files if file.exists()
    ]
    assert "Retrying" not in capfd.readouterr().err
    ran = {(tmp_path / name).read_text() for name in names}
    with open_instance() as instance:
        assert {run.run_id: run.status.value for run in instance.get_runs()} == dict.fromkeys(ran, "SUCCESS")
        events = instance.fetch_materializations(dg.AssetKey("tiny"), limit=10).records
        assert {event.run_id for event in events} == ran
        materializations = [event.asset_materialization for event in events]
        assert {
            materialization.metadata["who"].value for materialization in materializations if materialization is not None
        } == {"one", "two"}
    assert not list(tmp_path.rglob("*.db"))
    idle = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{served}'"
    assert postgres_server.execute(idle) == [(0,)]


def test_of_two_that_find_no_schema_the_second_waits_until_the_first_has_filled_it(
    served: str, postgres_url: str, postgres_server: Server
) -> None:
    entered = threading.Event()

    def enter() -> None:
        with dagster_schema(postgres_url):
            entered.set()

    second = threading.Thread(target=enter)
    waiting = (
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
        f"WHERE locktype = 'advisory' AND NOT granted AND datname = '{served}'"
    )
    with dagster_schema(postgres_url):
        second.start()
        while not entered.is_set() and postgres_server.execute(waiting) == [(0,)]:
            pass
        assert not entered.is_set()
    second.join()
    assert entered.is_set()


@pytest.mark.full
def test_the_ledger_and_dagster_share_a_database_without_sharing_tables(served: str, postgres_server: Server) -> None:
    with Ledger() as ledger, open_instance() as instance:
        assert instance.get_runs_count() == 0
        assert ledger.count("signals") == 0
    Ledger().close()
    counted = (
        "SELECT table_schema, count(*) FROM information_schema.tables WHERE table_name = 'alembic_version' GROUP BY 1"
    )
    assert sorted(postgres_server.execute(counted, database=served)) == [("dagster", 1), ("public", 1)]


@pytest.mark.full
def test_a_stored_time_is_utc_whatever_the_servers_timezone(served: str, postgres_server: Server) -> None:
    with open_instance() as instance:
        run = dg.materialize([_asset()], instance=instance)
        record = instance.get_run_record_by_id(run.run_id)
    assert record is not None
    assert record.start_time is not None
    assert abs(record.create_timestamp.timestamp() - record.start_time) < 3600


def _asset() -> dg.AssetsDefinition:
    @dg.asset
    def tiny() -> None:
        pass

    return tiny


@pytest.mark.full
def test_what_dagster_prints_and_hands_on_has_no_address(served: str, tmp_path: Path) -> None:
    with open_instance() as instance:
        reference = instance.get_ref()
        handed_on = serialize_value(reference)
        texts = (handed_on, instance.info_str(), repr(instance), str(instance.info_dict()))
        assert all("s3cret" not in text and "quant" not in text for text in texts)
        run_id = dg.materialize([_asset()], instance=instance).run_id
        recorded = "".join(serialize_value(entry) for entry in instance.all_logs(run_id))
        assert "s3cret" not in recorded
    with dg.DagsterInstance.from_ref(deserialize_value(handed_on, InstanceRef)) as again:
        assert again.get_run_by_id(run_id) is not None
    folder = tmp_path / "configured"
    folder.mkdir()
    shutil.copy(CHECKOUT / "dagster.yaml", folder)
    result = CliRunner().invoke(info_command, [], env={"DAGSTER_HOME": str(folder)}, catch_exceptions=False)
    assert result.exit_code == 0
    assert "Instance configuration" in result.stdout
    assert "s3cret" not in result.output


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("s3cret", "s3cret-wrong", "password authentication failed"),
        ("nn-postgres", "nn-absent", "No such file"),
        ("/ledger_", "/nowhere_", "does not exist"),
    ],
)
def test_a_server_that_cannot_be_reached_is_named_without_its_password(
    served: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, old: str, new: str, says: str
) -> None:
    monkeypatch.setenv("NN_ASSETS_DATABASE_URL", os.environ["NN_ASSETS_DATABASE_URL"].replace(old, new))
    with pytest.raises(LedgerError, match=says) as caught:
        open_instance()
    assert "s3cret" not in str(caught.value) + caplog.text


@pytest.mark.full
def test_a_user_without_the_right_to_make_schemas_is_told_so_unless_it_is_there(
    served: str, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = f"modest_{served}"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN PASSWORD 's3cret'")
    url = f"postgresql://{role}:s3cret@/{served}?host={postgres_server.folder}"
    monkeypatch.setenv("NN_ASSETS_DAGSTER_DATABASE_URL", url)
    with pytest.raises(LedgerError, match="permission denied"):
        open_instance()
    postgres_server.execute(f"CREATE SCHEMA dagster AUTHORIZATION {role}", database=served)
    with open_instance() as instance:
        assert instance.get_runs_count() == 0
    postgres_server.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}", database=served)


def test_dagster_can_stay_in_the_home_while_the_ledger_moves(
    served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NN_ASSETS_DAGSTER_DATABASE_URL", "sqlite://")
    with open_instance() as instance:
        assert instance.get_runs_count() == 0
    assert list(tmp_path.rglob("*.db"))


def test_an_embedded_home_keeps_dagster_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    assert dagster_database_url() is None
    with open_instance() as instance:
        assert instance.get_runs_count() == 0
    assert list(tmp_path.rglob("*.db"))


def test_dagster_on_another_kind_of_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NN_ASSETS_DAGSTER_DATABASE_URL", "mysql://quant:s3cret@db/dagster")
    with pytest.raises(LedgerError, match="mysql") as caught:
        dagster_database_url()
    assert "s3cret" not in str(caught.value)
