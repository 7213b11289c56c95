"""A budget is spent as stated, to the same choice wherever it was interrupted; a choice saw nothing of its month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nn_assets.errors import SettingsError
from nn_assets.features.labels import Labels
from nn_assets.learning.model import FoldData, fit_models
from nn_assets.learning.objective import net_sharpe
from nn_assets.operations.asof.choices import searched_sections
from nn_assets.operations.plugins import prepare
from nn_assets.operations.search.budget import chosen, nothing_found, spend
from nn_assets.operations.search.judging import FoldJudge, trial_strategy
from nn_assets.operations.search.sampling import FinishedTrial, Sampler, TrialFile
from nn_assets.settings.beside_signals import NoveltySettings
from nn_assets.settings.search import SearchSettings
from tests.operations.searched import YEAR, Kept, corrupted, market, seen_before, strategy_with

SPACE = {"learning.lookback": {"low": 1, "high": 40}, "learning.network": {"choices": ["mlp", "lstm"]}}
OWN = {"learning.lookback": 40, "learning.network": "lstm"}
MONTH = "2012-10"


def _search(**keys: Any) -> SearchSettings:
    return SearchSettings.model_validate({"trials": 12, "space": SPACE, "at_once": 3, **keys})


@dataclass
class Known:
    """A judge of a known truth: the shorter the lookback the better, an MLP better by two."""

    steps: int = 3
    dies_after: int | None = None
    fitted: list[tuple[int, int]] = field(default_factory=list)

    def worth(self, parameters: Mapping[str, Any]) -> float:
        return -float(parameters["learning.lookback"]) + 2.0 * (parameters["learning.network"] == "mlp")

    def __call__(self, trials: Mapping[int, Mapping[str, Any]], step: int) -> dict[int, float | str | None]:
        for number in trials:
            if self.dies_after is not None and len(self.fitted) >= self.dies_after:
                raise KeyboardInterrupt
            self.fitted.append((number, step))
        return {number: self.worth(parameters) + step for number, parameters in trials.items()}


def _spent(search: SearchSettings, judge: Any, finished: list[FinishedTrial] | None = None) -> list[FinishedTrial]:
    return spend(search, OWN, finished or [], "7:2012-10", judge, Kept())


def test_the_budget_is_spent_to_the_last_trial_and_the_own_configuration_is_one_of_them() -> None:
    kept = Kept()
    finished = spend(_search(), OWN, [], "7:2012-10", Known(), kept)
    assert [trial.number for trial in finished] == list(range(12))
    assert finished[0].parameters == OWN
    assert sorted(kept.begun) == sorted(trial.number for trial in kept.ended) == list(range(12))
    best = chosen(finished)
    assert best is not None
    assert best.value == max(trial.value for trial in finished if trial.state == "complete")
    assert best.value is not None
    assert best.value > -10.0  # the own one is worth -38


def test_wherever_it_is_interrupted_the_same_trials_come_out_and_none_is_fitted_twice() -> None:
    search = _search(trials=8)
    judge = Known()
    uninterrupted = _spent(search, judge)
    for dies_after in range(1, len(judge.fitted)):
        kept, dying, going_on = Kept(), Known(dies_after=dies_after), Known()
        with pytest.raises(KeyboardInterrupt):
            spend(search, OWN, [], "7:2012-10", dying, kept)
        assert _spent(search, going_on, kept.ended) == uninterrupted
        again = {number for number, _ in going_on.fitted} & {trial.number for trial in kept.ended}
        assert not again


def test_what_is_drawn_does_not_depend_on_the_order_in_which_trials_end() -> None:
    class Backwards(Known):
        def __call__(self, trials: Mapping[int, Mapping[str, Any]], step: int) -> dict[int, float | str | None]:
            return dict(reversed(super().__call__(trials, step).items()))

    assert _spent(_search(), Backwards()) == _spent(_search(), Known())


def test_pruning_gives_up_the_worse_half_early_spares_the_own_one_and_chooses_the_same() -> None:
    pruned, whole = Known(), Known()
    given_up, every = _spent(_search(trials=24), pruned), _spent(_search(trials=24, pruning=False), whole)
    assert {trial.state for trial in every} == {"complete"}
    ended_early = [trial for trial in given_up if trial.state == "pruned"]
    assert len(ended_early) >= 3
    assert all(len(trial.by_fold) == 1 for trial in ended_early)
    assert given_up[0].state == "complete"
    assert len(pruned.fitted) < len(whole.fitted) - 4
    best, best_of_all = chosen(given_up), chosen(every)
    assert best is not None
    assert best_of_all is not None
    assert best.value is not None
    assert best_of_all.value is not None
    assert best.value >= best_of_all.value - 1.0


def test_the_own_configuration_is_judged_on_every_fold_whatever_the_pruner_says_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Sampler, "gives_up", lambda *_: True)
    judge = Known()
    own, *drawn = _spent(_search(trials=5), judge)
    assert (own.number, own.state, own.value, len(own.by_fold)) == (0, "complete", -38.0, 3)  # -40 and two steps
    assert [step for number, step in judge.fitted if number == 0] == [0, 1, 2]
    assert {(trial.state, len(trial.by_fold)) for trial in drawn} == {("pruned", 1)}


def test_of_equal_trials_the_first_is_chosen_in_whatever_order_they_ended() -> None:
    """So a trial that is no better than the strategy's own configuration does not replace it."""
    worse, own, equal, later = (
        FinishedTrial(number, {"learning.lookback": number}, "complete", value, (value,))
        for number, value in ((1, 0.4), (0, 0.5), (2, 0.5), (7, 0.5))
    )
    given_up = FinishedTrial(3, {"learning.lookback": 3}, "pruned", 0.9, (0.9,))
    failed = FinishedTrial(4, {"learning.lookback": 4}, "failed", None, (0.9,), "no rows")
    for order in permutations((worse, own, equal, later, given_up, failed)):
        assert chosen(order) == own
    assert chosen([later, worse, equal]) == equal

    class Alike(Known):
        def worth(self, parameters: Mapping[str, Any]) -> float:
            return 1.0

    best = chosen(_spent(_search(), Alike()))
    assert best is not None
    assert (best.number, best.parameters) == (0, OWN)


