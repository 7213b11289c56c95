"""Searches on markets whose truth is known: what nested choices find, and what a choice over all folds pretends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nn_assets.arrays import Cube, FloatArray
from nn_assets.estimators import TRADED
from nn_assets.features.labels import Labels
from nn_assets.learning.calibration import fit_calibration
from nn_assets.learning.compute import open_compute
from nn_assets.learning.inference import forecast
from nn_assets.learning.model import FoldData, fit_models
from nn_assets.learning.objective import book_returns, net_sharpe
from nn_assets.operations.models import calibration
from nn_assets.operations.search.budget import chosen, spend
from nn_assets.operations.search.judging import FoldJudge, trial_strategy
from nn_assets.settings import Strategy
from tests.operations.searched import YEAR, Kept, around_the_clock, market, seen_before, strategy_with

pytestmark = [pytest.mark.full, pytest.mark.slow]


@dataclass(frozen=True)
class Walk:
    """When searches are made, and what makes the strategy that they are made for."""

    make: Callable[..., Strategy]
    calendar: str
    starts: tuple[str, ...]
    end: str

    def market(self, seed: int, coefficient: float) -> tuple[Cube, Labels]:
        """A market on which they are."""
        return market(seed, coefficient, calendar=self.calendar)


IN_MONTHS = Walk(strategy_with, "XNYS", ("2012-04", "2012-07", "2012-10", "2013-01", "2013-04"), "2013-07")
IN_DAYS = Walk(
    around_the_clock,
    "24/7",
    ("2011-11-29", "2012-01-28", "2012-03-28", "2012-05-27", "2012-07-26"),  # every 60 days of the grid
    "2012-09-24",
)
WALKS = pytest.mark.parametrize(
    ("walk", "seeds"), [(IN_MONTHS, range(1, 9)), (IN_DAYS, range(901, 907))], ids=["months", "days"]
)
LOOKBACK = {"learning.lookback": {"choices": [1, 4]}, "learning.hidden": {"low": 4, "high": 16}}
WIDE = {
    "learning.lookback": {"low": 1, "high": 12},
    "learning.hidden": {"low": 2, "high": 32},
    "learning.learning_rate": {"low": 1e-3, "high": 0.1, "log": True},
    "learning.weight_decay": {"low": 1e-6, "high": 1.0, "log": True},
    "learning.residual": {"choices": [False, True]},
}


def _choice(strategy: Strategy, cube: Cube, labels: Labels, month: str) -> tuple[Mapping[str, Any], float, float]:
    """Parameters and figure of what the search of a month chooses, and the share of its trials with a long window."""
    assert strategy.search is not None
    evidence = seen_before(month, cube, labels, strategy)
    finished = spend(strategy.search, {}, [], f"7:{month}", FoldJudge(evidence), Kept())
    best = chosen(finished)
    assert best is not None
    assert best.value is not None
    return best.parameters, best.value, float(np.mean([_is_long(trial.parameters) for trial in finished]))


def _is_long(parameters: Mapping[str, Any]) -> bool:
    return bool(parameters.get("learning.lookback", 1) == 4)


def _scores(strategy: Strategy, cube: Cube, labels: Labels, month: str, rows: slice) -> FloatArray:
    """Out-of-sample scores of some rows by the model that is fitted for a month."""
    evidence = seen_before(month, cube, labels, strategy)
    (model,) = fit_models([FoldData(evidence.cube, evidence.labels, evidence.folds[0])], strategy)
    return model.logit_scales[TRADED].score(forecast(model, cube, rows)[TRADED].probability)


def _rows(walk: Walk, cube: Cube) -> list[tuple[str, slice]]:
    """The rows in which each choice is in force."""
    edges = [int(cube.sessions.searchsorted(pd.Timestamp(start))) for start in (*walk.starts, walk.end)]
    return [(start, slice(*edges[number : number + 2])) for number, start in enumerate(walk.starts)]


def _record(
    walk: Walk, strategy: Strategy, cube: Cube, labels: Labels
) -> tuple[FloatArray, FloatArray, list[tuple[bool, float]]]:
    """Scores and returns of the record that nested choices make; of each whether it is long, and what chance gives."""
    parts, choices = [], []
    for month, rows in _rows(walk, cube):
        parameters, _, chance = _choice(strategy, cube, labels, month)
        choices.append((_is_long(parameters), chance))
        parts.append(_scores(trial_strategy(strategy, parameters), cube, labels, month, rows))
    start = _rows(walk, cube)[0][1].start
    return np.concatenate(parts), labels.returns[start : start + sum(map(len, parts))], choices


def _rank_ic(score: FloatArray, returns: FloatArray) -> float:
    """Mean over sessions of the rank correlation within each, of scipy's."""
    values = [
        stats.spearmanr(scores[held], earned[held]).statistic
        for scores, earned in zip(score, returns, strict=True)
        if (held := np.isfinite(scores) & np.isfinite(earned)).sum() > 3
    ]
    return float(np.nanmean(values))


