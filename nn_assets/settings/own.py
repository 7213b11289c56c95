"""Settings that a member of a registry states itself, kept in a strategy as a mapping until the member is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nn_assets.errors import SettingsError, did_you_mean
from nn_assets.settings.section import Section
from nn_assets.settings.wording import expectation

__all__ = ["section_of"]


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
    raise SettingsError(
        expected=f"{key} as {member} states its settings: {', '.join(fields) or 'it has none'}",
        found=wrong,
        remedy=f"{''.join(hints)}correct or delete the keys named",
        key=key,
    )


def _named(problem: ErrorDetails) -> str:
    """The key to blame, and its value where it has one."""
    name = ".".join(map(str, problem["loc"])) or "all of it"
    return name if problem["type"] == "missing" else f"{name} = {problem['input']!r}"
