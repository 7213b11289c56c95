"""Where bars within the session are decided: average daily volume, daily volatility and regimes, counted in days."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.market.calendar.sessions import days_of_bars, sessions_between
from nn_assets.market.panel import Panel
from nn_assets.session.day_sizes import days_of
from nn_assets.session.market_view import MarketView, market_view
from nn_assets.settings import CostSettings, PortfolioSettings
from nn_assets.signals.filtered_states import UNKNOWN
from nn_assets.signals.regimes import classify_regimes, regime_scales

HOURLY = "24/7 every60min@2024-01-01"
SYMBOLS = ("A", "B", "C", "D", "E")
DAYS = 40
SETTINGS = PortfolioSettings()


def panel(days: int = DAYS, calendar: str = HOURLY) -> Panel:
    sessions = sessions_between(calendar, "2024-01-01", "2026-12-31")[: 24 * days]
    draw = np.random.default_rng(4)
    shape = (len(sessions), len(SYMBOLS))
    close = 50.0 * np.exp(np.cumsum(draw.normal(0.0, 0.004, shape), axis=0))
    volume = np.round(np.exp(draw.normal(10.0, 0.7, shape)))
    return Panel(sessions, SYMBOLS, close, close * 1.001, close * 0.999, close, volume)


def seen(bars: Panel, settings: PortfolioSettings = SETTINGS) -> MarketView:
    return market_view(bars, settings, days=days_of(HOURLY, bars.sessions))


def by_hand(bars: Panel, row: int, symbol: int) -> tuple[float, float]:
    """Dollars and variance of the days before a bar's own, with pandas."""
    frame = pd.DataFrame({"close": bars.close[:, symbol], "volume": bars.volume[:, symbol]}, index=bars.sessions)
    frame["moved"] = np.log(frame["close"].ffill()).diff().where(frame["close"].notna())
    days = frame.groupby(frame.index.normalize())
    before = slice(None, bars.sessions[row].normalize() - pd.Timedelta(days=1))
    dollars = days.apply(lambda day: (day["close"] * day["volume"]).sum()).loc[before].tail(20)
    variance = days["moved"].apply(lambda moved: (moved**2).sum()).loc[before].tail(20)
    return dollars.mean(), float(np.sqrt(variance.mean()))


def test_average_volume_and_the_volatility_of_costs_are_those_of_days_that_have_ended() -> None:
    bars = panel()
    view = seen(bars)
    for row, symbol in ((5 * 24, 0), (6 * 24 + 23, 1), (30 * 24, 2), (30 * 24 + 11, 3), (DAYS * 24 - 1, 4)):
        dollars, volatility = by_hand(bars, row, symbol)
        assert view.adv_usd[row, symbol] == pytest.approx(dollars, rel=1e-12)
        assert view.cost_volatility[row, symbol] == pytest.approx(volatility, rel=1e-12)
    assert np.isnan(view.adv_usd[: 5 * 24]).all()  # fewer than five days have ended
    assert np.isfinite(view.adv_usd[5 * 24 :]).all()
    # A day of 24 independent hours of 0.4%: 1.96%, which a bar's own would be a fifth of.
    assert np.nanmean(view.cost_volatility) == pytest.approx(0.004 * np.sqrt(24), rel=0.03)
    assert np.nanmean(view.volatility) == pytest.approx(0.004, rel=0.05)  # sizes are made of bars
    row = view.at(30 * 24)
    np.testing.assert_array_equal(row.cost_volatility, view.cost_volatility[30 * 24])
    np.testing.assert_array_equal(row.previous_volatility, view.cost_volatility[30 * 24 - 1])
    assert (row.day, row.bars_of_day) == (np.datetime64("2024-01-31"), 24)
    settings = CostSettings(half_spread_bps=0.0, commission_bps=0.0)
    one_percent = cost_model_from(settings).parts(0.01 * row.adv_usd, row.adv_usd, row.cost_volatility)
    expected = row.cost_volatility * (settings.temporary_impact * 0.1 + settings.permanent_impact * 0.01)
    np.testing.assert_allclose(one_percent.total, expected, rtol=1e-12)


