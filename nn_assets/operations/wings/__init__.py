"""Asset wings: groups of a strategy's assets with their checks, jobs and schedules, each a member of a registry.

A wing of the package is one module, named as the wing, whose ``WING`` it is: of tables alone in this folder, of
partitioned assets in ``nn_assets/orchestration/assets``. One of a plug-in is registered by :func:`register_wing`.
Nothing here imports Dagster: a file that registers a wing may run where nothing is materialised.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd

from nn_assets.contracts.contract import Contract, conform, validate
from nn_assets.errors import PluginError, SchemaError
from nn_assets.operations.catalog import folder_of
from nn_assets.operations.decisions.stored_checks import StoredCheck
from nn_assets.operations.due import Due, Scheduled
from nn_assets.operations.exported_names import DICTIONARY, TABLES
from nn_assets.operations.history import History
from nn_assets.plugins import Registry, load
from nn_assets.settings import Strategy
from nn_assets.versions import Root

__all__ = [
    "WINGS",
    "DemandedCheck",
    "Due",
    "Job",
    "Making",
    "ReadTable",
    "Scheduled",
    "StoredCheck",
    "Table",
    "Wing",
    "append_rows",
    "register_wing",
    "tables_brought",
]


ReadTable = Callable[[History], Any]


class Making(NamedTuple):
    """What a table is made in.

    Parameters
    ----------
    strategy : str
    run_id : str
    log : callable
        Takes a line that the run's log is to have.
    """

    strategy: str
    run_id: str
    log: Callable[[str], None]

    @property
    def folder(self) -> Path:
        """The folder that the strategy's relative paths start from."""
        return folder_of(self.strategy)


class DemandedCheck(NamedTuple):
    """A check that a table's own function judges as it makes it; a blocking one stops what depends on the table."""

    name: str
    demand: str
    blocking: bool = False


@dataclass(frozen=True)
class Table:
    """An asset without partitions, made by one function while the strategy is held alone.

    Parameters
    ----------
    name, description : str
    make : callable
        Takes the history and what it is made in; gives figures that an operator is shown, by name. One that yields
        :class:`~nn_assets.operations.judged.Judged` first, and returns its figures, judges the ``demanded`` checks.
    after : tuple of str
        Names of the strategy's assets that it is made of.
    room : str
        Step of the business that it belongs to.
    kinds : tuple of str
        What Dagster's pages show of how it is stored.
    demanded : tuple of DemandedCheck
    made_by : tuple of callable or str
        What its version covers, as :func:`~nn_assets.versions.version_of` takes it; ``make`` when left out.
    """

    name: str
    description: str
    make: Callable[[History, Making], Any]
    after: tuple[str, ...] = ()
    room: str = "market"
    kinds: tuple[str, ...] = ("parquet",)
    demanded: tuple[DemandedCheck, ...] = ()
    made_by: tuple[Root, ...] = ()


@dataclass(frozen=True)
class Job:
    """Assets of a wing that run together.

    Parameters
    ----------
    name : str
        Without the strategy's. Wings that name one job each add assets to it.
    description : str
        Stated by one of them.
    assets : tuple of str, optional
        Names; all assets of the wing when left out.
    takes : tuple of str
        Jobs whose assets come along.
    """

    name: str
    description: str = ""
    assets: tuple[str, ...] | None = None
    takes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wing:
    """What a strategy has of one kind.

    Parameters
    ----------
    assets : callable
        From a strategy to its assets: a :class:`Table` each, or what Dagster itself takes.
    checks : tuple of StoredCheck
        Checks of what is stored; those of an asset that a strategy lacks are left out.
    jobs : tuple of Job
        None of them where the strategy has no asset of the wing.
    schedules : mapping of str to Scheduled
        By name, without the strategy's.
    tables : mapping of Contract to callable
        What the wing of a plug-in stores, each with what reads it of a history; None where nothing is stored.
    """

    assets: Callable[[Strategy], Iterable[Any]]
    checks: tuple[StoredCheck, ...] = ()
    jobs: tuple[Job, ...] = ()
    schedules: Mapping[str, Scheduled] = field(default_factory=dict)
    tables: Mapping[Contract, ReadTable] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("schedules", "tables"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))


def _own(module: str) -> Wing:
    wing: Wing = import_module(module).WING
    return wing


_PACKAGE = Path(__file__).parents[2]
WINGS: Registry[Callable[[], Wing]] = Registry(
    "wing",
    {
        module.name: partial(_own, f"nn_assets.{folder.replace('/', '.')}.{module.name}")
        for folder in ("operations/wings", "orchestration/assets")
        for module in pkgutil.iter_modules([str(_PACKAGE / folder)])
    },
)
"""What gives each wing, by its name; own ones are imported when asked for."""


