"""Labels: the sign of what a position earns from its fill to the horizon, once that is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import read_only_fields
from nn_assets.errors import SettingsError
from nn_assets.features.catalogue.prices import rolling_volatility
from nn_assets.features.catalogue.stepping import Stepping
from nn_assets.market.panel import Panel
from nn_assets.settings import LabelSettings

__all__ = ["MINIMUM_CROSS_SECTION", "Labels", "forward_returns", "make_labels"]

FloatArray = npt.NDArray[np.float64]
IntegerArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MINIMUM_CROSS_SECTION = 5
"""Symbols below which a cross-section's median says little, so that relative labels are refused."""

_VOLATILITY_SESSIONS = 20


@dataclass(frozen=True, eq=False)
class Labels:
    """What is learned, row by row. Arrays are read-only; row t belongs to the decision of session t.

    Parameters
    ----------
    targets : array, shape (bars, symbols)
        1.0, 0.0, or NaN where there is no label (not realised yet, a bar missing, no volatility).
    returns : array, shape (bars, symbols), fraction over the horizon
        The label's own return, whose sign is the target: the forward return less the cash rate over
        the span, or less the cross-section's median. NaN exactly where ``targets`` is.
    realised_row : array of int, shape (bars,)
        Row at whose session the label becomes known: t + lag + horizon. May lie beyond the axis.
    candidates : array of bool, shape (bars, symbols), or None
        Who may be trained on: the universe's members of each session. None: everyone.
    """

    targets: FloatArray
    returns: FloatArray
    realised_row: IntegerArray
    candidates: BoolArray | None = None

    def __post_init__(self) -> None:
        read_only_fields(self)

    def until(self, row: int) -> Labels:
        """Cut the labels after ``row``; those that are realised later are missing."""
        stop = row + 1
        unknown = self.realised_row[:stop] > row
        targets, returns = self.targets[:stop].copy(), self.returns[:stop].copy()
        targets[unknown], returns[unknown] = np.nan, np.nan
        candidates = None if self.candidates is None else self.candidates[:stop]
        return Labels(targets, returns, self.realised_row[:stop], candidates)

    def of_candidates(self, candidates: BoolArray | None) -> Labels:
        """Labels of the candidates alone, (bars, symbols); every other row has none."""
        if candidates is None:
            return self
        targets, returns = (np.where(candidates, values, np.nan) for values in (self.targets, self.returns))
        return Labels(targets, returns, self.realised_row, candidates)


def forward_returns(panel: Panel, label: LabelSettings) -> FloatArray:
    """Measure the simple return from the fill (row t + lag) to ``horizon_sessions`` after it.

    Both ends are opens with ``next_open``, closes with ``next_close``.

    Parameters
    ----------
    panel : Panel, arrays of shape (bars, symbols)
        Prices on a total-return basis, so that every action in the span is included.
    label : LabelSettings

    Returns
    -------
    array, shape (bars, symbols), fraction over the horizon
        NaN where either price is missing or not positive, and on the last lag + horizon rows, whose
        future is not known: a missing future is never counted as a fall.
    """
    price = panel.open if label.execution == "next_open" else panel.close
    lag, horizon = label.execution_lag_sessions, label.horizon_sessions
    result = np.full(price.shape, np.nan)
    known = panel.session_count - lag - horizon
    if known <= 0:
        return result
    entry, leave = price[lag : lag + known], price[lag + horizon :]
    tradable = (entry > 0.0) & (leave > 0.0) & np.isfinite(entry) & np.isfinite(leave)
    np.divide(leave, entry, out=result[:known], where=tradable)
    result[:known] -= 1.0
    result[~np.isfinite(result)] = np.nan
    return result


def make_labels(
    panel: Panel,
    label: LabelSettings,
    cash_rate_per_session: float | FloatArray = 0.0,
    candidates: BoolArray | None = None,
    max_missing_fraction: float = 0.0,
) -> Labels:
    """Labels of every row: one if the risk-adjusted own return is positive.

    ``direction``: own return = forward return - cash rate x horizon. ``direction_relative``: own
    return = forward return - median over the candidates that have one in that session. The own return is
    divided by sigma_20 of the decision session before its sign is taken; that leaves the sign alone
    but takes the label away where sigma_20 is missing or zero.

    Parameters
    ----------
    panel : Panel, arrays of shape (bars, symbols)
    label : LabelSettings
    cash_rate_per_session : float or array of shape (bars,)
        Fraction per session, simple; that of the decision session holds over the horizon.
    candidates : array of bool, shape (bars, symbols), optional
        Who may be trained on: the universe's members of each session; no one else has a label, nor a
        say in the median. Everyone when left out.
    max_missing_fraction : float
        Share of missing bars that sigma_20 may step over, as the features do; never bridged. Fill and leave need
        their own bars whatever it is.

    Returns
    -------
    Labels

    Raises
    ------
    SettingsError
        Relative labels in a panel of fewer than 5 symbols. A single session with fewer than 5
        realised candidates gets NaN instead.
    """
    forward = forward_returns(panel, label)
    if label.is_relative:
        judged = forward if candidates is None else np.where(candidates, forward, np.nan)
        own = forward - _median_over_symbols(judged, panel.symbols)
    else:
        cash = np.broadcast_to(np.asarray(cash_rate_per_session, dtype=np.float64), len(forward))
        own = forward - cash[:, None] * label.horizon_sessions
    sigma = Stepping(panel, np.isfinite(panel.close), max_missing_fraction).over(
        _VOLATILITY_SESSIONS + 1, lambda bars, _: rolling_volatility(bars, _VOLATILITY_SESSIONS)
    )
    labelled = np.isfinite(own) & (sigma > 0.0)
    adjusted = np.full(own.shape, np.nan)
    np.divide(own, sigma, out=adjusted, where=labelled)
    span = label.execution_lag_sessions + label.horizon_sessions
    labels = Labels(
        targets=np.where(labelled, (adjusted > 0.0).astype(np.float64), np.nan),
        returns=np.where(labelled, own, np.nan),
        realised_row=np.arange(panel.session_count, dtype=np.int64) + span,
    )
    return labels.of_candidates(candidates)


def _median_over_symbols(forward: FloatArray, symbols: tuple[str, ...]) -> FloatArray:
    """Median of each session's realised returns, shape (bars, 1); NaN below the minimum count."""
    if len(symbols) < MINIMUM_CROSS_SECTION:
        raise SettingsError(
            expected=f"at least {MINIMUM_CROSS_SECTION} symbols for labels relative to the median",
            found=f"{len(symbols)}: {', '.join(symbols)}",
            remedy="set label.kind to 'direction', or add symbols",
            key="label.kind",
            value="direction_relative",
        )
    median = np.full((len(forward), 1), np.nan)
    enough = np.isfinite(forward).sum(axis=1) >= MINIMUM_CROSS_SECTION
    median[enough, 0] = np.nanmedian(forward[enough], axis=1)
    return median
