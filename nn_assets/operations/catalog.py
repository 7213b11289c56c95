"""The strategies of this installation: those that come with the package, and those in the home."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TypeVar

from nn_assets.errors import NnAssetsError, SettingsError, did_you_mean
from nn_assets.learning.first_month import live_start_fault, prior_fault
from nn_assets.market.calendar.timetable import require_calendar
from nn_assets.operations.plugins import fault_of_names, fault_of_own_settings, prepare
from nn_assets.operations.strategy_files import load_strategy
from nn_assets.session.horizon_in_session import horizon_fault
from nn_assets.session.regime_naming import short_training_fault
from nn_assets.settings import Strategy
from nn_assets.settings.reading import declared_names, line_of_key
from nn_assets.store.home import absent_ledger, home
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.schema import TABLES, WHOLE_LEDGER

T = TypeVar("T")

_log = logging.getLogger(__name__)

_BUNDLED = Path(str(resources.files("nn_assets"))) / "strategies"


def with_example(name: str) -> None:
    """Put a strategy that comes with the package as an example into the home, unless the home has a file of its name.

    From then on it is a strategy like any of the user's own.
    """
    file = home() / "strategies" / f"{name}.yaml"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(".new")
        beside.write_bytes((_BUNDLED / "examples" / file.name).read_bytes())
        beside.replace(file)


@dataclass(frozen=True)
class StrategyFile:
    """A strategy and the file it was read from; relative data paths are relative to that file."""

    strategy: Strategy
    file: Path

    @property
    def folder(self) -> Path:
        """The folder that relative data paths start from."""
        return self.file.parent

    @property
    def is_bundled(self) -> bool:
        """Whether it comes with the package."""
        return self.folder == _BUNDLED


@dataclass(frozen=True)
class LeftOut:
    """A strategy that cannot be read: its file, or the several files of its name, and what is wrong."""

    files: tuple[Path, ...]
    fault: SettingsError


def load_strategies() -> tuple[StrategyFile, ...]:
    """Read every strategy: the package's own and ``strategies/*.yaml`` in the home.

    One that cannot be read, or whose name another has too, is left out, saying so in the log, once in a process: the
    others go on without it.
    """
    strategies, left = read_strategies()
    for name, left_out in left.items():
        _log_left_out(f"{name}: {left_out.fault}")
    return strategies


@cache
def _log_left_out(fault: str) -> None:
    _log.error("left out: %s", fault)


def for_each_strategy(make: Callable[[Strategy], T]) -> list[T]:
    """What is made of each strategy; one of which it cannot be made is left out, saying so in the log."""
    made = []
    for entry in load_strategies():
        try:
            made.append(make(entry.strategy))
        except NnAssetsError as fault:
            _log_left_out(f"{entry.strategy.name}: {fault}")
        except Exception as error:  # noqa: BLE001  whatever is wrong with one strategy, the others are made
            _log_left_out(f"{entry.strategy.name}: {_unforeseen(entry.file, error)}")
    return made


def find_live_strategy(name: str) -> StrategyFile:
    """The strategy of that name, whose live start, where it states one, can have a model, and whose members are there.

    Raises
    ------
    SettingsError
        There is none, it cannot be read, its live start lies before any model, or it names a feature, network or
        plug-in that is not there or breaks its contract; with its file and line.
    """
    strategy_file = find_strategy(name)
    fault = live_start_fault(strategy_file.strategy)
    if fault is not None:
        raise _placed(fault, strategy_file.file, ("market", "live_starts"))
    try:
        prepare(strategy_file.strategy)
    except SettingsError as error:
        raise _placed(error, strategy_file.file, tuple(str(error.where["key"]).split("."))) from error
    return strategy_file


def _placed(fault: SettingsError, file: Path, key: tuple[str, ...]) -> SettingsError:
    """A fault with the file and the line of the key to blame; one of a plug-in's own file has those already."""
    if "file" in fault.where:
        return _naming(file, fault)
    where = {"file": str(file), "line": line_of_key(file, key), **fault.where, "key": ".".join(key)}
    return type(fault)(expected=fault.expected, found=fault.found, remedy=fault.remedy, **where)


