"""Labels of every row: the own return of a kind, where that and the volatility are known, and what is learned of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray, IntArray, read_only_fields
from nn_assets.features.catalogue.prices import rolling_volatility
from nn_assets.features.catalogue.stepping import Stepping
from nn_assets.features.labels.definition import LabelFacts, OwnReturn
from nn_assets.features.labels.registry import label_kind, settings_of_its_own
from nn_assets.features.labels.volatility import (
    RECENT_SESSIONS,
    realised_volatility,
    recent_relative_volatility,
    relative_variance,
)
from nn_assets.market.panel import Panel
from nn_assets.settings import LabelSettings

_LARGEST_VALUE = 10.0  # units, as scaled features are cut: one name that had stood still would outweigh all others


@dataclass(frozen=True, eq=False)
class Labels:
    """What is learned, row by row. Arrays are read-only; row t belongs to the decision of session t.

    Parameters
    ----------
    targets : array, shape (bars, symbols)
        Whether the own return is above zero: 1.0, 0.0, or NaN where there is no label (not realised yet, a bar
        missing, no volatility).
    returns : array, shape (bars, symbols), fraction over the horizon
        The label's own return, whose sign is the target: see :class:`~nn_assets.features.labels.LabelKind`. NaN
        exactly where ``targets`` is. Of a volatility the log of the realised variance over ``scale`` squared.
    realised_row : array of int, shape (bars,)
        Row at whose session the label becomes known: t + lag + horizon. May lie beyond the axis.
    candidates : array of bool, shape (bars, symbols), or None
        Who may be trained on: the universe's members of each session. None: everyone.
    values : array, shape (bars, symbols), or None
        What is learned where that is not the targets; NaN exactly where they are. None: the targets. A value in units
        of ``scale`` is cut at +-10.
    ranked_against : array, shape (bars, symbols), or None
        What forecasts are ranked against where that is not the returns, likewise.
    scale : array, shape (bars, symbols), or None
        Unit of ``values``, known at the session itself: standard deviation of a return over the horizon, or volatility
        per session. There before a label is realised; NaN where it is not known.
    variance : array, shape (bars, symbols), or None
        Mean squared return per session from the fill to the horizon, of log returns or, where that was asked for, of
        returns less their session's median; NaN until it is realised. None where no forecast of volatility is asked
        for.
    recent_volatility : array, shape (bars, symbols), or None
        sigma_20 of the same return at each session, fraction per session, which such a forecast of a network is in
        units of; likewise.
    """

    targets: FloatArray
    returns: FloatArray
    realised_row: IntArray
    candidates: BoolArray | None = None
    values: FloatArray | None = None
    ranked_against: FloatArray | None = None
    scale: FloatArray | None = None
    variance: FloatArray | None = None
    recent_volatility: FloatArray | None = None

    def __post_init__(self) -> None:
        read_only_fields(self)

    @property
    def learned(self) -> FloatArray:
        """What estimators learn, (bars, symbols)."""
        return self.targets if self.values is None else self.values

    def learned_variance(self) -> FloatArray:
        """Log of the realised over the recent variance, (bars, symbols): what a forecast of volatility learns."""
        assert self.variance is not None, "asked for"
        assert self.recent_volatility is not None, "asked for"
        with np.errstate(divide="ignore", invalid="ignore"):
            learned = np.log(self.variance / self.recent_volatility**2)
        return np.where(np.isfinite(learned), learned, np.nan)

    @property
    def outcomes(self) -> FloatArray:
        """What forecasts and features are ranked against, (bars, symbols)."""
        return self.returns if self.ranked_against is None else self.ranked_against

    @property
    def earned(self) -> FloatArray:
        """What a long position earns from fill to horizon, (bars, symbols), fraction; no threshold is in it.

        Of a relative label less the cross-section, as its return is; of a z-score the return, in no deviations. Of one
        that is not traded, what its forecasts are judged by.
        """
        return self.outcomes if self.values is None else self.returns

    @property
    def standardised(self) -> FloatArray | None:
        """Returns in units of ``scale``, (bars, symbols), where values are learned: what those are calibrated on.

        Cut at +-10, as what is learned.
        """
        return None if self.values is None or self.scale is None else _cut(self.returns / self.scale)

    def rows(self, rows: slice) -> Labels:
        """Labels of some rows, as views."""
        return replace(self, **{name: values[rows] for name, values in self._arrays.items()})

    @property
    def _arrays(self) -> dict[str, Any]:
        """What there is, by name; all have rows first."""
        arrays = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: values for name, values in arrays.items() if values is not None}

    def until(self, row: int) -> Labels:
        """Cut the labels after ``row``; those that are realised later are missing."""
        cut = self.rows(slice(row + 1))
        return cut._known((cut.realised_row <= row)[:, None])  # noqa: SLF001  its own

    def of_candidates(self, candidates: BoolArray | None) -> Labels:
        """Labels of the candidates alone, (bars, symbols); every other row has none."""
        if candidates is None:
            return self
        return replace(self._known(candidates), candidates=candidates)

    def where(self, rows: BoolArray) -> Labels:
        """Labels of some rows alone, a mask of shape (bars,); every other row has none."""
        return self._known(rows[:, None])

    def _known(self, there: BoolArray) -> Labels:
        """Labels where a mask, (bars, symbols) or (bars, 1), says so."""
        unknown = ("targets", "returns", "values", "ranked_against", "variance")
        kept = {name: np.where(there, values, np.nan) for name, values in self._arrays.items() if name in unknown}
        return replace(self, **kept)


def make_labels(
    panel: Panel,
    label: LabelSettings,
    cash_rate_per_session: float | FloatArray = 0.0,
    candidates: BoolArray | None = None,
    max_missing_fraction: float = 0.0,
    *,
    variance: bool = False,
    beside_the_median: bool = False,
) -> Labels:
    """Labels of every row: one if the risk-adjusted own return, as ``label.kind`` says it, is positive.

    The own return is divided by sigma_20 of the decision session before its sign is taken; that leaves the sign alone
    but takes the label away where sigma_20 is missing or zero. A kind that learns a value or a volatility has that as
    well, and its unit; one that states it has what forecasts are ranked against.

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
    variance : bool
        Whether realised variances are asked for beside.
    beside_the_median : bool
        Whether these, and their unit, are of returns less their session's median; else of the names' own.

    Returns
    -------
    Labels

    Raises
    ------
    SettingsError
        There is no such kind, its settings are not as it states them, or what the kind itself refuses.
    """
    cash = np.broadcast_to(np.asarray(cash_rate_per_session, dtype=np.float64), panel.session_count)
    sigma = recent_volatility(panel, max_missing_fraction)
    facts = LabelFacts(cash, candidates, sigma)
    kind, own = label_kind(label), own_returns(panel, label, facts)
    labelled = np.isfinite(own) & (sigma > 0.0)
    scale = None if kind.scale is None else called(kind.scale, panel, label, facts)
    if scale is not None:
        scale = np.where(np.isfinite(scale) & (scale > 0.0), scale, np.nan)
        labelled &= np.isfinite(scale)
    ranked_against = None if kind.ranked_against is None else called(kind.ranked_against, panel, label, facts)
    values = None
    if kind.learns != "sign":
        in_units = own if scale is None or kind.learns != "value" else own / scale
        ranked_against = in_units if ranked_against is None else ranked_against
        if kind.centre is not None and scale is not None:
            in_units = (own - called(kind.centre, panel, label, facts)) / scale
            labelled &= np.isfinite(in_units)
        values = np.where(labelled, _cut(in_units) if kind.learns == "value" else in_units, np.nan)
    adjusted = np.full(own.shape, np.nan)
    np.divide(own, sigma, out=adjusted, where=labelled)
    span = label.execution_lag_sessions + label.horizon_sessions
    labels = Labels(
        targets=np.where(labelled, (adjusted > 0.0).astype(np.float64), np.nan),
        returns=np.where(labelled, own, np.nan),
        realised_row=np.arange(panel.session_count, dtype=np.int64) + span,
        values=values,
        ranked_against=None if ranked_against is None else np.where(labelled, ranked_against, np.nan),
        scale=scale,
    )
    if variance and beside_the_median:
        unit = recent_relative_volatility(panel, candidates, max_missing_fraction)
        labels = replace(labels, variance=relative_variance(panel, label, candidates), recent_volatility=unit)
    elif variance:
        labels = replace(labels, variance=realised_volatility(panel, label) ** 2, recent_volatility=sigma)
    return labels.of_candidates(candidates)


def _cut(values: FloatArray) -> FloatArray:
    return np.asarray(np.clip(values, -_LARGEST_VALUE, _LARGEST_VALUE))


def own_returns(panel: Panel, label: LabelSettings, facts: LabelFacts) -> FloatArray:
    """Own returns as the kind of label defines them, (bars, symbols), for all symbols; errors as above."""
    return called(label_kind(label).own_return, panel, label, facts)


def called(compute: OwnReturn, panel: Panel, label: LabelSettings, facts: LabelFacts) -> FloatArray:
    """What a function of a kind of label says, with the kind's own settings where it has some; errors as above."""
    settings = settings_of_its_own(label)
    return compute(panel, label, facts, *(() if settings is None else (settings,)))


def recent_volatility(panel: Panel, max_missing_fraction: float = 0.0) -> FloatArray:
    """sigma_20 of each session, (bars, symbols), fraction per session; may step over a share of missing bars."""
    return Stepping(panel, np.isfinite(panel.close), max_missing_fraction).over(
        RECENT_SESSIONS + 1, lambda bars, _: rolling_volatility(bars, RECENT_SESSIONS)
    )
