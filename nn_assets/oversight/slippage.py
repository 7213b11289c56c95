"""Whether trading costs more than the cost model says, by a test that knows its sample size; and where it does.

A model fitted on calm markets may hold on average and fail where volatility is high. So the calmest and the most
volatile third of the fills are tested each by itself too, the level shared among the thirds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import nan

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray
from nn_assets.errors import SchemaError


@dataclass(frozen=True)
class SlippageTest:
    """Realised against modelled cost over a window.

    Attributes
    ----------
    breach : bool
        Whether realised cost exceeds modelled cost by more than the tolerance, at the level stated.
    statistic, p_value : float
        One-sided Student t; NaN where there is too little to test.
    observations : int
        Independent ones: fills, or sessions where sessions were given.
    ratio : float
        Total realised over total modelled cost; NaN where nothing was modelled.
    message : str
    thirds : tuple of SlippageTest
        Of the calmest, the middle and the most volatile third of the fills, where these were asked for.
    """

    breach: bool
    statistic: float
    p_value: float
    observations: int
    ratio: float
    message: str
    thirds: tuple[SlippageTest, ...] = ()


def slippage_breach(
    realised: FloatArray,
    modelled: FloatArray,
    tolerance: float,
    *,
    sessions: npt.NDArray[np.datetime64] | None = None,
    level: float = 0.05,
    minimum_observations: int = 20,
) -> SlippageTest:
    """Test whether realised cost exceeds (1 + tolerance) x modelled cost on average.

    A one-sided Student t test on realised - (1 + tolerance) x modelled: few or noisy fills need a
    larger excess. On a window of 60 sessions that slides daily, costs that are all that the tolerance allows ring on 5%
    of the days, in one or two spells a year; costs that are the model's own on fewer, as their noise is smaller.

    Parameters
    ----------
    realised, modelled : array, shape (fills,)
        Cost of each fill, both in the same unit: fractions of the value traded weigh fills alike,
        dollars weigh them by size. A fill with a NaN in either is left out.
    tolerance : float
        As a fraction of the modelled cost.
    sessions : datetime64 array, shape (fills,), optional
        Sessions of the fills. Fills of one session share its market, and are averaged first.
    level : float
        Of the test.
    minimum_observations : int
        Below this many nothing is concluded.

    Returns
    -------
    SlippageTest

    Raises
    ------
    SchemaError
        Arrays of unequal length.
    """
    if realised.shape != modelled.shape or (sessions is not None and sessions.shape != realised.shape):
        shapes = [array.shape for array in (realised, modelled, sessions) if array is not None]
        raise SchemaError(
            expected="one realised and one modelled cost (and session) for each fill",
            found=f"shapes {shapes}",
            remedy="join fills with their modelled costs by fill_id",
        )
    finite = np.isfinite(realised) & np.isfinite(modelled)
    total = float(modelled[finite].sum())
    ratio = float(realised[finite].sum()) / total if total > 0.0 else nan
    excess = realised[finite] - (1.0 + tolerance) * modelled[finite]
    if sessions is not None:
        _, group = np.unique(sessions[finite], return_inverse=True)
        excess = np.bincount(group, weights=excess) / np.bincount(group) if excess.size else excess
    count = int(excess.size)
    if count < minimum_observations:
        message = f"not enough fills: {count} of {minimum_observations} observations"
        return SlippageTest(breach=False, statistic=nan, p_value=nan, observations=count, ratio=ratio, message=message)
    statistic, p_value = _one_sided_t(excess)
    message = f"realised {ratio:.2f} x modelled, tolerance {1.0 + tolerance:.2f} x, p {p_value:.4f}, n {count}"
    return SlippageTest(p_value < level, statistic, p_value, count, ratio, message)


def _one_sided_t(excess: FloatArray) -> tuple[float, float]:
    """Student t of a mean above zero. Without any spread the sign decides."""
    mean, deviation = float(excess.mean()), float(excess.std(ddof=1))
    if excess.min() == excess.max() or deviation == 0.0:
        return (float("inf"), 0.0) if mean > 0.0 else (float("-inf"), 1.0)
    from scipy.special import stdtr

    statistic = mean / (deviation / float(np.sqrt(excess.size)))
    return statistic, float(stdtr(excess.size - 1, -statistic))


_THIRDS = ("calmest", "middle", "most volatile")


def slippage_by_volatility(
    realised: FloatArray,
    modelled: FloatArray,
    volatility: FloatArray,
    tolerance: float,
    *,
    sessions: npt.NDArray[np.datetime64] | None = None,
    level: float = 0.05,
    minimum_observations: int = 20,
) -> SlippageTest:
    """Test all fills as :func:`slippage_breach`, and each third of them by volatility at a third of the level.

    It is a breach where all fills are one, or a third is. Where the most volatile third is and the calmest is shown to
    cost less than the tolerance allows, the message names a model calibrated to calm markets, and the other way round
    one calibrated to volatile markets.

    Parameters
    ----------
    volatility : array, shape (fills,)
        Daily volatility that each fill was priced by, fraction. A fill with a NaN counts in no third.
    realised, modelled, tolerance, sessions, level, minimum_observations
        As of :func:`slippage_breach`; a third with fewer observations concludes nothing.

    Returns
    -------
    SlippageTest
        Of all fills, with ``thirds``.

    Raises
    ------
    SchemaError
        Arrays of unequal length.
    """
    whole = slippage_breach(
        realised, modelled, tolerance, sessions=sessions, level=level, minimum_observations=minimum_observations
    )
    if volatility.shape != realised.shape:
        raise SchemaError(
            expected="one volatility for each fill",
            found=f"shapes {realised.shape}, {volatility.shape}",
            remedy="give the volatility that each fill was priced by",
        )
    known = np.isfinite(realised) & np.isfinite(modelled) & np.isfinite(volatility)
    if not known.any():
        return whole
    edges = np.quantile(volatility[known], [1.0 / 3.0, 2.0 / 3.0])
    third = np.searchsorted(edges, volatility, side="left")
    thirds = []
    for number in range(len(_THIRDS)):
        chosen = known & (third == number)
        days = None if sessions is None else sessions[chosen]
        thirds.append(
            slippage_breach(
                realised[chosen],
                modelled[chosen],
                tolerance,
                sessions=days,
                level=level / len(_THIRDS),
                minimum_observations=minimum_observations,
            )
        )
    breached = [f"{name} third {test.ratio:.2f} x" for name, test in zip(_THIRDS, thirds, strict=True) if test.breach]
    calm, _, wild = thirds
    message = "; ".join(
        filter(None, [whole.message, ", ".join(breached), _calibrated_to(calm, wild, level / len(_THIRDS))])
    )
    return replace(whole, breach=whole.breach or bool(breached), message=message, thirds=tuple(thirds))


def _calibrated_to(calm: SlippageTest, wild: SlippageTest, level: float) -> str:
    """In which markets alone the model holds; empty where that cannot be said.

    A third holds where the same test, of the same level, finds it below the tolerance: one that is merely no breach
    yet, while costs rise everywhere, does not.
    """
    for holds, fails, markets in ((calm, wild, "calm"), (wild, calm, "volatile")):
        if fails.breach and holds.p_value > 1.0 - level:
            return f"the cost model is calibrated to {markets} markets"
    return ""