def test_a_draw_that_came_before_is_not_fitted_again() -> None:
    search = _search(trials=9, pruning=False, space={"learning.lookback": {"choices": [1, 2]}})

    class Short(Known):
        def worth(self, parameters: Mapping[str, Any]) -> float:
            return -float(parameters["learning.lookback"])

    judge = Short()
    finished = spend(search, {"learning.lookback": 2}, [], "s", judge, Kept())
    assert len(finished) == 9
    assert {trial.value for trial in finished} == {1.0, 0.0}
    assert {number for number, _ in judge.fitted} <= {0, 1, 2, 3, 4, 5}


def test_a_search_that_finds_nothing_finite_is_a_named_error_with_its_reasons() -> None:
    def judge_of(answer: float | str | None) -> Any:
        class Barren(Known):
            def __call__(self, trials: Mapping[int, Mapping[str, Any]], step: int) -> dict[int, float | str | None]:
                return dict.fromkeys(trials, answer)

        return Barren()

    for answer, why in ((None, "forecasts nothing"), ("no rows", "no rows")):
        finished = _spent(_search(), judge_of(answer))
        assert chosen(finished) is None
        assert {trial.state for trial in finished} == {"failed"}
        error = nothing_found("tiny", MONTH, finished)
        assert error.kind == "SearchError"
        assert why in str(error)
        assert "the strategy's own configuration stays in force" in str(error)


def test_optunas_file_shows_what_is_under_way_fails_what_a_killed_process_left_and_keeps_what_ended(
    tmp_path: Path,
) -> None:
    file, space = tmp_path / "searches" / "tiny.journal", _search().space
    first = TrialFile(file, "tiny", space, [])
    rows = [first.begin(number, parameters) for number, parameters in ((0, {}), (1, OWN))]
    first.end(rows[0], FinishedTrial(0, {}, "complete", 0.5, (0.5,)))
    assert first.states == ["COMPLETE", "RUNNING"]
    with file.open("ab") as torn:
        torn.write(b'{"op_code": 5, "wor')
    on_record = [FinishedTrial(0, {}, "complete", 0.5, (0.5,)), FinishedTrial(2, OWN, "pruned", 0.1, (0.1,))]
    second = TrialFile(file, "tiny", space, on_record)
    assert second.states == ["COMPLETE", "FAIL", "PRUNED"]
    file.write_bytes(b"no journal\n" * 3)
    assert TrialFile(file, "tiny", space, on_record).states == ["COMPLETE", "PRUNED"]


