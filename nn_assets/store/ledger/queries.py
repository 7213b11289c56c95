"""An operator's questions put to the ledger, values always bound."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pandas as pd
from sqlalchemy import Connection, bindparam, text
from sqlalchemy.types import TypeEngine

from nn_assets.errors import LedgerError
from nn_assets.store.ledger.columns import Moment, SessionDate
from nn_assets.store.ledger.mended import as_read, read_mended
from nn_assets.store.ledger.query_files import query_parameters, statement_of


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
        UTC moments, both in nanoseconds; NULL is NaN or missing. When a row was stored (``recorded_at``) is
        as it is read: a moment of a clock that ran ahead as a person had it mended.

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
    bound = [bindparam(parameter, type_=_parameter_type(parameter)) for parameter in needed]
    result = connection.execute(text(statement_of(name)).bindparams(*bound), parameters)
    frame = pd.DataFrame(result.all(), columns=list(result.keys()))
    typed = frame.assign(**{column: _typed(column, frame[column]) for column in frame.columns})
    return as_read(typed, read_mended(connection))


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
