"""Units and their conversions. The only home of 1e4; annualisation comes from market.sessions."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["bps_to_fraction"]

_BPS_PER_UNIT = 1e4

Number = TypeVar("Number", float, npt.NDArray[np.float64])


def bps_to_fraction(bps: Number) -> Number:
    """Basis points to a fraction: 4.5 becomes 0.00045."""
    return bps / _BPS_PER_UNIT
