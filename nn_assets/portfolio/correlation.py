"""How a name moves with the rest of the book."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray

_FLAT = 1e-13  # a spread this far below the returns' own size is rounding of a constant series, not variance


def equal_risk(trailing_returns: FloatArray, held: npt.NDArray[np.bool_]) -> FloatArray:
    """Return sizes, (symbols,), by which each name that is ``held`` has the same standard deviation; 0 for others.

    Parameters
    ----------
    trailing_returns : ndarray, shape (sessions, symbols)
        Session returns, fraction. NaN is left out; a name whose returns never change, or has none, has no size.
    """
    present = np.isfinite(trailing_returns)
    count = np.maximum(present.sum(axis=0), 1)
    own = np.where(present, trailing_returns, 0.0)
    variance = (np.where(present, own - own.sum(axis=0) / count, 0.0) ** 2).sum(axis=0) / count
    risky = held & (variance > _FLAT**2 * (own**2).sum(axis=0) / count)
    return np.where(risky, 1.0 / np.sqrt(np.where(risky, variance, 1.0)), 0.0)


def correlation_with_rest(trailing_returns: FloatArray, weights: FloatArray, minimum_share: float = 0.5) -> FloatArray:
    """Correlation of each instrument with the rest of the book, all instruments at once.

    Parameters
    ----------
    trailing_returns : ndarray, shape (sessions, symbols)
        Session returns, fraction. A missing return adds nothing to the rest, and its session is
        left out for its own instrument.
    weights : ndarray, shape (symbols,)
        The proposals of this same decision.

    Returns
    -------
    ndarray, shape (symbols,)
        0 where no other instrument has a weight. 1, the strictest value, where a variance is zero.
        NaN where fewer than ``minimum_share`` of an instrument's returns are there.
    """
    sessions, symbols = trailing_returns.shape
    present = np.isfinite(trailing_returns)
    own = np.where(present, trailing_returns, 0.0)
    others = np.broadcast_to(weights[:, None], (symbols, symbols)).copy()
    np.fill_diagonal(others, 0.0)
    rest = np.where(present, own @ others, 0.0)  # (sessions, symbols)
    count = present.sum(axis=0)
    pairs = np.maximum(count, 1)
    own_centred = np.where(present, own - own.sum(axis=0) / pairs, 0.0)
    rest_centred = np.where(present, rest - rest.sum(axis=0) / pairs, 0.0)
    product = (own_centred * rest_centred).sum(axis=0)
    spread = np.sqrt((own_centred**2).sum(axis=0) * (rest_centred**2).sum(axis=0))
    size = np.sqrt((own**2).sum(axis=0) * (rest**2).sum(axis=0))
    flat = spread <= _FLAT * size
    rho = np.where(flat, 1.0, product / np.where(flat, 1.0, spread))
    alone = ~np.any(others != 0.0, axis=0)
    rho = np.where(alone, 0.0, np.clip(rho, -1.0, 1.0))
    return np.where(count < minimum_share * sessions, np.nan, rho)