def test_a_process_killed_while_it_cuts_off_a_torn_line_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, space = tmp_path / "tiny.journal", _search().space
    TrialFile(file, "tiny", space, [FinishedTrial(0, {}, "complete", 0.5, (0.5,))])
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"op_code": 5, "wor')

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", lambda path, content: (path.open("wb").close(), killed(content)))
    with pytest.raises(KeyboardInterrupt):
        TrialFile(file, "tiny", space, [])
    monkeypatch.undo()
    assert file.read_bytes().startswith(whole)
    assert TrialFile(file, "tiny", space, []).states == ["COMPLETE"]


HEADS, HIDDEN = "learning.network_settings.heads", "learning.hidden"


@pytest.mark.parametrize(
    ("network", "space", "message"),
    [
        ("transformer", {"learning.network_settings.nonsense": {"low": 1, "high": 8}}, "nonsense"),
        ("mlp", {"learning.network_settings.heads": {"choices": [1, 2]}}, "it has none.*network_settings.heads 1"),
        ("mlp", {"learning.network": {"choices": ["mlp", "candlestick"]}}, "candles are drawn.*network candlestick"),
        ("transformer", {HEADS: {"choices": [1, 5]}, HIDDEN: {"choices": [5, 4]}}, "5 heads.*heads 5.*hidden 4"),
    ],
)
def test_a_search_that_takes_what_can_never_be_fitted_is_refused_by_name(
    network: str, space: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=rf"search\.space.*{message}"):
        prepare(strategy_with(space, {"network": network}))


def test_a_search_all_of_whose_corners_can_be_built_is_taken() -> None:
    for hidden in ({"low": 4, "high": 16}, {"low": 4, "high": 15, "step": 4}):  # which draws no 15
        prepare(strategy_with({HEADS: {"choices": [1, 4]}, HIDDEN: hidden}, {"network": "transformer"}))


def test_a_choice_sees_no_label_that_is_realised_in_its_month_and_no_later_bar() -> None:
    strategy = strategy_with({"learning.lookback": {"choices": [1, 4]}}, trials=3, folds=1)
    cube, labels = market(3, 0.4, last="2012-12-31")
    first = int(cube.sessions.searchsorted(np.datetime64(MONTH)))
    spans = int(labels.realised_row[0])
    healthy = seen_before(MONTH, cube, labels, strategy)
    later = seen_before(MONTH, *corrupted(cube, labels, first), strategy)
    assert healthy.address == later.address
    assert healthy.saw_until == str(cube.sessions[first - 1].date()) < MONTH
    latest = healthy.folds[0].calibration.stop - 1
    assert latest + spans == first - 1
    answers = [
        spend(strategy.search, {"learning.lookback": 1}, [], "2", FoldJudge(evidence), Kept())
        for evidence in (healthy, later)
        if strategy.search is not None
    ]
    assert answers[0] == answers[1]
    best = chosen(answers[0])
    assert best is not None
    assert best.parameters == {"learning.lookback": 4}


def test_one_day_earlier_already_changes_what_is_seen() -> None:
    strategy = strategy_with({"learning.lookback": {"choices": [1, 4]}}, folds=1)
    cube, labels = market(3, 0.4, last="2012-12-31")
    first = int(cube.sessions.searchsorted(np.datetime64(MONTH)))
    changed = corrupted(cube, labels, first - 1)
    assert seen_before(MONTH, *changed, strategy).address != seen_before(MONTH, cube, labels, strategy).address


