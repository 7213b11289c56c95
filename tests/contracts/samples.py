"""A row that a table's contract allows, made from the contract alone: what every table's tests begin with."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nn_assets.contracts.contract import Column, Contract

__all__ = ["TEXTS", "a_row", "a_value"]

TEXTS = ("text", "line", "digest")
VALUES: dict[str, Any] = {
    "text": "a",
    "line": "a",
    "digest": "0" * 64,
    "day": pd.Timestamp("2018-01-02"),
    "moment": pd.Timestamp("2018-01-02 21:30", tz="UTC"),
    "number": 0.5,
    "whole": 1,
    "small": 1,
    "flag": True,
    "json": {"a": [1, None]},
}


def a_value(column: Column) -> Any:
    """The first of the values that a column names, else one of its kind."""
    named = [check.arguments[0] for check in column.checks if check.name == "isin"]
    return named[0][0] if named else VALUES[column.kind]


def a_row(contract: Contract) -> dict[str, Any]:
    """A value in each column."""
    return {name: a_value(column) for name, column in contract.columns.items()}
