"""Groups by behaviour reach the decision of a replay: their limit binds there, in both ways of building a book."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import Scene, replay
from nn_assets.features.labels import make_labels
from nn_assets.learning.forecasts import ForecastArrays
from nn_assets.market.panel import Panel
from nn_assets.session.market_view import market_view
from tests.session.worlds import world, world_strategy

BARS, FIRST, LAST, LIMIT = 150, 120, 126, 0.08
SYMBOLS, GROUPS = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF"), ("A", "A", "A", "B", "B", "B")


def gross_of_groups(construction: str, groups: tuple[str, ...] | None) -> np.ndarray:
    """Gross weight of the first three names and of the last three on each session, (sessions, 2)."""
    strategy = world_strategy(construction=construction, net_limit=1.0, sector_limit=LIMIT)
    five = world(strategy, BARS).panel
    late = slice(20, None)  # the sixth goes the first one's way with a lag
    fields = {name: np.column_stack([values[late], values[:-20, 0]]) for name, values in five.arrays.items()}
    panel = Panel(sessions=five.sessions[late], symbols=SYMBOLS, **fields)
    labels = make_labels(panel, strategy.label)
    right = np.random.default_rng(4).random(labels.targets.shape) < 0.7
    calibrated = np.where(right == (labels.targets > 0.5), 0.65, 0.35)
    spread, half, sure = (np.full(calibrated.shape, value) for value in (0.02, 0.5, 1.0))
    forecasts = ForecastArrays(
        calibrated, spread, calibrated, base_rate=half, confidence=sure, score=calibrated - 0.5, novelty=sure
    )
    market = market_view(panel, strategy.portfolio)
    scene = Scene(range(FIRST, LAST), market, labels, forecasts, groups=lambda _: groups)
    rounds = replay(strategy, cost_model_from(strategy.costs), 252, [scene]).rounds
    weights = np.abs([done.decision.target_weight for done in rounds])
    return np.stack([weights[:, :3].sum(axis=1), weights[:, 3:].sum(axis=1)], axis=1)


@pytest.mark.parametrize("construction", ["programme", "per_name"])
def test_six_names_in_two_groups_are_held_to_the_limit_of_a_group_which_is_reached(construction: str) -> None:
    free, held = (gross_of_groups(construction, groups) for groups in (None, GROUPS))
    assert (free[1:] > 1.2 * LIMIT).any(axis=0).all()  # neither group keeps to it by itself
    assert (held <= LIMIT + 1e-6).all()
    assert (held.max(axis=0) > 0.95 * LIMIT).all()
