"""Signals and their outcome statistics against brute force, and the proof that they do not look ahead."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn_assets.contracts import SIGNALS, validate
from nn_assets.errors import SchemaError
from nn_assets.learning.evidence import effective_outcomes
from nn_assets.learning.forecasts import ForecastArrays
from nn_assets.signals.signals import (
    Outcomes,
    ewma_volatility,
    make_signals,
    outcome_statistics,
    signals_frame,
)

HORIZON = 5


def history(bars: int, symbols: int, seed: int, lag: int = 6) -> tuple[np.ndarray, ...]:
    generator = np.random.default_rng(seed)
    probability = np.round(generator.uniform(0.3, 0.7, (bars, symbols)), 1)  # 0.5 happens
    probability[generator.random((bars, symbols)) < 0.1] = np.nan
    returns = generator.normal(0.0, 0.02, (bars, symbols))
    returns[generator.random((bars, symbols)) < 0.1] = np.nan
    returns[generator.random((bars, symbols)) < 0.05] = 0.0
    volatility = generator.uniform(0.005, 0.05, (bars, symbols))
    volatility[generator.random((bars, symbols)) < 0.05] = np.nan
    return probability, returns, np.arange(bars) + lag, volatility


def counted_by_hand(
    p: np.ndarray, r: np.ndarray, realised: np.ndarray, sigma: np.ndarray, row: int
) -> tuple[float, float, int, list[tuple[int, int]]]:
    wins, losses, sessions = [], [], []
    for bar in range(len(p)):
        if not 0 <= realised[bar] <= row:
            continue
        before = len(wins), len(losses)
        for symbol in range(p.shape[1]):
            if np.isnan([p[bar, symbol], r[bar, symbol], sigma[bar, symbol]]).any() or p[bar, symbol] == 0.5:
                continue
            earned = r[bar, symbol] if p[bar, symbol] > 0.5 else -r[bar, symbol]
            (wins if earned > 0 else losses).append(abs(earned) / (sigma[bar, symbol] * 5**0.5))
        won, lost = len(wins) - before[0], len(losses) - before[1]
        if won + lost:
            sessions.append((won, won + lost))
    mean = [float(np.mean(part)) if part else np.nan for part in (wins, losses)]
    return mean[0], mean[1], len(sessions), sessions


@pytest.mark.full
@settings(max_examples=30, deadline=None)
@given(bars=st.integers(1, 40), symbols=st.integers(1, 4), seed=st.integers(0, 10_000), lag=st.integers(1, 8))
def test_every_rows_statistics_are_those_counted_by_hand(bars: int, symbols: int, seed: int, lag: int) -> None:
    p, r, realised, sigma = history(bars, symbols, seed, lag)
    statistics = outcome_statistics(p, r, realised, sigma, HORIZON)
    for row in range(bars):
        win, loss, count, sessions = counted_by_hand(p, r, realised, sigma, row)
        assert statistics.sessions[row] == count
        np.testing.assert_allclose([statistics.mean_win[row], statistics.mean_loss[row]], [win, loss], rtol=1e-12)
        worth = effective_outcomes(*zip(*sessions, strict=True), HORIZON)[-1] if sessions else 0.0
        assert statistics.count[row] == worth


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(2, 99), seed=st.integers(0, 10_000))
def test_a_longer_history_changes_no_bit_of_an_earlier_row(cut: int, seed: int) -> None:
    p, r, realised, sigma = history(100, 3, seed)
    whole = outcome_statistics(p, r, realised, sigma, HORIZON)
    short = outcome_statistics(p[:cut], r[:cut], realised[:cut], sigma[:cut], HORIZON)
    for name in ("mean_win", "mean_loss", "count", "sessions"):
        np.testing.assert_array_equal(getattr(whole, name)[:cut], getattr(short, name))


def test_a_label_realised_after_the_row_is_not_counted_even_when_it_is_in_the_table() -> None:
    p, r, sigma = np.full((3, 1), 0.6), np.array([[0.01], [0.02], [0.03]]), np.full((3, 1), 0.01)
    assert outcome_statistics(p, r, [1, 2, 3], sigma, 1).sessions.tolist() == [0, 1, 2]
    assert outcome_statistics(p, r, [-1, 2, -1], sigma, 1).sessions.tolist() == [0, 0, 1]


def test_a_short_forecast_wins_when_the_price_falls() -> None:
    r, sigma = np.array([[-0.03], [0.01]]), np.full((2, 1), 0.01)
    statistics = outcome_statistics(np.full((2, 1), 0.4), r, [0, 0], sigma, 4).at(1)
    assert (statistics.mean_win, statistics.mean_loss, statistics.sessions) == (
        pytest.approx(1.5),
        pytest.approx(0.5),
        2,
    )


def test_after_one_session_five_hundred_symbols_do_not_suffice() -> None:
    draw = np.random.default_rng(0)
    p, r, sigma = draw.random((1, 500)), draw.normal(0.0, 0.02, (1, 500)), np.full((1, 500), 0.02)
    statistics = outcome_statistics(p, r, [0], sigma, 10).at(0)
    assert statistics.count == pytest.approx(0.1)


def test_a_calm_name_and_a_wild_one_each_get_the_win_and_loss_of_their_own_volatility() -> None:
    """Names of 0.8% and 4.4% a session, returns normal with that deviation: half of them wins of 0.798 sigma."""
    draw = np.random.default_rng(1)
    sigma = np.tile([0.008, 0.044], (20_000, 1))
    r = draw.normal(size=sigma.shape) * sigma * 5**0.5
    p = np.where(draw.random(sigma.shape) < 0.5, 0.6, 0.4)
    known = outcome_statistics(p, r, np.arange(20_000), sigma, 5).at(19_999)
    even = np.array([0.55, 0.55])
    of = make_signals(("CALM", "WILD"), forecasts_of(even), known, sigma[0], 5)
    expected = 0.7979 * sigma[0] * 5**0.5
    np.testing.assert_allclose(of.mean_win, expected, rtol=0.02)
    np.testing.assert_allclose(of.mean_loss, expected, rtol=0.02)


def test_arrays_of_different_shapes_are_refused() -> None:
    with pytest.raises(SchemaError, match="align"):
        outcome_statistics(np.zeros((3, 2)), np.zeros((3, 1)), np.zeros(3, dtype=int), np.zeros((3, 2)), 5)


def test_forecast_volatility_is_the_weighted_root_mean_square_of_sixty_returns() -> None:
    returns = np.random.default_rng(3).normal(0.0, 0.01, (90, 2))
    returns[70, 1] = np.nan
    volatility = ewma_volatility(returns)
    weights = (1.0 - 2.0 / 21.0) ** np.arange(60)[::-1]
    for row in (59, 75, 89):
        for symbol in range(2):
            window = returns[row - 59 : row + 1, symbol]
            there = np.isfinite(window)
            expected = np.sqrt(np.average(window[there] ** 2, weights=weights[there]))
            assert volatility[row, symbol] == pytest.approx(expected, rel=1e-12)
    assert np.isnan(volatility[18, 0])
    assert np.isfinite(volatility[19, 0])


def test_forecast_volatility_does_not_depend_on_where_history_ends_or_long_ago_starts() -> None:
    returns = np.random.default_rng(4).normal(0.0, 0.01, (200, 2))
    whole = ewma_volatility(returns)
    np.testing.assert_array_equal(whole[:150], ewma_volatility(returns[:150]))
    np.testing.assert_array_equal(whole[130:], ewma_volatility(returns[50:])[80:])


def forecasts_of(calibrated: np.ndarray, confidence: float = 1.0) -> ForecastArrays:
    """Forecasts of one session; the base rate is 0.52."""
    there = np.where(np.isnan(calibrated), np.nan, 1.0)
    return ForecastArrays(
        calibrated + 0.02, 0.03 * there, calibrated, 0.52 * there, confidence * there, 0.0 * there, there
    )


def test_a_signal_states_direction_and_expected_return_and_holds_to_its_frame() -> None:
    signals = make_signals(
        ("A", "B", "C", "D"),
        forecasts_of(np.array([0.60, 0.45, 0.5, np.nan]), confidence=0.7),
        Outcomes(mean_win=1.0, mean_loss=0.5, count=120.9, sessions=75),
        np.array([0.01, 0.02, 0.01, 0.01]),
        4,
    )
    assert signals.direction.tolist() == [1, -1, 0, 0]
    # sigma sqrt h is 2% and 4%: long 0.6 * 2% - 0.4 * 1% = 0.8%; short -(0.55 * 4% - 0.45 * 2%) = -1.3%
    np.testing.assert_allclose(signals.expected_return, [0.008, -0.013, 0.0, np.nan], rtol=1e-12)
    assert (signals.outcomes.tolist(), signals.outcome_sessions.tolist()) == ([120] * 4, [75] * 4)
    frame = signals_frame(
        signals,
        session=pd.Timestamp("2017-06-01"),
        model_id="m",
        data_hash="d",
        code_version="c",
        known_at=pd.Timestamp("2017-06-01 20:30", tz="UTC"),
    )
    assert validate(frame, SIGNALS)["symbol"].tolist() == ["A", "B", "C"]
    assert frame["base_rate"].tolist() == [0.52] * 3
    assert frame["confidence"].tolist() == [0.7] * 3


def test_a_price_that_has_stood_still_has_no_volatility_and_breaks_no_frame() -> None:
    signals = make_signals(
        ("A", "HELD"),
        forecasts_of(np.array([0.60, 0.60])),
        Outcomes(mean_win=1.0, mean_loss=0.5, count=120.9, sessions=75),
        np.array([0.01, 0.0]),
        4,
    )
    frame = signals_frame(
        signals,
        session=pd.Timestamp("2017-06-01"),
        model_id="m",
        data_hash="d",
        code_version="c",
        known_at=pd.Timestamp("2017-06-01T20:15Z"),
    )
    assert frame["symbol"].tolist() == ["A", "HELD"]
    assert frame["forecast_volatility"].isna().tolist() == [False, True]
    assert frame["calibrated_probability"].tolist() == [0.60, 0.60]