def read_strategies() -> tuple[tuple[StrategyFile, ...], dict[str, LeftOut]]:
    """Every strategy that can be read, and by name those that cannot.

    A file that cannot be read goes by the name that it seems to state, else by its own without the suffix. Of several
    files of one name none is taken.
    """
    stating: dict[str, list[StrategyFile | LeftOut]] = {}
    for file in [*sorted(_BUNDLED.glob("*.yaml")), *sorted((home() / "strategies").glob("*.yaml"))]:
        for name, entry in _read(file).items():
            stating.setdefault(name, []).append(entry)
    strategies = []
    left: dict[str, LeftOut] = {}
    for name, (first, *others) in stating.items():
        if others:
            left[name] = _of_one_name(name, [first, *others])
        elif isinstance(first, LeftOut):
            left[name] = first
        else:
            strategies.append(first)
    return tuple(strategies), left


def _read(file: Path) -> dict[str, StrategyFile | LeftOut]:
    """A file's strategy by its name, or what is wrong with the file by each name that it may state."""
    names = None
    try:
        strategy = load_strategy(file)
        names = [strategy.name]
        _require_calendars(strategy, file)
        _require_features(strategy, file)
        _require_unseen(strategy, file)
        _require_training_of_regimes(strategy, file)
        _require_horizon_in_session(strategy, file)
    except SettingsError as fault:
        left_out = LeftOut((file,), _naming(file, fault))
    except Exception as error:  # noqa: BLE001  whatever is wrong with one file, the others are read
        left_out = LeftOut((file,), _unforeseen(file, error))
    else:
        return {strategy.name: StrategyFile(strategy, file)}
    return dict.fromkeys(names or declared_names(file) or [file.stem], left_out)


def _unforeseen(file: Path, error: Exception) -> SettingsError:
    """What is wrong with a strategy's file that no rule of the settings foresees."""
    return SettingsError(
        expected="settings that can be reckoned with",
        found=f"{type(error).__name__}: {error}",
        remedy="look for a number or a date far out of the usual, and report the file: a rule of the settings should "
        "have named the key",
        file=str(file),
    )


def _naming(file: Path, fault: SettingsError) -> SettingsError:
    """What is wrong with a strategy's file, naming it also where the fault lies in another that it names."""
    if fault.where.get("file") == str(file):
        return fault
    found = f"{fault.found} (named in {file})"
    return type(fault)(expected=fault.expected, found=found, remedy=fault.remedy, **fault.where)


def _of_one_name(name: str, those: Sequence[StrategyFile | LeftOut]) -> LeftOut:
    """What is wrong with several files of one name, and with each of them that cannot be read besides."""
    files = [file for entry in those for file in (entry.files if isinstance(entry, LeftOut) else (entry.file,))]
    faults = [f"; one cannot be read besides: {entry.fault}" for entry in those if isinstance(entry, LeftOut)]
    fault = SettingsError(
        expected="one strategy of each name",
        found=f"{name!r} in {' and in '.join(map(str, files))}{''.join(faults)}",
        remedy="give one of them another name",
        file=str(files[-1]),
        key="name",
    )
    return LeftOut(tuple(files), fault)


def _require_unseen(strategy: Strategy, file: Path) -> None:
    """Refuse weights or hyper-parameters that have seen what they are to forecast, with the file and the line."""
    fault = prior_fault(strategy)
    if fault is not None:
        raise _placed(fault, file, ("learning", "knows_until"))


def _require_training_of_regimes(strategy: Strategy, file: Path) -> None:
    """Refuse Markov regimes that no training part is long enough for, with the file and the line."""
    fault = short_training_fault(strategy)
    if fault is not None:
        raise _placed(fault, file, ("regimes", "model"))


def _require_horizon_in_session(strategy: Strategy, file: Path) -> None:
    """Refuse a horizon that no label of a flat book is realised within, with the file and the line."""
    fault = horizon_fault(strategy)
    if fault is not None:
        raise _placed(fault, file, tuple(str(fault.where["key"]).split(".")))


def _require_features(strategy: Strategy, file: Path) -> None:
    """Refuse features, roles of series and settings of members that nobody has, with file and line; nothing is run."""
    fault = fault_of_names(strategy) or fault_of_own_settings(strategy)
    if fault is not None:
        raise _placed(fault, file, tuple(str(fault.where["key"]).split(".")))


