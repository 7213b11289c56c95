"""Settings that a member of a registry states itself, kept in a strategy as a mapping until the member is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from nn_assets.errors import PluginError, SettingsError
from nn_assets.settings.section import Section

__all__ = ["WithSettings", "section_of"]

_Made = TypeVar("_Made")


@dataclass(frozen=True)
class WithSettings(Generic[_Made]):
    """A member of a registry, and the settings that it states.

    Parameters
    ----------
    make : callable
        From one argument to what is asked of the member; with ``settings``, their values come as a second one.
    settings : type of Section, optional

    Raises
    ------
    PluginError
        The settings are no class of fields.
    """

    make: Callable[..., _Made]
    settings: type[Section] | None = None

    def __post_init__(self) -> None:
        if self.settings is not None and not (isinstance(self.settings, type) and issubclass(self.settings, Section)):
            raise PluginError(
                expected="settings as a class that extends nn_assets.settings.section.Section",
                found=repr(self.settings),
                remedy="derive the class from it: frozen, and unknown keys refused",
                key="plugins",
            )

    @property
    def roots(self) -> tuple[Callable[..., Any], ...]:
        """What the version of something made with it covers."""
        return (self.make,) if self.settings is None else (self.make, self.settings)

    def maker(self, values: Mapping[str, Any], *, member: str, key: str) -> Callable[[Any], _Made]:
        """The function that makes it by one argument, with the settings a strategy has for it; see `section_of`."""
        own = section_of(self.settings, values, member=member, key=key)
        return self.make if own is None else lambda argument: self.make(argument, own)


def section_of(model: type[Section] | None, values: Mapping[str, Any], *, member: str, key: str) -> Section | None:
    """What a strategy states of a member, as the member's own settings; None for one that has none.

    Parameters
    ----------
    model : type of Section, optional
        The settings that the member has.
    member, key : str
        What it is called, and the key of the strategy that holds its settings.

    Raises
    ------
    SettingsError
        A key or value is not as the model says, or there is no model and something is stated.
    """
    if model is None and not values:
        return None
    try:
        if model is not None:
            return model.model_validate(values)
        wrong = ", ".join(values)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'all of it'} = {problem['input']!r}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        )
    raise SettingsError(
        expected=f"{key} as {member} states its settings: {', '.join(model.model_fields) if model else 'it has none'}",
        found=wrong,
        remedy="correct or delete the keys named",
        key=key,
    )
