"""The gate as Dagster shows it: a check of its own for each, and a failure that no retry mends."""

from collections.abc import Generator, Iterable
from typing import Any

import dagster as dg

from nn_assets.errors import GateHalted
from nn_assets.market.quality.gate_checks import CHECK_TEXTS
from nn_assets.operations.intake.published import Judging
from nn_assets.orchestration.metadata import check_result

__all__ = ["check_specs", "through_gate"]


def check_specs(key: dg.AssetKey, names: Iterable[str], halting: Iterable[str]) -> list[dg.AssetCheckSpec]:
    """The checks of an asset; those that halt block what hangs on it."""
    blocking = set(halting)
    return [
        dg.AssetCheckSpec(name=name, asset=key, description=CHECK_TEXTS[name].demand, blocking=name in blocking)
        for name in names
    ]


def through_gate(judging: Judging) -> Generator[dg.AssetCheckResult, None, dict[str, Any]]:
    """Yield what each check says; gives what was published. Where the gate halts, the step fails for good."""
    try:
        while True:
            yield check_result(next(judging))
    except StopIteration as published:
        return dict(published.value)
    except GateHalted as halted:
        figures = {"violations": len(halted.violations)}
        told = f"{type(halted).__name__}: {halted}"
        raise dg.Failure(description=told, metadata=figures, allow_retries=False) from halted
