"""Members that differ by seed alone, trained here or in several processes, with the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from nn_assets.errors import TrainingError
from nn_assets.learning.baselines import LinearModel
from nn_assets.learning.compute import HERE, Compute
from nn_assets.learning.fitted import FitInputs, Fitted, Weights
from nn_assets.learning.heads import SIGN, Head
from nn_assets.learning.member import Member
from nn_assets.learning.training import EpochFigures, TrainingResult, train
from nn_assets.learning.windows import Samples, Windows
from nn_assets.settings import LearningSettings


@dataclass(frozen=True)
class Ensemble:
    """Trained members in order of seed, and the failures of the others."""

    members: tuple[TrainingResult, ...]
    failures: tuple[tuple[int, str], ...]  # (seed, its error)


_Start = tuple[int, LinearModel | None]  # a member's seed, and what it begins as
_Task = tuple[Windows, Samples, Samples, LearningSettings, int, LinearModel | None, Head, Any]  # as `train` takes them


def fit_networks(inputs: FitInputs) -> Fitted:
    """Train the networks of a fold; with ``learning.residual`` each starts from the linear model of its seed.

    The figures are ``members``, each with its ``curve``, a list of figures an epoch, and ``failed_members``.
    """
    learning = inputs.learning
    starts = inputs.fitted["linear"] if learning.residual else ()
    ensemble = train_ensemble(
        inputs.windows,
        inputs.training,
        inputs.validation,
        learning,
        inputs.compute,
        starts,
        inputs.head,
        inputs.weights,
    )
    figures = {
        "members": [
            {
                "seed": result.seed,
                "best_epoch": result.best_epoch,
                "epochs": len(result.history),
                "training_loss": result.history[result.best_epoch].training_loss,
                "validation_loss": result.validation_loss,
                "curve": _curve(result),
            }
            for result in ensemble.members
        ],
        "failed_members": [{"seed": seed, "error": error} for seed, error in ensemble.failures],
    }
    return Fitted(tuple(Member(result.seed, result.state) for result in ensemble.members), figures)


def _curve(result: TrainingResult) -> dict[str, list[float]]:
    """Every figure of every epoch, to six digits."""
    names = [field.name for field in fields(EpochFigures)]
    return {name: [float(f"{getattr(epoch, name):.6g}") for epoch in result.history] for name in names}


def train_ensemble(
    windows: Windows,
    training: Samples,
    validation: Samples,
    settings: LearningSettings,
    compute: Compute = HERE,
    starts: Sequence[LinearModel] = (),
    head: Head = SIGN,
    weights: Weights = MappingProxyType({}),
) -> Ensemble:
    """Train ``settings.ensemble`` members, of seeds ``settings.seed`` and up.

    One that fails is named, and one of the next seed not used yet takes its place; that one is not replaced again.

    Parameters
    ----------
    windows : Windows
    training, validation : Samples
    settings : LearningSettings
    compute : Compute, optional
        Where the members are trained: here, one after another, when left out. Either way gives the same bits.
    starts : sequence of LinearModel, optional
        What each member begins as, where ``settings.residual`` says so; who takes its place begins as it did.
    head : Head, optional
        What is learned.
    weights : mapping of seed to weights, optional
        What the network of a seed begins with, fresh ones where it is not there.

    Raises
    ------
    TrainingError
        Fewer than half of the members trained; names each failed seed and why.
    """
    count = settings.ensemble
    waiting: list[_Start] = [(settings.seed + index, start) for index, start in enumerate(starts or (None,) * count)]
    members: list[TrainingResult] = []
    failures: list[tuple[int, str]] = []
    for following in (settings.seed + count, None):
        tasks: list[_Task] = [
            (windows, training, validation, settings, *one, head, weights.get(one[0])) for one in waiting
        ]
        failed: list[_Start] = []
        for one, outcome in zip(waiting, compute.map(_attempt, tasks), strict=True):
            if isinstance(outcome, TrainingResult):
                members.append(outcome)
            else:
                failed.append(one)
                failures.append((one[0], str(outcome)))
        if following is None or not failed:
            break
        waiting = [(following + index, start) for index, (_, start) in enumerate(failed)]
    if 2 * len(members) < count:
        raise TrainingError(
            expected=f"at least half of {count} members trained",
            found=f"{len(members)}; " + "; ".join(f"seed {seed}: {why}" for seed, why in failures),
            remedy="lower learning.learning_rate, or look for extreme values among the features",
        )
    return Ensemble(members=tuple(members), failures=tuple(failures))


def _attempt(task: _Task) -> TrainingResult | TrainingError:
    # A failed member is an answer: it is dropped by name, and the others are kept.
    try:
        return train(*task)
    except TrainingError as error:
        return error
