"""What was on in a study is counted from its rounds: watch, states, requests and their answers."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import Replay, replay
from nn_assets.evaluation.was_on import was_on
from nn_assets.oversight.drift import DriftReport, DriftStatistic
from tests.session.worlds import World, world, world_strategy

FIRST, LAST = 80, 260


def played(of: World, **watched: object) -> Replay:
    scene = of.scene(range(FIRST, LAST), **watched)  # type: ignore[arg-type]
    return replay(of.strategy, cost_model_from(of.strategy.costs), 252, [scene])


def test_a_watched_replay_says_when_it_reduced_and_which_requests_another_model_followed() -> None:
    """Asked on rows 100 to 199: requests on 100 and 160 (cooldown 60), a new model from 180 on, size halved between."""
    of = world(world_strategy())

    def monitor(row: int) -> DriftReport:
        asking = DriftStatistic(
            "prediction", "forecast", 0.2, 0.3, 0.0, drifted=False, asks_retraining=100 <= row < 200
        )
        return DriftReport(of.panel.sessions[row], (asking,), np.nan, 1.0, (), "", "old" if row < 180 else "new")

    costs = cost_model_from(of.strategy.costs)
    result = was_on(of.strategy, "linear", played(of, monitor=monitor), costs)
    assert (result.sessions, result.watched, result.reduced, result.paused) == (180, 180, 79, 0)
    assert (result.requests, result.answered) == (2, 1)
    assert result.members == of.strategy.learning.ensemble
    confidence = of.forecasts.confidence[FIRST:LAST]
    assert result.confidence == pytest.approx(np.median(confidence[np.isfinite(confidence)]))
    text = str(result)
    assert text.startswith(f"linear: an ensemble of {result.members}, median confidence {result.confidence:.2f}; ")
    assert (
        "reduced on 79, paused on 0; refreshes asked for: 2, followed by another model, a refresh or one by schedule: 1"
        in text
    )
    spread, commission = of.strategy.costs.half_spread_bps, of.strategy.costs.commission_bps
    assert f"half-spread {spread:.2f} bps, commission {commission:.2f} bps" in text


def test_a_replay_without_a_watch_says_so() -> None:
    of = world(world_strategy())
    text = str(was_on(of.strategy, "network", played(of), cost_model_from(of.strategy.costs)))
    assert "watched for drift on none of 180 sessions" in text
    assert "reduced" not in text
