"""A walk-forward study of a label that is a volatility: every estimator beside the simplest ones, and no book."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.estimators import TRADED
from nn_assets.evaluation.study import Study, StudyMaterial, StudyStretch, Terms, figures_of_volatility
from nn_assets.evaluation.track import StudyTrack
from nn_assets.evaluation.volatility_figures import VolatilityTrack
from nn_assets.features.labels import Labels, settings_of_its_own
from nn_assets.features.labels.volatility import VolatilityMove
from nn_assets.settings import Strategy
from nn_assets.signals.volatility import exceedance_probability, har_volatility


def run_volatility_study(
    strategy: Strategy,
    sessions_per_year: int,
    material: StudyMaterial,
    terms: Terms,
    tell: Callable[[str], None] = lambda _: None,
) -> Study:
    """Lay every estimator's forecasts of a volatility beside the simplest ones, and measure.

    Each session's simple forecasts are made of what it knew, as the estimators' are: the EWMA and HAR where the log of
    the realised volatility is learned; where a move above a threshold is, the base rate of the network's calibration
    and the probability that HAR implies.

    Parameters
    ----------
    material : StudyMaterial
        With forecasts as they are stored: of a log volatility v / (1 + v), of a move its calibrated probability.
    """
    rows = material.rows
    stop = rows[-1] + 1
    shape = (stop, len(material.symbols))
    move = settings_of_its_own(strategy.label)
    multiple = move.multiple if isinstance(move, VolatilityMove) else None
    unit = np.full(shape, np.nan)
    simple: dict[str, FloatArray] = {}
    labels: dict[int, Labels] = {}
    regimes = np.full(stop, "", dtype="U32")
    for stretch in material.known():
        own = stretch.rows
        tell(f"volatility as {len(own)} of {len(rows)} sessions knew it")
        part = slice(own[0], own[-1] + 1)
        for name, values in _simple(stretch, multiple).items():
            simple.setdefault(name, np.full(shape, np.nan))[part] = values[part]
        assert stretch.labels.recent_volatility is not None, "beside the variances"
        unit[part] = stretch.labels.recent_volatility[part]
        labels[own[-1]] = stretch.labels
        for row in own:
            regimes[row] = stretch.market.regimes.label(row)
    judged = material.forecasts.judged
    if multiple is not None:
        simple = {"base_rate": judged[TRADED].base_rate[:stop], **simple}
        made = {name: arrays.calibrated[:stop] for name, arrays in judged.items()}
    else:
        made = {name: _variance(arrays.probability[:stop], unit) for name, arrays in judged.items()}
    volatility = VolatilityTrack("QLIKE" if multiple is None else "Brier score", made, simple)
    last = labels[rows[-1]].until(rows[-1])
    track = StudyTrack(
        sessions=material.sessions[:stop],
        symbols=material.symbols,
        forecasts={},
        targets=last.targets,
        returns=last.returns,
        realised_row=last.realised_row,
        months=np.array(material.month_by_row[:stop], dtype=np.str_),
        regimes=regimes,
        models=np.array([model or "" for model in material.model_by_row[:stop]], dtype=np.str_),
        first_rows=material.first_rows,
    )
    figures = figures_of_volatility(strategy, sessions_per_year, track, volatility, last, terms)
    return Study(track, {}, rows, figures, labels, material.costs, volatility=volatility)


def _simple(stretch: StudyStretch, multiple: float | None) -> dict[str, FloatArray]:
    """The simplest forecasts as the sessions of a stretch knew them, (bars, symbols)."""
    labels, bars = stretch.labels, len(stretch.labels.targets)
    assert labels.variance is not None, "labels of a volatility are made with it"
    with np.errstate(divide="ignore", invalid="ignore"):
        log_returns = np.log1p(stretch.market.returns[:bars])
    har = har_volatility(log_returns, labels.variance, labels.realised_row)
    if multiple is None:
        return {"ewma": stretch.market.volatility[:bars] ** 2, "har": har**2}
    assert labels.recent_volatility is not None, "beside the variances"
    threshold = multiple * labels.recent_volatility
    return {"har_implied": exceedance_probability(har, threshold, labels.variance, labels.realised_row)}


def _variance(share: FloatArray, unit: FloatArray) -> FloatArray:
    """Variance per session of forecasts as they are stored."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return share / (1.0 - share) * unit**2
