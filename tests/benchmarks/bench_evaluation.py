"""Sessions per second of the one daily round, as the replay of a study plays them.

There is one implementation of the round, shared by replay and live, so nothing stands beside it.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import Replay, replay
from tests.benchmarks.telling import tell
from tests.session.worlds import SYMBOLS, World, world, world_strategy

ROWS = range(80, 280)


def _played(of: World) -> Replay:
    costs = cost_model_from(of.strategy.costs)
    return replay(of.strategy, costs, 252, [of.scene(ROWS)])


@pytest.mark.benchmark(group=f"daily round, {len(SYMBOLS)} symbols x {len(ROWS)} sessions")
@pytest.mark.parametrize("execution", ["next_close", "next_open"])
def test_replay(benchmark: BenchmarkFixture, execution: str) -> None:
    of = world(world_strategy(execution))
    tell(benchmark, execution, len(ROWS), "sessions")
    result = benchmark.pedantic(_played, (of,), rounds=5, warmup_rounds=1)
    assert len(result.rounds) == len(ROWS)
