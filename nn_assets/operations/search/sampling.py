"""Optuna's part of a search: what is drawn next, which trial is given up, and a file in which one can look on.

What is drawn for a trial follows from its number, the seed, and the trials of the batches before: neither from the
order in which trials of a batch end, nor from how many processes fit them, nor from where a search was killed. The
trials on the ledger are what it goes on from; Optuna's own file follows them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from nn_assets.settings.search import ParameterValues
from nn_assets.store.lake.files import write_bytes

TrialEnd = Literal["complete", "pruned", "failed"]
_STATES: Mapping[str, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
_PRUNED_FROM = 4  # finished trials on: the median of fewer says little
_NUMBER, _ENDED = "number", "ended"

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class FinishedTrial:
    """A trial that ended; ``value`` is None where it has no finite figure."""

    number: int
    parameters: Mapping[str, Any]
    state: TrialEnd
    value: float | None
    by_fold: tuple[float | None, ...]  # the figure over the folds so far, fold after fold
    why: str = ""  # it failed


class Sampler:
    """Draws the parameters of trials, and says which trial to give up, by the trials of the batches before.

    Parameters
    ----------
    space : mapping of key to ParameterValues
    before : sequence of FinishedTrial
        Those of the batches before, in order of their numbers.
    seed : int
        Of the search and its month.
    """

    def __init__(self, space: Mapping[str, ParameterValues], before: Sequence[FinishedTrial], seed: str) -> None:
        self._space, self._seed = dict(sorted(space.items())), seed
        self._distributions = {key: _distribution(values) for key, values in self._space.items()}
        self._before = [_frozen(trial, self._distributions) for trial in before if trial.parameters]
        self._pruner = optuna.pruners.MedianPruner(n_startup_trials=_PRUNED_FROM)

    def draw(self, number: int) -> dict[str, Any]:
        """The parameters of a trial, by key."""
        digest = hashlib.sha256(f"{self._seed}:{number}".encode()).digest()
        study = self._study(optuna.samplers.TPESampler(seed=int.from_bytes(digest[:4], "big")))
        drawn = study.ask(self._distributions).params
        return {key: json.loads(value) if self._space[key].choices else value for key, value in drawn.items()}

    def gives_up(self, by_fold: Sequence[float | None]) -> bool:
        """Whether a trial with these figures, fold after fold, is below the median of those before it."""
        study = self._study(None)
        trial = study.ask()
        for step, value in enumerate(by_fold):
            if value is not None:
                trial.report(value, step)
        return self._pruner.prune(study, study.get_trials()[trial.number])

    def _study(self, sampler: optuna.samplers.BaseSampler | None) -> optuna.Study:
        study = optuna.create_study(direction="maximize", sampler=sampler, pruner=self._pruner)
        study.add_trials(self._before)
        return study


class TrialFile:
    """Optuna's own file of a strategy's searches, one study a search, for its tools to read; nothing is decided by it.

    A trial under way is ``RUNNING`` in it. Where the process of one died, it is failed, and another takes its number.
    A file that cannot be read is put aside, and begun anew with the trials on the ledger.

    Parameters
    ----------
    file : path
        Made where it is not there.
    name : str
        Of the search.
    space : mapping of key to ParameterValues
    on_record : sequence of FinishedTrial
        The trials on the ledger: those that the file lacks are added.
    """

    def __init__(
        self, file: Path, name: str, space: Mapping[str, ParameterValues], on_record: Sequence[FinishedTrial]
    ) -> None:
        self._distributions = {key: _distribution(values) for key, values in sorted(space.items())}
        self._rows: dict[int, optuna.Trial] = {}
        file.parent.mkdir(parents=True, exist_ok=True)
        _without_torn_line(file)
        try:
            self._study = _open(file, name)
        except Exception:  # noqa: BLE001  whatever another hand left in it
            file.replace(file.with_suffix(".damaged"))
            self._study = _open(file, name)
        trials = self._study.get_trials()
        there = {
            trial.user_attrs[_NUMBER] for trial in trials if trial.state.is_finished() and _ENDED in trial.user_attrs
        }
        for trial in trials:
            if not trial.state.is_finished():
                self._study.tell(trial.number, state=TrialState.FAIL)
        for finished in on_record:
            if finished.number not in there:
                self._study.add_trial(_frozen(finished, self._distributions))

    def begin(self, number: int, parameters: Mapping[str, Any]) -> int:
        """Say that a trial is under way; its number in the file."""
        if parameters:
            self._study.sampler = _Drawn(_spelled(parameters, self._distributions))
        trial = self._study.ask(self._distributions if parameters else None)
        trial.set_user_attr(_NUMBER, number)
        self._rows[trial.number] = trial
        return trial.number

    def end(self, row: int, trial: FinishedTrial) -> None:
        """Say how a trial under way ended."""
        value = trial.value if trial.state == "complete" else None
        self._rows[row].set_user_attr(_ENDED, trial.state)
        self._study.tell(row, value, state=_STATES[trial.state] if value is None else None)

    @property
    def states(self) -> list[str]:
        """Names of the states of all trials in the file, in their order there."""
        return [trial.state.name for trial in self._study.get_trials()]


def _without_torn_line(file: Path) -> None:
    """Cut off what a writer that was killed left of its last line; written beside and renamed, so never torn itself."""
    if file.exists() and not (content := file.read_bytes()).endswith(b"\n"):
        write_bytes(file, content[: content.rfind(b"\n") + 1])


def _open(file: Path, name: str) -> optuna.Study:
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(file), JournalFileOpenLock(str(file))))
    return optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)


class _Drawn(optuna.samplers.BaseSampler):
    """Takes what was drawn already."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Nothing is drawn together."""
        del study, trial
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing is drawn together."""
        del study, trial, search_space
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The value given."""
        del study, trial, param_distribution
        return self._values[param_name]


def _distribution(values: ParameterValues) -> BaseDistribution:
    if values.choices:
        return CategoricalDistribution([_text(choice) for choice in values.choices])
    low, high, step = values.low, values.high, values.step
    assert low is not None
    assert high is not None
    if values.whole:
        return IntDistribution(int(low), int(high), log=values.log, step=1 if step is None else int(step))
    return FloatDistribution(float(low), float(high), log=values.log, step=step)


def _text(choice: Any) -> str:
    """A choice as Optuna keeps it: lists are none of its values, and to it 1 and true are equal."""
    return json.dumps(choice)


def _spelled(parameters: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    return {
        key: _text(value) if isinstance(distributions[key], CategoricalDistribution) else value
        for key, value in parameters.items()
    }


def _frozen(trial: FinishedTrial, distributions: Mapping[str, BaseDistribution]) -> FrozenTrial:
    state = _STATES[trial.state]
    return optuna.trial.create_trial(
        state=state,
        value=trial.value if state is TrialState.COMPLETE else None,
        params=_spelled(trial.parameters, distributions),
        distributions={key: distributions[key] for key in trial.parameters},
        user_attrs={_NUMBER: trial.number, _ENDED: trial.state},
        intermediate_values={
            step: value for step, value in enumerate(trial.by_fold) if value is not None and math.isfinite(value)
        },
    )
