"""The forecast of volatility that sizes are made of: from the record to signals, sizes, costs and what is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import Replay, replay
from nn_assets.features.labels import make_labels
from nn_assets.learning.forecasts import ForecastArrays
from nn_assets.reports.round_notices import volatility_notices
from nn_assets.session.volatility_used import volatility_used
from nn_assets.signals import volatility
from tests.session.worlds import World, world, world_strategy

BARS, TRUE = 400, 0.012  # of the world's returns: constant, so that a long memory is better than an EWMA's


@pytest.fixture(autouse=True)
def _judged_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volatility, "FEWEST_JUDGED", 60)
    monkeypatch.setattr(volatility, "FEWEST_FITTED", 40)


def asking(kind: str, bars: int = BARS, **portfolio: object) -> World:
    of = world(world_strategy(volatility=kind, **portfolio), bars)
    return replace(of, labels=make_labels(of.panel, of.strategy.label, variance=kind != "ewma"))


def knowing(of: World) -> ForecastArrays:
    """Forecasts of volatility that are the truth, as they are stored."""
    recent = of.labels.recent_volatility
    assert recent is not None
    variance = TRUE**2 / recent**2
    return replace(of.forecasts, probability=variance / (1.0 + variance))


def played(of: World, rows: range, network: ForecastArrays | None = None) -> Replay:
    strategy = of.strategy
    return replay(strategy, cost_model_from(strategy.costs), 252, [of.scene(rows, network_volatility=network)])


@pytest.mark.parametrize("construction", ["per_name", "programme"])
def test_sizes_are_made_of_the_better_forecast_and_costs_of_the_recent_volatility(construction: str) -> None:
    loose = {"kelly_fraction": 0.02, "single_name_limit": 1.0, "gross_limit": 5.0, "net_limit": 5.0}
    of, plain = (asking(kind, construction=construction, **loose) for kind in ("har", "ewma"))
    rows = range(380, 392)
    after, before = played(of, rows).rounds[-1], played(plain, rows).rounds[-1]
    used = volatility_used(of.strategy, of.market, of.labels)
    row = rows[-1]
    ewma = of.market.volatility[row]
    assert used.at(row).used == "har"
    assert np.abs(np.log(used.sigma[row] / TRUE)).mean() < 0.5 * np.abs(np.log(ewma / TRUE)).mean()
    np.testing.assert_array_equal(after.signals.forecast_volatility, used.sigma[row])
    np.testing.assert_array_equal(before.signals.forecast_volatility, ewma)
    np.testing.assert_array_equal(after.decision.inputs.priced_volatility, ewma)
    np.testing.assert_allclose(
        after.signals.mean_win / after.signals.mean_win[0], used.sigma[row] / used.sigma[row, 0], rtol=1e-12
    )
    assert (after.decision.target_weight != before.decision.target_weight).any()
    if after.decision.inputs.programme is not None:
        np.testing.assert_array_equal(after.decision.inputs.programme.label_volatility, used.sigma[row])
    assert before.volatility is None
    assert volatility_notices(before) == []
    (said,) = volatility_notices(after)
    assert said.startswith("Volatility by HAR: proved better at 5.0%: QLIKE of HAR less that of the EWMA -0.")


def test_without_the_setting_every_bit_is_the_ewmas_and_the_label_has_no_variance() -> None:
    of = asking("ewma")
    assert of.labels.variance is None
    used = volatility_used(of.strategy, of.market, of.labels)
    assert used.sigma.tobytes() == of.market.volatility.tobytes()
    assert used.names == ("ewma",)
    record = played(of, range(200, 203)).rounds[-1]
    expected = of.signals(202)
    for name in ("mean_win", "mean_loss", "expected_return", "forecast_volatility"):
        assert getattr(record.signals, name).tobytes() == getattr(expected, name).tobytes()


def test_the_network_is_used_where_it_beats_both_and_its_units_are_the_recent_volatility() -> None:
    of = asking("network")
    used = volatility_used(of.strategy, of.market, of.labels, knowing(of))
    row = BARS - 1
    assert used.at(row).used == "network"
    np.testing.assert_allclose(used.sigma[row], TRUE, rtol=1e-12)
    assert {(one.candidate, one.simpler) for one in used.comparisons} == {
        ("har", "ewma"),
        ("network", "ewma"),
        ("network", "har"),
    }
    alone = volatility_used(of.strategy, of.market, of.labels)
    assert alone.at(row).used == "har"
    assert alone.comparisons[-1].sessions[row] == 0


@pytest.mark.parametrize("kind", ["har", "network"])
def test_a_history_that_ends_here_chooses_the_same_to_the_bit(kind: str) -> None:
    of = asking(kind)
    network = knowing(of) if kind == "network" else None
    whole = volatility_used(of.strategy, of.market, of.labels, network)
    for bars in (250, 331, 390):
        short = asking(kind, bars)
        cut = None if network is None else network.at(slice(bars))
        then = volatility_used(of.strategy, short.market, short.labels, cut)
        assert then.sigma.tobytes() == whole.sigma[:bars].tobytes()
        known = volatility_used(of.strategy, of.market.until(bars - 1), of.labels.until(bars - 1), cut)
        assert known.sigma.tobytes() == whole.sigma[:bars].tobytes()
        assert then.at(bars - 1) == whole.at(bars - 1) == known.at(bars - 1)
