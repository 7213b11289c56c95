"""Markov regimes of a market view: fitted month by month on the fold's training rows, and blind to the future."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from nn_assets.arrays import FloatArray
from nn_assets.errors import SettingsError
from nn_assets.learning.folds import make_fold
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.panel import FIELDS, Panel
from nn_assets.operations.catalog import find_strategy
from nn_assets.session.market_view import MarketView, market_view
from nn_assets.session.regime_naming import regime_naming, short_training_fault
from nn_assets.settings import LabelSettings, Strategy, WalkForwardSettings
from nn_assets.signals.markov import MarkovFit, MarkovModel, fit_markov
from tests.orchestration.conftest import living_in

SESSIONS = sessions_between("XNYS", "2010-01-04", "2014-03-31")
BARS = len(SESSIONS)


def strategy(**regimes: object) -> Strategy:
    return Strategy.model_validate(
        {
            "name": "states",
            "market": {"history_starts": "2010-01-04"},
            "walk_forward": {"training_months": 18, "refit_every_months": 6},
            **({"regimes": regimes} if regimes else {}),
        }
    )


@cache
def turbulent() -> np.ndarray:
    draw, now, states = np.random.default_rng(4), False, []
    for _ in range(BARS):
        now ^= bool(draw.random() < (0.03 if now else 0.01))
        states.append(now)
    return np.array(states)


@cache
def panel() -> Panel:
    draw = np.random.default_rng(6)
    market = np.where(turbulent(), 0.018, 0.006)[:, None] * draw.standard_normal((BARS, 1))
    close = 50.0 * np.exp(np.cumsum(market + 0.004 * draw.standard_normal((BARS, 3)), axis=0))
    fields = dict(zip(FIELDS, (close, close * 1.004, close * 0.996, close, np.full(close.shape, 1e6)), strict=True))
    return Panel(sessions=SESSIONS, symbols=("AAA", "BBB", "CCC"), **fields)


_FITS: dict[tuple[bytes, int], MarkovFit] = {}


def once(returns: FloatArray, states: int) -> MarkovFit:
    """Fits are the same for the same returns, which another test holds; most cuts share most of them."""
    key = returns.tobytes(), states
    if key not in _FITS:
        _FITS[key] = fit_markov(returns, states)
    return _FITS[key]


def seen(of: Panel, model: str = "markov_2", **more: object) -> MarketView:
    chosen = strategy(model=model, **more)
    return market_view(of, chosen.portfolio, regime_naming=regime_naming(chosen, of.sessions, once))


def names(view: MarketView, stop: int) -> list[str]:
    return [view.regimes.label(row) for row in range(stop)]


def test_without_the_section_nothing_changes_nor_does_the_hash() -> None:
    plain, by_rule = strategy(), strategy(model="rules")
    assert regime_naming(plain, SESSIONS) is None
    assert "regimes" not in plain.behaviour()
    assert plain.content_hash() != by_rule.content_hash() != strategy(model="markov_2").content_hash()
    sections = ("features", "label", "learning", "walk_forward")
    assert plain.content_hash(*sections) == strategy(model="markov_2").content_hash(*sections)
    views = [market_view(panel(), plain.portfolio), seen(panel(), "rules")]
    assert names(views[0], BARS) == names(views[1], BARS)
    np.testing.assert_array_equal(views[0].regime_scales, views[1].regime_scales)


@pytest.mark.parametrize("regimes", [{"model": "markov_4"}, {"scale": 0.3}, {"scale": 0.0}, {"state": 2}])
def test_what_is_no_regime_setting_is_refused(regimes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="regimes"):
        strategy(**regimes)


@pytest.mark.parametrize(("model", "rows"), [("markov_2", (700, 850, 1000)), ("markov_3", (760,))])
def test_no_session_changes_when_the_future_is_cut_or_corrupted(model: str, rows: tuple[int, ...]) -> None:
    whole = seen(panel(), model)
    draw = np.random.default_rng(0)
    for row in rows:
        broken = {name: getattr(panel(), name).copy() for name in FIELDS}
        factor = np.exp(np.cumsum(draw.normal(0.0, 0.05, (BARS - row - 1, 3)), axis=0))
        missing = {name: values.copy() for name, values in broken.items()}
        for name in ("open", "high", "low", "close"):
            broken[name][row + 1 :] *= factor
            missing[name][row + 1 :] = np.nan
        for other in (
            seen(panel().until(SESSIONS[row]), model),
            seen(replace(panel(), **broken), model),
            seen(replace(panel(), **missing), model),
            whole.until(row),
        ):
            assert names(other, row + 1) == names(whole, row + 1)
            np.testing.assert_array_equal(other.regime_scales[: row + 1], whole.regime_scales[: row + 1])
            assert other.at(row).regime_scale == whole.at(row).regime_scale
            share = other.regimes.share_of(row, range(400, row - 60))
            assert share == whole.regimes.share_of(row, range(400, row - 60))


def test_each_model_is_fitted_on_the_training_rows_of_its_fold_and_of_nothing_else() -> None:
    chosen, asked = strategy(model="markov_2"), list[FloatArray]()

    def fit(returns: FloatArray, states: int) -> MarkovFit:
        asked.append(returns)
        return once(returns, states)

    view = market_view(panel(), chosen.portfolio, regime_naming=regime_naming(chosen, SESSIONS, fit))
    simple = panel().close[1:] / panel().close[:-1] - 1.0
    market = np.concatenate([[np.nan], np.log1p(simple.mean(axis=1))])
    months = ["2012-05", "2012-11", "2013-05", "2013-11"]
    for month, returns in zip(months, asked, strict=True):
        fold = make_fold(SESSIONS, month, chosen.walk_forward, chosen.label)
        np.testing.assert_allclose(returns, market[fold.training], atol=1e-15)
    assert view.regimes.no_markov(0) == "no model is in force yet"


def test_the_states_are_those_of_the_market_and_scale_the_size_on_the_sessions_that_follow() -> None:
    view = seen(panel(), scale=0.25)
    first = int(SESSIONS.searchsorted(np.datetime64("2012-05-01")))
    state = np.array([view.regimes.label(row) == "turbulent" for row in range(first, BARS)])
    agree, commoner = (state == turbulent()[first:]).mean(), 1.0 - turbulent()[first:].mean()
    assert agree > 0.85 > commoner + 0.05
    assert set(view.regime_scales.tolist()) == {1.0, 0.25}
    for row in np.flatnonzero(view.regime_scales[first:] == 0.25)[:50]:
        # it takes three sessions in a row to get there
        back = row - np.arange(0, min(row, 40))
        assert any(state[max(0, last - 2) : last + 1].all() for last in back if last >= 2)


def test_where_no_model_could_be_fitted_the_rules_stay_and_the_month_says_why() -> None:
    calm = {name: getattr(panel(), name).copy() for name in FIELDS}
    for name in ("open", "high", "low", "close"):
        calm[name][:900] = 50.0  # a series that stands still until late in the history
    flat = replace(panel(), **calm)
    view, plain = seen(flat), market_view(flat, strategy().portfolio)
    assert view.regimes.no_markov(800) == "the market's return is constant"
    assert names(view, 900) == names(plain, 900)
    np.testing.assert_array_equal(view.regime_scales[:900], plain.regime_scales[:900])


DAILY = sessions_between("24/7", "2021-01-01", "2022-06-10")
WALK = {"refit_every_days": 30, "training_days": 300}


def in_days(calendar: str = "24/7", **walk: object) -> Strategy:
    market = {"calendar": calendar, "history_starts": "2021-01-01"}
    settings = {"name": "days", "market": market, "walk_forward": walk, "regimes": {"model": "markov_2"}}
    return Strategy.model_validate(settings)


def test_of_a_walk_in_days_each_model_is_fitted_on_its_refit_s_days_and_in_force_from_its_day_on() -> None:
    market, asked = np.random.default_rng(3).normal(0.0, 0.01, len(DAILY)), list[FloatArray]()
    planted = MarkovModel(np.zeros(2), np.array([1e-4, 9e-4]), np.array([[0.95, 0.05], [0.1, 0.9]]))

    def fit(returns: FloatArray, _: int) -> MarkovFit:
        asked.append(returns)
        return MarkovFit(planted)

    naming = regime_naming(in_days(**WALK), DAILY, fit)
    assert naming is not None
    assert naming.states is not None
    whole = naming.states(market)
    # 60 sessions of warm-up, 300, 30 and 30 days: day 420 is on the grid, and the month after it the first with a model
    days = [420, 450, 480, 510]
    changes = [int(DAILY.searchsorted(np.datetime64("2022-03-01"))), *days[1:]]
    number = np.searchsorted(changes, np.arange(len(DAILY)), side="right") - 1
    np.testing.assert_array_equal(whole.number, number)
    purge = LabelSettings().horizon_sessions + LabelSettings().execution_lag_sessions
    for day, returns in zip(days, asked, strict=True):
        np.testing.assert_array_equal(returns, market[day - 360 : day - 60 - purge])
    for row in (449, 450, 465):
        broken = np.where(np.arange(len(DAILY)) > row, np.nan, market)
        cut = regime_naming(in_days(**WALK), DAILY[: row + 1], fit)
        assert cut is not None
        assert cut.states is not None
        for other in (naming.states(broken), cut.states(market[: row + 1])):
            np.testing.assert_array_equal(other.number[: row + 1], number[: row + 1])
            ours, theirs = other.in_force(row), whole.in_force(row)
            assert ours is not None
            assert theirs is not None
            np.testing.assert_array_equal(ours.until(row + 1).probability, theirs.until(row + 1).probability)


def with_training(months: int, **more: object) -> Strategy:
    walk = WalkForwardSettings.model_validate({"training_months": months, **more})
    return strategy(model="markov_3").model_copy(update={"walk_forward": walk})


@pytest.mark.parametrize(
    ("asked", "remedy"),
    [
        (in_days(refit_every_days=30), "training_days to about 256 or more"),
        (in_days("XNYS", refit_every_days=30, training_days=300), "training_days to about 37"),
        (with_training(6), "training_months to about 13"),
    ],
)
def test_a_training_part_too_short_for_any_fit_is_refused_with_the_length_that_does(
    asked: Strategy, remedy: str
) -> None:
    fault = short_training_fault(asked)
    assert fault is not None
    assert "250 sessions of training for regimes.model markov_" in fault.expected
    assert remedy in fault.remedy
    longer = fault.remedy.split(" to about ")[1].split(" ")[0]
    key = fault.remedy.split()[1].rpartition(".")[2]
    walk = asked.walk_forward.model_copy(update={key: int(longer)})
    assert short_training_fault(asked.model_copy(update={"walk_forward": walk})) is None


def test_what_some_fit_could_be_made_of_is_not_refused() -> None:
    for asked in (
        strategy(),
        strategy(model="rules"),
        strategy(model="markov_2"),
        in_days(**WALK),
        with_training(6, window="expanding"),
    ):
        assert short_training_fault(asked) is None


def test_a_file_that_asks_for_such_regimes_is_left_out_by_the_line_that_does(tmp_path: Path) -> None:
    (tmp_path / "strategies").mkdir()
    text = (
        "name: days\nmarket: {calendar: 24/7, history_starts: 2021-01-01}\nwalk_forward: {refit_every_days: 30}\n"
        "regimes:\n  model: markov_2\n"
    )
    (tmp_path / "strategies" / "days.yaml").write_text(text, encoding="utf-8")
    with living_in(tmp_path), pytest.raises(SettingsError, match=r"days\.yaml, line 5, key regimes\.model"):
        find_strategy("days")
