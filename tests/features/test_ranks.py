"""Ranks within the universe: places among the members of a session, by scipy's ranks; nobody else's bars move them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from nn_assets.features.catalogue import CATALOGUE, Context, Feature, compute_features, register_feature
from nn_assets.features.catalogue.ranks import SMALLEST_RANKED, place_among_members
from nn_assets.features.labels import MINIMUM_CROSS_SECTION
from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import Panel
from tests.contracts.features import FeatureContract
from tests.features.panels import changed, columns_of, random_panel, same_bits
from tests.features.test_members import FUTURE, JOINED, KEPT, MEMBERS, PANEL, STRANGER, belongs, tripled

RANKS = tuple(name for name, entry in CATALOGUE.own.items() if entry.ranked)


def ranks_of(panel: Panel, members: np.ndarray | None) -> np.ndarray:
    return compute_features(panel, RANKS, candidates=members).values


def own_figure(panel: Panel, name: str) -> np.ndarray:
    """What is ranked, written out row by row."""
    moved = np.vstack([np.full(panel.close.shape[1], np.nan), np.diff(np.log(panel.close), axis=0)])
    value = panel.close * panel.volume
    figures = np.full(panel.close.shape, np.nan)
    for row in range(20, len(figures)):
        figures[row] = {
            "rank_in_universe_return_5": np.log(panel.close[row] / panel.close[row - 5]),
            "rank_in_universe_return_20": np.log(panel.close[row] / panel.close[row - 20]),
            "rank_in_universe_volatility_20": moved[row - 19 : row + 1].std(axis=0, ddof=1),
            "rank_in_universe_dollar_volume_20": value[row - 19 : row + 1].mean(axis=0),
        }[name]
    return figures


class TestEveryRank(FeatureContract):
    symbols = 6

    @pytest.fixture(params=RANKS)
    def entry(self, request: pytest.FixtureRequest) -> Feature:
        return CATALOGUE[request.param]

    def expected(self, entry: Feature, panel: Panel, series: KnownSeries) -> np.ndarray:
        del series
        first = {"return_5": 5, "dollar_volume_20": 19}.get(entry.name.removeprefix("rank_in_universe_"), 20)
        places = (rankdata(own_figure(panel, entry.name), axis=1, nan_policy="omit") - 1.0) / 5.0 - 0.5
        made = compute_features(panel, (entry.name,)).feature(entry.name)
        places[first:20] = made[first:20]  # rows that the figures written out leave out
        return places


def test_ties_share_their_ranks_and_one_that_is_no_member_has_the_place_that_it_would_take() -> None:
    figures = np.array([[3.0, 1.0, 1.0, 2.0, 5.0, 1.0, 9.0, np.nan], [np.nan, np.nan, np.nan, 1.0, 2.0, 3.0, 4.0, 5.0]])
    members = np.ones(figures.shape, dtype=bool)
    members[:, [5, 6]] = False
    places = place_among_members(figures, members)
    expected = (rankdata(figures[0, :5]) - 1.0) / 4.0 - 0.5
    np.testing.assert_allclose(places[0, :5], expected, atol=1e-15)
    np.testing.assert_allclose(places[0, 5:], [(0 + 2 / 2) / 5 - 0.5, 0.5, np.nan])  # two of five are level with it
    assert np.isnan(places[1]).all()  # three members have a figure
    assert (place_among_members(np.ones((1, 6)), None) == 0.0).all()


def test_a_session_has_ranks_from_as_many_members_as_a_median_needs() -> None:
    assert SMALLEST_RANKED == MINIMUM_CROSS_SECTION
    figures = np.arange(10.0).reshape(2, 5)
    members = np.array([[True] * 4 + [False], [True] * 5])
    places = place_among_members(figures, members)
    assert np.isnan(places[0]).all()
    np.testing.assert_allclose(places[1], [-0.5, -0.25, 0.0, 0.25, 0.5])


def test_membership_as_of_the_session_decides_and_never_that_of_the_future() -> None:
    plain = ranks_of(PANEL, belongs())
    assert same_bits(
        np.ascontiguousarray(plain[:, KEPT]), np.ascontiguousarray(ranks_of(tripled(STRANGER), belongs())[:, KEPT])
    )
    gone = ranks_of(columns_of(PANEL, KEPT), belongs()[:, KEPT])
    assert same_bits(np.ascontiguousarray(plain[:, KEPT]), gone)
    before = ranks_of(tripled(FUTURE, JOINED - 30), belongs())
    assert same_bits(np.ascontiguousarray(plain[:JOINED, MEMBERS]), np.ascontiguousarray(before[:JOINED, MEMBERS]))
    assert not same_bits(plain[:JOINED], before[:JOINED])  # its own place among them is another
    later = belongs()
    later[JOINED:, STRANGER] = True  # a list of tomorrow that takes it in
    assert same_bits(plain[:JOINED], ranks_of(PANEL, later)[:JOINED])
    assert not same_bits(plain[JOINED:], ranks_of(PANEL, later)[JOINED:])
    ended = changed(PANEL, lambda values: values.__setitem__((slice(JOINED, None), 0), np.nan))
    assert same_bits(plain[:JOINED], ranks_of(ended, belongs())[:JOINED])


def test_a_feature_of_ones_own_is_ranked_where_it_says_so() -> None:
    register_feature("own_range", reach_sessions=0, fields=("high", "low"), ranked=True)(_range)
    try:
        panel = random_panel(40, 6)
        places = compute_features(panel, ("own_range",)).values[:, :, 0]
        expected = (rankdata(panel.high - panel.low, axis=1) - 1.0) / 5.0 - 0.5
        np.testing.assert_allclose(places, expected, atol=1e-15)
    finally:
        CATALOGUE.drop("tests")


def _range(panel: Panel, _: Context) -> np.ndarray:
    return panel.high - panel.low


def test_a_missing_bar_takes_a_symbol_out_of_the_ranks_for_as_long_as_its_figure_lacks_it() -> None:
    panel = changed(random_panel(120, 6), lambda values: values.__setitem__((60, 2), np.nan))
    places = compute_features(panel, ("rank_in_universe_return_5",)).values[:, :, 0]
    assert np.isnan(places[60:66, 2]).all()
    assert np.isfinite(places[[59, 66], 2]).all()
    assert sorted(places[60, [0, 1, 3, 4, 5]]) == [-0.5, -0.25, 0.0, 0.25, 0.5]
