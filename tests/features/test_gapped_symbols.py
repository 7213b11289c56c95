"""Every entry of the catalogue on symbols that miss a bar, are listed in mid-history, or end."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from nn_assets.arrays import Cube
from nn_assets.features.catalogue import CATALOGUE, compute_features
from nn_assets.features.catalogue.own_series import PATTERNS
from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import Panel
from tests.features.panels import changed, random_panel

BARS, GAP, LISTED, ENDED = 300, 200, 90, 250
FACTORS = ("market_factor", "size_factor")
OWN = tuple(f"{beginning}{FACTORS[0]}" for beginning in PATTERNS)
EVERY = (*CATALOGUE.own, *OWN)
WHOLE = random_panel(BARS, 8)


def _lose(values: np.ndarray) -> None:
    values[GAP, 1] = np.nan
    values[:LISTED, 2] = np.nan
    values[ENDED:, 3] = np.nan


@cache
def _series() -> dict[str, KnownSeries]:
    draw, shape = np.random.default_rng(8), WHOLE.close.shape
    roles = sorted({entry.role for entry in CATALOGUE.own.values() if entry.role})
    return {
        role: KnownSeries(draw.uniform(0.01, 0.5, shape), np.zeros(shape), np.full(shape, 1440.0))
        for role in (*roles, *FACTORS)
    }


@cache
def _cube(*, gapped: bool, bridge: bool = False) -> Cube:
    panel: Panel = changed(WHOLE, _lose) if gapped else WHOLE
    return compute_features(
        panel,
        EVERY,
        market_symbol="S0",
        series=_series(),
        factors=FACTORS,
        max_missing_fraction=0.05,
        bridge=bridge,
    )


@pytest.mark.parametrize("bridge", [False, True])
def test_every_feature_is_missing_on_sessions_without_a_bar_and_there_again_after_them(bridge: bool) -> None:
    whole, gapped = _cube(gapped=False), _cube(gapped=True, bridge=bridge)
    lacking = np.zeros(WHOLE.close.shape, dtype=bool)
    _lose(marked := np.ones(WHOLE.close.shape))
    lacking |= np.isnan(marked)
    for name in EVERY:
        entry, plain, values = CATALOGUE[name], whole.feature(name), gapped.feature(name)
        assert np.isnan(values[lacking]).all(), name
        assert not np.isinf(values).any(), name
        usual = np.isfinite(plain)
        assert usual[entry.reach_sessions :].all(), name  # so that what follows judges every row
        # One lost bar costs the session itself; a listing, the bars that a first window needs; an end, what follows it.
        again = max(entry.reach_sessions, 19) + 1
        assert np.isfinite(values[GAP + 1 :, 1]).all(), name
        assert np.isfinite(values[LISTED + again :, 2]).all(), name
        assert np.isfinite(values[again:ENDED, 3]).all(), name
        if entry.ranked:
            continue  # a place changes with who else is there
        for column, stop in ((1, GAP), (3, ENDED)):  # what comes later changes no bit of what was
            judged = slice(entry.reach_sessions, stop)
            assert values[judged, column].tobytes() == plain[judged, column].tobytes(), name


def test_a_level_beside_a_gap_is_the_series_own() -> None:
    role = FACTORS[0]
    levels, of_series = _cube(gapped=True).feature(f"level_of_{role}"), _series()[role].values
    expected = np.array(of_series)
    _lose(expected)
    np.testing.assert_array_equal(levels, expected)
