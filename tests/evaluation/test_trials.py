"""What counts as another trial, and what does not."""

from __future__ import annotations

import hashlib

import pytest

from nn_assets.evaluation.trials import trial_configuration, trial_hash, trial_of
from nn_assets.operations.strategy_files import parse_strategy
from nn_assets.settings import Strategy

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
        "universe: {path: members.csv}",
        "series: [{name: vix, path: vix.csv, lag_minutes: 15}]\nfeatures: {series: {implied_volatility: vix}}",
        "intraday: {path: minutes}",
    ],
)
def test_a_change_that_can_change_the_figures_is_a_trial(extra: str) -> None:
    assert trial_hash(_strategy(extra)) != trial_hash(_strategy())


@pytest.mark.parametrize(
    "extra",
    [
        "learning: {processes: 1}",
        "owner: team:other",
        "description: other",
        "gate: {max_quarantined_fraction: 0.5}",
        "trade_without_verdict: true",
    ],
)
def test_a_change_without_effect_is_none(extra: str) -> None:
    assert trial_hash(_strategy(extra)) == trial_hash(_strategy())


def test_a_trial_is_named_by_16_hex_digits_whatever_order_its_settings_stand_in() -> None:
    """The ledger keeps the name: the SHA-256 of the configuration's canonical JSON, written here by hand."""
    configuration = {"b": 1, "source": {"kind": "files", "path": "/elsewhere"}, "a": [True, None]}
    text = '{"a":[true,null],"b":1,"source":{"kind":"files"}}'
    expected = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert trial_of(configuration) == trial_of(dict(reversed(configuration.items()))) == expected


@pytest.mark.parametrize("line", ["known_at_lag_minutes: 600", "adjustment_convention: ex_close"])
def test_when_bars_count_as_known_and_how_they_are_adjusted_are_choices(line: str) -> None:
    other = BASE.replace("  history_ends", f"  {line}\n  history_ends")
    assert trial_hash(_strategy(base=other)) != trial_hash(_strategy())


def test_a_file_copied_elsewhere_is_the_same_trial() -> None:
    one, other = (_strategy(f"source: {{kind: files, path: {folder}/bars}}") for folder in ("data", "../old"))
    assert trial_hash(one) == trial_hash(other)
    assert trial_configuration(one) != trial_configuration(other)  # on record as it was


def test_what_a_verdict_looks_for_is_no_trial() -> None:
    assert trial_hash(_strategy("oversight: {smallest_effect: 0.03}")) == trial_hash(_strategy())


def test_two_files_of_a_universe_are_two_trials() -> None:
    one, other = (_strategy(f"universe: {{path: {name}.csv}}") for name in ("a", "b"))
    assert trial_hash(one) != trial_hash(other)


def test_no_key_that_changes_a_result_is_forgotten() -> None:
    """Whatever else tells two strategies apart is another trial, but for what is listed here."""
    plain = _strategy()
    configuration = trial_configuration(plain)
    behaviour = plain.behaviour()
    assert set(behaviour) - set(configuration) == {"name", "gate", "trade_without_verdict"}
    assert set(behaviour["market"]) - set(configuration["market"]) == {"history_ends", "live_starts", "vault_starts"}
    for section in set(configuration) - {"market", "estimator"}:
        assert configuration[section] == behaviour[section], section


def test_more_history_is_the_same_trial() -> None:
    assert trial_hash(_strategy(base=BASE.replace("2010-12-31", "2015-12-31"))) == trial_hash(_strategy())


def test_the_order_of_symbols_is_no_choice() -> None:
    assert trial_hash(_strategy(base=BASE.replace("AAA, BBB", "BBB, AAA"))) == trial_hash(_strategy())


def test_estimators_are_trials_of_their_own_and_a_network_does_not_count_its_baselines_twice() -> None:
    one, other = _strategy(), _strategy("learning: {hidden: 32}")
    assert len({trial_hash(one, name) for name in ("network", "linear", "boosting")}) == 3
    assert trial_hash(one, "linear") == trial_hash(other, "linear")