def _oracle_ic(walk: Walk, cube: Cube, labels: Labels) -> tuple[float, list[int]]:
    """The same nested choice by least squares: of lag 0 and lags 0 to 3 the one with the higher IC last quarter."""
    signal, returns = cube.values[:, :, 0], labels.returns

    def design(rows: range, lags: int) -> tuple[FloatArray, FloatArray]:
        x = np.stack([signal[[row - lag for row in rows]] for lag in range(lags)], axis=-1)
        return x, returns[list(rows)]

    scores, kept, picked = [], [], []
    for _, rows in _rows(walk, cube):
        until, quarter = rows.start - 2, 62
        by_lags = {}
        for lags in (1, 4):
            x, y = design(range(until - 240, until - quarter - 2), lags)
            slope = np.linalg.lstsq(x.reshape(-1, lags), y.ravel(), rcond=None)[0]
            held_out, earned = design(range(until - quarter, until), lags)
            by_lags[lags] = _rank_ic(held_out @ slope, earned), slope
        best = max(by_lags, key=lambda lags: by_lags[lags][0])
        picked.append(best)
        x, y = design(range(rows.start, rows.stop), best)
        scores.append(x @ by_lags[best][1])
        kept.append(y)
    return _rank_ic(np.concatenate(scores), np.concatenate(kept)), picked


@WALKS
def test_a_nested_search_picks_what_matters_and_its_record_is_not_above_an_oracle_of_the_same_choice(
    walk: Walk, seeds: range, capsys: pytest.CaptureFixture[str]
) -> None:
    """Returns follow the signal of three sessions before: a window of four sees it, a window of one does not."""
    strategy = walk.make(LOOKBACK, trials=6)
    records, oracles, fixed = [], [], []
    picked: list[tuple[bool, float]] = []
    for seed in seeds:
        cube, labels = walk.market(seed, 0.12)
        score, returns, choices = _record(walk, strategy, cube, labels)
        records.append(_rank_ic(score, returns))
        oracles.append(_oracle_ic(walk, cube, labels)[0])
        blind = walk.make({"learning.hidden": {"low": 4, "high": 5}})
        parts = [_scores(blind, cube, labels, month, rows) for month, rows in _rows(walk, cube)]
        fixed.append(_rank_ic(np.concatenate(parts), returns))
        picked += choices
    difference = np.array(records) - np.array(oracles)
    error = difference.std(ddof=1) / len(difference) ** 0.5
    long_choices, chance = sum(is_long for is_long, _ in picked), float(np.mean([share for _, share in picked]))
    with capsys.disabled():
        print(
            f"\nplanted: long window in {long_choices} of {len(picked)} searches, {chance:.0%} by chance; "
            f"rank IC {np.mean(records):.4f}, oracle {np.mean(oracles):.4f} (difference {difference.mean():+.4f}, "
            f"s.e. {error:.4f}), window of one {np.mean(fixed):+.4f}"
        )
    assert stats.binomtest(long_choices, len(picked), chance, alternative="greater").pvalue < 0.01
    assert difference.mean() < 2.0 * error
    assert np.mean(records) > np.mean(fixed) + 0.03


def test_trials_fitted_in_several_processes_are_the_same_to_the_bit() -> None:
    strategy = strategy_with(LOOKBACK, {"processes": 2}, trials=4)
    cube, labels = market(5, 0.3)
    assert strategy.search is not None
    evidence = seen_before("2012-10", cube, labels, strategy)
    here = spend(strategy.search, {}, [], "p", FoldJudge(evidence), Kept())
    with open_compute("processes", 2) as compute:
        assert spend(strategy.search, {}, [], "p", FoldJudge(evidence, compute), Kept()) == here


