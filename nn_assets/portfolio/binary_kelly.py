"""The Kelly bet on binary contracts, exactly: each pays 1 dollar where it settles at 1, and nothing else.

"Yes" is bought at the ask. "No" is the same contract sold at the bid: it costs 1 - bid, and pays 1 where the contract
settles at 0. Outcomes of one event exclude each other: at most one settles at 1. What a sale brings is not spent again:
each contract is paid for by itself, as a venue asks for it, out of the capital.
"""

from __future__ import annotations

import numpy as np

from nn_assets.arrays import FloatArray, IntArray

_HALVINGS = 100
_ROUNDED_OFF = 1e-12  # of capital: a stake below it is none
_LEAST_WEALTH = 1e-12  # of capital: below it all is staked, since some outcome is sure to be paid


def kelly_stakes(probability: FloatArray, ask: FloatArray, bid: FloatArray, event: IntArray) -> FloatArray:
    """Return the stakes that maximise the expected log of capital, event by event, each with the whole capital.

    For outcomes that exclude each other, bought alone, these are the stakes of Smoczynski and Tomkins (2010), "An
    explicit solution to the problem of optimizing the allocations of a bettor's wealth when wagering on horse races";
    with sales at the bid beside them the argument is the same. Let W be what capital becomes where no outcome of the
    event is paid, and W_j where j is. With the budget's multiplier, which is 1, the optimum has W_j = p_j / ask_j where
    that is above W (bought), W_j = p_j / bid_j where that is below W (sold), and W_j = W else, so that W is the one
    root of

        p_0 / W + sum_j clip(p_j / W, bid_j, ask_j) = 1,    p_0 = 1 - sum_j p_j,

    whose left side falls in W. Of an outcome alone: (p - ask) / (1 - ask) on yes, (bid - p) / bid on no (Kelly 1956).

    The stakes of an event come to all of the capital at most. Where those above would come to more, as several "no" of
    one event can, the budget gets a multiplier m of its own beside that of capital. Again both come to 1, so that the
    conditions of the optimum read as above with bid_j - m for bid_j and 1 - m for 1,

        p_0 / W + sum_j clip(p_j / W, bid_j - m, ask_j) = 1 - m,

    and the stakes come to all capital where the contracts sold come to W: that falls in m, and gives m.

    Parameters
    ----------
    probability : ndarray, shape (symbols,)
        That a contract settles at 1. Those of an event that come to more than 1 are scaled to 1.
    ask, bid : ndarray, shape (symbols,)
        Dollars per contract, costs in them, 0 <= bid <= ask; an ask of 1 or more is never paid, at a bid of 0 nothing
        is sold.
    event : ndarray of int, shape (symbols,)
        Contracts of one number exclude each other.

    Returns
    -------
    ndarray, shape (symbols,)
        Fraction of capital: positive on yes, negative on no. 0 where probability or price is NaN; NaN for all of an
        event whose bids come to 1 or more, where selling every outcome gains for sure: such prices are stale, or its
        outcomes do not exclude each other.
    """
    known = np.isfinite(probability) & np.isfinite(ask) & np.isfinite(bid)
    _, group = np.unique(event, return_inverse=True)
    count = int(group.max(initial=-1)) + 1

    def by_event(values: FloatArray) -> FloatArray:
        summed = np.bincount(group, weights=np.where(known, values, 0.0), minlength=count)
        return np.asarray(summed, dtype=np.float64)

    p = np.where(known, probability, 0.0)
    p = p / np.maximum(by_event(p), 1.0)[group]
    dear = np.where(known & (ask < 1.0), ask, np.inf)
    cheap = np.where(known, bid, 0.0)
    left = np.maximum(1.0 - by_event(p), 0.0)
    bids = by_event(cheap)
    sure = bids >= 1.0
    low = np.full(count, _LEAST_WEALTH)
    high = 1.0 / np.where(sure, 1.0, 1.0 - bids)  # there the left side is at most 1
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        above = left / middle + by_event(np.clip(p / middle[group], cheap, dear)) > 1.0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    wealth = (0.5 * (low + high))[group]
    bought = np.where(p / wealth > dear, p - wealth * dear, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        sold = np.where(p / wealth < cheap, (wealth - p / cheap) * (1.0 - cheap), 0.0)
    stakes = np.where(np.abs(bought - sold) > _ROUNDED_OFF, bought - sold, 0.0)
    for beyond in np.flatnonzero((by_event(np.abs(stakes)) > 1.0 + _ROUNDED_OFF) & ~sure):
        mine = (group == beyond) & known
        stakes[mine] = _within_capital(p[mine], dear[mine], cheap[mine])
    return np.where(known, np.where(sure[group], np.nan, stakes), 0.0) + 0.0


def _within_capital(p: FloatArray, ask: FloatArray, bid: FloatArray) -> FloatArray:
    """The stakes of one event whose budget binds, (outcomes,)."""
    low, high = 0.0, float(bid.max())
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if middle in (low, high):  # neighbours
            break
        exceeds = np.abs(_stakes_at(p, ask, bid, middle)).sum() > 1.0
        low, high = (middle, high) if exceeds else (low, middle)
    # An outcome that cannot be is sold at the one m and not at the other: every mixture of the two is an optimum.
    more, less = (_stakes_at(p, ask, bid, m) for m in (low, high))
    above, below = np.abs(more).sum() - 1.0, 1.0 - np.abs(less).sum()
    mixed = (below * more + above * less) / (above + below) if above + below > 0.0 else less
    return np.where(np.abs(mixed) > _ROUNDED_OFF, mixed, 0.0)


def _stakes_at(p: FloatArray, ask: FloatArray, bid: FloatArray, multiplier: float) -> FloatArray:
    """The stakes of one event at a multiplier of its budget; they come to all capital at the right one alone."""
    least, left = np.maximum(bid - multiplier, 0.0), max(1.0 - float(p.sum()), 0.0)
    # The equation's left side is a line between these values of 1 / W.
    possible = p > 0.0
    bends = np.concatenate([least[possible] / p[possible], ask[possible] / p[possible], [0.0, 1.0 / _LEAST_WEALTH]])
    bends = np.sort(np.minimum(bends, 1.0 / _LEAST_WEALTH))
    sides = left * bends + np.clip(p * bends[:, None], least, ask).sum(axis=1)
    wealth = 1.0 / float(np.interp(1.0 - multiplier, sides, bends))
    bought = np.maximum(p - wealth * ask, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        sold = np.where(wealth * least > p, (wealth - p / least) * (1.0 - bid), 0.0)
    return bought - sold
