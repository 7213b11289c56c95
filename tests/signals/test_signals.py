"""Signals and their outcome statistics against brute force, and the proof that they do not look ahead."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn_assets.errors import SchemaError
from nn_assets.frames import SIGNALS, validate
from nn_assets.signals.signals import (
    Outcomes,
    confidence_of,
    ewma_volatility,
    make_signals,
    outcome_statistics,
    signals_frame,
)


def history(bars: int, symbols: int, seed: int, lag: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    probability = np.round(generator.uniform(0.3, 0.7, (bars, symbols)), 1)  # 0.5 happens
    probability[generator.random((bars, symbols)) < 0.1] = np.nan
    returns = generator.normal(0.0, 0.02, (bars, symbols))
    returns[generator.random((bars, symbols)) < 0.1] = np.nan
    returns[generator.random((bars, symbols)) < 0.05] = 0.0
    return probability, returns, np.arange(bars) + lag


def counted_by_hand(p: np.ndarray, r: np.ndarray, realised: np.ndarray, row: int) -> tuple[float, float, int]:
    wins, losses = [], []
    for bar in range(len(p)):
        if not 0 <= realised[bar] <= row:
            continue
        for symbol in range(p.shape[1]):
            if np.isnan(p[bar, symbol]) or np.isnan(r[bar, symbol]) or p[bar, symbol] == 0.5:
                continue
            earned = r[bar, symbol] if p[bar, symbol] > 0.5 else -r[bar, symbol]
            (wins if earned > 0 else losses).append(abs(earned))
    mean = [float(np.mean(part)) if part else np.nan for part in (wins, losses)]
    return mean[0], mean[1], len(wins) + len(losses)


@settings(max_examples=30, deadline=None)
@given(bars=st.integers(1, 40), symbols=st.integers(1, 4), seed=st.integers(0, 10_000), lag=st.integers(1, 8))
def test_every_rows_statistics_are_those_counted_by_hand(bars: int, symbols: int, seed: int, lag: int) -> None:
    p, r, realised = history(bars, symbols, seed, lag)
    found = outcome_statistics(p, r, realised)
    for row in range(bars):
        win, loss, count = counted_by_hand(p, r, realised, row)
        assert found.count[row] == count
        np.testing.assert_allclose([found.mean_win[row], found.mean_loss[row]], [win, loss], rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(2, 59), seed=st.integers(0, 10_000))
def test_a_longer_history_changes_no_bit_of_an_earlier_row(cut: int, seed: int) -> None:
    p, r, realised = history(60, 3, seed)
    whole = outcome_statistics(p, r, realised)
    short = outcome_statistics(p[:cut], r[:cut], realised[:cut])
    for name in ("mean_win", "mean_loss", "count"):
        np.testing.assert_array_equal(getattr(whole, name)[:cut], getattr(short, name))


def test_a_label_realised_after_the_row_is_not_counted_even_when_it_is_in_the_table() -> None:
    p, r = np.full((3, 1), 0.6), np.array([[0.01], [0.02], [0.03]])
    assert outcome_statistics(p, r, [1, 2, 3]).count.tolist() == [0, 1, 2]
    assert outcome_statistics(p, r, [-1, 2, -1]).count.tolist() == [0, 0, 1]


def test_a_short_forecast_wins_when_the_price_falls() -> None:
    found = outcome_statistics(np.full((2, 1), 0.4), np.array([[-0.03], [0.01]]), [0, 0]).at(1)
    assert found == Outcomes(mean_win=0.03, mean_loss=0.01, count=2)


def test_arrays_of_different_shapes_are_refused() -> None:
    with pytest.raises(SchemaError, match="align"):
        outcome_statistics(np.zeros((3, 2)), np.zeros((3, 1)), np.zeros(3, dtype=int))


def test_forecast_volatility_is_the_weighted_root_mean_square_of_sixty_returns() -> None:
    returns = np.random.default_rng(3).normal(0.0, 0.01, (90, 2))
    returns[70, 1] = np.nan
    found = ewma_volatility(returns)
    weights = (1.0 - 2.0 / 21.0) ** np.arange(60)[::-1]
    for row in (59, 75, 89):
        for symbol in range(2):
            window = returns[row - 59 : row + 1, symbol]
            there = np.isfinite(window)
            expected = np.sqrt(np.average(window[there] ** 2, weights=weights[there]))
            assert found[row, symbol] == pytest.approx(expected, rel=1e-12)
    assert np.isnan(found[18, 0])
    assert np.isfinite(found[19, 0])


def test_forecast_volatility_does_not_depend_on_where_history_ends_or_long_ago_starts() -> None:
    returns = np.random.default_rng(4).normal(0.0, 0.01, (200, 2))
    whole = ewma_volatility(returns)
    np.testing.assert_array_equal(whole[:150], ewma_volatility(returns[:150]))
    np.testing.assert_array_equal(whole[130:], ewma_volatility(returns[50:])[80:])


def test_confidence_is_one_when_members_agree_and_falls_with_their_dispersion() -> None:
    found = confidence_of(np.array([0.6, 0.6, 0.6, 0.5, np.nan]), np.array([0.0, 0.1, 0.3, 0.0, 0.1]))
    np.testing.assert_allclose(found, [1.0, 0.5, 0.1, 0.0, np.nan])


def test_a_signal_states_direction_and_expected_return_and_holds_to_its_frame() -> None:
    signals = make_signals(
        ("A", "B", "C", "D"),
        np.array([0.62, 0.40, 0.5, np.nan]),
        np.array([0.02, 0.03, 0.01, np.nan]),
        np.array([0.60, 0.45, 0.5, np.nan]),
        Outcomes(mean_win=0.02, mean_loss=0.01, count=120),
        np.array([0.01, 0.012, 0.01, 0.01]),
    )
    assert signals.direction.tolist() == [1, -1, 0, 0]
    # long: 0.6 * 2% - 0.4 * 1% = 0.8%; short: -(0.55 * 2% - 0.45 * 1%) = -0.65%
    np.testing.assert_allclose(signals.expected_return, [0.008, -0.0065, 0.0, np.nan], rtol=1e-12)
    frame = signals_frame(
        signals,
        session=pd.Timestamp("2017-06-01"),
        model_id="m",
        data_hash="d",
        code_version="c",
        known_at=pd.Timestamp("2017-06-01 20:30", tz="UTC"),
    )
    assert validate(frame, SIGNALS)["symbol"].tolist() == ["A", "B", "C"]
