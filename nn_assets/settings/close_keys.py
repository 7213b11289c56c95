"""An unknown key that is nearly a known one: which was meant, and which other faults follow from it alone."""

from __future__ import annotations

from collections.abc import Container, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from nn_assets.settings.strategy import Strategy

__all__ = ["Place", "chosen_kind", "hint", "place_of", "without_consequences"]

Place = tuple[str, ...]
"""Keys from the top of the file to one of its values; items of a list by their number."""

_NEAR = 0.7  # of the letters are alike
_KIND_STANDS_AT = {"source": 1, "series": 2}  # in a problem's place: source.<kind>.key, series.<number>.<kind>.key
_TAKEN = {"source": "bundled", "series": "file"}  # where no kind is stated


def place_of(problem: ErrorDetails) -> Place:
    """Where a problem lies in the file: its keys, without the kind by which a section was chosen."""
    parts = [str(part) for part in problem["loc"]]
    if chosen_kind(problem) is not None:
        del parts[_KIND_STANDS_AT[parts[0]]]
    return tuple(parts)


def chosen_kind(problem: ErrorDetails) -> str | None:
    """The kind by which the section that a problem lies in was chosen; None where none was."""
    parts = problem["loc"]
    place = _KIND_STANDS_AT.get(str(parts[0])) if parts else None
    return None if place is None or len(parts) <= place else str(parts[place])


def without_consequences(problems: Sequence[ErrorDetails], given: Container[Place]) -> list[ErrorDetails]:
    """Leave out what is no fault of its own once a misspelt key is mended.

    That is the key that was meant, which is told to be missing, and, where a section's kind was meant,
    every other key of it: they were held against the kind taken where none is stated.
    """
    meant = {place_of(problem): place for problem in problems if (place := _meant(problem, given))}
    unkinded = {place[:-1] for place in meant.values() if place[-1] == "kind"}
    kept = []
    for problem in problems:
        place = place_of(problem)
        missing = problem["type"] == "missing" and place in meant.values()
        beside = place[:-1] in unkinded and meant.get(place, place)[-1] != "kind"
        if not missing and not beside:
            kept.append(problem)
    return kept


def hint(problem: ErrorDetails, given: Container[Place]) -> str:
    """What to add to the message of an unknown key; empty for any other problem."""
    if problem["type"] != "extra_forbidden":
        return ""
    meant = _meant(problem, given)
    if meant:
        return f", did you mean {meant[-1]}?"
    kind = (*place_of(problem)[:-1], "kind")
    if chosen_kind(problem) is not None and kind not in given:
        return f", {'.'.join(kind)} is not stated and {_TAKEN[kind[0]]} is taken"
    return ""


def _meant(problem: ErrorDetails, given: Container[Place]) -> Place | None:
    """The known key, not given beside it, that an unknown one is nearest to."""
    if problem["type"] != "extra_forbidden":
        return None
    *section, key = place_of(problem)
    free = [name for name in _keys(problem) if (*section, name) not in given]
    near = get_close_matches(key, free, n=1, cutoff=_NEAR)
    return (*section, near[0]) if near else None


def _keys(problem: ErrorDetails) -> list[str]:
    """Keys of the section that a problem's key stands in."""
    sections: list[type[BaseModel]] = [Strategy]
    for part in map(str, problem["loc"][:-1]):
        if part.isdigit():
            continue
        fields = [section.model_fields[part] for section in sections if part in section.model_fields]
        if fields:
            sections = [model for field in fields for model in _models(field.annotation)]
        else:  # the kind by which one of several sections was chosen
            sections = [each for each in sections if part in _kinds(each)]
    return sorted({name for section in sections for name in section.model_fields})


def _kinds(section: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(section.model_fields["kind"].annotation) if "kind" in section.model_fields else ()


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]
