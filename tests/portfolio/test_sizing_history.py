"""What sizes are taken from, beside formulas written out; and the proof that it does not look ahead."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.tsa.arima_process import arma_generate_sample

from nn_assets.errors import SchemaError
from nn_assets.portfolio.sizing_history import (
    ANCHOR_SESSIONS,
    SizingHistory,
    forecast_autocorrelation,
    less_the_others,
)

H = 4


def record(bars: int = 400, symbols: int = 6, seed: int = 0, **changes: object) -> SizingHistory:
    g = np.random.default_rng(seed)
    probability = 0.5 + 0.05 * g.normal(size=(bars, symbols))
    probability[:40] = np.nan
    probability[g.random((bars, symbols)) < 0.1] = np.nan
    returns = g.normal(0.0, 0.03, (bars, symbols))
    returns[g.random((bars, symbols)) < 0.1] = np.nan
    volatility = g.uniform(0.01, 0.02, (bars, symbols))
    volatility[g.random((bars, symbols)) < 0.05] = np.nan
    facts = {
        "probability": probability, "score": 20.0 * (probability - 0.5), "label_returns": returns,
        "realised_row": np.arange(bars) + H + 1,
        "volatility": volatility, "effective_outcomes": 1.7 * np.arange(bars, dtype=np.float64), "horizon_sessions": H,
    }  # fmt: skip
    return SizingHistory(**{**facts, **changes})  # type: ignore[arg-type]


def by_hand(of: SizingHistory, row: int) -> tuple[float, float]:
    """Slope and rho of the anchor, session by session and name by name."""
    anchor = 21 * (row // 21)
    p, r, sigma = of.probability, of.label_returns, of.volatility
    if of.relative:  # less the median of the others, name by name
        r = np.array(
            [[x - np.median(np.delete(row, i)[np.isfinite(np.delete(row, i))]) for i, x in enumerate(row)] for row in r]
        )
    z = [
        r[t, i] / (sigma[t, i] * math.sqrt(H))
        for t in range(anchor + 1)
        for i in range(p.shape[1])
        if 0 <= of.realised_row[t] <= anchor and np.isfinite([p[t, i], r[t, i], sigma[t, i]]).all()
    ]
    n = min(1.7 * anchor, len(z))
    prior = 1.0 / math.sqrt(2.0 * math.pi)
    if not z:
        slope = 1.0 / prior
    else:
        low, high = np.percentile(z, [25, 75])
        b = (high - low) / 1.3489795003921634 * n ** (-1.0 / 9.0)
        heights = [(3 - (x / b) ** 2) / 2 * math.exp(-0.5 * (x / b) ** 2) * prior / b for x in z]
        slope = (n + 60.0) / (n * max(sum(heights) / len(z), 0.0) + 60.0 * prior)
    s = of.score
    centred = s - np.array([[np.mean(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan] for row in s])
    x = centred if of.relative else s
    pairs = [(x[t, i], x[t + H, i]) for t in range(anchor - H) for i in range(p.shape[1])]
    whole = [pair for pair in pairs if np.isfinite(pair).all()]
    sessions = sum(bool(np.isfinite(x[t] + x[t + H]).any()) for t in range(max(anchor - H, 0)))
    return slope, float(np.corrcoef(np.array(whole).T)[0, 1]) if sessions >= 60 else np.nan


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("row", [0, 20, 45, 63, 104, 126, 250, 399])
def test_slope_and_persistence_are_those_written_out(row: int, relative: bool) -> None:
    of = record(relative=relative)
    facts, (slope, rho) = of.at(row), by_hand(of, row)
    assert facts.outcome_slope == pytest.approx(slope, rel=1e-9)
    assert facts.autocorrelation == pytest.approx(rho, rel=1e-9, abs=1e-12, nan_ok=True)
    assert facts.change_share == pytest.approx(1.0 if np.isnan(rho) else min(1.0, 4.0 * (1.0 - rho)))


def test_it_holds_from_anchor_to_anchor_and_no_later_row_changes_a_bit() -> None:
    of = record()
    for row in (0, 21, 83, 84, 300):
        rows = slice(row + 1)
        cut = record(
            probability=of.probability[rows], score=of.score[rows], label_returns=of.label_returns[rows],
            volatility=of.volatility[rows],
            realised_row=of.realised_row[rows], effective_outcomes=of.effective_outcomes[rows],
        )  # fmt: skip
        assert repr(cut.at(row)) == repr(of.at(row))
    assert ANCHOR_SESSIONS == 21
    assert of.at(104) is of.at(84)
    assert of.at(105) is not of.at(104)


def test_a_spoilt_future_changes_no_bit_and_a_spoilt_past_does() -> None:
    of, anchor = record(), 210
    spoilt = {name: getattr(of, name).copy() for name in ("probability", "score", "label_returns", "volatility")}
    spoilt["probability"][anchor:] = 9.0
    spoilt["score"][anchor:] = 9.0
    spoilt["label_returns"][anchor - H :] = 9.0  # realised after the anchor
    spoilt["volatility"][anchor + 1 :] = 9.0
    assert record(**spoilt).at(anchor + 20) == of.at(anchor + 20)
    spoilt["label_returns"][anchor - H - 1] *= 0.1  # realised at it
    assert record(**spoilt).at(anchor).outcome_slope != of.at(anchor).outcome_slope


def test_the_memory_layout_changes_no_bit() -> None:
    of = record(relative=True)
    other = record(
        probability=np.asfortranarray(of.probability), score=np.asfortranarray(of.score),
        label_returns=np.asfortranarray(of.label_returns),
        volatility=np.asfortranarray(of.volatility), relative=True,
    )  # fmt: skip
    assert other.at(399) == of.at(399)


def test_names_without_forecasts_change_no_bit() -> None:
    of = record(relative=True)
    gap = np.full((400, 1), np.nan)
    wide = {
        name: np.hstack([gap, getattr(of, name), gap])
        for name in ("probability", "score", "label_returns", "volatility")
    }
    assert record(relative=True, **wide).at(399) == of.at(399)


@pytest.mark.parametrize(("lasting", "truth"), [(0.95, 0.95**4), (0.5, 0.0625), (0.0, 0.0)])
def test_the_persistence_of_known_series_is_found(lasting: float, truth: float) -> None:
    g = np.random.default_rng(5)
    series = arma_generate_sample([1, -lasting], [1], (3000, 8), distrvs=g.standard_normal, burnin=200)
    assert forecast_autocorrelation(0.5 + 0.01 * series, 4) == pytest.approx(truth, abs=0.03)


def test_what_all_names_share_is_no_forecast_of_a_relative_label() -> None:
    g = np.random.default_rng(2)
    market = np.cumsum(g.normal(size=(500, 1)), axis=0)
    own = g.normal(size=(500, 8))
    assert forecast_autocorrelation(market + own, 4) > 0.8
    assert forecast_autocorrelation(market + own, 4, relative=True) == pytest.approx(0.0, abs=0.05)


def test_fewer_than_sixty_sessions_of_pairs_or_no_variance_say_nothing() -> None:
    g = np.random.default_rng(0)
    assert np.isnan(forecast_autocorrelation(g.normal(size=(60 + H - 1, 3)), H))
    assert np.isfinite(forecast_autocorrelation(g.normal(size=(60 + H, 3)), H))
    assert np.isnan(forecast_autocorrelation(np.full((200, 3), 0.5), H))
    assert record().at(63).change_share == 1.0


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SchemaError, match="align the six"):
        record(volatility=np.ones((400, 5)))
    with pytest.raises(SchemaError, match="align the six"):
        record(effective_outcomes=np.ones(399))


def test_the_median_of_the_others_is_numpys_name_by_name() -> None:
    g = np.random.default_rng(4)
    returns = np.round(g.normal(size=(200, 7)), 1)  # with ties
    returns[g.random(returns.shape) < 0.3] = np.nan
    returns[0], returns[1, 1:] = np.nan, np.nan
    excess = less_the_others(returns)
    for t, i in np.ndindex(returns.shape):
        others = np.delete(returns[t], i)
        others = others[np.isfinite(others)]
        wanted = returns[t, i] - np.median(others) if len(others) else np.nan
        assert excess[t, i] == pytest.approx(wanted, nan_ok=True, abs=1e-15)


@pytest.mark.full
@pytest.mark.parametrize("symbols", [5, 6, 10, 11, 40])
def test_in_a_panel_of_any_width_an_excess_probability_is_worth_what_it_earns(symbols: int) -> None:
    """Truth by simulation: a small shift of one name's mean, its effect on its odds and on its mean beside others."""
    g = np.random.default_rng(symbols)
    shocks, shift = g.normal(size=(400_000 // symbols, symbols)), 0.2
    wide = shocks - np.median(shocks, axis=1, keepdims=True)
    moved = shocks.copy()
    moved[:, 0] += shift
    odds = (moved[:, 0] > np.median(moved, axis=1)).mean() - (shocks[:, 0] > np.median(shocks, axis=1)).mean()
    truth = shift / odds
    bars = len(wide)
    of = record(bars, symbols).__class__(
        probability=np.full(wide.shape, 0.5), score=g.normal(size=wide.shape), label_returns=wide,
        realised_row=np.zeros(bars, dtype=np.int64), volatility=np.full(wide.shape, 1.0 / math.sqrt(H)),
        effective_outcomes=np.full(bars, 1e9), horizon_sessions=H, relative=True,
    )  # fmt: skip
    assert of.at(bars - 1).outcome_slope == pytest.approx(truth, rel=0.08)
