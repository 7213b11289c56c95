"""How much evidence a record of hits and misses is: the number of independent outcomes that it is worth.

Labels of neighbouring sessions overlap, and the names of one session move together: 500 names of one session are
not 500 outcomes. Both show in how much the session's share of hits varies.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray

FEWEST_SESSIONS = 60
_HORIZONS = 6
# The autocorrelation of labels that overlap by h falls to zero in a line; Bartlett weights up to 3 h keep 89% of it.
_LAGS_PER_HORIZON = 3
# Of what independent outcomes would have: a variance of so little is rounding.
_NO_VARIANCE = 1e-9


def sessions_needed(horizon_sessions: int) -> int:
    """Sessions with realised outcomes below which no size is taken: 60, or six horizons if that is more."""
    return max(FEWEST_SESSIONS, _HORIZONS * horizon_sessions)


def less_the_median(forecasts: FloatArray) -> FloatArray:
    """Forecasts less their session's median, (sessions, symbols): what they say where labels are relative to one.

    Half of a session's relative labels are ones, so that a forecast above one half for every name is right for half of
    them in every session: such hits vary with nothing, whatever the forecasts are worth. NaN stays NaN.
    """
    ordered = np.sort(forecasts, axis=1)  # NaN last
    count = np.isfinite(forecasts).sum(axis=1)
    rows = np.arange(len(forecasts))
    middle = 0.5 * (ordered[rows, np.maximum(count - 1, 0) // 2] + ordered[rows, count // 2 * (count > 0)])
    return np.asarray(forecasts - middle[:, None], dtype=np.float64)


def effective_outcomes(
    hits: npt.ArrayLike, names: npt.ArrayLike, horizon_sessions: int, weights: npt.ArrayLike | None = None
) -> FloatArray:
    """Independent outcomes that a record is worth, after each of its sessions.

    n = p (1 - p) / V, p the mean over sessions of the share of hits and V the variance of that mean: Newey and
    West (1987), equation 5, with 3 h lags, over 1 - b + b^2 / 3, b = lags / sessions, which is what the mean taken
    out leaves of it (Kiefer and Vogelsang 2005, section 3). Before 60 sessions a variance of sessions says little
    yet: n is then at most T / h x N / (1 + (N - 1) r), T sessions of N names, r the mean correlation of hits across
    the names of a session, corrected for p being estimated from the same T / h stretches and 1 while there is no
    more than one of them. So it is at any length where the share of hits is the same in every session, and the
    variance says nothing.

    Parameters
    ----------
    hits, names : array_like, shape (sessions,)
        Forecasts that came true, and forecasts with an outcome, at least 1, of each session that has any, in order.
    horizon_sessions : int
        h, sessions that one label spans.
    weights : array_like, shape (sessions,), optional
        Of each session, above 0; only their ratios matter. Sessions then count as (sum w)^2 / sum w^2 (Kish 1965).

    Returns
    -------
    ndarray, shape (sessions,)
        n after each session, at most the outcomes there are; where all are hits, or none, T / h. A longer record
        changes no bit of what comes before.
    """
    named = np.asarray(names, dtype=np.float64)
    share = np.asarray(hits, dtype=np.float64) / named
    weight = np.ones(len(named)) if weights is None else np.asarray(weights, dtype=np.float64)
    total = np.cumsum(weight)
    rate = np.cumsum(weight * share) / total
    sessions = total**2 / np.cumsum(weight**2)
    spread = rate * (1.0 - rate)
    several = sessions * np.cumsum(weight * named) / total
    variance = _variance_of_mean(share, weight, rate, _LAGS_PER_HORIZON * horizon_sessions) / total**2
    bandwidth = np.minimum(1.0, (_LAGS_PER_HORIZON * horizon_sessions + 1) / sessions)
    variance /= 1.0 - bandwidth + bandwidth**2 / 3.0
    varies = variance * several > _NO_VARIANCE * spread
    effective = np.where(varies, np.minimum(several, spread / np.where(varies, variance, 1.0)), np.inf)
    stretches = sessions / horizon_sessions
    early = stretches * _separate_names(share * named, named, weight, rate, stretches)
    counted = (np.arange(len(named)) + 1 < FEWEST_SESSIONS) | ~varies
    return np.where(spread > 0.0, np.where(counted, np.minimum(effective, early), effective), stretches)


def _variance_of_mean(share: FloatArray, weight: FloatArray, rate: FloatArray, lags: int) -> FloatArray:
    """Bartlett-weighted sum of w w' (m - p) (m' - p) over all pairs up to ``lags`` apart, after each session."""
    result = np.zeros(len(share))
    for lag in range(min(lags, len(share) - 1) + 1):
        late, early = slice(lag, None), slice(0, len(share) - lag)
        both = weight[late] * weight[early]
        products, sums, pairs = (
            np.cumsum(both * part) for part in (share[late] * share[early], share[late] + share[early], 1.0)
        )
        mean = rate[late]
        part = products - mean * sums + mean**2 * pairs
        result[late] += part if lag == 0 else 2.0 * (1.0 - lag / (lags + 1.0)) * part
    return result


def _separate_names(
    hits: FloatArray, names: FloatArray, weight: FloatArray, rate: FloatArray, stretches: FloatArray
) -> FloatArray:
    """N / (1 + (N - 1) r) after each session."""
    squared, crossed, alone, several, pairs = (
        np.cumsum(weight * part) for part in (hits**2, hits * names, hits, names, names * (names - 1.0))
    )
    of_names = np.cumsum(weight * names**2)
    away = squared - 2.0 * rate * crossed + rate**2 * of_names  # (sum of h - p)^2, summed over sessions
    own = alone * (1.0 - 2.0 * rate) + rate**2 * several  # sum of (h - p)^2
    spread = pairs * rate * (1.0 - rate)
    raw = np.divide(away - own, spread, out=np.zeros(len(hits)), where=spread > 0.0)
    count = several / np.cumsum(weight)
    others = np.maximum(count - 1.0, 0.0)
    measurable = (stretches > 1.0) & (others > 0.0)
    lost = 1.0 / np.where(measurable, stretches, 2.0)
    correlation = np.clip((raw + lost / np.where(measurable, others, 1.0)) / (1.0 - lost), 0.0, 1.0)
    return count / (1.0 + others * np.where(measurable, correlation, 1.0))
