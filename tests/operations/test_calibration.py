"""The calibration in force in a month: one for study and live, made of what was known before the month alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from nn_assets.learning.calibration import Calibration
from nn_assets.learning.evidence import effective_outcomes
from nn_assets.learning.forecasts import ForecastArrays, Forecasts
from nn_assets.operations.decisions import lookahead
from nn_assets.operations.decisions.lookahead import signals_repeat_forecasts
from nn_assets.operations.history import History, open_history
from nn_assets.operations.models.calibration import calibrate_forecasts, calibration_of
from nn_assets.operations.models.forecasts import forecasts_of_months
from nn_assets.operations.models.stored import load_model
from tests.operations.homes import months_between
from tests.operations.test_as_known import END, FIRST_MONTH, SYMBOLS, Lived, strategy
from tests.orchestration.conftest import living_in

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def history(goes_on: Lived) -> Iterator[History]:
    """A home in which bars were restated, a split was told late, and live sessions are decided."""
    with living_in(goes_on.home), open_history(strategy()) as opened:
        yield opened


@pytest.fixture(scope="module")
def record(history: History) -> Forecasts:
    return forecasts_of_months(history, months_between(FIRST_MONTH, END[:7]))


@pytest.fixture(scope="module")
def calibrated(history: History, record: Forecasts) -> Forecasts:
    return calibrate_forecasts(history, record)


def starts(history: History, month: str) -> int:
    return int(history.axis.searchsorted(pd.Timestamp(month)))


def of_month(history: History, record: Forecasts, month: str) -> Calibration:
    return calibration_of(history, record.rows(slice(starts(history, month) + 1)), "network")


@pytest.mark.full
def test_a_study_and_the_live_decisions_have_the_same_bits(history: History, record: Forecasts) -> None:
    compared, differing = signals_repeat_forecasts(history)
    assert (compared > 20, differing) == (True, [])
    decisions = history.stores.ledger.read("decisions", "known")
    calibrations = {f"{row.session:%Y-%m}": row.details["calibration"] for row in decisions.itertuples()}
    assert len(calibrations) == 2
    for month, calibration in calibrations.items():
        assert of_month(history, record, month).to_dict() == calibration
    signals = history.stores.ledger.read("signals", "known")
    assert signals["base_rate"].tolist() == [calibrations[f"{day:%Y-%m}"]["base_rate"] for day in signals["session"]]


@pytest.mark.parametrize(("moved", "agrees"), [(2e-9, True), (1e-5, False), (np.nan, False)])
def test_a_study_of_another_processor_agrees_and_one_of_other_forecasts_does_not(
    history: History, calibrated: Forecasts, monkeypatch: pytest.MonkeyPatch, moved: float, agrees: bool
) -> None:
    def elsewhere(_: History, record: Forecasts, estimators: list[str]) -> Forecasts:
        assert (record.model_ids, estimators) == (calibrated.model_ids, ["network"])
        arrays = calibrated["network"]
        moving = replace(arrays, probability=arrays.probability + moved)
        return replace(calibrated, estimators={**calibrated.estimators, "network": moving})

    monkeypatch.setattr(lookahead, "calibrate_forecasts", elsewhere)
    compared, differing = signals_repeat_forecasts(history)
    assert compared > 20
    assert (not differing) is agrees


def test_the_first_month_is_calibrated_on_the_held_out_slice_of_its_model(history: History, record: Forecasts) -> None:
    start = starts(history, FIRST_MONTH)
    model = load_model(history.stores, next(candidate for candidate in record.model_ids if candidate))
    slice_ = model.fold.calibration
    known = history.cut_for(history.axis[start - 1]).labels.until(start - 1).targets[slice_]
    calibration = of_month(history, record, FIRST_MONTH)
    assert slice_.stop <= start
    assert 0 < calibration.outcomes <= np.isfinite(known).sum()


def test_it_is_the_regression_of_the_whole_record_before_the_month(history: History, record: Forecasts) -> None:
    """Gathered row by row and fitted by statsmodels; this strategy states a prior of 0, which counts as 1."""
    start = starts(history, "2016-08")
    labels = history.cut_for(history.axis[start - 1]).labels
    first = load_model(history.stores, next(candidate for candidate in record.model_ids if candidate))
    rows = []
    for row in range(start):
        model_id = record.model_ids[row]
        if model_id is None or labels.realised_row[row] >= start:
            continue
        kept = load_model(history.stores, model_id).validation_forecasts
        kept = kept.loc[kept["estimator"] == "network", "probability"].to_numpy()
        logits = np.log(kept / (1 - kept))
        for column, symbol in enumerate(SYMBOLS):  # of a home that names none: those of August
            p, y = record["network"].probability[row, record.symbols.index(symbol)], labels.targets[row, column]
            if np.isfinite(p) and np.isfinite(y):
                rows.append((row, (np.log(p / (1 - p)) - logits.mean()) / logits.std(), y))
    observations = pd.DataFrame(rows, columns=["row", "score", "outcome"])
    calibration = of_month(history, record, "2016-08")
    of_slice = calibration.outcomes - len(observations)
    assert 0 < of_slice <= (first.fold.calibration.stop - first.fold.calibration.start) * len(record.symbols)
    # The slice is older and small: the regression without it is near, not equal.
    observations["weight"] = 0.5 ** ((start - observations["row"]) / 252)
    right = ((observations["score"] > 0) == (observations["outcome"] > 0.5)).groupby(observations["row"]).sum()
    names, weight = observations.groupby("row").size(), observations.groupby("row")["weight"].first()
    worth = effective_outcomes(right, names, 3, weight)[-1]
    share = worth * observations["weight"] / observations["weight"].sum()
    fit = sm.GLM(
        observations["outcome"], sm.add_constant(observations["score"]), sm.families.Binomial(), freq_weights=share
    ).fit()
    print(f"slope {calibration.slope:.3f}, by statsmodels without the first slice {fit.params['score']:.3f}")
    assert calibration.slope == pytest.approx(max(0.0, fit.params["score"]), abs=2 * fit.bse["score"])


@pytest.mark.full
def test_nothing_of_the_month_itself_or_later_is_read(history: History, record: Forecasts) -> None:
    start = starts(history, "2016-07")
    shuffled = np.random.default_rng(0)
    changed = {}
    for name, arrays in record.estimators.items():
        probability, dispersion = arrays.probability.copy(), arrays.dispersion.copy()
        probability[start:] = shuffled.random(probability[start:].shape)
        dispersion[start:] = np.nan
        changed[name] = replace(arrays, probability=probability, dispersion=dispersion)
    other = Forecasts(record.sessions, record.symbols, changed, record.model_ids)
    for month in ("2016-06", "2016-07"):
        assert of_month(history, other, month) == of_month(history, record, month)
    assert of_month(history, other, "2016-08") != of_month(history, record, "2016-08")


def test_every_session_of_a_month_has_the_same_calibration_and_every_estimator_its_own(
    history: History, record: Forecasts, calibrated: Forecasts
) -> None:
    rates = {}
    for name, arrays in calibrated.estimators.items():
        there = np.isfinite(arrays.probability)
        for values in (arrays.calibrated, arrays.base_rate, arrays.confidence):
            assert np.array_equal(np.isfinite(values), there)
        by_month = pd.DataFrame(arrays.base_rate, index=history.axis.strftime("%Y-%m")).stack().dropna()
        assert (by_month.groupby(level=0).nunique() == 1).all()
        rates[name] = by_month.groupby(level=0).first().to_list()
    assert len({tuple(monthly) for monthly in rates.values()}) == 3
    alone = calibrate_forecasts(history, record, ["linear"])
    assert np.array_equal(alone["linear"].calibrated, calibrated["linear"].calibrated, equal_nan=True)
    assert np.isnan(alone["network"].calibrated).all()
    assert isinstance(alone["network"], ForecastArrays)


def test_out_of_sample_the_median_confidence_is_one(calibrated: Forecasts) -> None:
    confidence = calibrated["network"].confidence
    assert np.nanmedian(confidence) > 0.9
    assert np.nanmax(confidence) == 1.0
