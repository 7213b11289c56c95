"""Error spending: published boundaries, and paths simulated here; nothing is shared with what is tested."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from nn_assets.evaluation.spending import (
    boundaries,
    look_levels,
    mixture_boundary,
    per_trial_level,
    spent,
)

NORMAL = NormalDist()


@pytest.mark.parametrize(
    "published",
    [  # one-sided 0.025, O'Brien-Fleming spending at equal steps: ldbounds (R), and gsDesign's sfLDOF
        (2.9626, 1.9686),
        (3.7103, 2.5114, 1.9930),
        (4.3326, 2.9631, 2.3590, 2.0141),
        (4.8769, 3.3569, 2.6803, 2.2898, 2.0310),
    ],
)
def test_boundaries_are_those_published(published: tuple[float, ...]) -> None:
    looks = len(published)
    fractions = [(look + 1) / looks for look in range(looks)]
    result = boundaries(fractions, [spent(fraction, 0.025) for fraction in fractions])
    assert result == pytest.approx(published, abs=2e-4)


def test_the_spending_function_is_lan_and_demets_first() -> None:
    # Lan and DeMets (1983): at half of the information, alpha 0.05 one-sided has spent 0.0056.
    assert spent(0.5, 0.05) == pytest.approx(2.0 * (1.0 - NORMAL.cdf(NORMAL.inv_cdf(0.975) / math.sqrt(0.5))))
    assert spent(0.5, 0.05) == pytest.approx(0.0056, abs=1e-4)
    assert spent(0.0, 0.05) == 0.0
    assert spent(1.0, 0.05) == pytest.approx(0.05)
    assert spent(1.7, 0.05) == pytest.approx(0.05)


def test_two_looks_at_equal_boundaries_are_pococks() -> None:
    """Pocock (1977), table 1: two looks at 2.178 spend 0.05 two-sided, 0.0147 a look."""
    first = 1.0 - NORMAL.cdf(2.178)
    assert boundaries([1.0, 2.0], [first, 0.025])[1] == pytest.approx(2.178, abs=2e-3)


def _paths(rounds: int, information: np.ndarray, seed: int) -> np.ndarray:
    steps = np.diff(information, prepend=0.0)
    moves = np.random.default_rng(seed).standard_normal((rounds, len(steps))) * np.sqrt(steps)
    return moves.cumsum(axis=1) / np.sqrt(information)


@pytest.mark.full
def test_sixty_looks_and_as_many_after_them_keep_to_five_percent() -> None:
    months = np.arange(121)
    sessions = 500 + 21 * months
    levels = np.array(look_levels(months.tolist(), sessions.tolist(), 1, 21.0))
    critical = np.array([NORMAL.inv_cdf(1.0 - level) if level > 1e-15 else 99.0 for level in levels])
    crossed = _paths(200_000, sessions.astype(float), seed=1) > critical
    first, planned = crossed[:, 0].mean(), crossed[:, :61].any(axis=1).mean()
    ever = crossed.any(axis=1).mean()
    assert first == pytest.approx(0.03, abs=0.0015)
    assert planned == pytest.approx(0.045, abs=0.0018)
    assert planned < ever <= 0.05 + 0.0018


@pytest.mark.full
def test_ten_trials_together_keep_to_five_percent() -> None:
    months = np.arange(61)
    sessions = 500 + 21 * months
    levels = look_levels(months.tolist(), sessions.tolist(), 10, 21.0)
    critical = np.array([NORMAL.inv_cdf(1.0 - level) if level > 1e-15 else 99.0 for level in levels])
    crossed = (_paths(400_000, sessions.astype(float), seed=2) > critical).any(axis=1).reshape(-1, 10).any(axis=1)
    assert crossed.mean() == pytest.approx(0.045, abs=0.003)


def test_the_sequence_is_crossed_at_any_length_no_oftener_than_it_says() -> None:
    information = np.geomspace(100.0, 1e6, 300)
    critical = np.array([mixture_boundary(amount, 0.05, 1000.0) for amount in information])
    ever = (_paths(50_000, information, seed=3) > critical).any(axis=1).mean()
    assert 0.02 < ever <= 0.05
    assert mixture_boundary(1000.0, 0.05, 1000.0) < mixture_boundary(1000.0, 0.05, 100_000.0)


def test_looks_left_out_spend_nothing_and_the_first_past_the_plan_spends_what_is_left() -> None:
    alone = look_levels([0, 84], [500, 500 + 84 * 21], 1, 21.0)
    crossed = _paths(400_000, np.array([500.0, 500.0 + 84 * 21]), seed=4) > [
        NORMAL.inv_cdf(1.0 - level) for level in alone
    ]
    assert crossed.any(axis=1).mean() == pytest.approx(0.045, abs=0.0012)
    assert alone[1] > 0.014


def test_an_earlier_look_does_not_depend_on_later_ones() -> None:
    months, sessions = list(range(50)), [700 + 21 * month for month in range(50)]
    whole = look_levels(months, sessions, 3, 21.0)
    assert look_levels(months[:20], sessions[:20], 3, 21.0) == whole[:20]
    assert whole[1] < 1e-12
    assert sorted(whole[1:]) == list(whole[1:])


def test_a_look_without_new_sessions_finds_nothing_new() -> None:
    levels = look_levels([0, 30, 40, 50], [500, 900, 900, 1100], 1, 21.0)
    assert levels[2] == 0.0
    assert levels[1] > 0.0
    assert levels[3] > 0.0


def test_each_of_many_trials_has_its_share() -> None:
    best = np.random.default_rng(0).random((200_000, 10)).min(axis=1)
    assert (best <= per_trial_level(0.03, 10)).mean() == pytest.approx(0.03, abs=1.2e-3)
    assert per_trial_level(0.03, 1) == pytest.approx(0.03)


def test_looks_after_the_plan_belong_to_the_sequence_and_none_is_left_out() -> None:
    sessions = [500, 1130, 1781, 1970, 4000]
    levels = look_levels([0, 30, 61, 70, 167], sessions, 1, 21.0)
    assert len(levels) == 5
    for level, seen in zip(levels[3:], sessions[3:], strict=True):
        boundary = mixture_boundary(seen, 0.005, 500 + 60 * 21)
        assert level == pytest.approx(1.0 - NORMAL.cdf(boundary), rel=1e-9)
    assert levels[2] > 2.0 * levels[3]  # the first one past the plan still has what the plan left
