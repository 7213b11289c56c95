"""What one source file defines: of each definition a digest of what it says, and what it refers to.

Read from the file alone, so that it can be kept by the hash of the file. Docstrings, comments, layout and the local
name of an import are no part of a digest; annotations, decorators and defaults are.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nn_assets.versions.moved import counted_name

_Local = Mapping[str, str | None]

BESIDE = "<beside>"
"""Name for what a module does beside defining names, such as a call at its top: all its definitions depend on it."""

_REGISTRY = "Registry"
_REGISTERS = "register_"
_PACKAGE = __name__.partition(".")[0]
_FILE = re.compile(r"[\w./ -]+\.(?!py$)[A-Za-z0-9]{1,8}")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_LEAVES = (ast.Constant, ast.Lambda, ast.Load, ast.Pass)
_IGNORED = frozenset({"ctx", "kind", "type_comment"})


@dataclass(frozen=True)
class Definition:
    """What one name of a module refers to.

    Parameters
    ----------
    digest : str
        Hash of its syntax tree.
    refers_to : tuple of str
        ``module:name``, the name with the attributes read of it where it was imported; sorted.
    files : tuple of str
        Texts in it that may name a file of data beside the code.
    registry : bool
        Whether it is annotated as a registry, whose members are not followed.
    """

    digest: str
    refers_to: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    registry: bool = False


@dataclass(frozen=True)
class Module:
    """Definitions and imports of a module, by the name that it gives them; an import as ``module:name`` or ``module``.

    See :func:`read_module`.
    """

    definitions: dict[str, Definition] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Module:
        """Rebuild a module from :meth:`to_record`; anything else raises KeyError, TypeError or AttributeError."""
        definitions = {
            str(name): Definition(
                str(entry["digest"]), tuple(entry["refers_to"]), tuple(entry["files"]), bool(entry["registry"])
            )
            for name, entry in record["definitions"].items()
        }
        return cls(definitions, {str(name): str(target) for name, target in record["imports"].items()})


def read_module(name: str, source: bytes, *, is_package: bool = False) -> Module:
    """Read what a module defines, without importing it.

    Parameters
    ----------
    name : str
        With dots, as it is imported.
    source : bytes
        The file.
    is_package : bool
        Whether it is an ``__init__.py``, from which relative imports start one place lower.

    Returns
    -------
    Module
        A name bound twice has one definition that says both. A statement that binds several names defines each.

    Raises
    ------
    SyntaxError
        The file is no Python of this version.
    """
    tree = ast.parse(source)
    package = name if is_package else name.rpartition(".")[0]
    imports = dict(_imports_at_top(tree.body, package))
    statements: dict[str, list[ast.stmt]] = {}
    helpers = _helpers(tree.body, imports, name.partition(".")[0])
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom) or _is_docstring(statement) or _is_main(statement):
            continue
        if (
            isinstance(statement, ast.Expr)
            and _registers(statement.value, helpers)
            and _is_plain_reference(statement.value)
        ):
            continue  # what is registered is a root by itself, with what it states
        bound = set(_bound(statement))
        if bound or not _only_imports(statement):
            for bound_name in bound or {BESIDE}:
                statements.setdefault(bound_name, []).append(statement)
    own = frozenset(statements) - {BESIDE}
    defined = {
        bound_name: _definition(group, name, package, imports, own, helpers) for bound_name, group in statements.items()
    }
    return Module(defined, imports)


def _definition(
    statements: list[ast.stmt],
    module: str,
    package: str,
    imports: dict[str, str],
    own: frozenset[str],
    helpers: frozenset[str],
) -> Definition:
    reader = _Reader(module, package, imports, own, helpers)
    for statement in statements:
        reader.read(statement, {})
    registry = any(
        isinstance(node, ast.AnnAssign)
        and _last_name(node.annotation.value if isinstance(node.annotation, ast.Subscript) else node.annotation)
        == _REGISTRY
        for node in statements
    )
    return Definition(reader.digest(), tuple(sorted(reader.refers_to)), tuple(sorted(reader.files)), registry)


class _Reader:
    """Walks a syntax tree once: tokens for its digest, and what of its own package it refers to."""

    def __init__(
        self, module: str, package: str, imports: dict[str, str], own: frozenset[str], helpers: frozenset[str]
    ) -> None:
        self._module, self._package, self._imports, self._own = module, package, imports, own
        self._helpers = helpers
        self._top = module.partition(".")[0]
        self._tokens: list[str] = []
        self.refers_to: set[str] = set()
        self.files: set[str] = set()

    def digest(self) -> str:
        """Hash of the tokens, 16 hex digits."""
        return hashlib.sha256("\0".join(self._tokens).encode("utf-8", "backslashreplace")).hexdigest()[:16]

    def read(self, node: ast.AST, local: _Local) -> None:
        """Take in a node; ``local`` is what the functions around it bind: an import's target, or None."""
        kind = type(node)
        if kind is ast.Constant:
            self._constant(node.value)  # type: ignore[attr-defined]
        elif kind is ast.Name or kind is ast.Attribute:
            if not self._reference(node, local):
                self._fields(node, local)
        elif kind is not ast.Import and kind is not ast.ImportFrom:
            self._fields(node, local)

    def _constant(self, value: object) -> None:
        if isinstance(value, str) and _FILE.fullmatch(value):
            self.files.add(value)
        if isinstance(value, str):
            value = counted_name(value)  # an address written as a text
        self._tokens.append(f"{type(value).__name__} {value!r}")

    def _reference(self, node: ast.AST, local: _Local) -> bool:
        """Whether a node reads a name of this module or an import, with the attributes read of it."""
        attributes: list[str] = []
        base = node
        while isinstance(base, ast.Attribute):
            attributes.insert(0, base.attr)
            base = base.value
        if not isinstance(base, ast.Name) or not isinstance(base.ctx, ast.Load):
            return False
        target = local[base.id] if base.id in local else self._imports.get(base.id)
        if base.id not in local and base.id in self._own:
            self.refers_to.add(f"{self._module}:{base.id}")
            if target is None and attributes:
                return False  # the name itself is come to below
            if target is None:
                self._tokens.append(f"refers to {self._module}:{base.id}")
                return True
        if target is None:
            return False
        module, _, name = target.partition(":")
        reference = counted_name(f"{module}:{'.'.join([*([name] if name else []), *attributes])}")
        if module.partition(".")[0] in {self._top, _PACKAGE}:
            self.refers_to.add(reference)
        self._tokens.append(f"refers to {reference}")
        return True

    def _fields(self, node: ast.AST, local: _Local) -> None:
        inside, outside = local, _NOTHING
        if isinstance(node, _SCOPES):
            inside, outside = {**local, **_of_function(node, self._package)}, _OUTSIDE
        elif isinstance(node, _COMPREHENSIONS):
            self.read(node.generators[0].iter, local)  # looked up outside the comprehension; the rest within
            inside = {
                **local,
                **dict.fromkeys(variable for part in node.generators for variable in _stored(part.target)),
            }
        tokens = self._tokens
        tokens.append(f"({type(node).__name__}")
        for name in node._fields:
            value = getattr(node, name, None)
            if value is None or value == [] or name in _IGNORED:
                continue
            tokens.append(name)
            for child in value if isinstance(value, list) else (value,):
                if name == "decorator_list" and _registers(child, self._helpers):
                    continue
                if not isinstance(child, ast.AST):
                    tokens.append(repr(child))
                elif not _is_docstring(child):
                    self.read(child, local if name in outside else inside)
        tokens.append(")")


