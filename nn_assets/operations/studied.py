"""A study made, kept and laid out on its page; and what an operator sees of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nn_assets.operations.history import History
from nn_assets.operations.reporting import (
    keep_study,
    refreshes_text,
    study_plots,
    survivorship,
    was_on_lines,
    write_study_page,
)
from nn_assets.operations.study import StudyResult, study_until


def study_and_show(
    history: History, months: list[str], run_id: str, tell: Callable[[str], None]
) -> tuple[StudyResult, dict[str, Any]]:
    """Study some months, keep what the tear sheet needs, and write it; to be called while the strategy is held alone.

    What killed writers left is swept away, too.

    Returns
    -------
    StudyResult
    dict of str to object
        What an operator sees of it, by name.
    """
    result = study_until(history, months, run_id, tell)
    plots = study_plots(result)
    keep_study(history, result, plots)
    metadata = {
        **result.metadata,
        "report": write_study_page(history),
        "was_on": "; ".join(was_on_lines(history.strategy, result)),
        "refreshes": refreshes_text(result),
        **survivorship(history),
        **plots,
    }
    if swept := history.stores.sweep(history.strategy.name):
        tell(f"removed {swept} staged files that killed writers left more than a day ago")
    return result, metadata
