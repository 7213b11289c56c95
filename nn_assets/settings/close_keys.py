"""An unknown key that is nearly a known one: which was meant, and which other faults follow from it alone."""

from __future__ import annotations

from collections.abc import Container, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from nn_assets.settings.sources import TAKEN_SOURCE, SourceModels, SourceSection, UncheckedSource
from nn_assets.settings.strategy import Strategy

KeyPath = tuple[str, ...]
"""Keys from the top of the file to one of its values; items of a list by their number."""

_NEAR = 0.7  # of the letters are alike
# In a problem's place: source.<kind>.key, market.compare_with.<kind>.key, series.<number>.<kind>.key.
_KIND_STANDS_AT: dict[KeyPath, int] = {("source",): 1, ("market", "compare_with"): 2, ("series",): 2}
_TAKEN = {"series": "file"}  # where no kind is stated; of a source the bundled one


def key_path_of(problem: ErrorDetails) -> KeyPath:
    """Where a problem lies in the file: its keys, without the kind by which a section was chosen."""
    parts = [str(part) for part in problem["loc"]]
    kind_at = _kind_at(problem)
    if kind_at is not None:
        del parts[kind_at]
    return tuple(parts)


def chosen_kind(problem: ErrorDetails) -> str | None:
    """The kind by which the section that a problem lies in was chosen; None where none was."""
    kind_at = _kind_at(problem)
    return None if kind_at is None else str(problem["loc"][kind_at])


def _kind_at(problem: ErrorDetails) -> int | None:
    parts = tuple(map(str, problem["loc"]))
    index = next((at for section, at in _KIND_STANDS_AT.items() if parts[: len(section)] == section), None)
    return None if index is None or len(parts) <= index else index


def without_consequences(
    problems: Sequence[ErrorDetails], present: Container[KeyPath], models: SourceModels | None = None
) -> list[ErrorDetails]:
    """Leave out what is no fault of its own once a misspelt key is mended.

    That is the key that was meant, which is told to be missing, and, where a section's kind was meant,
    every other key of it: they were held against the kind taken where none is stated. ``models`` are those of sources.
    """
    meant = {key_path_of(problem): key_path for problem in problems if (key_path := _meant(problem, present, models))}
    unkinded = {target[:-1] for target in meant.values() if target[-1] == "kind"}
    kept = []
    for problem in problems:
        key_path = key_path_of(problem)
        missing = problem["type"] == "missing" and key_path in meant.values()
        beside = key_path[:-1] in unkinded and meant.get(key_path, key_path)[-1] != "kind"
        if not missing and not beside:
            kept.append(problem)
    return kept


def hint(problem: ErrorDetails, present: Container[KeyPath], models: SourceModels | None = None) -> str:
    """What to add to the message of an unknown key; empty for any other problem."""
    if problem["type"] != "extra_forbidden":
        return ""
    meant = _meant(problem, present, models)
    if meant:
        return f", did you mean {meant[-1]}?"
    kind = (*key_path_of(problem)[:-1], "kind")
    if chosen_kind(problem) is not None and kind not in present:
        return f", {'.'.join(kind)} is not stated and {_TAKEN.get(kind[0], TAKEN_SOURCE)} is taken"
    return ""


def _meant(problem: ErrorDetails, present: Container[KeyPath], models: SourceModels | None) -> KeyPath | None:
    """The known key, not given beside it, that an unknown one is nearest to."""
    if problem["type"] != "extra_forbidden":
        return None
    *section, key = key_path_of(problem)
    free = [name for name in _keys(problem, models) if (*section, name) not in present]
    near = get_close_matches(key, free, n=1, cutoff=_NEAR)
    return (*section, near[0]) if near else None


def _keys(problem: ErrorDetails, models: SourceModels | None) -> list[str]:
    """Keys of the section that a problem's key stands in."""
    sections: list[type[BaseModel]] = [Strategy]
    for part in map(str, problem["loc"][:-1]):
        if part.isdigit():
            continue
        fields = [section.model_fields[part] for section in sections if part in section.model_fields]
        if fields:
            sections = [model for field in fields for model in _models(field.annotation)]
        elif sections == [SourceSection]:  # the kind of a source
            sections = [UncheckedSource if models is None else models(part)]
        else:  # the kind by which one of several sections was chosen
            sections = [section for section in sections if part in _kinds(section)]
    return sorted({name for section in sections for name in section.model_fields})


def _kinds(section: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(section.model_fields["kind"].annotation) if "kind" in section.model_fields else ()


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]
