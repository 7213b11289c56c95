"""What a run prints on standard error: progress and what went wrong, once, and nothing of Dagster's own about it."""

from __future__ import annotations

import logging

import dagster as dg
import pytest

from nn_assets.orchestration.progress import progress_logger

DAGSTERS = (
    "Dependencies for step mine__validated_bars failed: ['mine__raw_bars']. Not executing.",
    "Dependencies for step mine__b were not executed: ['mine__raw_bars']. Not executing.",
)


@pytest.mark.parametrize("message", DAGSTERS)
def test_what_hangs_on_a_failed_step_is_not_told_beside_it(capsys: pytest.CaptureFixture[str], message: str) -> None:
    logger = progress_logger(dg.build_init_logger_context())
    assert isinstance(logger, logging.Logger)
    logger.error(message, extra={"dagster_meta": {"orig_message": message, "step_key": None}})
    logger.warning("a file was left out", extra={"dagster_meta": {"step_key": "mine__raw_bars"}})
    assert capsys.readouterr().err == "    mine: a file was left out\n"
