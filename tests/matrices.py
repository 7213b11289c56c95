"""Matrices of like cases, of which some are tried in every run of the tests and the others at full size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def often(cases: Iterable[Any], *named: Any) -> list[Any]:
    """Cases to be parametrised by: those named in every run, the others at full size.

    Raises
    ------
    ValueError
        A case that is named is none.
    """
    listed = list(cases)
    if unknown := [case for case in named if case not in listed]:
        raise ValueError(f"no cases: {unknown}")
    return [case if case in named else _at_full_size(case) for case in listed]


def _at_full_size(case: Any) -> Any:
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.full)
