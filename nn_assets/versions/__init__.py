"""Versions of code: what a stored thing depends on is the definitions that its function refers to, and no others.

Takes functions, or their names. Gives the definitions behind them, each with a digest, and one hash over all.
Never imports what it reads, and never follows into settings, errors or a registry: see ``versions/package.py``.
"""

from __future__ import annotations

from nn_assets.versions.package import (
    Package,
    Root,
    changed_definitions,
    data_beside,
    definitions_behind,
    version_of,
    version_of_sources,
    version_within,
    with_sources,
)

__all__ = [
    "Package",
    "Root",
    "changed_definitions",
    "data_beside",
    "definitions_behind",
    "version_of",
    "version_of_sources",
    "version_within",
    "with_sources",
]
