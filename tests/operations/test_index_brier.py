"""The two indexes that ship with the package, networks kept small: their forecasts against the base rate.

The figures are published in ``docs/proof.md``, which says what boosting misses. The index strategy's own LSTM is in no
test: its study had a Brier score of 0.2489 uncalibrated where the base rate of its record, which nobody knew
beforehand, has 0.2449, and 0.2462 when it was last calibrated on the record.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import yaml

from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.history import open_history
from nn_assets.operations.models.calibration import calibrate_forecasts, calibration_of
from nn_assets.operations.models.forecasts import forecasts_of_months
from tests.operations.homes import months_between, take_in, train
from tests.orchestration.conftest import living_in
from tests.proof.calibration import HINDSIGHT_WITHIN, INDEX_SCORES

pytestmark = pytest.mark.full

MONTHS = months_between("2002-05", "2017-12")
STRATEGY = {
    "name": "indexes",
    "source": {"kind": "bundled"},
    "market": {
        "symbols": ["SP500", "NASDAQ"],
        "history_starts": "1999-01-04",
        "history_ends": "2017-12-29",
    },
    "label": {"horizon_sessions": 5, "execution": "next_close"},
    "learning": {"network": "mlp", "lookback": 5, "hidden": 8, "layers": 1, "ensemble": 3, "processes": 1},
    "walk_forward": {"refit_every_months": 12},
}


NAMES = tuple(INDEX_SCORES)
Scores = Mapping[str, float]


# A bound that the network and the linear model keep to, and boosting does not.
_MISSED = pytest.mark.xfail(strict=True, raises=AssertionError, reason="published as missed in docs/proof.md")
missed_by_boosting = pytest.mark.parametrize("name", ["network", "linear", pytest.param("boosting", marks=_MISSED)])


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Scores]:
    """Brier scores of every estimator, raw, calibrated and of its base rates, and a slope's noise."""
    home = tmp_path_factory.mktemp("indexes")
    folder = home / "strategies"
    folder.mkdir()
    (folder / "indexes.yaml").write_text(yaml.safe_dump(STRATEGY), encoding="utf-8")
    with living_in(home):
        strategy = find_strategy("indexes").strategy
        take_in(strategy)
        train(strategy, MONTHS)
        with open_history(strategy) as history:
            record = forecasts_of_months(history, MONTHS)
            made = calibrate_forecasts(history, record)
            outcome = history.view().labels.targets
            worth = {name: calibration_of(history, record, name).effective_outcomes for name in made.estimators}
    result: dict[str, Scores] = {}
    for name, arrays in made.estimators.items():
        known = np.isfinite(arrays.calibrated) & np.isfinite(outcome)
        y = outcome[known]
        result[name] = {
            "raw": float(np.mean((arrays.probability[known] - y) ** 2)),
            "calibrated": float(np.mean((arrays.calibrated[known] - y) ** 2)),
            "base": float(np.mean((arrays.base_rate[known] - y) ** 2)),
            "hindsight": float(y.mean() * (1.0 - y.mean())),
            "noise": 0.25 / worth[name],
            "confidence": float(np.nanmedian(arrays.confidence)),
        }
        print(name, {what: round(value, 5) for what, value in result[name].items()})
    return result


@pytest.mark.parametrize("name", NAMES)
def test_the_published_scores_are_those_measured(scores: Mapping[str, Scores], name: str) -> None:
    published = INDEX_SCORES[name]
    measured = {what: scores[name][what] for what in published}
    assert measured == pytest.approx(published, abs=2e-5)  # processors round in their own ways


@pytest.mark.parametrize("name", NAMES)
def test_calibrated_forecasts_are_better_than_the_raw_ones(scores: Mapping[str, Scores], name: str) -> None:
    assert set(scores) == set(NAMES)
    assert scores[name]["confidence"] == 1.0
    assert scores[name]["calibrated"] < scores[name]["raw"]


@missed_by_boosting
def test_calibrated_forecasts_are_not_worse_than_the_base_rate_by_more_than_noise(
    scores: Mapping[str, Scores], name: str
) -> None:
    score = scores[name]
    assert score["calibrated"] < score["base"] + score["noise"]


@missed_by_boosting
def test_calibrated_forecasts_are_near_the_base_rate_known_in_hindsight(
    scores: Mapping[str, Scores], name: str
) -> None:
    assert scores[name]["calibrated"] < scores[name]["hindsight"] + HINDSIGHT_WITHIN
