"""A strategy file read into a Strategy, or refused with every offending key and its line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from yaml.constructor import ConstructorError

from nn_assets.errors import PluginError, SettingsError, did_you_mean
from nn_assets.settings.calendar_file import with_decision_bars, with_overrides
from nn_assets.settings.close_keys import KeyPath as _KeyPath
from nn_assets.settings.close_keys import chosen_kind, hint, key_path_of, without_consequences
from nn_assets.settings.plain_text import LONGEST, plain_text, refuse_too_long
from nn_assets.settings.sections import OUT_OF_ORDER
from nn_assets.settings.sources import PLUGINS, SOURCE_MODELS, SourceModels
from nn_assets.settings.strategy import CLOSES_NEED, Strategy
from nn_assets.settings.wording import expectation, shown

_NO_SUCH_KIND = "union_tag_invalid"

_DEEPEST = 16
_LARGEST = 2**63 - 1  # what a database and a random generator's seed can hold
_STRATEGY_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
_NAME_LINE = re.compile(
    rb"""^(?:\xef\xbb\xbf)?["']?name["']?[ \t]*:[ \t]*["']?([a-z][a-z0-9_]{0,47})["']?[ \t\r]*(?:[ \t]#.*)?$""",
    re.MULTILINE,
)
_DOTTED = re.compile(r"\b[a-z_]+(?:\.[a-z0-9_]+)+\b")
_NAME_THE_KEY: tuple[_KeyPath, ...] = ((), ("search",), ("walk_forward",))  # sections whose rules name what is to blame
_MEANT = re.compile(r"did you mean [^?]*\?")  # names what the file may lack, or has beside what is blamed


class _PlainLoader(yaml.SafeLoader):
    """Refuses what hides what a file really says: duplicate keys, anchors, aliases, merge keys and tags."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        hidden = {
            "anchors and aliases are": bool(getattr(event, "anchor", None)),
            f"the tag {getattr(event, 'tag', None)} is": bool(getattr(event, "tag", None)),
            f"more than {_DEEPEST} levels are": self._depth >= _DEEPEST,
        }
        for what, present in hidden.items():
            if present:
                raise ConstructorError(None, None, f"{what} not allowed", event.start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002  yaml's own signature
        try:
            value = super().construct_object(node, deep=deep)
        except (ValueError, OverflowError, TypeError) as error:
            day = node.tag == "tag:yaml.org,2002:timestamp"
            message = f"{node.value} is no day; year first, as in 2018-01-31" if day else str(error)
            raise ConstructorError(None, None, message, node.start_mark) from error
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise ConstructorError(None, None, f"a whole number beyond {_LARGEST}", node.start_mark)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002  yaml's own signature
        seen: dict[object, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                what = "a merge key" if isinstance(key_node, yaml.ScalarNode) else "a list or mapping as a key"
                raise ConstructorError(None, None, f"{what} is not allowed", key_node.start_mark)
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                lines = f"lines {seen[key]} and {key_node.start_mark.line + 1}"
                raise ConstructorError(None, None, f"{key} stands twice, {lines}", key_node.start_mark)
            seen[key] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep=deep)


@lru_cache(maxsize=32)
def _composed(text: str) -> tuple[yaml.Node | None, object]:
    """A text's nodes and values, read once in a process: every step of a run looks all strategies up anew."""
    loader = _PlainLoader(text)
    node = loader.get_single_node()
    return node, None if node is None else loader.construct_document(node)


def parse_strategy(text: str, *, file: str = "<text>", models: SourceModels | None = None) -> Strategy:
    """Read a strategy from YAML text.

    Parameters
    ----------
    file : str
        For errors; folders that the text names start from its folder.
    models : callable, optional
        Gives the settings model of a kind of source, which checks the source's own keys with all others. Without it
        a source is kept as it is stated, by name: see :class:`~nn_assets.settings.sources.UncheckedSource`.

    Raises
    ------
    SettingsError
        The text is no plain YAML mapping (duplicate keys, anchors, aliases, merge keys, tags, over
        16 levels or 256 KiB are refused), or a key is unknown, ill-typed or contradictory; every
        offending key is named with its line, its value and what was expected.
    """
    refuse_too_long(len(text), file)
    try:
        node, raw = _composed(text)
    except yaml.YAMLError as error:
        raise _unreadable(error, text, file) from error
    if node is None or not isinstance(raw, dict):
        raise SettingsError(
            expected="a YAML mapping of settings",
            found=f"{type(raw).__name__} {str(raw)[:60]!r}",
            remedy="start from a file in nn_assets/strategies",
            file=file,
            line=1,
        )
    try:
        whole = with_decision_bars(with_overrides(deepcopy(raw), Path(file).parent))
        placed = _located(whole, Path(file).parent)
        context = {SOURCE_MODELS: models, PLUGINS: _texts_of(placed.get(PLUGINS))}
        return Strategy.model_validate(placed, context=context)
    except ValidationError as error:
        raise _explained(error, node, file, models) from error
    except PluginError as fault:  # in the line that names its file, where it says no line of that
        named = {} if "file" in fault.where else {"file": file, "line": _lines(node).get(("plugins",))}
        where = {**named, **fault.where}
        raise PluginError(expected=fault.expected, found=fault.found, remedy=fault.remedy, **where) from fault