def test_a_trial_is_judged_by_its_networks_alone_and_fits_nothing_beside_them() -> None:
    """What is fitted beside a network, and the model that it could begin from, change no bit of its figure."""
    own = {"baselines": ["linear", "boosting"], "residual": True, "warm_start": True, "maximum_epochs": 2}
    strategy = strategy_with({"learning.hidden": {"low": 4, "high": 6}}, own, trials=2, folds=1, ensemble=1)
    strategy = strategy.model_copy(update={"novelty": NoveltySettings()})
    evidence = seen_before(MONTH, *market(3, 0.4, last="2012-12-31"), strategy)
    judge = FoldJudge(evidence)
    figure = judge({0: {"learning.hidden": 4}}, 0)[0]
    alone = trial_strategy(strategy, {"learning.hidden": 4})
    assert (alone.learning.baselines, alone.novelty) == (("linear",), None)  # what a residual network begins as
    whole = strategy.with_parameters({"learning.hidden": 4})
    data = [FoldData(evidence.cube, evidence.labels, evidence.folds[0])]
    (model,) = fit_models(data, whole)
    assert {"boosting", "linear"} < set(model.estimators.members)
    assert figure == net_sharpe(judge._judged(model), 1, YEAR)


def test_a_trial_is_judged_by_what_a_position_earns_whatever_threshold_its_label_has() -> None:
    """Half a deviation, on pure noise: to be judged by the return less it is to be short alone."""
    strategy, threshold = strategy_with({"learning.lookback": {"choices": [1, 2]}}, folds=1), 0.005
    cube, plain = market(3, 0.0, last="2012-12-31")
    passed = np.where(np.isfinite(plain.returns), (plain.returns > threshold).astype(np.float64), np.nan)
    of_return = Labels(passed, plain.returns, plain.realised_row)
    of_threshold = Labels(passed, plain.returns - threshold, plain.realised_row, ranked_against=plain.returns)
    figures = []
    for labels in (of_return, of_threshold):
        judge = FoldJudge(seen_before(MONTH, cube, labels, strategy))
        figures.append([judge({0: {"learning.lookback": 1}}, step)[0] for step in range(judge.steps)])
    assert figures[0] == figures[1]


def test_a_trial_pays_for_a_spread_that_volatility_widens_and_its_search_is_another() -> None:
    """No half-spread of its own: all that a trial pays is a fifth of a daily volatility."""
    strategy = strategy_with({"learning.lookback": {"choices": [1, 2]}}, folds=1)
    wide = strategy.model_copy(update={"costs": strategy.costs.model_copy(update={"spread_volatility": 0.2})})
    free, paid = (
        FoldJudge(seen_before(MONTH, *market(3, 0.4, last="2012-12-31"), of))({0: {"learning.lookback": 1}}, 0)[0]
        for of in (strategy, wide)
    )
    assert isinstance(free, float)
    assert isinstance(paid, float)
    assert paid < free - 0.5
    assert searched_sections(wide) != searched_sections(strategy)


class Noise(Known):
    """A judge of nothing: each quarter says another thing of each lookback."""

    def __init__(self, quarters: np.ndarray) -> None:
        super().__init__(steps=len(quarters))
        self.quarters = quarters  # (quarters, lookbacks)

    def __call__(self, trials: Mapping[int, Mapping[str, Any]], step: int) -> dict[int, float | str | None]:
        means = self.quarters[: step + 1].mean(axis=0)
        return {number: float(means[parameters["learning.lookback"]]) for number, parameters in trials.items()}


def test_on_noise_what_a_choice_was_made_by_is_inflated_and_what_comes_after_a_nested_one_is_not() -> None:
    search = _search(trials=10, at_once=10, pruning=False, space={"learning.lookback": {"low": 1, "high": 40}})
    random, shown, after = np.random.default_rng(8), [], []
    for seed in range(40):
        quarters = random.normal(size=(5, 41))
        over_all = chosen(spend(search, {"learning.lookback": 1}, [], f"{seed}", Noise(quarters), Kept()))
        nested = chosen(spend(search, {"learning.lookback": 1}, [], f"{seed}", Noise(quarters[:4]), Kept()))
        assert over_all is not None
        assert nested is not None
        shown.append(over_all.value)
        after.append(quarters[4, nested.parameters["learning.lookback"]])
    expected_maximum = 1.5388 / 5**0.5  # of ten standard normals, over the root of five quarters
    assert np.mean(shown) == pytest.approx(expected_maximum, abs=0.2)
    assert abs(np.mean(after)) < 2.5 / 40**0.5
