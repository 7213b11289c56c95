"""Risk sees the jump across a stated halt, on the first session that trades again, and nothing sees it before."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.panel import Panel, panel_from_bars
from nn_assets.portfolio.covariance import factor_covariance
from nn_assets.session.market_view import MarketView, market_view
from nn_assets.settings import PortfolioSettings

SYMBOLS = tuple("ABCDEF")
BARS, FROM, AGAIN, SPLIT = 320, 250, 260, 255  # A is halted on [FROM, AGAIN)
SETTINGS = PortfolioSettings(correlation_sessions=60)
SIZES = ("returns", "average_true_range", "volatility", "adv_usd", "beta", "relative_volatility", "usual_volatility")


def bars(jump: float = 0.6) -> pd.DataFrame:
    draw = np.random.default_rng(1)
    close = 100.0 * np.exp(np.cumsum(0.01 * draw.normal(size=(BARS, len(SYMBOLS))), axis=0))
    close[AGAIN:, 0] *= jump
    high, low = 1.004 * close, 0.995 * close
    rows = [
        (symbol, day, close[row, column], high[row, column], low[row, column], close[row, column], 1e6 + row)
        for column, symbol in enumerate(SYMBOLS)
        for row, day in enumerate(AXIS)
    ]
    return pd.DataFrame(rows, columns=["symbol", "session", "open", "high", "low", "close", "volume"])


AXIS = pd.bdate_range("2020-01-01", periods=BARS)
HALTED = np.zeros((BARS, len(SYMBOLS)), dtype=bool)
HALTED[FROM:AGAIN, 0] = True


def seen(panel: Panel, halted: np.ndarray | None = HALTED, **options: object) -> MarketView:
    return market_view(panel, SETTINGS, max_missing_fraction=0.05, halted=halted, halt_reach=30, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def view() -> MarketView:
    return seen(panel_from_bars(bars(), AXIS, SYMBOLS, halted=HALTED))


def ewma(returns: list[float]) -> float:
    """Root mean square of the newest 60, newest first by (19/21)^k: a sum by hand."""
    weights = [(19.0 / 21.0) ** lag for lag in range(60)]
    newest = returns[::-1][:60]
    return math.sqrt(sum(w * r * r for w, r in zip(weights, newest, strict=True)) / sum(weights))


def test_sigma_on_reopening_is_the_ewma_with_the_jump_in_it(view: MarketView) -> None:
    close = view.panel.close[:, 0]
    traded = [row for row in range(AGAIN + 1) if row not in range(FROM, AGAIN)]
    steps = [math.log(close[now] / close[before]) for before, now in pairwise(traded)]
    assert steps[-1] < -0.4
    assert view.volatility[AGAIN, 0] == pytest.approx(ewma(steps), rel=1e-12)
    assert view.volatility[AGAIN, 0] > 10.0 * view.volatility[FROM - 1, 0]
    assert view.returns[AGAIN, 0] == pytest.approx(close[AGAIN] / close[FROM - 1] - 1.0, rel=1e-12)
    assert np.isnan(view.returns[FROM:AGAIN, 0]).all()
    assert (view.volatility[FROM:AGAIN, 0] == view.volatility[FROM - 1, 0]).all()
    assert view.relative_volatility[AGAIN, 0] > 10.0 * view.relative_volatility[FROM - 1, 0]


def test_range_and_volume_are_there_on_reopening_over_the_bars_that_there_were(view: MarketView) -> None:
    panel = view.panel
    traded = [*range(FROM - 19, FROM), AGAIN]
    volume = sum(panel.close[row, 0] * panel.volume[row, 0] for row in traded) / 20.0
    assert view.adv_usd[AGAIN, 0] == pytest.approx(volume, rel=1e-12)
    ranges = []
    for before, row in zip(traded[-15:], traded[-14:], strict=False):
        last = panel.close[before, 0]
        ranges.append(max(panel.high[row, 0], last) - min(panel.low[row, 0], last))
    assert view.average_true_range[AGAIN, 0] == pytest.approx(sum(ranges) / 14.0, rel=1e-12)


def test_covariance_beta_and_the_market_see_the_jump(view: MarketView) -> None:
    calm = seen(panel_from_bars(bars(jump=1.0), AXIS, SYMBOLS, halted=HALTED))
    for row, factor in ((AGAIN - 1, 1.0), (AGAIN, 5.0)):
        wild, usual = (factor_covariance(one.returns[: row + 1], 5).variance[0] for one in (view, calm))
        assert wild == pytest.approx(usual, rel=1e-12) if factor == 1.0 else wild > factor * usual
    mean = np.nanmean(view.returns[1:], axis=1)
    assert mean[AGAIN - 1] < np.nanmean(calm.returns[1:], axis=1)[AGAIN - 1] - 0.05
    mean = np.append(np.nan, mean)
    traded = [row for row in range(AGAIN + 1) if row not in range(FROM, AGAIN)][-60:]
    market = [math.prod(1.0 + mean[FROM : AGAIN + 1]) - 1.0 if row == AGAIN else mean[row] for row in traded]
    slope = np.cov(view.returns[traded, 0], market)
    assert view.beta[AGAIN, 0] == pytest.approx(slope[0, 1] / slope[1, 1], rel=1e-9)


def test_a_split_and_a_dividend_within_the_halt_are_no_jump() -> None:
    quoted = bars(jump=1.0)
    late = (quoted["symbol"] == "A") & (quoted["session"] >= AXIS[SPLIT])
    quoted.loc[late, ["open", "high", "low", "close"]] /= 4.0
    actions = pd.DataFrame(
        [("A", AXIS[SPLIT], "split", 4.0), ("A", AXIS[SPLIT + 2], "dividend", 1.0)],
        columns=["symbol", "ex_session", "kind", "value"],
    )
    panel = panel_from_bars(quoted, AXIS, SYMBOLS, actions, halted=HALTED)
    before, after = panel.close[FROM - 1, 0], panel.close[AGAIN, 0]
    earned = seen(panel).returns[AGAIN, 0]
    assert earned == pytest.approx(4.0 * after / (before - 4.0) - 1.0, rel=1e-9)
    assert abs(earned) < 0.15


def test_no_session_knows_of_a_halt_to_come_or_of_what_follows_it(view: MarketView) -> None:
    for stop in (FROM, FROM + 1, AGAIN, AGAIN + 1, AGAIN + 30):
        cut = seen(view.panel.until(AXIS[stop - 1]), HALTED[:stop])
        for name in SIZES:
            assert getattr(cut, name)[:stop].tobytes() == getattr(view, name)[:stop].tobytes(), (name, stop)
        assert cut.regime_scales.tobytes() == view.regime_scales[:stop].tobytes()
    corrupted = bars()
    corrupted.loc[corrupted["session"] > AXIS[AGAIN], ["open", "high", "low", "close", "volume"]] *= 7.0
    later = HALTED.copy()
    later[AGAIN + 1 : AGAIN + 5, 0] = True
    other = seen(panel_from_bars(corrupted, AXIS, SYMBOLS, halted=later), later)
    for name in SIZES:
        assert getattr(other, name)[: AGAIN + 1].tobytes() == getattr(view, name)[: AGAIN + 1].tobytes(), name


def test_names_never_halted_and_a_market_without_halts_are_to_the_bit_as_before(view: MarketView) -> None:
    unstated = seen(view.panel, halted=None)
    for name in ("returns", "average_true_range", "volatility", "adv_usd"):
        assert getattr(view, name)[:, 1:].tobytes() == getattr(unstated, name)[:, 1:].tobytes(), name
        assert getattr(view, name)[:FROM, 0].tobytes() == getattr(unstated, name)[:FROM, 0].tobytes(), name
    nobody = seen(view.panel, halted=np.zeros_like(HALTED))
    for name in SIZES:
        assert getattr(nobody, name).tobytes() == getattr(unstated, name).tobytes(), name
    assert np.isnan(unstated.returns[AGAIN, 0])  # a gap that nobody stated is stepped over as it was


def test_a_session_says_who_trades_again_within_the_reach_of_a_halt(view: MarketView) -> None:
    said = [view.at(row).since_halt for row in (FROM - 1, FROM, AGAIN - 1, AGAIN, AGAIN + 28, AGAIN + 29)]
    assert [list(np.flatnonzero(one)) for one in said if one is not None] == [[], [], [], [0], [0], []]
    assert seen(view.panel, halted=None).at(AGAIN).since_halt is None
    members = np.ones_like(HALTED)
    members[AGAIN:, 0] = False
    left = seen(view.panel, candidates=members).at(AGAIN).since_halt
    assert left is not None
    assert not left.any()  # who left the universe meanwhile is not waited for
    assert view.until(AGAIN).at(AGAIN).since_halt is not None
