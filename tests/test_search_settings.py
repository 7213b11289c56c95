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
        ("learning.seed: {low: 1, high: 3}", "what may vary is of learning network"),
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
        ("features: {names: [log_return_1]}", "log_return_9: did you mean log_return_1"),
    ],
)
def test_a_search_must_fit_the_other_sections(other: str, message: str) -> None:
    space = "features.names: {choices: [[log_return_1], [log_return_9]]}"
    with pytest.raises(SettingsError, match=message):
        parse_strategy(SEARCHING % space + other + "\n")


IN_DAYS = "walk_forward: {refit_every_days: 30, training_days: 90, validation_days: 15, calibration_days: 15}\n"


@pytest.mark.parametrize(
    ("walk", "pace", "message"),
    [
        (IN_DAYS, "", "walk_forward.refit_every_days 30 beside search: state search.every_days, a multiple of it"),
        (IN_DAYS, "every_days: 100, ", "search.every_days 100 must be a multiple of walk_forward.refit_every_days 30"),
        (IN_DAYS, "every_days: 90, every_months: 3, ", "search.every_months 3 .* state search.every_days"),
        (IN_DAYS, "every_months: 3, ", "counts: state search.every_days, a multiple of it(?s:(?!.*state search))"),
        ("", "every_days: 90, ", "search.every_days 90 is not how walk_forward.refit_every_months 1 counts"),
    ],
)
def test_a_search_is_made_at_the_pace_of_the_walk(walk: str, pace: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_strategy(MINIMAL + walk + f"search: {{{pace}trials: 4, space: {{{WHOLE}}}}}\n")


def test_a_search_of_a_walk_in_days_states_how_often_it_is_made_and_one_in_months_keeps_its_hash() -> None:
    searched = parse_strategy(MINIMAL + IN_DAYS + f"search: {{every_days: 90, trials: 4, space: {{{WHOLE}}}}}\n")
    assert searched.search is not None
    assert searched.search.every_days == 90
    assert parse_strategy(SEARCHING % WHOLE).content_hash("search") == "4eb8cbf5fb8d62ab"  # as before there were days


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


FILE = """name: demo
market: {history_starts: 2000-01-03}
learning: {lookback: 5, hidden: 8, network: mlp}
features:
  names: [log_return_1, log_return_5]
walk_forward: {%s}
search:
  trials: 4
  space:
    learning.hidden: {low: 4, high: 8}
    %s
"""


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "learning.lookbak: {low: 3, high: 9}",
            "found search.space.learning.lookbak: not a key that may vary, did you mean learning.lookback? (line 11)",
        ),
        (
            "learning.network: {choices: [mlp, gruu]}",
            "found search.space.learning.network gruu is no network: did you mean gru? there are ",
        ),
        (
            "features.names: {choices: [[log_return_1], [log_retrun_5]]}",
            "found search.space.features.names log_retrun_5: did you mean log_return_5 or log_return_1? a choice is ",
        ),
        (
            "learning.lookback: {low: 0, high: 9}",
            "found search.space.learning.lookback 0: Input should be greater than or equal to 1 (line 11). Rem",
        ),
    ],
)
def test_a_fault_of_the_space_names_its_own_entry_and_line_and_what_was_meant(entry: str, message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_strategy(FILE % ("", entry))
    assert message in str(refused.value)
    assert "(line 11)" in str(refused.value)
    assert refused.value.where["line"] == 11
    assert refused.value.where["key"] == f"search.space.{entry.partition(':')[0]}"


@pytest.mark.parametrize(
    ("walk", "begins"),
    [
        (
            "refit_every_days: 30, training_months: 18",
            "walk_forward.training_months beside walk_forward.refit_every_days",
        ),
        ("training_days: 80", "walk_forward.training_days need walk_forward.refit_every_days"),
        ("refit_every_days: 30", "walk_forward.refit_every_days 30 beside search: "),
    ],
)
def test_a_walk_in_days_and_months_or_searched_is_refused_by_its_keys(walk: str, begins: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_strategy(FILE % (walk, "learning.lookback: {low: 3, high: 9}"))
    assert f"found {begins}" in str(refused.value)
    assert "a mapping" not in str(refused.value)
    assert refused.value.where["line"] == 6
