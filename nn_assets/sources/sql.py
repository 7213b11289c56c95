"""Bars from a query to any database that SQLAlchemy reaches."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from nn_assets.contracts import DELIVERED_BARS, LEFT_BY, conform
from nn_assets.contracts.frames import DeliveredBars
from nn_assets.errors import SourceError
from nn_assets.settings.sources import Query, SourceSection, Variable
from nn_assets.sources.answers import Action, Scope, ScopedActions, nothing_of
from nn_assets.sources.database import Database
from nn_assets.sources.days import days_written, known_at_fault, without_a_time
from nn_assets.sources.keys import EnvironmentKey
from nn_assets.sources.numbers import detail_columns
from nn_assets.sources.protocol import validate_symbol
from nn_assets.sources.registry import Extra, SourceContext, SourceMember
from nn_assets.sources.spellings import map_columns

_NUMBERS = ("open", "high", "low", "close", "volume")
_ACTION_COLUMNS = ("symbol", "ex_session", "kind", "value")
_KINDS = ("split", "dividend", *LEFT_BY)
_LAST_DAY = dt.date(2261, 12, 31)
_FIRST_MOMENT, _LAST_MOMENT = pd.Timestamp.min.tz_localize("UTC"), pd.Timestamp.max.tz_localize("UTC")


_POSTGRES = ("postgres://", "postgresql://", "postgresql+psycopg://")


class SqlSettings(SourceSection):
    """A query to the database whose address ``url_env`` holds; ``actions_query`` gives splits and dividends."""

    kind: Literal["sql"] = "sql"
    url_env: Variable
    query: Query
    actions_query: str = ""
    maximum_rows: Annotated[int, Field(ge=1)] = 5_000_000


@dataclass(frozen=True)
class SqlSource(ScopedActions):
    """A query in a database.

    The query may use ``:symbols`` (as in ``symbol IN :symbols``), ``:first`` and ``:last`` (days, both
    included). They are bound, never written into the text. The transaction is read-only where the
    database knows such (PostgreSQL, SQLite, MySQL, MariaDB) and is rolled back everywhere.

    Parameters
    ----------
    scope : Scope
        What is asked for where a request leaves it open.
    url : EnvironmentKey
        Variable that holds the database's address. A bare ``postgresql://`` means psycopg 3.
    query : str
        Gives a row for each bar: symbol, session and prices in a common spelling; volume, if the
        instruments have one; vwap, trades, bid, ask and known_at (UTC), if the database knows them.
    actions_query : str
        Gives a row for each split and dividend: symbol, ex_session, kind, value.
    maximum_rows : int
        More than that is refused: a query that lost its WHERE.
    requires_volume : bool
        False for series quoted without volume: theirs is NaN.
    """

    scope: Scope
    url: EnvironmentKey
    query: str
    actions_query: str = ""
    maximum_rows: int = 5_000_000
    requires_volume: bool = True
    name: str = "sql"

    def bars_from(self, names: tuple[str, ...], first: pd.Timestamp, last: pd.Timestamp | None) -> DeliveredBars:
        """Ask for the query's bars.

        Raises
        ------
        SourceError
            No address in the environment, no connection, a query that fails or tries to write, a
            missing column, more rows than allowed, or a value of the wrong kind; the address and
            its password are in none of them.
        """
        table = self._read(self.query, names, first, last)
        remedy = "give the query {columns}, as in SELECT <your column> AS {column}"
        columns = map_columns(list(table.columns), None, needs_volume=self.requires_volume, remedy=remedy)
        if "symbol" not in columns:
            raise self._fault(
                "complete_columns",
                "a column symbol in the query's answer",
                f"none among {', '.join(map(repr, table.columns))}",
                "give the query a column 'symbol'",
                column="symbol",
            )
        bars = table[list(columns.values())].set_axis(list(columns), axis=1)
        if bars.empty:
            raise nothing_of(self.name, ", ".join(names[:20]), first, last)
        for symbol in bars["symbol"].unique():
            validate_symbol(symbol if isinstance(symbol, str) else "", source=self.name)
        bars["session"] = self._days(bars, "session")
        for column in _NUMBERS:
            bars[column] = self._numbers(bars, column) if column in bars.columns else np.nan
        details = detail_columns(bars, columns, self.name)
        delivered = conform(bars.assign(source=self.name), DELIVERED_BARS)
        delivered = delivered.assign(**{name: values.reset_index(drop=True) for name, values in details.items()})
        if "known_at" in table.columns:
            delivered["known_at"] = self._moments(table["known_at"])
        return delivered

    def actions_from(self, names: tuple[str, ...], first: pd.Timestamp, last: pd.Timestamp | None) -> list[Action]:
        """Ask for splits and dividends; none where no query for them is stated."""
        if not self.actions_query:
            return []
        table = self._read(self.actions_query, names, first, last)
        absent = [column for column in _ACTION_COLUMNS if column not in table.columns]
        if absent:
            raise self._fault(
                "complete_columns",
                f"columns {', '.join(_ACTION_COLUMNS)} in the answer to source.actions_query",
                f"columns {', '.join(map(repr, table.columns))}",
                f"give the query a column {absent[0]!r}",
                column=absent[0],
            )
        kinds = table["kind"].astype("str")
        if not kinds.isin(_KINDS).all():
            unknown_kind = kinds[~kinds.isin(_KINDS)].iloc[0]
            raise self._fault(
                "known_kind",
                "kind 'split', 'dividend', 'delisting' or 'settlement'",
                repr(unknown_kind[:80]),
                "translate the kind in the query",
                value=unknown_kind[:80],
            )
        days, values = self._days(table, "ex_session"), self._numbers(table, "value")
        return list(zip(table["symbol"], days, kinds, values, strict=True))

    def _read(
        self, query: str, symbols: tuple[str, ...], first: pd.Timestamp, last: pd.Timestamp | None
    ) -> pd.DataFrame:
        end = _LAST_DAY if last is None else last.date()
        return Database(self.name, self.url, self.maximum_rows).read(query, symbols, first.date(), end)

    def _days(self, table: pd.DataFrame, column: str) -> pd.Series:
        written = table[column]
        distinct = pd.Series(written.unique(), dtype=object)
        days = written.map(dict(zip(distinct, days_written(distinct.map(_as_text)), strict=True))).astype(
            "datetime64[ns]"
        )
        if days.isna().any():
            row = int(np.argmax(days.isna()))
            raise self._fault(
                "dates_are_days",
                f"a day in {column}: a date, or a text year first",
                f"{str(written.iloc[row])[:60]!r}, first of {int(days.isna().sum())}",
                "select the day, as in CAST(moment AS DATE)",
                **_row_of(table, row),
                column=column,
                value=repr(str(written.iloc[row])[:60]),
            )
        return days

    def _numbers(self, table: pd.DataFrame, column: str) -> pd.Series:
        written = table[column]
        if pd.api.types.is_numeric_dtype(written) and not pd.api.types.is_bool_dtype(written):
            return written.astype(np.float64)
        kinds = written.map(_is_number)
        if not kinds.all():
            texts = written.map(lambda value: isinstance(value, str))
            none = ~kinds & pd.to_numeric(written.where(texts), errors="coerce").isna()
            wrong = none if none.any() else ~kinds
            row = int(np.argmax(wrong))
            value = repr(written.iloc[row])[:60]
            what = ("text " if texts.iloc[row] else "") + value + ("" if none.any() else ", a number stored as text")
            raise self._fault(
                "numbers_are_numbers",
                f"a number in {column}",
                f"{what}, first of {int(wrong.sum())}",
                "store numbers in the column, and NULL where there is none; SQLite's CAST makes 0 of text",
                **_row_of(table, row),
                column=column,
                value=value,
            )
        return table[column].astype(np.float64)

    def _moments(self, column: pd.Series) -> pd.Series:
        is_moment = column.map(_is_moment)
        moments = pd.to_datetime(column.where(is_moment), utc=True, errors="coerce", format="ISO8601")
        held = (moments >= _FIRST_MOMENT) & (moments <= _LAST_MOMENT)
        wrong = column.notna() & ~held
        if wrong.any():
            value = str(column[wrong].iloc[0])[:60]
            raise self._fault(
                "moments_are_moments",
                f"a UTC moment in known_at, from {_FIRST_MOMENT.year} to {_LAST_MOMENT.year}",
                repr(value),
                "select a timestamp",
                column="known_at",
            )
        days = without_a_time(column, moments)
        if days.any():
            raise SourceError(**known_at_fault("known_at", column[days].iloc[0], int(days.sum())), source=self.name)
        return moments.astype("datetime64[ns, UTC]")

    def _fault(self, rule: str, expected: str, found: str, remedy: str, **where: object) -> SourceError:
        return SourceError(expected=expected, found=found, remedy=remedy, source=self.name, rule=rule, **where)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float | Decimal | np.number) and not isinstance(value, bool))


def _is_moment(value: object) -> bool:
    """Whether a value may be a moment: a number, or a text of digits alone, would be read as some day's midnight."""
    return isinstance(value, dt.date) or (isinstance(value, str) and not value.strip().isdigit())


def _as_text(value: object) -> str:
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ")
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def _row_of(table: pd.DataFrame, index: int) -> dict[str, object]:
    named = {name: table[name].iloc[index] for name in ("symbol", "session") if name in table.columns}
    values = {name: value.date() if isinstance(value, pd.Timestamp) else value for name, value in named.items()}
    return {"row": index + 1, **{name: str(value)[:40] for name, value in values.items()}}


def _build(settings: SqlSettings, context: SourceContext) -> SqlSource:
    return SqlSource(
        context.scope,
        EnvironmentKey(settings.url_env),
        settings.query,
        settings.actions_query,
        settings.maximum_rows,
        requires_volume=context.requires_volume,
    )


def _driver(settings: SqlSettings) -> Extra | None:
    is_postgres = EnvironmentKey(settings.url_env).reveal().startswith(_POSTGRES)
    return Extra("postgres", "psycopg") if is_postgres else None


SOURCE = SourceMember(
    kind="sql",
    settings=SqlSettings,
    build=_build,
    label="Bars from a database",
    delivers=("bars", "actions", "known_at"),
    extra_of=_driver,
    may_end=True,
)
