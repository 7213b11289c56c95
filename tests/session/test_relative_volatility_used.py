"""The volatility of a return beside the others, which the label is made of: by HAR or a network, and in sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import Replay, replay
from nn_assets.features.labels import Labels, make_labels
from nn_assets.learning.forecasts import ForecastArrays
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.panel import FIELDS, Panel
from nn_assets.reports.round_notices import volatility_notices
from nn_assets.session.market_view import market_view
from nn_assets.session.volatility_used import own_volatility, volatility_used
from nn_assets.settings import LabelSettings, Strategy
from nn_assets.signals import volatility
from nn_assets.signals.signals import ewma_volatility
from tests.session.worlds import World

NAMES, BARS, HORIZON, LEVELS = 12, 420, 3, np.linspace(0.006, 0.018, 12)
LOOSE = {"kelly_fraction": 0.02, "single_name_limit": 1.0, "gross_limit": 5.0, "net_limit": 0.0}


@pytest.fixture(autouse=True)
def _judged_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volatility, "FEWEST_JUDGED", 60)
    monkeypatch.setattr(volatility, "FEWEST_FITTED", 40)


def returns_of(seed: int = 5) -> FloatArray:
    """A market that trembles and rests by turns; what each name adds to it keeps its own level for ever."""
    draw = np.random.default_rng(seed)
    trembles = np.where((np.arange(BARS) // 15) % 2 == 0, 0.03, 0.004)[:, None]
    return trembles * draw.standard_normal((BARS, 1)) + LEVELS * draw.standard_normal((BARS, NAMES))


def panel_of(returns: FloatArray) -> Panel:
    close = 50.0 * np.cumprod(1.0 + returns, axis=0)
    start = close * (1.0 + 0.001 * np.random.default_rng(9).standard_normal(close.shape))
    high, low = np.maximum(start, close) * 1.003, np.minimum(start, close) / 1.003
    fields = dict(zip(FIELDS, (start, high, low, close, np.full(close.shape, 5e7)), strict=True))
    sessions = sessions_between("XNYS", "2014-01-02", "2016-12-30")[: len(close)]
    return Panel(sessions=sessions, symbols=tuple(f"N{number:02d}" for number in range(NAMES)), **fields)


def strategy_of(asked: str, **portfolio: object) -> Strategy:
    return Strategy.model_validate(
        {
            "name": "beside",
            "market": {"history_starts": "2014-01-02"},
            "label": {"kind": "direction_relative", "horizon_sessions": HORIZON, "execution": "next_close"},
            "portfolio": {"minimum_outcomes": 20, "volatility": asked, **LOOSE, **portfolio},
        }
    )


def world_of(asked: str, returns: FloatArray | None = None, candidates: BoolArray | None = None) -> World:
    strategy, panel = strategy_of(asked), panel_of(returns_of() if returns is None else returns)
    market = market_view(panel, strategy.portfolio, candidates)
    labels = make_labels(panel, strategy.label, 0.0, candidates, variance=asked != "ewma", beside_the_median=True)
    draw = np.random.default_rng(3)
    p = 0.5 + 0.03 * draw.standard_normal((BARS, NAMES))[: len(panel.sessions)]
    spread, half, sure = (np.full(p.shape, value) for value in (0.02, 0.5, 1.0))
    forecasts = ForecastArrays(p, spread, p, base_rate=half, confidence=sure, score=p - 0.5, novelty=sure)
    return World(strategy, panel, market, labels, forecasts)


def played(of: World, rows: range, network: ForecastArrays | None = None) -> Replay:
    costs = cost_model_from(of.strategy.costs)
    return replay(of.strategy, costs, 252, [of.scene(rows, network_volatility=network)])


def knowing(of: World) -> ForecastArrays:
    """Forecasts of a network that are the truth, in the unit that it learns in."""
    recent = of.labels.recent_volatility
    assert recent is not None
    ratio = truth_of(of) ** 2 / recent**2
    return replace(of.forecasts, probability=ratio / (1.0 + ratio))


def truth_of(of: World) -> FloatArray:
    """What the volatility of each name's return beside the others has always been, (names,)."""
    return np.sqrt(np.nanmean(apart_of(of.panel.close) ** 2, axis=0))


def apart_of(price: FloatArray, members: BoolArray | None = None) -> FloatArray:
    """Each session's return less the median of its members', by loops."""
    apart = np.full(price.shape, np.nan)
    for row in range(1, len(price)):
        step = price[row] / price[row - 1] - 1.0
        judged = step if members is None else step[members[row]]
        if len(judged) >= 5:
            apart[row] = step - float(np.median(judged))
    return apart


