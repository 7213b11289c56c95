"""What every section of a strategy has in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = ["Section", "kind_of"]


class Section(BaseModel):
    """Frozen; an unknown key, or a number that is none, is refused. Errors of pydantic show no values."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False, hide_input_in_errors=True)


def kind_of(default: str) -> Callable[[Any], str | None]:
    """Make a discriminator of sections by ``kind``; a mapping that states none is of the ``default`` kind."""

    def kind(told: Any) -> str | None:
        return str(told.get("kind", default)) if isinstance(told, Mapping) else getattr(told, "kind", None)

    return kind
