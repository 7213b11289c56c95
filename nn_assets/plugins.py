"""Users' own code: Python files beside a strategy, or installed packages, whose members join the package's registries.

What a file registers is read off its text, without running it: ``register_feature("my_gap", ...)`` names a feature. It
is run once a process, when something is to be computed, and followed by ``versions`` from then on as the text that was
run. Two members of one kind must have different names, whichever file or package they come from.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import linecache
import re
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, TypeVar

from nn_assets.errors import PluginError, SettingsError, did_you_mean
from nn_assets.versions import data_beside, version_of_sources, with_sources

GROUP = "nn_assets.plugins"
"""Group of the entry points that an installed package registers members by."""

_Member = TypeVar("_Member")
_Written = TypeVar("_Written", bound=Callable[..., Any])

NOT_PLAIN = object()
"""What :func:`stated_by` gives of a keyword whose value is known only once the file runs."""

_PREFIX = "nn_plugin_"
_SUFFIX = ".py"
_REGISTERS = "register_"
_FRAME = re.compile(r'File "(.+)", line (\d+)')
_REGISTRIES: list[Registry[Any]] = []
_LOADED: dict[str, Plugin] = {}
_BESIDE: dict[str, tuple[tuple[str, int, int], ...]] = {}  # files of data as they were when each was run
_LOADING: list[str] = []
_ONE_AT_A_TIME = threading.RLock()


def no_such_member(kind: str, key: str, name: str, names: Collection[str]) -> SettingsError:
    """What every registry says of a name that a key of the strategy states and no member has, with the nearest names.

    Parameters
    ----------
    kind : str
        What a member is.
    key, name : str
        As the strategy states them.
    names : collection of str
        Those that there are.
    """
    if not names:
        found, remedy = (
            f"{key} {name}: no {kind} is registered, name its file under plugins",
            "name its file under plugins",
        )
        return SettingsError(
            expected=f"the name of a {kind} that there is", found=found, remedy=remedy, key=key, value=name
        )
    return SettingsError(
        expected=f"the name of a {kind} that there is",
        found=f"{key} {name} is no {kind}: {did_you_mean(name, names)}there are {', '.join(names) or 'none'} and those "
        "that the files named under plugins register",
        remedy="correct the name, or name the file that registers it under plugins",
        key=key,
        value=name,
    )


class Registry(Mapping[str, _Member]):
    """Members of one kind by name: the package's own, and those of plug-ins.

    What refers to a registry depends on none of its members by that: each user names the one it uses.

    Parameters
    ----------
    kind : str
        What a member is, as in ``register_<kind>``.
    own : mapping of name to member
        Those that the package has itself.
    by_pattern : callable, optional
        Gives the member that a name not listed stands for, or None: such members are had, and not listed.
    """

    def __init__(
        self, kind: str, own: Mapping[str, _Member], by_pattern: Callable[[str], _Member | None] = lambda _: None
    ) -> None:
        self.kind, self.own, self._by_pattern = kind, MappingProxyType(dict(own)), by_pattern
        self._added: dict[str, tuple[str, _Member]] = {}
        _REGISTRIES.append(self)

    def __getitem__(self, name: str) -> _Member:
        if name in self.own:
            return self.own[name]
        if name not in self._added and (made := self._by_pattern(name)) is not None:
            return made
        return self._added[name][1]

    def __iter__(self) -> Iterator[str]:
        yield from (*self.own, *self._added)

    def __len__(self) -> int:
        return len(self.own) + len(self._added)

    def require(self, name: str, key: str) -> _Member:
        """The member of a name that a key of the strategy states.

        Raises
        ------
        SettingsError
            There is none.
        """
        if name not in self:
            raise no_such_member(self.kind, key, name, tuple(self))
        return self[name]

    def add(self, name: str, member: _Member, module: str) -> None:
        """Take in a member of a plug-in; ``module`` is where it was written.

        Raises
        ------
        PluginError
            The name is no lower-case word, or another member has it.
        """
        top = _LOADING[-1] if _LOADING else module.partition(".")[0]
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,47}", name):
            raise PluginError(
                expected=f"a name of a {self.kind} in lower-case letters, digits and _, a letter first",
                found=f"{name!r} in {label_of(top)}",
                remedy="rename it",
                key="plugins",
            )
        if name in self.own or (name in self._added and (_LOADING or self._added[name][0] != top)):
            other = "nn_assets itself" if name in self.own else label_of(self._added[name][0])
            raise PluginError(
                expected=f"a {self.kind} of a name that is not taken",
                found=f"{name!r} in {label_of(top)}, a name that {other} has taken",
                remedy="give it another name, and name that in the strategy",
                key="plugins",
            )
        self._added[name] = top, member

    def adding(self, name: str, made: Callable[[_Written], _Member]) -> Callable[[_Written], _Written]:
        """A decorator that adds, as the member that ``made`` makes of it, what it is written above; see :meth:`add`."""

        def register(written: _Written) -> _Written:
            self.add(name, made(written), getattr(written, "__module__", __name__))
            return written

        return register

    def top_of(self, name: str) -> str | None:
        """Top name of the modules of the plug-in that brought a member; None for the package's own, or no member."""
        return self._added[name][0] if name in self._added else None

    def brought_by(self, tops: Iterable[str]) -> tuple[str, ...]:
        """Names of the members that some plug-ins brought, in the order in which they were registered."""
        those = frozenset(tops)
        return tuple(name for name, (top, _) in self._added.items() if top in those)

    def offered(self, tops: Iterable[str]) -> tuple[str, ...]:
        """Names of the package's own members, and of those that some plug-ins brought."""
        return (*self.own, *self.brought_by(tops))

    def drop(self, top: str) -> None:
        """Take out what a plug-in brought."""
        self._added = {name: entry for name, entry in self._added.items() if entry[0] != top}


