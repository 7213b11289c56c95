"""Novelty scores against numpy and brute force; rows that are planted strange; bad input by its name."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, rankdata

from nn_assets.arrays import Cube
from nn_assets.learning.artifact import from_files, to_files
from nn_assets.learning.autoencoder import fit_novelty
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.inference import model_windows
from nn_assets.learning.novelty import (
    Novelty,
    NoveltyFit,
    Rank,
    by_session,
    day_departures,
    day_score,
    departures_from_others,
    normal_knots,
    normal_scores,
    scorable,
    whitened,
)
from nn_assets.learning.windows import Samples, Windows, find_samples
from nn_assets.operations.models.novelty import p_values_of
from nn_assets.settings import Strategy
from nn_assets.signals.novelty import DayNovelty, confidence_share, judge_day
from tests.learning.tiny import NAMES, fit_model, tiny_fold, tiny_market, tiny_settings, tiny_strategy

FACTORS = np.random.default_rng(1).normal(size=(3, 8))


def drawn(rows: int, seed: int) -> np.ndarray:
    """Rows of eight features that three factors and little noise make, (rows, 8)."""
    random = np.random.default_rng(seed)
    return random.normal(size=(rows, 3)) @ FACTORS + 0.3 * random.normal(size=(rows, 8))


def fitted(values: np.ndarray, names: tuple[str, ...] | None = None) -> NoveltyFit:
    """Scores of a panel of one symbol: two thirds to train on, then a validation and a calibration part."""
    windows = Windows(values[:, None, :], lookback=2)
    stops = np.array([1, len(values) * 2 // 3, len(values) * 5 // 6, len(values)])
    parts = {
        name: find_samples(windows, slice(start, stop), np.zeros((stop - start, 1)))
        for name, start, stop in zip(("training", "validation", "calibration"), stops[:-1], stops[1:], strict=True)
    }
    return fit_novelty(windows, parts, tiny_settings(), names or tuple(map(str, range(values.shape[1]))))


@cache
def scores() -> Novelty:
    novelty = fitted(drawn(1800, 2)).novelty
    assert novelty is not None
    return novelty


def test_normal_scores_are_those_of_the_ranks_and_go_on_along_a_line_beyond_them() -> None:
    values = np.random.default_rng(4).exponential(size=(2000, 1))
    knots, normals = normal_knots(values, norm.ppf)
    expected = norm.ppf((rankdata(values[:, 0]) - 0.5) / 2000)
    ours = normal_scores(values, knots, normals)[:, 0]
    assert np.abs(ours - expected).max() < 0.08
    assert np.corrcoef(ours, expected)[0, 1] > 0.9999
    largest, median = values.max(), np.median(values)
    (top, far) = normal_scores(np.array([[largest], [2.0 * largest - median]]), knots, normals)[:, 0]
    assert far == pytest.approx(2.0 * top, rel=0.02)
    many = np.where(values < 0.5, 0.0, values)  # 39% of the rows are zero: one score for them, below the others'
    zero = normal_scores(np.zeros((1, 1)), *normal_knots(many, norm.ppf))[0, 0]
    assert norm.ppf(0.5 / 2000) < zero < norm.ppf(float((many == 0.0).mean()))
    assert np.isnan(normal_scores(np.array([[np.nan]]), knots, normals)).all()


def test_the_distance_is_mahalanobis_with_the_shrinkage_of_ledoit_and_wolf_and_departures_are_regressions() -> None:
    training = np.float64(np.float32(drawn(1800, 2)))[1:1200]
    unit = normal_scores(training, *normal_knots(training, norm.ppf))
    rows, features = unit.shape
    centred = unit - unit.mean(axis=0)
    sample = centred.T @ centred / rows
    mean = np.trace(sample) / features
    # Ledoit and Wolf (2004), lemmas 3.2 to 3.4, by a loop over rows.
    spread = ((sample - mean * np.eye(features)) ** 2).sum()
    noise = sum(((np.outer(row, row) - sample) ** 2).sum() for row in centred) / rows**2
    share = min(noise, spread) / spread
    covariance = (1.0 - share) * sample + share * mean * np.eye(features)
    asked = normal_scores(drawn(5, 9), *normal_knots(training, norm.ppf))
    expected = [row @ np.linalg.inv(covariance) @ row for row in asked]
    np.testing.assert_allclose(scores().score(drawn(5, 9)).distance, expected, rtol=1e-9)
    # What the others say of a feature is its regression on them.
    left = departures_from_others(whitened(asked, scores().whitening), scores().whitening)
    for own in range(features):
        others = np.arange(features) != own
        slope = np.linalg.solve(covariance[np.ix_(others, others)], covariance[others, own])
        spread = covariance[own, own] - slope @ covariance[others, own]
        np.testing.assert_allclose(
            left[:, own], (asked[:, own] - asked[:, others] @ slope) / np.sqrt(spread), rtol=1e-7
        )


def test_a_p_value_counts_the_rows_that_are_at_least_as_unlike() -> None:
    random = np.random.default_rng(3)
    reference, asked = random.integers(0, 9, 40).astype(np.float64), np.array([-1.0, 0.0, 4.0, 8.0, 9.0, np.nan])
    expected = [(1 + sum(other >= one for other in reference)) / 41 for one in asked[:-1]]
    np.testing.assert_array_equal(Rank.of(reference).p_value(asked), [*expected, np.nan])


def test_p_values_of_ordinary_rows_are_uniform_and_of_strange_ones_small() -> None:
    ordinary = scores().score(drawn(4000, 5))
    for p_values in (*ordinary.p_values, ordinary.p_value):
        assert 0.002 < np.mean(p_values < 0.01) < 0.03  # most of 1,800 rows are ranked among those fitted on
        assert np.mean(p_values < 0.2) == pytest.approx(0.2, abs=0.06)
    # Each feature within its range, but not together: no factor moves so.
    strange = scores().score(drawn(200, 6) * np.where(np.arange(8) % 2, 1.0, -1.0))
    assert (np.mean(strange.p_values < 0.01, axis=1) > 0.7).all()
    assert np.mean(strange.p_value < 0.01) > 0.8


def test_one_value_out_of_all_proportion_is_seen_among_many_features() -> None:
    random = np.random.default_rng(1)
    novelty = fitted(random.normal(size=(1800, 20))).novelty
    assert novelty is not None
    rows = random.normal(size=(200, 20))
    rows[:, 7] = 4.5  # of 20 features, one at 4.5 deviations: the distance alone sees half of them
    seen = novelty.score(rows)
    assert np.mean(seen.p_values[1] < 0.01) > 0.9
    assert np.mean(seen.p_value < 0.01) > 0.7


def test_the_autoencoder_gives_back_what_the_factors_make() -> None:
    fit = fitted(drawn(1800, 2))
    assert fit.figures["validation_error"] < 0.35  # of 1 for a row given back as the mean
    assert fit.figures["epochs"] > 5


def test_the_same_rows_give_the_same_bits_alone_or_together_fitted_once_or_twice() -> None:
    rows, again = drawn(300, 7), fitted(drawn(1800, 2)).novelty
    assert again is not None
    together = scores().score(rows)
    for name in ("distance", "departure", "error", "p_value"):
        whole = getattr(together, name)
        np.testing.assert_array_equal(getattr(again.score(rows), name), whole)
        np.testing.assert_array_equal(getattr(scores().score(rows[17:18]), name), whole[17:18])
        np.testing.assert_array_equal(getattr(scores().score(rows[::-1]), name), whole[::-1])


def test_constant_and_empty_features_are_left_out_by_name() -> None:
    values = drawn(600, 2)
    values[:, 3] = 1.0
    assert fitted(values).figures["left_out"] == {"3": "constant on the training rows"}
    values[:, 1] = np.nan
    kept, left_out = scorable(values, tuple("abcdefgh"))
    assert left_out == {"b": "no value on the training rows", "d": "constant on the training rows"}
    assert kept.tolist() == [0, 2, 4, 5, 6, 7]


def test_too_few_rows_and_nothing_that_varies_are_told() -> None:
    few = fitted(drawn(300, 2))
    assert few.novelty is None
    assert few.figures == {"none": "199 training rows, at least 250 are needed"}
    flat = fitted(np.ones((600, 2)))
    assert flat.novelty is None
    assert flat.figures["none"] == "no feature varies on the training rows"


def test_where_the_autoencoder_fails_the_distance_tells_alone() -> None:
    windows = Windows(drawn(600, 2)[:, None, :], lookback=1)
    rows = np.arange(400, dtype=np.int64)
    training = Samples(rows, np.zeros(400, dtype=np.int64), np.zeros(400, dtype=np.float32))
    nothing = Samples(rows[:0], rows[:0], np.zeros(0, dtype=np.float32))
    fit = fit_novelty(
        windows,
        {"training": training, "validation": nothing, "calibration": nothing},
        tiny_settings(),
        tuple("abcdefgh"),
    )
    assert "samples to validate on" in fit.figures["autoencoder"]
    assert fit.novelty is not None
    alone = fit.novelty.score(drawn(10, 3))
    assert np.isnan(alone.error).all()
    assert np.isnan(alone.p_values[2]).all()
    assert np.isfinite(alone.p_value).all()


def test_a_row_with_a_missing_feature_has_no_score_and_keeps_its_confidence() -> None:
    rows = drawn(3, 4)
    rows[1, 2] = np.nan
    p_values = scores().score(rows).p_value
    assert np.isnan(p_values).tolist() == [False, True, False]
    assert confidence_share(p_values, 0.01)[1] == 1.0


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(1e-6, 1.0), min_size=2, max_size=20), st.floats(1e-4, 0.1))
def test_confidence_falls_with_p_alone_and_ordinary_rows_keep_it_to_the_bit(
    p_values: list[float], level: float
) -> None:
    ascending = np.sort(p_values)
    share = confidence_share(ascending, level)
    assert (np.diff(share) >= 0.0).all()
    assert ((share > 0.0) & (share <= 1.0)).all()
    assert (share[ascending >= level] == 1.0).all()


def test_a_day_is_judged_among_the_sessions_of_the_fold() -> None:
    p_values = np.array([0.5, 0.004, np.nan, 0.001, 0.9])
    score = day_score(p_values)
    assert score == pytest.approx(np.mean([-np.log(p) for p in (0.5, 0.004, 0.001, 0.9)]))
    assert np.isnan(day_score(np.array([np.nan])))
    rows = np.array([3, 3, 4, 7, 7, 7])
    np.testing.assert_allclose(
        by_session(rows, np.array([0.5, 0.5, 0.1, 1.0, 1.0, 1.0])), [np.log(2.0), np.log(10.0), 0.0]
    )
    days = np.r_[np.full(30, 1.2), 6.0, np.full(30, 6.0)]  # another market from row 30 on
    departures = day_departures(days)
    assert np.isnan(departures[:20]).all()
    assert departures[29:32].tolist() == [1.0, 5.0, 5.0]
    assert departures[-1] == 1.0
    assert day_departures(np.full(21, 0.1))[-1] == pytest.approx(0.2)  # quiet sessions count as 0.5
    uneven = np.r_[np.full(10, 1.0), np.full(10, 3.0), 8.0]
    assert day_departures(uneven)[-1] == 4.0  # the median of 20 before it, and not of its own

    def judged(day_p_value: float, sessions: int) -> DayNovelty:
        return judge_day(
            p_values,
            tuple("ABCDE"),
            score=score,
            day_p_value=day_p_value,
            sessions=sessions,
            unlike_p_value=0.01,
            days_a_year=1.0,
            sessions_per_year=252,
        )

    novelty = judged(1 / 252, 700)
    assert (novelty.rows, novelty.unlike, novelty.symbols, novelty.unlike_day) == (4, 2, ("D", "B"), True)
    assert not judged(1 / 251, 700).unlike_day
    assert judged(1 / 91, 90).unlike_day  # of a fold of 90 sessions: more unlike than all of them
    assert DayNovelty.from_record(novelty.to_record()) == novelty


def asking(strategy: Strategy) -> Strategy:
    return Strategy.model_validate({**strategy.model_dump(mode="json"), "novelty": {}})


@cache
def model() -> FoldModel:
    cube, labels = tiny_market()
    strategy = asking(tiny_strategy(maximum_epochs=1))
    return fit_model(cube, labels, tiny_fold(cube, strategy), strategy)


def test_a_model_carries_its_scores_through_its_files_and_their_file_is_held_to_its_hash() -> None:
    files = to_files(model())
    stored = from_files(files)
    assert to_files(stored) == files
    cube, _ = tiny_market()
    rows = slice(model().fold.used_from, cube.session_count)
    again = p_values_of(stored, cube, rows, cube.symbols)
    np.testing.assert_array_equal(again, p_values_of(model(), cube, rows, cube.symbols))
    assert np.isfinite(again).all()


def test_nothing_else_of_a_model_changes_where_novelty_is_asked_for_and_without_it_there_is_no_file() -> None:
    cube, labels = tiny_market()
    strategy = tiny_strategy(maximum_epochs=1)
    plain = fit_model(cube, labels, tiny_fold(cube, strategy), strategy)
    files, with_scores = to_files(plain), to_files(model())
    assert sorted(set(with_scores) - set(files)) == ["novelty.safetensors"]
    for name in ("weights.safetensors", "baselines.safetensors", "validation.safetensors"):
        assert files[name] == with_scores[name]
    assert plain.model_id != model().model_id
    assert strategy.content_hash() != asking(strategy).content_hash()
    assert "novelty" not in strategy.behaviour()


@pytest.mark.parametrize("fault", ["cut", "nothing", "noise"])
def test_scores_read_no_later_row(fault: str) -> None:
    cube, labels = tiny_market()
    used = model().fold.used_from
    rows = slice(used, used + 10)
    values = cube.values.copy()
    later = values[rows.stop :]
    later[:] = np.nan if fault == "nothing" else np.random.default_rng(1).normal(size=later.shape) * 50.0
    changed = Cube(cube.sessions, cube.symbols, NAMES, values)
    if fault == "cut":
        changed = Cube(cube.sessions[: rows.stop], cube.symbols, NAMES, values[: rows.stop])
    strategy = asking(tiny_strategy(maximum_epochs=1))
    again = model()
    if fault == "noise":  # the fit too: nothing from the model's first use on is read
        values[used:] = later[0]
        again = fit_model(changed, labels, model().fold, strategy)
        assert to_files(again)["novelty.safetensors"] == to_files(model())["novelty.safetensors"]
        return
    np.testing.assert_array_equal(
        p_values_of(again, changed, rows, cube.symbols), p_values_of(model(), cube, rows, cube.symbols)
    )


def test_a_symbol_that_the_model_does_not_know_has_no_score() -> None:
    cube, _ = tiny_market()
    rows = slice(model().fold.used_from, model().fold.used_from + 2)
    p_values = p_values_of(model(), cube, rows, ("NEW", *cube.symbols[1:]))
    assert np.isnan(p_values[:, 0]).all()
    np.testing.assert_array_equal(p_values[:, 1:], p_values_of(model(), cube, rows, cube.symbols)[:, 1:])
    assert model_windows(model(), cube, rows).shape[2] == len(NAMES)
