"""What the record of forecasts says of sizes: how much an excess probability is worth, and how long it lasts.

Both are costly on a long panel. They are taken at anchors, every 21st row of the session axis from row 0 on, from
what was known at the anchor, and hold until the next: the same to the bit however much of the history comes later.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nn_assets.arrays import FloatArray, IntArray
from nn_assets.errors import SchemaError
from nn_assets.learning.evidence import FEWEST_SESSIONS
from nn_assets.measures import mean_over_symbols
from nn_assets.portfolio.expected import change_share, outcome_slope

ANCHOR_SESSIONS = 21


@dataclass(frozen=True)
class SizingFacts:
    """What holds from an anchor to the next."""

    outcome_slope: float  # beta = 1 / f(0)
    autocorrelation: float  # rho_h of the forecasts; NaN: too few
    change_share: float  # q


@dataclass(frozen=True, eq=False)
class SizingHistory:
    """The record that sizes are taken from; arrays (bars, symbols) unless said otherwise.

    Attributes
    ----------
    probability : out-of-sample forecasts before calibration, which depend on no later one; NaN: none
    score : the same as logits in units of their own model, so that no change of model counts as one of the forecast
    label_returns : the label's own return, fraction, already less its threshold; NaN: no label
    realised_row : (bars,), first row at which the label of each row is known; negative: never
    volatility : forecast per session of the return that the label is made of, fraction
    effective_outcomes : (bars,), independent outcomes that the record is worth at each row
    horizon_sessions : h
    relative : whether labels are relative to the cross-section, so that forecasts are too
    stated_slope : beta where it follows from what is learned, so that nothing is measured; None: from the outcomes

    Raises
    ------
    SchemaError
        The arrays' shapes differ.
    """

    probability: FloatArray
    score: FloatArray
    label_returns: FloatArray
    realised_row: IntArray
    volatility: FloatArray
    effective_outcomes: FloatArray
    horizon_sessions: int
    relative: bool = False
    stated_slope: float | None = None
    _known: dict[int, SizingFacts] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        wide = [array.shape for array in (self.probability, self.score, self.label_returns, self.volatility)]
        long = [array.shape for array in (self.realised_row, self.effective_outcomes)]
        if len(set(wide)) != 1 or any(shape != wide[0][:1] for shape in long):
            raise SchemaError(
                expected="all of one shape (bars, symbols), realised rows and effective outcomes of shape (bars,)",
                found=f"{wide}, {long}",
                remedy="align the six on one session axis",
            )

    def at(self, row: int) -> SizingFacts:
        """What the latest anchor at or before a row knew."""
        anchor = row - row % ANCHOR_SESSIONS
        if anchor not in self._known:
            self._known[anchor] = self._taken(anchor)
        return self._known[anchor]

    def _taken(self, anchor: int) -> SizingFacts:
        rho = forecast_autocorrelation(self.score[:anchor], self.horizon_sessions, relative=self.relative)
        return SizingFacts(self._slope(anchor), rho, change_share(rho))

    def _slope(self, anchor: int) -> float:
        if self.stated_slope is not None:
            return self.stated_slope
        until = slice(anchor + 1)
        known = (self.realised_row[until] >= 0) & (self.realised_row[until] <= anchor)
        there = known[:, None] & np.isfinite(self.probability[until])
        own = self.label_returns[until]
        with np.errstate(invalid="ignore", divide="ignore"):
            outcomes = (less_the_others(own) if self.relative else own) / (
                self.volatility[until] * np.sqrt(self.horizon_sessions)
            )
        usable = outcomes[there & np.isfinite(outcomes)]
        return outcome_slope(usable, float(self.effective_outcomes[anchor]))


def less_the_others(returns: FloatArray) -> FloatArray:
    """Returns less the median of the session's other names, (sessions, symbols); NaN where there are none.

    What a name's own odds are about. Less the median of all, itself among them, one name of each session stands at
    the threshold itself, and their density there is no density of returns: of 5 names the slope is 1.0 for 2.6.

    Parameters
    ----------
    returns : ndarray, shape (sessions, symbols)
        Less what is common to a session. NaN: none.
    """
    count = np.isfinite(returns).sum(axis=1, keepdims=True)
    order = np.argsort(returns, axis=1, kind="stable")  # NaN last
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(returns.shape[1]), order.shape), axis=1)
    others = count - 1

    def of_others(index: IntArray) -> FloatArray:
        """The value at a place among the others: one further on where the name itself comes before."""
        chosen = np.clip(index + (index >= rank), 0, returns.shape[1] - 1)
        return np.take_along_axis(np.take_along_axis(returns, order, axis=1), chosen, axis=1)

    middle = 0.5 * (of_others(np.maximum(others - 1, 0) // 2) + of_others(others // 2))
    return np.where(np.isfinite(returns) & (others > 0), returns - middle, np.nan)


def forecast_autocorrelation(score: FloatArray, horizon_sessions: int, *, relative: bool = False) -> float:
    """Return rho_h: the correlation of a name's forecast with itself h sessions later, pooled over names.

    A level that a name or the market keeps counts: it keeps a position, too. Not the persistence of
    :mod:`nn_assets.evaluation.smallest_effect`, which is never negative and makes do with fewer pairs.

    Parameters
    ----------
    score : ndarray, shape (bars, symbols)
        Forecasts in one unit throughout. NaN: no forecast.
    relative : bool
        Whether only what lies beside the session's mean counts.

    Returns
    -------
    float
        NaN with pairs in fewer than 60 sessions, or without variance.
    """
    signal = score - mean_over_symbols(score)[:, None] if relative else score
    before, after = signal[:-horizon_sessions], signal[horizon_sessions:]
    both = np.isfinite(before) & np.isfinite(after)
    if int(both.any(axis=1).sum()) < FEWEST_SESSIONS:
        return float("nan")
    first, second = before[both], after[both]
    first, second = first - first.mean(), second - second.mean()
    spread = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / spread if spread > 0.0 else float("nan")
