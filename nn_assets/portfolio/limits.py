"""Limits on weights. Each is pure over (symbols,), never enlarges a weight, and knows no symbol order.

Sums run through ``math.fsum``, which is exact: the same weights give the same bits in any order.
Budgets that several instruments share are kept by scaling the weights that use them, so that a
smaller position of an instrument never follows from a smaller proposal of it alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nn_assets.portfolio.exposure import net_allowance
from nn_assets.settings import PortfolioSettings

__all__ = [
    "LimitContext",
    "apply_limits",
    "cap",
    "correlation_with_rest",
    "limit_gross",
    "limit_risk",
    "limit_sectors",
    "limit_signed",
    "per_name_cap",
]

FloatArray = npt.NDArray[np.float64]

_ROUNDING = 1e-12
"""Relative excess that is rounding and not a breach: a limit just applied is not applied again."""


@dataclass(frozen=True)
class LimitContext:
    """What the limits are measured with, over (symbols,). ``sectors`` holds '' where none is given."""

    adv_usd: FloatArray
    beta: FloatArray  # NaN: taken as 1, the market's own
    sectors: Sequence[str]
    equity_usd: float
    settings: PortfolioSettings
    stuck: FloatArray | None = None  # weights held that cannot be traded today, beside those to be limited


def cap(weights: FloatArray, ceiling: npt.ArrayLike) -> FloatArray:
    """Weights cut to ``ceiling`` in size, sign kept; a NaN ceiling cuts to zero."""
    highest = np.nan_to_num(np.asarray(ceiling, dtype=np.float64), nan=0.0, posinf=np.inf, neginf=0.0)
    return np.sign(weights) * np.minimum(np.abs(weights), np.maximum(highest, 0.0))


def _scale_to(used: float, limit: float) -> float:
    return limit / used if used > limit * (1.0 + _ROUNDING) else 1.0


def limit_risk(weights: FloatArray, stop_distance: FloatArray, limit: float) -> FloatArray:
    """Scale all weights so that the sum of |weight| x stop distance keeps to ``limit``.

    Parameters
    ----------
    weights : ndarray, shape (symbols,)
        Fractions of capital.
    stop_distance : ndarray, shape (symbols,)
        Fraction of price; NaN only where the weight is zero.
    """
    at_risk = np.where(weights == 0.0, 0.0, np.abs(weights) * stop_distance)
    return weights * _scale_to(math.fsum(at_risk.tolist()), limit)


def limit_gross(weights: FloatArray, limit: float) -> FloatArray:
    """Scale all weights so that the sum of their sizes keeps to ``limit``."""
    return weights * _scale_to(math.fsum(np.abs(weights).tolist()), limit)


def limit_sectors(weights: FloatArray, sectors: Sequence[str], limit: float) -> FloatArray:
    """Scale the weights of each named sector so that its gross keeps to ``limit``; '' is no sector."""
    limited = weights.copy()
    for sector in sorted(set(sectors) - {""}):
        members = np.array([name == sector for name in sectors])
        limited[members] = limit_gross(weights[members], limit)
    return limited


def limit_signed(weights: FloatArray, exposure: FloatArray, limit: float, stuck: float = 0.0) -> FloatArray:
    """Scale the side that is in excess so that |stuck + sum of weight x exposure| keeps to ``limit``.

    Only the weights that push the sum over are scaled, so that each of them falls when its own
    proposal falls; scaling both sides would let a smaller short follow from a smaller long.

    Parameters
    ----------
    exposure : ndarray, shape (symbols,)
        Ones for the net limit, betas for the beta limit; finite where the weight is not zero.
    stuck : float
        Exposure of positions that cannot be traded. Beyond the limit by itself it leaves no weight on its side.
    """
    parts = np.where(weights == 0.0, 0.0, weights * exposure)
    total = math.fsum([stuck, *parts.tolist()])
    if abs(total) <= limit * (1.0 + _ROUNDING):
        return weights
    side = np.sign(parts) == np.sign(total)
    along = abs(math.fsum(parts[side].tolist()))
    against = math.fsum([-np.sign(total) * stuck, abs(math.fsum(parts[~side].tolist()))])
    return np.where(side, weights * (max(0.0, limit + against) / along if along > 0.0 else 1.0), weights)


def per_name_cap(context: LimitContext) -> FloatArray:
    """Largest weight of each instrument: single name, and a share of its ADV. NaN ADV gives NaN."""
    if context.equity_usd <= 0.0:
        return np.zeros_like(context.adv_usd)
    by_volume = context.settings.adv_limit_fraction * context.adv_usd / context.equity_usd
    return np.minimum(by_volume, context.settings.single_name_limit)


def apply_limits(weights: FloatArray, context: LimitContext) -> FloatArray:
    """Single name and ADV, sectors, capacity, gross, net, beta, in this order.

    The later ones scale one side down and may unbalance what the earlier ones balanced, so net is
    looked at again after beta, and what is then still over beta is scaled as a whole. Positions that
    cannot be traded take their part of gross, net and beta first.
    """
    settings = context.settings
    limited = cap(weights, per_name_cap(context))
    limited = limit_sectors(limited, context.sectors, settings.sector_limit)
    gross = settings.gross_limit
    if settings.capacity_usd is not None and context.equity_usd > 0.0:
        gross = min(gross, settings.capacity_usd / context.equity_usd)
    stuck = np.zeros_like(limited) if context.stuck is None else context.stuck
    limited = limit_gross(limited, max(0.0, gross - math.fsum(np.abs(stuck).tolist())))
    ones = np.ones_like(limited)
    beta = np.where(np.isfinite(context.beta), context.beta, 1.0)
    stuck_net, stuck_beta = math.fsum(stuck.tolist()), math.fsum((stuck * beta).tolist())
    net = net_allowance(settings.net_limit)
    limited = limit_signed(limited, ones, net, stuck_net)
    limited = limit_signed(limited, beta, settings.beta_limit, stuck_beta)
    limited = limit_signed(limited, ones, net, stuck_net)
    if stuck.any():
        return limited  # scaled as a whole, the others would no longer balance what is stuck
    return limited * _scale_to(abs(math.fsum((limited * beta).tolist())), settings.beta_limit)


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
    known = np.maximum(count, 1)
    own_centred = np.where(present, own - own.sum(axis=0) / known, 0.0)
    rest_centred = np.where(present, rest - rest.sum(axis=0) / known, 0.0)
    product = (own_centred * rest_centred).sum(axis=0)
    spread = np.sqrt((own_centred**2).sum(axis=0) * (rest_centred**2).sum(axis=0))
    # A spread this far below the returns' own size is rounding of a constant series, not variance.
    size = np.sqrt((own**2).sum(axis=0) * (rest**2).sum(axis=0))
    flat = spread <= 1e-13 * size
    rho = np.where(flat, 1.0, product / np.where(flat, 1.0, spread))
    alone = ~np.any(others != 0.0, axis=0)
    rho = np.where(alone, 0.0, np.clip(rho, -1.0, 1.0))
    return np.where(count < minimum_share * sessions, np.nan, rho)
