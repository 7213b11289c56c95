"""What says of a stored cube which published bars it comes from, and which code made it."""

from __future__ import annotations

__all__ = ["FEATURES", "record_of"]

FEATURES = "features"


def record_of(table: str) -> str:
    """Name of the table that says what a cube was derived from."""
    return f"{table}_record"
