"""The gate as Dagster shows it: a check of its own for each, and a failure that no retry mends."""

from collections.abc import Iterable

import dagster as dg

from nn_assets.errors import GateHalted, first_of
from nn_assets.market.quality.gate import GateCheck
from nn_assets.market.quality.gate_checks import CHECK_TEXTS
from nn_assets.orchestration.naming import WHAT_TO_DO

__all__ = ["check_result", "check_specs", "failure"]

_MOST_LINES = 50


def check_specs(key: dg.AssetKey, names: Iterable[str], halting: Iterable[str]) -> list[dg.AssetCheckSpec]:
    """The checks of an asset; those that halt block what hangs on it."""
    blocking = set(halting)
    return [
        dg.AssetCheckSpec(name=name, asset=key, description=CHECK_TEXTS[name].demand, blocking=name in blocking)
        for name in names
    ]


def check_result(check: GateCheck) -> dg.AssetCheckResult:
    """What one check says; with a remedy where it does not hold."""
    lines = "\n".join(first_of(check.violations, _MOST_LINES))
    return dg.AssetCheckResult(
        check_name=check.name,
        passed=check.passed,
        severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
        description=check.detail,
        metadata={"violations": lines or "none named", WHAT_TO_DO: check.remedy}
        if not check.passed
        else {"violations": lines}
        if lines
        else {},
    )


def failure(halted: GateHalted) -> dg.Failure:
    """The failure of a step whose data the gate does not let pass."""
    return dg.Failure(description=str(halted), metadata={"violations": len(halted.violations)}, allow_retries=False)
