"""What counts as another trial, and what does not."""

from __future__ import annotations

import pytest

from nn_assets.evaluation.trials import trial_hash
from nn_assets.settings import Strategy, parse_strategy

BASE = """
name: made_up
market:
  symbols: [AAA, BBB]
  history_starts: 2000-01-03
  history_ends: 2010-12-31
"""


def _strategy(extra: str = "", base: str = BASE) -> Strategy:
    return parse_strategy(base + extra)


@pytest.mark.parametrize(
    "extra",
    [
        "learning: {hidden: 32}",
        "learning: {network: mlp}",
        "learning: {seed: 8}",
        "label: {horizon_sessions: 10}",
        "features: {names: [rsi_14]}",
        "portfolio: {kelly_fraction: 0.25}",
        "walk_forward: {refit_every_months: 6}",
        "costs: {half_spread_bps: 1.0}",
        "source: {kind: simulator, seed: 3}",
    ],
)
def test_a_change_that_can_change_the_figures_is_a_trial(extra: str) -> None:
    assert trial_hash(_strategy(extra)) != trial_hash(_strategy())


@pytest.mark.parametrize("extra", ["learning: {processes: 1}", "owner: team:other", "description: other"])
def test_a_change_without_effect_is_none(extra: str) -> None:
    assert trial_hash(_strategy(extra)) == trial_hash(_strategy())


def test_more_history_is_the_same_trial() -> None:
    assert trial_hash(_strategy(base=BASE.replace("2010-12-31", "2015-12-31"))) == trial_hash(_strategy())


def test_the_order_of_symbols_is_no_choice() -> None:
    assert trial_hash(_strategy(base=BASE.replace("AAA, BBB", "BBB, AAA"))) == trial_hash(_strategy())


def test_estimators_are_trials_of_their_own_and_a_network_does_not_count_its_baselines_twice() -> None:
    one, other = _strategy(), _strategy("learning: {hidden: 32}")
    assert len({trial_hash(one, name) for name in ("network", "linear", "boosting")}) == 3
    assert trial_hash(one, "linear") == trial_hash(other, "linear")
