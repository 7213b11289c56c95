"""Whether a newly fitted model may take the place of the one in force."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import Cube, FloatArray
from nn_assets.estimators import TRADED
from nn_assets.features.labels import Labels
from nn_assets.learning.calibration import fit_calibration, log_loss
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.inference import forecast

NOTHING_TO_COMPARE = "nothing to compare"
"""How the reason begins of a refit that is taken because no rows judge both it and the model in force."""
_FEWEST_OUTCOMES = 40


@dataclass(frozen=True)
class RefreshCheck:
    """The answer, and the two losses that it rests on, nats per outcome or QLIKE; None where not compared."""

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
    horizon_sessions: int,
) -> RefreshCheck:
    """Compare calibrated losses on the newest purged slice: the candidate's calibration rows.

    The models of a strategy share one calibration, so that a candidate is to serve under the one that serves the
    model in force. It is fitted on the incumbent's forecasts of these rows, with no more prior than a slope needs,
    and applied to both models' logits, each measured by its own validation slice. A proper score (log loss of
    calibrated probabilities) then judges sharpness and calibration at once. The comparison leans to the incumbent
    by the two parameters, which the tolerance is there for. Where values are learned, too, the probability judged is
    that of a return above zero. Forecasts of a volatility share no calibration: they are judged by their QLIKE.

    Parameters
    ----------
    tolerance : float
        The candidate's loss may exceed the incumbent's by this fraction.
    horizon_sessions : int
        Sessions that one label spans.

    Returns
    -------
    RefreshCheck
        Accepted without comparison where fewer than 40 outcomes lie in rows that both models may forecast.
    """
    if candidate.model_id == incumbent.model_id:
        return RefreshCheck(accepted=True, reason="it is the model in force")
    rows = candidate.fold.calibration
    rows = slice(max(rows.start, incumbent.fold.used_from), rows.stop)
    if rows.stop - rows.start < 1:
        return RefreshCheck(accepted=True, reason=f"{NOTHING_TO_COMPARE}: no rows on which both could be judged")
    head = candidate.estimators.head
    targets = (labels.targets if head.probabilities else labels.learned)[rows]
    new, old = (_scores(model, cube, rows) for model in (candidate, incumbent))
    finite = np.isfinite(targets) & np.isfinite(new) & np.isfinite(old)
    count = int(finite.sum())
    if count < _FEWEST_OUTCOMES:
        return RefreshCheck(accepted=True, reason=f"{NOTHING_TO_COMPARE}: only {count} outcomes to judge both on")
    if head.probabilities:
        calibration = fit_calibration(
            np.where(finite, old, np.nan),
            np.zeros_like(old),
            targets,
            horizon_sessions=horizon_sessions,
            half_life_sessions=np.inf,
            prior_outcomes=0.0,
        )
        losses = [log_loss(calibration.apply(score[finite]), targets[finite]) for score in (new, old)]
    else:
        losses = [
            head.mean_loss(np.log(share / (1.0 - share)), targets[finite]) for share in (new[finite], old[finite])
        ]
    accepted = losses[0] <= losses[1] * (1.0 + tolerance)
    relation = "not worse than" if accepted else "worse than"
    reason = f"loss {losses[0]:.4f} is {relation} {losses[1]:.4f} of the model in force (tolerance {tolerance:.0%})"
    return RefreshCheck(accepted, reason, *losses)


def _scores(model: FoldModel, cube: Cube, rows: slice) -> FloatArray:
    # A candidate may be asked about its calibration rows, which lie before its first session of use.
    probability = forecast(model, cube, rows, before_use=True)[TRADED].probability
    if not model.estimators.head.probabilities:
        return probability
    scores = model.logit_scales[TRADED].score(probability)
    # A model that forecasts the same throughout says of every row what it says on average.
    return np.where(np.isfinite(probability) & np.isnan(scores), 0.0, scores)
