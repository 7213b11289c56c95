"""Fixtures that several rooms' tests share."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

# Results are compared to the bit: one thread, as the product itself runs.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# A developer's own database is no place for tests.
os.environ.pop("NN_ASSETS_DATABASE_URL", None)
os.environ.pop("NN_ASSETS_DAGSTER_DATABASE_URL", None)

import pytest

from tests.memory import keep_temporary_files_in_memory

keep_temporary_files_in_memory()

# Who hands the tests out to workers reads this file too, and needs none of the libraries: fixtures import them.
if TYPE_CHECKING:
    import pandas as pd
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
    from sqlalchemy import Engine

    from tests.postgres import Server

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the project."""
    return CHECKOUT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real market data kept beside the checkout, never inside it."""
    folder = CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real market data (../shared/data) are absent on this machine")
    return folder


@pytest.fixture(scope="session")
def five_years(shared_data: Path) -> pd.DataFrame:
    """Real bars of 122 stocks, read from their files once. Read it; never write to it."""
    from nn_assets.sources.tables.files import FilesSource

    return FilesSource(shared_data / "sp500_5yr").bars()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL server for as long as the tests last."""
    from tests.postgres import programs, running_server

    program_folder = programs()
    if program_folder is None:
        pytest.skip("no PostgreSQL server is installed on this machine (Debian: apt-get install postgresql)")
    with running_server(program_folder) as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def dagsters_migrations_read_once() -> Iterator[None]:
    """Dagster reads its forty migrations anew for every file of a storage that it opens: a tenth of a small run."""
    from alembic.script import ScriptDirectory

    with pytest.MonkeyPatch.context() as patch:
        read = ScriptDirectory.from_config
        kept: dict[tuple[str, str], ScriptDirectory] = {}

        def read_once(config: Config) -> ScriptDirectory:
            key = (config.get_main_option("script_location") or "", str(config.config_file_name))
            if "dagster" not in key[0]:
                return read(config)
            if key not in kept:
                kept[key] = read(config)
            return kept[key]

        patch.setattr(ScriptDirectory, "from_config", read_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_mirrored() -> Iterator[None]:
    """Let what a step prints go into Dagster's log of it alone: to mirror it takes four processes a run.

    Runs in processes of their own, as of an installed package, mirror it as the product does.
    """
    from dagster._core.execution import compute_logs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compute_logs, "tail_to_stream", lambda *_: nullcontext((None, None)))
        yield


@pytest.fixture(scope="session", autouse=True)
def dagsters_files_made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A new file of Dagster's event log, one for each run, is a copy of one that Dagster made; all else is its own."""
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
    from sqlalchemy import create_engine

    made = tmp_path_factory.mktemp("events") / "empty.db"
    initialise = SqliteEventLogStorage._initdb

    def copied_first(self: SqliteEventLogStorage, engine: Engine, for_index_shard: bool = False) -> None:
        file = Path(engine.url.database or "")
        if not for_index_shard and file.is_absolute() and not file.exists():
            if not made.exists():
                first = create_engine(f"sqlite:///{made}")
                initialise(self, first)
                first.dispose()  # which leaves no log of writes beside the file
            shutil.copyfile(made, file)
            return
        initialise(self, engine, for_index_shard)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteEventLogStorage, "_initdb", copied_first)
        yield


@pytest.fixture(scope="session", autouse=True)
def empty_ledger_made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A new ledger in a file is a copy of one that was migrated: a tenth of a small command goes into the schema.

    Tests of the migrations themselves ask for ``migrated_anew``.
    """
    import nn_assets.store.ledger.ledger as ledgers
    from nn_assets.store.ledger import migrations
    from nn_assets.store.ledger.engine import open_engine

    made = tmp_path_factory.mktemp("migrated") / "empty.sqlite"

    def upgrade_or_copy(engine: Engine) -> bool:
        file = Path(engine.url.database or "")
        if engine.dialect.name == "sqlite" and file.is_absolute() and not file.exists():
            if not made.exists():
                migrations.upgrade(open_engine(f"sqlite:///{made}"))
            fresh = file.with_name(f"{file.name}.{uuid4()}")
            shutil.copyfile(made, fresh)
            with suppress(FileExistsError):
                file.hardlink_to(fresh)  # unlike a move, never over what another process made meanwhile
            fresh.unlink()
        return migrations.upgrade(engine)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledgers, "upgrade", upgrade_or_copy)
        yield


@pytest.fixture
def migrated_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a new ledger be made by the migrations, as the product makes it."""
    import nn_assets.store.ledger.ledger as ledgers
    from nn_assets.store.ledger import migrations

    monkeypatch.setattr(ledgers, "upgrade", migrations.upgrade)


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """Address of an empty database of the test's own."""
    name = postgres_server.create()
    yield postgres_server.url(name)
    postgres_server.drop(name)


def pytest_collection_finish() -> None:
    """Look for garbage seldom, and never among what was imported: a twelfth of the tests' time went into it.

    Nor once, before it is set aside: that takes most of a second, and what imports left to collect is little.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
    gc.enable()


_KINDS = {
    "PostgreSQL": ("the ledger and Dagster's storage on a server", "postgresql"),
    "chromium": ("pages and the UI in a real browser", "chromium fonts-dejavu-core"),
    "real market data": ("rules against real bars, which lie beside the checkout as ../shared/data", None),
    "demo": ("what the demo left: .ci/run names its home in NN_ASSETS_DEMO_HOME", None),
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which kinds of tests were skipped, and how to run them."""
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    counted = {kind: sum(kind in reason for reason in reasons) for kind in _KINDS}
    packages = []
    for kind, (what, package) in _KINDS.items():
        if counted[kind]:
            terminalreporter.write_line(f"skipped {counted[kind]:>4} for lack of {kind}: {what}")
            packages += [package] if package else []
    if packages:
        terminalreporter.write_line(f"To run them (Debian): apt-get install -y {' '.join(packages)} && make test")
    other = len(reasons) - sum(counted.values())
    if other > 0:
        terminalreporter.write_line(f"skipped {other:>4} for other reasons: pytest -rs names each")
