"""What every section of a strategy has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Section"]


class Section(BaseModel):
    """Frozen; an unknown key, or a number that is none, is refused. Errors of pydantic show no values."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False, hide_input_in_errors=True)
