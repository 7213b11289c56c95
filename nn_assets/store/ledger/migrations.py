"""The ledger's schema, brought up to date by Alembic from ``sql/migrations``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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

from nn_assets.contracts.ledger import LEDGER
from nn_assets.errors import LedgerError
from nn_assets.store.home import safe_url, sql_root
from nn_assets.store.ledger.engine import reading, writing
from nn_assets.store.ledger.schema import CHAIN, HEAD_REVISION, REVISIONS, TABLES

if TYPE_CHECKING:
    from alembic.config import Config

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
    from alembic.config import Config  # a third of a second, which only a migration is worth

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
    revision = connection.execute(stamped).scalar()
    return None if revision is None else str(revision)


def upgrade(engine: Engine) -> bool:
    """Bring the schema to the newest revision. Safe when several processes open a new ledger at once.

    All of it is one transaction, views included: a process killed here leaves the old schema whole. A
    schema that is up to date, and one that is refused, costs one read and is left as it is to the byte.

    Returns
    -------
    bool
        Whether there was anything to do.

    Raises
    ------
    LedgerError
        The database was written by a newer version of the package, holds tables that its revision
        does not have or lacks some that it has (someone else migrated it halfway), or cannot be reached.
    """
    with reading(engine) as connection:
        if _up_to_date(connection):
            return False
    with writing(engine, lock_chain=False) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(_MIGRATION_LOCK, {"key": _MIGRATION_LOCK_KEY})
        if _up_to_date(connection):
            return False  # another process was quicker
        from alembic import command

        for name in view_names():
            connection.execute(DropView(Table(name, MetaData()), if_exists=True))
        command.upgrade(alembic_config(connection), "head")
        for path in _view_files():
            connection.exec_driver_sql(path.read_text(encoding="utf-8"))
    return True


def _up_to_date(connection: Connection) -> bool:
    """Whether there is nothing to migrate.

    Raises
    ------
    LedgerError
        There is something, and no migration that starts from it; or what the version says is not all there.
    """
    revision = revision_of(connection)
    url = safe_url(connection.engine.url.render_as_string(hide_password=True))
    if revision is not None and revision not in REVISIONS:
        raise LedgerError(
            expected=f"a ledger of schema {', '.join(REVISIONS)}, which this version of nn_assets knows",
            found=f"schema {revision!r}",
            remedy="install the newer version of nn_assets that wrote this ledger, or restore the backup taken "
            "before it did; nothing was changed",
            file=url,
        )
    if too_many := _tables_ahead_of(connection, revision):
        stamped = "no version" if revision is None else f"version {revision}"
        raise LedgerError(
            expected=f"a ledger whose tables are those of its version, or of {HEAD_REVISION}",
            found=f"{stamped}, and {', '.join(too_many)} nevertheless: a schema migrated halfway by other means",
            remedy="restore the backup taken before, and open it with nn_assets, which migrates it in one "
            "transaction; nothing was changed",
            file=url,
        )
    if lacking := _lacking(connection, revision):
        raise LedgerError(
            expected="a ledger with all tables of its version",
            found=f"version {revision} without {', '.join(lacking)}: stamped or taken apart by other means",
            remedy="restore the backup taken before, and open it with nn_assets, which migrates it in one "
            "transaction; nothing was changed",
            file=url,
        )
    return revision == HEAD_REVISION


def _lacking(connection: Connection, revision: str | None) -> list[str]:
    """Tables and columns of a revision's schema that are not there; none of a ledger that is still to be made."""
    if revision is None:
        return []
    looked_at = inspect(connection)
    there = set(looked_at.get_table_names())
    lacking = sorted({CHAIN.name, *TABLES} - _made_after(revision) - there)
    for contract in LEDGER:
        added = [name for name, column in contract.columns.items() if column.since and column.since <= revision]
        present = (
            {stored_column["name"] for stored_column in looked_at.get_columns(contract.name)}
            if added and contract.name in there
            else added
        )
        lacking += [f"{contract.name}.{name}" for name in added if name not in present]
    return lacking


def _made_after(revision: str) -> set[str]:
    """Tables that a later migration makes."""
    return {contract.name for contract in LEDGER if contract.since > revision}


def _tables_ahead_of(connection: Connection, revision: str | None) -> list[str]:
    """Tables of the ledger that are there although a schema of that revision does not have them."""
    later = {CHAIN.name, *TABLES} if revision is None else _made_after(revision)
    return sorted(later & set(inspect(connection).get_table_names()))


def _view_files() -> list[Path]:
    return sorted((sql_root() / "views").glob("*.sql"))


def view_names() -> tuple[str, ...]:
    """Names of the ledger's views: one file each in ``sql/views``, made anew by every migration."""
    return tuple(path.stem for path in _view_files())
