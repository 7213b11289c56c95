"""Rule-based regimes against loops over the past, and the proof that they read no future."""

from __future__ import annotations

import numpy as np

from nn_assets.signals.regimes import RegimeParameters, Regimes, classify_regimes, regime_scales
from nn_assets.signals.signals import ewma_volatility

RULES = RegimeParameters(trend_sessions=30, tercile_sessions=60, drawdown_sessions=40)


def closes(bars: int = 400, seed: int = 2) -> np.ndarray:
    generator = np.random.default_rng(seed)
    pace = np.where(np.arange(bars) // 80 % 2, 0.03, 0.008)
    return 100.0 * np.exp(np.cumsum(generator.normal(-0.0005, pace)))


def test_every_state_is_what_a_look_back_over_its_window_says() -> None:
    close = closes()
    regimes = classify_regimes(close, RULES)
    volatility = ewma_volatility(np.concatenate(([np.nan], np.diff(np.log(close))))[:, None])[:, 0]
    for row in range(120, 400, 7):
        assert regimes.rising[row] == int(close[row] > np.mean(close[row - 29 : row + 1]))
        low, high = np.quantile(volatility[row - 59 : row + 1], [0.34, 0.66], method="inverted_cdf")
        if volatility[row] < low:
            assert regimes.tercile[row] == 0
        elif volatility[row] > high:
            assert regimes.tercile[row] == 2
        assert regimes.in_drawdown[row] == int(close[row] <= 0.9 * max(close[row - 39 : row + 1]))


def test_neither_end_of_the_history_changes_a_state() -> None:
    close = closes()
    whole = classify_regimes(close, RULES)
    for name in ("rising", "tercile", "in_drawdown"):
        np.testing.assert_array_equal(getattr(whole, name)[:250], getattr(classify_regimes(close[:250], RULES), name))
        late = getattr(classify_regimes(close[100:], RULES), name)
        np.testing.assert_array_equal(getattr(whole, name)[220:], late[120:])


def test_a_short_history_is_unknown_and_scales_nothing() -> None:
    regimes = classify_regimes(closes(25), RULES)
    assert regimes.label(24) == "unknown"
    assert (regime_scales(regimes, RULES) == 1.0).all()


def test_a_falling_volatile_market_halves_the_size_and_says_so() -> None:
    calm, crash = np.full(200, 0.001), np.full(10, -0.04)
    calm[::2] = -0.001
    close = 100.0 * np.exp(np.cumsum(np.concatenate((calm, crash))))
    regimes = classify_regimes(close, RULES)
    assert regimes.label(209) == "falling, volatile, in drawdown"
    assert regime_scales(regimes, RULES)[209] == 0.5


def test_the_scale_changes_after_three_sessions_in_the_other_state_and_not_before() -> None:
    stressed = np.array([0, 1, 1, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1, 1, 1], dtype=bool)
    regimes = Regimes(rising=1 - stressed, tercile=2 * stressed, in_drawdown=np.zeros(17, dtype=np.int64))
    expected = [1.0] * 6 + [0.5] * 6 + [1.0] * 4 + [0.5]
    assert regime_scales(regimes, RULES).tolist() == expected
    for until in range(1, 18):  # and no later session changes it
        cut = Regimes(regimes.rising[:until], regimes.tercile[:until], regimes.in_drawdown[:until])
        assert regime_scales(cut, RULES).tolist() == expected[:until]
