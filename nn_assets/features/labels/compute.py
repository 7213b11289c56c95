"""Labels of every row: the sign of the own return of a kind, where that and the volatility are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray, IntArray, read_only_fields
from nn_assets.features.catalogue.prices import rolling_volatility
from nn_assets.features.catalogue.stepping import Stepping
from nn_assets.features.labels.definition import LabelFacts
from nn_assets.features.labels.registry import label_kind, settings_of_its_own
from nn_assets.market.panel import Panel
from nn_assets.settings import LabelSettings

_VOLATILITY_SESSIONS = 20


@dataclass(frozen=True, eq=False)
class Labels:
    """What is learned, row by row. Arrays are read-only; row t belongs to the decision of session t.

    Parameters
    ----------
    targets : array, shape (bars, symbols)
        1.0, 0.0, or NaN where there is no label (not realised yet, a bar missing, no volatility).
    returns : array, shape (bars, symbols), fraction over the horizon
        The label's own return, whose sign is the target: see :class:`~nn_assets.features.labels.LabelKind`. NaN
        exactly where ``targets`` is.
    realised_row : array of int, shape (bars,)
        Row at whose session the label becomes known: t + lag + horizon. May lie beyond the axis.
    candidates : array of bool, shape (bars, symbols), or None
        Who may be trained on: the universe's members of each session. None: everyone.
    """

    targets: FloatArray
    returns: FloatArray
    realised_row: IntArray
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


def make_labels(
    panel: Panel,
    label: LabelSettings,
    cash_rate_per_session: float | FloatArray = 0.0,
    candidates: BoolArray | None = None,
    max_missing_fraction: float = 0.0,
) -> Labels:
    """Labels of every row: one if the risk-adjusted own return, as ``label.kind`` says it, is positive.

    The own return is divided by sigma_20 of the decision session before its sign is taken; that leaves the sign alone
    but takes the label away where sigma_20 is missing or zero.

    Parameters
    ----------
    panel : Panel, arrays of shape (bars, symbols)
    label : LabelSettings
    cash_rate_per_session : float or array of shape (bars,)
        Fraction per session, simple; that of the decision session holds over the horizon.
    candidates : array of bool, shape (bars, symbols), optional
        Who may be trained on: the universe's members of each session; no one else has a label. Everyone when left
        out.
    max_missing_fraction : float
        Share of missing bars that sigma_20 may step over, as the features do; never bridged. Fill and leave need
        their own bars whatever it is.

    Returns
    -------
    Labels

    Raises
    ------
    SettingsError
        There is no such kind, its settings are not as it states them, or what the kind itself refuses.
    """
    cash = np.broadcast_to(np.asarray(cash_rate_per_session, dtype=np.float64), panel.session_count)
    own = own_returns(panel, label, LabelFacts(cash, candidates))
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


def own_returns(panel: Panel, label: LabelSettings, facts: LabelFacts) -> FloatArray:
    """Own returns as the kind of label defines them, (bars, symbols), for all symbols; errors as above."""
    settings = settings_of_its_own(label)
    return label_kind(label).own_return(panel, label, facts, *(() if settings is None else (settings,)))
