"""Dagster's own storage, artifacts and logs, all under the one home, and the instance made of them."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from nn_assets.store.home import checkout, home

__all__ = ["HomeArtifacts", "HomeLogs", "HomeStorage", "open_instance"]


def _folder(name: str) -> str:
    folder = home() / "dagster" / name
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


class HomeStorage(DagsterSqliteStorage):
    """Runs, events and schedule ticks, in SQLite files under the home."""

    @classmethod
    def config_type(cls) -> dict[str, object]:
        """No options: the home says where."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: object) -> HomeStorage:
        """Open the storage in the home of the moment."""
        del config_value
        return cls(_folder("storage"), inst_data)


class HomeArtifacts(LocalArtifactStorage):
    """Dagster's own local artifacts, under the home."""

    @classmethod
    def config_type(cls) -> dict[str, object]:
        """No options: the home says where."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: object) -> HomeArtifacts:
        """Open the folder in the home of the moment."""
        del config_value
        return cls(_folder("artifacts"), inst_data)


class HomeLogs(LocalComputeLogManager):
    """What steps print, under the home."""

    @classmethod
    def config_type(cls) -> dict[str, object]:
        """No options: the home says where."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: object) -> HomeLogs:
        """Open the folder in the home of the moment."""
        del config_value
        return cls(_folder("logs"), inst_data=inst_data)


def open_instance() -> dg.DagsterInstance:
    """The persisted instance that headless runs, ``dagster dev`` and the tests of them share."""
    configuration: Path = checkout()
    return dg.DagsterInstance.from_config(str(configuration))
