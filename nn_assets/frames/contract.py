"""What a contract is made of, and how a frame is held to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from nn_assets.errors import SchemaError

__all__ = ["PRICES", "Violation", "conform", "empty", "validate", "violations"]

PRICES = ("open", "high", "low", "close")

_TEXT = pd.StringDtype(na_value=np.nan)
_DAY = np.dtype("datetime64[ns]")
_MOMENT = pd.DatetimeTZDtype("ns", "UTC")
_NUMBER = np.dtype("float64")
_WHOLE = np.dtype("int64")
_FLAG = np.dtype("bool")
_LISTED = 200
_UNIQUE = "multiple_fields_uniqueness"


def column(dtype: object, *checks: pa.Check, nullable: bool = False) -> pa.Column:
    """Column of exactly one type, with the checks its values must pass."""
    # Pandera takes datetime64[us] for [ns] and object for str; the exact type is checked here.
    exact = pa.Check(lambda values: values.dtype == dtype, name=f"dtype is {dtype}")
    return pa.Column(None, [exact, *checks], nullable=nullable, metadata={"dtype": dtype})


def text(*allowed: str, nullable: bool = False) -> pa.Column:
    """Column of texts, of the ``allowed`` ones where any are given."""
    return column(_TEXT, *([pa.Check.isin(list(allowed))] if allowed else []), nullable=nullable)


def day(*, nullable: bool = False) -> pa.Column:
    """Column of sessions."""
    midnight = pa.Check(lambda days: days.isna() | (days.dt.normalize() == days), name="is a midnight")
    return column(_DAY, midnight, nullable=nullable)


def moment(*, nullable: bool = False) -> pa.Column:
    """Column of UTC moments."""
    return column(_MOMENT, nullable=nullable)


def number(*checks: pa.Check, nullable: bool = False) -> pa.Column:
    """Column of finite numbers; NaN only where ``nullable``."""
    finite = pa.Check(lambda values: ~np.isinf(values), name="is finite")
    return column(_NUMBER, finite, *checks, nullable=nullable)


def fraction(*, nullable: bool = False) -> pa.Column:
    """Column of numbers from 0 to 1."""
    return number(pa.Check.in_range(0.0, 1.0), nullable=nullable)


def at_least_zero(*, nullable: bool = False) -> pa.Column:
    """Column of finite numbers that are not negative."""
    return number(pa.Check.ge(0.0), nullable=nullable)


def positive(*, nullable: bool = False) -> pa.Column:
    """Column of finite numbers above zero."""
    return number(pa.Check.gt(0.0), nullable=nullable)


def whole(*checks: pa.Check) -> pa.Column:
    """Column of integers."""
    return column(_WHOLE, *checks)


def flag() -> pa.Column:
    """Column of truth values."""
    return column(_FLAG)


def unjudged() -> pa.Column:
    """Column of numbers as they came, missing and impossible ones included."""
    return column(_NUMBER, nullable=True)


def contract(
    name: str,
    columns: dict[str, pa.Column],
    *,
    unique: list[str] | None = None,
    checks: tuple[pa.Check, ...] = (),
) -> pa.DataFrameSchema:
    """Contract of a frame: these columns and no others, ``unique`` together, ``checks`` on whole rows."""
    return pa.DataFrameSchema(columns, name=name, unique=unique, checks=list(checks), strict=True)


def row_check(name: str, holds: Callable[[pd.DataFrame], pd.Series]) -> pa.Check:
    """Name a check of whole rows; ``holds`` gives one truth value a row."""
    return pa.Check(holds, name=name)


def _dtype_of(schema: pa.DataFrameSchema, name: str) -> object:
    return schema.columns[name].metadata["dtype"]


def empty(schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Make a frame of no rows with the contract's columns and types."""
    return pd.DataFrame({name: pd.Series(dtype=_dtype_of(schema, name)) for name in schema.columns})


