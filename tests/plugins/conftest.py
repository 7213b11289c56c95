"""Plug-ins written into a folder of the test's own, and forgotten after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nn_assets import plugins
from nn_assets.operations.plugins import _HELD


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    plugins.forget()
    yield
    plugins.forget()
    _HELD.clear()
