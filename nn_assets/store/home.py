"""One home for everything the system keeps, and the one place where database addresses are read."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from nn_assets.errors import InstallationError, LedgerError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

PAGES_PATH = "/reports/"
"""Where the UI serves the pages written for a person."""

_HOME_VARIABLE = "NN_ASSETS_HOME"
_DATABASE_VARIABLE = "NN_ASSETS_DATABASE_URL"
_DAGSTER_VARIABLE = "NN_ASSETS_DAGSTER_DATABASE_URL"
ANCHOR_VARIABLE = "NN_ASSETS_ANCHOR"
"""Names the file, outside the home, in which each round anchors the head of the ledger's chain."""

_BARE_POSTGRES = ("postgres", "postgresql")
_PSYCOPG = "postgresql+psycopg"
_DEFAULT_HOME = ".nn_assets"
_PROJECT = re.compile(r"""^name\s*=\s*["']nn_assets["']""", re.MULTILINE)


def checkout() -> Path | None:
    """Checkout that the package lies in, whatever the current folder is; None where the package is installed.

    A checkout has this project's ``pyproject.toml`` beside the package. Another project's may lie beside an installed
    one.
    """
    beside = Path(__file__).resolve().parents[2]
    return beside if _is_checkout(beside) else None


@cache
def _is_checkout(folder: Path) -> bool:
    try:
        project = (folder / "pyproject.toml").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return False
    return _PROJECT.search(project) is not None


def _inside(name: str) -> Path:
    return Path(str(files("nn_assets"))) / name


def sql_root() -> Path:
    """Folder of migrations, views and queries: inside an installed package, else ``sql/`` in the checkout."""
    inside, beside = _inside("sql"), checkout()
    return inside if beside is None or inside.is_dir() else beside / "sql"


def instance_root() -> Path:
    """Folder of ``dagster.yaml`` and ``workspace.yaml``: inside an installed package, else the checkout.

    Raises
    ------
    InstallationError
        They are not there.
    """
    inside, beside = _inside("instance"), checkout()
    folder = inside if beside is None or inside.is_dir() else beside
    for name in ("dagster.yaml", "workspace.yaml"):
        if not (folder / name).is_file():
            raise InstallationError(
                expected=f"Dagster's {name}, which comes with nn_assets",
                found="no such file",
                remedy="install nn_assets from its wheel (pip wheel .), or run from a whole checkout",
                file=str(folder / name),
            )
    return folder


def home() -> Path:
    """Folder of the embedded ledger, and, where no store is named, of the lake and the models. It need not exist yet.

    ``NN_ASSETS_HOME`` when set, else ``.nn_assets`` in the checkout, or in the user's home folder where the package
    is installed. A relative ``NN_ASSETS_HOME`` is taken from there too, never from the current folder, so that two
    commands started in different folders agree.

    Raises
    ------
    InstallationError
        The user's home folder is needed, and nothing says which it is.
    """
    named = os.environ.get(_HOME_VARIABLE, "").strip()
    try:
        path = Path(named or _DEFAULT_HOME).expanduser()
        folder = path if path.is_absolute() else (checkout() or Path.home()) / path
    except RuntimeError as error:
        raise _homeless(str(error), named) from error
    if not folder.is_absolute():
        raise _homeless(f"HOME={os.environ.get('HOME')!r}, which is relative", named)
    return folder.resolve() if named else folder


def require_home() -> None:
    """Refuse a home that is named and not there: it may be mistyped, and would be made anew, and empty.

    Raises
    ------
    InstallationError
        ``NN_ASSETS_HOME`` names no folder.
    """
    if os.environ.get(_HOME_VARIABLE, "").strip() and not home().is_dir():
        raise InstallationError(
            expected=f"a folder that is there, in {_HOME_VARIABLE}",
            found="none",
            remedy=f"correct {_HOME_VARIABLE}, or make the folder first: mkdir -p {shlex.quote(str(home()))}",
            file=str(home()),
        )


def _homeless(found: str, named: str) -> InstallationError:
    return InstallationError(
        expected="a folder of the user's own to keep everything in",
        found=found,
        remedy=f"name a folder by its whole path in {_HOME_VARIABLE}",
        value=named or None,
    )


def reports_root() -> Path:
    """Folder of the pages written for a person."""
    return home() / "reports"


def searches_root() -> Path:
    """Folder of Optuna's own files, one a strategy: they follow the trials on the ledger, and decide nothing."""
    return home() / "searches"


def dagster_folder(name: str) -> str:
    """Folder in the home for something of Dagster's own; it is made where it is not there."""
    folder = home() / "dagster" / name
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def dagster_home() -> Path:
    """Folder in the home for Dagster's own programs, with the configuration that comes with nn_assets.

    They make folders beside their configuration (``logs``, ``.logs_queue``), which must be neither in a checkout nor
    in an installed package.
    """
    folder = Path(dagster_folder("instance"))
    fresh = folder / f".dagster.yaml.{os.getpid()}"
    shutil.copyfile(instance_root() / "dagster.yaml", fresh)
    fresh.replace(folder / "dagster.yaml")
    return folder


