"""Markov models of a market against every path that its states could take, and the proof that they read no future."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn_assets.signals import markov
from nn_assets.signals.filtered_states import FilteredStates, MarkovStates
from nn_assets.signals.markov import MarkovModel, filtered_probabilities, fit_markov
from nn_assets.signals.regimes import Regimes, classify_regimes, regime_scales

TRUE = MarkovModel(
    mean=np.array([0.0006, -0.0010]),
    variance=np.array([0.006**2, 0.015**2]),
    transition=np.array([[0.99, 0.01], [0.03, 0.97]]),
)
THREE = MarkovModel(
    mean=np.array([0.001, 0.0, -0.002]),
    variance=np.array([0.004, 0.008, 0.02]) ** 2,
    transition=np.array([[0.97, 0.02, 0.01], [0.02, 0.96, 0.02], [0.01, 0.04, 0.95]]),
)


def drawn(model: MarkovModel, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """States and returns."""
    draw, state, states = np.random.default_rng(seed), 0, []
    for _ in range(rows):
        state = int(draw.choice(model.states, p=model.transition[state]))
        states.append(state)
    path = np.array(states)
    return path, model.mean[path] + np.sqrt(model.variance[path]) * draw.standard_normal(rows)


def by_every_path(model: MarkovModel, returns: np.ndarray) -> np.ndarray:
    """The last state's probabilities, summed over all the paths that lead to it."""
    long_run = np.linalg.matrix_power(model.transition, 4096)[0]
    chances = np.zeros(model.states)
    for path in itertools.product(range(model.states), repeat=len(returns)):
        chance = long_run[path[0]]
        for now, then in itertools.pairwise(path):
            chance *= model.transition[now, then]
        for state, value in zip(path, returns, strict=True):
            if np.isfinite(value):
                deviation = np.sqrt(model.variance[state])
                chance *= np.exp(-0.5 * ((value - model.mean[state]) / deviation) ** 2) / deviation
        chances[path[-1]] += chance
    return chances / chances.sum()


@pytest.mark.parametrize(("model", "rows"), [(TRUE, 8), (THREE, 6)])
def test_filtered_probabilities_are_those_of_all_paths_that_lead_to_a_state(model: MarkovModel, rows: int) -> None:
    returns = np.array([0.004, -0.02, np.nan, 0.011, -0.001, 0.03, 0.002, -0.004])[:rows]
    filtered = filtered_probabilities(model, returns)
    for row in range(rows):
        np.testing.assert_allclose(filtered[row], by_every_path(model, returns[: row + 1]), rtol=1e-9)


def test_a_shock_after_turbulence_that_never_came_back_is_turbulent_again() -> None:
    """Half of the rows wild, then none: a fit finds no way back, and its long run has no turbulence at all."""
    draw = np.random.default_rng(0)
    returns = np.concatenate([draw.normal(0.0, 0.15, 375), draw.normal(0.0, 0.01, 375)])
    fitted = fit_markov(returns, 2).model
    assert fitted is not None
    assert fitted.transition[0, 1] < 1e-9  # exactly 0 after a few steps more
    fitted = replace(fitted, transition=np.array([[1.0, 0.0], fitted.transition[1]]))
    assert fitted.stationary()[1] < 1e-12
    calm, shock = draw.normal(0.0, 0.01, 30), 0.5
    filtered = filtered_probabilities(fitted, np.concatenate([returns, calm, [shock], calm]))
    turbulent = filtered[:, 1]
    assert np.isfinite(filtered).all()
    assert (turbulent[200:370] > 0.5).mean() > 0.95
    assert turbulent[760:780].max() < 1e-12
    assert turbulent[780] == pytest.approx(1.0)
    assert turbulent[-1] < 1e-6


