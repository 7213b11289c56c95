"""What a contract is made of, and how a frame is held to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nn_assets.errors import SchemaError

if TYPE_CHECKING:
    import pandera.pandas as pa

__all__ = ["PRICES", "Contract", "Violation", "conform", "empty", "validate", "violations"]

PRICES = ("open", "high", "low", "close")

_TEXT = pd.StringDtype(na_value=np.nan)
_DAY = np.dtype("datetime64[ns]")
_MOMENT = pd.DatetimeTZDtype("ns", "UTC")
_NUMBER = np.dtype("float64")
_WHOLE = np.dtype("int64")
_FLAG = np.dtype("bool")
_LISTED = 200
_UNIQUE = "multiple_fields_uniqueness"


@dataclass(frozen=True)
class Check:
    """One condition: a check of Pandera's own by its name and arguments, or one that is stated here."""

    name: str
    arguments: tuple[Any, ...] = ()
    holds: Callable[[Any], Any] | None = None

    def build(self) -> pa.Check:
        """As Pandera judges it."""
        import pandera.pandas as pa

        if self.holds is not None:
            return pa.Check(self.holds, name=self.name)
        return getattr(pa.Check, self.name)(*self.arguments)

    def kept_by(self, values: pd.Series | pd.DataFrame) -> bool:
        """Whether all of a column's values, or a frame's rows, pass; False also where that cannot be told here."""
        if self.holds is not None:
            return bool(np.all(self.holds(values)))
        known = _TOLD_HERE.get(self.name)
        return known is not None and bool(known(values, *self.arguments).all())


_TOLD_HERE: Mapping[str, Callable[..., Any]] = {
    "isin": lambda values, allowed: values.isin(allowed),
    "ge": lambda values, least: values >= least,
    "gt": lambda values, bound: values > bound,
    "in_range": lambda values, least, most: (values >= least) & (values <= most),
}


@dataclass(frozen=True)
class Column:
    """Column of exactly one type, with the checks its values must pass."""

    dtype: object
    checks: tuple[Check, ...] = ()
    nullable: bool = False

    def build(self) -> pa.Column:
        """As Pandera judges it."""
        import pandera.pandas as pa

        # Pandera takes datetime64[us] for [ns] and object for str; the exact type is checked here.
        exact = pa.Check(lambda values: values.dtype == self.dtype, name=f"dtype is {self.dtype}")
        return pa.Column(None, [exact, *(check.build() for check in self.checks)], nullable=self.nullable)

    def kept_by(self, values: pd.Series) -> bool:
        """Whether a column surely has this type and passes every check; checks do not ask of missing values."""
        if values.dtype != self.dtype:
            return False
        missing = values.isna()
        if missing.any():
            if not self.nullable:
                return False
            values = values[~missing]
        return all(check.kept_by(values) for check in self.checks)


@dataclass(frozen=True, eq=False)
class Contract:
    """Contract of a frame: these columns and no others, ``unique`` together, ``checks`` on whole rows.

    Pandera, which names each breach, is asked only where a frame does not plainly keep its contract: its import
    costs half a second, and a judgement 20 ms.
    """

    name: str
    columns: Mapping[str, Column]
    unique: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()

    @cached_property
    def schema(self) -> pa.DataFrameSchema:
        """As Pandera judges whole frames."""
        import pandera.pandas as pa

        return pa.DataFrameSchema(
            {name: column.build() for name, column in self.columns.items()},
            name=self.name,
            unique=list(self.unique) or None,
            checks=[check.build() for check in self.checks],
            strict=True,
        )

    def kept_by(self, frame: pd.DataFrame) -> bool:
        """Whether a frame surely has these columns, of these types, and passes every check."""
        return (
            set(frame.columns) == set(self.columns)
            and len(frame.columns) == len(self.columns)
            and all(column.kept_by(frame[name]) for name, column in self.columns.items())
            and not (self.unique and frame.duplicated(list(self.unique)).any())
            and all(check.kept_by(frame) for check in self.checks)
        )

    def schema_without(self, absent: list[str]) -> pa.DataFrameSchema:
        """As Pandera judges the columns there are, one by one."""
        import pandera.pandas as pa

        built = {name: column.build() for name, column in self.columns.items() if name not in absent}
        return pa.DataFrameSchema(built, name=self.name)


def text(*allowed: str, nullable: bool = False) -> Column:
    """Column of texts, of the ``allowed`` ones where any are given."""
    return Column(_TEXT, (Check("isin", (list(allowed),)),) if allowed else (), nullable)


def day(*, nullable: bool = False) -> Column:
    """Column of sessions."""
    midnight = Check("is a midnight", holds=lambda days: days.isna() | (days.dt.normalize() == days))
    return Column(_DAY, (midnight,), nullable)


def moment(*, nullable: bool = False) -> Column:
    """Column of UTC moments."""
    return Column(_MOMENT, (), nullable)


def number(*checks: Check, nullable: bool = False) -> Column:
    """Column of finite numbers; NaN only where ``nullable``."""
    finite = Check("is finite", holds=lambda values: ~np.isinf(values))
    return Column(_NUMBER, (finite, *checks), nullable)


