"""The scale that leaves less of every size as assets approach the strategy's estimated capacity.

The rule, with C the estimate and q ``portfolio.capacity_share``: the assets that sizes are made for never exceed q x C.
Scales are products of halves, so the scale is the largest 1, 1/2, 1/4, ... times which the assets are at most q x C:
the dollars held then stay between q C / 2 and q C, however large the assets. Assets are the book's peak since the last
reset of a loss, so that a price which moves the book across the edge day by day changes no size day by day.
"""

from __future__ import annotations

import math

_SMALLEST = 2.0**-10
_TOLERANCE = 1e-9  # of the edge: assets at it are at it, whatever the last bit of their sum says


def capacity_scale(assets_usd: float, capacity_usd: float | None, share: float | None) -> float:
    """Return what is left of a size, a product of halves, 0 to 1.

    Parameters
    ----------
    assets_usd : float
        The book's peak. NaN leaves nothing.
    capacity_usd : float or None
        The estimate in force; None: there is none yet, or the capacity lies beyond every size that was replayed, and
        all is left. 0 or below, or NaN, leaves nothing.
    share : float or None
        ``portfolio.capacity_share``; None: the rule is not asked for.

    Examples
    --------
    >>> capacity_scale(3e6, 4e6, 0.5), capacity_scale(2e6, 4e6, 0.5), capacity_scale(9e6, 4e6, 0.5)
    (0.5, 1.0, 0.125)
    """
    if share is None or capacity_usd is None:
        return 1.0
    most = share * capacity_usd * (1.0 + _TOLERANCE)
    if not most > 0.0 or math.isnan(assets_usd):
        return 0.0
    scale = 1.0
    while scale * assets_usd > most and scale > 0.0:
        scale = scale / 2.0 if scale > _SMALLEST else 0.0
    return scale


def near_capacity_text(assets_usd: float, capacity_usd: float | None, share: float | None) -> str:
    """Say what the scale leaves of sizes and why, arguments as of :func:`capacity_scale`; empty where it leaves all."""
    scale = capacity_scale(assets_usd, capacity_usd, share)
    if scale >= 1.0 or capacity_usd is None or share is None:
        return ""
    return (
        f"sizes are {scale:g} of what they would be, since assets of {assets_usd:,.0f} USD are above {share:.0%} of "
        f"the estimated capacity, {capacity_usd:,.0f} USD"
    )