def conform(frame: pd.DataFrame, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Give the contract's columns in its order, cast to its types, with a fresh index.

    For frames built from records, whose dates are microseconds or whose texts are objects. Values
    are not judged: ``validate`` does that.

    Raises
    ------
    SchemaError
        A column is absent, or a value cannot be cast.
    """
    cast: dict[str, pd.Series] = {}
    for name in schema.columns:
        dtype = _dtype_of(schema, name)
        if name not in frame.columns:
            raise SchemaError(
                expected=f"column {name} in {schema.name}",
                found=f"columns {', '.join(map(str, frame.columns))}",
                remedy="build the frame with every column its contract names",
                column=name,
            )
        try:
            cast[name] = frame[name].astype(dtype)
        except (TypeError, ValueError) as error:
            raise SchemaError(
                expected=f"values of type {dtype} in {schema.name}.{name}",
                found=f"{frame[name].dtype}: {error}",
                remedy="convert the column where the frame is made",
                column=name,
            ) from error
    return pd.DataFrame(cast).reset_index(drop=True)


@dataclass(frozen=True)
class Violation:
    """One breach of a contract.

    ``symbol`` and ``session`` are empty where the breach concerns a whole column; ``column`` is
    ``row`` where it concerns a whole row.
    """

    rule: str
    column: str
    symbol: str
    session: str
    value: str

    def __str__(self) -> str:
        place = " ".join(part for part in (self.symbol, self.session) if part)
        return f"{place or 'frame'}: {self.column} = {self.value} breaks {self.rule}"


def violations(frame: pd.DataFrame, schema: pa.DataFrameSchema) -> tuple[Violation, ...]:
    """Every breach of a contract, found lazily: none hides another.

    Parameters
    ----------
    frame : DataFrame
        Any frame; its index is ignored.
    schema : DataFrameSchema
        A contract of this module.

    Returns
    -------
    tuple of Violation
        Empty when the frame keeps its contract. NaN in a column that is not nullable is a breach.
    """
    judged = frame.reset_index(drop=True)
    absent = [name for name in schema.columns if name not in judged.columns]
    surplus = [str(name) for name in judged.columns if name not in schema.columns]
    structure = [Violation("no column of the contract is absent", name, "", "", "absent") for name in absent]
    structure += [Violation("no column beyond the contract", name, "", "", "present") for name in surplus]
    # What spans columns is asked only of frames that have them all; the columns there are always.
    judge = schema if not structure else _of_columns(schema, absent)
    try:
        judge.validate(judged[[name for name in schema.columns if name not in absent]], lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
    else:
        return tuple(structure)
    # What concerns a whole row is reported once for each of its columns: keep one.
    of_row = cases["check"].isin([_UNIQUE, *(check.name for check in schema.checks)])
    kept = cases[~(of_row & cases.duplicated(["check", "index"]))]
    return (*structure, *(_violation(judged, schema, case) for case in kept.itertuples(index=False)))


def _of_columns(schema: pa.DataFrameSchema, absent: list[str]) -> pa.DataFrameSchema:
    columns = {name: rules for name, rules in schema.columns.items() if name not in absent}
    return pa.DataFrameSchema(columns, name=schema.name)


def _violation(frame: pd.DataFrame, schema: pa.DataFrameSchema, case: Any) -> Violation:
    rule, column, value = str(case.check), str(case.column), str(case.failure_case)
    if pd.isna(case.index):  # the column as such: its type
        return Violation(rule, column, "", "", str(frame[column].dtype))
    row = frame.loc[int(case.index)]
    if rule == _UNIQUE:
        rule, column = f"unique by {', '.join(schema.unique)}", "row"
        value = ", ".join(str(row[name]) for name in schema.unique)
    elif rule in [check.name for check in schema.checks]:
        column, value = "row", ", ".join(f"{name} {row[name]}" for name in PRICES)
    symbol = str(row.get("symbol", ""))
    session = str(row["session"])[:10] if "session" in frame.columns else ""
    return Violation(rule, column, symbol, session, value)


def validate(frame: pd.DataFrame, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Hold a frame to its contract and give it back, the same object.

    Raises
    ------
    SchemaError
        Lists every violation with column, symbol, session and value.
    """
    found = violations(frame, schema)
    if not found:
        return frame
    listed = "; ".join(map(str, found[:_LISTED]))
    more = f"; and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    first = found[0]
    raise SchemaError(
        expected=f"a frame that keeps the contract {schema.name}",
        found=f"{len(found)} violations: {listed}{more}",
        remedy="mend the step that made the frame; nn_assets/frames/schemas.py states the contract",
        symbol=first.symbol or None,
        session=first.session or None,
        rule=first.rule,
        column=first.column or None,
        value=first.value,
    )
