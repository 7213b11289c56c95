"""Results of whole months, against a loop over the sessions."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from nn_assets.evaluation.monthly import monthly_results


def test_returns_compound_and_turnover_adds_up() -> None:
    rng = np.random.default_rng(3)
    days = pd.date_range("2026-01-05", periods=5)
    daily = pd.DataFrame(
        [(track, day, *rng.normal(0.0, 0.02, 2), rng.uniform()) for day in days for track in ("network", "linear")],
        columns=["track", "session", "net_return", "gross_return", "turnover"],
    )
    results = monthly_results(daily).set_index("track")
    assert list(results.index) == ["linear", "network"]
    for track, rows in daily.groupby("track"):
        for name in ("net_return", "gross_return"):
            grown = 1.0
            for value in rows[name]:
                grown *= 1.0 + value
            assert results.loc[track, name] == pytest.approx(grown - 1.0, abs=1e-15)
        assert results.loc[track, "turnover"] == pytest.approx(sum(rows["turnover"]))
        assert results.loc[track, "sessions"] == 5


def test_a_return_that_is_missing_is_missing_in_the_month() -> None:
    daily = pd.DataFrame(
        {"track": "network", "session": [1, 2], "net_return": [0.1, math.nan], "gross_return": 0.1, "turnover": 0.0}
    )
    result = monthly_results(daily).iloc[0]
    assert math.isnan(result["net_return"])
    assert result["gross_return"] == pytest.approx(0.21)
