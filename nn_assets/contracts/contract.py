"""What a contract is made of, and how a frame is held to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nn_assets.errors import SchemaError

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pa

PRICES = ("open", "high", "low", "close")

_IN_FRAMES = {
    **dict.fromkeys(("text", "line", "digest"), "str"),
    "day": "datetime64[ns]",
    "moment": "datetime64[ns, UTC]",
    "number": "float64",
    **dict.fromkeys(("whole", "small"), "int64"),
    "flag": "bool",
    "json": "object",
}
_LISTED = 200
_UNIQUE = "multiple_fields_uniqueness"


@cache
def _dtype(kind: str, *, nullable: bool) -> Any:
    from pandas.api.types import pandas_dtype  # contracts are stated, and read, without it

    spelled = _IN_FRAMES[kind]
    return pandas_dtype("Int64" if nullable and spelled == "int64" else spelled)


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
        check: pa.Check = getattr(pa.Check, self.name)(*self.arguments)
        return check

    def kept_by(self, values: pd.Series | pd.DataFrame) -> bool:
        """Whether all of a column's values, or a frame's rows, pass; False also where that cannot be decided here."""
        if self.holds is not None:
            return bool(self.holds(values).all())
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
    """Column of exactly one type, with the checks its values must pass.

    Parameters
    ----------
    kind : str
        ``text``, ``day`` (a session), ``moment`` (UTC), ``number`` (float64), ``whole``, ``flag`` or ``json``; in the
        ledger also ``line`` (text without a bound), ``digest`` (64 hex digits) and ``small`` (a small whole number).
    says : str
        What a value means, in a sentence.
    unit : str
        What it is counted in, or ``none``.
    checks : tuple of Check
        Of the values that are not missing.
    nullable : bool
        Whether a frame may lack values; NaN, NaT or missing text.
    lax : bool
        Whether the ledger takes a missing value although a frame may not have one.
    since : str
        Migration that added it to an existing table of the ledger; older rows lack it, and hash as they did.
    """

    kind: str
    says: str
    unit: str = "none"
    checks: tuple[Check, ...] = ()
    nullable: bool = False
    lax: bool = False
    since: str = ""

    @property
    def dtype(self) -> Any:
        """The type that pandas keeps it in."""
        return _dtype(self.kind, nullable=self.nullable)

    @property
    def may_be_null(self) -> bool:
        """Whether the ledger takes a missing value: always in numbers, where it is NaN, and in JSON."""
        return self.nullable or self.lax or bool(self.since) or self.kind in ("number", "json")

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
    """Contract of a table: these columns and no others, one row a key, ``checks`` on whole rows.

    Pandera, which names each breach, is asked only where a frame does not plainly keep its contract: its import
    costs half a second, and a judgement 20 ms.

    Parameters
    ----------
    name, room : str
        Name of the table, and the room of the package that makes its rows.
    says : str
        What a row is, in a sentence.
    keyed_by : str
        Columns that identify a row, separated by blanks; in the ledger between the strategy and the version.
    repeats : bool
        Whether several rows may share a key: rows that are not judged yet.
    told_apart_by : str
        In a table of versions, the columns that distinguish the versions of one key, separated by blanks.
    checks : tuple of Check
        Of whole rows.
    exported : str
        Name by which users export it; empty where they do not.
    more : str
        Which columns may follow those stated, in a sentence; empty: none.
    indexes : tuple of tuple of str
        In the ledger, columns of indexes for queries in another order than the key's.
    since : str
        Migration that made it a table of the ledger.
    columns : mapping of str to Column
        In the order of the frame; :meth:`of` states them.
    """

    name: str
    room: str
    says: str
    keyed_by: str = ""
    repeats: bool = False
    told_apart_by: str = ""
    checks: tuple[Check, ...] = ()
    exported: str = ""
    more: str = ""
    indexes: tuple[tuple[str, ...], ...] = ()
    since: str = "0001"
    columns: Mapping[str, Column] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", MappingProxyType(dict(self.columns)))

    def of(self, **columns: Column) -> Contract:
        """The same table of these columns."""
        return replace(self, columns=columns)

    def within_sessions(self) -> Contract:
        """The same table of bars within the session, which begin at any time of the day."""
        columns = {name: replace(it, checks=()) if it.kind == "day" else it for name, it in self.columns.items()}
        return replace(self, columns=columns)

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that say what a row is about."""
        return tuple(self.keyed_by.split())

    @property
    def unique(self) -> tuple[str, ...]:
        """Columns whose values no two rows of a frame share; none where rows of a key repeat."""
        return () if self.repeats else (*self.key, *self.told_apart_by.split())

    def faults(self) -> Iterator[str]:
        """What keeps it from being a table of a plug-in, each in a few words; the frames of the package need no key."""
        unlike = [name for name in self.unique if name not in self.columns]
        if not self.key:
            yield "keyed_by is empty: name the columns that identify a row"
        if unlike:
            yield f"keyed_by or told_apart_by names {', '.join(unlike)}, of the columns {', '.join(self.columns)}"
        if len(set(self.key)) < len(self.key):
            yield f"keyed_by names a column twice: {self.keyed_by}"
        if not self.says.endswith("."):
            yield f"says is {self.says!r}: a sentence with its full stop was expected"
        for name, column in self.columns.items():
            if column.kind not in _IN_FRAMES:
                yield f"the kind {column.kind!r} of {name} is none of {', '.join(_IN_FRAMES)}"
            if column.nullable and name in self.key:
                yield f"{name} is of the key and nullable"
            if not (column.says and column.unit) or "|" in column.says + column.unit:
                yield f"{name} lacks a sentence or a unit, or has a | in one"

    @property
    def stored(self) -> dict[str, Column]:
        """The columns in the order of a ledger that grew: those that a migration added come last."""
        return dict(sorted(self.columns.items(), key=lambda named: named[1].since))

    @cached_property
    def schema(self) -> pa.DataFrameSchema:
        """As Pandera judges whole frames."""
        import pandera.pandas as pa

        return pa.DataFrameSchema(
            {name: column.build() for name, column in self.columns.items()},
            name=self.name,
            unique=list(self.unique) or None,
            checks=[check.build() for check in self.checks],
            strict=not self.more,
        )

    def kept_by(self, frame: pd.DataFrame) -> bool:
        """Whether a frame surely has these columns, of these types, and passes every check."""
        return (
            self.columns.keys() <= set(frame.columns)
            and (bool(self.more) or len(frame.columns) == len(self.columns))
            and all(column.kept_by(frame[name]) for name, column in self.columns.items())
            and not (self.unique and frame.duplicated(list(self.unique)).any())
            and all(check.kept_by(frame) for check in self.checks)
        )

    def schema_without(self, absent: list[str]) -> pa.DataFrameSchema:
        """As Pandera judges the columns there are, one by one."""
        import pandera.pandas as pa

        built = {name: column.build() for name, column in self.columns.items() if name not in absent}
        return pa.DataFrameSchema(built, name=self.name)


