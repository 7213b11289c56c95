"""Where the stop of a position rests."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray


def own_stop(side: npt.ArrayLike, price: npt.ArrayLike, distance: npt.ArrayLike) -> FloatArray:
    """Return the stop of what is filled at a price, its distance away on the losing side; NaN where none can rest."""
    stop = np.asarray(price, dtype=np.float64) - np.sign(side) * np.asarray(distance, dtype=np.float64)
    return np.where(stop > 0.0, stop, np.nan)


def stop_after_addition(
    held: npt.ArrayLike, resting: npt.ArrayLike, added: npt.ArrayLike, own: npt.ArrayLike
) -> FloatArray:
    """Return where the stop of a position rests after an addition on its side.

    (held x resting + added x own) / (held + added), and never further from the price than it rested; where one of
    the two levels is unknown the other holds.

    Parameters
    ----------
    held, added : array_like
        Quantities, of one sign and not 0.
    resting, own : array_like
        The level before, and that of the addition by itself; price, NaN where unknown.
    """
    held, added = np.asarray(held, dtype=np.float64), np.asarray(added, dtype=np.float64)
    resting, own = np.asarray(resting, dtype=np.float64), np.asarray(own, dtype=np.float64)
    level = (held * resting + added * own) / (held + added)
    nearer = np.where(held > 0.0, np.fmax(resting, level), np.fmin(resting, level))
    return np.where(np.isnan(resting), own, nearer)
