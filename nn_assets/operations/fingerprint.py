"""The libraries that compute: stored results depend on them as well as on the package's own code."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

_COMPUTING = ("numpy", "pandas", "scipy", "torch")


@cache
def libraries(*names: str) -> str:
    """Versions of some libraries (those that compute, when none is named), such as ``numpy 2.4.6, torch 2.13.0``."""
    return ", ".join(f"{name} {version(name)}" for name in names or _COMPUTING)
