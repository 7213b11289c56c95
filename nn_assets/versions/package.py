"""The definitions behind a function, closed over its package's own, and one hash over them.

What a function refers to is followed by name: functions, constants, classes as a whole, annotations too. It is not
followed into settings, whose values count by the configuration's hash, nor into errors, nor into registries: which of
their members is used is known where it is used, and that one is named as a root. Users' own modules are followed as
the package's own are, and from them into the package.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

from nn_assets.errors import CodeError, first_of
from nn_assets.versions import moved, source
from nn_assets.versions.moved import counted_name
from nn_assets.versions.source import BESIDE, Module, read_module

Root = Callable[..., Any] | str
"""A function or class, or the ``module:name`` of one that is not to be imported for it."""

_CUT = ("settings", "errors", "versions", "plugins")
_CODE = ".py"
_BESIDE = frozenset({"__pycache__", "sql", "instance"})  # the last two lie beside the package in a checkout
_KEPT = "versions.json"
_DIGITS = 16
_MOST_DEFINITIONS = 5


class Package:
    """A package's sources as they lie on disk when it is made: read, not imported.

    Parameters
    ----------
    folder : Path
        Its folder, named as the package is.
    kept : Path, optional
        File to keep what was read of each source in, by the hash of the source. One that cannot be read or written is
        as none.
    writes : bool
        Whether that file may be written, too.

    Raises
    ------
    CodeError
        Two files count under one name: one of them would be missing from every version.
    """

    def __init__(self, folder: Path, kept: Path | None = None, *, writes: bool = True) -> None:
        self._folder, self._kept, self._writes, self._name = folder, kept, writes, folder.name
        inside = (path for path in folder.rglob("*") if not _BESIDE.intersection(path.relative_to(folder).parts))
        files = [path for path in inside if path.is_file()]
        code = _by_counted_name(folder, (path for path in files if path.suffix == _CODE))
        self._sources = {
            name: path.read_bytes().replace(b"\r\n", b"\n")  # line ends are no part of code
            for name, path in code.items()
        }
        self._packages = {_module_name(folder, path) for path in files if path.name == "__init__.py"}
        self._data: dict[str, list[Path]] = {}
        for path in sorted(path for path in files if path.suffix != _CODE):
            self._data.setdefault(path.name, []).append(path)
        self._beside: dict[str, Path] = {}
        self._before = _kept_before(kept)
        self._modules: dict[str, Module] = {}
        self._targets: dict[str, tuple[tuple[str, str], ...]] = {}
        self._read_anew = False

    def join(self, sources: Mapping[str, bytes], folder: Path) -> None:
        """Take in the modules of another top name, in the place of those that it had; ``folder`` has its files of data.

        Parameters
        ----------
        sources : mapping of module to its source
        """
        (top,) = {module.partition(".")[0] for module in sources}
        for module in [name for name in self._sources if name.partition(".")[0] == top]:
            del self._sources[module]
            self._modules.pop(module, None)
        self._sources |= {module: text.replace(b"\r\n", b"\n") for module, text in sources.items()}
        self._packages |= {module for module in sources if any(other.startswith(f"{module}.") for other in sources)}
        self._beside[top] = folder
        self._targets.clear()

    def read_all(self) -> None:
        """Read every source, so that all of it is kept: what the build of a wheel does."""
        for name in self._sources:
            self._module(name)
        self._keep()

    def definitions_behind(self, *roots: str) -> dict[str, str]:
        """What some functions depend on: the digest of each definition by ``module:name``, and of each file of data.

        Parameters
        ----------
        *roots : str
            ``module:name``; those that another name of the package leads to count as that.

        Raises
        ------
        CodeError
            There is no such definition.
        """
        digests: dict[str, str] = {}
        waiting = list(roots)
        for root in roots:
            if not self._resolved(root):
                raise CodeError(
                    expected="a definition of the package by its name, as module:name",
                    found=root,
                    remedy="name a function, class or constant at the top of a module",
                )
        while waiting:
            asked = waiting.pop()
            for module, name in self._resolved(asked):
                reference = f"{module}:{name}"
                definition = self._module(module).definitions[name]
                if reference in digests or (definition.registry and asked not in roots):
                    continue
                digests[reference] = definition.digest
                waiting += definition.refers_to
                if BESIDE in self._module(module).definitions:
                    waiting.append(f"{module}:{BESIDE}")
                for file in definition.files:
                    digests |= self._data_named(file, module)
        self._keep()
        return dict(sorted(digests.items()))

    def _resolved(self, reference: str) -> tuple[tuple[str, str], ...]:
        """The definitions that a ``module:name.of.more`` refers to, followed through imports; none that is cut."""
        if reference not in self._targets:
            self._targets[reference] = tuple(self._followed(reference))
        return self._targets[reference]

    def _followed(self, reference: str) -> Iterator[tuple[str, str]]:
        module, _, dotted = counted_name(reference).partition(":")
        seen: set[str] = set()
        while True:
            if self._is_cut(module) or f"{module}:{dotted}" in seen or module not in self._sources:
                return
            seen.add(f"{module}:{dotted}")
            name, _, rest = dotted.partition(".")
            read = self._module(module)
            if name in read.definitions:
                yield module, name
                if name not in read.imports:
                    return
            if name in read.imports and self._is_followed(read.imports[name]):
                target, _, imported = read.imports[name].partition(":")
                module, dotted = target, ".".join(part for part in (imported, rest) if part)
            elif name and counted_name(f"{module}.{name}") in self._sources:
                module, dotted = counted_name(f"{module}.{name}"), rest
            else:
                break
        if not dotted:  # a module handed on as a whole
            yield from ((module, name) for name in self._module(module).definitions)

    def _is_followed(self, target: str) -> bool:
        top = target.partition(".")[0].partition(":")[0]
        return top == self._name or top in self._beside

    def _is_cut(self, module: str) -> bool:
        parts = module.split(".")
        return len(parts) > 1 and parts[0] == self._name and parts[1] in _CUT

    def _module(self, name: str) -> Module:
        if name not in self._modules:
            text = self._sources[name]
            key = hashlib.sha256(f"{name}\0".encode() + text).hexdigest()
            before = self._before.get(name, {})
            try:
                if before.get("of") != key:
                    raise KeyError(name)
                self._modules[name] = Module.from_record(before)
            except (KeyError, TypeError, AttributeError):
                read = read_module(name, text, is_package=name in self._packages)
                self._modules[name] = read
                self._before[name] = {"of": key, **read.to_record()}
                self._read_anew |= name.partition(".")[0] == self._name
        return self._modules[name]

    def _data_named(self, file: str, module: str) -> dict[str, str]:
        """Digest of the files of data beside the code that a text names, by place."""
        top = module.partition(".")[0]
        if top in self._beside:
            return {f"{top}/{name}": _digest(path.read_bytes()) for name, path in _named(self._beside[top], file)}
        return {
            path.relative_to(self._folder.parent).as_posix(): _digest(path.read_bytes().replace(b"\r\n", b"\n"))
            for path in self._data.get(file.rpartition("/")[2], ())
        }

    def _keep(self) -> None:
        if self._kept is None or not self._writes or not self._read_anew:
            return
        self._read_anew = False
        with suppress(OSError):  # an installed package may lie where nobody can write: it is read again each time
            self._kept.parent.mkdir(exist_ok=True)
            staged = self._kept.with_name(f"{_KEPT}.{os.getpid()}")
            own = {name: read for name, read in self._before.items() if name.partition(".")[0] == self._name}
            staged.write_text(json.dumps({"by": _reader(), "modules": own}), encoding="utf-8")
            staged.replace(self._kept)


def _named(folder: Path, file: str) -> Iterator[tuple[str, Path]]:
    """Files that a text may name: in a folder or, where it names a part of the way alone, one or two below it."""
    direct = folder / file
    if direct.is_file():
        yield file, direct
    elif not Path(file).is_absolute() and ".." not in Path(file).parts:
        for pattern in ("*", "*/*"):
            for path in sorted(folder.glob(f"{pattern}/{glob.escape(file)}")):
                if path.is_file():
                    yield path.relative_to(folder).as_posix(), path


def data_beside(sources: Mapping[str, bytes], folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Files of data that some modules name, each with its size and when it was written."""
    files = {file for module, text in sources.items() for file in _files_in(module, text)}
    stats = {name: path.stat() for file in files for name, path in _named(folder, file)}
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in sorted(stats.items()))


