"""Drift of forecasts and features: a sliding window held against what the model was trained on."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from math import isfinite, nan

import numpy as np
import pandas as pd

from nn_assets.arrays import FloatArray
from nn_assets.contracts import DRIFT, framed
from nn_assets.contracts.frames import DriftRows
from nn_assets.errors import SchemaError
from nn_assets.oversight.distance import counts_within, distance_of_counts
from nn_assets.oversight.joint import JOINT_FEATURES, nth_largest_by_feature
from nn_assets.oversight.monitored import innovations, window_cusum
from nn_assets.oversight.reference import DriftReference, MonitoredColumn, drift_reference
from nn_assets.settings import OversightSettings

__all__ = [
    "DriftMonitor",
    "DriftReference",
    "DriftReport",
    "DriftStatistic",
    "drift_reference",
]


@dataclass(frozen=True)
class DriftStatistic:
    """One test of one series on one session.

    ``name`` is the series (``forecast``, a feature, ``feature:spread``), followed by ``:innovations``
    or ``:cusum`` where the series is too persistent to be tested as it is.
    """

    layer: str  # 'prediction' or 'feature'
    name: str
    statistic: float  # KS distance in [0, 1], or CUSUM height in standard deviations; NaN: too few values
    critical: float  # what the statistic must exceed; for KS never below the effect floor
    autocorrelation: float  # AR(1) coefficient of the reference series
    drifted: bool
    retraining_critical: float = nan  # KS distance at the pace of retraining
    asks_retraining: bool = False

    @property
    def feature(self) -> str:
        """The feature (or ``forecast``) that the test counts for."""
        return self.name.split(":", maxsplit=1)[0]


@dataclass(frozen=True)
class DriftReport:
    """All tests of one session, and the joint verdict over features.

    Attributes
    ----------
    session : Timestamp
    statistics : tuple of DriftStatistic
        Empty where the history is shorter than the window; ``message`` then says so.
    joint_statistic : float
        Third-largest ratio, over features, of a statistic to its critical value; NaN: not examined.
    joint_critical : float
        What it must exceed for three or more features to have drifted together.
    joint_features : tuple of str
        The features whose ratio lies above ``joint_critical``, in order of name.
    message : str
    model_id : str
        The model in force, whose reference the session was held against.
    """

    session: pd.Timestamp
    statistics: tuple[DriftStatistic, ...]
    joint_statistic: float
    joint_critical: float
    joint_features: tuple[str, ...]
    message: str
    model_id: str = ""

    @property
    def examined(self) -> bool:
        """Whether enough could be tested for a verdict: every series of forecasts, and features to drift jointly.

        A feature without values blinds nothing as long as three others, or all there are, have theirs.
        """
        forecasts = [test.statistic for test in self.statistics if test.layer == "prediction"]
        features = [test for test in self.statistics if test.layer == "feature"]
        examined_features = {test.feature for test in features if isfinite(test.statistic)}
        enough = min(JOINT_FEATURES, len({test.feature for test in features}))
        return bool(forecasts) and all(map(isfinite, forecasts)) and len(examined_features) >= enough

    @property
    def prediction_drifted(self) -> bool:
        """Whether a series of the prediction layer lies beyond floor and critical value."""
        return any(test.drifted for test in self.statistics if test.layer == "prediction")

    @property
    def features_drifted_jointly(self) -> bool:
        """Whether three or more features have strayed together, at the calibrated pace."""
        return isfinite(self.joint_statistic) and self.joint_statistic > self.joint_critical

    @property
    def asks_retraining(self) -> bool:
        """Whether forecasts have strayed beyond the floor and the value that rings four times a year."""
        return any(test.asks_retraining for test in self.statistics if test.layer == "prediction")

    @property
    def retraining_reasons(self) -> tuple[str, ...]:
        """The forecasts' tests that ask for a refresh, one sentence each."""
        asking = [test for test in self.statistics if test.layer == "prediction" and test.asks_retraining]
        return tuple(f"{test.name} {test.statistic:.3f} > {test.retraining_critical:.3f}" for test in asking)

    def to_frame(self) -> DriftRows:
        """One row per test: session, layer, name, statistic, critical, autocorrelation, drifted."""
        tests = self.statistics
        columns = {name: [getattr(test, name) for test in tests] for name in DRIFT.columns if name != "session"}
        return framed(DRIFT, len(tests), session=self.session, **columns)


