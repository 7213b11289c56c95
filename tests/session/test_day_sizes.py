"""Where bars within the session are decided: average daily volume, daily volatility and regimes, counted in days."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import BuyAndHold, Scene
from nn_assets.execution.orders import Orders
from nn_assets.execution.paper import PaperBroker
from nn_assets.features.labels import Labels
from nn_assets.learning.forecasts import ForecastArrays
from nn_assets.market.calendar.sessions import days_of_bars, sessions_between
from nn_assets.market.panel import Panel
from nn_assets.portfolio.book import empty_book
from nn_assets.portfolio.breakers import Control
from nn_assets.session.day_sizes import days_of
from nn_assets.session.filling import fill_session
from nn_assets.session.market_view import MarketView, market_view
from nn_assets.session.regime_naming import RegimeNaming
from nn_assets.settings import CostSettings, PortfolioSettings, Strategy
from nn_assets.signals.filtered_states import UNKNOWN, FilteredStates, MarkovStates
from nn_assets.signals.regimes import RegimeParameters, classify_regimes, regime_scales

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


def hand_made(turbulent: list[bool]) -> RegimeNaming:
    """Markov states as given by bar, those of one model from the first bar on; nothing is fitted."""
    chances = np.where(np.array(turbulent)[:, None], [0.1, 0.9], [0.9, 0.1])
    model = FilteredStates(0, chances)
    number = np.zeros(len(chances), dtype=np.int64)
    return RegimeNaming(
        RegimeParameters(stressed_scale=0.5),
        lambda market: MarkovStates(number[: len(market)], (model.until(len(market)),)),
    )


def test_a_state_that_changes_at_noon_is_that_of_its_day_from_the_next_day_on() -> None:
    """Turbulent from noon of day 3 until noon of day 8: days 4 to 8 begin so, days 9 on do not; each settles in three.

    A Markov state is of the bar, unlike the rules' regimes: to be told by any later bar than a day's first is to look
    ahead at every bar before it.
    """
    bars = panel(14)
    turbulent = [3 * 24 + 12 <= row < 8 * 24 + 12 for row in range(14 * 24)]
    view = market_view(bars, SETTINGS, regime_naming=hand_made(turbulent), days=days_of(HOURLY, bars.sessions))
    by_day = view.regime_scales.reshape(14, 24)
    assert (by_day == by_day[:, :1]).all()
    assert np.flatnonzero(by_day[:, 0] == 0.5).tolist() == list(range(6, 11))
    assert [view.at(row).regime_scale for row in (6 * 24 - 1, 6 * 24, 11 * 24 - 1, 11 * 24)] == [1.0, 0.5, 0.5, 1.0]
    for row in (5 * 24, 5 * 24 + 11, 6 * 24, 8 * 24 + 11, 10 * 24 + 5):  # whatever the later bars of the day turn to
        other = hand_made(turbulent[: row + 1] + [not state for state in turbulent[row + 1 :]])
        changed_later = market_view(bars, SETTINGS, regime_naming=other, days=days_of(HOURLY, bars.sessions))
        cut = bars.until(bars.sessions[row])
        known = market_view(cut, SETTINGS, regime_naming=other, days=days_of(HOURLY, cut.sessions))
        for scales in (changed_later.regime_scales[: row + 1], known.regime_scales):
            assert scales.tobytes() == view.regime_scales[: row + 1].tobytes()


def test_a_days_first_fill_is_priced_by_what_was_known_when_it_was_ordered_the_evening_before() -> None:
    """Orders of 40 shares; the day that ends before the fill is wild, which prices orders of its successor alone."""
    bars, row = panel(), 30 * 24
    wilder = {name: values.copy() for name, values in bars.arrays.items()}
    wilder["volume"][row - 24 : row] *= 9.0
    for name in ("open", "high", "low", "close"):
        wilder[name][row - 12 : row] *= 1.05
    views = [seen(bars), seen(replace(bars, **wilder))]
    quiet, wild = (view.at(row) for view in views)
    assert (wild.adv_usd > 1.2 * quiet.adv_usd).all()
    assert (wild.cost_volatility > 1.05 * quiet.cost_volatility).all()
    value = 40.0 * bars.close[row]
    dollars, sigma = np.transpose([by_hand(bars, row - 1, symbol) for symbol in range(len(SYMBOLS))])
    share = value / dollars
    impact_usd = value * sigma * (0.15 * np.sqrt(share) + 0.03 * share)  # no other bars are a part of it
    strategy = Strategy.model_validate(
        {
            "name": "hourly",
            "market": {"calendar": "24/7", "history_starts": "2024-01-01"},
            "execution": {"cost_noise_fraction": 0.0},
        }
    )
    count = len(SYMBOLS)
    for shown in (quiet, wild):
        orders = Orders(
            tuple(f"o{symbol}" for symbol in range(count)),
            np.arange(count),
            np.full(count, 40.0),
            ("normal",) * count,
            shown.close,
            (None,) * count,
        )
        filled = fill_session(
            strategy,
            cost_model_from(strategy.costs),
            shown,
            8760,
            empty_book(SYMBOLS, 1e6),
            orders,
            PaperBroker,
            decided=orders,
            control=Control.NORMAL,
            unfinished_run=False,
        )
        (fills, _) = filled.fills
        np.testing.assert_allclose(fills.impact_usd, impact_usd, rtol=1e-9)
        np.testing.assert_allclose(shown.closing_adv_usd, dollars, rtol=1e-12)
        np.testing.assert_allclose(shown.closing_volatility, sigma, rtol=1e-12)
    within = views[1].at(row + 1)  # ordered at the day's first bar, which knows the wild day
    np.testing.assert_array_equal(within.previous_adv_usd, wild.adv_usd)
    np.testing.assert_array_equal(within.previous_volatility, wild.cost_volatility)


def test_buy_and_hold_pays_for_its_purchase_by_the_volume_and_volatility_of_days() -> None:
    """Five names of 2,000 USD: 4.5 + 1.8 bps, 0.15 sigma sqrt(x) and 0.03 sigma x of days, by hand."""
    bars, row = panel(), 30 * 24 + 7
    none = np.full(bars.close.shape, np.nan)
    scene = Scene(
        range(row, row + 24),
        seen(bars),
        Labels(none, none, np.arange(len(bars.sessions), dtype=np.int64)),
        ForecastArrays(*[none] * 3, base_rate=none, confidence=none, score=none, novelty=none),
    )
    held = BuyAndHold(10_000.0, cost_model_from(CostSettings()))
    held.hold(scene)
    paid = []
    for symbol in range(len(SYMBOLS)):
        dollars, sigma = by_hand(bars, row, symbol)
        share = 2_000.0 / dollars
        paid.append(6.3e-4 + 0.15 * sigma * share**0.5 + 0.03 * sigma * share)
    assert held.track.net[row] == pytest.approx(-np.mean(paid), rel=1e-12)
    assert held.track.gross[row] == 0.0


def test_a_bar_belongs_to_the_session_that_it_lies_in_and_not_to_its_date() -> None:
    """The futures' session of Monday opens on Sunday evening."""
    calendar = "CMES every60min@2024-03-04"
    sessions = sessions_between(calendar, "2024-03-10", "2024-03-12")
    days = pd.Series(days_of_bars(calendar, sessions), index=sessions)
    assert days.index[0] == pd.Timestamp("2024-03-10 22:00")
    assert days.iloc[0] == pd.Timestamp("2024-03-11")
    assert set(days) == {pd.Timestamp("2024-03-11"), pd.Timestamp("2024-03-12")}
    assert days_of_bars("CMES", sessions) is None