def register_wing(
    name: str,
    assets: Callable[[Strategy], Iterable[Any]],
    *,
    checks: Iterable[StoredCheck] = (),
    jobs: Iterable[Job] = (),
    schedules: Mapping[str, Scheduled] | None = None,
    tables: Mapping[Contract, ReadTable] | None = None,
) -> None:
    """Register a wing, by a name that no other has; strategies that name the file under ``plugins`` have it.

    Parameters
    ----------
    name : str
        A plain text, so that it can be read without running the file.
    assets, checks, jobs, schedules, tables
        As of :class:`Wing`.

    Raises
    ------
    PluginError
        The name is taken, or is not a name; or a table's contract names no room, no key of its columns that are never
        missing, no kind that there is, or lacks a sentence.
    """
    for contract in tables or {}:
        rooms = sorted(room.parent.name for room in _PACKAGE.glob("*/__init__.py"))
        unknown = [] if contract.room in rooms else [f"the room {contract.room!r} is none of {', '.join(rooms)}"]
        if faults := [*unknown, *contract.faults()]:
            raise PluginError(
                expected=f"the contract of the table {contract.name} with a room, a key, kinds and sentences",
                found="; ".join(faults),
                remedy="state it as Contract(name, room, 'What a row is.', 'its key columns').of(...) does in "
                "docs/extending/table.md",
                key="plugins",
                table=contract.name,
            )
    wing = Wing(assets, tuple(checks), tuple(jobs), schedules or {}, tables or {})
    WINGS.add(name, lambda: wing, getattr(assets, "__module__", __name__))


def tables_brought(strategy: Strategy) -> dict[Contract, ReadTable]:
    """Tables that the wings of a strategy's plug-ins store, by their contracts; the plug-ins run.

    Raises
    ------
    PluginError
        A plug-in cannot be run, or a table is exported by a name that another one has.
    """
    tops = [plugin.top for plugin in load(strategy.plugins)]
    tables = {contract: read for name in WINGS.brought_by(tops) for contract, read in WINGS[name]().tables.items()}
    names = [*TABLES, DICTIONARY, *(contract.exported for contract in tables if contract.exported)]
    if taken := sorted({name for name in names if names.count(name) > 1}):
        raise PluginError(
            expected="tables that are exported by names of their own",
            found=f"{', '.join(taken)} twice, in the plug-ins of {strategy.name} or in nn_assets itself",
            remedy="give the contract another name in exported",
            key="plugins",
        )
    return tables


def append_rows(history: History, contract: Contract, rows: pd.DataFrame) -> pd.DataFrame:
    """Add rows to a table of a plug-in, in the lake by the contract's name; to be called while its table is made.

    Parameters
    ----------
    rows : DataFrame, shape (rows, columns)
        The contract's columns at least; those that are stored already, or come twice, change nothing.

    Returns
    -------
    DataFrame
        The rows added, as the contract says; of no rows where all were there.

    Raises
    ------
    SchemaError
        A row is not as the contract says, or differs from another of its key, stored or among those given: table, key
        and both values are named, and nothing is stored.
    """
    lake, name = history.stores.lake, history.strategy.name
    offered, key = conform(rows, contract), list(contract.unique)
    both = offered
    if lake.additions(name, contract.name):
        days = pd.DatetimeIndex(offered["session"].unique()) if "session" in key else None
        both = pd.concat([conform(lake.read_segments(name, contract.name, sessions=days), contract), offered])
    both = both.reset_index(drop=True)
    is_new = (both.index >= len(both) - len(offered)) & ~both.duplicated()
    if key and (is_new & both.duplicated(key)).any():
        raise _of_another_row(contract, both, int((is_new & both.duplicated(key)).argmax()))
    fresh = validate(both[is_new].reset_index(drop=True), contract)
    if len(fresh):
        lake.append_segment(name, contract.name, fresh)
    return fresh


def _of_another_row(contract: Contract, rows: pd.DataFrame, index: int) -> SchemaError:
    """That a row differs from the first one of its key among some, in which columns."""
    key, later = list(contract.unique), rows.iloc[index]
    earlier = rows[(rows[key] == later[key]).all(axis=1)].iloc[0]
    apart = [name for name in contract.columns if _shown(earlier, name) != _shown(later, name)]
    return SchemaError(
        expected="; ".join(_shown(earlier, name) for name in apart),
        found="; ".join(_shown(later, name) for name in apart),
        remedy="nothing was stored: correct the row, or let the key have known_at where a value may become another one",
        table=contract.name,
        key=", ".join(_shown(later, name) for name in key),
        rule="one_row_a_key",
    )


def _shown(row: pd.Series, name: str) -> str:
    """A column of a row with its value; a day as a date."""
    value = row[name]
    return f"{name} {value.date() if isinstance(value, pd.Timestamp) and value.tz is None else value}"
