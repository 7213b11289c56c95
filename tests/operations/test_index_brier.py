"""The two indexes that ship with the package, networks kept small: their forecasts against the base rate.

The index strategy's own study (LSTM, five seeds) had a Brier score of 0.2489 where the base rate of its record,
which nobody knew beforehand, has 0.2449; calibrated on the record it has 0.2462.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.history import open_history
from nn_assets.operations.models.calibration import calibrate_record, calibration_of
from nn_assets.operations.models.forecasts import forecast_record
from tests.operations.homes import months_between, take_in, train
from tests.orchestration.conftest import living_in

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


def test_calibrated_forecasts_are_not_worse_than_the_base_rate_by_more_than_noise(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "strategies"
    folder.mkdir(parents=True)
    (folder / "indexes.yaml").write_text(yaml.safe_dump(STRATEGY), encoding="utf-8")
    with living_in(tmp_path / "home"):
        strategy = find_strategy("indexes").strategy
        take_in(strategy)
        train(strategy, MONTHS)
        with open_history(strategy) as history:
            record = forecast_record(history, MONTHS)
            made = calibrate_record(history, record)
            outcome = history.view().labels.targets
            worth = {name: calibration_of(history, record, name).effective_outcomes for name in made.estimators}
    for name, arrays in made.estimators.items():
        known = np.isfinite(arrays.calibrated) & np.isfinite(outcome)
        y = outcome[known]
        raw, calibrated, base = (
            float(np.mean((values[known] - y) ** 2))
            for values in (arrays.probability, arrays.calibrated, arrays.base_rate)
        )
        hindsight, noise = float(y.mean() * (1.0 - y.mean())), 0.25 / worth[name]
        told = (
            f"raw {raw:.4f}, calibrated {calibrated:.4f}, base rate known then {base:.4f}, in hindsight {hindsight:.4f}"
        )
        print(f"{name}: Brier {told}; a slope's noise {noise:.4f}")
        assert np.nanmedian(arrays.confidence) == 1.0
        assert calibrated < raw
        assert calibrated < base + noise
        assert calibrated < hindsight + 0.002
