"""The study through Dagster: the month ahead has a model before it has a session; a killed study resumes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nn_assets.orchestration.headless import materialise
from nn_assets.orchestration.workplace import open_workplace
from tests.orchestration.conftest import NAME, strategy_of, write_strategy

pytestmark = pytest.mark.slow


def test_the_month_ahead_gets_its_model_before_its_first_session(studied: Path, clock: Callable[[str], None]) -> None:
    write_strategy(studied, market={"history_ends": None})
    clock("2017-07-01 10:00")
    strategy = strategy_of()
    materialise(strategy, "study", first="2017-07-01", last="2017-07-01")
    with open_workplace(strategy) as workplace:
        models = workplace.ledger.read("models", NAME)
        assert workplace.last_session.strftime("%Y-%m-%d") == "2017-06-30"
    assert models["month"].max() == "2017-07"
