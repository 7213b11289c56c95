"""The capacity of a strategy: its replay at a ladder of capital, when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nn_assets.operations.capacity import estimate_capacity
from nn_assets.operations.history import History
from nn_assets.operations.names import CAPACITY_REPORT
from nn_assets.operations.study_page import write_study_page_where_kept
from nn_assets.operations.wings import Job, Making, Table, Wing
from nn_assets.settings import Strategy


def _estimated(history: History, making: Making) -> dict[str, Any]:
    _, figures = estimate_capacity(history, making.run_id, making.log)
    page = write_study_page_where_kept(history)
    return figures if page is None else {**figures, "report": page}


def _assets(strategy: Strategy) -> Iterator[Table]:
    """``capacity_report``; nothing of a strategy that holds no book."""
    if not strategy.of_no_direction:
        yield Table(
            "capacity_report",
            "The record replayed at 1/8 to 64 times the initial capital: net return and Sharpe ratio at each size, and "
            "the capital beyond which a further dollar earns less than it costs, with intervals.",
            _estimated,
            after=("walk_forward_study",),
            room="oversight",
            kinds=("sql",),
            made_by=(estimate_capacity,),
        )


WING = Wing(
    _assets,
    jobs=(Job(CAPACITY_REPORT, "Replay the record at several sizes, and estimate the capacity."),),
)
