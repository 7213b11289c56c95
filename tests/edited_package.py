"""Versions told of a copy of the package that was edited, while the code that runs stays what it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import nn_assets
from nn_assets.versions import package
from nn_assets.versions.package import Package

Mend = Callable[[str, str, str], None]


def mending(folder: Path, patch: pytest.MonkeyPatch) -> Mend:
    """Give what puts another text in the place of one in a file of a copy kept in a folder."""
    copy = folder / "nn_assets"

    def mend(name: str, old: str, new: str) -> None:
        if not copy.exists():
            shutil.copytree(Path(nn_assets.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
        file = copy / name
        text = file.read_text()
        assert text.count(old) == 1, (name, old)
        file.write_text(text.replace(old, new))
        sources = Package(copy)
        hash_over = package._hash_over
        patch.setattr(package, "_hash_over", getattr(hash_over, "__wrapped__", hash_over))  # made anew each time
        patch.setattr(package, "_behind", lambda references: tuple(sources.definitions_behind(*references).items()))

    return mend
