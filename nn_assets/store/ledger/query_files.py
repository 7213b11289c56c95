"""An operator's questions to the ledger: one SQL file each in ``sql/queries``, and the values each needs."""

from __future__ import annotations

import re
from pathlib import Path

from nn_assets.errors import LedgerError
from nn_assets.store.home import sql_root

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)\b")


def _folder() -> Path:
    return sql_root() / "queries"


def query_names() -> tuple[str, ...]:
    """Names of the queries there are."""
    return tuple(sorted(path.stem for path in _folder().glob("*.sql")))


def statement_of(name: str) -> str:
    """The SQL of a query without its comments.

    Raises
    ------
    LedgerError
        There is no such query.
    """
    if name not in query_names():
        raise LedgerError(
            expected=f"one of {', '.join(query_names())}",
            found=repr(name),
            remedy="name a query, or add its file to sql/queries",
        )
    lines = (_folder() / f"{name}.sql").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("--"))


def query_parameters(name: str) -> tuple[str, ...]:
    """Names of the values that a query needs, in the order of their first use.

    Raises
    ------
    LedgerError
        There is no such query.
    """
    return tuple(dict.fromkeys(_PARAMETER.findall(statement_of(name))))
