"""Dagster's own storage, artifacts and logs, under the one home or on its server, and the instance made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from nn_assets.errors import LedgerError
from nn_assets.learning.interrupts import interrupts_held
from nn_assets.orchestration.kept_connections import KeptSqliteStorage
from nn_assets.orchestration.lost_runs import attended
from nn_assets.store.home import dagster_database_url, dagster_folder, instance_root
from nn_assets.store.ledger.dagster_schema import dagster_schema


class HomeStorage(DagsterStorage, ConfigurableClass):
    """Runs, events and schedule ticks: on the ledger's server where it has one, else in the home's SQLite files.

    The address comes from the environment, never from ``dagster.yaml``: Dagster prints and hands on its
    configuration, and a password must not travel with it.
    """

    @classmethod
    def config_type(cls) -> dict[str, object]:
        """No options: the environment says where."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: object) -> DagsterStorage:  # type: ignore[override]
        """Open the storage that the environment of the moment names.

        Raises
        ------
        LedgerError
            The server cannot be reached, or the extra ``postgres`` is not installed.
        """
        del config_value
        address = dagster_database_url()
        if address is None:
            return attended(cls.in_files(dagster_folder("storage"), inst_data))
        try:
            from dagster_postgres import DagsterPostgresStorage
        except ModuleNotFoundError as error:
            raise LedgerError(
                expected="Dagster's storage for PostgreSQL",
                found=str(error),
                remedy="install the extra `postgres`, or keep Dagster in the home: NN_ASSETS_DAGSTER_DATABASE_URL=sqlite://",
            ) from error
        with dagster_schema(address) as within:
            return attended(DagsterPostgresStorage(within, inst_data=inst_data))

    @classmethod
    def in_files(cls, folder: str, inst_data: ConfigurableClassData | None) -> DagsterStorage:
        """Open the SQLite files of a folder."""
        return DagsterSqliteStorage(folder, inst_data)


class KeptHomeStorage(HomeStorage):
    """The same for a process that ends with its run: connections to the files stay open until then."""

    @classmethod
    def in_files(cls, folder: str, inst_data: ConfigurableClassData | None) -> DagsterStorage:
        """Open the SQLite files of a folder."""
        return KeptSqliteStorage(folder, inst_data)


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
        return cls(dagster_folder("artifacts"), inst_data)


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
        return cls(dagster_folder("logs"), inst_data=inst_data)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """Capture what a step prints, by processes that do not hear the terminal's interrupt."""
        with ExitStack() as stack:
            with interrupts_held():
                captured = stack.enter_context(super().capture_logs(log_key))
            yield captured


def open_instance() -> dg.DagsterInstance:
    """The persisted instance that headless runs, ``dagster dev`` and the tests of them share, as a command opens it."""
    kept = {"storage": {"custom": {"module": __name__, "class": KeptHomeStorage.__name__}}}
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(instance_root()), overrides=kept))
