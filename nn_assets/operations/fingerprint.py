"""Hashes of the package's sources: what Dagster shows as an asset's code version."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import nn_assets

__all__ = ["code_of"]


@cache
def code_of(*rooms: str) -> str:
    """Hash over the sources of some rooms (all of the package when none is named), 12 hex digits.

    An installed package holds the migrations too; a checkout has them beside it. They belong to no room.
    """
    root = Path(nn_assets.__file__).parent
    folders = [root / room for room in rooms] if rooms else [root]
    digest = hashlib.sha256()
    sources = {file for folder in folders for file in folder.rglob("*.py")} - set((root / "sql").rglob("*.py"))
    for file in sorted(sources):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0")
        digest.update(file.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:12]
