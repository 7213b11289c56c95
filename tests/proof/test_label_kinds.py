"""Labels of every kind find what is planted, promise what is there to earn, and find nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pytest

from tests.proof.label_kinds import measure, measure_volatility

pytestmark = pytest.mark.full
PANEL = {"names": 20, "sessions": 1500, "persistence": 0.95, "horizon": 5, "learning": {"ensemble": 3}}
KINDS = ("direction_relative", "return_zscored_relative", "return_zscored", "threshold_move", "threshold_move down")


@pytest.mark.parametrize("kind", KINDS)
def test_forecasts_rank_names_as_the_planted_signal_does_and_its_book_earns(kind: str) -> None:
    made = [measure(PANEL | {"seed": seed, "rank_ic": 0.08}, kind) for seed in (1, 2)]
    linear, network = (
        {key: float(np.mean([one[name][key] for one in made])) for key in made[0][name]}
        for name in ("linear", "network")
    )
    assert linear["rank IC of forecasts with the truth"] > 0.4
    assert network["rank IC of forecasts with the truth"] > 0.25
    for of in (linear, network):
        assert of["rank IC of promises with the truth"] > 0.25
        assert 0.4 < of["truth on promise"] < 1.5
        assert of["gross Sharpe"] > 1.0
        assert of["rank IC t"] > 2.5


@pytest.mark.parametrize("kind", KINDS)
def test_where_nothing_is_planted_nothing_is_found(kind: str) -> None:
    made = measure(PANEL | {"seed": 3, "rank_ic": 0.0}, kind, books=False)
    assert made["market"]["alarms"] == 0.0
    for name in ("linear", "network"):
        assert abs(made[name]["rank IC t"]) < 3.0


def test_a_network_that_learns_volatility_beats_the_recent_one_out_of_sample() -> None:
    made = [measure_volatility(PANEL | {"names": 10, "seed": seed, "rank_ic": 0.0}) for seed in (1, 2, 3)]
    mean = {name: float(np.mean([one[name] for one in made])) for name in made[0]}
    assert mean["network"] < mean["sigma_20"]
    assert mean["linear"] < mean["sigma_20"]
