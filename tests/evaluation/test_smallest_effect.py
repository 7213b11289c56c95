"""The smallest effect of interest: a book that foretells just so much earns just that Sharpe ratio, by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from nn_assets.evaluation.smallest_effect import auc_of_ic, forecast_persistence, smallest_effect

COST, HORIZON, YEAR, VOLATILITY = 0.00063, 10, 252, 0.05


def _effect(names: int, rho: float, *, across: bool = True, configured_effect: float | None = None, cost: float = COST):
    generator = np.random.default_rng(1)
    rows = 3000
    forecasts = generator.standard_normal((rows, names))
    keeps = rho ** (1.0 / HORIZON) if rho else 0.0
    for row in range(1, rows):
        forecasts[row] = keeps * forecasts[row - 1] + math.sqrt(1.0 - keeps**2) * forecasts[row]
    returns = VOLATILITY * generator.standard_normal((rows, names))
    return smallest_effect(
        forecasts,
        returns,
        across_symbols=across,
        linear_cost=cost,
        horizon=HORIZON,
        sessions_per_year=YEAR,
        configured_effect=configured_effect,
    )


def _net_sharpe(ic: float, names: int, rho: float, horizons: int = 400_000) -> float:
    """A book in proportion to forecast / volatility, renewed once a horizon; costs on what it trades."""
    generator = np.random.default_rng(2)
    earned = []
    for _ in range(20):
        rows = horizons // (20 * names)
        forecasts = np.empty((rows, names))
        forecasts[0] = generator.standard_normal(names)
        shocks = generator.standard_normal((rows, names))
        for row in range(1, rows):
            forecasts[row] = rho * forecasts[row - 1] + math.sqrt(1.0 - rho**2) * shocks[row]
        noise = generator.standard_normal((rows, names))
        returns = VOLATILITY * (ic * forecasts + math.sqrt(1.0 - ic**2) * noise)
        weights = forecasts / VOLATILITY
        traded = np.abs(np.diff(weights, axis=0)).sum(axis=1)
        earned.append((weights * returns).sum(axis=1)[1:] - COST * traded)
    net = np.concatenate(earned)
    return float(net.mean() / net.std() * math.sqrt(YEAR / HORIZON))


@pytest.mark.parametrize(("names", "rho"), [(40, 0.0), (40, 0.6), (10, 0.6), (100, 0.9)])
def test_a_book_with_just_that_ic_earns_half_a_sharpe(names: int, rho: float) -> None:
    effect = _effect(names + 1, rho)  # one name less: the mean that the session's names share
    ic = float(effect.derivation.split("IC ")[-1].split(" ")[0])
    assert _net_sharpe(ic, names, rho) == pytest.approx(0.5, abs=0.06)


def test_a_panel_never_looks_for_less_than_the_least_the_field_reports() -> None:
    wide = _effect(500, 0.6, cost=0.0)
    assert wide.value == 0.02
    assert "above that at which a net Sharpe of 0.5 is earned" in wide.derivation
    assert _effect(20, 0.0).value > 0.02


@pytest.mark.full
def test_the_auc_of_an_ic_is_that_of_simulated_forecasts() -> None:
    generator = np.random.default_rng(3)
    for ic in (0.02, 0.05, 0.10):
        forecast = generator.standard_normal(1_000_000)
        outcome = ic * forecast + math.sqrt(1.0 - ic**2) * generator.standard_normal(len(forecast))
        assert auc_of_ic(ic) == pytest.approx(roc_auc_score(outcome > 0.0, forecast), abs=0.0015)


def test_one_instrument_is_judged_by_the_auc_at_which_it_pays() -> None:
    effect = _effect(1, 0.6, across=False)
    ic = 0.5 / math.sqrt(YEAR / HORIZON) + 2.0 / math.sqrt(math.pi) * math.sqrt(1.0 - 0.6) * COST / VOLATILITY
    assert 0.5 + effect.value == pytest.approx(auc_of_ic(ic), abs=0.002)
    assert effect.breadth == 1.0


def test_two_instruments_that_move_together_are_little_more_than_one() -> None:
    generator = np.random.default_rng(4)
    common = generator.standard_normal((2000, 1))
    returns = VOLATILITY * (0.95 * common + 0.3 * generator.standard_normal((2000, 2)))
    terms = {"linear_cost": COST, "horizon": HORIZON, "sessions_per_year": YEAR}
    forecasts = generator.standard_normal((2000, 2))
    effect = smallest_effect(forecasts, returns, across_symbols=False, **terms)
    assert 1.0 < effect.breadth < 1.1


def test_a_stated_effect_stands_for_the_derived_one_and_says_so() -> None:
    assert _effect(40, 0.0, configured_effect=0.03).value == 0.03
    assert _effect(40, 0.0, configured_effect=0.03).derivation == "stated in the settings"


def test_the_derivation_tells_every_number_it_used() -> None:
    derivation = _effect(41, 0.6).derivation
    for part in ("0.5 / sqrt(1008 bets a year)", "6.3 bps", "volatility of 0.0", "keeps 0.6"):
        assert part in derivation, derivation


def test_nothing_known_of_the_returns_leaves_the_costs_out() -> None:
    nothing = np.full((100, 1), np.nan)
    effect = smallest_effect(nothing, nothing, across_symbols=False, linear_cost=COST, horizon=5, sessions_per_year=252)
    assert 0.0 < effect.value < 0.1
    assert "unknown volatility" in effect.derivation


def test_persistence_is_the_correlation_a_horizon_apart() -> None:
    generator = np.random.default_rng(5)
    values = np.cumsum(generator.standard_normal((4000, 3)), axis=0)
    values = values - values.mean(axis=0)
    assert forecast_persistence(values, 1) > 0.99
    assert forecast_persistence(generator.standard_normal((4000, 3)), 5) == pytest.approx(0.0, abs=0.03)
    assert forecast_persistence(np.full((50, 2), 0.5), 5) == 0.0


def test_a_panel_without_any_forecast_has_the_breadth_of_its_names() -> None:
    nothing = np.full((100, 41), np.nan)
    effect = smallest_effect(nothing, nothing, across_symbols=True, linear_cost=COST, horizon=5, sessions_per_year=252)
    assert effect.breadth == 40.0