class DriftMonitor:
    """Examines one session at a time against a model's reference. Holds no state.

    Parameters
    ----------
    settings : OversightSettings
        Window length.
    """

    def __init__(self, settings: OversightSettings) -> None:
        self._settings = settings
        self._window = settings.drift_window_sessions
        # A missing bar must not blind the monitor for a whole window: values are looked for in half
        # a window more, and innovations need one row before the first.
        self._reach = self._window + self._window // 2 + 1

    def examine(
        self,
        row: int,
        session: pd.Timestamp,
        forecast_columns: FloatArray,
        feature_columns: FloatArray,
        reference: DriftReference,
        tested: MutableMapping[tuple[int, str], tuple[DriftStatistic, ...]] | None = None,
    ) -> DriftReport:
        """Test the window that ends on ``row``. Later rows are not read.

        Parameters
        ----------
        row : int
            Row of the session decided.
        session : Timestamp
            Its label, for the report.
        forecast_columns : array, shape (bars, columns)
            ``cross_section``, with a last axis of 1, of forecasts as ranks within their own model's validation
            forecasts (:meth:`DriftReference.forecast_ranks` of whichever model made them). NaN: no forecast.
        feature_columns : array, shape (bars, columns)
            ``cross_section`` of the features as handed to :func:`drift_reference`, in the same order. NaN: missing.
        reference : DriftReference
            Of the model in force on ``row``.
        tested : mapping of row and model id to the tests of the features, optional
            Made so far, on the same series; added to. They are the same for every estimator of a model.

        Returns
        -------
        DriftReport
            With ``message`` 'not enough sessions ...' and no statistics before the first full window.
        """
        if reference.window != self._window:
            raise SchemaError(
                expected=f"a reference made for a window of {self._window} sessions",
                found=f"one for {reference.window}",
                remedy="rebuild the reference with the settings in force",
                session=session,
            )
        if row + 1 < self._window:
            message = f"not enough sessions: {row + 1} of {self._window}"
            return DriftReport(session, (), nan, reference.multiplier, (), message, reference.model_id)
        tail = slice(max(0, row + 1 - self._reach), row + 1)
        forecasts, features = forecast_columns[tail], feature_columns[tail]
        cache = {} if tested is None else tested
        key = (row, reference.model_id)
        if key not in cache:
            cache[key] = tuple(t for series in reference.features for t in self._tests("feature", series, features))
        of_forecasts = (t for series in reference.forecasts for t in self._tests("prediction", series, forecasts))
        return _with_joint(session, (*of_forecasts, *cache[key]), reference)

    def _tests(self, layer: str, series: MonitoredColumn, rows: FloatArray) -> list[DriftStatistic]:
        values = rows[:, series.column]
        if series.prewhitened:
            values = innovations(values, series.whitening)
        recent = values[np.isfinite(values)][-self._window :]
        suffix = ":innovations" if series.prewhitened else ""
        distance, height = nan, nan
        if recent.size == self._window:
            below, upto = counts_within(recent, series.ordered)
            distance = distance_of_counts(np.sort(below), np.sort(upto), series.ordered.size)
            if series.prewhitened:
                height = window_cusum((below + upto) / 2.0, series.ordered.size)
        ks = DriftStatistic(
            layer=layer,
            name=series.name + suffix,
            statistic=distance,
            critical=series.critical,
            autocorrelation=series.autocorrelation,
            drifted=distance > series.critical,
            retraining_critical=series.retraining_critical,
            asks_retraining=distance > series.retraining_critical,
        )
        if not series.prewhitened:
            return [ks]
        cusum = DriftStatistic(
            layer=layer,
            name=f"{series.name}:cusum",
            statistic=height,
            critical=series.cusum_critical,
            autocorrelation=series.autocorrelation,
            drifted=height > series.cusum_critical,
        )
        return [ks, cusum]


def _with_joint(
    session: pd.Timestamp, statistics: tuple[DriftStatistic, ...], reference: DriftReference
) -> DriftReport:
    multiplier = reference.multiplier
    tested = [test for test in statistics if test.layer == "feature"]
    ratios = np.array([test.statistic / test.critical for test in tested])
    names = [test.feature for test in tested]
    third = float(nth_largest_by_feature(ratios, names)) if tested else nan
    beyond = {name for name, ratio in zip(names, ratios, strict=True) if ratio > multiplier}
    blind = [test.name for test in statistics if np.isnan(test.statistic)]
    message = f"too few values: {', '.join(blind)}" if blind else ""
    return DriftReport(session, statistics, third, multiplier, tuple(sorted(beyond)), message, reference.model_id)
