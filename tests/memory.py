"""Folders in memory: tests write thousands of small files that are to last for a moment."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_ROOM = 4 * 2**30  # a whole run of the tests takes less than a quarter of it


def in_memory() -> str | None:
    """A folder whose files are in memory, if there is room and programs can be run from it."""
    folder = Path("/dev/shm")
    if not folder.is_dir() or not os.access(folder, os.W_OK) or shutil.disk_usage(folder).free < _ROOM:
        return None
    return None if os.statvfs(folder).f_flag & os.ST_NOEXEC else str(folder)


def keep_temporary_files_in_memory() -> None:
    """Let all temporary files of this process and its children be in memory, unless someone said where they go."""
    folder = in_memory()
    if folder is not None and "TMPDIR" not in os.environ:
        os.environ["TMPDIR"] = folder
        tempfile.tempdir = None
