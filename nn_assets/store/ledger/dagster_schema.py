"""Room for Dagster's own tables on the server, apart from the ledger's: both have an ``alembic_version``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import func, select
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateSchema

from nn_assets.store.ledger.engine import named_errors, open_engine

DAGSTER_SCHEMA = "dagster"
_LOCK_KEY = 0x6E6E5F64  # any constant: "nn_d"


@contextmanager
def dagster_schema(address: str) -> Iterator[str]:
    """Make the schema ``dagster`` unless it is there, and hold off others who would fill it.

    Parameters
    ----------
    address : str
        Address of a PostgreSQL database.

    Yields
    ------
    str
        Address for psycopg 2, which is what Dagster speaks, in which that schema is the only one and
        the timezone UTC. It may hold a password. Until the block ends, no other process is in one.

    Raises
    ------
    LedgerError
        The database cannot be reached, or its user may not make the schema.
    """
    engine = open_engine(address)
    try:
        with named_errors(engine), engine.connect() as connection:
            connection.execute(select(func.pg_advisory_lock(_LOCK_KEY)))
            if connection.execute(select(func.to_regnamespace(DAGSTER_SCHEMA))).scalar_one() is None:
                connection.execute(CreateSchema(DAGSTER_SCHEMA))
            connection.commit()
            yield _address_within(address)
    finally:
        engine.dispose()  # and with the connection ends the lock


def _address_within(address: str) -> str:
    url = make_url(address).set(drivername="postgresql+psycopg2")
    options = f"{url.query.get('options', '')} -csearch_path={DAGSTER_SCHEMA} -ctimezone=UTC".strip()
    return url.update_query_dict({"options": options}).render_as_string(hide_password=False)
