"""Ranges of processes whose level, half-life and spread are known; none of random walks."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import SettingsError
from nn_assets.operations.ranges import ranges_on, ranges_text
from nn_assets.settings import Strategy
from nn_assets.settings.beside_signals import RangeSettings
from nn_assets.signals.ranges import NO_CLOSES, NO_VOLATILITY, TOO_DEAR, TRENDING, WIDE, Ranges, suggest_ranges

WINDOW = RangeSettings().window_sessions


def reverting_price(phi: float, series: int, seed: int = 1, sd: float = 0.03) -> np.ndarray:
    """Log prices about log 50, stationary from the first, (window, series); their noise is of sd x sqrt(1 - phi^2)."""
    random = np.random.default_rng(seed)
    values = np.empty((WINDOW, series))
    values[0] = sd * random.normal(size=series)
    for row in range(1, WINDOW):
        values[row] = phi * values[row - 1] + sd * np.sqrt(1.0 - phi**2) * random.normal(size=series)
    return np.log(50.0) + values


def walks(series: int, seed: int = 2) -> np.ndarray:
    return np.log(50.0) + 0.01 * np.random.default_rng(seed).normal(size=(WINDOW, series)).cumsum(axis=0)


def suggested(
    log_closes: np.ndarray, volatility: float, *, cost: float = 0.001, settings: RangeSettings | None = None
) -> Ranges:
    series = log_closes.shape[1]
    symbols = tuple(f"S{number}" for number in range(series))
    close, same = np.exp(log_closes[-1]), np.ones(series)
    return suggest_ranges(symbols, log_closes, close, volatility * same, cost * same, settings or RangeSettings())


def volatility_of(phi: float, sd: float = 0.03) -> float:
    return sd * float(np.sqrt(2.0 * (1.0 - phi)))


@pytest.mark.parametrize(("half_life", "reverting"), [(3.0, 0.99), (5.0, 0.95), (8.0, 0.7)])
def test_half_life_and_bounds_of_a_reverting_price_are_the_true_ones(half_life: float, reverting: float) -> None:
    phi = float(0.5 ** (1.0 / half_life))
    ranges = suggested(reverting_price(phi, 400), volatility_of(phi))
    assert ranges.reverting.mean() >= reverting
    assert np.nanmedian(ranges.half_life) == pytest.approx(half_life, rel=0.15)
    assert np.nanmedian(ranges.level) == pytest.approx(50.0, rel=0.005)
    assert np.nanmedian(ranges.lower) == pytest.approx(50.0 * np.exp(-2.0 * 0.03), rel=0.01)
    assert np.nanmedian(ranges.upper) == pytest.approx(50.0 * np.exp(2.0 * 0.03), rel=0.01)
    # The next sessions stay within: 95.4% of a normal lies within two deviations.
    later = reverting_price(phi, 400, seed=9)[:60, :]
    inside = (np.exp(later) > ranges.lower) & (np.exp(later) < ranges.upper)
    assert np.mean(inside[:, ranges.reverting]) == pytest.approx(0.954, abs=0.05)


def test_a_random_walk_has_no_range_in_at_least_95_of_100_draws() -> None:
    ranges = suggested(walks(2000), 0.01)
    assert ranges.reverting.mean() <= 0.05
    assert ranges.reverting.mean() == pytest.approx(RangeSettings().significance, abs=0.012)
    assert set(np.array(ranges.said)[~ranges.reverting]) == {TRENDING}


def test_a_trend_has_none_either() -> None:
    drift = np.arange(WINDOW)[:, None] * 0.002
    assert suggested(walks(500) + drift, 0.01).reverting.mean() <= 0.03


def test_the_range_is_that_of_the_forecast_volatility() -> None:
    closes = reverting_price(0.8, 20)
    calm, wild = (suggested(closes, sigma) for sigma in (0.01, 0.02))
    width = [np.log(ranges.upper / ranges.lower) for ranges in (calm, wild)]
    np.testing.assert_allclose(width[1], 2.0 * width[0])
    np.testing.assert_allclose(calm.level, wild.level)


def test_no_step_is_narrower_than_a_round_trip_costs() -> None:
    closes, sigma = reverting_price(0.8, 50), volatility_of(0.8)
    for cost in (0.0001, 0.01, 0.03, 0.1):
        ranges = suggested(closes, sigma, cost=cost)
        reverting = ranges.reverting
        assert reverting.any()
        assert (ranges.spacing[reverting] >= cost).all()
        assert (ranges.steps[reverting] <= 10).all()
        whole_way = (1.0 + ranges.spacing[reverting]) ** ranges.steps[reverting]
        np.testing.assert_allclose(ranges.lower[reverting] * whole_way, ranges.upper[reverting])
    assert set(suggested(closes, sigma, cost=1.0).said) <= {TOO_DEAR, TRENDING}


def test_what_is_missing_is_said() -> None:
    closes = reverting_price(0.7, 4)
    closes[10, 0] = np.nan
    symbols, price = ("GAP", "FLAT", "DARK", "FINE"), np.exp(closes[-1])
    closes[:, 1] = closes[0, 1]
    volatility = np.array([0.02, 0.02, np.nan, 0.02])
    ranges = suggest_ranges(symbols, closes, price, volatility, np.full(4, 0.001), RangeSettings())
    assert ranges.said == (NO_CLOSES, TRENDING, NO_VOLATILITY, WIDE)
    assert np.isfinite(ranges.level).tolist() == [False, False, False, True]
    frame = ranges.to_frame(pd.Timestamp("2020-01-02"))
    assert frame["said"].tolist() == list(ranges.said)
    short = suggest_ranges(symbols, closes[-60:], price, volatility, np.full(4, 0.001), RangeSettings())
    assert set(short.said) == {NO_CLOSES}
    assert suggest_ranges((), closes[:, :0], price[:0], price[:0], price[:0], RangeSettings()).said == ()


def test_sessions_before_the_window_are_not_read() -> None:
    closes = reverting_price(0.8, 5)
    before = np.vstack([np.full((30, 5), np.nan), closes])
    for name in ("level", "spacing", "p_value"):
        np.testing.assert_array_equal(getattr(suggested(before, 0.02), name), getattr(suggested(closes, 0.02), name))


def test_ranges_that_nobody_asked_for_are_refused_with_the_line_that_asks() -> None:
    strategy = Strategy.model_validate({"name": "s", "market": {"history_starts": "2014-01-02"}})
    with pytest.raises(SettingsError, match=r"found none.*ranges: \{\}"):
        ranges_on(SimpleNamespace(strategy=strategy), pd.Timestamp("2016-01-04"))  # type: ignore[arg-type]
    asking = Strategy.model_validate({**strategy.model_dump(mode="json"), "ranges": {}})
    assert asking.content_hash() == strategy.content_hash()  # no result changes


def test_the_terminal_names_the_fastest() -> None:
    ranges = suggested(reverting_price(0.7, 4), volatility_of(0.7))
    fastest = ranges.symbols[int(np.nanargmin(ranges.half_life))]
    assert ranges_text(ranges).startswith(f"ranges: {int(ranges.reverting.sum())} of 4 prices revert to a level, ")
    assert f"fastest {fastest} " in ranges_text(ranges)
