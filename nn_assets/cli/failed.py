"""Failed checks in a command's answer: each is listed, and the exit status is 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from nn_assets.operations.outcomes import FailedCheck


def with_failed_checks(
    answer: dict[str, Any], failed: Sequence[FailedCheck], *, already_shown: bool = False
) -> dict[str, Any]:
    """An answer that is not ok where a check of severity ERROR failed; the text ends with a line for each.

    Parameters
    ----------
    already_shown : bool
        Whether the text names each of them already.
    """
    return {
        **answer,
        "ok": answer.get("ok", True) and not failed,
        "failed_checks": [asdict(check) for check in failed],
        "text": "\n".join([answer["text"], *([] if already_shown else map(str, failed))]),
    }