@pytest.mark.parametrize("execution", ["next_close", "next_open"])
def test_the_variance_realised_is_that_of_returns_less_the_median_of_each_sessions_members(execution: str) -> None:
    panel = panel_of(returns_of()[:120])
    members = np.ones(panel.close.shape, dtype=bool)
    members[:60, :4] = False
    members[90:93, 4:] = False  # four members: no median
    label = LabelSettings(kind="direction_relative", horizon_sessions=HORIZON, execution=execution)
    made = make_labels(panel, label, 0.0, members, variance=True, beside_the_median=True)
    apart = apart_of(panel.open if execution == "next_open" else panel.close, members)
    assert made.variance is not None
    for row in range(120):
        until = row + label.execution_lag_sessions + HORIZON
        known = until < 120 and members[row]
        expected = (
            np.full(NAMES, np.nan) if until >= 120 else (apart[until - HORIZON + 1 : until + 1] ** 2).mean(axis=0)
        )
        np.testing.assert_allclose(made.variance[row], np.where(known, expected, np.nan), rtol=1e-12)
    assert np.isnan(made.variance[89]).all()
    assert made.recent_volatility is not None
    recent = apart_of(panel.close, members)[40:60].std(axis=0, ddof=1)
    np.testing.assert_allclose(made.recent_volatility[59], recent, rtol=1e-12)


def test_har_forecasts_the_relative_return_and_is_used_once_it_is_proved_better() -> None:
    """The names' own volatility follows the market's, which trembles; that of what they add to it never changes."""
    of = world_of("har")
    used, row = volatility_used(of.strategy, of.market, of.labels), BARS - 1
    assert used.at(row).used == "har"
    truth = apart_of(of.panel.close)
    realised = np.full(truth.shape, np.nan)
    for then in range(BARS - 1 - HORIZON):
        realised[then] = (truth[then + 2 : then + 2 + HORIZON] ** 2).mean(axis=0)
    taken = (used.used == 1)[:, None] & np.isfinite(realised)

    def loss(sigma: FloatArray) -> float:
        ratio = realised[taken] / sigma[taken] ** 2
        return float((ratio - np.log(ratio) - 1.0).mean())

    assert loss(used.sigma) < loss(of.market.relative_volatility) - 0.02
    assert loss(used.sigma) < loss(of.market.volatility) - 0.3
    np.testing.assert_allclose(used.sigma[row], _har_by_hand(truth, realised, row), rtol=1e-9)


def _har_by_hand(apart: FloatArray, realised: FloatArray, today: int) -> FloatArray:
    squares = apart**2

    def parts(row: int) -> FloatArray:
        """The usual, the last, the week's and the month's variance, (names, 4)."""
        return np.stack(
            [np.nanmean(squares[max(0, row + 1 - back) : row + 1], axis=0) for back in (250, 1, 5, 22)], axis=1
        )

    known = range(120, today - HORIZON)
    rows, outcomes = np.concatenate([parts(row) for row in known]), np.concatenate([realised[row] for row in known])
    fit = sm.WLS(outcomes, rows, weights=rows[:, 3] ** -2.0).fit()
    return np.sqrt(parts(today) @ fit.params)


def test_the_return_expected_and_the_sizes_follow_the_one_used() -> None:
    rows = range(BARS - 12, BARS)
    plain, of = world_of("ewma"), world_of("har")
    before, after = (played(one, rows).rounds[-1] for one in (plain, of))
    used = volatility_used(of.strategy, of.market, of.labels)
    for done, sigma in ((before, plain.market.relative_volatility[-1]), (after, used.sigma[-1])):
        facts = done.decision.inputs.programme
        assert facts is not None
        np.testing.assert_array_equal(facts.label_volatility, sigma)
        alone = facts.outcome_slope * (of.forecasts.calibrated[-1] - 0.5) * sigma * 3.0**0.5
        assert facts.outcome_slope == pytest.approx(2.507, rel=0.15)
        assert done.decision.expected_return is not None
        np.testing.assert_allclose(done.decision.expected_return, alone - alone.mean(), rtol=1e-9)
    changed = np.abs(after.decision.target_weight - before.decision.target_weight)
    assert (changed > 0.02 * np.abs(before.decision.target_weight)).sum() >= NAMES // 2
    # signals, costs and the record of outcomes are of the names' own returns, as they were
    for name in ("forecast_volatility", "mean_win", "mean_loss", "calibrated_probability"):
        assert getattr(after.signals, name).tobytes() == getattr(before.signals, name).tobytes()
    np.testing.assert_array_equal(after.signals.forecast_volatility, of.market.volatility[-1])
    np.testing.assert_array_equal(after.decision.inputs.priced_volatility, of.market.volatility[-1])
    assert volatility_notices(before) == []
    (said,) = volatility_notices(after)
    assert said.startswith("Volatility of returns less their session's median by HAR: proved better at 5.0%: QLIKE")
    assert after.volatility is not None
    assert after.volatility.to_record()["of"] == "returns less their session's median"


