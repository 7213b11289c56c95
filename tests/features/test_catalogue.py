"""Every entry of the catalogue: its values against a plain reference, and that none looks ahead."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.errors import SettingsError
from nn_assets.features.catalogue import CATALOGUE, Context, Feature, available_features, compute, compute_features
from nn_assets.features.catalogue.prices import average_true_range, log_return, rolling_volatility
from nn_assets.features.rolling import lagged
from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import FIELDS, Panel
from tests.contracts.features import FeatureContract
from tests.features.panels import (
    OF_BARS,
    ON_REQUEST,
    changed,
    columns_of,
    constant_panel,
    panel_of,
    random_panel,
    rows_of,
    same_bits,
)
from tests.features.reference_features import REFERENCE, reference_series_values, reference_values

MARKET = "S0"
EVERY = tuple(OF_BARS)


def _cube(panel: Panel, names: tuple[str, ...] = EVERY) -> np.ndarray:
    return compute_features(panel, names, market_symbol=MARKET).values


@pytest.fixture(scope="module")
def panel() -> Panel:
    """Includes a missing bar and an unmoved session, as real histories do."""
    return changed(random_panel(), lambda values: values.__setitem__((90, 1), np.nan))


@pytest.fixture(scope="module")
def whole(panel: Panel) -> np.ndarray:
    return _cube(panel)


def _looks_ahead(name: str, panel: Panel) -> bool:
    """Whether a value of some row changes when later rows are cut off or altered."""
    full = _cube(panel, (name,))
    for cut in (1, 2, 40, 105, 151, 200, panel.session_count - 1):
        if not same_bits(_cube(rows_of(panel, slice(0, cut)), (name,)), full[:cut]):
            return True

        def shock(values: np.ndarray, cut: int = cut) -> None:
            values[cut:] *= np.linspace(0.5, 3.0, len(values) - cut)[:, None]

        if not same_bits(_cube(changed(panel, shock), (name,))[:cut], full[:cut]):
            return True
    return False


@pytest.mark.parametrize("name", EVERY)
def test_no_feature_looks_ahead(name, panel):
    assert not _looks_ahead(name, panel)


def _leak(kind: str):
    def whole_history(panel: Panel, _):
        return panel.close - np.nanmean(panel.close, axis=0)

    def next_close(panel: Panel, _):
        return np.vstack([panel.close[1:], panel.close[-1:]]) / panel.close

    def backfilled(panel: Panel, _):
        return np.where(np.isnan(panel.close), lagged(panel.close[::-1], 1)[::-1], panel.close)

    def last_row_only(panel: Panel, _):
        return panel.close / panel.close[-1]

    return {f.__name__: f for f in (whole_history, next_close, backfilled, last_row_only)}[kind]


@pytest.mark.parametrize("kind", ["whole_history", "next_close", "backfilled", "last_row_only"])
def test_a_feature_that_looks_ahead_is_caught(kind, monkeypatch):
    # The gap lies at a cut, where filling it from the next row shows.
    panel = changed(random_panel(), lambda values: values.__setitem__((39, 1), np.nan))
    entry = Feature("leaking", "return", 0, _leak(kind), "a leak")
    monkeypatch.setattr(compute, "CATALOGUE", {"leaking": entry})
    assert _looks_ahead("leaking", panel)


@pytest.mark.parametrize("symbols", [1, 3])
def test_no_array_that_a_feature_is_handed_leads_to_bars_that_were_cut_off(
    symbols: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []

    def follow(panel: Panel, context: Context) -> np.ndarray:
        series = (context.known.values, context.known.age_sessions, context.known.interval_minutes)
        for values in (panel.open, panel.high, panel.low, panel.close, panel.volume, context.market, *series):
            while values.base is not None:
                values = values.base
            rows.append(max(values.shape))  # a part of the columns lies transposed
        return panel.close * 1.0

    entry = Feature("following", "return", 0, follow, "none", FIELDS, needs_market=True, role="mood")
    monkeypatch.setattr(compute, "CATALOGUE", {"following": entry})
    panel = changed(random_panel(80, symbols), lambda values: values.__setitem__((30, 0), np.nan))
    cut = panel.until(panel.sessions[59])
    mood = KnownSeries(*(np.ones(panel.close.shape)[:60] for _ in range(3)))
    for bridge in (False, True):
        more = {"max_missing_fraction": 0.05, "bridge": bridge}
        compute_features(cut, ("following",), market_symbol=MARKET, series={"mood": mood}, **more)
    assert set(rows) == {60}


@pytest.mark.parametrize("name", EVERY)
def test_history_older_than_the_reach_changes_no_bit(name, panel, whole):
    reach, index = CATALOGUE[name].reach_sessions, EVERY.index(name)
    for start in (1, 17, 100):
        late = _cube(rows_of(panel, slice(start, None)), (name,))[:, :, 0]
        assert same_bits(late[reach:], np.ascontiguousarray(whole[start + reach :, :, index]))


@pytest.mark.parametrize("name", EVERY)
def test_the_stated_reach_is_enough_and_none_of_it_is_spare(name, panel, whole):
    reach, index, row = CATALOGUE[name].reach_sessions, EVERY.index(name), 240
    enough = _cube(rows_of(panel, slice(row - reach, row + 1)), (name,))[-1, :, 0]
    assert np.isfinite(enough).all()
    assert same_bits(enough, np.ascontiguousarray(whole[row, :, index]))
    if reach:
        short = _cube(rows_of(panel, slice(row - reach + 1, row + 1)), (name,))[-1, :, 0]
        assert np.isnan(short).all()


@pytest.mark.parametrize("name", EVERY)
def test_a_missing_bar_blinds_exactly_the_sessions_within_reach_of_it(name, whole):
    reach, index = CATALOGUE[name].reach_sessions, EVERY.index(name)
    expected = np.zeros(len(whole), dtype=bool)
    expected[:reach] = True
    expected[90 : 90 + reach + 1] = True
    np.testing.assert_array_equal(np.isnan(whole[:, 1, index]), expected)
    assert np.isnan(whole[:, 2, index]).sum() == reach


def test_every_entry_has_a_plain_reference_a_formula_and_a_source():
    of_bars = (name for name, entry in ON_REQUEST.items() if not (entry.reads_series or entry.ranked))
    assert set(REFERENCE) == {*EVERY, *of_bars}  # ranks and factors have theirs in tests of their own
    assert all(entry.formula and entry.source and entry.name == name for name, entry in (OF_BARS | ON_REQUEST).items())


def test_the_groups_of_the_contract_are_all_there():
    members = {
        group: [e.name for e in OF_BARS.values() if e.group == group]
        for group in ("return", "volatility", "volume", "trend")
    }
    assert {group: len(names) for group, names in members.items()} == {
        "return": 4, "volatility": 4, "volume": 2, "trend": 7}  # fmt: skip


def test_other_symbols_and_the_edges_of_blocks_change_no_bit(panel, whole, monkeypatch):
    alone = _cube(columns_of(panel, [0, 2]))
    assert same_bits(alone, np.ascontiguousarray(whole[:, [0, 2]]))
    monkeypatch.setattr(compute, "_BLOCK_VALUES", 1)
    assert same_bits(_cube(panel), whole)


def test_two_computations_give_the_same_bits(panel, whole):
    assert same_bits(_cube(panel), whole)


@pytest.mark.full
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("volume", [0.0, 1000.0])
def test_an_instrument_that_never_moves_gives_a_limit_or_nothing_but_never_an_infinity(name, volume):
    values = _cube(constant_panel(volume=volume), (name,))[150:, :, 0]
    limits = {
        "log_return_1": 0.0, "log_return_5": 0.0, "log_return_20": 0.0, "close_location": 0.0,
        "range_over_close": 0.0, "atr_14_over_close": 0.0, "spread_estimate_20": 0.0,
        "sma_gap_5_20": 0.0, "sma_ratio_5_20": 0.0, "distance_from_high_20": 0.0,
        "distance_from_low_20": 0.0, "macd_histogram": 0.0, "rsi_14": 0.5, "bollinger_b_20": 0.5,
        "signed_volume_balance_20": 0.0 if volume else np.nan,
    }  # fmt: skip
    expected = np.full(values.shape, limits.get(name, np.nan))
    np.testing.assert_allclose(values, expected, atol=1e-15)


@pytest.mark.parametrize("bad", [0.0, -5.0, np.inf, 1e-320, 1e308])
def test_no_input_makes_an_infinity(bad):
    panel = changed(random_panel(bars=150), lambda values: values.__setitem__((60, 0), bad))
    assert not np.isinf(_cube(panel)).any()


def test_rising_without_a_fall_is_an_rsi_of_one_and_falling_of_zero():
    rising = np.exp(0.01 * np.arange(40.0))[:, None]
    close = np.hstack([rising, 1.0 / rising])
    panel = panel_of(("UP", "DOWN"), **dict.fromkeys(("open", "high", "low", "close", "volume"), close))
    values = compute_features(panel, ("rsi_14",)).values[14:, :, 0]
    np.testing.assert_array_equal(values, np.tile([1.0, 0.0], (26, 1)))


def test_a_close_at_the_high_of_every_session_is_a_full_volume_balance():
    base = random_panel(bars=40)
    fields = {name: getattr(base, name) for name in ("open", "high", "low", "volume")}
    panel = panel_of(base.symbols, close=base.high, **fields)
    names = ("signed_volume_balance_20", "close_location")
    values = compute_features(panel, names).values
    np.testing.assert_allclose(values[19:], 1.0, rtol=1e-12)


def test_the_market_beside_itself_has_correlation_one_and_no_residual():
    values = _cube(random_panel(), ("market_correlation_60", "market_residual_return"))[100:, 0]
    np.testing.assert_allclose(values[:, 0], 1.0, rtol=1e-12)
    np.testing.assert_allclose(values[:, 1], 0.0, atol=1e-15)


def test_no_names_mean_every_feature_whose_inputs_exist():
    panel = random_panel(bars=70)
    without_market = tuple(n for n in EVERY if not CATALOGUE[n].needs_market)
    assert compute_features(panel).names == without_market
    assert compute_features(panel, market_symbol="S1").names == EVERY
    missing = np.full(panel.close.shape, np.nan)
    closes = panel_of(panel.symbols, open=missing, high=missing, low=missing, close=panel.close, volume=missing)
    cube = compute_features(closes)
    assert cube.names == tuple(n for n in without_market if CATALOGUE[n].fields == ("close",))
    assert np.isfinite(cube.values[69]).sum() == len(cube.names) * 3 - 3  # macd reaches back 103


def test_which_features_exist_is_decided_by_the_beginning_and_stays_as_history_grows():
    base = random_panel(bars=200)
    volume = np.array(base.volume)
    volume[:100] = np.nan
    fields = {name: getattr(base, name) for name in ("open", "high", "low", "close")}
    panel = panel_of(base.symbols, volume=volume, **fields)
    early = available_features(panel.until(panel.sessions[99]))
    assert "volume_z_20" not in early
    assert available_features(panel) == early
    assert np.isfinite(compute_features(panel, ("volume_z_20",)).values[150]).all()


def test_names_keep_the_order_asked_for():
    assert compute_features(random_panel(bars=30), ("rsi_14", "log_return_1")).names == (
        "rsi_14",
        "log_return_1",
    )


@pytest.mark.parametrize(
    ("names", "market", "message"),
    [
        (("rsi_15",), None, "features.names rsi_15 is no feature: did you mean rsi_14"),
        (("market_correlation_60",), None, "features.market_symbol.*market_correlation_60"),
        ((), "SPX", "features.market_symbol.*'SPX'"),
    ],
)
def test_a_name_that_cannot_be_computed_is_refused_with_its_key(names, market, message):
    with pytest.raises(SettingsError, match=message):
        compute_features(random_panel(bars=30), names, market_symbol=market)


def test_an_empty_history_gives_an_empty_cube():
    cube = compute_features(rows_of(random_panel(bars=30), slice(0, 0)), ("rsi_14",))
    assert cube.values.shape == (0, 3, 1)


def test_volatility_and_true_range_serve_other_rooms_by_their_textbook_values():
    panel = random_panel(bars=60)
    daily = np.diff(np.log(panel.close), axis=0)
    np.testing.assert_allclose(log_return(panel)[1:], daily, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(rolling_volatility(panel, 20)[40], daily[20:40].std(axis=0, ddof=1), rtol=1e-9)
    ranges = [
        max(panel.high[t, 0] - panel.low[t, 0], abs(panel.high[t, 0] - panel.close[t - 1, 0]),
            abs(panel.low[t, 0] - panel.close[t - 1, 0]))
        for t in range(27, 41)
    ]  # fmt: skip
    assert average_true_range(panel)[40, 0] == pytest.approx(sum(ranges) / 14)


class TestEveryFeature(FeatureContract):
    @pytest.fixture(params=tuple(name for name, one in CATALOGUE.own.items() if not (one.factors or one.ranked)))
    def entry(self, request: pytest.FixtureRequest) -> Feature:
        return CATALOGUE[request.param]

    def expected(self, entry: Feature, panel: Panel, series: KnownSeries) -> np.ndarray:
        if not entry.role:
            return reference_values(panel, entry.name, MARKET)
        return reference_series_values(panel, entry.name, series)
