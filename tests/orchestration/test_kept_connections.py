"""Dagster's storage with kept connections: the same files, closed with the instance, shared by threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

from nn_assets.orchestration.instance import open_instance
from nn_assets.store.home import dagster_home


@dg.asset
def number() -> int:
    return 7


def materialised(instance: dg.DagsterInstance) -> str:
    return dg.materialize([number], instance=instance).run_id


def open_files(folder: Path) -> list[str]:
    """Files in a folder that this process holds open."""
    targets = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [target for target in targets if target.startswith(str(folder))]


def test_nothing_stays_open_after_the_instance(empty_home: Path) -> None:
    with open_instance() as instance:
        materialised(instance)
        assert any(name.endswith("index.db") for name in open_files(empty_home))
    assert open_files(empty_home / "dagster" / "storage") == []


def test_commits_wait_for_no_disk_in_files_that_a_power_cut_leaves_whole(empty_home: Path) -> None:
    with open_instance() as instance:
        run_id = materialised(instance)
        storages = instance.run_storage, instance.event_log_storage
        opened = [storages[0].connect(), storages[1].index_connection(), storages[1].run_connection(run_id)]
        for manager in opened:
            with manager as connection:
                assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
                assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1  # NORMAL


def test_dagsters_own_storage_reads_what_was_written_and_the_other_way_round(empty_home: Path) -> None:
    with open_instance() as instance:
        first = materialised(instance)
        kept = [entry.dagster_event_type for entry in instance.all_logs(first)]
    own = DagsterSqliteStorage(str(empty_home / "dagster" / "storage"))
    assert [run.run_id for run in own.run_storage.get_runs()] == [first]
    assert [entry.dagster_event_type for entry in own.event_log_storage.get_logs_for_run(first)] == kept
    assert kept.count(dg.DagsterEventType.ASSET_MATERIALIZATION) == 1
    own.run_storage.add_run_tags(first, {"seen": "yes"})
    with open_instance() as instance:
        tagged = instance.get_run_by_id(first)
        assert tagged is not None
        assert tagged.tags["seen"] == "yes"
        record = instance.get_latest_materialization_event(dg.AssetKey("number"))
        assert record is not None
        assert record.run_id == first


@pytest.mark.full
def test_threads_share_an_instance(empty_home: Path) -> None:
    with open_instance() as instance:
        ids = [materialised(instance) for _ in range(4)]

        def look(run_id: str) -> tuple[str, int]:
            run = instance.get_run_by_id(run_id)
            assert run is not None
            return run.status.value, len(instance.all_logs(run_id))

        with ThreadPoolExecutor(8) as threads:
            seen = list(threads.map(look, ids * 25))
    assert len(set(seen)) == 1
    assert seen[0][0] == "SUCCESS"


@pytest.mark.full
def test_the_webserver_and_the_daemon_keep_none(empty_home: Path) -> None:
    with open_instance() as instance:
        first = materialised(instance)
    with dg.DagsterInstance.from_config(str(dagster_home())) as instance:
        assert instance.get_run_by_id(first) is not None
        materialised(instance)
        assert open_files(empty_home / "dagster" / "storage") == []
