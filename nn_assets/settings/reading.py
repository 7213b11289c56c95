"""A strategy file read into a Strategy, or refused with every offending key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nn_assets.errors import SettingsError
from nn_assets.settings.calendar_file import with_overrides
from nn_assets.settings.sections import Strategy

__all__ = ["load_strategy", "parse_strategy"]

_NO_SUCH_KIND = "union_tag_invalid"
_SECRET = re.compile(r"key|secret|password|token|url|_env$", re.IGNORECASE)


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses duplicate keys and aliases, both of which hide what a file really says."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(None, None, "aliases are not allowed", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002  yaml's own signature
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def parse_strategy(text: str, *, file: str = "<text>") -> Strategy:
    """Read a strategy from YAML text.

    Raises
    ------
    SettingsError
        The text is no YAML mapping, or a key is unknown, ill-typed or contradictory; every
        offending key is named with its value and what was expected.
    """
    try:
        raw = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506  a SafeLoader, made stricter
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(
            expected="a readable YAML mapping",
            found=" ".join(str(error).split()),
            remedy="mend the file at the place named; `key: value` lines, two spaces a level",
            file=file,
        ) from error
    if not isinstance(raw, dict):
        raise SettingsError(
            expected="a YAML mapping of settings",
            found=f"{type(raw).__name__} {str(raw)[:60]!r}",
            remedy="start from a file in nn_assets/strategies",
            file=file,
        )
    try:
        return Strategy.model_validate(with_overrides(raw, Path(file).parent))
    except ValidationError as error:
        raise _explained(error, file) from error


def _explained(error: ValidationError, file: str) -> SettingsError:
    problems = error.errors(include_url=False)
    listed = [f"{_key(problem)} = {_value(problem)}: {_expectation(problem)}" for problem in problems]
    first = problems[0]
    return SettingsError(
        expected="known keys with values of their type",
        found="; ".join(listed),
        remedy="correct or delete the keys named; nn_assets/settings/sections.py lists every key",
        file=file,
        key=_key(first) if first["loc"] else None,
    )


def _key(problem: ErrorDetails) -> str:
    parts = [str(part) for part in problem["loc"]]
    if len(parts) > 1 and parts[0] == "source":
        del parts[1]  # the kind, by which the key's section was chosen
    elif problem["type"] == _NO_SUCH_KIND:
        parts.append("kind")
    return ".".join(parts) or "(whole file)"


def _value(problem: ErrorDetails) -> str:
    given = problem["input"]
    if problem["type"] == _NO_SUCH_KIND:
        return repr(given.get("kind"))
    if isinstance(given, dict):
        return "a mapping"
    # A key or an address put where the name of its variable belongs must not reach a log.
    return "(not shown)" if _SECRET.search(_key(problem)) else repr(given)


def _expectation(problem: ErrorDetails) -> str:
    if problem["type"] == "extra_forbidden":
        return "no such key"
    if problem["type"] == _NO_SUCH_KIND:
        return f"one of {problem['ctx']['expected_tags']} was expected"
    return problem["msg"]


def load_strategy(path: Path) -> Strategy:
    """Read a strategy file; its errors name the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            expected="a readable UTF-8 YAML file",
            found=f"{type(error).__name__}: {error}",
            remedy="check the path and the file's encoding",
            file=str(path),
        ) from error
    return parse_strategy(text, file=str(path))