def text(says: str, *allowed: str, nullable: bool = False) -> Column:
    """Column of texts, of the ``allowed`` ones where any are given."""
    return Column("text", says, "none", (Check("isin", (list(allowed),)),) if allowed else (), nullable)


def day(says: str, *, nullable: bool = False) -> Column:
    """Column of sessions."""
    midnight = Check("is a midnight", holds=lambda days: days.isna() | (days.dt.normalize() == days))
    return Column("day", says, "date", (midnight,), nullable)


def moment(says: str, *, nullable: bool = False) -> Column:
    """Column of UTC moments."""
    return Column("moment", says, "UTC", (), nullable)


def number(unit: str, says: str, *checks: Check, nullable: bool = False) -> Column:
    """Column of finite numbers; NaN only where ``nullable``."""
    finite = Check("is finite", holds=lambda values: values.abs() != float("inf"))
    return Column("number", says, unit, (finite, *checks), nullable)


def fraction(says: str, *, nullable: bool = False) -> Column:
    """Column of numbers from 0 to 1."""
    return number("fraction", says, Check("in_range", (0.0, 1.0)), nullable=nullable)


def at_least_zero(unit: str, says: str, *, nullable: bool = False) -> Column:
    """Column of finite numbers that are not negative."""
    return number(unit, says, at_least(0.0), nullable=nullable)


def positive(unit: str, says: str, *, nullable: bool = False) -> Column:
    """Column of finite numbers above zero."""
    return number(unit, says, Check("gt", (0.0,)), nullable=nullable)


