"""Fixtures that several rooms' tests share."""

from __future__ import annotations

import os
from pathlib import Path

# Results are compared to the bit: one thread, as the product itself runs.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the project."""
    return CHECKOUT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real market data kept beside the checkout, never inside it."""
    folder = CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real market data (../shared/data) are absent on this machine")
    return folder
