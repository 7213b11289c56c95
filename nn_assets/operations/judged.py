"""What a check says of an asset, in plain values: whether its property holds, what was found, what a person can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_NOTHING_TO_COMPARE = "nothing to compare"


@dataclass(frozen=True)
class Judged:
    """What a check of an asset says.

    Parameters
    ----------
    name : str
    held : bool or None
        Whether its property holds; None where there was nothing to compare, which is no pass and no fault.
    found : str
    remedy : str
        What a person can do where the property does not hold.
    asset : str
        The asset's name without its strategy, where a step makes several.
    warns : bool
        A property that does not hold is a warning, and no error.
    figures : mapping
        What an operator is shown besides.
    """

    name: str
    held: bool | None
    found: str
    remedy: str = ""
    asset: str = ""
    warns: bool = False
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def description(self) -> str:
        """What was found; that there was nothing to compare comes first."""
        if self.held is not None or self.found.startswith(_NOTHING_TO_COMPARE):
            return self.found
        return f"{_NOTHING_TO_COMPARE}: {self.found}"