def unjudged(unit: str, says: str) -> Column:
    """Column of numbers as they came, missing and impossible ones included."""
    return Column("number", says, unit, nullable=True)


def whole(unit: str, says: str, *checks: Check) -> Column:
    """Column of integers."""
    return Column("whole", says, unit, checks)


def one_of(*values: int) -> Check:
    """Only these values."""
    return Check("isin", (list(values),))


def at_least(least: float) -> Check:
    """No value below ``least``."""
    return Check("ge", (least,))


def between(least: int, most: int) -> Check:
    """No value below ``least`` or above ``most``."""
    return Check("in_range", (least, most))


def flag(says: str) -> Column:
    """Column of truth values."""
    return Column("flag", says)


def record(says: str) -> Column:
    """Column of JSON values."""
    return Column("json", says, nullable=True)


def empty(schema: Contract) -> pd.DataFrame:
    """Make a frame of no rows with the contract's columns and types."""
    return framed(schema, 0, **dict.fromkeys(schema.columns, ()))


def framed(schema: Contract, rows: int, /, **values: Any) -> pd.DataFrame:
    """Make a frame of the contract's columns and types, in its order.

    Parameters
    ----------
    rows : int
        How many there are.
    values : sequence of shape (rows,), or scalar
        By column; a scalar (text included) is the value of every row.

    Raises
    ------
    KeyError
        A column is not given.
    ValueError, TypeError
        A value is not of its column's type, or a sequence has another length.
    """
    import pandas as pd

    def column(name: str, dtype: Any) -> pd.Series:
        value = values[name]
        per_row = hasattr(value, "__len__") and not isinstance(value, str | dict)
        values_of_rows = getattr(value, "array", value) if per_row else [value] * rows
        made: pd.Series = pd.Series(values_of_rows, index=range(rows), dtype=dtype)
        return made

    return pd.DataFrame({name: column(name, spec.dtype) for name, spec in schema.columns.items()})


def conform(frame: pd.DataFrame, schema: Contract) -> pd.DataFrame:
    """Give the contract's columns in its order, cast to its types, with a fresh index.

    For frames built from records, whose dates are microseconds or whose texts are objects. Values
    are not judged: ``validate`` does that.

    Raises
    ------
    SchemaError
        A column is absent, or a value cannot be cast.
    """
    import pandas as pd

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
        location = " ".join(part for part in (self.symbol, self.session) if part)
        return f"{location or 'frame'}: {self.column} = {self.value} breaks {self.rule}"


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
    surplus = [str(name) for name in judged.columns if name not in schema.columns and not schema.more]
    structure = [Violation("no column of the contract is absent", name, "", "", "absent") for name in absent]
    structure += [Violation("no column beyond the contract", name, "", "", "present") for name in surplus]
    # Checks across columns run only on frames that have them all; checks of single columns always do.
    judge = schema.schema_without(absent) if structure else schema.schema
    try:
        judge.validate(judged[[name for name in schema.columns if name not in absent]], lazy=True)
    except pandera.errors.SchemaErrors as errors:
        cases = errors.failure_cases
    else:
        return tuple(structure)
    # Pandera reports a breach by a whole row once for each column: keep one.
    of_row = cases["check"].isin([_UNIQUE, *(check.name for check in schema.checks)])
    kept = cases[~(of_row & cases.duplicated(["check", "index"]))]
    return (*structure, *(_violation(judged, schema, case) for case in kept.itertuples(index=False)))


def _violation(frame: pd.DataFrame, schema: Contract, case: Any) -> Violation:
    import pandas as pd

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
    breaches = violations(frame, schema)
    if not breaches:
        return frame
    listed = "; ".join(map(str, breaches[:_LISTED]))
    more = f"; and {len(breaches) - _LISTED} more" if len(breaches) > _LISTED else ""
    first = breaches[0]
    raise SchemaError(
        expected=f"a frame that keeps the contract {schema.name}",
        found=f"{len(breaches)} violations: {listed}{more}",
        remedy="mend the step that made the frame; nn_assets/contracts/ states the contract",
        symbol=first.symbol or None,
        session=first.session or None,
        rule=first.rule,
        column=first.column or None,
        value=first.value,
    )
