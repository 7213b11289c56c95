"""What every report warns of."""

from __future__ import annotations

import pytest

from nn_assets.operations.pages import caveats_of, left_out_beside
from tests.learning.tiny import tiny_strategy
from tests.operations.searched import strategy_with


@pytest.mark.parametrize(("members", "warned"), [(1, True), (4, True), (5, False), (9, False)])
def test_an_ensemble_of_fewer_than_five_members_is_warned_of(members: int, warned: bool) -> None:
    caveats = " ".join(caveats_of(tiny_strategy(ensemble=members)))
    assert (f"An ensemble has {members} members, fewer than 5" in caveats) == warned


@pytest.mark.parametrize(
    ("baselines", "named", "pronoun"),
    [
        ((), "the linear model and boosting", "them"),
        (("linear",), "boosting", "it"),
        (("boosting", "momentum"), "the linear model", "it"),
        (("linear", "boosting"), None, ""),
        (("momentum", "boosting", "linear"), None, ""),
    ],
)
def test_a_simple_estimator_that_is_left_out_is_named_by_every_report(
    baselines: tuple[str, ...], named: str | None, pronoun: str
) -> None:
    strategy = tiny_strategy(baselines=baselines)
    said = left_out_beside(strategy)
    if named is None:
        assert said is None
        assert "leaves out" not in " ".join(caveats_of(strategy))
        return
    assert said is not None
    assert said.startswith(
        f"learning.baselines leaves out {named}: a study does not judge the network beside {pronoun}, and cannot tell"
    )
    assert said.endswith(
        "What is left out is no trial: unless it was tried before, the bar for an edge is lower by it."
    )
    assert caveats_of(strategy).count(said) == 1


@pytest.mark.parametrize("scope", ["nested", "all_folds"])
def test_one_choice_over_all_folds_is_warned_of_and_nested_ones_are_not(scope: str) -> None:
    searched = strategy_with({"learning.lookback": {"choices": [1, 4]}}, scope=scope)
    assert ("one choice over all folds" in " ".join(caveats_of(searched))) == (scope == "all_folds")
