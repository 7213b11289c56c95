"""Intervals of what is counted, by formulas of their own."""

from __future__ import annotations

from scipy.special import betaincinv


def clopper_pearson(found: int, of: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a share: Clopper and Pearson (1934), by quantiles of the beta distribution."""
    tail = (1.0 - level) / 2.0
    low = 0.0 if found == 0 else float(betaincinv(found, of - found + 1, tail))
    high = 1.0 if found == of else float(betaincinv(found + 1, of - found, 1.0 - tail))
    return low, high


def share(found: int, of: int) -> str:
    """A count, its share and interval: '5 of 200, 2.5% (0.8% to 5.7%)'."""
    if of == 0:
        return "nothing measured"
    low, high = clopper_pearson(found, of)
    return f"{found} of {of}, {found / of:.1%} ({low:.1%} to {high:.1%})"