@given(
    states=st.sampled_from([2, 3]), seed=st.integers(0, 2**32 - 1), size=st.sampled_from([1e-6, 1e-2, 0.3, 5.0, 700.0])
)
@settings(max_examples=200, deadline=None)
def test_whatever_parameters_and_returns_rows_are_probabilities(states: int, seed: int, size: float) -> None:
    """Transitions of exactly 0 among them, states that nothing leads to, and returns that no state explains."""
    draw = np.random.default_rng(seed)
    transition = draw.uniform(size=(states, states)) * (draw.uniform(size=(states, states)) < 0.5) + 1e-3 * np.eye(
        states
    )
    variance = np.sort(10.0 ** draw.uniform(-10.0, 0.0, states))
    model = MarkovModel(draw.normal(0.0, 0.01, states), variance, transition / transition.sum(axis=1, keepdims=True))
    returns = draw.standard_t(2, 40) * np.where(draw.uniform(size=40) < 0.2, size, 1e-3)
    returns[draw.uniform(size=40) < 0.1] = np.nan
    filtered = filtered_probabilities(model, returns)
    np.testing.assert_allclose(filtered.sum(axis=1), 1.0, rtol=1e-12)
    assert (filtered >= 0.0).all()
    np.testing.assert_array_equal(filtered_probabilities(model, returns[:25]), filtered[:25])


def log_likelihood(model: MarkovModel, returns: np.ndarray, initial: np.ndarray) -> float:
    """By products of matrices, row by row."""
    total, before = 0.0, initial
    for value in returns:
        joint = before * np.exp(-0.5 * (value - model.mean) ** 2 / model.variance) / np.sqrt(model.variance)
        total += float(np.log(joint.sum()))
        before = (joint / joint.sum()) @ model.transition
    return total


@pytest.mark.parametrize("truth", [TRUE, THREE])
def test_no_change_of_a_parameter_makes_the_training_returns_likelier(truth: MarkovModel) -> None:
    returns = drawn(truth, 1500, 3)[1]
    fitted = fit_markov(returns, truth.states).model
    assert fitted is not None
    assert (np.diff(fitted.variance) > 0.0).all()
    initial = markov._expected(fitted, np.full(truth.states, 1.0 / truth.states), returns)[0][0]
    best = log_likelihood(fitted, returns, initial)
    for state in range(truth.states):
        for factor in (0.93, 1.07):
            variance, transition = fitted.variance.copy(), fitted.transition.copy()
            variance[state] *= factor
            assert log_likelihood(replace(fitted, variance=variance), returns, initial) < best
            transition[state] = transition[state] ** factor
            transition[state] /= transition[state].sum()
            assert log_likelihood(replace(fitted, transition=transition), returns, initial) < best
        for step in (-0.1, 0.1):
            mean = fitted.mean.copy()
            mean[state] += step * np.sqrt(fitted.variance[state])
            assert log_likelihood(replace(fitted, mean=mean), returns, initial) < best
    np.testing.assert_allclose(np.sqrt(fitted.variance), np.sqrt(truth.variance), rtol=0.15)


def test_the_filtered_state_is_the_true_one_on_nine_sessions_of_ten_that_were_not_fitted() -> None:
    states, returns = drawn(TRUE, 3000, 5)
    fitted = fit_markov(returns[:1500], 2).model
    assert fitted is not None
    likeliest = filtered_probabilities(fitted, returns).argmax(axis=1)
    agree = (likeliest == states)[1500:].mean()
    assert agree > 0.9
    assert agree > max(states[1500:].mean(), 1.0 - states[1500:].mean()) + 0.1  # than saying the commoner always


def test_no_session_changes_when_the_future_is_cut_or_corrupted_and_a_smoother_would_be_caught() -> None:
    returns = drawn(TRUE, 900, 7)[1]
    whole = filtered_probabilities(TRUE, returns)
    smoothed = markov._expected(TRUE, TRUE.stationary(), returns)[0]
    caught = 0
    for cut in range(300, 880, 20):
        other = returns.copy()
        other[cut:] = np.random.default_rng(cut).permutation(other[cut:]) * 5.0
        for future in (returns[:cut], other, np.where(np.arange(900) < cut, returns, np.nan)):
            np.testing.assert_array_equal(filtered_probabilities(TRUE, future)[:cut], whole[:cut])
        changed = markov._expected(TRUE, TRUE.stationary(), other)[0][:cut]
        caught += int(np.abs(changed - smoothed[:cut]).max() > 0.05)
    assert caught > 10
    assert np.abs(smoothed - whole).max() > 0.3


