"""Runs of a strategy's jobs, as tests start them."""

from __future__ import annotations

from nn_assets.orchestration.running import execute
from nn_assets.settings import Strategy


def materialise(strategy: Strategy, kind: str, **options: str | None) -> str:
    """Execute one of a strategy's jobs as ``execute`` does; the run's id."""
    return str(execute(strategy, kind, **options).run_id)  # type: ignore[arg-type]