def data_docs_file(strategy: str) -> Path:
    """Where a strategy's Data Docs lie, whether or not they were written yet."""
    return reports_root() / f"{strategy}-data-docs.html"


def page_address(file: Path) -> str:
    """Where the UI serves a page of the reports' folder: a link that its own pages can follow."""
    return PAGES_PATH + file.name


def halt_file() -> Path:
    """Path in the home that halts everything by lying there, whatever it is (``operations/asof/halt_file.py``)."""
    return home() / "HALT"


def embedded_ledger() -> Path:
    """File of the ledger that lives in the home."""
    return home() / "ledger.sqlite"


def anchor_file() -> Path | None:
    """File in which the head of the ledger's chain is anchored, as ``NN_ASSETS_ANCHOR`` names it; None where unset."""
    named = os.environ.get(ANCHOR_VARIABLE, "").strip()
    return Path(named) if named else None


def absent_ledger() -> Path | None:
    """File of a SQLite ledger that does not exist yet: opening it makes it. None of any other ledger."""
    url = _parsed(database_url())
    if url.get_backend_name() != "sqlite" or Path(str(url.database)).exists():
        return None
    return Path(str(url.database))


@contextmanager
def address_to_read() -> Iterator[str | None]:
    """Address of a ledger for what only reads: None for the home's; where it has none, of an empty one, gone after."""
    if absent_ledger() is None:
        yield None
        return
    with TemporaryDirectory(prefix="nn_assets-") as folder:
        yield f"sqlite:///{Path(folder) / 'ledger.sqlite'}"


def database_url() -> str:
    """Address of the ledger: ``NN_ASSETS_DATABASE_URL``, else a SQLite file in the home.

    The answer may hold a password: hand it to the ledger, and print only :func:`safe_url` of it.

    Raises
    ------
    LedgerError
        The variable holds no database address.
    """
    named = os.environ.get(_DATABASE_VARIABLE, "").strip()
    return ledger_url(named) if named else f"sqlite:///{embedded_ledger()}"


def dagster_database_url() -> str | None:
    """Address of the server that keeps Dagster's runs and events; None when files in the home do.

    ``NN_ASSETS_DAGSTER_DATABASE_URL`` when set (``sqlite://`` says the home), else the ledger's own
    server. The answer may hold a password, as :func:`database_url`'s may.

    Raises
    ------
    LedgerError
        The variable holds an address of something else than PostgreSQL.
    """
    named = os.environ.get(_DAGSTER_VARIABLE, "").strip()
    if named == "sqlite://":
        return None
    address = ledger_url(named) if named else database_url()
    backend = _parsed(address).get_backend_name()
    if backend == "postgresql":
        return address
    if named:
        raise LedgerError(
            expected=f"an address of PostgreSQL in {_DAGSTER_VARIABLE}, or sqlite:// for files in the home",
            found=f"one of {backend}",
            remedy=f"correct {_DAGSTER_VARIABLE}, or unset it",
        )
    return None


def ledger_url(address: str) -> str:
    """Bring a database address to the form the drivers here take.

    A bare ``postgres://`` or ``postgresql://`` becomes psycopg 3; a relative SQLite file is taken
    from the home, never from the current folder.

    Raises
    ------
    LedgerError
        The address cannot be parsed, or names a SQLite database that lives in memory only.
    """
    url = _parsed(address)
    if url.drivername in _BARE_POSTGRES:
        url = url.set(drivername=_PSYCOPG)
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise LedgerError(
                expected="a ledger in a file",
                found="a SQLite address without a file",
                remedy="name a file, as in sqlite:////var/lib/nn_assets/ledger.sqlite",
            )
        url = url.set(database=str(home() / url.database))
    return url.render_as_string(hide_password=False)


def safe_url(address: str) -> str:
    """Return the address as it may be printed: without its password and its query."""
    try:
        url = _parsed(address)
    except LedgerError:
        return "<an unreadable database address>"
    return url.set(query={}).render_as_string(hide_password=True)


def _parsed(address: str) -> URL:
    from sqlalchemy.engine import make_url  # a tenth of a second, which help and a wrong call do without
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        # The cause quotes the address, password and all: it is left out on purpose.
        raise LedgerError(
            expected="a database address such as postgresql://user@host/name or sqlite:////file",
            found="an address that cannot be parsed",
            remedy=f"correct {_DATABASE_VARIABLE}, or unset it for a SQLite file in the home",
        ) from None
    if url.get_backend_name() == "sqlite":
        return url
    if address.count("@") > 1:
        # What follows the first would be taken for a host, and printed.
        raise LedgerError(
            expected="a database address with one @, before the host",
            found=f"{address.count('@')} of them",
            remedy="percent-encode the password: %40 for @, %2F for /, %25 for %",
        )
    user, password = url.username or url.query.get("user"), url.query.get("password")
    if user is not None and password is not None:  # where it is known to be secret
        url = url.set(username=str(user), password=str(password)).difference_update_query(["user", "password"])
    return url