_NOTHING: frozenset[str] = frozenset()
_OUTSIDE = frozenset({"decorator_list", "returns", "args"})
"""Parts of a function that are looked up where it is defined: decorators, annotations and defaults."""


def _of_function(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, package: str) -> _Local:
    """Names that a function binds for itself, each with the target of its import, if it is one."""
    bound: dict[str, str | None] = {}
    freed: set[str] = set()
    arguments = node.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if argument is not None:
            bound[argument.arg] = None
    waiting: list[ast.AST] = list(node.body) if isinstance(node.body, list) else [node.body]
    while waiting:
        part = waiting.pop()
        kind = type(part)
        if isinstance(part, ast.Name):
            if not isinstance(part.ctx, ast.Load):
                bound[part.id] = None
        elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound[part.name] = None
            waiting += part.decorator_list
        elif kind in _COMPREHENSIONS:
            # A walrus in a comprehension binds in the function around it; its loop variables do not.
            waiting += [child for child in ast.walk(part) if isinstance(child, ast.NamedExpr)]
        elif isinstance(part, ast.Import | ast.ImportFrom):
            bound |= _imported(part, package)
        elif kind not in _LEAVES:
            if isinstance(part, ast.Global | ast.Nonlocal):
                freed |= set(part.names)
            bound |= dict.fromkeys(_caught_by(part))
            waiting += _children(part)
    return {name: target for name, target in bound.items() if name not in freed}


