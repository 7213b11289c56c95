"""What every feature is held to, whoever brought it: a new one brings an entry and its values by another way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nn_assets.features.catalogue import CATALOGUE, Feature, compute_features
from nn_assets.features.contract import require_sound_feature
from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import FIELDS, Panel
from tests.features.panels import changed, random_panel, rows_of, same_bits

BARS, MARKET = 260, "S0"


def series_of(panel: Panel, seed: int = 4) -> KnownSeries:
    """A series that has a value at every session, of steps of differing length."""
    draw, shape = np.random.default_rng(seed), panel.close.shape
    steps = draw.choice([60.0, 240.0, 480.0], shape)
    return KnownSeries(draw.uniform(10.0, 40.0, shape), np.zeros(shape), steps)


def values_of(entry: Feature, panel: Panel, series: KnownSeries) -> np.ndarray:
    """A feature as the package computes it, (bars, symbols)."""
    rows = slice(0, panel.session_count)
    laid = KnownSeries(series.values[rows], series.age_sessions[rows], series.interval_minutes[rows])
    known = {entry.role: laid} if entry.role else {}
    made = compute_features(panel, (entry.name,), market_symbol=MARKET, series=known)
    return np.ascontiguousarray(made.feature(entry.name))


class FeatureContract:
    """A member gives ``entry``, an entry that is registered, and ``expected``, from a panel and its series."""

    symbols = 3

    @pytest.fixture
    def entry(self) -> Feature:
        raise NotImplementedError

    def expected(self, entry: Feature, panel: Panel, series: KnownSeries) -> np.ndarray:
        """Its values written out, (bars, symbols), without the package's own functions."""
        raise NotImplementedError

    def test_it_keeps_the_contract_that_plugins_are_held_to(self, entry: Feature) -> None:
        require_sound_feature(entry)

    def test_it_equals_its_values_written_out(self, entry: Feature) -> None:
        panel = random_panel(BARS, self.symbols)
        series = series_of(panel)
        expected = self.expected(entry, panel, series)
        made = values_of(entry, panel, series)
        assert np.isfinite(made[entry.reach_sessions :]).all()
        np.testing.assert_allclose(made, expected, rtol=1e-7, atol=1e-10)

    def test_the_value_of_a_session_is_the_same_to_the_bit_whatever_comes_after_it(self, entry: Feature) -> None:
        panel = random_panel(BARS, self.symbols)
        series = series_of(panel)
        whole = values_of(entry, panel, series)
        for cut in (entry.reach_sessions + 1, 200):
            early = values_of(entry, rows_of(panel, slice(0, cut)), series)
            assert same_bits(early, whole[:cut])
            other = changed(panel, lambda values, cut=cut: values.__setitem__(slice(cut, None), 7.0))
            assert same_bits(np.ascontiguousarray(values_of(entry, other, series)[:cut]), whole[:cut])

    def test_a_field_that_it_does_not_state_changes_nothing(self, entry: Feature) -> None:
        panel = random_panel(BARS, self.symbols)
        series = series_of(panel)
        others = {name: np.full(panel.close.shape, 7.0) for name in FIELDS if name not in entry.fields}
        assert same_bits(
            values_of(entry, replace(panel, **others), series),  # type: ignore[arg-type]
            values_of(entry, panel, series),
        )

    def test_its_name_is_its_own_and_says_where_it_is_kept(self, entry: Feature) -> None:
        assert CATALOGUE[entry.name] == entry