def test_without_the_setting_it_is_the_ewma_of_that_return_as_it_always_was() -> None:
    of = world_of("ewma")
    assert of.labels.variance is None
    facts = played(of, range(300, 302)).rounds[-1].decision.inputs.programme
    assert facts is not None
    expected = ewma_volatility(apart_of(of.panel.close))
    np.testing.assert_allclose(facts.label_volatility, expected[301], rtol=1e-9)
    used = volatility_used(of.strategy, of.market, of.labels)
    assert used.sigma.tobytes() == of.market.relative_volatility.tobytes()
    assert own_volatility(of.market, used).tobytes() == of.market.volatility.tobytes()


def test_the_network_learns_that_variance_in_its_own_unit_and_is_used_where_it_beats_both() -> None:
    of = world_of("network")
    used = volatility_used(of.strategy, of.market, of.labels, knowing(of))
    assert used.at(BARS - 1).used == "network"
    np.testing.assert_allclose(used.sigma[-1], truth_of(of), rtol=1e-9)
    learned = of.labels.learned_variance()
    assert abs(float(np.nanmean(np.exp(learned))) - 1.0) < 0.15  # of the same return as its unit
    assert volatility_used(of.strategy, of.market, of.labels).at(BARS - 1).used == "har"
    facts = played(of, range(BARS - 2, BARS), knowing(of)).rounds[-1].decision.inputs.programme
    assert facts is not None
    np.testing.assert_array_equal(facts.label_volatility, used.sigma[-1])


def test_no_future_that_is_cut_or_corrupted_and_no_member_to_come_changes_the_volatility_used() -> None:
    row, returns = 330, returns_of()
    members = np.ones((BARS, NAMES), dtype=bool)
    members[:200, 0] = members[300:, 1] = False
    whole = world_of("har", returns, members)
    restated, left = returns.copy(), members.copy()
    restated[row + 1 :] *= -7.0
    left[row + 1 :, 2:7] = False
    others = (
        world_of("har", returns[: row + 1], members[: row + 1]),
        world_of("har", restated, members),
        world_of("har", returns, left),
    )
    used = volatility_used(whole.strategy, whole.market, whole.labels)
    assert used.at(row).used == "har"
    for other in others:
        then = volatility_used(other.strategy, other.market, other.labels)
        assert then.sigma[: row + 1].tobytes() == used.sigma[: row + 1].tobytes()
        assert then.at(row) == used.at(row)
    known = volatility_used(whole.strategy, whole.market.until(row), whole.labels.until(row))
    assert known.sigma.tobytes() == used.sigma[: row + 1].tobytes()


def test_a_name_sized_by_itself_has_the_volatility_of_its_own_return() -> None:
    of = world_of("har")
    strategy = strategy_of("har", construction="per_name")
    labels: Labels = make_labels(of.panel, strategy.label, variance=True)
    used = volatility_used(strategy, of.market, labels)
    assert not used.relative
    assert own_volatility(of.market, used) is used.sigma
    np.testing.assert_array_equal(used.sigma[150], of.market.volatility[150])  # nothing is proved yet


@pytest.mark.parametrize("kind", ["return_zscored", "return_zscored_relative"])
@pytest.mark.parametrize("asked", ["har", "network"])
def test_a_return_in_units_of_its_own_takes_no_other_volatility(kind: str, asked: str) -> None:
    made = strategy_of("ewma").model_dump(exclude_unset=True) | {"label": {"kind": kind}}
    assert Strategy.model_validate(made).portfolio.construction == "programme"
    made["portfolio"] = made["portfolio"] | {"volatility": asked}
    with pytest.raises(ValueError, match=rf"label.kind {kind}.*portfolio.volatility {asked} would change no size"):
        Strategy.model_validate(made)