@dataclass(frozen=True)
class Plugin:
    """Where a plug-in's code is.

    Parameters
    ----------
    reference : str
        What ``plugins`` of a strategy says: the path of a file, or the name of an entry point.
    top : str
        Top name of its modules.
    module : str
        What is imported.
    folder : Path
        Where its files of data lie.
    sources : tuple of (module, source)
    """

    reference: str
    top: str
    module: str
    folder: Path
    sources: tuple[tuple[str, bytes], ...]

    @property
    def label(self) -> str:
        """What a person knows it by."""
        return Path(self.reference).name


def imported(address: str) -> Any:
    """Import what a member's ``module:name`` stands for: a registry that holds it imports none of its own before."""
    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)


def is_running() -> bool:
    """Whether a plug-in is being run, so that what is registered now is its own."""
    return bool(_LOADING)


def label_of(top: str) -> str:
    """What a person knows a plug-in that runs by: its file's name, or that of its entry point."""
    return _LOADED[top].label if top in _LOADED else top.removeprefix(_PREFIX)


def find(reference: str) -> Plugin:
    """Find a plug-in's sources, and read them.

    Raises
    ------
    PluginError
        There is no such file or entry point, it cannot be read, or it is no Python.
    """
    plugin = _of_file(Path(reference)) if reference.endswith(_SUFFIX) else _of_package(reference)
    try:
        for _, source in plugin.sources:
            _registrations(source, plugin.label)
    except PluginError as fault:
        raise _in_its_file(fault, plugin) from fault
    return plugin


def _in_its_file(fault: PluginError, plugin: Plugin, line: int | None = None) -> PluginError:
    """The fault, with the file of the plug-in that it lies in and, where known, the line."""
    file = plugin.reference if plugin.reference.endswith(_SUFFIX) else None
    where = {"file": file, "line": line, **fault.where}
    return PluginError(expected=fault.expected, found=fault.found, remedy=fault.remedy, **where)


def place_of(function: Callable[..., Any], error: BaseException | None = None) -> dict[str, object]:
    """File and line of a member's function or class, or of the last line of its file that an error came through.

    Returns
    -------
    dict
        ``file`` and ``line``, as errors take them; of a class that has no function of its own its file alone. Empty for
        a callable that was not written as a function or class.
    """
    written = inspect.unwrap(function)
    code = getattr(vars(written).get("__init__") if isinstance(written, type) else written, "__code__", None)
    if code is None and isinstance(written, type):
        file = getattr(sys.modules.get(written.__module__), "__file__", None)
        return {"file": file, "line": file and error and _line_in(file, error)}
    if code is None:
        return {}
    line = None if error is None else _line_in(code.co_filename, error)
    return {"file": code.co_filename, "line": line or code.co_firstlineno}


