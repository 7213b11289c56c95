"""Fees of event venues: so much a contract, the most where the outcome is most open."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray


def contract_fee_usd(price: npt.ArrayLike, fee_fraction: float) -> FloatArray:
    """Return the fee of a contract bought or sold at a price: fraction x price x (1 - price), dollars.

    Kalshi's schedule of fees has that shape, with 0.07, per order and rounded up to a cent there; a settlement is free.
    NaN stays NaN, and beyond 0 and 1 there is none.
    """
    at = np.asarray(price, dtype=np.float64)
    return np.asarray(fee_fraction * np.maximum(at * (1.0 - at), 0.0))
