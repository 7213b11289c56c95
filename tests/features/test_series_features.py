"""Features of series beside the bars, against plain references; none looks ahead, and none is read stale."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.arrays import Cube
from nn_assets.errors import SettingsError
from nn_assets.features.catalogue import compute_features
from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import Panel
from tests.features.panels import OF_SERIES, random_panel, rows_of, same_bits

ROLES = ("implied_volatility", "funding_rate")
EVERY = tuple(OF_SERIES)
PANEL = random_panel(bars=200)


def made_up(panel: Panel = PANEL, seed: int = 4) -> dict[str, KnownSeries]:
    draw = np.random.default_rng(seed)
    shape = (panel.session_count, len(panel.symbols))
    index = KnownSeries(draw.uniform(10.0, 40.0, shape), np.zeros(shape), np.full(shape, 1440.0))
    rates = KnownSeries(draw.normal(0.0, 1e-4, shape), np.zeros(shape), draw.choice([60.0, 240.0, 480.0], shape))
    return dict(zip(ROLES, (index, rates), strict=True))


SERIES = made_up()


def cut(series: dict[str, KnownSeries], rows: slice) -> dict[str, KnownSeries]:
    return {
        role: KnownSeries(entry.values[rows], entry.age_sessions[rows], entry.interval_minutes[rows])
        for role, entry in series.items()
    }


def cube_of(panel: Panel, series: dict[str, KnownSeries], names: tuple[str, ...] = EVERY) -> Cube:
    return compute_features(panel, names, series=series)


@pytest.mark.parametrize("name", EVERY)
def test_no_feature_looks_ahead_and_none_reads_further_back_than_it_says(name) -> None:
    whole = np.ascontiguousarray(cube_of(PANEL, SERIES).feature(name))
    for row in (1, 25, 120):
        early = cube_of(rows_of(PANEL, slice(0, row)), cut(SERIES, slice(0, row))).feature(name)
        assert same_bits(np.ascontiguousarray(early), whole[:row])
    reach = OF_SERIES[name].reach_sessions
    late = cube_of(rows_of(PANEL, slice(50, None)), cut(SERIES, slice(50, None))).feature(name)
    assert same_bits(np.ascontiguousarray(late[reach:]), whole[50 + reach :])


def test_a_session_without_a_known_value_has_no_feature() -> None:
    series = made_up()
    series["implied_volatility"].values[100] = np.nan
    values = cube_of(PANEL, series).feature("implied_over_realised")
    assert np.isnan(values[100]).all()
    assert np.isfinite(values[101]).all()


def test_without_names_every_feature_whose_series_is_there_joins_the_bars_own() -> None:
    of_bars = compute_features(PANEL).names
    cube = compute_features(PANEL, series={"implied_volatility": SERIES["implied_volatility"]})
    assert cube.names == (*of_bars, "implied_over_realised")


def test_names_keep_their_order_and_one_without_its_series_is_refused() -> None:
    names = ("funding_rate_change", "log_return_1")
    assert cube_of(PANEL, SERIES, names).names == names
    with pytest.raises(SettingsError, match=r"features\.series\.funding_rate"):
        cube_of(PANEL, {}, names)


def test_every_entry_has_a_formula_and_a_source() -> None:
    assert all(entry.formula and entry.source and entry.name == name for name, entry in OF_SERIES.items())
