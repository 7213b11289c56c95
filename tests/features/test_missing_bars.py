"""Features where bars are missing: over the bars there are, bridged by setting, never on a session without a bar."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nn_assets.features.catalogue import CATALOGUE, compute_features
from nn_assets.features.labels import make_labels
from nn_assets.features.own_bars import closed_up, over_own_rows
from nn_assets.features.rolling import lagged, rolling_std
from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import FIELDS, Panel, panel_from_bars
from nn_assets.settings import FeatureSettings, LabelSettings, Strategy
from tests.features.panels import OF_BARS, OF_SERIES, changed, columns_of, random_panel, rows_of, same_bits
from tests.features.reference_features import reference_values

MARKET = "S0"
EVERY = tuple(OF_BARS)
SHARE = 0.05
GAP = 150
# One bar; two at once, more than one in twenty; every fourth, far more; a halt, and a bar soon after it.
LOST = {1: [GAP], 2: [120, 121, 200], 3: [100, 104, 108, 112], 4: [*range(110, 130), 140], 0: [170]}


def _without(panel: Panel, lost: dict[int, list[int]]) -> Panel:
    def lose(values: np.ndarray) -> None:
        for column, rows in lost.items():
            values[rows, column] = np.nan

    return changed(panel, lose)


WHOLE = random_panel(bars=240, symbols=5)
GAPPED = _without(WHOLE, LOST)


def _cube(panel: Panel, names: tuple[str, ...] = EVERY, *, share: float = SHARE, bridge: bool = False) -> np.ndarray:
    cube = compute_features(panel, names, market_symbol=MARKET, max_missing_fraction=share, bridge=bridge)
    return cube.values


def _rows_with_a_value(there: np.ndarray, window: int, share: float = SHARE) -> list[int]:
    """Rows whose last ``window`` bars lie on sessions in a row, or lack at most the share, counted bar by bar."""
    bars = [row for row in range(len(there)) if there[row]]
    usable = []
    for index, row in enumerate(bars):
        if index + 1 < window:
            continue
        first = bars[index - window + 1]
        judged = max(window, 20)
        allowed = int(round(judged * share * 1000) // 1000)
        in_a_row = row - first == window - 1
        few = index + 1 >= judged and row - bars[index - judged + 1] - (judged - 1) <= allowed
        if in_a_row or few:
            usable.append(row)
    return usable


def _there(panel: Panel, name: str, column: int) -> np.ndarray:
    there = np.isfinite(panel.close[:, column])
    return there & np.isfinite(panel.close[:, 0]) if CATALOGUE[name].needs_market else there


@pytest.mark.parametrize("name", EVERY)
def test_one_lost_bar_costs_the_features_one_session(name):
    values = _cube(_without(WHOLE, {1: [GAP]}), (name,))[:, 1, 0]
    silent = np.flatnonzero(np.isnan(values)).tolist()
    assert silent == [*range(CATALOGUE[name].reach_sessions), GAP]


@pytest.mark.parametrize("name", EVERY)
def test_a_feature_equals_its_plain_reference_over_the_bars_that_there_are(name):
    features = _cube(GAPPED, (name,))[:, :, 0]
    for column in range(1, len(GAPPED.symbols)):
        rows = np.flatnonzero(_there(GAPPED, name, column))
        own = columns_of(rows_of(GAPPED, rows), [0, column])
        expected = np.full(GAPPED.session_count, np.nan)
        expected[rows] = reference_values(own, name, MARKET)[:, 1]
        usable = _rows_with_a_value(_there(GAPPED, name, column), CATALOGUE[name].reach_sessions + 1)
        hidden = np.setdiff1d(np.arange(GAPPED.session_count), usable)
        expected[hidden] = np.nan
        np.testing.assert_allclose(features[:, column], expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", ["log_return_20", "volume_z_20", "range_over_mean_20", "market_residual_return"])
def test_bridged_it_equals_its_reference_on_bars_filled_by_the_last_close(name):
    features = _cube(GAPPED, (name,), bridge=True)[:, :, 0]
    close = pd.DataFrame(GAPPED.close)
    filled = {field: np.array(pd.DataFrame(getattr(GAPPED, field)).fillna(close.ffill())) for field in FIELDS[:-1]}
    volume = np.array(pd.DataFrame(GAPPED.volume).fillna(0.0))
    with np.errstate(divide="ignore"):  # the logarithm of no volume
        expected = reference_values(Panel(GAPPED.sessions, GAPPED.symbols, volume=volume, **filled), name, MARKET)
    stepped = _cube(GAPPED, (name,))[:, :, 0]
    seen = 0
    for column in range(1, len(GAPPED.symbols)):
        usable = _rows_with_a_value(_there(GAPPED, name, column), CATALOGUE[name].reach_sessions + 1)
        assert np.isfinite(features[usable, column]).all()
        assert np.isnan(np.delete(features[:, column], usable)).all()
        known = [row for row in usable if np.isfinite(expected[row, column])]
        seen += len(known)
        np.testing.assert_allclose(features[known, column], expected[known, column], rtol=1e-7, atol=1e-10)
        rest = np.setdiff1d(usable, known)  # stepped over instead
        assert same_bits(features[rest, column], stepped[rest, column])
        assert not len(rest) or name == "volume_z_20"
    assert seen > 300


@pytest.mark.parametrize("bridge", [False, True])
def test_nothing_looks_ahead_where_bars_are_missing(bridge):
    full = _cube(GAPPED, bridge=bridge)
    for cut in (100, 121, 130, 141, GAP, GAP + 1, 170, 171, 201):
        assert same_bits(_cube(rows_of(GAPPED, slice(0, cut)), bridge=bridge), full[:cut])

        def shock(values: np.ndarray, cut: int = cut) -> None:
            values[cut:] *= np.linspace(0.5, 3.0, len(values) - cut)[:, None]
            values[cut + 3 :: 7] = np.nan  # and other bars lost

        assert same_bits(_cube(changed(GAPPED, shock), bridge=bridge)[:cut], full[:cut])


def test_a_bar_that_comes_late_changes_nothing_before_its_session():
    late = _cube(_without(WHOLE, {column: rows for column, rows in LOST.items() if column != 1}))
    before = _cube(GAPPED)
    assert same_bits(late[:GAP], before[:GAP])
    assert same_bits(np.ascontiguousarray(late[:, 2:]), np.ascontiguousarray(before[:, 2:]))
    assert np.isnan(before[GAP, 1]).all()
    assert np.isfinite(late[GAP, 1]).all()


@pytest.mark.parametrize("share", [0.0, SHARE, 0.25])
@pytest.mark.parametrize("bridge", [False, True])
def test_complete_bars_give_the_same_bits_under_every_setting(share, bridge):
    listed_late = changed(WHOLE, lambda values: values.__setitem__((slice(0, 60), 3), np.nan))
    gone = changed(listed_late, lambda values: values.__setitem__((slice(200, None), 4), np.nan))
    plain = compute_features(gone, EVERY, market_symbol=MARKET).values
    assert same_bits(_cube(gone, share=share, bridge=bridge), plain)


def test_without_a_share_a_missing_bar_takes_every_window_that_it_lies_in():
    values = _cube(GAPPED, ("momentum_1",), share=0.0)[:, 1, 0]
    assert np.isnan(values[GAP : GAP + 21]).all()
    assert np.isfinite(values[GAP + 21])


def test_history_older_than_what_a_window_may_reach_changes_no_bit():
    full = _cube(GAPPED, ("momentum_1", "log_return_1"))
    late = _cube(rows_of(GAPPED, slice(125, None)), ("momentum_1", "log_return_1"))
    assert same_bits(late[22:], np.ascontiguousarray(full[147:]))


def test_a_return_over_a_gap_with_a_split_in_it_is_that_of_the_money():
    sessions = pd.bdate_range("2010-01-04", periods=40).as_unit("ns")
    close = np.full(40, 100.0) + np.arange(40) % 2
    close[30:] = 51.0  # two for one on row 30, whose bar is lost; row 31 closes at 51
    rows = [row for row in range(40) if row != 30]
    bars = pd.DataFrame({"symbol": "AAA", "session": sessions[rows], "close": close[rows], "volume": 1e4})
    bars = bars.assign(open=bars["close"], high=bars["close"] * 1.01, low=bars["close"] * 0.99)
    split = pd.DataFrame({"symbol": ["AAA"], "ex_session": [sessions[30]], "kind": ["split"], "value": [2.0]})
    for bridge in (False, True):
        panel = panel_from_bars(bars, sessions, ("AAA",), split).total_return()
        returns = _cube(panel_named_market(panel), ("log_return_1",), bridge=bridge)[:, 0, 0]
        assert np.isnan(returns[30])
        assert returns[31] == pytest.approx(np.log(2 * 51.0 / close[29]), abs=1e-12)
        assert returns[32] == 0.0


def panel_named_market(panel: Panel) -> Panel:
    return Panel(panel.sessions, (MARKET,), *(getattr(panel, name) for name in FIELDS))


def test_a_volume_that_is_missing_is_stepped_over_by_what_reads_it():
    panel = changed(WHOLE, lambda values: None)
    volume = np.array(panel.volume)
    volume[GAP, 1] = np.nan
    features = _cube(Panel(panel.sessions, panel.symbols, panel.open, panel.high, panel.low, panel.close, volume))
    of_volume = [EVERY.index(name) for name in EVERY if "volume" in CATALOGUE[name].fields]
    lost = np.argwhere(np.isnan(features[130:])).tolist()
    assert lost == [[GAP - 130, 1, index] for index in of_volume]


def test_features_of_series_step_over_missing_bars_and_have_none_without_a_bar():
    draw = np.random.default_rng(3)
    index = KnownSeries(draw.uniform(10, 40, GAPPED.close.shape), np.zeros(()), np.full(GAPPED.close.shape, 1440.0))
    index = KnownSeries(index.values, np.zeros(GAPPED.close.shape), index.interval_minutes)
    series = {"implied_volatility": index, "funding_rate": index}
    cube = compute_features(GAPPED, ("log_return_1", *OF_SERIES), series=series, max_missing_fraction=SHARE)
    assert np.isnan(cube.values[GAP, 1, 1:]).all()
    assert np.isfinite(cube.values[GAP + 1 :, 1, 1:]).all()
    own = np.delete(GAPPED.close[: GAP + 2, 1], GAP)
    sigma = np.log(pd.Series(own)).diff().rolling(20).std().iloc[-1]
    assert cube.feature("implied_over_realised")[GAP + 1, 1] == pytest.approx(
        index.values[GAP + 1, 1] / 100 / 252**0.5 / sigma, rel=1e-9
    )


def test_the_transforms_read_the_rows_that_have_a_value():
    values = np.array(WHOLE.close)
    values[[70, 150, 151], 1] = np.nan
    deviation = pd.Series(values[:, 1]).dropna().rolling(60).std().reindex(range(240)).to_numpy()
    change = over_own_rows(values, 2, SHARE, lambda rows: rows - lagged(rows, 1))[:, 1]
    spread = over_own_rows(values, 60, SHARE, lambda rows: rolling_std(rows, 60))[:, 1]
    assert change[71] == values[71, 1] - values[69, 1]
    assert np.isnan(change[[70, 150, 151, 152]]).all()  # two of the last twenty are missing
    np.testing.assert_allclose(spread[59:70], deviation[59:70], rtol=1e-9)
    np.testing.assert_allclose(spread[71:150], deviation[71:150], rtol=1e-9)
    assert np.isfinite(spread[152:]).all()  # three of sixty may be
    assert same_bits(over_own_rows(values, 60, 0.0, lambda rows: rolling_std(rows, 60)), rolling_std(values, 60))


def test_a_label_keeps_its_prices_and_its_volatility_steps_over_the_gap():
    label = LabelSettings(horizon_sessions=5)
    strict, stepped = make_labels(GAPPED, label), make_labels(GAPPED, label, max_missing_fraction=SHARE)
    known = np.isfinite(strict.returns)
    assert same_bits(strict.returns[known], stepped.returns[known])
    assert same_bits(strict.targets[known], stepped.targets[known])
    gained = np.flatnonzero(np.isfinite(stepped.returns[:, 1]) & np.isnan(strict.returns[:, 1]))
    assert gained.tolist() == list(range(GAP + 1, GAP + 21))  # sigma_20 was blind there
    unpriced = [GAP - 6, GAP - 1, GAP]  # left on the lost bar, filled on it, decided without one
    assert np.isnan(stepped.returns[unpriced, 1]).all()


def test_settings_left_alone_keep_a_strategy_s_hash_and_the_share_is_bounded():
    plain = Strategy.model_validate({"name": "tiny", "market": {"history_starts": "2011-01-03"}})
    assert plain.features == FeatureSettings(missing_bars="step_over", max_missing_bars_fraction=0.05)
    assert "missing_bars" not in plain.behaviour("features")["features"]
    for settings in ({"missing_bars": "bridge"}, {"max_missing_bars_fraction": 0.0}):
        other = Strategy.model_validate(plain.model_dump() | {"features": settings})
        assert other.content_hash() != plain.content_hash()
    with pytest.raises(ValueError, match=r"max_missing_bars_fraction"):
        FeatureSettings(max_missing_bars_fraction=0.5)


def test_a_unit_root_test_reads_the_values_one_after_another_where_few_are_missing():
    values = np.arange(120.0).reshape(40, 3) + 1.0
    values[[10, 20], 0] = values[5:30, 1] = values[:10, 2] = np.nan
    closed = closed_up(values, SHARE)
    assert closed[:38, 0].tolist() == values[np.isfinite(values[:, 0]), 0].tolist()
    assert np.isnan(closed[38:, 0]).all()
    assert same_bits(np.ascontiguousarray(closed[:, 1:]), np.ascontiguousarray(values[:, 1:]))
    assert closed_up(values, 0.0) is values
