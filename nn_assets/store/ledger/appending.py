"""What happens inside one transaction of the ledger: compare, then append with chain entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Table, insert, select, tuple_

from nn_assets.arrays import records_of
from nn_assets.errors import LedgerError, shortened
from nn_assets.store.ledger.canonical import Row, coerce_row, content_text, describe_key, key_of
from nn_assets.store.ledger.chain import ChainHead, entry_for, read_head
from nn_assets.store.ledger.reading import Query, last_appended, latest_frame, read_frame
from nn_assets.store.ledger.schema import CHAIN, contract_columns, natural_key, rows_of, shared_columns, table_named

_MOST_LETTERS = 60
_KEYS_A_QUERY = 2_000  # times the width of a key, well below SQLite's 32,766 bound values


@dataclass(frozen=True)
class Appended:
    """What an append did: rows written, and rows that were there already and equal."""

    inserted: int
    unchanged: int


class LedgerTransaction:
    """The right to append, for as long as the transaction lasts. Made by :meth:`Ledger.transaction`."""

    def __init__(
        self,
        connection: Connection,
        *,
        run_id: str,
        strategy: str | None,
        known_at: datetime,
        recorded_at: datetime,
    ) -> None:
        self._connection = connection
        self._run_id = run_id
        self._strategy = strategy
        self._known_at = known_at
        self._recorded_at = recorded_at
        self._head: ChainHead = read_head(connection)

    @property
    def head(self) -> ChainHead:
        """The chain's newest entry, this transaction's included."""
        return self._head

    def append(
        self,
        table: str,
        rows: Sequence[Mapping[str, Any]] | pd.DataFrame,
        *,
        version: int | None = None,
        reason: str | None = None,
    ) -> Appended:
        """Append rows to a table.

        Parameters
        ----------
        table : str
            Name of a table of :mod:`nn_assets.store.ledger.schema`.
        rows : sequence of mappings, or DataFrame
            The contract's columns; ``strategy`` unless the transaction states it. Columns that may
            be missing can be left out.
        version : int, optional
            The version that the rows are. Left out, it is the newest one stored, or 1.
        reason : str, optional
            Why a row now says something else. With it, rows that differ from the newest version
            become the next one, known from the moment of storing; without it they are refused.

        Raises
        ------
        LedgerError
            A row contradicts the one stored under its key (both values are named), skips a
            version, or does not fit the table.
        """
        target = table_named(table)
        records = records_of(rows) if isinstance(rows, pd.DataFrame) else rows
        if version is not None and version > 1 and not (reason or "").strip():
            raise LedgerError(
                expected="a reason for a version above 1",
                found=f"version {version} without one",
                remedy="say why the earlier version no longer holds",
                table=table,
            )
        offered = self._distinct(target, [self._completed(target, record) for record in records])
        stored = self._stored_versions(target, list(offered))
        new = [
            appended
            for key, row in offered.items()
            if (appended := _next_version(target, row, stored.get(key, {}), version, reason))
        ]
        self._insert(target, new)
        return Appended(inserted=len(new), unchanged=len(records) - len(new))

    def differences(self, table: str, rows: pd.DataFrame, stored: pd.DataFrame) -> list[str]:
        """What rows say otherwise than those stored, a line for each row; nothing is appended.

        Parameters
        ----------
        rows : DataFrame
            As for :meth:`append`.
        stored : DataFrame
            All that is on record of what they tell, as :meth:`read` gives it: a row that is not among them counts.

        Returns
        -------
        list of str
            Table and key, then each column that differs with both values, or that one side lacks the row.
        """
        target = table_named(table)
        now = self._distinct(target, [self._completed(target, row) for row in records_of(rows)])
        then = self._distinct(target, [self._completed(target, row) for row in records_of(stored)])
        lines = []
        for key in sorted({*now, *then}, key=repr):
            if key not in now or key not in then:
                side = "on record alone" if key in then else "not on record"
                lines.append(f"{table} {describe_key(target, now.get(key) or then[key])}: {side}")
            elif apart := _apart(target, then[key], now[key]):
                lines.append(f"{table} {describe_key(target, now[key])}: {apart}")
        return lines

    def read(self, table: str, *, bookkeeping: bool = False, **bounds: Any) -> pd.DataFrame:
        """Rows as :meth:`Ledger.read` gives them, this transaction's own included; see :class:`Query`."""
        return read_frame(self._connection, Query(table, **bounds), bookkeeping=bookkeeping)

    def latest(self, table: str, *, bookkeeping: bool = False, **bounds: Any) -> pd.DataFrame:
        """Newest rows as :meth:`Ledger.latest` gives them, this transaction's own included."""
        return latest_frame(self._connection, Query(table, **bounds), bookkeeping=bookkeeping)

    def last_appended(self, table: str, **where: object) -> dict[str, Any] | None:
        """One row as :meth:`Ledger.last_appended` gives it, this transaction's own included."""
        return last_appended(self._connection, table, where)

    def _completed(self, table: Table, record: Mapping[str, Any]) -> Row:
        offered = {"strategy": self._strategy, "known_at": self._known_at, **record}
        if "known_at" in contract_columns(table):
            offered["known_at"] = record.get("known_at")
        row = coerce_row(table, offered, required=("strategy", *contract_columns(table), "known_at"))
        return {**row, "version_reason": None, "run_id": self._run_id, "recorded_at": self._recorded_at}

    def _distinct(self, table: Table, rows: list[Row]) -> dict[tuple[Any, ...], Row]:
        distinct: dict[tuple[Any, ...], Row] = {}
        for row in rows:
            earlier = distinct.setdefault(key_of(table, row), row)
            if earlier is not row:
                _demand_equal(table, stored=earlier, offered=row, with_known_at=True)
        return distinct

    def _stored_versions(self, table: Table, keys: list[tuple[Any, ...]]) -> dict[tuple[Any, ...], dict[int, Row]]:
        stored: dict[tuple[Any, ...], dict[int, Row]] = {}
        whole = rows_of(table)
        columns = tuple_(*(whole.c[name] for name in ("strategy", *natural_key(table))))
        for some in _chunks(keys, _KEYS_A_QUERY):
            for mapping in self._connection.execute(select(whole).where(columns.in_(some))).mappings():
                row = dict(mapping)
                stored.setdefault(key_of(table, row), {})[row["version"]] = row
        return stored

    def _insert(self, table: Table, rows: list[Row]) -> None:
        entries, kept = [], []
        for _, of_strategy in groupby(rows, key=itemgetter("strategy")):
            group = [row | {"sequence": sequence} for sequence, row in enumerate(of_strategy, self._head.sequence + 1)]
            entry = entry_for(table, group, self._head)
            self._head = ChainHead(sequence=entry["sequence"], hash=entry["hash"])
            entries.append(entry)
            in_entry = dict.fromkeys(name for name in shared_columns(table) if entry[name] is not None)
            kept += [row | in_entry for row in group]
        if rows:
            self._connection.execute(insert(CHAIN), entries)
            self._connection.execute(insert(table), kept)


