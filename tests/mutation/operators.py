"""Every place of a module where one small fault can be put in, by the syntax tree.

Not touched: docstrings, annotations, decorators, error texts (whatever a ``raise`` builds, and every string),
``__all__``, type aliases, and ``zip``'s ``strict``, which only checks what is equal already.
"""

from __future__ import annotations

import ast
import copy
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Mutant", "mutants_of"]

_TINY = 1e-5  # constants below are tolerances: twice as much says nothing, a million times as much does
_EDGE = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
_OTHER_SIDE = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt}
_OPPOSITE = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_CONVERSIONS = {"float", "int", "bool", "str"}  # what they return equals what they are given
_NAMES = {
    "min": "max",
    "minimum": "maximum",
    "nanmin": "nanmax",
    "fmin": "fmax",
    "argmin": "argmax",
    "any": "all",
    "floor": "ceil",
}
_NAMES |= {other: name for name, other in _NAMES.items()}


@dataclass(frozen=True)
class Mutant:
    """One fault: where it lies, what it does there, and what the place reads before and after.

    ``place`` is (function, its own number among the function's faults of that operator): it does not move when
    another part of the file does. ``lines`` are those by which a test reaches it.
    """

    file: str  # relative to the checkout
    operator: str
    function: str  # qualified name; '' at the module's own level
    number: int
    before: str
    after: str
    line: int
    content: str  # hash of the file
    body: str  # hash of the function
    at_import: bool  # it lies outside every function: no test reaches it by a line
    lines: frozenset[int] = field(compare=False)
    path: tuple[tuple[str, int | None], ...] = field(compare=False, repr=False)
    node: ast.AST = field(compare=False, repr=False)
    source: str = field(compare=False, repr=False)

    @property
    def place(self) -> str:
        return f"{self.file}::{self.function or '<module>'}::{self.operator}::{self.number}"

    @property
    def address(self) -> str:
        """Where its result is kept: of the file's content, the operator and the place, 16 hex digits."""
        return _hash(f"{self.content}|{self.place}")

    @property
    def argument(self) -> str:
        """Where an argument that it changes nothing is kept: it holds as long as the function is the same."""
        return _hash(f"{self.body}|{self.place}|{self.after}")

    def tree(self) -> ast.Module:
        """The module's tree with the fault in it."""
        tree = ast.parse(self.source)
        parent: ast.AST = tree
        for name, index in self.path[:-1]:
            child = getattr(parent, name)
            parent = child if index is None else child[index]
        name, index = self.path[-1]
        if index is None:
            setattr(parent, name, self.node)
        else:
            getattr(parent, name)[index] = self.node
        return ast.fix_missing_locations(tree)

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.function} [{self.operator}] {self.before}  ->  {self.after}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def mutants_of(file: str, source: str) -> list[Mutant]:
    """Every mutant of a module, in the order of its text."""
    tree = ast.parse(source)
    content = _hash(source)
    counted: dict[tuple[str, str], int] = {}
    mutants = []
    for site in _places(tree):
        for operator, node in _faults(site.node, site.parent):
            ast.copy_location(node, site.node)
            number = counted.get((site.function, operator), 0)
            counted[site.function, operator] = number + 1
            mutants.append(
                Mutant(
                    file,
                    operator,
                    site.function,
                    number,
                    _text(site.node),
                    _text(node),
                    getattr(site.node, "lineno", 0),
                    content,
                    site.body,
                    site.at_import,
                    site.lines,
                    site.path,
                    node,
                    source,
                )
            )
    return mutants


@dataclass(frozen=True)
class _Located:
    node: ast.AST
    parent: ast.AST
    path: tuple[tuple[str, int | None], ...]
    function: str
    body: str
    at_import: bool
    lines: frozenset[int]


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.If | ast.While):
        return f"{type(node).__name__.lower()} {ast.unparse(node.test)}"
    return ast.unparse(node)


def _span(node: ast.AST) -> frozenset[int]:
    return frozenset(range(node.lineno, (node.end_lineno or node.lineno) + 1))  # type: ignore[attr-defined]


def _places(tree: ast.Module) -> Iterator[_Located]:
    whole = _hash(ast.dump(tree))

    def walk(
        node: ast.AST,
        path: tuple[tuple[str, int | None], ...],
        function: str,
        body: str,
        lines: frozenset[int],
        *,
        at_import: bool,
    ) -> Iterator[_Located]:
        for name, value in ast.iter_fields(node):
            several = isinstance(value, list)
            for index, child in enumerate(value if several else [value]):
                if not isinstance(child, ast.AST) or _left_alone(node, name, child):
                    continue
                reached = lines
                if isinstance(child, ast.stmt):
                    reached = _head(child)
                elif hasattr(child, "lineno"):
                    reached = lines | _span(child)
                later = at_import and not (isinstance(node, ast.FunctionDef | ast.Lambda) and name == "body")
                at = (*path, (name, index if several else None))
                yield _Located(child, node, at, function, body, later, reached)
                named, inside = function, body
                if isinstance(child, ast.FunctionDef | ast.ClassDef):
                    named = f"{function}.{child.name}".lstrip(".")
                    # A nested function belongs to the one around it; a method stands by itself.
                    inside = _hash(ast.dump(child)) if later else body
                yield from walk(child, at, named, inside, reached, at_import=later)

    yield from walk(tree, (), "", whole, frozenset(), at_import=True)


