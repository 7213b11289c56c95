"""The ledger's schema, brought up to date by Alembic from ``sql/migrations``."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import (
    Connection,
    Engine,
    MetaData,
    Select,
    String,
    Table,
    column,
    inspect,
    select,
    table,
    text,
)
from sqlalchemy.schema import DropView

from nn_assets.errors import LedgerError
from nn_assets.store.home import sql_root
from nn_assets.store.ledger.engine import reading, writing
from nn_assets.store.ledger.schema import HEAD_REVISION

__all__ = ["alembic_config", "revision_of", "upgrade", "view_names"]

_MIGRATION_LOCK = text("SELECT pg_advisory_xact_lock(:key)")
_MIGRATION_LOCK_KEY = 0x6E6E5F61  # any constant: "nn_a"
_VERSION_TABLE = "alembic_version"


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for a connection; there is no ini file.

    Raises
    ------
    LedgerError
        The migrations are neither in the package nor beside it.
    """
    folder = sql_root() / "migrations"
    if not (folder / "env.py").is_file():
        raise LedgerError(
            expected=f"the schema's migrations in {folder}",
            found="no such folder",
            remedy="install nn_assets from its wheel (pip wheel .), or run from a checkout that holds sql/",
            file=str(folder),
        )
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def revision_of(connection: Connection) -> str | None:
    """Return the schema revision of a database; None when it holds no ledger yet."""
    if not inspect(connection).has_table(_VERSION_TABLE):
        return None
    stamped: Select[str] = select(column("version_num", String)).select_from(table(_VERSION_TABLE))
    found = connection.execute(stamped).scalar()
    return None if found is None else str(found)


def upgrade(engine: Engine) -> bool:
    """Bring the schema to the newest revision. Safe when several processes open a new ledger at once.

    All of it is one transaction, views included: a process killed here leaves the old schema whole.

    Returns
    -------
    bool
        Whether there was anything to do.

    Raises
    ------
    LedgerError
        The database was written by a newer version of the package, or cannot be reached.
    """
    with reading(engine) as connection:
        revision = revision_of(connection)
    if revision == HEAD_REVISION:
        return False
    _refuse_newer(revision)
    with writing(engine, lock_chain=False) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(_MIGRATION_LOCK, {"key": _MIGRATION_LOCK_KEY})
        if revision_of(connection) == HEAD_REVISION:
            return False  # another process was quicker
        for name in view_names():
            connection.execute(DropView(Table(name, MetaData()), if_exists=True))
        command.upgrade(alembic_config(connection), "head")
        for path in _view_files():
            connection.exec_driver_sql(path.read_text(encoding="utf-8"))
    return True


def _refuse_newer(revision: str | None) -> None:
    if revision is not None and revision > HEAD_REVISION:
        raise LedgerError(
            expected=f"a ledger of schema {HEAD_REVISION} or older",
            found=f"schema {revision}",
            remedy="use the version of nn_assets that wrote this ledger, or a newer one",
        )


def _view_files() -> list[Path]:
    return sorted((sql_root() / "views").glob("*.sql"))


def view_names() -> tuple[str, ...]:
    """Names of the ledger's views: one file each in ``sql/views``, made anew by every migration."""
    return tuple(path.stem for path in _view_files())