def place_in(stack: Iterable[str]) -> str:
    """The last line of a plug-in that runs here among those of a stack, as Python writes them; empty where none is."""
    files = {plugin.reference for plugin in loaded()}
    places = [match for text in stack if (match := _FRAME.search(text)) and match[1] in files]
    return f"{places[-1][1]}, line {places[-1][2]}" if places else ""


def _line_in(file: str, error: BaseException) -> int | None:
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if frame.filename == file), None)


def _of_file(file: Path) -> Plugin:
    try:
        source = file.read_bytes()
    except OSError as error:
        raise PluginError(
            expected=f"the file of a plug-in, {file}",
            found="no such file" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {error}",
            remedy="put it there, or correct plugins: paths start from the strategy's file",
            key="plugins",
            value=file.name,
        ) from error
    top = _PREFIX + re.sub(r"\W", "_", file.stem)
    return Plugin(str(file), top, top, file.parent, ((top, source),))


def _of_package(name: str) -> Plugin:
    points = entry_points(group=GROUP)
    named = [point for point in points if point.name == name]
    spec = importlib.util.find_spec(named[0].module.partition(".")[0]) if len(named) == 1 else None
    if spec is None or spec.origin is None:
        installed = sorted({point.name for point in points})
        raise PluginError(
            expected=f"the path of a Python file, or an installed package's entry point of the group {GROUP}: "
            f"{', '.join(installed) or 'there is none'}",
            found=repr(name) if len(named) < 2 else f"{name!r}, which several packages have",
            remedy=f"{did_you_mean(name, installed)}install the package, or end the path of a file with .py",
            key="plugins",
            value=name,
        )
    return _of_entry(name, named[0], Path(spec.origin))


def _of_entry(name: str, point: EntryPoint, origin: Path) -> Plugin:
    top, folder = point.module.partition(".")[0], origin.parent
    files = sorted(folder.rglob(f"*{_SUFFIX}")) if origin.name == "__init__.py" else [origin]
    sources = []
    for file in files:
        parts = file.relative_to(folder.parent if origin.name == "__init__.py" else folder).with_suffix("").parts
        sources.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), file.read_bytes()))
    return Plugin(name, top, point.module, folder, tuple(sources))


@lru_cache(maxsize=256)
def _registrations(source: bytes, label: str) -> tuple[tuple[str, str | None, dict[str, object]], ...]:
    """Each kind and name that a source registers, and what it states; None for what is no name."""
    try:
        tree = ast.parse(source, filename=label)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise PluginError(
            expected=f"Python in {label}",
            found=str(getattr(error, "msg", error)),
            remedy="mend the line",
            line=line,
            key="plugins",
            value=label,
        ) from error
    registrations = []
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    aliases = {alias.asname: alias.name for node in imports for alias in node.names if alias.asname}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        called = aliases.get(called, called) if isinstance(node.func, ast.Name) else called
        if called.startswith(_REGISTERS):
            arguments = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "name")]
            first = arguments[0] if arguments else None
            text = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
            keywords: dict[str, object] = {
                keyword.arg: keyword.value.value if isinstance(keyword.value, ast.Constant) else NOT_PLAIN
                for keyword in node.keywords
                if keyword.arg
            }
            registrations.append((called.removeprefix(_REGISTERS), text, keywords))
    return tuple(registrations)


def names_of(kind: str, references: Sequence[str]) -> frozenset[str] | None:
    """Names of one kind that plug-ins register, read off their texts; None where one is made only as they run.

    Raises
    ------
    PluginError
        As :func:`find`.
    """
    names = [
        name
        for plugin in map(find, references)
        for _, source in plugin.sources
        for registered_kind, name, _ in _registrations(source, plugin.label)
        if registered_kind == kind
    ]
    return None if None in names else frozenset(name for name in names if name is not None)


