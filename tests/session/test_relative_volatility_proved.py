"""In how many markets of a known truth HAR is used for the volatility of a return beside the others."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.arrays import FloatArray
from nn_assets.features.labels import make_labels
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.panel import FIELDS, Panel
from nn_assets.session.market_view import market_view
from nn_assets.session.volatility_used import volatility_used
from nn_assets.settings import Strategy

BARS, NAMES, HORIZON, MARKETS = 1_000, 20, 5, 20
STRATEGY = Strategy.model_validate(
    {
        "name": "beside",
        "market": {"history_starts": "2010-01-04"},
        "label": {"kind": "direction_relative", "horizon_sessions": HORIZON, "execution": "next_close"},
        "portfolio": {"volatility": "har", "net_limit": 0.0},
    }
)


def returns_of(seed: int, *, to_a_level: bool) -> FloatArray:
    """A market that trembles by turns, and names beside it: GARCH(1, 1) about a level of their own, or the EWMA's."""
    draw = np.random.default_rng(seed)
    level = 0.01 * np.exp(0.3 * draw.standard_normal(NAMES))
    fresh, kept, back = (0.05, 0.90, 0.05) if to_a_level else (2.0 / 21.0, 19.0 / 21.0, 0.0)
    common = np.where((np.arange(BARS) // 20) % 2 == 0, 0.025, 0.004) * draw.standard_normal(BARS)
    variance, beside = np.ones(NAMES), np.empty((BARS, NAMES))
    for row in range(BARS):
        shock = np.sqrt(variance) * draw.standard_normal(NAMES)
        beside[row] = level * shock
        variance = np.clip(back + fresh * shock**2 + kept * variance, 0.02, 50.0)
    return np.clip(common[:, None] + beside, -0.5, 0.5)


def judged(returns: FloatArray) -> tuple[bool, float]:
    """Whether HAR is in use on the last session; and QLIKE of the one used less the EWMA's, from session 500 on."""
    close = 50.0 * np.cumprod(1.0 + returns, axis=0)
    fields = dict(zip(FIELDS, (close, 1.002 * close, 0.998 * close, close, np.full(close.shape, 5e7)), strict=True))
    sessions = sessions_between("XNYS", "2010-01-04", "2016-12-30")[:BARS]
    panel = Panel(sessions=sessions, symbols=tuple(f"N{number:02d}" for number in range(NAMES)), **fields)
    market = market_view(panel, STRATEGY.portfolio, None)
    used = volatility_used(STRATEGY, market, make_labels(panel, STRATEGY.label, variance=True, beside_the_median=True))
    squares = (returns - np.median(returns, axis=1, keepdims=True)) ** 2
    rows = np.arange(500, BARS - 1 - HORIZON)
    came = np.stack([squares[row + 2 : row + 2 + HORIZON].mean(axis=0) for row in rows])
    loss = [came / sigma[rows] ** 2 + 2.0 * np.log(sigma[rows]) for sigma in (used.sigma, market.relative_volatility)]
    return used.at(BARS - 1).used == "har", float((loss[0] - loss[1]).mean())


@pytest.mark.full
@pytest.mark.parametrize(("to_a_level", "share"), [(True, 1.0), (False, 0.0)])
def test_har_is_used_where_volatility_goes_back_to_a_level_and_not_where_the_ewma_is_the_truth(
    to_a_level: bool, share: float
) -> None:
    of_markets = [judged(returns_of(seed, to_a_level=to_a_level)) for seed in range(1, MARKETS + 1)]
    assert abs(np.mean([taken for taken, _ in of_markets]) - share) <= 0.05
    gain = np.array([less for _, less in of_markets])
    assert (gain < 0.0).mean() == pytest.approx(share, abs=0.1)
    assert gain.mean() < -0.03 if to_a_level else abs(gain.mean()) < 0.002