@lru_cache(maxsize=256)
def _files_in(module: str, text: bytes) -> frozenset[str]:
    return frozenset(file for definition in read_module(module, text).definitions.values() for file in definition.files)


def _module_name(folder: Path, path: Path) -> str:
    parts = path.relative_to(folder.parent).with_suffix("").parts
    return counted_name(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def _by_counted_name(folder: Path, files: Iterable[Path]) -> dict[str, Path]:
    """Files of code by the name of the module that each counts as."""
    named: dict[str, Path] = {}
    for path in files:
        name = _module_name(folder, path)
        if name in named:
            raise CodeError(
                expected="one file for each name that a module counts by",
                found=f"{name} for {named[name]} and {path}",
                remedy="give the moved module's name of then to no other module or package, or rename one of the two",
            )
        named[name] = path
    return named


def _kept_before(kept: Path | None) -> dict[str, Any]:
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        if kept is not None:
            record = json.loads(kept.read_bytes())
            if record["by"] == _reader():
                return dict(record["modules"])
    return {}


@cache
def _reader() -> str:
    """What read a source: what another one read of it may be something else."""
    digests = (_digest(Path(file).read_bytes()) for file in (source.__file__, moved.__file__))
    return f"{' '.join(digests)} {sys.version_info[:2]}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


@cache
def _own() -> Package:
    folder = Path(source.__file__).parent.parent
    if not (folder.parent / "pyproject.toml").is_file():
        return Package(folder, folder / _KEPT, writes=False)  # installed: the wheel holds what the build read
    return Package(folder, folder / "__pycache__" / _KEPT, writes=not sys.dont_write_bytecode)


def definitions_behind(*roots: Root) -> dict[str, str]:
    """What functions of this package depend on: see :meth:`Package.definitions_behind`."""
    return dict(_behind(tuple(_address(root) for root in roots)))


def version_of(*roots: Root, also: object = None) -> str:
    """Hash over all that some functions of this package depend on, 16 hex digits.

    A comment, a docstring, the layout of a line changes nothing, nor does a line that none of them reaches.

    Parameters
    ----------
    *roots : callable or str
        Functions and classes, or ``module:name``. Of a partial function what it is given counts too.
    also : object, optional
        What counts besides, by its ``repr``.

    Raises
    ------
    CodeError
        A root is no definition at the top of a module of this package.
    """
    return _hash_over(tuple(_address(root) for root in roots), (*_partial_arguments(roots), repr(also)))


def version_within(top: str, *roots: Root, also: object = None) -> str:
    """As :func:`version_of`, over the definitions of one top name alone: what a person changed of his own."""
    behind = _behind(tuple(_address(root) for root in roots))
    own = [entry for entry in behind if entry[0].partition(":")[0].partition(".")[0] == top]
    return hashlib.sha256(json.dumps([*own, *_partial_arguments(roots), repr(also)]).encode()).hexdigest()[:_DIGITS]


def _partial_arguments(roots: tuple[Root, ...]) -> list[str]:
    """What partial functions among some roots are given."""
    return [repr((root.args, sorted(root.keywords.items()))) for root in roots if isinstance(root, partial)]


def version_of_sources(sources: Mapping[str, bytes]) -> str:
    """Hash over all that some modules define, by their sources, 16 hex digits."""
    digests = [
        (module, name, definition.digest)
        for module, text in sorted(sources.items())
        for name, definition in sorted(read_module(module, text).definitions.items())
    ]
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:_DIGITS]