def test_a_bar_reads_no_day_that_has_not_ended() -> None:
    bars, row = panel(), 30 * 24 + 5
    wilder = bars.close.copy(), bars.volume.copy()
    wilder[0][30 * 24 :] *= 1.5
    wilder[1][30 * 24 :] *= 9.0
    other = replace(bars, open=wilder[0], high=wilder[0], low=wilder[0], close=wilder[0], volume=wilder[1])
    whole, cut = seen(bars), seen(bars.until(bars.sessions[row]))
    for view, stop in ((seen(other), 31 * 24), (cut, row + 1), (whole.until(row), row + 1)):
        for name in ("adv_usd", "cost_volatility", "regime_scales"):
            ours, theirs = getattr(whole, name)[:stop], getattr(view, name)[:stop]
            assert ours.tobytes() == theirs.tobytes(), name
        for name in ("rising", "tercile", "in_drawdown"):
            np.testing.assert_array_equal(getattr(whole.regimes, name)[:stop], getattr(view.regimes, name)[:stop])


def test_missing_bars_count_as_no_volume_and_a_day_of_few_bars_not_at_all() -> None:
    bars = panel()
    lost = {name: values.copy() for name, values in bars.arrays.items()}
    for values in lost.values():
        values[25 * 24 : 25 * 24 + 12, 0] = np.nan  # half of a day
        values[27 * 24 : 27 * 24 + 13, 0] = np.nan  # more than half
    gapped = replace(bars, **lost)
    view, row = seen(gapped), 26 * 24 + 3
    dollars, volatility = by_hand(gapped, row, 0)
    assert view.adv_usd[row, 0] == pytest.approx(dollars, rel=1e-12)
    assert view.cost_volatility[row, 0] == pytest.approx(volatility, rel=1e-12)
    later = view.adv_usd[28 * 24, 0]
    days = pd.Series(bars.close[:, 0] * np.nan_to_num(gapped.volume[:, 0])).groupby(np.arange(24 * DAYS) // 24).sum()
    assert later == pytest.approx(days.loc[8:26].mean(), rel=1e-12)  # nineteen of the last twenty
    assert view.at(28 * 24).closing_adv_usd[0] == view.adv_usd[28 * 24 - 1, 0]


def test_a_stated_volume_is_that_of_a_day_and_a_bar_has_its_part_of_it() -> None:
    view = seen(panel(), PortfolioSettings(proxy_adv_usd=2.4e9))
    assert (view.adv_usd == 2.4e9).all()
    assert (view.traded_usd == 1e8).all()
    plain = market_view(panel(), SETTINGS)
    np.testing.assert_array_equal(seen(panel()).traded_usd, plain.adv_usd)  # of bars, as before
    assert plain.cost_volatility is plain.volatility


def test_regimes_of_bars_are_those_of_the_days_before() -> None:
    """Two hundred days of a rise and a hundred of a fall; by bars both windows would be full after nine days."""
    closes = np.exp(np.cumsum(np.where(np.arange(330 * 24) < 230 * 24, 2e-4, -4e-4)))
    starts = np.arange(0, 330 * 24, 24)
    bars = panel(330)
    trend = np.repeat(closes[:, None], len(SYMBOLS), axis=1)
    view = seen(replace(bars, open=trend, high=trend, low=trend, close=trend))
    daily = classify_regimes(closes[23::24])
    rising = view.regimes.rising.reshape(330, 24)
    assert (rising == rising[:, :1]).all()
    np.testing.assert_array_equal(rising[1:, 0], daily.rising[:-1])
    assert set(daily.rising) == {UNKNOWN, 0, 1}
    assert (rising[:200] == UNKNOWN).all()
    stressed = replace(view.regimes, rising=np.zeros(330 * 24, dtype=np.int64), tercile=np.zeros(330 * 24, np.int64))
    volatile = stressed.tercile.copy()
    volatile[100 * 24 : 101 * 24] = volatile[200 * 24 : 206 * 24] = 2  # one day is no regime; six are one
    scales = regime_scales(replace(stressed, tercile=volatile), starts=starts).reshape(330, 24)
    assert (scales == scales[:, :1]).all()
    assert np.flatnonzero(scales[:, 0] == 0.5).tolist() == list(range(202, 208))


def test_a_bar_belongs_to_the_session_that_it_lies_in_and_not_to_its_date() -> None:
    """The futures' session of Monday opens on Sunday evening."""
    calendar = "CMES every60min@2024-03-04"
    sessions = sessions_between(calendar, "2024-03-10", "2024-03-12")
    days = pd.Series(days_of_bars(calendar, sessions), index=sessions)
    assert days.index[0] == pd.Timestamp("2024-03-10 22:00")
    assert days.iloc[0] == pd.Timestamp("2024-03-11")
    assert set(days) == {pd.Timestamp("2024-03-11"), pd.Timestamp("2024-03-12")}
    assert days_of_bars("CMES", sessions) is None
