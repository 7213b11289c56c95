"""Files that somebody writes to while they are read: what was read is half of one state and half of another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nn_assets.errors import SourceError


@contextmanager
def unchanged(path: Path) -> Iterator[None]:
    """Within, a file is read, as often as needed; it must be the same file of the same size and time at the end.

    Raises
    ------
    SourceError
        It changed, whatever else was found wrong with it.
    """
    before = _stamp(path)
    try:
        yield
    except Exception as error:
        if _stamp(path) != before:
            raise _changed(path) from error
        raise
    if _stamp(path) != before:
        raise _changed(path)


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _changed(path: Path) -> SourceError:
    return SourceError(
        expected="a file that nobody writes to while it is read",
        found="it changed while it was read",
        remedy="run again once it is whole; write deliveries under another name beside it, such as one that ends on "
        ".part, and rename them when they are done",
        file=str(path),
        rule="unchanged",
    )
