"""Simulated markets: honest bars, prefix-stable, an edge of the size that was planted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from nn_assets.errors import SettingsError
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.simulator.markets import SimulatedMarket, simulate_market

SESSIONS = sessions_between("XNYS", "2012-01-03", "2017-12-29")
COST_PER_DOLLAR = 6.3e-4


def _field(market: SimulatedMarket, name: str) -> np.ndarray:
    return market.bars[name].to_numpy().reshape(len(market.symbols), -1).T


def _book_sharpe(signal: np.ndarray, log_return: np.ndarray, speed: float = 0.15) -> tuple[float, float]:
    """Gross and net Sharpe of a rank-weighted, dollar-neutral book that moves part of the way each day."""
    ranks = signal.argsort(axis=1).argsort(axis=1) - (signal.shape[1] - 1) / 2.0
    goal = ranks / np.abs(ranks).sum(axis=1, keepdims=True)
    held = np.zeros(signal.shape[1])
    gross, net = [], []
    for row in range(len(signal) - 1):
        step = speed * (goal[row] - held)
        held = held + step
        earned = held @ np.expm1(log_return[row + 1])
        gross.append(earned)
        net.append(earned - COST_PER_DOLLAR * np.abs(step).sum())
    return tuple(np.mean(x) / np.std(x) * np.sqrt(252.0) for x in (gross, net))


@pytest.fixture(scope="module")
def market() -> SimulatedMarket:
    return simulate_market(20, SESSIONS, 20_180_102, 0.05, 0.95)


def test_prices_bracket_and_stay_ordinary(market: SimulatedMarket) -> None:
    bars = market.bars
    assert list(bars.columns) == ["symbol", "session", "open", "high", "low", "close", "volume"]
    assert len(bars) == 20 * len(SESSIONS)
    assert np.isfinite(bars[["open", "high", "low", "close", "volume"]].to_numpy()).all()
    assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
    assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
    assert bars["low"].min() > 1.0
    assert bars["close"].max() < 5_000.0
    assert (bars["volume"] >= 100.0).all()
    dollars = (bars["close"] * bars["volume"]).median()
    assert 1e7 < dollars < 1e9
    assert bars["session"].dtype == np.dtype("datetime64[ns]")
    assert bars["session"].dt.tz is None


def test_a_longer_history_repeats_a_shorter_one_to_the_bit(market: SimulatedMarket) -> None:
    for stop in (1, 17, 700):
        short = simulate_market(20, SESSIONS[:stop], 20_180_102, 0.05, 0.95)
        kept = market.bars[market.bars["session"] <= SESSIONS[stop - 1]].reset_index(drop=True)
        pd.testing.assert_frame_equal(short.bars, kept, check_exact=True)
        for name in ("signal", "expected_return", "log_return", "turbulent"):
            assert np.array_equal(getattr(short.truth, name), getattr(market.truth, name)[:stop])


def test_a_symbols_bars_do_not_depend_on_how_many_others_there_are(market: SimulatedMarket) -> None:
    few = simulate_market(3, SESSIONS[:400], 20_180_102, 0.05, 0.95).bars
    same = market.bars[market.bars["symbol"].isin(["SIM01", "SIM02", "SIM03"])]
    same = same[same["session"] <= SESSIONS[399]].reset_index(drop=True)
    pd.testing.assert_frame_equal(few, same, check_exact=True)


@pytest.mark.full
def test_another_seed_is_another_market(market: SimulatedMarket) -> None:
    other = simulate_market(20, SESSIONS[:50], 1, 0.05, 0.95)
    assert not np.array_equal(_field(other, "close"), _field(market, "close")[:50])


@pytest.mark.full
@pytest.mark.parametrize("planted", [0.0, 0.02, 0.05])
def test_the_planted_rank_ic_is_found_in_the_truth(planted: float) -> None:
    wide = simulate_market(300, SESSIONS[:1000], 5, planted, 0.95)
    signal, after = wide.truth.signal[:-1], wide.truth.log_return[1:]
    ics = np.array([spearmanr(signal[row], after[row]).statistic for row in range(0, len(signal), 2)])
    error = ics.std() / np.sqrt(len(ics))
    assert abs(ics.mean() - planted) < 3.0 * error + 0.03 * planted
    assert error < 0.004


@pytest.mark.full
def test_the_expected_return_is_the_mean_of_what_follows() -> None:
    wide = simulate_market(300, SESSIONS[:1000], 6, 0.05, 0.95)
    expected, after = wide.truth.expected_return[:-1].ravel(), wide.truth.log_return[1:]
    centred = (after - after.mean(axis=1, keepdims=True)).ravel()
    slope = (expected @ centred) / (expected @ expected)
    assert slope == pytest.approx(1.0, abs=0.12)


def test_without_a_planted_edge_nothing_is_expected() -> None:
    noise = simulate_market(20, SESSIONS[:100], 3, 0.0, 0.95)
    assert not noise.truth.expected_return.any()


@pytest.mark.full
def test_the_signal_persists_as_asked() -> None:
    for persistence in (0.0, 0.6, 0.95):
        signal = simulate_market(60, SESSIONS[:800], 4, 0.05, persistence).truth.signal
        autocorrelation = (signal[1:] * signal[:-1]).sum() / (signal[:-1] ** 2).sum()
        assert autocorrelation == pytest.approx(persistence, abs=0.02)
        assert signal.std() == pytest.approx(1.0, abs=0.06)


def test_the_signal_shows_in_signed_volume_but_not_without_noise(market: SimulatedMarket) -> None:
    low, high, close, volume = (_field(market, name) for name in ("low", "high", "close", "volume"))
    location = np.where(high > low, (2 * close - high - low) / np.where(high > low, high - low, 1.0), 0.0)
    flow, total = location * volume, volume
    balance = np.array(
        [flow[row - 19 : row + 1].sum(axis=0) / total[row - 19 : row + 1].sum(axis=0) for row in range(19, len(flow))]
    )
    seen = np.corrcoef(balance.ravel(), market.truth.signal[19:].ravel())[0, 1]
    assert 0.5 < seen < 0.8


def test_returns_have_fat_tails_clustered_volatility_and_a_common_factor(market: SimulatedMarket) -> None:
    returns = market.truth.log_return
    scaled = (returns - returns.mean(axis=0)) / returns.std(axis=0)
    assert (scaled**4).mean() > 4.0
    size = np.abs(scaled).mean(axis=1)
    assert np.corrcoef(size[1:], size[:-1])[0, 1] > 0.15
    correlation = np.corrcoef(returns.T)
    assert 0.1 < correlation[np.triu_indices(20, 1)].mean() < 0.5
    assert 0.15 < returns.std() * np.sqrt(252.0) < 0.5
    assert 0.02 < market.truth.turbulent.mean() < 0.6


@pytest.mark.full
def test_the_edge_survives_default_costs_in_the_simulators_own_truth() -> None:
    net = []
    for seed in (20_180_102, 1, 2, 3, 4):
        made = simulate_market(20, SESSIONS, seed, 0.05, 0.95)
        gross_sharpe, net_sharpe = _book_sharpe(made.truth.expected_return, made.truth.log_return)
        assert gross_sharpe > net_sharpe
        net.append(net_sharpe)
    assert min(net) > 0.0, net
    assert np.mean(net) > 1.0, net


@pytest.mark.full
def test_a_market_of_noise_pays_nobody() -> None:
    net = []
    for seed in range(4):
        made = simulate_market(20, SESSIONS, seed, 0.0, 0.95)
        net.append(_book_sharpe(made.truth.signal, made.truth.log_return)[1])
    assert np.mean(net) < 0.0, net


@pytest.mark.parametrize(
    ("key", "arguments"),
    [
        ("symbols", (0, SESSIONS, 1, 0.05, 0.95)),
        ("sessions", (2, SESSIONS[:0], 1, 0.05, 0.95)),
        ("sessions", (2, SESSIONS[:5][::-1], 1, 0.05, 0.95)),
        ("source.seed", (2, SESSIONS, -1, 0.05, 0.95)),
        ("source.planted_rank_ic", (2, SESSIONS, 1, 0.7, 0.95)),
        ("source.signal_persistence", (2, SESSIONS, 1, 0.05, 1.0)),
    ],
)
def test_impossible_arguments_are_refused_by_name(key: str, arguments: tuple[object, ...]) -> None:
    with pytest.raises(SettingsError) as refused:
        simulate_market(*arguments)  # type: ignore[arg-type]
    assert refused.value.where["key"] == key
