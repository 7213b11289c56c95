"""Units and their conversions. The only home of 1e4; sessions a year are in market.calendar.sessions."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

_BPS_PER_UNIT = 1e4

Number = TypeVar("Number", float, npt.NDArray[np.float64])


def bps_to_fraction(bps: Number) -> Number:
    """Basis points to a fraction: 4.5 becomes 0.00045."""
    return bps / _BPS_PER_UNIT


def fraction_to_bps(fraction: Number) -> Number:
    """A fraction to basis points: 0.00045 becomes 4.5."""
    return fraction * _BPS_PER_UNIT
