"""Hashes of the package's sources: what Dagster shows as an asset's code version, and what stored results hang on."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

import nn_assets

__all__ = ["code_of", "libraries"]

_SOURCES = (".py", ".csv")
_COMPUTING = ("numpy", "pandas", "scipy", "torch")


@cache
def code_of(*rooms: str) -> str:
    """Hash over the sources of some rooms (all of the package when none is named), 12 hex digits.

    An installed package holds the migrations too; a checkout has them beside it. They belong to no room.
    """
    root = Path(nn_assets.__file__).parent
    folders = [root / room for room in rooms] if rooms else [root]
    digest = hashlib.sha256()
    sources = {file for folder in folders for file in folder.rglob("*") if file.suffix in _SOURCES}
    for file in sorted(sources - set((root / "sql").rglob("*"))):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0")
        digest.update(file.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:12]


@cache
def libraries(*names: str) -> str:
    """Versions of some libraries (those that compute, when none is named), such as ``numpy 2.4.6, torch 2.13.0``."""
    return ", ".join(f"{name} {version(name)}" for name in names or _COMPUTING)