@WALKS
def test_on_noise_the_nested_record_has_no_edge_and_one_choice_over_all_folds_pretends_one(
    walk: Walk, seeds: range, capsys: pytest.CaptureFixture[str]
) -> None:
    nested, inflated, honest = [], [], []
    strategy = walk.make(WIDE, trials=12, at_once=6, pruning=False)
    over_all = walk.make(WIDE, trials=12, at_once=6, pruning=False, scope="all_folds")
    for seed in seeds:
        cube, labels = walk.market(100 + seed, 0.0)
        score, returns, _ = _record(walk, strategy, cube, labels)
        nested.append(net_sharpe(book_returns(score, returns, 1, 0.0, neutral=False), 1, YEAR))
        after = walk.market(900 + seed, 0.0)
        parameters, value, _ = _choice(over_all, cube, labels, walk.end)
        inflated.append(value)
        parts = [
            _scores(trial_strategy(over_all, parameters), *after, month, rows) for month, rows in _rows(walk, after[0])
        ]
        start = _rows(walk, after[0])[0][1].start
        earned = after[1].returns[start : start + sum(map(len, parts))]
        honest.append(net_sharpe(book_returns(np.concatenate(parts), earned, 1, 0.0, neutral=False), 1, YEAR))
    figures = {"nested record": nested, "over all folds": inflated, "the same choices on another market": honest}
    statistics = {name: stats.ttest_1samp(values, 0.0) for name, values in figures.items()}
    with capsys.disabled():
        for name, values in figures.items():
            print(f"\nnoise, {name}: net Sharpe {np.mean(values):+.2f}, t = {statistics[name].statistic:+.2f}", end="")
    assert abs(statistics["nested record"].statistic) < 2.5
    assert abs(statistics["the same choices on another market"].statistic) < 2.5
    assert statistics["over all folds"].statistic > 3.0
    assert np.mean(inflated) > np.mean(nested) + 0.5


def _slopes(strategy: Strategy, cube: Cube, labels: Labels, month: str) -> tuple[float, float, float]:
    """Slope on the slice that a search judges, of the month's calibration, and of that a quarter of use later."""
    evidence = seen_before(month, cube, labels, strategy)
    (model,) = fit_models([FoldData(evidence.cube, evidence.labels, evidence.folds[0])], strategy)
    start, quarter = model.fold.used_from, 63
    history: Any = SimpleNamespace(axis=cube.sessions, strategy=strategy)
    held_out = calibration._held_out_rows(history, model, start)
    judged = model.fold.calibration
    raw = np.full((start + quarter, len(cube.symbols)), np.nan)
    raw[judged] = forecast(model, cube, judged, before_use=True)[TRADED].probability
    raw[start:] = forecast(model, cube, slice(start, start + quarter))[TRADED].probability
    score = model.logit_scales[TRADED].score(raw)
    kept = np.full_like(score, np.nan)
    kept[held_out] = score[held_out]

    def slope(rows: FloatArray) -> float:
        known = labels.until(len(rows) - 1).targets[: len(rows)]
        terms = {"horizon_sessions": 1, "half_life_sessions": YEAR, "prior_outcomes": 60.0}
        return fit_calibration(rows, np.abs(rows), known, **terms).slope

    return slope(score[:start]), slope(kept[:start]), slope(np.concatenate([kept[:start], score[start:]]))


def test_on_noise_no_calibration_believes_a_choice_more_than_the_strategys_own_configuration(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The slices that trials are judged on are those that a first model is held out on: they are no evidence of it."""
    wide = {name: values for name, values in WIDE.items() if name != "learning.residual"}
    strategy = strategy_with(wide, trials=12, folds=1, pruning=False)
    assert strategy.search is not None
    apart = []
    for seed in range(1, 11):
        cube, labels = market(seed, 0.0)
        evidence = seen_before("2012-07", cube, labels, strategy)
        best = chosen(spend(strategy.search, {}, [], f"7:{seed}", FoldJudge(evidence), Kept()))
        assert best is not None
        of_choice, own = (
            _slopes(trial_strategy(strategy, parameters), cube, labels, "2012-07")
            for parameters in (best.parameters, {})
        )
        apart.append([*of_choice, *own])
    figures = np.array(apart)
    difference = figures[:, :3] - figures[:, 3:]
    error = difference.std(axis=0, ddof=1) / len(difference) ** 0.5
    with capsys.disabled():
        for number, name in enumerate(("on the slice judged", "of the first month", "a quarter later")):
            chosen_mean, own_mean = figures[:, number].mean(), figures[:, number + 3].mean()
            print(
                f"\nnoise, slope {name}: chosen {chosen_mean:.3f}, own {own_mean:.3f} (s.e. {error[number]:.3f})",
                end="",
            )
    assert difference[:, 0].mean() > 3.0 * error[0]  # what a calibration on that slice would believe
    assert (figures[:, [1, 4]] == 0.0).all()  # so that every forecast is the base rate
    assert difference[:, 2].mean() < 2.0 * error[2]