def _head(statement: ast.stmt) -> frozenset[int]:
    """Lines of a statement without those of the statements in it."""
    inner = [part for name in ("body", "orelse", "finalbody", "handlers") for part in getattr(statement, name, [])]
    last = min((part.lineno - 1 for part in inner), default=statement.end_lineno or statement.lineno)
    return frozenset(range(statement.lineno, max(last, statement.lineno) + 1))


def _left_alone(parent: ast.AST, name: str, child: ast.AST) -> bool:
    if name in ("annotation", "returns", "decorator_list", "type_params", "bases", "keywords") and not isinstance(
        parent, ast.Call
    ):
        return True
    if isinstance(child, ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal):
        return True
    if isinstance(child, ast.Assign) and isinstance(child.targets[0], ast.Name):
        target = child.targets[0].id
        if target == "__all__" or (isinstance(parent, ast.Module) and isinstance(child.value, ast.Subscript)):
            return True
    if isinstance(child, ast.keyword) and child.arg == "strict":
        return True
    if isinstance(parent, ast.Raise) or (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
        return True
    return isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)


def _faults(node: ast.AST, parent: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.Compare):
        yield from _comparisons(node)
    elif isinstance(node, ast.BinOp | ast.AugAssign):
        other = _ARITHMETIC.get(type(node.op))
        if other is not None:
            yield "arithmetic", _with(node, op=other())
        if isinstance(node, ast.AugAssign):
            yield "removed statement", ast.Pass()
    elif isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.USub):
            yield "sign", copy.deepcopy(node.operand)
        elif isinstance(node.op, ast.Not | ast.Invert):
            yield "not", copy.deepcopy(node.operand)
    elif isinstance(node, ast.BoolOp):
        yield "and or", _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.Constant):
        yield from _constants(node)
    elif isinstance(node, ast.Slice):
        yield from _slices(node)
    elif isinstance(node, ast.IfExp):
        yield "not", _with(node, test=ast.UnaryOp(ast.Not(), copy.deepcopy(node.test)))
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, ast.stmt):
        yield from _statements(node, parent)


def _with(node: ast.AST, **changed: object) -> ast.AST:
    new = copy.deepcopy(node)
    for name, value in changed.items():
        setattr(new, name, value)
    return new


def _comparisons(node: ast.Compare) -> Iterator[tuple[str, ast.AST]]:
    for index, operator in enumerate(node.ops):
        for name, table in (("edge", _EDGE), ("other side", _OTHER_SIDE), ("opposite", _OPPOSITE)):
            other = table.get(type(operator))  # type: ignore[attr-defined]
            if other is not None:
                ops: list[ast.cmpop] = [*node.ops[:index], other(), *node.ops[index + 1 :]]
                yield name, _with(node, ops=ops)


def _constants(node: ast.Constant) -> Iterator[tuple[str, ast.AST]]:
    value = node.value
    if isinstance(value, bool):
        yield "boolean", ast.Constant(not value)
    elif isinstance(value, int):
        yield "constant", ast.Constant(value + 1)
        yield "constant", ast.Constant(value - 1)
    elif isinstance(value, float):
        if value == 0.0:
            yield "constant", ast.Constant(1.0)
        elif abs(value) < _TINY:
            yield "constant", ast.Constant(value * 1e6)
        else:
            yield "constant", ast.Constant(value * 2.0)
            yield "constant", ast.Constant(value * 0.5)


def _slices(node: ast.Slice) -> Iterator[tuple[str, ast.AST]]:
    for name in ("lower", "upper"):
        bound = getattr(node, name)
        if bound is None:
            continue
        yield "offset", _with(node, **{name: None})
        if not isinstance(bound, ast.Constant | ast.UnaryOp):  # a constant's neighbours are the constant's mutants
            later = ast.BinOp(copy.deepcopy(bound), ast.Add(), ast.Constant(1))
            yield "offset", _with(node, **{name: later})


def _calls(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    function = node.func
    name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    if name in _NAMES:
        other = _NAMES[name]
        renamed = ast.Name(other, ast.Load()) if isinstance(function, ast.Name) else _with(function, attr=other)
        yield "min max", _with(node, func=renamed)
    if name == "range" and node.args:
        index = 0 if len(node.args) == 1 else 1
        fewer = ast.BinOp(copy.deepcopy(node.args[index]), ast.Sub(), ast.Constant(1))
        yield "offset", _with(node, args=[*node.args[:index], fewer, *node.args[index + 1 :]])
    if isinstance(function, ast.Attribute) and function.attr == "clip" and len(node.args) == 3:
        yield "min max", copy.deepcopy(node.args[0])


def _statements(node: ast.stmt, parent: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.If | ast.While):
        if not isinstance(node.test, ast.Compare):  # of a comparison this is the other side
            yield "not", _with(node, test=ast.UnaryOp(ast.Not(), copy.deepcopy(node.test)))
    elif isinstance(node, ast.Return):
        value = node.value
        called = isinstance(value, ast.Call) and value.args and ast.unparse(value.func) not in _CONVERSIONS
        if called and not isinstance(value.args[0], ast.Starred | ast.GeneratorExp):
            yield "returned argument", ast.Return(copy.deepcopy(value.args[0]))
        if isinstance(parent, ast.If):
            yield "removed statement", ast.Pass()
    elif isinstance(node, ast.Raise | ast.Continue | ast.Break | ast.Expr):
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield)):
            yield "removed statement", ast.Pass()
    elif isinstance(node, ast.Assign) and not isinstance(node.targets[0], ast.Name | ast.Tuple):
        yield "removed statement", ast.Pass()
