"""Which controls were active in a study: one sentence for each estimator, counted from the rounds played."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from nn_assets.costs.model import CostModel
from nn_assets.evaluation.replay import Replay
from nn_assets.settings import Strategy
from nn_assets.units import fraction_to_bps


@dataclass(frozen=True)
class WasOn:
    """What one estimator's replay ran with. Counts are sessions, but for requests."""

    estimator: str
    members: int
    confidence: float | None  # median over its signals, 0 to 1; None without one
    sessions: int
    watched: int  # with a drift report
    reduced: int  # decided under REDUCE_SIZE
    paused: int  # decided under PAUSE_STRATEGY
    requests: int  # for a refresh
    answered: int  # of those, followed by another model before the next request
    sizing: str
    half_spread: float  # fraction of the value traded, as the commission
    commission: float
    also: str = ""  # what else the cost model has

    def __str__(self) -> str:
        confidence = "none" if self.confidence is None else f"{self.confidence:.2f}"
        if self.watched:
            watch = (
                f"watched for drift on {self.watched:,} of {self.sessions:,} sessions, reduced on {self.reduced:,}, "
                f"paused on {self.paused:,}; refreshes asked for: {self.requests:,}, "
                f"followed by another model, a refresh or one by schedule: {self.answered:,}"
            )
        else:
            watch = f"watched for drift on none of {self.sessions:,} sessions"
        half_spread, commission = fraction_to_bps(self.half_spread), fraction_to_bps(self.commission)
        costs = f"half-spread {half_spread:.2f} bps, commission {commission:.2f} bps{self.also}, and impact"
        return (
            f"{self.estimator}: an ensemble of {self.members}, median confidence {confidence}; {watch}; "
            f"sized by {self.sizing}; costs: {costs}"
        )


def was_on(strategy: Strategy, estimator: str, played: Replay, costs: CostModel) -> WasOn:
    """Count what was on in an estimator's replay.

    Parameters
    ----------
    played : Replay
        Of at least one session.
    costs : CostModel
        In force on the last one.
    """
    rounds = played.rounds
    confidences = np.concatenate(
        [session_round.signals.confidence[np.isfinite(session_round.signals.confidence)] for session_round in rounds]
    )
    states = Counter(session_round.decision.inputs.trading_state for session_round in rounds)
    requests, answered = _requests(played)
    return WasOn(
        estimator=estimator,
        members=strategy.learning.ensemble,
        confidence=float(np.median(confidences)) if len(confidences) else None,
        sessions=len(rounds),
        watched=sum(session_round.drift is not None for session_round in rounds),
        reduced=states["REDUCE_SIZE"],
        paused=states["PAUSE_STRATEGY"],
        requests=requests,
        answered=answered,
        sizing=f"{strategy.portfolio.construction} at {strategy.portfolio.kelly_fraction:g} Kelly",
        half_spread=costs.half_spread.value,
        commission=costs.commission.value,
        also=_also(costs),
    )


def _also(costs: CostModel) -> str:
    """What volatility widens the half-spread by, and a maker's fee, where the model has them."""
    widens, maker = costs.spread_volatility, costs.maker_fee
    text = "" if widens is None else f", {widens.value:g} daily volatilities on the half-spread"
    return text if maker is None else f"{text}, maker's fee {fraction_to_bps(maker.value):.2f} bps"


def _requests(played: Replay) -> tuple[int, int]:
    """Requests for a refresh, and those that another model followed before the next one."""
    requested, answered, asked_under = 0, 0, ""
    for session_round in played.rounds:
        if asked_under and session_round.drift is not None and session_round.drift.model_id != asked_under:
            answered, asked_under = answered + 1, ""
        if session_round.asks_refresh and session_round.drift is not None:
            requested, asked_under = requested + 1, session_round.drift.model_id
    return requested, answered
