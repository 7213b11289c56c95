"""The strategy's limits as the bounds and shared limits of a book, for both constructions.

And how what names share is shared out among what each wants by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from nn_assets.arrays import FloatArray, Symbol
from nn_assets.portfolio.constraints import Limits, exceeded
from nn_assets.portfolio.covariance import FactorCovariance
from nn_assets.portfolio.own_limits import BookFacts, shared_limits
from nn_assets.portfolio.programme import ChangeCost, Financing, Programme, Solution, solve
from nn_assets.settings import PortfolioSettings

WITHIN = "within every limit"

_NOTHING = 1e-7  # of capital: a size below it is none, where limits must be shared out


def risk_distance(
    atr: FloatArray,
    reference_price: FloatArray,
    held_quantity: FloatArray,
    stop_price: FloatArray,
    settings: PortfolioSettings,
) -> FloatArray:
    """Return the distance, fraction of price, that risk is measured by: NaN where neither part, or no price, is known.

    The larger of the distance to the resting stop of what is held and k_stop x ATR of what would be added bounds
    the whole.
    """
    side, price = np.sign(held_quantity), np.where(reference_price > 0.0, reference_price, np.nan)
    resting = side * (price - stop_price) / price
    resting = np.where((side != 0.0) & (resting > 0.0), resting, np.nan)
    return np.fmax(settings.stop_atr_multiple * atr / price, resting)


def name_cap(adv_usd: FloatArray, equity_usd: float, distance: FloatArray, settings: PortfolioSettings) -> FloatArray:
    """Return the largest size of each name by itself, fraction of capital, (symbols,): single name, ADV, risk.

    0 where a fact is missing, and without equity.
    """
    if equity_usd <= 0.0:
        return np.zeros(len(adv_usd))
    least = np.minimum.reduce(
        [
            np.full(len(adv_usd), settings.single_name_limit),
            settings.adv_limit_fraction * adv_usd / equity_usd,
            settings.risk_per_signal_fraction / distance,
        ]
    )
    return np.where(np.isfinite(least) & (least > 0.0), least, 0.0)


def book_limits(
    symbols: tuple[Symbol, ...],
    settings: PortfolioSettings,
    *,
    lower: FloatArray,
    upper: FloatArray,
    reach: FloatArray,
    distance: FloatArray,
    market_beta: FloatArray,
    equity_usd: float,
    groups: tuple[str, ...] | None = None,
    greeks: Mapping[str, FloatArray] | None = None,
) -> Limits:
    """Write the limits down: gross or capacity, risk, sectors, net, beta, Greeks, plug-ins', the names' own bounds.

    Parameters
    ----------
    lower, upper, reach : as in :class:`~nn_assets.portfolio.constraints.Limits`
    distance : ndarray, shape (symbols,)
        Of :func:`risk_distance`; NaN counts as 0.
    market_beta : ndarray, shape (symbols,)
        NaN: taken as 1.
    groups : tuple of str, length symbols, optional
        By behaviour: a limit for names without a sector.
    greeks : mapping of name to ndarray, shape (symbols,), optional
        Dollars of each Greek for a dollar of each name, finite; needed where the settings limit any.
    """
    distance, market_beta = (
        np.where(np.isfinite(values), values, missing) for values, missing in ((distance, 0.0), (market_beta, 1.0))
    )
    sizes, nets = shared_limits(BookFacts(symbols, distance, market_beta, equity_usd, groups, greeks), settings)
    return Limits(lower=lower, upper=upper, reach=reach, sizes=sizes, nets=nets)


def shared_out(wanted: FloatArray, most: FloatArray, start: FloatArray, limits: Limits) -> Solution:
    """Share the limits out among what the names want: the largest sum of |w| - w^2 / (2 most), |w| <= |wanted|.

    The first dollar in every name counts alike, and each further one less, down to nothing at ``most``: where one
    limit is in the way and counts names alike, each is left the same share of its ``most``, or what it wants where
    that is less. A name that wants less, the others as they are, never gets more: only its own part of the sum
    changes, and its slope falls. (One limit applied after another has that only by luck: less of one long leaves
    shorts more of the gross, and in a balanced book then the long as well.) And who wants no more than it got, gets
    it again.

    Parameters
    ----------
    wanted : ndarray, shape (symbols,)
        Signed, fraction of capital, finite.
    most : ndarray, shape (symbols,)
        Sizes, at least those wanted.
    start : ndarray, shape (symbols,)
        Weights before: what of them is out of reach takes its part of every shared limit first.
    limits : Limits
        The names' own bounds are not read: ``wanted`` keeps to them.

    Returns
    -------
    Solution
        What is wanted, to the bit, where that is within every limit. No weight is above the one wanted or on its
        other side.
    """
    whole = np.where(limits.reach > 0.0, wanted, start)
    own = replace(limits, lower=np.minimum(whole, 0.0), upper=np.maximum(whole, 0.0))
    if not exceeded(whole, own):
        return Solution(whole + 0.0, WITHIN, fallback=False, exceeded=())
    counts = np.abs(whole) > _NOTHING
    own = replace(own, lower=np.where(counts, own.lower, 0.0), upper=np.where(counts, own.upper, 0.0))
    nothing = np.zeros(len(wanted))
    size = np.where(counts, np.maximum(np.where(limits.reach > 0.0, most, 1.0), np.abs(whole)), 1.0)
    return solve(
        Programme(
            mean=np.sign(whole),
            covariance=FactorCovariance(np.zeros((len(wanted), 0)), 1.0 / size),
            start=start,
            limits=own,
            cost=ChangeCost(nothing, nothing, nothing),
            financing=Financing(nothing),
            kelly_fraction=1.0,
        )
    )
