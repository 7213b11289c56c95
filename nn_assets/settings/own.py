"""Settings that a member of a registry states itself, kept in a strategy as a mapping until the member is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nn_assets.errors import NnAssetsError, PluginError, SettingsError, did_you_mean
from nn_assets.plugins import place_of
from nn_assets.settings.section import Section
from nn_assets.settings.wording import expectation, shown

_Built = TypeVar("_Built")


@dataclass(frozen=True)
class WithSettings(Generic[_Built]):
    """A member of a registry, and the settings that it states.

    Parameters
    ----------
    build : callable
        From what its registry hands it to what is asked of the member; ``settings``' values come as a last argument.
    settings : type of Section, optional

    Raises
    ------
    PluginError
        The settings are no class of fields.
    """

    build: Callable[..., _Built]
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
        """What the version of what it builds covers."""
        return (self.build,) if self.settings is None else (self.build, self.settings)

    def filled(self, values: Mapping[str, Any], *, member: str, key: str) -> Callable[..., _Built]:
        """``build`` with what a strategy states as its last argument; arguments and errors of `section_of`."""
        own = section_of(self.settings, values, member=member, key=key)
        return self.build if own is None else lambda *arguments: self.build(*arguments, own)


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
    PluginError
        The model itself raises anything else.
    """
    if model is None and not values:
        return None
    fields, hints = () if model is None else tuple(model.model_fields), list[str]()
    try:
        if model is not None:
            return model.model_validate(values)
        wrong = ", ".join(values)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        wrong = "; ".join(f"{_named(problem)}: {expectation(problem, None)}" for problem in problems)
        hints = [
            did_you_mean(str(problem["loc"][0]), fields) for problem in problems if problem["type"] == "extra_forbidden"
        ]
    except NnAssetsError:
        raise
    except Exception as error:  # whatever a person's validator raises
        raise PluginError(
            expected=f"settings of {member} that accept or refuse what {key} says",
            found=f"{type(error).__name__}: {error}",
            remedy="let its validators raise ValueError where they refuse a value",
            **({} if model is None else place_of(model, error)),
            key="plugins",
        ) from error
    raise SettingsError(
        expected=f"{key} as {member} states its settings: {', '.join(fields) or 'it has none'}",
        found=wrong,
        remedy=f"{''.join(hints)}correct or delete the keys named",
        key=key,
    )


def _named(problem: ErrorDetails) -> str:
    """The key to blame, and its value where it has one."""
    name = ".".join(map(str, problem["loc"])) or "all of it"
    return name if problem["type"] == "missing" else f"{name} = {shown(name, problem['input'])}"
