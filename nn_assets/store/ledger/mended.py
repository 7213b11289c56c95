"""Rows that a clock stamped ahead of time: which there are, and as what a person had their moments read, on record."""

from __future__ import annotations

import json
from datetime import datetime

import pandas as pd
from sqlalchemy import ColumnElement, Connection, func, or_, select

from nn_assets.arrays import Moment
from nn_assets.contracts.ledger import DECISIONS, ROUNDS
from nn_assets.market.facts.arrival import Mended
from nn_assets.store.ledger.schema import CHAIN, TABLES, WHOLE_LEDGER
from nn_assets.store.values import as_moment

CLOCK = "clock"
"""Kind of a control that says as what moments are read."""

_OF_A_DECISION = [
    contract.name for contract in ROUNDS if contract is not DECISIONS
]  # stamped with the row of ``decisions``
_controls = TABLES["controls"].c
_MENDED = (  # made once: it is asked before every reading
    select(_controls.details)
    .where(_controls.strategy == WHOLE_LEDGER, _controls.kind == CLOCK)
    .order_by(_controls.sequence)
)


def read_mended(connection: Connection) -> Mended:
    """Every moment that was mended."""
    read_as: dict[int, int] = {}
    for details in connection.execute(_MENDED).scalars():
        read_as |= {pd.Timestamp(stored).value: pd.Timestamp(read).value for stored, read in details["read_as"].items()}
    return Mended(read_as)


def seen_by(column: ColumnElement[datetime], moment: Moment, mended: Mended) -> ColumnElement[bool]:
    """Whether a moment of a row, as it is read, lies at or before another one, which may be one that was mended."""
    stamp = pd.Timestamp(moment)
    until, moment = stamp.value, as_moment(stamp.floor("us"))
    shown = [stored for stored, read in mended.read_as.items() if read <= until < stored and stored % 1_000 == 0]
    if not shown:
        return column <= moment
    return or_(column <= moment, column.in_([pd.Timestamp(stored, tz="UTC").to_pydatetime() for stored in shown]))


def as_read(frame: pd.DataFrame, mended: Mended) -> pd.DataFrame:
    """Rows of the ledger with the moments of their storing as they are read; ``known_at`` too where it is theirs.

    Parameters
    ----------
    frame : DataFrame
        Left as it is where it has no column ``recorded_at``: nothing then says whose moment ``known_at`` is.
    """
    if not mended.read_as or "recorded_at" not in frame.columns:
        return frame
    read = mended.of(frame["recorded_at"])
    if "known_at" not in frame.columns:
        return frame.assign(recorded_at=read)
    by_storing = frame["known_at"] == frame["recorded_at"]
    return frame.assign(recorded_at=read, known_at=frame["known_at"].where(~by_storing, read))


def rows_stamped_after(connection: Connection, moment: datetime, mended: Mended) -> pd.DataFrame:
    """Moments later than another one that rows were stamped with, and that were not mended: table, strategy, moment."""
    stamped: list[tuple[str, str, datetime]] = []
    for name, table in TABLES.items():
        if name in _OF_A_DECISION:
            continue
        together = select(CHAIN.c.recorded_at, CHAIN.c.row_key).where(*_of_entries(name), CHAIN.c.recorded_at > moment)
        stamped += [(name, json.loads(key)[0], stamp) for stamp, key in connection.execute(together)]
        columns = [table.c.recorded_at, *([table.c.ended_at] if name == "outcomes" else [])]
        for column in columns:
            statement = select(column, table.c.strategy).where(column > moment).distinct()
            if column.name == "ended_at":  # a verdict of the gate counts from the moment that it says
                statement = statement.where(table.c.kind == "gate")
            stamped += [(name, strategy, stamp) for stamp, strategy in connection.execute(statement)]
    ahead = [row for row in dict.fromkeys(stamped) if pd.Timestamp(row[2]).value not in mended.read_as]
    frame = pd.DataFrame(ahead, columns=["table", "strategy", "moment"])
    return frame.assign(moment=pd.to_datetime(frame["moment"], utc=True).dt.as_unit("ns"))


def acts_on_record(connection: Connection, mended: Mended) -> pd.DatetimeIndex:
    """When each act was put on record, as it is read, in the order in which they were."""
    stamps: list[tuple[int, datetime]] = []
    for name, table in TABLES.items():
        if name not in _OF_A_DECISION:
            # The first row represents all that one transaction wrote.
            alone = select(func.min(table.c.sequence), table.c.recorded_at).where(table.c.recorded_at.is_not(None))
            together = select(func.min(CHAIN.c.sequence), CHAIN.c.recorded_at).where(*_of_entries(name))
            for firsts in (alone.group_by(table.c.recorded_at), together.group_by(CHAIN.c.recorded_at)):
                stamps += [(sequence, stamp) for sequence, stamp in connection.execute(firsts)]
    ordered = pd.Series([stamp for _, stamp in sorted(stamps)], dtype="datetime64[ns, UTC]")
    return pd.DatetimeIndex(mended.of(ordered))


def _of_entries(name: str) -> list[ColumnElement[bool]]:
    """Whether an entry is of rows of a table that were stored together: it has their moment."""
    return [CHAIN.c.table_name == name, CHAIN.c.recorded_at.is_not(None)]