def _located(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A strategy's raw settings with the paths of its plug-ins, which start from a folder, in full."""
    named = raw.get(PLUGINS)
    if not isinstance(named, list):
        return raw
    return {**raw, PLUGINS: [_in_full(reference, folder) for reference in named]}


def _texts_of(named: Any) -> tuple[str, ...]:
    return tuple(reference for reference in named if isinstance(reference, str)) if isinstance(named, list) else ()


def _in_full(named: Any, folder: Path) -> Any:
    return str((folder / named).resolve()) if isinstance(named, str) and named.endswith(".py") else named


def _unreadable(error: yaml.YAMLError, text: str, file: str) -> SettingsError:
    """What is wrong with a text that is no plain YAML, in plain words for what people do most."""
    problem = getattr(error, "problem", None) or ""
    expected, found = "a readable YAML mapping", " ".join(str(error).split())
    remedy = "mend the file at the place named; `key: value` lines, two spaces a level"
    if isinstance(error, ConstructorError):  # of the loader above: in words already
        found = problem
    if "stands twice" in problem:
        remedy = "keep one"
    elif "is no day" in problem:
        key = _key_at(yaml.compose(text, Loader=yaml.SafeLoader), error)
        expected, remedy = f"a day in {key}" if key else "a day", "correct the date"
    elif "'\\t'" in problem:
        found, remedy = "a tab", "replace the tab by spaces"
    return SettingsError(expected=expected, found=found, remedy=remedy, file=file, line=_line_of(error, text))


def _key_at(node: yaml.Node | None, error: yaml.YAMLError, key_path: _KeyPath = ()) -> str:
    """The key whose value an error lies at; empty where it is none's."""
    mark = getattr(error, "problem_mark", None)
    if node is None or mark is None:
        return ""
    if isinstance(node, yaml.ScalarNode):
        at = node.start_mark
        return ".".join(key_path) if (at.line, at.column) == (mark.line, mark.column) else ""
    inner = ((key if isinstance(key, str) else str(key.value), value) for key, value in _inside(node))
    return next((name for key, value in inner if (name := _key_at(value, error, (*key_path, key)))), "")


def _line_of(error: yaml.YAMLError, text: str) -> int | None:
    if isinstance(error, yaml.reader.ReaderError):
        return text.count("\n", 0, error.position) + 1
    mark = getattr(error, "problem_mark", None)
    return None if mark is None else mark.line + 1


def _lines(node: yaml.Node, key_path: _KeyPath = ()) -> dict[_KeyPath, int]:
    """Line, from 1, of each key and of each item of a list."""
    lines = {key_path: node.start_mark.line + 1}
    for key, value in _inside(node):
        line_node = value if isinstance(key, str) else key
        inner = (*key_path, key if isinstance(key, str) else key.value)
        lines |= _lines(value, inner) | {inner: line_node.start_mark.line + 1}
    return lines


def _written(node: yaml.Node, key_path: _KeyPath) -> str | None:
    """A single value as written in the file; None where there is none."""
    if not key_path:
        return str(node.value) if isinstance(node, yaml.ScalarNode) else None
    inside = {key if isinstance(key, str) else key.value: value for key, value in _inside(node)}
    return _written(inside[key_path[0]], key_path[1:]) if key_path[0] in inside else None


def _inside(node: yaml.Node) -> list[tuple[str | yaml.Node, yaml.Node]]:
    """Keys of a mapping, or positions in a list, with their contents."""
    if isinstance(node, yaml.MappingNode):
        return list(node.value)
    return [(str(index), item) for index, item in enumerate(node.value)] if isinstance(node, yaml.SequenceNode) else []


def line_of_key(path: Path, key_path: _KeyPath) -> int | None:
    """Line, from 1, of a key of a strategy file that was read; that of its section where the key is not there."""
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    if node is None:
        return None
    lines = _lines(node)
    while key_path not in lines:
        key_path = key_path[:-1]
    return lines[key_path]


def _explained(error: ValidationError, node: yaml.Node, file: str, models: SourceModels | None) -> SettingsError:
    lines = _lines(node)
    problems = without_consequences(error.errors(include_url=False), lines, models)
    first = problems[0]
    return SettingsError(
        expected=_expected(problems, lines),
        found="; ".join(
            _missing(problem, lines, file)
            if problem["type"] == "missing"
            else _problem_text(problem, node, lines, models)
            for problem in problems
        ),
        remedy="; ".join(dict.fromkeys(_remedy(problem) for problem in problems)),
        file=file,
        line=_named(first, lines)[0][1] if _named(first, lines) else _line(first, lines),
        key=_key(first, lines) if first["loc"] or _named(first, lines) else None,
    )


def _expected(problems: Sequence[ErrorDetails], lines: dict[_KeyPath, int]) -> str:
    """What keys and values are to be; where each is, and only a rule between several is not kept, that they agree."""
    of_rules = all(problem["type"] == "value_error" and _named(problem, lines) for problem in problems)
    return "keys that agree with each other" if of_rules else "known keys with values of their type"


def _remedy(problem: ErrorDetails) -> str:
    if problem["type"] == "value_error" and CLOSES_NEED in problem["msg"]:
        return "state what it needs"
    if problem["type"] == "value_error" and OUT_OF_ORDER in problem["msg"]:
        return "correct these dates"
    if problem["type"] == "missing":
        return "add what is missing; README's section on data of your own states a whole file"
    return "correct or delete the keys named; nn_assets/settings, and of a source nn_assets/sources, list every key"


def _missing(problem: ErrorDetails, lines: dict[_KeyPath, int], file: str) -> str:
    """That a key is not there, and what to add; a strategy is called what its file is called."""
    key = _key(problem, lines)
    stem = Path(file).stem
    value = f" {stem}" if key == "name" and _STRATEGY_NAME.fullmatch(stem) else ""
    return f"{key} is missing: add `{key.rsplit('.', maxsplit=1)[-1]}:{value}` (line {_line(problem, lines)})"


def _problem_text(
    problem: ErrorDetails, node: yaml.Node, lines: dict[_KeyPath, int], models: SourceModels | None
) -> str:
    named = _named(problem, lines)
    expected = _expectation(problem, _written(node, key_path_of(problem)))
    if named:  # a rule between keys says itself which, and their values
        numbers = " and ".join(str(number) for _, number in named)
        return f"{expected} (line{'s' * (len(named) > 1)} {numbers})"
    kind = chosen_kind(problem) if problem["type"] == "extra_forbidden" else None
    if kind is not None and (*key_path_of(problem)[:-1], "kind") in lines:
        expected += f" of kind {kind!r}"  # one that was chosen, and not taken where none is stated
    message = f"{_key(problem, lines)} = {_value(problem)}: {expected} (line {_line(problem, lines)})"
    return message + hint(problem, lines, models)


def _named(problem: ErrorDetails, lines: dict[_KeyPath, int]) -> list[tuple[str, int]]:
    """Keys of the file that a rule between several names in its message, and their lines; none for other rules."""
    if problem["type"] != "value_error":
        return []
    keys = dict.fromkeys(_DOTTED.findall(_MEANT.sub("", problem["msg"])))
    by_name = {".".join(key_path): line for key_path, line in lines.items()}  # a key of search.space has dots itself
    key_lines = [(key, by_name[key]) for key in keys if key in by_name]
    # of the whole file each key named is news
    return key_lines if len(key_lines) > 1 or key_path_of(problem) in _NAME_THE_KEY else []


def _line(problem: ErrorDetails, lines: dict[_KeyPath, int]) -> int:
    key_path = key_path_of(problem)
    while key_path not in lines:  # a key that is not there has the line of its section
        key_path = key_path[:-1]
    return lines[key_path]


def _key(problem: ErrorDetails, lines: dict[_KeyPath, int]) -> str:
    named = _named(problem, lines)
    if named:
        return named[0][0]
    parts = key_path_of(problem)
    if problem["type"] == _NO_SUCH_KIND:
        parts = (*parts, "kind")
    return ".".join(parts) or "(whole file)"


def _value(problem: ErrorDetails) -> str:
    value = problem["input"]
    if problem["type"] == _NO_SUCH_KIND:
        return repr(value.get("kind"))
    return shown(".".join(key_path_of(problem)), value)


def _expectation(problem: ErrorDetails, written: str | None) -> str:
    if problem["type"] == _NO_SUCH_KIND:
        tags = problem["ctx"]["expected_tags"]
        near = did_you_mean(str(problem["ctx"]["tag"]), re.findall(r"'([^']*)'", tags))
        return f"{near}one of {tags} was expected"
    return expectation(problem, written)


def load_strategy(path: Path, models: SourceModels | None = None) -> Strategy:
    """Read a strategy file; its errors name the file. ``models`` as of :func:`parse_strategy`.

    Raises
    ------
    SettingsError
        No plain file, not UTF-8, or what ``parse_strategy`` refuses.
    """
    try:
        text = plain_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            expected="a readable UTF-8 YAML file",
            found=f"{type(error).__name__}: {error}",
            remedy="check the path and the file's encoding",
            file=str(path),
            line=error.object.count(b"\n", 0, error.start) + 1 if isinstance(error, UnicodeDecodeError) else None,
        ) from error
    return parse_strategy(text, file=str(path), models=models)


def declared_names(path: Path) -> list[str]:
    """Names that a strategy file seems to state, in lines ``name: ...`` of its own: also of one that cannot be read.

    Returns
    -------
    list of str
        Each once; empty where no such line can be read.
    """
    try:
        text = path.read_bytes() if path.is_file() and path.stat().st_size <= LONGEST else b""
    except OSError:
        return []
    return list(dict.fromkeys(name.decode() for name in _NAME_LINE.findall(text)))