@pytest.mark.parametrize(
    ("returns", "reason"),
    [
        (np.zeros(600), "constant"),
        (np.full(600, np.nan), "0 returns to fit on, 250 needed"),
        (np.random.default_rng(0).normal(0.0, 0.01, 200), "200 returns to fit on, 250 needed"),
        (np.random.default_rng(0).normal(0.0, 0.01, 300), "differ by a factor of|would hold fewer|had not converged"),
        (np.where(np.arange(600) == 300, 0.4, 1e-3 * np.sin(np.arange(600.0))), "would hold fewer than 20|few returns"),
    ],
)
@pytest.mark.parametrize("states", [2, 3])
def test_what_has_no_such_states_is_excluded_with_the_reason(returns: np.ndarray, reason: str, states: int) -> None:
    fit = fit_markov(returns, states)
    assert fit.model is None
    assert re.search(reason, fit.reason), fit.reason


def test_a_search_that_does_not_come_to_rest_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markov, "_MOST_STEPS", 3)
    assert fit_markov(drawn(TRUE, 900, 1)[1], 2).reason == "the fit had not converged after 3 steps"


def test_the_same_returns_give_the_same_bits_and_a_record_gives_them_back() -> None:
    returns = drawn(TRUE, 700, 9)[1]
    one, other = fit_markov(returns, 2).model, fit_markov(returns.copy(), 2).model
    assert one is not None
    assert other is not None
    again = MarkovModel.from_record(one.to_record())
    for name in ("mean", "variance", "transition"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))


def states_of(*models: FilteredStates, number: list[int]) -> Regimes:
    nothing = np.full(len(number), -1, dtype=np.int64)
    return Regimes(nothing, nothing, nothing, MarkovStates(np.array(number, dtype=np.int64), models))


def certain(*states: int) -> np.ndarray:
    return np.eye(2)[list(states)]


def test_each_session_has_the_state_of_the_model_in_force_and_the_rules_where_it_could_not_be_fitted() -> None:
    first = FilteredStates(0, certain(0, 1, 1, 0, 1))
    second = FilteredStates(3, np.empty((0, 2)), "too few")
    third = FilteredStates(2, certain(1, 1, 1, 0, 0, 1))
    regimes = states_of(first, second, third, number=[-1, 0, 0, 1, 1, 2, 2, 2])
    assert [regimes.label(row) for row in range(8)] == [
        *("unknown", "turbulent", "turbulent", "unknown", "unknown"),
        *("calm", "calm", "turbulent"),
    ]
    assert [regimes.no_markov(row) for row in (0, 1, 3)] == ["no model is in force yet", "", "too few"]
    # by the parameters of its own model: rows 2 to 4 are turbulent in the third, whatever was in force then
    assert regimes.share_of(7, range(2, 6)) == 0.75
    assert regimes.share_of(5, range(6)) == 0.25  # what comes before its first session is left out
    assert np.isnan(regimes.share_of(3, range(3)))
    cut = regimes.until(3)
    assert [cut.label(row) for row in range(3)] == ["unknown", "turbulent", "turbulent"]
    assert len(cut.markov.models) == 1


def test_the_state_of_the_greatest_variance_scales_after_three_sessions_in_it() -> None:
    states = [0, 1, 1, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0]
    regimes = states_of(FilteredStates(0, certain(*states)), number=[0] * 13)
    assert regime_scales(regimes).tolist() == [1.0] * 6 + [0.5] * 6 + [1.0]


def test_by_rule_the_share_is_that_of_the_earlier_sessions_of_the_same_label() -> None:
    draw = np.random.default_rng(1)
    regimes = classify_regimes(100.0 * np.exp(np.cumsum(draw.normal(0.0, 0.01, 900))))
    labels = [regimes.label(row) for row in range(900)]
    for row in range(560, 900, 30):
        known = [label for label in labels[400:row] if label != "unknown"]
        assert regimes.share_of(row, range(400, row)) == pytest.approx(known.count(labels[row]) / len(known))
    assert np.isnan(regimes.share_of(300, range(200)))