def _require_calendars(strategy: Strategy, file: Path) -> None:
    """Refuse unknown calendars, with the file and the line that name them."""
    named: dict[tuple[str, ...], str] = {("market", "calendar"): strategy.market.calendar}
    named |= {("series", str(index), "calendar"): series.calendar or "" for index, series in enumerate(strategy.series)}
    for key, calendar in named.items():
        if not calendar:
            continue
        try:
            require_calendar(calendar)
        except SettingsError as error:
            raise _placed(error, file, key) from error


def find_strategy(name: str) -> StrategyFile:
    """The strategy of that name; files of others that cannot be read are no hindrance.

    Raises
    ------
    SettingsError
        There is none, its file cannot be read, or several files are of that name.
    """
    strategies, left_out = read_strategies()
    by_name = {entry.strategy.name: entry for entry in strategies}
    if name in by_name:
        return by_name[name]
    if (refused := left_out_as(name, left_out)) is not None:
        raise refused.fault
    raise _no_file_names(name, by_name, [file for entry in left_out.values() for file in entry.files])


def _no_file_names(name: str, names: Collection[str], broken: Iterable[Path]) -> SettingsError:
    """What is wrong with a name that no file states: one of those that cannot be read may be its own."""
    left, files = _left_behind(name), ", ".join(dict.fromkeys(map(str, broken)))
    near = did_you_mean(name, names)
    advice = put_back(name) if left else f"put a file into {home() / 'strategies'}"
    untold = f"; one of these files, which cannot be read, may be its own: {files}"
    return SettingsError(
        expected=f"one of {', '.join(names)}",
        found=f"{name!r}{left}{f', {near.strip()}' if near and files else ''}{untold if files else ''}",
        remedy=f"{'' if files else near}choose one of these, {'mend those files, ' if files else ''}or {advice}",
        key="strategy",
    )


def left_out_as(name: str, left_out: Mapping[str, LeftOut]) -> LeftOut | None:
    """The strategy left out of that name, or whose file is called so, without the suffix; None where there is none."""
    by_file = {file.stem: entry for entry in left_out.values() for file in entry.files}
    return left_out.get(name) or by_file.get(name)


def put_back(name: str) -> str:
    """What a person does to give a strategy on record that no file names its file back."""
    file = home() / "strategies" / f"{name}.yaml"
    for entry in read_strategies()[0]:
        if entry.file == file:
            return f"write `name: {name}` in {file} again, which says `name: {entry.strategy.name}`"
    return f"put its file back, {file}"


def known_names() -> list[str]:
    """Every strategy that a file names, readable or not, or a record of the ledger; each once."""
    readable, left_out = read_strategies()
    return list(dict.fromkeys([*(entry.strategy.name for entry in readable), *left_out, *sorted(_names_on_record())]))


def _names_on_record() -> set[str]:
    """Every strategy that the ledger has a row of; none where there is no ledger yet."""
    if absent_ledger() is not None:
        return set()
    with Ledger() as ledger:
        names = {name for table in TABLES for name in ledger.strategies(table)}
    # Rows of the whole ledger, and of a strategy's intraday bars, are not those of a strategy.
    return {name for name in names if name != WHOLE_LEDGER and "." not in name}


def require_named(name: str) -> tuple[str, ...]:
    """Refuse a strategy that no file names, readable or not, and no record of the ledger.

    What is read from the ledger, and what stops trading, must serve a strategy whose file is gone or broken too.

    Returns
    -------
    tuple of str
        The name; or those that the file of that name seems to state, where it cannot be read and nothing else is
        called so.

    Raises
    ------
    SettingsError
        Neither names it.
    """
    readable, left_out = read_strategies()
    names = {*(entry.strategy.name for entry in readable), *left_out}
    if name in names:
        return (name,)
    names |= _names_on_record()
    declared = tuple(candidate for candidate, left in left_out.items() if name in {file.stem for file in left.files})
    if name not in names and not declared:
        raise SettingsError(
            expected=f"a strategy with a file or a record, one of {', '.join(sorted(names))}",
            found=repr(name),
            remedy=f"{did_you_mean(name, names)}name one of these with --strategy",
            key="strategy",
        )
    return (name,) if name in names else declared


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
