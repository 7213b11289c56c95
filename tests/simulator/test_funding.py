"""Simulated funding: as exchanges stamp it, the same in any span, and nothing that tells of returns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import SourceError
from nn_assets.settings import SimulatedFundingSettings
from nn_assets.simulator.funding import simulate_funding
from nn_assets.sources.answers import Scope
from nn_assets.sources.simulated import SimulatedFunding

DAYS = pd.date_range("2021-01-01", "2021-12-31")


def test_a_longer_span_of_more_symbols_repeats_a_shorter_one_to_the_bit() -> None:
    moments, rates = simulate_funding(np.array([1, 2, 3]), DAYS)
    some, of_some = simulate_funding(np.array([2]), DAYS[100:110])
    assert (moments[300:330] == some).all()
    assert np.array_equal(rates[300:330, [1]], of_some)


def test_three_payments_a_day_are_stamped_a_little_late() -> None:
    moments, rates = simulate_funding(np.array([1, 7]), DAYS)
    assert (moments.hour.to_numpy().reshape(-1, 3) == [0, 8, 16]).all()
    late = (moments - moments.floor("h")) / pd.Timedelta(milliseconds=1)
    assert late.max() < 30
    assert (late > 0).any()
    assert 0.5e-4 < rates.mean() < 1.5e-4, "longs usually pay, about 0.01%"
    assert 0.02 < (rates < 0.0).mean() < 0.4, "and at times receive"
    day_after = np.corrcoef(rates[:-3, 0], rates[3:, 0])[0, 1]
    assert day_after > 0.5, "funding persists"


def test_the_source_names_what_it_cannot_give() -> None:
    source = SimulatedFunding(Scope("24/7", ("SIM01",), DAYS[0].date()))
    frame = source.funding_rates((), None, DAYS[1])
    assert frame["symbol"].unique().tolist() == ["SIM01"]
    assert len(frame) == 6
    with pytest.raises(SourceError, match="a simulated symbol"):
        source.funding_rates(("BTC",), None, DAYS[1])
    with pytest.raises(SourceError, match="never ends by itself"):
        source.funding_rates(("SIM01",))
    settings = SimulatedFundingSettings.model_validate({"name": "f", "kind": "simulator_funding", "symbols": ["SIM01"]})
    assert settings.asked_of == "simulator"
