"""Translates failures of the operating system (full disk, permissions) into the package's own errors, for the CLI."""

from __future__ import annotations

import os
from pathlib import Path

from nn_assets.errors import AccessError, NnAssetsError
from nn_assets.store.home import home
from nn_assets.store.room import no_room


def named_error(error: Exception) -> NnAssetsError | None:
    """The error as one of the package's own: a full disk, a file that may not be used or is in the way; else None."""
    named = no_room(error) or _denied(error) or _in_the_way(error) or error
    return named if isinstance(named, NnAssetsError) else None


def _denied(error: Exception) -> AccessError | None:
    """The named error of a file that this user may not use; None of anything else."""
    if not isinstance(error, PermissionError):
        return None
    return AccessError(
        expected="files that this user may read and write",
        found=str(error.strerror),
        remedy="give this user the right to them and to the folders they lie in; delete nothing",
        file=error.filename,
    )


def _in_the_way(error: Exception) -> AccessError | None:
    """The named error of a file in a folder's place in the home, or of a folder in a file's; None of anything else."""
    if not isinstance(error, FileExistsError | IsADirectoryError | NotADirectoryError) or error.filename is None:
        return None
    named = Path(os.fsdecode(error.filename))
    existing = next(path for path in (named, *named.parents) if path.exists())
    if not existing.is_relative_to(home()):
        return None
    kinds = ("a file", "a folder") if existing.is_dir() else ("a folder", "a file")
    return AccessError(
        expected=f"{kinds[0]}, or nothing",
        found=kinds[1],
        remedy="move it away, and give the same command again",
        file=str(existing),
    )
