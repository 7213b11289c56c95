"""Whether a newly fitted model may take the place of the one in force."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import Cube
from nn_assets.features.labels import Labels
from nn_assets.learning.calibration import log_loss
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.inference import forecast

__all__ = ["RefreshCheck", "check_refresh"]

_FEWEST_OUTCOMES = 40


@dataclass(frozen=True)
class RefreshCheck:
    """The answer, and the two losses (nats per outcome) that it rests on; None where not compared."""

    accepted: bool
    reason: str
    candidate_loss: float | None = None
    incumbent_loss: float | None = None


def check_refresh(
    candidate: FoldModel,
    incumbent: FoldModel,
    cube: Cube,
    labels: Labels,
    tolerance: float,
) -> RefreshCheck:
    """Compare calibrated losses on the newest purged slice: the candidate's calibration rows.

    A proper score (log loss of calibrated probabilities) judges sharpness and calibration at once.
    The candidate fitted one calibration parameter on these rows and the incumbent none, so the
    comparison leans to the candidate by that one parameter.

    Parameters
    ----------
    tolerance : float
        The candidate's loss may exceed the incumbent's by this fraction.

    Returns
    -------
    RefreshCheck
        Accepted without comparison where fewer than 40 outcomes lie in rows that the incumbent may
        forecast.
    """
    if candidate.model_id == incumbent.model_id:
        return RefreshCheck(accepted=True, reason="it is the model in force")
    rows = candidate.fold.calibration
    rows = slice(max(rows.start, incumbent.fold.used_from), rows.stop)
    if rows.stop - rows.start < 1:
        return RefreshCheck(accepted=True, reason="no rows on which both could be judged")
    losses = [_loss(model, cube, labels, rows) for model in (candidate, incumbent)]
    (new, count), (old, _) = losses
    if count < _FEWEST_OUTCOMES:
        return RefreshCheck(accepted=True, reason=f"only {count} outcomes to judge both on")
    accepted = bool(np.isfinite(new)) and new <= old * (1.0 + tolerance)
    relation = "not worse than" if accepted else "worse than"
    reason = f"loss {new:.4f} is {relation} {old:.4f} of the model in force (tolerance {tolerance:.0%})"
    return RefreshCheck(accepted, reason, new, old)


def _loss(model: FoldModel, cube: Cube, labels: Labels, rows: slice) -> tuple[float, int]:
    # A candidate may be asked about its calibration rows, which lie before its first session of use.
    probability = forecast(model, cube, rows, before_use=True)["network"].calibrated
    outcome = labels.targets[rows]
    known = np.isfinite(probability) & np.isfinite(outcome)
    return (log_loss(probability[known], outcome[known]), int(known.sum())) if known.any() else (np.nan, 0)