def with_sources(sources: Mapping[str, bytes], folder: Path) -> None:
    """Follow a user's own modules from now on, by their sources as they were loaded: see :meth:`Package.join`."""
    _own().join(sources, folder)
    _behind.cache_clear()
    _hash_over.cache_clear()


def changed_definitions(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Name what differs between two answers of :func:`definitions_behind`, the first few of it."""
    names = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    return ", ".join(first_of(names, _MOST_DEFINITIONS))


@cache
def _behind(references: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple(_own().definitions_behind(*references).items())


@cache
def _hash_over(references: tuple[str, ...], arguments: tuple[str, ...]) -> str:
    return hashlib.sha256(json.dumps([*_behind(references), *arguments]).encode()).hexdigest()[:_DIGITS]


def _address(root: Root) -> str:
    if isinstance(root, str):
        return root
    function = root.func if isinstance(root, partial) else root
    name = getattr(function, "__qualname__", repr(function))
    if "<" in name:  # a lambda or a function within another: what it was given cannot be told from its code
        raise CodeError(
            expected="a function or class at the top of a module, or a partial function of one",
            found=f"{name} of {getattr(function, '__module__', None)}",
            remedy="write it with def at the top of its module",
        )
    return f"{function.__module__}:{name.partition('.')[0]}"
