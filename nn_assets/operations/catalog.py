"""The strategies of this installation: those that come with the package, and those in the home."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TypeVar

from nn_assets.errors import NnAssetsError, SettingsError, did_you_mean
from nn_assets.learning.first_month import live_start_fault, prior_fault
from nn_assets.market.calendar.timetable import require_calendar
from nn_assets.settings import Strategy, load_strategy
from nn_assets.settings.reading import line_of_key
from nn_assets.store.home import absent_ledger, home
from nn_assets.store.ledger.ledger import Ledger

__all__ = [
    "StrategyFile",
    "find_live_strategy",
    "find_strategy",
    "folder_of",
    "is_calendar_fault",
    "load_strategies",
    "made_of_each",
    "read_strategies",
]

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StrategyFile:
    """A strategy and the file it was read from; relative data paths are relative to that file."""

    strategy: Strategy
    file: Path

    @property
    def folder(self) -> Path:
        """The folder that relative data paths start from."""
        return self.file.parent


def load_strategies() -> tuple[StrategyFile, ...]:
    """Read every strategy: the package's own and ``strategies/*.yaml`` in the home.

    A strategy whose calendar cannot be had is left out, saying so in the log, once in a process: the others go on
    without it.

    Raises
    ------
    SettingsError
        A file cannot be read, or two of them name the same strategy.
    """
    found, faults = read_strategies()
    for fault in faults.values():
        if not is_calendar_fault(fault):
            raise fault
    for fault in faults.values():
        _tell_left_out(str(fault))
    return found


@cache
def _tell_left_out(fault: str) -> None:
    _log.error("left out: %s", fault)


def made_of_each(make: Callable[[Strategy], T]) -> list[T]:
    """What is made of each strategy; one of which it cannot be made is left out, saying so in the log."""
    made = []
    for each in load_strategies():
        try:
            made.append(make(each.strategy))
        except NnAssetsError as fault:
            _tell_left_out(f"{each.strategy.name}: {fault}")
    return made


def is_calendar_fault(fault: SettingsError) -> bool:
    """Whether nothing but a calendar keeps a strategy from being read."""
    return str(fault.where.get("key")).rpartition(".")[2] == "calendar"


def find_live_strategy(name: str) -> StrategyFile:
    """The strategy of that name, whose live start, where it states one, can have a model.

    Raises
    ------
    SettingsError
        There is none, or its live start lies before any model; with its file and line.
    """
    found = find_strategy(name)
    fault = live_start_fault(found.strategy)
    if fault is not None:
        place = {"file": str(found.file), "line": line_of_key(found.file, ("market", "live_starts"))}
        where = {**place, **fault.where}
        raise SettingsError(expected=fault.expected, found=fault.found, remedy=fault.remedy, **where)
    return found


def read_strategies() -> tuple[tuple[StrategyFile, ...], dict[Path, SettingsError]]:
    """Every strategy that can be read, and what is wrong with the files of the others."""
    bundled = Path(str(resources.files("nn_assets"))) / "strategies"
    files = [*sorted(bundled.glob("*.yaml")), *sorted((home() / "strategies").glob("*.yaml"))]
    found: dict[str, StrategyFile] = {}
    faults: dict[Path, SettingsError] = {}
    for file in files:
        try:
            strategy = load_strategy(file)
            _require_calendars(strategy, file)
            _require_unseen(strategy, file)
        except SettingsError as error:
            faults[file] = error
            continue
        if strategy.name not in found:
            found[strategy.name] = StrategyFile(strategy, file)
            continue
        faults[file] = SettingsError(
            expected="one strategy of each name",
            found=f"{strategy.name!r} in {found[strategy.name].file} and in {file}",
            remedy="give one of them another name",
            file=str(file),
            key="name",
        )
    return tuple(found.values()), faults


def _require_unseen(strategy: Strategy, file: Path) -> None:
    """Refuse weights or hyper-parameters that have seen what they are to forecast, with the file and the line."""
    fault = prior_fault(strategy)
    if fault is not None:
        place = {"file": str(file), "line": line_of_key(file, ("learning", "knows_until"))}
        raise SettingsError(expected=fault.expected, found=fault.found, remedy=fault.remedy, **{**place, **fault.where})


def _require_calendars(strategy: Strategy, file: Path) -> None:
    """Refuse calendars that nobody knows, with the file and the line that name them."""
    named: dict[tuple[str, ...], str] = {("market", "calendar"): strategy.market.calendar}
    named |= {("series", str(place), "calendar"): each.calendar or "" for place, each in enumerate(strategy.series)}
    for place, calendar in named.items():
        if not calendar:
            continue
        try:
            require_calendar(calendar)
        except SettingsError as error:
            raise SettingsError(
                expected=error.expected,
                found=error.found,
                remedy=error.remedy,
                file=str(file),
                line=line_of_key(file, place),
                key=".".join(place),
            ) from error


def find_strategy(name: str) -> StrategyFile:
    """The strategy of that name.

    Raises
    ------
    SettingsError
        There is none.
    """
    found, faults = read_strategies()
    known = {each.strategy.name: each for each in found}
    for file, fault in faults.items():
        if not is_calendar_fault(fault) or (file.stem == name and name not in known):
            raise fault
    if name not in known:
        left = _left_behind(name)
        folder = home() / "strategies"
        place = f"put its file back, {folder / name}.yaml" if left else f"put a file into {folder}"
        raise SettingsError(
            expected=f"one of {', '.join(known)}",
            found=f"{name!r}{left}",
            remedy=f"{did_you_mean(name, known)}choose one of these, or {place}",
            key="strategy",
        )
    return known[name]


def _left_behind(name: str) -> str:
    """What the ledger has of a strategy that no file names; nothing where it has nothing, or cannot be read."""
    try:
        if absent_ledger() is not None:
            return ""
        with Ledger() as ledger:
            decided = ledger.read("decisions", name, columns=("session",))["session"]
    except NnAssetsError:
        return ""
    if decided.empty:
        return ""
    several = "s" * (len(decided) > 1)
    return f"; the ledger has {len(decided):,} session{several} of {name} to {decided.max().date()}; no file names it"


def folder_of(name: str) -> Path:
    """The folder that a strategy's relative data paths start from."""
    return find_strategy(name).folder
