"""Settings that a member of a registry states itself, kept in a strategy as a mapping until the member is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from nn_assets.errors import SettingsError
from nn_assets.settings.section import Section

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