def declared_by(kind: str, name: str, key: str, references: Sequence[str]) -> object:
    """What plug-ins state of a member by a keyword, read off their texts; None where it is not plain, or not one thing.

    Raises
    ------
    PluginError
        As :func:`find`.
    """
    value = stated_by(kind, name, key, references)
    return None if value is NOT_PLAIN else value


def stated_by(kind: str, name: str, key: str, references: Sequence[str]) -> object:
    """As :func:`declared_by`, but ``NOT_PLAIN`` for what is stated and known only once the file runs."""
    values = [
        keywords.get(key)
        for plugin in map(find, references)
        for _, source in plugin.sources
        for registered_kind, named, keywords in _registrations(source, plugin.label)
        if registered_kind == kind and named == name
    ]
    return values[0] if len(values) == 1 else None


def code_of(references: Sequence[str]) -> tuple[str, ...]:
    """Versions of all that plug-ins define, read off their texts: a comment changes none."""
    return tuple(version_of_sources(dict(plugin.sources)) for plugin in map(find, references))


def load(references: Iterable[str]) -> tuple[Plugin, ...]:
    """Run plug-ins that did not run yet, or whose text, or a table that it names, is another one since.

    Their members are registered then.

    Raises
    ------
    PluginError
        One cannot be found or imported, two files are called alike, or a name is taken.
    """
    return load_sources(find(reference) for reference in references)


def load_sources(plugins: Iterable[Plugin]) -> tuple[Plugin, ...]:
    """As :func:`load`, by sources that were read before: what another process ran, to the letter."""
    requested = tuple(plugins)
    with _ONE_AT_A_TIME:
        for plugin in requested:
            before = _LOADED.get(plugin.top)
            beside = data_beside(dict(plugin.sources), plugin.folder)
            if before is None or before.sources != plugin.sources or _BESIDE.get(plugin.top) != beside:
                if before is not None and before.reference != plugin.reference:
                    raise PluginError(
                        expected="plug-ins whose files have names of their own",
                        found=f"{before.reference} and {plugin.reference}",
                        remedy="rename one of them",
                        key="plugins",
                        value=plugin.label,
                    )
                forget(plugin.top)
                _run(plugin)
                _BESIDE[plugin.top] = beside
    return requested


def _run(plugin: Plugin) -> None:
    _LOADED[plugin.top] = plugin
    _LOADING.append(plugin.top)
    try:
        if plugin.top.startswith(_PREFIX):
            _run_file(plugin)
        else:
            importlib.import_module(plugin.module)
    except PluginError as fault:
        forget(plugin.top)
        raise _in_its_file(fault, plugin, _line_in(plugin.reference, fault)) from fault
    except (Exception, SystemExit) as error:
        forget(plugin.top)
        raise PluginError(
            expected=f"a plug-in that can be imported, {plugin.label}",
            found=f"{type(error).__name__}: {error}",
            remedy="mend it, install what it imports, or take it out of plugins; what several files share belongs into "
            "an installed package",
            file=plugin.reference if plugin.reference.endswith(_SUFFIX) else None,
            line=_line_in(plugin.reference, error),
            key="plugins",
            value=plugin.label,
        ) from error
    finally:
        _LOADING.pop()
    with_sources(dict(plugin.sources), plugin.folder)


def _run_file(plugin: Plugin) -> None:
    module = ModuleType(plugin.module)
    module.__file__ = plugin.reference
    sys.modules[plugin.module] = module
    linecache.checkcache(plugin.reference)
    exec(compile(plugin.sources[0][1], plugin.reference, "exec"), module.__dict__)  # noqa: S102  a user's own code


def forget(top: str | None = None) -> None:
    """Take a plug-in's members out again, or those of all of them."""
    for top_name in (*_LOADED,) if top is None else (top,):
        _LOADED.pop(top_name, None)
        for module in [name for name in sys.modules if name.partition(".")[0] == top_name]:
            del sys.modules[module]
        for registry in _REGISTRIES:
            registry.drop(top_name)


def loaded() -> tuple[Plugin, ...]:
    """The plug-ins that run in this process, for another one to run."""
    return tuple(_LOADED.values())
