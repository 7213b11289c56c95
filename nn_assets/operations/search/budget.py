"""The budget of one search: its trials batch after batch, the same ones wherever it was interrupted, and the best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, groupby
from typing import Any, Protocol

from nn_assets.errors import SearchError
from nn_assets.operations.search.judging import Figure
from nn_assets.operations.search.sampling import FinishedTrial, Sampler
from nn_assets.settings.search import SearchSettings


class Judge(Protocol):
    """What trials are worth: see :class:`~nn_assets.operations.search.judging.FoldJudge`."""

    @property
    def steps(self) -> int:
        """How many folds there are."""

    def __call__(self, trials: Mapping[int, Mapping[str, Any]], step: int) -> dict[int, Figure | str]:
        """By number, the figure over the folds up to a step; a sentence where a trial cannot be fitted."""


class Keeper(Protocol):
    """What is told of trials as they begin and end."""

    def begin(self, number: int, parameters: Mapping[str, Any]) -> None:
        """A trial is under way."""

    def end(self, trial: FinishedTrial, finished: Sequence[FinishedTrial]) -> None:
        """A trial ended."""


def spend(
    search: SearchSettings,
    own: Mapping[str, Any],
    finished: Sequence[FinishedTrial],
    seed: str,
    judge: Judge,
    keeper: Keeper,
) -> list[FinishedTrial]:
    """Spend what is left of a search's budget, batch after batch; every trial of it, in order of their numbers.

    Trial 0 is the strategy's own configuration, and is never given up. Whatever was finished before, and in whatever
    order trials of a batch end, the same trials come out.

    Parameters
    ----------
    own : mapping
        Parameters of the strategy's own configuration; empty where a range does not hold one of them.
    finished : sequence of FinishedTrial
        Of the same search, from before it was interrupted.
    """
    done = {trial.number: trial for trial in finished}
    for _, batch in groupby(range(search.trials), key=lambda number: number // search.at_once):
        numbers = list(batch)
        sampler = Sampler(search.space, [done[number] for number in range(numbers[0])], seed)
        missing = [number for number in numbers if number not in done]
        drawn = {number: dict(own) if number == 0 else sampler.draw(number) for number in missing}
        for number, parameters in drawn.items():
            keeper.begin(number, parameters)
        repeated = {
            number: earlier
            for number, parameters in drawn.items()
            if (earlier := _same_before(done, numbers[0], parameters)) is not None
        }
        fresh = {number: parameters for number, parameters in drawn.items() if number not in repeated}
        again = (replace(earlier, number=number) for number, earlier in repeated.items())
        for trial in chain(again, _ended(search, fresh, sampler, judge)):
            done[trial.number] = trial
            keeper.end(trial, [*done.values()])
    return [done[number] for number in sorted(done)]


def _same_before(done: Mapping[int, FinishedTrial], until: int, parameters: Mapping[str, Any]) -> FinishedTrial | None:
    """The first trial of the batches before with the same parameters: fitted again it would say the same."""
    earlier = (done[number] for number in range(until))
    return next((trial for trial in earlier if trial.parameters and trial.parameters == parameters), None)


def _ended(
    search: SearchSettings, drawn: Mapping[int, Mapping[str, Any]], sampler: Sampler, judge: Judge
) -> Iterable[FinishedTrial]:
    """The trials of a batch as they end."""
    figures: dict[int, list[Figure]] = {number: [] for number in drawn}
    for step in range(judge.steps):
        if not figures:
            return
        for number, figure in judge({number: drawn[number] for number in figures}, step).items():
            so_far, last = figures[number], step == judge.steps - 1
            if isinstance(figure, str):
                ended = FinishedTrial(number, drawn[number], "failed", None, tuple(so_far), figure)
            else:
                so_far.append(figure)
                if last and figure is None:
                    why = "its book has no spread of returns: it forecasts nothing, or the same throughout"
                    ended = FinishedTrial(number, drawn[number], "failed", None, tuple(so_far), why)
                elif last:
                    ended = FinishedTrial(number, drawn[number], "complete", figure, tuple(so_far))
                elif search.pruning and number and figure is not None and sampler.gives_up(so_far):
                    ended = FinishedTrial(number, drawn[number], "pruned", figure, tuple(so_far))
                else:
                    continue
            del figures[number]
            yield ended


def chosen(finished: Iterable[FinishedTrial]) -> FinishedTrial | None:
    """The trial with the highest figure over all folds, the first of equals; None where none has one."""
    whole = [trial for trial in finished if trial.state == "complete" and trial.value is not None]
    return max(whole, key=lambda trial: (trial.value, -trial.number), default=None)


def nothing_found(strategy: str, since: str, finished: Sequence[FinishedTrial]) -> SearchError:
    """The error of a search none of whose trials has a figure."""
    reasons = sorted({trial.why for trial in finished if trial.why})
    return SearchError(
        expected="a trial with a finite net Sharpe ratio on the folds before its choice would be in force",
        found=f"none among {len(finished)} ({'; '.join(reasons[:3])})",
        remedy="widen search.space, or lengthen the history or walk_forward.calibration_months (or calibration_days); "
        "until then the strategy's own configuration stays in force",
        strategy=strategy,
        month=since,
    )
