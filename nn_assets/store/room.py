"""Room on the home's disk: how a full one is reported, and the reserve that is kept for the kill switch."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from nn_assets.errors import NoRoomError
from nn_assets.store.home import home

_RESERVE_BYTES = 1 << 20  # a row of the ledger takes a tenth of it, its journal and its checkpoint included
_ERRORS = {errno.ENOSPC, errno.EDQUOT}
_FULL_DISK_MESSAGES = ("No space left on device", "Disk quota exceeded", "database or disk is full")
_AMBIGUOUS_MESSAGE = "disk I/O error"  # also of a full disk


def no_room(error: BaseException) -> NoRoomError | None:
    """The named error of a full disk, where an error or one that it came from says so; else None."""
    if isinstance(error, NoRoomError):
        return error
    free = _free_bytes()
    for cause in _chain(error):
        message = str(cause)
        full = any(phrase in message for phrase in _FULL_DISK_MESSAGES) or (
            _AMBIGUOUS_MESSAGE in message and free < _RESERVE_BYTES
        )
        if full or (isinstance(cause, OSError) and cause.errno in _ERRORS):
            return NoRoomError(
                expected="room on the disk to write to",
                found=f"{free:,} bytes free where the home is",
                remedy="make room and run again: what was finished is kept. `nn-assets status`, `audit verify` and "
                "`control kill-switch` work meanwhile",
                file=str(home()),
            )
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those that it came from, each once."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        yield current
        current = current.__cause__ or current.__context__


def _free_bytes() -> int:
    folder = home()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def keep_reserve() -> None:
    """Keep a little room back in a home that is there, unless it is kept already, or there is none."""
    file = _reserve()
    with suppress(OSError):
        if file.parent.is_dir() and not file.exists():
            with file.open("xb") as stream:
                os.posix_fallocate(stream.fileno(), 0, _RESERVE_BYTES)


def spend_reserve() -> None:
    """Give the room back that was kept, for what must be written now."""
    _reserve().unlink(missing_ok=True)


def _reserve() -> Path:
    return home() / ".reserve"
