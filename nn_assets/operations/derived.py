"""What a stored cube was derived from."""

from __future__ import annotations

from dataclasses import dataclass

from nn_assets.arrays import Cube

__all__ = ["FEATURES", "DerivedCube", "record_of"]

FEATURES = "features"


def record_of(table: str) -> str:
    """Name of the table that says what a cube was derived from."""
    return f"{table}_record"


@dataclass(frozen=True, eq=False)
class DerivedCube:
    """Features, the hash of the published bars they come from, and the code that made them."""

    cube: Cube
    data_hash: str
    code_version: str