def fraction(*, nullable: bool = False) -> Column:
    """Column of numbers from 0 to 1."""
    return number(Check("in_range", (0.0, 1.0)), nullable=nullable)


def at_least_zero(*, nullable: bool = False) -> Column:
    """Column of finite numbers that are not negative."""
    return number(Check("ge", (0.0,)), nullable=nullable)


def positive(*, nullable: bool = False) -> Column:
    """Column of finite numbers above zero."""
    return number(Check("gt", (0.0,)), nullable=nullable)


def whole(*checks: Check) -> Column:
    """Column of integers."""
    return Column(_WHOLE, checks)


def one_of(*values: int) -> Check:
    """Only these values."""
    return Check("isin", (list(values),))


def at_least(least: int) -> Check:
    """No value below ``least``."""
    return Check("ge", (least,))


def between(least: int, most: int) -> Check:
    """No value below ``least`` or above ``most``."""
    return Check("in_range", (least, most))


def flag() -> Column:
    """Column of truth values."""
    return Column(_FLAG)


def unjudged() -> Column:
    """Column of numbers as they came, missing and impossible ones included."""
    return Column(_NUMBER, nullable=True)


def contract(
    name: str, columns: dict[str, Column], *, unique: tuple[str, ...] = (), checks: tuple[Check, ...] = ()
) -> Contract:
    """Contract of a frame: these columns and no others, ``unique`` together, ``checks`` on whole rows."""
    return Contract(name, columns, unique, checks)


def row_check(name: str, holds: Callable[[pd.DataFrame], pd.Series]) -> Check:
    """Name a check of whole rows; ``holds`` gives one truth value a row."""
    return Check(name, holds=holds)


def empty(schema: Contract) -> pd.DataFrame:
    """Make a frame of no rows with the contract's columns and types."""
    return pd.DataFrame({name: pd.Series(dtype=column.dtype) for name, column in schema.columns.items()})


def conform(frame: pd.DataFrame, schema: Contract) -> pd.DataFrame:
    """Give the contract's columns in its order, cast to its types, with a fresh index.

    For frames built from records, whose dates are microseconds or whose texts are objects. Values
    are not judged: ``validate`` does that.

    Raises
    ------
    SchemaError
        A column is absent, or a value cannot be cast.
    """
    cast: dict[str, pd.Series] = {}
    for name, column in schema.columns.items():
        dtype = column.dtype
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


def violations(frame: pd.DataFrame, schema: Contract) -> tuple[Violation, ...]:
    """Every breach of a contract, found lazily: none hides another.

    Parameters
    ----------
    frame : DataFrame
        Any frame; its index is ignored.
    schema : Contract
        A contract of this module.

    Returns
    -------
    tuple of Violation
        Empty when the frame keeps its contract. NaN in a column that is not nullable is a breach.
    """
    if schema.kept_by(frame):
        return ()
    import pandera.errors

    judged = frame.reset_index(drop=True)
    absent = [name for name in schema.columns if name not in judged.columns]
    surplus = [str(name) for name in judged.columns if name not in schema.columns]
    structure = [Violation("no column of the contract is absent", name, "", "", "absent") for name in absent]
    structure += [Violation("no column beyond the contract", name, "", "", "present") for name in surplus]
    # What spans columns is asked only of frames that have them all; the columns there are always.
    judge = schema.schema_without(absent) if structure else schema.schema
    try:
        judge.validate(judged[[name for name in schema.columns if name not in absent]], lazy=True)
    except pandera.errors.SchemaErrors as errors:
        cases = errors.failure_cases
    else:
        return tuple(structure)
    # What concerns a whole row is reported once for each of its columns: keep one.
    of_row = cases["check"].isin([_UNIQUE, *(check.name for check in schema.checks)])
    kept = cases[~(of_row & cases.duplicated(["check", "index"]))]
    return (*structure, *(_violation(judged, schema, case) for case in kept.itertuples(index=False)))


def _violation(frame: pd.DataFrame, schema: Contract, case: Any) -> Violation:
    rule, column, value = str(case.check), str(case.column), str(case.failure_case)
    if pd.isna(case.index):  # the column as such: its type
        return Violation(rule, column, "", "", str(frame[column].dtype))
    row = frame.loc[int(case.index)]
    if rule == _UNIQUE:
        rule, column = f"unique by {', '.join(schema.unique)}", "row"
        value = ", ".join(str(row[name]) for name in schema.unique)
    elif rule in [check.name for check in schema.checks]:
        column, value = "row", ", ".join(f"{name} {row[name]}" for name in (*PRICES, "kind", "value") if name in row)
    symbol = str(row.get("symbol", ""))
    session = str(row["session"])[:10] if "session" in frame.columns else ""
    return Violation(rule, column, symbol, session, value)


def validate(frame: pd.DataFrame, schema: Contract) -> pd.DataFrame:
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
        remedy="mend the step that made the frame; nn_assets/contracts/schemas.py states the contract",
        symbol=first.symbol or None,
        session=first.session or None,
        rule=first.rule,
        column=first.column or None,
        value=first.value,
    )