def _caught_by(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return [node.name] if node.name else []
    return [node.rest] if isinstance(node, ast.MatchMapping) and node.rest else []


def _children(node: ast.AST) -> list[ast.AST]:
    """As ``ast.iter_child_nodes``, in a third of the time."""
    children: list[ast.AST] = []
    for name in node._fields:
        inner = getattr(node, name, None)
        if isinstance(inner, list):
            children += [child for child in inner if isinstance(child, ast.AST)]
        elif isinstance(inner, ast.AST):
            children.append(inner)
    return children


def _imports_at_top(body: list[ast.stmt], package: str) -> Iterator[tuple[str, str]]:
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            yield from _imported(statement, package)
        elif isinstance(statement, ast.If | ast.Try | ast.With):
            for part in ast.walk(statement):
                if isinstance(part, ast.Import | ast.ImportFrom):
                    yield from _imported(part, package)


def _imported(statement: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, str]]:
    """Local names of an import, each with ``module`` or ``module:name``."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            if alias.asname:
                yield alias.asname, counted_name(alias.name)
            else:
                top = alias.name.partition(".")[0]
                yield top, top
        return
    module = statement.module or ""
    if statement.level:
        above = package.split(".")[: len(package.split(".")) - statement.level + 1]
        module = ".".join([*above, *([module] if module else [])])
    for alias in statement.names:
        yield alias.asname or alias.name, counted_name(f"{module}:{alias.name}")


def _bound(statement: ast.stmt) -> Iterator[str]:
    """Names that a statement at the top of a module defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from _stored(target)
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        yield from _stored(statement.target)
    elif isinstance(statement, ast.If | ast.Try | ast.For | ast.With | ast.While | ast.Match):
        for part in ast.iter_child_nodes(statement):
            if isinstance(part, ast.stmt):
                yield from _bound(part)
            elif isinstance(part, ast.ExceptHandler | ast.match_case):
                for inner in part.body:
                    yield from _bound(inner)
        if isinstance(statement, ast.For):
            yield from _stored(statement.target)


def _stored(target: ast.AST) -> list[str]:
    return [node.id for node in ast.walk(target) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)]


def _only_imports(statement: ast.stmt) -> bool:
    """Whether a compound statement does nothing but import, as one for type checkers does."""
    return isinstance(statement, ast.If | ast.Try) and all(
        isinstance(part, ast.Import | ast.ImportFrom | ast.Pass)
        for part in ast.walk(statement)
        if isinstance(part, ast.stmt) and part is not statement
    )


def _is_main(statement: ast.stmt) -> bool:
    """Whether a statement runs only where the module is run as a program."""
    if not isinstance(statement, ast.If) or statement.orelse or not isinstance(statement.test, ast.Compare):
        return False
    asked = {ast.unparse(operand) for operand in (statement.test.left, *statement.test.comparators)}
    return asked == {"__name__", "'__main__'"} and all(isinstance(operator, ast.Eq) for operator in statement.test.ops)


def _helpers(body: list[ast.stmt], imports: Mapping[str, str], top: str) -> frozenset[str]:
    """Names like ``register_...`` that a user's module defines or has of its own package: they register nothing."""
    if top == _PACKAGE:
        return frozenset()
    of_top = [name for name, target in imports.items() if target.partition(":")[0].partition(".")[0] == top]
    return frozenset([*of_top, *(name for statement in body for name in _bound(statement))])


def _is_plain_reference(node: ast.expr) -> bool:
    """Whether what is registered is named, or a partial function of what is: else it is made where it is given."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Call):
        for argument in node.args:
            reference = argument.func if isinstance(argument, ast.Call) else argument
            if isinstance(argument, ast.Call) and _last_name(reference) != "partial":
                return False
            while isinstance(reference, ast.Attribute):
                reference = reference.value
            if not isinstance(reference, ast.Name):
                return False
        node = node.func
    return True


def _registers(node: ast.AST, helpers: frozenset[str]) -> bool:
    """Whether an expression calls ``register_...``, or calls what such a call gives."""
    while isinstance(node, ast.Call):
        node = node.func
        if _last_name(node).startswith(_REGISTERS):
            return not (isinstance(node, ast.Name) and node.id in helpers)
    return False


def _is_docstring(statement: ast.AST) -> bool:
    """Whether a statement is a text alone: documentation, wherever it is."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _last_name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
