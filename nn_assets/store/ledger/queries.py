"""An operator's questions to the ledger: one SQL file each in ``sql/queries``, values always bound."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
from sqlalchemy import Connection, bindparam, text
from sqlalchemy.types import TypeEngine

from nn_assets.errors import LedgerError
from nn_assets.store.home import sql_root
from nn_assets.store.ledger.columns import Moment, SessionDate

__all__ = ["query_names", "query_parameters", "run_query"]

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)\b")


def _folder() -> Path:
    return sql_root() / "queries"


def query_names() -> tuple[str, ...]:
    """Names of the queries there are."""
    return tuple(sorted(path.stem for path in _folder().glob("*.sql")))


def _statement(name: str) -> str:
    if name not in query_names():
        raise LedgerError(
            expected=f"one of {', '.join(query_names()) or 'the queries, of which there are none'}",
            found=repr(name),
            remedy=f"name a query, or add its file to {_folder()}",
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
    return tuple(dict.fromkeys(_PARAMETER.findall(_statement(name))))


def run_query(connection: Connection, name: str, **parameters: object) -> pd.DataFrame:
    """Run a query by name.

    Parameters
    ----------
    connection : Connection
        A connection to the ledger.
    name : str
        Name of a file in ``sql/queries`` without its ending.
    **parameters : object
        One value for each of :func:`query_parameters`. Sessions may be any spelling of a day,
        moments need a timezone.

    Returns
    -------
    DataFrame
        Columns named ``session`` or ``*_session`` are tz-naive sessions, columns named ``*_at``
        UTC moments, both in nanoseconds; NULL is NaN or missing.

    Raises
    ------
    LedgerError
        There is no such query, or a value is missing or one too many.
    """
    needed = query_parameters(name)
    if set(needed) != set(parameters):
        raise LedgerError(
            expected=f"values for {', '.join(needed) or 'nothing'}",
            found=f"values for {', '.join(sorted(parameters)) or 'nothing'}",
            remedy="hand over exactly the values that the query names",
            query=name,
        )
    bound = [bindparam(each, type_=_parameter_type(each)) for each in needed]
    result = connection.execute(text(_statement(name)).bindparams(*bound), parameters)
    frame = pd.DataFrame(result.all(), columns=list(result.keys()))
    return frame.assign(**{column: _typed(column, frame[column]) for column in frame.columns})


def _parameter_type(name: str) -> TypeEngine[date] | TypeEngine[datetime] | None:
    if name in ("session", "first", "last"):
        return SessionDate()
    return Moment() if name in ("as_of", "recorded_by") else None


def _typed(name: str, values: pd.Series) -> pd.Series:
    if name == "session" or name.endswith("_session"):
        return pd.to_datetime(values).dt.as_unit("ns")
    if name.endswith("_at"):
        return pd.to_datetime(values, utc=True, format="ISO8601").dt.tz_convert(UTC).dt.as_unit("ns")
    return values
