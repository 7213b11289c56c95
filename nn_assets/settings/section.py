"""What every section of a strategy has in common, and how a field says whether it counts in a strategy's hash."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, NoReturn, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

_Type = TypeVar("_Type")
_Section = TypeVar("_Section", bound="Section")
_DEFAULT = object()


@dataclass(frozen=True)
class CountsUnless:
    """Mark of a field that changes no result at one value, nor then the hash: at its default, where none is named.

    For fields that came later than strategies that are on record: at that value they behave as before it.
    """

    value: Any = _DEFAULT


@dataclass(frozen=True)
class _Never:
    """Mark of a field that changes no result."""


WhenSet = Annotated[_Type, CountsUnless()]
"""Type of a field that counts when it is not at its default."""

NeverCounts = Annotated[_Type, _Never()]
"""Type of a field that never counts."""

LagMinutes = Annotated[int, Field(ge=0, le=5_270_400)]
"""Minutes until a datum counts as known, ten years at most: moments reckoned with more of them may be none."""

LagSeconds = Annotated[int, Field(ge=0, le=31_622_400)]
"""Seconds likewise, of what comes within the session: a year at most."""


def _refuse(*_: object, **__: object) -> NoReturn:
    raise TypeError("settings are frozen: read the strategy again with the other value in it")


class _FrozenDict(dict[Any, Any]):
    """A mapping that compares, prints and is stored as any other, and takes no value."""

    __init__ = __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __new__(cls, values: Mapping[Any, Any]) -> Self:
        made = super().__new__(cls)
        dict.update(made, values)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return copyreg.__newobj__, (type(self), dict(self))  # type: ignore[attr-defined]


class _FrozenList(list[Any]):
    """A list, likewise."""

    __init__ = __setitem__ = __delitem__ = __iadd__ = __imul__ = append = clear = extend = insert = _refuse
    pop = remove = reverse = sort = _refuse

    def __new__(cls, values: Iterable[Any]) -> Self:
        made = super().__new__(cls)
        list.extend(made, values)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return copyreg.__newobj__, (type(self), list(self))  # type: ignore[attr-defined]


class _FrozenSet(set[Any]):
    """A set, likewise."""

    __init__ = __iand__ = __ior__ = __isub__ = __ixor__ = add = clear = discard = pop = remove = update = _refuse
    difference_update = intersection_update = symmetric_difference_update = _refuse

    def __new__(cls, values: Iterable[Any]) -> Self:
        made = super().__new__(cls)
        set.update(made, values)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return copyreg.__newobj__, (type(self), set(self))  # type: ignore[attr-defined]


def _frozen(value: Any) -> Any:
    """The same value, its mappings, lists and sets frozen to any depth; any other that can be written to is refused."""
    if isinstance(value, Mapping):
        return _FrozenDict.__new__(_FrozenDict, {key: _frozen(item) for key, item in value.items()})
    if isinstance(value, list):
        return _FrozenList.__new__(_FrozenList, map(_frozen, value))
    if isinstance(value, set):
        return _FrozenSet.__new__(_FrozenSet, value)
    if not isinstance(value, Hashable):
        raise ValueError(f"a {type(value).__name__} can be written to: state it as a tuple, a mapping or text")  # noqa: TRY004  pydantic lets a TypeError through
    return tuple(map(_frozen, value)) if type(value) is tuple else value


class Section(BaseModel):
    """Frozen to any depth; an unknown key, NaN or an infinity is refused. Errors of pydantic show no values."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False, hide_input_in_errors=True)

    retired: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Settings of version 0.1 that nothing reads any more, at their defaults: they stay in the hash."""

    @model_validator(mode="after")
    def _is_frozen_to_any_depth(self) -> Self:
        return _freeze(self)

    def model_post_init(self, _context: Any, /) -> None:
        """Freeze what was constructed without validation too."""
        _freeze(self)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As of pydantic, frozen too."""
        return _freeze(super().model_copy(update=update, deep=deep))

    def counted(self, *, within: bool = False) -> dict[str, Any]:
        """What of the section can change a result, as plain JSON values.

        Parameters
        ----------
        within : bool
            Whether it is a section within a section: all of it is new where it is stated, so that a field counts at
            its default too.
        """
        values = {**self.model_dump(mode="json"), **self.retired}
        for name, field in type(self).model_fields.items():
            if name not in values:  # left out of every record where it is empty
                continue
            marks = field.metadata
            unless = [mark.value for mark in marks if isinstance(mark, CountsUnless) and not within]
            unset = [field.get_default(call_default_factory=True) if item is _DEFAULT else item for item in unless]
            if values[name] in unset or any(isinstance(mark, _Never) for mark in marks):
                del values[name]
            elif isinstance(value := getattr(self, name), Section):
                values[name] = value.counted(within=True)
        return values

    def completed(self, counted: Mapping[str, Any]) -> dict[str, Any]:
        """What :meth:`counted` once gave, as it can be read again: what never counts is as this section has it.

        Parameters
        ----------
        counted : mapping
            Of a section of the same kind; settings that are retired since are left out.
        """
        values = {name: value for name, value in counted.items() if name not in self.retired}
        dumped = self.model_dump(mode="json")
        for name, field in type(self).model_fields.items():
            own, value = getattr(self, name), values.get(name)
            if name not in values and name in dumped and any(isinstance(mark, _Never) for mark in field.metadata):
                values[name] = dumped[name]
            elif name not in values and (unless := [m.value for m in field.metadata if isinstance(m, CountsUnless)]):
                if unless[0] is not _DEFAULT:  # what it did not count at, which may be another default since
                    values[name] = unless[0]
            elif isinstance(own, Section) and isinstance(value, Mapping):
                values[name] = own.completed(value)
            elif isinstance(own, tuple) and isinstance(value, list):
                by_name = {getattr(one, "name", None): one for one in own if isinstance(one, Section)}
                values[name] = [
                    by_name[item["name"]].completed(item)
                    if isinstance(item, Mapping) and item.get("name") in by_name
                    else item
                    for item in value
                ]
        return values


def _freeze(section: _Section) -> _Section:
    for values in (section.__dict__, section.__pydantic_extra__ or {}):
        values.update({name: _frozen(value) for name, value in values.items()})
    return section


def kind_of(default: str) -> Callable[[Any], str | None]:
    """Make a discriminator of sections by ``kind``; a mapping that states none is of the ``default`` kind."""

    def kind(value: Any) -> str | None:
        return str(value.get("kind", default)) if isinstance(value, Mapping) else getattr(value, "kind", None)

    return kind
