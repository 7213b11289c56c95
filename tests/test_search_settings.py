"""What a strategy may state of its search, and what is refused before anything is fitted."""

from __future__ import annotations

import pytest

from nn_assets.errors import SettingsError
from nn_assets.settings import Strategy, parse_strategy

MINIMAL = "name: demo\nmarket: {history_starts: 2000-01-03}\n"
SEARCHING = MINIMAL + "search: {trials: 4, space: {%s}}\n"
WHOLE = "learning.lookback: {low: 5, high: 30}"


def test_a_strategy_without_a_search_keeps_its_hash_and_one_with_it_has_another() -> None:
    plain, searched = parse_strategy(MINIMAL), parse_strategy(SEARCHING % WHOLE)
    assert plain.content_hash() == "da5af96b419e2483"  # as it was before there were searches
    assert "search" not in plain.behaviour()
    assert searched.content_hash() != plain.content_hash()
    assert searched.content_hash("learning") == plain.content_hash("learning")


def test_a_budget_and_a_space_are_all_that_must_be_stated() -> None:
    search = parse_strategy(SEARCHING % WHOLE).search
    assert search is not None
    assert (search.trials, search.every_months, search.scope, search.folds) == (4, 12, "nested", 4)
    assert Strategy.model_validate(parse_strategy(SEARCHING % WHOLE).model_dump()).search == search


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("learning.seed: {low: 1, high: 3}", "what may vary is learning.network"),
        ("label.horizon_sessions: {low: 1, high: 3}", "what may vary"),
        ("learning.lookback: {low: 0, high: 3}", "search.space.learning.lookback 0: Input should be greater"),
        ("learning.dropout: {low: 0.0, high: 1.0}", "search.space.learning.dropout 1.0"),
        ("learning.lookback: {low: 5}", "low and high are needed"),
        ("learning.lookback: {low: 9, high: 5}", "low below high"),
        ("learning.weight_decay: {low: 0.0, high: 0.1, log: true}", "log needs a low above 0"),
        ("learning.lookback: {choices: [5]}", "two or more"),
        ("learning.lookback: {choices: [5, 6], low: 1}", "not both"),
        ("learning.network: {choices: [mlp, mpl]}", "mpl"),
        ("learning.network: {choices: [mlp, tcn]}, learning.network_settings.kernel: {low: 2, high: 3}", "one of the"),
        ("", "at least 1"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_its_key(space: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_strategy(SEARCHING % space)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("walk_forward: {refit_every_months: 5}", "a multiple of walk_forward.refit_every_months 5"),
        (
            "walk_forward: {refit_every_days: 30, training_days: 90, validation_days: 15, calibration_days: 15}",
            "state walk_forward in months",
        ),
        ("features: {names: [log_return_1]}", "log_return_9: a choice is some of features.names"),
    ],
)
def test_a_search_must_fit_the_other_sections(other: str, message: str) -> None:
    space = "features.names: {choices: [[log_return_1], [log_return_9]]}"
    with pytest.raises(SettingsError, match=message):
        parse_strategy(SEARCHING % space + other + "\n")


def test_parameters_replace_what_they_name_and_nothing_else() -> None:
    strategy = parse_strategy(
        MINIMAL + "learning: {network: tcn, network_settings: {kernel: 3}}\n"
        "search: {trials: 4, space: {learning.network_settings.kernel: {low: 2, high: 3}}}\n"
    )
    chosen = strategy.with_parameters(
        {"learning.network_settings.kernel": 2, "features.names": ["log_return_1"], "learning.hidden": 9}
    )
    assert dict(chosen.learning.network_settings) == {"kernel": 2}
    assert (chosen.features.names, chosen.learning.hidden) == (("log_return_1",), 9)
    assert chosen.learning.lookback == strategy.learning.lookback
    assert strategy.with_parameters({}) is strategy