def _next_version(
    table: Table, row: Row, versions: Mapping[int, Row], version: int | None, reason: str | None
) -> Row | None:
    """Return the row as it is to be appended, or None when it is there already."""
    newest = max(versions, default=0)
    asked = version or max(newest, 1)
    if asked > newest + 1:
        raise LedgerError(
            expected=f"version {newest + 1} at most",
            found=f"version {asked}",
            remedy="versions follow one another; leave the version out to have the next one",
            table=table.name,
            key=describe_key(table, row),
        )
    if asked in versions:
        equal = content_text(table, row, with_known_at=asked == 1) == content_text(
            table, versions[asked], with_known_at=asked == 1
        )
        if equal:
            return None
        if version is not None or reason is None:
            _demand_equal(table, stored=versions[asked], offered=row, with_known_at=asked == 1)
        asked += 1
    if asked == 1:
        return {**row, "version": 1}
    # Only a fact's first version can have been known before it was stored.
    return {**row, "version": asked, "version_reason": reason, "known_at": row["recorded_at"]}


def _demand_equal(table: Table, *, stored: Row, offered: Row, with_known_at: bool) -> None:
    same = content_text(table, stored, with_known_at=with_known_at) == content_text(
        table, offered, with_known_at=with_known_at
    )
    if same:
        return
    names = [name for name in contract_columns(table) if stored[name] != offered[name]]
    raise LedgerError(
        expected="; ".join(f"{name} {stored[name]!r}" for name in names),
        found="; ".join(f"{name} {offered[name]!r}" for name in names),
        remedy="a stale run must stop; a correction states a reason and becomes a new version",
        table=table.name,
        key=describe_key(table, offered),
        run=stored.get("run_id"),
    )


def _apart(table: Table, then: Row, now: Row) -> str:
    """Columns of two rows that differ, of dicts the entries, each with both values; nothing where none does."""
    differences = []
    for name in contract_columns(table):
        before, after = then[name], now[name]
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            keys = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
            differences += [
                f"{name}.{key} {_brief(before.get(key))} on record, {_brief(after.get(key))} now" for key in keys
            ]
        else:
            differences.append(f"{name} {_brief(before)} on record, {_brief(after)} now")
    return ", ".join(differences)


def _brief(value: object) -> str:
    return shortened(repr(value), _MOST_LETTERS)


def _chunks(keys: list[tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
