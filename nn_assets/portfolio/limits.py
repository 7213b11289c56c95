"""The strategy's limits as the bounds and shared limits of a book, for both constructions.

And the book that is nearest to what each name asks for by itself, within all of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nn_assets.portfolio.constraints import Limits, SharedLimit, exceeded
from nn_assets.portfolio.covariance import FactorCovariance
from nn_assets.portfolio.exposure import net_allowance
from nn_assets.portfolio.programme import ChangeCost, Financing, Programme, Solution, solve
from nn_assets.settings import PortfolioSettings

__all__ = ["book_limits", "name_cap", "nearest", "risk_distance"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

WITHIN = "within every limit"

_NOTHING = 1e-7  # of capital: a size below it is none, where limits must be shared out


def risk_distance(
    atr: FloatArray,
    reference_price: FloatArray,
    held_quantity: FloatArray,
    stop_price: FloatArray,
    settings: PortfolioSettings,
) -> FloatArray:
    """Return the distance, fraction of price, that risk is measured by: NaN where neither part is known.

    The larger of the distance to the resting stop of what is held and k_stop x ATR of what would be added bounds
    the whole.
    """
    side = np.sign(held_quantity)
    resting = side * (reference_price - stop_price) / reference_price
    resting = np.where((side != 0.0) & (resting > 0.0), resting, np.nan)
    return np.fmax(settings.stop_atr_multiple * atr / reference_price, resting)


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
    symbols: tuple[str, ...],
    settings: PortfolioSettings,
    *,
    lower: FloatArray,
    upper: FloatArray,
    reach: FloatArray,
    distance: FloatArray,
    market_beta: FloatArray,
    equity_usd: float,
) -> Limits:
    """Write the limits down: gross or capacity, risk in total, sectors, net, beta, and the names' own bounds.

    Parameters
    ----------
    lower, upper, reach : as in :class:`~nn_assets.portfolio.constraints.Limits`
    distance : ndarray, shape (symbols,)
        Of :func:`risk_distance`; NaN counts as 0.
    market_beta : ndarray, shape (symbols,)
        NaN: taken as 1.
    """
    count, gross, named = len(symbols), settings.gross_limit, "gross"
    if settings.capacity_usd is not None and settings.capacity_usd < gross * equity_usd:
        named, gross = "capacity", settings.capacity_usd / equity_usd
    sectors = [settings.sectors.get(symbol, "") for symbol in symbols]
    return Limits(
        lower=lower,
        upper=upper,
        reach=reach,
        sizes=(
            SharedLimit(named, np.ones(count), gross),
            SharedLimit("risk", np.where(np.isfinite(distance), distance, 0.0), settings.risk_total_fraction),
            *(
                SharedLimit(
                    f"sector {sector}",
                    np.array([name == sector for name in sectors], dtype=np.float64),
                    settings.sector_limit,
                )
                for sector in sorted(set(sectors) - {""})
            ),
        ),
        nets=(
            SharedLimit("net", np.ones(count), net_allowance(settings.net_limit)),
            SharedLimit("beta", np.where(np.isfinite(market_beta), market_beta, 1.0), settings.beta_limit),
        ),
    )


def nearest(wanted: FloatArray, start: FloatArray, limits: Limits) -> Solution:
    """Find the book that is nearest to what the names want, within every limit: the least sum of (w - z)^2 / |z|.

    Where one limit alone is in the way and counts its names alike, they are scaled by one factor. No weight is
    above the one wanted or on its other side. A name that wants less, all others wanting the same, never gets more:
    only its own part of the sum changes, and it falls. (One limit after another has that only by luck: less of one
    long leaves shorts more of the gross, and the balanced book then the long as well.)

    Parameters
    ----------
    wanted : ndarray, shape (symbols,)
        z, signed, fraction of capital, finite.
    start : ndarray, shape (symbols,)
        Weights before: what of them is out of reach takes its part of every shared limit first.
    limits : Limits
        The names' own bounds are not read: ``wanted`` keeps to them.
    """
    whole = np.where(limits.reach > 0.0, wanted, start)
    own = Limits(np.minimum(whole, 0.0), np.maximum(whole, 0.0), limits.reach, limits.sizes, limits.nets)
    if not exceeded(whole, own):
        return Solution(whole + 0.0, WITHIN, fallback=False, exceeded=())
    worth = np.abs(whole) > _NOTHING
    own = replace(own, lower=np.where(worth, own.lower, 0.0), upper=np.where(worth, own.upper, 0.0))
    nothing = np.zeros(len(wanted))
    return solve(
        Programme(
            mean=np.sign(whole),
            covariance=FactorCovariance(np.zeros((len(wanted), 0)), 1.0 / np.where(worth, np.abs(whole), 1.0)),
            start=start,
            limits=own,
            cost=ChangeCost(nothing, nothing, nothing),
            financing=Financing(nothing),
            kelly_fraction=1.0,
        )
    )
